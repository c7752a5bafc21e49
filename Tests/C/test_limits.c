/* The ends of what can be asked for: sizes, numbers of tensors and threads, steps, and a catalog
 * that says only what holds. */
#define _GNU_SOURCE
#include <math.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fixture.h"

enum { N = 300000, MANY = 10000 };
static float w[N], g[N], wanted[N];

CHECK_UNUSED static void in_child(void (*f)(void)) {
  pid_t child = fork();
  int state = 0;
  if (child == 0) {
    check_failed = 0;
    f();
    _exit(check_failed ? 1 : 0);
  }
  CHECK(child > 0 && waitpid(child, &state, 0) == child);
  CHECK(!WIFSIGNALED(state));
  CHECK(WIFEXITED(state) && WEXITSTATUS(state) == 0);
}

/* Tensors that no memory holds: refused when they are added or prepared, and sums over them do not
 * overflow. Their data are never touched. */
CHECK_UNUSED static void monsters(void) {
  int power, i;
  for (power = 40; power <= 62; power++) {
    rvn_optimizer *opt = create("clip_norm(1) | adamw(1)");
    rvn_status s = RVN_OK;
    NOTE("tensors of 2^%d", power);
    for (i = 0; i < 100 && s == RVN_OK; i++) {
      char name[16];
      snprintf(name, sizeof name, "t%d", i);
      s = add_typed(opt, name, w, g, (int64_t)1 << power, 1 + i % 4, 0);
    }
    CHECK(s == RVN_OK || s == RVN_ERR_SHAPE);
    if (i > 1) {
      s = rvn_optimizer_plan(opt, NULL, 0, NULL);
      CHECK(s == RVN_OK || s == RVN_ERR_MEMORY);
      CHECK_STATUS(rvn_optimizer_prepare(opt), RVN_ERR_MEMORY);
      CHECK_STATUS(rvn_optimizer_step(opt, NULL, NULL), RVN_ERR_MEMORY);
    }
    rvn_optimizer_destroy(opt);
  }
}

/* Many small tensors, each found by its name. */
static void many_tensors(void) {
  rvn_optimizer *opt = create("sgd(1); t77: lr=2; *9: lr=3; t1234*: frozen");
  char path[] = "/tmp/ravine-limits-XXXXXX";
  int i, file = mkstemp(path), count = quick() ? MANY / 10 : MANY;
  size_t index;
  close(file);
  for (i = 0; i < N; i++) w[i] = 0, g[i] = 1;
  for (i = 0; i < count; i++) {
    rvn_tensor t = {sizeof t, NULL, NULL, NULL, RVN_F32, 0, 0, 0, NULL};
    char name[32];
    snprintf(name, sizeof name, "t%d", i);
    t.name = name, t.data = &w[i], t.grad = &g[i];
    if (!CHECK_OK(rvn_optimizer_add(opt, &t, &index))) break;
    if (!CHECK(index == (size_t)i)) break;
  }
  if (count <= 1234) CHECK_OK(add(opt, "t1234", &w[count], NULL, 1));
  CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
  for (i = 0; i < count; i++) {
    float change = i % 10 == 9 ? -3 : i == 77 ? -2 : -1;
    if (i == 1234 || (i >= 12340 && i < 12350)) change = 0;
    if (!CHECK(w[i] == change)) break;
  }
  CHECK_OK(rvn_optimizer_save(opt, path));
  memset(w, 0, sizeof w);
  CHECK_OK(rvn_optimizer_load(opt, path));
  CHECK(w[77] == -2 && w[99] == -3 && w[100] == -1);
  rvn_optimizer_destroy(opt);
  remove(path);
}

static void run_model(int threads) {
  rvn_options o = threads_of(threads);
  rvn_optimizer *opt = NULL;
  memset(w, 0, sizeof w);
  CHECK_OK(rvn_optimizer_create_with("clip_norm(1) | adamw(0.1)", &o, &opt));
  CHECK_OK(add(opt, "w", w, g, N));
  CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
  CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
  rvn_optimizer_destroy(opt);
}

static void most_threads(void) {
  run_model(256);
  CHECK_BYTES(w, wanted, sizeof w);
  rvn_shutdown();
  run_model(256);
  CHECK_BYTES(w, wanted, sizeof w);
  rvn_shutdown();
}

/* Where the system gives no threads, fewer do the same. */
CHECK_UNUSED static void no_threads(void) {
  struct rlimit limit = {1, 1};
  if (geteuid() == 0 && setresuid(65533, 65533, 65533) != 0) return;
  if (setrlimit(RLIMIT_NPROC, &limit) != 0) return;
  run_model(8);
  CHECK_BYTES(w, wanted, sizeof w);
  rvn_shutdown();
  run_model(8);
  CHECK_BYTES(w, wanted, sizeof w);
}

