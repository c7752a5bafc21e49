/* Trains the network of examples/c/train_digits.c on several processes at once, each of which keeps its
 * share of the optimizer's state (ZeRO stage 1):
 *
 *     make mpi
 *     mpirun -n 4 build/examples/mpi_train_digits          (mpirun --oversubscribe with fewer cores;
 *                                                            as root --allow-run-as-root too)
 *
 * A step: every rank computes gradients from its part of the batch; reduce-scatter, after which each has
 * the sum of its own elements; rvn_optimizer_step, which adds up the norm of clip_norm over the ranks;
 * all-gather of the parameters.
 *
 * Gradients are added in an order of their own: a batch is always divided into PARTS, whoever computes
 * them, and each rank adds up those of its elements from first to last. So 1, 2 and 4 ranks end in the
 * same bytes. --reduce takes MPI_Reduce_scatter instead, which is what one would use at scale: it adds in
 * whatever order it likes, and the bytes then depend on the number of ranks. */
#include "../c/digits.h"
#include "ravine.h"

#include <mpi.h>
#include <stdarg.h>

enum { TENSORS = 4, PARTS = 4, EPOCHS = 30, BATCH = 32 };

static int rank, world;

/* Prints a sentence and ends all ranks with status 1. */
static void fail(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vfprintf(stderr, format, arguments);
  va_end(arguments);
  fputc('\n', stderr);
  MPI_Abort(MPI_COMM_WORLD, 1);
}

/* Every call of the library goes through here. */
static void check(rvn_status status) {
  if (status != RVN_OK) fail("rank %d: %s", rank, rvn_last_error());
}

/* ---- the optimizer of this rank ------------------------------------------------------------------ */

/* Where the parts of a network lie in it, in floats. */
static const struct {
  const char *name;
  int64_t start, shape[2];
  int32_t rank;
} layout[TENSORS] = {
    {"hidden.weight", 0, {PIXELS, HIDDEN}, 2},
    {"hidden.bias", PIXELS *HIDDEN, {HIDDEN}, 1},
    {"output.weight", PIXELS *HIDDEN + HIDDEN, {HIDDEN, CLASSES}, 2},
    {"output.bias", PIXELS *HIDDEN + HIDDEN + HIDDEN * CLASSES, {CLASSES}, 1},
};

