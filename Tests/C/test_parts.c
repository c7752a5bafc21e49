/* Steps of a part: rows of a tensor, and tensors one at a time. They are steps like any other, and
 * what cannot be made so is refused and changes nothing. */
#include "fixture.h"

#include <math.h>

enum { ROWS = 40, LENGTH = 37, COUNT = ROWS * LENGTH, NAMED = 25 };

static float table[COUNT], dense[COUNT], grads[NAMED * LENGTH], whole[COUNT];
static float small[3], small_grad[3];

static rvn_status add_table(rvn_optimizer *opt, void *data, int32_t dtype, int32_t grad_dtype) {
  static const int64_t shape[] = {ROWS, LENGTH};
  rvn_tensor t = {sizeof t, "table", data, NULL, dtype, grad_dtype, 2, 0, shape};
  return rvn_optimizer_add(opt, &t, NULL);
}

static rvn_step_report blank(void) {
  rvn_step_report r;
  memset(&r, 0, sizeof r);
  r.struct_size = sizeof r;
  return r;
}

static void slot(rvn_optimizer *opt, const char *name, float *out) {
  memset(out, 0, COUNT * sizeof *out);
  if (strcmp(name, "none") != 0)
    CHECK_OK(rvn_optimizer_read(opt, 0, name, RVN_F32, out, COUNT));
}

/* Rows of which several share a scale: nothing changes. */
static void refused(const char *recipe) {
  static const int64_t row = 0;
  rvn_optimizer *opt = create(recipe);
  fill_random(table, COUNT, 1), memcpy(dense, table, sizeof dense);
  CHECK_OK(add_table(opt, table, RVN_F32, 0));
  CHECK(rvn_optimizer_step_rows(opt, 0, &row, 1, whole, NULL) == RVN_ERR_UNSUPPORTED);
  CHECK_BYTES(table, dense, sizeof table);
  rvn_optimizer_destroy(opt);
}

/* All rows in another order: the bytes of a step with the whole gradient, for every elementwise rule. */
static void all_rows(int32_t threads) {
  static int64_t order[ROWS];
  static float permuted[COUNT];
  char recipe[1024], text[1200];
  rvn_options o = threads_of(threads);
  size_t n;
  int i, s, k;
  for (n = 0; rule_recipe(n, recipe, sizeof recipe); n++) {
    rvn_optimizer *a = NULL, *b = NULL;
    rvn_step_report ra = blank(), rb = blank();
    char *moments;
    if (strncmp(recipe, "lamb", 4) == 0 || strncmp(recipe, "prodigy", 7) == 0) continue;
    if (strncmp(recipe, "adafactor", 9) == 0) continue;
    snprintf(text, sizeof text, "clip_value(0.9) | %s", recipe);
    NOTE("%s, %d threads", text, threads);
    moments = strstr(text, "moments=8bit");
    if (moments) {
      refused(text);
      memcpy(moments, "moments=full", 12);
    }
    CHECK_OK(rvn_optimizer_create_with(text, &o, &a));
    CHECK_OK(rvn_optimizer_create_with(text, &o, &b));
    fill_random(table, COUNT, 1), memcpy(dense, table, sizeof dense);
    CHECK_OK(add_table(a, table, RVN_F32, 0));
    CHECK_OK(add_table(b, dense, RVN_F32, 0));
    for (s = 0; s < 4; s++) {
      const void *one = whole;
      rvn_step_input in = {sizeof in, &one, 1, 0, 0, 0};
      fill_random(whole, COUNT, 1);
      for (i = 0; i < ROWS; i++) order[i] = (i * 7 + s) % ROWS;
      for (i = 0; i < ROWS; i++)
        for (k = 0; k < LENGTH; k++) permuted[i * LENGTH + k] = whole[order[i] * LENGTH + k];
      if (!CHECK_OK(rvn_optimizer_step_rows(a, 0, order, ROWS, permuted, &ra))) break;
      CHECK_OK(rvn_optimizer_step(b, &in, &rb));
      CHECK_BYTES(table, dense, sizeof table);
      CHECK(ra.step == rb.step && ra.lr == rb.lr && ra.skipped == 0);
      CHECK(fabs(ra.grad_norm - rb.grad_norm) < 1e-12 * rb.grad_norm);
      CHECK(fabs(ra.update_norm - rb.update_norm) <= 1e-12 * rb.update_norm);
    }
    rvn_optimizer_destroy(a), rvn_optimizer_destroy(b);
  }
}

