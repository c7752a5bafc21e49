/* Optimizers that step a part of each tensor: any number of ranks leaves the bytes of one. Ranks are
 * threads here. Each has arrays of its own, in which what belongs to other ranks is rubbish. */
#define _GNU_SOURCE
#include <math.h>
#include <pthread.h>
#include <unistd.h>

#include "failing.h"

enum { MOST = 4, TENSORS = 8, ELEMENTS = 5000, STEPS = 6 };

static const struct {
  const char *name;
  int32_t dtype, grad_dtype, rank;
  int64_t shape[2];
} layout[TENSORS] = {
    {"w", RVN_F32, 0, 2, {50, 100}},  {"b", RVN_F32, 0, 1, {10, 0}},
    {"d", RVN_F64, 0, 2, {2, 1500}},  {"h", RVN_BF16, RVN_F32, 1, {2500, 0}},
    {"f", RVN_F16, 0, 1, {1024, 0}},  {"none", RVN_F32, 0, 1, {0, 0}},
    {"scalar", RVN_F32, 0, 0, {0, 0}}, {"e", RVN_F32, RVN_BF16, 2, {4097, 1}}};

static size_t count_of(int k) {
  size_t n = 1;
  int i;
  for (i = 0; i < layout[k].rank; i++) n *= (size_t)layout[k].shape[i];
  return n;
}
static size_t size_of(int32_t dtype) { return dtype == RVN_F64 ? 8 : dtype == RVN_F32 ? 4 : 2; }
static int32_t grad_type(int k) { return layout[k].grad_dtype ? layout[k].grad_dtype : layout[k].dtype; }

/* A number as dtype has it. Those here are short enough for all types. */
static void put(void *array, int32_t dtype, size_t i, float x) {
  uint32_t bits;
  memcpy(&bits, &x, 4);
  if (dtype == RVN_F64) ((double *)array)[i] = (double)x;
  if (dtype == RVN_F32) ((float *)array)[i] = x;
  if (dtype == RVN_BF16) ((uint16_t *)array)[i] = (uint16_t)(bits >> 16);
  if (dtype == RVN_F16)
    ((uint16_t *)array)[i] = (uint16_t)((bits >> 16 & 0x8000) | (isnan(x) ? 0x7e00
                                        : (bits & 0x7fffffff) == 0 ? 0
                                        : ((bits >> 23 & 255) - 112) << 10 | (bits >> 13 & 1023)));
}

/* One of +-(1 to 1.875) 2^(-3 to 0), or 0, from a seed and a place. */
static float number(uint64_t seed, int k, size_t i) {
  uint64_t x = (seed * 64 + (uint64_t)k) * 0x9e3779b97f4a7c15u + i * 0xd1342543de82ef95u;
  x ^= x >> 29, x *= 0xbf58476d1ce4e5b9u, x ^= x >> 32;
  if (x % 17 == 0) return 0;
  return ldexpf((float)(8 + (x >> 8) % 8) / 8, -(int)((x >> 16) % 4)) * (x >> 20 & 1 ? 1 : -1);
}

/* ---- ranks ----------------------------------------------------------------------------------- */

struct team;
typedef struct rank {
  struct team *team;
  int number;
  rvn_optimizer *opt;
  union { double d[ELEMENTS]; float f[ELEMENTS]; } data[TENSORS], grad[TENSORS];
  rvn_step_report reports[2 * STEPS];
  rvn_status status[2 * STEPS];
  int sums, done;
} rank;

typedef struct team {
  int world, threads, reporting, seed, first, last; /* which steps */
  const char *recipe;
  int nan_at;       /* the step in which one element is NaN; -1: none */
  int fail_at;      /* the sum that fails on all ranks; -1: none */
  char folder[64];  /* where to save after the last step, and to load from before the first; "": no */
  int saved;        /* how many ranks saved there */
  pthread_barrier_t barrier;
  double *values[MOST];
  size_t counts[MOST];
  rank *ranks;
} team;

/* Adds up in an order of its own on each rank: it must not matter. */
static int32_t all_sum(void *user, double *values, size_t count) {
  rank *me = user;
  team *t = me->team;
  double *sum = malloc(count * sizeof *sum);
  size_t i;
  int k;
  t->values[me->number] = values, t->counts[me->number] = count;
  pthread_barrier_wait(&t->barrier);
  for (k = 0; k < t->world; k++) CHECK(t->counts[k] == count);
  for (i = 0; sum && i < count; i++) {
    for (sum[i] = 0, k = 0; k < t->world; k++) sum[i] += t->values[(k + me->number) % t->world][i];
  }
  pthread_barrier_wait(&t->barrier);
  if (CHECK(sum != NULL)) memcpy(values, sum, count * sizeof *sum);
  free(sum);
  return me->sums++ == t->fail_at ? 7 : 0;
}

