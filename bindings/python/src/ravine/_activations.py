"""Dead and saturated units."""

from __future__ import annotations

from ctypes import sizeof
from typing import Any, NamedTuple

import numpy as np

from . import _layout as layout
from ._arrays import Array
from ._errors import ElementTypeError, ShapeError, UsageError
from ._library import check, encode, lib


class ActivationStatistics(NamedTuple):
    """What a batch of activations shows of the units that made them."""

    name: str
    """The activation, or the gate."""
    rows: int
    """Examples, or examples times time steps."""
    units: int
    dead_units: int
    """Units that are exactly 0 in every row."""
    saturated_units: int
    """Units that are beyond the limits in more than half of the rows."""
    nonfinite: int
    """Elements that are NaN or infinite."""
    first_nonfinite: tuple[int, int] | None
    """Row and unit of the first of them."""
    zeros: float
    """Share of all elements that are exactly 0."""
    low: float
    """Share below the lower limit: -0.99 for tanh, 0.01 for sigmoid."""
    high: float
    """Share above the upper limit, 0.99."""
    mean: float
    deviation: float
    least: float
    largest: float
    zero_share: Array
    """The shares of each unit, over its rows."""
    low_share: Array
    high_share: Array

    @property
    def dead(self) -> Array:
        """The numbers of the dead units."""
        return np.flatnonzero(self.zero_share == 1)

    @property
    def saturated(self) -> Array:
        """The numbers of the saturated units."""
        return np.flatnonzero(self.low_share + self.high_share > 0.5)

    def __repr__(self) -> str:
        parts = [f"mean {self.mean:.3g}, deviation {self.deviation:.3g}"]
        if self.zeros or self.name == "relu":
            parts.append(f"zeros {self.zeros:.1%}")
        if self.name not in ("relu", "linear"):
            parts.append(f"saturated {self.low:.1%} low, {self.high:.1%} high")
        if self.dead_units:
            parts.append(f"{self.dead_units} of {self.units} units dead")
        if self.saturated_units:
            parts.append(f"{self.saturated_units} of {self.units} units saturated")
        if self.first_nonfinite:
            row, unit = self.first_nonfinite
            parts.append(f"{self.nonfinite} not finite, the first in row {row}, unit {unit}")
        return f"{self.name}, {self.units} units x {self.rows} rows: {', '.join(parts)}"


def activation_statistics(
    values: Any, activation: str | None = None, *, gates: str | None = None
) -> ActivationStatistics | dict[str, ActivationStatistics]:
    """Dead and saturated units in a batch of activations.

        rv.activation_statistics(np.maximum(0, x @ w), "relu")
        rv.activation_statistics(gates_of_lstm, gates="ifgo")["f"]

    Args:
        values: float32 or float64, of shape (..., units): the last axis has the units, all others
            are rows. Values behind the activation function.
        activation: "relu", "tanh" (saturated beyond -0.99 and 0.99), "sigmoid" (0.01 and 0.99) or
            "linear".
        gates: In place of it, the gates of an LSTM or a GRU that stand side by side in the last
            axis, a letter each: i f o r z are sigmoids, g (or c) and n (or h) are tanh. "ifgo" in
            torch, "ifco" in Keras. The result is then a dict with a letter for each key.
    """
    array = np.ascontiguousarray(values)
    if array.dtype not in (np.float32, np.float64):
        raise ElementTypeError(
            f"values is {array.dtype}; it must be float32 or float64: values.astype(np.float32)"
        )
    if np.ndim(values) < 1:
        raise ShapeError("values is a single number; its last axis must have the units")
    if (activation is None) == (gates is None):
        raise UsageError('give an activation, such as "relu", or gates, such as "ifgo"')
    code = layout.F32 if array.dtype == np.float32 else layout.F64
    columns = array.shape[-1]
    rows = array.size // columns if columns else 0
    if gates is None:
        name, function = encode(activation, "activation"), lib.rvn_activation_statistics
        count, units = 1, columns
    else:
        name, function = encode(gates, "gates"), lib.rvn_gate_statistics
        if not gates or columns % len(gates):
            raise ShapeError(
                f"the last axis has {columns} elements, no multiple of gates {gates!r}"
            )
        if len(set(gates)) < len(gates):
            raise UsageError(f"gates is {gates!r}, which has a letter twice")
        count, units = len(gates), columns // len(gates)
    results, shares = (layout.ActivationStatistics * count)(), np.empty((count, 3, units))
    results[0].struct_size = sizeof(layout.ActivationStatistics)
    check(function(array.ctypes.data, code, rows, units, 0, name, results, shares.ctypes.data))
    found = [
        _read(r, shares[k], str(activation) if gates is None else gates[k])
        for k, r in enumerate(results)
    ]
    return found[0] if gates is None else dict(zip(gates, found, strict=True))


def _read(r: layout.ActivationStatistics, shares: Array, name: str) -> ActivationStatistics:
    first = divmod(r.first_nonfinite, r.units) if r.first_nonfinite >= 0 else None
    return ActivationStatistics(
        name,
        r.rows,
        r.units,
        r.dead_units,
        r.saturated_units,
        r.nonfinite,
        first,
        r.zeros,
        r.low,
        r.high,
        r.mean,
        r.deviation,
        r.least,
        r.largest,
        *shares,
    )
