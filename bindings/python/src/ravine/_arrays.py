"""numpy arrays as the library sees them: an address, a type, a range of bytes; nothing copied."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from ctypes import addressof, c_char
from typing import Any

import numpy as np

from . import _layout as layout
from ._errors import ArgumentError, ElementTypeError, UsageError

Array = np.ndarray[Any, np.dtype[Any]]

_CODES: dict[np.dtype[Any], int] = {
    np.dtype(np.float32): layout.F32,
    np.dtype(np.float64): layout.F64,
    np.dtype(np.float16): layout.F16,
}


from_buffer: Callable[[Any], c_char] = c_char.from_buffer
"""A ctypes object on the memory of an array that is contiguous and writeable; else TypeError."""


def dtype_code(dtype: np.dtype[Any]) -> int:
    """The RVN_ type of a dtype, 0 if the library does not take it."""
    code = _CODES.get(dtype)
    if code is None:
        code = layout.BF16 if dtype.name == "bfloat16" else 0
        _CODES[dtype] = code
    return code


def as_dtype(value: Any, what: str) -> np.dtype[Any]:
    """A dtype that the library takes."""
    try:
        dtype: np.dtype[Any] = np.dtype(value)
    except TypeError as problem:
        raise UsageError(f"{what}: {problem}") from None
    if not dtype_code(dtype):
        raise ElementTypeError(f"{what} is {_dtype_text(dtype)}; {_TYPES}")
    return dtype


_TYPES = "it must be float32, float64, float16 or bfloat16"


def _dtype_text(dtype: np.dtype[Any]) -> str:
    return f"{dtype}" if dtype.isnative else f"{dtype} (bytes in foreign order)"


def check_array(
    array: object, what: str, name: str, write: bool = False, wanted: str = "float32"
) -> None:
    """Raises unless it is an array that the library can use in place.

    The message says which, what is wrong, and the one line that mends it, to the `wanted` dtype.
    """
    short = name if name.isidentifier() else "array"
    if array is None:
        raise UsageError(f"{what} is None, not a numpy array")
    if not isinstance(array, np.ndarray):
        kind = f"{type(array).__module__}.{type(array).__qualname__}".removeprefix("builtins.")
        if isinstance(array, (list, tuple, dict, int, float, np.generic)):
            mend = f"make one first: {short} = np.array({short}, dtype=np.{wanted})"
        else:
            mend = f"give a view of its memory, such as {short} = np.asarray({short})"
        raise UsageError(f"{what} is a {kind}, not a numpy array; {mend}")
    if hasattr(array, "mask"):
        raise UsageError(f"{what} is a masked array; give its numbers: {short} = {short}.data")
    if not dtype_code(array.dtype):
        dtype = f"np.{wanted}" if array.dtype.isnative else f"{short}.dtype.newbyteorder('=')"
        raise ElementTypeError(
            f"{what} is {_dtype_text(array.dtype)}; {_TYPES}: {short} = {short}.astype({dtype})"
        )
    flags = array.flags
    if not flags.c_contiguous:
        order = "in Fortran order" if flags.f_contiguous else "a strided view"
        raise ArgumentError(
            f"{what} is not C-contiguous, but {order}: {short} = np.ascontiguousarray({short})"
        )
    if not flags.aligned:
        raise ArgumentError(f"{what} is not aligned to its element type: {short} = {short}.copy()")
    if write and not flags.writeable:
        raise ArgumentError(f"{what} is read-only: {short} = {short}.copy()")


def address(array: Array) -> int:
    """Where the elements start. The first way is the quick one; it needs a writeable array."""
    try:
        return addressof(from_buffer(array))
    except (TypeError, ValueError, BufferError):
        return int(array.__array_interface__["data"][0])


def flatten(
    tree: object,
    what: str,
    leaves: Any = (),
    prefix: str = "",
    lengths: dict[str, int] | None = None,
) -> Iterator[tuple[str, Any]]:
    """Names and arrays of a dict, list or tuple, or of such things inside each other.

    Names are the keys, or "0", "1", ... in a list, joined by dots. A name in `leaves` is not
    looked into. `lengths` says how long the list before each prefix has to be.
    """
    if isinstance(tree, dict):
        items = iter(tree.items())
    elif isinstance(tree, (list, tuple)):
        wanted = (lengths or {}).get(prefix, len(tree))
        if len(tree) != wanted:
            where = f"{what}[{prefix[:-1]}]" if prefix else what
            raise ArgumentError(f"{where} has {len(tree)} items for {wanted}; None is one without")
        items = ((str(index), item) for index, item in enumerate(tree))
    else:
        kind = type(tree).__name__
        hint = f": write [{what}]" if isinstance(tree, np.ndarray) else ""
        raise UsageError(f"{what} is a {kind}; give a dict, list or tuple of arrays{hint}")
    for key, item in items:
        if not isinstance(key, str):
            raise UsageError(f"{what}: a name is a string, not {key!r}")
        name = prefix + key
        if isinstance(item, (dict, list, tuple)) and name not in leaves:
            yield from flatten(item, what, leaves, name + ".", lengths)
        else:
            yield name, item


class Ranges:
    """The bytes of all parameters, in order of address, to find an overlap in O(log n)."""

    __slots__ = ("edges", "_names")

    def __init__(self, arrays: dict[str, Array]) -> None:
        spans = sorted(
            (start := address(array), start + array.nbytes, name)
            for name, array in arrays.items()
            if array.nbytes
        )
        for first, second in zip(spans, spans[1:], strict=False):
            if second[0] < first[1]:
                raise ArgumentError(_overlap(first[2], second[2]))
        # Start and end of each in turn. An address with an odd number of edges at or below it
        # is inside. The last edge is never reached.
        self.edges = [edge for span in spans for edge in span[:2]] + [1 << 64]
        self._names = [span[2] for span in spans]

    def find(self, start: int, size: int) -> str | None:
        """The name of a parameter that has one of these bytes."""
        edge = bisect_right(self.edges, start)
        inside = edge & 1 or self.edges[edge] < start + size
        return self._names[edge // 2] if inside and size else None

    def replace(self, name: str, old: Array, new: Array) -> None:
        """Other memory for a parameter; nothing changes if it overlaps another parameter."""
        self.remove(old)
        found = self.find(address(new), new.nbytes)
        self._insert(name, old if found else new)
        if found:
            raise ArgumentError(_overlap(name, found))

    def add(self, name: str, array: Array) -> None:
        """One parameter more."""
        found = self.find(address(array), array.nbytes)
        if found:
            raise ArgumentError(_overlap(name, found))
        self._insert(name, array)

    def remove(self, array: Array) -> None:
        """Forgets a parameter."""
        if array.nbytes:
            edge = bisect_left(self.edges, address(array))
            edge += edge & 1  # past the end of the neighbour before it
            del self.edges[edge : edge + 2], self._names[edge // 2]

    def _insert(self, name: str, array: Array) -> None:
        if array.nbytes:
            start = address(array)
            edge = bisect_right(self.edges, start)
            self.edges[edge:edge] = [start, start + array.nbytes]
            self._names.insert(edge // 2, name)


def _overlap(first: str, second: str) -> str:
    return (
        f"parameters {first!r} and {second!r} share memory, and would be updated twice; "
        "give a shared array once"
    )
