/* Wrong use of what asks and sets: keys, clauses, text out, state, catalog, schedules. */
#include "fixture.h"

enum { N = 20 };
static float w[N], b[N], g[N];
static rvn_optimizer *opt;

static void look(char *text, size_t cap) {
  float m[N];
  double t = -1, x = -1;
  memset(text, 0, cap);
  memset(m, 0, sizeof m);
  CHECK_OK(rvn_optimizer_recipe(opt, text, cap, NULL));
  if (rvn_optimizer_read(opt, 0, "m", RVN_F32, m, N) == RVN_OK)
    CHECK_OK(rvn_optimizer_read(opt, 0, "step", RVN_F64, &t, 1));
  CHECK_OK(rvn_optimizer_get(opt, "lr", &x));
  memcpy(text + cap - sizeof m, m, sizeof m);
  memcpy(text + cap - 300, &t, sizeof t), memcpy(text + cap - 320, &x, sizeof x);
}

#define REFUSES(expr, status, part)                   \
  do {                                                \
    char before[2048], after[2048];                   \
    look(before, sizeof before);                      \
    if (CHECK_STATUS(expr, status)) CHECK_SAYS(part); \
    look(after, sizeof after);                        \
    CHECK_BYTES(before, after, sizeof before);        \
  } while (0)

static void open_handle(int ready) {
  rvn_optimizer_destroy(opt);
  opt = create("clip_norm(1) | clip_value(0.5) | sgd(0.1, momentum=0.9); b: lr=0.2");
  fill_random(w, N, 1), fill_random(b, N, 1), fill_random(g, N, 1);
  CHECK_OK(add(opt, "w", w, g, N));
  CHECK_OK(add(opt, "b", b, g, N));
  if (ready) CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
}

static void keys(int ready) {
  double x = 3;
  REFUSES(rvn_optimizer_get(opt, NULL, &x), RVN_ERR_ARGUMENT, "key is NULL");
  REFUSES(rvn_optimizer_get(opt, "lr", NULL), RVN_ERR_ARGUMENT, "value is NULL");
  REFUSES(rvn_optimizer_get(opt, "", &x), RVN_ERR_NAME, "''");
  REFUSES(rvn_optimizer_get(opt, "momentun", &x), RVN_ERR_NAME, "did you mean 'momentum'?");
  REFUSES(rvn_optimizer_get(opt, "clip_norm.mex", &x), RVN_ERR_NAME, "'clip_norm.max'");
  REFUSES(rvn_optimizer_get(opt, "clip_value#2.max", &x), RVN_ERR_NAME, "clip_value#2.max");
  REFUSES(rvn_optimizer_get(opt, "clip_value", &x), RVN_ERR_NAME, "clip_value");
  REFUSES(rvn_optimizer_get(opt, "v:lr", &x), RVN_ERR_NAME, "'v'");
  REFUSES(rvn_optimizer_get(opt, "*:lr", &x), RVN_ERR_ARGUMENT, "0.2");
  REFUSES(rvn_optimizer_get(opt, "decay", &x), RVN_ERR_ARGUMENT, "word");
  REFUSES(rvn_optimizer_get(opt, "clip_norm.p", &x), RVN_ERR_ARGUMENT, "word");
  CHECK(rvn_optimizer_get(opt, ":lr", &x) != RVN_OK);
  CHECK(rvn_optimizer_get(opt, "a b:lr", &x) != RVN_OK);
  CHECK(rvn_optimizer_get(opt, "@size<:lr", &x) != RVN_OK);
  CHECK_STATUS(rvn_optimizer_get(NULL, "lr", &x), RVN_ERR_ARGUMENT);
  CHECK(x == 3);

  REFUSES(rvn_optimizer_set(opt, NULL, 1), RVN_ERR_ARGUMENT, "key is NULL");
  REFUSES(rvn_optimizer_set(opt, "lr", -1), RVN_ERR_ARGUMENT, "[0, inf");
  REFUSES(rvn_optimizer_set(opt, "lr", 0.0 / atof("0")), RVN_ERR_ARGUMENT, "nan");
  REFUSES(rvn_optimizer_set(opt, "dampening", 1.5), RVN_ERR_ARGUMENT, "[0, 1]");
  REFUSES(rvn_optimizer_set(opt, "clip_norm.max", 0), RVN_ERR_ARGUMENT, "(0, inf");
  REFUSES(rvn_optimizer_set(opt, "nesterov", 0.5), RVN_ERR_ARGUMENT, "0 or 1");
  REFUSES(rvn_optimizer_set(opt, "decay", 1), RVN_ERR_ARGUMENT, "fixed at creation");
  REFUSES(rvn_optimizer_set(opt, "lrr", 1), RVN_ERR_NAME, "did you mean 'lr'?");
  REFUSES(rvn_optimizer_set(opt, "w:lr", -1), RVN_ERR_ARGUMENT, "[0, inf");
  REFUSES(rvn_optimizer_set(opt, "w:clip_norm.max", 1), RVN_ERR_NAME, "is one for all tensors");
  CHECK_STATUS(rvn_optimizer_set(NULL, "lr", 1), RVN_ERR_ARGUMENT);
  if (ready) {
    REFUSES(rvn_optimizer_set(opt, "v:lr", 1), RVN_ERR_NAME, "'v'");
    REFUSES(rvn_optimizer_override(opt, "v", "lr=1"), RVN_ERR_NAME, "'v'");
  }
}

