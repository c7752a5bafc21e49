/* Hosts run the library on fibers and threads with 32 KB of stack; a quarter of it is theirs. */
#define _GNU_SOURCE
#include <limits.h>
#include <pthread.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "fixture.h"

enum { ALLOWED = 24 << 10, STACK = 128 << 10, N = 3000 };
static ucontext_t host, fiber;
static unsigned char *stack;
static void (*body)(void);

static void enter(void) { body(); }

/* Runs f on a painted stack with a guard page under it; how many bytes it used. */
static size_t on_fiber(void (*f)(void)) {
  size_t untouched = 0;
  memset(stack, 0xa5, STACK);
  body = f;
  CHECK(getcontext(&fiber) == 0);
  fiber.uc_stack.ss_sp = stack, fiber.uc_stack.ss_size = STACK, fiber.uc_link = &host;
  makecontext(&fiber, enter, 0);
  CHECK(swapcontext(&host, &fiber) == 0);
  while (untouched < STACK && stack[untouched] == 0xa5) untouched++;
  return STACK - untouched;
}

/* What the functions work on; static, so that the stack is the library's. */
static rvn_optimizer *opt;
static rvn_schedule *schedule;
static float w[N], g[N], m[N];
static double d[N], values[100];
static uint16_t h[N];
static char text[1 << 15], path[64];
static rvn_step_report report;
static rvn_load_options how = {sizeof how, 1, 1, 1, 0};
static rvn_status status;
static size_t needed;
static rvn_options options;
static const char *recipe =
    "finite_guard | clip_value(3) | clip_norm(cosine(5, steps=9)) | clip_norm(2, p=inf) | "
    "adamw(plateau(warmup(warmup(warmup(warmup(warmup(warmup(warmup("
    "multistep(0.1, at=(2, 3)), 2), 2), 2), 2), 2), 2), 2))); "
    "h: lr=x0.5, clip_value.max=2; \"d\", @rank=7?: lamb(lr=x0.1); m: muon(0.1)";
/* As deep as the parser goes before it says no. */
static const char *broken =
    "clip_norm(warmup(warmup(warmup(warmup(warmup(warmup(warmup(warmup(warmup(warmup(warmup(warmup("
    "warmup(warmup(warmup(warmup(warmup(warmup(warmup(cosinus(1, 2)";