/* Other rows and their state are not touched; a row that is named again is one row. */
static void some_rows(void) {
  static const int64_t rows[] = {5, 0, 5, 39, 5};
  static float before[COUNT], m[COUNT], old[COUNT];
  rvn_optimizer *opt = create("adam(0.1)");
  double t = 0;
  float g[5 * LENGTH];
  int i;
  NOTE("some rows");
  fill_random(table, COUNT, 1), fill_random(g, 5 * LENGTH, 1), memcpy(before, table, sizeof before);
  CHECK_OK(add_table(opt, table, RVN_F32, 0));
  CHECK_OK(rvn_optimizer_prepare(opt));
  slot(opt, "m", old);
  CHECK_OK(rvn_optimizer_step_rows(opt, 0, rows, 5, g, NULL));
  slot(opt, "m", m);
  for (i = 0; i < COUNT; i++) {
    int row = i / LENGTH, k = i % LENGTH, named = row == 0 || row == 5 || row == 39;
    double sum = row == 5 ? (double)g[k] + g[2 * LENGTH + k] + g[4 * LENGTH + k]
                          : (double)g[(row == 0 ? 1 : 3) * LENGTH + k];
    CHECK((table[i] != before[i]) == named);
    CHECK(m[i] == (named ? (float)(1 - 0.9) * (float)sum : old[i]));
  }
  CHECK_OK(rvn_optimizer_read(opt, 0, "step", RVN_F64, &t, 1));
  CHECK(t == 1);
  rvn_optimizer_destroy(opt);
}

/* clip_norm sees the sums of the rows, finite_guard too. */
static void stages(void) {
  static const int64_t rows[] = {1, 2, 1};
  rvn_optimizer *opt = create("finite_guard(limit=1) | clip_norm(1) | sgd(linear(1, 0, steps=10))");
  rvn_step_report r = blank();
  float g[3 * LENGTH] = {0};
  NOTE("stages");
  memset(table, 0, sizeof table);
  CHECK_OK(add_table(opt, table, RVN_F32, 0));
  g[0] = 1, g[LENGTH] = 4, g[2 * LENGTH] = 2; /* row 1: 3; row 2: 4 */
  CHECK_OK(rvn_optimizer_step_rows(opt, 0, rows, 3, g, &r));
  CHECK(r.grad_norm == 5 && fabs(r.clip_scale - 0.2) < 1e-6 && r.step == 1 && r.lr == 1);
  CHECK(fabs(r.update_norm - 1) < 1e-6);
  CHECK(fabsf(table[LENGTH] + 0.6f) < 1e-6 && fabsf(table[2 * LENGTH] + 0.8f) < 1e-6);
  g[2 * LENGTH + 5] = INFINITY, g[5] = -INFINITY;
  memcpy(dense, table, sizeof table);
  CHECK_OK(rvn_optimizer_step_rows(opt, 0, rows, 3, g, &r));
  CHECK(r.skipped == 1 && r.step == 1 && r.nonfinite == 1 && r.lr == 0.9);
  CHECK_STATUS(rvn_optimizer_step_rows(opt, 0, rows, 3, g, &r), RVN_ERR_NONFINITE);
  CHECK_SAYS("element 5 of row 1"), CHECK_SAYS("skips in a row");
  CHECK_BYTES(table, dense, sizeof table);
  rvn_optimizer_destroy(opt);
}

