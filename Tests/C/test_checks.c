/* Checks of a function on demand, from C, on functions with known answers. */
#include "problem.h"

/* The bytes of a slice, as every machine makes them. */
#define SLICE_BYTES 0x48a1a12da786a66bu

/* ---- gradients ---- */

static void gradients(void) {
  host h;
  rvn_function it = function(&h);
  rvn_check_gradient_options o = gradient_options();
  rvn_gradient_check all, each[2];
  all.struct_size = sizeof all, each[0].struct_size = sizeof *each;

  CHECK_OK(rvn_check_gradient(&it, NULL, &all, each));
  CHECK(all.outcome == RVN_GRADIENT_KINK && all.checked == N + B);
  CHECK(all.kinks == 1 && all.mistakes == 0 && all.unresolved == 0);
  CHECK(all.tensor == 1 && all.index == 0);
  CHECK(near(all.backward, -1, 1e-3) && near(all.forward, 1, 1e-3));
  CHECK(each[0].outcome == RVN_GRADIENT_CORRECT && each[0].checked == N);
  CHECK(each[1].struct_size == sizeof *each && each[1].kinks == 1);
  CHECK(near(each[0].cosine, 1, 1e-9) && near(each[0].ratio, 1, 1e-9));
  CHECK(all.repeated == 0 && all.noise > 0 && all.noise < 1e-13);
  CHECK(all.evaluations == (uint64_t)h.calls);
  unmoved();

  h.wrong = 1;
  CHECK_OK(rvn_check_gradient(&it, &o, &all, NULL));
  CHECK(all.outcome == RVN_GRADIENT_MISTAKE && all.mistakes == 1);
  CHECK(all.tensor == 0 && all.index == 5);
  CHECK(near(all.numeric, curvature[5] * w[5], 1e-8));
  CHECK(near(all.analytic, 1.01 * curvature[5] * w[5], 1e-12));
  CHECK(near(all.relative_error, 0.01 / 1.01, 1e-6) && all.error < 1e-7);
  unmoved();

  o.directions = 4;
  CHECK_OK(rvn_check_gradient(&it, &o, &all, each));
  CHECK(each[0].outcome == RVN_GRADIENT_MISTAKE && each[0].mistakes == 4 && all.checked == 8);
  CHECK(all.tensor == 0 && all.index == -1 && each[1].mistakes == 0);
  unmoved();

  h.wrong = 0, o.directions = 0, o.entries = 5;
  CHECK_OK(rvn_check_gradient(&it, &o, &all, each));
  CHECK(each[0].checked == 5 && each[1].checked == B && each[0].mistakes == 0);
  h.spoil = ROUNDS; /* a loss in 32-bit floats is judged as one */
  CHECK_OK(rvn_check_gradient(&it, NULL, &all, each));
  CHECK(all.mistakes == 0 && all.noise > 1e-7);
  h.wrong = 1;
  CHECK_OK(rvn_check_gradient(&it, NULL, &all, NULL));
  CHECK(all.mistakes == 1 && all.index == 5);
  h.wrong = 0, h.spoil = RANDOM;
  CHECK_OK(rvn_check_gradient(&it, NULL, &all, NULL));
  CHECK(all.mistakes == 0 && all.kinks == 1 && all.unresolved > N / 2);
  CHECK(all.repeated >= 1e-3 * 0.99);
  h.spoil = NO_GRADIENT;
  CHECK_OK(rvn_check_gradient(&it, NULL, &all, NULL));
  CHECK(all.outcome == RVN_GRADIENT_MISTAKE && all.tensor == 1 && all.index == 2);
  CHECK(all.analytic != all.analytic && near(all.numeric, -1, 1e-3));
  CHECK(isinf(all.relative_error));
  o.entries = 0, o.directions = 2;
  CHECK_OK(rvn_check_gradient(&it, &o, &all, NULL));
  CHECK(all.outcome == RVN_GRADIENT_MISTAKE && all.tensor == 1 && all.index == 2);
  h.spoil = 0, tensors[0].grad = NULL; /* held fast */
  CHECK_OK(rvn_check_gradient(&it, NULL, &all, each));
  CHECK(all.checked == B && each[0].checked == 0 && each[0].index == -1);
  unmoved();
}

