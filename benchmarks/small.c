/* What a step costs beside the arithmetic: small models, many small tensors, one tiny tensor.
 *
 *     small [milliseconds for each measurement, 200]
 *
 * "bare loop" is AdamW written out for one array, without anything around it: what the arithmetic
 * and the caches alone cost. Rows of a table are timed in turn, in short slices. */
#include "models.h"

static void digits_model(double slice) {
  static const size_t sizes[] = {64 * 128, 128, 128 * 10, 10};
  model x = make(4, sizes, 0);
  row rows[] = {{"bare loop", NULL, 0, 0, 0},
                {"adamw", attach("adamw(1e-3)", &x, 1), 0, 0, 0},
                {"adamw with report", attach("adamw(1e-3)", &x, 1), 1, 0, 0},
                {"clip_norm(1) | adamw", attach("clip_norm(1) | adamw(1e-3)", &x, 1), 0, 0, 0},
                {"the same with report", attach("clip_norm(1) | adamw(1e-3)", &x, 1), 1, 0, 0}};
  time_rows(rows, 5, &x, slice);
  printf("\n4 tensors, 9,610 parameters, 1 thread  %12s %12s\n", "us/step", "least");
  for (int r = 0; r < 5; r++) {
    printf("%-38s %12.2f %12.2f\n", rows[r].name, rows[r].nanoseconds / 1e3, rows[r].least / 1e3);
  }
}

static void many_tensors(double slice) {
  model x = make(10000, NULL, 64);
  row rows[] = {{"bare loop", NULL, 0, 0, 0},
                {"adamw, 1 thread", attach("adamw(1e-3)", &x, 1), 0, 0, 0},
                {"adamw, as many threads as pay", attach("adamw(1e-3)", &x, 0), 0, 0, 0},
                {"clip_norm(1) | adamw, 1 thread", attach("clip_norm(1) | adamw(1e-3)", &x, 1), 0, 0, 0}};
  time_rows(rows, 4, &x, slice);
  printf("\n10,000 tensors of 64 parameters        %12s %12s   (adamw wanted: 100 or less)\n",
         "ns/tensor", "least");
  for (int r = 0; r < 4; r++) {
    printf("%-38s %12.1f %12.1f\n", rows[r].name, rows[r].nanoseconds / 1e4, rows[r].least / 1e4);
  }
}

static void tiny_tensor(double slice) {
  model x = make(1, NULL, 32);
  row rows[] = {{"bare loop", NULL, 0, 0, 0},
                {"adamw", attach("adamw(1e-3)", &x, 1), 0, 0, 0},
                {"adamw with report", attach("adamw(1e-3)", &x, 1), 1, 0, 0},
                {"clip_norm(1) | adamw", attach("clip_norm(1) | adamw(1e-3)", &x, 1), 0, 0, 0}};
  time_rows(rows, 4, &x, slice);
  printf("\n1 tensor of 32 parameters              %12s %12s %12s   (adamw wanted: about 100)\n",
         "ns/step", "least", "beyond bare");
  for (int r = 0; r < 4; r++) {
    printf("%-38s %12.1f %12.1f %12.1f\n", rows[r].name, rows[r].nanoseconds, rows[r].least,
           rows[r].nanoseconds - rows[0].nanoseconds);
  }
}

int main(int argc, char **argv) {
  double slice = (argc > 1 ? atof(argv[1]) : 200.0) * 1e-3 / SLICES;
  digits_model(slice);
  many_tensors(slice);
  tiny_tensor(slice);
  return 0;
}
