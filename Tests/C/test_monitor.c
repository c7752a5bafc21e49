/* The monitor from C: statistics, findings, wrong use, names that mean harm, memory that fails. */
#include <math.h>

#include "failing.h"

enum { N = 3000, TEXT = 1 << 16 };
static char text[TEXT], before[TEXT], after[TEXT];
static float numbers[N];

static rvn_record array(const char *name, const void *data, int64_t *shape, int32_t kind) {
  rvn_record r;
  memset(&r, 0, sizeof r);
  r.struct_size = sizeof r, r.name = name, r.data = data, r.shape = shape, r.dtype = RVN_F32;
  r.rank = shape ? 1 : 0, r.kind = kind, r.depth = -1, r.time = -1;
  return r;
}

static rvn_monitor *make(void) {
  rvn_monitor *m = NULL;
  CHECK_OK(rvn_monitor_create(NULL, &m));
  CHECK(m != NULL);
  return m;
}

static void record(rvn_monitor *m, const char *name, const void *data, int64_t count, int32_t kind) {
  rvn_record r = array(name, data, &count, kind);
  CHECK_OK(rvn_monitor_record(m, &r));
}

static const char *json(rvn_monitor *m, char *out) {
  CHECK_OK(rvn_monitor_report_json(m, out, TEXT, NULL));
  return out;
}

/* ---- what is measured ---- */

static void statistics(void) {
  static const int32_t types[] = {RVN_F32, RVN_F64};
  static const double sizes[] = {1e20, 1e-30, 1};
  static double wide[N];
  rvn_statistics s;
  rvn_monitor *m = make();
  int64_t shape = N, empty = 0;
  rvn_record r;
  int t, k, i;
  s.struct_size = sizeof s;
  for (t = 0; t < 2; t++) {
    for (k = 0; k < 3; k++) {
      double size = types[t] == RVN_F32 ? (double)(float)sizes[k] : sizes[k] * sizes[k] * sizes[k] * sizes[k];
      char name[20];
      NOTE("type %d, size %g", (int)types[t], size);
      for (i = 0; i < N; i++) numbers[i] = (float)(i % 3 ? size : -size), wide[i] = i % 3 ? size : -size;
      snprintf(name, sizeof name, "n%d%d", t, k);
      r = array(name, types[t] == RVN_F32 ? (void *)numbers : (void *)wide, &shape, RVN_KIND_GRADIENT);
      r.dtype = types[t];
      CHECK_OK(rvn_monitor_record(m, &r));
      CHECK_OK(rvn_monitor_statistics(m, name, RVN_KIND_GRADIENT, &s));
      CHECK(fabs(s.norm2 / (size * sqrt(N)) - 1) < 1e-13 && fabs(s.norm1 / (size * N) - 1) < 1e-13);
      CHECK(s.norm_inf == size && s.smallest == size && s.largest_index == 0);
      CHECK(fabs(s.mean / (size / 3) - 1) < 1e-12);
      CHECK(s.count == N && s.nonfinite == 0 && s.zeros == 0 && s.first_nonfinite == -1);
    }
  }
  NOTE("%s", "");
  for (i = 0; i < N; i++) numbers[i] = i < 10 ? 0 : i < 30 ? 1e-40f : i < 100 ? 1 : 4;
  numbers[1500] = -5, numbers[2000] = NAN, numbers[2001] = INFINITY, numbers[2999] = -INFINITY;
  record(m, "mixed", numbers, N, RVN_KIND_ACTIVATION);
  CHECK_OK(rvn_monitor_statistics(m, "mixed", RVN_KIND_ACTIVATION, &s));
  CHECK(s.count == N && s.nonfinite == 3 && s.first_nonfinite == 2000);
  CHECK(s.zeros == 10 && s.subnormals == 20 && s.norm_inf == 5 && s.largest_index == 1500);
  CHECK(s.histogram[0] == 20 && s.histogram[32] == 70 && s.histogram[33] == N - 103);
  r = array("nothing", NULL, &empty, RVN_KIND_GRADIENT);
  CHECK_OK(rvn_monitor_record(m, &r));
  CHECK_OK(rvn_monitor_statistics(m, "nothing", RVN_KIND_GRADIENT, &s));
  CHECK(s.count == 0 && s.norm2 == 0 && s.largest_index == -1 && isinf(s.smallest) && s.mean == 0);
  CHECK_OK(rvn_monitor_end_step(m, NULL));
  CHECK_OK(rvn_monitor_report(m, text, sizeof text, NULL));
  CHECK(strstr(text, "the activation of mixed") && strstr(text, "nan at index 2000, 3 of 3000 elements"));
  rvn_monitor_destroy(m);
}

