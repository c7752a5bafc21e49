/* Files that are damaged, or made to harm: a status, and nothing changed; never a crash. */
#define _GNU_SOURCE
#include <unistd.h>

#include "fixture.h"

enum { N = 6, ROOM = 1 << 20 };
static float w[N], g[N];
static double b[N];
static rvn_optimizer *opt;
static char path[64];
static unsigned char good[ROOM], bad[ROOM];
static size_t size;

typedef struct sight {
  float w[N], m[N];
  double b[N], v[N], t[2];
} sight;
static void look(sight *s) {
  memset(s, 0, sizeof *s);
  memcpy(s->w, w, sizeof w), memcpy(s->b, b, sizeof b);
  CHECK_OK(rvn_optimizer_read(opt, 0, "m", RVN_F32, s->m, N));
  CHECK_OK(rvn_optimizer_read(opt, 1, "v", RVN_F64, s->v, N));
  CHECK_OK(rvn_optimizer_read(opt, 0, "step", RVN_F64, &s->t[0], 1));
  CHECK_OK(rvn_optimizer_read(opt, 1, "step", RVN_F64, &s->t[1], 1));
}

/* Over the file that is there: a new one for each round waits for the disk. */
static void write_file(const unsigned char *bytes, size_t n) {
  FILE *f = fopen(path, "r+b");
  if (!CHECK(f != NULL)) return;
  CHECK(fwrite(bytes, 1, n, f) == n);
  fclose(f);
  CHECK(truncate(path, (off_t)n) == 0);
}

/* Loads bad[0..n]: OK, or FORMAT, MISMATCH or IO and nothing changed. Returns the status. */
static rvn_status try_load(size_t n, int partial) {
  sight before, after;
  rvn_load_options how = {sizeof how, 0, 1, 1, 0};
  rvn_status s;
  char report[256];
  how.partial = partial;
  write_file(bad, n);
  look(&before);
  s = rvn_optimizer_load_with(opt, path, &how, report, sizeof report, NULL);
  look(&after);
  if (s != RVN_OK) {
    CHECK(s == RVN_ERR_FORMAT || s == RVN_ERR_MISMATCH || s == RVN_ERR_IO);
    CHECK(rvn_last_error()[0] != 0);
    CHECK_BYTES(&before, &after, sizeof before);
  }
  return s;
}

static void load_good(void) {
  write_file(good, size);
  CHECK_OK(rvn_optimizer_load(opt, path));
}

static void truncations(void) {
  size_t n;
  for (n = 0; n < size; n++) {
    NOTE("cut to %lu of %lu bytes", (unsigned long)n, (unsigned long)size);
    memcpy(bad, good, n);
    CHECK_STATUS(try_load(n, (int)(n % 2)), RVN_ERR_FORMAT);
  }
  NOTE("one byte more");
  memcpy(bad, good, size);
  bad[size] = 0;
  CHECK_STATUS(try_load(size + 1, 0), RVN_ERR_FORMAT);
}

static void flips(void) {
  long i, loaded = 0, count = quick() ? 400 : 20000;
  uint64_t header;
  memcpy(&header, good, 8);
  for (i = 0; i < count; i++) {
    /* Mostly in the header, where the meaning is; one bit, one byte or several. */
    size_t k, times = 1 + (i % 5 == 0 ? random_bits() % 4 : 0);
    memcpy(bad, good, size);
    for (k = 0; k < times; k++) {
      size_t at = random_bits() % (i % 8 ? header + 8 : size);
      if (i % 3 == 0) bad[at] ^= (unsigned char)(1u << (random_bits() >> 20 & 7));
      else if (i % 3 == 1) bad[at] = (unsigned char)(random_bits() >> 20);
      else bad[at] = (unsigned char)"{}[]\",:\\0123456789eE+-.u\n"[random_bits() % 25];
    }
    NOTE("damage %ld", i);
    if (try_load(size, i % 2 == 0) == RVN_OK) loaded++;
  }
  CHECK(loaded < count); /* what hits a number of the data is not seen, and cannot be */
  load_good();
}

/* ---- headers made by hand ---- */

static size_t data_size;
static void with_header(const char *text, size_t length) {
  uint64_t n = length;
  memcpy(bad, &n, 8);
  memcpy(bad + 8, text, length);
  memset(bad + 8 + length, 0, data_size);
}

