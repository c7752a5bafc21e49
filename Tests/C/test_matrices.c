/* Rules that step whole matrices: what they refuse, that every way to step them gives the same bytes, and
 * products of the host. */
#define _GNU_SOURCE
#include <math.h>
#include <unistd.h>

#include "check.h"

enum { MOST = 6000, TENSORS = 6 };

/* Of every form: wide and more than a block, tall, a row, a column, one number, a convolution. */
static const int64_t shapes[TENSORS][4] = {{40, 50}, {70, 13}, {1, 37}, {29, 1}, {1, 1}, {6, 3, 2, 2}};
static const int32_t ranks[TENSORS] = {2, 2, 2, 2, 2, 4};
static const int32_t types[TENSORS] = {RVN_F32, RVN_BF16, RVN_F64, RVN_F32, RVN_F16, RVN_F32};

#include "model.h"

static const char *const recipes[] = {
    "muon(0.02)",
    "muon(0.02, momentum=0, nesterov=false, adjust=match_rms_adamw)",
    "clip_norm(1) | muon(0.02, compat=author) | cautious | decay(0.1) | ema(0.9)",
    "clip_unit(0.1) | clip_value(0.5) | muon(0.02, compat=optax, ns_steps=3) | project(l2, radius=1)",
    "decay(0.1, kind=coupled) | muon(0.02) | lookahead(2, alpha=0.5); w1, w4: lamb(0.01); w3: frozen"};
enum { RECIPES = sizeof recipes / sizeof *recipes };

/* ---- what is refused ---- */

static void vectors_need_another_rule(void) {
  rvn_optimizer *opt = create("muon(0.02)");
  float v[3] = {1, 2, 3}, g[3] = {1, 1, 1}, w[6] = {1, 2, 3, 4, 5, 6}, gw[6] = {1, 0, 0, 2, 1, 1}, s = 1;
  const int64_t shape[] = {2, 3};
  char text[4000];
  NOTE("vectors");
  CHECK_OK(add_matrix(opt, "w", w, gw, RVN_F32, 2, shape));
  CHECK_OK(add(opt, "bias", v, g, 3));
  CHECK_STATUS(rvn_optimizer_prepare(opt), RVN_ERR_SHAPE);
  CHECK_SAYS("'bias' is [3]"), CHECK_SAYS("muon; @rank<2: adamw(1e-3)");
  CHECK_STATUS(rvn_optimizer_step(opt, NULL, NULL), RVN_ERR_SHAPE);
  CHECK_STATUS(rvn_optimizer_plan(opt, text, sizeof text, NULL), RVN_ERR_SHAPE);
  CHECK(v[0] == 1 && w[0] == 1);
  CHECK_OK(rvn_optimizer_override(opt, "@rank<2", "adamw(1e-3)"));
  CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
  CHECK(v[0] != 1 && w[0] != 1);
  /* The optimizer goes on when one that does not fit comes and goes. */
  CHECK_OK(add_matrix(opt, "scalar", &s, NULL, RVN_F32, 0, NULL));
  CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
  CHECK_STATUS(rvn_optimizer_override(opt, "scalar", "muon(0.1)"), RVN_ERR_SHAPE);
  CHECK_SAYS("'scalar' is []");
  CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
  rvn_optimizer_destroy(opt);
}

static void rows_are_refused(void) {
  rvn_optimizer *opt = create("muon(0.02); table: adam(0.1)");
  static float w[12], t[12], g[12];
  const int64_t shape[] = {4, 3}, rows[] = {1};
  NOTE("rows");
  fill_random(w, 12, 1), fill_random(g, 12, 1);
  CHECK_OK(add_matrix(opt, "w", w, g, RVN_F32, 2, shape));
  CHECK_OK(add_matrix(opt, "table", t, g, RVN_F32, 2, shape));
  CHECK_STATUS(rvn_optimizer_step_rows(opt, 0, rows, 1, g, NULL), RVN_ERR_UNSUPPORTED);
  CHECK_SAYS("muon steps 'w' as a whole matrix");
  CHECK_OK(rvn_optimizer_step_rows(opt, 1, rows, 1, g, NULL));
  CHECK(t[3] != 0 && t[0] == 0);
  CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
  rvn_optimizer_destroy(opt);
}

