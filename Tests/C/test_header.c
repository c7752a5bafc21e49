/* What must not change by accident: sizes, offsets, numbers. Compiled as C99, C11 and C++17. */
#include "check.h"

#define SIZE(type, n) CHECK(sizeof(type) == (n))
#define AT(type, field, n) CHECK(offsetof(type, field) == (n))
#define IS(name, n) CHECK((name) == (n))

static void structs(void) {
  SIZE(rvn_status, 4);
  SIZE(rvn_tensor, 56);
  AT(rvn_tensor, struct_size, 0);
  AT(rvn_tensor, name, 8);
  AT(rvn_tensor, data, 16);
  AT(rvn_tensor, grad, 24);
  AT(rvn_tensor, dtype, 32);
  AT(rvn_tensor, grad_dtype, 36);
  AT(rvn_tensor, rank, 40);
  AT(rvn_tensor, reserved, 44);
  AT(rvn_tensor, shape, 48);
  SIZE(rvn_step_input, 40);
  AT(rvn_step_input, struct_size, 0);
  AT(rvn_step_input, grads, 8);
  AT(rvn_step_input, grad_count, 16);
  AT(rvn_step_input, loss, 24);
  AT(rvn_step_input, has_loss, 32);
  AT(rvn_step_input, reserved, 36);
  SIZE(rvn_step_report, 64);
  AT(rvn_step_report, struct_size, 0);
  AT(rvn_step_report, step, 8);
  AT(rvn_step_report, lr, 16);
  AT(rvn_step_report, grad_norm, 24);
  AT(rvn_step_report, clip_scale, 32);
  AT(rvn_step_report, update_norm, 40);
  AT(rvn_step_report, nonfinite, 48);
  AT(rvn_step_report, skipped, 56);
  AT(rvn_step_report, reserved, 60);
  SIZE(rvn_load_options, 24);
  AT(rvn_load_options, struct_size, 0);
  AT(rvn_load_options, partial, 8);
  AT(rvn_load_options, params, 12);
  AT(rvn_load_options, state, 16);
  AT(rvn_load_options, reserved, 20);
  SIZE(rvn_sampler_options, 72);
  AT(rvn_sampler_options, struct_size, 0);
  AT(rvn_sampler_options, count, 8);
  AT(rvn_sampler_options, batch, 16);
  AT(rvn_sampler_options, seed, 24);
  AT(rvn_sampler_options, labels, 32);
  AT(rvn_sampler_options, host, 40);
  AT(rvn_sampler_options, rank, 48);
  AT(rvn_sampler_options, world, 52);
  AT(rvn_sampler_options, ordered, 56);
  AT(rvn_sampler_options, replacement, 60);
  AT(rvn_sampler_options, drop_last, 64);
  AT(rvn_sampler_options, reserved, 68);
  SIZE(rvn_function, 48);
  AT(rvn_function, struct_size, 0);
  AT(rvn_function, tensors, 8);
  AT(rvn_function, tensor_count, 16);
  AT(rvn_function, loss, 24);
  AT(rvn_function, user, 32);
  AT(rvn_function, host, 40);
  SIZE(rvn_check_gradient_options, 48);
  AT(rvn_check_gradient_options, struct_size, 0);
  AT(rvn_check_gradient_options, entries, 8);
  AT(rvn_check_gradient_options, directions, 16);
  AT(rvn_check_gradient_options, seed, 24);
  AT(rvn_check_gradient_options, step, 32);
  AT(rvn_check_gradient_options, tolerance, 40);
  SIZE(rvn_gradient_check, 168);
  AT(rvn_gradient_check, struct_size, 0);
  AT(rvn_gradient_check, outcome, 8);
  AT(rvn_gradient_check, reserved, 12);
  AT(rvn_gradient_check, checked, 16);
  AT(rvn_gradient_check, mistakes, 24);
  AT(rvn_gradient_check, kinks, 32);
  AT(rvn_gradient_check, unresolved, 40);
  AT(rvn_gradient_check, cosine, 48);
  AT(rvn_gradient_check, ratio, 56);
  AT(rvn_gradient_check, tensor, 64);
  AT(rvn_gradient_check, index, 72);
  AT(rvn_gradient_check, analytic, 80);
  AT(rvn_gradient_check, numeric, 88);
  AT(rvn_gradient_check, error, 96);
  AT(rvn_gradient_check, relative_error, 104);
  AT(rvn_gradient_check, backward, 112);
  AT(rvn_gradient_check, forward, 120);
  AT(rvn_gradient_check, step, 128);
  AT(rvn_gradient_check, loss, 136);
  AT(rvn_gradient_check, noise, 144);
  AT(rvn_gradient_check, repeated, 152);
  AT(rvn_gradient_check, evaluations, 160);
  SIZE(rvn_noise_scale, 112);
  AT(rvn_noise_scale, struct_size, 0);
  AT(rvn_noise_scale, decay, 8);
  AT(rvn_noise_scale, count, 16);
  AT(rvn_noise_scale, scale, 24);
  AT(rvn_noise_scale, error, 32);
  AT(rvn_noise_scale, signal, 40);
  AT(rvn_noise_scale, variance, 48);
  AT(rvn_noise_scale, mean_signal, 56);
  AT(rvn_noise_scale, mean_variance, 64);
  AT(rvn_noise_scale, weight, 72);
  AT(rvn_noise_scale, weight_squares, 80);
  AT(rvn_noise_scale, spread, 88);
  SIZE(rvn_hessian_options, 64);
  AT(rvn_hessian_options, struct_size, 0);
  AT(rvn_hessian_options, iterations, 8);
  AT(rvn_hessian_options, tolerance, 16);
  AT(rvn_hessian_options, step, 24);
  AT(rvn_hessian_options, seed, 32);
  AT(rvn_hessian_options, preconditioner, 40);
  AT(rvn_hessian_options, largest_vector, 48);
  AT(rvn_hessian_options, smallest_vector, 56);
  SIZE(rvn_hessian_extremes_result, 96);
  AT(rvn_hessian_extremes_result, struct_size, 0);
  AT(rvn_hessian_extremes_result, largest, 8);
  AT(rvn_hessian_extremes_result, smallest, 16);
  AT(rvn_hessian_extremes_result, largest_residual, 24);
  AT(rvn_hessian_extremes_result, smallest_residual, 32);
  AT(rvn_hessian_extremes_result, asymmetry, 40);
  AT(rvn_hessian_extremes_result, loss, 48);
  AT(rvn_hessian_extremes_result, gradient_norm, 56);
  AT(rvn_hessian_extremes_result, iterations, 64);
  AT(rvn_hessian_extremes_result, evaluations, 72);
  AT(rvn_hessian_extremes_result, bytes, 80);
  AT(rvn_hessian_extremes_result, converged, 88);
  AT(rvn_hessian_extremes_result, reserved, 92);
  SIZE(rvn_loss_slice_options, 80);
  AT(rvn_loss_slice_options, struct_size, 0);
  AT(rvn_loss_slice_options, points, 8);
  AT(rvn_loss_slice_options, points2, 16);
  AT(rvn_loss_slice_options, low, 24);
  AT(rvn_loss_slice_options, high, 32);
  AT(rvn_loss_slice_options, seed, 40);
  AT(rvn_loss_slice_options, direction, 48);
  AT(rvn_loss_slice_options, direction2, 56);
  AT(rvn_loss_slice_options, raw, 64);
  AT(rvn_loss_slice_options, last_axis, 68);
  AT(rvn_loss_slice_options, vectors, 72);
  AT(rvn_loss_slice_options, reserved, 76);
  SIZE(rvn_activation_statistics_result, 112);
  AT(rvn_activation_statistics_result, struct_size, 0);
  AT(rvn_activation_statistics_result, rows, 8);
  AT(rvn_activation_statistics_result, units, 16);
  AT(rvn_activation_statistics_result, dead_units, 24);
  AT(rvn_activation_statistics_result, saturated_units, 32);
  AT(rvn_activation_statistics_result, nonfinite, 40);
  AT(rvn_activation_statistics_result, first_nonfinite, 48);
  AT(rvn_activation_statistics_result, zeros, 56);
  AT(rvn_activation_statistics_result, low, 64);
  AT(rvn_activation_statistics_result, high, 72);
  AT(rvn_activation_statistics_result, mean, 80);
  AT(rvn_activation_statistics_result, deviation, 88);
  AT(rvn_activation_statistics_result, least, 96);
  AT(rvn_activation_statistics_result, largest, 104);
  SIZE(rvn_metric_report, 48);
  AT(rvn_metric_report, struct_size, 0);
  AT(rvn_metric_report, scale, 8);
  AT(rvn_metric_report, compared, 16);
  AT(rvn_metric_report, best, 24);
  AT(rvn_metric_report, bad, 32);
  AT(rvn_metric_report, changed, 40);
  AT(rvn_metric_report, reserved, 44);
  SIZE(rvn_range_options, 56);
  AT(rvn_range_options, struct_size, 0);
  AT(rvn_range_options, low, 8);
  AT(rvn_range_options, high, 16);
  AT(rvn_range_options, steps, 24);
  AT(rvn_range_options, window, 32);
  AT(rvn_range_options, divergence, 40);
  AT(rvn_range_options, linear, 48);
  AT(rvn_range_options, reserved, 52);
  SIZE(rvn_suggestion, 24);
  AT(rvn_suggestion, rate, 0);
  AT(rvn_suggestion, low, 8);
  AT(rvn_suggestion, high, 16);
  SIZE(rvn_range_result, 120);
  AT(rvn_range_result, struct_size, 0);
  AT(rvn_range_result, rates, 8);
  AT(rvn_range_result, losses, 16);
  AT(rvn_range_result, smoothed, 24);
  AT(rvn_range_result, count, 32);
  AT(rvn_range_result, steepest, 40);
  AT(rvn_range_result, valley, 64);
  AT(rvn_range_result, minimum, 88);
  AT(rvn_range_result, diverged, 112);
  AT(rvn_range_result, reserved, 116);
  SIZE(rvn_entry, 72);
  SIZE(rvn_entry, 80);
  AT(rvn_entry, struct_size, 0);
  AT(rvn_entry, name, 8);
  AT(rvn_entry, kind, 16);
  AT(rvn_entry, summary, 24);
  AT(rvn_entry, formula, 32);
  AT(rvn_entry, reference, 40);
  AT(rvn_entry, difference, 48);
  AT(rvn_entry, parameter_count, 56);
  AT(rvn_entry, state_count, 64);
  AT(rvn_entry, example, 72);
  SIZE(rvn_parameter, 72);
  AT(rvn_parameter, struct_size, 0);
  AT(rvn_parameter, name, 8);
  AT(rvn_parameter, summary, 16);
  AT(rvn_parameter, initial, 24);
  AT(rvn_parameter, words, 32);
  AT(rvn_parameter, low, 40);
  AT(rvn_parameter, high, 48);
  AT(rvn_parameter, kind, 56);
  AT(rvn_parameter, low_open, 60);
  AT(rvn_parameter, high_open, 64);
  AT(rvn_parameter, reserved, 68);
  SIZE(rvn_slot, 32);
  AT(rvn_slot, struct_size, 0);
  AT(rvn_slot, name, 8);
  AT(rvn_slot, summary, 16);
  AT(rvn_slot, when, 24);
  SIZE(rvn_host_schedule, 64);
  AT(rvn_host_schedule, struct_size, 0);
  AT(rvn_host_schedule, summary, 8);
  AT(rvn_host_schedule, formula, 16);
  AT(rvn_host_schedule, reference, 24);
  AT(rvn_host_schedule, parameters, 32);
  AT(rvn_host_schedule, parameter_count, 40);
  AT(rvn_host_schedule, value, 48);
  AT(rvn_host_schedule, user, 56);
  SIZE(rvn_options, 56);
  AT(rvn_options, struct_size, 0);
  AT(rvn_options, allocate, 8);
  AT(rvn_options, deallocate, 16);
  AT(rvn_options, allocator_user, 24);
  AT(rvn_options, parallel_for, 32);
  AT(rvn_options, parallel_user, 40);
  AT(rvn_options, threads, 48);
  AT(rvn_options, reserved, 52);
}

