/* Checks a gradient written by hand, finds the mistake, and tells how sharp the loss is. */
#include "ravine.h"

#include <math.h>
#include <stdio.h>

/* A curve a exp(-b t) + c through twenty points: the parameters, and where the gradient goes. */
static double curve[3] = {1.5, 0.8, 0.1}, gradient[3];

static int32_t squared_error(void *mistaken, int32_t with_gradient, double *loss) {
  const double a = curve[0], b = curve[1], c = curve[2];
  *loss = gradient[0] = gradient[1] = gradient[2] = 0;
  for (int i = 0; i < 20; i++) {
    double t = 0.1 * i, e = exp(-b * t), error = a * e + c - (2 * exp(-t) + 0.5);
    *loss += 0.5 * error * error / 20;
    if (!with_gradient) continue;
    gradient[0] += error * e / 20;
    gradient[1] -= error * a * e * (*(int *)mistaken ? 1 : t) / 20;
    gradient[2] += error / 20;
  }
  return 0; /* anything else ends the check */
}

int main(void) {
  int mistaken = 1;
  const int64_t shape[] = {3};
  rvn_tensor tensor = {sizeof tensor, "curve", curve, gradient, RVN_F64, 0, 1, 0, shape};
  rvn_function function = {sizeof function, &tensor, 1, squared_error, &mistaken, NULL};
  rvn_gradient_check check;
  rvn_hessian_extremes_result hessian;
  double edge;
  check.struct_size = sizeof check;
  hessian.struct_size = sizeof hessian;

  for (; mistaken >= 0; mistaken--) {
    if (rvn_check_gradient(&function, NULL, &check, NULL) != RVN_OK) goto failed;
    if (check.outcome == RVN_GRADIENT_MISTAKE) {
      printf("a mistake in %s[%d]: the function says %.6f, differences say %.6f\n", tensor.name,
             (int)check.index, check.analytic, check.numeric);
    } else {
      printf("no mistake in %d derivatives\n", (int)check.checked);
    }
  }
  mistaken = 0;
  if (rvn_hessian_extremes(&function, NULL, &hessian) != RVN_OK) goto failed;
  if (rvn_stability_threshold("heavy_ball", 0.5, 0.9, &edge) != RVN_OK) goto failed;
  printf("curvature from %.4f to %.4f; with lr 0.5 and momentum 0.9 the edge is %.2f\n",
         hessian.smallest, hessian.largest, edge);
  return 0;

failed:
  fprintf(stderr, "%s\n", rvn_last_error());
  return 1;
}