static rvn_options options_of(rank *r) {
  rvn_options o;
  memset(&o, 0, sizeof o);
  o.struct_size = sizeof o;
  o.threads = r->team->threads;
  o.rank = r->number, o.world = r->team->world;
  o.all_sum = r->team->world > 1 ? all_sum : NULL, o.all_sum_user = r;
  return o;
}

static void fill(rank *r, int gradients, uint64_t seed, int nan) {
  int k;
  size_t i, first, count;
  for (k = 0; k < TENSORS; k++) {
    void *array = gradients ? (void *)&r->grad[k] : (void *)&r->data[k];
    int32_t dtype = gradients ? grad_type(k) : layout[k].dtype;
    CHECK_OK(rvn_optimizer_shard(r->opt, (size_t)k, r->number, &first, &count));
    for (i = 0; i < count_of(k); i++)
      put(array, dtype, i, i - first < count ? number(seed, k, i) : gradients ? NAN : 7);
    if (nan && k == 0 && 3333 - first < count) put(array, dtype, 3333, NAN);
  }
}

static void make(rank *r) {
  rvn_options o = options_of(r);
  rvn_tensor t;
  int k;
  CHECK_OK(rvn_optimizer_create_with(r->team->recipe, &o, &r->opt));
  memset(&t, 0, sizeof t);
  t.struct_size = sizeof t;
  for (k = 0; k < TENSORS; k++) {
    t.name = layout[k].name, t.data = &r->data[k], t.grad = &r->grad[k];
    t.dtype = layout[k].dtype, t.grad_dtype = layout[k].grad_dtype;
    t.rank = layout[k].rank, t.shape = layout[k].shape;
    CHECK_OK(rvn_optimizer_add(r->opt, &t, NULL));
  }
  fill(r, 0, 1, 0);
}

static void path_of(const team *t, int k, char *path, size_t size) {
  snprintf(path, size, "%s/rank%d", t->folder, k);
}

static rvn_status load(rank *r) {
  char paths[MOST][80];
  const char *list[MOST];
  int k;
  for (k = 0; k < r->team->saved; k++) path_of(r->team, k, paths[k], sizeof *paths), list[k] = paths[k];
  return rvn_optimizer_load_shards(r->opt, list, (size_t)r->team->saved);
}

static void *run_rank(void *argument) {
  rank *r = argument;
  team *t = r->team;
  int s, k;
  make(r);
  if (*t->folder && t->saved) CHECK_OK(load(r));
  for (s = t->first; s < t->last; s++) {
    const void *grads[TENSORS];
    rvn_step_input input;
    memset(&input, 0, sizeof input);
    input.struct_size = sizeof input, input.grads = grads, input.grad_count = TENSORS;
    for (k = 0; k < TENSORS; k++) grads[k] = k == 2 && s == 3 ? NULL : &r->grad[k];
    fill(r, 1, (uint64_t)(100 * t->seed + s), s == t->nan_at);
    memset(&r->reports[s], 0, sizeof r->reports[s]);
    r->reports[s].struct_size = sizeof r->reports[s];
    r->status[s] = rvn_optimizer_step(r->opt, &input, t->reporting ? &r->reports[s] : NULL);
    if (r->status[s] != RVN_OK) break;
  }
  r->done = s;
  if (*t->folder && !t->saved) {
    char path[80];
    path_of(t, r->number, path, sizeof path);
    CHECK_OK(rvn_optimizer_save(r->opt, path));
  }
  return NULL;
}

static team begin(const char *recipe, int world) {
  team t;
  memset(&t, 0, sizeof t);
  t.recipe = recipe, t.world = world, t.threads = 1, t.reporting = 1, t.seed = 1, t.last = STEPS;
  t.nan_at = t.fail_at = -1;
  return t;
}

static void run(team *t) {
  pthread_t threads[MOST];
  int k;
  t->ranks = calloc((size_t)t->world, sizeof *t->ranks);
  if (!CHECK(t->ranks != NULL)) exit(1);
  pthread_barrier_init(&t->barrier, NULL, (unsigned)t->world);
  for (k = 0; k < t->world; k++) {
    t->ranks[k].team = t, t->ranks[k].number = k;
    CHECK(pthread_create(&threads[k], NULL, run_rank, &t->ranks[k]) == 0);
  }
  for (k = 0; k < t->world; k++) pthread_join(threads[k], NULL);
  pthread_barrier_destroy(&t->barrier);
}

static void end(team *t) {
  int k;
  for (k = 0; k < t->world; k++) rvn_optimizer_destroy(t->ranks[k].opt);
  free(t->ranks);
}

