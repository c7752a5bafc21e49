/* A monitor that an optimizer feeds: bytes, numbers, parts, skips, types. */
#include "attached.h"

static char json[1 << 18];
static const char *recipes[] = {
    "sgd(0.1)", "adamw(1e-3)", "clip_norm(0.5) | adamw(1e-2)", "clip_value(0.02) | sgd(0.1, momentum=0.9)",
    "unscale(16) | clip_norm(1) | lamb(1e-2) | decay(0.1) | ema(0.9)", "accumulate(3) | clip_norm(1) | lion(1e-3)",
    "finite_guard | clip_unit(0.01) | rmsprop(1e-3, centered=true)", "centralize | prodigy | cautious",
    "adagrad(0.1) | lookahead(3)"};

/* ---- the same bytes, and the same report ---- */

static void run(const char *recipe, int threads, int every, rvn_monitor **out, float *pa, float *pb) {
  rvn_options options = threads_of(threads);
  rvn_optimizer *opt = model_with(recipe, &options);
  rvn_monitor *m = NULL;
  int i;
  if (out) {
    m = monitor_with(NULL);
    CHECK_OK(rvn_monitor_attach(m, opt));
    CHECK_OK(rvn_monitor_set(m, "attached.every", every));
  }
  for (i = 0; i < 40; i++) {
    new_gradients();
    if (i == 20 && strstr(recipe, "finite_guard")) ga[1234] = NAN;
    CHECK_OK(step(opt, 1.0 / (i + 1), NULL));
  }
  memcpy(pa, a, sizeof a), memcpy(pb, b, sizeof b);
  rvn_optimizer_destroy(opt);
  if (out) *out = m;
}

static void same_bytes(void) {
  static float pa[3][A], pb[3][B];
  static char first[1 << 18];
  size_t k;
  for (k = 0; k < sizeof recipes / sizeof *recipes; k++) {
    int threads, every;
    NOTE("%s", recipes[k]);
    run(recipes[k], 1, 0, NULL, pa[0], pb[0]);
    for (every = 1; every <= 16; every *= 4) {
      for (threads = 1; threads <= 3; threads += 2) {
        rvn_monitor *m;
        run(recipes[k], threads, every, &m, pa[1], pb[1]);
        CHECK_BYTES(pa[0], pa[1], sizeof pa[0]);
        CHECK_BYTES(pb[0], pb[1], sizeof pb[0]);
        CHECK_OK(rvn_monitor_report_json(m, threads == 1 ? first : json, sizeof json, NULL));
        if (threads > 1) CHECK(strcmp(first, json) == 0);
        rvn_monitor_destroy(m);
      }
    }
  }
  NOTE("%s", "");
}

/* ---- numbers, against plain loops ---- */

