/* Tensors come and go, and state changes, while training: the others go on as if nothing was. */
#define _GNU_SOURCE
#include <unistd.h>

#include "failing.h"

enum { N = 5000, SMALL = 7 };

static float a[N], b[N], c[N], x[N], y[N], z[N], g[4][N];
static failing host;
static char path[64];

static rvn_optimizer *make(const char *recipe) {
  rvn_options o = failing_options(&host, 1);
  rvn_optimizer *opt = NULL;
  check_status(rvn_optimizer_create_with(recipe, &o, &opt), RVN_OK, recipe, __FILE__, __LINE__);
  return opt;
}

static void step(rvn_optimizer *opt, size_t count, const void *g0, const void *g1, const void *g2) {
  const void *grads[] = {g0, g1, g2, NULL, NULL};
  rvn_step_input in = {sizeof in, grads, count, 0, 0, 0};
  CHECK_OK(rvn_optimizer_step(opt, &in, NULL));
}

static double steps(rvn_optimizer *opt, size_t i) {
  double t = -1;
  CHECK_OK(rvn_optimizer_read(opt, i, "step", RVN_F64, &t, 1));
  return t;
}

static const char *slots(rvn_optimizer *opt, size_t i) {
  static char text[256];
  text[0] = 0;
  CHECK_OK(rvn_optimizer_slots(opt, i, text, sizeof text, NULL));
  return text;
}

/* An added tensor starts at step 0, beside one that goes on: as two optimizers would. */
static void adding(int64_t n) {
  rvn_optimizer *opt = make("adamw(0.1); late*?: lr=0.2"), *one = create("adamw(0.1)"), *two = create("adamw(0.2)");
  char text[64];
  size_t index = 77;
  int64_t shape = n;
  rvn_tensor t = {sizeof t, "late", b, NULL, RVN_F32, 0, 1, 0, &shape};
  int s;
  NOTE("adding %d", (int)n);
  fill_random(a, N, 1), memcpy(x, a, sizeof a), fill_random(b, N, 1), memcpy(y, b, sizeof b);
  CHECK_OK(add(opt, "w", a, NULL, n)), CHECK_OK(add(one, "w", x, NULL, n)), CHECK_OK(add(two, "late", y, NULL, n));
  for (s = 0; s < 3; s++) step(opt, 1, g[s], NULL, NULL), step(one, 1, g[s], NULL, NULL);
  CHECK_OK(rvn_optimizer_add(opt, &t, &index)), CHECK(index == 1);
  CHECK_STATUS(add(opt, "late", c, NULL, n), RVN_ERR_NAME);
  CHECK_STATUS(rvn_optimizer_slots(opt, 1, text, sizeof text, NULL), RVN_ERR_STATE), CHECK_SAYS("prepare");
  CHECK_STATUS(rvn_optimizer_read(opt, 1, "m", RVN_F32, z, (size_t)n), RVN_ERR_STATE);
  CHECK(strcmp(slots(opt, 0), "m,v") == 0 && steps(opt, 0) == 3);
  for (s = 0; s < 3; s++)
    step(opt, 2, g[s], g[s + 1], NULL), step(one, 1, g[s], NULL, NULL), step(two, 1, g[s + 1], NULL, NULL);
  CHECK_BYTES(a, x, sizeof a), CHECK_BYTES(b, y, sizeof b);
  CHECK(steps(opt, 0) == 6 && steps(opt, 1) == 3);
  rvn_optimizer_destroy(opt), rvn_optimizer_destroy(one), rvn_optimizer_destroy(two);
  failing_done(&host);
}

