/* ravine.h - optimizers, learning-rate schedules and gradient diagnostics for any program.
 *
 *     rvn_optimizer *opt;
 *     rvn_optimizer_create("clip_norm(1) | adamw(1e-3)", &opt);
 *     int64_t shape[] = {n};
 *     rvn_tensor tensor = {sizeof tensor, "w", w, gw, RVN_F32, 0, 1, 0, shape};
 *     rvn_optimizer_add(opt, &tensor, NULL);
 *     for (;;) { ...fill gw...  rvn_optimizer_step(opt, NULL, NULL); }
 *     rvn_optimizer_destroy(opt);
 *
 * This header is the specification. It reads from the simplest call to the rarest.
 *
 * Promises that hold for every function:
 *   - Nothing is printed, no signal handler is installed, nothing aborts or exits.
 *   - Bad input is a status and a sentence; a call that fails leaves every handle, parameter and
 *     gradient as it was. (Exception: a step, rvn_optimizer_curvature or rvn_init_with under a host
 *     parallel_for that does not run all its bodies, or whose product fails; see rvn_options.)
 *   - Pointers to the caller's memory are borrowed for as long as the function says and are
 *     never freed. Handles belong to the caller, who destroys them.
 *   - The floating-point mode of the calling thread (rounding, flush-to-zero, exception masks)
 *     does not change results and is the same after the call as before.
 *   - Same input, same bytes: for every instruction set, thread count and machine (but for a host's own
 *     product of matrices; see rvn_options).
 *
 * Threads: handles are independent of each other. One handle is used by one thread at a time;
 * the caller sees to that. Functions without a handle may be called from any thread at any
 * time. Exceptions are stated.
 *
 * A struct with struct_size: the caller writes sizeof the struct there before the call. It may be
 * larger than this header's (up to 4,096; a newer header's fields are then left alone), not smaller.
 * Link with -lravine; an archive or a static link also needs -lm -lpthread.
 *
 * Needs a 64-bit little-endian machine. C99, C11, C++17. */
#ifndef RAVINE_H
#define RAVINE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- status ------------------------------------------------------------------------------ */

/* 0 is success, every failure is negative. The values never change. */
typedef int32_t rvn_status;

#define RVN_OK 0
#define RVN_ERR_ARGUMENT (-1)     /* a pointer is NULL, a size or value is out of range */
#define RVN_ERR_RECIPE (-2)       /* the recipe text is wrong: line, column and expectation */
#define RVN_ERR_NAME (-3)         /* no tensor, parameter, entry or state of that name */
#define RVN_ERR_TYPE (-4)         /* an element type that does not fit here */
#define RVN_ERR_SHAPE (-5)        /* a shape or an element count that does not fit here */
#define RVN_ERR_STATE (-6)        /* right call, wrong moment */
#define RVN_ERR_MEMORY (-7)       /* the allocator said no */
#define RVN_ERR_IO (-8)           /* the operating system refused a file operation */
#define RVN_ERR_FORMAT (-9)       /* the file is not a checkpoint, or is damaged */
#define RVN_ERR_MISMATCH (-10)    /* a good checkpoint, but of another optimizer */
#define RVN_ERR_NONFINITE (-11)   /* finite_guard found NaN or infinity */
#define RVN_ERR_NEEDS (-12)       /* something the recipe needs was not given */
#define RVN_ERR_CALLBACK (-13)    /* a callback of the host failed */
#define RVN_ERR_CANCELLED (-14)   /* a callback of the host asked to stop */
#define RVN_ERR_UNSUPPORTED (-15) /* this build, machine or kind of handle cannot do it */

/* The sentence for this thread's last failing call: what was wrong, where, and how to mend it.
 * At most 1,023 bytes. Never NULL; "" if nothing failed yet. Valid until the next failing call on
 * this thread. */
const char *rvn_last_error(void);

/* ---- the main job: create, add, step, destroy ---------------------------------------------- */

typedef struct rvn_optimizer rvn_optimizer;

/* Creates an optimizer from a recipe: UTF-8 text, ended by NUL, such as
 *
 *     adamw(1e-3)
 *     clip_norm(1) | adamw(lr=warmup(cosine(3e-4, steps=9900), steps=100), weight_decay=0.1)
 *     sgd(0.1, momentum=0.9); *.bias: weight_decay=0; head.*: lr=x10
 *
 *   recipe   = stage | ... | rule | stage | ... ; patterns: change ; patterns: change ...
 *              Stages before the rule change the gradient, the rule makes the step, stages behind it
 *              (ema, lookahead) see the step. rvn_catalog_* lists names and parameters, and the
 *              schedules.
 *   element  = name or name(value, name=value, ...): values without a name come first, in the
 *              catalog's order. Here and below spaces, line ends and # comments are free.
 *   value    = a number: 0.1, 1e-3, inf, with k (10^3), M (10^6), G (10^9) or % (10^-2) behind it;
 *              true or false for a flag; a word, with or without double quotes; a list in
 *              parentheses, (5, 20); or, for any number of a rule or a stage, a schedule:
 *              lr=cosine(0.1, steps=100). Schedules are made of schedules; inside over(10k, ...)
 *              a length may be a share of the total: warmup(cosine(0.1, steps=95%), steps=5%)
 *   patterns = one or more, separated by commas: a glob on the tensor's name, in which * stands for
 *              any bytes (quoted, "a b*", where it has other ASCII characters than letters, digits
 *              and . _ - / [ ] < > = + $), or @rank<2, @size>=1000 (also <= > =). A clause that matches
 *              no tensor is an error at prepare, unless one of its patterns has a ? behind it.
 *   change   = name=value, ... : other arguments of the rule, or of a stage (clip_value.max=2);
 *              x0.1 as a value multiplies what held before;
 *              or another rule, as in sgd(0.01); or frozen: no step, no state, no part in norms.
 *              Clauses apply in order; the last wins. On a frozen tensor other arguments wait until
 *              a later clause names a rule.
 *
 * A schedule is evaluated at the number of updates applied so far, of the whole optimizer: step 0
 * is the first. Corrections that count steps (Adam's) count those of each tensor. Limits: 65,536
 * bytes (also with all defaults written out), 32 stages, 1,024 clauses, nesting of 10.
 * The text is copied.
 * On success *out is the handle, to be given to rvn_optimizer_destroy. On failure *out is NULL.
 * Errors: ARGUMENT (NULL), RECIPE (with line:column), CALLBACK (a schedule of the host failed), MEMORY. */
rvn_status rvn_optimizer_create(const char *recipe, rvn_optimizer **out);

/* Element types. */
#define RVN_F32 1
#define RVN_F64 2
#define RVN_BF16 3
#define RVN_F16 4

/* One tensor of parameters: a contiguous array in row-major order. */
typedef struct rvn_tensor {
  size_t struct_size;   /* = sizeof(rvn_tensor) */
  const char *name;     /* unique, 1 to 255 bytes of UTF-8 without control characters; copied */
  void *data;           /* the parameters, updated in place; borrowed until destroy or bind */
  const void *grad;     /* bound gradient, read by each step; borrowed likewise; may be NULL */
  int32_t dtype;        /* RVN_F32, RVN_F64, RVN_BF16 or RVN_F16 */
  int32_t grad_dtype;   /* type of the gradient; 0: the same as dtype */
  int32_t rank;         /* 0 to 8; 0 is a single number */
  int32_t reserved;     /* 0 */
  const int64_t *shape; /* rank lengths, each >= 0; copied; may be NULL if rank is 0 */
} rvn_tensor;

/* Adds a tensor. *index (if index is not NULL) becomes its number: 0, 1, 2... in order of
 * adding. data may be NULL only for a tensor without elements. Arrays need the alignment of
 * their element type, no more. Arithmetic is in 32-bit floats, for RVN_F64 in 64-bit floats. RVN_BF16
 * and RVN_F16 are rounded to nearest at the end of each step, unless a stage of the recipe (master,
 * kahan, stochastic_rounding) says otherwise; docs/storage.md tells what that costs and saves.
 * Memory ranges of parameters must not overlap; a gradient must not overlap any parameter. That is
 * not checked: overlapping arrays are written in an order that is not defined.
 * Also possible while training: the next rvn_optimizer_prepare or step makes the plan anew, with
 * memory for the new tensor, which begins at its own step 0; the others go on.
 * Errors: ARGUMENT, NAME (empty, too long, control characters, or already taken), TYPE, SHAPE,
 * STATE (a step is open), MEMORY. */
rvn_status rvn_optimizer_add(rvn_optimizer *opt, const rvn_tensor *tensor, size_t *index);

/* Takes a tensor out, and frees its state; the others go on. Its array is no longer touched and its
 * name is free for another tensor. Indices do not move: this one is not given out again, is an error
 * in other calls, and its entry in rvn_step_input.grads is to be NULL. A clause that is left without
 * a tensor stays in the recipe, and holds for tensors added later.
 * Errors: ARGUMENT (no such index, or removed already), STATE (a step is open). */
rvn_status rvn_optimizer_remove(rvn_optimizer *opt, size_t index);

/* Which elements of tensor index a rank of a sharded optimizer steps (see rvn_options.world): count of
 * them, from the first on, in row-major order. The ranges of ranks 0, 1, 2... follow one another, begin
 * at multiples of 1,024 and together are the whole tensor; one may be empty. They depend on the tensors
 * added before, and never change. An optimizer that is not sharded is rank 0 with everything. first and
 * count may be NULL. Errors: ARGUMENT (no such index or rank). */
rvn_status rvn_optimizer_shard(const rvn_optimizer *opt, size_t index, int32_t rank, size_t *first,
                               size_t *count);

/* What a step may be given. */
typedef struct rvn_step_input {
  size_t struct_size;       /* = sizeof(rvn_step_input) */
  const void *const *grads; /* gradients by tensor index, for this call only; a NULL entry means
                               no gradient; grads == NULL means the bound ones */
  size_t grad_count;        /* entries of grads: the number of tensors, removed ones too; 0 if grads
                               is NULL */
  double loss;              /* the loss of this batch, for rules that use it; none does yet */
  int32_t has_loss;         /* 1 if loss is set, else 0 */
  int32_t reserved;         /* 0 */
} rvn_step_input;

/* What a step tells. */
typedef struct rvn_step_report {
  size_t struct_size;   /* = sizeof(rvn_step_report), set by the caller */
  uint64_t step;        /* number of updates applied so far, this one included */
  double lr;            /* learning rate of the recipe's own rule in this step */
  double grad_norm;     /* 2-norm over all gradients before any stage but unscale and accumulate, in
                           the type of the arithmetic: of this call's gradients if they were only
                           accumulated, else of all since the last step; NaN if the step was skipped
                           and no stage measured it */
  double clip_scale;    /* factor that clip_norm multiplied the gradient by; 1 if skipped */
  double update_norm;   /* 2-norm of (old parameters - new parameters), before a 16-bit type
                           rounds the new ones; 0 if skipped */
  uint64_t nonfinite;   /* how many elements of the gradients as they were given were NaN or
                           infinite */
  int32_t skipped;      /* 0 applied, 1 skipped by finite_guard or unscale, 2 accumulated: the step
                           comes with a later call, 3 no tensor has a gradient, 4 moved: sam or asam
                           want the gradient where the parameters are now */
  int32_t reserved;     /* 0 */
} rvn_step_report;

/* One update of all tensors that have a gradient, in place. A tensor without one is left alone:
 * its data, its state and its own step counter. The first step prepares the optimizer (see
 * rvn_optimizer_prepare), as does one after tensors came or went; others allocate nothing.
 * input may be NULL: bound gradients, no loss. report may be NULL; asking for a report measures
 * the norms in the same pass over memory, which costs 5 to 40 percent of a step. The caller sets
 * report->struct_size; on failure the report is not written.
 * Gradients are never written to. A step that is skipped changes nothing and is RVN_OK.
 * Errors: those of rvn_optimizer_prepare at the first step; ARGUMENT (wrong struct_size or
 * grad_count, misaligned gradient, a schedule that ends or leaves its parameter's range),
 * NONFINITE (finite_guard: names tensor and index), NEEDS (a rule that steps by curvature was not given
 * any: see rvn_optimizer_curvature), CALLBACK (a schedule of the host failed). */