/* The shards of all ranks are the whole tensors of one, and the rest of each rank is as it was. */
static void same(team *whole, team *parts) {
  int k, r, s;
  for (k = 0; k < TENSORS; k++) {
    size_t size = size_of(layout[k].dtype), next = 0, first, count, i, wrong = 0;
    for (r = 0; r < parts->world; r++) {
      char *own = (char *)&parts->ranks[r].data[k], seven[8];
      CHECK_OK(rvn_optimizer_shard(parts->ranks[0].opt, (size_t)k, r, &first, &count));
      CHECK(first == next && (first % 1024 == 0 || count == 0));
      next = first + count;
      CHECK_BYTES(own + first * size, (char *)&whole->ranks[0].data[k] + first * size, count * size);
      put(seven, layout[k].dtype, 0, 7);
      for (i = 0; i < count_of(k); i++) {
        if (i - first >= count) wrong += memcmp(own + i * size, seven, size) != 0;
      }
    }
    CHECK(next == count_of(k) && wrong == 0);
  }
  for (r = 0; r < parts->world; r++) {
    CHECK(parts->ranks[r].done == whole->ranks[0].done);
    for (s = whole->first; s < whole->last; s++) {
      CHECK(parts->ranks[r].status[s] == whole->ranks[0].status[s]);
      CHECK_BYTES(&parts->ranks[r].reports[s], &whole->ranks[0].reports[s], sizeof(rvn_step_report));
    }
  }
}

/* ---- facts ----------------------------------------------------------------------------------- */

static const char *const recipes[] = {
    "sgd(0.1, momentum=0.9)",
    "adamw(0.01, weight_decay=0.1)",
    "clip_norm(0.5) | adamw(0.01); @size>=4000: lr=x0.1; b: frozen",
    "clip_norm(0.5, p=inf) | clip_value(0.125) | clip_norm(1, p=1) | sgd(0.1)",
    "clip_norm(1) | lamb(0.01)",
    "prodigy(1, weight_decay=0.01); w: sgd(0.01)",
    "finite_guard(skip) | clip_norm(1) | adam(0.01)",
    "finite_guard(error) | adam(0.01)",
    "finite_guard(zero) | adam(0.01)",
    "unscale(2, interval=2) | clip_norm(1) | adam(0.01)",
    "accumulate(4) | clip_norm(1) | adam(0.01)",
    "noise(0.1, seed=3) | sgd(0.1) | stochastic_rounding(5)",
    "adam(0.01, moments=8bit) | master",
    "clip_norm(1) | adam(0.01, moments=bf16) | kahan",
    "sam(0.05) | clip_norm(1) | sgd(0.1)",
    "sgd(0.1) | project(l1, radius=20)",
    "adam(0.01) | cautious | ema(0.9) | lookahead(k=2)",
};
enum { RECIPES = sizeof recipes / sizeof *recipes };

static void any_number_of_ranks_leaves_the_bytes_of_one(const char *recipe, int nan_at) {
  team one = begin(recipe, 1);
  int world, way;
  rvn_optimizer *probe = NULL;
  if (rvn_optimizer_create(recipe, &probe) != RVN_OK) {
    NOTE("%s", recipe);
    CHECK_OK(rvn_optimizer_create(recipe, &probe));
    return;
  }
  rvn_optimizer_destroy(probe);
  for (way = 0; way < 3; way++) {
    one = begin(recipe, 1);
    one.reporting = way != 1, one.nan_at = nan_at;
    run(&one);
    for (world = 2; world <= MOST; world += quick() ? 2 : 1) {
      team many = begin(recipe, world);
      many.reporting = one.reporting, many.nan_at = nan_at, many.threads = way == 2 ? 2 : 1;
      NOTE("%s, NaN at %d, way %d, %d ranks", recipe, nan_at, way, world);
      run(&many);
      same(&one, &many);
      end(&many);
    }
    end(&one);
    if (quick()) break;
  }
}

