"""The native library: found, loaded, its version checked, its functions given their types."""

from __future__ import annotations

import os
import sys
from _thread import _local
from collections.abc import Callable
from ctypes import (
    CDLL,
    CFUNCTYPE,
    POINTER,
    byref,
    c_char_p,
    c_double,
    c_int32,
    c_int64,
    c_size_t,
    c_uint64,
    c_void_p,
    create_string_buffer,
)
from typing import Any, SupportsIndex

from . import _layout as layout
from ._errors import (
    BY_STATUS,
    ArgumentError,
    CallbackError,
    LibraryError,
    RavineError,
    UsageError,
)

ABI_VERSION = 0
FILE_NAME = "libravine.dylib" if sys.platform == "darwin" else "libravine.so.0"

_handle = c_void_p
range_step = CFUNCTYPE(c_int32, c_void_p, c_double, POINTER(c_double))
_text_out = [c_void_p, c_size_t, POINTER(c_size_t)]
_status: dict[str, list[Any]] = {
    "rvn_optimizer_create": [c_char_p, POINTER(_handle)],
    "rvn_optimizer_create_with": [c_char_p, POINTER(layout.Options), POINTER(_handle)],
    "rvn_optimizer_add": [_handle, POINTER(layout.Tensor), POINTER(c_size_t)],
    "rvn_optimizer_remove": [_handle, c_size_t],
    "rvn_optimizer_override": [_handle, c_char_p, c_char_p],
    "rvn_optimizer_prepare": [_handle],
    "rvn_optimizer_flush": [_handle, c_void_p],
    "rvn_optimizer_bind": [_handle, c_size_t, c_void_p, c_void_p],
    "rvn_optimizer_begin_step": [_handle],
    "rvn_optimizer_end_step": [_handle, POINTER(layout.StepReport)],
    "rvn_optimizer_step_tensor": [_handle, c_size_t, c_void_p, POINTER(layout.StepReport)],
    "rvn_optimizer_step_rows": [
        _handle,
        c_size_t,
        c_void_p,
        c_size_t,
        c_void_p,
        POINTER(layout.StepReport),
    ],
    "rvn_optimizer_probe": [_handle, c_size_t, c_int32, c_void_p, c_size_t],
    "rvn_optimizer_curvature": [_handle, POINTER(layout.CurvatureInput)],
    "rvn_optimizer_get": [_handle, c_char_p, POINTER(c_double)],
    "rvn_optimizer_set": [_handle, c_char_p, c_double],
    "rvn_optimizer_read": [_handle, c_size_t, c_char_p, c_int32, c_void_p, c_size_t],
    "rvn_optimizer_write": [_handle, c_size_t, c_char_p, c_int32, c_void_p, c_size_t],
    "rvn_optimizer_recipe": [_handle, *_text_out],
    "rvn_optimizer_plan": [_handle, *_text_out],
    "rvn_optimizer_slots": [_handle, c_size_t, *_text_out],
    "rvn_optimizer_slot_shape": [_handle, c_size_t, c_char_p, c_void_p, c_size_t],
    "rvn_optimizer_metric": [_handle, c_double, POINTER(layout.MetricReport)],
    "rvn_range_test": [
        _handle,
        range_step,
        c_void_p,
        POINTER(layout.RangeOptions),
        POINTER(layout.RangeResult),
    ],
    "rvn_optimizer_save": [_handle, c_char_p],
    "rvn_optimizer_load": [_handle, c_char_p],
    "rvn_optimizer_load_with": [_handle, c_char_p, POINTER(layout.LoadOptions), *_text_out],
    "rvn_optimizer_load_shards": [_handle, POINTER(c_char_p), c_size_t],
    "rvn_optimizer_shard": [_handle, c_size_t, c_int32, POINTER(c_size_t), POINTER(c_size_t)],
    "rvn_schedule_create": [c_char_p, POINTER(_handle)],
    "rvn_schedule_value": [_handle, c_uint64, POINTER(c_double)],
    "rvn_schedule_values": [_handle, c_uint64, c_size_t, c_void_p],
    "rvn_schedule_metric": [_handle, c_double, POINTER(layout.MetricReport)],
    "rvn_schedule_sum": [_handle, c_uint64, c_uint64, POINTER(c_double)],
    "rvn_schedule_first_below": [_handle, c_double, c_uint64, c_uint64, POINTER(c_uint64)],
    "rvn_schedule_peak": [_handle, c_uint64, c_uint64, POINTER(c_uint64), POINTER(c_double)],
    "rvn_schedule_span": [_handle, POINTER(c_uint64)],
    "rvn_schedule_sketch": [_handle, c_uint64, c_uint64, c_int32, c_int32, *_text_out],
    "rvn_schedule_recipe": [_handle, *_text_out],
    "rvn_schedule_register": [c_char_p, POINTER(layout.HostSchedule)],
    "rvn_rule_register": [c_char_p, POINTER(layout.HostRule)],
    "rvn_stage_register": [c_char_p, POINTER(layout.HostRule)],
    "rvn_sampler_create": [POINTER(layout.SamplerOptions), POINTER(_handle)],
    "rvn_sampler_size": [_handle, POINTER(c_uint64), POINTER(c_uint64)],
    "rvn_sampler_next": [_handle, c_void_p, c_size_t, POINTER(c_size_t)],
    "rvn_sampler_batch": [_handle, c_uint64, c_uint64, c_void_p, c_size_t, POINTER(c_size_t)],
    "rvn_sampler_tell": [_handle, POINTER(c_uint64), POINTER(c_uint64)],
    "rvn_sampler_seek": [_handle, c_uint64, c_uint64],
    "rvn_check_gradient": [
        POINTER(layout.Function),
        POINTER(layout.CheckGradientOptions),
        POINTER(layout.GradientCheck),
        POINTER(layout.GradientCheck),
    ],
    "rvn_noise_scale_norms": [POINTER(layout.NoiseScale), c_uint64, c_double, c_uint64, c_double],
    "rvn_noise_scale_gradients": [
        POINTER(layout.NoiseScale),
        c_uint64,
        c_size_t,
        c_size_t,
        POINTER(c_void_p),
        POINTER(c_size_t),
        c_int32,
    ],
    "rvn_hessian_extremes": [
        POINTER(layout.Function),
        POINTER(layout.HessianOptions),
        POINTER(layout.HessianExtremes),
    ],
    "rvn_stability_threshold": [c_char_p, c_double, c_double, POINTER(c_double)],
    "rvn_loss_slice": [POINTER(layout.Function), POINTER(layout.LossSliceOptions), c_void_p],
    "rvn_activation_statistics": [
        *[c_void_p, c_int32, c_size_t, c_size_t, c_size_t, c_char_p],
        *[POINTER(layout.ActivationStatistics), c_void_p],
    ],
    "rvn_gate_statistics": [
        *[c_void_p, c_int32, c_size_t, c_size_t, c_size_t, c_char_p],
        *[POINTER(layout.ActivationStatistics), c_void_p],
    ],
    "rvn_init": [c_char_p, c_uint64, POINTER(layout.Tensor)],
    "rvn_monitor_create": [c_void_p, POINTER(_handle)],
    "rvn_monitor_record": [_handle, POINTER(layout.Record)],
    "rvn_monitor_end_step": [_handle, POINTER(c_double)],
    "rvn_monitor_report": [_handle, *_text_out],
    "rvn_monitor_report_json": [_handle, *_text_out],
    "rvn_monitor_get": [_handle, c_char_p, POINTER(c_double)],
    "rvn_monitor_set": [_handle, c_char_p, c_double],
    "rvn_monitor_attach": [_handle, _handle],
    "rvn_monitor_detach": [_handle],
    "rvn_monitor_set_depth": [_handle, c_char_p, c_int64],
    "rvn_monitor_step": [_handle, POINTER(layout.StepHealth)],
    "rvn_monitor_tensor": [_handle, c_char_p, POINTER(layout.TensorHealth)],
    "rvn_monitor_statistics": [_handle, c_char_p, c_int32, POINTER(layout.Statistics)],
    "rvn_catalog_entry": [c_size_t, POINTER(layout.Entry)],
    "rvn_catalog_parameter": [c_size_t, c_size_t, POINTER(layout.Parameter)],
    "rvn_catalog_slot": [c_size_t, c_size_t, POINTER(layout.Slot)],
    "rvn_set_threads": [c_int32],
}
_other: dict[str, tuple[Any, list[Any]]] = {
    "rvn_optimizer_destroy": (None, [_handle]),
    "rvn_schedule_destroy": (None, [_handle]),
    "rvn_sampler_destroy": (None, [_handle]),
    "rvn_monitor_destroy": (None, [_handle]),
    "rvn_catalog_count": (c_size_t, []),
    "rvn_last_error": (c_char_p, []),
    "rvn_version": (c_char_p, []),
    "rvn_abi_version": (c_int32, []),
    "rvn_isa": (c_char_p, []),
    "rvn_shutdown": (None, []),
}


