/* Mini-batches from C: a loop over epochs, resuming, wrong use, and memory that fails. */
#include "failing.h"

enum { COUNT = 103, BATCH = 8, ROOM = 256 };
static int64_t labels[COUNT];

static rvn_sampler_options options(uint64_t count, uint64_t batch) {
  rvn_sampler_options o;
  memset(&o, 0, sizeof o);
  o.struct_size = sizeof o, o.count = count, o.batch = batch;
  return o;
}

static rvn_sampler *make(const rvn_sampler_options *o) {
  rvn_sampler *s = NULL;
  CHECK_OK(rvn_sampler_create(o, &s));
  CHECK(s != NULL);
  return s;
}

/* Everything that a call may change, to see that a failed one did not. */
typedef struct sight {
  uint64_t epoch, position, batches, largest;
  int64_t items[ROOM];
} sight;

static void look(const rvn_sampler *s, sight *out) {
  size_t n = 0;
  memset(out, 0, sizeof *out);
  CHECK_OK(rvn_sampler_tell(s, &out->epoch, &out->position));
  CHECK_OK(rvn_sampler_size(s, &out->batches, &out->largest));
  if (out->position < out->batches)
    CHECK_OK(rvn_sampler_batch(s, out->epoch, out->position, out->items, ROOM, &n));
}

/* ---- the main job ---- */

static void epochs(const rvn_sampler_options *o) {
  rvn_sampler *s = make(o);
  int64_t items[ROOM];
  uint64_t batches, largest, epoch, position;
  size_t n;
  int e, seen[COUNT];
  CHECK_OK(rvn_sampler_size(s, &batches, &largest));
  CHECK(batches == (COUNT + BATCH - 1) / BATCH && largest == BATCH);
  CHECK_OK(rvn_sampler_size(s, NULL, NULL));
  for (e = 0; e < 3; e++) {
    uint64_t steps = 0;
    size_t i, total = 0;
    memset(seen, 0, sizeof seen);
    while (rvn_sampler_next(s, items, (size_t)largest, &n) == RVN_OK && n > 0) {
      CHECK(n == (steps + 1 < batches ? BATCH : COUNT % BATCH));
      for (i = 0; i < n; i++) {
        CHECK(items[i] >= 0 && items[i] < COUNT);
        seen[items[i]]++;
      }
      total += n, steps++;
      CHECK_OK(rvn_sampler_tell(s, &epoch, &position));
      CHECK(epoch == (uint64_t)e && position == steps);
    }
    CHECK(steps == batches && total == COUNT);
    CHECK_OK(rvn_sampler_tell(s, &epoch, NULL));
    CHECK_OK(rvn_sampler_tell(s, NULL, &position));
    CHECK(epoch == (uint64_t)e + 1 && position == 0);
    for (i = 0; i < COUNT && !o->replacement; i++) CHECK(seen[i] == 1);
  }
  rvn_sampler_destroy(s);
}

static void resumes(const rvn_sampler_options *o) {
  rvn_sampler *s = make(o), *other = make(o);
  uint64_t epoch, position;
  int64_t a[ROOM], b[ROOM];
  size_t n, m;
  int i;
  for (i = 0; i < 40; i++) {
    CHECK_OK(rvn_sampler_tell(s, &epoch, &position));
    CHECK_OK(rvn_sampler_next(s, a, ROOM, &n));
    CHECK_OK(rvn_sampler_seek(other, epoch, position));
    CHECK_OK(rvn_sampler_next(other, b, ROOM, &m));
    CHECK(n == m);
    CHECK_BYTES(a, b, n * sizeof *a);
    if (n == 0) continue;
    CHECK_OK(rvn_sampler_batch(other, epoch, position, b, n, &m)); /* just enough room */
    CHECK_BYTES(a, b, n * sizeof *a);
  }
  rvn_sampler_destroy(s), rvn_sampler_destroy(other);
}