rvn_status rvn_optimizer_step(rvn_optimizer *opt, const rvn_step_input *input,
                              rvn_step_report *report);

/* With accumulate(n) in the recipe, n - 1 calls of rvn_optimizer_step add up gradients (skipped is 2)
 * and the n-th steps once with their mean. flush steps at once with what was added up so far, divided
 * by the number of calls that counted: for the end of an epoch. Where nothing was added up, it does
 * nothing, and skipped is 3. A stage behind accumulate that skips the step empties the window.
 * report as in rvn_optimizer_step.
 * Errors: STATE (not prepared; no accumulate in the recipe), and those of rvn_optimizer_step. */
rvn_status rvn_optimizer_flush(rvn_optimizer *opt, rvn_step_report *report);

/* With sam or asam in the recipe every other call of rvn_optimizer_step (or, with accumulate, every other
 * full window) moves the parameters (skipped is 4), and the next one steps from where they were, with
 * the gradient of the same batch at the moved ones. In between, tensors cannot come, go or be bound to
 * other data, and no other rule taken: STATE. Where a stage skips the second call, the parameters go
 * back. A checkpoint from in between goes on there; loaded in part it gives the moved parameters. */

/* Destroys the handle and frees what it holds; the caller's arrays stay. NULL is fine. */
void rvn_optimizer_destroy(rvn_optimizer *opt);

/* ---- hyper-parameters ------------------------------------------------------------------------ */

/* Reads or writes a hyper-parameter. A key is [patterns:][stage.]parameter:
 *   "lr"               of the rule
 *   "clip_norm.max"    of a stage; the second stage of a name is "clip_value#2.max"
 *   "head.*:lr"        of the tensors that match; set appends a clause to the recipe, in place of
 *                      an earlier one by set with the same key
 *   "plateau.scale"    what a reactive schedule remembers, for get alone: see rvn_optimizer_metric
 * get gives the value that the next step uses: a schedule is evaluated at the current step (and
 * refused by the step if it has left its range, or has ended and is NaN). If patterns match tensors
 * with different values, get fails and says so. set replaces a schedule by the number; flags are
 * 0 and 1. Words ("compat") and lists are fixed at creation. After prepare, get also reads the numbers
 * that stages keep: "unscale.scale" is the loss scale of the next call, "unscale.good" the calls
 * without overflow since it changed. set "unscale.scale" changes it at once.
 * Errors: ARGUMENT (NULL, out of range: the range is told), NAME (unknown key: the nearest is
 * told), RECIPE (a malformed pattern), CALLBACK (a schedule of the host failed), STATE (what a state
 * starts at was changed), MEMORY. */
rvn_status rvn_optimizer_get(rvn_optimizer *opt, const char *key, double *value);
rvn_status rvn_optimizer_set(rvn_optimizer *opt, const char *key, double value);

/* Appends a clause: as if the recipe ended in "; patterns: clause". clause is "name=value, ...",
 * or a rule such as "sgd(0.1)", or "frozen". Before or after prepare.
 * While training, set and override may ask for other state than there is. State that fits stays as
 * it is, and the tensor's step counter with it: momentum from 0 to 0.9 adds a buffer of zeros, and
 * from 0.9 to 0 frees it. Another rule begins anew: its state, that of stages behind it, and the
 * tensor's counter. "frozen" frees the state; a rule thaws the tensor (other arguments wait until one
 * does), which then begins anew, too. What a state starts at (initial_accumulator_value) cannot
 * change while it is there. Memory is allocated before anything changes.
 * Errors: ARGUMENT, RECIPE, NAME (no tensor matches, after prepare), STATE, MEMORY. */
rvn_status rvn_optimizer_override(rvn_optimizer *opt, const char *patterns, const char *clause);

/* The recipe as it now holds, in canonical form: all defaults filled in, changes by set and
 * override included. Creating an optimizer from it gives the same optimizer.
 * Text out: at most cap bytes are written, always ended by NUL if cap > 0; *needed (if not NULL)
 * is the size of the whole text with its NUL. A text that does not fit is ARGUMENT, and *needed
 * is set; buf may be NULL if cap is 0, and then asking for the size is RVN_OK. */
rvn_status rvn_optimizer_recipe(const rvn_optimizer *opt, char *buf, size_t cap, size_t *needed);

/* ---- before the first step ------------------------------------------------------------------- */

/* Makes the plan of phases and allocates state and scratch; the first step does it otherwise, and the
 * first after tensors came or went. Where nothing has changed, it does nothing.
 * Errors: STATE (no tensor was added), NAME (a clause matches no tensor; write "pattern?" for
 * one that may), SHAPE (a rule of matrices, such as muon, for a vector: names the tensor, and the clause
 * that gives it another), MEMORY, ARGUMENT. */
rvn_status rvn_optimizer_prepare(rvn_optimizer *opt);

/* The dry run, as text: the phases and what each reads and measures, then one line for each
 * tensor: rule, clauses, state, bytes; and the workspace of rules that step whole matrices, which all
 * matrices share. Prepares nothing and allocates no state.
 * Text out as in rvn_optimizer_recipe. Errors: ARGUMENT, STATE, NAME, SHAPE, MEMORY. */
rvn_status rvn_optimizer_plan(rvn_optimizer *opt, char *buf, size_t cap, size_t *needed);

/* Binds other arrays to tensor index, of the same type and shape: data replaces the parameters'
 * array, grad the bound gradient (NULL: none). Both are borrowed as in rvn_optimizer_add.
 * Errors: ARGUMENT (NULL data, bad index, misaligned). */
rvn_status rvn_optimizer_bind(rvn_optimizer *opt, size_t index, void *data, const void *grad);

/* ---- schedules that a metric moves --------------------------------------------------------------- */

/* What a metric did. Of several reactive schedules all but `changed` is of the first in the recipe;
 * rvn_optimizer_get reads the others. */
typedef struct rvn_metric_report {
  size_t struct_size; /* = sizeof(rvn_metric_report), set by the caller */
  double scale;       /* what the schedule is multiplied by from the next step on; 1 at first */
  double compared;    /* the metric or average that was compared with the best one; NaN where that is
                         not finite, or its block of metrics is not full yet */
  double best;        /* the best one so far; infinite before the first */
  uint64_t bad;       /* how many in a row were not better */
  int32_t changed;    /* how many reactive schedules have another scale now */
  int32_t reserved;   /* 0 */
} rvn_metric_report;

/* Hands a metric, such as the loss on a validation set after each epoch, to the reactive schedules of
 * the recipe, as in
 *
 *     adamw(lr=plateau(cosine(1e-3, steps=1000), factor=0.1, patience=10))
 *     sgd(lr=warmup(plateau(0.1, mode=max, cooldown=2), steps=100), momentum=0.9)
 *
 * Each is a scale times a schedule; the metric may change the scale, and the steps after it use it. A
 * metric is not a step: any number may come between two steps, before the first too. One that is NaN
 * or infinite is taken as not better than the best, and enters no average (it spoils a block).
 * The scale, the best metric and the counts are state of the handle: rvn_optimizer_get reads them
 * ("plateau.scale", "plateau.best", "plateau.bad"; "plateau#2.scale" is of the second plateau in the
 * recipe with other arguments), rvn_optimizer_plan prints them and a checkpoint holds them. Reactive
 * schedules whose arguments are the same but for the schedule inside share one state. set and override
 * leave the state of those alone that the recipe still has.
 * report may be NULL. Allocates nothing.
 * Errors: ARGUMENT, STATE (the recipe has no reactive schedule). */
rvn_status rvn_optimizer_metric(rvn_optimizer *opt, double value, rvn_metric_report *report);

/* ---- which learning rate: a range test ----------------------------------------------------------- */

/* One step of the caller's training, at the rate that is set: takes the next batch (with accumulate
 * the batches of a whole window), computes loss and
 * gradients, calls rvn_optimizer_step on the handle under test, and writes the loss of that batch to
 * *loss. rate is that of the recipe's own rule. It may call every function of the library with the
 * handle but rvn_optimizer_destroy; what it sets holds until it returns.
 * Returns RVN_OK to go on; RVN_ERR_NONFINITE, such as finite_guard gives, is a divergence;
 * RVN_ERR_CANCELLED and everything else end the test. */
typedef rvn_status (*rvn_range_step)(void *user, double rate, double *loss);

/* How a range test runs. A number that is 0 is the default. */
typedef struct rvn_range_options {
  size_t struct_size; /* = sizeof(rvn_range_options) */
  double low, high;   /* the first and the last rate, 0 < low < high; 1e-7 and 10 */
  size_t steps;       /* 2 to 10,000; 100 */
  double window;      /* losses are averaged with weight 1 / window for the newest, and the bias of
                         the beginning is taken out; 1: not averaged; steps / 10, 1 at least */
  double divergence;  /* it ends where the average is above the least one so far by more than
                         divergence - 1 times its magnitude; INFINITY: only where it is not finite; 4 */
  int32_t linear;     /* 1: equal differences of rates; 0: equal ratios */
  int32_t reserved;   /* 0 */
} rvn_range_options;

/* A rate, and an interval for it; all NaN where the method found none. */
typedef struct rvn_suggestion {
  double rate, low, high;
} rvn_suggestion;

/* What a range test measured. */
typedef struct rvn_range_result {
  size_t struct_size; /* = sizeof(rvn_range_result), set by the caller */
  double *rates;      /* these three are set by the caller: NULL, or room for options.steps numbers, */
  double *losses;     /* of which count are written */
  double *smoothed;   /* the averages */
  size_t count;       /* steps that were made */
  rvn_suggestion steepest; /* where the average falls fastest over the logarithm of the rate; the
                              interval: where it falls at least half as fast, around it */
  rvn_suggestion valley;   /* the middle of the longest run down (longest falling subsequence); the
                              interval: from its beginning to its end */
  rvn_suggestion minimum;  /* a tenth of the rate with the least average; the interval: from where a
                              tenth of the fall is made, or the suggestion, to that rate */
  int32_t diverged;   /* 1 if it ended before its last step because the loss diverged */
  int32_t reserved;   /* 0 */
} rvn_range_result;

/* Runs the caller's step function at rates from low to high and watches the loss (Smith 2017,
 * arXiv:1506.01186; as fastai's lr_find, whose window is 50, which lags far behind in 100 steps).
 * A good rate for the training itself, or for the top of its schedule, is near the suggestions.
 * The rate replaces lr of the recipe's own rule, schedule included. In clauses a multiple (lr=x0.1)
 * follows it; another rate or schedule, or that of another rule, keeps the ratio that it has to the
 * recipe's own at the current step. Suggestions look at the averages without the first tenth of the
 * steps and the last five, and are rates of the recipe's own rule.
 * Afterwards, on failure too, the optimizer is what it was to the last byte: parameters, state,
 * counters, metrics, recipe. What else the step function moves, such as a sampler, is its own affair.
 * Memory while it runs: the bytes of all parameters and of all state (as rvn_optimizer_plan counts
 * them), 16 for each tensor and 24 for each step. Prepares the optimizer if that was not done.
 * options may be NULL. On failure the result is not written.
 * Errors: ARGUMENT (NULL, struct_size, a number out of range, a clause whose rate has no ratio because
 * the recipe's own is 0), CALLBACK (the step function failed: its status and, for one of the library,
 * its sentence), CANCELLED, STATE, MEMORY, those of prepare. */
