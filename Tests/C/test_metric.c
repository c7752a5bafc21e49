/* Schedules that a metric moves: what it tells, wrong use, and a resume at every point. */
#define _GNU_SOURCE
#include <math.h>
#include <unistd.h>

#include "failing.h"

enum { N = 20, ROUNDS = 24 };
static float w[N], b[N], g[N];
static char path[64], text[8192];

static rvn_optimizer *make(const char *recipe) {
  rvn_optimizer *opt = create(recipe);
  int i;
  for (i = 0; i < N; i++) w[i] = 1, b[i] = 2, g[i] = 0.5f;
  CHECK_OK(add(opt, "w", w, g, N));
  CHECK_OK(add(opt, "b", b, g, N));
  return opt;
}

static double get(rvn_optimizer *opt, const char *key) {
  double x = NAN;
  CHECK_OK(rvn_optimizer_get(opt, key, &x));
  return x;
}

static rvn_metric_report tell(rvn_optimizer *opt, double metric) {
  rvn_metric_report r;
  memset(&r, 0, sizeof r);
  r.struct_size = sizeof r;
  CHECK_OK(rvn_optimizer_metric(opt, metric, &r));
  CHECK(r.struct_size == sizeof r && r.reserved == 0);
  return r;
}

static void the_main_job(void) {
  rvn_optimizer *opt = make("sgd(plateau(0.5, factor=0.5, patience=1)); b: lr=x2");
  rvn_metric_report r = tell(opt, 3); /* before prepare, too */
  CHECK(r.scale == 1 && r.compared == 3 && r.best == 3 && r.bad == 0 && r.changed == 0);
  r = tell(opt, 4);
  CHECK(r.scale == 1 && r.compared == 4 && r.best == 3 && r.bad == 1 && r.changed == 0);
  CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
  CHECK(w[0] == 0.75f && b[0] == 1.5f);
  r = tell(opt, NAN);
  CHECK(r.scale == 0.5 && isnan(r.compared) && r.best == 3 && r.bad == 0 && r.changed == 1);
  CHECK_OK(rvn_optimizer_metric(opt, 2, NULL));
  CHECK(get(opt, "lr") == 0.25 && get(opt, "b:lr") == 0.5);
  CHECK(get(opt, "plateau.scale") == 0.5 && get(opt, "plateau.best") == 2);
  CHECK(get(opt, "plateau.bad") == 0 && get(opt, "plateau.waiting") == 0);
  CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
  CHECK(w[0] == 0.625f && b[0] == 1.25f);
  CHECK_OK(rvn_optimizer_plan(opt, text, sizeof text, NULL));
  CHECK(strstr(text, "\nplateau: scale 0.5, best 2, bad 0, waiting 0\n") != NULL);
  CHECK_OK(rvn_optimizer_set(opt, "lr", 0.125)); /* in place of the schedule and its scale */
  CHECK(get(opt, "lr") == 0.125 && get(opt, "b:lr") == 0.25);
  CHECK_STATUS(rvn_optimizer_metric(opt, 1, NULL), RVN_ERR_STATE);
  rvn_optimizer_destroy(opt);
}

static void wrong_use(void) {
  rvn_metric_report r, before;
  rvn_optimizer *opt = make("sgd(plateau(0.5, factor=0.5, patience=0))"), *plain = make("sgd(1)");
  rvn_schedule *s = NULL, *cosine = NULL;
  double x = 7;
  CHECK_OK(rvn_schedule_create("plateau(0.5, factor=0.5, patience=0)", &s));
  CHECK_OK(rvn_schedule_create("cosine(1, 10)", &cosine));
  memset(&r, 0x5a, sizeof r);
  r.struct_size = sizeof r - 8;
  before = r;
  CHECK_STATUS(rvn_optimizer_metric(NULL, 1, &r), RVN_ERR_ARGUMENT);
  CHECK_SAYS("the optimizer is NULL");
  CHECK_STATUS(rvn_schedule_metric(NULL, 1, &r), RVN_ERR_ARGUMENT);
  CHECK_SAYS("the schedule is NULL");
  CHECK_STATUS(rvn_optimizer_metric(opt, 1, &r), RVN_ERR_ARGUMENT);
  CHECK_SAYS("rvn_metric_report.struct_size");
  CHECK_STATUS(rvn_schedule_metric(s, 1, &r), RVN_ERR_ARGUMENT);
  CHECK(get(opt, "plateau.best") == INFINITY); /* and the metric was not taken */
  r.struct_size = before.struct_size = sizeof r;
  CHECK_STATUS(rvn_optimizer_metric(plain, 1, &r), RVN_ERR_STATE);
  CHECK_SAYS("lr=plateau(0.1)");
  CHECK_STATUS(rvn_schedule_metric(cosine, 1, &r), RVN_ERR_STATE);
  CHECK_STATUS(rvn_optimizer_metric((rvn_optimizer *)s, 1, &r), RVN_ERR_ARGUMENT);
  CHECK_SAYS("not an optimizer");
  CHECK_BYTES(&r, &before, sizeof r);
  CHECK_STATUS(rvn_optimizer_get(opt, "plateau.bast", &x), RVN_ERR_NAME);
  CHECK_SAYS("did you mean 'plateau.best'?");
  CHECK_STATUS(rvn_optimizer_set(opt, "plateau.scale", 1), RVN_ERR_NAME);
  CHECK(x == 7);

  CHECK_OK(rvn_schedule_values(s, 0, 1, &x));
  CHECK(x == 0.5);
  CHECK_OK(rvn_schedule_metric(s, 1, &r));
  CHECK_OK(rvn_schedule_metric(s, 1, &r));
  CHECK_OK(rvn_schedule_values(s, 9, 1, &x));
  CHECK(x == 0.25 && r.scale == 0.5);
  rvn_schedule_destroy(s), rvn_schedule_destroy(cosine);
  rvn_optimizer_destroy(opt), rvn_optimizer_destroy(plain);
}

