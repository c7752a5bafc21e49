"""Exceptions: one class for each status of the C library, in the builtin family it belongs to."""

from __future__ import annotations


class RavineError(Exception):
    """Any failure of the library. The message says what was wrong, where, and how to mend it."""

    status: int = 0
    """The status of the C library (`RVN_ERR_...`); 0 where the Python layer found the mistake."""

    def __str__(self) -> str:  # KeyError would quote it, OSError would look for a number
        return str(self.args[0]) if self.args else ""


class ArgumentError(RavineError, ValueError):
    """A value, a size or an array that does not do."""

    status = -1


class RecipeError(RavineError, ValueError):
    """The recipe text is wrong: line, column and what was expected."""

    status = -2


class UnknownNameError(RavineError, KeyError):
    """No tensor, parameter, entry or state of that name."""

    status = -3


class ElementTypeError(RavineError, TypeError):
    """An element type (dtype) that does not fit."""

    status = -4


class ShapeError(RavineError, ValueError):
    """A shape or a number of elements that does not fit."""

    status = -5


class StateError(RavineError, RuntimeError):
    """The right call at the wrong moment."""

    status = -6


class OutOfMemoryError(RavineError, MemoryError):
    """The allocator said no."""

    status = -7


class FileError(RavineError, OSError):
    """The operating system refused a file operation."""

    status = -8


class FormatError(RavineError, ValueError):
    """The file is not a checkpoint, or is damaged."""

    status = -9


class MismatchError(RavineError, ValueError):
    """A good checkpoint, but of another optimizer."""

    status = -10


class NonfiniteError(RavineError, ArithmeticError):
    """`finite_guard` found NaN or infinity."""

    status = -11


class NeedsError(RavineError, ValueError):
    """Something that the recipe needs was not given."""

    status = -12


class CallbackError(RavineError, RuntimeError):
    """A callback of the host failed."""

    status = -13


class CancelledError(RavineError, RuntimeError):
    """A callback of the host asked to stop."""

    status = -14


class UnsupportedError(RavineError, NotImplementedError):
    """This build or this machine cannot do it."""

    status = -15


class UsageError(RavineError, TypeError):
    """A Python call with the wrong arguments, or with the wrong kind of object."""


class LibraryError(RavineError, ImportError):
    """The native library was not found, did not load, or is of another version."""


BY_STATUS: dict[int, type[RavineError]] = {
    error.status: error for error in RavineError.__subclasses__() if error.status
}


def nearest(name: str, known: list[str]) -> str:
    """`"; did you mean 'lr'?"`, or the names that there are, or nothing."""
    from difflib import get_close_matches  # only failures pay for the import

    close = get_close_matches(name, known, 1)
    if close:
        return f"; did you mean {close[0]!r}?"
    if 0 < len(known) <= 8:
        return f"; there are: {', '.join(known)}"
    return ""
