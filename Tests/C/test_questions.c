/* Questions about a schedule, and its sketch: right answers, and refusals with the numbers in them. */
#include <math.h>

#include "fixture.h"

static rvn_schedule *schedule(const char *recipe) {
  rvn_schedule *s = NULL;
  check_status(rvn_schedule_create(recipe, &s), RVN_OK, recipe, __FILE__, __LINE__);
  return s;
}

/* Of every schedule of the catalog, as its own example has it: answers are those of its values. */
static void answers(void) {
  enum { N = 300 };
  static double x[N];
  size_t i, k;
  for (i = 0; i < rvn_catalog_count(); i++) {
    rvn_entry e = entry_at(i);
    rvn_schedule *s;
    double value, sum = 0, top;
    long double wanted = 0;
    uint64_t step, span, best = 5;
    if (strcmp(e.kind, "schedule") != 0) continue;
    NOTE("%s", e.example);
    CHECK(strncmp(e.example, e.name, strlen(e.name)) == 0);
    s = schedule(e.example);
    CHECK_OK(rvn_schedule_values(s, 0, N, x));
    for (k = 5; k < N; k++) {
      CHECK_OK(rvn_schedule_value(s, k, &value));
      CHECK(memcmp(&value, &x[k], sizeof value) == 0);
      wanted += x[k];
      if (x[k] > x[best]) best = k;
    }
    CHECK_OK(rvn_schedule_sum(s, 5, N - 5, &sum));
    CHECK(fabsl(sum - wanted) <= 0x1p-51L * fabsl(wanted));
    CHECK_OK(rvn_schedule_peak(s, 5, N - 5, &step, &top));
    CHECK(step == best && top == x[best]);
    CHECK_OK(rvn_schedule_peak(s, 5, N - 5, NULL, NULL));
    CHECK_OK(rvn_schedule_first_below(s, x[100], 5, N - 5, &step));
    for (k = 5; k < N && !(x[k] < x[100]); k++) {}
    CHECK(step == k);
    CHECK_OK(rvn_schedule_span(s, &span));
    CHECK(span >= 40 && span <= 200); /* a picture of it is of some use */
    rvn_schedule_destroy(s);
  }
  NOTE("%s", "");
}

/* Where a plain loop would lose its last digits. */
static void sums_are_compensated(void) {
  rvn_schedule *s = schedule("0.1");
  double sum;
  uint64_t n = quick() ? 100000 : 10000000;
  CHECK_OK(rvn_schedule_sum(s, 0, n, &sum));
  CHECK(sum == 0.1 * (double)n);
  rvn_schedule_destroy(s);
  s = schedule("sequence((1e100, 1, -1e100), at=(1, 2))");
  CHECK_OK(rvn_schedule_sum(s, 0, 3, &sum));
  CHECK(sum == 1);
  rvn_schedule_destroy(s);
  s = schedule("step(1, every=1, factor=2)");
  CHECK_OK(rvn_schedule_sum(s, 0, 2000, &sum));
  CHECK(isinf(sum));
  rvn_schedule_destroy(s);
}

