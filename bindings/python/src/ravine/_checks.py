"""The gradient check."""

from __future__ import annotations

from collections.abc import Callable
from ctypes import byref
from typing import Any, NamedTuple, SupportsIndex

from . import _layout as layout
from ._function import Fun, Function, named, place
from ._library import lib, real, whole

_OUTCOMES = ("correct", "unresolved", "kink", "mistake")
_MOST = 2**64 - 1


class DerivativeCheck(NamedTuple):
    """One derivative, as the function says and as differences of the loss say."""

    name: str
    """The parameter."""
    index: tuple[int, ...] | None  # type: ignore[assignment]
    """The element; None for a direction through the whole parameter."""
    analytic: float
    """What the function says."""
    numeric: float
    """What differences say; NaN if the loss has no values around."""
    error: float
    """What the numeric one may be off by."""
    relative_error: float
    backward: float
    """The derivative from below; on a smooth function the same as from above."""
    forward: float
    step: float
    """How far the differences went to each side."""

    def __str__(self) -> str:
        where = named(self.name, self.index) if self.index is not None else f"{self.name}, all"
        return (
            f"{where}: analytic {self.analytic:.8g}, numeric {self.numeric:.8g} "
            f"+- {self.error:.1g}, relative error {self.relative_error:.2g}"
        )


class GradientCheck(NamedTuple):
    """What a gradient check found. `check.ok` is False where there is a mistake."""

    outcome: str
    """The gravest of all: "correct", "unresolved" (noise of the loss hides it), "kink" or
    "mistake"."""
    checked: int
    """Derivatives that were compared."""
    mistakes: int
    kinks: int
    """Derivatives with two one-sided values, and the analytic one about there."""
    unresolved: int
    cosine: float
    """Of the angle between analytic and numeric gradient."""
    ratio: float
    """analytic = ratio * numeric, by least squares: 2 is a lost 1/2, -1 a wrong sign."""
    worst: DerivativeCheck
    loss: float
    noise: float
    """Estimated standard deviation of the loss for other reasons than the parameters."""
    repeated: float
    """The difference of two calls with the same parameters."""
    evaluations: int
    """Calls of the function."""
    tensors: dict[str, GradientCheck]
    """The same for each parameter; empty inside of these."""

    @property
    def ok(self) -> bool:
        """Whether no mistake was found."""
        return self.mistakes == 0

    def __repr__(self) -> str:
        return "\n".join(self._lines())

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self))

    def _lines(self) -> list[str]:
        lines = [f"gradient check: {self.outcome}, {self._counts()}"]
        if self.outcome != "correct":
            lines.append(f"  worst {self.worst}")
        if self.outcome == "kink":
            lines.append(f"  from below {self.worst.backward:.8g}, above {self.worst.forward:.8g}")
        width = max((len(name) for name in self.tensors), default=0)
        for name, found in self.tensors.items():
            lines.append(f"  {name:<{width}}  {found._counts()}{found._hint()}")
        if self.repeated > 1e-6 * abs(self.loss):
            lines.append(
                f"  two calls with the same parameters gave losses {self.repeated:.2g} apart: "
                "fix the batch and switch off what is random"
            )
        return lines

    def _counts(self) -> str:
        if self.checked == 0:
            return "no gradient"
        parts = [f"{self.checked} derivative{'s' if self.checked > 1 else ''}"]
        for number, one, many in (
            (self.mistakes, "mistake", "mistakes"),
            (self.kinks, "kink", "kinks"),
            (self.unresolved, "unresolved", "unresolved"),
        ):
            if number:
                parts.append(f"{number} {one if number == 1 else many}")
        return ", ".join(parts) if len(parts) > 1 else f"{parts[0]} correct"

    def _hint(self) -> str:
        """Where a mistake is a factor, or a gradient that is not there."""
        if not self.mistakes:
            return ""
        if self.ratio == 0 or abs(self.ratio) < 1e-12:
            return ": the analytic gradient is 0"
        if 2 < self.checked <= 2 * self.mistakes and abs(self.cosine) > 0.999999:
            return f": analytic = {self.ratio:.6g} * numeric throughout"
        return ""


def check_gradient(
    fun: Fun,
    params: Any,
    *,
    grad: Callable[[Any], Any] | None = None,
    entries: SupportsIndex = 0,
    directions: SupportsIndex = 0,
    seed: SupportsIndex = 0,
    step: float = 0.0,
    tolerance: float = 0.0,
) -> GradientCheck:
    """Compares a gradient with differences of its loss, and names the worst derivative.

        check = rv.check_gradient(lambda p: (loss(p), gradient(p)), {"w": w, "b": b})
        assert check.ok, check

    It tells a mistake from a kink (ReLU at 0, where the derivatives of the two sides differ) and
    from the noise of the loss, which it measures: a loss computed in float32 is judged as one.

    Args:
        fun: Takes params, which it must read anew and not change, and returns (loss, gradient), or
            the loss alone if there is `grad`. It should be the same function each time: one batch,
            no dropout.
        params: A dict, list or tuple of float32 or float64 arrays, or one array. They are moved in
            place, and are byte for byte as before when the call returns or raises.
        grad: Takes params and returns the gradient, in the form of params. A parameter without one
            (None, or not there) is not checked.
        entries: How many elements of each parameter, drawn at random; 0: all.
        directions: In place of elements, along how many random directions of each parameter: two
            calls each, whatever its size, and a mistake is told with the parameter it is in.
        seed: Of what is drawn.
        step: Relative to max(1, |x|); 0: chosen by the noise of the loss.
        tolerance: The relative error that is correct; 0: 1e-6, or 1e-3 where something is float32.

    Calls `fun` 12 times, and twice for each element or direction, 16 times where that is not
    enough. What `fun` raises comes out as it is.
    """
    function = Function(fun, params, grad)
    options = layout.CheckGradientOptions(
        whole(entries, "entries", 0, _MOST),
        whole(directions, "directions", 0, _MOST),
        whole(seed, "seed", 0, _MOST),
        real(step, "step"),
        real(tolerance, "tolerance"),
    )
    names = list(function.arrays)
    result, each = layout.GradientCheck(), (layout.GradientCheck * len(names))()
    each[0].struct_size = result.struct_size
    function.run(lib.rvn_check_gradient, byref(options), byref(result), each)
    shapes = [array.shape for array in function.arrays.values()]
    tensors = {name: _read(each[k], names, shapes, {}) for k, name in enumerate(names)}
    return _read(result, names, shapes, tensors)


def _read(
    r: layout.GradientCheck,
    names: list[str],
    shapes: list[tuple[int, ...]],
    tensors: dict[str, GradientCheck],
) -> GradientCheck:
    worst = DerivativeCheck(
        names[r.tensor],
        place(r.index, shapes[r.tensor]),
        r.analytic,
        r.numeric,
        r.error,
        r.relative_error,
        r.backward,
        r.forward,
        r.step,
    )
    return GradientCheck(
        _OUTCOMES[r.outcome],
        r.checked,
        r.mistakes,
        r.kinks,
        r.unresolved,
        r.cosine,
        r.ratio,
        worst,
        r.loss,
        r.noise,
        r.repeated,
        r.evaluations,
        tensors,
    )
