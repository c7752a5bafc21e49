/* Rules that step by curvature which the caller estimates: probe vectors, what is refused, and that every
 * way to hand it over gives the same bytes. */
#define _GNU_SOURCE
#include <math.h>
#include <unistd.h>

#include "failing.h"

/* More than one task for threads. */
enum { N = 66000, TENSORS = 5, STEPS = 6 };

static const int32_t types[TENSORS] = {RVN_F32, RVN_F64, RVN_BF16, RVN_F16, RVN_F32};
static const int64_t counts[TENSORS] = {N, 1025, 300, 17, 1};

typedef union model {
  double f64[TENSORS][N];
  float f32[TENSORS][2 * N];
  uint16_t half[TENSORS][4 * N];
} model;
static model now, start, grads, estimates, products;

static size_t width(int i) { return types[i] == RVN_F64 ? 8 : types[i] == RVN_F32 ? 4 : 2; }

static void put(model *m, int i, int k, float x) {
  uint32_t b;
  memcpy(&b, &x, 4);
  if (types[i] == RVN_F64) m->f64[i][k] = x;
  else if (types[i] == RVN_F32) m->f32[i][k] = x;
  else if (types[i] == RVN_BF16) m->half[i][k] = (uint16_t)(b >> 16);
  else if (x == 0) m->half[i][k] = 0;
  else m->half[i][k] = (uint16_t)((b >> 16 & 0x8000) | ((b >> 23 & 255) - 112) << 10 | (b >> 13 & 0x3ff));
}

/* Numbers that every type has. */
static void fill(model *m) {
  int i, k;
  memset(m, 0, sizeof *m);
  for (i = 0; i < TENSORS; i++)
    for (k = 0; k < counts[i]; k++) put(m, i, k, (float)((int)(random_bits() >> 58) - 32) / 16);
}

static rvn_optimizer *open_with(const char *recipe, const rvn_options *o) {
  rvn_optimizer *opt = NULL;
  char name[8];
  int i;
  if (!CHECK_OK(rvn_optimizer_create_with(recipe, o, &opt))) return NULL;
  now = start;
  for (i = 0; i < TENSORS; i++) {
    snprintf(name, sizeof name, "w%d", i);
    CHECK_OK(add_typed(opt, name, now.f32[i], grads.f32[i], counts[i], types[i], 0));
  }
  return opt;
}

/* The arrays of a model; those of `mask` alone. */
static rvn_curvature_input input(const model *m, int diagonal, unsigned mask) {
  static const void *arrays[TENSORS];
  rvn_curvature_input in = {sizeof in, NULL, NULL, TENSORS};
  int i;
  for (i = 0; i < TENSORS; i++) arrays[i] = mask >> i & 1 ? m->f32[i] : NULL;
  *(diagonal ? &in.diagonal : &in.products) = arrays;
  return in;
}
static rvn_status give(rvn_optimizer *opt, const model *m, int diagonal, unsigned mask) {
  rvn_curvature_input in = input(m, diagonal, mask);
  return rvn_optimizer_curvature(opt, &in);
}
#define ALL 31u

/* products = probe vectors times the estimates, which makes the estimates again. */
static void multiply(rvn_optimizer *opt) {
  static double z[N];
  int i, k;
  products = estimates;
  for (i = 0; i < TENSORS; i++) {
    CHECK_OK(rvn_optimizer_probe(opt, (size_t)i, RVN_F64, z, (size_t)counts[i]));
    for (k = 0; k < counts[i]; k++) {
      if (z[k] > 0) continue;
      if (types[i] == RVN_F64) products.f64[i][k] *= -1;
      else if (types[i] == RVN_F32) products.f32[i][k] *= -1;
      else products.half[i][k] ^= 0x8000;
    }
  }
}

static void same_parameters(const model *wanted) {
  int i;
  for (i = 0; i < TENSORS; i++)
    CHECK_BYTES(now.f32[i], wanted->f32[i], (size_t)counts[i] * width(i));
}