static void refusals(void) {
  rvn_schedule *s = schedule("over(10, cosine(1, steps=10), error)");
  double x = 7;
  uint64_t step = 7;
  char text[4000];
#define NO(expr, part) \
  do { CHECK_STATUS(expr, RVN_ERR_ARGUMENT); CHECK_SAYS(part); CHECK(x == 7 && step == 7); } while (0)
  NO(rvn_schedule_value(NULL, 0, &x), "the schedule is NULL");
  NO(rvn_schedule_value(s, 0, NULL), "value is NULL");
  NO(rvn_schedule_sum(NULL, 0, 5, &x), "the schedule is NULL");
  NO(rvn_schedule_sum(s, 0, 5, NULL), "sum is NULL");
  NO(rvn_schedule_sum(s, 0, 0, &x), "count is 0, but must be 1 to 4294967296 steps");
  NO(rvn_schedule_sum(s, 0, ((uint64_t)1 << 32) + 1, &x), "count is 4294967297");
  NO(rvn_schedule_sum(s, UINT64_MAX - 5, 6, &x), "first is 18446744073709551610 and count 6");
  NO(rvn_schedule_sum(s, 5, 6, &x), "the schedule has no value at step 10");
  NO(rvn_schedule_peak(NULL, 0, 5, &step, &x), "the schedule is NULL");
  NO(rvn_schedule_peak(s, 0, 0, &step, &x), "count is 0");
  NO(rvn_schedule_peak(s, 0, 20, &step, &x), "no value at step 10");
  NO(rvn_schedule_first_below(NULL, 0.5, 0, 5, &step), "the schedule is NULL");
  NO(rvn_schedule_first_below(s, 0.5, 0, 5, NULL), "step is NULL");
  NO(rvn_schedule_first_below(s, 0.5, 0, 0, &step), "count is 0");
  NO(rvn_schedule_first_below(s, (double)NAN, 0, 5, &step), "limit is nan");
  NO(rvn_schedule_first_below(s, -1, 0, 20, &step), "no value at step 10");
  NO(rvn_schedule_span(NULL, &step), "the schedule is NULL");
  NO(rvn_schedule_span(s, NULL), "steps is NULL");
  CHECK_OK(rvn_schedule_first_below(s, 0.5, 0, 20, &step)); /* found before there is no value */
  CHECK(step == 6); /* cos(pi / 2) is a little above 0 in Float64 */
  CHECK_OK(rvn_schedule_first_below(s, -1, 0, 10, &step));
  CHECK(step == 10); /* nowhere */
  step = 7;
  NO(rvn_schedule_sketch(NULL, 0, 5, 40, 10, text, sizeof text, NULL), "the schedule is NULL");
  NO(rvn_schedule_sketch(s, 0, 5, 39, 10, text, sizeof text, NULL), "width is 39, but must be 40");
  NO(rvn_schedule_sketch(s, 0, 5, 401, 10, text, sizeof text, NULL), "width is 401");
  NO(rvn_schedule_sketch(s, 0, 5, 40, 4, text, sizeof text, NULL), "height is 4, but must be 5");
  NO(rvn_schedule_sketch(s, 0, 5, 40, 201, text, sizeof text, NULL), "height is 201");
  NO(rvn_schedule_sketch(s, UINT64_MAX, 2, 40, 10, text, sizeof text, NULL), "first is 1844");
  NO(rvn_schedule_sketch(s, 10, 5, 40, 10, text, sizeof text, NULL), "no value in these steps");
  NO(rvn_schedule_sketch(s, 0, 5, 40, 10, text, 20, NULL), "but cap is 20");
  rvn_schedule_destroy(s);
}

static void sketched(const char *recipe, uint64_t first, uint64_t count, const char *wanted) {
  rvn_schedule *s = schedule(recipe);
  char text[4000];
  size_t needed = 0;
  CHECK_OK(rvn_schedule_sketch(s, first, count, 40, 7, text, sizeof text, &needed));
  CHECK(needed == strlen(text) + 1);
  if (!CHECK(strcmp(text, wanted) == 0)) fprintf(stderr, "%s:\n%s", recipe, text);
  rvn_schedule_destroy(s);
}

static void sketches(void) {
  static const char *edges[] = {"0", "-1e-300", "1e308", "5e-324", "linear(-8e307, 8e307, steps=9)",
                                "step(1, every=1, factor=2)", "exponential(-1, factor=0.5)"};
  size_t i;
  sketched("linear(1, 0, steps=100)", 0, 101,
           "  1 +****\n"
           "    |   ********\n"
           "0.5 +          *******\n"
           "    |                 *******\n"
           "  0 +                       ****\n"
           "    +---------------------------\n"
           "     0         step          100\n");
  sketched("over(10, 0.25, error)", 4, 12,
           " 0.25 +**************\n"
           "      |\n"
           "0.125 +\n"
           "      |\n"
           "    0 +\n"
           "      +---------------------------\n"
           "       4          step          15\n");
  for (i = 0; i < sizeof edges / sizeof *edges; i++) {
    rvn_schedule *s = schedule(edges[i]);
    char text[100000], *line, *end;
    int32_t width, height;
    NOTE("%s", edges[i]);
    for (width = 40; width <= 400; width += 47) {
      for (height = 5; height <= 200; height += 39) {
        int lines = 0;
        CHECK_OK(rvn_schedule_sketch(s, 0, i % 2 ? 0 : UINT64_MAX, width, height, text, sizeof text, NULL));
        for (line = text; (end = strchr(line, '\n')) != NULL; line = end + 1, lines++)
          CHECK(end - line <= width && (end == line || end[-1] != ' '));
        CHECK(lines == height && *line == 0);
      }
    }
    rvn_schedule_destroy(s);
  }
  NOTE("%s", "");
}

int main(void) {
  answers();
  sums_are_compensated();
  refusals();
  sketches();
  return finish();
}
