/* The range test from C: what it measures, that all is as before, wrong use, memory that fails. */
#include <math.h>

#include "failing.h"

enum { N = 24, STEPS = 100 };
static float w[3][N], g[3][N];
static const char *const names[3] = {"a", "b", "c"};
static rvn_optimizer *opt;
static double rates[STEPS], losses[STEPS], smoothed[STEPS];

static void open_handle(const char *recipe, const rvn_options *o) {
  int i;
  rvn_optimizer_destroy(opt);
  opt = NULL;
  CHECK_OK(rvn_optimizer_create_with(recipe, o, &opt));
  random_state = 3;
  fill_random(w[0], 3 * N, 2);
  for (i = 0; i < 3; i++) CHECK_OK(add(opt, names[i], w[i], g[i], N));
}

/* Half the sum of squares, some directions steeper than others. */
static double loss_and_gradient(void) {
  double loss = 0;
  int i, k;
  for (k = 0; k < 3; k++) {
    for (i = 0; i < N; i++) {
      float steep = (float)(1 + i % 4);
      loss += 0.5 * (double)(steep * w[k][i] * w[k][i]);
      g[k][i] = steep * w[k][i];
    }
  }
  return loss;
}

static rvn_status train(void *user, double rate, double *loss) {
  double lr = 0;
  *loss = loss_and_gradient();
  CHECK_OK(rvn_optimizer_get(opt, "lr", &lr));
  CHECK(lr == rate);
  ++*(int *)user;
  return rvn_optimizer_step(opt, NULL, NULL);
}

static rvn_status meddling(void *user, double rate, double *loss) {
  CHECK_STATUS(add(opt, "late", w[0], NULL, N), RVN_ERR_STATE);
  CHECK_STATUS(rvn_optimizer_remove(opt, 0), RVN_ERR_STATE);
  CHECK_STATUS(rvn_optimizer_override(opt, "*", "adam(0.1)"), RVN_ERR_STATE);
  return train(user, rate, loss);
}

/* Everything that a test must put back. */
typedef struct sight {
  float w[3][N], state[3][4][N];
  double steps[3];
  char recipe[1024], plan[4096];
} sight;

static void look(sight *out) {
  static const char *const slots[4] = {"m", "v", "ema", "slow"};
  int i, k;
  memset(out, 0, sizeof *out);
  memcpy(out->w, w, sizeof w);
  for (i = 0; i < 3; i++) {
    for (k = 0; k < 4; k++)
      (void)rvn_optimizer_read(opt, (size_t)i, slots[k], RVN_F32, out->state[i][k], N);
    (void)rvn_optimizer_read(opt, (size_t)i, "step", RVN_F64, &out->steps[i], 1);
  }
  CHECK_OK(rvn_optimizer_recipe(opt, out->recipe, sizeof out->recipe, NULL));
  CHECK_OK(rvn_optimizer_plan(opt, out->plan, sizeof out->plan, NULL));
}

static rvn_range_result empty_result(void) {
  rvn_range_result r;
  memset(&r, 0, sizeof r);
  r.struct_size = sizeof r;
  r.rates = rates, r.losses = losses, r.smoothed = smoothed;
  return r;
}

static rvn_range_options options(void) {
  rvn_range_options o;
  memset(&o, 0, sizeof o);
  o.struct_size = sizeof o;
  return o;
}

static void is_suggestion(rvn_suggestion s, double low, double high) {
  CHECK(s.low <= s.rate && s.rate <= s.high && s.low > 0);
  CHECK(s.rate >= low && s.rate <= high);
}