/* ---- resumed ---- */

static double metric_at(int k) { return k % 7 == 5 ? NAN : (double)((k * 37 + 11) % 10) / 8; }

static void rounds(rvn_optimizer *opt, int from, int to) {
  for (; from < to; from++) {
    CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
    CHECK_OK(rvn_optimizer_metric(opt, metric_at(from), NULL));
  }
}

/* A run that is saved after any round goes on bit for bit: with all that timm's forgets. */
static void resumed(const char *recipe) {
  static char wanted[sizeof text];
  float result[2][N];
  int cut;
  rvn_optimizer *opt = make(recipe);
  rounds(opt, 0, ROUNDS);
  CHECK_OK(rvn_optimizer_plan(opt, wanted, sizeof wanted, NULL));
  memcpy(result[0], w, sizeof w), memcpy(result[1], b, sizeof b);
  rvn_optimizer_destroy(opt);
  for (cut = 0; cut <= ROUNDS; cut++) {
    NOTE("%s, saved after round %d", recipe, cut);
    opt = make(recipe);
    rounds(opt, 0, cut);
    CHECK_OK(rvn_optimizer_save(opt, path));
    rvn_optimizer_destroy(opt);
    opt = make(recipe);
    rounds(opt, 0, 3); /* of another run, to be forgotten */
    CHECK_OK(rvn_optimizer_load(opt, path));
    rounds(opt, cut, ROUNDS);
    CHECK_OK(rvn_optimizer_plan(opt, text, sizeof text, NULL));
    CHECK(strcmp(text, wanted) == 0);
    CHECK_BYTES(result[0], w, sizeof w);
    CHECK_BYTES(result[1], b, sizeof b);
    rvn_optimizer_destroy(opt);
  }
  NOTE("%s", "");
}

static const char *load(rvn_optimizer *opt, int partial, int state, rvn_status wanted) {
  rvn_load_options o = {sizeof o, 0, 1, 1, 0};
  o.partial = partial, o.state = state;
  memset(text, 0, sizeof text);
  CHECK_STATUS(rvn_optimizer_load_with(opt, path, &o, text, sizeof text, NULL), wanted);
  return text;
}

/* Schedules are the handle's, also where the file has others. */
static void other_schedules(void) {
  rvn_optimizer *opt = make("sgd(plateau(0.5, patience=0), momentum=greedy(0.5))");
  int k;
  for (k = 0; k < 3; k++) CHECK_OK(rvn_optimizer_metric(opt, 1, NULL));
  CHECK(fabs(get(opt, "plateau.scale") - 0.01) < 1e-15);
  CHECK_OK(rvn_optimizer_save(opt, path));
  CHECK_OK(rvn_optimizer_load(opt, path));
  rvn_optimizer_destroy(opt);

  opt = make("sgd(plateau(0.5, patience=9), momentum=plateau(0.5, cooldown=2))");
  CHECK(strcmp(load(opt, 0, 0, RVN_OK), "") == 0); /* parameters alone */
  CHECK(get(opt, "plateau.best") == INFINITY);
  CHECK(strcmp(load(opt, 0, 1, RVN_OK), "missing schedule/plateau#2\nextra schedule/greedy\n") == 0);
  CHECK(fabs(get(opt, "lr") - 0.005) < 1e-15 && get(opt, "plateau.bad") == 0);
  CHECK(get(opt, "plateau#2.scale") == 1 && get(opt, "plateau#2.best") == INFINITY);
  rvn_optimizer_destroy(opt);

  opt = make("sgd(0.25, momentum=0.5)");
  CHECK(strcmp(load(opt, 1, 1, RVN_OK), "extra schedule/plateau\nextra schedule/greedy\n") == 0);
  CHECK(get(opt, "lr") == 0.25);
  rvn_optimizer_destroy(opt);
}

