/* train_digits.c - trains a small neural network to read handwritten digits.
 *
 *     build/examples/train_digits --help
 *
 * The images and the network are in digits.h. This file is the part that uses Ravine: create an
 * optimizer from a recipe, add the four tensors, draw mini-batches, step, save, resume.
 *
 * A run that is interrupted and resumed ends in the same bytes as one that was not. To see it:
 *
 *     train_digits --save whole.ckpt
 *     train_digits --save part.ckpt --stop 7
 *     train_digits --resume part.ckpt --save part.ckpt
 *     cmp whole.ckpt part.ckpt
 *
 * The last line of a run also prints a checksum of the parameters.
 *
 * --record PATH writes what is needed to replay the run with any other program:
 *     line 1   the recipe, in canonical form
 *     line 2   the tensors in order, as name:rowsxcolumns or name:length, separated by spaces
 *     then     little-endian 32-bit floats, tensor after tensor, each row by row:
 *              the parameters at the start; then for every step the gradients, and the
 *              parameters after the step (2 * 9610 floats for a step) */
#include "digits.h"
#include "ravine.h"

#include <stdarg.h>

/* Prints a sentence and ends the program with status 1. */
static void fail(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vfprintf(stderr, format, arguments);
  va_end(arguments);
  fputc('\n', stderr);
  exit(1);
}

/* ---- options -------------------------------------------------------------------------------- */

struct options {
  const char *recipe, *data, *save, *resume, *record;
  uint64_t seed;
  int epochs, batch, stop, quiet;
};

static const char usage[] =
    "Trains a small neural network to read handwritten digits.\n"
    "\n"
    "  --recipe TEXT   the optimizer (default: printed at the start of a run)\n"
    "  --seed N        of the initial weights and the order of images (default 0)\n"
    "  --epochs N      length of the run (default 30)\n"
    "  --batch N       images in a batch (default 32)\n"
    "  --data PATH     the images (default examples/data/digits.csv)\n"
    "  --save PATH     write a checkpoint after every epoch\n"
    "  --resume PATH   go on from a checkpoint; give the run's other options again\n"
    "  --stop N        stop after epoch N, as if the run had been interrupted\n"
    "  --record PATH   write all gradients and parameters (77 KB for a step)\n"
    "  --quiet         print the last line only\n"
    "  --help          print this\n";

static void bad_option(const char *option, const char *reason) {
  fprintf(stderr, "%s %s; --help lists all options\n", option, reason);
  exit(2);
}

static const char *text(const char *option, const char *value) {
  if (!value) bad_option(option, "needs a value");
  return value;
}

static uint64_t number(const char *option, const char *value, uint64_t low, uint64_t high) {
  char *end, reason[200];
  errno = 0;
  unsigned long long result = strtoull(text(option, value), &end, 10);
  snprintf(reason, sizeof reason, "takes a whole number from %llu to %llu, not '%.100s'",
           (unsigned long long)low, (unsigned long long)high, value);
  if (*value < '0' || *value > '9' || *end || errno || result < low || result > high)
    bad_option(option, reason);
  return result;
}

static struct options read_options(int count, char **arguments) {
  struct options o = {NULL, "examples/data/digits.csv", NULL, NULL, NULL, 0, 30, 32, 10000, 0};
  for (int i = 1; i < count; i++) {
    const char *option = arguments[i];
    if (!strcmp(option, "--help")) {
      fputs(usage, stdout);
      exit(0);
    }
    if (!strcmp(option, "--quiet")) {
      o.quiet = 1;
      continue;
    }
    const char *value = arguments[++i]; /* NULL after the last one */
    if (!strcmp(option, "--recipe")) o.recipe = text(option, value);
    else if (!strcmp(option, "--seed")) o.seed = number(option, value, 0, UINT64_MAX);
    else if (!strcmp(option, "--epochs")) o.epochs = (int)number(option, value, 1, 10000);
    else if (!strcmp(option, "--batch")) o.batch = (int)number(option, value, 1, TRAIN);
    else if (!strcmp(option, "--data")) o.data = text(option, value);
    else if (!strcmp(option, "--save")) o.save = text(option, value);
    else if (!strcmp(option, "--resume")) o.resume = text(option, value);
    else if (!strcmp(option, "--stop")) o.stop = (int)number(option, value, 1, 10000);
    else if (!strcmp(option, "--record")) o.record = text(option, value);
    else bad_option(option, "is not an option of this program");
  }
  if (o.record && o.resume) bad_option("--record", "needs a run from its start, not --resume");
  return o;
}