def candidates() -> list[str]:
    """Where the library may be. RAVINE_LIBRARY, if set, is the only place."""
    given = os.environ.get("RAVINE_LIBRARY")
    if given:
        return [os.path.abspath(given)]
    here = os.path.dirname(os.path.abspath(__file__))
    checkout = os.path.abspath(os.path.join(here, *[os.pardir] * 4))
    return [os.path.join(here, FILE_NAME), os.path.join(checkout, "build", FILE_NAME)]


def _load() -> CDLL:
    tried = []
    for path in candidates():
        if not os.path.exists(path):
            tried.append(f"{path}: no such file")
            continue
        try:
            library = CDLL(path)
            library.rvn_abi_version.restype = c_int32
            abi = library.rvn_abi_version()
        except (OSError, AttributeError) as problem:
            tried.append(f"{path}: {problem}")
            continue
        if abi == ABI_VERSION:
            return library
        tried.append(f"{path}: has ABI {abi}, this package needs ABI {ABI_VERSION}")
    raise LibraryError(
        "the native library of ravine did not load. Reinstall the package, run "
        f"'make build/{FILE_NAME}' in a checkout, or set RAVINE_LIBRARY to the file. Tried:\n  "
        + "\n  ".join(tried)
    )


lib = _load()
try:
    for _name, _types in _status.items():
        _function = getattr(lib, _name)
        _function.argtypes, _function.restype = _types, c_int32
    for _name, (_result, _types) in _other.items():
        _function = getattr(lib, _name)
        _function.argtypes, _function.restype = _types, _result