/* A removed one is left alone, its index stays empty, its name is free, its memory goes. */
static void removing(void) {
  rvn_optimizer *opt = make("adamw(0.1); head: lr=0.5"), *other = create("adamw(0.1)");
  const void *wrong[] = {g[0], g[1], g[2]};
  rvn_step_input in = {sizeof in, wrong, 3, 0, 0, 0};
  char text[4096];
  double lr;
  long before;
  int s;
  NOTE("removing");
  fill_random(a, N, 1), memcpy(x, a, sizeof a), fill_random(b, N, 1), fill_random(c, N, 1), memcpy(z, c, sizeof c);
  CHECK_OK(add(opt, "w", a, NULL, N)), CHECK_OK(add(opt, "head", b, NULL, N)), CHECK_OK(add(opt, "v", c, g[3], N));
  CHECK_OK(add(other, "w", x, NULL, N)), CHECK_OK(add(other, "v", z, NULL, N));
  step(opt, 3, g[0], g[1], g[2]), step(other, 2, g[0], g[2], NULL);
  before = host.live, memcpy(y, b, sizeof b);
  CHECK_OK(rvn_optimizer_remove(opt, 1));
  CHECK(host.live == before - 3); /* m, v and the name */
  CHECK_STATUS(rvn_optimizer_remove(opt, 1), RVN_ERR_ARGUMENT), CHECK_SAYS("was removed");
  CHECK_STATUS(rvn_optimizer_remove(opt, 3), RVN_ERR_ARGUMENT);
  CHECK_STATUS(rvn_optimizer_remove(NULL, 0), RVN_ERR_ARGUMENT);
  CHECK_STATUS(rvn_optimizer_bind(opt, 1, b, NULL), RVN_ERR_ARGUMENT);
  CHECK_STATUS(rvn_optimizer_slots(opt, 1, text, sizeof text, NULL), RVN_ERR_ARGUMENT);
  CHECK_STATUS(rvn_optimizer_step_tensor(opt, 1, g[0], NULL), RVN_ERR_ARGUMENT);
  CHECK_STATUS(rvn_optimizer_step(opt, &in, NULL), RVN_ERR_ARGUMENT), CHECK_SAYS("grads[1]");
  for (s = 0; s < 2; s++) step(opt, 3, g[1], NULL, g[3]), step(other, 2, g[1], g[3], NULL);
  CHECK_BYTES(a, x, sizeof a), CHECK_BYTES(c, z, sizeof c), CHECK_BYTES(b, y, sizeof b);
  CHECK_OK(rvn_optimizer_plan(opt, text, sizeof text, NULL));
  CHECK(strstr(text, "head F32") == NULL && strstr(text, "2 tensors, 10000 parameters") != NULL);
  CHECK_STATUS(rvn_optimizer_get(opt, "head:lr", &lr), RVN_ERR_NAME);
  /* The name again, with another shape: the clause holds for it. */
  CHECK_OK(add(opt, "head", b, NULL, SMALL));
  CHECK_OK(rvn_optimizer_get(opt, "head:lr", &lr)), CHECK(lr == 0.5);
  step(opt, 4, g[0], NULL, NULL);
  CHECK(strcmp(slots(opt, 3), "m,v") == 0 && steps(opt, 3) == 0 && steps(opt, 0) == 4);
  /* Until none is left, and from there on anew. */
  CHECK_OK(rvn_optimizer_remove(opt, 0)), CHECK_OK(rvn_optimizer_remove(opt, 3)), CHECK_OK(rvn_optimizer_remove(opt, 2));
  CHECK_STATUS(rvn_optimizer_step(opt, NULL, NULL), RVN_ERR_STATE);
  CHECK_STATUS(rvn_optimizer_prepare(opt), RVN_ERR_STATE);
  CHECK_STATUS(rvn_optimizer_save(opt, path), RVN_ERR_STATE);
  CHECK_OK(add(opt, "head", b, g[0], N));
  CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
  CHECK(steps(opt, 4) == 1);
  rvn_optimizer_destroy(opt), rvn_optimizer_destroy(other);
  failing_done(&host);
}

/* A hundred come and go: memory does not grow, but for a line in the table of tensors. */
static void many(void) {
  rvn_optimizer *opt = make("adam(0.1)");
  long live = 0;
  size_t i;
  NOTE("many");
  CHECK_OK(add(opt, "w", a, g[0], N));
  for (i = 1; i <= 100; i++) {
    CHECK_OK(add(opt, "guest", b, g[1], i % 2 ? N : SMALL));
    CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
    CHECK_OK(rvn_optimizer_remove(opt, i));
    CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
    if (i == 4) live = host.live;
  }
  CHECK(host.live == live);
  rvn_optimizer_destroy(opt);
  failing_done(&host);
}