/* Every rule that says in the catalog that it needs curvature. */
static int rule(size_t n, char *out, size_t cap) {
  size_t i, seen = 0;
  int busy;
  for (i = 0; i < rvn_catalog_count(); i++) {
    if (strcmp(entry_at(i).needs, "curvature") != 0) continue;
    for (busy = 0; busy < 2; busy++)
      if (recipe_for(i, busy, out, cap) && seen++ == n) return 1;
  }
  return 0;
}

/* ---- probe vectors ---- */

static float z0[N], z1[N];
static void probe(rvn_optimizer *opt, size_t i, float *out) {
  CHECK_OK(rvn_optimizer_probe(opt, i, RVN_F32, out, (size_t)counts[i]));
}

static void probe_vectors(void) {
  rvn_optimizer *a = open_with("sophia; w4: adamw(1); w2: frozen; w1: seed=7", NULL), *b;
  static double wide[N];
  static uint16_t half[N];
  int k, sum = 0, runs = 0;
  NOTE("probe vectors");
  probe(a, 0, z0);
  for (k = 0; k < N; k++) {
    CHECK(z0[k] == 1 || z0[k] == -1);
    sum += (int)z0[k];
    runs += k > 0 && z0[k] != z0[k - 1];
  }
  CHECK(abs(sum) < 6 * 257 && abs(runs - N / 2) < 6 * 129); /* six standard deviations */
  probe(a, 0, z1);
  CHECK_BYTES(z0, z1, sizeof z0); /* asking changes nothing */
  CHECK_OK(rvn_optimizer_probe(a, 0, RVN_F64, wide, N));
  for (k = 0; k < N; k++) CHECK(wide[k] == (double)z0[k]);
  CHECK_OK(rvn_optimizer_probe(a, 0, RVN_BF16, half, N));
  for (k = 0; k < N; k++) CHECK(half[k] == (z0[k] > 0 ? 0x3f80 : 0xbf80));
  CHECK_OK(rvn_optimizer_probe(a, 0, RVN_F16, half, N));
  for (k = 0; k < N; k++) CHECK(half[k] == (z0[k] > 0 ? 0x3c00 : 0xbc00));
  probe(a, 4, z1), probe(a, 2, z1 + 1); /* another rule, and none */
  for (k = 0; k < 301; k++) CHECK(z1[k] == 0);
  probe(a, 3, z1);
  CHECK(memcmp(z0, z1, 17 * 4) != 0); /* another name */
  probe(a, 1, z0);
  b = open_with("adahessian", NULL);
  probe(b, 1, z1);
  CHECK(memcmp(z0, z1, 1025 * 4) != 0); /* another seed */
  probe(a, 0, z0), probe(b, 0, z1);
  CHECK_BYTES(z0, z1, sizeof z0);
  CHECK_OK(give(b, &estimates, 1, 1u << 1));
  probe(b, 0, z1);
  CHECK_BYTES(z0, z1, sizeof z0); /* only tensor 1 had an estimate */
  CHECK_OK(give(b, &estimates, 1, 1));
  probe(b, 0, z1);
  CHECK(memcmp(z0, z1, sizeof z0) != 0);
  rvn_optimizer_destroy(a), rvn_optimizer_destroy(b);
}

/* ---- what is refused ---- */

static void refused_probes(void) {
  rvn_optimizer *opt = open_with("sophia", NULL);
  float z = 5, *none = NULL;
  NOTE("refused probes");
  CHECK_STATUS(rvn_optimizer_probe(NULL, 0, RVN_F32, z0, N), RVN_ERR_ARGUMENT);
  CHECK_STATUS(rvn_optimizer_probe(opt, 9, RVN_F32, z0, N), RVN_ERR_ARGUMENT);
  CHECK_STATUS(rvn_optimizer_probe(opt, 0, 0, z0, N), RVN_ERR_TYPE);
  CHECK_STATUS(rvn_optimizer_probe(opt, 0, RVN_F32, z0, N - 1), RVN_ERR_SHAPE);
  CHECK_SAYS("'w0' has 66000 elements");
  CHECK_STATUS(rvn_optimizer_probe(opt, 0, RVN_F32, none, N), RVN_ERR_ARGUMENT);
  CHECK_STATUS(rvn_optimizer_probe(opt, 4, RVN_F32, &z, 2), RVN_ERR_SHAPE);
  CHECK(z == 5);
  rvn_optimizer_destroy(opt);
  opt = create("sophia");
  CHECK_STATUS(rvn_optimizer_probe(opt, 0, RVN_F32, z0, N), RVN_ERR_ARGUMENT);
  CHECK_OK(add(opt, "empty", NULL, NULL, 0));
  CHECK_OK(rvn_optimizer_probe(opt, 0, RVN_F32, NULL, 0));
  rvn_optimizer_destroy(opt);
}

