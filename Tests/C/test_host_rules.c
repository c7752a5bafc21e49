/* Rules and stages of the host: they do what the library's own do, in every place, and fail well. */
#define _GNU_SOURCE
#include <fenv.h>
#include <math.h>
#include <unistd.h>

#include "fixture.h"

/* Momentum as sgd has it. */
#define MOMENTUM(T)                                                     \
  do {                                                                  \
    const T *p = c->p, *g = c->g;                                       \
    T *out = c->out, *m = c->state[0];                                  \
    T lr = (T)c->parameters[0], mu = (T)c->parameters[1];               \
    for (size_t i = 0; i < c->count; i++) {                             \
      m[i] = mu * m[i] + g[i];                                          \
      out[i] = p[i] - lr * m[i];                                        \
    }                                                                   \
  } while (0)

static int32_t momentum(void *user, const rvn_host_call *c) {
  (void)user;
  if (c->struct_size != sizeof *c || c->count == 0 || c->count > 1024 || c->out == c->p) return 99;
  if (c->dtype == RVN_F64) {
    MOMENTUM(double);
  } else {
    MOMENTUM(float);
  }
  fesetround(FE_UPWARD); /* the library puts up with it */
  return 0;
}

/* g + weight p, which is what decay(kind=coupled) makes of it. */
static int32_t pull(void *user, const rvn_host_call *c) {
  size_t i;
  (void)user;
  if (c->state != NULL && c->state[0] != NULL) return 98;
  for (i = 0; i < c->count; i++) {
    if (c->dtype == RVN_F64) {
      ((double *)c->out)[i] = ((const double *)c->g)[i] + c->parameters[0] * ((const double *)c->p)[i];
    } else {
      ((float *)c->out)[i] =
          ((const float *)c->g)[i] + (float)c->parameters[0] * ((const float *)c->p)[i];
    }
  }
  return 0;
}

/* Keeps parameters at or above 0, as project(box, low=0) does, and counts the elements it saw. */
static int32_t floored(void *user, const rvn_host_call *c) {
  size_t i;
  (void)user;
  for (i = 0; i < c->count; i++) {
    if (c->dtype == RVN_F64) {
      double *x = (double *)c->out + i;
      if (*x < 0) *x = 0;
      ((double *)c->state[0])[i] += 1;
    } else {
      float *x = (float *)c->out + i;
      if (*x < 0) *x = 0;
      ((float *)c->state[0])[i] += 1;
    }
  }
  return 0;
}

/* Fails for the elements from `user` on, if that is not negative. */
static long failing_from = -1;
static int32_t moody(void *user, const rvn_host_call *c) {
  if (failing_from >= 0 && c->first >= (size_t)failing_from) return 7;
  return momentum(user, c);
}

/* What it was told of the step and the place. */
static double told_step, told_first;
static int32_t telling(void *user, const rvn_host_call *c) {
  size_t i;
  (void)user;
  told_step = c->step, told_first = (double)c->first;
  for (i = 0; i < c->count; i++) ((float *)c->out)[i] = (float)(c->first + i);
  return 0;
}

#define NUMBER(name, initial, low, high) \
  {sizeof(rvn_parameter), name, "", initial, NULL, low, high, RVN_PARAMETER_NUMBER, 0, 0, 0}

static rvn_host_rule entry(rvn_host_function f, const rvn_parameter *p, size_t n, const char *state) {
  rvn_host_rule r;
  memset(&r, 0, sizeof r);
  r.struct_size = sizeof r, r.summary = "of the test", r.formula = "f", r.reference = "here";
  r.parameters = p, r.parameter_count = n, r.state = state, r.function = f;
  return r;
}