/* Every type, gradients of every type, lengths around a group of lanes, more rows than before. */
static void types(void) {
  static const int32_t type[] = {RVN_F32, RVN_F64, RVN_BF16, RVN_F16};
  static const int64_t lengths[] = {1, 15, 16, 17, 1100};
  static unsigned char a[8 * 3 * 1100], b[8 * 3 * 1100], g[8 * 4 * 1100], sum[8 * 3 * 1100];
  static const int64_t rows[] = {2, 0, 2}, distinct[] = {2, 0};
  int i, j, k;
  for (i = 0; i < 4; i++)
    for (j = 0; j < 4; j++)
      for (k = 0; k < 5; k++) {
        int64_t shape[] = {3, lengths[k]};
        size_t size = type[j] == RVN_F64 ? 8 : type[j] == RVN_F32 ? 4 : 2, n = (size_t)lengths[k];
        rvn_tensor t = {sizeof t, "t", a, NULL, type[i], type[j], 2, 0, shape};
        rvn_optimizer *x = create("adamw(0.1)"), *y = create("adamw(0.1)");
        NOTE("dtype %d, gradient %d, length %d", type[i], type[j], (int)n);
        memset(a, 0, sizeof a), memset(b, 0, sizeof b), memset(g, 0, sizeof g), memset(sum, 0, sizeof sum);
        /* One in every type, and twice that: the exponent's lowest bit is where the types differ. */
        for (size_t e = 0; e < 3 * n; e++) {
          const double one = 1, two = 2;
          const float onef = 1, twof = 2;
          const uint16_t oneb = 0x3f80, twob = 0x4000, oneh = 0x3c00, twoh = 0x4000;
          const void *s = type[j] == RVN_F64 ? (const void *)&one : type[j] == RVN_F32 ? (const void *)&onef : type[j] == RVN_BF16 ? (const void *)&oneb : (const void *)&oneh;
          const void *d = type[j] == RVN_F64 ? (const void *)&two : type[j] == RVN_F32 ? (const void *)&twof : type[j] == RVN_BF16 ? (const void *)&twob : (const void *)&twoh;
          memcpy(g + e * size, s, size);
          if (e < 2 * n) memcpy(sum + e * size, e < n ? d : s, size);
        }
        CHECK_OK(rvn_optimizer_add(x, &t, NULL));
        t.data = b;
        CHECK_OK(rvn_optimizer_add(y, &t, NULL));
        CHECK_OK(rvn_optimizer_step_rows(x, 0, distinct, 1, g, NULL));
        CHECK_OK(rvn_optimizer_step_rows(y, 0, distinct, 1, g, NULL));
        CHECK_OK(rvn_optimizer_step_rows(x, 0, rows, 3, g, NULL));
        CHECK_OK(rvn_optimizer_step_rows(y, 0, distinct, 2, sum, NULL));
        CHECK_BYTES(a, b, sizeof a);
        CHECK(memcmp(a, g, size) != 0);
        rvn_optimizer_destroy(x), rvn_optimizer_destroy(y);
      }
}

/* A step in parts leaves the bytes of one whole step, and counts once. */
static void parts(void) {
  static const char *recipes[] = {"adamw(linear(0.1, 0, steps=9)) | ema(0.9)", "lamb(0.1); s*: sgd(1)",
                                  "clip_unit(0.01) | adam(0.1, amsgrad=1) | lookahead(2)",
                                  "finite_guard(zero) | rmsprop(0.1); table: frozen"};
  static float a[COUNT], b[COUNT], c[3], d[3];
  int i, s;
  for (i = 0; i < 4; i++) {
    rvn_optimizer *x = create(recipes[i]), *y = create(recipes[i]);
    rvn_step_report one = blank(), end = blank(), part = blank();
    NOTE("parts of %s", recipes[i]);
    fill_random(a, COUNT, 1), memcpy(b, a, sizeof a), fill_random(c, 3, 1), memcpy(d, c, sizeof c);
    CHECK_OK(add_table(x, a, RVN_F32, 0)), CHECK_OK(add(x, "small", c, small_grad, 3));
    CHECK_OK(add_table(y, b, RVN_F32, 0)), CHECK_OK(add(y, "small", d, small_grad, 3));
    for (s = 0; s < 5; s++) {
      const void *both[] = {whole, s == 3 ? NULL : small_grad};
      rvn_step_input in = {sizeof in, both, 2, 0, 0, 0};
      fill_random(whole, COUNT, 1), fill_random(small_grad, 3, 1);
      CHECK_OK(rvn_optimizer_step(x, &in, &one));
      CHECK_OK(rvn_optimizer_begin_step(y));
      if (s != 3) CHECK_OK(rvn_optimizer_step_tensor(y, 1, NULL, &part)); /* the bound one */
      CHECK_OK(rvn_optimizer_step_tensor(y, 0, whole, &part));
      CHECK(part.step == one.step || part.skipped == 3);
      CHECK_OK(rvn_optimizer_end_step(y, &end));
      CHECK_BYTES(a, b, sizeof a), CHECK_BYTES(c, d, sizeof c);
      CHECK(end.step == one.step && end.lr == one.lr && end.skipped == one.skipped);
      CHECK(fabs(end.grad_norm - one.grad_norm) <= 1e-12 * one.grad_norm);
      CHECK(fabs(end.update_norm - one.update_norm) <= 1e-12 * one.update_norm);
    }
    rvn_optimizer_destroy(x), rvn_optimizer_destroy(y);
  }
}