#define META "\"__metadata__\":{\"format\":\"ravine\",\"version\":\"1\",\"step\":\"3\",\"skips\":\"0\",\"step/w\":\"3\",\"step/b\":\"3\"}"
#define ARRAY(name, type, begin, end) "\"" name "\":{\"dtype\":\"" type "\",\"shape\":[6],\"data_offsets\":[" #begin "," #end "]}"
#define STATES ARRAY("state/b/m", "F64", 48, 96) "," ARRAY("state/b/v", "F64", 96, 144) "," \
  ARRAY("state/w/m", "F32", 168, 192) "," ARRAY("state/w/v", "F32", 192, 216)
#define PARAMS ARRAY("param/b", "F64", 0, 48) "," ARRAY("param/w", "F32", 144, 168)
#define OTHERS PARAMS "," ARRAY("state/b/m", "F64", 48, 96) "," ARRAY("state/b/v", "F64", 96, 144) "," ARRAY("state/w/m", "F32", 168, 192)

static void hand_made(void) {
  static const struct { int status; const char *header; } table[] = {
      {RVN_OK, "{" META "," PARAMS "," STATES "}"},
      {RVN_OK, "  {" PARAMS ",\n\t" STATES " , " META " }   "},
      {RVN_OK, "{" META "," PARAMS "," ARRAY("state\\u002fb/m", "F64", 48, 96) "," ARRAY("state/b/v", "F64", 96, 144)
               "," ARRAY("state/w/m", "F32", 168, 192) "," ARRAY("state/\\u0077/v", "F32", 192, 216) "}"},
      {RVN_ERR_FORMAT, "{}"},
      {RVN_ERR_FORMAT, "{" META},
      {RVN_ERR_FORMAT, "[" META "," PARAMS "," STATES "]"},
      {RVN_ERR_FORMAT, "{" META "," PARAMS "," STATES "}}"},
      {RVN_ERR_FORMAT, "{" META "," PARAMS "," STATES ",}"},
      {RVN_ERR_FORMAT, "{" META " " PARAMS "," STATES "}"},
      {RVN_ERR_FORMAT, "{" META "," PARAMS "," PARAMS "," STATES "}"}, /* a name twice */
      {RVN_ERR_FORMAT, "{" META "," META "," PARAMS "," STATES "}"},
      {RVN_ERR_FORMAT, "{" PARAMS "," STATES "}"},
      {RVN_ERR_FORMAT, "{\"__metadata__\":{\"format\":\"pt\"}," PARAMS "," STATES "}"},
      {RVN_ERR_FORMAT, "{\"__metadata__\":{\"format\":\"ravine\",\"version\":\"2\",\"step\":\"3\",\"skips\":\"0\"}," PARAMS "," STATES "}"},
      {RVN_ERR_FORMAT, "{\"__metadata__\":{\"format\":\"ravine\",\"version\":\"1\",\"step\":\"-3\",\"skips\":\"0\"}," PARAMS "," STATES "}"},
      {RVN_ERR_FORMAT, "{\"__metadata__\":{\"format\":\"ravine\",\"version\":\"1\",\"step\":\"99999999999999999999999999\",\"skips\":\"0\"}," PARAMS "," STATES "}"},
      {RVN_ERR_FORMAT, "{\"__metadata__\":{\"format\":\"ravine\",\"version\":\"1\",\"step\":\"\",\"skips\":\"0\"}," PARAMS "," STATES "}"},
      {RVN_ERR_FORMAT, "{\"__metadata__\":{\"format\":\"ravine\",\"version\":\"1\",\"step\":3,\"skips\":0}," PARAMS "," STATES "}"},
      {RVN_ERR_FORMAT, "{\"__metadata__\":{\"format\":\"ravine\",\"version\":\"1\",\"step\":\"3\",\"skips\":\"0\"}," PARAMS "," STATES "}"}, /* no counters of tensors */
      /* offsets */
      {RVN_ERR_FORMAT, "{" META "," OTHERS "," ARRAY("state/w/v", "F32", 168, 192) "," ARRAY("pad", "F32", 192, 216) "}"}, /* overlap */
      {RVN_ERR_FORMAT, "{" META "," OTHERS "," ARRAY("state/w/v", "F32", 188, 212) "," ARRAY("pad", "F32", 192, 216) "}"},
      {RVN_ERR_FORMAT, "{" META "," OTHERS "," ARRAY("state/w/v", "F32", 192, 220) "}"},
      {RVN_ERR_FORMAT, "{" META "," OTHERS "," ARRAY("state/w/v", "F32", 216, 192) "}"},
      {RVN_ERR_FORMAT, "{" META "," OTHERS "," ARRAY("state/w/v", "F32", 193, 217) "}"},
      {RVN_ERR_FORMAT, "{" META "," OTHERS "," ARRAY("state/w/v", "F32", 9223372036854775783, 9223372036854775807) "}"},
      {RVN_ERR_FORMAT, "{" META "," OTHERS "," ARRAY("state/w/v", "F32", 18446744073709551592, 18446744073709551616) "}"},
      {RVN_ERR_FORMAT, "{" META "," OTHERS "," ARRAY("state/w/v", "F32", -24, 0) "}"},
      {RVN_ERR_FORMAT, "{" META "," OTHERS "," ARRAY("state/w/v", "F32", 1.92e2, 216) "}"},
      {RVN_ERR_FORMAT, "{" META "," OTHERS "}"}, /* bytes that belong to nobody */
      {RVN_ERR_FORMAT, "{" META "," OTHERS ",\"state/w/v\":{\"dtype\":\"F32\",\"shape\":[3037000500,3037000500,6],\"data_offsets\":[192,216]}}"},
      {RVN_ERR_FORMAT, "{" META "," OTHERS ",\"state/w/v\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,6],\"data_offsets\":[192,216]}}"},
      {RVN_ERR_FORMAT, "{" META "," OTHERS ",\"state/w/v\":{\"dtype\":\"F32\",\"shape\":[-6],\"data_offsets\":[192,216]}}"},
      {RVN_ERR_FORMAT, "{" META "," OTHERS ",\"state/w/v\":{\"dtype\":\"F32\",\"shape\":6,\"data_offsets\":[192,216]}}"},
      {RVN_ERR_FORMAT, "{" META "," OTHERS ",\"state/w/v\":{\"dtype\":\"F32\",\"data_offsets\":[192,216]}}"},
      {RVN_ERR_FORMAT, "{" META "," OTHERS ",\"state/w/v\":{\"shape\":[6],\"data_offsets\":[192,216]}}"},
      {RVN_ERR_FORMAT, "{" META "," OTHERS ",\"state/w/v\":{\"dtype\":\"F32\",\"shape\":[6],\"data_offsets\":[192]}}"},
      {RVN_ERR_FORMAT, "{" META "," OTHERS ",\"state/w/v\":{\"dtype\":\"F32\",\"shape\":[6],\"data_offsets\":[192,216],\"more\":1}}"},
      {RVN_ERR_FORMAT, "{" META "," OTHERS ",\"state/w/v\":{}}"},
      {RVN_ERR_FORMAT, "{" META "," OTHERS ",\"state/w/v\":null}"},
      {RVN_ERR_MISMATCH, "{" META "," OTHERS "," ARRAY("state/w/v", "I32", 192, 216) "}"},
      {RVN_ERR_MISMATCH, "{" META "," OTHERS ",\"state/w/v\":{\"dtype\":\"F32\",\"shape\":[3,2],\"data_offsets\":[192,216]}}"},
      {RVN_ERR_MISMATCH, "{" META "," PARAMS "," STATES ",\"more\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[216,216]}}"},
      /* texts */
      {RVN_ERR_FORMAT, "{" META "," OTHERS "," ARRAY("state/w/v\xff", "F32", 192, 216) "}"},
      {RVN_ERR_FORMAT, "{" META "," OTHERS "," ARRAY("\xc3", "F32", 192, 216) "}"},
      {RVN_ERR_FORMAT, "{" META "," OTHERS "," ARRAY("\\ud800", "F32", 192, 216) "}"},
      {RVN_ERR_FORMAT, "{" META "," OTHERS "," ARRAY("\\udc00", "F32", 192, 216) "}"},
      {RVN_ERR_FORMAT, "{" META "," OTHERS "," ARRAY("\\ud800\\u0041", "F32", 192, 216) "}"},
      {RVN_ERR_FORMAT, "{" META "," OTHERS "," ARRAY("\\x41", "F32", 192, 216) "}"},
      {RVN_ERR_FORMAT, "{" META "," OTHERS "," ARRAY("\\u00g1", "F32", 192, 216) "}"},
      {RVN_ERR_FORMAT, "{" META "," OTHERS "," ARRAY("a\nb", "F32", 192, 216) "}"},
      {RVN_ERR_FORMAT, "{" META "," OTHERS "," ARRAY("a\\u0000b", "F32", 192, 216) "}"},
  };
  size_t i;
  data_size = 216;
  for (i = 0; i < sizeof table / sizeof *table; i++) {
    size_t n = strlen(table[i].header);
    NOTE("%s", strlen(table[i].header) > 300 ? table[i].header + strlen(table[i].header) - 300 : table[i].header);
    with_header(table[i].header, n);
    CHECK_STATUS(try_load(8 + n + data_size, 0), table[i].status);
    with_header(table[i].header, n);
    (void)try_load(8 + n + data_size, 1);
    load_good();
  }
  NOTE("a NUL in the header");
  with_header("{" META "," PARAMS "," STATES "}", strlen("{" META "," PARAMS "," STATES "}"));
  bad[20] = 0;
  CHECK_STATUS(try_load(8 + strlen("{" META "," PARAMS "," STATES "}") + data_size, 0), RVN_ERR_FORMAT);
}