static void numbers(void) {
  IS(RVN_OK, 0);
  IS(RVN_ERR_ARGUMENT, -1);
  IS(RVN_ERR_RECIPE, -2);
  IS(RVN_ERR_NAME, -3);
  IS(RVN_ERR_TYPE, -4);
  IS(RVN_ERR_SHAPE, -5);
  IS(RVN_ERR_STATE, -6);
  IS(RVN_ERR_MEMORY, -7);
  IS(RVN_ERR_IO, -8);
  IS(RVN_ERR_FORMAT, -9);
  IS(RVN_ERR_MISMATCH, -10);
  IS(RVN_ERR_NONFINITE, -11);
  IS(RVN_ERR_NEEDS, -12);
  IS(RVN_ERR_CALLBACK, -13);
  IS(RVN_ERR_CANCELLED, -14);
  IS(RVN_ERR_UNSUPPORTED, -15);
  IS(RVN_F32, 1);
  IS(RVN_F64, 2);
  IS(RVN_BF16, 3);
  IS(RVN_F16, 4);
  IS(RVN_GRADIENT_CORRECT, 0);
  IS(RVN_GRADIENT_UNRESOLVED, 1);
  IS(RVN_GRADIENT_KINK, 2);
  IS(RVN_GRADIENT_MISTAKE, 3);
  IS(RVN_PARAMETER_NUMBER, 1);
  IS(RVN_PARAMETER_FLAG, 2);
  IS(RVN_PARAMETER_WORD, 3);
  IS(RVN_PARAMETER_COUNT, 4);
  IS(RVN_PARAMETER_LIST, 5);
  IS(RVN_PARAMETER_SCHEDULE, 6);
  IS(RVN_PARAMETER_SCHEDULES, 7);
  IS(RVN_VERSION_NUMBER, 100);
  IS(RVN_ABI_VERSION, 0);
}

