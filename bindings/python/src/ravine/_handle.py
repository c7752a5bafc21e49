"""A native optimizer by its handle: one call at a time, settings, checkpoints, the end of it."""

from __future__ import annotations

import os
import weakref
from _thread import RLock
from collections.abc import Callable, Iterable
from ctypes import byref, c_char_p, c_double, c_size_t, c_void_p, create_string_buffer
from typing import Any, NoReturn, SupportsFloat, SupportsIndex

from . import _layout as layout
from ._errors import StateError, UsageError
from ._library import check, encode, encode_path, lib, text, whole
from ._metric import MetricReport, take_metric
from ._product import Product, native_product
from ._recipe import Recipe, clause_text, patterns_text
from ._shards import AllSum, shard_fields


class Handle:
    """What an optimizer can do without looking at an array."""

    __slots__ = (
        "_handle", "_finalizer", "_lock", "_monitor", "_product", "_shards", "__weakref__",
    )  # fmt: skip

    def __init__(
        self,
        recipe: str | Recipe,
        threads: int | None,
        product: Product | None = None,
        rank: SupportsIndex = 0,
        world: SupportsIndex = 1,
        all_sum: AllSum | None = None,
    ) -> None:
        handle = c_void_p()
        said = encode(str(Recipe(recipe)), "recipe")
        count = -1 if threads is None else whole(threads, "threads", 0, 256)
        self._product = native_product(product)
        self._shards = shard_fields(rank, world, all_sum)
        options = layout.Options(threads=count, product=self._product, **self._shards)
        check(lib.rvn_optimizer_create_with(said, byref(options), byref(handle)))
        self._handle = handle
        self._finalizer = weakref.finalize(self, lib.rvn_optimizer_destroy, handle)
        self._finalizer.atexit = False  # a daemon thread may still be in a step
        # One call at a time. A call from a signal handler comes between two native calls of the
        # same thread, and must not wait for itself.
        self._lock = RLock()
        self._monitor: object = None
        """The attached one: it lives as long as this."""

    def _open(self) -> c_void_p:
        if not self._handle:
            raise StateError("this optimizer is closed")
        return self._handle

    def _call(self, function: Callable[..., int], *arguments: Any) -> None:
        with self._lock:
            check(function(self._open(), *arguments))

    def _text(self, function: Callable[..., int], *arguments: Any) -> str:
        with self._lock:
            return text(function, self._open(), *arguments)

    @property
    def recipe(self) -> str:
        """The recipe as it now holds, in canonical form."""
        return self._text(lib.rvn_optimizer_recipe)

    def plan(self) -> str:
        """What a step does: the phases, then one line for each tensor."""
        return self._text(lib.rvn_optimizer_plan)

    def get(self, key: str) -> float:
        """A hyper-parameter as the next step uses it: "lr", "clip_norm.max", "head.*:lr"."""
        value = c_double()
        self._call(lib.rvn_optimizer_get, encode(key, "key"), byref(value))
        return value.value

    def set(self, key: str, value: SupportsFloat) -> None:
        """Sets a hyper-parameter to a number; keys as in `get`. A schedule is replaced by it."""
        try:
            number = float(value) if not isinstance(value, (str, bytes)) else None
        except (TypeError, ValueError):
            number = None
        if number is None:
            kind = type(value).__name__
            raise UsageError(f"set takes a number, not a {kind}; override takes a clause")
        self._call(lib.rvn_optimizer_set, encode(key, "key"), number)

    def metric(self, value: SupportsFloat) -> MetricReport:
        """Hands a metric to the reactive schedules of the recipe: `plateau` and `greedy`.

            opt = rv.Optimizer(rv.adamw(lr=rv.plateau(1e-3, patience=5)), params)
            opt.metric(validation_loss)  # after each epoch

        The next step uses what it makes of it. What they remember is read by `get`
        ("plateau.scale", "plateau.best"), printed by `plan` and saved in checkpoints. NaN and
        infinity are taken as not better than the best.
        """
        return take_metric(lambda *given: self._call(lib.rvn_optimizer_metric, *given), value)

    def override(
        self, patterns: str | Iterable[str], clause: str | Recipe | None = None, **values: Any
    ) -> None:
        """Appends a clause to the recipe; arguments as in `Recipe.clause`."""
        said = clause_text(clause, values)
        on = patterns_text(patterns)
        self._call(lib.rvn_optimizer_override, encode(on, "patterns"), encode(said, "clause"))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes parameters, state, counters and recipe to one safetensors file.

        The path holds the old file or the new one, whole, at any moment. A sharded optimizer writes
        its own elements: a path for each rank.
        """
        self._call(lib.rvn_optimizer_save, encode_path(path))

    def load(
        self,
        path: str | os.PathLike[str] | list[str | os.PathLike[str]],
        strict: bool = True,
        *,
        params: bool = True,
        state: bool = True,
    ) -> list[str]:
        """Reads a checkpoint into the arrays and the state, and continues bit for bit.

        The hyper-parameters stay those of this optimizer. With `strict=False` it reads what
        fits, and returns what was missing, extra or different, one line each. `params=False` or
        `state=False` leaves those alone.

        A list of paths are the files that the ranks of a sharded optimizer saved, in any order and
        of any number: each rank, or an optimizer that is not sharded, takes what it has. They are
        read strictly, parameters and state.
        """
        if isinstance(path, list):
            if not (strict and params and state):
                raise UsageError("several files are loaded strictly, with parameters and state")
            files = (c_char_p * len(path))(*map(encode_path, path))
            self._call(lib.rvn_optimizer_load_shards, files, len(path))
            return []
        options = byref(layout.LoadOptions(int(not strict), int(params), int(state)))
        file, size, needed = encode_path(path), 4096, c_size_t()
        while True:
            buffer = create_string_buffer(size)
            self._call(lib.rvn_optimizer_load_with, file, options, buffer, size, byref(needed))
            if needed.value <= size:
                return buffer.value.decode(errors="replace").splitlines()
            size = needed.value  # once more, for the whole report; the same file, the same result

    def close(self) -> None:
        """Frees the native optimizer. A second time does nothing."""
        with self._lock:
            self._finalizer()
            self._handle = c_void_p()
            self._monitor = None

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise UsageError(
            "an Optimizer cannot be pickled or copied; use save(path), and load(path) in a new one"
        )