static void clauses(void) {
  REFUSES(rvn_optimizer_override(opt, NULL, "lr=1"), RVN_ERR_ARGUMENT, "patterns is NULL");
  REFUSES(rvn_optimizer_override(opt, "w", NULL), RVN_ERR_ARGUMENT, "clause is NULL");
  REFUSES(rvn_optimizer_override(opt, "", "lr=1"), RVN_ERR_RECIPE, "patterns:1:1: ");
  REFUSES(rvn_optimizer_override(opt, "w;", "lr=1"), RVN_ERR_RECIPE, "patterns:1:2: ");
  REFUSES(rvn_optimizer_override(opt, "w: lr=2; b", "lr=1"), RVN_ERR_RECIPE, "patterns:1:2: ");
  REFUSES(rvn_optimizer_override(opt, "w", ""), RVN_ERR_RECIPE, "clause:1:1: ");
  REFUSES(rvn_optimizer_override(opt, "w", "lr=1; b: lr=2"), RVN_ERR_RECIPE, "clause:1:5: ");
  REFUSES(rvn_optimizer_override(opt, "w", "lr=-1"), RVN_ERR_RECIPE, "clause:1:4: ");
  REFUSES(rvn_optimizer_override(opt, "w", "rl=1"), RVN_ERR_RECIPE, "did you mean 'lr'?");
  REFUSES(rvn_optimizer_override(opt, "w", "clip_norm(1)"), RVN_ERR_RECIPE, "rule");
  REFUSES(rvn_optimizer_override(opt, "w", "clip_norm(1) | sgd(1)"), RVN_ERR_RECIPE, "rule");
  CHECK_STATUS(rvn_optimizer_override(NULL, "w", "lr=1"), RVN_ERR_ARGUMENT);
}

static rvn_status text_recipe(void *h, char *buf, size_t cap, size_t *needed) {
  return rvn_optimizer_recipe(h, buf, cap, needed);
}
static rvn_status text_plan(void *h, char *buf, size_t cap, size_t *needed) {
  return rvn_optimizer_plan(h, buf, cap, needed);
}
static rvn_status text_slots(void *h, char *buf, size_t cap, size_t *needed) {
  return rvn_optimizer_slots(h, 0, buf, cap, needed);
}
static rvn_status text_sketch(void *h, char *buf, size_t cap, size_t *needed) {
  return rvn_schedule_sketch(h, 0, 50, 40, 5, buf, cap, needed);
}
static rvn_status text_schedule(void *h, char *buf, size_t cap, size_t *needed) {
  return rvn_schedule_recipe(h, buf, cap, needed);
}

