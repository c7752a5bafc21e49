/* An entry point's surroundings: floating-point mode, error text, and the memory that Swift's own
 * small objects come from. The link redirects Swift's posix_memalign and free to the two functions
 * at the end, because Embedded Swift dies when posix_memalign fails. */
#include <stdlib.h>
#include <string.h>

#include "system.h"

static _Thread_local char error_buffer[RAVINE_ERROR_SIZE];
static _Thread_local ravine_allocator current;
static _Thread_local int32_t exhausted;

char *ravine_error_buffer(void) { return error_buffer; }
int32_t ravine_exhausted(void) { return exhausted; }

#if defined(__x86_64__)
#include <xmmintrin.h>
uint64_t ravine_default_mode(void) {
  uint32_t mode = _mm_getcsr();
  if ((mode & 0xffc0u) != 0x1f80u) _mm_setcsr(0x1f80u); /* the low six bits are sticky flags */
  return mode;
}
void ravine_restore_mode(uint64_t mode) {
  if (_mm_getcsr() != (uint32_t)mode) _mm_setcsr((uint32_t)mode);
}
#elif defined(__aarch64__)
uint64_t ravine_default_mode(void) {
  uint64_t mode, flags;
  __asm__ volatile("mrs %0, fpcr\n\tmrs %1, fpsr" : "=r"(mode), "=r"(flags));
  if (mode) __asm__ volatile("msr fpcr, %0" ::"r"((uint64_t)0));
  return mode << 32 | (flags & 0xffffffffu);
}
void ravine_restore_mode(uint64_t mode) {
  __asm__ volatile("msr fpcr, %0\n\tmsr fpsr, %1" ::"r"(mode >> 32), "r"(mode & 0xffffffffu));
}
#else
#error "Ravine knows x86-64 and AArch64"
#endif

void ravine_enter(ravine_scope *saved, const ravine_allocator *a) {
  saved->allocator = current;
  saved->exhausted = exhausted;
  current = a ? *a : (ravine_allocator){0};
  exhausted = 0;
  saved->mode = ravine_default_mode();
}

void ravine_leave(const ravine_scope *saved) {
  ravine_restore_mode(saved->mode);
  current = saved->allocator;
  exhausted = saved->exhausted;
}

/* Before each small object: who frees it. */
typedef struct header {
  void (*deallocate)(void *, void *, size_t, size_t);
  void *user;
  size_t size;      /* of the whole, header included */
  uint32_t offset;  /* from the start of the whole to the object */
  uint32_t alignment;
} header;

/* When the allocator says no, small objects come from here, so that the entry point can unwind
 * and fail with RVN_ERR_MEMORY. The newest object gives its place back when it is freed, so that the
 * passing parts of a long text take none; all of it is empty again when the last is freed. Without a
 * lock, which a fork could leave taken: bytes in use in the low half, objects in the high half. */
static _Alignas(64) unsigned char reserve[1 << 20];
static uint64_t reserve_state;
static const uint64_t one_object = (uint64_t)1 << 32;

static size_t whole_lines(size_t size) { return (size + 63) & ~(size_t)63; }

static void *take_reserve(size_t size) {
  size = whole_lines(size);
  uint64_t old = __atomic_load_n(&reserve_state, __ATOMIC_RELAXED);
  do {
    if (size > sizeof reserve - (uint32_t)old) return NULL;
  } while (!__atomic_compare_exchange_n(&reserve_state, &old, old + one_object + size, 1,
                                        __ATOMIC_ACQUIRE, __ATOMIC_RELAXED));
  return reserve + (uint32_t)old;
}

static void give_reserve(void *user, void *memory, size_t size, size_t alignment) {
  (void)user, (void)alignment;
  size = whole_lines(size);
  uint64_t old = __atomic_load_n(&reserve_state, __ATOMIC_RELAXED), next;
  do {
    next = old - one_object;
    if (next < one_object) next = 0;
    else if ((unsigned char *)memory + size == reserve + (uint32_t)old) next -= size;
  } while (!__atomic_compare_exchange_n(&reserve_state, &old, next, 1, __ATOMIC_RELEASE,
                                        __ATOMIC_RELAXED));
}

static void give_malloc(void *user, void *memory, size_t size, size_t alignment) {
  (void)user, (void)size, (void)alignment;
  free(memory);
}

int ravine_posix_memalign(void **out, size_t alignment, size_t size) {
  if (alignment < 16) alignment = 16;
  size_t offset = (sizeof(header) + alignment - 1) & ~(alignment - 1), whole = size + offset;
  header h = {current.allocate ? current.deallocate : give_malloc, current.user, whole,
              (uint32_t)offset, (uint32_t)alignment};
  unsigned char *memory = ravine_allocate(&current, whole, alignment);
  if (!memory) {
    exhausted = 1;
    memory = take_reserve(whole);
    h.deallocate = give_reserve;
    if (!memory) return 12; /* ENOMEM: the reserve outlasts what the limits on text allow */
  }
  memcpy(memory + offset - sizeof h, &h, sizeof h);
  *out = memory + offset;
  return 0;
}

void ravine_swift_free(void *object) {
  if (!object) return;
  header h;
  memcpy(&h, (unsigned char *)object - sizeof h, sizeof h);
  h.deallocate(h.user, (unsigned char *)object - h.offset, h.size, h.alignment);
}
