/* AdamW on one large Float32 tensor against a loop that moves the same bytes.
 *
 *     memory [parameters in Mi, 64] [rounds, 9] [threads, 0: 1 and then 2]
 *
 * The loop reads p, g, m, v and writes p, m, v: 28 bytes for a parameter, with a multiplication by
 * zero and an addition for each number written, so that it moves the very arrays of the optimizer
 * and leaves them as they are. All rows of a table are timed in turn, round after round. */
#include "bench.h"

typedef float lanes __attribute__((vector_size(64), aligned(64)));

enum { ROWS = 5, CHUNK = 1 << 16 /* elements that a thread takes at a time */ };

static struct {
  float *p, *g, *m, *v;
  size_t n;
} data;

/* ---- the loop ------------------------------------------------------------------------------------- */

static volatile float zero = 0;

static void same_traffic(size_t first, size_t last) {
  const float z = zero;
  for (size_t i = first; i < last; i += 16) {
    lanes g = *(lanes *)(data.g + i) * z;
    lanes *p = (lanes *)(data.p + i), *m = (lanes *)(data.m + i), *v = (lanes *)(data.v + i);
    *p = *p + g;
    *m = *m + g;
    *v = *v + g;
  }
}

static size_t next;

static void take_chunks(void) {
  for (;;) {
    size_t first = __atomic_fetch_add(&next, CHUNK, __ATOMIC_RELAXED);
    if (first >= data.n) return;
    same_traffic(first, first + CHUNK < data.n ? first + CHUNK : data.n);
  }
}

/* A second thread that waits for its work, as the library's does. */
static pthread_barrier_t start, end;

static void *helper(void *unused) {
  (void)unused;
  for (;;) {
    pthread_barrier_wait(&start);
    take_chunks();
    pthread_barrier_wait(&end);
  }
  return NULL;
}

static void run_loop(int threads) {
  next = 0;
  if (threads == 2) pthread_barrier_wait(&start);
  take_chunks();
  if (threads == 2) pthread_barrier_wait(&end);
}

/* ---- the library's arrays of state: the loop uses the same -------------------------------------------- */

static void *allocate(void *user, size_t size, size_t alignment) {
  (void)user;
  void *memory = NULL;
  if (posix_memalign(&memory, alignment, size) != 0) return NULL;
  /* m and v come in one piece, or in two. What stands before them belongs to the library. */
  const size_t bytes = data.n * sizeof(float);
  char *end = (char *)memory + size;
  if (size >= 2 * bytes) {
    data.m = (float *)(end - 2 * bytes);
    data.v = (float *)(end - bytes);
  } else if (size >= bytes) {
    *(data.m ? &data.v : &data.m) = (float *)(end - bytes);
  }
  return memory;
}

static void deallocate(void *user, void *memory, size_t size, size_t alignment) {
  (void)user, (void)size, (void)alignment;
  free(memory);
}

static rvn_optimizer *adamw(int threads) {
  rvn_optimizer *opt;
  rvn_options options = {.struct_size = sizeof options, .allocate = allocate,
                         .deallocate = deallocate, .threads = threads};
  data.m = data.v = NULL;
  require(rvn_optimizer_create_with("adamw(1e-3)", &options, &opt));
  add(opt, "w", data.p, data.g, (int64_t)data.n);
  require(rvn_optimizer_prepare(opt));
  if (!data.m || !data.v || ((uintptr_t)data.m | (uintptr_t)data.v) % 64 != 0) {
    fprintf(stderr, "the arrays of state were not recognised\n");
    exit(1);
  }
  return opt;
}

/* ---- the table ------------------------------------------------------------------------------------------ */

static void measure(int threads, int rounds) {
  static const char *names[ROWS] = {"same traffic, 28 bytes", "adamw", "adamw with report",
                                    "clip_norm(1) | adamw", "the same with report"};
  /* Bytes moved for a parameter. */
  static const double bytes[ROWS] = {28, 28, 28, 32, 32};
  rvn_optimizer *plain = adamw(threads);
  rvn_optimizer *clipping = optimizer("clip_norm(1) | adamw(1e-3)", threads);
  add(clipping, "w", data.p, data.g, (int64_t)data.n);
  rvn_step_report report = {.struct_size = sizeof report};
  double *times[ROWS];
  for (int row = 0; row < ROWS; row++) times[row] = malloc((size_t)rounds * sizeof(double));
  for (int round = -1; round < rounds; round++) { /* round -1 warms up */
    for (int row = 0; row < ROWS; row++) {
      double begin = seconds();
      switch (row) {
      case 0: run_loop(threads); break;
      case 1: require(rvn_optimizer_step(plain, NULL, NULL)); break;
      case 2: require(rvn_optimizer_step(plain, NULL, &report)); break;
      case 3: require(rvn_optimizer_step(clipping, NULL, NULL)); break;
      case 4: require(rvn_optimizer_step(clipping, NULL, &report)); break;
      }
      if (round >= 0) times[row][round] = seconds() - begin;
    }
  }
  printf("\n%zu Mi parameters, %d thread%s, %d rounds      ns/parameter             ratio to\n",
         data.n >> 20, threads, threads == 1 ? "" : "s", rounds);
  printf("%-36s %8s %8s %8s  %8s %8s\n", "", "median", "least", "GB/s", "loop", "adamw");
  double middle[ROWS];
  for (int row = 0; row < ROWS; row++) {
    double scale = 1e9 / (double)data.n;
    middle[row] = median(times[row], rounds) * scale;
    printf("%-36s %8.3f %8.3f %8.1f  %8.2f", names[row], middle[row], times[row][0] * scale,
           bytes[row] / middle[row], middle[row] / middle[0]);
    if (row > 0) printf(" %8.2f", middle[row] / middle[1]);
    printf("\n");
    free(times[row]);
  }
  printf("adamw runs at %.2f of the speed of the loop (wanted: 0.90 or more)\n",
         middle[0] / middle[1]);
  rvn_optimizer_destroy(plain);
  rvn_optimizer_destroy(clipping);
}

int main(int argc, char **argv) {
  size_t mi = argc > 1 ? strtoul(argv[1], NULL, 10) : 64;
  int rounds = argc > 2 ? atoi(argv[2]) : 9;
  int threads = argc > 3 ? atoi(argv[3]) : 0;
  if (mi < 1 || mi > 4096 || rounds < 1 || threads < 0 || threads > 2) {
    fprintf(stderr, "usage: memory [parameters in Mi] [rounds] [1 or 2 threads, 0: both]\n");
    return 2;
  }
  data.n = mi << 20;
  data.p = array(data.n);
  data.g = array(data.n);
  fill(data.p, data.n, 1.0f, 1);
  fill(data.g, data.n, 0.1f, 2);
  pthread_barrier_init(&start, NULL, 2);
  pthread_barrier_init(&end, NULL, 2);
  pthread_t thread;
  if (pthread_create(&thread, NULL, helper, NULL) != 0) return 1;
  if (threads != 2) measure(1, rounds);
  if (threads != 1) measure(2, rounds);
  free(data.p);
  free(data.g);
  return 0;
}