static void registering(void) {
  rvn_parameter rate[] = {NUMBER("lr", "0.01", 0, 1e9), NUMBER("momentum", "0.9", 0, 1)};
  rvn_parameter weight[] = {NUMBER("weight", NULL, 0, 0)};
  size_t before = rvn_catalog_count();
  rvn_host_rule r = entry(momentum, rate, 2, " m ");
  rvn_entry e;
  rvn_slot slot;
  CHECK_OK(rvn_rule_register("test.momentum", &r));
  r.function = moody;
  CHECK_OK(rvn_rule_register("test.moody", &r));
  r = entry(telling, rate, 1, NULL);
  CHECK_OK(rvn_rule_register("test.telling", &r));
  r = entry(pull, weight, 1, NULL);
  CHECK_OK(rvn_stage_register("test.pull", &r));
  r = entry(floored, NULL, 0, "seen");
  r.follows = 1;
  CHECK_OK(rvn_stage_register("test.floored", &r));
  CHECK(rvn_catalog_count() == before + 5);
  e = entry_at(before);
  CHECK(strcmp(e.name, "test.momentum") == 0 && strcmp(e.kind, "rule") == 0);
  CHECK(e.parameter_count == 2 && e.state_count == 1);
  CHECK(strcmp(entry_at(before + 3).kind, "stage") == 0);
  memset(&slot, 0, sizeof slot);
  slot.struct_size = sizeof slot;
  CHECK_OK(rvn_catalog_slot(before, 0, &slot));
  CHECK(strcmp(slot.name, "m") == 0);
}

/* ---- the same bytes as the library's own ---- */

enum { TENSORS = 4, MOST = 5000 };
static const int64_t lengths[TENSORS] = {1, 5, 1024, MOST};

typedef struct World {
  rvn_optimizer *opt;
  unsigned char data[TENSORS][MOST * 8];
  rvn_step_report report;
} World;

/* Types go round the tensors: all are F64 where `type` is, and so on. */
static void make(World *w, const char *recipe, int32_t type, int threads) {
  rvn_options o = threads_of(threads);
  int k, i;
  memset(w, 0, sizeof *w);
  check_status(rvn_optimizer_create_with(recipe, &o, &w->opt), RVN_OK, recipe, __FILE__, __LINE__);
  for (k = 0; k < TENSORS; k++) {
    char name[8];
    snprintf(name, sizeof name, "t%d", k);
    for (i = 0; i < lengths[k]; i++) {
      float x = random_float();
      uint32_t bits;
      memcpy(&bits, &x, 4);
      if (type == RVN_F32) memcpy(w->data[k] + 4 * i, &x, 4);
      if (type == RVN_F64) memcpy(w->data[k] + 8 * i, &(double){x}, 8);
      if (type == RVN_BF16) memcpy(w->data[k] + 2 * i, &(uint16_t){(uint16_t)(bits >> 16)}, 2);
    }
    CHECK_OK(add_typed(w->opt, name, w->data[k], NULL, lengths[k], type, RVN_F32));
  }
}

static void step(World *w) {
  static float g[TENSORS][MOST];
  const void *grads[TENSORS];
  rvn_step_input in;
  int k;
  memset(&in, 0, sizeof in);
  in.struct_size = sizeof in, in.grads = grads, in.grad_count = TENSORS;
  for (k = 0; k < TENSORS; k++) fill_random(g[k], (size_t)lengths[k], 2), grads[k] = g[k];
  w->report.struct_size = sizeof w->report;
  CHECK_OK(rvn_optimizer_step(w->opt, &in, &w->report));
}

static void compare(const char *ours, const char *hosts, int32_t type, int threads) {
  static World a, b;
  uint64_t start = random_state, mid;
  int k;
  NOTE("%s, type %d", hosts, (int)type);
  make(&a, ours, type, 1), mid = random_state;
  random_state = start, make(&b, hosts, type, threads);
  for (k = 0; k < 5; k++) {
    mid = random_state, step(&a);
    random_state = mid, step(&b);
    CHECK(a.report.step == b.report.step && a.report.skipped == b.report.skipped);
    CHECK(a.report.lr == b.report.lr && a.report.clip_scale == b.report.clip_scale);
    CHECK(fabs(a.report.grad_norm - b.report.grad_norm) <= 1e-12 * a.report.grad_norm);
    CHECK(fabs(a.report.update_norm - b.report.update_norm) <= 1e-12 * a.report.update_norm);
    CHECK_BYTES(a.data, b.data, sizeof a.data);
  }
  rvn_optimizer_destroy(a.opt), rvn_optimizer_destroy(b.opt);
  NOTE("%s", "");
}

