/* What the C benchmarks share: a clock, medians, and the machine's name. */
#pragma once
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ravine.h"

static inline double seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static inline int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* Sorts the times; the median is returned, the least is then in times[0]. */
static inline double median(double *times, int count) {
  qsort(times, (size_t)count, sizeof *times, ascending);
  return count % 2 ? times[count / 2] : 0.5 * (times[count / 2 - 1] + times[count / 2]);
}

static inline void require(rvn_status status) {
  if (status == RVN_OK) return;
  fprintf(stderr, "ravine: %s (%d)\n", rvn_last_error(), (int)status);
  exit(1);
}

/* Numbers that look like gradients, the same in every run. */
static inline void fill(float *x, size_t n, float size, uint32_t seed) {
  for (size_t i = 0; i < n; i++) {
    seed = seed * 1664525u + 1013904223u;
    x[i] = size * ((float)(seed >> 8) * 0x1p-23f - 1.0f);
  }
}

static inline float *array(size_t n) {
  void *memory = NULL;
  if (posix_memalign(&memory, 64, n * sizeof(float)) != 0) {
    fprintf(stderr, "no memory for %zu numbers\n", n);
    exit(1);
  }
  return memory;
}

static inline rvn_optimizer *optimizer(const char *recipe, int threads) {
  rvn_optimizer *opt;
  rvn_options options = {.struct_size = sizeof options, .threads = threads};
  require(rvn_optimizer_create_with(recipe, &options, &opt));
  return opt;
}

static inline void add(rvn_optimizer *opt, const char *name, float *p, const float *g, int64_t n) {
  rvn_tensor tensor = {.struct_size = sizeof tensor, .name = name, .data = p, .grad = g,
                       .dtype = RVN_F32, .rank = 1, .shape = &n};
  require(rvn_optimizer_add(opt, &tensor, NULL));
}
