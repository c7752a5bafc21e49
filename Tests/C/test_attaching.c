/* Attaching a monitor to an optimizer: what joins it, depth, wrong use, ends, memory. */
#include "attached.h"
#include "failing.h"

/* What the host records by name joins what the optimizer tells. */
static void joined(void) {
  rvn_optimizer *opt = model_with("sgd(0.1)", NULL);
  rvn_monitor *m = monitor_with(NULL);
  rvn_record r;
  int64_t shape[2];
  double loss = 5;
  rvn_step_report report;
  shape[0] = A / ROW, shape[1] = ROW;
  memset(&r, 0, sizeof r);
  r.struct_size = sizeof r, r.name = "fc0", r.data = a, r.shape = shape, r.dtype = RVN_F32, r.rank = 2;
  r.kind = RVN_KIND_ACTIVATION, r.depth = 0, r.time = -1;
  CHECK_OK(rvn_monitor_attach(m, opt));
  new_gradients();
  CHECK_OK(rvn_monitor_record(m, &r));
  CHECK_OK(step(opt, 3, NULL));
  /* its own gradient and loss stand */
  r.name = "fc0.weight", r.kind = RVN_KIND_GRADIENT, r.data = a;
  CHECK_OK(rvn_monitor_record(m, &r));
  r.name = "loss", r.kind = RVN_KIND_LOSS, r.data = &loss, r.dtype = RVN_F64, r.rank = 0, r.depth = -1;
  CHECK_OK(rvn_monitor_record(m, &r));
  CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
  CHECK(isfinite(statistics(m, "fc0.weight").mean));
  CHECK_STATUS(rvn_monitor_end_step(m, NULL), RVN_ERR_STATE);
  CHECK_OK(rvn_monitor_report(m, text, sizeof text, NULL));
  CHECK(strstr(text, "after 2 steps") && strstr(text, "loss 3 to 5"));
  /* another tensor of the same name begins anew */
  CHECK_OK(rvn_optimizer_remove(opt, 0));
  CHECK_OK(add_shaped(opt, "fc0.weight", a, ga, 50, 20, RVN_F32));
  report.struct_size = sizeof report;
  CHECK_OK(step(opt, 2, &report));
  CHECK(last(m).step == 3 && near(last(m).grad_norm2, report.grad_norm));
  /* no gradient at all: a step for what the host recorded and the loss, else none */
  CHECK_OK(rvn_optimizer_bind(opt, 1, b, NULL));
  CHECK_OK(rvn_optimizer_bind(opt, 2, a, NULL));
  CHECK_OK(rvn_optimizer_step(opt, NULL, &report));
  CHECK(report.skipped == 3);
  CHECK_OK(rvn_monitor_report(m, text, sizeof text, NULL));
  CHECK(strstr(text, "after 3 steps") != NULL);
  rvn_optimizer_destroy(opt), rvn_monitor_destroy(m);
}

static rvn_status range_step(void *user, double rate, double *loss) {
  (void)rate;
  *loss = 1;
  return rvn_optimizer_step(user, NULL, NULL);
}

static void range_tests_are_left_out(void) {
  rvn_optimizer *opt = model_with("sgd(0.1)", NULL);
  rvn_monitor *m = monitor_with(NULL);
  rvn_range_result result;
  memset(&result, 0, sizeof result);
  result.struct_size = sizeof result;
  new_gradients();
  CHECK_OK(rvn_monitor_attach(m, opt));
  CHECK_OK(rvn_range_test(opt, range_step, opt, NULL, &result));
  CHECK_OK(rvn_monitor_report(m, text, sizeof text, NULL));
  CHECK(strstr(text, "after 0 steps") != NULL);
  CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
  CHECK(last(m).step == 1);
  rvn_optimizer_destroy(opt), rvn_monitor_destroy(m);
}

/* ---- depth ---- */

