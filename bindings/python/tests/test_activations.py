"""Dead and saturated units, against numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ravine as rv


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(50, 8), (7, 5, 8), (8,)])
def test_counts_are_those_of_numpy(dtype: Any, shape: tuple[int, ...]) -> None:
    numbers = np.random.default_rng(0)
    z = 2 * numbers.normal(size=shape) - 100 * np.eye(8)[3]  # unit 3 is far below
    relu = rv.activation_statistics(np.maximum(0, z).astype(dtype), "relu")
    flat = np.maximum(0, z).reshape(-1, 8)
    assert (relu.rows, relu.units) == flat.shape
    assert relu.zeros == pytest.approx((flat == 0).mean()) and 3 in relu.dead
    assert relu.dead_units == len(relu.dead) == (flat == 0).all(0).sum()
    assert relu.zero_share == pytest.approx((flat == 0).mean(0))
    assert relu.mean == pytest.approx(flat.mean(), rel=1e-5)
    assert relu.deviation == pytest.approx(flat.std(), rel=1e-5)
    tanh = rv.activation_statistics(np.tanh(z).astype(dtype), "tanh")
    flat = np.tanh(z).astype(dtype).reshape(-1, 8)
    assert tanh.low == pytest.approx((flat < -0.99).mean())
    assert tanh.high_share == pytest.approx((flat > 0.99).mean(0))
    assert list(tanh.saturated) == list(np.flatnonzero((np.abs(flat) > 0.99).mean(0) > 0.5))
    assert tanh.saturated_units == len(tanh.saturated)


def test_gates_of_an_lstm_have_names() -> None:
    numbers = np.random.default_rng(1)
    z = numbers.normal(size=(20, 4, 6))
    z[:, 1] += 10  # the forget gate is open throughout
    gates = np.concatenate(
        [1 / (1 + np.exp(-z[:, :2])), np.tanh(z[:, 2:3]), 1 / (1 + np.exp(-z[:, 3:]))], 1
    )
    found = rv.activation_statistics(gates.reshape(20, 24), gates="ifgo")
    assert isinstance(found, dict) and list(found) == ["i", "f", "g", "o"]
    assert found["f"].saturated_units == 6 and found["f"].high > 0.9 and found["f"].low == 0
    assert found["i"].saturated_units == 0 and found["g"].units == 6
    assert found["g"].least < 0 < found["i"].least
    alone = rv.activation_statistics(gates[:, 2], "tanh")
    assert found["g"].high_share == pytest.approx(alone.high_share)
    assert "6 of 6 units saturated" in repr(found["f"])


def test_what_is_not_finite_is_counted_and_left_out() -> None:
    x = np.ones((3, 4))
    x[1, 2], x[2, 0] = np.nan, np.inf
    found = rv.activation_statistics(x, "linear")
    assert found.nonfinite == 2 and found.first_nonfinite == (1, 2) and found.mean == 1
    assert "2 not finite, the first in row 1, unit 2" in repr(found)


def test_bad_calls_are_refused() -> None:
    x = np.ones((3, 4))

    def refuse(error: type[Exception], said: str, *arguments: Any, **options: Any) -> None:
        with pytest.raises(error, match=said) as caught:
            rv.activation_statistics(*arguments, **options)
        assert isinstance(caught.value, rv.RavineError)

    refuse(rv.UsageError, "give an activation", x)
    refuse(rv.UsageError, "give an activation", x, "relu", gates="ifgo")
    refuse(rv.UnknownNameError, "did you mean 'relu'", x, "rleu")
    refuse(rv.UnknownNameError, "no gate is named 'x'", x, gates="ifgx")
    refuse(rv.ShapeError, "no multiple", x, gates="ifg")
    refuse(rv.UsageError, "a letter twice", x, gates="ifgg")
    refuse(rv.ElementTypeError, "int64", np.ones((3, 4), int), "relu")
    refuse(rv.ElementTypeError, "float16", x.astype(np.float16), "relu")
    refuse(rv.ShapeError, "single number", np.array(1.0), "relu")
    refuse(rv.ShapeError, "rows is 0", np.ones((0, 4)), "relu")
