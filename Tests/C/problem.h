/* A function with known derivatives, which can also be told to misbehave. */
#ifndef PROBLEM_H
#define PROBLEM_H

#include <fenv.h>
#include <math.h>

#include "failing.h"

/* f(w, b) = 1/2 sum_i h_i w_i^2 + sum_i |b_i| + w_0 b_1: h is the spectrum, b_0 = 0 is a kink. */
enum { N = 12, B = 3 };
static double w[N], gw[N];
static float b[B], gb[B];
static const double curvature[N] = {-2, 0.5, 1, 1, 1.5, 2, 3, 4, 5, 6, 7, 25};
static const int64_t shape_w[] = {3, 4}, shape_b[] = {B};

typedef struct host {
  int calls, fail_at, code;  /* the call that fails, and how */
  int wrong;                 /* an error in the gradient of w_5 */
  int spoil;                 /* what a bad function may do */
  float single;              /* f is rounded to it */
} host;
enum { MOVES = 1, NO_VALUE, NO_GRADIENT, RANDOM, ROUNDS, IN_MODE };
static int wanted_mode;

static int32_t f(void *user, int32_t with_gradient, double *loss) {
  host *h = user;
  double sum = 0;
  int i;
  h->calls++;
  if (h->calls == h->fail_at) {
    w[3] = 77, b[1] = -77; /* also what it leaves behind is mended */
    return h->code;
  }
  for (i = 0; i < N; i++) sum += 0.5 * curvature[i] * w[i] * w[i];
  for (i = 0; i < B; i++) sum += fabs((double)b[i]);
  sum += w[0] * (double)b[1];
  if (with_gradient) {
    for (i = 0; i < N; i++) gw[i] = curvature[i] * w[i];
    for (i = 0; i < B; i++) gb[i] = b[i] > 0 ? 1 : -1;
    gw[0] += (double)b[1], gb[1] += (float)w[0];
    if (h->wrong) gw[5] *= 1.01;
    if (h->spoil == NO_GRADIENT) gb[2] = NAN;
  }
  if (h->spoil == MOVES) w[7] += 1;
  if (h->spoil == NO_VALUE) sum = NAN;
  if (h->spoil == RANDOM) sum += 1e-3 * (h->calls % 7);
  if (h->spoil == ROUNDS) sum = (double)(h->single = (float)sum);
  if (h->spoil == IN_MODE) CHECK(fegetround() == wanted_mode);
  *loss = sum;
  return 0;
}

static rvn_tensor tensors[2];
static double w0[N];
static float b0[B];

CHECK_UNUSED static rvn_function function(host *h) {
  rvn_function it;
  int i;
  memset(h, 0, sizeof *h);
  memset(&it, 0, sizeof it);
  memset(tensors, 0, sizeof tensors);
  for (i = 0; i < N; i++) w0[i] = w[i] = 0.1 * (i + 1) * (i % 2 ? 1 : -1);
  b0[0] = b[0] = 0, b0[1] = b[1] = 0.75f, b0[2] = b[2] = -1.25f;
  tensors[0].struct_size = tensors[1].struct_size = sizeof *tensors;
  tensors[0].name = "w", tensors[0].data = w, tensors[0].grad = gw;
  tensors[0].dtype = RVN_F64, tensors[0].rank = 2, tensors[0].shape = shape_w;
  tensors[1].name = "b", tensors[1].data = b, tensors[1].grad = gb;
  tensors[1].dtype = RVN_F32, tensors[1].rank = 1, tensors[1].shape = shape_b;
  it.struct_size = sizeof it;
  it.tensors = tensors, it.tensor_count = 2, it.loss = f, it.user = h;
  return it;
}
CHECK_UNUSED static void unmoved(void) {
  CHECK_BYTES(w, w0, sizeof w);
  CHECK_BYTES(b, b0, sizeof b);
}

CHECK_UNUSED static rvn_check_gradient_options gradient_options(void) {
  rvn_check_gradient_options o;
  memset(&o, 0, sizeof o);
  o.struct_size = sizeof o;
  return o;
}
CHECK_UNUSED static rvn_hessian_options hessian_options(void) {
  rvn_hessian_options o;
  memset(&o, 0, sizeof o);
  o.struct_size = sizeof o;
  return o;
}
CHECK_UNUSED static rvn_loss_slice_options slice_options(size_t points, size_t points2) {
  rvn_loss_slice_options o;
  memset(&o, 0, sizeof o);
  o.struct_size = sizeof o, o.points = points, o.points2 = points2;
  return o;
}
CHECK_UNUSED static int near(double a, double b, double tolerance) {
  return fabs(a - b) <= tolerance * (fabs(b) > 1 ? fabs(b) : 1);
}

#endif
