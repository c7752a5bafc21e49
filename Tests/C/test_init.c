/* Initial values: what every initializer promises, wrong use, and the same bytes everywhere. */
#include "failing.h"

enum { MOST = 4096, GUARD = 64 };

static unsigned char bytes[8 * MOST + GUARD], other[8 * MOST + GUARD];

static const int64_t matrix[] = {24, 12}, kernel[] = {8, 4, 3}, vector[] = {52}, image[] = {6, 4, 3, 3};
static const struct { int rank; const int64_t *shape; } shapes[] = {
    {2, matrix}, {3, kernel}, {4, image}, {1, vector}, {0, NULL}};
enum { SHAPES = sizeof shapes / sizeof shapes[0] };

static rvn_tensor tensor(void *data, int32_t dtype, int rank, const int64_t *shape) {
  rvn_tensor t;
  memset(&t, 0, sizeof t);
  t.struct_size = sizeof t, t.name = "w", t.data = data, t.dtype = dtype, t.rank = rank;
  t.shape = shape;
  return t;
}

static size_t count_of(int rank, const int64_t *shape) {
  size_t n = 1;
  int i;
  for (i = 0; i < rank; i++) n *= (size_t)shape[i];
  return n;
}

static const size_t sizes[] = {0, 4, 8, 2, 2};

/* Each entry of the catalog, with its defaults and with everything switched on, for each shape that
 * it takes: every type is the rounded Float64, and nothing behind the tensor is written. */
static void every_entry(void) {
  char recipe[400];
  size_t i, n, k;
  int busy, s, taken, entries = 0;
  int32_t type;
  for (i = 0; i < rvn_catalog_count(); i++) {
    if (strcmp(entry_at(i).kind, "init") != 0) continue;
    entries++;
    for (busy = 0; busy < 2; busy++) {
      if (!recipe_for(i, busy, recipe, sizeof recipe)) continue;
      for (s = taken = 0; s < SHAPES; s++) {
        double *wide = (double *)(void *)other;
        rvn_tensor t = tensor(other, RVN_F64, shapes[s].rank, shapes[s].shape);
        rvn_status status = rvn_init(recipe, 7, &t);
        NOTE("%s, shape %d", recipe, s);
        if (status == RVN_ERR_SHAPE) {
          CHECK_SAYS("needs");
          continue;
        }
        if (!CHECK_STATUS(status, RVN_OK)) continue;
        taken++;
        n = count_of(shapes[s].rank, shapes[s].shape);
        for (type = RVN_F32; type <= RVN_F16; type++) {
          memset(bytes, 0x5a, sizeof bytes);
          t = tensor(bytes, type, shapes[s].rank, shapes[s].shape);
          CHECK_OK(rvn_init(recipe, 7, &t));
          for (k = 0; k < GUARD; k++) CHECK(bytes[n * sizes[type] + k] == 0x5a);
          if (type == RVN_F64) CHECK_BYTES(bytes, other, 8 * n);
          for (k = 0; type == RVN_F32 && k < n; k++)
            CHECK(((float *)(void *)bytes)[k] == (float)wide[k]);
          for (k = 0; type == RVN_BF16 && k < n; k++) {
            uint32_t bits = (uint32_t)((uint16_t *)(void *)bytes)[k] << 16;
            float x;
            memcpy(&x, &bits, 4);
            CHECK((x - wide[k]) * (x - wide[k]) <= wide[k] * wide[k] * 0x1p-16);
          }
        }
      }
      CHECK(taken > 0);
    }
  }
  CHECK(entries > 10);
  NOTE("%s", "");
}

/* FNV-1a of a filled Float32 tensor of 64 x 48, or of a kernel, or of a vector. */
static uint64_t digest(const char *recipe, int threads, int32_t dtype) {
  static const int64_t large[] = {64, 48}, deep[] = {48, 16, 3}, flat[] = {2048};
  uint64_t h = 0xcbf29ce484222325u;
  rvn_options o = threads_of(threads);
  rvn_tensor t = tensor(bytes, dtype, 2, large);
  size_t i, n = 64 * 48;
  if (strncmp(recipe, "delta", 5) == 0) t.rank = 3, t.shape = deep, n = 48 * 16 * 3;
  if (strncmp(recipe, "forget", 6) == 0) t.rank = 1, t.shape = flat, n = 2048;
  CHECK_OK(rvn_init_with(recipe, 20240517, &t, &o));
  for (i = 0; i < sizes[dtype] * n; i++) h = (h ^ bytes[i]) * 0x100000001b3u;
  return h;
}