/* Alone, each is a step of its own; rows and the rest together are one. */
static void counting(void) {
  static const int64_t rows[] = {3};
  rvn_optimizer *opt = create("sgd(linear(1, 0, steps=10))");
  const void *rest[] = {NULL, small_grad};
  rvn_step_input in = {sizeof in, rest, 2, 0, 0, 0};
  rvn_step_report r = blank();
  double t;
  NOTE("counting");
  CHECK_OK(add_table(opt, table, RVN_F32, 0)), CHECK_OK(add(opt, "small", small, NULL, 3));
  CHECK_OK(rvn_optimizer_step_rows(opt, 0, rows, 1, grads, &r)), CHECK(r.step == 1 && r.lr == 1);
  CHECK_OK(rvn_optimizer_step_tensor(opt, 1, small_grad, &r)), CHECK(r.step == 2 && r.lr == 0.9);
  CHECK_OK(rvn_optimizer_step_tensor(opt, 1, NULL, &r)), CHECK(r.step == 2 && r.skipped == 3);
  CHECK_OK(rvn_optimizer_step_rows(opt, 0, NULL, 0, NULL, &r)), CHECK(r.step == 2 && r.skipped == 3);
  CHECK_OK(rvn_optimizer_begin_step(opt));
  CHECK_OK(rvn_optimizer_step_rows(opt, 0, rows, 1, grads, &r)), CHECK(r.step == 3 && r.lr == 0.8);
  CHECK_OK(rvn_optimizer_step(opt, &in, &r)), CHECK(r.step == 3 && r.lr == 0.8);
  CHECK_OK(rvn_optimizer_end_step(opt, &r)), CHECK(r.step == 3 && r.lr == 0.8 && r.skipped == 0);
  CHECK_OK(rvn_optimizer_begin_step(opt));
  CHECK_OK(rvn_optimizer_end_step(opt, &r)), CHECK(r.step == 3 && r.skipped == 3);
  CHECK_OK(rvn_optimizer_read(opt, 0, "step", RVN_F64, &t, 1)), CHECK(t == 2);
  rvn_optimizer_destroy(opt);
}

#define REFUSES(expr, status, part)                        \
  do {                                                     \
    memcpy(dense, table, sizeof table);                    \
    if (CHECK_STATUS(expr, status)) CHECK_SAYS(part);      \
    CHECK_BYTES(table, dense, sizeof table);               \
  } while (0)