static void numbers(void) {
  rvn_optimizer *opt = model_with("clip_norm(0.25) | sgd(0.5)", NULL);
  rvn_monitor *m = monitor_with(NULL);
  double one = 0, two = 0, most = 0, up = 0, w = 0, u = 0;
  rvn_step_report report;
  rvn_step_health s;
  rvn_tensor_health t;
  rvn_statistics g;
  float old[A];
  int i;
  report.struct_size = sizeof report;
  CHECK_OK(rvn_monitor_attach(m, opt));
  new_gradients();
  ga[7] = 0, ga[8] = 1e-40f, ga[2001] = -3;
  memcpy(old, a, sizeof a);
  CHECK_OK(step(opt, 2, &report));
  for (i = 0; i < A + B; i++) {
    double x = fabs((double)(i < A ? ga[i] : gb[i - A]));
    one += x, two += x * x, most = x > most ? x : most;
  }
  for (i = 0; i < A; i++) {
    w += (double)old[i] * (double)old[i];
    u += (double)(old[i] - a[i]) * (double)(old[i] - a[i]);
  }
  s = last(m);
  CHECK(s.step == 1 && s.updates == 1 && s.sampled == 1 && s.clipped == 1 && s.guarded == 0);
  CHECK(nearly(s.grad_norm1, one) && near(s.grad_norm2, sqrt(two)) && s.grad_norm_inf == most);
  CHECK(near(s.grad_norm2, report.grad_norm) && s.clip_scale == report.clip_scale);
  CHECK(near(s.clipped_norm2, report.clip_scale * sqrt(two)) && near(s.clipped_norm_inf, report.clip_scale * most));
  CHECK(nearly(s.clipped_norm1, report.clip_scale * one) && s.clipped_norm2 <= 0.25);
  CHECK(s.update_norm == report.update_norm && s.nonfinite == 0 && s.nonfinite_index == -1);
  t = tensor(m, "fc0.weight");
  CHECK(t.step == 1 && t.depth == 0 && near(t.weight_norm, sqrt(w)) && near(t.update_norm, sqrt(u)));
  CHECK(near(t.ratio, sqrt(u / w)) && t.cosine > 0.999 && t.cosine < 1.000001);
  CHECK(isnan(t.eps_dominated) && isnan(t.signal_to_noise) && t.swallowed >= 0 && t.swallowed < 1e-3);
  CHECK(tensor(m, "fc0.bias").depth == 0);
  g = statistics(m, "fc0.weight");
  CHECK(g.count == A && g.zeros == 1 && g.subnormals == 1 && g.largest_index == 2001 && g.norm_inf == 3);
  CHECK(g.histogram[0] == 1 && g.histogram[32] == 1 && isnan(g.mean) && isnan(g.smallest));
  one = 0;
  for (i = 0; i < 64; i++) one += (double)g.histogram[i];
  CHECK(one == A - 1);
  up = s.update_norm;
  new_gradients();
  CHECK_OK(step(opt, 1, &report));
  s = last(m), t = tensor(m, "fc0.weight");
  CHECK(s.step == 2 && s.sampled == 1 && t.step == 1 && s.update_norm != up && s.clipped == 2);
  CHECK_OK(rvn_monitor_report(m, text, sizeof text, NULL));
  CHECK(strstr(text, "after 2 steps") && strstr(text, "loss 2 to 1"));
  rvn_optimizer_destroy(opt), rvn_monitor_destroy(m);
}

/* Norms at the ends of the range, of float and of double. */
static void extremes(void) {
  static const double sizes[] = {1e20, 1e-30, 1e200, 1e-200};
  static float p[1500], g[1500];
  static double q[1500], h[1500];
  int k, i;
  for (k = 0; k < 4; k++) {
    rvn_optimizer *opt = create("sgd(0)");
    rvn_monitor *m = monitor_with(NULL);
    rvn_step_health s;
    NOTE("%g", sizes[k]);
    for (i = 0; i < 1500; i++) g[i] = (float)sizes[k], h[i] = sizes[k];
    if (k < 2) CHECK_OK(add_typed(opt, "w", p, g, 1500, RVN_F32, 0));
    else CHECK_OK(add_typed(opt, "w", q, h, 1500, RVN_F64, 0));
    CHECK_OK(rvn_monitor_attach(m, opt));
    CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
    s = last(m);
    CHECK(fabs(s.grad_norm2 / (sizes[k] * sqrt(1500)) - 1) < 1e-7);
    CHECK(fabs(s.grad_norm1 / (sizes[k] * 1500) - 1) < 2.4e-7 && fabs(s.grad_norm_inf / sizes[k] - 1) < 1e-7);
    CHECK(s.nonfinite == 0);
    rvn_monitor_destroy(m), rvn_optimizer_destroy(opt);
  }
  NOTE("%s", "");
}

static void not_finite(void) {
  rvn_optimizer *opt = model_with("finite_guard | adamw(1e-3)", NULL);
  rvn_monitor *m = monitor_with(NULL);
  rvn_step_report report;
  rvn_step_health s;
  int i;
  report.struct_size = sizeof report;
  CHECK_OK(rvn_monitor_attach(m, opt));
  for (i = 0; i < 30; i++) {
    new_gradients();
    if (i == 24) ga[1999] = INFINITY, ga[2100] = NAN, gb[3] = NAN;
    CHECK_OK(step(opt, 1, &report));
    if (i != 24) continue;
    s = last(m);
    CHECK(report.skipped == 1 && s.guarded == 1 && s.updates == 24 && s.step == 25);
    CHECK(s.nonfinite == 3 && s.nonfinite_index == 1999 && s.update_norm == 0);
    CHECK(isfinite(s.grad_norm2));
  }
  s = last(m);
  CHECK(s.updates == 29 && s.guarded == 1 && s.nonfinite == 0);
  CHECK_OK(rvn_monitor_report(m, text, sizeof text, NULL));
  CHECK(strstr(text, "the gradient of fc0.weight") && strstr(text, "first in step 25: inf at index 1999, 2 of 2500 elements"));
  CHECK(strstr(text, "1 other array has some") && strstr(text, "3 not finite"));
  CHECK(strstr(text, "skipped by a guard"));
  rvn_optimizer_destroy(opt), rvn_monitor_destroy(m);
}