/* The same on every machine: these numbers were made on one. */
static void same_bytes(void) {
  static const struct { const char *recipe; uint64_t wide, narrow; } known[] = {
      {"uniform(-1, 1)", 0xc4fd06d00abc4253u, 0xe7e1d6a16284f65fu},
      {"normal(0.02, 1)", 0xe142bb33f9835a79u, 0x651f1f4f87fc39d3u},
      {"truncated_normal(0.02)", 0x3735dc773499440fu, 0xfbe4a3574c0270b6u},
      {"truncated_normal(1, low=2, high=5, corrected=true)", 0x3a6f2149d4ff1b94u, 0xcdf7cd89516b79d4u},
      {"glorot", 0x889583e27bc4f0ddu, 0x1d18c866e52c4038u},
      {"he(truncated)", 0x66a1878ecbaba1e0u, 0x6682404f2ccb538u},
      {"orthogonal", 0x4541a46032234b3bu, 0x8315acb0a96daf57u},
      {"delta_orthogonal", 0x8f3182c35aa759c8u, 0x3babf38d3f05a832u},
      {"sparse(0.5)", 0xce4f59b310d77c63u, 0xa2e7f28f2f844214u},
      {"forget_bias", 0x2b762992765c0325u, 0x5a487083b9c2db25u},
  };
  size_t i;
  int threads;
  for (i = 0; i < sizeof known / sizeof known[0]; i++) {
    for (threads = 1; threads <= 5; threads += 2) {
      uint64_t wide = digest(known[i].recipe, threads, RVN_F64);
      uint64_t narrow = digest(known[i].recipe, threads, RVN_BF16);
      NOTE("%s: {0x%llx, 0x%llx}", known[i].recipe, (unsigned long long)wide,
           (unsigned long long)narrow);
      CHECK(wide == known[i].wide);
      CHECK(narrow == known[i].narrow);
    }
  }
  NOTE("%s", "");
}

/* What the numbers depend on: seed and name, and not the order or number of calls. */
static void streams(void) {
  float *a = (float *)(void *)bytes, *b = (float *)(void *)other;
  rvn_tensor t = tensor(a, RVN_F32, 1, vector), u = tensor(b, RVN_F32, 1, vector);
  size_t i, same = 0;
  CHECK_OK(rvn_init("normal", 1, &t));
  CHECK_OK(rvn_init("normal", 1, &u));
  CHECK_BYTES(a, b, 4 * 52);
  u.name = "v";
  CHECK_OK(rvn_init("normal", 1, &u));
  for (i = 0; i < 52; i++) same += a[i] == b[i];
  u.name = "w";
  CHECK_OK(rvn_init("normal", 2, &u));
  for (i = 0; i < 52; i++) same += a[i] == b[i];
  CHECK_OK(rvn_init("normal", (uint64_t)1 << 32 | 1, &u));
  for (i = 0; i < 52; i++) same += a[i] == b[i];
  CHECK(same == 0);
  /* a longer tensor begins with the same numbers */
  u = tensor(b, RVN_F32, 2, matrix);
  CHECK_OK(rvn_init("normal", 1, &u));
  CHECK_BYTES(a, b, 4 * 52);
}

