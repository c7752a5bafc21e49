"""The loss around the parameters: its curvature, and slices through it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from ctypes import byref, c_double
from typing import Any, NamedTuple, SupportsIndex

import numpy as np

from . import _layout as layout
from ._arrays import Array
from ._errors import ArgumentError, UnsupportedError, UsageError
from ._function import Fun, Function, pointers
from ._library import check, encode, lib, real, whole

_MOST = 2**64 - 1


class HessianExtremes(NamedTuple):
    """The largest and the smallest eigenvalue of a Hessian."""

    largest: float
    smallest: float
    largest_residual: float
    """|H v - lambda v|: some eigenvalue is no further off than this, if products are exact."""
    smallest_residual: float
    asymmetry: float
    """How far products with the Hessian were from those of a symmetric matrix, from rounding or
    kinks: what the eigenvalues may be off beyond the residuals."""
    converged: bool
    """Whether both residuals are within the tolerance."""
    iterations: int
    """Products with the Hessian."""
    evaluations: int
    """Calls of the function."""
    bytes: int
    """Memory that was taken, the parameters' copy included."""
    loss: float
    gradient_norm: float
    preconditioned: bool
    largest_vector: dict[str, Array] | None = None
    """Its direction, by parameter; with `vectors=True`."""
    smallest_vector: dict[str, Array] | None = None

    def edge(self, lr: float, beta: float = 0.0, momentum: str = "heavy_ball") -> float:
        """The edge-of-stability gauge: `largest / stability_threshold(lr, beta, momentum)`.

        Below 1 a rule with these numbers descends, about 1 is the edge of stability. For rules that
        scale each element (Adam: momentum="average") the eigenvalue must be the preconditioned one.
        """
        return self.largest / stability_threshold(lr, beta, momentum)

    def __repr__(self) -> str:
        matrix = "P^-1/2 H P^-1/2" if self.preconditioned else "Hessian"
        largest = f"{self.largest:.6g} +- {self.largest_residual + self.asymmetry:.1g}"
        smallest = f"{self.smallest:.6g} +- {self.smallest_residual + self.asymmetry:.1g}"
        state = "converged" if self.converged else "NOT converged"
        return (
            f"{matrix}: largest eigenvalue {largest}, smallest {smallest}; "
            f"{state} in {self.iterations} products"
        )


def hessian_extremes(
    fun: Fun,
    params: Any,
    *,
    grad: Callable[[Any], Any] | None = None,
    iterations: SupportsIndex = 32,
    tolerance: float = 1e-3,
    step: float = 0.0,
    seed: SupportsIndex = 0,
    preconditioner: Any = None,
    vectors: bool = False,
) -> HessianExtremes:
    """The largest and the smallest eigenvalue of the Hessian of a loss, from its gradient alone.

        h = rv.hessian_extremes(loss_and_gradient, params)
        print(h, h.edge(lr=0.1))

    Lanczos with full re-orthogonalisation, on central differences of the gradient.

    Args:
        fun, params, grad: As in `check_gradient`.
        iterations: Products with the Hessian at most, two calls each, up to 1,000. They bound the
            memory: 8 * (iterations + 1) bytes for each element, and a copy of the parameters.
        tolerance: Stops at such a residual, relative to the larger |eigenvalue|.
        step: Of the differences, relative to 1 + |x|; 0: 2**-17, or 2**-8 with float32.
        seed: Of the first vector.
        preconditioner: Positive arrays in the form of params: P of P^-1/2 H P^-1/2. For Adam after
            t steps (1 - beta1**t) * (sqrt(v / (1 - beta2**t)) + eps).
        vectors: Whether to keep the two eigenvectors; they can be directions of a `loss_slice`.
    """
    function = Function(fun, params, grad)
    options = layout.HessianOptions(
        whole(iterations, "iterations", 1, 1000),
        real(tolerance, "tolerance"),
        real(step, "step"),
        whole(seed, "seed", 0, _MOST),
    )
    kept: list[dict[str, Array]] = []
    if preconditioner is not None:
        kept.append(function.tree(preconditioner, "the preconditioner"))
        options.preconditioner = pointers(kept[-1])
    found: list[dict[str, Array] | None] = [None, None]
    if vectors:
        found = [{n: np.zeros_like(a) for n, a in function.arrays.items()} for _ in range(2)]
        options.largest_vector = pointers(found[0])  # type: ignore[arg-type]
        options.smallest_vector = pointers(found[1])  # type: ignore[arg-type]
    r = layout.HessianExtremes()
    function.run(lib.rvn_hessian_extremes, byref(options), byref(r))
    return HessianExtremes(
        r.largest,
        r.smallest,
        r.largest_residual,
        r.smallest_residual,
        r.asymmetry,
        bool(r.converged),
        r.iterations,
        r.evaluations,
        r.bytes,
        r.loss,
        r.gradient_norm,
        preconditioner is not None,
        *found,
    )


def stability_threshold(lr: float, beta: float = 0.0, momentum: str = "heavy_ball") -> float:
    """The largest eigenvalue of the Hessian with which a rule descends (Cohen et al. 2021, 2022).

    momentum is "heavy_ball" (`sgd`, and `rmsprop`), "nesterov", or "average" (the Adam family, beta
    is beta1): 2 (1 + beta) / lr; that by (1 + 2 beta); or by (1 - beta), which is 38 / lr for 0.9.
    For rules that scale each element it is that of the preconditioned Hessian.
    """
    kind, out = encode(momentum, "momentum"), c_double()
    check(lib.rvn_stability_threshold(kind, real(lr, "lr"), real(beta, "beta"), byref(out)))
    return out.value