/* ---- what is a step ---- */

static void accumulating(void) {
  rvn_optimizer *opt = model_with("accumulate(3) | sgd(0.1)", NULL);
  rvn_monitor *m = monitor_with(NULL);
  rvn_step_report report;
  rvn_step_health s;
  int i;
  report.struct_size = sizeof report;
  CHECK_OK(rvn_monitor_attach(m, opt));
  for (i = 0; i < 7; i++) {
    new_gradients();
    if (i == 1) gb[2] = NAN;
    CHECK_OK(step(opt, i, &report));
    if (i == 1) gb[2] = 0;
  }
  s = last(m);
  CHECK(s.updates == 2 && s.accumulated == 5 && s.step == 2);
  CHECK_OK(rvn_optimizer_flush(opt, &report));
  s = last(m);
  CHECK(s.updates == 3 && near(s.grad_norm2, report.grad_norm) && near(s.clipped_norm2, report.grad_norm));
  CHECK_OK(rvn_optimizer_flush(opt, &report));
  CHECK(last(m).updates == 3 && report.skipped == 3);
  CHECK_OK(rvn_monitor_report(m, text, sizeof text, NULL));
  /* the means of 0, 1, 2 and of 3, 4, 5; and 6 alone */
  CHECK(strstr(text, "loss 1 to 6") && strstr(text, "after 3 steps"));
  CHECK(strstr(text, "the gradient of fc0.bias") && strstr(text, "first in step 1: nan at index 2"));
  rvn_optimizer_destroy(opt), rvn_monitor_destroy(m);
}

static void parts_and_rows(void) {
  static const int64_t rows[] = {200, 3, 200, 17};
  static float grads[4 * ROW];
  rvn_optimizer *opt = model_with("adam(1e-3)", NULL);
  rvn_monitor *m = monitor_with(NULL);
  rvn_step_report report;
  rvn_step_health s;
  rvn_statistics g;
  double two = 0;
  int i, k;
  report.struct_size = sizeof report;
  CHECK_OK(rvn_monitor_attach(m, opt));
  new_gradients();
  CHECK_OK(rvn_optimizer_begin_step(opt));
  CHECK_OK(rvn_optimizer_step_tensor(opt, 1, NULL, NULL));
  CHECK_STATUS(rvn_monitor_detach(m), RVN_OK);
  CHECK_STATUS(rvn_monitor_attach(m, opt), RVN_ERR_STATE), CHECK_SAYS("a step is open");
  CHECK_OK(rvn_optimizer_end_step(opt, &report));
  CHECK_OK(rvn_monitor_attach(m, opt));
  for (i = 0; i < 2; i++) {
    CHECK_OK(rvn_optimizer_begin_step(opt));
    CHECK_OK(rvn_optimizer_step_tensor(opt, 1, NULL, NULL));
    CHECK_OK(rvn_optimizer_step_tensor(opt, 0, ga, NULL));
    CHECK_OK(rvn_optimizer_end_step(opt, &report));
  }
  s = last(m);
  CHECK(s.step == 2 && s.updates == 2 && near(s.grad_norm2, report.grad_norm) && near(s.update_norm, report.update_norm));
  CHECK(tensor(m, "fc0.bias").step == 1);
  /* rows: 200 twice, so its gradients are added */
  fill_random(grads, 4 * ROW, 1);
  grads[2 * ROW + 4] = 50;
  CHECK_OK(rvn_monitor_set(m, "attached.every", 1));
  CHECK_OK(rvn_optimizer_step_rows(opt, 0, rows, 4, grads, &report));
  for (k = 0; k < ROW; k++) {
    double x = (double)grads[k] + (double)grads[2 * ROW + k], y = (double)grads[ROW + k], z = (double)grads[3 * ROW + k];
    two += x * x + y * y + z * z;
  }
  s = last(m), g = statistics(m, "fc0.weight");
  CHECK(s.step == 3 && fabs(s.grad_norm2 / sqrt(two) - 1) < 1e-6 && near(s.grad_norm2, report.grad_norm));
  CHECK(g.count == 3 * ROW && g.largest_index == 200 * ROW + 4);
  grads[ROW + 2] = NAN;
  CHECK_OK(rvn_optimizer_step_rows(opt, 0, rows, 4, grads, &report));
  s = last(m);
  CHECK(s.nonfinite == 1 && s.nonfinite_index == 3 * ROW + 2);
  CHECK_OK(rvn_optimizer_step_rows(opt, 0, rows, 0, grads, &report)); /* nothing */
  CHECK(report.skipped == 3 && last(m).step == 4);
  rvn_optimizer_destroy(opt), rvn_monitor_destroy(m);
}