rvn_status rvn_range_test(rvn_optimizer *opt, rvn_range_step step, void *user,
                          const rvn_range_options *options, rvn_range_result *result);

/* ---- steps of a part ------------------------------------------------------------------------- */

/* One update of one tensor alone. grad is its gradient for this call, NULL: the bound one; a tensor
 * without any is left alone (skipped = 3). Without rvn_optimizer_begin_step it is a step like any
 * other, in which the other tensors have no gradient. report as in rvn_optimizer_step.
 * Errors: those of rvn_optimizer_step; ARGUMENT (no such index). */
rvn_status rvn_optimizer_step_tensor(rvn_optimizer *opt, size_t index, const void *grad,
                                     rvn_step_report *report);

/* A step that is made in parts, for an optimizer that runs inside the backward pass, where each
 * gradient is used and freed as it arrives, and for rows of one tensor beside all of others:
 *
 *     rvn_optimizer_begin_step(opt);
 *     rvn_optimizer_step_rows(opt, embedding, rows, n, grads, NULL);
 *     rvn_optimizer_step_tensor(opt, i, gradient_of_i, NULL); ...in any order...
 *     rvn_optimizer_end_step(opt, &report);
 *
 * Between the two calls rvn_optimizer_step, _step_tensor and _step_rows are parts of one step: all
 * see the same step number in their schedules, and end_step counts one update if any part applied
 * one. The parameters and the state are the same bytes as after one rvn_optimizer_step with the same
 * gradients. A tensor can be in one part only. A part that fails leaves its tensor as it was and the
 * step open; parts done before it stay done.
 * report->step of a part is the number that the open step will have. The report of end_step sums up
 * the parts: the norms over all of them, of those parts that were given a report themselves; skipped
 * is 3 if there was no part.
 * A recipe whose stages measure all gradients before any tensor is stepped (clip_norm, finite_guard
 * that skips or fails, a dynamic unscale) cannot be stepped in parts: begin_step is UNSUPPORTED and
 * names the stage. So it is, also for a tensor or for rows alone, with one that accumulates.
 * Rules that measure each tensor by itself (lamb, adafactor) can. While a step is open, save, load, flush, add
 * and remove are STATE.
 * Errors: STATE (begin: a step is open; end: none is; a part: its tensor was stepped already),
 * UNSUPPORTED, ARGUMENT (a schedule that ends or leaves its range), those of prepare. */
rvn_status rvn_optimizer_begin_step(rvn_optimizer *opt);
rvn_status rvn_optimizer_end_step(rvn_optimizer *opt, rvn_step_report *report);

/* One update of some rows of a tensor, such as those of an embedding table that a batch looked up:
 * rows[k] is a row, a slice at that place of the first axis, and grads holds count slices one after
 * the other, of the tensor's gradient type: the k-th is a gradient of row rows[k]. rows and grads are
 * read during the call only.
 * Only the named rows and their state are read or written, whatever the size of the tensor: the lazy
 * form of the rule. A row that is named more than once has its gradients added in their order, in
 * 64-bit floats, rounded once to the type of the arithmetic, and gets one update.
 * Apart from that the call is a rvn_optimizer_step in which the other tensors have no gradient, and
 * the tensor is these rows:
 *   - The call counts as a step of the tensor, for corrections and schedules, and of the optimizer;
 *     as a part, between begin_step and end_step, of the open step. All rows share the tensor's
 *     counter, also those that come for the first time (as torch's SparseAdam).
 *   - Stages before the rule see the gradients of these rows: clip_norm clips by the norm over the
 *     summed rows, finite_guard skips or refuses the call, clip_value limits each element of the sums.
 *   - Weight decay acts on the named rows only. Momentum of the others waits, where torch's sparse
 *     SGD moves on all rows that ever had a gradient.
 *   - Clauses, types and the report are as ever; nonfinite counts elements of the summed rows.
 * Not possible, and UNSUPPORTED: rules and stages that measure the whole tensor (lamb, adafactor, cautious,
 * clip_unit) or step it as a matrix (muon), stages that follow all parameters at each step (ema, lookahead), and accumulate.
 * count = 0, or a frozen tensor, is no gradient (skipped = 3). The library keeps memory for the
 * gathered rows: the first call, and one with more rows or more elements than any before,
 * allocates; others do not.
 * Moments of 8 bits have one scale for each 256 elements: they need rows of whole groups, else it is
 * UNSUPPORTED.
 * Errors, after which nothing has changed: ARGUMENT (no such index, a row that is negative or past
 * the end, NULL, misaligned), SHAPE (a tensor of rank 0), UNSUPPORTED, NONFINITE (names row and
 * element), STATE (as above), MEMORY, those of prepare. */
rvn_status rvn_optimizer_step_rows(rvn_optimizer *opt, size_t index, const int64_t *rows,
                                   size_t count, const void *grads, rvn_step_report *report);

/* ---- curvature ------------------------------------------------------------------------------- */

/* What rvn_optimizer_curvature takes: one of the two arrays. */
typedef struct rvn_curvature_input {
  size_t struct_size;          /* = sizeof(rvn_curvature_input) */
  const void *const *products; /* by tensor index, as gradients: the Hessian times the probe vectors; or */
  const void *const *diagonal; /* likewise: an estimate of the Hessian's diagonal. A NULL entry: that
                                  tensor keeps what it has */
  size_t count;                /* entries: the number of tensors, removed ones too */
} rvn_curvature_input;

/* Some rules (sophia, adahessian; rvn_entry.needs is "curvature") step by a mean of estimates of the
 * Hessian's diagonal. The caller gives them when it likes, such as before every tenth step:
 *
 *     for (i = 0; i < n; i++) rvn_optimizer_probe(opt, i, RVN_F32, z[i], count[i]);
 *     ...product[i] = part i of H z, where H is the Hessian of the loss of a batch: by automatic
 *        differentiation, or (gradient at p + r z - gradient at p - r z) / (2 r)...
 *     rvn_curvature_input in = {sizeof in, product, NULL, n};
 *     rvn_optimizer_curvature(opt, &in);
 *     rvn_optimizer_step(opt, &gradients, NULL);
 *
 * probe writes the vector of tensor index for its next estimate to out, count elements of dtype: 1 or -1,
 * one as likely as the other (Rademacher), so that z times H z, element by element, is the diagonal on
 * average (Hutchinson). It depends on the rule's seed, the tensor's name and the number of estimates that
 * the tensor was given, and on nothing else: asking again, or after a resume, gives the same. A tensor
 * that is frozen or whose rule wants no curvature gets zeros, and so adds no noise to the products.
 *
 * curvature takes one estimate of each tensor that has one: products times the probe vectors, or a
 * diagonal as it is (means over several probes, a Gauss-Newton-Bartlett estimate as in Sophia-G), of the
 * type of the tensor's gradients; and updates the rule's mean in one pass over it. The next steps use
 * it, until there is another. Parameters and step counts stay. Arrays of tensors whose rule wants none
 * are not looked at. Stages of the recipe see none of it: where the loss was scaled for unscale, divide by
 * the scale, and with maximize negate. It may come between calls that accumulate, between the two calls
 * of sam, and within a step of parts; each tensor uses it from its next update on.
 * A tensor's first step without any is NEEDS: it names the tensor, and nothing changes.
 *
 * Both prepare the optimizer if that was not done; apart from that they allocate nothing. Checkpoints
 * hold means and counts. Arrays are read or written during the call only.
 * Errors, after which nothing has changed: ARGUMENT (NULL, struct_size, not one of the two arrays, count,
 * no such index, misaligned), TYPE, SHAPE (count of probe), STATE (no rule of the recipe steps by
 * curvature), NONFINITE (names tensor and element), those of prepare. Under a host parallel_for that does
 * not run all its bodies: CALLBACK, as in a step. */
rvn_status rvn_optimizer_probe(rvn_optimizer *opt, size_t index, int32_t dtype, void *out,
                               size_t count);
rvn_status rvn_optimizer_curvature(rvn_optimizer *opt, const rvn_curvature_input *input);

/* ---- save and load ----------------------------------------------------------------------------- */

/* Writes a checkpoint: parameters, state, counters and the recipe, in one safetensors file. It
 * is written beside the target and renamed over it: path holds the old file or the new one,
 * whole, at any moment. Prepares the optimizer if that was not done.
 * Tensors are "param/<name>" and "state/<name>/<slot>". A slot of 8 bits is an array of bytes (U8):
 * one code for each element, padded to a multiple of 16, then one F32 for each 256 elements.
 * Errors: ARGUMENT, IO (with the system's reason), MEMORY, those of prepare. */
rvn_status rvn_optimizer_save(const rvn_optimizer *opt, const char *path);

/* Reads a checkpoint into an optimizer with the same tensors (names, shapes, types) and rules.
 * The bound arrays, state and counters are written only after the whole file was read and
 * checked. Hyper-parameters stay those of the handle, so that a run can resume with another
 * rate; everything else continues bit for bit. Prepares the optimizer if that was not done.
 * Errors: ARGUMENT, IO, FORMAT (not a checkpoint, damaged), MISMATCH (names what differs),
 * MEMORY, those of prepare. Damage is found where it breaks the structure; the numbers have no
 * checksum. */
rvn_status rvn_optimizer_load(rvn_optimizer *opt, const char *path);

/* How to load. */
typedef struct rvn_load_options {
  size_t struct_size; /* = sizeof(rvn_load_options) */
  int32_t partial;    /* 1: load what fits by name, shape, type and slot; leave the rest alone */
  int32_t params;     /* 0: leave the parameters alone; 1: load them */
  int32_t state;      /* 0: leave state and counters alone; 1: load them */
  int32_t reserved;   /* 0 */
} rvn_load_options;

/* As rvn_optimizer_load, with options (NULL: strict, params and state). report (text out as in
 * rvn_optimizer_recipe, buf NULL and cap 0 to do without) lists what was missing in the file,
 * extra in the file, or different, one line each: "missing param/w", "extra param/v",
 * "different param/b: file F32 [3], here F32 [4]". It is also written where the call fails with
 * MISMATCH. It never makes the call fail: a text that does not fit is cut, and *needed tells its
 * whole size. A partial load of state takes over the file's count of updates, which schedules
 * follow, even where no tensor's state fits; a tensor's own count comes with its state. Reactive
 * schedules are the handle's: one that is not in the file begins anew and one that only the file has is
 * left out ("missing schedule/plateau", "extra schedule/plateau"), in a strict load too. */
rvn_status rvn_optimizer_load_with(rvn_optimizer *opt, const char *path,
                                   const rvn_load_options *options, char *report, size_t cap,
                                   size_t *needed);

/* A sharded optimizer (see rvn_options.world) saves a file for each rank, to a path of its own: the
 * rank's elements of each tensor, as one dimension, and the counters, which all have. In the metadata
 * "begin/<name>" is the first of them, "shape/<name>" the shape of the whole tensor, and "rank" and
 * "world" say whose file it is.
 *
 * Reads such a checkpoint into any number of ranks, also one that is not sharded: takes from count files
 * of one save what this handle has. All files, in any order, are enough for any rank; its own is enough
 * where the number of ranks and the tensors are the same; rvn_optimizer_load reads one file likewise,
 * also what an optimizer that was not sharded saved. Files are read whole, and otherwise as by
 * rvn_optimizer_load.
 * Errors: ARGUMENT (NULL, count is not 1 to 65,536), those of rvn_optimizer_load; MISMATCH also: files of
 * different saves, elements that no file has. */
rvn_status rvn_optimizer_load_shards(rvn_optimizer *opt, const char *const *paths, size_t count);