static void misuse(void) {
  static const int64_t past[] = {0, ROWS}, negative[] = {1, -1}, good[] = {1, 2};
  const void *both[] = {whole, small_grad};
  rvn_step_input in = {sizeof in, both, 2, 0, 0, 0};
  rvn_optimizer *opt = create("sgd(1); small, one: lamb(1)");
  rvn_step_report r = blank(), bad = r;
  float one = 0;
  rvn_tensor scalar = {sizeof scalar, "one", &one, NULL, RVN_F32, 0, 0, 0, NULL};
  size_t i;
  NOTE("misuse");
  bad.struct_size = 8;
  CHECK_OK(add_table(opt, table, RVN_F32, 0)), CHECK_OK(add(opt, "small", small, small_grad, 3));
  CHECK_OK(rvn_optimizer_add(opt, &scalar, &i));
  REFUSES(rvn_optimizer_step_rows(NULL, 0, good, 2, grads, &r), RVN_ERR_ARGUMENT, "NULL");
  REFUSES(rvn_optimizer_step_rows(opt, 3, good, 2, grads, &r), RVN_ERR_ARGUMENT, "3 tensors");
  REFUSES(rvn_optimizer_step_rows(opt, 0, past, 2, grads, &r), RVN_ERR_ARGUMENT, "rows[1] is 40");
  REFUSES(rvn_optimizer_step_rows(opt, 0, negative, 2, grads, &r), RVN_ERR_ARGUMENT, "rows[1] is -1");
  REFUSES(rvn_optimizer_step_rows(opt, 0, NULL, 2, grads, &r), RVN_ERR_ARGUMENT, "rows is NULL");
  REFUSES(rvn_optimizer_step_rows(opt, 0, good, 2, NULL, &r), RVN_ERR_ARGUMENT, "grads is NULL");
  REFUSES(rvn_optimizer_step_rows(opt, 0, good, 2, (char *)grads + 2, &r), RVN_ERR_ARGUMENT, "aligned");
  REFUSES(rvn_optimizer_step_rows(opt, 0, good, SIZE_MAX, grads, &r), RVN_ERR_ARGUMENT, "count");
  REFUSES(rvn_optimizer_step_rows(opt, 0, good, SIZE_MAX / 2, grads, &r), RVN_ERR_ARGUMENT, "count");
  REFUSES(rvn_optimizer_step_rows(opt, 0, good, 2, grads, &bad), RVN_ERR_ARGUMENT, "rvn_step_report");
  REFUSES(rvn_optimizer_step_rows(opt, 1, good, 2, grads, &r), RVN_ERR_UNSUPPORTED, "lamb measures");
  REFUSES(rvn_optimizer_step_rows(opt, i, good, 2, grads, &r), RVN_ERR_SHAPE, "no rows");
  REFUSES(rvn_optimizer_step_tensor(NULL, 0, whole, &r), RVN_ERR_ARGUMENT, "NULL");
  REFUSES(rvn_optimizer_step_tensor(opt, 3, whole, &r), RVN_ERR_ARGUMENT, "3 tensors");
  REFUSES(rvn_optimizer_step_tensor(opt, 0, (char *)whole + 1, &r), RVN_ERR_ARGUMENT, "aligned");
  REFUSES(rvn_optimizer_step_tensor(opt, 0, whole, &bad), RVN_ERR_ARGUMENT, "rvn_step_report");
  REFUSES(rvn_optimizer_end_step(opt, &r), RVN_ERR_STATE, "no step is open");
  CHECK_STATUS(rvn_optimizer_begin_step(NULL), RVN_ERR_ARGUMENT);
  CHECK_STATUS(rvn_optimizer_end_step(NULL, NULL), RVN_ERR_ARGUMENT);
  CHECK_OK(rvn_optimizer_begin_step(opt));
  REFUSES(rvn_optimizer_begin_step(opt), RVN_ERR_STATE, "end_step");
  REFUSES(rvn_optimizer_save(opt, "/dev/null"), RVN_ERR_STATE, "end_step");
  REFUSES(rvn_optimizer_load(opt, "/dev/null"), RVN_ERR_STATE, "end_step");
  REFUSES(rvn_optimizer_remove(opt, 1), RVN_ERR_STATE, "end_step");
  REFUSES(rvn_optimizer_flush(opt, NULL), RVN_ERR_STATE, "end_step");
  REFUSES(add(opt, "late", small, NULL, 3), RVN_ERR_STATE, "end_step");
  REFUSES(rvn_optimizer_end_step(opt, &bad), RVN_ERR_ARGUMENT, "rvn_step_report");
  CHECK_OK(rvn_optimizer_step_rows(opt, 0, good, 2, grads, &r));
  REFUSES(rvn_optimizer_step_rows(opt, 0, good, 2, grads, &r), RVN_ERR_STATE, "'table' was stepped");
  REFUSES(rvn_optimizer_step_tensor(opt, 0, whole, &r), RVN_ERR_STATE, "'table' was stepped");
  in.grad_count = 2;
  REFUSES(rvn_optimizer_step(opt, &in, &r), RVN_ERR_ARGUMENT, "3 tensors");
  CHECK_OK(rvn_optimizer_step_tensor(opt, 1, small_grad, &r));
  REFUSES(rvn_optimizer_step(opt, NULL, &r), RVN_ERR_STATE, "'small' was stepped");
  CHECK_OK(rvn_optimizer_end_step(opt, &r));
  CHECK(r.step == 1);
  rvn_optimizer_destroy(opt);
}

