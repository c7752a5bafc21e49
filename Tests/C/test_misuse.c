/* Wrong use of a handle: a status, a sentence that names the argument, and nothing changed. */
#include "fixture.h"

enum { N = 20 };
static float w[N], b[N], gw[N], gb[N];
static rvn_optimizer *opt; /* the handle that must stay as it is */

/* All that can be seen of the handle and the caller's arrays. */
typedef struct sight {
  char recipe[1024], plan[2048];
  float w[N], b[N], gw[N], gb[N], m[N];
  double t, lr;
} sight;

static void look(sight *s) {
  memset(s, 0, sizeof *s);
  memcpy(s->w, w, sizeof w), memcpy(s->b, b, sizeof b);
  memcpy(s->gw, gw, sizeof gw), memcpy(s->gb, gb, sizeof gb);
  CHECK_OK(rvn_optimizer_recipe(opt, s->recipe, sizeof s->recipe, NULL));
  CHECK_OK(rvn_optimizer_plan(opt, s->plan, sizeof s->plan, NULL));
  CHECK_OK(rvn_optimizer_get(opt, "lr", &s->lr));
  if (rvn_optimizer_read(opt, 0, "m", RVN_F32, s->m, N) == RVN_OK)
    CHECK_OK(rvn_optimizer_read(opt, 0, "step", RVN_F64, &s->t, 1));
}

#define REFUSES(expr, status, part)                     \
  do {                                                  \
    sight before, after;                                \
    look(&before);                                      \
    if (CHECK_STATUS(expr, status)) CHECK_SAYS(part);   \
    look(&after);                                       \
    CHECK_BYTES(&before, &after, sizeof before);        \
  } while (0)

static void open_handle(int ready) {
  rvn_optimizer_destroy(opt);
  opt = create("clip_norm(1) | clip_value(0.5) | sgd(0.1, momentum=0.9)");
  fill_random(w, N, 1), fill_random(b, N, 1), fill_random(gw, N, 1), fill_random(gb, N, 1);
  CHECK_OK(add(opt, "w", w, gw, N));
  CHECK_OK(add(opt, "b", b, gb, N));
  if (ready) CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
}

static void creating(void) {
  static const size_t sizes[] = {0, sizeof(rvn_options) - 1, (size_t)1 << 40, SIZE_MAX};
  rvn_optimizer *out = (rvn_optimizer *)&out;
  rvn_options o;
  size_t i;
  CHECK_STATUS(rvn_optimizer_create("sgd(1)", NULL), RVN_ERR_ARGUMENT);
  CHECK_SAYS("out is NULL");
  CHECK_STATUS(rvn_optimizer_create(NULL, &out), RVN_ERR_ARGUMENT);
  CHECK_SAYS("recipe is NULL");
  CHECK(out == NULL);
  for (i = 0; i < 4; i++) {
    memset(&o, 0, sizeof o);
    o.struct_size = sizes[i];
    out = (rvn_optimizer *)&out;
    CHECK_STATUS(rvn_optimizer_create_with("sgd(1)", &o, &out), RVN_ERR_ARGUMENT);
    CHECK_SAYS("rvn_options.struct_size");
    CHECK(out == NULL);
  }
#define OPTION(field, value, part)                                                    \
  memset(&o, 0, sizeof o);                                                            \
  o.struct_size = sizeof o, o.field = value;                                          \
  CHECK_STATUS(rvn_optimizer_create_with("sgd(1)", &o, &out), RVN_ERR_ARGUMENT);      \
  CHECK_SAYS(part);                                                                   \
  CHECK(out == NULL);                                                                 \
  rvn_optimizer_destroy(out), out = NULL
  OPTION(threads, -2, "threads");
  OPTION(threads, 257, "threads");
  OPTION(threads, INT32_MIN, "threads");
  OPTION(reserved, 1, "reserved");
  OPTION(allocate, (void *(*)(void *, size_t, size_t))&creating, "allocate");
  OPTION(deallocate, (void (*)(void *, void *, size_t, size_t))&creating, "allocate");
}

static rvn_tensor tensor(void) {
  static const int64_t shape[1] = {N};
  static float data[N];
  rvn_tensor t;
  memset(&t, 0, sizeof t);
  t.struct_size = sizeof t, t.name = "new", t.data = data, t.dtype = RVN_F32, t.rank = 1;
  t.shape = shape;
  return t;
}

