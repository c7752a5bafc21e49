/* What a step costs beside the arithmetic: small models, many small tensors, one tiny tensor.
 *
 *     small [milliseconds for each measurement, 200]
 *
 * "bare loop" is AdamW written out for one array, without anything around it: what the arithmetic
 * and the caches alone cost. Rows of a table are timed in turn, in short slices. */
#include <math.h>

#include "bench.h"

/* ---- AdamW, written out ---------------------------------------------------------------------------- */

static void bare(float *restrict p, const float *restrict g, float *restrict m, float *restrict v,
                 size_t n, float correction1, float correction2) {
  const float a1 = 0.1f, b2 = 0.999f, a2 = 0.001f, eps = 1e-8f;
  const float step = 1e-3f / correction1, root = 1.0f / sqrtf(correction2), shrink = 1.0f - 1e-5f;
  for (size_t i = 0; i < n; i++) {
    m[i] += a1 * (g[i] - m[i]);
    v[i] = b2 * v[i] + a2 * g[i] * g[i];
    p[i] = shrink * p[i] - step * m[i] / (sqrtf(v[i]) * root + eps);
  }
}

/* ---- models ----------------------------------------------------------------------------------------- */

typedef struct model {
  size_t count;
  const size_t *sizes; /* NULL: all of `size` */
  size_t size;
  float **p, **g, **m, **v;
} model;

static model make(size_t count, const size_t *sizes, size_t size) {
  model x = {count, sizes, size, malloc(count * sizeof(float *)), malloc(count * sizeof(float *)),
             malloc(count * sizeof(float *)), malloc(count * sizeof(float *))};
  for (size_t i = 0; i < count; i++) {
    size_t n = sizes ? sizes[i] : size;
    x.p[i] = array(n);
    x.g[i] = array(n);
    x.m[i] = array(n);
    x.v[i] = array(n);
    fill(x.p[i], n, 1.0f, (uint32_t)(2 * i + 1));
    fill(x.g[i], n, 0.1f, (uint32_t)(2 * i + 2));
    memset(x.m[i], 0, n * sizeof(float));
    memset(x.v[i], 0, n * sizeof(float));
  }
  return x;
}

static rvn_optimizer *attach(const char *recipe, const model *x, int threads) {
  rvn_optimizer *opt = optimizer(recipe, threads);
  for (size_t i = 0; i < x->count; i++) {
    char name[32];
    snprintf(name, sizeof name, "t%zu", i);
    add(opt, name, x->p[i], x->g[i], (int64_t)(x->sizes ? x->sizes[i] : x->size));
  }
  require(rvn_optimizer_prepare(opt));
  return opt;
}

/* ---- timing ----------------------------------------------------------------------------------------- */

typedef struct row {
  const char *name;
  rvn_optimizer *opt; /* NULL: the bare loop */
  int reporting;
  double nanoseconds, least;
} row;

static void run(const row *r, const model *x) {
  static rvn_step_report report = {.struct_size = sizeof report};
  if (r->opt) {
    require(rvn_optimizer_step(r->opt, NULL, r->reporting ? &report : NULL));
    return;
  }
  for (size_t i = 0; i < x->count; i++) {
    bare(x->p[i], x->g[i], x->m[i], x->v[i], x->sizes ? x->sizes[i] : x->size, 0.5f, 0.5f);
  }
}

enum { SLICES = 41 };

static void time_rows(row *rows, int count, const model *x, double slice) {
  double times[8][SLICES];
  for (int s = -1; s < SLICES; s++) { /* slice -1 warms up */
    for (int r = 0; r < count; r++) {
      double begin = seconds(), now = begin;
      long steps = 0;
      while (now - begin < slice) {
        for (int k = 0; k < (x->count > 100 ? 1 : 100); k++) run(&rows[r], x), steps++;
        now = seconds();
      }
      if (s >= 0) times[r][s] = (now - begin) / (double)steps;
    }
  }
  for (int r = 0; r < count; r++) {
    rows[r].nanoseconds = 1e9 * median(times[r], SLICES);
    rows[r].least = 1e9 * times[r][0];
    if (rows[r].opt) rvn_optimizer_destroy(rows[r].opt);
  }
}

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
