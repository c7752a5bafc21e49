/* Checks that count, say what they saw, and go on. A test is one program whose main ends in
 * `return finish();`. */
#ifndef CHECK_H
#define CHECK_H

#include <ravine.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef __GNUC__
#define CHECK_UNUSED __attribute__((unused))
#else
#define CHECK_UNUSED
#endif

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wformat-truncation" /* a long note is cut, and that is fine */
#endif

/* Which sanitizer the test is built with: some things cannot be had together with one. */
#if defined(__SANITIZE_ADDRESS__)
#define ADDRESS_SANITIZER 1
#elif defined(__SANITIZE_THREAD__)
#define THREAD_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ADDRESS_SANITIZER 1
#elif __has_feature(thread_sanitizer)
#define THREAD_SANITIZER 1
#endif
#endif

static long check_passed, check_failed;
static char check_context[512]; /* printed with each failure: which round of a loop */

/* What a loop is at. Set from the main thread only. */
#define NOTE(...) ((void)snprintf(check_context, sizeof check_context, __VA_ARGS__))

/* Returns ok, so that a caller can stop where going on makes no sense. */
CHECK_UNUSED static int check_that(int ok, const char *what, const char *file, int line) {
  if (ok) {
    __atomic_fetch_add(&check_passed, 1, __ATOMIC_RELAXED);
    return 1;
  }
  /* After some dozens the rest says nothing new. */
  if (__atomic_fetch_add(&check_failed, 1, __ATOMIC_RELAXED) < 40) {
    fprintf(stderr, "%s:%d: %s%s%s%s\n", file, line, what, check_context[0] ? "   [" : "",
            check_context, check_context[0] ? "]" : "");
  }
  return 0;
}

CHECK_UNUSED static int check_status(int got, int wanted, const char *what, const char *file,
                                     int line) {
  char text[1500];
  if (got == wanted) return check_that(1, what, file, line);
  snprintf(text, sizeof text, "%.300s is %d, not %d: %s", what, got, wanted,
           got == RVN_OK ? "" : rvn_last_error());
  return check_that(0, text, file, line);
}

/* The sentence of the last failure holds `part`. */
CHECK_UNUSED static int check_says(const char *part, const char *file, int line) {
  char text[1500];
  if (strstr(rvn_last_error(), part)) return check_that(1, part, file, line);
  snprintf(text, sizeof text, "the sentence does not say \"%.300s\": %s", part, rvn_last_error());
  return check_that(0, text, file, line);
}

CHECK_UNUSED static int check_bytes(const void *a, const void *b, size_t size, const char *what,
                                    const char *file, int line) {
  const unsigned char *x = (const unsigned char *)a, *y = (const unsigned char *)b;
  char text[600];
  size_t i = 0, different = 0, first = 0;
  if (size == 0 || memcmp(a, b, size) == 0) return check_that(1, what, file, line);
  for (; i < size; i++) {
    if (x[i] != y[i] && different++ == 0) first = i;
  }
  snprintf(text, sizeof text, "%.300s: %lu of %lu bytes differ, the first at %lu", what,
           (unsigned long)different, (unsigned long)size, (unsigned long)first);
  return check_that(0, text, file, line);
}

#define CHECK(cond) check_that((cond) != 0, #cond, __FILE__, __LINE__)
#define CHECK_STATUS(expr, status) check_status((expr), (status), #expr, __FILE__, __LINE__)
#define CHECK_OK(expr) CHECK_STATUS(expr, RVN_OK)
#define CHECK_SAYS(part) check_says((part), __FILE__, __LINE__)
#define CHECK_BYTES(a, b, size) \
  check_bytes((a), (b), (size), "bytes of " #a " and " #b, __FILE__, __LINE__)

CHECK_UNUSED static int finish(void) {
  if (check_failed) fprintf(stderr, "%ld checks failed, %ld passed\n", check_failed, check_passed);
  else printf("%ld checks\n", check_passed);
  return check_failed ? 1 : 0;
}

/* Less work where a machine is emulated. */
CHECK_UNUSED static int quick(void) { return getenv("QUICK") != NULL; }

#endif
