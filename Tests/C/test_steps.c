/* What a step does and tells: missing gradients, guards, norms, binding, plans. */
#include <math.h>

#include "fixture.h"

enum { N = 40 };
static float w[N], b[N], gw[N], gb[N];

static void fill(void) {
  fill_random(w, N, 1), fill_random(b, N, 1), fill_random(gw, N, 1), fill_random(gb, N, 1);
}

static rvn_optimizer *open_two(const char *recipe, int bound) {
  rvn_optimizer *opt = create(recipe);
  NOTE("%s", recipe);
  fill();
  CHECK_OK(add(opt, "w", w, bound ? gw : NULL, N));
  CHECK_OK(add(opt, "b", b, bound ? gb : NULL, N));
  return opt;
}

static rvn_step_report step(rvn_optimizer *opt, const void *first, const void *second, int status) {
  const void *grads[2];
  rvn_step_input in;
  rvn_step_report r;
  grads[0] = first, grads[1] = second;
  memset(&in, 0, sizeof in);
  in.struct_size = sizeof in, in.grads = grads, in.grad_count = 2;
  memset(&r, 0x5a, sizeof r);
  r.struct_size = sizeof r;
  CHECK_STATUS(rvn_optimizer_step(opt, &in, &r), status);
  return r;
}

static double counter(rvn_optimizer *opt, size_t i) {
  double t = -1;
  CHECK_OK(rvn_optimizer_read(opt, i, "step", RVN_F64, &t, 1));
  return t;
}

static int near(double a, double c) { return fabs(a - c) <= 1e-12 * fabs(c); }

/* A tensor without a gradient is left alone: data, state, counter. So its bias correction is that
 * of its own steps: as if the other steps had not been. */
/* Whether the rule measures all tensors together: then what one becomes hangs on the others. */
static int together(const char *recipe) {
  static char plan[4096];
  rvn_optimizer *opt = open_two(recipe, 0);
  CHECK_OK(rvn_optimizer_plan(opt, plan, sizeof plan, NULL));
  rvn_optimizer_destroy(opt);
  return strstr(plan, "over all its tensors") != NULL;
}

static void missing(const char *recipe) {
  rvn_optimizer *opt = open_two(recipe, 0), *alone;
  float b0[N], m0[N], m1[N];
  rvn_step_report r;
  int i;
  (void)step(opt, gw, gb, RVN_OK);
  memcpy(b0, b, sizeof b);
  memset(m0, 0, sizeof m0);
  if (rvn_optimizer_read(opt, 1, "m", RVN_F32, m0, N) != RVN_OK) memset(m0, 0, sizeof m0);
  for (i = 0; i < 3; i++) {
    r = step(opt, gw, NULL, RVN_OK);
    CHECK(r.skipped == 0 && r.step == (uint64_t)i + 2);
  }
  CHECK_BYTES(b, b0, sizeof b);
  memset(m1, 0, sizeof m1);
  if (rvn_optimizer_read(opt, 1, "m", RVN_F32, m1, N) != RVN_OK) memset(m1, 0, sizeof m1);
  CHECK_BYTES(m0, m1, sizeof m0);
  CHECK(counter(opt, 0) == 4 && counter(opt, 1) == 1);
  (void)step(opt, NULL, gb, RVN_OK);
  CHECK(counter(opt, 0) == 4 && counter(opt, 1) == 2);
  memcpy(b0, b, sizeof b);
  rvn_optimizer_destroy(opt);

  if (together(recipe)) return;
  random_state = 99;
  alone = open_two(recipe, 0);
  (void)step(alone, NULL, gb, RVN_OK);
  r = step(alone, NULL, gb, RVN_OK);
  CHECK(r.step == 2);
  CHECK_BYTES(b, b0, sizeof b);
  rvn_optimizer_destroy(alone);
}

static void every_rule_missing(void) {
  char recipe[400];
  size_t n;
  for (n = 0; rule_recipe(n, recipe, sizeof recipe); n++) {
    random_state = 99;
    missing(recipe);
  }
}

/* No gradient at all: nothing happens, and the report says so. */
static void no_gradient(void) {
  rvn_optimizer *opt = open_two("clip_norm(1) | adamw(linear(1, 0, steps=10))", 0);
  float w0[N];
  rvn_step_report r;
  memcpy(w0, w, sizeof w);
  r = step(opt, NULL, NULL, RVN_OK);
  CHECK(r.skipped == 3 && r.step == 0 && r.lr == 1 && r.grad_norm == 0 && r.update_norm == 0);
  CHECK(r.clip_scale == 1 && r.nonfinite == 0 && r.reserved == 0 && r.struct_size == sizeof r);
  CHECK_OK(rvn_optimizer_step(opt, NULL, NULL)); /* none is bound */
  CHECK_BYTES(w, w0, sizeof w);
  CHECK(counter(opt, 0) == 0);
  (void)step(opt, gw, gb, RVN_OK);
  r = step(opt, NULL, NULL, RVN_OK);
  CHECK(r.skipped == 3 && r.step == 1 && r.lr == 0.9);
  rvn_optimizer_destroy(opt);
}