/* ---- curvature ---- */

static void hessian(void) {
  host h;
  rvn_function it = function(&h);
  rvn_hessian_options o = hessian_options();
  rvn_hessian_extremes_result r;
  double largest[N], smallest[N], p[N], threshold = 0;
  float small_b[B];
  void *high[] = {largest, small_b}, *low[] = {smallest, small_b};
  const void *scales[] = {p, NULL};
  int i;
  r.struct_size = sizeof r;
  tensors[1].grad = NULL;
  o.largest_vector = high, o.smallest_vector = low, o.tolerance = 1e-8;
  CHECK_OK(rvn_hessian_extremes(&it, &o, &r));
  CHECK(r.converged == 1 && r.iterations <= N && r.evaluations == 1 + 2 * r.iterations);
  CHECK(near(r.largest, 25, 1e-8) && near(r.smallest, -2, 1e-8));
  CHECK(r.asymmetry < 1e-6 && r.bytes <= sizeof w + sizeof b + 8 * N * (N + 1));
  CHECK(near(fabs(largest[11]), 1, 1e-6) && near(fabs(smallest[0]), 1, 1e-6));
  unmoved();

  o.iterations = 3; /* too few: told */
  CHECK_OK(rvn_hessian_extremes(&it, &o, &r));
  CHECK(r.converged == 0 && r.iterations == 3 && r.largest_residual > 1e-6);
  CHECK(r.largest <= 25 + 1e-6 && r.largest >= 25 - r.largest_residual);

  for (i = 0; i < N; i++) p[i] = i == 11 ? 100 : 2;
  o = hessian_options(), o.preconditioner = scales, o.tolerance = 1e-8;
  CHECK_OK(rvn_hessian_extremes(&it, &o, &r));
  CHECK(near(r.largest, 3.5, 1e-8) && near(r.smallest, -1, 1e-8));
  p[4] = 0;
  CHECK_STATUS(rvn_hessian_extremes(&it, &o, &r), RVN_ERR_ARGUMENT);
  CHECK_SAYS("preconditioner of tensor 'w' is 0 at index 4");
  scales[0] = NULL;
  CHECK_STATUS(rvn_hessian_extremes(&it, &o, &r), RVN_ERR_ARGUMENT);
  CHECK_SAYS("preconditioner of tensor 'w' is NULL");
  unmoved();

  CHECK_OK(rvn_stability_threshold("heavy_ball", 0.1, 0, &threshold));
  CHECK(near(threshold, 20, 1e-15));
  CHECK_OK(rvn_stability_threshold("nesterov", 0.1, 0.9, &threshold));
  CHECK(near(threshold, 38 / 2.8, 1e-15));
  CHECK_OK(rvn_stability_threshold("average", 0.001, 0.9, &threshold));
  CHECK(near(threshold, 38000, 1e-12));
}

/* ---- slices ---- */

static void slices(void) {
  host h;
  rvn_function it = function(&h);
  rvn_loss_slice_options o = slice_options(5, 0);
  double losses[15], center, d[N], again[15];
  float db[B] = {0, 0, 0};
  const void *given[] = {d, db};
  uint64_t hash = 14695981039346656037u;
  int i;
  memset(d, 0, sizeof d), d[1] = 2;
  CHECK(f(&h, 0, &center) == 0);

  o.direction = given, o.raw = 1;
  CHECK_OK(rvn_loss_slice(&it, &o, losses));
  CHECK(losses[2] == center);
  for (i = 0; i < 5; i++) {
    double x = w[1] + (i - 2);
    CHECK(near(losses[i], center + 0.25 * (x * x - w[1] * w[1]), 1e-12));
  }
  unmoved();

  o = slice_options(3, 5), o.seed = 4, o.last_axis = 1, o.low = -0.5, o.high = 0.5;
  CHECK_OK(rvn_loss_slice(&it, &o, losses));
  CHECK(losses[7] == center);
  for (i = 0; i < 15 * 8; i++) hash = (hash ^ ((unsigned char *)losses)[i]) * 1099511628211u;
  CHECK(hash == SLICE_BYTES); /* on every machine */
  CHECK_OK(rvn_loss_slice(&it, &o, again));
  CHECK_BYTES(losses, again, sizeof losses);
  o.seed = 5;
  CHECK_OK(rvn_loss_slice(&it, &o, again));
  CHECK(memcmp(losses, again, sizeof losses) != 0);
  unmoved();
}

