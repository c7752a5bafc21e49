/* Checks of a function on demand, wrongly used, with callbacks and memory that fail, and in any
 * floating-point mode: a status, a sentence, and every parameter back where it was. */
#include "problem.h"

#include <float.h>

static rvn_gradient_check all;
static rvn_hessian_extremes_result extremes;
static double losses[9];

/* One of the three checks of a function. */
static rvn_status run(int which, const rvn_function *it) {
  rvn_check_gradient_options g = gradient_options();
  rvn_hessian_options h = hessian_options();
  rvn_loss_slice_options s = slice_options(3, 3);
  all.struct_size = sizeof all, extremes.struct_size = sizeof extremes;
  g.directions = which == 3;
  s.vectors = 1;
  if (which == 1) return rvn_hessian_extremes(it, &h, &extremes);
  if (which == 2) return rvn_loss_slice(it, &s, losses);
  return rvn_check_gradient(it, &g, &all, NULL);
}
enum { CHECKS = 4 };

/* The n-th call of the function fails, for every n. */
static void callbacks_fail(void) {
  static const int codes[][2] = {{5, RVN_ERR_CALLBACK}, {-1, RVN_ERR_CALLBACK},
                                 {RVN_ERR_CANCELLED, RVN_ERR_CANCELLED}};
  host h;
  int which, k, n;
  for (which = 0; which < CHECKS; which++) {
    for (k = 0; k < 3; k++) {
      for (n = 1;; n++) {
        rvn_function it = function(&h);
        rvn_status status;
        h.fail_at = n, h.code = codes[k][0];
        NOTE("check %d, call %d fails", which, n);
        status = run(which, &it);
        unmoved();
        if (h.calls < n) break; /* it was over before */
        CHECK_STATUS(status, codes[k][1]);
        CHECK_SAYS(k == 2 ? "asked to stop" : "the loss function returned");
        CHECK(h.calls == n);
      }
      CHECK(n > 9);
    }
  }
  NOTE("%s", "");
}

static void memory_fails(int for_good) {
  failing memory;
  rvn_options o = failing_options(&memory, 0);
  host h;
  int which;
  long n;
  memory.for_good = for_good;
  for (which = 0; which < CHECKS; which++) {
    for (n = 1;; n++) {
      rvn_function it = function(&h);
      rvn_status status;
      it.host = &o;
      memory.calls = 0, memory.failures = 0, memory.fail_at = n;
      NOTE("check %d, allocation %ld fails", which, n);
      status = run(which, &it);
      unmoved();
      CHECK(memory.live == 0);
      if (memory.failures == 0) break;
      CHECK_STATUS(status, RVN_ERR_MEMORY);
    }
    CHECK(n > 4);
  }
  NOTE("%s", "");
  failing_done(&memory);
}

/* The function runs in the mode of its host, the check in the default one. */
static void modes(void) {
  static const int rounding[] = {FE_TONEAREST, FE_DOWNWARD, FE_UPWARD, FE_TOWARDZERO};
  host h;
  size_t i;
  int which;
  double first[9];
  for (i = 0; i < 4; i++) {
    for (which = 0; which < CHECKS; which++) {
      rvn_function it = function(&h);
      h.spoil = IN_MODE, wanted_mode = rounding[i];
      fesetround(rounding[i]);
      CHECK_OK(run(which, &it));
      CHECK(fegetround() == rounding[i]);
      fesetround(FE_TONEAREST);
      unmoved();
    }
    if (i == 0) memcpy(first, losses, sizeof first);
    CHECK(near(losses[0], first[0], 1e-12)); /* the function's own rounding differs, no more */
  }
}

static void refuses(const rvn_function *it, rvn_status code, const char *part) {
  int which;
  for (which = 0; which < CHECKS; which++) {
    NOTE("check %d, %s", which, part);
    if (CHECK_STATUS(run(which, it), code)) CHECK_SAYS(part);
  }
  NOTE("%s", "");
}

