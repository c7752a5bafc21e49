"""A rule with moments by row and by column: its state, and where it goes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ravine as rv

SHAPES: dict[str, tuple[int, ...]] = {
    "w": (4, 3),
    "conv": (5, 2, 3, 2),
    "b": (3,),
    "s": (),
    "none": (3, 0),
    "one": (1, 1),
}


def model(seed: int = 0) -> dict[str, Any]:
    random = np.random.default_rng(seed)
    return {name: np.array(random.normal(size=shape), np.float32) for name, shape in SHAPES.items()}


def test_the_shapes_of_state() -> None:
    params = model()
    opt = rv.Optimizer(rv.adafactor(beta1=0.9), params)
    opt.step(model(1))
    shapes = {name: {slot: a.shape for slot, a in opt.state(name).items()} for name in SHAPES}
    assert shapes == {
        "w": {"m": (4, 3), "r": (4, 1), "c": (1, 3)},
        "conv": {"m": (5, 2, 3, 2), "r": (5, 2, 3, 1), "c": (5, 2, 1, 2)},
        "b": {"v": (3,), "m": (3,)},
        "s": {"v": (), "m": ()},
        "none": {"v": (3, 0), "m": (3, 0)},
        "one": {"m": (1, 1), "r": (1, 1), "c": (1, 1)},
    }


def test_the_first_moments_are_the_means() -> None:
    params, gradients = model(), model(1)
    opt = rv.Optimizer("adafactor", params)
    opt.step(gradients)
    for name in ("w", "conv", "one"):
        squares = gradients[name].astype(np.float64) ** 2
        state = opt.state(name)
        np.testing.assert_allclose(state["r"], squares.mean(-1, keepdims=True), rtol=1e-6)
        np.testing.assert_allclose(state["c"], squares.mean(-2, keepdims=True), rtol=1e-6)
    np.testing.assert_array_equal(opt.state("b")["v"], gradients["b"] ** 2)


def test_state_goes_out_and_in() -> None:
    """What the state of one optimizer was put into goes on like it, to the precision of float32."""
    one, two = model(), model()
    first, second = rv.Optimizer("adafactor", one), rv.Optimizer("adafactor", two)
    first.step(model(1))
    second.step(model(1))
    for name in SHAPES:
        for slot, array in first.state(name).items():
            second.set_state(name, slot, np.zeros_like(array))
            assert not second.state(name)[slot].any()
            second.set_state(name, slot, array)
            np.testing.assert_array_equal(second.state(name)[slot], array)
    first.step(model(2))
    second.step(model(2))
    for name in SHAPES:
        np.testing.assert_allclose(two[name], one[name], rtol=1e-6)
    with pytest.raises(rv.ShapeError, match=r"'r' of 'w' has shape \(4, 1\), the array \(4, 3\)"):
        first.set_state("w", "r", np.ones((4, 3)))


def test_a_huge_gradient_is_no_end() -> None:
    """Its square is no float32."""
    w = np.ones((2, 2), np.float32)
    opt = rv.Optimizer("adafactor", [w])
    for scale in (1e30, 1, 1e-30, 0):
        opt.step([np.array([[1, -1], [2, 1]], np.float32) * np.float32(scale)])
        assert np.isfinite(w).all()
    assert (w != 1).all()


def test_the_file_has_the_shapes(tmp_path: Path) -> None:
    path = tmp_path / "file"
    params = model()
    opt = rv.Optimizer("adafactor", params)
    opt.step(model(1))
    opt.save(path)
    raw = path.read_bytes()
    header = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
    found = {key: (item["dtype"], item["shape"]) for key, item in header.items() if "state/conv" in key}
    assert found == {
        "state/conv/r": ("F64", [5, 2, 3, 1]),
        "state/conv/c": ("F64", [5, 2, 1, 2]),
    }
    other = rv.Optimizer("adafactor", {**model(), "w": np.ones((3, 4), np.float32)})
    with pytest.raises(rv.MismatchError, match=r"different state/w/r: file F64 \[4, 1\], here F64 \[3, 1\]"):
        other.load(path)
    other.load(path, strict=False)
    assert other.steps("conv") == 1 and other.steps("w") == 0
    plain = rv.Optimizer("adam(1e-3)", model())
    with pytest.raises(rv.MismatchError, match="file adafactor, here adam"):
        plain.load(path)


def test_bytes_for_each_parameter() -> None:
    """A matrix needs hardly any, adam's two numbers for each element."""
    opt = rv.Optimizer("adafactor", {"w": np.ones((512, 1024), np.float32)})
    last = opt.plan().strip().splitlines()[-1]
    assert last.endswith("524288 parameters, 12288 bytes of state, 0.02 for each parameter")


def test_clauses() -> None:
    params = model()
    opt = rv.Optimizer("adafactor(0.02); @rank<2: adamw(1e-3); conv: frozen", params)
    opt.step(model(1))
    assert opt.slots("b") == ["m", "v"] and opt.slots("conv") == [] and opt.slots("w") == ["r", "c"]
    with pytest.raises(rv.UnsupportedError, match="adafactor measures the whole of 'w'"):
        opt.step_rows("w", [1], np.ones((1, 3), np.float32))
