/* Schedules of the host: registered, used everywhere a schedule is, failing, and refused. */
#define _GNU_SOURCE
#include <fenv.h>
#include <math.h>
#include <pthread.h>
#include <unistd.h>

#include "fixture.h"

/* value / (1 + step / half); `user` points to what it returns, and 2 writes NaN. */
static int32_t decay(void *user, double step, const double *p, double *value) {
  int what = user ? *(int *)user : 0;
  if (what == 0) *value = p[0] / (1 + step / p[1]);
  if (what == 2) *value = (double)NAN;
  fesetround(FE_UPWARD); /* the library puts up with it */
  return what == 2 ? 0 : what;
}
static int32_t words(void *user, double step, const double *p, double *value) {
  (void)user;
  *value = step + 10 * p[0] + 100 * p[1] + 1000 * p[2]; /* word, flag, count */
  return 0;
}
static int32_t bare(void *user, double step, const double *p, double *value) {
  (void)user;
  *value = p == NULL ? step : -1;
  return 0;
}
/* Asks the library itself. */
static int32_t nested(void *user, double step, const double *p, double *value) {
  rvn_schedule *s = NULL;
  rvn_status status = rvn_schedule_create("cosin(1)", &s);
  (void)user, (void)p;
  if (status != RVN_ERR_RECIPE) return 1;
  status = rvn_schedule_create("linear(4, 0, steps=4)", &s);
  if (status == RVN_OK) status = rvn_schedule_value(s, (uint64_t)step, value);
  rvn_schedule_destroy(s);
  return status;
}

static int mood; /* what test.moody does */

#define NUMBER(name, initial, low, high) \
  {sizeof(rvn_parameter), name, "", initial, NULL, low, high, RVN_PARAMETER_NUMBER, 0, 0, 0}

static rvn_status enrol(const char *name, rvn_schedule_function f, void *user,
                        const rvn_parameter *p, size_t count) {
  rvn_host_schedule s;
  memset(&s, 0, sizeof s);
  s.struct_size = sizeof s, s.summary = "of the test", s.formula = "f", s.reference = "here";
  s.parameters = p, s.parameter_count = count, s.value = f, s.user = user;
  return rvn_schedule_register(name, &s);
}

static void values(const char *recipe, size_t n, double *out) {
  rvn_schedule *s = NULL;
  check_status(rvn_schedule_create(recipe, &s), RVN_OK, recipe, __FILE__, __LINE__);
  CHECK_OK(rvn_schedule_values(s, 0, n, out));
  rvn_schedule_destroy(s);
}

static void registering(void) {
  size_t before = rvn_catalog_count(), i;
  char text[] = "half", name[] = "test.decay";
  rvn_parameter p[] = {NUMBER("value", NULL, 0, 0), NUMBER("half", "1k", 1, 1e9)};
  rvn_parameter kinds[] = {
      {sizeof *p, "shape", "which", "round", "flat round", 0, 0, RVN_PARAMETER_WORD, 0, 0, 0},
      {sizeof *p, "fast", NULL, "true", NULL, 0, 0, RVN_PARAMETER_FLAG, 0, 0, 0},
      {sizeof *p, "steps", NULL, "", NULL, 0, 0, RVN_PARAMETER_COUNT, 0, 0, 0}};
  rvn_entry e;
  p[1].name = text;
  CHECK_OK(enrol(name, decay, NULL, p, 2));
  memset(text, 'x', 4), memset(name, 'x', 10); /* copied */
  p[1].name = "half";
  CHECK_OK(enrol("test.moody", decay, &mood, p, 2));
  CHECK_OK(enrol("test.words.of_three", words, NULL, kinds, 3));
  CHECK_OK(enrol("info.bare", bare, NULL, NULL, 0)); /* no number, though it begins as inf */
  CHECK_OK(enrol("test.nested", nested, NULL, NULL, 0));
  CHECK(rvn_catalog_count() == before + 5);
  e = entry_at(before);
  CHECK(strcmp(e.name, "test.decay") == 0 && strcmp(e.kind, "schedule") == 0);
  CHECK(strcmp(e.summary, "of the test") == 0 && strcmp(e.reference, "here") == 0);
  CHECK(e.parameter_count == 2 && e.state_count == 0 && *e.difference == 0 && *e.example == 0);
  CHECK(strcmp(parameter_at(before, 1).name, "half") == 0);
  CHECK(strcmp(parameter_at(before, 1).initial, "1000") == 0 && parameter_at(before, 1).low == 1);
  CHECK(parameter_at(before, 0).low_open && isinf(parameter_at(before, 0).low));
  CHECK(strcmp(parameter_at(before + 2, 0).words, "flat round") == 0);
  CHECK(parameter_at(before + 2, 2).high == 1e15);
  for (i = 0; i < before; i++) CHECK(strchr(entry_at(i).name, '.') == NULL);
}