/* A shape whose workspace no machine has is out of memory, and nothing worse. */
static void immense(void) {
  static const int64_t forms[][2] = {{1, (int64_t)1 << 55}, {(int64_t)1 << 55, 1}, {(int64_t)1 << 27, (int64_t)1 << 27}};
  size_t i;
  for (i = 0; i < 3; i++) {
    rvn_optimizer *opt = create("muon");
    float x = 0;
    NOTE("immense %lu", (unsigned long)i);
    CHECK_OK(add_matrix(opt, "w", &x, NULL, RVN_F32, 2, forms[i]));
    CHECK_STATUS(rvn_optimizer_prepare(opt), RVN_ERR_MEMORY);
    rvn_optimizer_destroy(opt);
  }
}

/* ---- numbers ---- */

/* Edges: nothing in a matrix, zeros, what is not a number. */
static void edges(void) {
  const int64_t none[] = {0, 5}, also[] = {3, 0}, shape[] = {2, 3};
  rvn_optimizer *opt = create("muon(0.1, weight_decay=0)");
  rvn_step_report r = blank();
  float x = 0, w[6] = {1, 2, 3, 4, 5, 6}, g[6] = {0}, v[6] = {0}, gv[6] = {1, 2, 3, 4, 5, 6};
  double t;
  int i;
  NOTE("edges");
  CHECK_OK(add_matrix(opt, "none", &x, &x, RVN_F32, 2, none));
  CHECK_OK(add_matrix(opt, "also", &x, &x, RVN_F32, 2, also));
  CHECK_OK(add_matrix(opt, "w", w, g, RVN_F32, 2, shape));
  CHECK_OK(add_matrix(opt, "v", v, gv, RVN_F32, 2, shape));
  CHECK_OK(rvn_optimizer_step(opt, NULL, &r));
  CHECK(r.step == 1 && fabs(r.grad_norm - sqrt(91)) < 1e-12 && r.update_norm > 0);
  for (i = 0; i < 6; i++) CHECK(w[i] == (float)(i + 1) && v[i] != 0);
  CHECK_OK(rvn_optimizer_read(opt, 0, "step", RVN_F64, &t, 1));
  CHECK(t == 1);
  g[4] = NAN;
  CHECK_OK(rvn_optimizer_step(opt, NULL, &r));
  CHECK(r.nonfinite == 1 && isnan(r.grad_norm) && isnan(r.update_norm));
  for (i = 0; i < 6; i++) CHECK(isnan(w[i]) && !isnan(v[i]));
  rvn_optimizer_destroy(opt);
}

/* A matrix of orthogonal rows keeps its directions: each step is lr in size, by its shape. */
static void known(void) {
  rvn_optimizer *opt = create("muon(1, weight_decay=0, ns_steps=20, ns_a=1.875, ns_b=-1.25, ns_c=0.375)");
  float w[8] = {0}, g[8] = {3, 0, 0, 0, 0, -0.5f, 0, 0}, u[8] = {0}, gu[8] = {2, 0, 0, -1};
  const int64_t wide[] = {2, 4}, tall[] = {4, 2};
  int i;
  NOTE("known");
  CHECK_OK(add_matrix(opt, "w", w, g, RVN_F32, 2, wide));
  CHECK_OK(add_matrix(opt, "u", u, gu, RVN_F32, 2, tall));
  CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
  for (i = 0; i < 8; i++) {
    float sign = i == 0 ? -1 : i == 5 ? 1 : 0, other = i == 0 ? -1 : i == 3 ? 1 : 0;
    CHECK(fabsf(w[i] - sign) < 1e-5f);
    CHECK(fabsf(u[i] - other * sqrtf(2)) < 1e-5f);
  }
  rvn_optimizer_destroy(opt);
}