/* The three ways of the textbook, and the same bytes on every machine. */
static void orders(void) {
  static const int64_t shuffled[] = {0, 2, 6, 7, 1, 3, 8, 9, 4, 5};
  static const int64_t stratified[] = {7, 5, 4, 1, 9, 8, 2, 0, 3, 6};
  rvn_sampler_options o = options(10, 0);
  rvn_sampler *s = make(&o);
  uint64_t batches, largest;
  int64_t items[ROOM];
  size_t n;
  CHECK_OK(rvn_sampler_size(s, &batches, &largest));
  CHECK(batches == 1 && largest == 10);
  CHECK_OK(rvn_sampler_next(s, items, 10, &n));
  if (CHECK(n == 10)) CHECK_BYTES(items, shuffled, sizeof shuffled);
  rvn_sampler_destroy(s);

  o.batch = 1, s = make(&o);
  CHECK_OK(rvn_sampler_size(s, &batches, &largest));
  CHECK(batches == 10 && largest == 1);
  CHECK_OK(rvn_sampler_batch(s, 0, 9, items, 1, &n));
  CHECK(n == 1 && items[0] == shuffled[9]);
  rvn_sampler_destroy(s);

  o.batch = 0, o.labels = labels, s = make(&o);
  CHECK_OK(rvn_sampler_next(s, items, 10, &n));
  if (CHECK(n == 10)) CHECK_BYTES(items, stratified, sizeof stratified);
  rvn_sampler_destroy(s);
}

/* Batches are read from several threads while another one goes on. */
static rvn_sampler *shared;
static int64_t wanted[13][BATCH];

static void *reader(void *unused) {
  int64_t items[BATCH];
  size_t n;
  int i;
  for (i = 0; i < 13 * 20; i++) {
    CHECK_OK(rvn_sampler_batch(shared, 3, (uint64_t)(i % 13), items, BATCH, &n));
    CHECK_BYTES(items, wanted[i % 13], n * sizeof *items);
  }
  return unused;
}

static void threads(void) {
  rvn_sampler_options o = options(COUNT, BATCH);
  pthread_t readers[3];
  int64_t items[BATCH];
  size_t n;
  int i;
  o.labels = labels, shared = make(&o);
  for (i = 0; i < 13; i++)
    CHECK_OK(rvn_sampler_batch(shared, 3, (uint64_t)i, wanted[i], BATCH, &n));
  for (i = 0; i < 3; i++) CHECK(pthread_create(&readers[i], NULL, reader, NULL) == 0);
  for (i = 0; i < 300; i++) CHECK_OK(rvn_sampler_next(shared, items, BATCH, &n));
  for (i = 0; i < 3; i++) CHECK(pthread_join(readers[i], NULL) == 0);
  rvn_sampler_destroy(shared);
}

/* ---- wrong use ---- */

static void refuses_options(const char *part, const rvn_sampler_options *o) {
  rvn_sampler *s = (rvn_sampler *)&s;
  NOTE("%s", part);
  if (CHECK_STATUS(rvn_sampler_create(o, &s), RVN_ERR_ARGUMENT)) CHECK_SAYS(part);
  CHECK(s == NULL);
  NOTE("%s", "");
}

