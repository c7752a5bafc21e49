/* Clauses: which tensors they match, what wins, when they may change. */
#include "fixture.h"

enum { COUNT = 6 };
static const char *const names[COUNT] = {"enc.w", "enc.bias", "head.w", "head.bias", "\xc3\xa9 x", "n"};
static float data[COUNT][12], grads[COUNT][12];

/* Shapes: [3, 4], [4], [3, 4], [4], [12], a single number. */
static rvn_status add_some(rvn_optimizer *opt, int from, int to) {
  static const int64_t two[2] = {3, 4}, four[1] = {4}, twelve[1] = {12};
  rvn_status status = RVN_OK;
  int i;
  for (i = from; i < to && status == RVN_OK; i++) {
    rvn_tensor t;
    memset(&t, 0, sizeof t);
    t.struct_size = sizeof t, t.name = names[i], t.data = data[i], t.grad = grads[i];
    t.dtype = RVN_F32, t.rank = i == 5 ? 0 : i == 4 ? 1 : 2 - i % 2;
    t.shape = i == 5 ? NULL : i == 4 ? twelve : i % 2 ? four : two;
    status = rvn_optimizer_add(opt, &t, NULL);
  }
  return status;
}

static rvn_optimizer *open_with(const char *recipe) {
  rvn_optimizer *opt = create(recipe);
  NOTE("%s", recipe);
  memset(data, 0, sizeof data);
  fill_random(grads[0], COUNT * 12, 1);
  CHECK_OK(add_some(opt, 0, COUNT));
  return opt;
}

/* The rates of the six tensors; -1 for one that is frozen. */
static void rates(const char *recipe, double a, double b, double c, double d, double e, double f) {
  rvn_optimizer *opt = open_with(recipe);
  const double wanted[COUNT] = {a, b, c, d, e, f};
  int i;
  for (i = 0; i < COUNT; i++) {
    char key[64];
    double x = -7;
    snprintf(key, sizeof key, "\"%s\":lr", names[i]);
    NOTE("%s of %s", key, recipe);
    if (wanted[i] < 0) {
      CHECK_STATUS(rvn_optimizer_get(opt, key, &x), RVN_ERR_NAME);
    } else {
      CHECK_OK(rvn_optimizer_get(opt, key, &x));
      if (x != wanted[i]) fprintf(stderr, "%s: %g, not %g\n", check_context, x, wanted[i]);
      CHECK(x == wanted[i]);
    }
  }
  CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
  for (i = 0; i < COUNT; i++) {
    NOTE("%s of %s", names[i], recipe);
    CHECK((data[i][0] != 0) == (wanted[i] > 0));
  }
  rvn_optimizer_destroy(opt);
}

static void matching(void) {
  rates("sgd(1)", 1, 1, 1, 1, 1, 1);
  rates("sgd(1); *: lr=2", 2, 2, 2, 2, 2, 2);
  rates("sgd(1); *.bias: lr=2", 1, 2, 1, 2, 1, 1);
  rates("sgd(1); enc.*: lr=2", 2, 2, 1, 1, 1, 1);
  rates("sgd(1); *e*.*a*: lr=2", 1, 2, 1, 2, 1, 1);
  rates("sgd(1); enc.w, n: lr=2", 2, 1, 1, 1, 1, 2);
  rates("sgd(1); **n**: lr=2", 2, 2, 1, 1, 1, 2);
  rates("sgd(1); \"\xc3\xa9 x\": lr=2", 1, 1, 1, 1, 2, 1);
  rates("sgd(1); \xc3\xa9*: lr=2", 1, 1, 1, 1, 2, 1);
  rates("sgd(1); @rank<2: lr=2", 1, 2, 1, 2, 2, 2);
  rates("sgd(1); @rank=0: lr=2", 1, 1, 1, 1, 1, 2);
  rates("sgd(1); @rank>=1: lr=2", 2, 2, 2, 2, 2, 1);
  rates("sgd(1); @size>4: lr=2", 2, 1, 2, 1, 2, 1);
  rates("sgd(1); @size<=4: lr=2", 1, 2, 1, 2, 1, 2);
  rates("sgd(1); @size==12, n: lr=2", 2, 1, 2, 1, 2, 2);
  rates("sgd(1); nothing*?: lr=2", 1, 1, 1, 1, 1, 1);
  rates("sgd(1); nothing*?, n: lr=2", 1, 1, 1, 1, 1, 2);
}

