/* The n-th allocation fails, for every n, in every function of a handle: a status, nothing changed,
 * nothing lost, and the same call then succeeds. */
#define _GNU_SOURCE
#include <unistd.h>

#include "failing.h"

enum { TENSORS = 12, N = 70 };

static failing host;
static rvn_optimizer *opt;
static float data[TENSORS][N], grads[TENSORS][N], canary[N];
static char names[TENSORS][256], text[1 << 17], path[64], other_path[64];
static const char *recipe =
    "finite_guard | clip_value(3) | clip_norm(cosine(5, steps=9)) | adamw(warmup(multistep(0.1, "
    "at=(2, 3)), steps=2), moments=8bit) | master; *0: lr=x0.5, clip_value.max=2; *1*, @rank=7?: "
    "lamb(0.1, moments=bf16); *2: frozen";

typedef struct sight {
  float data[TENSORS][N], m[N];
  double lr, t;
  char recipe[1 << 17];
} sight;

static void look(sight *s) {
  failing before = host;
  memset(s, 0, sizeof *s);
  host.fail_at = 0;
  memcpy(s->data, data, sizeof data);
  if (opt) {
    CHECK_OK(rvn_optimizer_recipe(opt, s->recipe, sizeof s->recipe, NULL));
    CHECK_OK(rvn_optimizer_get(opt, "lr", &s->lr));
    if (rvn_optimizer_read(opt, 3, "m", RVN_F32, s->m, N) == RVN_OK)
      CHECK_OK(rvn_optimizer_read(opt, 3, "step", RVN_F64, &s->t, 1));
  }
  host.calls = before.calls, host.fail_at = before.fail_at, host.failures = before.failures;
}

/* ---- the calls, one function each ---- */

static rvn_status do_create(void) {
  rvn_options o;
  memset(&o, 0, sizeof o);
  o.struct_size = sizeof o, o.allocate = failing_allocate, o.deallocate = failing_deallocate;
  o.allocator_user = &host, o.threads = 2;
  return rvn_optimizer_create_with(recipe, &o, &opt);
}
static int adding;
static rvn_status do_add(void) {
  return add(opt, names[adding], data[adding], grads[adding], N);
}
static rvn_status do_override(void) { return rvn_optimizer_override(opt, "*3*, x?", "lr=0.5, beta1=0.8"); }
static rvn_status do_override_rule(void) { return rvn_optimizer_override(opt, "*4", "sgd(lr=x2, momentum=0.5)"); }
static rvn_status do_freeze(void) { return rvn_optimizer_override(opt, "*5", "frozen"); }
static rvn_status do_prepare(void) { return rvn_optimizer_prepare(opt); }
static rvn_status do_step(void) {
  rvn_step_report r;
  r.struct_size = sizeof r;
  return rvn_optimizer_step(opt, NULL, &r);
}
static rvn_status do_plan(void) {
  rvn_status s;
  memset(text, 0x5a, 64);
  s = rvn_optimizer_plan(opt, text, sizeof text, NULL);
  if (s != RVN_OK) CHECK(text[0] == 0x5a);
  return s;
}
static rvn_status do_recipe(void) {
  rvn_status s;
  memset(text, 0x5a, 64);
  s = rvn_optimizer_recipe(opt, text, sizeof text, NULL);
  if (s != RVN_OK) CHECK(text[0] == 0x5a);
  return s;
}
static rvn_status do_slots(void) { return rvn_optimizer_slots(opt, 3, text, sizeof text, NULL); }
static rvn_status do_slot_shape(void) {
  int64_t shape = -1;
  rvn_status s = rvn_optimizer_slot_shape(opt, 3, "m", &shape, 1);
  CHECK(shape == (s == RVN_OK ? N : -1));
  return s;
}
static rvn_status do_get(void) {
  double x = -1;
  rvn_status s = rvn_optimizer_get(opt, "lr", &x);
  CHECK(s == RVN_OK ? x >= 0 : x == -1);
  return s;
}
static rvn_status do_get_one(void) {
  double x;
  return rvn_optimizer_get(opt, "*3:beta1", &x);
}
static rvn_status do_set(void) { return rvn_optimizer_set(opt, "weight_decay", 0.25); }
static rvn_status do_set_one(void) { return rvn_optimizer_set(opt, "*7:lr", 0.75); }
static rvn_status do_set_all(void) { return rvn_optimizer_set(opt, "*:lr", 0.75); }
static rvn_status do_read(void) {
  float m[N];
  rvn_status s;
  memset(m, 0x5a, sizeof m), memcpy(canary, m, sizeof m);
  s = rvn_optimizer_read(opt, 3, "m", RVN_F32, m, N);
  if (s != RVN_OK) CHECK(memcmp(m, canary, sizeof m) == 0);
  return s;
}
static rvn_status do_write(void) { return rvn_optimizer_write(opt, 6, "m", RVN_F32, grads[6], N); }
static rvn_status do_bind(void) { return rvn_optimizer_bind(opt, 1, data[1], grads[1]); }
static rvn_status do_save(void) { return rvn_optimizer_save(opt, path); }
static rvn_status do_load(void) { return rvn_optimizer_load(opt, path); }
static rvn_status do_load_partial(void) {
  rvn_load_options o = {sizeof o, 1, 1, 1, 0};
  return rvn_optimizer_load_with(opt, other_path, &o, text, sizeof text, NULL);
}