/* The numbers of a report. `most`: what clip_norm allows; 0: none. */
static void report(const char *recipe, double most) {
  rvn_optimizer *opt = open_two(recipe, 1);
  double norm = 0, update = 0, scale = 1;
  float w0[N], b0[N];
  rvn_step_report r;
  int i, k;
  for (k = 0; k < 3; k++) {
    memcpy(w0, w, sizeof w), memcpy(b0, b, sizeof b);
    for (i = 0, norm = 0; i < N; i++) norm += (double)gw[i] * gw[i] + (double)gb[i] * gb[i];
    norm = sqrt(norm);
    if (most > 0) scale = most / (norm + 1e-6) < 1 ? most / (norm + 1e-6) : 1;
    memset(&r, 0x5a, sizeof r);
    r.struct_size = sizeof r;
    CHECK_OK(rvn_optimizer_step(opt, NULL, &r));
    for (i = 0, update = 0; i < N; i++) {
      float u = w0[i] - w[i], v = b0[i] - b[i];
      update += (double)u * u + (double)v * v;
    }
    CHECK(near(r.grad_norm, norm) && near(r.clip_scale, scale) && near(r.update_norm, sqrt(update)));
    CHECK(r.step == (uint64_t)k + 1 && r.lr == 0.125 && r.nonfinite == 0 && r.skipped == 0);
    CHECK(r.reserved == 0);
    fill_random(gw, N, 2), fill_random(gb, N, 2);
  }
  rvn_optimizer_destroy(opt);
}

/* Asking for a report does not change the bytes; neither does passing what could be bound. */
static void ways_to_ask(const char *recipe) {
  float seen[4][2][N];
  int way, k;
  for (way = 0; way < 4; way++) {
    rvn_optimizer *opt;
    rvn_step_report r;
    rvn_step_input in;
    const void *grads[2];
    random_state = 7;
    opt = open_two(recipe, way & 1);
    memset(&in, 0, sizeof in);
    in.struct_size = sizeof in, in.grads = grads, in.grad_count = 2;
    grads[0] = gw, grads[1] = gb, r.struct_size = sizeof r;
    for (k = 0; k < 3; k++)
      CHECK_OK(rvn_optimizer_step(opt, way & 1 ? NULL : &in, way & 2 ? &r : NULL));
    memcpy(seen[way][0], w, sizeof w), memcpy(seen[way][1], b, sizeof b);
    CHECK_BYTES(seen[way], seen[0], sizeof seen[0]);
    rvn_optimizer_destroy(opt);
  }
}

static void guard(void) {
  rvn_optimizer *opt = open_two("finite_guard(skip, limit=2) | clip_norm(1) | adamw(0.1)", 1);
  rvn_step_report r;
  float w0[N], bad[N], m0[N], m1[N];
  int k;
  memcpy(bad, gw, sizeof bad);
  bad[3] = (float)(1 / atof("0")), bad[7] = bad[3] - bad[3], bad[N - 1] = -bad[3];
  (void)step(opt, gw, gb, RVN_OK);
  memcpy(w0, w, sizeof w);
  CHECK_OK(rvn_optimizer_read(opt, 0, "m", RVN_F32, m0, N));
  for (k = 0; k < 2; k++) {
    r = step(opt, bad, gb, RVN_OK);
    CHECK(r.skipped == 1 && r.nonfinite == 3 && r.step == 1 && r.update_norm == 0);
    CHECK(!(r.grad_norm - r.grad_norm == 0)); /* not a finite number */
  }
  CHECK_STATUS(rvn_optimizer_step(opt, &(rvn_step_input){sizeof(rvn_step_input), (const void *[]){bad, gb}, 2, 0, 0, 0}, NULL),
               RVN_ERR_NONFINITE);
  CHECK_SAYS("'w'");
  CHECK_SAYS("index 3");
  (void)step(opt, bad, gb, RVN_ERR_NONFINITE); /* and stays so */
  CHECK_BYTES(w, w0, sizeof w);
  CHECK_OK(rvn_optimizer_read(opt, 0, "m", RVN_F32, m1, N));
  CHECK_BYTES(m0, m1, sizeof m0);
  CHECK(counter(opt, 0) == 1);
  r = step(opt, gw, gb, RVN_OK); /* a good one starts the count again */
  CHECK(r.skipped == 0 && r.step == 2 && r.nonfinite == 0);
  r = step(opt, bad, gb, RVN_OK);
  CHECK(r.skipped == 1);
  rvn_optimizer_destroy(opt);

  opt = open_two("finite_guard(error) | sgd(0.1)", 1);
  memcpy(w0, w, sizeof w);
  (void)step(opt, gw, bad, RVN_ERR_NONFINITE);
  CHECK_SAYS("'b'");
  CHECK_SAYS("index 3");
  CHECK_BYTES(w, w0, sizeof w);
  (void)step(opt, gw, gb, RVN_OK);
  rvn_optimizer_destroy(opt);

  opt = open_two("finite_guard(zero) | sgd(0.5)", 1);
  memcpy(w0, w, sizeof w);
  r = step(opt, bad, gb, RVN_OK);
  CHECK(r.skipped == 0 && r.nonfinite == 3 && r.step == 1);
  CHECK(w[3] == w0[3] && w[7] == w0[7] && w[N - 1] == w0[N - 1] && w[0] == w0[0] - 0.5f * bad[0]);
  rvn_optimizer_destroy(opt);

  /* Without a guard the count still tells. */
  opt = open_two("sgd(0.5)", 1);
  r = step(opt, bad, gb, RVN_OK);
  CHECK(r.skipped == 0 && r.nonfinite == 3);
  CHECK(!(r.grad_norm - r.grad_norm == 0));
  rvn_optimizer_destroy(opt);
}

