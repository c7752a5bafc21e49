#define _GNU_SOURCE
#include <sys/mman.h>

#include "kernels.h"

/* The fuzzers look at text and files, so one set of kernels is enough. */
#if defined(__x86_64__)
void ravine_kernels_avx2(ravine_kernels *k) { ravine_kernels_baseline(k); }
void ravine_kernels_avx512(ravine_kernels *k) { ravine_kernels_baseline(k); }
#endif

/* A file in memory, which Swift's Glibc does not show. */
int memory_file(void) { return memfd_create("checkpoint", 0); }