static void as_the_librarys_own(void) {
  static const char *contexts[] = {
      "%s", "clip_norm(1) | %s", "clip_value(0.5) | %s", "unscale(4) | accumulate(2) | %s",
      "%s | ema(0.9)", "%s | cautious", "%s | lookahead(k=2)", "clip_norm(3) | clip_value(0.1) | %s | project",
      "%s; t1, t3: momentum=0.5; t2: frozen", "%s; t0: adam"};
  static const int32_t types[] = {RVN_F32, RVN_F64, RVN_BF16};
  char ours[200], hosts[200], rule[80];
  size_t i, j;
  for (i = 0; i < sizeof contexts / sizeof *contexts; i++) {
    for (j = 0; j < 3; j++) {
      snprintf(rule, sizeof rule, "sgd(cosine(0.1, steps=9), momentum=linear(0.5, 0.9, steps=4))");
      snprintf(ours, sizeof ours, contexts[i], rule);
      snprintf(rule, sizeof rule, "test.momentum(cosine(0.1, steps=9), momentum=linear(0.5, 0.9, steps=4))");
      snprintf(hosts, sizeof hosts, contexts[i], rule);
      compare(ours, hosts, types[j], 1 + (int)(i % 3));
    }
  }
  for (j = 0; j < 3; j++) {
    compare("decay(0.25, kind=coupled) | sgd(0.1, momentum=0.5)", "test.pull(0.25) | sgd(0.1, momentum=0.5)",
            types[j], 2);
    compare("clip_norm(2) | decay(0.25, kind=coupled) | clip_norm(1) | adam",
            "clip_norm(2) | test.pull(0.25) | clip_norm(1) | adam", types[j], 1);
    compare("clip_norm(1) | sgd(0.3, momentum=0.9) | project(box, low=0)",
            "clip_norm(1) | sgd(0.3, momentum=0.9) | test.floored", types[j], 2);
  }
}

static void state_and_checkpoints(void) {
  static World a, b;
  char path[64], plan[4000];
  float m[5], seen[4], more[4] = {1, 2, 3, 4};
  uint64_t at;
  snprintf(path, sizeof path, "/tmp/ravine-hostrule-%ld", (long)getpid());
  make(&a, "test.momentum(0.1) | test.floored", RVN_F32, 1);
  make(&b, "test.momentum(0.1) | test.floored", RVN_F32, 2);
  step(&a), step(&a), step(&a);
  CHECK_OK(rvn_optimizer_read(a.opt, 1, "m", RVN_F32, m, 5));
  CHECK_OK(rvn_optimizer_read(a.opt, 0, "seen", RVN_F32, seen, 1));
  CHECK(seen[0] == 3);
  CHECK_OK(rvn_optimizer_write(a.opt, 0, "seen", RVN_F32, more, 1));
  CHECK_OK(rvn_optimizer_save(a.opt, path));
  CHECK_OK(rvn_optimizer_load(b.opt, path));
  at = random_state, step(&a), random_state = at, step(&b);
  CHECK_BYTES(a.data, b.data, sizeof a.data);
  CHECK_OK(rvn_optimizer_read(b.opt, 0, "seen", RVN_F32, seen, 1));
  CHECK(seen[0] == 2);
  CHECK_OK(rvn_optimizer_plan(a.opt, plan, sizeof plan, NULL));
  CHECK(strstr(plan, "state m seen") && strstr(plan, "test.floored in cache"));
  remove(path);
  rvn_optimizer_destroy(a.opt), rvn_optimizer_destroy(b.opt);
}