static void wrong_options(void) {
  const rvn_sampler_options good = options(COUNT, BATCH);
  rvn_sampler_options o = good;
  rvn_options host;
  CHECK_STATUS(rvn_sampler_create(&good, NULL), RVN_ERR_ARGUMENT);
  CHECK_SAYS("out is NULL");
  refuses_options("options is NULL", NULL);
#define REFUSES(change, part) o = good, change, refuses_options(part, &o)
  REFUSES(o.struct_size = 0, "struct_size is 0");
  REFUSES(o.struct_size = sizeof o - 1, "sizeof(rvn_sampler_options)");
  REFUSES(o.count = 0, "count is 0");
  REFUSES(o.count = ((uint64_t)1 << 62) + 1, "4611686018427387904");
  REFUSES((o.count = (uint64_t)1 << 31, o.labels = labels), "2147483647"); /* not read */
  REFUSES(o.rank = -1, "rank is -1");
  REFUSES(o.rank = 1, "below world, which is 1");
  REFUSES((o.rank = 4, o.world = 4), "rank is 4");
  REFUSES(o.world = -2, "world is -2");
  REFUSES(o.ordered = 2, "ordered is 2");
  REFUSES(o.replacement = -1, "replacement is -1");
  REFUSES(o.drop_last = 7, "drop_last is 7");
  REFUSES(o.reserved = 1, "reserved is 1");
  REFUSES((o.ordered = 1, o.replacement = 1), "ordered and replacement");
  REFUSES((o.drop_last = 1, o.batch = COUNT + 1), "a batch is 104");
  REFUSES((o.drop_last = 1, o.batch = 26, o.world = 4), "each of 4 ranks has 25 of 103 items");
  REFUSES((o.drop_last = 1, o.batch = 0, o.world = 104), "drop_last leaves no batch");
  memset(&host, 0, sizeof host);
  REFUSES(o.host = &host, "rvn_options.struct_size");
  host.struct_size = sizeof host, host.allocate = failing_allocate;
  REFUSES(o.host = &host, "allocate and deallocate");
#undef REFUSES
}

static void wrong_calls(void) {
  rvn_sampler_options o = options(COUNT, BATCH);
  rvn_sampler *s = make(&o);
  rvn_schedule *schedule = NULL;
  int64_t items[ROOM];
  size_t n = 77;
  uint64_t x = 77;
  sight before, after;
  CHECK_OK(rvn_sampler_seek(s, 2, 5));
  look(s, &before);
#define REFUSES(expr, part) \
  if (CHECK_STATUS(expr, RVN_ERR_ARGUMENT)) CHECK_SAYS(part)
  items[0] = 77;
  REFUSES(rvn_sampler_next(NULL, items, ROOM, &n), "the sampler is NULL");
  REFUSES(rvn_sampler_next(s, NULL, ROOM, &n), "out is NULL");
  REFUSES(rvn_sampler_next(s, items, ROOM, NULL), "written is NULL");
  REFUSES(rvn_sampler_next(s, items, BATCH - 1, &n), "the batch has 8 items, but cap is 7");
  REFUSES(rvn_sampler_next(s, items, 0, &n), "cap is 0");
  REFUSES(rvn_sampler_batch(NULL, 0, 0, items, ROOM, &n), "the sampler is NULL");
  REFUSES(rvn_sampler_batch(s, 0, 0, NULL, ROOM, &n), "out is NULL");
  REFUSES(rvn_sampler_batch(s, 0, 0, items, ROOM, NULL), "written is NULL");
  REFUSES(rvn_sampler_batch(s, 0, 0, items, 3, &n), "cap is 3");
  REFUSES(rvn_sampler_batch(s, 0, 13, items, ROOM, &n), "0 to 12 are allowed");
  REFUSES(rvn_sampler_batch(s, (uint64_t)1 << 63, 0, items, ROOM, &n), "epoch is 9223372036854775808");
  REFUSES(rvn_sampler_seek(NULL, 0, 0), "the sampler is NULL");
  REFUSES(rvn_sampler_seek(s, 0, 14), "0 to 13 are allowed");
  REFUSES(rvn_sampler_seek(s, UINT64_MAX, 0), "epoch is 18446744073709551615");
  REFUSES(rvn_sampler_tell(NULL, &x, &x), "the sampler is NULL");
  REFUSES(rvn_sampler_size(NULL, &x, &x), "the sampler is NULL");
  CHECK(n == 77 && x == 77 && items[0] == 77);
  look(s, &after);
  CHECK_BYTES(&before, &after, sizeof before);

  CHECK_OK(rvn_schedule_create("1", &schedule));
  REFUSES(rvn_sampler_next((rvn_sampler *)schedule, items, ROOM, &n), "not a sampler");
  REFUSES(rvn_schedule_values((rvn_schedule *)s, 0, 1, &(double){0}), "not a schedule");
  rvn_schedule_destroy(schedule);
#undef REFUSES

  CHECK_OK(rvn_sampler_seek(s, INT64_MAX, 13));
  CHECK_STATUS(rvn_sampler_next(s, items, ROOM, &n), RVN_ERR_STATE);
  CHECK_SAYS("the last epoch, 9223372036854775807, is over");
  CHECK_OK(rvn_sampler_seek(s, 0, 13));
  CHECK_OK(rvn_sampler_next(s, items, SIZE_MAX, &n));
  CHECK(n == 0);
  rvn_sampler_destroy(s);
  rvn_sampler_destroy(NULL);
}

