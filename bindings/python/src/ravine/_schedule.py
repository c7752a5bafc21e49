"""Schedules alone: their values over steps, without an optimizer."""

from __future__ import annotations

import weakref
from ctypes import addressof, byref, c_double, c_void_p
from typing import TYPE_CHECKING, Any, SupportsFloat, SupportsIndex

import numpy as np

from ._library import check, encode, lib, text, whole
from ._metric import MetricReport, take_metric
from ._recipe import Recipe, value_text

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MOST = 2**63 - 1


class Schedule:
    """A schedule that can be asked for its values. Step 0 is the first update."""

    __slots__ = ("_handle", "__weakref__")

    def __init__(self, recipe: str | float | Recipe | Schedule) -> None:
        handle = c_void_p()
        said = encode(value_text(recipe, "schedule"), "schedule")
        check(lib.rvn_schedule_create(said, byref(handle)))
        self._handle = handle
        weakref.finalize(self, lib.rvn_schedule_destroy, handle).atexit = False

    def __call__(self, step: SupportsIndex) -> float:
        """The value at a step."""
        value = c_double()
        first = whole(step, "step", 0, _MOST)
        check(lib.rvn_schedule_values(self._handle, first, 1, addressof(value)))
        return value.value

    def values(self, count: SupportsIndex, first: SupportsIndex = 0) -> NDArray[np.float64]:
        """The values at steps first, first + 1, ... first + count - 1."""
        start = whole(first, "first", 0, _MOST)
        out = np.empty(whole(count, "count", 0, _MOST - start), np.float64)
        check(lib.rvn_schedule_values(self._handle, start, out.size, out.ctypes.data))
        return out

    def metric(self, value: SupportsFloat) -> MetricReport:
        """Hands a metric to the reactive parts, `plateau` and `greedy`, as `Optimizer.metric` does.

        The values are then those with the new scales; without metrics the scales are 1. A pickled
        copy begins anew; an optimizer saves its own.
        """

        def call(*given: Any) -> None:
            check(lib.rvn_schedule_metric(self._handle, *given))

        return take_metric(call, value)

    @property
    def recipe(self) -> str:
        """The schedule in canonical form: all defaults filled in."""
        return text(lib.rvn_schedule_recipe, self._handle)

    def __repr__(self) -> str:
        return self.recipe

    def __reduce__(self) -> tuple[type[Schedule], tuple[str]]:
        return Schedule, (self.recipe,)


def schedule(recipe: str | float | Recipe | Schedule) -> Schedule:
    """A schedule to evaluate: text, a number, or what `rv.cosine(...)` and the like return."""
    return Schedule(recipe)