static void rows_and_places(void) {
  static float w[3000], v[3000], g[600], x[2100];
  int64_t rows[] = {4, 1, 4}, shape[] = {10, 200}, i;
  rvn_optimizer *a = create("sgd(0.1, momentum=0.9)"), *b = create("test.momentum(0.1)"), *c;
  rvn_tensor t;
  memset(&t, 0, sizeof t);
  t.struct_size = sizeof t, t.name = "w", t.dtype = RVN_F32, t.rank = 2, t.shape = shape;
  for (i = 0; i < 3000; i++) w[i] = v[i] = random_float();
  t.data = w;
  CHECK_OK(rvn_optimizer_add(a, &t, NULL));
  t.data = v;
  CHECK_OK(rvn_optimizer_add(b, &t, NULL));
  for (i = 0; i < 3; i++) {
    fill_random(g, 600, 1);
    CHECK_OK(rvn_optimizer_step_rows(a, 0, rows, 3, g, NULL));
    CHECK_OK(rvn_optimizer_step_rows(b, 0, rows, 3, g, NULL));
    CHECK_BYTES(w, v, sizeof w);
  }
  c = create("test.telling");
  CHECK_OK(add(c, "x", x, x, 2100));
  CHECK_OK(rvn_optimizer_step(c, NULL, NULL));
  CHECK_OK(rvn_optimizer_step(c, NULL, NULL));
  CHECK(told_step == 2 && told_first == 2048);
  for (i = 0; i < 2100; i++) CHECK(x[i] == (float)i);
  rvn_optimizer_destroy(a), rvn_optimizer_destroy(b), rvn_optimizer_destroy(c);
}

static void failing(void) {
  static float w[5000], before[5000], g[5000];
  char path[64];
  double lr;
  rvn_optimizer *opt = create("test.moody(0.1)"), *dry;
  snprintf(path, sizeof path, "/tmp/ravine-moody-%ld", (long)getpid());
  fill_random(w, 5000, 1), fill_random(g, 5000, 1);
  CHECK_OK(add(opt, "w", w, g, 5000));
  CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
  CHECK_OK(rvn_optimizer_save(opt, path));
  memcpy(before, w, sizeof w);
  failing_from = 2048;
  CHECK_STATUS(rvn_optimizer_step(opt, NULL, NULL), RVN_ERR_CALLBACK);
  CHECK_SAYS("test.moody failed with 7 for 'w' at element 2048");
  CHECK_BYTES(w + 2048, before + 2048, (5000 - 2048) * sizeof *w);
  failing_from = -1;
  CHECK_STATUS(rvn_optimizer_step(opt, NULL, NULL), RVN_ERR_STATE);
  CHECK_SAYS("a step broke off in the middle");
  CHECK_STATUS(rvn_optimizer_save(opt, path), RVN_ERR_STATE);
  CHECK_OK(rvn_optimizer_load(opt, path));
  CHECK_BYTES(w, before, sizeof w);
  CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
  rvn_optimizer_destroy(opt);

  /* Where the update is measured first, nothing is touched. */
  dry = create("test.moody(0.1) | cautious");
  memcpy(before, w, sizeof w);
  CHECK_OK(add(dry, "w", w, g, 5000));
  failing_from = 0;
  CHECK_STATUS(rvn_optimizer_step(dry, NULL, NULL), RVN_ERR_CALLBACK);
  CHECK_BYTES(w, before, sizeof w);
  failing_from = -1;
  CHECK_OK(rvn_optimizer_step(dry, NULL, NULL));
  CHECK_OK(rvn_optimizer_get(dry, "lr", &lr));
  CHECK(lr == 0.1);
  rvn_optimizer_destroy(dry);
  remove(path);
}