/* Every rule and stage of the catalog; what needs whole tensors says so. */
static void every_entry(void) {
  size_t i;
  int refused = 0;
  for (i = 0; i < rvn_catalog_count(); i++) {
    rvn_entry e = entry_at(i);
    char element[400], recipe[500];
    int busy, way;
    for (busy = 0; busy < 2; busy++) {
      if (strcmp(e.kind, "rule") != 0 && strcmp(e.kind, "stage") != 0) continue;
      if (!recipe_for(i, busy, element, sizeof element)) continue;
      for (way = 0; way < 2; way++) {
        rvn_optimizer *probe = NULL;
        team t = begin(recipe, 2);
        rank r;
        rvn_options o;
        rvn_status status;
        if (strcmp(e.kind, "rule") == 0) snprintf(recipe, sizeof recipe, "%s", element);
        else if (way) snprintf(recipe, sizeof recipe, "sgd(0.01, momentum=0.5) | %s", element);
        else snprintf(recipe, sizeof recipe, "%s | sgd(0.01, momentum=0.5)", element);
        NOTE("%s", recipe);
        memset(&r, 0, sizeof r), r.team = &t;
        o = options_of(&r);
        if (rvn_optimizer_create_with(recipe, &o, &probe) != RVN_OK) continue;
        CHECK_OK(add_typed(probe, "m", r.data[0].f, r.grad[0].f, 2048, RVN_F32, 0));
        status = e.least_rank > 1 ? RVN_ERR_UNSUPPORTED : rvn_optimizer_prepare(probe);
        rvn_optimizer_destroy(probe);
        if (status == RVN_OK) any_number_of_ranks_leaves_the_bytes_of_one(recipe, 2);
        else refused += CHECK(status == RVN_ERR_UNSUPPORTED);
        if (strcmp(e.kind, "rule") == 0) break;
      }
    }
  }
  CHECK(refused > 0);
}

/* What n ranks saved goes on with m. */
static void files_of_any_number_of_ranks_load_on_any_other(const char *recipe, const char *folder,
                                                           int cut) {
  int n, m, k;
  team straight = begin(recipe, 1);
  run(&straight);
  for (n = 1; n <= MOST; n++) {
    team saving = begin(recipe, n);
    snprintf(saving.folder, sizeof saving.folder, "%s", folder), saving.last = cut;
    NOTE("%s, save at %d by %d", recipe, cut, n);
    run(&saving);
    end(&saving);
    for (m = 1; m <= MOST; m++) {
      team loading = begin(recipe, m);
      snprintf(loading.folder, sizeof loading.folder, "%s", folder);
      loading.saved = n, loading.first = cut;
      NOTE("%s, save at %d by %d, load on %d", recipe, cut, n, m);
      run(&loading);
      straight.first = cut;
      same(&straight, &loading);
      end(&loading);
    }
    for (k = 0; k < n; k++) {
      char path[80];
      path_of(&saving, k, path, sizeof path);
      CHECK(remove(path) == 0);
    }
  }
  end(&straight);
}

/* One rank of two alone, whose partner does nothing but answer. */
static int32_t alone(void *user, double *values, size_t count) {
  (void)values, (void)count;
  return *(int32_t *)user;
}

static rvn_optimizer *one_of(const char *recipe, int32_t rank, int32_t world, int32_t *answer,
                             float *data, float *grad, int64_t n) {
  rvn_options o = threads_of(1);
  rvn_optimizer *opt = NULL;
  o.rank = rank, o.world = world, o.all_sum = alone, o.all_sum_user = answer;
  CHECK_OK(rvn_optimizer_create_with(recipe, &o, &opt));
  CHECK_OK(add(opt, "w", data, grad, n));
  return opt;
}

static void a_sum_that_fails_before_the_update_changes_nothing(void) {
  static float data[3000], grad[3000], before[3000];
  int32_t answer = 7;
  double step;
  rvn_optimizer *opt = one_of("clip_norm(1) | adam(0.1)", 0, 2, &answer, data, grad, 3000);
  NOTE("a failing sum");
  fill_random(data, 3000, 1), fill_random(grad, 3000, 1);
  memcpy(before, data, sizeof data);
  CHECK_STATUS(rvn_optimizer_step(opt, NULL, NULL), RVN_ERR_CALLBACK);
  CHECK_SAYS("rvn_options.all_sum failed with 7");
  CHECK_BYTES(before, data, sizeof data);
  answer = 0;
  CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
  CHECK_OK(rvn_optimizer_read(opt, 0, "step", RVN_F64, &step, 1));
  CHECK(step == 1 && memcmp(before, data, sizeof data) != 0);
  rvn_optimizer_destroy(opt);
}

