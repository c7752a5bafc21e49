/* A rule with moments by row and by column: what they are for tensors of every form, where they go, and
 * that every way to step them gives the same bytes. */
#define _GNU_SOURCE
#include <math.h>
#include <unistd.h>

#include "check.h"

enum { MOST = 9000, TENSORS = 10 };

/* Rows that cross blocks, blocks that hold rows, a row, a column, matrices across blocks and tiny ones,
 * a vector, single numbers. */
static const int64_t shapes[TENSORS][4] = {{40, 50}, {3, 1500}, {1, 1100}, {2000, 1}, {5, 7, 11},
                                           {6, 4, 3, 3}, {2, 1030, 2}, {1300}, {0}, {1, 1}};
static const int32_t ranks[TENSORS] = {2, 2, 2, 2, 3, 4, 3, 1, 0, 2};
static const int32_t types[TENSORS] = {RVN_F32, RVN_F64, RVN_BF16, RVN_F32, RVN_F64,
                                       RVN_F16, RVN_F32, RVN_F32, RVN_F64, RVN_F32};

#include "model.h"

static const char *const recipes[] = {
    "adafactor",
    "finite_guard | adafactor(0.02, beta1=0.9, weight_decay=0.1, compat=paper)",
    "clip_norm(1) | adafactor(0.1, beta1=0.5, moments=8bit, compat=optax) | cautious | ema(0.9)",
    "clip_unit(0.1) | clip_value(0.5) | adafactor(0.1, moments=bf16, beta1=0.9) | project(l2, radius=1) | kahan",
    "adafactor(0.1, scale_parameter=false) | lookahead(2) | master; w1, w4: lamb(0.01); w3: frozen; w0: muon(0.02)"};
enum { RECIPES = sizeof recipes / sizeof *recipes };

/* ---- state ---- */

/* Which arrays there are, how large, and what they hold after one step: the means of g^2. */
static void means(void) {
  rvn_options o = threads_of(2);
  rvn_optimizer *opt = open_with("adafactor", &o);
  char names[64];
  int i;
  NOTE("means");
  if (!opt) return;
  CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
  for (i = 0; i < TENSORS; i++) {
    int64_t shape[8] = {0};
    static double r[6000], c[6000], v[6000];
    size_t rank = (size_t)ranks[i], n = count(i), rows, columns, k;
    NOTE("means of w%d", i);
    CHECK_OK(rvn_optimizer_slots(opt, (size_t)i, names, sizeof names, NULL));
    CHECK(strcmp(names, rank < 2 ? "v" : "r,c") == 0);
    CHECK(slot_count(opt, (size_t)i, "step", shape, rank) == 1);
    if (rank < 2) {
      CHECK(slot_count(opt, (size_t)i, "v", shape, rank) == n);
      CHECK_OK(rvn_optimizer_read(opt, (size_t)i, "v", RVN_F64, v, n));
      for (k = 0; k < n && types[i] == RVN_F32; k++)
        CHECK(v[k] == grads.f32[i][k] * grads.f32[i][k]);
      continue;
    }
    rows = slot_count(opt, (size_t)i, "r", shape, rank);
    CHECK(shape[rank - 1] == 1 && shape[rank - 2] == shapes[i][rank - 2] && shape[0] == shapes[i][0]);
    columns = slot_count(opt, (size_t)i, "c", shape, rank);
    CHECK(shape[rank - 2] == 1 && shape[rank - 1] == shapes[i][rank - 1]);
    CHECK(rows == n / (size_t)shapes[i][rank - 1] && columns == n / (size_t)shapes[i][rank - 2]);
    CHECK_OK(rvn_optimizer_read(opt, (size_t)i, "r", RVN_F64, r, rows));
    CHECK_OK(rvn_optimizer_read(opt, (size_t)i, "c", RVN_F64, c, columns));
    if (types[i] != RVN_F32 && types[i] != RVN_F64) continue;
    for (k = 0; k < n; k++) {
      double g = types[i] == RVN_F64 ? grads.f64[i][k] : grads.f32[i][k];
      size_t width = (size_t)shapes[i][rank - 1], height = (size_t)shapes[i][rank - 2], row = k / width;
      r[row] -= g * g / (double)width;
      c[row / height * width + k % width] -= g * g / (double)height;
    }
    for (k = 0; k < rows; k++) CHECK(fabs(r[k]) < 1e-14);
    for (k = 0; k < columns; k++) CHECK(fabs(c[k]) < 1e-14);
  }
  rvn_optimizer_destroy(opt);
}

