/* A model of tensors of some forms and types, and ways to step it that must give the same bytes. Whoever
 * includes this first says MOST (elements of one, in 4 bytes), TENSORS, and their shapes, ranks and types. */
#ifndef MODEL_H
#define MODEL_H

#include "failing.h"

typedef union model {
  double f64[TENSORS][MOST / 2];
  float f32[TENSORS][MOST];
} model;
static model start, now, wanted, grads;

CHECK_UNUSED static size_t width(int i) { return types[i] == RVN_F64 ? 8 : types[i] == RVN_F32 ? 4 : 2; }
CHECK_UNUSED static size_t count(int i) {
  size_t n = 1;
  int k;
  for (k = 0; k < ranks[i]; k++) n *= (size_t)shapes[i][k];
  return n;
}

CHECK_UNUSED static rvn_status add_matrix(rvn_optimizer *opt, const char *name, void *data,
                                          const void *grad, int32_t type, int32_t rank,
                                          const int64_t *shape) {
  rvn_tensor t;
  memset(&t, 0, sizeof t);
  t.struct_size = sizeof t;
  t.name = name, t.data = data, t.grad = grad, t.dtype = type, t.rank = rank, t.shape = shape;
  return rvn_optimizer_add(opt, &t, NULL);
}

CHECK_UNUSED static void add_model(rvn_optimizer *opt) {
  char name[8];
  int i;
  for (i = 0; i < TENSORS; i++) {
    snprintf(name, sizeof name, "w%d", i);
    CHECK_OK(add_matrix(opt, name, now.f32[i], grads.f32[i], types[i], ranks[i], shapes[i]));
  }
}

/* Ordinary numbers of each tensor's type. */
CHECK_UNUSED static void fill(model *m, int what) {
  int i;
  size_t k;
  memset(m, 0, sizeof *m);
  for (i = 0; i < TENSORS; i++) {
    for (k = 0; k < count(i); k++) {
      float x = random_float() * (what ? 1 : 0.5f);
      uint32_t bits;
      memcpy(&bits, &x, 4);
      if (types[i] == RVN_F64) m->f64[i][k] = x;
      else if (types[i] == RVN_F32) m->f32[i][k] = x;
      else if (types[i] == RVN_BF16) ((uint16_t *)m->f32[i])[k] = (uint16_t)(bits >> 16);
      else ((uint16_t *)m->f32[i])[k] = (uint16_t)(0x2c00 + (bits & 0x0fff));
    }
  }
}

CHECK_UNUSED static rvn_step_report blank(void) {
  rvn_step_report r;
  memset(&r, 0, sizeof r);
  r.struct_size = sizeof r;
  return r;
}

CHECK_UNUSED static rvn_optimizer *open_with(const char *recipe, const rvn_options *o) {
  rvn_optimizer *opt = NULL;
  if (!CHECK_OK(rvn_optimizer_create_with(recipe, o, &opt))) return NULL;
  now = start;
  add_model(opt);
  return opt;
}

enum { STEPS = 4 };

CHECK_UNUSED static void steps(rvn_optimizer *opt, int from, int to, rvn_step_report *r) {
  for (; from < to; from++) {
    random_state = 77 + (uint64_t)from;
    fill(&grads, 1);
    CHECK_OK(rvn_optimizer_step(opt, NULL, r));
  }
}

CHECK_UNUSED static void backward(void *user, size_t n, rvn_body body, void *context) {
  (void)user;
  while (n-- > 0) body(context, n);
}

/* Any number of threads, with a report or without, on the library's threads or the host's. */
CHECK_UNUSED static void threads_and_reports(const char *const *recipes, size_t recipe_count) {
  size_t k;
  int way;
  for (k = 0; k < recipe_count; k++) {
    rvn_step_report r0 = blank(), r;
    for (way = 0; way < 5; way++) {
      rvn_options o = threads_of(way == 4 ? 3 : way + 1);
      rvn_optimizer *opt;
      if (way == 3) o.threads = 1;
      if (way == 4) o.parallel_for = backward;
      NOTE("%s, way %d", recipes[k], way);
      if (!(opt = open_with(recipes[k], &o))) continue;
      r = blank();
      steps(opt, 0, STEPS, way == 3 ? NULL : &r);
      if (way == 0) wanted = now, r0 = r;
      CHECK_BYTES(&now, &wanted, sizeof now);
      if (way != 3) CHECK_BYTES(&r, &r0, sizeof r);
      CHECK(r0.skipped == 0 && r0.step == STEPS && r0.update_norm > 0);
      rvn_optimizer_destroy(opt);
    }
  }
}