static void winning(void) {
  rates("sgd(1); *: lr=2; enc.*: lr=3; *.bias: lr=4", 3, 4, 2, 4, 2, 2);
  rates("sgd(1); enc.*: lr=3; *: lr=2", 2, 2, 2, 2, 2, 2);
  rates("sgd(1); enc.*: lr=3; *: momentum=0.5", 3, 3, 1, 1, 1, 1);
  rates("sgd(1); *: lr=2, lr=3", 3, 3, 3, 3, 3, 3);
  rates("sgd(1); enc.*: lr=x0.5", 0.5, 0.5, 1, 1, 1, 1);
  rates("sgd(linear(1, 0, steps=8)); enc.*: lr=x0.5", 0.5, 0.5, 1, 1, 1, 1);
  rates("sgd(1); enc.*: lr=linear(4, 0, steps=8)", 4, 4, 1, 1, 1, 1);
  rates("sgd(1); enc.*: adam(0.5)", 0.5, 0.5, 1, 1, 1, 1);
  rates("sgd(1); enc.*: adam(lr=x0.5)", 0.5, 0.5, 1, 1, 1, 1);
  rates("sgd(1); enc.*: adam(0.5); *.bias: lr=2", 0.5, 2, 1, 2, 1, 1);
  rates("sgd(1); enc.*: lr=2; *.w: sgd(3)", 3, 2, 3, 1, 1, 1);
  rates("sgd(1); enc.*: frozen", -1, -1, 1, 1, 1, 1);
  rates("sgd(1); enc.*: frozen; *.bias: sgd(2)", -1, 2, 1, 2, 1, 1);
  rates("sgd(1); enc.*: frozen; *.bias: lr=2", -1, -1, 1, 2, 1, 1);
  rates("sgd(1); *.bias: lr=0", 1, 0, 1, 0, 1, 1);
}

/* A multiple follows the schedule and the base value that set gives. */
static void multiples(void) {
  rvn_optimizer *opt = open_with("sgd(linear(1, 0, steps=4)); n: lr=x0.5");
  double x;
  int i;
  for (i = 0; i < 3; i++) {
    CHECK_OK(rvn_optimizer_get(opt, "n:lr", &x));
    CHECK(x == 0.5 * (1 - 0.25 * i));
    CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
  }
  CHECK_OK(rvn_optimizer_set(opt, "lr", 6));
  CHECK_OK(rvn_optimizer_get(opt, "n:lr", &x));
  CHECK(x == 3);
  rvn_optimizer_destroy(opt);
}

/* A clause that matches nothing, that does not fit, or that leaves the range is known at prepare. */
static void at_prepare(void) {
  static const struct { const char *recipe; int status; const char *part; } table[] = {
      {"sgd(1); m: lr=2", RVN_ERR_NAME, "no tensor matches 'm'"},
      {"sgd(1); @rank>5: lr=2", RVN_ERR_NAME, "@rank>5"},
      {"sgd(1); m, k: lr=2", RVN_ERR_NAME, "'m, k'"},
      {"sgd(1); n: adam(1); enc.w: beta1=0.5", RVN_ERR_NAME, "sgd has no parameter 'beta1'"},
      {"sgd(1); n: lr=x-2", RVN_ERR_ARGUMENT, "-2"},
      {"adam(beta1=0.5); n: beta1=x2", RVN_ERR_ARGUMENT, "[0, 1)"}};
  size_t i;
  for (i = 0; i < sizeof table / sizeof *table; i++) {
    rvn_optimizer *opt = open_with(table[i].recipe);
    if (CHECK_STATUS(rvn_optimizer_prepare(opt), table[i].status)) CHECK_SAYS(table[i].part);
    CHECK_STATUS(rvn_optimizer_plan(opt, NULL, 0, NULL), table[i].status);
    CHECK_STATUS(rvn_optimizer_step(opt, NULL, NULL), table[i].status);
    rvn_optimizer_destroy(opt);
  }
}

static void plan_says(rvn_optimizer *opt, const char *line) {
  char text[4096];
  CHECK_OK(rvn_optimizer_plan(opt, text, sizeof text, NULL));
  if (!strstr(text, line)) fprintf(stderr, "%s\n", text);
  CHECK(strstr(text, line) != NULL);
}