/* ---- what is found ---- */

static void layers(rvn_monitor *m, int steps, float gain) {
  int step, k, i;
  for (step = 0; step < steps; step++) {
    double loss = 1.0 / (step + 1);
    for (k = 0; k < 10; k++) {
      int64_t shape = 16;
      char name[20];
      rvn_record r = array(name, numbers, &shape, RVN_KIND_GRADIENT);
      r.depth = k;
      snprintf(name, sizeof name, "bias%d", k);
      for (i = 0; i < 16; i++) numbers[i] = (float)((i + step) % 5 + 1) * powf(gain, (float)(9 - k));
      CHECK_OK(rvn_monitor_record(m, &r));
    }
    CHECK_OK(rvn_monitor_end_step(m, &loss));
  }
}

static void findings(void) {
  rvn_monitor *m = make();
  double value = 0;
  size_t needed = 0;
  CHECK_OK(rvn_monitor_report(m, text, sizeof text, NULL));
  CHECK(strstr(text, "after 0 steps: nothing was recorded") != NULL);
  layers(m, 5, 0.5f);
  CHECK_OK(rvn_monitor_report(m, text, sizeof text, &needed));
  CHECK(needed == strlen(text) + 1);
  CHECK(strstr(text, "WARN    vanishing: the gradient vanishes toward the input") != NULL);
  CHECK(strstr(text, "layers 0 to 4") && strstr(text, "a gain of 0.5 per layer"));
  CHECK(strstr(json(m, before), "\"schema\":\"ravine.health\",\"version\":1,\"steps\":5") != NULL);
  CHECK(strstr(before, "\"code\":\"vanishing\",\"severity\":\"warn\"") != NULL);
  CHECK_OK(rvn_monitor_get(m, "vanishing.warn", &value));
  CHECK(value > 20 && value < 21);
  CHECK_OK(rvn_monitor_set(m, "vanishing.warn", 1e6));
  CHECK_OK(rvn_monitor_get(m, "vanishing.warn", &value));
  CHECK(value == 1e6);
  CHECK_OK(rvn_monitor_report(m, text, sizeof text, NULL));
  CHECK(strstr(text, "note    vanishing") != NULL);
  rvn_monitor_destroy(m);
}

/* The same bytes whatever was there before, and for every call. */
static void repeats(void) {
  rvn_monitor *a = make(), *b = make();
  layers(a, 20, 0.7f), layers(b, 20, 0.7f);
  json(a, before), json(b, after);
  CHECK(strcmp(before, after) == 0);
  json(a, after);
  CHECK(strcmp(before, after) == 0);
  rvn_monitor_destroy(a), rvn_monitor_destroy(b);
}

/* ---- wrong use ---- */

