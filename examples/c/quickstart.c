/* Fits the line y = 2x + 1 to eleven points. */
#include "ravine.h"

#include <stdio.h>

int main(void) {
  float line[2] = {0, 0}, gradient[2]; /* slope and offset */
  const int64_t shape[] = {2};
  const rvn_tensor tensor = {sizeof tensor, "line", line, gradient, RVN_F32, 0, 1, 0, shape};

  rvn_optimizer *optimizer = NULL;
  const char *recipe = "clip_norm(1) | adamw(0.05, weight_decay=0)";
  rvn_status status = rvn_optimizer_create(recipe, &optimizer);
  if (status == RVN_OK) status = rvn_optimizer_add(optimizer, &tensor, NULL);

  for (int step = 0; step < 500 && status == RVN_OK; step++) {
    gradient[0] = gradient[1] = 0;
    for (int i = 0; i <= 10; i++) {
      float x = (float)i / 10, error = line[0] * x + line[1] - (2 * x + 1);
      gradient[0] += 2 * error * x / 11; /* of the mean squared error */
      gradient[1] += 2 * error / 11;
    }
    status = rvn_optimizer_step(optimizer, NULL, NULL);
  }
  rvn_optimizer_destroy(optimizer);

  if (status != RVN_OK) {
    fprintf(stderr, "%s\n", rvn_last_error());
    return 1;
  }
  printf("y = %.3f x + %.3f\n", line[0], line[1]);
  return 0;
}
