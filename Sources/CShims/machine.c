#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "system.h"

static int32_t level;
static pthread_once_t once = PTHREAD_ONCE_INIT;

#if defined(__x86_64__)
#include <cpuid.h>

/* By cpuid itself: the compiler's __builtin_cpu_supports would need its run-time library. */
static int32_t best_level(void) {
  uint32_t a, b, c, d;
  const uint32_t one = bit_SSE3 | bit_SSSE3 | bit_FMA | bit_SSE4_1 | bit_SSE4_2 | bit_MOVBE |
                       bit_POPCNT | bit_XSAVE | bit_OSXSAVE | bit_AVX | bit_F16C;
  if (!__get_cpuid(1, &a, &b, &c, &d) || (c & one) != one) return 0;
  uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  if ((low & 0x06) != 0x06) return 0; /* the system saves xmm and ymm */
  if (!__get_cpuid(0x80000001, &a, &b, &c, &d) || !(c & bit_LZCNT)) return 0;
  const uint32_t v3 = bit_AVX2 | bit_BMI | bit_BMI2;
  const uint32_t v4 = bit_AVX512F | bit_AVX512BW | bit_AVX512CD | bit_AVX512DQ | bit_AVX512VL;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (b & v3) != v3) return 0;
  return (b & v4) == v4 && (low & 0xe0) == 0xe0 ? 4 : 3; /* and the masks and zmm */
}
#endif

static void find_level(void) {
#if defined(__x86_64__)
  level = best_level();
  const char *wanted = getenv("RAVINE_ISA");
  if (wanted && strcmp(wanted, "sse2") == 0) level = 0;
  if (wanted && strcmp(wanted, "avx2") == 0 && level > 3) level = 3;
#endif
}

int32_t ravine_isa_level(void) {
  pthread_once(&once, find_level);
  return level;
}

const char *ravine_isa_name(void) {
#if defined(__x86_64__)
  int32_t l = ravine_isa_level();
  return l == 4 ? "avx512" : l == 3 ? "avx2" : "sse2";
#else
  return "neon";
#endif
}

static pthread_mutex_t making = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t watched = PTHREAD_ONCE_INIT;
static int32_t is_made;

/* A fork waits for the maker: in the child there would be nobody to finish. */
static void before_fork(void) { pthread_mutex_lock(&making); }
static void after_fork(void) { pthread_mutex_unlock(&making); }
static void watch_forks(void) { (void)pthread_atfork(before_fork, after_fork, after_fork); }

void ravine_catalog_lock(void) {
  pthread_once(&watched, watch_forks);
  pthread_mutex_lock(&making);
}

void ravine_catalog_unlock(void) { pthread_mutex_unlock(&making); }

void ravine_once(int32_t (*make)(void)) {
  if (__atomic_load_n(&is_made, __ATOMIC_ACQUIRE)) return;
  ravine_catalog_lock();
  if (!is_made) __atomic_store_n(&is_made, make(), __ATOMIC_RELEASE);
  ravine_catalog_unlock();
}