/* Copies state of tensor index out or in, converted from or to dtype (an RVN_ type): what is a
 * slot name of its rule or of a stage, such as "m", "v", "ema", or "step" for its own step counter (one element).
 * count must be the number of elements, which is that of the tensor, but for slots with one for each
 * row or column (rvn_optimizer_slot_shape). rvn_optimizer_slots lists the names.
 * Numbers are taken as they are: NaN or a negative mean square are the caller's to avoid. Moments
 * that are stored in fewer bits (moments=bf16, 8bit) are read as what their bits stand for, and rounded
 * to nearest when written.
 * Errors: ARGUMENT, NAME (the slots there are), TYPE, SHAPE (count), STATE (not prepared). */
rvn_status rvn_optimizer_read(const rvn_optimizer *opt, size_t index, const char *what,
                              int32_t dtype, void *out, size_t count);
rvn_status rvn_optimizer_write(rvn_optimizer *opt, size_t index, const char *what, int32_t dtype,
                               const void *in, size_t count);

/* The shape of a state slot of tensor index: rank must be the tensor's, and shape has room for as many
 * numbers (NULL where rank is 0). It is the tensor's shape; of a slot with one number for each row of the
 * last two axes, such as "r" of adafactor, with 1 in place of the last axis, of one for each column, "c",
 * with 1 in place of the one before it; of "step" all are 1.
 * Errors: ARGUMENT (rank), NAME (the slots there are), STATE (not prepared). */
rvn_status rvn_optimizer_slot_shape(const rvn_optimizer *opt, size_t index, const char *what,
                                    int64_t *shape, size_t rank);

/* The names of the state slots of tensor index, separated by commas; "" if it has none.
 * Text out as in rvn_optimizer_recipe. Errors: ARGUMENT, STATE (not prepared). */
rvn_status rvn_optimizer_slots(const rvn_optimizer *opt, size_t index, char *buf, size_t cap,
                               size_t *needed);

/* ---- schedules alone ---------------------------------------------------------------------------- */

typedef struct rvn_schedule rvn_schedule;

/* Creates a schedule from text such as "warmup(cosine(0.1, steps=900), steps=100)"; a plain
 * number is the constant schedule. Copied, destroyed and failing as rvn_optimizer_create. */
rvn_status rvn_schedule_create(const char *recipe, rvn_schedule **out);

/* Writes the value at a step; as rvn_schedule_values for one. Errors: ARGUMENT (NULL), CALLBACK. */
rvn_status rvn_schedule_value(const rvn_schedule *schedule, uint64_t step, double *value);

/* Writes the values at steps first, first + 1, ... first + count - 1. Step 0 is the first update.
 * A schedule is a pure function of the step (and of the metrics that a reactive one was given before,
 * see rvn_schedule_metric): this may be called from several threads at once.
 * A step where it has no value gives NaN, beside the values that there are: past the end of over(...,
 * past=error), where rvn_optimizer_step fails, or where 64-bit floats overflow.
 * Errors: ARGUMENT (NULL; steps beyond 2^64 - 1), CALLBACK (a schedule of the host failed; what of
 * out was written by then stays). */
rvn_status rvn_schedule_values(const rvn_schedule *schedule, uint64_t first, size_t count,
                               double *out);

/* Hands a metric to the reactive parts of a schedule, as rvn_optimizer_metric does: its values are
 * then those with the new scales. Without metrics it gives those with scales of 1. The scales end with
 * the handle; an optimizer saves its own. Not while another thread asks for values.
 * Errors: ARGUMENT, STATE (nothing in it is reactive). */
rvn_status rvn_schedule_metric(rvn_schedule *schedule, double value, rvn_metric_report *report);
/* Questions about the steps first, first + 1, ... first + count - 1; count is 1 to 2^32. Each looks
 * at every step of them, or of first_below up to the one it finds: 10 to 50 ns for each. As
 * rvn_schedule_values they may be called from several threads at once.
 *   sum          the values added: the learning rate that is spent. Compensated (Neumaier), so that
 *                its relative error is 2^-52 for values of one sign, whatever their number.
 *   first_below  the first step whose value is below limit; first + count if there is none.
 *   peak         the greatest value and the first step that has it, both exact; either may be NULL.
 * Errors: ARGUMENT (NULL; count; steps beyond 2^64 - 2; limit is NaN; a step without a value: which),
 * CALLBACK. */
rvn_status rvn_schedule_sum(const rvn_schedule *schedule, uint64_t first, uint64_t count,
                            double *sum);
rvn_status rvn_schedule_first_below(const rvn_schedule *schedule, double limit, uint64_t first,
                                    uint64_t count, uint64_t *step);
rvn_status rvn_schedule_peak(const rvn_schedule *schedule, uint64_t first, uint64_t count,
                             uint64_t *step, double *value);

/* About how many steps show what the schedule does, for a plot: its lengths one after the other, some
 * periods of one that has no end, 100 where any number would do. An estimate, never 0.
 * Errors: ARGUMENT (NULL), MEMORY. */
rvn_status rvn_schedule_span(const rvn_schedule *schedule, uint64_t *steps);

/* A plot in plain ASCII of steps first to first + count - 1 (count 0: as many as rvn_schedule_span), to be printed as it is: lines of at most
 * width columns (40 to 400), height of them (5 to 200), labels included, each ended by \n.
 *
 *     0.1 +      ***********
 *         |    **           *****
 *         |   *                  ****
 *         | **                       *****
 *       0 +*                              **************
 *         +---------------------------------------------
 *          0                   step                  999
 *
 * A column stands for count / width steps, of which it looks at 16 at most; steps without a value are
 * left out. 0 is on the scale where the values come near enough to it. Text out as in
 * rvn_optimizer_recipe. Errors: ARGUMENT (width, height, steps beyond 2^64 - 1, no value at any of
 * them), CALLBACK. */
rvn_status rvn_schedule_sketch(const rvn_schedule *schedule, uint64_t first, uint64_t count,
                               int32_t width, int32_t height, char *buf, size_t cap,
                               size_t *needed);

/* The schedule in canonical form. Text out as in rvn_optimizer_recipe. */
rvn_status rvn_schedule_recipe(const rvn_schedule *schedule, char *buf, size_t cap,
                               size_t *needed);

/* NULL is fine. */
void rvn_schedule_destroy(rvn_schedule *schedule);

/* ---- mini-batches ----------------------------------------------------------------------------- */

typedef struct rvn_sampler rvn_sampler;

/* How the items 0 to count - 1 of a data set are divided into batches. All fields that are 0 but
 * struct_size and count mean: one process, full batch, shuffled anew in each epoch. batch = 1 is
 * stochastic gradient descent, anything between is mini-batches. */
typedef struct rvn_sampler_options {
  size_t struct_size;    /* = sizeof(rvn_sampler_options) */
  uint64_t count;        /* items: 1 to 2^62, with labels at most 2^31 - 1 */
  uint64_t batch;        /* items of a batch of this rank; 0 or more than it has: all it has */
  uint64_t seed;         /* same seed, same batches, on every machine */
  const int64_t *labels; /* the class of each item, any numbers, to stratify by; NULL: do not.
                            Read during the call only */
  const struct rvn_options *host; /* memory for the handle, as in rvn_options at the end of this
                                     header, copied; its threads are not used; NULL: malloc */
  int32_t rank, world;   /* this process and the number of them; world 0 is 1 */
  int32_t ordered;       /* 1: the items in their order, without shuffling */
  int32_t replacement;   /* 1: an epoch is count draws from all items, or from all of the class */
  int32_t drop_last;     /* 1: leave out a last batch that is not full */
  int32_t reserved;      /* 0 */
} rvn_sampler_options;

/* Creates a sampler, at epoch 0, position 0.
 *
 * Order: an epoch is an order of all items, another one in each epoch, that depends on count, seed
 * and epoch alone. It is computed where it is asked for (by a keyed permutation over Philox4x32-10)
 * and kept nowhere: a sampler takes no memory that grows with count. Every item is at every place
 * equally often over seeds; it is a shuffle for training, not for cryptography.
 * Ranks: place p of the epoch's order belongs to rank p mod world. So batch b of all ranks together
 * is batch b of one process with a batch world times as large, and the order does not depend on
 * batch, rank or world. All ranks have the same number of batches of the same sizes: items that are
 * missing for that, at most world - 1 (more only if count < world), are taken once more from the
 * start of the epoch's order, as torch's DistributedSampler does. With drop_last nothing is
 * repeated: ranks are disjoint, and up to batch * world - 1 items have to wait for another epoch.
 * Strata: each batch has of each class its share, items of the batch * members / count, rounded down
 * or up; the last, partial batch too, save for repeated items. Which members is drawn anew in each
 * epoch, in which each item comes once. Here the order depends on batch * world, too. Memory: 4 bytes
 * for each item, at most 8 for each class, and 4 more for each item during the call.
 *
 * On success *out is the handle, to be given to rvn_sampler_destroy. On failure *out is NULL.
 * Errors: ARGUMENT (NULL, struct_size, a value out of range: which, and the range; ordered together
 * with replacement; drop_last where not one batch is full), MEMORY. */
rvn_status rvn_sampler_create(const rvn_sampler_options *options, rvn_sampler **out);

/* The number of batches of an epoch, and the items of its largest batch; either may be NULL. Only
 * the last batch can be smaller. Errors: ARGUMENT (NULL sampler). */
rvn_status rvn_sampler_size(const rvn_sampler *sampler, uint64_t *batches, uint64_t *largest);

/* Writes the items of the next batch to out, which has room for cap of them, and their number to
 * *written. At the end of an epoch *written is 0 once, and the next call begins the next epoch:
 *
 *     while (rvn_sampler_next(s, items, cap, &n) == RVN_OK && n > 0) { ...one batch... }
 *
 * Allocates nothing. Errors, after which the sampler is where it was: ARGUMENT (NULL, or cap is
 * smaller than the batch), STATE (epoch 2^63 - 1 is over). */
rvn_status rvn_sampler_next(rvn_sampler *sampler, int64_t *out, size_t cap, size_t *written);

/* Writes any batch of any epoch, and leaves the sampler where it is. A pure function: it may be
 * called from several threads at once, while another is in rvn_sampler_next, too.
 * Errors: ARGUMENT (NULL, cap, epoch above 2^63 - 1, position not below the number of batches). */
rvn_status rvn_sampler_batch(const rvn_sampler *sampler, uint64_t epoch, uint64_t position,
                             int64_t *out, size_t cap, size_t *written);

/* Where the sampler is: the epoch, and the number of its batches that were handed out. These two
 * numbers are all that a checkpoint needs to hold: after a seek to them, a sampler with the same
 * options goes on with the same batches. Position may be the number of batches: the end of the epoch,
 * which the next call tells. Without skipped steps, step t of a run is at epoch t / batches, position
 * t % batches; with accumulate(n) in the recipe it begins at batch t * n, in place of t.
 * Errors: ARGUMENT (NULL sampler, epoch above 2^63 - 1, position above the number of batches). For
 * tell, epoch and position may be NULL. */
rvn_status rvn_sampler_tell(const rvn_sampler *sampler, uint64_t *epoch, uint64_t *position);
rvn_status rvn_sampler_seek(rvn_sampler *sampler, uint64_t epoch, uint64_t position);

/* NULL is fine. */
void rvn_sampler_destroy(rvn_sampler *sampler);

/* ---- gradient health ------------------------------------------------------------------------------- */

/* A monitor takes arrays of a training by name and kind, and says what is wrong, where, how that is
 * known and what to try:
 *
 *     rvn_monitor *m;
 *     rvn_monitor_create(NULL, &m);
 *     for (...) {
 *       int64_t shape[] = {64, 10};
 *       rvn_record r = {sizeof r, "fc1.weight", gw, shape, RVN_F32, 2, RVN_KIND_GRADIENT, 0, 1, -1};
 *       rvn_monitor_record(m, &r);  ...one for each array...
 *       rvn_monitor_end_step(m, &loss);
 *     }
 *     rvn_monitor_report(m, text, sizeof text, NULL);
 *     rvn_monitor_destroy(m);
 *
 * docs/health.md explains each finding. Verdicts do not depend on the scale of the loss, the order of
 * tensors or their type. Nothing that is recorded is changed or kept, but for 512 elements of each
 * gradient, weight and update. Memory: about 10 KB for each array, 5 bytes for each unit of an
 * activation or a bias, 8 for each time of a sequence. Once a name was recorded, recording it again
 * and ending steps allocate nothing (a longer sequence excepted). */