static void adding(void) {
  static const size_t sizes[] = {0, sizeof(rvn_tensor) - 1, (size_t)1 << 40, SIZE_MAX};
  static const int64_t negative[] = {2, -1}, huge[] = {INT64_MAX, INT64_MAX};
  static const int64_t large[] = {(int64_t)1 << 62, 4}, one[] = {INT64_MAX};
  char longest[257];
  rvn_tensor t;
  size_t index = 77, i;
  float *odd = (float *)(void *)((char *)w + 1);
#define REFUSED(field, value, status, part) \
  t = tensor();                             \
  t.field = value;                          \
  REFUSES(rvn_optimizer_add(opt, &t, &index), status, part)
  REFUSES(rvn_optimizer_add(opt, NULL, &index), RVN_ERR_ARGUMENT, "tensor is NULL");
  t = tensor();
  CHECK_STATUS(rvn_optimizer_add(NULL, &t, &index), RVN_ERR_ARGUMENT);
  CHECK_SAYS("optimizer is NULL");
  for (i = 0; i < 4; i++) { REFUSED(struct_size, sizes[i], RVN_ERR_ARGUMENT, "rvn_tensor.struct_size"); }
  memset(longest, 'x', 256), longest[256] = 0;
  REFUSED(name, NULL, RVN_ERR_ARGUMENT, "name is NULL");
  REFUSED(name, "", RVN_ERR_NAME, "name");
  REFUSED(name, longest, RVN_ERR_NAME, "255");
  REFUSED(name, "a\nb", RVN_ERR_NAME, "control");
  REFUSED(name, "a\x7f", RVN_ERR_NAME, "control");
  REFUSED(name, "a\xff", RVN_ERR_NAME, "UTF-8");
  REFUSED(name, "a\xc3", RVN_ERR_NAME, "UTF-8");
  REFUSED(name, "\xed\xa0\x80", RVN_ERR_NAME, "UTF-8"); /* a surrogate */
  REFUSED(name, "\xc0\x80", RVN_ERR_NAME, "UTF-8");     /* overlong */
  REFUSED(name, "w", RVN_ERR_NAME, "'w'");
  REFUSED(data, NULL, RVN_ERR_ARGUMENT, "data is NULL");
  REFUSED(data, odd, RVN_ERR_ARGUMENT, "data is not aligned");
  REFUSED(grad, odd, RVN_ERR_ARGUMENT, "grad is not aligned");
  REFUSED(dtype, 0, RVN_ERR_TYPE, "dtype");
  REFUSED(dtype, 5, RVN_ERR_TYPE, "dtype");
  REFUSED(dtype, -1, RVN_ERR_TYPE, "dtype");
  REFUSED(grad_dtype, 5, RVN_ERR_TYPE, "grad_dtype");
  REFUSED(grad_dtype, -1, RVN_ERR_TYPE, "grad_dtype");
  REFUSED(rank, -1, RVN_ERR_SHAPE, "rank");
  REFUSED(rank, 9, RVN_ERR_SHAPE, "rank");
  REFUSED(rank, INT32_MAX, RVN_ERR_SHAPE, "rank");
  REFUSED(shape, NULL, RVN_ERR_ARGUMENT, "shape is NULL");
  REFUSED(rank, 2; t.shape = negative, RVN_ERR_SHAPE, "shape[1] is -1");
  REFUSED(rank, 2; t.shape = huge, RVN_ERR_SHAPE, "elements");
  REFUSED(rank, 2; t.shape = large, RVN_ERR_SHAPE, "elements");
  REFUSED(shape, one, RVN_ERR_SHAPE, "elements");
  REFUSED(reserved, 1, RVN_ERR_ARGUMENT, "reserved");
  CHECK(index == 77);
  longest[255] = 0;
  t = tensor(), t.name = longest;
  CHECK_OK(rvn_optimizer_add(opt, &t, &index));
  CHECK(index == 2); /* none of the failures took a number */
}

