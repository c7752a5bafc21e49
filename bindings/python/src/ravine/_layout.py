"""The structs of include/ravine.h, field by field."""

from __future__ import annotations

from ctypes import (
    CFUNCTYPE,
    POINTER,
    Structure,
    c_char_p,
    c_double,
    c_float,
    c_int32,
    c_int64,
    c_size_t,
    c_uint64,
    c_void_p,
    sizeof,
)
from typing import Any

F32, F64, BF16, F16 = 1, 2, 3, 4

Loss = CFUNCTYPE(c_int32, c_void_p, c_int32, POINTER(c_double))


class Sized(Structure):
    """A struct whose first field says how long it is."""

    def __init__(self, *values: Any, **fields: Any) -> None:
        super().__init__(sizeof(type(self)), *values, **fields)


class Tensor(Sized):
    _fields_ = [
        ("struct_size", c_size_t),
        ("name", c_char_p),
        ("data", c_void_p),
        ("grad", c_void_p),
        ("dtype", c_int32),
        ("grad_dtype", c_int32),
        ("rank", c_int32),
        ("reserved", c_int32),
        ("shape", POINTER(c_int64)),
    ]


class StepInput(Sized):
    _fields_ = [
        ("struct_size", c_size_t),
        ("grads", c_void_p),
        ("grad_count", c_size_t),
        ("loss", c_double),
        ("has_loss", c_int32),
        ("reserved", c_int32),
    ]


class CurvatureInput(Sized):
    _fields_ = [
        ("struct_size", c_size_t),
        ("products", c_void_p),
        ("diagonal", c_void_p),
        ("count", c_size_t),
    ]


class StepReport(Sized):
    _fields_ = [
        ("struct_size", c_size_t),
        ("step", c_uint64),
        ("lr", c_double),
        ("grad_norm", c_double),
        ("clip_scale", c_double),
        ("update_norm", c_double),
        ("nonfinite", c_uint64),
        ("skipped", c_int32),
        ("reserved", c_int32),
    ]


STEP_REPORT = "=8xQddddQi4x"
"""The same fields, size and padding left out, for the struct module."""


class MetricReport(Sized):
    _fields_ = [
        ("struct_size", c_size_t),
        ("scale", c_double),
        ("compared", c_double),
        ("best", c_double),
        ("bad", c_uint64),
        ("changed", c_int32),
        ("reserved", c_int32),
    ]


class RangeOptions(Sized):
    _fields_ = [
        ("struct_size", c_size_t),
        ("low", c_double),
        ("high", c_double),
        ("steps", c_size_t),
        ("window", c_double),
        ("divergence", c_double),
        ("linear", c_int32),
        ("reserved", c_int32),
    ]


class Suggestion(Structure):
    _fields_ = [("rate", c_double), ("low", c_double), ("high", c_double)]


class RangeResult(Sized):
    _fields_ = [
        ("struct_size", c_size_t),
        ("rates", c_void_p),
        ("losses", c_void_p),
        ("smoothed", c_void_p),
        ("count", c_size_t),
        ("steepest", Suggestion),
        ("valley", Suggestion),
        ("minimum", Suggestion),
        ("diverged", c_int32),
        ("reserved", c_int32),
    ]


class LoadOptions(Sized):
    _fields_ = [
        ("struct_size", c_size_t),
        ("partial", c_int32),
        ("params", c_int32),
        ("state", c_int32),
        ("reserved", c_int32),
    ]


class SamplerOptions(Sized):
    _fields_ = [
        ("struct_size", c_size_t),
        ("count", c_uint64),
        ("batch", c_uint64),
        ("seed", c_uint64),
        ("labels", c_void_p),
        ("host", c_void_p),
        ("rank", c_int32),
        ("world", c_int32),
        ("ordered", c_int32),
        ("replacement", c_int32),
        ("drop_last", c_int32),
        ("reserved", c_int32),
    ]


class Function(Sized):
    _fields_ = [
        ("struct_size", c_size_t),
        ("tensors", POINTER(Tensor)),
        ("tensor_count", c_size_t),
        ("loss", Loss),
        ("user", c_void_p),
        ("host", c_void_p),
    ]


class CheckGradientOptions(Sized):
    _fields_ = [
        ("struct_size", c_size_t),
        ("entries", c_uint64),
        ("directions", c_uint64),
        ("seed", c_uint64),
        ("step", c_double),
        ("tolerance", c_double),
    ]