/* The one rule of text out, for every function that follows it. */
static void text_out(rvn_status (*f)(void *, char *, size_t, size_t *), void *handle) {
  char whole[2048], part[2048], blank[2048];
  size_t needed = 0, again = 0, cap;
  memset(blank, 0x5a, sizeof blank);
  CHECK_OK(f(handle, NULL, 0, NULL));
  CHECK_OK(f(handle, NULL, 0, &needed));
  CHECK_OK(f(handle, whole, sizeof whole, NULL));
  CHECK(strlen(whole) + 1 == needed);
  for (cap = 1; cap <= needed + 1; cap++) {
    memcpy(part, blank, sizeof part);
    again = 0;
    CHECK_STATUS(f(handle, part, cap, &again), cap < needed ? RVN_ERR_ARGUMENT : RVN_OK);
    CHECK(again == needed);
    CHECK(strlen(part) < cap && strncmp(part, whole, strlen(part)) == 0);
    CHECK_BYTES(part + cap, blank + cap, sizeof part - cap);
  }
  CHECK_STATUS(f(handle, NULL, 5, &again), RVN_ERR_ARGUMENT);
  CHECK_SAYS("buf is NULL");
  CHECK_STATUS(f(NULL, whole, sizeof whole, &again), RVN_ERR_ARGUMENT);
  CHECK_SAYS("NULL");
  /* "As much as it takes" is a size like others; if it is refused, with a status. */
  memcpy(part, blank, sizeof part);
  if (f(handle, part, SIZE_MAX, &again) == RVN_OK) CHECK(memcmp(part, whole, needed) == 0);
}

static void state(void) {
  float x[N], x0[N];
  double t = 5;
  int64_t length = 7;
#define shape(index, what, out, rank, status, part) \
  REFUSES(rvn_optimizer_slot_shape(opt, index, what, out, rank), status, part)
  memset(x, 0x5a, sizeof x), memcpy(x0, x, sizeof x);
#define READ(index, what, type, out, n, status, part)                                       \
  REFUSES(rvn_optimizer_read(opt, index, what, type, out, n), status, part);                \
  REFUSES(rvn_optimizer_write(opt, index, what, type, out, n), status, part);               \
  CHECK_BYTES(x, x0, sizeof x)
  READ(2, "m", RVN_F32, x, N, RVN_ERR_ARGUMENT, "index is 2");
  READ(0, NULL, RVN_F32, x, N, RVN_ERR_ARGUMENT, "what is NULL");
  READ(0, "v", RVN_F32, x, N, RVN_ERR_NAME, "m");
  READ(0, "", RVN_F32, x, N, RVN_ERR_NAME, "m, step");
  READ(0, "m", 0, x, N, RVN_ERR_TYPE, "dtype");
  READ(0, "m", 5, x, N, RVN_ERR_TYPE, "dtype");
  READ(0, "m", RVN_F32, x, N - 1, RVN_ERR_SHAPE, "count is 19");
  READ(0, "m", RVN_F32, x, N + 1, RVN_ERR_SHAPE, "count is 21");
  READ(0, "m", RVN_F32, x, SIZE_MAX, RVN_ERR_SHAPE, "count is 18446744073709551615");
  READ(0, "step", RVN_F32, x, 2, RVN_ERR_SHAPE, "count is 2");
  READ(0, "m", RVN_F32, NULL, N, RVN_ERR_ARGUMENT, "is NULL");
  CHECK_STATUS(rvn_optimizer_read(NULL, 0, "m", RVN_F32, x, N), RVN_ERR_ARGUMENT);
  CHECK_STATUS(rvn_optimizer_write(NULL, 0, "m", RVN_F32, x, N), RVN_ERR_ARGUMENT);
  t = -1;
  REFUSES(rvn_optimizer_write(opt, 0, "step", RVN_F64, &t, 1), RVN_ERR_ARGUMENT, "-1");
  t = 0.5;
  REFUSES(rvn_optimizer_write(opt, 0, "step", RVN_F64, &t, 1), RVN_ERR_ARGUMENT, "0.5");
  t = 1e300;
  REFUSES(rvn_optimizer_write(opt, 0, "step", RVN_F64, &t, 1), RVN_ERR_ARGUMENT, "1e+300");
  t = 0.0 / atof("0");
  REFUSES(rvn_optimizer_write(opt, 0, "step", RVN_F64, &t, 1), RVN_ERR_ARGUMENT, "nan");
  REFUSES(rvn_optimizer_slots(opt, 2, NULL, 0, NULL), RVN_ERR_ARGUMENT, "index is 2");
  shape(0, "m", &length, SIZE_MAX, RVN_ERR_ARGUMENT, "rank is 18446744073709551615");
  shape(0, "m", &length, 0, RVN_ERR_ARGUMENT, "rank is 0");
  shape(0, "m", NULL, 1, RVN_ERR_ARGUMENT, "shape is NULL");
  shape(0, NULL, &length, 1, RVN_ERR_ARGUMENT, "what is NULL");
  shape(0, "v", &length, 1, RVN_ERR_NAME, "m, step");
  shape(2, "m", &length, 1, RVN_ERR_ARGUMENT, "index is 2");
  CHECK_STATUS(rvn_optimizer_slot_shape(NULL, 0, "m", &length, 1), RVN_ERR_ARGUMENT);
  CHECK(length == 7);
#undef shape
}