/* Saved and loaded after any number of steps, with another number of threads. */
CHECK_UNUSED static void save_and_load(const char *const *recipes, size_t recipe_count) {
  char path[] = "/tmp/ravine-matrices-XXXXXX";
  size_t k;
  int i, at, file = mkstemp(path);
  CHECK(file >= 0);
  for (k = 0; k < recipe_count; k++) {
    rvn_options o = threads_of(1), two = threads_of(2);
    rvn_optimizer *opt = open_with(recipes[k], &o);
    NOTE("save and load: %s", recipes[k]);
    if (!opt) continue;
    steps(opt, 0, STEPS, NULL);
    wanted = now;
    rvn_optimizer_destroy(opt);
    for (at = 0; at < STEPS; at++) {
      if (!(opt = open_with(recipes[k], &o))) continue;
      steps(opt, 0, at, NULL);
      CHECK_OK(rvn_optimizer_save(opt, path));
      rvn_optimizer_destroy(opt);
      if (!(opt = open_with(recipes[k], &two))) continue;
      for (i = 0; i < TENSORS; i++) memset(now.f32[i], 0x33, count(i) * width(i));
      CHECK_OK(rvn_optimizer_load(opt, path));
      steps(opt, at, STEPS, NULL);
      CHECK_BYTES(&now, &wanted, sizeof now);
      rvn_optimizer_destroy(opt);
    }
  }
  remove(path);
}

/* Each allocation may fail: it is MEMORY, and nothing has changed; a step makes none. */
CHECK_UNUSED static void any_allocation_may_fail(const char *recipe) {
  failing host;
  long n, all = 0;
  int k;
  for (n = 0; n <= all; n++) {
    rvn_options o = failing_options(&host, 2);
    rvn_optimizer *opt = NULL;
    rvn_step_report r = blank();
    long before;
    rvn_status s;
    NOTE("allocation %ld of %ld", n, all);
    host.fail_at = n;
    now = start;
    s = rvn_optimizer_create_with(recipe, &o, &opt);
    if (s == RVN_OK) {
      int i;
      for (i = 0; i < TENSORS && s == RVN_OK; i++) {
        char name[8];
        snprintf(name, sizeof name, "w%d", i);
        s = add_matrix(opt, name, now.f32[i], grads.f32[i], types[i], ranks[i], shapes[i]);
      }
      if (s == RVN_OK) s = rvn_optimizer_prepare(opt);
      before = host.calls;
      for (k = 0; k < 2 && s == RVN_OK; k++) CHECK_OK(rvn_optimizer_step(opt, NULL, &r));
      if (s == RVN_OK) CHECK(host.calls == before); /* nothing in a step */
      if (n == 0) all = host.calls;
    }
    CHECK(n == 0 ? s == RVN_OK : host.failures == 0 || s == RVN_ERR_MEMORY);
    if (s != RVN_OK) CHECK_BYTES(&now, &start, sizeof now);
    rvn_optimizer_destroy(opt);
    failing_done(&host);
  }
  CHECK(all > 10);
}

/* A parallel_for that leaves out a part of one pass. */
static size_t left_out, rounds, last_round;
CHECK_UNUSED static void lazy(void *user, size_t n, rvn_body body, void *context) {
  size_t i;
  (void)user;
  for (i = ++rounds == last_round ? left_out : 0; i < n; i++) body(context, i);
}

/* Whatever pass of a step it is, and there are `least`: CALLBACK, and the handle is of no use. */
CHECK_UNUSED static void any_pass_may_break_off(const char *recipe, size_t least) {
  size_t all;
  rvn_options o = threads_of(3);
  rvn_optimizer *opt;
  o.parallel_for = lazy;
  left_out = 1, rounds = 0, last_round = 0;
  NOTE("poison");
  if (!(opt = open_with(recipe, &o))) return;
  CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
  all = rounds;
  CHECK(all >= least);
  rvn_optimizer_destroy(opt);
  for (last_round = 1; last_round <= all; last_round += quick() && all > 10 ? 7 : 1) {
    NOTE("round %lu of %lu is left out", (unsigned long)last_round, (unsigned long)all);
    rounds = 0;
    if (!(opt = open_with(recipe, &o))) return;
    CHECK_STATUS(rvn_optimizer_step(opt, NULL, NULL), RVN_ERR_CALLBACK);
    CHECK_STATUS(rvn_optimizer_step(opt, NULL, NULL), RVN_ERR_STATE);
    rvn_optimizer_destroy(opt);
  }
}

#endif
