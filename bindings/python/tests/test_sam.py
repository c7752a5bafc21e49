"""Stages that want a second gradient: sam and asam."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ravine as rv


def world(dtype: type = np.float64) -> dict[str, Any]:
    random = np.random.default_rng(0)
    return {name: random.normal(size=n).astype(dtype) for name, n in {"a": 1500, "b": 3}.items()}


def like(params: dict[str, Any], seed: int) -> dict[str, Any]:
    random = np.random.default_rng(seed)
    return {name: random.normal(size=p.shape).astype(p.dtype) for name, p in params.items()}


def copy(params: dict[str, Any]) -> dict[str, Any]:
    return {name: p.copy() for name, p in params.items()}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_two_calls_are_one_step_with_the_second_gradient(dtype: type) -> None:
    mine, plain = world(dtype), world(dtype)
    opt = rv.Optimizer("sam(0.1) | adamw(0.01, weight_decay=0.1)", mine)
    other = rv.Optimizer("adamw(0.01, weight_decay=0.1)", plain)
    for k in range(3):
        before, uphill = copy(mine), like(mine, 2 * k)
        first = opt.step(uphill)
        assert first.skipped == 4 and first.step == k and first.update_norm == 0
        norm = np.sqrt(sum((g.astype(float) ** 2).sum() for g in uphill.values()))
        assert first.grad_norm == pytest.approx(norm)
        for name, p in mine.items():
            np.testing.assert_allclose(
                p, before[name] + 0.1 * uphill[name] / norm, rtol=1e-5, atol=1e-7
            )
        report = opt.step(like(mine, 2 * k + 1))
        expected = other.step(like(plain, 2 * k + 1))
        assert report == expected and report.step == k + 1
        for name in mine:
            np.testing.assert_array_equal(mine[name], plain[name])


def test_tensors_without_a_gradient_come_back() -> None:
    params = world()
    opt = rv.Optimizer("sam(0.1) | sgd(1)", params)
    before, g = copy(params), like(params, 0)
    opt.step(g)
    opt.step({"a": g["a"]})
    np.testing.assert_array_equal(params["b"], before["b"])
    np.testing.assert_array_equal(params["a"], before["a"] - g["a"])
    before = copy(params)
    opt.step({"a": g["a"]})
    np.testing.assert_array_equal(params["b"], before["b"])
    opt.step(g)
    for name in params:
        np.testing.assert_array_equal(params[name], before[name] - g[name])


@pytest.mark.parametrize("recipe", ["finite_guard | sam | sgd(1)", "sam | finite_guard | sgd(1)"])
def test_a_second_gradient_that_is_skipped_undoes_the_first(recipe: str) -> None:
    params = world()
    opt = rv.Optimizer(recipe, params)
    before, g = copy(params), like(params, 0)
    opt.step(g)
    assert opt.step({name: np.full_like(x, np.nan) for name, x in g.items()}).skipped == 1
    for name in params:
        np.testing.assert_array_equal(params[name], before[name])
    assert opt.step(g).skipped == 4 and opt.step(g).skipped == 0


def test_windows_of_gradients_move_and_step() -> None:
    mine, plain = world(), world()
    opt = rv.Optimizer("accumulate(2) | sam(0.1) | clip_norm(1) | adam(0.1)", mine)
    other = rv.Optimizer("sam(0.1) | clip_norm(1) | adam(0.1)", plain)
    told = []
    for k in range(4):
        parts = like(mine, 2 * k), like(mine, 2 * k + 1)
        told += [opt.step(part).skipped for part in parts]
        other.step({name: (parts[0][name] + parts[1][name]) * 0.5 for name in mine})
    assert told == [2, 4, 2, 0] * 2
    for name in mine:
        np.testing.assert_array_equal(mine[name], plain[name])
    opt.step(like(mine, 9))
    assert opt.flush().skipped == 4 and opt.flush().skipped == 3


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_checkpoint_between_the_calls(tmp_path: Path, dtype: type) -> None:
    path = tmp_path / "x.safetensors"
    mine, others = world(dtype), world(dtype)
    opt = rv.Optimizer("asam(0.1) | adam(0.1)", mine)
    again = rv.Optimizer("asam(0.1) | adam(0.1)", others)
    opt.step(like(mine, 0))
    opt.save(path)
    again.step(like(others, 5))
    again.load(path)
    for k in (1, 2):
        assert opt.step(like(mine, k)).skipped == again.step(like(mine, k)).skipped
        for name in mine:
            np.testing.assert_array_equal(mine[name], others[name])


def test_what_cannot_be_done_in_between() -> None:
    params = world()
    opt = rv.Optimizer("sam | sgd(1)", params)
    g = like(params, 0)
    for alone in (lambda: opt.begin_step(), lambda: opt.step_rows("a", [0], np.ones(1))):
        with pytest.raises(rv.UnsupportedError, match="sam moves all parameters together"):
            alone()
    opt.step(g)
    for change in (
        lambda: opt.add("c", np.zeros(2)),
        lambda: opt.remove("b"),
        lambda: opt.override("b", "adam"),
        lambda: opt.bind("b", np.zeros(3)),
    ):
        with pytest.raises(rv.StateError, match="sam moved the parameters, and waits"):
            change()
    opt.set("sam.rho", 0.2)
    assert opt.step(g).skipped == 0
    opt.remove("b")
    assert "every first call: sam over all tensors moves the parameters" in opt.plan()


def test_asam_without_adapting_is_sam() -> None:
    mine, plain = world(), world()
    opt = rv.Optimizer("asam(0.1, adaptive=false) | sgd(1)", mine)
    other = rv.Optimizer("sam(0.1) | sgd(1)", plain)
    for k in range(4):
        opt.step(like(mine, k))
        other.step(like(plain, k))
        for name in mine:
            np.testing.assert_allclose(mine[name], plain[name], rtol=1e-14)