static void used_as_any_other(void) {
  static float w[4], b[4], g[4];
  double x[20], y;
  char text[2000], again[2000];
  int k;
  rvn_optimizer *opt;
  rvn_schedule *s = NULL;
  values("test.decay(6, half=2)", 5, x);
  CHECK(x[0] == 6 && x[1] == 4 && x[2] == 3 && x[4] == 2);
  values("test.decay(6)", 1, x);
  CHECK(x[0] == 6);
  values("warmup(total((test.decay(6, 2), scale(test.decay(value=6, half=2), -1), 8)), steps=4)", 9, x);
  CHECK(x[0] == 2 && x[3] == 8 && x[8] == 8);
  values("per_epoch(4, test.decay(6, half=2), smooth=1)", 9, x);
  CHECK(x[2] == 6 / 1.25 && x[8] == 3);
  values("over(40, test.words.of_three(steps=25%))", 3, x);
  CHECK(x[2] == 10112);
  values("test.words.of_three(flat, 0, 3)", 3, x);
  CHECK(x[2] == 3002);
  values("info.bare", 3, x);
  CHECK(x[2] == 2);
  values("info.bare()", 3, x);
  CHECK(x[2] == 2);
  values("test.nested", 6, x);
  CHECK(x[0] == 4 && x[3] == 1 && x[5] == 0);

  opt = create("sgd(test.decay(6, 2), momentum=test.decay(0.5)); b: lr=test.decay(9), momentum=0.1; c?: lr=x0.5");
  CHECK_OK(add(opt, "w", w, g, 4));
  CHECK_OK(add(opt, "b", b, g, 4));
  for (k = 0; k < 4; k++) g[k] = 1;
  CHECK_OK(rvn_optimizer_recipe(opt, text, sizeof text, NULL));
  CHECK(strstr(text, "sgd(lr=test.decay(value=6, half=2), momentum=test.decay(value=0.5, half=1000)"));
  CHECK(strstr(text, "b: lr=test.decay(value=9, half=1000)"));
  CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
  CHECK(w[0] == -6 && b[0] == -9);
  CHECK_OK(rvn_optimizer_get(opt, "lr", &y));
  CHECK(y == 4);
  CHECK_OK(rvn_optimizer_override(opt, "b", "lr=test.decay(2)"));
  CHECK_OK(rvn_optimizer_get(opt, "b:lr", &y));
  CHECK(y == 2 / 1.001);
  rvn_optimizer_destroy(opt);
  opt = create(text);
  CHECK_OK(rvn_optimizer_recipe(opt, again, sizeof again, NULL));
  CHECK(strcmp(text, again) == 0);
  rvn_optimizer_destroy(opt);

  CHECK_OK(rvn_schedule_create("test.words.of_three(steps=70)", &s));
  uint64_t span;
  CHECK_OK(rvn_schedule_span(s, &span));
  CHECK(span == 70); /* a count is a length */
  rvn_schedule_destroy(s);
}

