"""A Python function as the library's checks call it: a loss, its parameters and its gradient."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from ctypes import POINTER, byref, c_int64, c_void_p, cast
from typing import Any

import numpy as np

from . import _layout as layout
from ._arrays import Array, Ranges, address, check_array, dtype_code, flatten
from ._errors import ArgumentError, ElementTypeError, ShapeError, UsageError
from ._library import encode, failure

Fun = Callable[[Any], Any]


class Function:
    """What a check is told about: `fun(params)`, and the arrays of params, which it moves in place.

    An exception of the function ends the check and comes out of it as it was raised, after the
    parameters were put back.
    """

    def __init__(
        self, fun: Fun, params: Any, grad: Fun | None = None, gradient: bool = True
    ) -> None:
        if not callable(fun):
            raise UsageError(f"fun is a {type(fun).__name__}, not a function of the parameters")
        self._fun, self._params, self._grad = fun, params, grad
        self._alone = not isinstance(params, (dict, list, tuple))
        self.arrays = self._named(params)
        self._ranges = Ranges(self.arrays)
        self._error: BaseException | None = None
        self._buffers = self._probe() if gradient else {}
        tensors = [self._tensor(name, array) for name, array in self.arrays.items()]
        self._tensors = (layout.Tensor * len(tensors))(*tensors)
        self._callback = layout.Loss(self._call)  # kept: the library calls it
        self._native = layout.Function(
            tensors=cast(self._tensors, POINTER(layout.Tensor)),
            tensor_count=len(tensors),
            loss=self._callback,
        )

    def _flat(self, tree: Any, what: str) -> dict[str, Any]:
        """By name; the name of an array alone is "x"."""
        if self._alone and not isinstance(tree, dict):
            return {"x": tree}
        return flat(tree, what)

    def _named(self, params: Any) -> dict[str, Array]:
        """Parameters by name, checked: they are moved in place."""
        found: dict[str, Array] = {}
        for name, array in self._flat(params, "params").items():
            check_array(array, f"parameter {name!r}", name, write=True, wanted="float64")
            if array.dtype not in (np.float32, np.float64):
                raise ElementTypeError(
                    f"parameter {name!r} is {array.dtype}; checks take float32 and float64, "
                    "as 16 bits are too few for differences"
                )
            found[name] = array
        if not found:
            raise ArgumentError("params has no arrays")
        return found

    def _tensor(self, name: str, array: Array) -> layout.Tensor:
        buffer = self._buffers.get(name)
        return layout.Tensor(
            name=encode(name, "a name"),
            data=address(array),
            grad=None if buffer is None else address(buffer),
            dtype=dtype_code(array.dtype),
            grad_dtype=0 if buffer is None else layout.F64,
            rank=array.ndim,
            shape=(c_int64 * max(1, array.ndim))(*array.shape),
        )

    def run(self, function: Callable[..., int], *arguments: Any) -> None:
        """Calls a check of the library."""
        status = function(byref(self._native), *arguments)
        error, self._error = self._error, None
        if error is not None:
            raise error
        if status:
            raise failure(status)

    def tree(self, given: Any, what: str) -> dict[str, Array]:
        """Arrays in the form of the parameters, of their shapes and types; copied if need be."""
        flat = self._flat(given, what)
        _same_names(flat, self.arrays, what)
        found = {}
        for name, param in self.arrays.items():
            try:
                array = np.asarray(flat[name], param.dtype, order="C")
            except (TypeError, ValueError) as problem:
                raise UsageError(f"{what} of {name!r} is no array: {problem}") from None
            if array.shape != param.shape:
                raise ShapeError(
                    f"{what} of {name!r} has shape {np.shape(flat[name])}, "
                    f"its parameter {param.shape}"
                )
            found[name] = array
        return found

    # ---- calls of the function ------------------------------------------------------------------

    def _probe(self) -> dict[str, Array]:
        """One call, to see which parameters have a gradient."""
        before = {name: array.copy() for name, array in self.arrays.items()}
        try:
            flat = self._flat(self._gradient(self._fun(self._params)), "the gradient")
            changed = [n for n, a in self.arrays.items() if a.tobytes() != before[n].tobytes()]
        finally:
            for name, array in self.arrays.items():
                array[...] = before[name]
        if changed:
            raise UsageError(f"fun changed the parameter {changed[0]!r}; it may only read it")
        for name in flat:
            if name not in self.arrays:
                raise UsageError(
                    f"the gradient has {name!r}, which is no parameter; "
                    f"there are {', '.join(self.arrays)}"
                )
        buffers = {
            name: np.empty(self.arrays[name].shape)
            for name, value in flat.items()
            if value is not None
        }
        if not buffers:
            raise UsageError("fun gives no gradient: it must return (loss, gradient)")
        self._read(flat, buffers)
        return buffers

    def _gradient(self, returned: Any) -> Any:
        if self._grad is not None:
            return self._grad(self._params)
        if not isinstance(returned, tuple) or len(returned) != 2:
            raise UsageError(
                f"fun must return (loss, gradient), not {type(returned).__name__}; "
                "or give a second function, grad="
            )
        return returned[1]

    def _read(self, flat: dict[str, Any], buffers: dict[str, Array]) -> None:
        """Copies a gradient to where the library reads it."""
        for name, buffer in buffers.items():
            value = flat.get(name)
            if value is None:
                raise UsageError(f"fun gave a gradient of {name!r} at first, and now gives none")
            array = np.asarray(value)
            if array.dtype.kind not in "fiu" or array.dtype.itemsize < 4 or array.dtype.char == "g":
                raise ElementTypeError(
                    f"the gradient of {name!r} is {array.dtype}; it must be float32 or float64"
                )
            if array.shape != buffer.shape:
                raise ShapeError(
                    f"the gradient of {name!r} has shape {array.shape}, its parameter "
                    f"{buffer.shape}"
                )
            buffer[...] = array

    def _call(self, user: object, with_gradient: int, out: Any) -> int:
        try:
            returned = self._fun(self._params)
            if with_gradient:
                self._read(self._flat(self._gradient(returned), "the gradient"), self._buffers)
            out[0] = _loss(returned)
        except BaseException as problem:  # also KeyboardInterrupt: nothing may pass through C
            self._error = problem
            return -13
        return 0


def _loss(returned: Any) -> float:
    value = returned[0] if isinstance(returned, tuple) and returned else returned
    with suppress(TypeError, ValueError):
        if np.ndim(value) == 0 or np.size(value) == 1:
            return float(np.asarray(value).reshape(()))
    raise UsageError(f"the loss is a {type(value).__name__} of shape {np.shape(value)}, no number")


def flat(tree: Any, what: str) -> dict[str, Any]:
    """By name; an array alone is "x"."""
    if isinstance(tree, (dict, list, tuple)):
        return dict(flatten(tree, what))
    return {"x": tree}


def _same_names(flat: dict[str, Any], wanted: dict[str, Array], what: str) -> None:
    for name in wanted:
        if name not in flat or flat[name] is None:
            raise UsageError(f"{what} has no {name!r}")
    for name in flat:
        if name not in wanted:
            raise UsageError(f"{what} has {name!r}, which is no parameter")


def pointers(arrays: dict[str, Array]) -> Any:
    """One pointer for each array."""
    return (c_void_p * len(arrays))(*(address(array) for array in arrays.values()))


def named(name: str, index: tuple[int, ...] | None) -> str:
    """ "w[2, 1]" """
    return name if not index else f"{name}[{', '.join(map(str, index))}]"


def place(index: int, shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """The index of an element by its number; None for a direction."""
    return None if index < 0 else tuple(int(i) for i in np.unravel_index(index, shape))