static void depths(void) {
  static const char *dotted[] = {"embed", "h.0.w", "h.0.b", "h.1.w", "h.1.b", "out"};
  static const int64_t wanted[] = {0, 1, 1, 2, 2, 3};
  static const char *plain[] = {"w1", "b1", "w2", "b2", "scale"};
  static const int64_t layers[] = {0, 0, 1, 1, 1};
  rvn_optimizer *opt = create("sgd(0.1)"), *other = create("sgd(0.1)");
  rvn_monitor *m = monitor_with(NULL), *n = monitor_with(NULL);
  int i;
  CHECK_OK(rvn_monitor_set_depth(m, "h.1.b", 7));
  for (i = 0; i < 6; i++) CHECK_OK(add_shaped(opt, dotted[i], a, ga, 4, 5, RVN_F32));
  for (i = 0; i < 5; i++) CHECK_OK(add_shaped(other, plain[i], a, ga, 4, i % 2 || i == 4 ? 0 : 5, RVN_F32));
  CHECK_OK(rvn_monitor_attach(m, opt));
  CHECK_OK(rvn_monitor_attach(n, other));
  new_gradients();
  CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
  CHECK_OK(rvn_optimizer_step(other, NULL, NULL));
  for (i = 0; i < 6; i++) CHECK(tensor(m, dotted[i]).depth == (i == 4 ? 7 : wanted[i]));
  for (i = 0; i < 5; i++) CHECK(tensor(n, plain[i]).depth == layers[i]);
  CHECK_OK(rvn_monitor_set_depth(m, "out", -1));
  CHECK(tensor(m, "out").depth == -1);
  CHECK_STATUS(rvn_monitor_set_depth(m, "out", -2), RVN_ERR_ARGUMENT), CHECK_SAYS("depth is -2");
  CHECK_STATUS(rvn_monitor_set_depth(m, "out", 1000001), RVN_ERR_ARGUMENT);
  CHECK_STATUS(rvn_monitor_set_depth(m, "", 1), RVN_ERR_NAME);
  CHECK_STATUS(rvn_monitor_set_depth(m, "\xff", 1), RVN_ERR_NAME);
  CHECK_STATUS(rvn_monitor_set_depth(m, "a\n", 1), RVN_ERR_NAME);
  CHECK_STATUS(rvn_monitor_set_depth(m, NULL, 1), RVN_ERR_ARGUMENT);
  rvn_monitor_destroy(m), rvn_monitor_destroy(n), rvn_optimizer_destroy(opt), rvn_optimizer_destroy(other);
}

/* ---- wrong use, and ends ---- */