class LossSlice(NamedTuple):
    """The loss on a line or a plane through the parameters."""

    a: Array
    """Positions along the first direction, in units of it; 0 is where the parameters are."""
    b: Array | None
    """Positions along the second; None for a line."""
    losses: Array
    """losses[i] at a[i], or losses[i, j] at a[i], b[j]. NaN and infinity are kept."""

    def plot(self, ax: Any = None, *, log: bool = False, levels: int = 24) -> Any:
        """Draws the line, or the contours of the plane, and returns the Axes. Needs matplotlib.

        With `log`, the loss is on a logarithmic scale. It shows nothing by itself: in a script,
        save the figure, `slice.plot().figure.savefig("slice.png")`.
        """
        try:
            from matplotlib import colors
            from matplotlib.figure import Figure
        except ImportError:
            raise UnsupportedError("plot needs matplotlib: pip install matplotlib") from None
        if ax is None:
            ax = Figure(figsize=(5, 4), layout="constrained").add_subplot()
        ax.set_xlabel("first direction")
        if self.b is None:
            ax.plot(self.a, self.losses)
            ax.axvline(0, color="0.7", linewidth=0.8, zorder=0)
            ax.set_ylabel("loss")
            if log:
                ax.set_yscale("log")
            return ax
        losses, edges = self._contours(levels, log)
        norm = colors.LogNorm() if log else None
        drawn = ax.contourf(self.a, self.b, losses, edges, norm=norm)
        ax.figure.colorbar(drawn, ax=ax, label="loss", format="%.3g")
        ax.plot(0, 0, marker="+", color="white", markersize=10)
        ax.set_ylabel("second direction")
        ax.set_aspect("equal")
        return ax

    def _contours(self, levels: int, log: bool) -> tuple[Any, Array]:
        """The losses that can be drawn, and where one colour ends."""
        if min(self.losses.shape) < 2:
            raise UsageError(f"a plane of {self.losses.shape} points has no contours to draw")
        losses: Any = np.ma.masked_invalid(self.losses.T)
        if log:
            losses = np.ma.masked_less_equal(losses, 0)
        if not losses.count():
            raise ArgumentError(
                f"no loss is finite{' and above 0' if log else ''}: nothing to draw"
            )
        low, high = float(losses.min()), float(losses.max())
        if low == high:
            low, high = (low / 2, 2 * low) if log else (low - 0.5, high + 0.5)
        return losses, (np.geomspace if log else np.linspace)(low, high, levels + 1)

    def __repr__(self) -> str:
        finite = self.losses[np.isfinite(self.losses)]
        size = " x ".join(map(str, self.losses.shape))
        span = f"{self.a[0]:g} to {self.a[-1]:g}"
        values = f"{finite.min():.4g} to {finite.max():.4g}" if finite.size else "none finite"
        return f"LossSlice: {size} losses over {span}, {values}"


def loss_slice(
    fun: Fun,
    params: Any,
    points: int | tuple[int, int] = 51,
    *,
    dimensions: int = 1,
    span: tuple[float, float] = (-1.0, 1.0),
    directions: Sequence[Any] | None = None,
    seed: SupportsIndex = 0,
    raw: bool = False,
    filters: str = "first",
    vectors: bool = False,
) -> LossSlice:
    """The loss around the parameters, along one or two directions.

        rv.loss_slice(loss, params, 25, dimensions=2).plot()

    Directions are normal random numbers, normalised filter by filter: each filter gets the norm of
    the parameters' filter, so that slices of different networks can be compared (Li et al. 2018).

    Args:
        fun: Takes params and returns the loss, or (loss, gradient), of which the gradient is left
        out. params: As in `check_gradient`. points: Along each direction; an odd number has the
        parameters in the middle. A pair for a
            plane with different numbers.
        dimensions: 1, a line, or 2, a plane.
        span: Where the points begin and end, in units of the direction.
        directions: One or two of your own, each in the form of params, such as
            `hessian_extremes(..., vectors=True).largest_vector`; they say the dimensions.
        seed: Of random directions.
        raw: Takes directions as they are, without normalisation.
        filters: What a filter is: "first", a slice along the first axis (torch: out, in, ...), or
            "last", along the last one (x @ w: in, out).
        vectors: Whether parameters with fewer than two axes (biases, norms) are moved, too, each as
            one filter. In the paper's code they are not.

    Calls `fun` once, and once for each point.
    """
    if filters not in ("first", "last"):
        raise ArgumentError(f'filters is {filters!r}; "first" and "last" are allowed')
    function = Function(fun, params, gradient=False)
    given = list(directions) if directions is not None else []
    if directions is not None and not 1 <= len(given) <= 2:
        raise UsageError(f"directions has {len(given)} items; give a list of one or two")
    dimensions = len(given) or whole(dimensions, "dimensions", 1, 2)
    first, second = points if isinstance(points, tuple) else (points, points)
    size = [whole(n, "points", 1, 2**20) for n in (first, second)[:dimensions]]
    options = layout.LossSliceOptions(
        *(size if dimensions == 2 else [size[0], 0]),
        real(span[0], "span"),
        real(span[1], "span"),
        whole(seed, "seed", 0, _MOST),
        raw=raw,
        last_axis=filters == "last",
        vectors=vectors,
    )
    if options.low == options.high:
        raise ArgumentError(f"span is {span}; its begin must be below its end")
    trees = [function.tree(d, f"direction {k + 1}") for k, d in enumerate(given)]
    for name, tree in zip(("direction", "direction2"), trees, strict=False):
        setattr(options, name, pointers(tree))
    losses = np.empty(size)
    function.run(lib.rvn_loss_slice, byref(options), losses.ctypes.data)
    places = [np.linspace(*span, n) if n > 1 else np.zeros(1) for n in size]
    return LossSlice(places[0], places[1] if dimensions == 2 else None, losses)
