"""The monitor: arrays of a training go in by name and kind, findings come out."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from _thread import RLock
from ctypes import byref, c_double, c_int64, c_void_p
from typing import Any, NamedTuple, NoReturn, SupportsFloat, SupportsIndex

import numpy as np

from . import _layout as layout
from ._arrays import address, check_array, dtype_code
from ._errors import ArgumentError, UsageError, nearest
from ._health import Report
from ._library import check, encode, lib, text, whole
from ._optimizer import Optimizer

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
    """The smallest magnitude that is not 0; inf: there is none. NaN in what an optimizer told."""
    mean: float
    """NaN in what an optimizer told."""
    histogram: tuple[int, ...]
    """Of magnitudes: bin i holds 4**(i-32) <= abs(x) < 4**(i-31); zeros are in none."""


class StepHealth(NamedTuple):
    """The last step of the optimizer that a monitor is or was attached to, and how many there were."""

    step: int
    """Of the monitor, from 1."""
    updates: int
    """Steps so far that updated."""
    sampled: int
    """Those of them that were looked at closely."""
    clipped: int
    """Those of them in which clipping made the gradient smaller."""
    guarded: int
    """Calls that a guard skipped."""
    accumulated: int
    """Calls that only accumulated."""
    grad_norm1: float
    grad_norm2: float
    grad_norm_inf: float
    clipped_norm1: float
    """As the rule received the gradient; 0 where the step was skipped."""
    clipped_norm2: float
    clipped_norm_inf: float
    clip_scale: float
    """What clipping multiplied the norm by; 1: it did not act."""
    update_norm: float
    nonfinite: int
    """How many elements are NaN or infinite."""
    nonfinite_index: int
    """Flat index of the first of them in its tensor; -1: there is none."""


class TensorHealth(NamedTuple):
    """What the last sampled step says of a tensor; NaN where its rule does not tell it."""

    step: int
    """The monitor's step that was sampled."""
    depth: int
    """-1: none is known."""
    weight_norm: float
    update_norm: float
    ratio: float
    """Root mean square of the update over that of the weights."""
    swallowed: float
    """Share of the update that rounding swallowed, by 1-norm."""
    eps_dominated: float
    """Share of the elements with a gradient where eps is larger than the root of v."""
    signal_to_noise: float
    """The squared mean of gradients over their variance, from the rule's own averages."""
    cosine: float
    """Of the gradient and the update: 1 for plain descent."""


class Monitor:
    """Watches a training, and says what is wrong, where, how that is known and what to try.

        m = rv.Monitor(opt)                                # every step of opt tells it
        for step in range(100):
            ...
            opt.step(grads, loss)
        print(m.report())

    optimizer
        The optimizer to attach to. Its steps tell gradients, weights and updates, and end the
        monitor's steps; activations may be recorded before each. Numbers and bytes of the
        training stay what they are. A monitor lives as long as the optimizer that it is attached
        to, or until `detach()`; checkpoints hold nothing of it. `docs/health.md` says what is
        measured and what that costs.
    every
        How many steps from one that is looked at closely to the next: histograms, the size of
        steps, what rounding swallows, where eps dominates.
    cosines
        Whether gradients are compared with those of the step before in every step, and not only
        behind one that is looked at closely.
    depth
        Which layer a tensor belongs to, by name, counted from the input. Of those that are not
        named: tensors whose names are alike up to the last dot are of one layer, and layers come
        in the order of the parameters.

    Alone, it takes what it is given:

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

    def __init__(
        self,
        optimizer: Optimizer | None = None,
        *,
        every: SupportsIndex = 16,
        cosines: bool = False,
        depth: Mapping[str, SupportsIndex] | None = None,
    ) -> None:
        if optimizer is not None and not isinstance(optimizer, Optimizer):
            raise UsageError(f"optimizer is a {type(optimizer).__name__}, not an Optimizer")
        handle = c_void_p()
        check(lib.rvn_monitor_create(None, byref(handle)))
        self._handle = handle
        weakref.finalize(self, lib.rvn_monitor_destroy, handle).atexit = False
        self._lock = RLock()  # one call at a time
        self._optimizer: weakref.ref[Optimizer] | None = None
        self.set("attached.every", whole(every, "every", 1, 10**9))
        self.set("attached.cosines", 1 if cosines else 0)
        for name, place in (depth or {}).items():
            number = c_int64(whole(place, f"depth of {name!r}", 0, 1_000_000))
            check(lib.rvn_monitor_set_depth(handle, encode(name, "name"), number))
        if optimizer is not None:
            with optimizer._lock:
                check(lib.rvn_monitor_attach(handle, optimizer._open()))
                optimizer._monitor = self
            self._lock = optimizer._lock  # from here on the two are one
            self._optimizer = weakref.ref(optimizer)

    def detach(self) -> None:
        """Lets go of the optimizer. What was seen stays; the optimizer may have another monitor."""
        with self._lock:
            check(lib.rvn_monitor_detach(self._handle))
            optimizer = self._optimizer and self._optimizer()
            if optimizer is not None:
                optimizer._monitor = None
            self._optimizer = None

    def last_step(self) -> StepHealth:
        """Norms before and after clipping of the optimizer's last step, and how many there were."""
        out = layout.StepHealth()
        with self._lock:
            check(lib.rvn_monitor_step(self._handle, byref(out)))
        return StepHealth(*(getattr(out, name) for name in StepHealth._fields))

    def tensor(self, name: str) -> TensorHealth:
        """What the last step that was looked at closely says of a tensor of the optimizer.

        `statistics(name)` has the histogram of its gradient, of the same step.
        """
        out = layout.TensorHealth()
        with self._lock:
            check(lib.rvn_monitor_tensor(self._handle, encode(name, "name"), byref(out)))
        return TensorHealth(*(getattr(out, name) for name in TensorHealth._fields))

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
