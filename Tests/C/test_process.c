/* The library in a process: fork, shutdown, signals, many threads. */
#define _GNU_SOURCE
#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fixture.h"

enum { N = 300000, SMALL = 5000, THREADS = 8 };
static float start[N], grads[N], wanted[N], now[N], small_wanted[SMALL];
static const char *recipe = "clip_norm(1) | adamw(0.01)";

static rvn_optimizer *open_model(float *data, int64_t n, int threads) {
  rvn_optimizer *opt = NULL;
  rvn_options o = threads_of(threads);
  CHECK_OK(rvn_optimizer_create_with(recipe, &o, &opt));
  CHECK_OK(add(opt, "w", data, grads, n));
  return opt;
}

static void run_model(float *data, int64_t n, int threads) {
  rvn_optimizer *opt;
  int k;
  memcpy(data, start, sizeof(float) * (size_t)n);
  opt = open_model(data, n, threads);
  for (k = 0; k < 3; k++) CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
  rvn_optimizer_destroy(opt);
}

/* ---- many threads, from the very first call ---- */

static pthread_barrier_t barrier;
static float own[THREADS][SMALL];
static char sentences[THREADS][64];
static rvn_schedule *shared;

static void *first_call(void *p) {
  int i = (int)(intptr_t)p;
  char text[32];
  rvn_optimizer *opt = NULL;
  (void)pthread_barrier_wait(&barrier);
  snprintf(text, sizeof text, "nothing%d(1)", i);
  CHECK(rvn_last_error()[0] == 0); /* this thread's own */
  CHECK_STATUS(rvn_optimizer_create(text, &opt), RVN_ERR_RECIPE);
  (void)pthread_barrier_wait(&barrier);
  snprintf(sentences[i], sizeof sentences[i], "%s", rvn_last_error());
  return NULL;
}
static void *own_handle(void *p) {
  int i = (int)(intptr_t)p, k;
  (void)pthread_barrier_wait(&barrier);
  for (k = 0; k < (quick() ? 3 : 20); k++) {
    double x[16];
    run_model(own[i], SMALL, 1 + i % 4);
    CHECK(memcmp(own[i], small_wanted, sizeof small_wanted) == 0);
    CHECK_OK(rvn_schedule_values(shared, (uint64_t)k, 16, x));
    CHECK(x[0] == 1.0 / (1 << k));
    CHECK(rvn_catalog_count() > 0);
  }
  return NULL;
}
static void all_at_once(void *(*f)(void *)) {
  pthread_t t[THREADS];
  int i;
  CHECK(pthread_barrier_init(&barrier, NULL, THREADS) == 0);
  for (i = 0; i < THREADS; i++) CHECK(pthread_create(&t[i], NULL, f, (void *)(intptr_t)i) == 0);
  for (i = 0; i < THREADS; i++) CHECK(pthread_join(t[i], NULL) == 0);
  pthread_barrier_destroy(&barrier);
}
static void many_threads(void) {
  int i;
  for (i = 0; i < THREADS; i++) {
    char part[32];
    snprintf(part, sizeof part, "'nothing%d'", i);
    CHECK(strstr(sentences[i], part) != NULL);
  }
  CHECK_OK(rvn_schedule_create("exponential(1, factor=0.5)", &shared));
  run_model(small_wanted, SMALL, 1);
  all_at_once(own_handle);
  rvn_schedule_destroy(shared);
}

/* ---- fork ---- */

#ifndef THREAD_SANITIZER
/* Ends a child; its parent learns whether it was content. */
static void leave_child(int ok) { _exit(ok && check_failed == 0 ? 0 : 1); }
static void wait_for(pid_t child) {
  int state = 0;
  CHECK(child > 0 && waitpid(child, &state, 0) == child);
  CHECK(!WIFSIGNALED(state));
  CHECK(WIFEXITED(state) && WEXITSTATUS(state) == 0);
}

static void fork_and_step(void) {
  rvn_optimizer *opt;
  pid_t child;
  memcpy(now, start, sizeof now);
  opt = open_model(now, N, 3); /* the parent's pool runs */
  CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
  child = fork();
  if (child == 0) {
    check_failed = 0;
    /* The handle that it inherits, then one of its own, then without a pool. */
    CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
    CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
    CHECK_BYTES(now, wanted, sizeof now);
    rvn_optimizer_destroy(opt);
    run_model(now, N, 3);
    CHECK_BYTES(now, wanted, sizeof now);
    rvn_shutdown();
    run_model(now, N, 4);
    CHECK_BYTES(now, wanted, sizeof now);
    leave_child(1);
  }
  wait_for(child);
  CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
  CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
  CHECK_BYTES(now, wanted, sizeof now);
  rvn_optimizer_destroy(opt);
}