/* Runs a call with the n-th allocation failing, for n = 1, 1 + stride..., until it has enough. */
static void call(const char *name, rvn_status (*f)(void), long stride) {
  long n;
  for (n = 1;; n += stride) {
    static sight before, after;
    rvn_status status;
    NOTE("%s, allocation %ld fails%s", name, n, host.for_good ? " and all after it" : "");
    look(&before);
    host.calls = 0, host.failures = 0, host.fail_at = n;
    status = f();
    host.fail_at = 0;
    if (host.failures == 0) {
      CHECK_STATUS(status, RVN_OK);
      return;
    }
    CHECK_STATUS(status, RVN_ERR_MEMORY);
    if (status == RVN_OK) return; /* said above; going on would do it twice */
    CHECK_SAYS("memory");
    if (f == do_create) CHECK(opt == NULL);
    look(&after);
    CHECK_BYTES(&before, &after, sizeof before);
  }
}

static void another_file(void) {
  rvn_optimizer *other = create("adamw(1)");
  static float p[N], q[N];
  CHECK_OK(add(other, names[0], p, p, N));
  CHECK_OK(add(other, names[6], q, q, N - 1)); /* another shape */
  CHECK_OK(add(other, "extra", q, q, N));
  CHECK_OK(rvn_optimizer_prepare(other));
  CHECK_OK(rvn_optimizer_save(other, other_path));
  rvn_optimizer_destroy(other);
}

/* Everything once; the bytes at the end go to `result`. */
static void scenario(long stride, int for_good, int fails, float result[TENSORS][N]) {
#define CALL(f) (fails ? call(#f, f, stride) : (void)CHECK_OK(f()))
  int i;
  (void)failing_options(&host, 0);
  host.for_good = for_good;
  random_state = 5;
  fill_random(data[0], TENSORS * N, 1), fill_random(grads[0], TENSORS * N, 1);
  opt = NULL;
  CALL(do_create);
  for (adding = 0; adding < TENSORS; adding++) CALL(do_add);
  CALL(do_override), CALL(do_override_rule), CALL(do_set), CALL(do_set_one);
  CALL(do_plan), CALL(do_recipe), CALL(do_get), CALL(do_get_one);
  CALL(do_prepare);
  for (i = 0; i < 3; i++) CALL(do_step);
  CALL(do_plan), CALL(do_recipe), CALL(do_get), CALL(do_get_one), CALL(do_slots), CALL(do_slot_shape);
  CALL(do_set), CALL(do_set_one), CALL(do_override), CALL(do_freeze), CALL(do_bind);
  CALL(do_read), CALL(do_write);
  CALL(do_save), CALL(do_step), CALL(do_load), CALL(do_step), CALL(do_load_partial), CALL(do_step);
  memcpy(result, data, sizeof data);
  rvn_optimizer_destroy(opt);
  NOTE("%s", "");
  failing_done(&host);

  opt = NULL; /* the first step makes the plan; save and load, too */
  memcpy(data, result, sizeof data);
  CALL(do_create);
  for (adding = 0; adding < TENSORS; adding++) CHECK_OK(do_add());
  CALL(do_step);
  rvn_optimizer_destroy(opt);
  failing_done(&host);
#undef CALL
}

/* A call that fails for another reason keeps nothing either: the hundredth holds no more memory
 * than the first. */
static rvn_status bad_create(void) {
  const char *good = recipe;
  rvn_status status;
  recipe = "clip_norm(1) | adamw(multistep(1, at=(2, 3)), beta1=3)";
  status = do_create();
  recipe = good;
  return status;
}
static rvn_status bad_add(void) { return add(opt, "w", data[0], NULL, N); }
static rvn_status bad_step(void) { return rvn_optimizer_step(opt, NULL, NULL); }
static rvn_status bad_override(void) { return rvn_optimizer_override(opt, "v", "adamw(1)"); }
static rvn_status bad_rule(void) { return rvn_optimizer_override(opt, "w", "adamw(1, beta=2)"); }
static rvn_status bad_set(void) { return rvn_optimizer_set(opt, "w:lr", -1); }
static rvn_status bad_get(void) { return rvn_optimizer_get(opt, "w:rl", &(double){0}); }
static rvn_status bad_load(void) { return rvn_optimizer_load(opt, "/dev/null"); }
static rvn_status bad_match(void) { return rvn_optimizer_load(opt, other_path); }
static rvn_status bad_save(void) { return rvn_optimizer_save(opt, "/no/such/folder/file"); }