static void files(void) {
  static const size_t sizes[] = {0, sizeof(rvn_load_options) - 1, SIZE_MAX};
  rvn_load_options o = {sizeof o, 0, 1, 1, 0};
  char report[8];
  size_t i;
  REFUSES(rvn_optimizer_save(opt, NULL), RVN_ERR_ARGUMENT, "path is NULL");
  REFUSES(rvn_optimizer_load(opt, NULL), RVN_ERR_ARGUMENT, "path is NULL");
  REFUSES(rvn_optimizer_load(opt, ""), RVN_ERR_IO, "''");
  REFUSES(rvn_optimizer_save(opt, ""), RVN_ERR_IO, "''");
  REFUSES(rvn_optimizer_load_with(opt, "x", &o, NULL, 5, NULL), RVN_ERR_ARGUMENT, "report is NULL");
  for (i = 0; i < 3; i++) {
    o.struct_size = sizes[i];
    REFUSES(rvn_optimizer_load_with(opt, "x", &o, report, 8, NULL), RVN_ERR_ARGUMENT,
            "rvn_load_options.struct_size");
  }
  o.struct_size = sizeof o, o.reserved = 1;
  REFUSES(rvn_optimizer_load_with(opt, "x", &o, report, 8, NULL), RVN_ERR_ARGUMENT, "reserved");
  o.reserved = 0, o.partial = 2;
  REFUSES(rvn_optimizer_load_with(opt, "x", &o, report, 8, NULL), RVN_ERR_ARGUMENT, "partial");
  CHECK_STATUS(rvn_optimizer_save(NULL, "x"), RVN_ERR_ARGUMENT);
  CHECK_STATUS(rvn_optimizer_load(NULL, "x"), RVN_ERR_ARGUMENT);
  CHECK_STATUS(rvn_optimizer_load_with(NULL, "x", NULL, NULL, 0, NULL), RVN_ERR_ARGUMENT);
}

static void schedules(void) {
  rvn_schedule *s = (rvn_schedule *)&s;
  double x = 7;
  CHECK_STATUS(rvn_schedule_create(NULL, &s), RVN_ERR_ARGUMENT);
  CHECK_SAYS("recipe is NULL");
  CHECK(s == NULL);
  CHECK_STATUS(rvn_schedule_create("0.1", NULL), RVN_ERR_ARGUMENT);
  s = (rvn_schedule *)&s;
  CHECK_STATUS(rvn_schedule_create("cosine(1)", &s), RVN_ERR_RECIPE);
  CHECK(s == NULL);
  CHECK_OK(rvn_schedule_create("cosine(1, steps=10)", &s));
  CHECK_STATUS(rvn_schedule_values(NULL, 0, 1, &x), RVN_ERR_ARGUMENT);
  CHECK_STATUS(rvn_schedule_values(s, 0, 1, NULL), RVN_ERR_ARGUMENT);
  CHECK_SAYS("out is NULL");
  CHECK_STATUS(rvn_schedule_values(s, 0, SIZE_MAX, &x), RVN_ERR_ARGUMENT);
  CHECK_SAYS("count");
  CHECK(x == 7);
  CHECK_OK(rvn_schedule_values(s, 0, 0, NULL));
  text_out(text_schedule, s), text_out(text_sketch, s);
  rvn_schedule_destroy(s);
}