/* ---- noise ---- */

static void noise(void) {
  rvn_noise_scale s, t;
  /* |G|^2 = 4, tr(S) = 12: |G_b|^2 = 4 + 12 / b */
  memset(&s, 0, sizeof s), s.struct_size = sizeof s, s.decay = 1;
  CHECK_OK(rvn_noise_scale_norms(&s, 2, sqrt(10), 6, sqrt(6)));
  CHECK(near(s.signal, 4, 1e-14) && near(s.variance, 12, 1e-14) && near(s.scale, 3, 1e-14));
  CHECK(s.count == 1 && s.error != s.error);
  CHECK_OK(rvn_noise_scale_norms(&s, 2, sqrt(12), 6, sqrt(6))); /* signal 3, variance 18 */
  CHECK(near(s.mean_signal, 3.5, 1e-14) && near(s.mean_variance, 15, 1e-14));
  CHECK(near(s.scale, 15 / 3.5, 1e-14) && s.count == 2 && s.error > 0);
  t = s, t.count = UINT64_MAX, t.weight = NAN; /* nonsense in, nonsense out, and no more */
  CHECK_OK(rvn_noise_scale_norms(&t, 2, 1, 4, 2));
  t = s;
  CHECK_OK(rvn_noise_scale_norms(&t, 2, 1, 1 << 20, 2)); /* noise below 0: unbiased */
  CHECK(t.variance < 0 && t.count == 3 && s.count == 2);

  /* Two examples, (3, 0) and (1, 2): mean (2, 1), covariance of trace 4. */
  {
    const float a[] = {3}, b[] = {0}, c[] = {1}, d[] = {2};
    const void *grads[] = {a, b, c, d};
    const size_t counts[] = {1, 1};
    memset(&s, 0, sizeof s), s.struct_size = sizeof s;
    CHECK_OK(rvn_noise_scale_gradients(&s, 1, 2, 2, grads, counts, RVN_F32));
    CHECK(near(s.variance, 4, 1e-14) && near(s.signal, 5 - 4.0 / 2, 1e-14));
    t = s;
#define REFUSES(expr, code, part) \
  if (CHECK_STATUS(expr, code)) CHECK_SAYS(part); \
  CHECK_BYTES(&s, &t, sizeof s)
    REFUSES(rvn_noise_scale_gradients(NULL, 1, 2, 2, grads, counts, RVN_F32), -1, "scale is NULL");
    REFUSES(rvn_noise_scale_gradients(&s, 0, 2, 2, grads, counts, RVN_F32), -1, "batch is 0");
    REFUSES(rvn_noise_scale_gradients(&s, 1, 1, 2, grads, counts, RVN_F32), -1, "parts is 1");
    REFUSES(rvn_noise_scale_gradients(&s, 1, 2, 2, NULL, counts, RVN_F32), -1, "grads is NULL");
    REFUSES(rvn_noise_scale_gradients(&s, 1, 2, 2, grads, NULL, RVN_F32), -1, "counts is NULL");
    REFUSES(rvn_noise_scale_gradients(&s, 1, 2, 2, grads, counts, RVN_F16), RVN_ERR_TYPE, "F64");
    REFUSES(rvn_noise_scale_gradients(&s, (uint64_t)1 << 52, (size_t)1 << 13, 0, grads, counts, RVN_F32), -1, "too many");
    REFUSES(rvn_noise_scale_gradients(&s, 1, 2, SIZE_MAX, grads, counts, RVN_F32), -1, "memory");
    REFUSES(rvn_noise_scale_gradients(&s, 1, SIZE_MAX, 1, grads, counts, RVN_F32), -1, "parts is");
    REFUSES(rvn_noise_scale_gradients(&s, 1, SIZE_MAX / 4, 8, grads, counts, RVN_F32), -1, "memory");
    REFUSES(rvn_noise_scale_gradients(&s, 1, 2, 1, grads, &(size_t){SIZE_MAX}, RVN_F32),
            RVN_ERR_SHAPE, "tensor 0 has 18446744073709551615 elements");
    grads[2] = NULL;
    REFUSES(rvn_noise_scale_gradients(&s, 1, 2, 2, grads, counts, RVN_F32), -1, "gradient 0 of batch 1 is NULL");
  }
  {
    const double a[] = {1, NAN}, *const both[] = {a, a};
    const size_t counts[] = {2};
    REFUSES(rvn_noise_scale_gradients(&s, 1, 2, 1, (const void *const *)both, counts, RVN_F64),
            RVN_ERR_NONFINITE, "gradient 0 of batch 0 is nan at index 1");
  }
  REFUSES(rvn_noise_scale_norms(NULL, 1, 1, 2, 1), -1, "scale is NULL");
  REFUSES(rvn_noise_scale_norms(&s, 0, 1, 2, 1), -1, "batches of 0 and 2");
  REFUSES(rvn_noise_scale_norms(&s, 2, 1, 2, 1), -1, "batches of 2 and 2");
  REFUSES(rvn_noise_scale_norms(&s, 1, -1, 2, 1), -1, "norms are -1");
  REFUSES(rvn_noise_scale_norms(&s, 1, NAN, 2, 1), -1, "norms are nan");
  REFUSES(rvn_noise_scale_norms(&s, 1, 1e200, 2, 1), RVN_ERR_NONFINITE, "squared norms are inf");
  s.decay = t.decay = 1.5;
  REFUSES(rvn_noise_scale_norms(&s, 1, 1, 2, 1), -1, "decay is 1.5");
  s.struct_size = t.struct_size = 8;
  REFUSES(rvn_noise_scale_norms(&s, 1, 1, 2, 1), -1, "sizeof(rvn_noise_scale)");
#undef REFUSES
}