static void refused_estimates(void) {
  rvn_optimizer *opt = open_with("sophia", NULL), *plain;
  rvn_curvature_input in = input(&estimates, 1, ALL);
  const void *arrays[TENSORS];
  static float before[N], after[N];
  NOTE("refused estimates");
  CHECK_OK(rvn_optimizer_curvature(opt, &in));
  CHECK_OK(rvn_optimizer_read(opt, 0, "h", RVN_F32, before, N));
  probe(opt, 0, z0);
  CHECK_STATUS(rvn_optimizer_curvature(NULL, &in), RVN_ERR_ARGUMENT);
  CHECK_STATUS(rvn_optimizer_curvature(opt, NULL), RVN_ERR_ARGUMENT);
  in.struct_size = 8;
  CHECK_STATUS(rvn_optimizer_curvature(opt, &in), RVN_ERR_ARGUMENT);
  in = input(&estimates, 1, ALL), in.products = in.diagonal;
  CHECK_STATUS(rvn_optimizer_curvature(opt, &in), RVN_ERR_ARGUMENT);
  in.products = in.diagonal = NULL;
  CHECK_STATUS(rvn_optimizer_curvature(opt, &in), RVN_ERR_ARGUMENT);
  CHECK_SAYS("products or diagonal");
  in = input(&estimates, 1, ALL), in.count = 3;
  CHECK_STATUS(rvn_optimizer_curvature(opt, &in), RVN_ERR_ARGUMENT);
  CHECK_SAYS("count is 3, but there are 5 tensors");
  in = input(&estimates, 1, ALL), memcpy(arrays, in.diagonal, sizeof arrays);
  arrays[1] = (const char *)arrays[1] + 4, in.diagonal = arrays;
  CHECK_STATUS(rvn_optimizer_curvature(opt, &in), RVN_ERR_ARGUMENT);
  CHECK_SAYS("'w1'"), CHECK_SAYS("aligned");
  products = estimates, products.half[3][16] = 0x7c00; /* infinity, in the last tensor but one */
  CHECK_STATUS(give(opt, &products, 1, ALL), RVN_ERR_NONFINITE);
  CHECK_SAYS("the Hessian diagonal of 'w3' is inf at index 16");
  products.f32[0][N - 1] = NAN;
  CHECK_STATUS(give(opt, &products, 0, ALL), RVN_ERR_NONFINITE);
  CHECK_SAYS("the Hessian product of 'w0' is nan at index 65999");
  CHECK_OK(rvn_optimizer_read(opt, 0, "h", RVN_F32, after, N));
  CHECK_BYTES(before, after, sizeof before);
  probe(opt, 0, z1);
  CHECK_BYTES(z0, z1, sizeof z0);
  CHECK_OK(give(opt, &products, 1, 2)); /* the others are not looked at */
  CHECK_OK(rvn_optimizer_remove(opt, 2));
  CHECK_STATUS(give(opt, &estimates, 1, ALL), RVN_ERR_ARGUMENT);
  CHECK_SAYS("removed");
  CHECK_STATUS(rvn_optimizer_probe(opt, 2, RVN_F32, z0, 300), RVN_ERR_ARGUMENT);
  CHECK_OK(give(opt, &estimates, 1, ALL & ~4u));
  same_parameters(&start);
  rvn_optimizer_destroy(opt);

  plain = open_with("clip_norm(1) | adamw", NULL);
  CHECK_STATUS(give(plain, &estimates, 1, ALL), RVN_ERR_STATE);
  CHECK_SAYS("no rule of the recipe steps by curvature"), CHECK_SAYS("catalog");
  CHECK_OK(rvn_optimizer_step(plain, NULL, NULL));
  rvn_optimizer_destroy(plain);
}

