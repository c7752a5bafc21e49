"""State out and in, and other memory for parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from conftest import run

import ravine as rv


def test_state_comes_out_and_goes_in(make: Callable[..., Any]) -> None:
    first, second = make(), make()
    one = rv.Optimizer("adamw(0.1)", first)
    two = rv.Optimizer("adamw(0.1)", second)
    run(one, make, 0, 3, np.float32)
    for name in first:
        second[name][:] = first[name]
        assert set(one.state(name)) == set(one.slots(name)) == {"m", "v"}
        for slot, array in one.state(name).items():
            assert array.shape == first[name].shape and array.dtype == np.float32
            two.set_state(name, slot, array)
        two.set_state(name, "step", one.steps(name))
    run(one, make, 3, 6, np.float32)
    run(two, make, 3, 6, np.float32)
    assert all(first[name].tobytes() == second[name].tobytes() for name in first)
    assert two.steps("w") == 6


def test_state_is_a_copy() -> None:
    opt = rv.Optimizer("sgd(0.1, momentum=0.9)", [np.zeros(2)])
    opt.step([np.ones(2)])
    slot = opt.slots(0)[0]
    opt.state(0)[slot][:] = 7
    assert opt.state("0")[slot].tolist() == [1, 1]
    assert opt.state("0")[slot].dtype == np.float64


def test_a_rule_without_state() -> None:
    opt = rv.Optimizer("sgd(0.1)", [np.zeros(2)])
    assert opt.state(0) == {} and opt.slots(0) == [] and opt.steps(0) == 0


def test_wrong_states() -> None:
    opt = rv.Optimizer("adamw(0.1)", {"w": np.zeros((2, 3))})
    with pytest.raises(rv.UnknownNameError, match="'v'"):
        opt.state("v")
    with pytest.raises(rv.UnknownNameError, match="m"):
        opt.set_state("w", "mm", np.zeros((2, 3)))
    with pytest.raises(rv.ShapeError, match=r"\(2, 3\)"):
        opt.set_state("w", "m", np.zeros((3, 2)))
    with pytest.raises(rv.ShapeError):
        opt.set_state("w", "step", [1, 2])
    with pytest.raises(rv.UsageError, match="'m' of 'w'"):
        opt.set_state("w", "m", "numbers")
    for wrong in (-1, 0.5, float("nan")):
        with pytest.raises(rv.ArgumentError):
            opt.set_state("w", "step", wrong)
    opt.set_state("w", "m", np.ones((3, 2)).T)
    assert (opt.state("w")["m"] == 1).all()


def test_binding_other_memory() -> None:
    w, other = np.zeros(3), np.full(3, 10.0)
    opt = rv.Optimizer("sgd(1)", {"w": w, "b": np.zeros(3)}, {"w": np.ones(3)})
    g = np.ones(3)
    opt.step({"w": g})
    opt.bind("w", other)
    opt.step({"w": g})
    assert w.tolist() == [-1] * 3 and other.tolist() == [9] * 3
    with pytest.raises(rv.NeedsError):
        opt.step()
    opt.bind("w", w, np.full(3, 2.0))
    opt.step()
    assert w.tolist() == [-3] * 3 and other.tolist() == [9] * 3


def test_wrong_bindings_change_nothing() -> None:
    w, b = np.zeros(3), np.zeros(3)
    bound = np.ones(3)
    opt = rv.Optimizer("sgd(1)", {"w": w, "b": b}, {"b": bound})
    wrong: list[tuple[Any, Any, type[rv.RavineError]]] = [
        (np.zeros(4), None, rv.ShapeError),
        (np.zeros(3, np.float32), None, rv.ElementTypeError),
        (np.zeros(6)[::2], None, rv.ArgumentError),
        ([1.0], None, rv.UsageError),
        (b, None, rv.ArgumentError),
        (bound, None, rv.ArgumentError),
        (np.zeros(3), np.ones(2), rv.ShapeError),
        (np.zeros(3), b, rv.ArgumentError),
    ]
    for array, grad, error in wrong:
        with pytest.raises(error, match="'w'"):
            opt.bind("w", array, grad)
    both = np.zeros(3)
    with pytest.raises(rv.ArgumentError, match="shares memory"):
        opt.bind("w", both, both)
    with pytest.raises(rv.UnknownNameError):
        opt.bind("v", np.zeros(3))
    opt.step({"w": np.ones(3), "b": np.ones(3)})
    assert w.tolist() == b.tolist() == [-1] * 3


def test_a_known_gradient_is_checked_again_after_binding() -> None:
    opt = rv.Optimizer("sgd(1)", {"w": np.zeros(3)})
    g = np.ones(3)
    opt.step({"w": g})
    opt.bind("w", g)
    with pytest.raises(rv.ArgumentError, match="shares memory"):
        opt.step({"w": g})


def test_an_average_is_kept_beside_the_parameters() -> None:
    w, b, frozen = np.zeros(3), np.zeros(2, np.float32), np.ones(2)
    params = {"w": w, "b": b, "f": frozen}
    opt = rv.Optimizer("sgd(1) | ema(0.5, start=copy); f: frozen", params)
    assert (opt.average()["w"] == 0).all()
    for _ in range(2):
        opt.step({"w": np.ones(3)})
    average = opt.average()
    assert (w == -2).all() and (average["w"] == -1.5).all()
    assert (average["b"] == 0).all() and (average["f"] == 1).all()
    average["w"][:] = 7
    assert (opt.average()["w"] == -1.5).all() and opt.slots("w") == ["ema"]
    mean = rv.Optimizer("sgd(1) | swa(start=1)", {"w": w})
    for _ in range(3):
        mean.step({"w": np.ones_like(w)})
    assert (mean.average()["w"] == w + 0.5).all()
    with pytest.raises(rv.StateError, match="keeps no average"):
        rv.Optimizer("sgd(1)", {"w": w}).average()
