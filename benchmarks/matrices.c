/* A Muon step on one matrix, as a share of what the machine can multiply and add.
 *
 *     matrices [rows columns [rounds]]
 *
 * The peak is that of a loop on registers alone: with a multiplication and an addition for each product, as
 * the library makes them on every machine, and with both in one instruction, as a BLAS does. */
#include "bench.h"

typedef float lanes __attribute__((vector_size(64), aligned(4)));
#ifdef __AVX512F__
enum { CHAINS = 12 };
#else
enum { CHAINS = 6 }; /* of two or four registers each */
#endif
enum { TURNS = 20000 };

#ifdef __clang__
#define FUSED
#define CONTRACT _Pragma("clang fp contract(fast)")
#else
#define FUSED __attribute__((optimize("fp-contract=fast")))
#define CONTRACT
#endif

static volatile float sink;

/* GFLOP/s of one thread: chains that do not wait for one another. */
#define PEAK(name, attribute, contract)                                      \
  attribute static double name(void) {                                       \
    contract lanes s[CHAINS], x, y;                                          \
    double best = 0;                                                         \
    for (int i = 0; i < 16; i++) x[i] = 0.999f, y[i] = 1e-3f;                \
    for (int k = 0; k < CHAINS; k++) s[k] = y * (float)k;                    \
    for (int round = 0; round < 50; round++) {                               \
      double start = seconds(), rate;                                        \
      for (int t = 0; t < TURNS; t++)                                        \
        for (int k = 0; k < CHAINS; k++) s[k] = s[k] * x + y;                \
      rate = 2.0 * 16 * CHAINS * TURNS / (seconds() - start) * 1e-9;         \
      if (rate > best) best = rate;                                          \
    }                                                                        \
    for (int k = 0; k < CHAINS; k++) sink = s[k][k];                         \
    return best;                                                             \
  }
PEAK(unfused, , )
PEAK(fused, FUSED, CONTRACT)

/* Multiplications and additions of five Newton-Schulz steps; symmetric products are made by half. */
static double operations(double rows, double columns) {
  double s = rows < columns ? rows : columns, l = rows < columns ? columns : rows;
  return 5 * (s * s * l + s * s * s + 2 * s * s * l) * 1e-9;
}

int main(int count, char **arguments) {
  int64_t shape[] = {count > 2 ? atol(arguments[1]) : 768, count > 2 ? atol(arguments[2]) : 3072};
  int rounds = count > 3 ? atoi(arguments[3]) : 9;
  size_t n = (size_t)(shape[0] * shape[1]);
  float *p = array(n), *g = array(n);
  double one = unfused(), both = fused(), times[100];
  if (rounds > 100) rounds = 100;
  fill(p, n, 0.02f, 1), fill(g, n, 1, 2);
  printf("one thread at most: %.0f GFLOP/s, %.0f fused\n", one, both);
  printf("muon on %ld x %ld:\n%10s %12s %10s %16s %16s\n", (long)shape[0], (long)shape[1], "threads",
         "ms/step", "GFLOP/s", "share of peak", "of the fused");
  for (int threads = 1; threads <= 2; threads++) {
    rvn_optimizer *opt = optimizer("muon(0.02)", threads);
    rvn_tensor tensor = {.struct_size = sizeof tensor, .name = "w", .data = p, .grad = g,
                         .dtype = RVN_F32, .rank = 2, .shape = shape};
    require(rvn_optimizer_add(opt, &tensor, NULL));
    for (int round = -1; round < rounds; round++) {
      double start = seconds();
      require(rvn_optimizer_step(opt, NULL, NULL));
      if (round >= 0) times[round] = seconds() - start;
    }
    double time = median(times, rounds), rate = operations((double)shape[0], (double)shape[1]) / time;
    printf("%10d %12.1f %10.1f %15.0f%% %15.0f%%\n", threads, 1e3 * time, rate,
           100 * rate / (threads * one), 100 * rate / (threads * both));
    rvn_optimizer_destroy(opt);
  }
  return 0;
}
