"""The optimizer as a whole: settings, reports, state, binding, its life."""

from __future__ import annotations

import copy
import gc
import pickle
import signal
import threading
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import ravine as rv


def test_a_step_is_what_the_formula_says() -> None:
    w = np.array([1.0, -2.0])
    opt = rv.Optimizer(rv.sgd(0.1, momentum=0.9), [w])
    v = np.zeros(2)
    expected = w.copy()
    for seed in range(5):
        g = np.random.default_rng(seed).normal(size=2)
        v = 0.9 * v + g if seed else g
        expected -= 0.1 * v
        opt.step([g])
    assert np.allclose(w, expected, rtol=1e-12, atol=0)


def test_a_report_tells_the_step() -> None:
    w = np.zeros(4)
    opt = rv.Optimizer("clip_norm(1) | sgd(0.5)", {"w": w})
    report = opt.step({"w": np.full(4, 2.0)}, loss=3.0)
    assert isinstance(report, rv.StepReport) and isinstance(report.skipped, int)
    assert (report.step, report.lr, report.grad_norm) == (1, 0.5, 4.0)
    assert report.clip_scale == pytest.approx(0.25, rel=1e-5)
    assert report.update_norm == pytest.approx(0.5, rel=1e-5)
    assert (report.nonfinite, report.skipped) == (0, 0)
    assert repr(report).startswith("StepReport(step=1, lr=0.5, grad_norm=4.0")
    assert str(report).startswith("step 1: lr 0.5, gradient 4, clipped x0.25, update 0.5")
    assert "not finite" in str(report._replace(nonfinite=2))
    assert "accumulated" in str(report._replace(skipped=2))
    assert pickle.loads(pickle.dumps(report)) == report


def test_finite_guard_skips_or_raises() -> None:
    w = np.zeros(4)
    g = np.array([1.0, np.nan, np.inf, 1.0])
    for recipe in ("finite_guard | sgd(0.5)", "finite_guard() | sgd(0.5)"):
        opt = rv.Optimizer(recipe, {"w": w})
        report = opt.step({"w": g})
        assert (report.skipped, report.nonfinite, report.step) == (1, 2, 0)
        assert "skipped: not finite" in str(report)
    opt = rv.Optimizer("finite_guard(action=error) | sgd(0.5)", {"w": w})
    with pytest.raises(rv.NonfiniteError, match=r"'w'.*1"):
        opt.step({"w": g})
    assert (w == 0).all()


def test_settings() -> None:
    opt = rv.Optimizer("clip_norm(1) | adamw(lr=cosine(0.1, steps=10))", {"w": np.zeros(2)})
    assert opt.get("lr") == 0.1 and opt.get("clip_norm.max") == 1
    opt.set("lr", np.float32(0.5))
    opt.set("clip_norm.max", 2)
    assert opt.get("lr") == 0.5 and opt.get("clip_norm.max") == 2
    assert "cosine" not in opt.recipe and "lr=0.5" in opt.recipe
    with pytest.raises(rv.UnknownNameError, match="'lr'"):
        opt.get("lrr")
    with pytest.raises(rv.ArgumentError):
        opt.set("lr", float("nan"))
    with pytest.raises(rv.UsageError, match="override"):
        opt.set("lr", rv.cosine(0.1, steps=5))  # type: ignore[arg-type]
    with pytest.raises(rv.UsageError):
        opt.get(3)  # type: ignore[arg-type]
    assert opt.get("lr") == 0.5


def test_overrides() -> None:
    params = {"head.w": np.zeros(2), "head.b": np.zeros(2), "body": np.zeros(2)}
    opt = rv.Optimizer("sgd(0.1)", params)
    opt.override("head.*", lr=rv.times(10))
    opt.override(["*.b", "bo*y", "nothing?"], lr=0.5)
    assert [opt.get(f"{name}:lr") for name in params] == [1.0, 0.5, 0.5]
    opt.override("body", "lr=0.25")
    assert opt.get("body:lr") == 0.25
    with pytest.raises(rv.UnknownNameError):
        opt.override("tail.*", lr=1)
    with pytest.raises(rv.RecipeError):
        opt.override("body", "lrr=1")
    opt.override("body", rv.adamw(0.1))
    assert opt.slots("body") == ["m", "v"]
    with pytest.raises(rv.UsageError):
        opt.override("body")


def test_clauses_hold_in_an_optimizer() -> None:
    params = {"w": np.zeros(2), "b": np.zeros(2), "e": np.zeros(2)}
    recipe = rv.sgd(0.1).clause("b", lr=rv.times(2)).clause("e", frozen=True)
    opt = rv.Optimizer(recipe, params)
    opt.step({name: np.ones(2) for name in params})
    assert [array[0] for array in params.values()] == [-0.1, -0.2, 0]


def test_the_recipe_is_canonical() -> None:
    opt = rv.Optimizer(rv.clip_norm(1) | "adamw( 1e-3 )", [np.zeros(2)])
    again = rv.Optimizer(opt.recipe, [np.zeros(2)])
    assert again.recipe == opt.recipe and "beta1=0.9" in opt.recipe