static void catalog(void) {
  static const size_t sizes[] = {0, 16, (size_t)1 << 40, SIZE_MAX};
  union { rvn_entry e; rvn_parameter p; rvn_slot s; } u, u0;
  size_t i, n = rvn_catalog_count();
  memset(&u0, 0x5a, sizeof u0);
#define ASK(size, expr, part)                        \
  u0.e.struct_size = (size), u = u0;                 \
  CHECK_STATUS(expr, RVN_ERR_ARGUMENT);              \
  CHECK_SAYS(part);                                  \
  CHECK_BYTES(&u, &u0, sizeof u)
  for (i = 0; i < 4; i++) {
    ASK(sizes[i], rvn_catalog_entry(0, &u.e), "rvn_entry.struct_size");
    ASK(sizes[i], rvn_catalog_parameter(0, 0, &u.p), "rvn_parameter.struct_size");
    ASK(sizes[i], rvn_catalog_slot(0, 0, &u.s), "rvn_slot.struct_size");
  }
  ASK(sizeof(rvn_entry), rvn_catalog_entry(n, &u.e), "entry is");
  ASK(sizeof(rvn_entry), rvn_catalog_entry(SIZE_MAX, &u.e), "entry is 18446744073709551615");
  ASK(sizeof(rvn_parameter), rvn_catalog_parameter(n, 0, &u.p), "entry is");
  ASK(sizeof(rvn_parameter), rvn_catalog_parameter(0, 999, &u.p), "index is 999");
  ASK(sizeof(rvn_parameter), rvn_catalog_parameter(0, SIZE_MAX, &u.p), "index is 1844");
  ASK(sizeof(rvn_slot), rvn_catalog_slot(n, 0, &u.s), "entry is");
  ASK(sizeof(rvn_slot), rvn_catalog_slot(0, 999, &u.s), "index is 999");
  CHECK_STATUS(rvn_catalog_entry(0, NULL), RVN_ERR_ARGUMENT);
  CHECK_STATUS(rvn_catalog_parameter(0, 0, NULL), RVN_ERR_ARGUMENT);
  CHECK_STATUS(rvn_catalog_slot(0, 0, NULL), RVN_ERR_ARGUMENT);
  CHECK_STATUS(rvn_set_threads(-1), RVN_ERR_ARGUMENT);
  CHECK_SAYS("count is -1");
  CHECK_STATUS(rvn_set_threads(257), RVN_ERR_ARGUMENT);
  CHECK_OK(rvn_set_threads(0));
  CHECK_SAYS("count is 257"); /* a success does not take the sentence away */
}

int main(void) {
  open_handle(0), keys(0), clauses();
  REFUSES(rvn_optimizer_read(opt, 0, "m", RVN_F32, g, N), RVN_ERR_STATE, "prepare");
  REFUSES(rvn_optimizer_write(opt, 0, "m", RVN_F32, g, N), RVN_ERR_STATE, "prepare");
  REFUSES(rvn_optimizer_slots(opt, 0, NULL, 0, NULL), RVN_ERR_STATE, "prepare");
  files();
  open_handle(1), keys(1), clauses(), files(), state();
  text_out(text_recipe, opt), text_out(text_plan, opt), text_out(text_slots, opt);
  schedules();
  catalog();
  rvn_optimizer_destroy(opt);
  return finish();
}