/* ---- the optimizer -------------------------------------------------------------------------- */

/* Every call of the library goes through here. */
static void check(rvn_status status) {
  if (status != RVN_OK) fail("%s", rvn_last_error());
}

/* Divides the training images into batches, in another order in each epoch. */
static rvn_sampler *create_sampler(const struct options *o, uint64_t *batches) {
  rvn_sampler_options options = {.struct_size = sizeof options};
  options.count = TRAIN;
  options.batch = (uint64_t)o->batch;
  options.seed = o->seed;
  rvn_sampler *sampler;
  check(rvn_sampler_create(&options, &sampler));
  check(rvn_sampler_size(sampler, batches, NULL));
  return sampler;
}

/* Warm up for a tenth of the run, then go down to 0 along a cosine. Biases do not decay. */
static void default_recipe(int steps, char *text, size_t size) {
  int warmup = steps < 10 ? 1 : steps / 10;
  snprintf(text, size,
           "clip_norm(1) | adamw(lr=warmup(cosine(0.02, steps=%d), steps=%d), weight_decay=0.01)"
           "; *.bias: weight_decay=0",
           steps > warmup ? steps - warmup : 1, warmup);
}

enum { TENSORS = 4 };

static rvn_optimizer *create_optimizer(const char *recipe, struct network *network,
                                       const struct network *gradient) {
  static const int64_t hidden[] = {PIXELS, HIDDEN}, output[] = {HIDDEN, CLASSES};
  const rvn_tensor tensors[TENSORS] = {
      {sizeof(rvn_tensor), "hidden.weight", network->hidden_weight, gradient->hidden_weight,
       RVN_F32, 0, 2, 0, hidden},
      {sizeof(rvn_tensor), "hidden.bias", network->hidden_bias, gradient->hidden_bias, RVN_F32, 0,
       1, 0, hidden + 1}, /* as long as the second dimension of the weights */
      {sizeof(rvn_tensor), "output.weight", network->output_weight, gradient->output_weight,
       RVN_F32, 0, 2, 0, output},
      {sizeof(rvn_tensor), "output.bias", network->output_bias, gradient->output_bias, RVN_F32, 0,
       1, 0, output + 1},
  };
  rvn_optimizer *optimizer;
  check(rvn_optimizer_create(recipe, &optimizer));
  for (int i = 0; i < TENSORS; i++) check(rvn_optimizer_add(optimizer, &tensors[i], NULL));
  check(rvn_optimizer_prepare(optimizer));
  return optimizer;
}

/* The recipe with all defaults filled in; to be freed. */
static char *canonical_recipe(const rvn_optimizer *optimizer) {
  size_t size;
  check(rvn_optimizer_recipe(optimizer, NULL, 0, &size));
  char *text = malloc(size);
  if (!text) fail("out of memory");
  check(rvn_optimizer_recipe(optimizer, text, size, NULL));
  return text;
}

/* ---- the record ----------------------------------------------------------------------------- */

static void write_record(FILE *file, const struct network *part) {
  if (file) fwrite(part, sizeof *part, 1, file);
}

static FILE *start_record(const char *path, const char *recipe, const struct network *network) {
  FILE *file = fopen(path, "wb");
  if (!file) fail("cannot write %s: %s", path, strerror(errno));
  fprintf(file, "%s\nhidden.weight:%dx%d hidden.bias:%d output.weight:%dx%d output.bias:%d\n",
          recipe, PIXELS, HIDDEN, HIDDEN, HIDDEN, CLASSES, CLASSES);
  write_record(file, network);
  return file;
}

