/* One pool of threads for the process, made on first use. A caller that finds it busy does its
 * work alone: the bytes are the same. */
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "system.h"

enum { MAX_THREADS = 256 };

static struct {
  pthread_mutex_t user;  /* held by the caller whose job runs */
  pthread_mutex_t lock;  /* guards what follows */
  pthread_cond_t wake, done;
  pthread_t threads[MAX_THREADS];
  size_t running;        /* threads that exist */
  size_t wanted;         /* workers that the job still wants */
  size_t active;         /* workers inside the job */
  size_t next, count;
  void (*body)(void *, size_t);
  void *context;
  int stop, registered;
} pool = {.user = PTHREAD_MUTEX_INITIALIZER,
          .lock = PTHREAD_MUTEX_INITIALIZER,
          .wake = PTHREAD_COND_INITIALIZER,
          .done = PTHREAD_COND_INITIALIZER};

size_t ravine_next(size_t *counter) { return __atomic_fetch_add(counter, 1, __ATOMIC_RELAXED); }
size_t ravine_add(size_t *counter, size_t n) {
  return __atomic_fetch_add(counter, n, __ATOMIC_RELAXED);
}
size_t ravine_load(const size_t *value) { return __atomic_load_n(value, __ATOMIC_ACQUIRE); }
void ravine_store(size_t *value, size_t to) { __atomic_store_n(value, to, __ATOMIC_RELEASE); }

size_t ravine_processors(void) {
  long n = sysconf(_SC_NPROCESSORS_ONLN);
  return n < 1 ? 1 : n > MAX_THREADS ? MAX_THREADS : (size_t)n;
}

static void run_bodies(void) {
  for (;;) {
    size_t i = ravine_next(&pool.next);
    if (i >= pool.count) return;
    pool.body(pool.context, i);
  }
}

static void *worker(void *unused) {
  (void)unused;
  (void)ravine_default_mode();
  pthread_mutex_lock(&pool.lock);
  while (!pool.stop) {
    if (pool.wanted == 0) {
      pthread_cond_wait(&pool.wake, &pool.lock);
      continue;
    }
    pool.wanted--;
    pool.active++;
    pthread_mutex_unlock(&pool.lock);
    run_bodies();
    pthread_mutex_lock(&pool.lock);
    if (--pool.active == 0) pthread_cond_signal(&pool.done);
  }
  pthread_mutex_unlock(&pool.lock);
  return NULL;
}

/* A child of fork has this thread only; it starts over with an empty pool. */
static void after_fork(void) {
  pthread_mutex_init(&pool.user, NULL);
  pthread_mutex_init(&pool.lock, NULL);
  pthread_cond_init(&pool.wake, NULL);
  pthread_cond_init(&pool.done, NULL);
  pool.running = pool.wanted = pool.active = 0;
}

static void start_threads(size_t count) {
  if (!pool.registered) pool.registered = pthread_atfork(NULL, NULL, after_fork) == 0;
  if (!pool.registered) return;
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before); /* workers inherit it: signals are the host's */
  while (pool.running < count && pool.running < MAX_THREADS &&
         pthread_create(&pool.threads[pool.running], NULL, worker, NULL) == 0) {
    pool.running++;
  }
  pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void ravine_parallel(size_t count, void (*body)(void *, size_t), void *context) {
  if (count <= 1 || pthread_mutex_trylock(&pool.user) != 0) {
    for (size_t i = 0; i < count; i++) body(context, i);
    return;
  }
  pthread_mutex_lock(&pool.lock);
  start_threads(count - 1);
  pool.body = body;
  pool.context = context;
  pool.count = count;
  pool.next = 0;
  pool.wanted = count - 1 < pool.running ? count - 1 : pool.running;
  pthread_cond_broadcast(&pool.wake);
  pthread_mutex_unlock(&pool.lock);

  run_bodies();

  pthread_mutex_lock(&pool.lock);
  pool.wanted = 0; /* those that did not wake up in time are not needed */
  while (pool.active > 0) pthread_cond_wait(&pool.done, &pool.lock);
  pthread_mutex_unlock(&pool.lock);
  pthread_mutex_unlock(&pool.user);
}

void ravine_pool_shutdown(void) {
  pthread_mutex_lock(&pool.user);
  pthread_mutex_lock(&pool.lock);
  pool.stop = 1;
  pthread_cond_broadcast(&pool.wake);
  pthread_mutex_unlock(&pool.lock);
  for (size_t i = 0; i < pool.running; i++) pthread_join(pool.threads[i], NULL);
  pool.running = 0;
  pool.stop = 0;
  pthread_mutex_unlock(&pool.user);
}
