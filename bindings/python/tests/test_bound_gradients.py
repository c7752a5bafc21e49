"""Gradients that are bound once, and gradients of another dtype."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from test_gradients import ones, two

import ravine as rv


def test_bound_gradients() -> None:
    g = {"w": ones(2, 2), "b": ones(2)}
    opt, w, b = two(grads=g)
    opt.step()
    g["w"][:] = 2
    opt.step()
    assert (w == -3).all() and (b == -2).all()
    opt.step({"b": ones(2)})
    assert (w == -3).all() and (b == -3).all()
    opt.step()
    assert (w == -5).all() and (b == -4).all()


def test_bound_gradients_are_kept_alive() -> None:
    opt, w, b = two(grads={"w": ones(2, 2)})
    gc.collect()
    opt.step()
    assert (w == -1).all() and (b == 0).all()


def test_bound_and_given_gradients_give_the_same_bytes(make: Callable[..., Any]) -> None:
    bound, given = make(), make()
    store = make(1)
    first = rv.Optimizer("clip_norm(1) | adamw(0.1)", bound, store)
    second = rv.Optimizer("clip_norm(1) | adamw(0.1)", given)
    for seed in range(2, 6):
        for name, fresh in make(seed).items():
            store[name][:] = fresh
        assert first.step() == second.step(make(seed))
    assert all(bound[name].tobytes() == given[name].tobytes() for name in bound)


def test_a_step_without_any_gradients_says_what_to_do() -> None:
    opt, w, b = two()
    with pytest.raises(rv.NeedsError, match="grads"):
        opt.step()


def test_bound_lists_have_the_length_of_the_parameters() -> None:
    with pytest.raises(rv.ArgumentError, match="1 items for 2"):
        rv.Optimizer("sgd(1)", [np.zeros(2), np.zeros(2)], [ones(2)])
    with pytest.raises(rv.UnknownNameError):
        two(grads={"v": ones(2)})


@pytest.mark.parametrize("choice", [np.float32, "float32", {"w": np.float32}])
def test_gradients_of_another_dtype(choice: Any) -> None:
    opt, w, b = two(grad_dtype=choice)
    opt.step({"w": np.ones((2, 2), np.float32)})
    assert (w == -1).all()
    with pytest.raises(rv.ElementTypeError, match="grad_dtype={'w': 'float64'}"):
        opt.step({"w": ones(2, 2)})
    b_dtype = np.float64 if isinstance(choice, dict) else np.float32
    opt.step({"b": np.ones(2, b_dtype)})
    assert (b == -1).all()


def test_bound_gradients_bring_their_dtype() -> None:
    opt, w, b = two(grads={"w": np.ones((2, 2), np.float32), "b": None})
    opt.step()
    opt.step({"w": np.ones((2, 2), np.float32), "b": ones(2)})
    assert (w == -2).all() and (b == -1).all()


def test_wrong_grad_dtypes() -> None:
    with pytest.raises(rv.ElementTypeError, match="grad_dtype of 'w' is int32"):
        two(grad_dtype=np.int32)
    with pytest.raises(rv.UsageError, match="grad_dtype"):
        two(grad_dtype="nonsense")
    with pytest.raises(rv.UnknownNameError, match="'v'"):
        two(grad_dtype={"v": np.float32})
    with pytest.raises(rv.ElementTypeError, match="is float32, and float64"):
        two(grads={"w": np.ones((2, 2), np.float32)}, grad_dtype=np.float64)