/* Lengths that lie, nesting without end, and many names. */
static void hostile(void) {
  static const uint64_t lengths[] = {0, 1, 2, 9, 100000001, (uint64_t)1 << 40, INT64_MAX, UINT64_MAX, UINT64_MAX - 7};
  size_t i, n;
  char *text = malloc(ROOM);
  for (i = 0; i < sizeof lengths / sizeof *lengths; i++) {
    NOTE("header of %llu bytes", (unsigned long long)lengths[i]);
    memcpy(bad, good, size);
    memcpy(bad, &lengths[i], 8);
    CHECK_STATUS(try_load(size, 0), RVN_ERR_FORMAT);
  }
  data_size = 0;
  NOTE("deep");
  memset(text, '[', ROOM / 2);
  with_header(text, ROOM / 2);
  CHECK_STATUS(try_load(8 + ROOM / 2, 0), RVN_ERR_FORMAT);
  for (n = 0; n + 8 < ROOM / 2; n += 5) memcpy(text + n, "{\"\":", 5);
  with_header(text, n);
  CHECK_STATUS(try_load(8 + n, 0), RVN_ERR_FORMAT);
  NOTE("a string that does not end");
  memset(text, 'a', ROOM / 2);
  memcpy(text, "{\"", 2);
  with_header(text, ROOM / 2);
  CHECK_STATUS(try_load(8 + ROOM / 2, 0), RVN_ERR_FORMAT);
  NOTE("many names");
  n = (size_t)sprintf(text, "{%s", META);
  for (i = 0; n < ROOM / 2; i++)
    n += (size_t)sprintf(text + n, ",\"x%lu\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}", (unsigned long)i);
  n += (size_t)sprintf(text + n, "}");
  with_header(text, n);
  CHECK_STATUS(try_load(8 + n, 0), RVN_ERR_MISMATCH);
  (void)try_load(8 + n, 1);
  NOTE("noise");
  for (i = 0; i < 300; i++) {
    for (n = 0; n < 200; n++) bad[n] = (unsigned char)(random_bits() >> 30);
    if (i % 2) n = 200, memcpy(bad, &(uint64_t){100}, 8);
    (void)try_load(n, i % 4 > 1);
  }
  free(text);
}

int main(void) {
  FILE *f;
  int file;
  strcpy(path, "/tmp/ravine-damage-XXXXXX");
  file = mkstemp(path);
  close(file);
  opt = create("adamw(0.1)");
  fill_random(g, N, 1);
  CHECK_OK(add(opt, "w", w, g, N));
  CHECK_OK(add_typed(opt, "b", b, g, N, RVN_F64, RVN_F32));
  for (file = 0; file < 3; file++) CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
  CHECK_OK(rvn_optimizer_save(opt, path));
  f = fopen(path, "rb");
  size = f ? fread(good, 1, ROOM, f) : 0;
  if (f) fclose(f);
  CHECK(size > 8);
  truncations();
  flips();
  hand_made();
  hostile();
  rvn_optimizer_destroy(opt);
  remove(path);
  return finish();
}