static void keeps_nothing(const char *name, rvn_status (*f)(void)) {
  long first = 0;
  int i;
  NOTE("%s", name);
  for (i = 0; i < 100; i++) {
    CHECK(f() != RVN_OK);
    if (i == 0) first = host.live;
  }
  CHECK(host.live == first);
}

static void failing_calls(void) {
  (void)failing_options(&host, 0);
  opt = NULL;
  keeps_nothing("create", bad_create);
  recipe = "sgd(linear(1, -1, steps=1)); nothing: lr=2";
  CHECK_OK(do_create());
  CHECK_OK(add(opt, "w", data[0], grads[0], N));
  keeps_nothing("add", bad_add), keeps_nothing("prepare", do_prepare), keeps_nothing("plan", do_plan);
  rvn_optimizer_destroy(opt);
  failing_done(&host);
  recipe = "sgd(linear(1, -1, steps=1))";
  CHECK_OK(do_create());
  CHECK_OK(add(opt, "w", data[0], grads[0], N));
  CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
  keeps_nothing("step", bad_step), keeps_nothing("override", bad_override);
  keeps_nothing("override by a rule", bad_rule);
  keeps_nothing("set", bad_set), keeps_nothing("get", bad_get), keeps_nothing("load", bad_load);
  keeps_nothing("load another", bad_match), keeps_nothing("save", bad_save);
  rvn_optimizer_destroy(opt);
  failing_done(&host);
}

/* Text and models near the limits, all memory gone from some point on: the small objects of the
 * unwinding come from the reserve, which must last. */
static void large(void) {
  static const char *pieces[] = {"; a: lr=1", "; *a*, b?, c?: lr=x0.5, beta1=0.5", ", 1e10, 2e10"};
  char *big = malloc(70000);
  long few = quick() ? 2999 : 97, many = quick() ? 29989 : 997;
  int k;
  for (k = 0; k < 3; k++) {
    size_t used = (size_t)sprintf(big, "%s", k < 2 ? "adamw(1)" : "adamw(multistep(1, at=(1");
    long i, count = k == 0 ? 1020 : k == 1 ? 1000 : 1;
    for (i = 0; i < count; i++) used += (size_t)sprintf(big + used, "%s", pieces[k]);
    for (i = 2; k == 2 && i < 4000; i++) used += (size_t)sprintf(big + used, ", %ld", i);
    if (k == 2) used += (size_t)sprintf(big + used, ")))");
    if (k == 2) memcpy(strstr(big, "(1, 1e10, 2e10"), "(0.1,0.2,  0.3", 14);
    recipe = big;
    for (host.for_good = 0; host.for_good < 2; host.for_good++) {
      int good = host.for_good;
      opt = NULL;
      call("large create", do_create, few);
      if (opt) {
        adding = 0;
        CHECK_OK(add(opt, "a", data[0], grads[0], N));
        call("large get", do_get, few), call("large plan", do_plan, many), call("large step", do_step, few);
        call("large set", do_set, many), call("large save", do_save, many), call("large load", do_load, many);
        call("large set for all", do_set_all, many);
      }
      rvn_optimizer_destroy(opt);
      failing_done(&host);
      host.for_good = good;
    }
  }
  free(big);
}

int main(void) {
  static float wanted[TENSORS][N], got[TENSORS][N];
  char folder[] = "/tmp/ravine-memory-XXXXXX";
  int i;
  if (!CHECK(mkdtemp(folder) != NULL)) return finish();
  snprintf(path, sizeof path, "%s/file", folder), snprintf(other_path, sizeof other_path, "%s/other", folder);
  for (i = 0; i < TENSORS; i++) {
    memset(names[i], 'x', 240);
    snprintf(names[i] + 240, 8, "%d", i);
  }
  another_file();
  scenario(1, 0, 0, wanted);
  scenario(quick() ? 41 : 1, 0, 1, got);
  CHECK_BYTES(got, wanted, sizeof got);
  scenario(quick() ? 41 : 1, 1, 1, got);
  CHECK_BYTES(got, wanted, sizeof got);
  failing_calls();
  large();
  remove(path), remove(other_path), rmdir(folder);
  return finish();
}
