"""accumulate, flush and unscale: several calls for one step."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import ravine as rv

RULE = "adam(0.1)"


def gradients(count: int) -> list[np.ndarray]:
    random = np.random.default_rng(7)
    return [random.integers(-64, 64, 1100).astype(np.float32) for _ in range(count)]


def one(x: float) -> np.ndarray:
    return np.array([x], np.float32)


def test_a_window_steps_once_with_the_mean() -> None:
    given = gradients(8)
    w, v = np.ones(1100, np.float32), np.ones(1100, np.float32)
    whole, parts = rv.Optimizer(RULE, {"w": w}), rv.Optimizer(f"accumulate(4) | {RULE}", {"w": v})
    for window in (given[:4], given[4:]):
        whole.step({"w": np.mean(window, axis=0, dtype=np.float32)})
        for k, g in enumerate(window):
            before = v.copy()
            report = parts.step({"w": g})
            assert report.skipped == (2 if k < 3 else 0)
            assert (v == before).all() == (k < 3)
            if k < 3:
                assert report.grad_norm == pytest.approx(float(np.linalg.norm(g)))
        assert (w == v).all()
    assert report.step == 2
    mean = np.mean(given[4:], axis=0)
    assert report.grad_norm == pytest.approx(float(np.linalg.norm(mean)))


def test_flush_divides_by_what_was_counted() -> None:
    given = gradients(5)
    w, v = np.ones(1100, np.float32), np.ones(1100, np.float32)
    whole, parts = rv.Optimizer(RULE, {"w": w}), rv.Optimizer(f"accumulate(3) | {RULE}", {"w": v})
    for window in (given[:3], given[3:]):
        total = np.sum(window, axis=0, dtype=np.float32)
        whole.step({"w": total * np.float32(1 / len(window))})
    for g in given:
        parts.step({"w": g})
    report = parts.flush()
    assert report.step == 2 and report.skipped == 0
    assert (w == v).all()
    assert parts.flush().skipped == 3 and parts.flush().step == 2
    with pytest.raises(rv.StateError, match="accumulates nothing"):
        whole.flush()


def test_a_tensor_steps_where_any_call_had_its_gradient() -> None:
    params = {name: np.zeros(3, np.float32) for name in "abc"}
    opt = rv.Optimizer("accumulate(2) | sgd(1)", params)
    ones = np.ones(3, np.float32)
    opt.step({"a": ones})
    opt.step({"b": ones})
    assert (params["a"] == -0.5).all() and (params["b"] == -0.5).all()
    assert (params["c"] == 0).all() and opt.steps("c") == 0 and opt.steps("a") == 1


def test_stages_before_it_see_each_call_and_those_behind_it_the_sum() -> None:
    w = np.zeros(2, np.float32)
    recipe = "clip_value(1) | accumulate(2, reduce=sum) | clip_value(1.5) | sgd(1)"
    opt = rv.Optimizer(recipe, {"w": w})
    opt.step({"w": np.array([5, 1], np.float32)})
    opt.step({"w": np.array([5, -1], np.float32)})
    assert w.tolist() == [-1.5, 0]


def test_a_sum_is_not_scaled_again_where_no_gradient_came_last() -> None:
    params = {"a": np.zeros(1, np.float32), "b": np.zeros(1, np.float32)}
    opt = rv.Optimizer("unscale(4) | accumulate(2) | sgd(1)", params)
    opt.step({"a": one(8)})
    opt.step({"b": one(8)})
    assert params["a"][0] == -1 and params["b"][0] == -1


def test_a_skipped_call_is_not_counted() -> None:
    w = np.zeros(1, np.float32)
    opt = rv.Optimizer("finite_guard | accumulate(2) | sgd(1)", {"w": w})
    assert [opt.step({"w": one(g)}).skipped for g in (1, np.nan, 1, np.nan)] == [2, 1, 0, 1]
    assert w[0] == -1


def test_a_step_skipped_behind_it_empties_the_window() -> None:
    w = np.zeros(1, np.float32)
    opt = rv.Optimizer("accumulate(2) | finite_guard | sgd(1)", {"w": w})
    assert [opt.step({"w": one(g)}).skipped for g in (np.inf, 1, 1, 1)] == [2, 1, 2, 0]
    assert w[0] == -1


def test_a_step_that_fails_leaves_the_window_as_it_was() -> None:
    w = np.zeros(1, np.float32)
    opt = rv.Optimizer("accumulate(2) | finite_guard(error) | sgd(1)", {"w": w})
    opt.step({"w": one(3)})
    for _ in range(2):
        with pytest.raises(rv.NonfiniteError, match="'w' is inf"):
            opt.step({"w": one(np.inf)})
    assert opt.step({"w": one(1)}).skipped == 0
    assert w[0] == -2


@pytest.mark.parametrize("calls", range(1, 6))
def test_resumes_in_the_middle_of_a_window(calls: int, tmp_path: Path) -> None:
    given = gradients(7)
    recipe = f"unscale(4, interval=3) | accumulate(3) | clip_norm(1) | {RULE}"
    w = {"w": np.ones(1100, np.float32), "b": np.ones(2, np.float32)}
    opt = rv.Optimizer(recipe, w)

    def step(to: rv.Optimizer, t: int) -> None:
        grads = {"w": given[t]}
        if t % 3 == 1:
            grads["b"] = given[t][:2]
        to.step(grads)

    for t in range(calls):
        step(opt, t)
    opt.save(tmp_path / "half.st")
    v = {name: np.zeros_like(x) for name, x in w.items()}
    resumed = rv.Optimizer(recipe, v)
    resumed.load(tmp_path / "half.st")
    for t in range(calls, 7):
        step(opt, t)
        step(resumed, t)
    assert opt.flush() == resumed.flush()
    assert all((w[name] == v[name]).all() for name in w)
    assert resumed.get("unscale.scale") == opt.get("unscale.scale") > 4


def test_the_loss_scale_is_read_and_set() -> None:
    w = np.zeros(1, np.float32)
    opt = rv.Optimizer("unscale(8, interval=2) | sgd(1)", {"w": w})
    assert opt.get("unscale.scale") == 8
    reports = [opt.step({"w": one(8)}), opt.step({"w": one(8)})]
    assert w[0] == -2 and opt.get("unscale.scale") == 16 and reports[0].grad_norm == 1
    opt.set("unscale.scale", 4)
    assert opt.get("unscale.scale") == 4
    report = opt.step({"w": one(np.inf)})
    assert report.skipped == 1 and report.nonfinite == 1 and w[0] == -2
    assert opt.get("unscale.scale") == 2 and opt.get("unscale.good") == 0


def test_hysteresis_and_floor_hold_the_scale() -> None:
    opt = rv.Optimizer("unscale(8, hysteresis=2, floor=3) | sgd(1)", {"w": np.zeros(1, np.float32)})
    scales = []
    for _ in range(4):
        opt.step({"w": one(np.nan)})
        scales.append(opt.get("unscale.scale"))
    assert scales == [8, 4, 3, 3]


def test_a_static_scale_measures_nothing() -> None:
    w = np.zeros(1, np.float32)
    opt = rv.Optimizer("unscale(4, dynamic=false) | sgd(1)", {"w": w})
    assert "1 phase" in opt.plan()
    report = opt.step({"w": one(8)})
    assert w[0] == -2 and report.grad_norm == 2 and report.clip_scale == 1


def test_a_checkpoint_of_another_chain_is_a_mismatch(tmp_path: Path) -> None:
    w = {"w": np.zeros(2, np.float32)}
    plain, scaled = rv.Optimizer("sgd(1)", w), rv.Optimizer("unscale | sgd(1)", w)
    for opt, name in ((plain, "plain.st"), (scaled, "scaled.st")):
        opt.step({"w": np.ones(2, np.float32)})
        opt.save(tmp_path / name)
    with pytest.raises(rv.MismatchError, match=r"missing number/unscale\.scale"):
        scaled.load(tmp_path / "plain.st")
    with pytest.raises(rv.MismatchError, match=r"extra number/unscale\.scale"):
        plain.load(tmp_path / "scaled.st")
