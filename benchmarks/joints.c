/* What the joints of the engine cost a training that does not use them: AdamW alone, beside handles of
 * the same recipe where something else was used before, is there and has nothing to do, or belongs to
 * the process.
 *
 *     joints [milliseconds for each measurement, 200]
 *
 * All ratios are to AdamW alone, which is shown beside the bare loop of models.h. */
#include "models.h"

static const char recipe[] = "adamw(1e-3)";

/* ---- handles --------------------------------------------------------------------------------------- */

static rvn_optimizer *once_watched(const model *x) {
  rvn_optimizer *opt = attach(recipe, x, 1);
  rvn_monitor *monitor;
  require(rvn_monitor_create(NULL, &monitor));
  require(rvn_monitor_attach(monitor, opt));
  require(rvn_optimizer_step(opt, NULL, NULL));
  require(rvn_monitor_detach(monitor));
  rvn_monitor_destroy(monitor);
  return opt;
}

static int32_t alone(void *user, double *values, size_t count) {
  (void)user, (void)values, (void)count;
  return 0;
}

static rvn_optimizer *one_rank(const model *x) {
  return attach_with(recipe, x, (rvn_options){.threads = 1, .world = 1, .all_sum = alone});
}

static rvn_optimizer *once_in_parts(const model *x) {
  static const int64_t row = 0;
  rvn_optimizer *opt = attach(recipe, x, 1);
  require(rvn_optimizer_begin_step(opt));
  require(rvn_optimizer_step_rows(opt, 0, &row, 1, x->g[0], NULL));
  require(rvn_optimizer_end_step(opt, NULL));
  return opt;
}

static rvn_optimizer *clauses_for_others(const model *x) {
  return attach("adamw(1e-3); none*?: frozen; other*?: lr=x2, weight_decay=0", x, 1);
}

/* ---- what the process has -------------------------------------------------------------------------- */

static int32_t nothing(void *user, const rvn_host_call *call) {
  (void)user, (void)call;
  return 0;
}

static int32_t constant(void *user, double t, const double *values, double *out) {
  (void)user, (void)t;
  *out = values[0];
  return 0;
}

static void register_ours(void) {
  static const rvn_parameter lr = {sizeof lr, "lr", "rate", "0.01", NULL, 0, 1,
                                   RVN_PARAMETER_NUMBER, 0, 0, 0};
  rvn_host_rule rule = {.struct_size = sizeof rule, .summary = "nothing", .parameters = &lr,
                        .parameter_count = 1, .function = nothing};
  rvn_host_schedule schedule = {.struct_size = sizeof schedule, .summary = "constant",
                                .parameters = &lr, .parameter_count = 1, .value = constant};
  require(rvn_rule_register("bench.rule", &rule));
  require(rvn_stage_register("bench.stage", &rule));
  require(rvn_schedule_register("bench.schedule", &schedule));
}

/* ---- tables ---------------------------------------------------------------------------------------- */

static void table(size_t count, size_t size, double slice) {
  model x = make(count, NULL, size);
  row rows[] = {{"adamw alone", attach(recipe, &x, 1), 0, 0, 0},
                {"the bare loop", NULL, 0, 0, 0},
                {"a monitor was attached, and detached", once_watched(&x), 0, 0, 0},
                {"one rank of one, with all_sum", one_rank(&x), 0, 0, 0},
                {"a step was made in parts, and of rows", once_in_parts(&x), 0, 0, 0},
                {"clauses that match nothing", clauses_for_others(&x), 0, 0, 0},
                {"adamw alone, once more", attach(recipe, &x, 1), 0, 0, 0}};
  enum { ROWS = sizeof rows / sizeof *rows };
  time_rows(rows, ROWS, &x, slice);
  printf("\n%zu x %zu parameters, 1 thread%*s %12s %10s %12s\n", count, size,
         count == 1 ? 12 : 8, "", "us/step", "ratio", "of the least");
  for (int r = 0; r < ROWS; r++) {
    printf("%-44s %12.3f %10.3f %12.3f\n", rows[r].name, rows[r].nanoseconds / 1e3,
           rows[r].nanoseconds / rows[0].nanoseconds, rows[r].least / rows[0].least);
  }
}

int main(int argc, char **argv) {
  double slice = (argc > 1 ? atof(argv[1]) : 200.0) * 1e-3 / SLICES;
  printf("\nwith nothing of the host registered\n");
  table(1, 32, slice);
  register_ours();
  printf("\nwith a rule, a stage and a schedule of the host registered\n");
  table(1, 32, slice);
  table(1000, 64, slice);
  table(1, 1 << 22, 5 * slice);
  return 0;
}
