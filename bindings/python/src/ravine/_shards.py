"""Optimizers that step a shard of each tensor: what adds up over the ranks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from . import _layout as layout
from ._errors import UsageError
from ._library import raised, whole

AllSum = Callable[[np.ndarray[Any, Any]], object]


def native_all_sum(function: AllSum | None) -> Any:
    """What the library calls: values become their sums over all ranks. NULL for None."""
    if function is None:
        return layout.ALL_SUM()
    if not callable(function):
        raise UsageError(f"all_sum must be a function, not {type(function).__name__}")

    def call(_: None, values: Any, count: int) -> int:
        try:
            function(np.ctypeslib.as_array(values, (count,)))
        except BaseException as problem:  # the cause of the exception of the step
            raised.problem = problem
            return 1
        return 0

    return layout.ALL_SUM(call)


def shard_fields(rank: Any, world: Any, all_sum: AllSum | None) -> dict[str, Any]:
    """The fields of `layout.Options` that are about shards."""
    count = whole(world, "world", 1, 2**31 - 1)
    number = whole(rank, "rank", 0, count - 1)
    return {"rank": number, "world": count, "all_sum": native_all_sum(all_sum)}
