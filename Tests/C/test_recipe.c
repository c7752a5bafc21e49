/* What a recipe means: defaults, spelling, the canonical form, keys. Clauses: test_clauses.c. */
#include "fixture.h"

static char text_a[65536], text_b[65536];

static const char *text_of(rvn_optimizer *opt, char *out) {
  *out = 0;
  CHECK_OK(rvn_optimizer_recipe(opt, out, sizeof text_a, NULL));
  return out;
}

/* The printed form makes an optimizer that prints the same. */
static void round_trip(const char *recipe) {
  rvn_optimizer *a, *b;
  NOTE("%s", recipe);
  a = create(recipe);
  if (!a) return;
  b = create(text_of(a, text_a));
  if (b) CHECK(strcmp(text_a, text_of(b, text_b)) == 0);
  rvn_optimizer_destroy(a), rvn_optimizer_destroy(b);
}

static void same(const char *one, const char *other) {
  rvn_optimizer *a, *b;
  NOTE("%s and %s", one, other);
  a = create(one), b = create(other);
  if (a && b) {
    int equal = strcmp(text_of(a, text_a), text_of(b, text_b)) == 0;
    if (!CHECK(equal)) fprintf(stderr, "  %s\n  %s\n", text_a, text_b);
  }
  rvn_optimizer_destroy(a), rvn_optimizer_destroy(b);
}

static void value(const char *recipe, const char *key, double wanted) {
  rvn_optimizer *opt;
  double x = -12345;
  NOTE("%s of %s", key, recipe);
  opt = create(recipe);
  if (opt && CHECK_OK(rvn_optimizer_get(opt, key, &x)) && x != wanted) {
    NOTE("%s of %s is %.17g", key, recipe, x);
    CHECK(x == wanted);
  }
  rvn_optimizer_destroy(opt);
}

/* Every entry with its defaults and with everything switched on. */
static void every_entry(void) {
  char part[400], recipe[600], wanted[400];
  size_t i, k;
  int busy;
  for (i = 0; i < rvn_catalog_count(); i++) {
    rvn_entry e = entry_at(i);
    if (strcmp(e.kind, "init") == 0) continue; /* test_init */
    for (busy = 0; busy < 2; busy++) {
      if (!recipe_for(i, busy, part, sizeof part)) continue;
      snprintf(recipe, sizeof recipe, "%s", part);
      if (strcmp(e.kind, "stage") == 0) {
        rvn_optimizer *opt = NULL;
        snprintf(recipe, sizeof recipe, "%s | sgd(1)", part);
        if (rvn_optimizer_create(recipe, &opt) != RVN_OK) /* one that stands behind the rule */
          snprintf(recipe, sizeof recipe, "sgd(1) | %s", part);
        rvn_optimizer_destroy(opt);
      }
      if (strcmp(e.kind, "schedule") == 0) snprintf(recipe, sizeof recipe, "sgd(%s)", part);
      round_trip(recipe);
      /* recipe_for writes the canonical form, but for lists and nested schedules. */
      for (k = 0; k < e.parameter_count; k++) {
        rvn_parameter p = parameter_at(i, k);
        if (p.kind == RVN_PARAMETER_SCHEDULE) continue;
        snprintf(wanted, sizeof wanted, "%s=", p.name);
        CHECK(strstr(text_a, wanted) != NULL);
        if (*p.initial && !busy) {
          snprintf(wanted, sizeof wanted, "%s=%s", p.name, p.initial);
          CHECK(strstr(text_a, wanted) != NULL);
        }
      }
    }
  }
}

static void round_trips(void) {
  round_trip("clip_norm(1) | adamw(lr=warmup(cosine(3e-4, steps=9900), steps=100))");
  round_trip("sgd(0.1, momentum=0.9); *.bias: weight_decay=0; head.*: lr=x10");
  round_trip("clip_value(2) | clip_value(1) | sgd(1); a, b.*?, \"c d\"?: clip_value#2.max=0.5, lr=x0.1");
  round_trip("sgd(1); @rank<2: frozen; @size>=1000, @size=3?: adam(lr=x0.1, amsgrad=true)");
  round_trip("sgd(1); \"@rank<2\": lr=2; \"a;b: c | d # e\": lr=3; \"\xc3\xa9\"?: lr=4; \xc3\xa9: lr=5");
  round_trip("sgd(1); @rank==1: lr=2; @rank>1: lr=3; @rank<=1: lr=4; @rank=1: lr=5; \"a\"?: lr=6");
  round_trip("sgd(multistep(0.1, at=(5,), factor=0.5)); a: lr=cosine(1, steps=5); b: frozen");
  round_trip("adam(1e-3, compat=optax, beta1=cosine(0.9, steps=5, floor=0.5)); *: compat=torch");
  round_trip("finite_guard(zero) | clip_norm(max=cosine(2, 10, 1), p=inf, compat=optax) | lamb(1)");
  round_trip("sgd(over(10k, sequence((warmup(0.1, steps=5%), 0.2, total((0.1, step(1, 9)))), at=(1k, 50%))))");
  round_trip("sgd(clamp(product((cosine(1, steps=9),)), low=-inf), momentum=over(9, linear(0, 1, 10%), error))");
  round_trip("sgd(5e-324); a: lr=1.7976931348623157e308; b: lr=-0");
}

