"""A curve as a small SVG picture: the same text for the same values, on every machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ._errors import ArgumentError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LINE, _FAINT = "#1f77b4", "#808080"  # visible on white and on black


def picture(steps: NDArray[np.int64], values: NDArray[np.float64], width: int, height: int) -> str:
    """The values over the steps, in so many pixels. Steps without a value are left out."""
    known = values[np.isfinite(values)]
    if not known.size:
        raise ArgumentError("the schedule has no value in these steps to draw")
    low, high = _axis(float(known.min()), float(known.max()))
    labels = [f"{high:.4g}", f"{low:.4g}"]
    left, top, bottom = 8 + 7 * max(map(len, labels)), 8, height - 20
    x = np.linspace(left, width - 8, len(steps)) if len(steps) > 1 else np.array([float(left)])
    y = bottom - (bottom - top) * ((values / 2 - low / 2) / (high / 2 - low / 2))
    path, ends = _path(x, y), f"M{left} {top}V{bottom}H{width - 8}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"'
        f' viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="11">'
        f'<path d="{ends}" fill="none" stroke="{_FAINT}"/>'
        f'<path d="{path}" fill="none" stroke="{_LINE}" stroke-width="2"'
        ' stroke-linejoin="round" stroke-linecap="round"/>'
        f'<g fill="{_FAINT}"><g text-anchor="end">'
        f'<text x="{left - 4}" y="{top + 7}">{labels[0]}</text>'
        f'<text x="{left - 4}" y="{bottom}">{labels[1]}</text>'
        f'<text x="{width - 8}" y="{height - 6}">{steps[-1]}</text></g>'
        f'<text x="{left}" y="{height - 6}">{steps[0]}</text>'
        f'<text x="{(left + width) // 2 - 14}" y="{height - 6}">step</text></g></svg>'
    )


def _axis(low: float, high: float) -> tuple[float, float]:
    """Where the axis ends: at 0, where the values come near enough to it."""
    flat = low == high
    if low >= 0 and (flat or low <= high / 2):
        low = 0.0
    if high <= 0 and (flat or high >= low / 2):
        high = 0.0
    return (low, high) if low < high else (low, low + 1)


def _path(x: NDArray[np.float64], y: NDArray[np.float64]) -> str:
    """The points joined, with a gap where there is no value; points on a line are left out."""
    parts: list[str] = []
    pen = "M"
    for i in range(len(x)):
        if not np.isfinite(y[i]):
            pen = "M"
            continue
        between = pen == "L" and 0 < i < len(x) - 1
        if between and abs(y[i] * 2 - y[i - 1] - y[i + 1]) < 1e-9:
            continue
        parts.append(f"{pen}{x[i]:.1f} {y[i]:.1f}")
        pen = "L"
    if len(parts) == 1:
        parts.append("h1")  # a single point
    return "".join(parts)