/* The state in a file, changed here and there: a status, or numbers that a state may have. */
static void damaged(void) {
  static char whole[1 << 14], changed[1 << 14];
  rvn_optimizer *opt = make("sgd(plateau(0.5, patience=9, window=3))");
  char *at, *end, *p;
  const char *letter;
  size_t size;
  FILE *f;
  rounds(opt, 0, 4);
  CHECK_OK(rvn_optimizer_save(opt, path));
  f = fopen(path, "rb");
  size = fread(whole, 1, sizeof whole, f);
  fclose(f);
  at = memmem(whole, size, "\"schedule/plateau\":\"", 20);
  if (!CHECK(at != NULL)) return;
  at += 20, end = strchr(at, '"');
  for (p = at; p < end; p++) {
    for (letter = "x -,9e"; *letter; letter++) {
      float before[N];
      rvn_status status;
      memcpy(changed, whole, size);
      changed[p - whole] = *letter;
      f = fopen(path, "wb");
      fwrite(changed, 1, size, f);
      fclose(f);
      memcpy(before, w, sizeof w);
      w[0] += 1; /* written only where all is well */
      before[0] = w[0];
      NOTE("'%c' at %d of %.60s", *letter, (int)(p - at), at);
      status = rvn_optimizer_load(opt, path);
      if (status == RVN_OK) {
        CHECK(get(opt, "plateau.scale") >= 0 && get(opt, "plateau.bad") >= 0);
        CHECK_OK(rvn_optimizer_metric(opt, 1, NULL));
      } else if (CHECK_STATUS(status, RVN_ERR_FORMAT)) {
        CHECK_SAYS("'schedule/plateau' is '");
        CHECK_BYTES(before, w, sizeof w);
      }
    }
  }
  NOTE("%s", "");
  rvn_optimizer_destroy(opt);
}

/* ---- memory ---- */

static void memory(void) {
  static const char recipe[] = "sgd(plateau(0.5, window=100), momentum=greedy(0.5)); b: lr=plateau(1)";
  failing host;
  rvn_options o = failing_options(&host, 1);
  rvn_optimizer *opt = NULL;
  long n, before;
  rvn_status status = RVN_ERR_MEMORY;
  for (n = 1; status != RVN_OK && n < 10000; n++) {
    host.calls = 0, host.fail_at = n;
    status = rvn_optimizer_create_with(recipe, &o, &opt);
    if (status == RVN_OK) break;
    CHECK_STATUS(status, RVN_ERR_MEMORY);
    CHECK(opt == NULL && host.live == 0);
  }
  host.fail_at = 0;
  CHECK_OK(add(opt, "w", w, g, N));
  CHECK_OK(add(opt, "b", b, g, N));
  CHECK_OK(rvn_optimizer_prepare(opt));
  before = host.calls;
  rounds(opt, 0, 150);
  CHECK(host.calls == before);
  status = RVN_ERR_MEMORY;
  for (n = 1; status != RVN_OK && n < 10000; n++) { /* another schedule: all of it or nothing */
    host.calls = 0, host.fail_at = n;
    status = rvn_optimizer_override(opt, "w", "lr=plateau(2, patience=3)");
    host.fail_at = 0;
    if (status != RVN_OK) {
      double x;
      CHECK_STATUS(status, RVN_ERR_MEMORY);
      CHECK_STATUS(rvn_optimizer_get(opt, "plateau#3.scale", &x), RVN_ERR_NAME);
    }
  }
  CHECK(get(opt, "plateau#3.scale") == 1);
  rvn_optimizer_destroy(opt);
  failing_done(&host);
}

int main(void) {
  snprintf(path, sizeof path, "/tmp/ravine-metric-%ld.safetensors", (long)getpid());
  the_main_job();
  wrong_use();
  resumed("sgd(plateau(0.5, factor=0.5, patience=1, cooldown=2), momentum=0.9)");
  resumed("sgd(warmup(plateau(cosine(0.5, 20), patience=0, window=4), 5)); b: lr=x0.5");
  resumed("adamw(plateau(0.1, 0.5, 0, window=3, average=block, compat=optax), beta1=greedy(0.5))");
  resumed("adamw(greedy(0.1, 0.9, 1, cooldown=1, warmup=2, window=5, floor=0.8, reset=1)); "
          "b: lr=plateau(1, 0.5, 0, window=3, average=exponential, compat=keras)");
  other_schedules();
  damaged();
  memory();
  unlink(path);
  return finish();
}
