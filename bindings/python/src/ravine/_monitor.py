"""The monitor: arrays of a training go in by name and kind, findings come out."""

from __future__ import annotations

import weakref
from _thread import RLock
from ctypes import byref, c_double, c_int64, c_void_p
from typing import Any, NamedTuple, NoReturn, SupportsFloat, SupportsIndex

import numpy as np

from . import _layout as layout
from ._arrays import address, check_array, dtype_code
from ._errors import ArgumentError, UsageError, nearest
from ._health import Report
from ._library import check, encode, lib, text, whole

_KINDS = {"gradient": 1, "activation": 2, "weight": 3, "update": 4, "loss": 5}


class Statistics(NamedTuple):
    """What the last record of an array had. What is not finite enters only its count."""

    count: int  # type: ignore[assignment]  # a tuple has a method of that name
    nonfinite: int
    """How many elements are NaN or infinite."""
    zeros: int
    subnormals: int
    """Elements below the smallest normal number of the array's dtype, and not 0."""
    first_nonfinite: int
    """Flat index of the first element that is not finite; -1: there is none."""
    largest_index: int
    """Flat index of the first element with the largest magnitude; -1: there is none."""
    norm1: float
    norm2: float
    norm_inf: float
    smallest: float
    """The smallest magnitude that is not 0; inf: there is none."""
    mean: float
    histogram: tuple[int, ...]
    """Of magnitudes: bin i holds 4**(i-32) <= abs(x) < 4**(i-31); zeros are in none."""


class Monitor:
    """Watches a training, and says what is wrong, where, how that is known and what to try.

        m = rv.Monitor()
        for step in range(100):
            ...
            m.record("fc1.weight", gw, depth=0)            # a gradient
            m.record("fc1.weight", w, kind="weight")       # the tensor it belongs to
            m.record("fc1.weight", lr * gw, kind="update")
            m.end_step(loss)
        print(m.report())

    Nothing that is recorded is changed or kept, but for 512 elements of each gradient, weight and
    update. Each finding is explained in docs/health.md.
    """

    def __init__(self) -> None:
        handle = c_void_p()
        check(lib.rvn_monitor_create(None, byref(handle)))
        self._handle = handle
        weakref.finalize(self, lib.rvn_monitor_destroy, handle).atexit = False
        self._lock = RLock()  # one call at a time

    def record(
        self,
        name: str,
        array: Any,
        kind: str = "gradient",
        depth: SupportsIndex | None = None,
        time: SupportsIndex | None = None,
    ) -> None:
        """Takes an array of the step in progress.

        Args:
            name: Arrays that belong together share it: the gradient, weight and update of a
                tensor; the output of a layer and its gradient.
            array: float32, float64, float16 or bfloat16, of any shape. One that is not contiguous
                is copied for the call. A loss may be a number, or have one element for each sample.
            kind: "gradient" (before any clipping), "activation" (the output of a layer, units on
                the last axis), "weight" (before the step), "update" (what is taken from the weight,
                as computed), "loss".
            depth: Which layer, counted from the input.
            time: Which step of a sequence, for the gradients and activations of a recurrent state:
                one record for each time, under one name.
        """
        code = _KINDS.get(kind) if isinstance(kind, str) else None
        if code is None:
            raise ArgumentError(f"kind is {kind!r}{nearest(str(kind), list(_KINDS))}")
        said = encode(name, "name")
        if code == 5 and isinstance(array, (int, float, np.integer)):
            array = np.array(array, np.float64)
        elif isinstance(array, np.generic):
            array = np.asarray(array)
        if isinstance(array, np.ndarray) and not hasattr(array, "mask"):
            if not (array.flags.c_contiguous and array.flags.aligned):
                array = np.array(array, order="C")
        check_array(array, f"the {kind} of {name!r}", name)
        record = layout.Record(
            name=said,
            data=address(array),
            shape=(c_int64 * max(1, array.ndim))(*array.shape),
            dtype=dtype_code(array.dtype),
            rank=array.ndim,
            kind=code,
            depth=-1 if depth is None else whole(depth, "depth", 0, 1_000_000),
            time=-1 if time is None else whole(time, "time", 0, 2**20 - 1),
        )
        with self._lock:
            check(lib.rvn_monitor_record(self._handle, byref(record)))

    def end_step(self, loss: SupportsFloat | None = None) -> None:
        """Ends the step. What was recorded in it is judged together."""
        value = None if loss is None else byref(c_double(_number(loss, "loss")))
        with self._lock:
            check(lib.rvn_monitor_end_step(self._handle, value))

    def report(self) -> Report:
        """What was found so far, the worst first."""
        with self._lock:
            return Report(text(lib.rvn_monitor_report_json, self._handle))

    def statistics(self, name: str, kind: str = "gradient") -> Statistics:
        """Norms, counts and the histogram of what was recorded last."""
        code = _KINDS.get(kind) if isinstance(kind, str) else None
        if code is None:
            raise ArgumentError(f"kind is {kind!r}{nearest(str(kind), list(_KINDS))}")
        out = layout.Statistics()
        with self._lock:
            check(lib.rvn_monitor_statistics(self._handle, encode(name, "name"), code, byref(out)))
        found = {name: getattr(out, name) for name in Statistics._fields}
        return Statistics(**{**found, "histogram": tuple(out.histogram)})

    def get(self, key: str) -> float:
        """A limit, such as "vanishing.warn"; `report().limits` has them all."""
        value = c_double()
        with self._lock:
            check(lib.rvn_monitor_get(self._handle, encode(key, "key"), byref(value)))
        return value.value

    def set(self, key: str, value: SupportsFloat) -> None:
        """Sets a limit."""
        number = _number(value, "value")
        with self._lock:
            check(lib.rvn_monitor_set(self._handle, encode(key, "key"), number))

    def __repr__(self) -> str:
        return f"<ravine.Monitor: {self.report().headline}>"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise UsageError("a Monitor cannot be pickled or copied; its report can be saved")


def _number(value: SupportsFloat, what: str) -> float:
    try:
        if not isinstance(value, (str, bytes)):
            return float(value)
    except (TypeError, ValueError):
        pass
    raise UsageError(f"{what} must be a number, not {type(value).__name__}")
