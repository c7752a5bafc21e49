"""Initial values: arrays filled by an initializer of the catalog."""

from __future__ import annotations

from collections.abc import Iterable
from ctypes import POINTER, byref, c_int64, cast
from typing import Any, SupportsIndex

import numpy as np

from . import _layout as layout
from ._arrays import Array, address, as_dtype, check_array, dtype_code
from ._errors import UsageError
from ._library import check, encode, lib, whole
from ._recipe import Recipe, value_text


def init(
    recipe: str | Recipe,
    shape: SupportsIndex | Iterable[SupportsIndex] | None = None,
    seed: SupportsIndex = 0,
    dtype: Any = None,
    *,
    name: str = "w",
    out: Array | None = None,
) -> Array:
    """An array of this shape, filled by an initializer; or `out`, filled in place.

        w = rv.init("he", (256, 64))
        b = rv.init("zeros", 256)
        rv.init(rv.orthogonal(1.4), out=layer["w"], seed=7, name="layer.w")

    The values depend on recipe, shape, seed and name alone, on every machine: arrays of one seed
    get numbers of their own by their names. The dtype is float32 unless given. Weights are (out, in)
    as in torch; for `x @ w` with w of shape (in, out) say layout="keras".
    """
    if not isinstance(recipe, (str, Recipe)):
        raise UsageError(f"recipe is text or a Recipe, not {type(recipe).__name__}")
    said = encode(value_text(recipe, "recipe"), "recipe")
    number = whole(seed, "seed", 0, 2**64 - 1)
    if out is None:
        if shape is None:
            raise UsageError("init needs a shape, or out=array to fill")
        out = np.empty(_lengths(shape), as_dtype(np.float32 if dtype is None else dtype, "dtype"))
    elif shape is not None or dtype is not None:
        raise UsageError("out has a shape and a dtype: give neither with it")
    else:
        check_array(out, "out", "out", write=True)
    lengths = (c_int64 * out.ndim)(*out.shape)
    tensor = layout.Tensor(
        encode(name, "name"),
        address(out),
        None,
        dtype_code(out.dtype),
        0,
        out.ndim,
        0,
        cast(lengths, POINTER(c_int64)),
    )
    check(lib.rvn_init(said, number, byref(tensor)))
    return out


def _lengths(shape: SupportsIndex | Iterable[SupportsIndex]) -> tuple[int, ...]:
    """A shape, as numpy takes it."""
    try:
        items = tuple(shape)  # type: ignore[arg-type]
    except TypeError:
        items = (shape,)  # type: ignore[assignment]
    return tuple(whole(item, "a length of the shape", 0, 2**62) for item in items)