/* More axes are a matrix: the first by the others, or the others by the last. */
static void more_axes(void) {
  static float a[48], b[48], g[48];
  const int64_t axes[] = {4, 3, 2, 2}, first[] = {4, 12}, last[] = {24, 2};
  int form;
  for (form = 0; form < 2; form++) {
    rvn_optimizer *opt = create(form ? "muon(0.1, compat=optax)" : "muon(0.1)");
    NOTE("more axes %d", form);
    fill_random(a, 48, 1), fill_random(g, 48, 1), memcpy(b, a, sizeof b);
    CHECK_OK(add_matrix(opt, "a", a, g, RVN_F32, 4, axes));
    CHECK_OK(add_matrix(opt, "b", b, g, RVN_F32, 2, form ? last : first));
    CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
    CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
    CHECK_BYTES(a, b, sizeof a);
    /* It may be turned while it trains. */
    CHECK_OK(rvn_optimizer_override(opt, "a, b", form ? "compat=torch" : "compat=optax"));
    CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
    rvn_optimizer_destroy(opt);
  }
}

/* ---- the same bytes ---- */

static void tensor_by_tensor(void) {
  rvn_options o = threads_of(2);
  rvn_optimizer *opt;
  const char *recipe = "clip_value(0.5) | muon(0.02) | ema(0.9) | project(l2, radius=1); w4: adam(0.1)";
  rvn_step_report whole = blank(), part = blank(), sum = blank();
  int i;
  NOTE("tensor by tensor");
  if (!(opt = open_with(recipe, &o))) return;
  steps(opt, 0, 1, &whole);
  wanted = now;
  rvn_optimizer_destroy(opt);
  if (!(opt = open_with(recipe, &o))) return;
  CHECK_OK(rvn_optimizer_begin_step(opt));
  for (i = TENSORS - 1; i >= 0; i--) CHECK_OK(rvn_optimizer_step_tensor(opt, (size_t)i, NULL, &part));
  CHECK_OK(rvn_optimizer_end_step(opt, &sum));
  CHECK_BYTES(&now, &wanted, sizeof now);
  CHECK(sum.step == 1 && fabs(sum.grad_norm - whole.grad_norm) < 1e-12 * whole.grad_norm);
  CHECK(fabs(sum.update_norm - whole.update_norm) < 1e-12 * whole.update_norm);
  rvn_optimizer_destroy(opt);
}

/* accumulate(2) of halves is a step of the whole; a missing gradient leaves a matrix alone. */
static void windows_and_gaps(void) {
  rvn_options o = threads_of(2);
  rvn_optimizer *opt;
  rvn_step_report r = blank();
  rvn_step_input in;
  const void *list[TENSORS] = {NULL};
  size_t k;
  NOTE("windows and gaps");
  if (!(opt = open_with("accumulate(2) | muon(0.02)", &o))) return;
  fill(&grads, 1);
  CHECK_OK(rvn_optimizer_step(opt, NULL, &r));
  CHECK(r.skipped == 2);
  CHECK_BYTES(&now, &start, sizeof now);
  CHECK_OK(rvn_optimizer_step(opt, NULL, &r));
  CHECK(r.skipped == 0);
  wanted = now;
  rvn_optimizer_destroy(opt);
  if (!(opt = open_with("muon(0.02)", &o))) return;
  CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
  CHECK_BYTES(&now, &wanted, sizeof now); /* (g + g) / 2 */
  list[1] = grads.f32[1];
  memset(&in, 0, sizeof in);
  in.struct_size = sizeof in, in.grads = list, in.grad_count = TENSORS;
  CHECK_OK(rvn_optimizer_step(opt, &in, &r));
  CHECK(memcmp(now.f32[1], wanted.f32[1], count(1) * 2) != 0);
  for (k = 0; k < TENSORS; k++)
    if (k != 1) CHECK_BYTES(now.f32[k], wanted.f32[k], sizeof now.f32[k]);
  rvn_optimizer_destroy(opt);
}

/* The workspace is that of the largest matrix, and the dry run tells it. */
static void workspace(void) {
  rvn_options o = threads_of(1);
  rvn_optimizer *opt = open_with("muon(0.02); w0: adamw(1e-3); w2: frozen", &o);
  char one[8000], two[8000], *at;
  long small, large;
  NOTE("workspace");
  if (!opt) return;
  CHECK_OK(rvn_optimizer_plan(opt, one, sizeof one, NULL));
  CHECK((at = strstr(one, "1: matrices, one after another: direction, then products, in ")) != NULL);
  small = at ? strtol(strstr(at, "in ") + 3, NULL, 10) : 0;
  CHECK(strstr(one, "2 phases over memory") != NULL && strstr(one, "host") == NULL);
  CHECK_OK(rvn_optimizer_override(opt, "w0", "muon(0.02)"));
  CHECK_OK(rvn_optimizer_plan(opt, two, sizeof two, NULL));
  at = strstr(two, "then products, in ");
  large = at ? strtol(strstr(at, "in ") + 3, NULL, 10) : 0;
  CHECK(small > 70 * 13 * 8 && large > 40 * 50 * 8 && large > small);
  rvn_optimizer_destroy(opt);
}