static void misuse(void) {
  static const int64_t negative[] = {2, -1}, odd[] = {7};
  static const size_t wrong[] = {0, sizeof(rvn_tensor) - 1, (size_t)1 << 40, SIZE_MAX};
  char longest[257];
  rvn_options o;
  rvn_tensor t;
  size_t i;
#define REFUSES(recipe, status, part)                         \
  do {                                                        \
    memset(bytes, 0x5a, sizeof bytes);                        \
    memset(other, 0x5a, sizeof other);                        \
    NOTE("%s", (const char *)(recipe) ? (recipe) : "NULL");   \
    CHECK_STATUS(rvn_init(recipe, 1, &t), status);            \
    CHECK_SAYS(part);                                         \
    CHECK_BYTES(bytes, other, sizeof bytes);                  \
  } while (0)
#define REFUSED(change, status, part)        \
  t = tensor(bytes, RVN_F32, 2, matrix);     \
  change;                                    \
  REFUSES("normal", status, part)
  CHECK_STATUS(rvn_init("normal", 1, NULL), RVN_ERR_ARGUMENT);
  CHECK_SAYS("tensor is NULL");
  for (i = 0; i < 4; i++) { REFUSED(t.struct_size = wrong[i], RVN_ERR_ARGUMENT, "rvn_tensor.struct_size"); }
  memset(longest, 'x', 256), longest[256] = 0;
  REFUSED(t.name = NULL, RVN_ERR_ARGUMENT, "name is NULL");
  REFUSED(t.name = "", RVN_ERR_NAME, "name");
  REFUSED(t.name = longest, RVN_ERR_NAME, "255");
  REFUSED(t.name = "a\xff", RVN_ERR_NAME, "UTF-8");
  REFUSED(t.data = NULL, RVN_ERR_ARGUMENT, "data is NULL");
  REFUSED(t.data = bytes + 1, RVN_ERR_ARGUMENT, "not aligned");
  REFUSED(t.dtype = 0, RVN_ERR_TYPE, "dtype");
  REFUSED(t.dtype = 5, RVN_ERR_TYPE, "dtype");
  REFUSED(t.rank = 9, RVN_ERR_SHAPE, "rank");
  REFUSED(t.shape = NULL, RVN_ERR_ARGUMENT, "shape is NULL");
  REFUSED(t.shape = negative, RVN_ERR_SHAPE, "shape[1] is -1");
  REFUSED(t.reserved = 1, RVN_ERR_ARGUMENT, "reserved");

  t = tensor(bytes, RVN_F32, 2, matrix);
  REFUSES(NULL, RVN_ERR_ARGUMENT, "recipe is NULL");
  REFUSES("", RVN_ERR_RECIPE, "initializer:1:1: expected an initializer");
  REFUSES("hee", RVN_ERR_RECIPE, "did you mean 'he'?");
  REFUSES("sgd(0.1)", RVN_ERR_RECIPE, "sgd is a rule");
  REFUSES("0.5", RVN_ERR_RECIPE, "expected an initializer");
  REFUSES("he | zeros", RVN_ERR_RECIPE, "initializer:1:4: expected the end");
  REFUSES("he(gian=2)", RVN_ERR_RECIPE, "did you mean 'gain'?");
  REFUSES("he(gain=-1)", RVN_ERR_RECIPE, "he.gain is -1");
  REFUSES("he(uniform, relu, 0.1)", RVN_ERR_RECIPE, "slope is 0.1, but is for nonlinearity=leaky_relu");
  REFUSES("he(layout=tensorflow)", RVN_ERR_RECIPE, "torch, keras");
  REFUSES("normal(cosine(1, steps=5))", RVN_ERR_RECIPE, "expected a number for normal.std");
  REFUSES("normal(inf)", RVN_ERR_RECIPE, "normal.std is inf");
  REFUSES("full", RVN_ERR_RECIPE, "full needs 'value'");
  REFUSES("uniform(2, 1)", RVN_ERR_RECIPE, "low is 2");
  REFUSES("truncated_normal(1, low=2, high=2)", RVN_ERR_RECIPE, "not below high");
  REFUSES("truncated_normal(1, low=40, high=41)", RVN_ERR_RECIPE, "hardly any number");
  REFUSES("truncated_normal(0)", RVN_ERR_RECIPE, "truncated_normal.std is 0");
  REFUSES("sparse(1.5)", RVN_ERR_RECIPE, "sparse.sparsity is 1.5");
  REFUSES("identity(groups=5)", RVN_ERR_SHAPE, "divisible by groups (5)");
  REFUSES("delta_orthogonal", RVN_ERR_SHAPE, "three axes or more, but 'w' has shape [24, 12]");
  REFUSES("forget_bias", RVN_ERR_SHAPE, "a vector");
  t = tensor(bytes, RVN_F32, 3, kernel);
  REFUSES("delta_orthogonal(layout=keras)", RVN_ERR_SHAPE, "as many outputs as inputs");
  REFUSES("sparse(0.5)", RVN_ERR_SHAPE, "a matrix");
  t = tensor(bytes, RVN_F32, 1, odd);
  REFUSES("forget_bias", RVN_ERR_SHAPE, "divisible by 4, but 'w' has shape [7]");
  REFUSES("he", RVN_ERR_SHAPE, "two axes");
  REFUSES("orthogonal", RVN_ERR_SHAPE, "two axes");

  /* An initializer is nothing for an optimizer. */
  {
    rvn_optimizer *opt = NULL;
    CHECK_STATUS(rvn_optimizer_create("he | sgd(1)", &opt), RVN_ERR_RECIPE);
    CHECK_SAYS("expected a stage or a rule, but he is an initializer");
    CHECK_STATUS(rvn_optimizer_create("sgd(zeros)", &opt), RVN_ERR_RECIPE);
    CHECK_SAYS("zeros is an initializer");
    CHECK(opt == NULL);
  }
  memset(&o, 0, sizeof o);
  CHECK_STATUS(rvn_init_with("normal", 1, &t, &o), RVN_ERR_ARGUMENT);
  CHECK_SAYS("rvn_options.struct_size");
  o.struct_size = sizeof o, o.threads = 257;
  CHECK_STATUS(rvn_init_with("normal", 1, &t, &o), RVN_ERR_ARGUMENT);
  CHECK_SAYS("threads is 257");
  NOTE("%s", "");
}