typedef struct rvn_monitor rvn_monitor;

/* What an array is. */
#define RVN_KIND_GRADIENT 1   /* of the loss, before any clipping */
#define RVN_KIND_ACTIVATION 2 /* the output of a layer: [samples..., units] */
#define RVN_KIND_WEIGHT 3     /* parameters, before the step */
#define RVN_KIND_UPDATE 4     /* what is taken from them, as computed, not as rounded */
#define RVN_KIND_LOSS 5       /* the loss, or one for each sample: their mean counts */

typedef struct rvn_record {
  size_t struct_size;   /* = sizeof(rvn_record) */
  const char *name;     /* 1 to 255 bytes of UTF-8 without control characters; copied. Arrays that
                           belong together share a name: the gradient, weight and update of a
                           tensor; the output of a layer and its gradient */
  const void *data;     /* a contiguous array in row-major order; read during the call */
  const int64_t *shape; /* rank lengths; may be NULL if rank is 0 */
  int32_t dtype;        /* RVN_F32, RVN_F64, RVN_BF16 or RVN_F16 */
  int32_t rank;         /* 0 to 8 */
  int32_t kind;         /* RVN_KIND_... */
  int32_t reserved;     /* 0 */
  int64_t depth;        /* which layer, counted from the input, 0 to 1,000,000; -1: not said */
  int64_t time;         /* which step of a sequence, below 2^20, for gradients and activations of a
                           recurrent state: one record for each time; -1: none */
} rvn_record;

struct rvn_options; /* at the end of this header */

/* Creates a monitor. Of the options (NULL: none) only the allocator is used. On success *out is the
 * handle, to be given to rvn_monitor_destroy. On failure *out is NULL. Errors: ARGUMENT, MEMORY. */
rvn_status rvn_monitor_create(const struct rvn_options *options, rvn_monitor **out);

/* Takes an array of the step in progress, in any order. An array without elements is fine. The
 * number of samples of an activation, and whatever has a time, may change from step to step; the
 * rank and the last axis may not, nor any other array.
 * Errors, after which the monitor is as before: ARGUMENT (NULL, unknown kind, depth or time out of
 * range or other than before), NAME, TYPE, SHAPE (not as before), STATE (recorded already in this
 * step), MEMORY. */
rvn_status rvn_monitor_record(rvn_monitor *monitor, const rvn_record *record);

/* Ends the step; *loss is its loss (NULL: none, or recorded). NaN and infinity are findings.
 * Errors: STATE (nothing was recorded since the last step ended, or the loss was recorded already). */
rvn_status rvn_monitor_end_step(rvn_monitor *monitor, const double *loss);

/* The report as text for a terminal, the worst first: a few dozen lines however many arrays there
 * are. Changes nothing. Text out as in rvn_optimizer_recipe. Errors: ARGUMENT, MEMORY. */
rvn_status rvn_monitor_report(rvn_monitor *monitor, char *buf, size_t cap, size_t *needed);

/* The same as JSON: {"schema": "ravine.health", "version": 1, "steps", "findings": [{"code",
 * "severity": "note" | "warn" | "severe", "title", "where", "value", "limit", "limit_name", "window"
 * (steps), "evidence", "advice", "source", "measured": {...}, "place_count", "places": [{"name",
 * "depth", "value"}]}], "summary": {...}, "recorder": {"event", "steps": [...]}, "codes": [{"code",
 * "judged": 0 (nothing was recorded for it) | 1, "title", "summary", "needs", "advice", "source",
 * "limits": [{"name", "value", "default", "low", "high", "summary", "source"}]}], "text": [lines]}.
 * A number that is not finite is one of the strings "nan", "inf" and "-inf". The version grows when a
 * key changes its meaning or goes; new keys may come. */
rvn_status rvn_monitor_report_json(rvn_monitor *monitor, char *buf, size_t cap, size_t *needed);

/* Reads or writes a limit: "vanishing.warn". docs/health.md and the JSON list them. Reports made
 * afterwards go by it; spikes and growth are judged when they happen.
 * Errors: ARGUMENT (NULL, out of range: the range is told), NAME (the nearest is told). */
rvn_status rvn_monitor_get(rvn_monitor *monitor, const char *key, double *value);
rvn_status rvn_monitor_set(rvn_monitor *monitor, const char *key, double value);

/* What the last record of an array had (of a sequence: all times of the step). Whatever is not
 * finite is counted and enters nothing else. */
typedef struct rvn_statistics {
  size_t struct_size;      /* = sizeof(rvn_statistics), set by the caller */
  uint64_t count;
  uint64_t nonfinite;      /* NaN or infinite */
  uint64_t zeros;
  uint64_t subnormals;     /* below the smallest normal number of the array's type, and not 0 */
  int64_t first_nonfinite; /* its index; -1: there is none */
  int64_t largest_index;   /* of the first element with norm_inf; -1: there is none */
  double norm1, norm2, norm_inf; /* in 64-bit floats, right for all finite elements */
  double smallest;         /* the smallest magnitude that is not 0; inf: there is none */
  double mean;
  uint64_t histogram[64];  /* of magnitudes: 4^(i-32) <= |x| < 4^(i-31) is in bin i; the first and
                              the last bin hold what is beyond, too; zeros are in none. The bins are
                              the same for all arrays, so histograms can be added */
} rvn_statistics;

/* Fills *out. Errors: ARGUMENT (NULL, struct_size, kind), NAME (nothing of that name and kind). */
rvn_status rvn_monitor_statistics(rvn_monitor *monitor, const char *name, int32_t kind,
                                  rvn_statistics *out);

/* Attaches the monitor to an optimizer: from then on each call that updates (rvn_optimizer_step, _flush,
 * _step_rows, _end_step with what _step_tensor did) tells the monitor about gradients, weights and
 * updates, and ends its step; the loss is that of rvn_step_input:
 *
 *     rvn_monitor_attach(m, opt);
 *     for (...) {
 *       input.loss = loss, input.has_loss = 1;
 *       rvn_optimizer_step(opt, &input, &report);
 *     }
 *     rvn_monitor_report(m, text, sizeof text, NULL);
 *
 * Parameters and state keep their bytes: it looks at the same updates. What only the host knows, such
 * as activations, it records before the call; what it records itself of a tensor (or its loss) stands in
 * that step, and is not measured again. A call that only accumulates is a part of the step that comes
 * with a later one; the losses of the calls are averaged. One that a guard skips is a step, without an
 * update. Steps of a range test are left out. rvn_monitor_end_step need not be called.
 *
 * In every step: norms before and after clipping, of the update, what is not finite with its place, and
 * how much clipping acts; the budget is 10 % of a step on arrays that no cache holds. In steps 1, 17,
 * 33...: the histogram of each gradient, its largest element, zeros and subnormals, and what
 * rvn_tensor_health has; the budget is 15 %, averaged. Besides, each step costs some microseconds, and
 * some for each tensor: small models feel that (benchmarks/monitor.c measures all of it). With
 * rvn_monitor_set "attached.every" is another distance than 16 (1: all that in every step), and "attached.cosines" 1 the cosine of gradients with those of the step before in every step, not
 * only behind a sampled one (it goes by 512 elements of a tensor: 8 bytes for each and as many for the
 * one before, which are there in any case).
 * Memory: a quarter of a byte for each parameter, about 10 KB for each tensor, 5 bytes for each element
 * of vectors of up to 65,536. It is had here, if the optimizer is prepared, or by its next step (which
 * fails with MEMORY, before anything changes); other steps allocate nothing more.
 *
 * Tensors are placed by depth in the order in which they were added: those whose names are alike up to
 * the last dot are of one layer; without a dot, vectors are of the layer of the matrix before them. Where
 * that is not so, say it with rvn_monitor_set_depth.
 *
 * Either of the two may be destroyed first; the other goes on. The monitor keeps what it saw, and may
 * then be attached to another optimizer. While attached, the two are one as to threads: a call with one
 * must not run beside a call with the other. Checkpoints hold nothing of a monitor.
 * Errors: ARGUMENT (NULL), STATE (one of them is attached already; a step in parts is open; detach: it is
 * not attached), MEMORY. */
rvn_status rvn_monitor_attach(rvn_monitor *monitor, rvn_optimizer *opt);
rvn_status rvn_monitor_detach(rvn_monitor *monitor);

/* Which layer the arrays of a name belong to, counted from the input, 0 to 1,000,000; -1: none that is
 * known. Before or after they are seen. Errors: ARGUMENT (NULL, depth), NAME (malformed), MEMORY. */
rvn_status rvn_monitor_set_depth(rvn_monitor *monitor, const char *name, int64_t depth);

/* The last step of the optimizer that a monitor is or was attached to, and how many there were. Norms
 * are over all tensors with a gradient, of what is finite; sums in 64-bit floats, but for norm1, whose
 * terms are added by fours before. */
typedef struct rvn_step_health {
  size_t struct_size;   /* = sizeof(rvn_step_health), set by the caller */
  uint64_t step;        /* of the monitor */
  uint64_t updates;     /* steps so far that updated; of them */
  uint64_t sampled;     /* those that were looked at closely, */
  uint64_t clipped;     /* and those in which clipping made the gradient smaller */
  uint64_t guarded;     /* calls that a guard skipped */
  uint64_t accumulated; /* calls that only accumulated */
  double grad_norm1, grad_norm2, grad_norm_inf; /* before any stage but unscale and accumulate */
  double clipped_norm1, clipped_norm2, clipped_norm_inf; /* as the rule received it; 0 if skipped */
  double clip_scale;    /* factor of the clipping stages: as they say, or by the norm for those that
                           change elements one by one; 1: they did not act */
  double update_norm;   /* 0 if skipped */
  uint64_t nonfinite;   /* elements that are NaN or infinite */
  int64_t nonfinite_index; /* the first of them in its tensor, which the report names; -1: none */
} rvn_step_health;

/* Fills *out. Errors: ARGUMENT (NULL, struct_size), STATE (the monitor never was attached, or there was
 * no step yet). */
rvn_status rvn_monitor_step(rvn_monitor *monitor, rvn_step_health *out);

/* What the last sampled step says of a tensor; NaN where its rule does not tell it. Of its gradient
 * rvn_monitor_statistics has the rest, of the same step and without mean and smallest, which are NaN. */
typedef struct rvn_tensor_health {
  size_t struct_size;     /* = sizeof(rvn_tensor_health), set by the caller */
  uint64_t step;          /* of the monitor */
  int64_t depth;          /* -1: none is known */
  double weight_norm;     /* 2-norm before the step */
  double update_norm;
  double ratio;           /* root mean square of the update over that of the weights (1e-3 at least) */
  double swallowed;       /* share of the update's 1-norm in elements that rounding left as they were:
                             as computed for 16-bit types; for others, where it cannot be seen, 2^-25
                             (2^-54) of the weight where there is a gradient */
  double eps_dominated;   /* share of the elements that have had a gradient where eps is larger than the
                             root of v */
  double signal_to_noise; /* |m|^2 / (sum v - |m|^2), bias taken out, over the tensor: the mean of
                             gradients over their variance */
  double cosine;          /* of the gradient and the update: 1 for plain descent */
} rvn_tensor_health;

