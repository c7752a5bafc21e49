"""The gradients of one step as an array of pointers: checked when new, recognised when not."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable
from ctypes import addressof, c_void_p
from typing import Any
from weakref import ref

import numpy as np
from numpy import ndarray

from ._arrays import (
    Array,
    Ranges,
    address,
    as_dtype,
    check_array,
    dtype_code,
    flatten,
    from_buffer,
)
from ._errors import (
    ArgumentError,
    ElementTypeError,
    ShapeError,
    UnknownNameError,
    nearest,
)


def _nothing() -> None:
    """In the place of a weak reference, where there is no gradient."""


def _lengths(names: Iterable[str]) -> dict[str, int]:
    """How long each list was whose items these names count: by what stands before the number."""
    found: dict[str, int] = {}
    for name in names:
        parts = name.split(".")
        for depth, part in enumerate(parts):
            if part.isdigit():
                prefix = "".join(p + "." for p in parts[:depth])
                found[prefix] = max(found.get(prefix, 0), int(part) + 1)
    return found


class Gradients:
    """One pointer for each tensor, and a weak reference to the array that it belongs to.

    An array that is the very object of the last time is not looked at again. That is safe: the
    weak reference tells a new object at an old address, and keeps numpy from moving the memory
    (`ndarray.resize` refuses, unless told `refcheck=False`). Nothing here keeps an array alive.
    """

    __slots__ = (
        "index", "ranges", "pointers", "dtypes", "_names", "_shapes", "_refs", "_listed", "_lengths",
    )  # fmt: skip

    def __init__(self, params: dict[str, Array]) -> None:
        index = {name: number for number, name in enumerate(params)}
        self.index = index
        self.ranges = Ranges(params)
        self.pointers = (c_void_p * len(index))()
        self._names = list(index)
        self._shapes = [param.shape for param in params.values()]
        self.dtypes: list[np.dtype[Any]] = []
        self._refs: list[Callable[[], Array | None]] = [_nothing] * len(index)
        self._listed = all(name == str(number) for name, number in index.items())
        self._lengths = _lengths(index)

    @property
    def pointer(self) -> int:
        """Where the pointers are; they stay there until a tensor is added."""
        return addressof(self.pointers)

    def add(self, name: str, param: Array, dtype: np.dtype[Any]) -> None:
        """One tensor more, with the next number."""
        self.ranges.add(name, param)
        pointers = (c_void_p * (len(self._names) + 1))(*self.pointers)
        self.index[name] = len(self._names)
        self._names.append(name)
        self._shapes.append(param.shape)
        self._refs.append(_nothing)
        self.dtypes.append(dtype)
        self.pointers = pointers
        self._renamed()

    def drop(self, name: str, param: Array) -> None:
        """Takes back what `add` did last."""
        self.remove(name, param)
        for column in (self._names, self._shapes, self._refs, self.dtypes):
            column.pop()
        self.pointers = (c_void_p * len(self._names))(*self.pointers[: len(self._names)])
        self._renamed()

    def remove(self, name: str, param: Array) -> None:
        """Forgets a tensor. The numbers of the others stay."""
        number = self.index.pop(name)
        self.ranges.remove(param)
        self.pointers[number] = None
        self._refs[number] = _nothing
        self._renamed()

    def _renamed(self) -> None:
        index = self.index
        self._listed = len(index) == len(self._names) and all(
            name == str(number) for name, number in index.items()
        )
        self._lengths = _lengths(index)

    def take(self, grads: object) -> object:
        """Points at these gradients. What comes back keeps them alive: for the call, no longer."""
        refs = self._refs
        if type(grads) is dict:
            index = self.index
            items = tuple(grads.items())
            for name, array in items:
                number = index.get(name)
                if number is None:
                    return self._take_tree(grads)
                if refs[number]() is not array or array is None:
                    self._accept(number, array)
            if len(items) != len(index):
                for name, number in index.items():
                    if name not in grads:
                        self._accept(number, None)
            return items
        if self._listed and isinstance(grads, (list, tuple)):
            arrays = tuple(grads)
            self._count(len(arrays), "grads")
            for number, array in enumerate(arrays):
                if refs[number]() is not array or array is None:
                    self._accept(number, array)
            return arrays
        return self._take_tree(grads)

    def _take_tree(self, tree: object) -> object:
        flat = self.by_name(tree)
        return self.take({name: flat.get(name) for name in self.index})

    def by_name(self, tree: object, what: str = "grads") -> dict[str, Any]:
        """What stands in a dict, a list, or of such inside each other, by name of tensor."""
        flat: dict[str, Any] = {}
        for name, array in flatten(tree, what, self.index, lengths=self._lengths):
            if name in flat:
                raise ArgumentError(f"{name!r} is there twice")
            if name in self.index:
                flat[name] = array
            elif array is not None or not any(n.startswith(name + ".") for n in self.index):
                raise self.unknown(name)  # None may stand for a whole branch
        return flat

    def _count(self, count: int, what: str) -> None:
        if count != len(self._refs):
            raise ArgumentError(
                f"{what} has {count} items for {len(self._refs)} tensors; None is one without"
            )

    def unknown(self, name: str) -> UnknownNameError:
        """The error for a name that no tensor has."""
        return UnknownNameError(f"no tensor is named {name!r}{nearest(name, list(self.index))}")

    def forget(self) -> None:
        """Looks at every array again the next time."""
        self._refs = [_nothing] * len(self._refs)

    def _accept(self, number: int, array: Any) -> None:
        if array is None:
            self.pointers[number] = None
            self._refs[number] = _nothing
            return
        start = 0
        if (
            type(array) is ndarray
            and array.dtype is self.dtypes[number]
            and array.shape == self._shapes[number]
        ):
            try:
                start = addressof(from_buffer(array))  # it refuses what is not contiguous
            except (TypeError, ValueError):
                pass
        if start == 0 or start & 7:
            self.check(number, array)
            start = address(array)
        edges = self.ranges.edges
        edge = bisect_right(edges, start)
        if edge & 1 or edges[edge] < start + array.nbytes:
            self._refuse_overlap(number, start, array.nbytes)
        self.pointers[number] = start
        self._refs[number] = ref(array)

    def bind(self, number: int, array: Any) -> int | None:
        """The address of a gradient that stays, after all checks."""
        if array is None:
            return None
        self.check(number, array)
        start = address(array)
        self._refuse_overlap(number, start, array.nbytes)
        return start

    def check(self, number: int, array: Any) -> None:
        """Raises unless the array can be the gradient of that tensor."""
        name = self._names[number]
        dtype, shape = self.dtypes[number], self._shapes[number]
        check_array(array, f"the gradient of {name!r}", "g", wanted=dtype.name)
        if array.dtype != dtype:
            raise ElementTypeError(
                f"the gradient of {name!r} is {array.dtype}, and {dtype} was expected; "
                f"give Optimizer(..., grad_dtype={{{name!r}: {str(array.dtype)!r}}}), "
                f"or g = g.astype({str(dtype)!r})"
            )
        if array.shape != shape:
            raise ShapeError(
                f"the gradient of {name!r} has shape {array.shape}, its parameter {shape}"
            )

    def _refuse_overlap(self, number: int, start: int, size: int) -> None:
        found = self.ranges.find(start, size)
        if found is not None:
            raise ArgumentError(
                f"the gradient of {self._names[number]!r} shares memory with parameter "
                f"{found!r}, which the step changes: g = g.copy()"
            )

    def choose_dtypes(
        self, params: dict[str, Array], bound: dict[str, Any], choice: object
    ) -> None:
        """Fixes the dtypes: the choice, else the bound array's, else the parameter's."""
        each = isinstance(choice, (dict, list, tuple))
        by_name = self.by_name(choice, "grad_dtype") if each else {}
        for name, param in params.items():
            chosen = by_name.get(name) if each else choice
            given = bound.get(name)
            if chosen is not None:
                dtype = as_dtype(chosen, f"grad_dtype of {name!r}")
            elif isinstance(given, ndarray) and dtype_code(given.dtype):
                dtype = given.dtype
            else:
                dtype = param.dtype
            self.dtypes.append(dtype)