static void reading_and_writing(void) {
  rvn_optimizer *opt = create("adafactor(beta1=0.9)");
  float w[6] = {1, 2, 3, 4, 5, 6}, g[6] = {1, 1, 1, 1, 1, 1}, x[6] = {4, 9, 1, 1, 1, 1}, y[6];
  const int64_t form[] = {2, 3};
  int64_t shape[3];
  NOTE("reading and writing");
  CHECK_OK(add_matrix(opt, "w", w, g, RVN_F32, 2, form));
  CHECK_STATUS(rvn_optimizer_slot_shape(opt, 0, "r", shape, 2), RVN_ERR_STATE);
  CHECK_OK(rvn_optimizer_prepare(opt));
  CHECK_STATUS(rvn_optimizer_slot_shape(opt, 0, "v", shape, 2), RVN_ERR_NAME);
  CHECK_SAYS("it has m, r, c, step");
  CHECK_STATUS(rvn_optimizer_slot_shape(opt, 0, "r", shape, 3), RVN_ERR_ARGUMENT);
  CHECK_SAYS("rank is 3, but 'w' has 2 axes");
  CHECK_STATUS(rvn_optimizer_slot_shape(opt, 0, "r", NULL, 2), RVN_ERR_ARGUMENT);
  CHECK_STATUS(rvn_optimizer_slot_shape(opt, 0, NULL, shape, 2), RVN_ERR_ARGUMENT);
  CHECK_STATUS(rvn_optimizer_slot_shape(opt, 1, "r", shape, 2), RVN_ERR_ARGUMENT);
  CHECK_STATUS(rvn_optimizer_slot_shape(NULL, 0, "r", shape, 2), RVN_ERR_ARGUMENT);
  CHECK_STATUS(rvn_optimizer_write(opt, 0, "r", RVN_F32, x, 6), RVN_ERR_SHAPE);
  CHECK_SAYS("'r' of 'w' has 2 elements");
  CHECK_STATUS(rvn_optimizer_read(opt, 0, "c", RVN_F32, y, 2), RVN_ERR_SHAPE);
  CHECK_OK(rvn_optimizer_write(opt, 0, "r", RVN_F32, x, 2));
  CHECK_OK(rvn_optimizer_write(opt, 0, "c", RVN_F32, x, 3));
  CHECK_OK(rvn_optimizer_read(opt, 0, "r", RVN_F32, y, 2));
  CHECK(y[0] == 4 && y[1] == 9);
  CHECK_OK(rvn_optimizer_read(opt, 0, "c", RVN_F32, y, 3));
  CHECK(y[0] == 4 && y[1] == 9 && y[2] == 1);
  rvn_optimizer_destroy(opt);
}

/* The dry run: three passes, the arrays and their bytes; without matrices two passes. */
static void plan(void) {
  rvn_options o = threads_of(1);
  rvn_optimizer *opt = open_with("adafactor; w0: frozen", &o);
  char text[8000];
  float v[3] = {1, 2, 3}, g[3] = {1, 1, 1};
  NOTE("plan");
  if (!opt) return;
  CHECK_OK(rvn_optimizer_plan(opt, text, sizeof text, NULL));
  CHECK(strstr(text, "3 phases over memory\n  1: measure adafactor over rows and columns\n"
                     "  2: measure adafactor over each tensor\n  3: update\n") != NULL);
  CHECK(strstr(text, "w0 F32[40, 50]: frozen\n") != NULL);
  /* Doubles, padded to 16; of a vector one number for each element. */
  CHECK(strstr(text, "w1 F64[3, 1500]") != NULL && strstr(text, "state r c, 12160 bytes\n") != NULL);
  CHECK(strstr(text, "w2 BF16[1, 1100]") != NULL && strstr(text, "state r (F64) c (F64), 8960 bytes\n") != NULL);
  CHECK(strstr(text, "state v, 5248 bytes\n") != NULL);
  rvn_optimizer_destroy(opt);
  if (!(opt = open_with("clip_norm(1) | adafactor", &o))) return;
  CHECK_OK(rvn_optimizer_plan(opt, text, sizeof text, NULL));
  CHECK(strstr(text, "4 phases") != NULL);
  rvn_optimizer_destroy(opt);
  if (!(opt = open_with("finite_guard | adafactor", &o))) return;
  CHECK_OK(rvn_optimizer_plan(opt, text, sizeof text, NULL));
  CHECK(strstr(text, "1: measure finite_guard over all tensors, adafactor over rows and columns") != NULL);
  rvn_optimizer_destroy(opt);
  opt = create("adafactor");
  CHECK_OK(add(opt, "v", v, g, 3));
  CHECK_OK(rvn_optimizer_plan(opt, text, sizeof text, NULL));
  CHECK(strstr(text, "2 phases over memory\n  1: measure adafactor over each tensor\n") != NULL);
  CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
  CHECK(v[0] != 1);
  rvn_optimizer_destroy(opt);
}