/* A step that fails changes nothing, and the next one can do. */
static void failing(void) {
  static float w[4] = {1, 2, 3, 4}, before[4], g[4] = {1, 1, 1, 1};
  rvn_optimizer *opt = create("sgd(warmup(test.moody(1, 8), steps=1))"), *none;
  rvn_schedule *s = NULL;
  double x = 7;
  uint64_t step = 7;
  char text[4000];
  rvn_step_report r;
  r.struct_size = sizeof r;
  CHECK_OK(add(opt, "w", w, g, 4));
  CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
  memcpy(before, w, sizeof w);
  CHECK_OK(rvn_schedule_create("test.moody(1)", &s));

  mood = 5;
  CHECK_STATUS(rvn_optimizer_step(opt, NULL, &r), RVN_ERR_CALLBACK);
  CHECK_SAYS("test.moody failed with 5 at step 0");
  CHECK_BYTES(w, before, sizeof w);
  CHECK_STATUS(rvn_optimizer_get(opt, "lr", &x), RVN_ERR_CALLBACK);
  CHECK_STATUS(rvn_schedule_value(s, 3, &x), RVN_ERR_CALLBACK);
  CHECK_SAYS("test.moody failed with 5 at step 3");
  CHECK_STATUS(rvn_schedule_values(s, 0, 1, &x), RVN_ERR_CALLBACK);
  CHECK_STATUS(rvn_schedule_sum(s, 0, 3, &x), RVN_ERR_CALLBACK);
  CHECK_STATUS(rvn_schedule_peak(s, 0, 3, &step, &x), RVN_ERR_CALLBACK);
  CHECK_STATUS(rvn_schedule_first_below(s, 1, 0, 3, &step), RVN_ERR_CALLBACK);
  CHECK_STATUS(rvn_schedule_sketch(s, 0, 9, 40, 9, text, sizeof text, NULL), RVN_ERR_CALLBACK);
  CHECK(x == 7 && step == 7);
  CHECK_STATUS(rvn_optimizer_create("sgd(test.moody(1))", &none), RVN_ERR_CALLBACK);
  CHECK_SAYS("failed with 5 at step 0");
  CHECK(none == NULL);

  mood = 2; /* NaN: no value at this step */
  CHECK_STATUS(rvn_optimizer_step(opt, NULL, NULL), RVN_ERR_ARGUMENT);
  CHECK_SAYS("sgd.lr has no value at step 1");
  CHECK_STATUS(rvn_optimizer_create("sgd(test.moody(1))", &none), RVN_ERR_RECIPE);
  CHECK_SAYS("sgd.lr is nan");
  CHECK_STATUS(rvn_schedule_sum(s, 0, 3, &x), RVN_ERR_ARGUMENT);
  CHECK_OK(rvn_schedule_value(s, 0, &x));
  CHECK(isnan(x));
  CHECK_BYTES(w, before, sizeof w);

  mood = 0;
  CHECK_OK(rvn_optimizer_step(opt, NULL, &r));
  CHECK(r.step == 2 && r.lr == 1 && w[0] == before[0] - 1);
  CHECK_STATUS(rvn_optimizer_create("sgd(test.decay(-1))", &none), RVN_ERR_RECIPE);
  CHECK_SAYS("recipe:1:5: sgd.lr is -1, which is outside [0, inf)");
  rvn_schedule_destroy(s);
  rvn_optimizer_destroy(opt);
}

/* A checkpoint has the name, and not the function. */
static void checkpoints(void) {
  static float w[4], v[4], g[4] = {1, 1, 1, 1};
  char path[64];
  rvn_optimizer *opt = create("sgd(test.decay(6, 2))"), *other = create("sgd(test.decay(6, 2))");
  rvn_optimizer *without = create("sgd(0.5)");
  double x;
  int k;
  snprintf(path, sizeof path, "/tmp/ravine-host-%ld", (long)getpid());
  CHECK_OK(add(opt, "w", w, g, 4));
  CHECK_OK(add(other, "w", v, g, 4));
  CHECK_OK(add(without, "w", v, g, 4));
  for (k = 0; k < 3; k++) CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
  CHECK_OK(rvn_optimizer_save(opt, path));
  CHECK_OK(rvn_optimizer_load(without, path)); /* its own rate holds */
  CHECK_OK(rvn_optimizer_get(without, "lr", &x));
  CHECK(x == 0.5);
  CHECK_OK(rvn_optimizer_load(other, path));
  for (k = 0; k < 3; k++) {
    CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
    CHECK_OK(rvn_optimizer_step(other, NULL, NULL));
    CHECK_BYTES(w, v, sizeof w);
  }
  remove(path);
  rvn_optimizer_destroy(opt), rvn_optimizer_destroy(other), rvn_optimizer_destroy(without);
}

