"""What a step tells."""

from __future__ import annotations

from typing import Any, NamedTuple

_SKIPPED = {1: "skipped: not finite", 2: "accumulated", 3: "no gradient", 4: "moved"}


class StepReport(NamedTuple):
    """What a step did. `print(report)` says it in a line."""

    step: int
    """Number of updates applied so far, this one included."""
    lr: float
    """Learning rate of the recipe's own rule in this step."""
    grad_norm: float
    """2-norm over all gradients before any stage but `unscale` and `accumulate`; NaN if skipped and not
    measured."""
    clip_scale: float
    """Factor that the clipping stages multiplied the gradient by."""
    update_norm: float
    """2-norm of (old parameters - new parameters), before they are rounded to float16 or bfloat16;
    0 if skipped."""
    nonfinite: int
    """How many gradient elements were NaN or infinite."""
    skipped: int
    """0 applied, 1 skipped by finite_guard or unscale, 2 accumulated, 3 no gradient, 4 the
    parameters were moved by sam or asam, which wait for the gradient there."""

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self))

    def __str__(self) -> str:
        parts = [f"step {self.step}: lr {self.lr:.4g}, gradient {self.grad_norm:.4g}"]
        if self.clip_scale != 1:
            parts.append(f"clipped x{self.clip_scale:.4g}")
        parts.append(f"update {self.update_norm:.4g}")
        if self.nonfinite:
            parts.append(f"{self.nonfinite} not finite")
        if self.skipped:
            parts.append(_SKIPPED.get(self.skipped, f"skipped ({self.skipped})"))
        return ", ".join(parts)