/* Fills *out. Errors: ARGUMENT (NULL, struct_size), NAME (no such tensor was sampled). */
rvn_status rvn_monitor_tensor(rvn_monitor *monitor, const char *name, rvn_tensor_health *out);

/* NULL is fine. */
void rvn_monitor_destroy(rvn_monitor *monitor);

/* ---- checks on demand ------------------------------------------------------------------------- */

/* The loss at the parameters as they are in memory at that moment, all of them. It writes *loss, and if
 * with_gradient is 1 it also fills the arrays that the tensors have as grad. It returns 0;
 * RVN_ERR_CANCELLED ends the check with that status, any other number with RVN_ERR_CALLBACK.
 * It must not change the parameters, and should give the same loss each time: the same batch, no
 * dropout. It is called on the thread that called the check, in that thread's floating-point mode,
 * may call this library, and must return (no longjmp, no exception through it). */
typedef int32_t (*rvn_loss)(void *user, int32_t with_gradient, double *loss);

/* A loss and what it depends on. Everything is borrowed for the duration of a check.
 * Checks take RVN_F32 and RVN_F64, for parameters and gradients; 16 bits are too few for differences.
 * A check moves the parameters, and puts back every byte before it returns, whatever happens. The
 * gradient arrays are left as the last call of the function left them. */
typedef struct rvn_function {
  size_t struct_size;         /* = sizeof(rvn_function) */
  const rvn_tensor *tensors;  /* grad: where the function puts the gradient; NULL: the tensor is held
                                 fast (rvn_loss_slice moves it all the same) */
  size_t tensor_count;
  rvn_loss loss;
  void *user;                 /* handed to loss */
  const struct rvn_options *host; /* memory, as in rvn_options at the end of this header, read during
                                     the call; NULL: malloc */
} rvn_function;

/* What a gradient check says; the gravest is the largest. */
#define RVN_GRADIENT_CORRECT 0
#define RVN_GRADIENT_UNRESOLVED 1 /* noise of the loss may hide an error of tolerance times the
                                     largest derivative */
#define RVN_GRADIENT_KINK 2       /* two one-sided derivatives, and the analytic one about there */
#define RVN_GRADIENT_MISTAKE 3

/* All 0: every element. */
typedef struct rvn_check_gradient_options {
  size_t struct_size;  /* = sizeof(rvn_check_gradient_options) */
  uint64_t entries;    /* elements of each tensor, drawn without repetition; 0: all */
  uint64_t directions; /* in place of elements: so many random directions of each tensor */
  uint64_t seed;       /* of what is drawn */
  double step;         /* relative to max(1, |x|), up to 1; 0: cube root of 3 times the noise */
  double tolerance;    /* relative error that is correct, below 1; 0: 1e-6, or 1e-3 where parameters,
                          gradient or loss are 32-bit floats */
} rvn_check_gradient_options;

/* What a check found, in all tensors or in one. */
typedef struct rvn_gradient_check {
  size_t struct_size;     /* = sizeof(rvn_gradient_check), set by the caller */
  int32_t outcome;        /* RVN_GRADIENT_...: the gravest */
  int32_t reserved;       /* 0 */
  uint64_t checked;       /* derivatives compared, and how many of them were: */
  uint64_t mistakes, kinks, unresolved;
  double cosine;          /* of the angle between analytic and numeric gradient, kinks left out */
  double ratio;           /* analytic = ratio * numeric, by least squares: 2 is a lost 1/2, -1 a sign */
  size_t tensor;          /* the worst derivative: its tensor, */
  int64_t index;          /* element, or -1 for a direction, */
  double analytic;        /* what the function says, */
  double numeric;         /* what differences say, NaN if the loss has no values around, */
  double error;           /* what the numeric one may be off by, */
  double relative_error;  /* |analytic - numeric| / max of both; for a direction also of its size
                             without cancellation; infinite for an analytic NaN or infinity */
  double backward, forward; /* the derivatives of the two sides, */
  double step;            /* and how far they went */
  double loss;            /* at the given parameters */
  double noise;           /* estimated standard deviation of the loss for other reasons */
  double repeated;        /* difference of two calls with the same parameters: above rounding, the
                             function draws random numbers or another batch */
  uint64_t evaluations;   /* calls of the function so far */
} rvn_gradient_check;

/* Compares the gradient of a function with differences of its loss.
 *
 * Each element is first compared with one central difference. The step balances truncation against
 * noise, which is measured (9 calls; Moré and Wild 2011), so a loss in 32-bit floats is judged as
 * one. What that does not confirm is looked at with eight steps, from sixteen times as long on, each a
 * quarter of the one before: the best Richardson extrapolation decides, with its error estimate; where the one-sided derivatives stay
 * apart by more than noise however short the step, and the analytic one is no further from their middle
 * than they are apart, it is a kink (ReLU at 0, a maximum, |x|), where differences cannot judge. A kink
 * elsewhere within the step does no harm. With directions, all elements of a tensor are moved at once by random signs: 2 calls each for
 * any size, and a mistake shows as the tensor it is in.
 *
 * options may be NULL. each is NULL or has tensor_count elements, the first with its struct_size set,
 * which holds for all, to receive what was found in each tensor. A mistake is RVN_OK: outcome says it. On failure nothing is
 * written.
 * Calls: 11, and 2 for each element or direction, 16 where they do not confirm it. Memory: a copy of
 * the parameters and 8 bytes for each element.
 * Errors: ARGUMENT, TYPE, SHAPE, NAME (as rvn_optimizer_add), NONFINITE (a parameter, or the loss at
 * the given parameters), CALLBACK (also if the function changed the parameters), CANCELLED, MEMORY. */
rvn_status rvn_check_gradient(const rvn_function *function, const rvn_check_gradient_options *options,
                              rvn_gradient_check *result, rvn_gradient_check *each);

/* The gradient noise scale: how many examples a batch needs until the noise in its gradient is as large
 * as the gradient (McCandlish et al. 2018, arXiv:1812.06162, appendix A). Batches much smaller are
 * mostly noise, much larger ones mostly wasted. The caller sets struct_size and decay, and the rest to
 * 0; the struct is the running average, may be copied, and holds no memory. */
typedef struct rvn_noise_scale {
  size_t struct_size;    /* = sizeof(rvn_noise_scale) */
  double decay;          /* share of the running means that stays: 0 the last estimate alone, 0.99 the
                            last hundred or so, 1 a plain mean of all */
  uint64_t count;        /* estimates so far */
  double scale;          /* tr(S) / |G|^2 in examples, a ratio of means; NaN while the mean of |G|^2 is
                            not above 0, which says: average over more */
  double error;          /* its standard error, to first order; NaN for fewer than two estimates */
  double signal;         /* the last estimate of |G|^2, the squared norm of the true gradient; unbiased,
                            so it may be negative */
  double variance;       /* the last estimate of tr(S), S the covariance of one example's gradient */
  double mean_signal, mean_variance; /* their running means */
  double weight, weight_squares, spread[3]; /* the library's own */
} rvn_noise_scale;

/* Takes in the 2-norms of the gradients of a small and a large batch, of so many examples; both are
 * means over their examples. For an unbiased estimate the small norm is better the root mean square
 * over several small batches. |G|^2 = (B |G_B|^2 - b |G_b|^2) / (B - b), tr(S) = (|G_b|^2 - |G_B|^2) /
 * (1/b - 1/B). Errors, after which *scale is as it was: ARGUMENT (0 < small < large, norms >= 0, decay
 * 0 to 1), NONFINITE (a norm, or its square). */
rvn_status rvn_noise_scale_norms(rvn_noise_scale *scale, uint64_t small, double small_norm,
                                 uint64_t large, double large_norm);

/* The same from gradients: of `parts` batches of `batch` examples each (workers, micro-batches, or
 * single examples with batch = 1). grads[p * tensors + t] is the gradient of tensor t in batch p, of
 * counts[t] elements of dtype RVN_F32 or RVN_F64. The small norm is the root mean square over the
 * batches, the large gradient their mean. Errors: ARGUMENT (parts below 2, NULL), TYPE, NONFINITE
 * (names tensor, batch and index). */
rvn_status rvn_noise_scale_gradients(rvn_noise_scale *scale, uint64_t batch, size_t parts,
                                     size_t tensors, const void *const *grads, const size_t *counts,
                                     int32_t dtype);

/* All 0: the Hessian, to three digits, with at most 32 products. */
typedef struct rvn_hessian_options {
  size_t struct_size;  /* = sizeof(rvn_hessian_options) */
  uint64_t iterations; /* products with the Hessian at most, up to 1,000; 0: 32 */
  double tolerance;    /* stop at such a residual, relative to the larger |eigenvalue|; 0: 1e-3 */
  double step;         /* of the gradient differences, relative to 1 + |x|; 0: 2^-17, or 2^-8 where
                          parameters or gradients are 32-bit floats */
  uint64_t seed;       /* of the first vector */
  const void *const *preconditioner; /* NULL, or for each tensor an array of its dtype, all above 0: P
                          of P^-1/2 H P^-1/2. A tensor without gradient may have NULL */
  void *const *largest_vector;  /* NULL, or for each tensor an array of its dtype, which receives the */
  void *const *smallest_vector; /* eigenvector, of length 1 over all tensors; left alone on failure */
} rvn_hessian_options;

typedef struct rvn_hessian_extremes_result {
  size_t struct_size;      /* = sizeof(rvn_hessian_extremes_result), set by the caller */
  double largest, smallest; /* eigenvalues, in units of loss / parameter^2 */
  double largest_residual; /* |H v - lambda v|: some eigenvalue is no further off than this */
  double smallest_residual;
  double asymmetry;        /* how far the products were from those of a symmetric matrix, from rounding
                              or kinks: what the eigenvalues may be off beyond the residual */
  double loss, gradient_norm; /* at the given parameters */
  uint64_t iterations, evaluations; /* products with the Hessian; calls of the function */
  uint64_t bytes;          /* memory taken at the most */
  int32_t converged;       /* 1: both residuals are within tolerance */
  int32_t reserved;        /* 0 */
} rvn_hessian_extremes_result;

/* The largest and the smallest eigenvalue of the Hessian over all elements that have a gradient, by
 * Lanczos with full re-orthogonalisation on central differences of the gradient. Both ends come from
 * the same products; a power iteration would give whichever is larger in size. options may be NULL.
 * Not converged is RVN_OK: converged and the residuals say it. On failure nothing is written.
 * Calls: 1 and 2 for each product, all with gradient. Memory: a copy of the parameters, and 8 bytes for
 * each element and product: (iterations + 1) * 8 bytes a parameter at the most, 264 by default.
 * Errors: as rvn_check_gradient; NONFINITE also for a gradient. */
rvn_status rvn_hessian_extremes(const rvn_function *function, const rvn_hessian_options *options,
                                rvn_hessian_extremes_result *result);

/* The edge of stability: the eigenvalue of the Hessian beyond which a rule with rate lr and momentum
 * beta runs away on a quadratic, and at which full-batch training hovers (Cohen et al. 2021,
 * arXiv:2103.00065). largest / threshold is the gauge: below 1 stable, about 1 at the edge.
 *   "heavy_ball"  m = beta m + g, p -= lr m              2 (1 + beta) / lr; beta 0 is plain descent
 *   "nesterov"    likewise, p -= lr (g + beta m)         2 (1 + beta) / (lr (1 + 2 beta))
 *   "average"     m = beta m + (1 - beta) g, p -= lr m   2 (1 + beta) / (lr (1 - beta))
 * A rule that scales each element by 1 / P, such as adam ("average", beta1) or rmsprop ("heavy_ball",
 * momentum), is judged by the Hessian preconditioned with P: 38 / lr for beta1 = 0.9 (Cohen et al.
 * 2022, arXiv:2207.14484). Adam after t steps has P = (1 - beta1^t) (sqrt(v / (1 - beta2^t)) + eps).
 * With dampening, lr is multiplied by 1 - dampening first. Rules of signs have no such edge.
 * Errors: ARGUMENT (lr above 0, beta 0 to below 1), NAME. */