static void wrong_recipes(void) {
  static const char *wrong[][2] = {
      {"sgd(nobodys.own(1))", "recipe:1:5: there is no 'nobodys.own'; the host is to register"},
      {"sgd(test.decai(1))", "there is no 'test.decai'; did you mean 'test.decay'?"},
      {"sgd(tanh.decay(1))", "there is no 'tanh.decay'; did you mean 'test.decay'?"},
      {"sgd(test.decay)", "test.decay needs 'value'"},
      {"sgd(test.decay(1, 0))", "test.decay.half is 0, which is outside [1, 1000000000"},
      {"sgd(test.decay(1, hafl=2))", "test.decay has no parameter 'hafl'; did you mean 'half'?"},
      {"sgd(test.decay(1, 2, 3))", "test.decay takes 2 values at most"},
      {"sgd(test.decay(cosine(1, 5)))", "expected a number for test.decay.value"},
      {"sgd(test.words.of_three(oval, steps=1))", "one of flat, round, not 'oval'"},
      {"sgd(test.words.of_three(steps=1.5))", "which is not a whole number"},
      {"sgd(test.words.of_three(steps=5%))", "put over(steps=..., schedule=...) around it"},
      {"test.decay(1)", "expected a stage or a rule, but test.decay is a schedule"},
  };
  size_t i;
  for (i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    rvn_optimizer *opt;
    NOTE("%s", wrong[i][0]);
    CHECK_STATUS(rvn_optimizer_create(wrong[i][0], &opt), RVN_ERR_RECIPE);
    CHECK_SAYS(wrong[i][1]);
  }
  NOTE("%s", "");
}