/* ---- memory ---- */

/* The n-th allocation fails, for every n, when the sampler is made; after that there is none. */
static void memory(int for_good) {
  failing host;
  rvn_options h = failing_options(&host, 0);
  rvn_sampler_options o = options(COUNT, BATCH);
  rvn_sampler *s, *plain;
  int64_t a[ROOM], b[ROOM];
  size_t n, m;
  long i, calls;
  o.labels = labels, plain = make(&o);
  o.host = &h;
  host.for_good = for_good;
  for (i = 1;; i++) {
    rvn_status status;
    s = (rvn_sampler *)&s;
    host.calls = 0, host.failures = 0, host.fail_at = i;
    NOTE("allocation %ld fails", i);
    status = rvn_sampler_create(&o, &s);
    host.fail_at = 0;
    if (host.failures == 0) break;
    CHECK_STATUS(status, RVN_ERR_MEMORY);
    CHECK_SAYS("memory");
    CHECK(s == NULL && host.live == 0);
  }
  NOTE("%s", "");
  CHECK(i > 4); /* the handle, the items, the classes, and room to sort */
  memset(&h, 0, sizeof h); /* it was copied */
  for (calls = host.calls, i = 0; i < 20; i++) {
    CHECK_OK(rvn_sampler_next(s, a, ROOM, &n));
    CHECK_OK(rvn_sampler_next(plain, b, ROOM, &m));
    CHECK(n == m);
    CHECK_BYTES(a, b, n * sizeof *a);
  }
  CHECK(host.calls == calls);
  rvn_sampler_destroy(s), rvn_sampler_destroy(plain);
  failing_done(&host);
}

/* What no memory holds is not asked for without labels. */
static void a_large_one_is_free(void) {
  failing host;
  rvn_options h = failing_options(&host, 0);
  rvn_sampler_options o = options((uint64_t)1 << 62, 1000);
  rvn_sampler *s;
  int64_t items[1000];
  size_t n;
  o.host = &h, s = make(&o);
  CHECK_OK(rvn_sampler_seek(s, 1000000, 4000000000000000));
  CHECK_OK(rvn_sampler_next(s, items, 1000, &n));
  CHECK(n == 1000 && host.calls < 10);
  rvn_sampler_destroy(s);
  failing_done(&host);
}

int main(void) {
  rvn_sampler_options o = options(COUNT, BATCH);
  int i, kind;
  for (i = 0; i < COUNT; i++) labels[i] = i % 3 == 0 ? -5 : i % 7;
  for (kind = 0; kind < 4; kind++) {
    o = options(COUNT, BATCH), o.seed = UINT64_MAX;
    o.ordered = kind == 1, o.replacement = kind == 2, o.labels = kind == 3 ? labels : NULL;
    NOTE("kind %d", kind);
    epochs(&o), resumes(&o);
  }
  NOTE("%s", "");
  orders();
  threads();
  wrong_options();
  wrong_calls();
  memory(0), memory(1);
  a_large_one_is_free();
  return finish();
}
