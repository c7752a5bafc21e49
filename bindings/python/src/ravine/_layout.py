"""The structs of include/ravine.h, field by field."""

from __future__ import annotations

from ctypes import (
    POINTER,
    Structure,
    c_char_p,
    c_double,
    c_int32,
    c_int64,
    c_size_t,
    c_uint64,
    c_void_p,
    sizeof,
)
from typing import Any

F32, F64, BF16, F16 = 1, 2, 3, 4


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
    ]