/* ---- what is refused, and what is nothing ---- */

static void rows_are_refused(void) {
  rvn_optimizer *opt = create("adafactor; table: adam(0.1)");
  static float w[12], t[12], g[12];
  const int64_t shape[] = {4, 3}, rows[] = {1};
  NOTE("rows");
  fill_random(w, 12, 1), fill_random(g, 12, 1);
  CHECK_OK(add_matrix(opt, "w", w, g, RVN_F32, 2, shape));
  CHECK_OK(add_matrix(opt, "table", t, g, RVN_F32, 2, shape));
  CHECK_STATUS(rvn_optimizer_step_rows(opt, 0, rows, 1, g, NULL), RVN_ERR_UNSUPPORTED);
  CHECK_SAYS("adafactor measures the whole of 'w'");
  CHECK_OK(rvn_optimizer_step_rows(opt, 1, rows, 1, g, NULL));
  CHECK(t[3] != 0 && t[0] == 0);
  CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
  rvn_optimizer_destroy(opt);
}

static void edges(void) {
  const int64_t none[] = {0, 5}, also[] = {3, 0}, shape[] = {2, 3};
  rvn_optimizer *opt = create("adafactor(0.1)");
  rvn_step_report r = blank();
  float x = 0, w[6] = {1, 2, 3, 4, 5, 6}, g[6] = {0}, v[6] = {0}, gv[6] = {1, 2, 3, 0, 0, 0};
  char text[64];
  int i;
  NOTE("edges");
  CHECK_OK(add_matrix(opt, "none", &x, &x, RVN_F32, 2, none));
  CHECK_OK(add_matrix(opt, "also", &x, &x, RVN_F32, 2, also));
  CHECK_OK(add_matrix(opt, "w", w, g, RVN_F32, 2, shape));
  CHECK_OK(add_matrix(opt, "v", v, gv, RVN_F32, 2, shape));
  CHECK_OK(rvn_optimizer_step(opt, NULL, &r));
  CHECK_OK(rvn_optimizer_slots(opt, 0, text, sizeof text, NULL));
  CHECK(strcmp(text, "v") == 0); /* without elements it has no rows either */
  CHECK(r.step == 1 && fabs(r.grad_norm - sqrt(14)) < 1e-12 && r.update_norm > 0);
  for (i = 0; i < 6; i++) CHECK(w[i] == (float)(i + 1) && (v[i] != 0) == (i < 3));
  g[4] = NAN;
  CHECK_OK(rvn_optimizer_step(opt, NULL, &r));
  CHECK(r.nonfinite == 1 && isnan(r.grad_norm) && isnan(r.update_norm));
  for (i = 0; i < 6; i++) CHECK(isnan(w[i]) && !isnan(v[i]));
  rvn_optimizer_destroy(opt);
}

static void immense(void) {
  static const int64_t forms[][2] = {{1, (int64_t)1 << 55}, {(int64_t)1 << 55, 1}, {(int64_t)1 << 27, (int64_t)1 << 28}};
  size_t i;
  for (i = 0; i < 3; i++) {
    rvn_optimizer *opt = create("adafactor");
    float x = 0;
    NOTE("immense %lu", (unsigned long)i);
    CHECK_OK(add_matrix(opt, "w", &x, NULL, RVN_F32, 2, forms[i]));
    CHECK_STATUS(rvn_optimizer_prepare(opt), RVN_ERR_MEMORY);
    rvn_optimizer_destroy(opt);
  }
}

/* A step that a guard skips leaves the moments alone; so does a tensor without a gradient. */
static void skipped(void) {
  rvn_options o = threads_of(2);
  rvn_optimizer *opt = open_with("finite_guard | adafactor", &o);
  rvn_step_report report = blank();
  rvn_step_input in;
  const void *list[TENSORS] = {NULL};
  static double before[2000], after[2000];
  float kept = grads.f32[0][7];
  int i;
  NOTE("skipped");
  if (!opt) return;
  CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
  CHECK_OK(rvn_optimizer_read(opt, 3, "r", RVN_F64, before, 2000));
  wanted = now;
  grads.f32[0][7] = INFINITY;
  CHECK_OK(rvn_optimizer_step(opt, NULL, &report));
  CHECK(report.skipped == 1 && report.nonfinite == 1);
  CHECK_OK(rvn_optimizer_read(opt, 3, "r", RVN_F64, after, 2000));
  CHECK_BYTES(before, after, sizeof after);
  CHECK_BYTES(&now, &wanted, sizeof now);
  grads.f32[0][7] = kept;
  list[6] = grads.f32[6], list[7] = grads.f32[7];
  memset(&in, 0, sizeof in);
  in.struct_size = sizeof in, in.grads = list, in.grad_count = TENSORS;
  CHECK_OK(rvn_optimizer_step(opt, &in, NULL));
  CHECK_OK(rvn_optimizer_read(opt, 3, "r", RVN_F64, after, 2000));
  CHECK_BYTES(before, after, sizeof after);
  for (i = 0; i < TENSORS; i++) {
    int same = memcmp(now.f32[i], wanted.f32[i], sizeof now.f32[i]) == 0;
    CHECK(same == (i != 6 && i != 7));
  }
  rvn_optimizer_destroy(opt);
}