static void wrong(void) {
  rvn_parameter rate[] = {NUMBER("lr", "0.01", 0, 1e9), NUMBER("momentum", "0.9", 0, 1)};
  size_t before = rvn_catalog_count();
  rvn_optimizer *opt;
  rvn_host_rule r;
#define NO(expr, status, part) \
  do { CHECK_STATUS(expr, status); CHECK_SAYS(part); CHECK(rvn_catalog_count() == before); } while (0)
  r = entry(momentum, rate, 2, "m");
  NO(rvn_rule_register("nodot", &r), RVN_ERR_NAME, "is no name for an entry of the host");
  NO(rvn_rule_register("test.momentum", &r), RVN_ERR_NAME, "is registered already");
  NO(rvn_stage_register("test.momentum", &r), RVN_ERR_ARGUMENT, "a stage before the rule keeps no state");
  r.follows = 1;
  NO(rvn_rule_register("bad.one", &r), RVN_ERR_ARGUMENT, "rvn_host_rule.follows is 1");
  r.follows = 2;
  NO(rvn_stage_register("bad.one", &r), RVN_ERR_ARGUMENT, "rvn_host_rule.follows is 2");
  r.follows = 0, r.reserved = 1;
  NO(rvn_rule_register("bad.one", &r), RVN_ERR_ARGUMENT, "rvn_host_rule.reserved is 1");
  r.reserved = 0, r.function = NULL;
  NO(rvn_rule_register("bad.one", &r), RVN_ERR_ARGUMENT, "rvn_host_rule.function is NULL");
  r.function = momentum, r.struct_size = 8;
  NO(rvn_rule_register("bad.one", &r), RVN_ERR_ARGUMENT, "rvn_host_rule.struct_size is 8");
  r = entry(momentum, rate + 1, 1, "m");
  NO(rvn_rule_register("bad.one", &r), RVN_ERR_ARGUMENT, "the first parameter of a rule is a number named lr");
  r = entry(momentum, NULL, 0, "m");
  NO(rvn_rule_register("bad.one", &r), RVN_ERR_ARGUMENT, "named lr");
  r = entry(momentum, rate, 2, "m m");
  NO(rvn_rule_register("bad.one", &r), RVN_ERR_NAME, "'m' is no name of its own");
  r.state = "1m";
  NO(rvn_rule_register("bad.one", &r), RVN_ERR_NAME, "'1m' is no name of its own");
  r.state = "step";
  NO(rvn_rule_register("bad.one", &r), RVN_ERR_NAME, "and not step");
  r.state = "a b c d e f g h i";
  NO(rvn_rule_register("bad.one", &r), RVN_ERR_ARGUMENT, "it has 9 arrays of state");
  NO(rvn_rule_register("bad.one", NULL), RVN_ERR_ARGUMENT, "rule is NULL");
  NO(rvn_stage_register("bad.one", NULL), RVN_ERR_ARGUMENT, "stage is NULL");
  r = entry(momentum, rate, 2, "m");
  NO(rvn_rule_register(NULL, &r), RVN_ERR_ARGUMENT, "name is NULL");

  CHECK_STATUS(rvn_optimizer_create("test.momentun(0.1)", &opt), RVN_ERR_RECIPE);
  CHECK_SAYS("did you mean 'test.momentum'?");
  CHECK_STATUS(rvn_optimizer_create("test.momentum(0.1, momentum=2)", &opt), RVN_ERR_RECIPE);
  CHECK_SAYS("test.momentum.momentum is 2, which is outside [0, 1]");
  CHECK_STATUS(rvn_optimizer_create("sgd | test.pull(1)", &opt), RVN_ERR_RECIPE);
  CHECK_SAYS("test.pull");
  CHECK_STATUS(rvn_optimizer_create("test.floored | sgd", &opt), RVN_ERR_RECIPE);
  CHECK_SAYS("test.floored");
}

int main(void) {
  registering();
  as_the_librarys_own();
  state_and_checkpoints();
  rows_and_places();
  failing();
  wrong();
  return finish();
}
