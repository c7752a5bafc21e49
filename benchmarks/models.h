/* Models of many tensors, or of one, and steps of them timed in turn, beside AdamW written out for one
 * array without anything around it: what the arithmetic and the caches alone cost. */
#pragma once
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
  size_t parameters;
} model;

static model make(size_t count, const size_t *sizes, size_t size) {
  model x = {count, sizes, size, malloc(count * sizeof(float *)), malloc(count * sizeof(float *)),
             malloc(count * sizeof(float *)), malloc(count * sizeof(float *)), 0};
  for (size_t i = 0; i < count; i++) {
    size_t n = sizes ? sizes[i] : size;
    x.parameters += n;
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

static rvn_optimizer *attach_with(const char *recipe, const model *x, rvn_options options) {
  rvn_optimizer *opt;
  options.struct_size = sizeof options;
  require(rvn_optimizer_create_with(recipe, &options, &opt));
  for (size_t i = 0; i < x->count; i++) {
    char name[32];
    snprintf(name, sizeof name, "t%zu", i);
    add(opt, name, x->p[i], x->g[i], (int64_t)(x->sizes ? x->sizes[i] : x->size));
  }
  require(rvn_optimizer_prepare(opt));
  return opt;
}

static rvn_optimizer *attach(const char *recipe, const model *x, int threads) {
  return attach_with(recipe, x, (rvn_options){.threads = threads});
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
        for (int k = 0; k < (x->parameters > 100000 ? 1 : 100); k++) run(&rows[r], x), steps++;
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
