/* After prepare a step allocates nothing, and whatever is allocated, is so on the thread that calls. */
#include "failing.h"

enum { SMALL = 33, LARGE = 200000 };
static failing host;
static float small[3][SMALL], small_g[3][SMALL], large[LARGE], large_g[LARGE];

static void quiet(const char *recipe, int threads) {
  rvn_options o = failing_options(&host, threads);
  rvn_optimizer *opt = NULL;
  rvn_step_report r;
  const void *grads[4];
  rvn_step_input in;
  long before, most = 0;
  int k, i;
  NOTE("%s, %d threads", recipe, threads);
  if (!CHECK_OK(rvn_optimizer_create_with(recipe, &o, &opt))) return;
  for (i = 0; i < 3; i++) {
    char name[8];
    snprintf(name, sizeof name, "t%d", i);
    CHECK_OK(add(opt, name, small[i], small_g[i], SMALL));
  }
  CHECK_OK(add(opt, "large", large, large_g, threads > 1 ? LARGE : 100));
  CHECK_OK(rvn_optimizer_prepare(opt));
  memset(&in, 0, sizeof in);
  in.struct_size = sizeof in, in.grads = grads, in.grad_count = 4;
  grads[0] = small_g[0], grads[1] = NULL, grads[2] = small_g[2], grads[3] = large_g;
  r.struct_size = sizeof r;
  for (k = 0; k < 6; k++) {
    small_g[0][5] = k == 4 ? (float)(1 / atof("0")) : 0.5f;
    before = host.calls;
    CHECK_OK(rvn_optimizer_step(opt, k & 1 ? &in : NULL, k & 2 ? &r : NULL));
    if (host.calls - before > most) most = host.calls - before;
  }
  NOTE("%s, %d threads: up to %ld allocations in a step", recipe, threads, most);
  CHECK(most == 0);
  rvn_optimizer_destroy(opt);
  failing_done(&host);
}

static void every_rule(const char *before, const char *behind) {
  char rule[300], recipe[600];
  size_t n;
  for (n = 0; rule_recipe(n, rule, sizeof rule); n++) {
    snprintf(recipe, sizeof recipe, "%s%s%s", before, rule, behind);
    quiet(recipe, 1);
  }
}

static void every_schedule(void) {
  char schedule[300], recipe[600];
  size_t i;
  int busy;
  for (i = 0; i < rvn_catalog_count(); i++) {
    if (strcmp(entry_at(i).kind, "schedule") != 0) continue;
    for (busy = 0; busy < 2; busy++) {
      if (!recipe_for(i, busy, schedule, sizeof schedule)) continue;
      snprintf(recipe, sizeof recipe, "sgd(%s)", schedule);
      quiet(recipe, 1);
    }
  }
}

int main(void) {
  fill_random(small_g[0], 3 * SMALL, 1), fill_random(large_g, LARGE, 1);
  every_rule("", "");
  every_rule("finite_guard(skip) | clip_norm(1) | clip_value(0.5) | ", "; t1: lr=0.5; t2: frozen");
  every_rule("finite_guard(zero) | clip_norm(2, p=inf) | clip_norm(1, p=1) | ", "; t1: lamb(0.5)");
  every_schedule();
  quiet("sgd(warmup(linear(1, 0, steps=20), steps=3), momentum=0.9); t1: lr=x0.5", 1);
  quiet("adamw(exponential(1, factor=0.5), beta1=multistep(0.9, at=(2, 3)))", 1);
  quiet("clip_value(step(1, every=2)) | clip_norm(cosine(1, 9)) | sgd(1)", 1);
  quiet("finite_guard | clip_norm(1) | adamw(1e-3); large: sgd(1)", 4);
  quiet("adam(1e-3, moments=8bit); t1: moments=bf16", 4);
  quiet("clip_norm(1) | lamb(1e-3)", 2);
  rvn_shutdown();
  return finish();
}