static void wrong_registrations(void) {
  static const char *names[] = {"",      "decay",   "a.",     ".a",     "a..b", "a.2b", "2a.b",
                                "x2.b",  "a b.c",   "a.b#2",  "a-b.c",  "\xc3\xa4.b",
                                "a.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
  rvn_parameter p[17], good = NUMBER("value", NULL, 0, 0);
  rvn_host_schedule s;
  size_t i, before = rvn_catalog_count();
#define NO(expr, status, part) \
  do { CHECK_STATUS(expr, status); CHECK_SAYS(part); CHECK(rvn_catalog_count() == before); } while (0)
#define BAD(change, status, part)                  \
  do {                                             \
    p[0] = good;                                   \
    change;                                        \
    NO(enrol("bad.one", decay, NULL, p, 1), status, part); \
  } while (0)
  for (i = 0; i < sizeof names / sizeof *names; i++) {
    NOTE("%s", names[i]);
    NO(enrol(names[i], decay, NULL, NULL, 0), RVN_ERR_NAME, "is no name for an entry of the host");
  }
  NOTE("%s", "");
  NO(enrol("test.decay", bare, NULL, NULL, 0), RVN_ERR_NAME, "'test.decay' is registered already");
  NO(enrol(NULL, decay, NULL, NULL, 0), RVN_ERR_ARGUMENT, "name is NULL");
  NO(enrol("bad.one", NULL, NULL, NULL, 0), RVN_ERR_ARGUMENT, "rvn_host_schedule.value is NULL");
  NO(enrol("bad.one", decay, NULL, NULL, 1), RVN_ERR_ARGUMENT, "parameters is NULL");
  for (i = 0; i < 17; i++) p[i] = good;
  NO(enrol("bad.one", decay, NULL, p, 17), RVN_ERR_ARGUMENT, "parameter_count is 17");
  NO(enrol("bad.one", decay, NULL, p, SIZE_MAX), RVN_ERR_ARGUMENT, "parameter_count is 1844");
  NO(enrol("bad.one", decay, NULL, p, 2), RVN_ERR_NAME, "bad.one: two parameters are called 'value'");
  NO(rvn_schedule_register("bad.one", NULL), RVN_ERR_ARGUMENT, "schedule is NULL");
  memset(&s, 0, sizeof s);
  s.value = decay;
  NO(rvn_schedule_register("bad.one", &s), RVN_ERR_ARGUMENT, "rvn_host_schedule.struct_size is 0");
  s.struct_size = sizeof s, s.summary = "\xff";
  NO(rvn_schedule_register("bad.one", &s), RVN_ERR_ARGUMENT, "not UTF-8 at byte 0");
  BAD(p->struct_size = 8, RVN_ERR_ARGUMENT, "rvn_parameter.struct_size is 8");
  BAD(p->name = NULL, RVN_ERR_ARGUMENT, "rvn_parameter.name is NULL");
  BAD(p->name = "a.b", RVN_ERR_NAME, "bad.one: 'a.b' is no name for a parameter");
  BAD(p->name = "", RVN_ERR_NAME, "bad.one: '' is no name");
  BAD(p->kind = RVN_PARAMETER_LIST, RVN_ERR_ARGUMENT, "bad.one.value: its kind is 5");
  BAD(p->kind = 0, RVN_ERR_ARGUMENT, "its kind is 0");
  BAD((p->low = 2, p->high = 1), RVN_ERR_ARGUMENT, "low is 2, which is not at most high, which is 1");
  BAD(p->low = (double)NAN, RVN_ERR_ARGUMENT, "low is nan");
  BAD((p->high = 1, p->initial = "2"), RVN_ERR_ARGUMENT, "its default is 2, which is outside [0, 1]");
  BAD((p->high = 1, p->high_open = 1, p->initial = "1"), RVN_ERR_ARGUMENT, "outside [0, 1)");
  BAD(p->initial = "two", RVN_ERR_ARGUMENT, "its default 'two' is no number");
  BAD(p->initial = "1 ", RVN_ERR_ARGUMENT, "its default '1 ' is no number");
  BAD(p->initial = "1e999", RVN_ERR_ARGUMENT, "no number");
  BAD(p->low_open = 2, RVN_ERR_ARGUMENT, "rvn_parameter.low_open is 2");
  BAD(p->reserved = 1, RVN_ERR_ARGUMENT, "rvn_parameter.reserved is 1");
  BAD(p->kind = RVN_PARAMETER_WORD, RVN_ERR_ARGUMENT, "it is a word, but has no words");
  BAD((p->kind = RVN_PARAMETER_WORD, p->words = "a b a"), RVN_ERR_ARGUMENT, "'a' is no word of its own");
  BAD((p->kind = RVN_PARAMETER_WORD, p->words = "a ,"), RVN_ERR_ARGUMENT, "',' is no word");
  BAD((p->kind = RVN_PARAMETER_WORD, p->words = "a b", p->initial = "c"), RVN_ERR_ARGUMENT, "'c'");
  BAD((p->kind = RVN_PARAMETER_FLAG, p->initial = "2"), RVN_ERR_ARGUMENT, "outside [0, 1]");
  BAD((p->kind = RVN_PARAMETER_COUNT, p->initial = "1.5"), RVN_ERR_ARGUMENT, "whole number");
}

/* Many threads register the same names, while others read recipes. */
static pthread_barrier_t barrier;
static int won[8];
static void *race(void *at) {
  char name[32];
  double x;
  int k;
  (void)pthread_barrier_wait(&barrier);
  for (k = 0; k < 40; k++) {
    rvn_schedule *s = NULL;
    rvn_status status;
    snprintf(name, sizeof name, "race.n%d", k);
    status = enrol(name, bare, NULL, NULL, 0);
    CHECK(status == RVN_OK || status == RVN_ERR_NAME);
    *(int *)at += status == RVN_OK;
    CHECK_OK(rvn_schedule_create(name, &s));
    CHECK_OK(rvn_schedule_value(s, 5, &x));
    CHECK(x == 5);
    rvn_schedule_destroy(s);
  }
  return NULL;
}

static void racing(void) {
  size_t before = rvn_catalog_count();
  pthread_t threads[8];
  int i, all = 0;
  pthread_barrier_init(&barrier, NULL, 8);
  for (i = 0; i < 8; i++) pthread_create(&threads[i], NULL, race, &won[i]);
  for (i = 0; i < 8; i++) pthread_join(threads[i], NULL), all += won[i];
  CHECK(all == 40 && rvn_catalog_count() == before + 40);
}

/* The table has an end, which is a status. Last: it leaves no room. */
static void filling(void) {
  char name[32];
  rvn_status status = RVN_OK;
  int k;
  for (k = 0; status == RVN_OK; k++) {
    snprintf(name, sizeof name, "full.n%d", k);
    status = enrol(name, bare, NULL, NULL, 0);
  }
  CHECK_STATUS(status, RVN_ERR_STATE);
  CHECK_SAYS("256 names are registered");
  CHECK(k == 256 - 45 + 1);
}

int main(void) {
  registering();
  used_as_any_other();
  failing();
  checkpoints();
  wrong_recipes();
  wrong_registrations();
  racing();
  filling();
  return finish();
}