/* A first step without curvature names the tensor, and nothing changes, however it is made. */
static void first_steps(void) {
  static const char *const recipes[] = {"%s", "accumulate(2) | %s", "sam | %s", "finite_guard(zero) | %s"};
  static const int64_t rows[] = {3};
  char name[1024], recipe[1200];
  size_t n, k;
  for (n = 0; rule(n, name, sizeof name); n++) {
    for (k = 0; k < 4; k++) {
      rvn_optimizer *opt;
      double t = 9;
      snprintf(recipe, sizeof recipe, recipes[k], name);
      NOTE("%s", recipe);
      opt = open_with(recipe, NULL);
      CHECK_STATUS(rvn_optimizer_step(opt, NULL, NULL), RVN_ERR_NEEDS);
      CHECK_SAYS("needs curvature of 'w0'"), CHECK_SAYS("rvn_optimizer_curvature");
      CHECK_OK(give(opt, &estimates, 1, ALL & ~8u));
      CHECK_STATUS(rvn_optimizer_step(opt, NULL, NULL), RVN_ERR_NEEDS);
      CHECK_SAYS("'w3'");
      if (k % 3 == 0) {
        CHECK_STATUS(rvn_optimizer_step_tensor(opt, 3, NULL, NULL), RVN_ERR_NEEDS);
        if (!strstr(name, "8bit"))
          CHECK_STATUS(rvn_optimizer_step_rows(opt, 3, rows, 1, grads.f32[3], NULL), RVN_ERR_NEEDS);
        CHECK_SAYS("'w3'");
      }
      same_parameters(&start);
      CHECK_OK(rvn_optimizer_read(opt, 0, "step", RVN_F64, &t, 1));
      CHECK(t == 0);
      CHECK_OK(give(opt, &estimates, 1, 8));
      CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
      rvn_optimizer_destroy(opt);
    }
  }
}

/* ---- every way gives the same ---- */

/* Steps with an estimate before every second one; in the middle through a file. */
static void train(const char *recipe, const rvn_options *o, int products_given, const char *path,
                  model *out) {
  rvn_optimizer *opt = open_with(recipe, o);
  int s;
  random_state = 77;
  for (s = 0; s < STEPS && opt; s++) {
    fill(&grads);
    if (s % 2 == 0) {
      fill(&estimates);
      if (products_given) multiply(opt);
      CHECK_OK(give(opt, products_given ? &products : &estimates, !products_given, ALL));
    }
    if (s == 3 && path) {
      static model saved;
      CHECK_OK(rvn_optimizer_save(opt, path));
      saved = now;
      rvn_optimizer_destroy(opt);
      opt = open_with(recipe, o);
      CHECK_OK(rvn_optimizer_load(opt, path));
      same_parameters(&saved);
    }
    if (!CHECK_OK(rvn_optimizer_step(opt, NULL, NULL))) break;
  }
  memcpy(out, &now, sizeof now);
  rvn_optimizer_destroy(opt);
}

static void same_bytes(const char *path) {
  static const char *const recipes[] = {
      "%s", "clip_norm(1) | clip_value(0.5) | %s | decay(0.1) | ema(0.9)", "%s | master",
      "unscale(4) | %s | cautious; w1: seed=3; w4: adam(0.1)"};
  static model wanted, got;
  rvn_options one = threads_of(1), three = threads_of(3);
  char name[1024], recipe[1200];
  size_t n, k;
  for (n = 0; rule(n, name, sizeof name); n++) {
    for (k = 0; k < 4; k++) {
      if (quick() && (n + k) % 2) continue;
      snprintf(recipe, sizeof recipe, recipes[k], name);
      NOTE("%s", recipe);
      train(recipe, &one, 0, NULL, &wanted);
      CHECK(memcmp(&wanted, &start, sizeof start) != 0);
      train(recipe, &one, 1, NULL, &got), same_parameters(&wanted);
      train(recipe, &three, 1, NULL, &got), same_parameters(&wanted);
      train(recipe, &three, 0, path, &got), same_parameters(&wanted);
      train(recipe, &one, 1, path, &got), same_parameters(&wanted);
    }
  }
}