static void misuse(void) {
  rvn_monitor *m = NULL;
  rvn_record good, r;
  rvn_statistics s;
  rvn_options options;
  int64_t four[2] = {4, 2}, shape;
  double loss = 1, value = -7;
  size_t needed = 0;
  char name[300];
  int64_t negative[] = {-1};

  CHECK_STATUS(rvn_monitor_create(NULL, NULL), RVN_ERR_ARGUMENT), CHECK_SAYS("out is NULL");
  memset(&options, 0, sizeof options);
  CHECK_STATUS(rvn_monitor_create(&options, &m), RVN_ERR_ARGUMENT), CHECK_SAYS("rvn_options.struct_size");
  CHECK(m == NULL);
  m = make();
  memset(&good, 0, sizeof good);
  CHECK_STATUS(rvn_monitor_record(NULL, &good), RVN_ERR_ARGUMENT), CHECK_SAYS("the monitor is NULL");
  CHECK_STATUS(rvn_monitor_end_step(NULL, NULL), RVN_ERR_ARGUMENT);
  CHECK_STATUS(rvn_monitor_report(NULL, text, 9, NULL), RVN_ERR_ARGUMENT);
  CHECK_STATUS(rvn_monitor_report_json(NULL, text, 9, NULL), RVN_ERR_ARGUMENT);
  CHECK_STATUS(rvn_monitor_end_step(m, NULL), RVN_ERR_STATE), CHECK_SAYS("nothing was recorded");
  rvn_monitor_destroy(NULL);

  memset(numbers, 0, sizeof numbers);
  good = array("w", numbers, four, RVN_KIND_GRADIENT);
  good.rank = 2, good.depth = 3;
  CHECK_OK(rvn_monitor_record(m, &good));
  json(m, before);
#define BAD(change, status, said)                            \
  do {                                                       \
    r = good, r.name = "x";                                  \
    change;                                                  \
    CHECK_STATUS(rvn_monitor_record(m, &r), status);         \
    CHECK_SAYS(said);                                        \
    CHECK(strcmp(before, json(m, after)) == 0);              \
  } while (0)
  CHECK_STATUS(rvn_monitor_record(m, NULL), RVN_ERR_ARGUMENT), CHECK_SAYS("record is NULL");
  BAD(r.struct_size = 8, RVN_ERR_ARGUMENT, "rvn_record.struct_size is 8");
  BAD(r.reserved = 1, RVN_ERR_ARGUMENT, "rvn_record.reserved");
  BAD(r.name = NULL, RVN_ERR_ARGUMENT, "name is NULL");
  BAD(r.name = "", RVN_ERR_NAME, "1 to 255 bytes");
  BAD(r.name = "a\nb", RVN_ERR_NAME, "control character 10");
  BAD(r.name = "a\x1b[31m", RVN_ERR_NAME, "control character 27");
  BAD(r.name = "\xff", RVN_ERR_NAME, "not UTF-8");
  memset(name, 'n', 256), name[256] = 0;
  BAD(r.name = name, RVN_ERR_NAME, "1 to 255 bytes");
  BAD(r.kind = 0, RVN_ERR_ARGUMENT, "kind is 0, but must be RVN_KIND_GRADIENT (1)");
  BAD(r.kind = 6, RVN_ERR_ARGUMENT, "kind is 6");
  BAD(r.dtype = 9, RVN_ERR_TYPE, "dtype 9");
  BAD(r.rank = 9, RVN_ERR_SHAPE, "rank is 9");
  BAD(r.rank = -1, RVN_ERR_SHAPE, "rank is -1");
  BAD(r.shape = NULL, RVN_ERR_ARGUMENT, "shape is NULL");
  BAD((r.shape = negative, r.rank = 1), RVN_ERR_SHAPE, "shape[0] is -1");
  BAD(r.data = NULL, RVN_ERR_ARGUMENT, "data is NULL");
  BAD(r.data = (const char *)numbers + 1, RVN_ERR_ARGUMENT, "not aligned");
  BAD(r.depth = -2, RVN_ERR_ARGUMENT, "depth is -2");
  BAD(r.depth = 1000001, RVN_ERR_ARGUMENT, "depth is 1000001");
  BAD(r.time = -2, RVN_ERR_ARGUMENT, "time is -2");
  BAD(r.time = 1 << 20, RVN_ERR_ARGUMENT, "time is 1048576");
  BAD((r.time = 0, r.kind = RVN_KIND_WEIGHT), RVN_ERR_ARGUMENT, "only gradients and activations");
  BAD((r.kind = RVN_KIND_LOSS, r.depth = -1, shape = 0, r.shape = &shape, r.rank = 1), RVN_ERR_SHAPE,
      "at least one element");
  BAD((r.kind = RVN_KIND_LOSS, r.depth = 1), RVN_ERR_ARGUMENT, "no depth");
  /* against what was recorded before */
  BAD(r.name = "w", RVN_ERR_STATE, "'w' was recorded already");
  BAD((r.name = "w", r.depth = 4), RVN_ERR_ARGUMENT, "is at depth 3, but this record says 4");
  BAD((r.name = "w", r.time = 0), RVN_ERR_ARGUMENT, "recorded without a time");
  CHECK_OK(rvn_monitor_end_step(m, &loss));
  json(m, before);
  shape = 8;
  BAD((r.name = "w", r.rank = 1, r.shape = &shape), RVN_ERR_SHAPE, "rank 1, but had 8 and rank 2");
  {
    int64_t other[2] = {2, 4};
    BAD((r.name = "w", r.shape = other), RVN_ERR_SHAPE, "a last axis of 4, but it was 2");
    other[1] = 2;
    BAD((r.name = "w", r.shape = other), RVN_ERR_SHAPE, "has 4 elements");
  }
  r = good, r.name = "h", r.time = 3, r.depth = -1;
  CHECK_OK(rvn_monitor_record(m, &r));
  json(m, before);
  BAD((r.name = "h", r.time = 3, r.depth = -1), RVN_ERR_STATE, "at time 3 was recorded already");
  BAD((r.name = "h", r.time = -1, r.depth = -1), RVN_ERR_ARGUMENT, "recorded with a time");
  r = good, r.name = "loss", r.kind = RVN_KIND_LOSS, r.depth = -1;
  CHECK_OK(rvn_monitor_record(m, &r));
  CHECK_STATUS(rvn_monitor_record(m, &r), RVN_ERR_STATE), CHECK_SAYS("loss of this step");
  CHECK_STATUS(rvn_monitor_end_step(m, &loss), RVN_ERR_STATE), CHECK_SAYS("recorded already");
  CHECK_OK(rvn_monitor_end_step(m, NULL));
  CHECK_STATUS(rvn_monitor_end_step(m, NULL), RVN_ERR_STATE);

  CHECK_STATUS(rvn_monitor_get(m, "vanishing.wran", &value), RVN_ERR_NAME);
  CHECK_SAYS("did you mean 'vanishing.warn'?");
  CHECK_STATUS(rvn_monitor_get(m, NULL, &value), RVN_ERR_ARGUMENT);
  CHECK_STATUS(rvn_monitor_get(m, "vanishing.warn", NULL), RVN_ERR_ARGUMENT);
  CHECK_STATUS(rvn_monitor_set(m, "vanishing.warn", 0.5), RVN_ERR_ARGUMENT);
  CHECK_SAYS("vanishing.warn is 0.5, but must be from 1 to inf");
  CHECK_STATUS(rvn_monitor_set(m, "vanishing.warn", (double)NAN), RVN_ERR_ARGUMENT);
  CHECK_STATUS(rvn_monitor_set(m, "", 1), RVN_ERR_NAME);
  CHECK(value == -7);
  s.struct_size = sizeof s, s.count = 77;
  CHECK_STATUS(rvn_monitor_statistics(m, "v", RVN_KIND_GRADIENT, &s), RVN_ERR_NAME);
  CHECK_STATUS(rvn_monitor_statistics(m, "w", RVN_KIND_WEIGHT, &s), RVN_ERR_NAME);
  CHECK_SAYS("no weight of 'w'");
  CHECK_STATUS(rvn_monitor_statistics(m, "w", RVN_KIND_LOSS, &s), RVN_ERR_ARGUMENT);
  CHECK_STATUS(rvn_monitor_statistics(m, "w", RVN_KIND_GRADIENT, NULL), RVN_ERR_ARGUMENT);
  s.struct_size = 8;
  CHECK_STATUS(rvn_monitor_statistics(m, "w", RVN_KIND_GRADIENT, &s), RVN_ERR_ARGUMENT);
  CHECK(s.count == 77);
  CHECK_STATUS(rvn_monitor_report(m, text, 10, &needed), RVN_ERR_ARGUMENT), CHECK_SAYS("cap is 10");
  CHECK(needed > 10 && strlen(text) == 9);
  CHECK_OK(rvn_monitor_report(m, NULL, 0, &needed));
  CHECK_STATUS(rvn_monitor_report((rvn_monitor *)numbers, text, 10, NULL), RVN_ERR_ARGUMENT);
  rvn_monitor_destroy(m);
}

