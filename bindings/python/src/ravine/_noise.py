"""The gradient noise scale."""

from __future__ import annotations

from collections.abc import Sequence
from ctypes import byref, c_size_t, c_void_p
from typing import Any, SupportsIndex

import numpy as np

from . import _layout as layout
from ._arrays import Array, address, dtype_code
from ._errors import ArgumentError, ElementTypeError, ShapeError, UsageError
from ._function import flat
from ._library import check, lib, real, whole

_MOST = 2**64 - 1


class NoiseScale:
    """How much of a mini-batch gradient is noise, as a running average (McCandlish et al. 2018).

        noise = rv.NoiseScale()
        ...each step or each few:  noise.add([g_of_worker_0, g_of_worker_1], batch=32)
        print(noise)

    `scale` is the batch size at which the noise in the gradient is as large as the gradient. Much
    smaller batches are mostly noise, much larger ones are mostly wasted.

    Args:
        decay: The share of the running means that stays at each estimate: 0.99 is the last hundred
            or so, 1 a plain mean of all, 0 the last one alone.
    """

    def __init__(self, decay: float = 0.99) -> None:
        self._native = layout.NoiseScale(decay=real(decay, "decay"))
        if not 0 <= self._native.decay <= 1:
            raise ArgumentError(f"decay is {decay}; 0 to 1 is allowed")

    def add_norms(
        self, small: SupportsIndex, small_norm: float, large: SupportsIndex, large_norm: float
    ) -> None:
        """Takes in the gradient norms of a small and a large batch, of so many examples each."""
        sizes = whole(small, "small", 0, _MOST), whole(large, "large", 0, _MOST)
        norms = real(small_norm, "small_norm"), real(large_norm, "large_norm")
        native = byref(self._native)
        check(lib.rvn_noise_scale_norms(native, sizes[0], norms[0], sizes[1], norms[1]))

    def add(self, gradients: Sequence[Any], batch: SupportsIndex) -> None:
        """Takes in the gradients of two or more batches of `batch` examples each.

        Each is an array, or a dict, list or tuple of arrays. They are the small batches; their mean
        is the gradient of the large one. With batch=1 they are those of single examples.
        """
        size = whole(batch, "batch", 1, _MOST)
        parts = [_arrays(part, f"gradients[{k}]") for k, part in enumerate(gradients)]
        if len(parts) < 2:
            raise UsageError(f"gradients has {len(parts)} items; give those of 2 or more batches")
        for k, part in enumerate(parts):
            _same(part, parts[0], k)
        first = list(parts[0].values())
        counts = (c_size_t * len(first))(*(array.size for array in first))
        places = [address(array) for part in parts for array in part.values()]
        check(
            lib.rvn_noise_scale_gradients(
                byref(self._native),
                size,
                len(parts),
                len(first),
                (c_void_p * len(places))(*places),
                counts,
                dtype_code(first[0].dtype),
            )
        )

    @property
    def count(self) -> int:
        """Estimates so far."""
        return int(self._native.count)

    @property
    def scale(self) -> float:
        """tr(S) / |G|^2 in examples, a ratio of means; NaN while the mean of |G|^2 is not above
        0."""
        return float(self._native.scale) if self.count else float("nan")

    @property
    def error(self) -> float:
        """The standard error of `scale`; NaN for fewer than two estimates."""
        return float(self._native.error) if self.count else float("nan")

    @property
    def signal(self) -> float:
        """The last estimate of |G|^2, the squared norm of the true gradient; may be negative."""
        return float(self._native.signal)

    @property
    def variance(self) -> float:
        """The last estimate of tr(S), the trace of the covariance of one example's gradient."""
        return float(self._native.variance)

    @property
    def mean_signal(self) -> float:
        """The running mean of `signal`."""
        return float(self._native.mean_signal)

    @property
    def mean_variance(self) -> float:
        """The running mean of `variance`."""
        return float(self._native.mean_variance)

    def __repr__(self) -> str:
        if not self.count:
            return "NoiseScale: no estimate yet"
        estimates = f"{self.count} estimate{'s' if self.count > 1 else ''}"
        parts = f"|G|^2 {self.mean_signal:.4g}, tr(S) {self.mean_variance:.4g}, {estimates}"
        if np.isnan(self.scale):
            return f"NoiseScale: not known yet, the mean of |G|^2 is not above 0 ({parts})"
        error = "" if np.isnan(self.error) else f" +- {self.error:.2g}"
        return f"NoiseScale: {self.scale:.4g}{error} examples ({parts})"


def noise_scale(gradients: Sequence[Any], batch: SupportsIndex) -> NoiseScale:
    """The gradient noise scale from the gradients of two or more batches of `batch` examples.

    As `NoiseScale.add`, once. One estimate is rough: average over steps with `NoiseScale`.
    """
    scale = NoiseScale(decay=1)
    scale.add(gradients, batch)
    return scale


def _arrays(part: Any, what: str) -> dict[str, Array]:
    found = {}
    for name, value in flat(part, what).items():
        array = np.asarray(value, order="C")
        if array.dtype not in (np.float32, np.float64):
            raise ElementTypeError(f"{what} has {array.dtype}; it must be float32 or float64")
        found[name] = array
    if not found:
        raise UsageError(f"{what} has no arrays")
    return found


def _same(part: dict[str, Array], first: dict[str, Array], k: int) -> None:
    if list(part) != list(first):
        raise UsageError(f"gradients[{k}] has {', '.join(part)}; gradients[0] {', '.join(first)}")
    dtype = next(iter(first.values())).dtype
    for name, array in part.items():
        if array.shape != first[name].shape:
            raise ShapeError(
                f"gradients[{k}] has {name!r} of shape {array.shape}, gradients[0] of "
                f"{first[name].shape}"
            )
        if array.dtype != dtype:
            raise ElementTypeError(f"gradients[{k}] has {name!r} in {array.dtype}, not {dtype}")
