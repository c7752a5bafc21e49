"""Shared by the tests: arrays, and a small problem to run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import ravine as rv

Arrays = dict[str, np.ndarray[Any, np.dtype[Any]]]


@pytest.fixture
def make() -> Callable[..., Arrays]:
    """Arrays w [4, 3] and b [3] with numbers of a seed."""

    def make(seed: int = 0, dtype: Any = np.float32) -> Arrays:
        numbers = np.random.default_rng(seed)
        return {
            "w": numbers.normal(size=(4, 3)).astype(dtype),
            "b": numbers.normal(size=3).astype(dtype),
        }

    return make


def run(opt: rv.Optimizer, make: Callable[..., Arrays], first: int, last: int, dtype: Any) -> None:
    """Steps with the gradients of seeds first + 1 ... last."""
    for seed in range(first + 1, last + 1):
        opt.step(make(seed, dtype))
