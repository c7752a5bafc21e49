#include <stdlib.h>

#include "system.h"

void *ravine_allocate(const ravine_allocator *a, size_t size, size_t alignment) {
  if (a && a->allocate) return a->allocate(a->user, size, alignment);
  void *memory = NULL;
  if (alignment < sizeof(void *)) alignment = sizeof(void *);
  return posix_memalign(&memory, alignment, size) == 0 ? memory : NULL;
}

void ravine_deallocate(const ravine_allocator *a, void *memory, size_t size, size_t alignment) {
  if (!memory) return;
  if (a && a->deallocate) {
    a->deallocate(a->user, memory, size, alignment);
  } else {
    free(memory);
  }
}