def test_mistakes_in_the_recipe_show_at_once() -> None:
    for wrong in ("adamm(0.1)", "adamw(0.1) |", "", "cosine(0.1, steps=5)", "clip_norm(1)"):
        with pytest.raises(rv.RecipeError):
            rv.Optimizer(wrong, [np.zeros(2)])
    with pytest.raises(rv.UnknownNameError, match="bias"):
        rv.Optimizer("adamw(0.1); *.bias: weight_decay=0", {"w": np.zeros(2)})
    with pytest.raises(rv.UsageError, match="recipe"):
        rv.Optimizer(3, [np.zeros(2)])  # type: ignore[arg-type]
    with pytest.raises(rv.ArgumentError, match="NUL"):
        rv.Optimizer("sgd(0.1)\0", [np.zeros(2)])


def test_a_plan_names_every_tensor(make: Callable[..., Any]) -> None:
    plan = rv.Optimizer("clip_norm(1) | adamw(0.1)", make()).plan()
    assert "w" in plan and "b" in plan and len(plan.splitlines()) >= 2


def test_it_shows_itself() -> None:
    params = {"<w>": np.zeros((10, 100)), "b": np.zeros(3)}
    opt = rv.Optimizer("sgd(0.1); <w>: lr=1", params)
    assert repr(opt).startswith("<Optimizer sgd(") and "2 tensors, 1,003 parameters" in repr(opt)
    html = opt._repr_html_()
    assert "&lt;w&gt;" in html and "<w>" not in html
    many = rv.Optimizer("sgd(0.1)", [np.zeros(1) for _ in range(200)])
    assert "lines more" in many._repr_html_()
    opt.close()
    assert "closed" in repr(opt) and "closed" in opt._repr_html_()


def test_closing() -> None:
    w = np.zeros(2)
    with rv.Optimizer("sgd(1)", [w]) as opt:
        opt.step([np.ones(2)])
    opt.close()
    calls: list[Callable[[], object]] = [
        lambda: opt.step([np.ones(2)]),
        lambda: opt.step(),
        lambda: opt.recipe,
        lambda: opt.plan(),
        lambda: opt.get("lr"),
        lambda: opt.set("lr", 1),
        lambda: opt.override("*", lr=1),
        lambda: opt.save("x"),
        lambda: opt.load("x"),
        lambda: opt.state(0),
        lambda: opt.steps(0),
        lambda: opt.bind(0, np.zeros(2)),
    ]
    for call in calls:
        with pytest.raises(rv.StateError, match="closed"):
            call()
    assert w.tolist() == [-1, -1]


def test_it_cannot_be_pickled_or_copied() -> None:
    opt = rv.Optimizer("sgd(1)", [np.zeros(2)])
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match=r"save\(path\)"):
            attempt(opt)  # type: ignore[operator]


def test_it_goes_when_the_last_reference_goes() -> None:
    opt = rv.Optimizer("sgd(1)", [np.zeros(2)])
    opt.step([np.ones(2)])
    dead = weakref.ref(opt)
    del opt
    assert dead() is None
    for _ in range(200):
        rv.Optimizer("adamw(0.1)", [np.zeros(100)])
    gc.collect()


@pytest.mark.parametrize("recipe", ["adamw(0.1)", "clip_norm(1) | adamw(0.1)"])
def test_thread_counts_give_the_same_bytes(recipe: str) -> None:
    results = set()
    for threads in (None, 0, 1, 2, 3):
        numbers = np.random.default_rng(0)
        w = numbers.normal(size=300_000).astype(np.float32)
        opt = rv.Optimizer(recipe, [w], threads=threads)
        for _ in range(3):
            opt.step([numbers.normal(size=w.size).astype(np.float32)])
        results.add(w.tobytes())
    assert len(results) == 1


def test_wrong_thread_counts() -> None:
    for wrong in (-1, 257, 2**32):
        with pytest.raises(rv.ArgumentError, match="threads"):
            rv.Optimizer("sgd(1)", [np.zeros(2)], threads=wrong)


def test_threads_take_turns_with_one_optimizer() -> None:
    w = np.zeros(1000)
    opt = rv.Optimizer("sgd(1)", [w])

    def work() -> None:
        g = np.ones(1000)
        for _ in range(200):
            opt.step([g])
            opt.get("lr")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (w == -800).all() and opt.steps(0) == 800


def test_a_loss_is_a_number() -> None:
    opt = rv.Optimizer("sgd(1)", [np.zeros(2)], [np.ones(2)])
    for loss in (1, 0.5, np.float32(2), np.array(3.0), float("nan")):
        assert opt.step(loss=loss).skipped == 0
    with pytest.raises(rv.UsageError, match="loss is a str"):
        opt.step(loss="low")  # type: ignore[arg-type]
    assert opt.steps(0) == 5


def test_a_signal_handler_may_use_the_optimizer_that_is_in_use() -> None:
    opt = rv.Optimizer("adamw(0.1)", [np.zeros(1000)])
    g = np.ones(1000)
    rates: list[float] = []
    before = signal.signal(signal.SIGALRM, lambda *_: rates.append(opt.get("lr")))
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    try:
        while len(rates) < 20:
            opt.step([g])
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert set(rates) == {0.1}