class GradientCheck(Sized):
    _fields_ = [
        ("struct_size", c_size_t),
        ("outcome", c_int32),
        ("reserved", c_int32),
        ("checked", c_uint64),
        ("mistakes", c_uint64),
        ("kinks", c_uint64),
        ("unresolved", c_uint64),
        ("cosine", c_double),
        ("ratio", c_double),
        ("tensor", c_size_t),
        ("index", c_int64),
        ("analytic", c_double),
        ("numeric", c_double),
        ("error", c_double),
        ("relative_error", c_double),
        ("backward", c_double),
        ("forward", c_double),
        ("step", c_double),
        ("loss", c_double),
        ("noise", c_double),
        ("repeated", c_double),
        ("evaluations", c_uint64),
    ]


class NoiseScale(Sized):
    _fields_ = [
        ("struct_size", c_size_t),
        ("decay", c_double),
        ("count", c_uint64),
        ("scale", c_double),
        ("error", c_double),
        ("signal", c_double),
        ("variance", c_double),
        ("mean_signal", c_double),
        ("mean_variance", c_double),
        ("weight", c_double),
        ("weight_squares", c_double),
        ("spread", c_double * 3),
    ]


class HessianOptions(Sized):
    _fields_ = [
        ("struct_size", c_size_t),
        ("iterations", c_uint64),
        ("tolerance", c_double),
        ("step", c_double),
        ("seed", c_uint64),
        ("preconditioner", POINTER(c_void_p)),
        ("largest_vector", POINTER(c_void_p)),
        ("smallest_vector", POINTER(c_void_p)),
    ]


class HessianExtremes(Sized):
    _fields_ = [
        ("struct_size", c_size_t),
        ("largest", c_double),
        ("smallest", c_double),
        ("largest_residual", c_double),
        ("smallest_residual", c_double),
        ("asymmetry", c_double),
        ("loss", c_double),
        ("gradient_norm", c_double),
        ("iterations", c_uint64),
        ("evaluations", c_uint64),
        ("bytes", c_uint64),
        ("converged", c_int32),
        ("reserved", c_int32),
    ]


class LossSliceOptions(Sized):
    _fields_ = [
        ("struct_size", c_size_t),
        ("points", c_size_t),
        ("points2", c_size_t),
        ("low", c_double),
        ("high", c_double),
        ("seed", c_uint64),
        ("direction", POINTER(c_void_p)),
        ("direction2", POINTER(c_void_p)),
        ("raw", c_int32),
        ("last_axis", c_int32),
        ("vectors", c_int32),
        ("reserved", c_int32),
    ]


class ActivationStatistics(Sized):
    _fields_ = [
        ("struct_size", c_size_t),
        ("rows", c_uint64),
        ("units", c_uint64),
        ("dead_units", c_uint64),
        ("saturated_units", c_uint64),
        ("nonfinite", c_uint64),
        ("first_nonfinite", c_int64),
        ("zeros", c_double),
        ("low", c_double),
        ("high", c_double),
        ("mean", c_double),
        ("deviation", c_double),
        ("least", c_double),
        ("largest", c_double),
    ]


class Record(Sized):
    _fields_ = [
        ("struct_size", c_size_t),
        ("name", c_char_p),
        ("data", c_void_p),
        ("shape", POINTER(c_int64)),
        ("dtype", c_int32),
        ("rank", c_int32),
        ("kind", c_int32),
        ("reserved", c_int32),
        ("depth", c_int64),
        ("time", c_int64),
    ]


class Statistics(Sized):
    _fields_ = [
        ("struct_size", c_size_t),
        ("count", c_uint64),
        ("nonfinite", c_uint64),
        ("zeros", c_uint64),
        ("subnormals", c_uint64),
        ("first_nonfinite", c_int64),
        ("largest_index", c_int64),
        ("norm1", c_double),
        ("norm2", c_double),
        ("norm_inf", c_double),
        ("smallest", c_double),
        ("mean", c_double),
        ("histogram", c_uint64 * 64),
    ]