static void binding(void) {
  rvn_optimizer *opt = open_two("sgd(1, momentum=0.5)", 1);
  float other[N] = {0}, g[N], w0[N], wanted[N];
  int i;
  for (i = 0; i < N; i++) g[i] = (float)i, wanted[i] = 0;
  memcpy(w0, w, sizeof w);
  CHECK_OK(rvn_optimizer_bind(opt, 0, other, g));
  CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
  for (i = 0; i < N; i++) wanted[i] -= (float)i;
  CHECK_BYTES(other, wanted, sizeof other);
  CHECK_OK(rvn_optimizer_bind(opt, 0, other, NULL)); /* no gradient: left alone */
  CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
  CHECK_BYTES(other, wanted, sizeof other);
  CHECK_BYTES(w, w0, sizeof w);
  CHECK_OK(rvn_optimizer_bind(opt, 0, w, gw)); /* the state moves along */
  CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
  for (i = 0; i < N; i++) wanted[i] = w0[i] - (0.5f * (float)i + gw[i]);
  CHECK_BYTES(w, wanted, sizeof w);
  rvn_optimizer_destroy(opt);
}

/* Tensors without elements are tensors: they take part, and nothing happens. */
static void empty(const char *recipe) {
  rvn_optimizer *opt = create(recipe);
  float p = 1, g = 1;
  double d = 0;
  rvn_step_report r = {sizeof r, 0, 0, 0, 0, 0, 0, 0, 0};
  rvn_tensor t = {sizeof t, "scalar", &p, &g, RVN_F32, 0, 0, 0, NULL};
  NOTE("empty: %s", recipe);
  CHECK_OK(add(opt, "nothing", NULL, NULL, 0));
  CHECK_OK(add_typed(opt, "a pointer to nothing", &d, &d, 0, RVN_F64, RVN_BF16));
  CHECK_OK(rvn_optimizer_step(opt, NULL, &r)); /* only those: a gradient of no elements */
  CHECK(r.grad_norm == 0 && r.update_norm == 0);
  CHECK_OK(rvn_optimizer_read(opt, 0, "m", RVN_F32, NULL, 0));
  rvn_optimizer_destroy(opt);
  opt = create(recipe);
  CHECK_OK(add(opt, "nothing", NULL, NULL, 0));
  CHECK_OK(rvn_optimizer_add(opt, &t, NULL));
  CHECK_OK(add_typed(opt, "a pointer to nothing", &d, &d, 0, RVN_F64, RVN_BF16));
  CHECK_OK(rvn_optimizer_step(opt, NULL, &r));
  CHECK(r.skipped == 0 && r.grad_norm == 1 && p < 1 && d == 0);
  rvn_optimizer_destroy(opt);
}

static void plan(const char *recipe, const char *phases) {
  rvn_optimizer *opt = open_two(recipe, 1);
  char text[4096];
  CHECK_OK(rvn_optimizer_plan(opt, text, sizeof text, NULL));
  if (!strstr(text, phases)) fprintf(stderr, "%s\n", text);
  CHECK(strstr(text, phases) != NULL);
  CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
  rvn_optimizer_destroy(opt);
}

int main(void) {
  every_rule_missing();
  no_gradient();
  report("sgd(0.125)", 0), report("adamw(0.125)", 0), report("lamb(0.125)", 0);
  report("clip_norm(1) | adamw(0.125)", 1), report("clip_norm(100) | sgd(0.125)", 100);
  report("clip_value(0.5) | sgd(0.125)", 0), report("finite_guard | clip_norm(1) | lamb(0.125)", 1);
  ways_to_ask("adamw(0.1)"), ways_to_ask("clip_norm(1) | lamb(0.1)");
  ways_to_ask("clip_value(0.5) | clip_norm(1, p=inf) | sgd(0.1, momentum=0.9)");
  guard();
  binding();
  empty("adamw(0.1)"), empty("finite_guard | clip_norm(2) | clip_value(2) | lamb(0.1)");
  plan("adamw(1)", "\n1 phase over memory"), plan("clip_norm(1) | adamw(1)", "\n2 phases");
  plan("clip_norm(1) | lamb(1)", "\n3 phases"), plan("lamb(1)", "\n2 phases");
  plan("finite_guard | clip_norm(1) | adamw(1)", "\n2 phases");
  plan("clip_value(1) | clip_norm(1) | clip_value(0.5) | adamw(1)", "\n2 phases");
  plan("clip_norm(1) | clip_norm(0.5, p=inf) | adamw(1)", "\n3 phases");
  return finish();
}