/* A fork while another thread is in the middle of a step. */
static int stop;
static float busy_data[N];
static void *keep_stepping(void *unused) {
  rvn_optimizer *opt = open_model(busy_data, N, 3);
  (void)unused;
  while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
  rvn_optimizer_destroy(opt);
  return NULL;
}
static void fork_while_busy(void) {
  pthread_t thread;
  int i;
  stop = 0;
  CHECK(pthread_create(&thread, NULL, keep_stepping, NULL) == 0);
  for (i = 0; i < (quick() ? 3 : 20); i++) {
    pid_t child;
    usleep(3000);
    child = fork();
    if (child == 0) {
      check_failed = 0;
      alarm(20); /* a lock that was held at the fork would hang here */
      run_model(now, N, 3);
      leave_child(memcmp(now, wanted, sizeof now) == 0);
    }
    wait_for(child);
  }
  __atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
  CHECK(pthread_join(thread, NULL) == 0);
}

#endif

/* ---- shutdown ---- */

static int thread_count(void) {
  DIR *folder = opendir("/proc/self/task");
  int n = 0;
  struct dirent *e;
  if (!folder) return -1;
  while ((e = readdir(folder)) != NULL) n += e->d_name[0] != '.';
  closedir(folder);
  return n;
}
/* A thread that was joined may be seen a moment longer. */
static int settles(int wanted) {
  int tries;
  for (tries = 0; tries < 300 && thread_count() != wanted; tries++) usleep(10000);
  return thread_count() == wanted;
}
static void shutdowns(void) {
  int before, k;
  rvn_shutdown();
  usleep(100000);
  before = thread_count();
  for (k = 0; k < 3; k++) {
    run_model(now, N, 4);
    CHECK_BYTES(now, wanted, sizeof now);
    CHECK(settles(before < 0 ? before : before + 3));
    rvn_shutdown();
    CHECK(settles(before));
    rvn_shutdown();
  }
}

/* ---- signals ---- */

static pthread_t main_thread;
static volatile sig_atomic_t seen, elsewhere;
static void on_signal(int number) {
  (void)number;
  seen++;
  if (!pthread_equal(pthread_self(), main_thread)) elsewhere++;
}
static void signals(void) {
  struct sigaction action;
  sigset_t set, before, pending;
  main_thread = pthread_self();
  memset(&action, 0, sizeof action);
  action.sa_handler = on_signal;
  CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
  rvn_shutdown();
  run_model(now, N, 4); /* workers start while the signal is open here */
  CHECK(kill(getpid(), SIGUSR1) == 0);
  CHECK(seen == 1 && elsewhere == 0);
  /* With it blocked here, nobody else takes it. */
  sigemptyset(&set), sigaddset(&set, SIGUSR1);
  CHECK(pthread_sigmask(SIG_BLOCK, &set, &before) == 0);
  CHECK(kill(getpid(), SIGUSR1) == 0);
  usleep(50000);
  run_model(now, N, 4);
  CHECK(seen == 1);
  CHECK(sigpending(&pending) == 0 && sigismember(&pending, SIGUSR1) == 1);
  CHECK(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
  CHECK(seen == 2 && elsewhere == 0);
  /* The mask of the calling thread is its own. */
  CHECK(pthread_sigmask(SIG_SETMASK, NULL, &set) == 0);
  CHECK(sigismember(&set, SIGUSR1) == 0 && sigismember(&set, SIGTERM) == 0);
}

int main(void) {
  all_at_once(first_call);
  fill_random(start, N, 1), fill_random(grads, N, 1);
  run_model(wanted, N, 1);
  many_threads();
#ifndef THREAD_SANITIZER /* it does not follow threads that a child starts */
  /* In qemu's user mode threads that a child starts have numbers of the parent's, and an assertion of
   * its own fails. */
  if (getenv("EMULATED") == NULL) {
    fork_and_step();
    fork_while_busy();
  }
#endif
  shutdowns();
  signals();
  rvn_shutdown();
  return finish();
}