/* In parts, by all rows, and between calls that accumulate or of sam: the same as at once. */
static void other_steps(void) {
  static int64_t rows[N];
  static model wanted;
  rvn_optimizer *opt;
  char name[1024], recipe[1200];
  size_t n;
  int i;
  for (i = 0; i < N; i++) rows[i] = i;
  for (n = 0; rule(n, name, sizeof name); n++) {
    NOTE("%s in parts", name);
    opt = open_with(name, NULL);
    CHECK_OK(give(opt, &estimates, 1, ALL)), CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
    wanted = now;
    rvn_optimizer_destroy(opt);

    opt = open_with(name, NULL);
    CHECK_OK(give(opt, &estimates, 1, 1));
    CHECK_OK(rvn_optimizer_begin_step(opt));
    CHECK_OK(rvn_optimizer_step_tensor(opt, 0, NULL, NULL));
    CHECK_OK(give(opt, &estimates, 1, ALL & ~1u));
    for (i = TENSORS - 1; i > 0; i--) {
      if (strstr(name, "8bit")) CHECK_OK(rvn_optimizer_step_tensor(opt, (size_t)i, NULL, NULL));
      else CHECK_OK(rvn_optimizer_step_rows(opt, (size_t)i, rows, (size_t)counts[i], grads.f32[i], NULL));
    }
    CHECK_OK(rvn_optimizer_end_step(opt, NULL));
    same_parameters(&wanted);
    rvn_optimizer_destroy(opt);

    snprintf(recipe, sizeof recipe, "accumulate(2) | %s", name);
    opt = open_with(recipe, NULL);
    CHECK_OK(give(opt, &products, 1, ALL)); /* replaced as to be seen below */
    CHECK_OK(rvn_optimizer_override(opt, "*", "beta2=0"));
    CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
    CHECK_OK(give(opt, &estimates, 1, ALL));
    CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
    wanted = now;
    rvn_optimizer_destroy(opt);
    snprintf(recipe, sizeof recipe, "sam(0) | %s; *: beta2=0", name);
    opt = open_with(recipe, NULL);
    CHECK_OK(give(opt, &products, 1, ALL));
    CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
    CHECK_OK(give(opt, &estimates, 1, ALL));
    CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
    same_parameters(&wanted);
    rvn_optimizer_destroy(opt);
  }
}

/* The state belongs to the rule: another one begins anew, and so does what thaws. */
static void other_rules(void) {
  rvn_optimizer *opt = open_with("sophia; w0: adamw(1); w2: frozen", NULL);
  double before = 0, after = 0;
  int k;
  NOTE("other rules");
  CHECK_STATUS(rvn_optimizer_step(opt, NULL, NULL), RVN_ERR_NEEDS);
  CHECK_SAYS("'w1'");
  CHECK_OK(give(opt, &estimates, 1, 2u | 8 | 16));
  CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
  CHECK(now.f32[0][0] != start.f32[0][0]);
  CHECK_OK(rvn_optimizer_override(opt, "w0", "adahessian"));
  CHECK_STATUS(rvn_optimizer_step(opt, NULL, NULL), RVN_ERR_NEEDS);
  CHECK_SAYS("adahessian needs curvature of 'w0'");
  CHECK_OK(rvn_optimizer_override(opt, "w0, w4", "sgd(1)"));
  CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
  CHECK_OK(rvn_optimizer_override(opt, "w4, w2", "sophia"));
  CHECK_STATUS(rvn_optimizer_step(opt, NULL, NULL), RVN_ERR_NEEDS);
  CHECK_OK(give(opt, &estimates, 1, ALL));
  CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
  /* Of the rules that take none nothing is read. */
  for (k = 0; k < N; k++) products.f32[0][k] = NAN;
  CHECK_OK(give(opt, &products, 1, 1));
  /* A mean changes by the estimate alone, and in one tensor only. */
  CHECK_OK(rvn_optimizer_read(opt, 4, "h", RVN_F64, &before, 1));
  put(&estimates, 4, 0, 2);
  CHECK_OK(give(opt, &estimates, 1, 16));
  CHECK_OK(rvn_optimizer_read(opt, 4, "h", RVN_F64, &after, 1));
  CHECK(fabs(after - (0.99 * before + 0.01 * 2)) < 1e-6);
  rvn_optimizer_destroy(opt);
}