/* What measures over all, or follows all, is refused with its name. */
static void unsupported(void) {
  static const struct { const char *recipe, *begin, *rows; } table_of[] = {
      {"clip_unit | sgd", NULL, "clip_unit"}, {"centralize | sgd", NULL, "centralize"},
      {"prodigy", "prodigy measures all", "prodigy"}, {"unscale | sgd", "unscale", NULL}, {"unscale(8, dynamic=0) | sgd", NULL, NULL},
      {"clip_norm(1) | sgd", "clip_norm", NULL}, {"finite_guard | sgd", "finite_guard", NULL},
      {"clip_value(1) | clip_norm(1) | clip_norm(2) | sgd", "clip_norm ", NULL},
      {"sgd | ema(0.9)", NULL, "ema"}, {"sgd | lookahead", NULL, "lookahead"}, {"lamb", NULL, "lamb"}, {"adafactor", NULL, "adafactor"},
      {"sgd | swa", NULL, "swa"}, {"sgd | cautious", NULL, "cautious"}, {"maximize | sgd", NULL, NULL},
      {"sgd | decay(0.1)", NULL, NULL}};
  static const int64_t rows[] = {1};
  size_t i;
  for (i = 0; i < sizeof table_of / sizeof *table_of; i++) {
    rvn_optimizer *opt = create(table_of[i].recipe);
    rvn_step_report r = blank();
    NOTE("%s", table_of[i].recipe);
    CHECK_OK(add_table(opt, table, RVN_F32, 0));
    if (table_of[i].begin) REFUSES(rvn_optimizer_begin_step(opt), RVN_ERR_UNSUPPORTED, table_of[i].begin);
    else CHECK_OK(rvn_optimizer_begin_step(opt)), CHECK_OK(rvn_optimizer_end_step(opt, NULL));
    if (table_of[i].rows)
      REFUSES(rvn_optimizer_step_rows(opt, 0, rows, 1, grads, &r), RVN_ERR_UNSUPPORTED, table_of[i].rows);
    else CHECK_OK(rvn_optimizer_step_rows(opt, 0, rows, 1, grads, &r));
    CHECK_OK(rvn_optimizer_step_tensor(opt, 0, whole, &r));
    rvn_optimizer_destroy(opt);
  }
}

/* What is accumulated is of whole calls. */
static void accumulating(void) {
  static const int64_t rows[] = {1};
  const void *one = whole;
  rvn_step_input in = {sizeof in, &one, 1, 0, 0, 0};
  rvn_optimizer *opt = create("accumulate(2) | sgd");
  rvn_step_report r = blank();
  NOTE("accumulating");
  CHECK_OK(add_table(opt, table, RVN_F32, 0));
  CHECK_OK(rvn_optimizer_step(opt, &in, &r)), CHECK(r.skipped == 2);
  REFUSES(rvn_optimizer_begin_step(opt), RVN_ERR_UNSUPPORTED, "accumulate adds up");
  REFUSES(rvn_optimizer_step_tensor(opt, 0, whole, &r), RVN_ERR_UNSUPPORTED, "accumulate adds up");
  REFUSES(rvn_optimizer_step_rows(opt, 0, rows, 1, grads, &r), RVN_ERR_UNSUPPORTED, "accumulate adds up");
  CHECK_OK(rvn_optimizer_step(opt, &in, &r)), CHECK(r.skipped == 0 && r.step == 1);
  rvn_optimizer_destroy(opt);
}

int main(void) {
  fill_random(grads, NAMED * LENGTH, 1), fill_random(whole, COUNT, 1), fill_random(small_grad, 3, 1);
  all_rows(1), all_rows(3);
  some_rows();
  stages();
  types();
  parts();
  counting();
  misuse();
  unsupported();
  accumulating();
  return finish();
}