static void misuse(void) {
  rvn_optimizer *opt = model_with("sgd(0.1)", NULL), *other = create("sgd(0.1)");
  rvn_monitor *m = monitor_with(NULL), *n = monitor_with(NULL);
  rvn_step_health s;
  rvn_tensor_health t;
  double value = -7;
  CHECK_STATUS(rvn_monitor_attach(NULL, opt), RVN_ERR_ARGUMENT), CHECK_SAYS("the monitor is NULL");
  CHECK_STATUS(rvn_monitor_attach(m, NULL), RVN_ERR_ARGUMENT), CHECK_SAYS("the optimizer is NULL");
  CHECK_STATUS(rvn_monitor_attach((rvn_monitor *)opt, opt), RVN_ERR_ARGUMENT), CHECK_SAYS("not a monitor");
  CHECK_STATUS(rvn_monitor_attach(m, (rvn_optimizer *)n), RVN_ERR_ARGUMENT), CHECK_SAYS("not an optimizer");
  CHECK_STATUS(rvn_monitor_detach(NULL), RVN_ERR_ARGUMENT);
  CHECK_STATUS(rvn_monitor_detach(m), RVN_ERR_STATE), CHECK_SAYS("not attached");
  s.struct_size = sizeof s, t.struct_size = sizeof t;
  CHECK_STATUS(rvn_monitor_step(m, &s), RVN_ERR_STATE), CHECK_SAYS("was not attached");
  CHECK_OK(rvn_monitor_attach(m, opt));
  CHECK_STATUS(rvn_monitor_step(m, &s), RVN_ERR_STATE), CHECK_SAYS("has made no step");
  CHECK_STATUS(rvn_monitor_attach(m, opt), RVN_ERR_STATE), CHECK_SAYS("attached to an optimizer already");
  CHECK_STATUS(rvn_monitor_attach(m, other), RVN_ERR_STATE);
  CHECK_STATUS(rvn_monitor_attach(n, opt), RVN_ERR_STATE), CHECK_SAYS("has a monitor already");
  CHECK_STATUS(rvn_monitor_tensor(m, "fc0.weight", &t), RVN_ERR_NAME), CHECK_SAYS("was sampled");
  new_gradients();
  CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
  CHECK_STATUS(rvn_monitor_tensor(m, "fc0.wieght", &t), RVN_ERR_NAME), CHECK_SAYS("did you mean 'fc0.weight'?");
  CHECK_STATUS(rvn_monitor_tensor(m, NULL, &t), RVN_ERR_ARGUMENT);
  CHECK_STATUS(rvn_monitor_tensor(m, "fc0.weight", NULL), RVN_ERR_ARGUMENT);
  CHECK_STATUS(rvn_monitor_step(m, NULL), RVN_ERR_ARGUMENT);
  t.struct_size = 8, s.struct_size = 8;
  CHECK_STATUS(rvn_monitor_tensor(m, "fc0.weight", &t), RVN_ERR_ARGUMENT), CHECK_SAYS("rvn_tensor_health.struct_size");
  CHECK_STATUS(rvn_monitor_step(m, &s), RVN_ERR_ARGUMENT), CHECK_SAYS("rvn_step_health.struct_size");
  CHECK_OK(rvn_monitor_get(m, "attached.every", &value));
  CHECK(value == 16);
  CHECK_STATUS(rvn_monitor_set(m, "attached.every", 0), RVN_ERR_ARGUMENT), CHECK_SAYS("a whole number from 1 to");
  CHECK_STATUS(rvn_monitor_set(m, "attached.every", 2.5), RVN_ERR_ARGUMENT);
  CHECK_STATUS(rvn_monitor_set(m, "attached.evrey", 2), RVN_ERR_NAME), CHECK_SAYS("did you mean 'attached.every'?");
  CHECK_OK(rvn_monitor_set(m, "attached.cosines", 1));
  CHECK_OK(rvn_monitor_detach(m));
  CHECK_STATUS(rvn_monitor_detach(m), RVN_ERR_STATE);
  CHECK_OK(rvn_optimizer_step(opt, NULL, NULL));
  CHECK(last(m).step == 1);
  CHECK_OK(rvn_monitor_attach(n, opt));
  CHECK_OK(rvn_monitor_attach(m, other)); /* without tensors yet */
  rvn_optimizer_destroy(opt), rvn_optimizer_destroy(other);
  CHECK_STATUS(rvn_monitor_detach(n), RVN_ERR_STATE);
  CHECK(last(m).step == 1);
  rvn_monitor_destroy(m), rvn_monitor_destroy(n);
}

static failing of_monitor, of_optimizer;

/* Either end first, each with memory of its own. */
static void ends(void) {
  int order;
  for (order = 0; order < 3; order++) {
    rvn_options mine = failing_options(&of_monitor, 1), its = failing_options(&of_optimizer, 2);
    rvn_monitor *m = monitor_with(&mine), *second;
    rvn_optimizer *opt = model_with("adamw(1e-3)", &its);
    NOTE("order %d", order);
    CHECK_OK(rvn_monitor_attach(m, opt));
    new_gradients();
    CHECK_OK(step(opt, 1, NULL));
    if (order == 0) {
      rvn_monitor_destroy(m);
      failing_done(&of_monitor);
      CHECK_OK(step(opt, 1, NULL));
      second = monitor_with(NULL);
      CHECK_OK(rvn_monitor_attach(second, opt));
      CHECK_OK(step(opt, 1, NULL));
      rvn_monitor_destroy(second);
      rvn_optimizer_destroy(opt);
      failing_done(&of_optimizer);
    } else if (order == 1) {
      rvn_optimizer_destroy(opt);
      failing_done(&of_optimizer);
      CHECK_OK(rvn_monitor_report(m, text, sizeof text, NULL));
      CHECK(strstr(text, "after 1 step") && last(m).step == 1);
      opt = model_with("sgd(0.1)", &its);
      CHECK_OK(rvn_monitor_attach(m, opt));
      CHECK_OK(step(opt, 1, NULL));
      CHECK(last(m).step == 2);
      rvn_optimizer_destroy(opt);
      rvn_monitor_destroy(m);
    } else {
      CHECK_OK(rvn_monitor_detach(m));
      rvn_monitor_destroy(m), rvn_optimizer_destroy(opt);
    }
    failing_done(&of_monitor), failing_done(&of_optimizer);
  }
  NOTE("%s", "");
}