/* More threads than there were at prepare find the memory that was made then. */
static void more_threads_later(void) {
  rvn_options o = threads_of(-1);
  rvn_optimizer *opt;
  NOTE("more threads later");
  fill(&grads, 1);
  CHECK_OK(rvn_set_threads(1));
  if (!(opt = open_with("muon(0.02)", &o))) return;
  CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
  CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
  wanted = now;
  rvn_optimizer_destroy(opt);
  if (!(opt = open_with("muon(0.02)", &o))) return;
  CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
  CHECK_OK(rvn_set_threads(16));
  CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
  CHECK_BYTES(&now, &wanted, sizeof now);
  rvn_optimizer_destroy(opt);
  CHECK_OK(rvn_set_threads(0));
}

/* ---- the host ---- */

typedef struct blas {
  long calls, fail_at;
} blas;
static int32_t product(void *user, int32_t ta, int32_t tb, size_t m, size_t n, size_t k, float alpha,
                       const float *a, size_t lda, const float *b, size_t ldb, float beta, float *c,
                       size_t ldc) {
  blas *own = user;
  size_t i, j, l;
  if (++own->calls == own->fail_at) return 7;
  CHECK(lda >= (ta ? m : k) && ldb >= (tb ? k : n) && ldc >= n && (ta | 1) == 1 && (tb | 1) == 1);
  for (i = 0; i < m; i++) {
    for (j = 0; j < n; j++) {
      double sum = 0;
      for (l = 0; l < k; l++)
        sum += (double)(ta ? a[l * lda + i] : a[i * lda + l]) * (tb ? b[j * ldb + l] : b[l * ldb + j]);
      c[i * ldc + j] = (float)(alpha * sum + (beta == 0 ? 0 : beta * (double)c[i * ldc + j]));
    }
  }
  return 0;
}

static void products_of_the_host(void) {
  rvn_options o = threads_of(2), own = threads_of(2);
  blas b = {0, 0};
  rvn_optimizer *opt;
  char text[8000];
  size_t k;
  NOTE("products of the host");
  if (!(opt = open_with("muon(0.02)", &own))) return;
  fill(&grads, 1);
  CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
  wanted = now;
  rvn_optimizer_destroy(opt);
  o.product = product, o.product_user = &b;
  if (!(opt = open_with("muon(0.02)", &o))) return;
  CHECK_OK(rvn_optimizer_plan(opt, text, sizeof text, NULL));
  CHECK(strstr(text, "the host's product, with which bytes may differ") != NULL);
  CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
  CHECK(b.calls == 15 * (TENSORS - 1)); /* not for the one of 64-bit floats */
  for (k = 0; k < 2000; k++) CHECK(fabsf(now.f32[0][k] - wanted.f32[0][k]) < 1e-5f);
  CHECK_BYTES(now.f64[2], wanted.f64[2], sizeof now.f64[2]);
  /* One that fails leaves a handle that is good for load alone. */
  b.fail_at = b.calls + 20;
  CHECK_STATUS(rvn_optimizer_step(opt, NULL, NULL), RVN_ERR_CALLBACK);
  CHECK_SAYS("product of matrices returned 7");
  CHECK_STATUS(rvn_optimizer_step(opt, NULL, NULL), RVN_ERR_STATE);
  rvn_optimizer_destroy(opt);
}

int main(void) {
  fill(&start, 0), fill(&grads, 1);
  vectors_need_another_rule();
  rows_are_refused();
  immense();
  edges();
  known();
  more_axes();
  threads_and_reports(recipes, RECIPES);
  tensor_by_tensor();
  save_and_load(recipes, RECIPES);
  windows_and_gaps();
  any_allocation_may_fail(recipes[2]);
  workspace();
  more_threads_later();
  products_of_the_host();
  any_pass_may_break_off("muon(0.02)", 11);
  rvn_shutdown();
  return finish();
}