static void a_sum_that_fails_behind_the_update_poisons(const char *folder) {
  static float data[3000], grad[3000], nan_grad[3000];
  char path[80];
  int32_t answer = 0;
  rvn_step_report report;
  rvn_step_input input;
  const void *grads[1];
  rvn_optimizer *opt = one_of("adam(0.1)", 0, 2, &answer, data, grad, 3000);
  snprintf(path, sizeof path, "%s/poison", folder);
  report.struct_size = sizeof report;
  memset(&input, 0, sizeof input);
  input.struct_size = sizeof input, input.grads = grads, input.grad_count = 1, grads[0] = nan_grad;
  fill_random(data, 3000, 1), fill_random(grad, 3000, 1);
  memcpy(nan_grad, grad, sizeof grad), nan_grad[5] = NAN;
  CHECK_OK(rvn_optimizer_step(opt, NULL, &report));
  CHECK_OK(rvn_optimizer_save(opt, path));
  answer = 7;
  CHECK_OK(rvn_optimizer_step(opt, NULL, NULL)); /* nothing to add up */
  CHECK_STATUS(rvn_optimizer_step(opt, NULL, &report), RVN_ERR_CALLBACK);
  CHECK_STATUS(rvn_optimizer_step(opt, NULL, NULL), RVN_ERR_STATE);
  CHECK_STATUS(rvn_optimizer_save(opt, path), RVN_ERR_STATE);
  answer = 0;
  CHECK_OK(rvn_optimizer_load(opt, path));
  CHECK_OK(rvn_optimizer_step(opt, &input, &report));
  CHECK(report.nonfinite == 1);
  CHECK(remove(path) == 0);
  rvn_optimizer_destroy(opt);
}

/* The last sum of a step with a report: how many elements are not finite. */
static int32_t second_fails(void *user, double *values, size_t count) {
  (void)values, (void)count;
  return ++*(int32_t *)user == 2;
}
static void the_count_that_fails_poisons(void) {
  static float data[3000], grad[3000];
  int32_t calls = 0;
  rvn_step_report report;
  rvn_options o;
  rvn_optimizer *opt = NULL;
  report.struct_size = sizeof report;
  memset(&o, 0, sizeof o);
  o.struct_size = sizeof o, o.world = 2, o.all_sum = second_fails, o.all_sum_user = &calls;
  CHECK_OK(rvn_optimizer_create_with("sgd(1)", &o, &opt));
  grad[5] = NAN;
  CHECK_OK(add(opt, "w", data, grad, 3000));
  CHECK_STATUS(rvn_optimizer_step(opt, NULL, &report), RVN_ERR_CALLBACK);
  CHECK_STATUS(rvn_optimizer_step(opt, NULL, NULL), RVN_ERR_STATE);
  rvn_optimizer_destroy(opt);
}

static void wrong_options_are_told(void) {
  rvn_optimizer *opt;
  rvn_options o;
  memset(&o, 0, sizeof o);
  o.struct_size = sizeof o, o.all_sum = alone;
  NOTE("options");
#define REFUSED(r, w, said)                                                            \
  opt = (rvn_optimizer *)1, o.rank = (r), o.world = (w);                               \
  CHECK_STATUS(rvn_optimizer_create_with("sgd(1)", &o, &opt), RVN_ERR_ARGUMENT);       \
  CHECK_SAYS(said);                                                                    \
  CHECK(opt == NULL)
  REFUSED(-1, 2, "rvn_options.rank is -1 and world is 2");
  REFUSED(2, 2, "0 <= rank < world");
  REFUSED(1, 1, "rank is 1");
  REFUSED(1, 0, "rank is 1");
  REFUSED(0, -3, "world is -3");
  o.all_sum = NULL;
  REFUSED(0, 2, "rvn_options.all_sum is NULL, but world is 2");
  o.rank = 0, o.world = 1;
  CHECK_OK(rvn_optimizer_create_with("sgd(1)", &o, &opt));
  rvn_optimizer_destroy(opt);
}

static rvn_status no_step(void *user, double rate, double *loss) {
  (void)user, (void)rate, (void)loss;
  return RVN_OK;
}