static void f_create(void) { status = rvn_optimizer_create_with(recipe, &options, &opt); }
static void f_broken(void) { status = rvn_optimizer_create(broken, &(rvn_optimizer *){NULL}) == RVN_ERR_RECIPE ? RVN_OK : 1; }
static void f_add(void) {
  static const int64_t shape[] = {N / 50, 50};
  static const rvn_tensor matrix = {sizeof matrix, "m", m, g, RVN_F32, 0, 2, 0, shape};
  status = add(opt, "w", w, g, N);
  if (status == RVN_OK) status = add_typed(opt, "d", d, g, N, RVN_F64, RVN_F32);
  if (status == RVN_OK) status = add_typed(opt, "h", h, g, N, RVN_BF16, RVN_F32);
  if (status == RVN_OK) status = rvn_optimizer_add(opt, &matrix, NULL);
}
static void f_taken(void) { status = add(opt, "w", w, g, N) == RVN_ERR_NAME ? RVN_OK : 1; }
static void f_plan(void) { status = rvn_optimizer_plan(opt, text, sizeof text, &needed); }
static void f_prepare(void) { status = rvn_optimizer_prepare(opt); }
static void f_step(void) { status = rvn_optimizer_step(opt, NULL, NULL); }
static void f_metric(void) { status = rvn_optimizer_metric(opt, 1, NULL); }
static rvn_status f_one(void *user, double rate, double *loss) {
  (void)user, (void)rate;
  *loss = 1;
  return rvn_optimizer_step(opt, NULL, NULL);
}
static void f_range(void) {
  static rvn_range_result result = {sizeof result, NULL, NULL, NULL, 0, {0, 0, 0}, {0, 0, 0}, {0, 0, 0}, 0, 0};
  static const rvn_range_options few = {sizeof few, 0, 0, 3, 0, 0, 0, 0};
  status = rvn_range_test(opt, f_one, NULL, &few, &result);
}
static void f_report(void) { report.struct_size = sizeof report, status = rvn_optimizer_step(opt, NULL, &report); }
static const int64_t rows[] = {3, 1, 3};
static void f_rows(void) { status = rvn_optimizer_step_rows(opt, 0, rows, 3, g, &report); }
static void f_tensor(void) { report.struct_size = sizeof report, status = rvn_optimizer_step_tensor(opt, 0, g, &report); }
static void f_curved(void) { status = rvn_optimizer_override(opt, "w", "sophia"); }
static void f_probe(void) { status = rvn_optimizer_probe(opt, 0, RVN_F64, d, N); }
static void f_curvature(void) {
  const void *products[] = {g, NULL, NULL, NULL};
  rvn_curvature_input in = {sizeof in, products, NULL, 4};
  status = rvn_optimizer_curvature(opt, &in);
}
static void f_grow(void) { status = rvn_optimizer_override(opt, "w", "amsgrad=1"); }
static void f_remove(void) { status = rvn_optimizer_remove(opt, 0); }
static void f_override(void) { status = rvn_optimizer_override(opt, "w, @size>5", "lr=cosine(1, 2, 3)"); }
static void f_set(void) { status = rvn_optimizer_set(opt, "h:clip_value.max", 2); }
static void f_get(void) { status = rvn_optimizer_get(opt, "h:lr", values); }
static void f_recipe(void) { status = rvn_optimizer_recipe(opt, text, sizeof text, &needed); }
static void f_bind(void) { status = rvn_optimizer_bind(opt, 0, w, g); }
static void f_read(void) { status = rvn_optimizer_read(opt, 0, "m", RVN_F64, d, N); }
static void f_write(void) { status = rvn_optimizer_write(opt, 0, "m", RVN_F16, h, N); }
static void f_slots(void) { status = rvn_optimizer_slots(opt, 0, text, sizeof text, &needed); }
static void f_slot_shape(void) { int64_t n; status = rvn_optimizer_slot_shape(opt, 0, "m", &n, 1); }
static void f_save(void) { status = rvn_optimizer_save(opt, path); }
static void f_load(void) { status = rvn_optimizer_load(opt, path); }
static void f_load_with(void) { status = rvn_optimizer_load_with(opt, path, &how, text, sizeof text, &needed); }
static void f_no_file(void) { status = rvn_optimizer_load(opt, "/no/such/file") == RVN_ERR_IO ? RVN_OK : 1; }
static void f_schedule(void) { status = rvn_schedule_create("warmup(exponential(1, factor=0.9), steps=3)", &schedule); }
static void f_values(void) { status = rvn_schedule_values(schedule, 0, 100, values); }
static void f_form(void) { status = rvn_schedule_recipe(schedule, text, sizeof text, &needed); }
static rvn_monitor *monitor;
static rvn_statistics statistics;
static void f_monitor(void) { status = rvn_monitor_create(&options, &monitor); }
static void f_record(void) {
  static const int64_t shape[] = {N / 10, 10};
  rvn_record r = {sizeof r, "w", w, shape, RVN_F32, 2, RVN_KIND_ACTIVATION, 0, 1, 2};
  status = rvn_monitor_record(monitor, &r);
}
static void f_end_step(void) { double loss = 1; status = rvn_monitor_end_step(monitor, &loss); }
static void f_health(void) { status = rvn_monitor_report(monitor, text, sizeof text, &needed); }
static void f_json(void) { status = rvn_monitor_report_json(monitor, text, sizeof text, &needed); }
static void f_limit(void) { status = rvn_monitor_set(monitor, "dead.warn", 0.5); }
static void f_statistics(void) {
  statistics.struct_size = sizeof statistics;
  status = rvn_monitor_statistics(monitor, "w", RVN_KIND_ACTIVATION, &statistics);
}
static void f_forget(void) { rvn_monitor_destroy(monitor); }
static void f_release(void) { rvn_schedule_destroy(schedule); }
static void f_entry(void) { rvn_entry e; e.struct_size = sizeof e, status = rvn_catalog_entry(0, &e); }
static void f_parameter(void) { rvn_parameter p; p.struct_size = sizeof p, status = rvn_catalog_parameter(0, 0, &p); }
static void f_slot(void) { rvn_slot s; s.struct_size = sizeof s, status = rvn_catalog_slot(0, 0, &s); }
static void f_destroy(void) { rvn_optimizer_destroy(opt); }
static void f_shutdown(void) { rvn_shutdown(); }