class StepHealth(Sized):
    _fields_ = [
        ("struct_size", c_size_t),
        ("step", c_uint64),
        ("updates", c_uint64),
        ("sampled", c_uint64),
        ("clipped", c_uint64),
        ("guarded", c_uint64),
        ("accumulated", c_uint64),
        ("grad_norm1", c_double),
        ("grad_norm2", c_double),
        ("grad_norm_inf", c_double),
        ("clipped_norm1", c_double),
        ("clipped_norm2", c_double),
        ("clipped_norm_inf", c_double),
        ("clip_scale", c_double),
        ("update_norm", c_double),
        ("nonfinite", c_uint64),
        ("nonfinite_index", c_int64),
    ]


class TensorHealth(Sized):
    _fields_ = [
        ("struct_size", c_size_t),
        ("step", c_uint64),
        ("depth", c_int64),
        ("weight_norm", c_double),
        ("update_norm", c_double),
        ("ratio", c_double),
        ("swallowed", c_double),
        ("eps_dominated", c_double),
        ("signal_to_noise", c_double),
        ("cosine", c_double),
    ]


class Entry(Sized):
    _fields_ = [
        ("struct_size", c_size_t),
        ("name", c_char_p),
        ("kind", c_char_p),
        ("summary", c_char_p),
        ("formula", c_char_p),
        ("reference", c_char_p),
        ("difference", c_char_p),
        ("parameter_count", c_size_t),
        ("state_count", c_size_t),
        ("example", c_char_p),
        ("least_rank", c_size_t),
        ("needs", c_char_p),
    ]


class Parameter(Sized):
    _fields_ = [
        ("struct_size", c_size_t),
        ("name", c_char_p),
        ("summary", c_char_p),
        ("initial", c_char_p),
        ("words", c_char_p),
        ("low", c_double),
        ("high", c_double),
        ("kind", c_int32),
        ("low_open", c_int32),
        ("high_open", c_int32),
        ("reserved", c_int32),
    ]


class Slot(Sized):
    _fields_ = [
        ("struct_size", c_size_t),
        ("name", c_char_p),
        ("summary", c_char_p),
        ("when", c_char_p),
    ]


SCHEDULE_FUNCTION = CFUNCTYPE(c_int32, c_void_p, c_double, POINTER(c_double), POINTER(c_double))


class HostSchedule(Sized):
    _fields_ = [
        ("struct_size", c_size_t),
        ("summary", c_char_p),
        ("formula", c_char_p),
        ("reference", c_char_p),
        ("parameters", POINTER(Parameter)),
        ("parameter_count", c_size_t),
        ("value", SCHEDULE_FUNCTION),
        ("user", c_void_p),
    ]


class HostCall(Sized):
    _fields_ = [
        ("struct_size", c_size_t),
        ("parameters", POINTER(c_double)),
        ("step", c_double),
        ("first", c_size_t),
        ("count", c_size_t),
        ("p", c_void_p),
        ("g", c_void_p),
        ("out", c_void_p),
        ("state", POINTER(c_void_p)),
        ("dtype", c_int32),
        ("reserved", c_int32),
    ]


HOST_FUNCTION = CFUNCTYPE(c_int32, c_void_p, POINTER(HostCall))


class HostRule(Sized):
    _fields_ = [
        ("struct_size", c_size_t),
        ("summary", c_char_p),
        ("formula", c_char_p),
        ("reference", c_char_p),
        ("parameters", POINTER(Parameter)),
        ("parameter_count", c_size_t),
        ("state", c_char_p),
        ("function", HOST_FUNCTION),
        ("user", c_void_p),
        ("follows", c_int32),
        ("reserved", c_int32),
    ]


PRODUCT = CFUNCTYPE(
    *[c_int32, c_void_p, c_int32, c_int32, c_size_t, c_size_t, c_size_t, c_float],
    *[POINTER(c_float), c_size_t, POINTER(c_float), c_size_t, c_float, POINTER(c_float), c_size_t],
)


ALL_SUM = CFUNCTYPE(c_int32, c_void_p, POINTER(c_double), c_size_t)


class Options(Sized):
    _fields_ = [
        ("struct_size", c_size_t),
        ("allocate", c_void_p),
        ("deallocate", c_void_p),
        ("allocator_user", c_void_p),
        ("parallel_for", c_void_p),
        ("parallel_user", c_void_p),
        ("threads", c_int32),
        ("reserved", c_int32),
        ("product", PRODUCT),
        ("product_user", c_void_p),
        ("rank", c_int32),
        ("world", c_int32),
        ("all_sum", ALL_SUM),
        ("all_sum_user", c_void_p),
    ]