static void what_needs_whole_tensors_is_refused(void) {
  static const char *const whole[][2] = {{"muon(0.1)", "muon"},
                                         {"sgd(1); w: muon(0.1)", "muon"},
                                         {"adafactor(0.1)", "adafactor"},
                                         {"sgd(1); w: sophia(0.1)", "sophia"},
                                         {"adahessian(0.1)", "adahessian"},
                                         {"clip_unit(1) | sgd(1)", "clip_unit"},
                                         {"sgd(1) | clip_unit(1)", "clip_unit"},
                                         {"centralize | sgd(1)", "centralize"}};
  static float data[4096], grad[4096];
  static const int64_t shape[] = {64, 64}, row = 3;
  int32_t answer = 0;
  size_t i;
  rvn_optimizer *opt;
  rvn_monitor *monitor;
  rvn_range_result range;
  NOTE("refusals");
  for (i = 0; i < sizeof whole / sizeof *whole; i++) {
    rvn_options o;
    rvn_tensor t;
    memset(&o, 0, sizeof o);
    o.struct_size = sizeof o, o.rank = 1, o.world = 2, o.all_sum = alone, o.all_sum_user = &answer;
    if (rvn_optimizer_create_with(whole[i][0], &o, &opt) != RVN_OK) continue;
    memset(&t, 0, sizeof t);
    t.struct_size = sizeof t, t.name = "w", t.data = data, t.grad = grad, t.dtype = RVN_F32;
    t.rank = 2, t.shape = shape;
    CHECK_OK(rvn_optimizer_add(opt, &t, NULL));
    CHECK_STATUS(rvn_optimizer_prepare(opt), RVN_ERR_UNSUPPORTED);
    CHECK_SAYS(whole[i][1]);
    CHECK_SAYS("needs whole tensors, but this optimizer is sharded: rank 1 of 2");
    CHECK_STATUS(rvn_optimizer_step(opt, NULL, NULL), RVN_ERR_UNSUPPORTED);
    rvn_optimizer_destroy(opt);
  }
  opt = one_of("sgd(1)", 0, 2, &answer, data, grad, 4096);
  CHECK_OK(rvn_optimizer_prepare(opt));
  CHECK_STATUS(rvn_optimizer_override(opt, "w", "muon(0.1)"), RVN_ERR_SHAPE);
  CHECK_STATUS(rvn_optimizer_step_tensor(opt, 0, grad, NULL), RVN_ERR_UNSUPPORTED);
  CHECK_SAYS("a step of a part needs whole tensors");
  CHECK_STATUS(rvn_optimizer_step_rows(opt, 0, &row, 1, grad, NULL), RVN_ERR_UNSUPPORTED);
  CHECK_STATUS(rvn_optimizer_begin_step(opt), RVN_ERR_UNSUPPORTED);
  memset(&range, 0, sizeof range);
  range.struct_size = sizeof range;
  CHECK_STATUS(rvn_range_test(opt, no_step, NULL, NULL, &range), RVN_ERR_UNSUPPORTED);
  CHECK_SAYS("a range test");
  CHECK_OK(rvn_monitor_create(NULL, &monitor));
  CHECK_STATUS(rvn_monitor_attach(monitor, opt), RVN_ERR_UNSUPPORTED);
  CHECK_SAYS("an attached monitor");
  rvn_monitor_destroy(monitor);
  CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
  rvn_optimizer_destroy(opt);
}

/* 1,003 tensors on 7 ranks: none has more than a block more than another. */
static void work_is_spread_evenly(void) {
  enum { RANKS = 7, MANY = 1003 };
  static float data[40 * 1024], grad[40 * 1024];
  size_t blocks[RANKS] = {0}, first, count, next;
  int32_t answer = 0, r;
  int k;
  rvn_optimizer *opt = one_of("sgd(1)", 6, RANKS, &answer, data, grad, 0);
  NOTE("spread");
  for (k = 1; k < MANY; k++) {
    char name[8];
    int64_t n = (int64_t)(random_bits() % 3 ? 1 + random_bits() % 1024 : random_bits() % (40 * 1024));
    snprintf(name, sizeof name, "t%d", k);
    CHECK_OK(add(opt, name, data, grad, n));
    for (next = 0, r = 0; r < RANKS; r++, next += count) {
      CHECK_OK(rvn_optimizer_shard(opt, (size_t)k, r, &first, &count));
      CHECK(first == next);
      blocks[r] += (count + 1023) / 1024;
    }
    CHECK(next == (size_t)n);
  }
  for (r = 0; r < RANKS; r++) CHECK(blocks[r] + 1 >= blocks[0] && blocks[r] <= blocks[0] + 1);
  CHECK_STATUS(rvn_optimizer_shard(opt, 1, RANKS, NULL, NULL), RVN_ERR_ARGUMENT);
  CHECK_SAYS("rank is 7, but the optimizer has world = 7");
  CHECK_STATUS(rvn_optimizer_shard(opt, 1, -1, NULL, NULL), RVN_ERR_ARGUMENT);
  CHECK_STATUS(rvn_optimizer_shard(opt, MANY, 0, NULL, NULL), RVN_ERR_ARGUMENT);
  CHECK_STATUS(rvn_optimizer_shard(NULL, 0, 0, NULL, NULL), RVN_ERR_ARGUMENT);
  CHECK_OK(rvn_optimizer_remove(opt, 5));
  CHECK_STATUS(rvn_optimizer_shard(opt, 5, 0, NULL, NULL), RVN_ERR_ARGUMENT);
  rvn_optimizer_destroy(opt);
}