static void the_main_job(const char *recipe) {
  static sight before, after;
  rvn_range_result r = empty_result();
  float going[2][3][N];
  int calls = 0, round, i;
  NOTE("%s", recipe);
  for (round = 0; round < 2; round++) { /* with a test in the middle, and without */
    open_handle(recipe, NULL);
    calls = 0;
    for (i = 0; i < 6; i++) {
      loss_and_gradient();
      CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
      if (i != 2 || round == 1) continue;
      look(&before);
      CHECK_OK(rvn_range_test(opt, train, &calls, NULL, &r));
      look(&after);
      CHECK_BYTES(&before, &after, sizeof before);
      CHECK((size_t)calls == r.count && r.count > 20 && r.diverged == (r.count < STEPS));
      CHECK(rates[0] == 1e-7 && fabs(losses[0] / smoothed[0] - 1) < 1e-14);
    }
    memcpy(going[round], w, sizeof w);
  }
  CHECK_BYTES(going[0], going[1], sizeof w);
  is_suggestion(r.steepest, 1e-4, 1);
  is_suggestion(r.valley, 1e-7, 1);
  is_suggestion(r.minimum, 1e-5, 1);
  /* Before anything else: the test prepares. */
  open_handle(recipe, NULL);
  CHECK_OK(rvn_range_test(opt, train, &calls, NULL, &r));
  CHECK_OK(rvn_optimizer_slots(opt, 0, NULL, 0, NULL));
  /* What it is to put back stays while it runs. */
  CHECK_OK(rvn_range_test(opt, meddling, &calls, NULL, &r));
  CHECK_OK(add(opt, "late", w[0], NULL, N));
  NOTE("%s", "");
}

static void rates_go_from_low_to_high(void) {
  rvn_range_result r = empty_result();
  rvn_range_options o = options();
  int calls = 0;
  size_t i;
  open_handle("sgd(0.1)", NULL);
  o.low = 1e-3, o.high = 0.1, o.steps = 41, o.divergence = INFINITY;
  CHECK_OK(rvn_range_test(opt, train, &calls, &o, &r));
  CHECK(r.count == 41 && r.diverged == 0 && rates[0] == 1e-3 && rates[40] == 0.1);
  for (i = 1; i < 41; i++) CHECK(fabs(rates[i] / rates[i - 1] - pow(100, 1 / 40.0)) < 1e-12);
  o.linear = 1, o.window = 1;
  CHECK_OK(rvn_range_test(opt, train, &calls, &o, &r));
  CHECK(rates[0] == 1e-3 && rates[40] == 0.1 && fabs(rates[20] - 0.0505) < 1e-15);
  CHECK_BYTES(losses, smoothed, 41 * sizeof *losses);
  o.steps = 2;
  r.rates = r.losses = r.smoothed = NULL;
  CHECK_OK(rvn_range_test(opt, train, &calls, &o, &r));
  CHECK(r.count == 2 && isnan(r.steepest.rate) && isnan(r.valley.low) && isnan(r.minimum.high));
}

/* ---- clauses ---- */

static double ratios[3];
static rvn_status ratio(void *user, double rate, double *loss) {
  int i;
  (void)user;
  for (i = 0; i < 3; i++) {
    char key[16];
    double x = 0;
    snprintf(key, sizeof key, "%s:lr", names[i]);
    if (rvn_optimizer_get(opt, key, &x) == RVN_OK) CHECK(fabs(x / rate / ratios[i] - 1) < 1e-14);
  }
  *loss = loss_and_gradient();
  return rvn_optimizer_step(opt, NULL, NULL);
}

static void clauses(void) {
  rvn_range_result r = empty_result();
  rvn_range_options o = options();
  o.steps = 5;
  ratios[0] = 1, ratios[1] = 2, ratios[2] = 0.5;
  open_handle("sgd(0.1); b: lr=x2; c: lr=0.05", NULL);
  CHECK_OK(rvn_range_test(opt, ratio, NULL, &o, &r));
  open_handle("sgd(plateau(cosine(0.1, 50))); *: lr=0.1; b: lr=0.3; b: lr=0.2; c: sgd(x0.5)", NULL);
  CHECK_OK(rvn_range_test(opt, ratio, NULL, &o, &r));
  open_handle("sgd(warmup(0.1, 10)); b: lr=warmup(0.2, 10); c: adamw(warmup(0.05, 10))", NULL);
  CHECK_OK(rvn_range_test(opt, ratio, NULL, &o, &r));
  open_handle("sgd(warmup(0.1, 10, compat=optax)); b: lr=x2; c: frozen", NULL);
  CHECK_OK(rvn_range_test(opt, ratio, NULL, &o, &r)); /* 0 at this step, and no matter */
  open_handle("sgd(warmup(0.1, 10, compat=optax)); b: lr=0.05", NULL);
  CHECK_STATUS(rvn_range_test(opt, ratio, NULL, &o, &r), RVN_ERR_ARGUMENT);
  CHECK_SAYS("the recipe's own rate is 0 at step 0, so the rate 0.05 of a clause has no ratio");
}