/* ---- activations ---- */

static void activations(void) {
  /* Rows of 3 units, and one element that belongs to nobody. */
  const float x[] = {0, 1, 0.5f, 9, 0, -1, 0, 9, 0, 0.995f, 0.25f, 9, -0.0f, -0.999f, -3, 9};
  const double lstm[] = {0.5, 0.999, 0.5, -1, 0.001, 0.999, 0.5, 1};
  rvn_activation_statistics_result r, gates[4];
  double shares[12];
  r.struct_size = sizeof r, gates[0].struct_size = sizeof r;
  CHECK_OK(rvn_activation_statistics(x, RVN_F32, 4, 3, 4, "tanh", &r, shares));
  CHECK(r.rows == 4 && r.units == 3 && r.dead_units == 1 && r.saturated_units == 1);
  CHECK(near(r.zeros, 5.0 / 12, 1e-15) && near(r.low, 3.0 / 12, 1e-15) && near(r.high, 2.0 / 12, 1e-15));
  CHECK(r.least == -3 && r.largest == 1 && r.nonfinite == 0 && r.first_nonfinite == -1);
  CHECK(shares[0] == 1 && shares[2] == 0.25 && shares[4] == 0.5 && shares[5] == 0.25 && shares[7] == 0.5);
  CHECK(near(r.mean, (1 + 0.5 - 1 + 0.995 + 0.25 - 0.999 - 3) / 12, 1e-7));
  CHECK_OK(rvn_activation_statistics(x, RVN_F32, 4, 3, 4, "relu", &r, NULL));
  CHECK(r.low == 0 && r.high == 0 && r.saturated_units == 0);
  {
    double bad[] = {1, NAN, 2, INFINITY};
    CHECK_OK(rvn_activation_statistics(bad, RVN_F64, 2, 2, 0, "linear", &r, NULL));
    CHECK(r.nonfinite == 2 && r.first_nonfinite == 1 && r.mean == 1.5 && r.deviation == 0.5);
    CHECK_OK(rvn_activation_statistics(bad + 1, RVN_F64, 1, 1, 0, "linear", &r, NULL));
    CHECK(r.mean != r.mean && r.least != r.least);
  }
  CHECK_OK(rvn_gate_statistics(lstm, RVN_F64, 2, 1, 0, "ifog", gates, shares));
  CHECK(gates[3].struct_size == sizeof r && gates[0].low == 0.5 && gates[1].high == 1);
  CHECK(gates[1].saturated_units == 1 && gates[2].saturated_units == 0);
  CHECK(gates[3].low == 0.5 && gates[3].high == 0.5 && shares[10] == 0.5);

#define REFUSES(expr, code, part) \
  if (CHECK_STATUS(expr, code)) CHECK_SAYS(part)
  REFUSES(rvn_activation_statistics(NULL, RVN_F32, 4, 3, 4, "tanh", &r, NULL), -1, "values is NULL");
  REFUSES(rvn_activation_statistics(x, RVN_BF16, 4, 3, 4, "tanh", &r, NULL), RVN_ERR_TYPE, "dtype 3");
  REFUSES(rvn_activation_statistics(x, RVN_F32, 0, 3, 4, "tanh", &r, NULL), RVN_ERR_SHAPE, "rows is 0");
  REFUSES(rvn_activation_statistics(x, RVN_F32, 4, 5, 4, "tanh", &r, NULL), RVN_ERR_SHAPE, "stride is 4");
  REFUSES(rvn_activation_statistics(x, RVN_F32, SIZE_MAX / 4, 5, 5, "tanh", &r, NULL), RVN_ERR_SHAPE, "memory");
  REFUSES(rvn_activation_statistics(x, RVN_F32, SIZE_MAX, 5, 5, "tanh", &r, NULL), RVN_ERR_SHAPE, "rows is 18446744073709551615");
  REFUSES(rvn_activation_statistics((const char *)x + 2, RVN_F32, 2, 3, 4, "tanh", &r, NULL), -1, "aligned");
  REFUSES(rvn_activation_statistics(x, RVN_F32, 4, 3, 4, "tahn", &r, NULL), RVN_ERR_NAME, "did you mean 'tanh'?");
  REFUSES(rvn_activation_statistics(x, RVN_F32, 4, 3, 4, NULL, &r, NULL), -1, "activation is NULL");
  REFUSES(rvn_activation_statistics(x, RVN_F32, 4, 3, 4, "tanh", NULL, NULL), -1, "result is NULL");
  REFUSES(rvn_gate_statistics(lstm, RVN_F64, 2, 1, 0, "ifxo", gates, NULL), RVN_ERR_NAME, "'x'");
  REFUSES(rvn_gate_statistics(lstm, RVN_F64, 2, 1, 0, "", gates, NULL), -1, "0 letters");
  REFUSES(rvn_gate_statistics(lstm, RVN_F64, 2, 1, 0, "iiiiiiiii", gates, NULL), -1, "9 letters");
  REFUSES(rvn_gate_statistics(lstm, RVN_F64, 2, SIZE_MAX / 2, 0, "ifgo", gates, NULL), RVN_ERR_SHAPE, "units");
  REFUSES(rvn_gate_statistics(lstm, RVN_F64, 2, 1, 3, "ifgo", gates, NULL), RVN_ERR_SHAPE, "a row has 4");
  REFUSES(rvn_gate_statistics(lstm, RVN_F64, 2, 1, 0, "ifgo", NULL, NULL), -1, "results is NULL");
  r.struct_size = 0;
  REFUSES(rvn_activation_statistics(x, RVN_F32, 4, 3, 4, "tanh", &r, NULL), -1, "struct_size is 0");
#undef REFUSES
}

int main(void) {
  gradients();
  hessian();
  slices();
  noise();
  activations();
  return finish();
}