static void spelling(void) {
  same("adamw", "adamw()");
  same("adamw(1e-3)", "adamw(lr=0.001)");
  same("adamw(1e-3, 0.9, 0.999, 1e-8, 0.01, false)", "adamw");
  same("adamw(weight_decay=0.1, lr=1)", "adamw(lr=1, weight_decay=0.1)");
  same("  clip_norm ( 1 )|\n\tsgd\r\n( 0.1 ,momentum = 0.9 )  ", "clip_norm(1) | sgd(0.1, momentum=0.9)");
  same("# first\nclip_norm(1) # a stage | not this\n| sgd(1)#end", "clip_norm(1) | sgd(1)");
  same("sgd(0.1) # comment at the end", "sgd(0.1)");
  same("sgd # comment behind a name\n(0.1)", "sgd(0.1)");
  same("sgd(0.1)#2", "sgd(0.1)");
  same("sgd(1); a: lr=2;", "sgd(1); a: lr=2");
  same("sgd(1); # why\n a,b : lr = 2 # and why\n;\n c: frozen", "sgd(1); a, b: lr=2; c: frozen");
  same("sgd(1, momentum=1, nesterov=true)", "sgd(1, momentum=1, nesterov=1)");
  same("sgd(1, nesterov=false)", "sgd(1, nesterov=0)");
  same("sgd(1, decay=\"decoupled\")", "sgd(1, decay=decoupled)");
  same("clip_norm(1, inf) | sgd", "clip_norm(1, p=\"inf\") | sgd");
  same("sgd(cosine(1, 10))", "sgd(cosine(value=1, steps=10, floor=0, exponent=1, compat=optax))");
  same("sgd(multistep(1, (5, 20)))", "sgd(multistep(1, at=(5,20,), factor=0.1))");
  same("sgd(lr=1k)", "sgd(lr=1000)");
  same("sgd(1); \"a\": lr=2", "sgd(1); a: lr=2");
}

static void values(void) {
  value("sgd(2k)", "lr", 2000);
  value("sgd(2M)", "lr", 2e6);
  value("sgd(2G)", "lr", 2e9);
  value("sgd(25%)", "lr", 0.25);
  value("sgd(.5)", "sgd.lr", 0.5);
  value("adam", "beta2", 0.999);
  value("adam(amsgrad=true)", "amsgrad", 1);
  value("sgd(cosine(4, steps=10))", "lr", 4);
  value("sgd(warmup(4, steps=8))", "lr", 0.5);
  value("sgd(warmup(linear(4, 8, steps=3), steps=8))", "lr", 0.5);
  value("clip_value(3) | clip_value(2) | clip_norm(1) | sgd(1)", "clip_value.max", 3);
  value("clip_value(3) | clip_value(2) | clip_norm(1) | sgd(1)", "clip_value#2.max", 2);
  value("clip_value(3) | clip_value(2) | clip_norm(1) | sgd(1)", "clip_norm.max", 1);
  value("finite_guard(limit=5) | sgd(1)", "finite_guard.limit", 5);
}

/* set on the recipe's own values; the text says what now holds. */
static void setting(void) {
  rvn_optimizer *opt = create("clip_norm(1) | clip_value(3) | clip_value(2) | sgd(cosine(1, steps=9))");
  float p[4] = {0}, g[4] = {1, 1, 1, 1};
  double x;
  int again;
  NOTE("setting");
  CHECK_OK(add(opt, "w", p, g, 4));
  for (again = 0; again < 2; again++) { /* before and after prepare */
    CHECK_OK(rvn_optimizer_set(opt, "lr", 0.25 + again));
    CHECK_OK(rvn_optimizer_get(opt, "lr", &x));
    CHECK(x == 0.25 + again);
    CHECK_OK(rvn_optimizer_set(opt, "clip_value#2.max", 7 + again));
    CHECK_OK(rvn_optimizer_get(opt, "clip_value#2.max", &x));
    CHECK(x == 7 + again);
    CHECK_OK(rvn_optimizer_set(opt, "sgd.weight_decay", 0.5));
    CHECK(strstr(text_of(opt, text_a), again ? "lr=1.25," : "lr=0.25,") != NULL);
    CHECK(strstr(text_a, "weight_decay=0.5") && !strstr(text_a, "cosine"));
    CHECK(strstr(text_a, again ? "clip_value(max=8)" : "clip_value(max=7)") != NULL);
    CHECK_OK(rvn_optimizer_prepare(opt));
  }
  rvn_optimizer_destroy(opt);
}

/* A schedule moves with the steps, get shows the next one's value, and set ends it. */
static void schedule_in_use(void) {
  rvn_optimizer *opt = create("sgd(linear(1, 0, steps=4))");
  float p[1] = {0}, g[1] = {1};
  double x;
  rvn_step_report r = {sizeof r, 0, 0, 0, 0, 0, 0, 0, 0};
  int i;
  NOTE("schedule in use");
  CHECK_OK(add(opt, "w", p, g, 1));
  for (i = 0; i < 3; i++) {
    CHECK_OK(rvn_optimizer_get(opt, "lr", &x));
    CHECK(x == 1 - 0.25 * i);
    CHECK_OK(rvn_optimizer_step(opt, NULL, &r));
    CHECK(r.lr == 1 - 0.25 * i && r.step == (uint64_t)i + 1);
  }
  CHECK(p[0] == -2.25f);
  CHECK_OK(rvn_optimizer_set(opt, "lr", 8));
  CHECK_OK(rvn_optimizer_step(opt, NULL, &r));
  CHECK(p[0] == -10.25f && r.lr == 8);
  rvn_optimizer_destroy(opt);
}

int main(void) {
  every_entry();
  round_trips();
  spelling();
  values();
  setting();
  schedule_in_use();
  return finish();
}
