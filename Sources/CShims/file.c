#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "system.h"

static int32_t kind_error(const struct stat *s) {
  return S_ISREG(s->st_mode) ? 0 : S_ISDIR(s->st_mode) ? EISDIR : RAVINE_NOT_A_FILE;
}

int32_t ravine_file_target(const char *path) {
  struct stat s;
  return stat(path, &s) == 0 ? kind_error(&s) : 0;
}

int32_t ravine_file_open(const char *path, ravine_file *f) {
  f->descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe must not block */
  if (f->descriptor < 0) return errno;
  struct stat s;
  int32_t error = fstat(f->descriptor, &s) != 0 ? errno : kind_error(&s);
  if (error) ravine_file_close(f);
  f->size = error ? 0 : (uint64_t)s.st_size;
  return error;
}

int32_t ravine_file_create(const char *path, ravine_file *f) {
  f->size = 0;
  f->descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  return f->descriptor < 0 ? errno : 0;
}

int32_t ravine_file_read(ravine_file *f, void *out, size_t size) {
  char *to = out;
  while (size > 0) {
    ssize_t n = read(f->descriptor, to, size < (1u << 30) ? size : (1u << 30));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno;
    if (n == 0) return RAVINE_SHORT;
    to += n;
    size -= (size_t)n;
  }
  return 0;
}

int32_t ravine_file_write(ravine_file *f, const void *in, size_t size) {
  const char *from = in;
  while (size > 0) {
    ssize_t n = write(f->descriptor, from, size < (1u << 30) ? size : (1u << 30));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno;
    from += n;
    size -= (size_t)n;
  }
  return 0;
}

int32_t ravine_file_sync(ravine_file *f) { return fsync(f->descriptor) != 0 ? errno : 0; }

void ravine_file_close(ravine_file *f) {
  if (f->descriptor >= 0) close(f->descriptor);
  f->descriptor = -1;
}

int32_t ravine_file_rename(const char *from, const char *to) {
  if (rename(from, to) != 0) return errno;
  /* The name itself is durable once its folder is; some file systems cannot sync a folder, and
   * then there is nothing more to do. */
  char folder[4096] = ".";
  const char *slash = strrchr(to, '/');
  if (slash && (size_t)(slash - to) + 2 < sizeof folder) {
    size_t n = slash == to ? 1 : (size_t)(slash - to);
    memcpy(folder, to, n);
    folder[n] = 0;
  }
  int descriptor = open(folder, O_RDONLY | O_CLOEXEC);
  if (descriptor >= 0) {
    (void)fsync(descriptor);
    close(descriptor);
  }
  return 0;
}

void ravine_file_remove(const char *path) { (void)unlink(path); }
uint64_t ravine_process_number(void) { return (uint64_t)getpid(); }

void ravine_error_text(int32_t error, char *out, size_t cap) {
#if defined(__GLIBC__)
  const char *text = strerror_r(error, out, cap);
  if (text != out) snprintf(out, cap, "%s", text);
#else
  if (strerror_r(error, out, cap) != 0) snprintf(out, cap, "error %d", error);
#endif
}