static void types(void) {
  static const int32_t kinds[] = {RVN_F32, RVN_F64, RVN_BF16, RVN_F16};
  static double memory[4][2][1100];
  int k, i;
  for (k = 0; k < 4; k++) {
    rvn_optimizer *opt = create("adamw(1e-3) | decay(0.1)");
    rvn_monitor *m = monitor_with(NULL);
    rvn_tensor_health t;
    int64_t empty = 0;
    (void)empty;
    NOTE("dtype %d", kinds[k]);
    for (i = 0; i < 1100; i++) {
      float x = 1 + (float)i / 2048;
      if (kinds[k] == RVN_F64) memory[k][0][i] = (double)x, memory[k][1][i] = 1e-3;
      if (kinds[k] == RVN_F32) ((float *)memory[k][0])[i] = x, ((float *)memory[k][1])[i] = 1e-3f;
      if (kinds[k] == RVN_BF16) ((uint16_t *)memory[k][0])[i] = 0x3f80, ((uint16_t *)memory[k][1])[i] = 0x3a83;
      if (kinds[k] == RVN_F16) ((uint16_t *)memory[k][0])[i] = 0x3c00, ((uint16_t *)memory[k][1])[i] = 0x1419;
    }
    CHECK_OK(add_shaped(opt, "w", memory[k][0], memory[k][1], 11, 100, kinds[k]));
    CHECK_OK(add_shaped(opt, "none", NULL, NULL, 0, 0, kinds[k]));
    CHECK_OK(add_shaped(opt, "one", memory[k][0] + 1050, memory[k][1] + 1050, 1, 0, kinds[k]));
    CHECK_OK(rvn_monitor_attach(m, opt));
    for (i = 0; i < 3; i++) CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
    t = tensor(m, "w");
    CHECK(fabs(t.update_norm / (1.1e-3 * sqrt(1100)) - 1) < 0.3 && t.cosine > 0.9);
    /* steps of 1e-3 are seen in float16, whose numbers are 1e-3 apart there, not in bfloat16 (8e-3) */
    CHECK(kinds[k] == RVN_BF16 ? t.swallowed == 1 : t.swallowed < 1e-3);
    CHECK(t.eps_dominated == 0);
    rvn_monitor_destroy(m), rvn_optimizer_destroy(opt);
  }
  NOTE("%s", "");
}

static void eps_and_noise(void) {
  rvn_optimizer *opt = model_with("adam(1e-3, eps=1e-2)", NULL);
  rvn_monitor *m = monitor_with(NULL);
  rvn_tensor_health t;
  int step_number, i;
  CHECK_OK(rvn_monitor_attach(m, opt));
  CHECK_OK(rvn_monitor_set(m, "attached.every", 2));
  for (step_number = 0; step_number < 9; step_number++) {
    for (i = 0; i < A; i++) ga[i] = i < 1000 ? 1e-3f : i < 1500 ? 0 : (i + step_number) % 2 ? 1.0f : -1.0f;
    for (i = 0; i < B; i++) gb[i] = 1;
    CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
  }
  t = tensor(m, "fc0.weight");
  CHECK(fabs(t.eps_dominated - 0.5) < 1e-9); /* 1000 of the 2000 that have a gradient */
  CHECK(t.signal_to_noise < 0.05);            /* it alternates */
  t = tensor(m, "fc0.bias");
  CHECK(t.eps_dominated == 0 && (isnan(t.signal_to_noise) || t.signal_to_noise > 1e3)); /* always the same */
  CHECK_OK(rvn_monitor_report(m, text, sizeof text, NULL));
  CHECK(strstr(text, "note    eps_dominated") != NULL);
  rvn_optimizer_destroy(opt), rvn_monitor_destroy(m);
}

int main(void) {
  same_bytes();
  numbers();
  extremes();
  not_finite();
  accumulating();
  parts_and_rows();
  types();
  eps_and_noise();
  return finish();
}
