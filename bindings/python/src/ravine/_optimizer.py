"""The optimizer: a recipe, the arrays that it updates in place, and one native call per step."""

from __future__ import annotations

import struct
from collections.abc import Callable
from ctypes import byref, c_int64, c_size_t
from typing import Any, SupportsFloat, SupportsIndex

import numpy as np

from . import _layout as layout
from ._arrays import Array, address, as_dtype, check_array, dtype_code, flatten
from ._curvature import Curvature
from ._errors import (
    ArgumentError,
    ElementTypeError,
    NeedsError,
    RavineError,
    ShapeError,
    StateError,
    UsageError,
)
from ._gradients import Gradients
from ._library import check, encode, failure, lib, raw_step, whole
from ._product import Product
from ._recipe import Recipe
from ._report import StepReport
from ._shards import AllSum

_unpack = struct.Struct(layout.STEP_REPORT).unpack_from
_new = tuple.__new__


class Optimizer(Curvature):
    """Updates numpy arrays in place, as a recipe says.

        opt = rv.Optimizer(rv.clip_norm(1) | rv.adamw(1e-3), {"w": w, "b": b})
        report = opt.step({"w": gw, "b": gb})

    recipe
        Text such as "clip_norm(1) | adamw(1e-3)", or what `rv.adamw(...)` and the like return.
    params
        A dict name -> array (dicts inside dicts give names with dots), or a list or tuple (names
        "0", "1", ...). float32, float64, float16 or bfloat16, C-contiguous and writeable. They
        are checked once, held, never copied, and changed by each step.
    grads
        Gradients that stay, in the same form: `step()` then reads these arrays each time. They
        are held as long as the optimizer.
    grad_dtype
        The dtype of the gradients, one for all or a dict by name, where it is not that of the
        parameter (or of `grads`).
    threads
        1 for the calling thread alone, 0 for as many as pay; None for what `rv.set_threads` says.
    product
        A function of two float32 matrices that returns their product, for rules that step whole
        matrices (`muon`): with `np.matmul` numpy's BLAS makes the products. The bytes may then
        differ from machine to machine. None: the library's own, whose bytes do not.
    rank, world, all_sum
        One of `world` optimizers that share the work, in as many processes: it steps its shard of
        each tensor alone, and keeps the state of that. `all_sum` takes a float64 array and makes
        each of its numbers the sum over all ranks, in place, as
        `lambda x: comm.Allreduce(MPI.IN_PLACE, x)` does. Arrays are whole ones on all ranks;
        `shard` tells which elements are whose. See docs/sharding.md.

    Several threads may use it: a call waits until the call before it is done.
    """

    __slots__ = (
        "_bound", "_enter", "_leave", "_stepping", "_input", "_given",
        "_input_with_loss", "_bound_with_loss", "_report", "_told",
    )  # fmt: skip

    def __init__(
        self,
        recipe: str | Recipe,
        params: object,
        grads: object = None,
        *,
        grad_dtype: object = None,
        threads: int | None = None,
        product: Product | None = None,
        rank: SupportsIndex = 0,
        world: SupportsIndex = 1,
        all_sum: AllSum | None = None,
    ) -> None:
        arrays: dict[str, Array] = {}
        for name, array in flatten(params, "params"):
            if name in arrays:
                raise ArgumentError(f"there are two parameters named {name!r}")
            check_array(array, f"parameter {name!r}", name.rpartition(".")[2], write=True)
            arrays[name] = array
        self._params = arrays
        self._gradients = Gradients(arrays)
        bound = {} if grads is None else self._gradients.by_name(grads)
        self._gradients.choose_dtypes(arrays, bound, grad_dtype)
        self._bound: dict[str, Array] = {n: g for n, g in bound.items() if g is not None}
        super().__init__(recipe, threads, product, rank, world, all_sum)
        if not arrays:
            raise ArgumentError("params is empty: there is nothing to update")
        self._enter, self._leave = self._lock.acquire, self._lock.release
        self._stepping = self._stale = False
        self._point()
        self._bound_with_loss = layout.StepInput(None, 0, 0.0, 1)
        self._report = layout.StepReport()
        self._told = byref(self._report)
        for number, name in enumerate(arrays):
            self._add(number, name)
        check(lib.rvn_optimizer_prepare(self._handle))

    def _point(self) -> None:
        """Makes the inputs of steps point at the gradients."""
        pointer, count = self._gradients.pointer, len(self._gradients.pointers)
        self._input = layout.StepInput(pointer, count)
        self._given = byref(self._input)
        self._input_with_loss = layout.StepInput(pointer, count, 0.0, 1)

    def add(
        self, name: str, array: Array, grad: Array | None = None, *, grad_dtype: object = None
    ) -> None:
        """One parameter more, also while training; it begins at its own step 0, the others go on.

        name
            One that no parameter has. Clauses of the recipe that match it hold for it.
        array, grad, grad_dtype
            As for `Optimizer`: the parameter, its bound gradient, and the dtype of its gradients.
        """
        encode(name, "a name")
        if name in self._params:
            raise ArgumentError(f"there is a parameter named {name!r} already")
        check_array(array, f"parameter {name!r}", name.rpartition(".")[2], write=True)
        if grad_dtype is not None:
            dtype = as_dtype(grad_dtype, f"grad_dtype of {name!r}")
        else:
            dtype = array.dtype if grad is None else np.asarray(grad).dtype
        with self._lock:
            self._between_steps()
            self._refuse_gradient(name, array)
            self._gradients.add(name, array, dtype)
            self._params[name] = array
            if grad is not None:
                self._bound[name] = grad
            try:
                self._add(self._gradients.index[name], name)
            except RavineError:
                del self._params[name]
                self._bound.pop(name, None)
                self._gradients.drop(name, array)
                raise
            finally:
                self._point()
            self._stale = True

    def remove(self, name: str | int) -> None:
        """Takes a parameter out and frees its state; the others go on, and the name is free again."""
        number = self._number(name)
        name = str(name)
        with self._lock:
            self._between_steps()
            check(lib.rvn_optimizer_remove(self._open(), number))
            self._gradients.remove(name, self._params.pop(name))
            self._bound.pop(name, None)

    def _refuse_gradient(self, name: str, array: Array) -> None:
        for other, held in self._bound.items():
            if other != name and np.may_share_memory(held, array):
                raise ArgumentError(
                    f"parameter {name!r} shares memory with the gradient of {other!r}"
                )

    def _between_steps(self) -> None:
        self._open()
        if self._stepping:
            raise StateError("tensors come and go between steps, not within one")

    def _add(self, number: int, name: str) -> None:
        array = self._params[name]
        tensor = layout.Tensor(
            encode(name, "a name"),
            address(array),
            self._gradients.bind(number, self._bound.get(name)),
            dtype_code(array.dtype),
            dtype_code(self._gradients.dtypes[number]),
            array.ndim,
            0,
            (c_int64 * array.ndim)(*array.shape),
        )
        check(lib.rvn_optimizer_add(self._handle, byref(tensor), None))

    def step(self, grads: object = None, loss: SupportsFloat | None = None) -> StepReport:
        """One update, in place.

        grads
            In the form of the parameters. None or a missing name is a tensor without gradient,
            which is left alone. Without `grads`, the bound ones. They are only read, and not
            kept alive. An array that is the same object as the last time is not checked again.
        loss
            The loss of this batch, for an attached `Monitor` and for recipes that need it.
        """
        self._enter()
        try:
            if self._stepping:
                raise StateError("step was called within a step of the same optimizer")
            try:
                self._stepping = True
                given = None
                if grads is not None:
                    held = self._gradients.take(grads)  # noqa: F841 - alive until the call is done
                    given = self._given
                elif not self._bound:
                    raise self._no_gradients()
                if loss is not None:
                    given = self._with_loss(grads is not None, loss)
                status = raw_step(self._handle, given, self._told)
                if status:
                    self._open()
                    raise failure(status)
                return _new(StepReport, _unpack(self._report))
            finally:
                self._stepping = False
        finally:
            self._leave()

    def flush(self) -> StepReport:
        """Steps for the gradients that `accumulate` has added up so far, divided by their number.

        For the end of an epoch. Where nothing was added up, `skipped` of the report is 3.
        """
        self._call(lib.rvn_optimizer_flush, self._told)
        return _new(StepReport, _unpack(self._report))

    def _with_loss(self, given: bool, loss: SupportsFloat) -> Any:
        used = self._input_with_loss if given else self._bound_with_loss
        try:
            used.loss = float(loss)
        except (TypeError, ValueError):
            raise UsageError(f"loss is a {type(loss).__name__}, not a number") from None
        return byref(used)

    def _no_gradients(self) -> RavineError:
        self._open()
        return NeedsError(
            "step() has no gradients: give them, or bind them once with Optimizer(..., grads=...)"
        )

    @property
    def names(self) -> list[str]:
        """The names of the tensors, in order."""
        return list(self._params)

    def shard(self, name: str | int, rank: SupportsIndex | None = None) -> slice:
        """The elements of a tensor, as they lie in memory, that a rank steps (None: this one's):
        `w.reshape(-1)[opt.shard("w")]`. All of them where nothing is sharded."""
        first, count = c_size_t(), c_size_t()
        number = self._shards["rank"] if rank is None else whole(rank, "rank", -(2**31), 2**31 - 1)
        self._call(lib.rvn_optimizer_shard, self._number(name), number, byref(first), byref(count))
        return slice(first.value, first.value + count.value)

    def _state_shape(self, name: str | int, slot: str) -> tuple[int, ...]:
        if self._shards["world"] > 1:
            own = self.shard(name)
            return (own.stop - own.start,)
        rank = self._params[str(name)].ndim
        lengths = np.zeros(rank, np.int64)
        found = (encode(slot, "slot"), address(lengths), rank)
        self._call(lib.rvn_optimizer_slot_shape, self._number(name), *found)
        return tuple(int(n) for n in lengths)

    def slots(self, name: str | int) -> list[str]:
        """The names of the state slots of a tensor."""
        listed = self._text(lib.rvn_optimizer_slots, c_size_t(self._number(name)))
        return [slot.strip() for slot in listed.split(",") if slot.strip()]

    def state(self, name: str | int) -> dict[str, Array]:
        """Copies of the state of a tensor, slot by slot, as float32 (float64 for float64).

        A slot has the shape of the tensor; one with a number for each row or column of the last two
        axes (`r` and `c` of adafactor) has length 1 in place of the other axis. Of a sharded
        optimizer they are vectors, of the elements of this rank.
        """
        number = self._number(name)
        param = self._params[str(name)]
        found: dict[str, Array] = {}
        for slot in self.slots(name):
            out = np.empty(self._state_shape(name, slot), _wide(param))
            self._access(lib.rvn_optimizer_read, number, slot, out)
            found[slot] = out
        return found

    def average(self) -> dict[str, Array]:
        """The averaged parameters that `ema` or `swa` keeps, as new arrays by name; the live ones
        stay. Of several in a recipe the first.

        A tensor that is frozen, or was not stepped yet, gives its own numbers. Of a sharded
        optimizer they are vectors, of the elements of this rank.
        """
        found: dict[str, Array] = {}
        kept = False
        for name, param in self._params.items():
            slot = next((s for s in self.slots(name) if s in ("ema", "swa")), None)
            kept = kept or slot is not None
            stepped = slot is not None and self.steps(name) > 0
            if slot and stepped:
                found[name] = self.state(name)[slot]
            else:
                own = param if self._shards["world"] == 1 else param.reshape(-1)[self.shard(name)]
                found[name] = own.copy()
        if not kept:
            raise StateError(
                "the recipe keeps no average: write | ema(0.999) or | swa behind its rule"
            )
        return found

    def steps(self, name: str | int) -> int:
        """The number of updates of a tensor."""
        count = np.zeros((), np.float64)
        self._access(lib.rvn_optimizer_read, self._number(name), "step", count)
        return int(count)

    def set_state(self, name: str | int, slot: str, array: object) -> None:
        """Copies numbers into a state slot of a tensor; "step" is its counter."""
        number = self._number(name)
        param = self._params[str(name)]
        shape, dtype = (), np.float64
        if slot != "step":
            shape, dtype = self._state_shape(name, slot), _wide(param)
        try:
            given = np.asarray(array)
            if given.dtype.kind == "c":
                raise TypeError("complex numbers have no place in a state")
            given = np.asarray(given, dtype, order="C")
        except (TypeError, ValueError) as problem:
            raise UsageError(f"{slot!r} of {name!r}: {problem}") from None
        if given.shape != shape:
            raise ShapeError(f"{slot!r} of {name!r} has shape {shape}, the array {given.shape}")
        self._access(lib.rvn_optimizer_write, number, slot, given)

    def _access(self, function: Callable[..., int], number: int, slot: str, array: Array) -> None:
        code = dtype_code(array.dtype)
        self._call(function, number, encode(slot, "slot"), code, address(array), array.size)

    def bind(self, name: str | int, array: Array, grad: Array | None = None) -> None:
        """Other memory for a parameter, and for its bound gradient (None: it has none).

        The type and shape stay. The numbers in `array` are the parameters from now on.
        """
        number = self._number(name)
        name = str(name)
        old = self._params[name]
        check_array(array, f"parameter {name!r}", name.rpartition(".")[2], write=True)
        if array.dtype != old.dtype:
            raise ElementTypeError(f"parameter {name!r} is {old.dtype}, the array {array.dtype}")
        if array.shape != old.shape:
            raise ShapeError(f"parameter {name!r} has shape {old.shape}, the array {array.shape}")
        with self._lock:
            self._refuse_gradient(name, array)
            ranges = self._gradients.ranges
            ranges.replace(name, old, array)
            try:
                pointer = self._gradients.bind(number, grad)
                self._call(lib.rvn_optimizer_bind, number, address(array), pointer)
            except RavineError:
                ranges.replace(name, array, old)
                raise
            self._gradients.forget()
            self._params[name] = array
            self._bound.pop(name, None)
            if grad is not None:
                self._bound[name] = grad

    def close(self) -> None:
        """Frees the native optimizer and lets go of bound gradients. Twice is fine."""
        super().close()
        self._bound.clear()

    def __enter__(self) -> Optimizer:
        return self

    def __exit__(self, *problem: object) -> None:
        self.close()

    def _summary(self) -> str:
        count = sum(array.size for array in self._params.values())
        return f"{len(self._params)} tensors, {count:,} parameters"

    def __repr__(self) -> str:
        return f"<Optimizer {self.recipe if self._handle else 'closed'}: {self._summary()}>"

    def _repr_html_(self) -> str:
        from html import escape

        if not self._handle:
            return f"<p>{escape(repr(self))}</p>"
        lines = self.plan().splitlines()
        if len(lines) > 60:
            lines[60:] = [f"... and {len(lines) - 60} lines more"]
        return (
            f"<p><code>{escape(self.recipe)}</code></p><p>{self._summary()}</p>"
            f"<details><summary>plan</summary><pre>{escape(chr(10).join(lines))}</pre></details>"
        )


def _wide(param: Array) -> type[np.float32] | type[np.float64]:
    return np.float64 if param.dtype == np.float64 else np.float32