/* The types of the functions: a changed argument does not compile. */
static void functions(void) {
  const char *(*text)(void);
  size_t (*count)(void);
  void (*nothing)(void);
  int32_t (*abi)(void);
  rvn_status (*create)(const char *, rvn_optimizer **) = rvn_optimizer_create;
  rvn_status (*create_with)(const char *, const rvn_options *, rvn_optimizer **) =
      rvn_optimizer_create_with;
  rvn_status (*add)(rvn_optimizer *, const rvn_tensor *, size_t *) = rvn_optimizer_add;
  rvn_status (*step)(rvn_optimizer *, const rvn_step_input *, rvn_step_report *) =
      rvn_optimizer_step;
  void (*destroy)(rvn_optimizer *) = rvn_optimizer_destroy;
  rvn_status (*get)(rvn_optimizer *, const char *, double *) = rvn_optimizer_get;
  rvn_status (*set)(rvn_optimizer *, const char *, double) = rvn_optimizer_set;
  rvn_status (*change)(rvn_optimizer *, const char *, const char *) = rvn_optimizer_override;
  rvn_status (*recipe)(const rvn_optimizer *, char *, size_t, size_t *) = rvn_optimizer_recipe;
  rvn_status (*prepare)(rvn_optimizer *) = rvn_optimizer_prepare;
  rvn_status (*plan)(rvn_optimizer *, char *, size_t, size_t *) = rvn_optimizer_plan;
  rvn_status (*bind)(rvn_optimizer *, size_t, void *, const void *) = rvn_optimizer_bind;
  rvn_status (*metric)(rvn_optimizer *, double, rvn_metric_report *) = rvn_optimizer_metric;
  rvn_status (*react)(rvn_schedule *, double, rvn_metric_report *) = rvn_schedule_metric;
  rvn_range_step one = NULL;
  rvn_status (*range)(rvn_optimizer *, rvn_range_step, void *, const rvn_range_options *,
                      rvn_range_result *) = rvn_range_test;
  rvn_status (*save)(const rvn_optimizer *, const char *) = rvn_optimizer_save;
  rvn_status (*load)(rvn_optimizer *, const char *) = rvn_optimizer_load;
  rvn_status (*load_with)(rvn_optimizer *, const char *, const rvn_load_options *, char *, size_t,
                          size_t *) = rvn_optimizer_load_with;
  rvn_status (*read)(const rvn_optimizer *, size_t, const char *, int32_t, void *, size_t) =
      rvn_optimizer_read;
  rvn_status (*write)(rvn_optimizer *, size_t, const char *, int32_t, const void *, size_t) =
      rvn_optimizer_write;
  rvn_status (*slots)(const rvn_optimizer *, size_t, char *, size_t, size_t *) =
      rvn_optimizer_slots;
  rvn_status (*schedule)(const char *, rvn_schedule **) = rvn_schedule_create;
  rvn_status (*values)(const rvn_schedule *, uint64_t, size_t, double *) = rvn_schedule_values;
  rvn_status (*form)(const rvn_schedule *, char *, size_t, size_t *) = rvn_schedule_recipe;
  rvn_status (*value)(const rvn_schedule *, uint64_t, double *) = rvn_schedule_value;
  rvn_status (*sum)(const rvn_schedule *, uint64_t, uint64_t, double *) = rvn_schedule_sum;
  rvn_status (*below)(const rvn_schedule *, double, uint64_t, uint64_t, uint64_t *) =
      rvn_schedule_first_below;
  rvn_status (*peak)(const rvn_schedule *, uint64_t, uint64_t, uint64_t *, double *) =
      rvn_schedule_peak;
  rvn_status (*span)(const rvn_schedule *, uint64_t *) = rvn_schedule_span;
  rvn_status (*sketch)(const rvn_schedule *, uint64_t, uint64_t, int32_t, int32_t, char *, size_t,
                       size_t *) = rvn_schedule_sketch;
  rvn_status (*enrol)(const char *, const rvn_host_schedule *) = rvn_schedule_register;
  void (*release)(rvn_schedule *) = rvn_schedule_destroy;
  rvn_status (*sampler)(const rvn_sampler_options *, rvn_sampler **) = rvn_sampler_create;
  rvn_status (*size)(const rvn_sampler *, uint64_t *, uint64_t *) = rvn_sampler_size;
  rvn_status (*next)(rvn_sampler *, int64_t *, size_t, size_t *) = rvn_sampler_next;
  rvn_status (*batch)(const rvn_sampler *, uint64_t, uint64_t, int64_t *, size_t, size_t *) =
      rvn_sampler_batch;
  rvn_status (*tell)(const rvn_sampler *, uint64_t *, uint64_t *) = rvn_sampler_tell;
  rvn_status (*seek)(rvn_sampler *, uint64_t, uint64_t) = rvn_sampler_seek;
  void (*drop)(rvn_sampler *) = rvn_sampler_destroy;
  rvn_status (*check)(const rvn_function *, const rvn_check_gradient_options *,
                      rvn_gradient_check *, rvn_gradient_check *) = rvn_check_gradient;
  rvn_status (*norms)(rvn_noise_scale *, uint64_t, double, uint64_t, double) =
      rvn_noise_scale_norms;
  rvn_status (*gradients)(rvn_noise_scale *, uint64_t, size_t, size_t, const void *const *,
                          const size_t *, int32_t) = rvn_noise_scale_gradients;
  rvn_status (*hessian)(const rvn_function *, const rvn_hessian_options *,
                        rvn_hessian_extremes_result *) = rvn_hessian_extremes;
  rvn_status (*edge)(const char *, double, double, double *) = rvn_stability_threshold;
  rvn_status (*slice)(const rvn_function *, const rvn_loss_slice_options *, double *) =
      rvn_loss_slice;
  rvn_status (*activations)(const void *, int32_t, size_t, size_t, size_t, const char *,
                            rvn_activation_statistics_result *, double *) =
      rvn_activation_statistics;
  rvn_status (*gates)(const void *, int32_t, size_t, size_t, size_t, const char *,
                      rvn_activation_statistics_result *, double *) = rvn_gate_statistics;
  rvn_status (*init)(const char *, uint64_t, const rvn_tensor *) = rvn_init;
  rvn_status (*init_with)(const char *, uint64_t, const rvn_tensor *, const rvn_options *) =
      rvn_init_with;
  rvn_status (*entry)(size_t, rvn_entry *) = rvn_catalog_entry;
  rvn_status (*parameter)(size_t, size_t, rvn_parameter *) = rvn_catalog_parameter;
  rvn_status (*slot)(size_t, size_t, rvn_slot *) = rvn_catalog_slot;
  rvn_status (*threads)(int32_t) = rvn_set_threads;
  text = rvn_last_error;
  CHECK(text()[0] == 0); /* nothing failed yet */
  text = rvn_isa;
  CHECK(text()[0] != 0);
  text = rvn_version;
  CHECK(strcmp(text(), "0.1.0") == 0);
  abi = rvn_abi_version;
  CHECK(abi() == RVN_ABI_VERSION);
  count = rvn_catalog_count;
  CHECK(count() > 0);
  nothing = rvn_shutdown;
  nothing();
  CHECK(create && create_with && add && step && destroy && get && set && change && recipe);
  CHECK(prepare && plan && bind && save && load && load_with && read && write && slots);
  CHECK(metric && react && range && !one);
  CHECK(sampler && size && next && batch && tell && seek && drop);
  CHECK(check && norms && gradients && hessian && edge && slice && activations && gates);
  CHECK(init && init_with);
  CHECK(value && sum && below && peak && span && sketch && enrol);
  CHECK(schedule && values && form && release && entry && parameter && slot && threads);
}

int main(void) {
  structs();
  numbers();
  functions();
  return finish();
}