/* ---- step functions that fail, or do more than step ---- */

typedef struct script {
  int calls, at;
  rvn_status status;
  double loss;
} script;

static rvn_status scripted(void *user, double rate, double *loss) {
  script *s = user;
  (void)rate;
  *loss = loss_and_gradient();
  CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
  if (s->calls++ != s->at) return RVN_OK;
  *loss = s->loss;
  if (s->status == RVN_ERR_NAME) return rvn_optimizer_set(opt, "lrr", 1);
  return s->status;
}

static void fails(rvn_status status, rvn_status wanted, const char *part) {
  static sight before, after;
  rvn_range_result r = empty_result(), untouched = r;
  script s = {0, 0, 0, 1};
  for (s.at = 0; s.at < STEPS; s.at += 7) {
    NOTE("%d in step %d", (int)status, s.at);
    s.calls = 0, s.status = status;
    look(&before);
    if (CHECK_STATUS(rvn_range_test(opt, scripted, &s, NULL, &r), wanted)) CHECK_SAYS(part);
    look(&after);
    CHECK_BYTES(&before, &after, sizeof before);
    CHECK_BYTES(&r, &untouched, sizeof r);
    if (s.at > 70) break;
  }
  NOTE("%s", "");
}

static void failing_functions(void) {
  open_handle("adamw(0.1) | ema(0.9)", NULL);
  CHECK_OK(rvn_optimizer_prepare(opt));
  fails(RVN_ERR_CALLBACK, RVN_ERR_CALLBACK, "the step function returned -13 in step ");
  fails(5, RVN_ERR_CALLBACK, "returned 5 in step ");
  fails(RVN_ERR_CANCELLED, RVN_ERR_CANCELLED, "returned -14");
  fails(RVN_ERR_NAME, RVN_ERR_CALLBACK, ": adamw has no parameter 'lrr'");
}

static void divergence(void) {
  static sight before, after;
  static const double bad[3] = {NAN, INFINITY, -INFINITY};
  rvn_range_result r = empty_result();
  rvn_range_options o = options();
  script s = {0, 0, 0, 1};
  size_t k;
  open_handle("finite_guard | adamw(0.1)", NULL);
  CHECK_OK(rvn_optimizer_prepare(opt));
  o.divergence = INFINITY;
  look(&before);
  for (k = 0; k < 4; k++) {
    s.calls = 0, s.at = 30, s.loss = bad[k % 3], s.status = k == 3 ? RVN_ERR_NONFINITE : RVN_OK;
    CHECK_OK(rvn_range_test(opt, scripted, &s, &o, &r));
    CHECK(r.count == 31 && r.diverged == 1 && !isfinite(smoothed[30]));
    look(&after);
    CHECK_BYTES(&before, &after, sizeof before);
  }
  s.calls = 0, s.loss = 1e6, s.status = RVN_OK;
  CHECK_OK(rvn_range_test(opt, scripted, &s, NULL, &r));
  CHECK(r.count == 31 && r.diverged == 1 && losses[30] == 1e6);
}