/* ---- memory ---- */

static void failing_memory(void) {
  failing host;
  rvn_options o = failing_options(&host, 1);
  long fail, calls;
  rvn_optimizer *opt = NULL;
  NOTE("memory");
  for (fail = 1; fail < 200; fail++) {
    rvn_status status;
    host.fail_at = 0;
    opt = open_with("sophia | ema", &o);
    host.calls = 0, host.fail_at = fail, host.failures = 0;
    status = give(opt, &estimates, 1, ALL);
    if (host.failures == 0) break;
    CHECK(status == RVN_ERR_MEMORY);
    host.fail_at = 0;
    CHECK_OK(give(opt, &estimates, 1, ALL));
    CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
    rvn_optimizer_destroy(opt);
  }
  CHECK(fail > 3 && fail < 200);
  calls = host.calls, host.fail_at = 0;
  CHECK_OK(give(opt, &estimates, 1, ALL)), probe(opt, 0, z0);
  CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
  CHECK(host.calls == calls); /* nothing is allocated after prepare */
  rvn_optimizer_destroy(opt);
  failing_done(&host);
}

/* A host that does not run all bodies has broken off in the middle, as in a step. */
static void no_bodies(void *user, size_t count, rvn_body body, void *context) {
  (void)user, (void)count;
  body(context, 0);
}
static void broken_host(void) {
  rvn_options o = threads_of(3);
  rvn_optimizer *opt;
  NOTE("a host's threads");
  o.parallel_for = no_bodies;
  opt = open_with("sophia", &o);
  CHECK_STATUS(give(opt, &estimates, 1, ALL), RVN_ERR_CALLBACK);
  CHECK_STATUS(give(opt, &estimates, 1, ALL), RVN_ERR_STATE);
  CHECK_STATUS(rvn_optimizer_probe(opt, 0, RVN_F32, z0, N), RVN_ERR_STATE);
  rvn_optimizer_destroy(opt);
}

/* A range test puts everything back, the count of estimates too. */
static rvn_optimizer *tested;
static rvn_status one_step(void *user, double rate, double *loss) {
  (void)user;
  *loss = 1 + rate;
  CHECK_OK(give(tested, &estimates, 1, ALL));
  return rvn_optimizer_step(tested, NULL, NULL);
}
static void range_test(void) {
  rvn_range_options o;
  rvn_range_result result;
  static float before[N], after[N];
  NOTE("range test");
  memset(&o, 0, sizeof o), memset(&result, 0, sizeof result);
  o.struct_size = sizeof o, o.steps = 20, o.high = 1e-3;
  result.struct_size = sizeof result;
  tested = open_with("sophia", NULL);
  CHECK_OK(give(tested, &estimates, 1, ALL));
  probe(tested, 0, z0), CHECK_OK(rvn_optimizer_read(tested, 0, "h", RVN_F32, before, N));
  CHECK_OK(rvn_range_test(tested, one_step, NULL, &o, &result));
  probe(tested, 0, z1), CHECK_OK(rvn_optimizer_read(tested, 0, "h", RVN_F32, after, N));
  CHECK_BYTES(z0, z1, sizeof z0), CHECK_BYTES(before, after, sizeof before);
  same_parameters(&start);
  rvn_optimizer_destroy(tested);
}

int main(void) {
  char folder[] = "/tmp/ravine-curvature-XXXXXX", path[64];
  if (!CHECK(mkdtemp(folder) != NULL)) return finish();
  snprintf(path, sizeof path, "%s/file", folder);
  fill(&start), fill(&grads), fill(&estimates), fill(&products);
  probe_vectors();
  refused_probes();
  refused_estimates();
  first_steps();
  same_bytes(path);
  other_steps();
  other_rules();
  failing_memory();
  broken_host();
  range_test();
  remove(path), rmdir(folder);
  return finish();
}