except AttributeError as _problem:
    raise LibraryError(f"{lib._name} is not the library of this package: {_problem}") from None

# The step once more, without types: ctypes then passes ready-made pointers with less ado.
# Only c_void_p and byref objects may be given to it.
raw_step: Callable[..., int] = lib["rvn_optimizer_step"]


class _Raised(_local):
    """What a Python function raised that the library called; the library then fails itself."""

    problem: BaseException | None = None


raised = _Raised()
# The same of rules and stages, by their name: they may run on another thread.
broken: dict[str, BaseException] = {}


def failure(status: int) -> BaseException:
    """The exception for a status, with the sentence of this thread's last failing call."""
    sentence = lib.rvn_last_error().decode(errors="replace")
    error = BY_STATUS.get(status, RavineError)(sentence or f"the library returned {status}")
    error.status = status
    if status == CallbackError.status:
        problem = raised.problem or broken.pop(sentence.partition(" failed with ")[0], None)
        raised.problem = None
        if problem is None:
            return error
        if not isinstance(problem, Exception):
            return problem  # Ctrl-C, exit
        error.__cause__ = problem
    return error


def check(status: int) -> None:
    """Raises the exception for a status that is not RVN_OK."""
    if status:
        raise failure(status)


def text(function: Callable[..., int], *arguments: Any) -> str:
    """What a function with "text out" writes: asked for the size first."""
    needed = c_size_t()
    check(function(*arguments, None, 0, byref(needed)))
    buffer = create_string_buffer(needed.value)
    check(function(*arguments, buffer, needed, byref(needed)))
    return buffer.value.decode(errors="replace")


def encode(value: object, what: str) -> bytes:
    """UTF-8 for the library, which would stop reading at a NUL."""
    if not isinstance(value, str):
        raise UsageError(f"{what} must be a string, not {type(value).__name__}")
    try:
        data = value.encode()
    except UnicodeEncodeError as problem:
        raise ArgumentError(f"{what} is not text: {problem}") from None
    if b"\0" in data:
        raise ArgumentError(f"{what} has a NUL character at {data.index(0)}: {value!r}")
    return data


def encode_path(path: str | os.PathLike[str]) -> bytes:
    """The bytes of a path."""
    try:
        data = os.fsencode(path)
    except TypeError as problem:
        raise UsageError(f"path: {problem}") from None
    if b"\0" in data:
        raise ArgumentError(f"path has a NUL character: {path!r}")
    return data


def whole(value: SupportsIndex, what: str, low: int, high: int) -> int:
    """A whole number in a range. ctypes would cut one that does not fit, without a word."""
    try:
        number = value.__index__()
    except AttributeError:
        raise UsageError(f"{what} must be a whole number, not {type(value).__name__}") from None
    if not low <= number <= high:
        raise ArgumentError(f"{what} is {number}, and must be from {low} to {high}")
    return number


def real(value: object, what: str) -> float:
    """A number as a float."""
    if isinstance(value, (str, bytes)):
        raise UsageError(f"{what} must be a number, not a {type(value).__name__}")
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise UsageError(f"{what} must be a number, not a {type(value).__name__}") from None


def set_threads(count: int) -> None:
    """Sets the number of threads for optimizers that do not have their own.

    0 is as many as pay, 1 the calling thread alone. It holds for optimizers made afterwards.
    The bytes of results do not depend on it.
    """
    check(lib.rvn_set_threads(whole(count, "threads", 0, 256)))


def isa() -> str:
    """The instruction set in use: "avx512", "avx2", "sse2" or "neon".

    The environment variable RAVINE_ISA, read once, lowers it.
    """
    return str(lib.rvn_isa().decode())


def version() -> str:
    """The version of the native library that was loaded."""
    return str(lib.rvn_version().decode())


def shutdown() -> None:
    """Ends the worker threads of the library; a later step starts them again.

    Not while another thread is in a step.
    """
    lib.rvn_shutdown()