/* Names that could steer a terminal or break JSON. */
static void hostile(void) {
  static const char *names[] = {"a\"b\\c", "</script>", "\xc2\x9b" "31m", "\xe2\x80\xae" "abc", "%s%n", "\xf0\x9f\x94\xa5"};
  rvn_monitor *m = make();
  size_t i;
  numbers[0] = NAN;
  for (i = 0; i < sizeof names / sizeof *names; i++) {
    rvn_monitor_destroy(m), m = make();
    record(m, names[i], numbers, 1, RVN_KIND_GRADIENT);
    CHECK_OK(rvn_monitor_end_step(m, NULL));
    CHECK_OK(rvn_monitor_report(m, text, sizeof text, NULL));
    CHECK(strstr(text, "\xc2\x9b") == NULL && strstr(text, "\xe2\x80\xae") == NULL);
    json(m, before);
    CHECK(i != 0 || strstr(before, "\"name\":\"a\\\"b\\\\c\"") != NULL);
    CHECK(i < 1 || i == 2 || i == 3 || strstr(text, names[i]) != NULL);
  }
  rvn_monitor_destroy(m);
}

/* Thousands of arrays: a short report. */
static void many(void) {
  rvn_monitor *m = make();
  size_t needed = 0, lines = 0;
  int step, i;
  char *c;
  for (step = 0; step < 20; step++) {
    for (i = 0; i < 2000; i++) {
      char name[20];
      rvn_record r;
      int64_t shape[2] = {2, 2};
      snprintf(name, sizeof name, "w%d", i);
      r = array(name, numbers, shape, RVN_KIND_WEIGHT);
      r.rank = 2;
      numbers[0] = numbers[1] = numbers[2] = numbers[3] = 1;
      CHECK_OK(rvn_monitor_record(m, &r));
      r.kind = RVN_KIND_UPDATE;
      numbers[0] = (float)i / 1000;
      CHECK_OK(rvn_monitor_record(m, &r));
    }
    CHECK_OK(rvn_monitor_end_step(m, NULL));
  }
  CHECK_OK(rvn_monitor_report(m, text, sizeof text, &needed));
  for (c = text; *c; c++) lines += *c == '\n';
  NOTE("%lu lines", (unsigned long)lines);
  CHECK(lines < 60 && strstr(text, "w1999, w1998, w1997 and ") != NULL);
  NOTE("%s", "");
  CHECK(strstr(json(m, before), "\"place_count\":") != NULL);
  rvn_monitor_destroy(m);
}

