/* What the core needs of libc and the CPU, and cannot reach from Embedded Swift. */
#pragma once
#include <stddef.h>
#include <stdint.h>

/* ---- memory (memory.c) ---- */

typedef struct ravine_allocator {
  void *(*allocate)(void *user, size_t size, size_t alignment); /* NULL: malloc and free */
  void (*deallocate)(void *user, void *memory, size_t size, size_t alignment);
  void *user;
} ravine_allocator;

/* Whatever grows with the model, the file or the text. NULL when there is none. */
void *ravine_allocate(const ravine_allocator *, size_t size, size_t alignment);
void ravine_deallocate(const ravine_allocator *, void *memory, size_t size, size_t alignment);

/* ---- the scope of an entry point (scope.c) ---- */

typedef struct ravine_scope {
  ravine_allocator allocator;
  int32_t exhausted;
  uint64_t mode;
} ravine_scope;

/* Puts the CPU in the default floating-point mode, and makes Swift's own small objects come from
 * the allocator (NULL: malloc). leave puts both back. Scopes nest. */
void ravine_enter(ravine_scope *saved, const ravine_allocator *);
void ravine_leave(const ravine_scope *saved);
/* Whether a small object had to come from the reserve since ravine_enter. */
int32_t ravine_exhausted(void);
uint64_t ravine_default_mode(void);        /* sets it, returns the one before: for workers */
void ravine_restore_mode(uint64_t mode);

enum { RAVINE_ERROR_SIZE = 1024 };
char *ravine_error_buffer(void); /* this thread's */

/* ---- threads (pool.c) ---- */

/* Calls body(context, i) for 0 <= i < count, this thread among them. When the pool is busy or
 * threads cannot be had, fewer threads do the same work. */
void ravine_parallel(size_t count, void (*body)(void *, size_t), void *context);
void ravine_pool_shutdown(void);
size_t ravine_processors(void);
size_t ravine_next(size_t *counter);      /* atomic ++, returns the value before */
size_t ravine_add(size_t *counter, size_t n);  /* the same by n */
size_t ravine_load(const size_t *value);  /* atomic */
void ravine_store(size_t *value, size_t to);

/* ---- the machine (machine.c) ---- */

/* 0 the baseline, 3 x86-64-v3, 4 x86-64-v4, lowered by RAVINE_ISA; read once. */
int32_t ravine_isa_level(void);
const char *ravine_isa_name(void);

/* ---- files (file.c): 0, an errno, or a number below 0 ---- */

enum { RAVINE_SHORT = -1, RAVINE_NOT_A_FILE = -2 };

typedef struct ravine_file {
  int32_t descriptor;
  uint64_t size;
} ravine_file;

int32_t ravine_file_open(const char *path, ravine_file *);
int32_t ravine_file_create(const char *path, ravine_file *); /* must not exist */
int32_t ravine_file_target(const char *path); /* whether a file may stand, or stands, here */
int32_t ravine_file_read(ravine_file *, void *out, size_t size); /* RAVINE_SHORT: it ended early */
int32_t ravine_file_write(ravine_file *, const void *in, size_t size);
int32_t ravine_file_sync(ravine_file *);
void ravine_file_close(ravine_file *);
int32_t ravine_file_rename(const char *from, const char *to); /* and makes the rename durable */
void ravine_file_remove(const char *path);
uint64_t ravine_process_number(void);
void ravine_error_text(int32_t error, char *out, size_t cap);

/* Calls make until it returns 1, in one thread at a time; later calls cost one atomic load. */
void ravine_once(int32_t (*make)(void));
/* Held by whoever makes the catalog or adds to it. A fork waits for it. */
void ravine_catalog_lock(void);
void ravine_catalog_unlock(void);