/* Losses below 0 do not diverge by getting better. */
static rvn_status below(void *user, double rate, double *loss) {
  (void)user;
  *loss = -1 - rate;
  return RVN_OK;
}
static rvn_status same(void *user, double rate, double *loss) {
  (void)user, (void)rate;
  *loss = 2;
  return RVN_OK;
}
static rvn_status rising(void *user, double rate, double *loss) {
  (void)user;
  *loss = 1 + rate / 100;
  return RVN_OK;
}

static void other_losses(void) {
  rvn_range_result r = empty_result();
  open_handle("sgd(0.1)", NULL);
  CHECK_OK(rvn_range_test(opt, below, NULL, NULL, &r));
  CHECK(r.count == STEPS && !isnan(r.steepest.rate) && !isnan(r.valley.rate));
  CHECK_OK(rvn_range_test(opt, same, NULL, NULL, &r));
  CHECK_OK(rvn_range_test(opt, rising, NULL, NULL, &r));
  CHECK(r.count == STEPS && isnan(r.steepest.rate) && isnan(r.valley.rate) && isnan(r.minimum.low));
}

/* The step function may use every function of the handle. */
static float elsewhere[N];
static rvn_status busy(void *user, double rate, double *loss) {
  rvn_range_result inner = empty_result();
  rvn_range_options o = options();
  (void)rate;
  *loss = loss_and_gradient();
  inner.rates = inner.losses = inner.smoothed = NULL;
  o.steps = 2;
  CHECK_OK(rvn_optimizer_set(opt, "dampening", 0.25));
  CHECK_OK(rvn_optimizer_set(opt, "b:lr", 0.25));
  CHECK_OK(rvn_optimizer_override(opt, "c", "weight_decay=0.5"));
  CHECK_OK(rvn_optimizer_metric(opt, *loss, NULL));
  if (++*(int *)user == 2) CHECK_OK(rvn_range_test(opt, same, NULL, &o, &inner));
  return rvn_optimizer_step(opt, NULL, NULL);
}

static void busy_functions(void) {
  static sight before, after;
  rvn_range_result r = empty_result();
  int calls = 0;
  open_handle("sgd(plateau(0.1), momentum=greedy(0.9)); c: frozen; b: momentum=0.5", NULL);
  loss_and_gradient();
  CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
  CHECK_OK(rvn_optimizer_metric(opt, 3, NULL));
  look(&before);
  CHECK_OK(rvn_range_test(opt, busy, &calls, NULL, &r));
  look(&after);
  CHECK_BYTES(&before, &after, sizeof before);
  memcpy(elsewhere, w[0], sizeof elsewhere);
  CHECK_OK(rvn_optimizer_bind(opt, 0, elsewhere, g[0]));
  CHECK_OK(rvn_range_test(opt, busy, &calls, NULL, &r));
  CHECK_BYTES(elsewhere, before.w[0], sizeof elsewhere);
}

/* ---- wrong use, and memory ---- */

static void refuses(const rvn_range_options *o, const char *part) {
  static sight before, after;
  rvn_range_result r = empty_result(), untouched = r;
  int calls = 0;
  look(&before);
  if (CHECK_STATUS(rvn_range_test(opt, train, &calls, o, &r), RVN_ERR_ARGUMENT)) CHECK_SAYS(part);
  look(&after);
  CHECK_BYTES(&before, &after, sizeof before);
  CHECK_BYTES(&r, &untouched, sizeof r);
  CHECK(calls == 0);
}

