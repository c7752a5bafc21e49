/* The same with malloc itself, for handles without an allocator of their own, and for what belongs
 * to the whole library. The program's posix_memalign stands in front of libc's. */
#define _GNU_SOURCE
#include <malloc.h>
#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fixture.h"

static long calls, fail_at, failures;
static int for_good;

#ifndef STATIC_LINK
int posix_memalign(void **out, size_t alignment, size_t size) {
  calls++;
  if (fail_at && (calls == fail_at || (for_good && calls > fail_at))) {
    failures++;
    return ENOMEM;
  }
  *out = memalign(alignment, size);
  return *out ? 0 : ENOMEM;
}
#endif

static rvn_status a_handle(void) {
  static float p[40], g[40];
  rvn_optimizer *opt = NULL;
  rvn_status s = rvn_optimizer_create("clip_norm(1) | adamw(1)", &opt);
  if (s == RVN_OK) s = add(opt, "w", p, g, 40);
  if (s == RVN_OK) s = rvn_optimizer_prepare(opt);
  if (s == RVN_OK) s = rvn_optimizer_plan(opt, NULL, 0, NULL);
  rvn_optimizer_destroy(opt);
  return s;
}
static rvn_status a_schedule(void) {
  rvn_schedule *s = NULL;
  double x = -1;
  rvn_status status = rvn_schedule_create("over(9, sequence((warmup(multistep(1, at=(2, 3)), steps=2), total((1, 2))), at=(50%,)))", &s);
  if (status == RVN_OK) status = rvn_schedule_values(s, 0, 1, &x);
  if (status == RVN_OK) status = rvn_schedule_recipe(s, NULL, 0, NULL);
  rvn_schedule_destroy(s);
  return status;
}
static int32_t seven(void *user, double step, const double *parameters, double *value) {
  (void)user, (void)step, (void)parameters;
  *value = 7;
  return 0;
}
/* Under another name each time: a registration stays. A failed one leaves its name free. */
static rvn_status a_registration(void) {
  static char name[] = "test.a";
  rvn_parameter p = {sizeof p, "kind", "", "b", "a b", 0, 0, RVN_PARAMETER_WORD, 0, 0, 0};
  rvn_host_schedule s = {sizeof s, "seven", "7", "", &p, 1, seven, NULL};
  rvn_status status = rvn_schedule_register(name, &s);
  if (status == RVN_OK) name[5]++;
  return status;
}
static int32_t still(void *user, const rvn_host_call *call) {
  (void)user, (void)call;
  return 0;
}
static rvn_status a_rule(void) {
  static char name[] = "test.rule.a";
  rvn_parameter p = {sizeof p, "lr", "rate", "0.1", NULL, 0, 0, RVN_PARAMETER_NUMBER, 0, 0, 0};
  rvn_host_rule r = {sizeof r, "still", "p", "", &p, 1, "m v", still, NULL, 0, 0};
  rvn_status status = rvn_rule_register(name, &r);
  if (status == RVN_OK) name[10]++;
  return status;
}
static rvn_status an_entry(void) {
  rvn_entry e;
  e.struct_size = sizeof e;
  return rvn_catalog_entry(0, &e);
}
static rvn_status a_parameter(void) {
  rvn_parameter p;
  p.struct_size = sizeof p;
  return rvn_catalog_parameter(0, 0, &p);
}

/* In a child, so that the library is new in each round. 0: failed as it should and then worked;
 * 1: allocation n is never asked for; 2: something else. */
static int round_of(rvn_status (*f)(void), long n) {
  rvn_status s;
  calls = failures = 0, fail_at = n;
  s = f();
  fail_at = 0;
  if (failures == 0) return s == RVN_OK ? 1 : 2;
  if (s != RVN_ERR_MEMORY || rvn_last_error()[0] == 0) return 3;
  return f() == RVN_OK && rvn_catalog_count() > 0 ? 0 : 4;
}

static void every(const char *name, rvn_status (*f)(void), long stride) {
  long n;
  for (n = 1;; n += stride) {
    int state = 0;
    pid_t child = fork();
    if (child == 0) _exit(round_of(f, n));
    NOTE("%s, allocation %ld fails%s", name, n, for_good ? " and all after it" : "");
    if (!CHECK(child > 0 && waitpid(child, &state, 0) == child)) return;
    if (WIFSIGNALED(state)) {
      CHECK(!"killed by a signal");
      return;
    }
    if (WEXITSTATUS(state) == 1) return; /* done */
    CHECK(WEXITSTATUS(state) != 2);
    CHECK(WEXITSTATUS(state) != 3); /* not RVN_ERR_MEMORY */
    CHECK(WEXITSTATUS(state) != 4); /* did not work afterwards */
    if (WEXITSTATUS(state) != 0) return;
  }
}

int main(void) {
  /* An emulator takes long to fork. */
  long stride = getenv("EMULATED") ? 1499 : quick() ? 113 : 1;
#ifdef STATIC_LINK
  printf("linked with libc: skipped  ");
  return finish();
#endif
  fail_at = 0, calls = 0;
  for (for_good = 0; for_good < 2; for_good++) {
    every("a handle", a_handle, stride), every("a schedule", a_schedule, stride);
    every("a registration", a_registration, stride), every("a rule", a_rule, stride);
    every("an entry", an_entry, stride), every("a parameter", a_parameter, stride);
  }
  return finish();
}
