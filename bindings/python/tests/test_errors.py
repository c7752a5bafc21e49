"""Exceptions: by status, in builtin families, with the library's sentence."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import ravine as rv
from ravine._errors import BY_STATUS

FAMILIES = {
    rv.ArgumentError: ValueError,
    rv.RecipeError: ValueError,
    rv.UnknownNameError: KeyError,
    rv.ElementTypeError: TypeError,
    rv.ShapeError: ValueError,
    rv.StateError: RuntimeError,
    rv.OutOfMemoryError: MemoryError,
    rv.FileError: OSError,
    rv.FormatError: ValueError,
    rv.MismatchError: ValueError,
    rv.NonfiniteError: ArithmeticError,
    rv.NeedsError: ValueError,
    rv.CallbackError: RuntimeError,
    rv.CancelledError: RuntimeError,
    rv.UnsupportedError: NotImplementedError,
    rv.UsageError: TypeError,
    rv.LibraryError: ImportError,
}


def test_every_status_of_the_header_has_an_exception() -> None:
    assert sorted(BY_STATUS) == list(range(-15, 0))


@pytest.mark.parametrize("error", FAMILIES)
def test_an_exception_is_of_its_family_and_says_its_sentence(error: type[rv.RavineError]) -> None:
    made = error("tensor 'w' is missing")
    assert isinstance(made, rv.RavineError) and isinstance(made, FAMILIES[error])
    assert str(made) == "tensor 'w' is missing"
    assert type(made).__module__ == "ravine"
    assert str(pickle.loads(pickle.dumps(made))) == "tensor 'w' is missing"


def test_the_sentence_of_the_library_arrives_whole() -> None:
    with pytest.raises(rv.RecipeError, match=r"recipe:1:\d+: .*'weigth_decay'") as caught:
        rv.schedule("1")
        rv.Optimizer("adamw(1e-3, weigth_decay=0)", [])
    assert caught.value.status == -2
    assert "did you mean 'weight_decay'" in str(caught.value)


def test_every_failure_is_a_ravine_error() -> None:
    assert all(issubclass(error, rv.RavineError) for error in BY_STATUS.values())


def test_what_is_no_setting_cannot_be_assigned() -> None:
    opt = rv.Optimizer("sgd(1)", [np.zeros(1)])
    with pytest.raises(AttributeError):
        opt.lr = 0.5  # type: ignore[attr-defined]
    with pytest.raises(rv.UsageError, match="takes a number, not a str"):
        opt.set("lr", "0.1")  # type: ignore[arg-type]


def test_names_of_the_package_are_suggested() -> None:
    with pytest.raises(AttributeError, match="did you mean 'adamw'"):
        rv.adamW  # noqa: B018
    with pytest.raises(rv.RecipeError, match="did you mean 'sgd'"):
        rv.Optimizer("SGD(0.1)", [np.zeros(1)])
    with pytest.raises(rv.RecipeError, match="did you mean 'frozen'"):
        rv.Optimizer("sgd; a: frozn", [np.zeros(1)])
    with pytest.raises(rv.UnknownNameError, match="did you mean 'bias'"):
        rv.Optimizer("sgd; bais: lr=1", {"bias": np.zeros(1)})


def test_state_is_real() -> None:
    opt = rv.Optimizer("sgd(momentum=0.9)", {"w": np.zeros(2)})
    with pytest.raises(rv.UsageError, match="complex"):
        opt.set_state("w", "m", np.ones(2, complex))