static int32_t all_sum(void *user, double *values, size_t count) {
  (void)user;
  if (count > INT32_MAX) return 1; /* MPI 3 counts in int */
  return MPI_Allreduce(MPI_IN_PLACE, values, (int)count, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
}

static rvn_optimizer *create_optimizer(const char *recipe, float *network, const float *gradient) {
  rvn_options options = {.struct_size = sizeof options, .threads = 1};
  options.rank = rank, options.world = world, options.all_sum = all_sum;
  rvn_optimizer *optimizer;
  check(rvn_optimizer_create_with(recipe, &options, &optimizer));
  for (int k = 0; k < TENSORS; k++) {
    const rvn_tensor tensor = {sizeof tensor, layout[k].name, network + layout[k].start,
                               gradient + layout[k].start, RVN_F32, 0, layout[k].rank, 0,
                               layout[k].shape};
    check(rvn_optimizer_add(optimizer, &tensor, NULL));
  }
  check(rvn_optimizer_prepare(optimizer));
  return optimizer;
}

/* The elements of each rank, as MPI takes them: those of tensor k. */
struct shards {
  int first[PARTS], count[PARTS];
  int own[PARTS], place[PARTS]; /* this rank's, once from each rank, one behind the other */
};

static struct shards shards_of(const rvn_optimizer *optimizer, int k) {
  struct shards s;
  for (int r = 0; r < world; r++) {
    size_t first, count;
    check(rvn_optimizer_shard(optimizer, (size_t)k, r, &first, &count));
    s.first[r] = (int)first, s.count[r] = (int)count;
  }
  for (int r = 0; r < world; r++) s.own[r] = s.count[rank], s.place[r] = r * s.count[rank];
  return s;
}

/* ---- a step ---------------------------------------------------------------------------------------- */

/* The parts of a batch that this rank computes, one gradient behind the other. */
static float parts_of_rank(const struct network *network, const struct digits *digits,
                           const int64_t *images, size_t size, struct network *gradients) {
  float loss = 0;
  for (int i = 0; i < PARTS / world; i++) {
    size_t part = (size_t)(rank * (PARTS / world) + i);
    size_t first = size * part / PARTS, count = size * (part + 1) / PARTS - first;
    float share = (float)count / (float)size, *g = (float *)&gradients[i];
    memset(g, 0, sizeof *gradients);
    if (count == 0) continue;
    loss += share * loss_and_gradient(network, digits, images + first, count, &gradients[i]);
    for (size_t j = 0; j < sizeof *gradients / sizeof *g; j++) g[j] *= share;
  }
  return loss;
}

/* Reduce-scatter with additions in the order of the parts: every rank gets its own elements of all. */
static void add_parts(const struct shards *s, int k, const struct network *parts, float *gradient,
                      float *room) {
  int own = PARTS / world, n = s->count[rank];
  for (int i = 0; i < own; i++)
    MPI_Alltoallv((const float *)&parts[i] + layout[k].start, s->count, s->first, MPI_FLOAT,
                  room + i * world * n, s->own, s->place, MPI_FLOAT, MPI_COMM_WORLD);
  float *sum = gradient + layout[k].start + s->first[rank];
  for (int j = 0; j < n; j++) {
    sum[j] = 0;
    for (int part = 0; part < PARTS; part++)
      sum[j] += room[(part % own * world + part / own) * n + j];
  }
}

/* The same as MPI does it. */
static void reduce_scatter(const struct shards *s, int k, struct network *parts, float *gradient) {
  float *sum = (float *)&parts[0] + layout[k].start;
  int64_t n = layout[k].shape[0] * (layout[k].rank > 1 ? layout[k].shape[1] : 1);
  for (int i = 1; i < PARTS / world; i++) {
    const float *more = (const float *)&parts[i] + layout[k].start;
    for (int64_t j = 0; j < n; j++) sum[j] += more[j];
  }
  MPI_Reduce_scatter(sum, gradient + layout[k].start + s->first[rank], s->count, MPI_FLOAT, MPI_SUM,
                     MPI_COMM_WORLD);
}

static void all_gather(const struct shards *s, int k, float *network) {
  MPI_Allgatherv(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, network + layout[k].start, s->count, s->first,
                 MPI_FLOAT, MPI_COMM_WORLD);
}

/* ---- checkpoints ----------------------------------------------------------------------------------- */

/* "PATH.0", "PATH.1"...: a file for each rank that saved. */
static void file_of(const char *path, int r, char *out, size_t size) {
  snprintf(out, size, "%s.%d", path, r);
}

static void resume(rvn_optimizer *optimizer, const char *path) {
  char files[1024][200];
  const char *list[1024];
  size_t count = 0;
  for (; count < 1024; count++) {
    file_of(path, (int)count, files[count], sizeof *files);
    FILE *file = fopen(files[count], "rb");
    if (!file) break;
    fclose(file);
    list[count] = files[count];
  }
  if (!count) fail("there is no %s.0", path);
  check(rvn_optimizer_load_shards(optimizer, list, count));
}

/* ---- the run --------------------------------------------------------------------------------------- */

int main(int count, char **arguments) {
  static struct digits digits;
  static struct network network, gradient, parts[PARTS];
  static float room[PARTS * PIXELS * HIDDEN];
  const char *data = "examples/data/digits.csv", *save = NULL, *from = NULL;
  int stop = EPOCHS, quick = 0, bad = 0;

  MPI_Init(&count, &arguments);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &world);
  for (int i = 1; i < count; i++) {
    if (!strcmp(arguments[i], "--reduce")) quick = 1;
    else if (i + 1 == count) bad = 1;
    else if (!strcmp(arguments[i], "--data")) data = arguments[++i];
    else if (!strcmp(arguments[i], "--save")) save = arguments[++i];
    else if (!strcmp(arguments[i], "--resume")) from = arguments[++i];
    else if (!strcmp(arguments[i], "--stop")) stop = atoi(arguments[++i]);
    else bad = 1;
  }
  if (bad) fail("usage: train_digits [--reduce] [--data PATH] [--save PATH] [--resume PATH] [--stop N]");
  if (PARTS % world) fail("%d ranks: 1, 2 or 4 are possible, which divide a batch evenly", world);
  if (!read_digits(data, &digits)) MPI_Abort(MPI_COMM_WORLD, 1);
  initialise(&network, 0);

  rvn_sampler_options batches = {.struct_size = sizeof batches, .count = TRAIN, .batch = BATCH};
  rvn_sampler *sampler;
  uint64_t each;
  check(rvn_sampler_create(&batches, &sampler));
  check(rvn_sampler_size(sampler, &each, NULL));
  char recipe[200];
  snprintf(recipe, sizeof recipe,
           "clip_norm(1) | adamw(lr=warmup(cosine(0.02, steps=%d), steps=%d), weight_decay=0.01)"
           "; *.bias: weight_decay=0",
           EPOCHS * (int)each * 9 / 10, EPOCHS * (int)each / 10);
  rvn_optimizer *optimizer = create_optimizer(recipe, (float *)&network, (const float *)&gradient);

  struct shards shards[TENSORS];
  long own = 0;
  for (int k = 0; k < TENSORS; k++) {
    shards[k] = shards_of(optimizer, k);
    own += shards[k].count[rank];
  }
  long all[PARTS];
  MPI_Gather(&own, 1, MPI_LONG, all, 1, MPI_LONG, 0, MPI_COMM_WORLD);
  for (int r = 0; rank == 0 && r < world; r++)
    printf("rank %d of %d keeps the state of %ld of %zu parameters\n", r, world, all[r],
           sizeof network / sizeof(float));

  double updates = 0;
  if (from) {
    resume(optimizer, from);
    for (int k = 0; k < TENSORS; k++) all_gather(&shards[k], k, (float *)&network);
    check(rvn_optimizer_read(optimizer, 0, "step", RVN_F64, &updates, 1));
    check(rvn_sampler_seek(sampler, (uint64_t)updates / each, 0));
  }
  for (int epoch = (int)((uint64_t)updates / each); epoch < stop; epoch++) {
    int64_t images[TRAIN];
    size_t size;
    double loss = 0;
    for (;;) {
      check(rvn_sampler_next(sampler, images, TRAIN, &size));
      if (size == 0) break; /* the end of the epoch */
      loss += (double)parts_of_rank(&network, &digits, images, size, parts) * (double)size / TRAIN;
      for (int k = 0; k < TENSORS; k++) {
        if (quick) reduce_scatter(&shards[k], k, parts, (float *)&gradient);
        else add_parts(&shards[k], k, parts, (float *)&gradient, room);
      }
      check(rvn_optimizer_step(optimizer, NULL, NULL));
      for (int k = 0; k < TENSORS; k++) all_gather(&shards[k], k, (float *)&network);
    }
    MPI_Allreduce(MPI_IN_PLACE, &loss, 1, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
    if (!isfinite(loss)) fail("the loss is not finite in epoch %d", epoch + 1);
    if (rank == 0 && (epoch + 1) % 10 == 0) printf("epoch %d: loss %.4f\n", epoch + 1, loss);
  }
  if (save) {
    char path[200];
    file_of(save, rank, path, sizeof path);
    check(rvn_optimizer_save(optimizer, path));
  }

  int right = count_right(&network, &digits);
  if (rank == 0)
    printf("test accuracy %.4f (%d of %d), parameters %016llx\n", (double)right / TEST, right, TEST,
           (unsigned long long)checksum(&network));
  rvn_optimizer_destroy(optimizer);
  rvn_sampler_destroy(sampler);
  MPI_Finalize();
  return 0;
}
