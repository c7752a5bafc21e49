/* What a monitor costs that is attached: on one large tensor, and on small ones.
 *
 *     monitor [parameters in Mi, 64] [rounds, 5] [threads, 0: 1 and then 2]
 *
 * Rows are timed in turn, a window of sixteen steps each, of which one is sampled. "every step" is a
 * monitor that samples none of them; "sampled" is what the sampled step of the window adds, averaged
 * over the sixteen: the two budgets are ratios to the plain step, 1.10 and 0.15. */
#include "bench.h"

enum { ROWS = 4, WINDOW = 16, MOST = 10000 };

static const char *names[ROWS] = {"plain", "with report", "monitor, every step",
                                  "monitor, one in 16 sampled"};

typedef struct model {
  size_t count, size;
  float *p[ROWS], *g;
} model;

static rvn_optimizer *make(const char *recipe, const model *x, int row, int threads,
                           rvn_monitor **m) {
  rvn_optimizer *opt = optimizer(recipe, threads);
  for (size_t i = 0; i < x->count; i++) {
    char name[32];
    snprintf(name, sizeof name, "t%zu.weight", i);
    add(opt, name, x->p[row] + i * x->size, x->g + i * x->size, (int64_t)x->size);
  }
  require(rvn_optimizer_prepare(opt));
  *m = NULL;
  if (row >= 2) {
    require(rvn_monitor_create(NULL, m));
    require(rvn_monitor_attach(*m, opt));
    if (row == 2) require(rvn_monitor_set(*m, "attached.every", 1e9));
    require(rvn_optimizer_step(opt, NULL, NULL)); /* the first step is sampled */
  }
  return opt;
}

static void measure(const char *recipe, const model *x, int rounds, int threads, int windows) {
  rvn_optimizer *opts[ROWS];
  rvn_monitor *monitors[ROWS];
  rvn_step_report report = {.struct_size = sizeof report};
  double *times[ROWS], middle[ROWS], least[ROWS];
  for (int row = 0; row < ROWS; row++) {
    opts[row] = make(recipe, x, row, threads, &monitors[row]);
    times[row] = malloc((size_t)rounds * sizeof(double));
  }
  for (int round = -1; round < rounds; round++) {
    for (int row = 0; row < ROWS; row++) {
      double begin = seconds();
      for (int i = 0; i < windows * WINDOW; i++)
        require(rvn_optimizer_step(opts[row], NULL, row == 1 ? &report : NULL));
      if (round >= 0) times[row][round] = (seconds() - begin) / (windows * WINDOW);
    }
  }
  printf("\n%s, %zu x %zu parameters, %d thread%s\n", recipe, x->count, x->size, threads,
         threads == 1 ? "" : "s");
  printf("%-30s %12s %14s %10s %14s\n", "", "us a step", "ns/parameter", "ratio", "of the least");
  for (int row = 0; row < ROWS; row++) {
    middle[row] = median(times[row], rounds);
    least[row] = times[row][0];
    printf("%-30s %12.1f %14.3f %10.3f %14.3f\n", names[row], 1e6 * middle[row],
           1e9 * middle[row] / (double)(x->count * x->size), middle[row] / middle[0],
           least[row] / least[0]);
    rvn_optimizer_destroy(opts[row]), rvn_monitor_destroy(monitors[row]);
    free(times[row]);
  }
  printf("every step: %.3f (wanted: 1.10 or less); sampling: %.3f (wanted: 0.15 or less)\n",
         middle[2] / middle[0], (middle[3] - middle[2]) / middle[0]);
}

int main(int argc, char **argv) {
  size_t mi = argc > 1 ? strtoul(argv[1], NULL, 10) : 64;
  int rounds = argc > 2 ? atoi(argv[2]) : 5;
  int threads = argc > 3 ? atoi(argv[3]) : 0;
  if (mi < 1 || mi > 1024 || rounds < 1 || threads < 0 || threads > 2) {
    fprintf(stderr, "usage: monitor [parameters in Mi] [rounds] [1 or 2 threads, 0: both]\n");
    return 2;
  }
  model large = {.count = 1, .size = mi << 20}, small = {.count = 4, .size = 2400},
        many = {.count = MOST, .size = 64};
  large.g = array(large.size);
  fill(large.g, large.size, 0.1f, 2);
  for (int row = 0; row < ROWS; row++) {
    large.p[row] = array(large.size);
    fill(large.p[row], large.size, 1.0f, 1);
  }
  memcpy(&small.p, &large.p, sizeof large.p), memcpy(&many.p, &large.p, sizeof large.p);
  small.g = many.g = large.g;
  for (int t = 1; t <= 2; t++) {
    if (threads != 0 && threads != t) continue;
    measure("adamw(1e-3)", &large, rounds, t, 1);
    measure("clip_norm(1) | adamw(1e-3)", &large, rounds, t, 1);
  }
  measure("clip_norm(1) | adamw(1e-3)", &small, rounds, 1, 400);
  measure("clip_norm(1) | adamw(1e-3)", &many, rounds, 1, 4);
  for (int row = 0; row < ROWS; row++) free(large.p[row]);
  free(large.g);
  return 0;
}