/* Changes of state: what fits stays, the rest begins anew. */
static void changes(int64_t n) {
  rvn_optimizer *opt = make("rmsprop(0.1) | ema(0.9); e: frozen"), *ref = create("rmsprop(0.1) | ema(0.9)");
  static float v[N], w[N];
  long live;
  int s;
  NOTE("changes, %d", (int)n);
  fill_random(a, N, 1), memcpy(x, a, sizeof a), fill_random(b, N, 1), memcpy(y, b, sizeof b);
  CHECK_OK(add(opt, "w", a, NULL, n)), CHECK_OK(add(opt, "e", b, NULL, n)), CHECK_OK(add(ref, "w", x, NULL, n));
  for (s = 0; s < 3; s++) step(opt, 2, g[s], g[s], NULL), step(ref, 1, g[s], NULL, NULL);
  CHECK_BYTES(b, y, sizeof b);
  live = host.live;
  CHECK_OK(rvn_optimizer_set(opt, "momentum", 0.9));
  CHECK(strcmp(slots(opt, 0), "v,m,ema") == 0 && steps(opt, 0) == 3);
  CHECK_OK(rvn_optimizer_read(opt, 0, "v", RVN_F32, v, (size_t)n)), CHECK_OK(rvn_optimizer_read(ref, 0, "v", RVN_F32, w, (size_t)n));
  CHECK_BYTES(v, w, sizeof v);
  CHECK_OK(rvn_optimizer_read(opt, 0, "m", RVN_F32, v, (size_t)n)), memset(w, 0, sizeof w);
  CHECK_BYTES(v, w, (size_t)n * 4);
  CHECK_OK(rvn_optimizer_set(opt, "momentum", 0));
  CHECK(strcmp(slots(opt, 0), "v,ema") == 0 && host.live <= live);
  for (s = 0; s < 3; s++) step(opt, 2, g[s], NULL, NULL), step(ref, 1, g[s], NULL, NULL);
  CHECK_BYTES(a, x, sizeof a);
  /* Thawed by a rule, as a new tensor. */
  CHECK_OK(rvn_optimizer_override(opt, "e", "lr=0.5")), CHECK(strcmp(slots(opt, 1), "") == 0);
  CHECK_OK(rvn_optimizer_override(opt, "e", "rmsprop(0.1)"));
  CHECK(strcmp(slots(opt, 1), "v,ema") == 0 && steps(opt, 1) == 0 && steps(opt, 0) == 6);
  rvn_optimizer_destroy(ref), ref = create("rmsprop(0.1) | ema(0.9)");
  CHECK_OK(add(ref, "e", y, NULL, n));
  for (s = 0; s < 3; s++) step(opt, 2, NULL, g[s], NULL), step(ref, 1, g[s], NULL, NULL);
  CHECK_BYTES(b, y, sizeof b);
  /* Another rule begins anew; frozen keeps no state. */
  CHECK_OK(rvn_optimizer_override(opt, "w", "adam(0.1)"));
  CHECK(strcmp(slots(opt, 0), "m,v,ema") == 0 && steps(opt, 0) == 0 && steps(opt, 1) == 3);
  CHECK_OK(rvn_optimizer_read(opt, 0, "v", RVN_F32, v, (size_t)n));
  CHECK_BYTES(v, w, (size_t)n * 4);
  CHECK_OK(rvn_optimizer_override(opt, "*", "frozen"));
  CHECK(strcmp(slots(opt, 0), "") == 0 && strcmp(slots(opt, 1), "") == 0);
  rvn_optimizer_destroy(opt), rvn_optimizer_destroy(ref);
  failing_done(&host);
  /* What a state starts at is refused, and nothing changes. */
  opt = make("adagrad(0.1)");
  CHECK_OK(add(opt, "w", a, g[0], n)), CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
  CHECK_STATUS(rvn_optimizer_set(opt, "initial_accumulator_value", 1), RVN_ERR_STATE), CHECK_SAYS("'sum'");
  CHECK_STATUS(rvn_optimizer_override(opt, "w", "initial_accumulator_value=1"), RVN_ERR_STATE);
  CHECK_OK(rvn_optimizer_step(opt, NULL, NULL)), CHECK(steps(opt, 0) == 2);
  rvn_optimizer_destroy(opt);
  failing_done(&host);
}

