/* A host's allocator that can fail, and that minds how it is used. */
#ifndef FAILING_H
#define FAILING_H

#include <pthread.h>

#include "fixture.h"

typedef struct failing {
  pthread_t owner;   /* the thread that may call */
  long calls;        /* allocations asked for */
  long fail_at;      /* the call that fails, counted from 1; 0: none */
  int for_good;      /* and all after it */
  long failures;     /* how many failed */
  long live, strangers, misuses;
} failing;

/* In front of each piece of memory. */
typedef struct failing_head {
  void *base;
  size_t size, alignment;
  uint64_t magic;
} failing_head;
#define FAILING_MAGIC 0x6c6c6177796b6361u

CHECK_UNUSED static void *failing_allocate(void *user, size_t size, size_t alignment) {
  failing *f = user;
  failing_head head;
  char *memory;
  if (!pthread_equal(pthread_self(), f->owner)) f->strangers++;
  if (alignment == 0 || alignment > 64 || (alignment & (alignment - 1))) f->misuses++;
  f->calls++;
  if (f->fail_at && (f->calls == f->fail_at || (f->for_good && f->calls > f->fail_at))) {
    f->failures++;
    return NULL;
  }
  head.base = malloc(size + 256);
  if (!head.base) return NULL;
  memset(head.base, 0xa5, size + 256); /* whoever reads before writing sees this */
  memory = (char *)(((uintptr_t)head.base + 255) & ~(uintptr_t)127);
  memory -= 128 - alignment; /* aligned as asked, and no more */
  while (memory - (char *)head.base < (ptrdiff_t)sizeof head) memory += 128;
  head.size = size, head.alignment = alignment, head.magic = FAILING_MAGIC;
  memcpy(memory - sizeof head, &head, sizeof head);
  f->live++;
  return memory;
}

CHECK_UNUSED static void failing_deallocate(void *user, void *memory, size_t size, size_t alignment) {
  failing *f = user;
  failing_head head;
  if (!pthread_equal(pthread_self(), f->owner)) f->strangers++;
  memcpy(&head, (char *)memory - sizeof head, sizeof head);
  if (head.magic != FAILING_MAGIC || head.size != size || head.alignment != alignment) {
    f->misuses++;
    return;
  }
  memset((char *)memory - sizeof head, 0xdd, sizeof head + size);
  f->live--;
  free(head.base);
}

CHECK_UNUSED static rvn_options failing_options(failing *f, int threads) {
  rvn_options o = threads_of(threads);
  memset(f, 0, sizeof *f);
  f->owner = pthread_self();
  o.allocate = failing_allocate, o.deallocate = failing_deallocate, o.allocator_user = f;
  return o;
}

CHECK_UNUSED static void failing_done(const failing *f) {
  CHECK(f->live == 0);
  CHECK(f->misuses == 0);
  CHECK(f->strangers == 0);
}

#endif