/* Schedules far out: numbers, and what they come to in the end. */
static void far_steps(void) {
  static const uint64_t from[] = {0, 1000000007, (uint64_t)1 << 53, UINT64_MAX - 7};
  char text[300];
  size_t i, k, v;
  int busy;
  for (i = 0; i < rvn_catalog_count(); i++) {
    /* The nodes of chebyshev go up to value / low. */
    double most = strcmp(entry_at(i).name, "chebyshev") == 0 ? 0.25 / 0.05 : 0.25;
    if (strcmp(entry_at(i).kind, "schedule") != 0) continue;
    for (busy = 0; busy < 2; busy++) {
      rvn_schedule *s = NULL;
      double x[8], one;
      if (!recipe_for(i, busy, text, sizeof text)) continue;
      NOTE("%s", text);
      if (!CHECK_OK(rvn_schedule_create(text, &s))) continue;
      for (k = 0; k < 4; k++) {
        CHECK_OK(rvn_schedule_values(s, from[k], 8, x));
        for (v = 0; v < 8; v++) {
          CHECK(x[v] >= 0 && x[v] <= most);
          CHECK_OK(rvn_schedule_values(s, from[k] + v, 1, &one));
          CHECK(memcmp(&one, &x[v], 8) == 0);
        }
      }
      rvn_schedule_destroy(s);
    }
  }
  NOTE("%s", "");
}

/* The catalog says of itself what the header promises. */
static void catalog(void) {
  size_t i, k, n, count = rvn_catalog_count();
  for (i = 0; i < count; i++) {
    rvn_entry e = entry_at(i);
    int rule = strcmp(e.kind, "rule") == 0, schedule = strcmp(e.kind, "schedule") == 0;
    int init = strcmp(e.kind, "init") == 0;
    NOTE("%s", e.name);
    CHECK(e.struct_size == sizeof e);
    CHECK(rule || schedule || init || strcmp(e.kind, "stage") == 0);
    CHECK(*e.name && *e.summary && *e.formula && *e.reference && *e.difference);
    CHECK(strchr(e.summary, '\n') == NULL);
    CHECK(!init || e.state_count == 0);
    for (k = 0; k < i; k++) CHECK(strcmp(entry_at(k).name, e.name) != 0);
    if (rule) CHECK(e.parameter_count > 0 && strcmp(parameter_at(i, 0).name, "lr") == 0);
    for (k = 0; k < e.parameter_count; k++) {
      rvn_parameter p = parameter_at(i, k);
      NOTE("%s.%s", e.name, p.name);
      CHECK(*p.name && *p.summary && strchr(p.summary, '\n') == NULL);
      CHECK(p.kind >= RVN_PARAMETER_NUMBER && p.kind <= RVN_PARAMETER_SCHEDULES);
      CHECK((p.kind == RVN_PARAMETER_WORD) == (*p.words != 0));
      CHECK(p.low < p.high || p.kind == RVN_PARAMETER_WORD);
      CHECK(p.reserved == 0 && p.low_open >> 1 == 0 && p.high_open >> 1 == 0);
      if (p.kind == RVN_PARAMETER_FLAG) CHECK(p.low == 0 && p.high == 1);
      if (*p.initial && p.kind == RVN_PARAMETER_WORD) {
        n = strlen(p.initial); /* the first of the words */
        CHECK(strncmp(p.words, p.initial, n) == 0 || strstr(p.words, p.initial) != NULL);
      } else if (*p.initial) {
        double x = strtod(p.initial, NULL);
        CHECK(x >= p.low && x <= p.high && !(p.low_open && x == p.low) && !(p.high_open && x == p.high));
      }
      for (n = 0; n < k; n++) CHECK(strcmp(parameter_at(i, n).name, p.name) != 0);
    }
    for (k = 0; k < e.state_count; k++) {
      rvn_slot s;
      s.struct_size = sizeof s;
      CHECK_OK(rvn_catalog_slot(i, k, &s));
      NOTE("%s, slot %s", e.name, s.name);
      CHECK(*s.name && *s.summary && strcmp(s.name, "step") != 0);
      CHECK(strpbrk(s.name, ",/ ") == NULL); /* lists of names, and names of arrays in files */
      for (n = 0; n < e.parameter_count && strcmp(parameter_at(i, n).name, s.when) != 0; n++) {}
      CHECK(*s.when == 0 || n < e.parameter_count);
    }
  }
  NOTE("%s", "");
}

static void instruction_set(void) {
  const char *isa = rvn_isa(), *asked = getenv("RAVINE_ISA");
#if defined(__x86_64__)
  CHECK(strcmp(isa, "avx512") == 0 || strcmp(isa, "avx2") == 0 || strcmp(isa, "sse2") == 0);
  if (asked && strcmp(asked, "sse2") == 0) CHECK(strcmp(isa, "sse2") == 0);
  if (asked && strcmp(asked, "avx2") == 0) CHECK(strcmp(isa, "avx512") != 0);
#else
  CHECK(strcmp(isa, "neon") == 0);
  (void)asked;
#endif
}

int main(void) {
  fill_random(g, N, 1);
  instruction_set();
  catalog();
  far_steps();
  run_model(1);
  memcpy(wanted, w, sizeof w);
#ifndef THREAD_SANITIZER
  in_child(monsters);
  in_child(no_threads);
#endif
  if (!quick()) most_threads();
  many_tensors();
  return finish();
}
