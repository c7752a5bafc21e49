"""Products of matrices by a function of the caller, for rules that step whole matrices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from . import _layout as layout
from ._errors import UsageError
from ._library import raised

Product = Callable[[np.ndarray[Any, Any], np.ndarray[Any, Any]], np.ndarray[Any, Any]]


def native_product(function: Product | None) -> Any:
    """What the library calls: c = alpha a b + beta c. NULL for None."""
    if function is None:
        return layout.PRODUCT()
    if not callable(function):
        raise UsageError(f"product must be a function, not {type(function).__name__}")

    def call(
        _: None, flip_a: int, flip_b: int, m: int, n: int, k: int, alpha: float,
        a: Any, lda: int, b: Any, ldb: int, beta: float, c: Any, ldc: int,
    ) -> int:  # fmt: skip
        try:
            left, right = _view(a, flip_a, m, k, lda), _view(b, flip_b, k, n, ldb)
            out = _view(c, 0, m, n, ldc)
            made = np.multiply(function(left, right), np.float32(alpha))
            if made.shape != out.shape:
                raise UsageError(f"product returned the shape {made.shape}, not {out.shape}")
            if beta:
                made += np.float32(beta) * out
            out[...] = made
        except BaseException as problem:  # the cause of the exception of the step
            raised.problem = problem
            return 1
        return 0

    return layout.PRODUCT(call)


def _view(pointer: Any, flip: int, rows: int, columns: int, stride: int) -> np.ndarray[Any, Any]:
    """The array behind a pointer: rows by columns, stored the other way round where it is flipped."""
    stored, width = (columns, rows) if flip else (rows, columns)
    array = np.ctypeslib.as_array(pointer, (stored, stride))[:, :width]
    return array.T if flip else array