/* set with patterns and override, before prepare (also for tensors added later) and after it. */
static void changing(void) {
  rvn_optimizer *opt = create("sgd(1, momentum=0.9)");
  char before[4096], after[4096];
  double x;
  int i;
  NOTE("changing");
  memset(data, 0, sizeof data);
  CHECK_OK(add_some(opt, 0, 2));
  CHECK_OK(rvn_optimizer_set(opt, "head.*:lr", 2)); /* of tensors that come later */
  CHECK_OK(rvn_optimizer_override(opt, "*.bias, missing?", "adam(0.5)"));
  CHECK_OK(rvn_optimizer_override(opt, "enc.w", "frozen"));
  CHECK_OK(add_some(opt, 2, COUNT));
  CHECK_OK(rvn_optimizer_get(opt, "head.w:lr", &x));
  CHECK(x == 2);
  plan_says(opt, "enc.w F32[3, 4]: frozen");
  plan_says(opt, "enc.bias F32[4]: adam(lr=0.5");
  plan_says(opt, "head.w F32[3, 4]: sgd(lr=2");
  CHECK_OK(rvn_optimizer_recipe(opt, before, sizeof before, NULL));
  CHECK(strstr(before, "; head.*: lr=2; *.bias, missing?: adam(lr=0.5") != NULL);
  CHECK(strstr(before, "; enc.w: frozen") != NULL);
  CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));

  /* A refusal keeps the text. */
  CHECK_OK(rvn_optimizer_recipe(opt, before, sizeof before, NULL));
  CHECK_STATUS(rvn_optimizer_override(opt, "*", "beta1=0.5"), RVN_ERR_NAME);
  CHECK_STATUS(rvn_optimizer_override(opt, "m", "lr=0.5"), RVN_ERR_NAME);
  CHECK_STATUS(rvn_optimizer_override(opt, "n", "lr=-0.5"), RVN_ERR_RECIPE);
  CHECK_OK(rvn_optimizer_recipe(opt, after, sizeof after, NULL));
  CHECK(strcmp(before, after) == 0);
  CHECK_OK(rvn_optimizer_override(opt, "head.w", "lr=x3"));
  CHECK_OK(rvn_optimizer_get(opt, "head.w:lr", &x));
  CHECK(x == 6);
  CHECK_OK(rvn_optimizer_override(opt, "n", "sgd(7, momentum=0.5)"));
  CHECK_OK(rvn_optimizer_override(opt, "head.bias", "frozen"));
  CHECK_STATUS(rvn_optimizer_get(opt, "head.bias:lr", &x), RVN_ERR_NAME);
  CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));

  /* A key that a loop sets again and again does not make the recipe grow. */
  CHECK_OK(rvn_optimizer_set(opt, "n:lr", 1));
  CHECK_OK(rvn_optimizer_recipe(opt, before, sizeof before, NULL));
  for (i = 1; i < 3000; i++) CHECK_OK(rvn_optimizer_set(opt, "n:lr", i));
  CHECK_OK(rvn_optimizer_recipe(opt, after, sizeof after, NULL));
  CHECK(strlen(after) == strlen(before) + 3);
  CHECK_OK(rvn_optimizer_get(opt, "n:lr", &x));
  CHECK(x == 2999);
  CHECK_OK(rvn_optimizer_get(opt, "enc.bias:lr", &x));
  CHECK(x == 0.5);
  rvn_optimizer_destroy(opt);
}

/* frozen: no state, no part in norms, no change. */
static void frozen(void) {
  rvn_optimizer *opt = open_with("clip_norm(1e9) | sgd(1, momentum=0.9); enc.*, head.*, n: frozen");
  rvn_step_report r = {sizeof r, 0, 0, 0, 0, 0, 0, 0, 0};
  char text[64];
  double norm = 0;
  int i;
  memset(grads, 0, sizeof grads);
  for (i = 0; i < 12; i++) grads[0][i] = 100, grads[4][i] = 2, norm += 4;
  CHECK_OK(rvn_optimizer_step(opt, NULL, &r));
  CHECK(r.grad_norm * r.grad_norm > norm - 1e-9 && r.grad_norm * r.grad_norm < norm + 1e-9);
  CHECK(r.update_norm == r.grad_norm);
  CHECK(data[0][0] == 0 && data[4][0] == -2);
  CHECK_OK(rvn_optimizer_slots(opt, 0, text, sizeof text, NULL));
  CHECK(strcmp(text, "") == 0);
  CHECK_OK(rvn_optimizer_slots(opt, 4, text, sizeof text, NULL));
  CHECK(strcmp(text, "m") == 0);
  CHECK_OK(rvn_optimizer_bind(opt, 4, data[4], NULL));
  CHECK_OK(rvn_optimizer_step(opt, NULL, &r));
  CHECK(r.skipped == 3 && r.step == 1); /* only frozen ones have a gradient */
  rvn_optimizer_destroy(opt);
}

int main(void) {
  matching();
  winning();
  multiples();
  at_prepare();
  changing();
  frozen();
  return finish();
}
