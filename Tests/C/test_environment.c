/* A host that left the CPU in another floating-point mode: same bytes, and the mode stays its own. */
#define _GNU_SOURCE
#include <pthread.h>
#include <unistd.h>

#include "fixture.h"

#if defined(__x86_64__)
#include <xmmintrin.h>
typedef uint32_t fp_mode;
static fp_mode get_mode(void) { return _mm_getcsr(); }
static void set_mode(fp_mode m) { _mm_setcsr(m); }
static const fp_mode modes[] = {
    0x1f80 | 0x8000 | 0x0040 | 0x4000,        /* flush to zero, denormals are zero, round up */
    0x1f80 | 0x8000 | 0x0040 | 0x6000 | 0x3f, /* toward zero, all flags raised */
    0x0000 | 0x2000,                          /* round down, every exception traps */
};
#else
typedef struct fp_mode_pair { uint64_t control, status; } fp_mode;
static fp_mode get_mode(void) {
  fp_mode m;
  __asm__ volatile("mrs %0, fpcr\n\tmrs %1, fpsr" : "=r"(m.control), "=r"(m.status));
  return m;
}
static void set_mode(fp_mode m) {
  __asm__ volatile("msr fpcr, %0\n\tmsr fpsr, %1" ::"r"(m.control), "r"(m.status));
}
static const fp_mode modes[] = {
    {1u << 24 | 1u << 22, 0},                     /* flush to zero, round up */
    {1u << 24 | 1u << 19 | 1u << 25 | 3u << 22, 0x9f}, /* default NaN, toward zero, flags raised */
    {2u << 22, 0},                                /* round down */
};
#endif
enum { MODES = 3 };
static fp_mode plain;

static int same_mode(fp_mode a, fp_mode b) { return memcmp(&a, &b, sizeof a) == 0; }

