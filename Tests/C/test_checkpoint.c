/* Save and load: a run continues bit for bit, and what does not fit is named. */
#define _GNU_SOURCE
#include <unistd.h>

#include "fixture.h"

enum { TENSORS = 6, STEPS = 12, N = 24 };
static const char *const names[TENSORS] = {"w", "a \"b\" \\ c", "w/m", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x8c\xb2", "empty", "one"};
static const int32_t types[TENSORS] = {RVN_F32, RVN_F64, RVN_BF16, RVN_F16, RVN_F32, RVN_F32};
static const int64_t counts[TENSORS] = {24, 15, 20, 17, 0, 1};

typedef struct model {
  double data[TENSORS][N]; /* room for the widest type */
} model;
static model start, grads[STEPS], now, wanted;
static char path[64], text[8192];
static size_t needed;

static uint8_t rank_of(int i) { return i == 0 ? 3 : i == 5 ? 0 : 1; }

static rvn_optimizer *open_model(const char *recipe, model *m) {
  rvn_optimizer *opt = create(recipe);
  int i;
  for (i = 0; i < TENSORS; i++) {
    static const int64_t matrix[3] = {2, 3, 4};
    rvn_tensor t;
    memset(&t, 0, sizeof t);
    t.struct_size = sizeof t, t.name = names[i], t.data = m->data[i], t.dtype = types[i];
    t.rank = rank_of(i), t.shape = i == 0 ? matrix : i == 5 ? NULL : &counts[i];
    CHECK_OK(rvn_optimizer_add(opt, &t, NULL));
  }
  return opt;
}

/* Ordinary numbers in the type of each tensor; at some steps some have none, or one is infinite. */
static void make_numbers(void) {
  size_t k, i;
  uint16_t *h = (uint16_t *)&start;
  for (i = 0; i < sizeof start / 2; i++) h[i] = (uint16_t)(0x3000 + (random_bits() >> 40) % 0xc00);
  for (k = 0; k < STEPS; k++) {
    h = (uint16_t *)&grads[k];
    for (i = 0; i < sizeof grads[k] / 2; i++)
      h[i] = (uint16_t)(0x3000 + (random_bits() >> 40) % 0xc00 + (random_bits() >> 63 << 15));
  }
  ((float *)grads[4].data[0])[3] = (float)(1 / atof("0"));
  ((float *)grads[5].data[0])[3] = (float)(1 / atof("0"));
}

static void steps(rvn_optimizer *opt, int from, int to) {
  for (; from < to; from++) {
    const void *g[TENSORS];
    rvn_step_input in;
    int i;
    for (i = 0; i < TENSORS; i++) g[i] = (i + from) % 4 == 3 ? NULL : grads[from].data[i];
    memset(&in, 0, sizeof in);
    in.struct_size = sizeof in, in.grads = g, in.grad_count = TENSORS;
    CHECK_OK(rvn_optimizer_step(opt, &in, NULL));
  }
}

/* All state as text-free bytes. */
static void all_state(rvn_optimizer *opt, double out[TENSORS][9][N]) {
  int i;
  memset(out, 0, sizeof(double) * TENSORS * 9 * N);
  for (i = 0; i < TENSORS; i++) {
    char slots[256], *name;
    int k = 1;
    CHECK_OK(rvn_optimizer_read(opt, (size_t)i, "step", RVN_F64, out[i][0], 1));
    CHECK_OK(rvn_optimizer_slots(opt, (size_t)i, slots, sizeof slots, NULL));
    for (name = strtok(slots, ","); name; name = strtok(NULL, ","), k++) {
      int64_t shape[8];
      size_t n = slot_count(opt, (size_t)i, name, shape, rank_of(i));
      CHECK_OK(rvn_optimizer_read(opt, (size_t)i, name, RVN_F64, out[i][k], n));
    }
  }
}

static void resume(const char *recipe) {
  static double state[TENSORS][9][N], other[TENSORS][9][N];
  rvn_optimizer *opt, *next;
  int k, i;
  NOTE("%s", recipe);
  memcpy(&now, &start, sizeof now);
  opt = open_model(recipe, &now);
  steps(opt, 0, STEPS);
  memcpy(&wanted, &now, sizeof now);
  all_state(opt, state);
  rvn_optimizer_destroy(opt);
  for (k = 0; k <= STEPS; k++) {
    NOTE("resumed at %d: %s", k, recipe);
    memcpy(&now, &start, sizeof now);
    opt = open_model(recipe, &now);
    CHECK_OK(rvn_optimizer_prepare(opt));
    steps(opt, 0, k);
    CHECK_OK(rvn_optimizer_save(opt, path));
    rvn_optimizer_destroy(opt);
    memset(&now, 0x11, sizeof now);
    next = open_model(recipe, &now);
    if (k % 2) steps(next, 0, 2); /* into a handle that did something else before */
    CHECK_OK(rvn_optimizer_load(next, path));
    steps(next, k, STEPS);
    for (i = 0; i < TENSORS; i++) {
      size_t size = (size_t)counts[i] * (types[i] == RVN_F64 ? 8 : types[i] == RVN_F32 ? 4 : 2);
      CHECK_BYTES(now.data[i], wanted.data[i], size);
    }
    all_state(next, other);
    CHECK_BYTES(state, other, sizeof state);
    rvn_optimizer_destroy(next);
  }
}

static void every_rule(void) {
  char rule[300], recipe[500];
  size_t n;
  for (n = 0; rule_recipe(n, rule, sizeof rule); n++) {
    snprintf(recipe, sizeof recipe, "finite_guard(limit=2) | clip_norm(1) | %s; w: lr=linear(0.1, 0, steps=9); one: frozen", rule);
    resume(recipe);
  }
  resume("finite_guard | sgd(warmup(cosine(0.1, steps=9), steps=3), momentum=0.9); w/m: adam(0.1)");
}

/* save and load prepare a handle that is not. */
static void unprepared(void) {
  rvn_optimizer *opt;
  NOTE("unprepared");
  memcpy(&now, &start, sizeof now);
  opt = open_model("adamw(0.1)", &now);
  CHECK_OK(rvn_optimizer_save(opt, path));
  CHECK_OK(rvn_optimizer_slots(opt, 0, NULL, 0, NULL));
  rvn_optimizer_destroy(opt);
  opt = open_model("adamw(0.1)", &now);
  CHECK_OK(rvn_optimizer_load(opt, path));
  CHECK_OK(rvn_optimizer_slots(opt, 0, NULL, 0, NULL));
  rvn_optimizer_destroy(opt);
}

/* The numbers of the handle stay; the step count, and so its schedule, goes on. */
static void other_numbers(void) {
  rvn_optimizer *opt, *next;
  double x;
  char before[1024], after[1024];
  rvn_step_report r = {sizeof r, 0, 0, 0, 0, 0, 0, 0, 0};
  NOTE("other numbers");
  memcpy(&now, &start, sizeof now);
  opt = open_model("finite_guard | clip_norm(3) | adamw(0.5, weight_decay=0.5)", &now);
  steps(opt, 0, 4);
  CHECK_OK(rvn_optimizer_save(opt, path));
  rvn_optimizer_destroy(opt);
  next = open_model("finite_guard | clip_value(2) | adamw(linear(1, 0, steps=8), weight_decay=0.25); w: lr=0.125", &now);
  CHECK_OK(rvn_optimizer_recipe(next, before, sizeof before, NULL));
  CHECK_OK(rvn_optimizer_load(next, path));
  CHECK_OK(rvn_optimizer_recipe(next, after, sizeof after, NULL));
  CHECK(strcmp(before, after) == 0);
  CHECK_OK(rvn_optimizer_get(next, "lr", &x));
  CHECK(x == 0.5);
  CHECK_OK(rvn_optimizer_get(next, "w:lr", &x));
  CHECK(x == 0.125);
  CHECK_OK(rvn_optimizer_step(next, NULL, &r));
  CHECK(r.step == 4);
  rvn_optimizer_destroy(next);
}

/* ---- what does not fit ---- */

static float p[4][8], q[4][8];
static void save_of(const char *recipe, const char *a, int na, const char *b, int nb, int32_t type) {
  rvn_optimizer *opt = create(recipe);
  int i;
  for (i = 0; i < 8; i++) p[0][i] = (float)i + 1, p[1][i] = (float)i + 11;
  CHECK_OK(add_typed(opt, a, p[0], q[0], na, type, RVN_F32));
  if (b) CHECK_OK(add(opt, b, p[1], q[1], nb));
  CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
  CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
  CHECK_OK(rvn_optimizer_save(opt, path));
  rvn_optimizer_destroy(opt);
}

/* Loads into a handle with "w" [4] and "b" [3]: strictly, which fails, and partially. */
static void differs(const char *sentence, const char *report, const char *recipe, double w_steps) {
  rvn_optimizer *opt = create(recipe);
  rvn_load_options how = {sizeof how, 1, 1, 1, 0};
  float before[4][8], m[8], m0[8];
  double t = -1;
  NOTE("%s", sentence);
  memset(p, 0x22, sizeof p);
  CHECK_OK(add(opt, "w", p[2], q[2], 4));
  CHECK_OK(add(opt, "b", p[3], q[3], 3));
  CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
  memcpy(before, p, sizeof p);
  memset(m, 0, sizeof m), memcpy(m0, m, sizeof m);
  if (rvn_optimizer_read(opt, 0, "m", RVN_F32, m0, 4) != RVN_OK) memset(m0, 0, sizeof m0);
  CHECK_STATUS(rvn_optimizer_load(opt, path), RVN_ERR_MISMATCH);
  CHECK_SAYS(sentence);
  CHECK_STATUS(rvn_optimizer_load_with(opt, path, NULL, text, sizeof text, &needed),
               RVN_ERR_MISMATCH);
  CHECK(strcmp(text, report) == 0); /* told also where it is an error */
  CHECK_BYTES(before, p, sizeof p);
  if (rvn_optimizer_read(opt, 0, "m", RVN_F32, m, 4) != RVN_OK) memset(m, 0, sizeof m);
  CHECK_BYTES(m, m0, sizeof m);
  CHECK_OK(rvn_optimizer_read(opt, 0, "step", RVN_F64, &t, 1));
  CHECK(t == 1);
  CHECK_OK(rvn_optimizer_load_with(opt, path, &how, text, sizeof text, &needed));
  CHECK(needed == strlen(text) + 1);
  if (strcmp(text, report) != 0) fprintf(stderr, "%s: got\n%s", check_context, text);
  CHECK(strcmp(text, report) == 0);
  CHECK_OK(rvn_optimizer_read(opt, 0, "step", RVN_F64, &t, 1));
  CHECK(t == w_steps || w_steps < 0); /* the counter goes with the state */
  CHECK_OK(rvn_optimizer_load_with(opt, path, &how, text, 12, &needed)); /* a short buffer cuts */
  CHECK(needed == strlen(report) + 1 && strlen(text) == 11 && strncmp(text, report, 11) == 0);
  CHECK_OK(rvn_optimizer_load_with(opt, path, &how, NULL, 0, NULL));
  rvn_optimizer_destroy(opt);
}

static void mismatches(void) {
  const char *adam = "adam(0.1)";
  save_of(adam, "w", 4, NULL, 0, RVN_F32);
  differs("missing param/b", "missing param/b\nmissing state/b/m\nmissing state/b/v\n", adam, 2);
  save_of(adam, "w", 4, "c", 3, RVN_F32);
  differs("and 5 more", "missing param/b\nmissing state/b/m\nmissing state/b/v\nextra param/c\nextra state/c/m\nextra state/c/v\n", adam, 2);
  save_of(adam, "w", 5, "b", 3, RVN_F32);
  differs("different param/w: file F32 [5], here F32 [4]",
          "different param/w: file F32 [5], here F32 [4]\ndifferent state/w/m: file F32 [5], here F32 [4]\n"
          "different state/w/v: file F32 [5], here F32 [4]\n", adam, 1);
  save_of(adam, "w", 4, "b", 3, RVN_BF16);
  differs("different param/w: file BF16 [4], here F32 [4]",
          "different param/w: file BF16 [4], here F32 [4]\n", adam, 2);
  save_of("sgd(0.1, momentum=0.9); b: adam(0.1)", "w", 4, "b", 3, RVN_F32);
  differs("different state/w: file sgd, here adam", "different state/w: file sgd, here adam\n", adam, 1);
  save_of(adam, "w", 4, "b", 3, RVN_F32);
  differs("different state/w: file adam, here sgd",
          "different state/w: file adam, here sgd\nextra state/w/v\n",
          "sgd(0.1, momentum=0.9); b: adam(0.1)", 1);
}

static void parts(void) {
  rvn_optimizer *opt;
  rvn_load_options how = {sizeof how, 0, 1, 0, 0};
  float m[4], m0[4], w0[4];
  double t;
  int i;
  NOTE("parts");
  for (i = 0; i < 8; i++) q[0][i] = 1, q[2][i] = 0.5f;
  save_of("adam(0.1)", "w", 4, NULL, 0, RVN_F32);
  memcpy(w0, p[0], sizeof w0);
  for (i = 0; i < 4; i++) p[2][i] = 100;
  opt = create("adam(0.1)");
  CHECK_OK(add(opt, "w", p[2], q[2], 4));
  CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
  CHECK_OK(rvn_optimizer_read(opt, 0, "m", RVN_F32, m0, 4));
  CHECK_OK(rvn_optimizer_load_with(opt, path, &how, text, sizeof text, NULL)); /* parameters */
  CHECK(text[0] == 0);
  CHECK_BYTES(p[2], w0, sizeof w0);
  CHECK_OK(rvn_optimizer_read(opt, 0, "m", RVN_F32, m, 4));
  CHECK_BYTES(m, m0, sizeof m);
  CHECK_OK(rvn_optimizer_read(opt, 0, "step", RVN_F64, &t, 1));
  CHECK(t == 1);
  for (i = 0; i < 4; i++) p[2][i] = 100;
  how.params = 0, how.state = 1;
  CHECK_OK(rvn_optimizer_load_with(opt, path, &how, NULL, 0, NULL)); /* state and counters */
  CHECK(p[2][0] == 100);
  CHECK_OK(rvn_optimizer_read(opt, 0, "m", RVN_F32, m, 4));
  CHECK(memcmp(m, m0, sizeof m) != 0);
  CHECK_OK(rvn_optimizer_read(opt, 0, "step", RVN_F64, &t, 1));
  CHECK(t == 2);
  rvn_optimizer_destroy(opt);
  /* The parameters of another rule: what is left alone is not a difference. */
  how.params = 1, how.state = 0;
  opt = create("lamb(0.1)");
  CHECK_OK(add(opt, "w", p[2], q[2], 4));
  CHECK_OK(rvn_optimizer_load_with(opt, path, &how, text, sizeof text, NULL));
  CHECK_BYTES(p[2], w0, sizeof w0);
  rvn_optimizer_destroy(opt);
  opt = create("sgd(0.1)");
  CHECK_OK(add(opt, "w", p[2], q[2], 4));
  CHECK_OK(rvn_optimizer_load_with(opt, path, &how, text, sizeof text, NULL));
  rvn_optimizer_destroy(opt);
}

/* State of the same name and shape means something else to another rule. */
static void other_rule(void) {
  rvn_optimizer *opt = create("lion(0.1)");
  NOTE("other rule");
  save_of("sgd(0.1, momentum=0.9)", "w", 4, NULL, 0, RVN_F32);
  CHECK_OK(add(opt, "w", p[2], q[2], 4));
  CHECK_STATUS(rvn_optimizer_load(opt, path), RVN_ERR_MISMATCH);
  rvn_optimizer_destroy(opt);
}

int main(void) {
  int file;
  strcpy(path, "/tmp/ravine-checkpoint-XXXXXX");
  file = mkstemp(path);
  close(file);
  make_numbers();
  every_rule();
  unprepared();
  other_numbers();
  mismatches();
  parts();
  other_rule();
  remove(path);
  return finish();
}
