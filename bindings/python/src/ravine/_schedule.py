"""Schedules alone: their values over steps, questions about them, pictures of them."""

from __future__ import annotations

import weakref
from ctypes import addressof, byref, c_double, c_uint64, c_void_p
from typing import TYPE_CHECKING, Any, NamedTuple, SupportsFloat, SupportsIndex

import numpy as np

from ._errors import UnsupportedError
from ._library import check, encode, lib, text, whole
from ._metric import MetricReport, take_metric
from ._recipe import Recipe, value_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

_MOST = 2**63 - 1
_POINTS = 10_000
"""A plot of more steps than that looks at so many of them."""


class Peak(NamedTuple):
    """The greatest value of a schedule, and the first step that has it."""

    step: int
    value: float


class Schedule:
    """A schedule that can be asked for its values. Step 0 is the first update.

    The questions (`sum`, `first_below`, `peak`) look at every step of the `count` steps from
    `first` on, at most 2**32. A notebook shows the schedule as a small picture.
    """

    __slots__ = ("_handle", "__weakref__")

    def __init__(self, recipe: str | float | Recipe | Schedule) -> None:
        handle = c_void_p()
        said = encode(value_text(recipe, "schedule"), "schedule")
        check(lib.rvn_schedule_create(said, byref(handle)))
        self._handle = handle
        weakref.finalize(self, lib.rvn_schedule_destroy, handle).atexit = False

    def __call__(self, step: SupportsIndex) -> float:
        """The value at a step; NaN where it has none, past the end of `over(..., past="error")`."""
        value = c_double()
        check(lib.rvn_schedule_value(self._handle, whole(step, "step", 0, _MOST), byref(value)))
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

    def sum(self, count: SupportsIndex, first: SupportsIndex = 0) -> float:
        """The values added: the learning rate that is spent, to a relative error of 2**-52."""
        out = c_double()
        check(lib.rvn_schedule_sum(self._handle, *_range(count, first), byref(out)))
        return out.value

    def first_below(
        self, limit: SupportsFloat, count: SupportsIndex, first: SupportsIndex = 0
    ) -> int | None:
        """The first step whose value is below a limit, or None."""
        start, length = _range(count, first)
        step = c_uint64()
        check(lib.rvn_schedule_first_below(self._handle, float(limit), start, length, byref(step)))
        return step.value if step.value < start + length else None

    def peak(self, count: SupportsIndex, first: SupportsIndex = 0) -> Peak:
        """The greatest value, and the first step that has it."""
        step, value = c_uint64(), c_double()
        check(lib.rvn_schedule_peak(self._handle, *_range(count, first), byref(step), byref(value)))
        return Peak(step.value, value.value)

    @property
    def span(self) -> int:
        """About how many steps show what it does; pictures show so many by themselves."""
        steps = c_uint64()
        check(lib.rvn_schedule_span(self._handle, byref(steps)))
        return steps.value

    @property
    def recipe(self) -> str:
        """The schedule in canonical form: all defaults filled in."""
        return text(lib.rvn_schedule_recipe, self._handle)

    def sketch(
        self,
        count: SupportsIndex | None = None,
        first: SupportsIndex = 0,
        width: SupportsIndex = 72,
        height: SupportsIndex = 17,
    ) -> str:
        """A plot in plain ASCII, to be printed."""
        length = 0 if count is None else whole(count, "count", 1, _MOST)
        size = whole(width, "width", 40, 400), whole(height, "height", 5, 200)
        start = whole(first, "first", 0, _MOST)
        return text(lib.rvn_schedule_sketch, self._handle, start, length, *size)

    def plot(
        self,
        count: SupportsIndex | None = None,
        first: SupportsIndex = 0,
        ax: Axes | None = None,
        **line: Any,
    ) -> Axes:
        """Plots it with matplotlib, and returns the axes.

        `ax` are axes to draw into; without them it draws into the current ones. `line` goes to
        `Axes.plot`: `color="red", label="ours"`.
        """
        if ax is None:
            try:
                from matplotlib import pyplot
            except ImportError as problem:
                raise UnsupportedError(
                    f"plot needs matplotlib ({problem}): pip install matplotlib; "
                    "print(s.sketch()) and s.svg() do without"
                ) from problem
            ax = pyplot.gca()
        ax.plot(*self._points(count, first, _POINTS), **line)
        ax.set_xlabel("step")
        ax.set_ylabel("value")
        return ax

    def svg(
        self,
        count: SupportsIndex | None = None,
        first: SupportsIndex = 0,
        width: SupportsIndex = 320,
        height: SupportsIndex = 160,
    ) -> str:
        """A small picture as SVG text, without matplotlib."""
        from ._picture import picture

        size = whole(width, "width", 100, 4000), whole(height, "height", 60, 4000)
        return picture(*self._points(count, first, size[0]), *size)

    def _points(
        self, count: SupportsIndex | None, first: SupportsIndex, most: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Steps to draw and their values: all, or so many that are evenly spread."""
        start = whole(first, "first", 0, _MOST)
        length = whole(self.span if count is None else count, "count", 1, _MOST - start)
        if length <= most:
            return np.arange(start, start + length), self.values(length, start)
        steps = [start + (length - 1) * i // (most - 1) for i in range(most)]
        return np.array(steps, np.int64), np.array([self(step) for step in steps])

    def _repr_html_(self) -> str:
        from html import escape

        return f"<figure>{self.svg()}<figcaption>{escape(self.recipe)}</figcaption></figure>"

    def __repr__(self) -> str:
        return self.recipe

    def __reduce__(self) -> tuple[type[Schedule], tuple[str]]:
        return Schedule, (self.recipe,)


def _range(count: SupportsIndex, first: SupportsIndex) -> tuple[int, int]:
    start = whole(first, "first", 0, _MOST)
    return start, whole(count, "count", 1, 2**32)


def schedule(recipe: str | float | Recipe | Schedule) -> Schedule:
    """A schedule to evaluate: text, a number, or what `rv.cosine(...)` and the like return."""
    return Schedule(recipe)
