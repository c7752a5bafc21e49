/* Numbers in recipes: read correctly rounded, printed so that they read back, in every locale. */
#define _GNU_SOURCE
#include <locale.h>
#include <math.h>
#include <unistd.h>

#include "fixture.h"

static double from_bits(uint64_t bits) {
  double x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

/* Two locales differ in the decimal point only. */
static void exchange(char *text, char from, char to) {
  for (; *text; text++) {
    if (*text == from) *text = to;
  }
}

/* x through a recipe's text, and back, if `back`, through the text of the handle. */
static void there_and_back(double x, int back) {
  char text[512], out[512], *value, *end;
  char point = *localeconv()->decimal_point;
  rvn_optimizer *opt = NULL;
  double got = -1;
  snprintf(text, sizeof text, "sgd(lr=%.17g)", x);
  exchange(text, point, '.');
  if (rvn_optimizer_create(text, &opt) != RVN_OK || rvn_optimizer_get(opt, "lr", &got) != RVN_OK ||
      memcmp(&got, &x, sizeof x) != 0) {
    NOTE("%s read as %.17g", text, got);
    CHECK(memcmp(&got, &x, sizeof x) == 0);
  }
  CHECK(opt != NULL);
  if (opt && back && CHECK_OK(rvn_optimizer_recipe(opt, out, sizeof out, NULL))) {
    value = strstr(out, "lr=") + 3;
    end = strchr(value, ',');
    *end = 0;
    if (point != '.') exchange(value, '.', point);
    got = strtod(value, &end);
    if (*end || memcmp(&got, &x, sizeof x) != 0) {
      NOTE("%.17g printed as %s", x, value);
      CHECK(memcmp(&got, &x, sizeof x) == 0);
    }
  }
  rvn_optimizer_destroy(opt);
}

/* Any bits, bits near powers of two and ten, and short decimal numbers. */
static double random_number(long i) {
  uint64_t bits = random_bits() & 0x7fffffffffffffffu;
  switch (i & 3) {
    case 0:
      if ((bits >> 52) == 0x7ff) bits &= ~(1ull << 62);
      return from_bits(bits);
    case 1: return ldexp((double)((1ull << 52) + (bits & 7)) - 3, (int)(bits >> 8) % 1000 - 1060);
    case 2: return (double)(bits % 100000) * pow(10, (double)(int)(bits >> 32 & 63) - 32);
    default: return from_bits(bits & 0x801fffffffffffffu); /* subnormals and the smallest */
  }
}

static void edges(void) {
  static const double numbers[] = {0, 1, 0.1, 1e22, 1e23, 9007199254740993.0, 5e-324,
                                   2.2250738585072011e-308, 2.2250738585072014e-308,
                                   1.7976931348623157e308, 123456789012345678.0};
  size_t i;
  for (i = 0; i < sizeof numbers / sizeof *numbers; i++) there_and_back(numbers[i], 1);
}

/* Texts of one number, and what it is. */
static void spellings(void) {
  static const struct { const char *text; double x; } table[] = {
      {"1", 1}, {"1.", 1}, {".5", 0.5}, {"+2", 2}, {"1e3", 1000}, {"1E+3", 1000}, {"1e-3", 1e-3},
      {"001", 1}, {"0.1000000000000000055511151231257827021181583404541015625", 0.1},
      {"2k", 2000}, {"3M", 3e6}, {"0.5G", 5e8}, {"10%", 0.1}, {"1e-3k", 1}, {"0", 0},
      {"4.9e-324", 5e-324}, {"1e-400", 0}, {"0e999999999", 0},
      {"1.7976931348623158e308", 1.7976931348623157e308},
      {"0.000000000000000000000000000000000000000001e42", 1},
      {"100000000000000000000000000000000000000000e-41", 1},
      {"9007199254740992.9999999999999999999999999999999999999999", 9007199254740992.0},
      {"9007199254740993.0000000000000000000000000000000000000001", 9007199254740994.0}};
  size_t i;
  for (i = 0; i < sizeof table / sizeof *table; i++) {
    char text[256];
    rvn_optimizer *opt;
    double got = -1;
    snprintf(text, sizeof text, "sgd(lr=%s)", table[i].text);
    NOTE("%s", text);
    opt = create(text);
    CHECK_OK(rvn_optimizer_get(opt, "lr", &got));
    CHECK(memcmp(&got, &table[i].x, sizeof got) == 0);
    rvn_optimizer_destroy(opt);
  }
  NOTE("%s", "");
}

static void many(long count) {
  long i;
  edges();
  for (i = 0; i < count; i++) there_and_back(fabs(random_number(i)), (i >> 2) % 2);
  CHECK(i == count);
}

/* A locale with a decimal comma: one that is installed, else one made here. */
static int comma_locale(void) {
  char folder[] = "/tmp/ravine-locale-XXXXXX", text[256];
  FILE *f;
  if (setlocale(LC_ALL, "de_DE.UTF-8") || setlocale(LC_ALL, "fr_FR.UTF-8"))
    return *localeconv()->decimal_point == ',';
  if (!mkdtemp(folder)) return 0;
  snprintf(text, sizeof text, "%s/source", folder);
  f = fopen(text, "w");
  if (!f) return 0;
  fputs("LC_NUMERIC\ndecimal_point \",\"\nthousands_sep \".\"\ngrouping 3;3\nEND LC_NUMERIC\n", f);
  fclose(f);
  snprintf(text, sizeof text, "localedef -c -i %s/source -f UTF-8 %s/xx_XX.UTF-8 2>%s/log", folder,
           folder, folder);
  if (system(text) == -1) return 0;
  setenv("LOCPATH", folder, 1);
  setlocale(LC_NUMERIC, "xx_XX.UTF-8"); /* it has no other category */
  snprintf(text, sizeof text, "rm -r %s", folder);
  if (system(text) == -1) return 0;
  return *localeconv()->decimal_point == ',';
}

int main(void) {
  long count = quick() ? 10000 : 1000000;
  spellings();
  many(count);
  if (comma_locale()) {
    spellings();
    many(count / 10);
  } else {
    printf("no locale with a decimal comma: skipped  ");
  }
  return finish();
}