rvn_status rvn_stability_threshold(const char *momentum, double lr, double beta, double *threshold);

typedef struct rvn_loss_slice_options {
  size_t struct_size; /* = sizeof(rvn_loss_slice_options) */
  size_t points;      /* along the first direction, up to 2^20 */
  size_t points2;     /* along the second; 0: a line */
  double low, high;   /* where both begin and end, in units of the direction; both 0: -1 and 1 */
  uint64_t seed;      /* of random directions */
  const void *const *direction;  /* NULL: random; or for each tensor an array of its dtype */
  const void *const *direction2;
  int32_t raw;        /* 1: directions as they are, without normalisation */
  int32_t last_axis;  /* what a filter of a tensor with two or more axes is: 0 a slice along the first
                         axis (torch: out, in, ...), 1 along the last (x @ w: in, out) */
  int32_t vectors;    /* 0: tensors with fewer than two axes (biases, norms) stay, as in the paper's
                         code; 1: each is moved as one filter. No meaning with raw */
  int32_t reserved;   /* 0 */
} rvn_loss_slice_options;

/* The loss around the parameters, on a line or on a plane: at x + a d, or x + a d + b d2, for evenly
 * spaced a and b from low to high. Directions are normal random numbers unless given, and normalised
 * filter by filter: each filter of d gets the norm of the same filter of x, so that slices of different
 * networks can be compared (Li et al. 2018, arXiv:1712.09913). All tensors take part, with or without a
 * gradient array. losses has room for points, or points * points2: row i, column j belongs to a_i, b_j.
 * A loss that is NaN or infinite is a value like others. An odd number of points has the given
 * parameters in the middle. On failure the losses written so far stay.
 * Calls: 1 and one for each point, without gradient. Memory: a copy of the parameters, and 8 bytes for
 * each element and direction.
 * Errors: as rvn_check_gradient; ARGUMENT also where no tensor would move. */
rvn_status rvn_loss_slice(const rvn_function *function, const rvn_loss_slice_options *options,
                          double *losses);

typedef struct rvn_activation_statistics_result {
  size_t struct_size;      /* = sizeof(rvn_activation_statistics_result), set by the caller */
  uint64_t rows, units;    /* as given */
  uint64_t dead_units;     /* that are exactly 0 in every row */
  uint64_t saturated_units; /* that are beyond the limits in more than half of the rows */
  uint64_t nonfinite;      /* elements that are NaN or infinite */
  int64_t first_nonfinite; /* row * units + unit of the first; -1: none */
  double zeros, low, high; /* shares of all elements: exactly 0, below and above the limits */
  double mean, deviation;  /* of the finite elements, and their standard deviation (of a population) */
  double least, largest;
} rvn_activation_statistics_result;

/* What a batch of activations shows of the units that made them: rows of `units` elements, a row for
 * each example (or example and time step), `stride` elements from one row to the next (0: units).
 * dtype is RVN_F32 or RVN_F64. activation names the limits of saturation:
 *   "tanh" -0.99 and 0.99      "sigmoid" 0.01 and 0.99      "relu", "linear" none
 * shares is NULL or has room for 3 * units numbers: for each unit the share of its rows that are 0, then
 * below, then above the limits.
 * Errors: ARGUMENT (NULL, misaligned), NAME (no such activation), TYPE, SHAPE. */
rvn_status rvn_activation_statistics(const void *values, int32_t dtype, size_t rows, size_t units,
                                     size_t stride, const char *activation,
                                     rvn_activation_statistics_result *result, double *shares);

/* The same for the gates of an LSTM or a GRU that stand side by side in each row, `units` elements each,
 * after their activation. gates says which, a letter each, 1 to 8: i f o r z are sigmoids, g (or c) and
 * n (or h) are tanh: "ifgo" in torch, "ifco" in Keras. results has an element for each gate, the first
 * with its struct_size set, which holds for all; stride 0 is units * gates; shares has room for
 * 3 * units * gates, or is NULL. Errors: likewise, NAME for an unknown gate. */
rvn_status rvn_gate_statistics(const void *values, int32_t dtype, size_t rows, size_t units,
                               size_t stride, const char *gates,
                               rvn_activation_statistics_result *results, double *shares);
/* ---- initial values ---------------------------------------------------------------------------- */

/* Fills a tensor before training, by an initializer such as
 *
 *     he                       glorot(uniform)            orthogonal(1.4)
 *     normal(0.02)             truncated_normal(0.02)     zeros
 *
 * written as an element of a recipe; rvn_catalog_* lists them as kind "init". All numbers are plain.
 * An element's value is a pure function of seed, the tensor's name, its place in row-major order and,
 * as far as the initializer says so, the shape: the same bytes on every machine and for every number of
 * threads. Two tensors of one seed get numbers of their own if their names differ, and the order of
 * the calls does not matter; a tensor of another name is filled otherwise. Values are computed as
 * 64-bit floats and rounded to dtype (by way of 32 bits to a 16-bit type); what is too large for it
 * becomes infinite.
 *
 * Inputs and outputs: the word `layout` says which axes of a weight they are. torch, the default: (out,
 * in, kernel...), as in y = W x. keras: (kernel..., in, out), as in y = x W, also of flax and jax. Fan
 * in is the length of `in` times the positions of the kernel, fan out that of `out` likewise. An
 * initializer that needs them refuses a tensor of rank 0 or 1.
 *
 * tensor: as for rvn_optimizer_add; grad is not used. Nothing is kept. May be called from several
 * threads for different tensors. Errors, after which the tensor is as it was: ARGUMENT, RECIPE (with
 * line:column), NAME, TYPE, SHAPE (of the tensor, or not one that the initializer can fill), MEMORY. */
rvn_status rvn_init(const char *recipe, uint64_t seed, const rvn_tensor *tensor);

/* With memory and threads of the host, as in rvn_options at the end of this header (NULL: none); read
 * during the call only. More errors: CALLBACK, where its parallel_for did not run all bodies: then
 * the tensor holds anything. */
rvn_status rvn_init_with(const char *recipe, uint64_t seed, const rvn_tensor *tensor,
                         const struct rvn_options *options);

/* ---- the catalog ---------------------------------------------------------------------------------- */

/* One thing that a recipe can name. The text is static: it lives as long as the library. */
typedef struct rvn_entry {
  size_t struct_size;     /* = sizeof(rvn_entry), set by the caller */
  const char *name;       /* unique over all kinds */
  const char *kind;       /* "rule", "stage", "schedule" or "init" */
  const char *summary;    /* one line */
  const char *formula;    /* the recurrence, lines separated by \n */
  const char *reference;  /* the paper or the code that it reproduces */
  const char *difference; /* how it differs from the paper, torch and optax */
  size_t parameter_count;
  size_t state_count;
  const char *example;    /* as a recipe has it; "" if there is none */
  size_t least_rank;      /* the rank that a tensor must have at least: 2 for a rule of matrices */
  const char *needs;      /* what a rule must be given beside gradients: "curvature", by
                             rvn_optimizer_curvature; "": nothing */
} rvn_entry;

/* Kinds of parameters. */
#define RVN_PARAMETER_NUMBER 1    /* a number; of a rule or a stage also a schedule */
#define RVN_PARAMETER_FLAG 2      /* 0 or 1 */
#define RVN_PARAMETER_WORD 3      /* one of the words in `words` */
#define RVN_PARAMETER_COUNT 4     /* a whole number */
#define RVN_PARAMETER_LIST 5      /* numbers in parentheses: (5, 20) */
#define RVN_PARAMETER_SCHEDULE 6  /* a schedule or a number: what `warmup` goes around */
#define RVN_PARAMETER_SCHEDULES 7 /* schedules and numbers in parentheses: the parts of `sequence` */

typedef struct rvn_parameter {
  size_t struct_size;  /* = sizeof(rvn_parameter), set by the caller */
  const char *name;
  const char *summary; /* meaning and unit, one line */
  const char *initial; /* the default, as text that a recipe takes; "" if it must be given */
  const char *words;   /* for RVN_PARAMETER_WORD: the words, separated by spaces; else "" */
  double low, high;    /* the range; for a list, of each element; no meaning for a word */
  int32_t kind;        /* RVN_PARAMETER_... */
  int32_t low_open;    /* 1 if low itself is not allowed */
  int32_t high_open;   /* 1 if high itself is not allowed */
  int32_t reserved;    /* 0 */
} rvn_parameter;

typedef struct rvn_slot {
  size_t struct_size;  /* = sizeof(rvn_slot), set by the caller */
  const char *name;    /* "m", "v", ...: what rvn_optimizer_read takes; of a reactive schedule "scale",
                          "best", ...: rvn_optimizer_get("plateau.scale") */
  const char *summary;
  const char *when;    /* the parameter that must not be 0 for the slot to exist; "": always */
} rvn_slot;

/* The number of entries, in the order of the documentation, then those of the host in the order of
 * registration (below). An entry keeps its number. */
size_t rvn_catalog_count(void);

/* Fills *out. Errors: ARGUMENT (NULL, struct_size, index past the end). */
rvn_status rvn_catalog_entry(size_t entry, rvn_entry *out);
rvn_status rvn_catalog_parameter(size_t entry, size_t index, rvn_parameter *out);
rvn_status rvn_catalog_slot(size_t entry, size_t index, rvn_slot *out);

/* ---- schedules of the host -------------------------------------------------------------------------- */

/* Writes the value of a schedule at a step to *value and returns 0, or returns anything else if it
 * cannot. step counts from 0 and is whole, save inside per_epoch(smooth=true). parameters has the
 * values of the recipe, in the order of their declaration (a flag as 0 or 1, a word as its number);
 * NULL if there are none.
 * It must be a function of step and parameters alone: recipes, checkpoints and rvn_schedule_values
 * ask it for any step, in any order, as often as they like, and rvn_optimizer_create for step 0.
 * It runs on the thread that called the library and on several at once if several do; never on a
 * worker. It may call the library, though not with a handle that is in the call it runs under, and
 * must return (no longjmp, no exception through it). */
typedef int32_t (*rvn_schedule_function)(void *user, double step, const double *parameters,
                                         double *value);

typedef struct rvn_host_schedule {
  size_t struct_size;              /* = sizeof(rvn_host_schedule) */
  const char *summary;             /* for the catalog, as in rvn_entry; NULL: "" */
  const char *formula;
  const char *reference;
  const rvn_parameter *parameters; /* as the catalog describes them; see below */
  size_t parameter_count;          /* 0 to 16 */
  rvn_schedule_function value;
  void *user;                      /* the first argument of value; both are used until the end of
                                      the process */
} rvn_host_schedule;