/* ---- the run -------------------------------------------------------------------------------- */

/* One pass over the training images, or the rest of one. */
static void train_epoch(const struct options *o, rvn_optimizer *optimizer, rvn_sampler *sampler,
                        const struct digits *digits, struct network *network,
                        struct network *gradient, FILE *record) {
  int steps = 0, clipped = 0;
  size_t size, seen = 0;
  int64_t images[TRAIN];
  double loss = 0, norm = 0;
  rvn_step_report report = {sizeof report, 0, 0, 0, 0, 0, 0, 0, 0};
  uint64_t epoch, batches;
  check(rvn_sampler_tell(sampler, &epoch, NULL));
  check(rvn_sampler_size(sampler, &batches, NULL));

  for (;;) {
    check(rvn_sampler_next(sampler, images, TRAIN, &size));
    if (size == 0) break; /* the end of the epoch */
    float mean = loss_and_gradient(network, digits, images, size, gradient);
    const rvn_step_input input = {sizeof input, NULL, 0, mean, 1, 0};
    check(rvn_optimizer_step(optimizer, &input, &report));
    write_record(record, gradient);
    write_record(record, network);
    loss += (double)mean * (double)size;
    norm += report.grad_norm;
    clipped += report.clip_scale < 1;
    seen += size;
    steps++;
  }
  if (!isfinite(loss)) fail("the loss is not finite in epoch %d; try a lower lr", (int)epoch + 1);
  if ((o->save || o->resume) && report.step != (epoch + 1) * batches)
    fail("this recipe does not make an update from every batch, so --resume could not find the "
         "place; leave out --save and --resume");
  if (o->save) check(rvn_optimizer_save(optimizer, o->save));
  if (!o->quiet)
    printf("%5d  %6.4f  %13.4f  %8.2e  %13.4f  %2d of %d\n", (int)epoch + 1, loss / (double)seen,
           (double)count_right(network, digits) / TEST, report.lr, norm / steps, clipped, steps);
}

int main(int count, char **arguments) {
  static struct digits digits;
  static struct network network, gradient;
  struct options o = read_options(count, arguments);
  if (!read_digits(o.data, &digits)) return 1;
  initialise(&network, o.seed);

  uint64_t batches;
  rvn_sampler *sampler = create_sampler(&o, &batches);
  char standard[200];
  default_recipe(o.epochs * (int)batches, standard, sizeof standard);
  rvn_optimizer *optimizer = create_optimizer(o.recipe ? o.recipe : standard, &network, &gradient);
  char *recipe = canonical_recipe(optimizer);
  if (!o.quiet) printf("%s\n\n", recipe);

  /* The number of updates is all that is needed to find the place in the run. */
  double updates = 0;
  if (o.resume) check(rvn_optimizer_load(optimizer, o.resume));
  check(rvn_optimizer_read(optimizer, 2, "step", RVN_F64, &updates, 1));
  uint64_t epoch = (uint64_t)updates / batches;
  uint64_t end = (uint64_t)(o.stop < o.epochs ? o.stop : o.epochs);
  check(rvn_sampler_seek(sampler, epoch, (uint64_t)updates % batches));

  FILE *record = o.record ? start_record(o.record, recipe, &network) : NULL;
  if (!o.quiet && epoch >= end) printf("the checkpoint is at the end of the run already\n");
  if (!o.quiet && epoch < end)
    printf("epoch    loss  test accuracy        lr  gradient norm  clipped\n");
  for (; epoch < end; epoch++)
    train_epoch(&o, optimizer, sampler, &digits, &network, &gradient, record);
  if (record) {
    int failed = ferror(record);
    if (fclose(record) || failed) fail("cannot write all of %s", o.record);
  }

  int right = count_right(&network, &digits);
  printf("test accuracy %.4f (%d of %d), parameters %016llx\n", (double)right / TEST, right, TEST,
         (unsigned long long)checksum(&network));
  free(recipe);
  rvn_sampler_destroy(sampler);
  rvn_optimizer_destroy(optimizer);
  return 0;
}
