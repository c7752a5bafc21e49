"""Steps of a part: some rows of a tensor, or one tensor at a time as its gradient arrives."""

from __future__ import annotations

import struct
from ctypes import byref
from typing import Any

import numpy as np

from . import _layout as layout
from ._arrays import Array, address, check_array
from ._errors import ArgumentError, ElementTypeError, ShapeError, UsageError
from ._gradients import Gradients
from ._handle import Handle
from ._library import lib
from ._report import StepReport

_unpack = struct.Struct(layout.STEP_REPORT).unpack_from


class Parts(Handle):
    """What an optimizer can do with less than all gradients at once."""

    __slots__ = ("_params", "_gradients", "_stale")

    _params: dict[str, Array]
    _gradients: Gradients
    _stale: bool
    """Whether a tensor was added since the plan was made."""

    def step_rows(self, name: str | int, rows: object, grads: Array) -> StepReport:
        """One update of some rows of a tensor, such as those of an embedding that a batch used.

        Only these rows and their state are read or written (the lazy form of the rule). A row that
        is named more than once has its gradients added, and gets one update.

        rows
            Places along the first axis: whole numbers, as a list or an array of one dimension.
        grads
            A gradient for each, in the same order: an array of shape (len(rows), ...), with the
            other lengths of the parameter and the dtype of its gradients.
        """
        number = self._number(name)
        where = _rows(rows, str(name))
        shape = (where.size, *self._params[str(name)].shape[1:])
        self._check_part(number, str(name), grads, shape)
        return self._part(
            lib.rvn_optimizer_step_rows, number, address(where), where.size, address(grads)
        )

    def step_tensor(self, name: str | int, grad: Array | None = None) -> StepReport:
        """One update of one tensor alone; without `grad`, with its bound gradient."""
        number = self._number(name)
        if grad is not None:
            self._check_part(number, str(name), grad, self._params[str(name)].shape)
        pointer = None if grad is None else address(grad)
        return self._part(lib.rvn_optimizer_step_tensor, number, pointer)

    def begin_step(self) -> None:
        """Opens a step that is made in parts, as gradients arrive, until `end_step`.

            opt.begin_step()
            for name, grad in backward():      # in any order, each tensor once
                opt.step_tensor(name, grad)
            report = opt.end_step()

        Schedules see one step, and the numbers are those of one `step` with all gradients. Not for
        recipes that measure all gradients first, such as `clip_norm`.
        """
        self._call(lib.rvn_optimizer_begin_step)

    def end_step(self) -> StepReport:
        """Ends the open step. The report is about all its parts."""
        return self._part(lib.rvn_optimizer_end_step)

    def _part(self, function: Any, *arguments: Any) -> StepReport:
        report = layout.StepReport()
        self._call(function, *arguments, byref(report))
        return StepReport(*_unpack(report))

    def _number(self, name: str | int) -> int:
        number = self._gradients.index.get(str(name))
        if number is None:
            raise self._gradients.unknown(str(name))
        if self._stale:
            self._call(lib.rvn_optimizer_prepare)
            self._stale = False
        return number

    def _check_part(
        self, number: int, name: str, grad: Any, shape: tuple[int, ...], kind: str = "gradient"
    ) -> None:
        what = f"the {kind} of {name!r}"
        dtype = self._gradients.dtypes[number]
        check_array(grad, what, "g", wanted=dtype.name)
        if grad.dtype != dtype:
            raise ElementTypeError(f"{what} is {grad.dtype}, and {dtype} was expected")
        if grad.shape != shape:
            raise ShapeError(f"{what} has shape {grad.shape}, and {shape} was expected")
        found = self._gradients.ranges.find(address(grad), grad.nbytes)
        if found is not None:
            raise ArgumentError(
                f"{what} shares memory with parameter {found!r}, which the step changes"
            )


def _rows(rows: object, name: str) -> Array:
    """Row numbers as the library reads them."""
    given = np.asarray(rows)
    if given.size == 0 and given.ndim == 1:
        return np.zeros(0, np.int64)
    if given.dtype.kind not in "iu":
        raise UsageError(f"rows of {name!r} are whole numbers, not {given.dtype}")
    if given.ndim != 1:
        raise ShapeError(f"rows of {name!r} have one dimension, these {given.ndim}")
    if given.dtype.kind == "u" and given.max() > np.iinfo(np.int64).max:
        raise ArgumentError(f"rows of {name!r} go up to {given.max()}, past every end")
    return np.ascontiguousarray(given, np.int64)