/* Runs a statement in a mode, and sees whether the mode survives. Only integers in between. */
#define IN(mode, statement)                 \
  do {                                      \
    fp_mode in_before = (mode), in_after;   \
    set_mode(in_before);                    \
    statement;                              \
    in_after = get_mode();                  \
    set_mode(plain);                        \
    if (!same_mode(in_before, in_after)) check_that(0, "mode changed by " #statement, __FILE__, __LINE__); \
    else check_that(1, "", __FILE__, __LINE__); \
  } while (0)

/* ---- same bytes ---- */

enum { N = 3000, TENSORS = 4 };
typedef struct model {
  float f32[N], g32[N];
  double f64[N], g64[N];
  uint16_t f16[N], bf16[N];
} model;
static model start, now, wanted;

/* Subnormals of every type, numbers whose products are, and ordinary ones. */
static void make_numbers(void) {
  size_t i;
  for (i = 0; i < N; i++) {
    uint32_t u = (uint32_t)random_bits(), v = (uint32_t)random_bits();
    uint64_t w = random_bits(), x = random_bits();
    if (i % 3 == 0) u &= 0x807fffff, v &= 0x807fffff, w &= 0x800fffffffffffffu, x &= 0x800fffffffffffffu;
    if (i % 3 == 1) u = (u & 0x87ffffff) | 0x10000000, v = (v & 0x87ffffff) | 0x18000000;
    if (i % 3 == 2) u = (u & 0xbfffffff) | 0x38000000, v = (v & 0x80ffffff) | 0x38000000;
    if (i % 3 != 0) w = (w & 0x8fffffffffffffffu) | 0x3000000000000000u, x = (x & 0x80ffffffffffffffu) | 0x2000000000000000u;
    if (i % 3 == 2) u &= 0xbfbfffff;
    memcpy(&start.f32[i], &u, 4), memcpy(&start.g32[i], &v, 4);
    memcpy(&start.f64[i], &w, 8), memcpy(&start.g64[i], &x, 8);
    start.f16[i] = (uint16_t)(i % 3 ? random_bits() & 0x83ff : (random_bits() & 0xbbff));
    start.bf16[i] = (uint16_t)(u >> 16);
  }
}

static const char *current; /* the recipe under test */
static rvn_step_report report;

static rvn_status run_model(void) {
  rvn_optimizer *opt = NULL;
  rvn_status s = rvn_optimizer_create(current, &opt);
  int k;
  memcpy(&now, &start, sizeof now);
  memset(&report, 0, sizeof report);
  report.struct_size = sizeof report;
  if (s == RVN_OK) s = add(opt, "a", now.f32, now.g32, N);
  if (s == RVN_OK) s = add_typed(opt, "b", now.f64, now.g64, N, RVN_F64, 0);
  if (s == RVN_OK) s = add_typed(opt, "c", now.f16, now.g32, N, RVN_F16, RVN_F32);
  if (s == RVN_OK) s = add_typed(opt, "d", now.bf16, now.g32, N, RVN_BF16, RVN_F32);
  for (k = 0; k < 3 && s == RVN_OK; k++) s = rvn_optimizer_step(opt, NULL, k == 2 ? &report : NULL);
  rvn_optimizer_destroy(opt);
  return s;
}

static void same_bytes(const char *recipe) {
  rvn_step_report report0;
  rvn_status s = -99;
  int m;
  current = recipe;
  NOTE("%s", recipe);
  CHECK_OK(run_model());
  memcpy(&wanted, &now, sizeof now);
  report0 = report;
  for (m = 0; m < MODES; m++) {
    NOTE("mode %d, %s", m, recipe);
    IN(modes[m], s = run_model());
    CHECK_OK(s);
    CHECK_BYTES(&now, &wanted, sizeof now);
    CHECK_BYTES(&report, &report0, sizeof report);
  }
}

static void every_rule(void) {
  static const char *const chains[] = {"", "clip_norm(0.1) | ", "clip_value(1e-3) | clip_norm(1e-2, p=1) | "};
  char rule[300], recipe[400];
  size_t n, c;
  for (n = 0; rule_recipe(n, rule, sizeof rule); n++) {
    for (c = 0; c < 3; c++) {
      snprintf(recipe, sizeof recipe, "%s%s", chains[c], rule);
      same_bytes(recipe);
    }
  }
  same_bytes("sgd(1, momentum=0.9)");
  same_bytes("adamw(exponential(1e-3, factor=0.5), eps=1e-40)");
}

/* ---- the host's own threads ---- */

typedef struct job {
  rvn_body body;
  void *context;
  size_t index;
  int kept;
} job;
static int job_mode;
static void *run_job(void *p) {
  job *j = p;
  set_mode(modes[job_mode]);
  j->body(j->context, j->index);
  j->kept = same_mode(get_mode(), modes[job_mode]);
  set_mode(plain);
  return NULL;
}
static void host_threads(void *user, size_t count, rvn_body body, void *context) {
  pthread_t t[4];
  job jobs[4];
  size_t i;
  (void)user;
  for (i = 0; i < count && i < 4; i++) {
    jobs[i].body = body, jobs[i].context = context, jobs[i].index = i, jobs[i].kept = 0;
    CHECK(pthread_create(&t[i], NULL, run_job, &jobs[i]) == 0);
  }
  for (i = 0; i < count && i < 4; i++) {
    CHECK(pthread_join(t[i], NULL) == 0);
    CHECK(jobs[i].kept);
  }
}

static void in_bodies(void) {
  rvn_options o;
  rvn_optimizer *opt = NULL;
  current = "clip_norm(1) | lamb(0.1)";
  CHECK_OK(run_model());
  memcpy(&wanted, &now, sizeof now);
  memset(&o, 0, sizeof o);
  o.struct_size = sizeof o, o.threads = 4, o.parallel_for = host_threads;
  for (job_mode = 0; job_mode < MODES; job_mode++) {
    int k;
    NOTE("bodies in mode %d", job_mode);
    memcpy(&now, &start, sizeof now);
    CHECK_OK(rvn_optimizer_create_with(current, &o, &opt));
    CHECK_OK(add(opt, "a", now.f32, now.g32, N));
    CHECK_OK(add_typed(opt, "b", now.f64, now.g64, N, RVN_F64, 0));
    CHECK_OK(add_typed(opt, "c", now.f16, now.g32, N, RVN_F16, RVN_F32));
    CHECK_OK(add_typed(opt, "d", now.bf16, now.g32, N, RVN_BF16, RVN_F32));
    for (k = 0; k < 3; k++) CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
    CHECK_BYTES(&now, &wanted, sizeof now);
    rvn_optimizer_destroy(opt);
  }
}

/* ---- every function ---- */

static void every_function(fp_mode mode) {
  static float p[100], g[100], m[100];
  static char text[4096];
  char path[] = "/tmp/ravine-mode-XXXXXX";
  rvn_optimizer *opt = NULL, *bad = NULL;
  rvn_schedule *s = NULL;
  rvn_load_options how = {sizeof how, 1, 1, 1, 0};
  rvn_entry e;
  rvn_parameter parameter;
  rvn_slot slot;
  rvn_options o;
  const void *products = m;
  rvn_curvature_input curvature = {sizeof curvature, &products, NULL, 1};
  double values[50];
  char sketch[400];
  uint64_t step;
  int64_t length;
  size_t n;
  int file = mkstemp(path);
  close(file);
  fill_random(g, 100, 1e-39f);
  e.struct_size = sizeof e, parameter.struct_size = sizeof parameter, slot.struct_size = sizeof slot;
  memset(&o, 0, sizeof o);
  o.struct_size = sizeof o, o.threads = 2;
  IN(mode, rvn_version());
  IN(mode, rvn_isa());
  IN(mode, rvn_abi_version());
  IN(mode, rvn_catalog_count());
  IN(mode, rvn_catalog_entry(1, &e));
  IN(mode, rvn_catalog_parameter(1, 0, &parameter));
  IN(mode, rvn_catalog_slot(1, 0, &slot));
  IN(mode, rvn_set_threads(0));
  IN(mode, rvn_optimizer_create("sgd(1e-310", &bad));
  IN(mode, rvn_last_error());
  IN(mode, rvn_optimizer_create("adamw(1e-310, eps=2.2250738585072011e-308)", &bad));
  IN(mode, rvn_optimizer_destroy(bad));
  IN(mode, rvn_optimizer_create_with("finite_guard | clip_norm(1) | adamw(cosine(1e-310, 9))", &o, &opt));
  IN(mode, add(opt, "w", p, g, 100));
  IN(mode, rvn_optimizer_override(opt, "w", "lr=x0.1"));
  IN(mode, rvn_optimizer_plan(opt, text, sizeof text, &n));
  IN(mode, rvn_optimizer_prepare(opt));
  IN(mode, rvn_optimizer_step(opt, NULL, NULL));
  IN(mode, rvn_optimizer_get(opt, "lr", values));
  IN(mode, rvn_optimizer_set(opt, "weight_decay", 0));
  IN(mode, rvn_optimizer_recipe(opt, text, sizeof text, &n));
  IN(mode, rvn_optimizer_bind(opt, 0, p, g));
  IN(mode, rvn_optimizer_read(opt, 0, "m", RVN_F16, m, 100));
  IN(mode, rvn_optimizer_write(opt, 0, "m", RVN_F16, m, 100));
  IN(mode, rvn_optimizer_slots(opt, 0, text, sizeof text, &n));
  IN(mode, rvn_optimizer_slot_shape(opt, 0, "m", &length, 1));
  IN(mode, rvn_optimizer_save(opt, path));
  IN(mode, rvn_optimizer_load(opt, path));
  IN(mode, rvn_optimizer_load_with(opt, path, &how, text, sizeof text, &n));
  IN(mode, rvn_schedule_create("warmup(exponential(1, factor=0.99), steps=3)", &s));
  IN(mode, rvn_schedule_values(s, 0, 50, values));
  IN(mode, rvn_schedule_value(s, 7, values));
  IN(mode, rvn_schedule_sum(s, 0, 50, values));
  IN(mode, rvn_schedule_first_below(s, 0.5, 0, 50, &step));
  IN(mode, rvn_schedule_peak(s, 0, 50, &step, values));
  IN(mode, rvn_schedule_span(s, &step));
  IN(mode, rvn_schedule_sketch(s, 0, 50, 40, 5, sketch, sizeof sketch, &n));
  IN(mode, rvn_schedule_register("no dot", NULL));
  IN(mode, rvn_schedule_recipe(s, text, sizeof text, &n));
  IN(mode, rvn_schedule_destroy(s));
  g[0] = 1e30f, g[1] = g[0] * 1e30f;
  IN(mode, rvn_optimizer_step(opt, NULL, NULL)); /* skipped by the guard */
  IN(mode, rvn_optimizer_override(opt, "w", "adahessian"));
  IN(mode, rvn_optimizer_probe(opt, 0, RVN_F32, m, 100));
  IN(mode, rvn_optimizer_curvature(opt, &curvature));
  IN(mode, rvn_optimizer_destroy(opt));
  IN(mode, rvn_shutdown());
  IN(mode, rvn_optimizer_step(NULL, NULL, NULL)); /* and failing calls */
  remove(path);
}

/* Numbers in texts and schedules do not depend on the mode either. */
static void texts(void) {
  static const char *recipe = "adamw(1e-3, eps=4.9e-324, beta1=0.1, weight_decay=2.2250738585072011e-308)";
  char a[300] = "", b[300];
  double x[300], y[300];
  rvn_optimizer *opt = create(recipe);
  rvn_schedule *s = NULL;
  int m;
  CHECK_OK(rvn_optimizer_recipe(opt, a, sizeof a, NULL));
  rvn_optimizer_destroy(opt);
  CHECK_OK(rvn_schedule_create("warmup(cosine(1e-306, steps=200, floor=1e-309), steps=20)", &s));
  CHECK_OK(rvn_schedule_values(s, 0, 300, x));
  for (m = 0; m < MODES; m++) {
    memset(b, 0, sizeof b);
    IN(modes[m], rvn_optimizer_create(recipe, &opt));
    IN(modes[m], rvn_optimizer_recipe(opt, b, sizeof b, NULL));
    IN(modes[m], rvn_schedule_values(s, 0, 300, y));
    CHECK(strcmp(a, b) == 0);
    CHECK_BYTES(x, y, sizeof x);
    rvn_optimizer_destroy(opt);
  }
  rvn_schedule_destroy(s);
}

int main(void) {
  int m;
  plain = get_mode();
  for (m = 0; m < MODES; m++) {
    fp_mode seen;
    set_mode(modes[m]);
    seen = get_mode();
    set_mode(plain);
    if (!same_mode(seen, modes[m])) { /* valgrind has one mode only */
      printf("this machine does not keep the mode: skipped\n");
      return 0;
    }
  }
  make_numbers();
  for (m = 0; m < MODES; m++) every_function(modes[m]);
  texts();
  every_rule();
  in_bodies();
  return finish();
}