static void wrong_functions(void) {
  host h;
  rvn_function it = function(&h);
  rvn_options o;
#define REFUSES(change, code, part) it = function(&h), change, refuses(&it, code, part)
  refuses(NULL, RVN_ERR_ARGUMENT, "function is NULL");
  REFUSES(it.struct_size = 8, RVN_ERR_ARGUMENT, "sizeof(rvn_function)");
  REFUSES(it.loss = NULL, RVN_ERR_ARGUMENT, "rvn_function.loss is NULL");
  REFUSES(it.tensors = NULL, RVN_ERR_ARGUMENT, "rvn_function.tensors is NULL");
  REFUSES(it.tensor_count = SIZE_MAX, RVN_ERR_ARGUMENT, "more than memory can hold");
  REFUSES(it.tensor_count = 0, RVN_ERR_ARGUMENT, "there is no tensor");
  REFUSES(tensors[0].struct_size = 0, RVN_ERR_ARGUMENT, "rvn_tensor.struct_size is 0");
  REFUSES(tensors[1].struct_size = 7, RVN_ERR_ARGUMENT, "rvn_tensor.struct_size is 7");
  REFUSES(tensors[1].name = NULL, RVN_ERR_ARGUMENT, "tensor.name is NULL");
  REFUSES(tensors[1].data = NULL, RVN_ERR_ARGUMENT, "tensor 'b': data is NULL");
  REFUSES(tensors[1].dtype = RVN_F16, RVN_ERR_TYPE, "tensor 'b': dtype is F16");
  REFUSES((tensors[1].grad_dtype = RVN_BF16), RVN_ERR_TYPE, "tensor 'b': grad_dtype is BF16");
  REFUSES(tensors[1].dtype = 9, RVN_ERR_TYPE, "dtype 9");
  REFUSES(tensors[1].rank = 9, RVN_ERR_SHAPE, "rank is 9");
  REFUSES(tensors[1].reserved = 1, RVN_ERR_ARGUMENT, "rvn_tensor.reserved");
  REFUSES(b[2] = NAN, RVN_ERR_NONFINITE, "tensor 'b' is nan at index 2");
  REFUSES(h.spoil = MOVES, RVN_ERR_CALLBACK, "changed tensor 'w'");
  unmoved();
  REFUSES(h.spoil = NO_VALUE, RVN_ERR_NONFINITE, "the loss at the given parameters is nan");
  memset(&o, 0, sizeof o);
  REFUSES(it.host = &o, RVN_ERR_ARGUMENT, "rvn_options.struct_size");
#undef REFUSES
  it = function(&h), h.spoil = NO_GRADIENT;
  CHECK_STATUS(run(1, &it), RVN_ERR_NONFINITE);
  CHECK_SAYS("the gradient of tensor 'b' is nan at index 2");
  it = function(&h), tensors[0].grad = tensors[1].grad = NULL;
  CHECK_STATUS(run(0, &it), RVN_ERR_ARGUMENT);
  CHECK_SAYS("no tensor that has elements has a gradient array");
  CHECK_STATUS(run(1, &it), RVN_ERR_ARGUMENT);
  CHECK_OK(run(2, &it)); /* a slice needs none */
  unmoved();
}