/* The state of a rank is that of its elements; the plan says so. */
static void state_is_that_of_the_shard(void) {
  static float data[5000], grad[5000], m[5000];
  int32_t answer = 0;
  char plan[2000];
  rvn_optimizer *opt = one_of("adam(0.1)", 1, 2, &answer, data, grad, 5000);
  size_t first, count, i;
  NOTE("state");
  for (i = 0; i < 5000; i++) grad[i] = (float)i;
  CHECK_OK(rvn_optimizer_plan(opt, plan, sizeof plan, NULL));
  CHECK(strstr(plan, "rank 1 of 2") != NULL);
  CHECK(strstr(plan, "w F32[5000] from 3072, 1928 elements") != NULL);
  CHECK(strstr(plan, "1 tensors, 1928 parameters, 15488 bytes of state") != NULL);
  CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
  CHECK_OK(rvn_optimizer_shard(opt, 0, 1, &first, &count));
  CHECK(first == 3072 && count == 1928);
  CHECK_STATUS(rvn_optimizer_read(opt, 0, "m", RVN_F32, m, 5000), RVN_ERR_SHAPE);
  CHECK_SAYS("1928 elements");
  CHECK_OK(rvn_optimizer_read(opt, 0, "m", RVN_F32, m, 1928));
  CHECK(m[0] > 0.0999f * 3072 && m[0] < 0.1001f * 3072);
  CHECK(data[3071] == 0 && data[3072] != 0);
  /* Other arrays are bound as whole ones, too. */
  CHECK_OK(rvn_optimizer_bind(opt, 0, m, grad));
  memset(m, 0, sizeof m);
  CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
  CHECK(m[3071] == 0 && m[3072] != 0 && m[4999] != 0);
  CHECK_STATUS(rvn_optimizer_bind(opt, 0, NULL, NULL), RVN_ERR_ARGUMENT);
  rvn_optimizer_destroy(opt);
}

/* finite_guard(error) tells the element where it is, and elsewhere that another rank has it. */
static void what_is_not_finite_is_told(void) {
  static float data[5000], grad[5000];
  int32_t answer = 0;
  rvn_optimizer *opt = one_of("finite_guard(error) | sgd(1)", 1, 2, &answer, data, grad, 5000);
  NOTE("not finite");
  grad[4000] = INFINITY;
  CHECK_STATUS(rvn_optimizer_step(opt, NULL, NULL), RVN_ERR_NONFINITE);
  CHECK_SAYS("the gradient of 'w' is inf at index 4000");
  rvn_optimizer_destroy(opt);
}
static int32_t elsewhere(void *user, double *values, size_t count) {
  (void)user;
  values[count - 1] = 1;
  return 0;
}
static void what_is_not_finite_elsewhere_is_told(void) {
  static float data[5000], grad[5000];
  rvn_options o;
  rvn_optimizer *opt = NULL;
  memset(&o, 0, sizeof o);
  o.struct_size = sizeof o, o.world = 2, o.all_sum = elsewhere;
  CHECK_OK(rvn_optimizer_create_with("finite_guard(error) | sgd(1)", &o, &opt));
  CHECK_OK(add(opt, "w", data, grad, 5000));
  CHECK_STATUS(rvn_optimizer_step(opt, NULL, NULL), RVN_ERR_NONFINITE);
  CHECK_SAYS("the gradient of 'w' is not finite in the shard of another rank");
  rvn_optimizer_destroy(opt);
}

/* What is missing, or does not go together, is told, and changes nothing. */
static void files_that_do_not_go_together_are_told(const char *folder) {
  static float data[5000], grad[5000], before[5000];
  char a[80], b[80], c[80], other[80];
  const char *both[2], *mixed[2], *twice[2], *none[1] = {NULL};
  int32_t answer = 0;
  int r;
  rvn_optimizer *opt = NULL;
  NOTE("files");
  snprintf(a, sizeof a, "%s/a", folder), snprintf(b, sizeof b, "%s/b", folder);
  snprintf(c, sizeof c, "%s/c", folder), snprintf(other, sizeof other, "%s/other", folder);
  fill_random(data, 5000, 1), fill_random(grad, 5000, 1);
  for (r = 0; r < 2; r++) {
    opt = one_of("adam(0.1)", r, 2, &answer, data, grad, 5000);
    CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
    CHECK_OK(rvn_optimizer_save(opt, r ? b : a));
    CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
    if (r) CHECK_OK(rvn_optimizer_save(opt, c));
    rvn_optimizer_destroy(opt);
  }
  opt = one_of("adam(0.1)", 0, 2, &answer, data, grad, 5001);
  CHECK_OK(rvn_optimizer_save(opt, other));
  rvn_optimizer_destroy(opt);
  both[0] = a, both[1] = b, mixed[0] = a, mixed[1] = c, twice[0] = twice[1] = a;
  memcpy(before, data, sizeof data);
  opt = one_of("adam(0.1)", 0, 3, &answer, data, grad, 5000);
  CHECK_STATUS(rvn_optimizer_load_shards(opt, mixed, 2), RVN_ERR_MISMATCH);
  CHECK_SAYS("is not of the same save as the first file: 'step' is '2', there '1'");
  CHECK_STATUS(rvn_optimizer_load(opt, other), RVN_ERR_MISMATCH);
  CHECK_SAYS("file F32 [5001], here F32 [5000]");
  CHECK_STATUS(rvn_optimizer_load_shards(opt, NULL, 2), RVN_ERR_ARGUMENT);
  CHECK_STATUS(rvn_optimizer_load_shards(opt, both, 0), RVN_ERR_ARGUMENT);
  CHECK_SAYS("count is 0");
  CHECK_STATUS(rvn_optimizer_load_shards(opt, none, 1), RVN_ERR_ARGUMENT);
  CHECK_STATUS(rvn_optimizer_load_shards(NULL, both, 2), RVN_ERR_ARGUMENT);
  CHECK_STATUS(rvn_optimizer_load_shards(opt, &(const char *){"/nowhere"}, 1), RVN_ERR_IO);
  rvn_optimizer_destroy(opt);
  opt = create("adam(0.1)");
  CHECK_OK(add(opt, "w", data, grad, 5000));
  CHECK_STATUS(rvn_optimizer_load(opt, a), RVN_ERR_MISMATCH);
  CHECK_SAYS("missing param/w: elements from 3072 on");
  CHECK_STATUS(rvn_optimizer_load_shards(opt, twice, 2), RVN_ERR_MISMATCH);
  CHECK_BYTES(before, data, sizeof data);
  CHECK_OK(rvn_optimizer_load_shards(opt, both, 2));
  rvn_optimizer_destroy(opt);
  remove(a), remove(b), remove(c), remove(other);
}