/* After tensors came and went, a checkpoint is that of the tensors that are left. */
static void checkpoints(void) {
  rvn_optimizer *opt = create("adamw(linear(0.1, 0, steps=20)); gone?: lr=1"), *fresh;
  int s;
  NOTE("checkpoints");
  fill_random(a, N, 1), fill_random(b, N, 1), fill_random(c, N, 1);
  CHECK_OK(add(opt, "gone", a, NULL, N)), CHECK_OK(add(opt, "w", b, NULL, N));
  step(opt, 2, g[0], g[1], NULL);
  CHECK_OK(rvn_optimizer_remove(opt, 0)), CHECK_OK(add(opt, "new", c, NULL, SMALL));
  CHECK_OK(rvn_optimizer_save(opt, path)); /* makes the plan anew */
  for (s = 0; s < 3; s++) step(opt, 3, NULL, g[s], g[s]);
  fresh = create("adamw(linear(0.1, 0, steps=20)); gone?: lr=1");
  fill_random(x, N, 1), fill_random(y, N, 1), memcpy(y + SMALL, c + SMALL, sizeof y - SMALL * sizeof *y);
  CHECK_OK(add(fresh, "new", y, NULL, SMALL)), CHECK_OK(add(fresh, "w", x, NULL, N));
  CHECK_OK(rvn_optimizer_load(fresh, path));
  for (s = 0; s < 3; s++) step(fresh, 2, g[s], g[s], NULL);
  CHECK_BYTES(b, x, sizeof b), CHECK_BYTES(c, y, sizeof c);
  CHECK(steps(fresh, 0) == 3 && steps(fresh, 1) == 4);
  /* Loaded into one that lost a tensor itself, and has one more. */
  CHECK_OK(rvn_optimizer_remove(fresh, 0));
  CHECK_STATUS(rvn_optimizer_load(fresh, path), RVN_ERR_MISMATCH), CHECK_SAYS("extra param/new");
  CHECK_OK(add(fresh, "new", y, NULL, SMALL)), CHECK_OK(rvn_optimizer_load(fresh, path));
  for (s = 0; s < 3; s++) step(fresh, 3, NULL, g[s], g[s]);
  CHECK_BYTES(b, x, sizeof b), CHECK_BYTES(c, y, sizeof c);
  rvn_optimizer_destroy(opt), rvn_optimizer_destroy(fresh);
}

/* Within a window of accumulation: who stays keeps what was added, who comes has nothing yet. */
static void windows(void) {
  const char *recipe = "unscale(4) | accumulate(3) | adam(0.1)";
  rvn_optimizer *opt = make(recipe), *one = create(recipe);
  double scale;
  NOTE("windows");
  fill_random(a, N, 1), memcpy(x, a, sizeof a), fill_random(b, N, 1), memcpy(y, b, sizeof b);
  CHECK_OK(add(opt, "gone", c, NULL, N)), CHECK_OK(add(opt, "w", a, NULL, N));
  CHECK_OK(add(one, "w", x, NULL, N));
  CHECK_OK(rvn_optimizer_set(opt, "unscale.scale", 8)), CHECK_OK(rvn_optimizer_set(one, "unscale.scale", 8));
  step(opt, 2, g[0], g[1], NULL), step(one, 1, g[1], NULL, NULL);
  CHECK_OK(rvn_optimizer_set(opt, "unscale.scale", 2)), CHECK_OK(rvn_optimizer_set(one, "unscale.scale", 2));
  CHECK_OK(rvn_optimizer_remove(opt, 0)), CHECK_OK(add(opt, "v", b, NULL, N));
  step(opt, 3, NULL, g[2], g[3]), step(one, 1, g[2], NULL, NULL);
  CHECK_OK(rvn_optimizer_set(opt, "amsgrad", 1)), CHECK_OK(rvn_optimizer_set(one, "amsgrad", 1));
  step(opt, 3, NULL, g[0], g[1]), step(one, 1, g[0], NULL, NULL);
  CHECK_BYTES(a, x, sizeof a), CHECK(memcmp(b, y, sizeof b) != 0);
  CHECK(steps(opt, 1) == 1 && steps(opt, 2) == 1);
  CHECK_OK(rvn_optimizer_get(opt, "unscale.scale", &scale)), CHECK(scale == 2);
  step(opt, 3, NULL, g[0], NULL), step(one, 1, g[0], NULL, NULL);
  CHECK_OK(add(opt, "more", c, NULL, SMALL));
  CHECK_OK(rvn_optimizer_flush(opt, NULL)), CHECK_OK(rvn_optimizer_flush(one, NULL)); /* makes the plan anew */
  CHECK_BYTES(a, x, sizeof a);
  rvn_optimizer_destroy(opt), rvn_optimizer_destroy(one);
  failing_done(&host);
}

/* ---- the n-th allocation fails ---- */