static void stepping(void) {
  static const size_t sizes[] = {0, 8, (size_t)1 << 40, SIZE_MAX};
  const void *grads[2] = {gw, gb}, *crooked[2] = {gw, (char *)gb + 2};
  rvn_step_input in, blank;
  rvn_step_report r, r0;
  size_t i;
  rvn_optimizer *empty = create("sgd(1)");
  memset(&blank, 0, sizeof blank);
  blank.struct_size = sizeof blank, blank.grads = grads, blank.grad_count = 2;
  memset(&r, 0x5a, sizeof r);
  r.struct_size = sizeof r, r0 = r;
#define STEP(change, part) \
  in = blank, r = r0;      \
  change;                  \
  REFUSES(rvn_optimizer_step(opt, &in, &r), RVN_ERR_ARGUMENT, part); \
  CHECK_BYTES(&r, &r0, sizeof r)
  CHECK_STATUS(rvn_optimizer_step(NULL, &blank, &r), RVN_ERR_ARGUMENT);
  CHECK_SAYS("optimizer is NULL");
  for (i = 0; i < 4; i++) { STEP(in.struct_size = sizes[i], "rvn_step_input.struct_size"); }
  STEP(in.grad_count = 1, "grad_count");
  STEP(in.grad_count = 3, "grad_count");
  STEP(in.grad_count = 0, "grad_count");
  STEP(in.grad_count = SIZE_MAX, "grad_count");
  STEP(in.grads = NULL, "grad_count");
  STEP(in.grads = crooked, "'b'");
  STEP(in.reserved = 1, "reserved");
  STEP(in.has_loss = 2, "has_loss");
  for (i = 0; i < 4; i++) {
    r0.struct_size = sizes[i], r = r0;
    REFUSES(rvn_optimizer_step(opt, NULL, &r), RVN_ERR_ARGUMENT, "rvn_step_report.struct_size");
    CHECK_BYTES(&r, &r0, sizeof r);
  }
  CHECK_STATUS(rvn_optimizer_step(empty, NULL, NULL), RVN_ERR_STATE);
  CHECK_SAYS("no tensor");
  CHECK_STATUS(rvn_optimizer_prepare(empty), RVN_ERR_STATE);
  CHECK_STATUS(rvn_optimizer_plan(empty, NULL, 0, NULL), RVN_ERR_STATE);
  CHECK_STATUS(rvn_optimizer_prepare(NULL), RVN_ERR_ARGUMENT);
  rvn_optimizer_destroy(empty);
}

/* A call that fails before the first step has not prepared the handle: tensors can be added. */
static void failing_early(void) {
  const void *crooked[2] = {gw, (char *)gb + 2};
  const void *grads[1] = {gw};
  static float v[N];
  rvn_step_input in;
  memset(&in, 0, sizeof in);
  in.struct_size = sizeof in, in.grads = crooked, in.grad_count = 2;
  REFUSES(rvn_optimizer_step(opt, &in, NULL), RVN_ERR_ARGUMENT, "aligned");
  in.grads = grads, in.grad_count = 1;
  REFUSES(rvn_optimizer_step(opt, &in, NULL), RVN_ERR_ARGUMENT, "grad_count");
  REFUSES(rvn_optimizer_load(opt, "no/such/file"), RVN_ERR_IO, "no/such/file");
  REFUSES(rvn_optimizer_save(opt, "no/such/file"), RVN_ERR_IO, "no/such/file");
  CHECK_OK(add(opt, "v", v, NULL, N));
}

static void binding(void) {
  float other[N] = {0};
  REFUSES(rvn_optimizer_bind(opt, 2, other, NULL), RVN_ERR_ARGUMENT, "index is 2");
  REFUSES(rvn_optimizer_bind(opt, SIZE_MAX, other, NULL), RVN_ERR_ARGUMENT, "index is 18446744073709551615");
  REFUSES(rvn_optimizer_bind(opt, 0, NULL, gw), RVN_ERR_ARGUMENT, "data is NULL");
  REFUSES(rvn_optimizer_bind(opt, 0, (char *)other + 1, gw), RVN_ERR_ARGUMENT, "data is not aligned");
  REFUSES(rvn_optimizer_bind(opt, 0, other, (char *)gw + 2), RVN_ERR_ARGUMENT, "grad is not aligned");
  CHECK_STATUS(rvn_optimizer_bind(NULL, 0, other, NULL), RVN_ERR_ARGUMENT);
}

static void destroying(void) {
  rvn_schedule *s = NULL;
  rvn_optimizer_destroy(NULL), rvn_optimizer_destroy(NULL);
  rvn_schedule_destroy(NULL), rvn_schedule_destroy(NULL);
  /* A handle of another kind is seen by its magic word. */
  CHECK_OK(rvn_schedule_create("0.5", &s));
  CHECK_STATUS(rvn_optimizer_step((rvn_optimizer *)(void *)s, NULL, NULL), RVN_ERR_ARGUMENT);
  CHECK_SAYS("not an optimizer");
  rvn_optimizer_destroy((rvn_optimizer *)(void *)s);
  CHECK_STATUS(rvn_schedule_values((rvn_schedule *)(void *)opt, 0, 0, NULL), RVN_ERR_ARGUMENT);
  CHECK_SAYS("not a schedule");
  CHECK_OK(rvn_schedule_recipe(s, NULL, 0, NULL));
  rvn_schedule_destroy(s);
}

int main(void) {
  creating();
  open_handle(0), adding();
  open_handle(0), stepping();
  open_handle(1), stepping();
  open_handle(0), failing_early();
  open_handle(1), binding();
  destroying();
  rvn_optimizer_destroy(opt);
  return finish();
}