/* The n-th allocation fails, for every n: nothing leaks, and a later try works. */
static void memory_may_fail(const char *folder) {
  static float data[5000], grad[5000];
  static failing host;
  char paths[2][80];
  const char *list[2];
  int32_t answer = 0;
  long n;
  int r, done = 0;
  for (r = 0; r < 2; r++) {
    rvn_optimizer *opt = one_of("clip_norm(1) | adam(0.1)", r, 2, &answer, data, grad, 5000);
    snprintf(paths[r], sizeof *paths, "%s/memory%d", folder, r), list[r] = paths[r];
    CHECK_OK(rvn_optimizer_save(opt, paths[r]));
    rvn_optimizer_destroy(opt);
  }
  for (n = 1; !done && n < 10000; n++) {
    rvn_options o = failing_options(&host, 1);
    rvn_optimizer *opt = NULL;
    rvn_status status;
    NOTE("allocation %ld", n);
    host.fail_at = n;
    o.rank = 1, o.world = 3, o.all_sum = alone, o.all_sum_user = &answer;
    status = rvn_optimizer_create_with("clip_norm(1) | adam(0.1)", &o, &opt);
    if (status == RVN_OK) status = add(opt, "w", data, grad, 5000);
    if (status == RVN_OK) status = rvn_optimizer_load_shards(opt, list, 2);
    if (status == RVN_OK) status = rvn_optimizer_step(opt, NULL, NULL);
    done = host.failures == 0;
    CHECK(status == (done ? RVN_OK : RVN_ERR_MEMORY));
    rvn_optimizer_destroy(opt);
    failing_done(&host);
  }
  CHECK(n > 20);
  remove(paths[0]), remove(paths[1]);
}

int main(void) {
  static const char *const kept[] = {"clip_norm(1) | adam(0.01, moments=8bit) | master",
                                     "prodigy(1); w: sgd(0.01, momentum=0.9, moments=bf16)",
                                     "unscale(2) | accumulate(2) | sam(0.05) | adamw(0.01) | kahan"};
  char folder[] = "/tmp/ravine-shards-XXXXXX";
  int i, cut;
  if (!CHECK(mkdtemp(folder) != NULL)) return finish();
  for (i = 0; i < RECIPES; i++) {
    any_number_of_ranks_leaves_the_bytes_of_one(recipes[i], -1);
    any_number_of_ranks_leaves_the_bytes_of_one(recipes[i], 3);
  }
  every_entry();
  for (i = 0; i < 3; i++) {
    for (cut = 1; cut < STEPS; cut += quick() ? 3 : 1)
      files_of_any_number_of_ranks_load_on_any_other(kept[i], folder, cut);
  }
  a_sum_that_fails_before_the_update_changes_nothing();
  a_sum_that_fails_behind_the_update_poisons(folder);
  the_count_that_fails_poisons();
  wrong_options_are_told();
  what_needs_whole_tensors_is_refused();
  work_is_spread_evenly();
  state_is_that_of_the_shard();
  what_is_not_finite_is_told();
  what_is_not_finite_elsewhere_is_told();
  files_that_do_not_go_together_are_told(folder);
  memory_may_fail(folder);
  CHECK(remove(folder) == 0);
  return finish();
}