/* The n-th allocation of either fails: a status, nothing changed, and then it goes on. */
static void memory(void) {
  int of, prepared, for_good;
  for (of = 0; of < 2; of++) for (prepared = 0; prepared < 2; prepared++) for (for_good = 0; for_good < 2; for_good++) {
    rvn_options mine = failing_options(&of_monitor, 1), its = failing_options(&of_optimizer, 1);
    failing *host = of ? &of_optimizer : &of_monitor;
    rvn_monitor *m = monitor_with(&mine);
    rvn_optimizer *opt = model_with("clip_norm(1) | adamw(1e-3)", &its);
    float before[A];
    long n;
    int attached = 0;
    new_gradients();
    if (prepared) CHECK_OK(rvn_optimizer_prepare(opt));
    host->for_good = for_good;
    for (n = 1; n < 400; n++) {
      rvn_status status = RVN_OK;
      NOTE("of %d, prepared %d, allocation %ld fails", of, prepared, n);
      memcpy(before, a, sizeof a);
      host->calls = 0, host->failures = 0, host->fail_at = n;
      if (!attached) {
        status = rvn_monitor_attach(m, opt);
        attached = status == RVN_OK;
      }
      if (status == RVN_OK) status = step(opt, 1, NULL);
      host->fail_at = 0;
      if (host->failures == 0) {
        CHECK_STATUS(status, RVN_OK);
        break;
      }
      CHECK_STATUS(status, RVN_ERR_MEMORY);
      CHECK_BYTES(before, a, sizeof a);
      CHECK_OK(rvn_monitor_report(m, text, sizeof text, NULL));
      CHECK(strstr(text, "after 0 steps") != NULL);
    }
    CHECK(last(m).step == 1);
    NOTE("steps allocate nothing");
    of_monitor.calls = of_optimizer.calls = 0;
    for (n = 0; n < 40; n++) CHECK_OK(step(opt, 1, NULL));
    CHECK(of_monitor.calls == 0 && of_optimizer.calls == 0);
    CHECK(last(m).step == 41);
    if (of) rvn_monitor_destroy(m), rvn_optimizer_destroy(opt);
    else rvn_optimizer_destroy(opt), rvn_monitor_destroy(m);
    failing_done(&of_monitor), failing_done(&of_optimizer);
  }
  NOTE("%s", "");
}

/* A host's parallel_for that breaks off poisons the optimizer, and the monitor goes on. */
static void breaks_off(void *user, size_t count, void (*body)(void *, size_t), void *context) {
  (void)user, (void)count;
  body(context, 0);
}

static void poisoned(void) {
  rvn_options options = threads_of(2);
  rvn_monitor *m = monitor_with(NULL);
  static float more[200000], its[200000];
  rvn_optimizer *opt;
  options.parallel_for = breaks_off;
  opt = model_with("adamw(1e-3)", &options);
  CHECK_OK(add(opt, "more", more, its, 200000));
  CHECK_OK(rvn_monitor_attach(m, opt));
  new_gradients();
  CHECK_STATUS(step(opt, 1, NULL), RVN_ERR_CALLBACK);
  CHECK_OK(rvn_monitor_report(m, text, sizeof text, NULL));
  CHECK(strstr(text, "after 0 steps") != NULL);
  rvn_optimizer_destroy(opt), rvn_monitor_destroy(m);
}

int main(void) {
  joined();
  range_tests_are_left_out();
  depths();
  misuse();
  ends();
  memory();
  poisoned();
  return finish();
}