/* ---- the same bytes ---- */

static void tensor_by_tensor(void) {
  rvn_options o = threads_of(2);
  rvn_optimizer *opt;
  const char *recipe = "clip_value(0.5) | adafactor(0.1, beta1=0.9) | ema(0.9) | project(l2, radius=1); w4: adam(0.1)";
  rvn_step_report whole = blank(), part = blank(), sum = blank();
  int i, step;
  NOTE("tensor by tensor");
  if (!(opt = open_with(recipe, &o))) return;
  steps(opt, 0, 3, &whole);
  wanted = now;
  rvn_optimizer_destroy(opt);
  if (!(opt = open_with(recipe, &o))) return;
  for (step = 0; step < 3; step++) {
    random_state = 77 + (uint64_t)step;
    fill(&grads, 1);
    CHECK_OK(rvn_optimizer_begin_step(opt));
    for (i = TENSORS - 1; i >= 0; i--) CHECK_OK(rvn_optimizer_step_tensor(opt, (size_t)i, NULL, &part));
    CHECK_OK(rvn_optimizer_end_step(opt, &sum));
  }
  CHECK_BYTES(&now, &wanted, sizeof now);
  CHECK(sum.step == 3 && fabs(sum.grad_norm - whole.grad_norm) < 1e-12 * whole.grad_norm);
  rvn_optimizer_destroy(opt);
}

/* accumulate(2) of halves is a step of the whole; sam steps from where it was. */
static void windows(void) {
  rvn_options o = threads_of(2);
  rvn_optimizer *opt;
  NOTE("windows");
  if (!(opt = open_with("accumulate(2) | adafactor", &o))) return;
  fill(&grads, 1);
  CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
  CHECK_BYTES(&now, &start, sizeof now);
  CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
  wanted = now;
  rvn_optimizer_destroy(opt);
  if (!(opt = open_with("adafactor", &o))) return;
  CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
  CHECK_BYTES(&now, &wanted, sizeof now); /* (g + g) / 2 */
  rvn_optimizer_destroy(opt);
  if (!(opt = open_with("sam(0.1) | adafactor", &o))) return;
  CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
  CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
  CHECK_BYTES(&now, &wanted, sizeof now); /* the same gradient there */
  rvn_optimizer_destroy(opt);
}

/* Tensors that come and go, and rules that change, leave the moments of the others. */
static void coming_and_going(void) {
  rvn_options o = threads_of(2);
  rvn_optimizer *opt = open_with("adafactor", &o);
  static double before[2000], after[2000];
  float w[6] = {1, 2, 3, 4, 5, 6}, g[6] = {1, 2, 1, 1, 3, 1};
  const int64_t form[] = {2, 3};
  NOTE("coming and going");
  if (!opt) return;
  fill(&grads, 1);
  CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
  CHECK_OK(rvn_optimizer_read(opt, 3, "r", RVN_F64, before, 2000));
  CHECK_OK(add_matrix(opt, "new", w, g, RVN_F32, 2, form));
  CHECK_OK(rvn_optimizer_remove(opt, 1));
  CHECK_OK(rvn_optimizer_override(opt, "w0", "adam(0.1)"));
  CHECK_OK(rvn_optimizer_override(opt, "w5", "beta1=0.9"));
  CHECK_OK(rvn_optimizer_read(opt, 3, "r", RVN_F64, after, 2000));
  CHECK_BYTES(before, after, sizeof after);
  CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
  CHECK(w[0] != 1);
  CHECK_OK(rvn_optimizer_override(opt, "w0", "adafactor"));
  CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
  rvn_optimizer_destroy(opt);
}

int main(void) {
  fill(&start, 0), fill(&grads, 1);
  means();
  reading_and_writing();
  plan();
  rows_are_refused();
  edges();
  immense();
  skipped();
  threads_and_reports(recipes, RECIPES);
  tensor_by_tensor();
  save_and_load(recipes, RECIPES);
  windows();
  coming_and_going();
  any_allocation_may_fail(recipes[2]);
  any_pass_may_break_off("adafactor", 3);
  rvn_shutdown();
  return finish();
}
