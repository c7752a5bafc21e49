/* A model of two tensors, and a monitor that is attached to its optimizer. */
#ifndef ATTACHED_H
#define ATTACHED_H
#include <math.h>

#include "fixture.h"

enum { A = 2500, B = 20, ROW = 10 };
static float a[A], ga[A], b[B], gb[B];
static char text[1 << 16];

CHECK_UNUSED static rvn_monitor *monitor_with(const rvn_options *options) {
  rvn_monitor *m = NULL;
  CHECK_OK(rvn_monitor_create(options, &m));
  return m;
}

CHECK_UNUSED static rvn_status add_shaped(rvn_optimizer *opt, const char *name, void *data,
                                          const void *grad, int64_t rows, int64_t columns, int32_t dtype) {
  rvn_tensor t;
  int64_t shape[2];
  memset(&t, 0, sizeof t);
  shape[0] = rows, shape[1] = columns;
  t.struct_size = sizeof t, t.name = name, t.data = data, t.grad = grad, t.dtype = dtype;
  t.rank = columns ? 2 : 1, t.shape = shape;
  return rvn_optimizer_add(opt, &t, NULL);
}

CHECK_UNUSED static rvn_optimizer *model_with(const char *recipe, const rvn_options *options) {
  rvn_optimizer *opt = NULL;
  CHECK_OK(rvn_optimizer_create_with(recipe, options, &opt));
  random_state = 7;
  fill_random(a, A, 1), fill_random(b, B, 1);
  CHECK_OK(add_shaped(opt, "fc0.weight", a, ga, A / ROW, ROW, RVN_F32));
  CHECK_OK(add_shaped(opt, "fc0.bias", b, gb, B, 0, RVN_F32));
  return opt;
}

CHECK_UNUSED static void new_gradients(void) { fill_random(ga, A, 0.1f), fill_random(gb, B, 0.5f); }

CHECK_UNUSED static rvn_status step(rvn_optimizer *opt, double loss, rvn_step_report *report) {
  rvn_step_input input;
  memset(&input, 0, sizeof input);
  input.struct_size = sizeof input, input.loss = loss, input.has_loss = 1;
  return rvn_optimizer_step(opt, &input, report);
}

CHECK_UNUSED static rvn_step_health last(rvn_monitor *m) {
  rvn_step_health s;
  memset(&s, 0, sizeof s);
  s.struct_size = sizeof s;
  CHECK_OK(rvn_monitor_step(m, &s));
  return s;
}
CHECK_UNUSED static rvn_tensor_health tensor(rvn_monitor *m, const char *name) {
  rvn_tensor_health t;
  memset(&t, 0, sizeof t);
  t.struct_size = sizeof t;
  CHECK_OK(rvn_monitor_tensor(m, name, &t));
  return t;
}
CHECK_UNUSED static rvn_statistics statistics(rvn_monitor *m, const char *name) {
  rvn_statistics s;
  memset(&s, 0, sizeof s);
  s.struct_size = sizeof s;
  CHECK_OK(rvn_monitor_statistics(m, name, RVN_KIND_GRADIENT, &s));
  return s;
}
CHECK_UNUSED static int near(double x, double y) { return fabs(x - y) <= 1e-9 * (fabs(x) + fabs(y)) + 1e-300; }
/* A sum whose terms were added by fours in float. */
CHECK_UNUSED static int nearly(double x, double y) { return fabs(x - y) <= 2.4e-7 * fabs(y); }

#endif