/* Registers a schedule of the host for the whole process, under a name with a dot such as
 * "myapp.decay" (letters, digits and _ between the dots, no word beginning with a digit; at most 63
 * bytes). From then on it is a schedule as any other: in recipes, inside other schedules, in clauses,
 * in the catalog, in the canonical form. All text is copied.
 *
 *     static int32_t decay(void *user, double step, const double *p, double *value) {
 *       *value = p[0] * exp2(-step / p[1]);
 *       return 0;
 *     }
 *     rvn_parameter p[] = {
 *         {sizeof *p, "value", "at step 0", NULL, NULL, 0, 0, RVN_PARAMETER_NUMBER, 0, 0, 0},
 *         {sizeof *p, "half", "steps", "1000", NULL, 1, 1e9, RVN_PARAMETER_NUMBER, 0, 0, 0}};
 *     rvn_host_schedule s = {sizeof s, "halves", NULL, NULL, p, 2, decay, NULL};
 *     rvn_schedule_register("myapp.decay", &s);
 *     rvn_optimizer_create("sgd(warmup(myapp.decay(0.1, half=500), steps=100))", &opt);
 *
 * Of a parameter: name; kind NUMBER (here without a schedule), FLAG, WORD or COUNT; initial as a
 * recipe would say it, NULL or "" if it must be given; low to high, where 0 to 0 is any finite number,
 * and for a COUNT 0 to 10^15 (a FLAG and a WORD need none); words of a WORD, separated by spaces. A
 * COUNT may be given as a share, 5%, inside over. The recipe reader refuses what is out of range.
 *
 * What may go wrong later: value returns other than 0: the call under way (a creation, a step, a
 * question) fails with CALLBACK, and a step changes nothing. NaN: no value at this step, as past the
 * end of over(..., past=error). A value that its hyper-parameter does not take: ARGUMENT, at creation
 * for step 0, else at the step.
 * A name is registered once, also from several threads; a second time is NAME. It cannot be taken
 * back. A checkpoint has the name and the values, not the function, and loads without it, since
 * hyper-parameters are those of the handle; but an optimizer cannot be created from a recipe, that
 * of a checkpoint too, before its names are registered: RECIPE says which.
 * Floating-point: value is called in the default mode, and may leave any.
 * Errors: ARGUMENT (NULL; struct_size; a parameter's kind, range or default; more than 16), NAME (not
 * such a name; taken; two parameters of one name), STATE (256 names are registered), MEMORY. */
rvn_status rvn_schedule_register(const char *name, const rvn_host_schedule *schedule);

/* ---- rules and stages of the host ------------------------------------------------------------------- */

/* What a rule or a stage of the host works on: some elements of one tensor, at most 1,024, in row-major
 * order. All arrays are of the arithmetic type, whatever the tensor's own: float, or double where it is
 * F64. They are the function's during the call. */
typedef struct rvn_host_call {
  size_t struct_size;        /* = sizeof(rvn_host_call), set by the library */
  const double *parameters;  /* the values in this step, in the order of their declaration (a flag as 0
                                or 1, a word as its number) */
  double step;               /* of a rule and of a stage behind it: which update of this tensor it is,
                                from 1; of a stage before the rule: which step of the optimizer */
  size_t first, count;       /* the first of the elements, and how many (of rvn_optimizer_step_rows: by
                                their place among those of the rows) */
  const void *p;             /* parameters before the update */
  const void *g;             /* the gradient, as the stages before this one leave it */
  void *out;                 /* a rule writes the new parameters here; a stage before the rule the new
                                gradient; a stage behind it finds the new parameters, and may change them */
  void *const *state;        /* an array of count elements for each declared one, to be read and changed;
                                they begin at 0 */
  int32_t dtype, reserved;   /* RVN_F32 or RVN_F64: of p, g, out and state */
} rvn_host_call;

/* Returns 0, or anything else if it cannot.
 * It runs on several threads at once, on the library's workers too, and for the elements of a tensor in
 * any order: what it writes must hang on what it is given alone. Where a recipe measures gradients or
 * updates before it steps, it is called more than once for the same elements, on copies of the state. It
 * must return (no longjmp, no exception through it), must not use a handle, and may leave any
 * floating-point mode. */
typedef int32_t (*rvn_host_function)(void *user, const rvn_host_call *call);

typedef struct rvn_host_rule {
  size_t struct_size;              /* = sizeof(rvn_host_rule) */
  const char *summary;             /* for the catalog, as in rvn_entry; NULL: "" */
  const char *formula;
  const char *reference;
  const rvn_parameter *parameters; /* as for rvn_schedule_register, but a NUMBER takes schedules, too */
  size_t parameter_count;          /* 0 to 16 */
  const char *state;               /* names of the arrays of state, separated by spaces: "m v"; NULL: none;
                                      at most 8 */
  rvn_host_function function;
  void *user;                      /* the first argument of function; both are used until the end of the
                                      process */
  int32_t follows;                 /* of a stage: 0 before the rule, 1 behind it; of a rule: 0 */
  int32_t reserved;                /* 0 */
} rvn_host_rule;

/* Registers an update rule of the host for the whole process, under a name as for rvn_schedule_register.
 * From then on it is a rule as any other: in recipes, clauses, checkpoints, the catalog; with stages,
 * schedules, types, threads, rows. Its first parameter must be a NUMBER named lr. All text is copied.
 *
 *     static int32_t sign(void *user, const rvn_host_call *c) {
 *       if (c->dtype != RVN_F32) return 1;
 *       const float *p = c->p, *g = c->g, lr = (float)c->parameters[0];
 *       float *out = c->out;
 *       for (size_t i = 0; i < c->count; i++) out[i] = p[i] - lr * ((g[i] > 0) - (g[i] < 0));
 *       return 0;
 *     }
 *     rvn_parameter p[] = {{sizeof *p, "lr", "rate", "0.01", NULL, 0, 1, RVN_PARAMETER_NUMBER, 0, 0, 0}};
 *     rvn_host_rule r = {sizeof r, "sign descent", NULL, NULL, p, 1, NULL, sign, NULL, 0, 0};
 *     rvn_rule_register("myapp.sign", &r);
 *     rvn_optimizer_create("clip_norm(1) | myapp.sign(cosine(0.01, steps=1000))", &opt);
 *
 * Where the function fails, the step fails with CALLBACK. In the middle of an update some tensors are
 * stepped and others not: the handle is poisoned, good for load and destroy only. Before that (a
 * recipe that measures first) nothing is changed.
 * That bytes are the same for any threads and machine is up to the function.
 * Errors: those of rvn_schedule_register; ARGUMENT also: no lr; follows; more than 8 arrays; NAME also: of
 * an array of state. */
rvn_status rvn_rule_register(const char *name, const rvn_host_rule *rule);

/* Registers a stage likewise. Before the rule it changes the gradient, and keeps no state; behind it
 * (follows = 1) it changes the new parameters. */
rvn_status rvn_stage_register(const char *name, const rvn_host_rule *stage);

/* ---- the library as a whole ------------------------------------------------------------------------ */

#define RVN_VERSION_NUMBER 100 /* 10000 * major + 100 * minor + patch: 0.1.0 */
#define RVN_ABI_VERSION 0      /* the number in libravine.so.0 */

/* Of the library that was loaded; compare with the macros. "0.1.0" and the ABI number. */
const char *rvn_version(void);
int32_t rvn_abi_version(void);

/* The instruction set in use: "avx512", "avx2", "sse2" or "neon". The environment variable
 * RAVINE_ISA, read once, lowers it (for tests and bug reports); it never raises it. */
const char *rvn_isa(void);

/* The number of threads for handles that do not have their own: 0 as many as pay, 1 the calling
 * thread alone, at most 256. Takes effect at each handle's prepare. The bytes of results do not depend
 * on it. Errors: ARGUMENT. */
rvn_status rvn_set_threads(int32_t count);

/* Ends and joins the library's worker threads; a later step starts them again. For hosts that
 * count threads, or before unloading. Not while another thread is in a step. */
void rvn_shutdown(void);

/* ---- options of a handle, for hosts that bring their own memory and threads --------------------------- */

/* body(context, i) is to be called once for each i in 0..<count, in any order, on any threads,
 * and all must have returned before parallel_for returns. */
typedef void (*rvn_body)(void *context, size_t index);

/* c = alpha a b + beta c in 32-bit floats, as cblas_sgemm with CblasRowMajor does it: a has m x k elements,
 * b k x n, c m x n; where transpose_a is 1, a is stored as k x m; lda elements lie from one stored row to
 * the next. c is not read where beta is 0. Returns 0, or anything else if it cannot. */
typedef int32_t (*rvn_product)(void *user, int32_t transpose_a, int32_t transpose_b, size_t m,
                               size_t n, size_t k, float alpha, const float *a, size_t lda,
                               const float *b, size_t ldb, float beta, float *c, size_t ldc);

/* values[i] becomes the sum of values[i] over all ranks, as MPI_Allreduce with MPI_SUM and MPI_IN_PLACE
 * makes it. Returns 0, or anything else if it cannot; must return (no longjmp, no exception through it). */
typedef int32_t (*rvn_all_sum)(void *user, double *values, size_t count);

typedef struct rvn_options {
  size_t struct_size; /* = sizeof(rvn_options) */
  /* Memory. Both or neither. allocate returns NULL when there is none: then the call in progress
   * fails with RVN_ERR_MEMORY. alignment is a power of two, at most 64. They are called on the
   * threads that call the library, and never from workers. They must work until the handle
   * is destroyed. */
  void *(*allocate)(void *user, size_t size, size_t alignment);
  void (*deallocate)(void *user, void *memory, size_t size, size_t alignment);
  void *allocator_user;
  /* Threads: the host's own loop instead of the library's pool; NULL: the pool. It is not called
   * where one thread does the work. A parallel_for
   * that returns before all bodies have run leaves the handle poisoned: the step fails with
   * RVN_ERR_CALLBACK, and steps and saves with RVN_ERR_STATE until a load of
   * parameters and state. */
  void (*parallel_for)(void *user, size_t count, rvn_body body, void *context);
  void *parallel_user;
  int32_t threads;  /* as rvn_set_threads, for this handle; -1: as rvn_set_threads says */
  int32_t reserved; /* 0 */
  /* Products of matrices for rules that step whole matrices (muon): the host's BLAS instead of the
   * library's own; NULL: the library's. It is called on the thread that called the library, with
   * matrices of 32-bit floats only; RVN_F64 tensors use the library's. A BLAS adds up in an order of its
   * own: bytes are then not the same for every machine and thread count, and rvn_optimizer_plan says so.
   * A product that fails leaves the handle poisoned, as above. */
  rvn_product product;
  void *product_user;
  /* Sharding, of an optimizer (other handles take no notice): 1/world of each tensor is stepped by each
   * of `world` handles, in other processes, on other machines or threads, and each keeps the state of
   * its own elements only (ZeRO stage 1). 0 or 1: not sharded, and rank is 0.
   *   - All ranks create from the same recipe, add the same tensors in the same order, and make the
   *     same calls that change or step the handle, with gradients for the same tensors and all with a
   *     report or all without.
   *   - data, grad and rvn_step_input.grads are arrays of whole tensors as ever; a rank reads and
   *     writes its own elements alone, which rvn_optimizer_shard tells. So: reduce-scatter of the
   *     gradients, step, all-gather of the parameters.
   *   - Given the same gradients, parameters after n steps and reports are the same bytes for any
   *     number of ranks: what is measured is added up over ranks by all_sum, in a vector with one
   *     number (rules and stages that measure each tensor: four) for each 1,024 elements of all
   *     tensors, 0 for those of other ranks, and then in the order of the elements.
   *   - all_sum runs on the thread that called the library: once for each phase that measures
   *     (rvn_optimizer_plan lists them), once for a report, once more where a report counts elements
   *     that are not finite; never for a plain step without a report. Where it fails, the step is
   *     CALLBACK; for a report the parameters are written by then, and the handle is poisoned, as
   *     above. A rank whose own call fails before that does not come to it: the others wait.
   *   - read and write of state, and save, are about the rank's own elements (count is that of the
   *     shard); rvn_optimizer_load_shards loads what other numbers of ranks saved.
   *   - UNSUPPORTED, since they need whole tensors: at prepare, muon, adafactor, sophia, adahessian,
   *     clip_unit and centralize; steps of a tensor, of rows or in parts; a range test; an attached
   *     monitor. */
  int32_t rank, world;
  rvn_all_sum all_sum;
  void *all_sum_user;
} rvn_options;

/* As rvn_optimizer_create, with options (NULL: none), which are copied. */
rvn_status rvn_optimizer_create_with(const char *recipe, const rvn_options *options,
                                     rvn_optimizer **out);

#ifdef __cplusplus
}
#endif

#endif