/* Nothing to fill is no mistake. */
static void empty(void) {
  static const int64_t none[] = {0, 5};
  rvn_tensor t = tensor(NULL, RVN_F32, 2, none);
  CHECK_OK(rvn_init("he", 1, &t));
  CHECK_OK(rvn_init("orthogonal", 1, &t));
  CHECK_STATUS(rvn_init("hee", 1, &t), RVN_ERR_RECIPE);
}

/* The n-th allocation fails, for every n: a status, and the tensor as it was. */
static void memory(void) {
  static const char *recipes[] = {"normal", "orthogonal", "delta_orthogonal(layout=torch)", "he(uniform)"};
  size_t r;
  for (r = 0; r < sizeof recipes / sizeof recipes[0]; r++) {
    long n = 0;
    int done = 0;
    while (!done && n < 1000) {
      failing host;
      rvn_options o = failing_options(&host, 2);
      rvn_tensor t = tensor(bytes, RVN_F32, 4, image);
      rvn_status status;
      host.fail_at = ++n;
      NOTE("%s, allocation %ld", recipes[r], n);
      memset(bytes, 0x5a, sizeof bytes), memset(other, 0x5a, sizeof other);
      status = rvn_init_with(recipes[r], 3, &t, &o);
      done = host.failures == 0;
      if (!done && CHECK_STATUS(status, RVN_ERR_MEMORY)) CHECK_BYTES(bytes, other, sizeof bytes);
      if (done) CHECK_OK(status);
      failing_done(&host);
    }
    CHECK(n > 3 && n < 1000);
  }
  NOTE("%s", "");
}

static int lazy;
static void host_loop(void *user, size_t count, rvn_body body, void *context) {
  size_t i;
  ++*(int *)user;
  for (i = count; i-- > (size_t)lazy;) body(context, i);
}

/* The host's own threads: the same bytes, and a status where it leaves some out. */
static void host_threads(void) {
  int calls = 0;
  uint64_t wanted = digest("orthogonal", 1, RVN_F32);
  rvn_options o;
  static const int64_t large[] = {64, 48};
  rvn_tensor t = tensor(other, RVN_F32, 2, large);
  memset(&o, 0, sizeof o);
  o.struct_size = sizeof o, o.threads = 3, o.parallel_for = host_loop, o.parallel_user = &calls;
  CHECK_OK(rvn_init_with("orthogonal", 20240517, &t, &o));
  CHECK(calls > 0);
  CHECK_BYTES(bytes, other, 4 * 64 * 48);
  CHECK(digest("orthogonal", 1, RVN_F32) == wanted);
  lazy = 1;
  CHECK_STATUS(rvn_init_with("orthogonal", 1, &t, &o), RVN_ERR_CALLBACK);
  lazy = 0;
}

int main(void) {
  every_entry();
  same_bytes();
  streams();
  misuse();
  empty();
  memory();
  host_threads();
  return finish();
}
