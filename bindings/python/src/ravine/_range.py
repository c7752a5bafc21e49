"""The learning-rate range test: steps at rising rates, and what rate their losses suggest."""

from __future__ import annotations

import math
from collections.abc import Callable
from ctypes import byref
from typing import TYPE_CHECKING, Any, NamedTuple, SupportsFloat, SupportsIndex

import numpy as np

from . import _layout as layout
from ._errors import ArgumentError, CallbackError, NonfiniteError, UsageError
from ._library import check, lib, range_step, whole

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ._optimizer import Optimizer

_COLORS = {"steepest": "C1", "valley": "C2", "minimum": "C3"}


class Suggestion(NamedTuple):
    """A rate for the recipe's own rule, and an interval for it."""

    rate: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.rate:.2g} ({self.low:.2g} to {self.high:.2g})"


class RangeTest:
    """What a range test measured, and the rates that three methods make of it."""

    rates: NDArray[np.float64]
    """The rate of the recipe's own rule in each step that was made."""
    losses: NDArray[np.float64]
    """What the step function returned; NaN where a gradient was not finite."""
    smoothed: NDArray[np.float64]
    """The losses averaged."""
    steepest: Suggestion | None
    """Where the average falls fastest over the logarithm of the rate; the interval is where it
    falls at least half as fast, around it."""
    valley: Suggestion | None
    """The middle of the longest run down; the interval is from its beginning to its end."""
    minimum: Suggestion | None
    """A tenth of the rate with the least average; the interval is from where a tenth of the fall is
    made, or the suggestion, to that rate."""
    diverged: bool
    """Whether it ended before its last step because the loss diverged."""

    def __init__(self, arrays: NDArray[np.float64], result: Any) -> None:
        self.rates, self.losses, self.smoothed = arrays[:, : result.count].copy()
        self.diverged = bool(result.diverged)
        for method in _COLORS:
            found = getattr(result, method)
            none = math.isnan(found.rate)
            chosen = None if none else Suggestion(found.rate, found.low, found.high)
            setattr(self, method, chosen)

    @property
    def suggestions(self) -> dict[str, Suggestion]:
        """The suggestions that there are, by method."""
        every = ((method, getattr(self, method)) for method in _COLORS)
        return {method: found for method, found in every if found is not None}

    def plot(self, axes: Any = None) -> Any:
        """Draws the losses over the rates, and the suggestions with their intervals.

        Needs matplotlib. `axes` are matplotlib's, made if they are not given; they are returned.
        """
        if axes is None:
            import matplotlib.pyplot as plt

            axes = plt.subplots(figsize=(8, 4.5), layout="constrained")[1]
        axes.plot(self.rates, self.losses, color="0.75", linewidth=0.9, label="loss of a step")
        axes.plot(self.rates, self.smoothed, color="C0", linewidth=2, label="average")
        for number, (method, found) in enumerate(self.suggestions.items()):
            color, name = _COLORS[method], "minimum / 10" if method == "minimum" else method
            axes.axvline(found.rate, color=color, linewidth=1.5, label=f"{name}: {found}")
            # The intervals overlap: bars at the foot, one above the other.
            foot = 0.02 + 0.03 * number
            axes.axvspan(found.low, found.high, foot, foot + 0.02, color=color, alpha=0.6)
        axes.set(xscale="log", xlabel="learning rate", ylabel="loss")
        finite = self.smoothed[np.isfinite(self.smoothed)]
        if len(finite):
            # As high as in the first half, and a little more: where it diverges says little.
            high = finite[: len(finite) // 2 + 1].max()
            low = min(finite.min(), self.losses[np.isfinite(self.losses)].min())
            room = max(high - low, 1e-12 * abs(high), 1e-300)
            axes.set_ylim(low - 0.2 * room, high + 0.3 * room)  # the bars are below all losses
        axes.legend(loc="center left", fontsize="small")
        axes.grid(alpha=0.3)
        return axes

    def __repr__(self) -> str:
        ended = "diverged" if self.diverged else "to the end"
        said = f"{len(self.rates)} steps from {self.rates[0]:.2g} to {self.rates[-1]:.2g}, {ended}"
        found = "".join(f", {method} {rate}" for method, rate in self.suggestions.items())
        return f"<RangeTest: {said}{found or ', no suggestion'}>"


def range_test(
    optimizer: Optimizer,
    step: Callable[[], SupportsFloat],
    low: SupportsFloat = 1e-7,
    high: SupportsFloat = 10.0,
    steps: SupportsIndex = 100,
    *,
    linear: bool = False,
    window: SupportsFloat | None = None,
    divergence: SupportsFloat = 4.0,
) -> RangeTest:
    """Runs `step` at rates from low to high, and suggests a learning rate from its losses.

        def step():
            loss = loss_and_gradient(next(batches), gradient)
            opt.step(loss=loss)
            return loss

        found = rv.range_test(opt, step)
        found.plot()

    Afterwards the optimizer is what it was to the last byte, parameters included, also where
    `step` raises or a key interrupts it. What else `step` moves, such as a sampler, is its affair.

    optimizer
        The one that `step` steps. The rate replaces `lr` of its recipe's own rule, a schedule
        too. Clauses follow it: `lr=x0.1` by its factor, another rate by its ratio at this step.
    step
        One step of training, without arguments: it returns the loss of its batch. NaN, infinity
        and a NonfiniteError are a divergence. It must not close the optimizer.
    low, high, steps
        The first and the last rate, and the steps between: equal ratios, or with `linear`
        equal differences.
    window
        Losses are averaged with weight 1 / window for the newest: by default a tenth of steps; 1
        does not average.
    divergence
        It ends where the average is above the least one by divergence - 1 times that one's
        magnitude; `math.inf`: only where it is not finite.
    """
    from ._optimizer import Optimizer

    if not isinstance(optimizer, Optimizer):
        raise UsageError(f"optimizer is a {type(optimizer).__name__}, not an Optimizer")
    count = whole(steps, "steps", 2, 10_000)
    given: dict[str, SupportsFloat] = {"low": low, "high": high, "divergence": divergence}
    if window is not None:
        given["window"] = window
    numbers = {name: _number(value, name) for name, value in given.items()}
    raised: list[BaseException] = []

    def call(_: Any, rate: float, loss: Any) -> int:
        try:
            loss[0] = _number(step(), "what the step function returned")
        except NonfiniteError as problem:
            return problem.status
        except BaseException as problem:  # goes on in the caller, once all is put back
            raised.append(problem)
            return CallbackError.status
        return 0

    options = layout.RangeOptions(steps=count, linear=bool(linear), **numbers)
    arrays = np.full((3, count), np.nan)
    row = arrays.strides[0]
    start = arrays.ctypes.data
    result = layout.RangeResult(start, start + row, start + 2 * row)
    native = range_step(call)
    with optimizer._lock:
        status = lib.rvn_range_test(optimizer._open(), native, None, byref(options), byref(result))
        if raised:
            raise raised[0]
        check(status)
    return RangeTest(arrays, result)


def _number(value: SupportsFloat, what: str) -> float:
    try:
        number = float(value) if not isinstance(value, (str, bytes)) else None
    except (TypeError, ValueError):
        number = None
    if number is None:
        raise UsageError(f"{what} is a {type(value).__name__}, not a number")
    if number == 0 and what in ("low", "high", "window", "divergence"):
        raise ArgumentError(f"{what} is 0, and must be more")
    return number