static void wrong_use(void) {
  rvn_range_result r = empty_result();
  rvn_optimizer *none = create("sgd(1)");
  int calls = 0;
  open_handle("adamw(0.1); b: lr=x2", NULL);
#define WRONG(field, value, part)        \
  do {                                   \
    rvn_range_options o = options();     \
    o.field = (value);                   \
    refuses(&o, part);                   \
  } while (0)
  WRONG(struct_size, 8, "rvn_range_options.struct_size");
  WRONG(low, -1, "low is -1");
  WRONG(low, NAN, "low is nan");
  WRONG(low, 11, "low is 11 and high is 10; 0 < low < high");
  WRONG(high, INFINITY, "high is inf");
  WRONG(high, NAN, "high is nan");
  WRONG(high, 1e-8, "0 < low < high");
  WRONG(steps, 1, "steps is 1; 2 to 10000");
  WRONG(steps, 10001, "steps is 10001");
  WRONG(steps, (size_t)-1, "2 to 10000");
  WRONG(window, 0.5, "window is 0.5");
  WRONG(window, NAN, "window is nan");
  WRONG(window, INFINITY, "window is inf");
  WRONG(divergence, 1, "divergence is 1");
  WRONG(divergence, NAN, "divergence is nan");
  WRONG(linear, 2, "rvn_range_options.linear");
  WRONG(reserved, 1, "rvn_range_options.reserved");
#undef WRONG
  CHECK_STATUS(rvn_range_test(NULL, train, &calls, NULL, &r), RVN_ERR_ARGUMENT);
  CHECK_SAYS("the optimizer is NULL");
  CHECK_STATUS(rvn_range_test(opt, NULL, &calls, NULL, &r), RVN_ERR_ARGUMENT);
  CHECK_SAYS("step is NULL");
  CHECK_STATUS(rvn_range_test(opt, train, &calls, NULL, NULL), RVN_ERR_ARGUMENT);
  CHECK_SAYS("result is NULL");
  r.struct_size = 0;
  CHECK_STATUS(rvn_range_test(opt, train, &calls, NULL, &r), RVN_ERR_ARGUMENT);
  CHECK_SAYS("rvn_range_result.struct_size");
  r.struct_size = sizeof r;
  CHECK_STATUS(rvn_range_test(none, train, &calls, NULL, &r), RVN_ERR_STATE);
  CHECK_SAYS("no tensor was added");
  CHECK(calls == 0);
  rvn_optimizer_destroy(none);
  /* A rate that its rule does not take, in the middle of the test. */
  open_handle("sgd(0.1); b: lr=x1e308", NULL);
  CHECK_STATUS(rvn_range_test(opt, same, NULL, NULL, &r), RVN_ERR_ARGUMENT);
  CHECK_SAYS("makes inf");
}

static void memory(void) {
  static sight before, after;
  failing host;
  rvn_options o = failing_options(&host, 1);
  rvn_range_options few = options();
  rvn_range_result r = empty_result();
  rvn_status status = RVN_ERR_MEMORY;
  int calls = 0;
  long n;
  few.steps = 3;
  open_handle("clip_norm(1) | adamw(plateau(0.1)); b: lr=x2; c: lr=0.05", &o);
  CHECK_OK(rvn_optimizer_prepare(opt));
  for (n = 1; status != RVN_OK && n < 10000; n++) {
    NOTE("allocation %ld fails", n);
    host.fail_at = 0;
    look(&before);
    host.calls = 0, host.fail_at = n;
    status = rvn_range_test(opt, same, NULL, &few, &r);
    host.fail_at = 0;
    if (status != RVN_OK) CHECK_STATUS(status, RVN_ERR_MEMORY);
    look(&after);
    CHECK_BYTES(&before, &after, sizeof before);
  }
  CHECK(status == RVN_OK && n > 20);
  CHECK_OK(rvn_range_test(opt, train, &calls, NULL, &r));
  rvn_optimizer_destroy(opt);
  opt = NULL;
  failing_done(&host);
  NOTE("%s", "");
}

int main(void) {
  the_main_job("sgd(0.1, momentum=0.9)");
  the_main_job("finite_guard(skip, limit=inf) | clip_norm(10) | adamw(warmup(0.01, 5)) | ema(0.9) | lookahead(3)");
  the_main_job("lamb(0.1); b: adamw(0.02); c: frozen");
  rates_go_from_low_to_high();
  clauses();
  failing_functions();
  divergence();
  other_losses();
  busy_functions();
  wrong_use();
  memory();
  rvn_optimizer_destroy(opt);
  return finish();
}
