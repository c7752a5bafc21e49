/* The same bytes for every number of threads, and for a host's own parallel_for in any order. */
#define _GNU_SOURCE
#include <pthread.h>
#include <unistd.h>

#include "fixture.h"

enum { SMALL = 40, LARGE = 300000, MIDDLE = 70000, STEPS = 2, MOST = LARGE + 3 * MIDDLE + 4096 };

/* ---- ways to run bodies ---- */

static void serial(void *user, size_t count, rvn_body body, void *context) {
  size_t i;
  (void)user;
  for (i = 0; i < count; i++) body(context, i);
}
static void backward(void *user, size_t count, rvn_body body, void *context) {
  (void)user;
  while (count-- > 0) body(context, count);
}
typedef struct job {
  rvn_body body;
  void *context;
  size_t index;
} job;
static void *run_job(void *p) {
  job *j = p;
  j->body(j->context, j->index);
  return NULL;
}
static void threads_of_the_host(void *user, size_t count, rvn_body body, void *context) {
  pthread_t threads[16];
  job jobs[16];
  size_t i;
  (void)user;
  for (i = 0; i < count && i < 16; i++) {
    jobs[i].body = body, jobs[i].context = context, jobs[i].index = i;
    CHECK(pthread_create(&threads[i], NULL, run_job, &jobs[i]) == 0);
  }
  for (i = 0; i < count && i < 16; i++) CHECK(pthread_join(threads[i], NULL) == 0);
}

typedef struct way {
  const char *name;
  int32_t threads;
  void (*parallel_for)(void *, size_t, rvn_body, void *);
} way;
static const way ways[] = {
    {"1 thread", 1, NULL},         {"2 threads", 2, NULL},     {"3 threads", 3, NULL},
    {"4 threads", 4, NULL},        {"a serial loop", 4, serial}, {"a backward loop", 3, backward},
    {"pthreads", 4, threads_of_the_host}, {"rvn_set_threads", -1, NULL}};
enum { WAYS = sizeof ways / sizeof *ways };

/* ---- one model ---- */

typedef union array {
  float f32[MOST];
  double f64[MOST / 2];
  uint16_t f16[MOST * 2];
} array;
static array start, grads, now, first;

typedef struct outcome {
  rvn_step_report reports[STEPS];
  double state[5];
} outcome;

/* mixed 0: one large tensor and many small ones in F32. 1: all types of parameters and gradients. */
static void add_model(rvn_optimizer *opt, int mixed) {
  char name[16];
  size_t at = 0, i;
  for (i = 0; i < SMALL; i++) {
    size_t n = mixed ? 3 + i : 1 + i * i;
    int32_t type = mixed ? 1 + (int32_t)(i % 4) : RVN_F32, grad = mixed ? 1 + (int32_t)(i / 4 % 4) : 0;
    if (mixed) at = (at + 1) & ~(size_t)1;
    if (at + 2 * n > MOST - LARGE) break;
    snprintf(name, sizeof name, "s%lu", (unsigned long)i);
    CHECK_OK(add_typed(opt, name, now.f32 + at, grads.f32 + at, (int64_t)n, type, grad));
    at += mixed ? 2 * n : n;
  }
  at = (at + 1) & ~(size_t)1;
  if (mixed) {
    CHECK_OK(add_typed(opt, "bf16", now.f32 + at, grads.f32 + at, MIDDLE, RVN_BF16, 0));
    at += MIDDLE;
    CHECK_OK(add_typed(opt, "f16", now.f32 + at, grads.f32 + at, MIDDLE + 5, RVN_F16, RVN_F32));
    at += MIDDLE + 6;
    CHECK_OK(add_typed(opt, "f64", now.f32 + at, grads.f32 + at, MIDDLE, RVN_F64, 0));
    at += 2 * MIDDLE;
    CHECK_OK(add_typed(opt, "f64f", now.f32 + at, grads.f32 + at, MIDDLE / 2, RVN_F64, RVN_BF16));
  } else {
    CHECK_OK(add_typed(opt, "large", now.f32 + at, grads.f32 + at, LARGE, RVN_F32, 0));
  }
}

/* Bits that are ordinary numbers in every type they are read as. */
static void make_numbers(void) {
  size_t i;
  for (i = 0; i < MOST * 2; i++) {
    start.f16[i] = (uint16_t)(0x2c00 + (random_bits() >> 40) % 0x1000 + (random_bits() >> 63 << 15));
    grads.f16[i] = (uint16_t)(0x2c00 + (random_bits() >> 40) % 0x1000 + (random_bits() >> 63 << 15));
  }
}

static rvn_optimizer *open_way(const char *recipe, const way *w) {
  rvn_optimizer *opt = NULL;
  rvn_options o;
  memset(&o, 0, sizeof o);
  o.struct_size = sizeof o, o.threads = w->threads, o.parallel_for = w->parallel_for;
  CHECK_OK(rvn_optimizer_create_with(recipe, &o, &opt));
  return opt;
}

