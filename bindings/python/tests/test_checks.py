"""The gradient check: right and wrong gradients, kinks, noise, and functions that fail."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from networks import Fun, Tree, logistic, network

import ravine as rv


def spoilt(fun: Fun, change: Any) -> Fun:
    """The same function with another gradient."""

    def wrong(p: Tree) -> tuple[float, Tree]:
        loss, grads = fun(p)
        change(grads)
        return loss, grads

    return wrong


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("directions", [0, 4])
def test_a_right_gradient_is_correct(dtype: Any, directions: int) -> None:
    for params, fun in (logistic(dtype), network(dtype=dtype, width=8)):
        before = {name: array.tobytes() for name, array in params.items()}
        check = rv.check_gradient(fun, params, directions=directions)
        assert check.ok and check.mistakes == check.kinks == 0, check
        assert check.outcome == "correct" or dtype is np.float32, check
        assert check.cosine > 0.999999 and abs(check.ratio - 1) < 1e-3
        assert {name: array.tobytes() for name, array in params.items()} == before
        assert list(check.tensors) == list(params)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_one_wrong_element_is_named(dtype: Any) -> None:
    params, fun = network(dtype=dtype, width=8)
    right = fun(params)[1]["w1"][2, 5]

    def change(grads: Tree) -> None:
        grads["w1"][2, 5] *= 1.05

    check = rv.check_gradient(spoilt(fun, change), params)
    assert not check.ok and check.outcome == "mistake" and check.mistakes == 1, check
    assert (check.worst.name, check.worst.index) == ("w1", (2, 5))
    assert check.worst.relative_error == pytest.approx(1 - 1 / 1.05, rel=0.02)
    assert check.worst.numeric == pytest.approx(right, rel=1e-3)
    assert "worst w1[2, 5]: analytic" in repr(check)
    assert check.tensors["w1"].mistakes == 1 and check.tensors["w0"].outcome == "correct"


def test_a_mistake_of_a_millionth_is_found_in_float64() -> None:
    params, fun = logistic()

    def change(grads: Tree) -> None:
        grads["w"][1] *= 1 + 5e-6

    check = rv.check_gradient(spoilt(fun, change), params)
    assert check.mistakes == 1 and check.worst.index == (1,)
    assert rv.check_gradient(spoilt(fun, change), params, tolerance=1e-5).ok


@pytest.mark.parametrize(
    "change, said",
    [
        (lambda g: g.update(w=2 * g["w"]), "w  4 derivatives, 4 mistakes: analytic = 2 * numeric"),
        (lambda g: g.update(w=-g["w"]), "analytic = -1 * numeric throughout"),
        (lambda g: g.update(w=0 * g["w"]), "the analytic gradient is 0"),
    ],
)
def test_a_common_factor_is_said(change: Any, said: str) -> None:
    params, fun = logistic()
    check = rv.check_gradient(spoilt(fun, change), params)
    assert said in repr(check)
    assert check.tensors["b"].outcome == "correct"


def test_directions_find_the_tensor_at_two_calls_each() -> None:
    params, fun = network(width=32)

    def change(grads: Tree) -> None:
        grads["w1"] *= 1.001

    check = rv.check_gradient(spoilt(fun, change), params, directions=1)
    assert [t.mistakes for t in check.tensors.values()] == [0, 0, 1, 0, 0, 0]
    assert check.worst.name == "w1" and check.worst.index is None
    right = rv.check_gradient(fun, params, directions=1)
    assert right.ok and right.evaluations < 12 + 20 * 6


def test_elements_are_drawn_without_repetition() -> None:
    params, fun = network(width=32)
    check = rv.check_gradient(fun, params, entries=20, seed=7)
    assert [t.checked for t in check.tensors.values()] == [20, 20, 20, 20, 20, 1]
    assert check == rv.check_gradient(fun, params, entries=20, seed=7)


# ---- what is no mistake --------------------------------------------------------------------------


def test_a_kink_is_no_mistake() -> None:
    params, fun = network("relu", width=8)
    params["w0"][0, 3] = 0  # unit 3 is at its kink for every input
    check = rv.check_gradient(fun, params)
    assert check.ok and check.outcome == "kink", check
    assert check.worst.name in ("w0", "b0") and check.worst.index is not None
    assert check.worst.backward != pytest.approx(check.worst.forward, rel=1e-3)
    assert "from below" in repr(check)


@pytest.mark.parametrize(
    "value, outcome", [(-1, "kink"), (0, "correct"), (0.3, "kink"), (1, "kink"), (2.1, "mistake")]
)
def test_any_value_about_there_will_do_at_a_kink(value: float, outcome: str) -> None:
    x = np.array([0.0, 2.0])
    check = rv.check_gradient(lambda x: (np.abs(x).sum(), np.array([value, 1.0])), x)
    assert check.outcome == outcome and (outcome == "correct" or check.worst.index == (0,)), check


def test_a_kink_beside_the_parameters_does_no_harm() -> None:
    for distance in (1e-9, 1e-7, 1e-6, 1e-5):
        x = np.array([distance])
        assert rv.check_gradient(lambda x: (np.abs(x).sum(), np.sign(x)), x).ok
        wrong = rv.check_gradient(lambda x: (np.abs(x).sum(), 1.5 * np.sign(x)), x)
        assert not wrong.ok or distance < 1e-8  # nearer than the shortest step is at it


def test_strong_curvature_is_no_mistake() -> None:
    x = np.array([1e-3, 0.02])
    check = rv.check_gradient(lambda x: (np.sin(3e4 * x).sum(), 3e4 * np.cos(3e4 * x)), x)
    assert check.ok and check.worst.relative_error < 1e-6, check


def test_the_scale_of_the_loss_does_not_matter() -> None:
    params, fun = logistic()
    for scale in (1e-30, 1e-6, 1e6, 1e30):

        def scaled(p: Tree, scale: float = scale) -> tuple[float, Tree]:
            loss, grads = fun(p)
            return loss * scale, {k: g * scale for k, g in grads.items()}

        assert rv.check_gradient(scaled, params).outcome == "correct"
        assert rv.check_gradient(spoilt(scaled, lambda g: g["w"].__imul__(2)), params).mistakes == 4


def test_a_loss_in_float32_of_float64_parameters_is_judged_as_float32() -> None:
    params, fun = logistic()
    check = rv.check_gradient(lambda p: (np.float32(fun(p)[0]), fun(p)[1]), params)
    assert check.ok and check.noise > 1e-9


def test_a_random_function_is_told() -> None:
    params, fun = logistic()
    numbers = np.random.default_rng(0)
    check = rv.check_gradient(
        lambda p: (fun(p)[0] * (1 + 0.1 * numbers.random()), fun(p)[1]), params
    )
    assert check.ok and check.outcome == "unresolved" and check.repeated > 0
    assert "two calls with the same parameters" in repr(check)


# ---- forms of parameters and functions -----------------------------------------------------------


def test_parameters_come_in_many_forms() -> None:
    x = np.array([1.0, 2.0])
    assert rv.check_gradient(lambda x: (x @ x, 2 * x), x).worst.name == "x"
    assert rv.check_gradient(lambda p: (p[0] @ p[0], [2 * p[0]]), [x]).ok
    assert rv.check_gradient(lambda p: (p[0] @ p[0], (2 * p[0],)), (x,)).ok
    nested = {"layer": {"w": x}, "heads": [np.ones(3), np.array(2.0)]}

    def fun(p: Any) -> tuple[float, Any]:
        w, (a, b) = p["layer"]["w"], p["heads"]
        return w @ w + a.sum() * b, {"layer": {"w": 2 * w}, "heads": [np.full(3, b), a.sum()]}

    check = rv.check_gradient(fun, nested)
    assert check.outcome == "correct" and list(check.tensors) == ["layer.w", "heads.0", "heads.1"]
    assert rv.check_gradient(lambda x: x @ x, x, grad=lambda x: 2 * x).ok


def test_what_has_no_gradient_is_not_checked() -> None:
    params, fun = logistic()

    def partly(p: Tree) -> tuple[float, Tree]:
        loss, grads = fun(p)
        return loss, {"w": grads["w"], "b": None}

    check = rv.check_gradient(partly, params)
    assert check.checked == 4 and "b  no gradient" in repr(check)


class Stop(BaseException):
    """No Exception, as KeyboardInterrupt."""


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt, Stop])
@pytest.mark.parametrize("check", [rv.check_gradient, rv.hessian_extremes, rv.loss_slice])
def test_what_the_function_raises_comes_out_and_parameters_are_back(check: Any, error: Any) -> None:
    params, fun = network(width=4)
    before = {name: array.tobytes() for name, array in params.items()}
    for calls in (1, 2, 3, 11):
        count = 0

        def failing(p: Tree, last: int = calls) -> tuple[float, Tree]:
            nonlocal count
            count += 1
            if count == last:
                p["w0"] += 1
                raise error("told")
            return fun(p)

        with pytest.raises(error, match="told"):
            check(failing, params)
        assert {name: array.tobytes() for name, array in params.items()} == before


def refuse(error: type[Exception], said: str, fun: Any, params: Any, **options: Any) -> None:
    for check in (rv.check_gradient, rv.hessian_extremes):
        with pytest.raises(error, match=said) as caught:
            check(fun, params, **options)
        assert isinstance(caught.value, rv.RavineError)


def test_bad_calls_are_refused() -> None:
    x = np.ones(3)

    def good(x: Any) -> Any:
        return x @ x, 2 * x

    refuse(rv.UsageError, "fun is a int, not a function", 3, x)
    refuse(rv.UsageError, r"must return \(loss, gradient\)", lambda x: x @ x, x)
    refuse(rv.UsageError, "loss is a str", lambda x: ("no", x), x)
    refuse(rv.UsageError, "loss is a ndarray of shape", lambda x: (x, x), x)
    refuse(rv.UsageError, "no gradient", lambda x: (0.0, None), x)
    refuse(rv.ShapeError, "shape", lambda x: (0.0, x[:2]), x)
    refuse(rv.ElementTypeError, "float16", lambda x: (0.0, x.astype(np.float16)), x)
    refuse(rv.UsageError, "no parameter", lambda x: (0.0, {"y": x}), x)
    refuse(rv.UsageError, "changed the parameter 'x'", lambda x: (x.__iadd__(1).sum(), x), x)
    assert (x == 1).all()
    refuse(rv.ElementTypeError, "checks take float32 and float64", good, x.astype(np.float16))
    refuse(rv.ElementTypeError, "int64", good, np.arange(3))
    refuse(rv.ArgumentError, "read-only", good, np.broadcast_to(x, (3,)))
    refuse(rv.ArgumentError, "strided", good, np.ones(6)[::2])
    refuse(rv.UsageError, "is a list|not a numpy array", good, {"w": 3})
    refuse(rv.ArgumentError, "share memory", lambda p: (0.0, p), {"a": x, "b": x})
    refuse(rv.ArgumentError, "no arrays", good, {})
    refuse(rv.NonfiniteError, "tensor 'x' is nan at index 1", good, np.array([1.0, np.nan]))
    refuse(rv.NonfiniteError, "loss at the given parameters is inf", lambda x: (np.inf, x), x)
    refuse(rv.UsageError, "step must be a number", good, x, step="small")
    refuse(rv.ArgumentError, "step is 3", good, x, step=3)
    refuse(rv.ArgumentError, "tolerance is 1", good, x, tolerance=1)
    with pytest.raises(rv.ArgumentError, match="entries is -1"):
        rv.check_gradient(good, x, entries=-1)
    with pytest.raises(rv.ArgumentError, match="entries and directions"):
        rv.check_gradient(good, x, entries=1, directions=1)
    calls = 0

    def forgetful(p: Any) -> Any:
        nonlocal calls
        calls += 1
        return 0.0, {"x": p["x"]} if calls == 1 else {}

    with pytest.raises(rv.UsageError, match="and now gives none"):
        rv.check_gradient(forgetful, {"x": x})


def test_a_gradient_that_is_nan_is_a_mistake() -> None:
    x = np.ones(3)
    check = rv.check_gradient(lambda x: (x @ x, 2 * x * [1, np.nan, 1]), x)
    assert check.mistakes == 1 and check.worst.index == (1,)
    assert np.isnan(check.worst.analytic) and check.worst.numeric == pytest.approx(2)