static rvn_optimizer *opt;
static const int64_t rows[] = {4, 2, 4};
static rvn_status do_rows(void) { return rvn_optimizer_step_rows(opt, 0, rows, 3, g[1], NULL); }
static rvn_status do_tensor(void) { return rvn_optimizer_step_tensor(opt, 0, g[1], NULL); }
static rvn_status do_begin(void) { return rvn_optimizer_begin_step(opt); }
static rvn_status do_end(void) { return rvn_optimizer_end_step(opt, NULL); }
static rvn_status do_add(void) { return add(opt, "late", c, g[2], N); }
static rvn_status do_prepare(void) { return rvn_optimizer_prepare(opt); }
static rvn_status do_step(void) { return rvn_optimizer_step(opt, NULL, NULL); }
static rvn_status do_thaw(void) { return rvn_optimizer_override(opt, "e", "adam(0.1, amsgrad=1)"); }
static rvn_status do_grow(void) { return rvn_optimizer_set(opt, "momentum", 0.9); }
static rvn_status do_shrink(void) { return rvn_optimizer_set(opt, "momentum", 0); }
static rvn_status do_freeze(void) { return rvn_optimizer_override(opt, "e", "frozen"); }
static rvn_status do_remove(void) { return rvn_optimizer_remove(opt, 2); }
static rvn_status do_save(void) { return rvn_optimizer_save(opt, path); }
static rvn_status do_load(void) { return rvn_optimizer_load(opt, path); }

typedef struct sight {
  float a[N], b[N], c[N], v[SMALL];
  double t[2];
  char recipe[1024], slots[2][64];
} sight;

static void look(sight *s) {
  failing before = host;
  size_t i;
  memset(s, 0, sizeof *s);
  host.fail_at = 0;
  memcpy(s->a, a, sizeof a), memcpy(s->b, b, sizeof b), memcpy(s->c, c, sizeof c);
  CHECK_OK(rvn_optimizer_recipe(opt, s->recipe, sizeof s->recipe, NULL));
  for (i = 0; i < 2; i++) {
    if (rvn_optimizer_slots(opt, i, s->slots[i], sizeof s->slots[i], NULL) != RVN_OK) continue;
    CHECK_OK(rvn_optimizer_read(opt, i, "step", RVN_F64, &s->t[i], 1));
  }
  (void)rvn_optimizer_read(opt, 0, "v", RVN_F32, s->v, SMALL);
  host.calls = before.calls, host.fail_at = before.fail_at, host.failures = before.failures;
}

static void call(const char *name, rvn_status (*f)(void), int for_good) {
  long n;
  for (n = 1;; n++) {
    static sight before, after;
    rvn_status status;
    NOTE("%s, allocation %ld fails%s", name, n, for_good ? " and all after it" : "");
    look(&before);
    host.for_good = for_good, host.calls = 0, host.failures = 0, host.fail_at = n;
    status = f();
    host.fail_at = 0;
    if (host.failures == 0) {
      CHECK_STATUS(status, RVN_OK);
      return;
    }
    if (!CHECK_STATUS(status, RVN_ERR_MEMORY)) return;
    look(&after);
    CHECK_BYTES(&before, &after, sizeof before);
  }
}

static void failing_allocations(int for_good) {
  long live;
  fill_random(a, N, 1), fill_random(b, N, 1), fill_random(c, N, 1);
  opt = make("rmsprop(0.1); e: frozen");
  CHECK_OK(add(opt, "w", a, g[0], SMALL)), CHECK_OK(add(opt, "e", b, g[0], N));
#define CALL(f) call(#f, f, for_good)
  CALL(do_rows), CALL(do_tensor), CALL(do_begin), CALL(do_rows), CALL(do_end);
  CALL(do_add), CALL(do_prepare), CALL(do_step);
  CALL(do_grow), CALL(do_thaw), CALL(do_step), CALL(do_rows), CALL(do_save), CALL(do_load);
  CALL(do_shrink), CALL(do_freeze), CALL(do_step), CALL(do_remove), CALL(do_step), CALL(do_rows);
  live = host.live;
  host.calls = 0;
  CALL(do_rows), CALL(do_tensor), CALL(do_step);
  CHECK(host.live == live && host.calls == 0); /* steps of what was seen allocate nothing */
#undef CALL
  rvn_optimizer_destroy(opt);
  failing_done(&host);
}

int main(void) {
  char folder[] = "/tmp/ravine-replan-XXXXXX";
  if (!CHECK(mkdtemp(folder) != NULL)) return finish();
  snprintf(path, sizeof path, "%s/file", folder);
  fill_random(g[0], 4 * N, 1);
  adding(SMALL), adding(N);
  removing();
  many();
  changes(SMALL), changes(N);
  checkpoints();
  windows();
  failing_allocations(0), failing_allocations(1);
  remove(path), rmdir(folder);
  return finish();
}