static outcome run(const char *recipe, int mixed, const way *w) {
  outcome out;
  rvn_optimizer *opt = open_way(recipe, w);
  int k;
  memset(&out, 0, sizeof out);
  memcpy(&now, &start, sizeof now);
  add_model(opt, mixed);
  for (k = 0; k < STEPS; k++) {
    out.reports[k].struct_size = sizeof out.reports[k];
    CHECK_OK(rvn_optimizer_step(opt, NULL, k == 0 ? NULL : &out.reports[k]));
  }
  for (k = 0; k < 5; k++) {
    static float m[1600];
    if (rvn_optimizer_read(opt, (size_t)k, "m", RVN_F32, m, mixed ? 3 + (size_t)k : 1 + (size_t)(k * k)) == RVN_OK)
      out.state[k] = m[k];
  }
  rvn_optimizer_destroy(opt);
  return out;
}

/* Three of the other ways against the first; which, changes with `round`. */
static void compare(const char *recipe, int mixed, size_t round) {
  outcome wanted, got;
  size_t i, k;
  for (k = 0; k < 4; k++) {
    i = k == 0 ? 0 : 1 + (round + 2 * k) % (WAYS - 1);
    NOTE("%s: %s, %s", ways[i].name, recipe, mixed ? "all types" : "F32");
    CHECK_OK(rvn_set_threads(3));
    got = run(recipe, mixed, &ways[i]);
    if (i == 0) {
      wanted = got;
      memcpy(&first, &now, sizeof now);
      CHECK(memcmp(&now, &start, sizeof now) != 0);
      continue;
    }
    CHECK_BYTES(&now, &first, sizeof now);
    CHECK_BYTES(&got, &wanted, sizeof got);
  }
}

static const char *const chains[] = {
    "", "clip_norm(1) | ", "clip_norm(1, p=1) | ", "clip_norm(0.1, p=inf) | ", "clip_value(0.1) | ",
    "finite_guard | ", "finite_guard(zero) | clip_value(0.2) | clip_norm(3) | clip_norm(1, p=1) | "};

static void every_rule(void) {
  char rule[300], recipe[700];
  size_t n, c, round = 0;
  for (n = 0; rule_recipe(n, rule, sizeof rule); n += quick() ? 3 : 1) {
    for (c = 0; c < sizeof chains / sizeof *chains; c += quick() ? 3 : 1) {
      snprintf(recipe, sizeof recipe, "%s%s; s1*: lamb(0.01); s2*: sgd(0.01, momentum=0.9)", chains[c], rule);
      compare(c % 2 ? recipe : strtok(recipe, ";"), (int)((n + c) % 2), round++);
    }
  }
}

/* A parallel_for that leaves bodies out. */
static size_t left_out, rounds;
static void lazy(void *user, size_t count, rvn_body body, void *context) {
  size_t i;
  rounds++;
  for (i = left_out; i < count; i++) body(context, i);
  CHECK(user == &left_out);
}

static void poison(void) {
  static const char *recipe = "clip_norm(1) | adamw(0.1)";
  char path[] = "/tmp/ravine-threads-XXXXXX";
  rvn_optimizer *opt = NULL;
  rvn_options o;
  rvn_load_options parameters = {sizeof parameters, 0, 1, 0, 0};
  int file = mkstemp(path), bad;
  CHECK(file >= 0);
  memset(&o, 0, sizeof o);
  o.struct_size = sizeof o, o.threads = 3, o.parallel_for = lazy, o.parallel_user = &left_out;
  for (bad = 1; bad <= 3; bad++) {
    NOTE("%d of 3 bodies left out", bad);
    left_out = 0;
    memcpy(&now, &start, sizeof now);
    CHECK_OK(rvn_optimizer_create_with(recipe, &o, &opt));
    add_model(opt, 0);
    CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
    CHECK_OK(rvn_optimizer_save(opt, path));
    left_out = (size_t)bad;
    CHECK_STATUS(rvn_optimizer_step(opt, NULL, NULL), RVN_ERR_CALLBACK);
    CHECK_SAYS("parallel_for");
    left_out = 0;
    rounds = 0;
    CHECK_STATUS(rvn_optimizer_step(opt, NULL, NULL), RVN_ERR_STATE);
    CHECK_STATUS(rvn_optimizer_save(opt, path), RVN_ERR_STATE);
    CHECK_STATUS(rvn_optimizer_load(opt, "/no/such/file"), RVN_ERR_IO);
    CHECK_STATUS(rvn_optimizer_step(opt, NULL, NULL), RVN_ERR_STATE);
    CHECK(rounds == 0);
    CHECK_OK(rvn_optimizer_load_with(opt, path, &parameters, NULL, 0, NULL));
    CHECK_STATUS(rvn_optimizer_step(opt, NULL, NULL), RVN_ERR_STATE); /* half mended is not mended */
    CHECK_OK(rvn_optimizer_load(opt, path));
    CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
    memcpy(&first, &now, sizeof now);
    rvn_optimizer_destroy(opt);

    memcpy(&now, &start, sizeof now); /* as if nothing had happened */
    opt = open_way(recipe, &ways[0]);
    add_model(opt, 0);
    CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
    CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
    CHECK_BYTES(&now, &first, sizeof now);
    rvn_optimizer_destroy(opt);

    left_out = (size_t)bad; /* a poisoned handle can be destroyed */
    CHECK_OK(rvn_optimizer_create_with(recipe, &o, &opt));
    add_model(opt, 0);
    CHECK_STATUS(rvn_optimizer_step(opt, NULL, NULL), RVN_ERR_CALLBACK);
    rvn_optimizer_destroy(opt);
  }
  close(file);
  remove(path);
}

int main(void) {
  make_numbers();
  every_rule();
  poison();
  rvn_shutdown();
  return finish();
}