/* ---- memory ---- */

static failing host;
static rvn_monitor *watched;
static rvn_options host_options;

static rvn_status do_create(void) { return rvn_monitor_create(&host_options, &watched); }
static rvn_status do_record(void) {
  int64_t shape[2] = {4, 5};
  rvn_record r = array("w", numbers, shape, RVN_KIND_GRADIENT);
  r.rank = 2, r.depth = 0;
  return rvn_monitor_record(watched, &r);
}
static int time_now;
static rvn_status do_time(void) {
  int64_t shape[2] = {4, 5};
  rvn_record r = array("h", numbers, shape, RVN_KIND_GRADIENT);
  r.rank = 2, r.time = time_now;
  return rvn_monitor_record(watched, &r);
}
static rvn_status do_activation(void) {
  int64_t shape[2] = {4, 5};
  rvn_record r = array("w", numbers, shape, RVN_KIND_ACTIVATION);
  r.rank = 2;
  return rvn_monitor_record(watched, &r);
}
static rvn_status do_end(void) {
  double loss = 2;
  return rvn_monitor_end_step(watched, &loss);
}
static rvn_status do_report(void) { return rvn_monitor_report(watched, text, sizeof text, NULL); }
static rvn_status do_json(void) { return rvn_monitor_report_json(watched, text, sizeof text, NULL); }
static rvn_status do_set(void) { return rvn_monitor_set(watched, "dead.warn", 0.25); }
static rvn_status do_statistics(void) {
  rvn_statistics s;
  s.struct_size = sizeof s;
  return rvn_monitor_statistics(watched, "w", RVN_KIND_GRADIENT, &s);
}

/* Runs a call with the n-th allocation failing, for n = 1, 1 + stride... until it has enough. */
static void call(const char *name, rvn_status (*f)(void), long stride) {
  long n;
  for (n = 1;; n += quick() ? 17 * stride : stride) {
    rvn_status status;
    int seen = watched != NULL;
    NOTE("%s, allocation %ld fails%s", name, n, host.for_good ? " and all after it" : "");
    host.fail_at = 0;
    if (seen) json(watched, before);
    host.calls = 0, host.failures = 0, host.fail_at = n;
    status = f();
    host.fail_at = 0;
    if (host.failures == 0) {
      CHECK_STATUS(status, RVN_OK);
      return;
    }
    CHECK_STATUS(status, RVN_ERR_MEMORY);
    if (status == RVN_OK) return;
    CHECK_SAYS("memory");
    if (seen) CHECK(strcmp(before, json(watched, after)) == 0);
    else CHECK(watched == NULL);
  }
}

static void memory(void) {
  int for_good, step;
  for (for_good = 0; for_good < 2; for_good++) {
    host_options = failing_options(&host, 1);
    host.for_good = for_good, watched = NULL;
    numbers[0] = 1;
    call("create", do_create, 1);
    for (step = 0; step < 3; step++) {
      if (step == 1) numbers[2] = NAN; /* more to tell */
      call("record", do_record, 1), call("record an activation", do_activation, 1);
      time_now = step == 0 ? 3 : 9000 * step;
      call("record with a time", do_time, 1);
      call("end_step", do_end, 1);
      call("report", do_report, 29), call("report_json", do_json, 61), call("set", do_set, 1);
      call("statistics", do_statistics, 1);
    }
    /* nothing that is known allocates */
    NOTE("a step of what is known");
    host.calls = 0;
    CHECK_OK(do_record());
    CHECK_OK(do_time());
    CHECK_OK(do_end());
    CHECK(host.calls <= 12); /* Swift's own, for names; none that grows */
    rvn_monitor_destroy(watched);
    failing_done(&host);
    numbers[2] = 0;
  }
  NOTE("%s", "");
}

int main(void) {
  statistics();
  findings();
  repeats();
  misuse();
  hostile();
  many();
  memory();
  return finish();
}