static void wrong_options(void) {
  host h;
  rvn_function it = function(&h);
  rvn_check_gradient_options g;
  rvn_hessian_options e;
  rvn_loss_slice_options s;
  rvn_gradient_check before, small;
  double threshold = 7, room[N];
  void *one[] = {room, NULL};
  const void *directions[] = {room, b0};
#define REFUSES(expr, code, part) \
  if (CHECK_STATUS(expr, code)) CHECK_SAYS(part)
#define GRADIENT(change, part) \
  g = gradient_options(), change; \
  REFUSES(rvn_check_gradient(&it, &g, &all, NULL), RVN_ERR_ARGUMENT, part)
  memset(&all, 0, sizeof all), all.struct_size = sizeof all, before = all;
  GRADIENT(g.struct_size = 0, "sizeof(rvn_check_gradient_options)");
  GRADIENT(g.step = -1, "step is -1");
  GRADIENT(g.step = NAN, "step is nan");
  GRADIENT(g.tolerance = 1, "tolerance is 1");
  GRADIENT(g.entries = g.directions = 1, "entries and directions");
  REFUSES(rvn_check_gradient(&it, NULL, NULL, NULL), RVN_ERR_ARGUMENT, "result is NULL");
  small.struct_size = 4;
  REFUSES(rvn_check_gradient(&it, NULL, &all, &small), RVN_ERR_ARGUMENT, "rvn_gradient_check");
  REFUSES(rvn_check_gradient(&it, NULL, &small, NULL), RVN_ERR_ARGUMENT, "rvn_gradient_check");
  CHECK_BYTES(&all, &before, sizeof all);
#define HESSIAN(change, part) \
  e = hessian_options(), change; \
  REFUSES(rvn_hessian_extremes(&it, &e, &extremes), RVN_ERR_ARGUMENT, part)
  extremes.struct_size = sizeof extremes;
  HESSIAN(e.struct_size = 1, "sizeof(rvn_hessian_options)");
  HESSIAN(e.iterations = 1001, "iterations is 1001");
  HESSIAN(e.tolerance = -1, "tolerance is -1");
  HESSIAN(e.step = 2, "step is 2");
  HESSIAN(e.largest_vector = one, "eigenvector of tensor 'b' is NULL");
  HESSIAN(e.smallest_vector = one, "eigenvector of tensor 'b' is NULL");
  REFUSES(rvn_hessian_extremes(&it, NULL, NULL), RVN_ERR_ARGUMENT, "result is NULL");
  extremes.struct_size = 0;
  REFUSES(rvn_hessian_extremes(&it, NULL, &extremes), RVN_ERR_ARGUMENT, "struct_size is 0");
#define SLICE(change, code, part) \
  s = slice_options(3, 3), change; \
  REFUSES(rvn_loss_slice(&it, &s, losses), code, part)
  SLICE(s.struct_size = 1, RVN_ERR_ARGUMENT, "sizeof(rvn_loss_slice_options)");
  SLICE(s.points = 0, RVN_ERR_ARGUMENT, "points are 0 and 3");
  SLICE(s.points2 = SIZE_MAX, RVN_ERR_ARGUMENT, "points are 3 and");
  SLICE(s.low = 1, RVN_ERR_ARGUMENT, "low is 1 and high is 0");
  SLICE(s.high = INFINITY, RVN_ERR_ARGUMENT, "high is inf");
  SLICE(s.raw = 2, RVN_ERR_ARGUMENT, "raw is 2");
  SLICE(s.last_axis = -1, RVN_ERR_ARGUMENT, "last_axis is -1");
  SLICE(s.vectors = 3, RVN_ERR_ARGUMENT, "vectors is 3");
  SLICE(s.reserved = 1, RVN_ERR_ARGUMENT, "reserved is 1");
  SLICE((s.points2 = 0, s.direction2 = directions), RVN_ERR_ARGUMENT, "points2 is 0");
  SLICE((s.direction2 = (const void *const *)one, memset(room, 0, sizeof room)), RVN_ERR_ARGUMENT,
        "direction 2 of tensor 'b' is NULL");
  room[3] = INFINITY;
  SLICE(s.direction = directions, RVN_ERR_NONFINITE, "direction 1 of tensor 'w' is inf at index 3");
  REFUSES(rvn_loss_slice(&it, NULL, losses), RVN_ERR_ARGUMENT, "options is NULL");
  s = slice_options(3, 3);
  REFUSES(rvn_loss_slice(&it, &s, NULL), RVN_ERR_ARGUMENT, "losses is NULL");
  it.tensors = tensors + 1, it.tensor_count = 1;
  REFUSES(rvn_loss_slice(&it, &s, losses), RVN_ERR_ARGUMENT, "no tensor has two axes");
  unmoved();

  REFUSES(rvn_stability_threshold(NULL, 1, 0, &threshold), RVN_ERR_ARGUMENT, "momentum is NULL");
  REFUSES(rvn_stability_threshold("nestrov", 1, 0, &threshold), RVN_ERR_NAME, "did you mean 'nesterov'?");
  REFUSES(rvn_stability_threshold("average", 0, 0, &threshold), RVN_ERR_ARGUMENT, "lr is 0");
  REFUSES(rvn_stability_threshold("average", NAN, 0, &threshold), RVN_ERR_ARGUMENT, "lr is nan");
  REFUSES(rvn_stability_threshold("average", 1, 1, &threshold), RVN_ERR_ARGUMENT, "beta is 1");
  REFUSES(rvn_stability_threshold("average", 1, 0.5, NULL), RVN_ERR_ARGUMENT, "threshold is NULL");
  CHECK(threshold == 7);
#undef REFUSES
}

/* The arrays of a caller with a newer header: larger elements. */
static void larger_structs(void) {
  struct { rvn_tensor t; double more[2]; } wide[2];
  struct { rvn_gradient_check c; double more[3]; } each[2];
  host h;
  rvn_function it = function(&h);
  memset(each, 0, sizeof each), memset(wide, 0, sizeof wide);
  wide[0].t = tensors[0], wide[1].t = tensors[1];
  wide[0].t.struct_size = wide[1].t.struct_size = sizeof *wide;
  each[0].c.struct_size = sizeof *each, each[0].more[0] = 5;
  it.tensors = &wide[0].t;
  CHECK_OK(rvn_check_gradient(&it, NULL, &all, &each[0].c));
  CHECK(each[0].c.checked == N && each[1].c.checked == B && each[0].more[0] == 5);
  CHECK(each[1].c.struct_size == sizeof *each);
}

int main(void) {
  callbacks_fail();
  memory_fails(0), memory_fails(1);
  modes();
  wrong_functions();
  wrong_options();
  larger_structs();
  return finish();
}