/* A thread with as little: from its stack come its thread-locals, too. */
static void *small_thread(void *unused) {
  (void)unused;
  f_create(), f_add(), f_step(), f_report(), f_save(), f_load(), f_plan(), f_destroy();
  return NULL;
}
static void on_thread(void) {
  pthread_attr_t attributes;
  pthread_t thread;
  size_t size = ALLOWED;
  CHECK(pthread_attr_init(&attributes) == 0);
  while (size < 32 << 10 || pthread_attr_setstacksize(&attributes, size) != 0 ||
         pthread_create(&thread, &attributes, small_thread, NULL) != 0) {
    if (!CHECK(size < STACK)) return;
    size += 4096; /* the system wants more for a thread at all */
  }
  CHECK(pthread_join(thread, NULL) == 0);
  CHECK_STATUS(status, RVN_OK);
  pthread_attr_destroy(&attributes);
  printf("a thread of %lu bytes, ", (unsigned long)size);
}

int main(void) {
#define F(name) {#name, f_##name}
  static const struct { const char *name; void (*f)(void); } calls[] = {
      F(entry), F(parameter), F(slot), F(broken), F(create), F(add), F(taken), F(plan), F(override),
      F(set), F(prepare), F(step), F(metric), F(report), F(range), F(plan), F(set), F(get), F(recipe), F(bind), F(read),
      F(write), F(slots), F(slot_shape), F(save), F(load), F(load_with), F(no_file), F(override), F(step),
      F(tensor), F(rows), F(grow), F(step), F(curved), F(probe), F(curvature), F(step), F(remove), F(step), F(schedule),
      F(values), F(form), F(release), F(monitor), F(record), F(end_step), F(health), F(json), F(limit),
      F(statistics), F(forget), F(destroy), F(shutdown)};
  unsigned char *memory = mmap(NULL, STACK + 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  size_t i, most = 0, page = (size_t)sysconf(_SC_PAGESIZE);
  int threads, file;
#if defined(ADDRESS_SANITIZER) || defined(THREAD_SANITIZER)
  printf("sanitizers use stacks of their own size: skipped  ");
  return finish();
#endif
  if (!CHECK(memory != MAP_FAILED && mprotect(memory, page, PROT_NONE) == 0)) return finish();
  stack = memory + page;
  strcpy(path, "/tmp/ravine-stack-XXXXXX");
  file = mkstemp(path);
  close(file);
  options.struct_size = sizeof options;
  for (threads = 1; threads <= 2; threads++) { /* the first round also makes the catalog */
    options.threads = threads;
    for (i = 0; i < sizeof calls / sizeof *calls; i++) {
      size_t used;
      NOTE("%s with %d threads", calls[i].name, threads);
      status = RVN_OK;
      used = on_fiber(calls[i].f);
      CHECK_STATUS(status, RVN_OK);
      if (used > most) most = used;
      NOTE("%s with %d threads takes %lu bytes of stack", calls[i].name, threads, (unsigned long)used);
      CHECK(used <= ALLOWED);
    }
  }
  NOTE("%s", "");
  on_thread();
  remove(path);
  printf("up to %lu bytes of stack, ", (unsigned long)most);
  return finish();
}
