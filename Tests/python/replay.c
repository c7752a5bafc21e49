/* Replays runs that properties.py wrote, and writes what came out: how test_properties.py compares
 * another machine with this one.
 *
 *     replay IN OUT [quiet]        quiet: no step asks for a report
 *
 * IN:  worlds, then cases; each number is 8 bytes, each text and array is padded to 8.
 *        world    tensors, steps; for each tensor dtype, grad_dtype, rank, shape, name, data; for
 *                 each step and tensor 1 and the gradient, or 0
 *        case     0, world, first step, recipe, checkpoint to load before ("": none)
 *                 1, first, count, schedule
 * OUT: for each case a status first, with the sentence and nothing more if it is not 0;
 *        runs      for each step a status and a report; for each tensor its data, its slots
 *                  (as float, of double tensors as double) and its counter (as double)
 *        schedules the values */
#include "ravine.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_TENSORS = 256, MAX_STEPS = 16, MAX_WORLDS = 8 };

struct world {
  int64_t tensors, steps;
  rvn_tensor tensor[MAX_TENSORS];
  size_t count[MAX_TENSORS];
  const void *grads[MAX_STEPS][MAX_TENSORS];
};

static char *at;
static FILE *out;
static struct world worlds[MAX_WORLDS];

static void give_up(const char *why) {
  fprintf(stderr, "replay: %s\n", why);
  exit(2);
}

static void *bytes(size_t n) {
  char *start = at;
  at += (n + 7) / 8 * 8;
  return start;
}
static int64_t number(void) {
  int64_t n;
  memcpy(&n, bytes(8), 8);
  return n;
}
static const char *text(void) {
  int64_t n = number();
  return bytes((size_t)n);
}

static void put(const void *data, size_t n) {
  static const char zeros[8];
  if (fwrite(data, 1, n, out) != n || fwrite(zeros, 1, (8 - n % 8) % 8, out) != (8 - n % 8) % 8)
    give_up("cannot write");
}

static size_t size_of(int32_t dtype) { return dtype == RVN_F64 ? 8 : dtype == RVN_F32 ? 4 : 2; }

static void put_status(rvn_status status) {
  int64_t wide = status;
  put(&wide, 8);
  if (status != RVN_OK) {
    char sentence[1024] = {0};
    strncpy(sentence, rvn_last_error(), sizeof sentence - 1);
    put(sentence, sizeof sentence);
  }
}

static void read_world(struct world *w) {
  int64_t i, k;
  w->tensors = number();
  w->steps = number();
  if (w->tensors > MAX_TENSORS || w->steps > MAX_STEPS) give_up("the world is too large");
  for (i = 0; i < w->tensors; i++) {
    rvn_tensor *t = &w->tensor[i];
    t->struct_size = sizeof *t;
    t->dtype = (int32_t)number();
    t->grad_dtype = (int32_t)number();
    t->rank = (int32_t)number();
    t->shape = bytes(8 * (size_t)t->rank);
    w->count[i] = 1;
    for (k = 0; k < t->rank; k++) w->count[i] *= (size_t)t->shape[k];
    t->name = text();
    t->data = bytes(w->count[i] * size_of(t->dtype));
  }
  for (k = 0; k < w->steps; k++)
    for (i = 0; i < w->tensors; i++)
      w->grads[k][i] = number() ? bytes(w->count[i] * size_of(w->tensor[i].grad_dtype)) : NULL;
}

static rvn_status start(const struct world *w, const char *recipe, void **data,
                        const char *checkpoint, rvn_optimizer **opt) {
  int64_t i;
  rvn_status status = rvn_optimizer_create(recipe, opt);
  for (i = 0; i < w->tensors && status == RVN_OK; i++) {
    rvn_tensor t = w->tensor[i];
    size_t size = w->count[i] * size_of(t.dtype);
    if ((data[i] = malloc(size + 1)) == NULL) give_up("no memory");
    memcpy(data[i], t.data, size);
    t.data = data[i];
    status = rvn_optimizer_add(*opt, &t, NULL);
  }
  if (status == RVN_OK) status = rvn_optimizer_prepare(*opt);
  if (status == RVN_OK && *checkpoint) status = rvn_optimizer_load(*opt, checkpoint);
  return status;
}

static void check(rvn_status status) {
  if (status != RVN_OK) give_up(rvn_last_error());
}

static size_t slot_size(const rvn_optimizer *opt, size_t tensor, const char *name, size_t rank) {
  int64_t shape[8];
  size_t count = 1, k;
  check(rvn_optimizer_slot_shape(opt, tensor, name, shape, rank));
  for (k = 0; k < rank; k++) count *= (size_t)shape[k];
  return count;
}

static void put_state(const rvn_optimizer *opt, size_t tensor, int32_t dtype, size_t count,
                      size_t rank) {
  char names[256], *name;
  double steps;
  int32_t wide = dtype == RVN_F64 ? RVN_F64 : RVN_F32;
  void *array = malloc(count * 8 + 1);
  if (array == NULL) give_up("no memory");
  check(rvn_optimizer_slots(opt, tensor, names, sizeof names, NULL));
  for (name = strtok(names, ","); name != NULL; name = strtok(NULL, ",")) {
    size_t n = slot_size(opt, tensor, name, rank);
    check(rvn_optimizer_read(opt, tensor, name, wide, array, n));
    put(array, n * size_of(wide));
  }
  check(rvn_optimizer_read(opt, tensor, "step", RVN_F64, &steps, 1));
  put(&steps, 8);
  free(array);
}

static void run(int quiet) {
  void *data[MAX_TENSORS] = {0};
  rvn_optimizer *opt = NULL;
  const struct world *w = &worlds[number()];
  int64_t step = number(), i;
  const char *recipe = text();
  const char *checkpoint = text();
  rvn_status status = start(w, recipe, data, checkpoint, &opt);
  put_status(status);
  for (; status == RVN_OK && step < w->steps; step++) {
    rvn_step_report report;
    rvn_step_input input;
    rvn_curvature_input curvature;
    memset(&report, 0, sizeof report);
    memset(&input, 0, sizeof input);
    report.struct_size = sizeof report;
    input.struct_size = sizeof input;
    input.grads = w->grads[step];
    input.grad_count = (size_t)w->tensors;
    input.loss = 0.5;
    input.has_loss = 1;
    memset(&curvature, 0, sizeof curvature);
    curvature.struct_size = sizeof curvature;
    curvature.diagonal = w->grads[step];
    curvature.count = (size_t)w->tensors;
    /* Where a rule needs curvature, the gradients stand for it, too; else, or where one is not finite, it
     * is refused. */
    rvn_optimizer_curvature(opt, &curvature);
    put_status(rvn_optimizer_step(opt, &input, quiet ? NULL : &report));
    put(&report, sizeof report);
  }
  for (i = 0; i < w->tensors; i++) {
    if (status == RVN_OK) {
      put(data[i], w->count[i] * size_of(w->tensor[i].dtype));
      put_state(opt, (size_t)i, w->tensor[i].dtype, w->count[i], (size_t)w->tensor[i].rank);
    }
    free(data[i]);
  }
  rvn_optimizer_destroy(opt);
}

static void evaluate(void) {
  rvn_schedule *schedule = NULL;
  uint64_t first = (uint64_t)number();
  size_t count = (size_t)number();
  double *values = malloc(8 * count + 1);
  rvn_status status = rvn_schedule_create(text(), &schedule);
  if (values == NULL) give_up("no memory");
  if (status == RVN_OK) status = rvn_schedule_values(schedule, first, count, values);
  put_status(status);
  if (status == RVN_OK) put(values, 8 * count);
  rvn_schedule_destroy(schedule);
  free(values);
}

int main(int argc, char **argv) {
  FILE *in;
  long size;
  char *data;
  int64_t i, n;
  if (argc < 3 || (in = fopen(argv[1], "rb")) == NULL || (out = fopen(argv[2], "wb")) == NULL)
    give_up("usage: replay IN OUT [quiet]");
  if (fseek(in, 0, SEEK_END) != 0 || (size = ftell(in)) < 0) give_up("cannot read");
  rewind(in);
  data = at = malloc((size_t)size + 1);
  if (data == NULL || fread(data, 1, (size_t)size, in) != (size_t)size) give_up("cannot read");
  n = number();
  if (n > MAX_WORLDS) give_up("too many worlds");
  for (i = 0; i < n; i++) read_world(&worlds[i]);
  for (n = number(), i = 0; i < n; i++) {
    if (number() == 0) {
      run(argc > 3);
    } else {
      evaluate();
    }
  }
  if (at != data + size) give_up("the file is longer than what it says");
  free(data);
  fclose(in);
  return fclose(out) == 0 ? 0 : 2;
}
