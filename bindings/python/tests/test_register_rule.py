"""Rules and stages of one's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ravine as rv

RATE = "cosine(0.1, steps=9)"


@pytest.fixture(scope="module")
def momentum() -> Callable[..., rv.Recipe]:
    """Registered when its first test runs: other tests look at the whole catalog before."""

    @rv.register_rule("rule.momentum", state=["m"])
    def momentum(
        step: float, p: Any, g: Any, m: Any, lr: float = 0.01, momentum: float = 0.9
    ) -> Any:
        """Momentum as sgd has it.

        And more.
        """
        m[:] = m.dtype.type(momentum) * m + g
        return p - m.dtype.type(lr) * m

    return momentum


def run(recipe: object, dtype: type = np.float32, steps: int = 4, threads: int = 1) -> Any:
    rv.set_threads(threads)
    random = np.random.default_rng(0)
    params = {"w": random.normal(size=(70, 50)), "b": random.normal(size=7)}
    params = {name: p.astype(dtype) for name, p in params.items()}
    opt = rv.Optimizer(recipe, params)
    reports = []
    for _ in range(steps):
        g = {name: random.normal(size=p.shape).astype(dtype) for name, p in params.items()}
        reports.append(opt.step(g))
    rv.set_threads(0)
    return params, opt, reports


CONTEXTS = ["{}", "clip_norm(1) | {}", "accumulate(2) | {}", "{} | cautious", "{} | ema(0.9)"]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("context", CONTEXTS)
def test_it_is_a_rule_as_any_other(
    momentum: Callable[..., rv.Recipe], context: str, dtype: type
) -> None:
    assert str(momentum(0.1)) == "rule.momentum(0.1)"
    mine, opt, reports = run(context.format(f"rule.momentum({RATE})"), dtype, threads=2)
    theirs, own, others = run(context.format(f"sgd({RATE}, momentum=0.9)"), dtype)
    for name in mine:
        np.testing.assert_array_equal(mine[name], theirs[name])
        np.testing.assert_array_equal(opt.state(name)["m"], own.state(name)["m"])
    assert reports[-1].update_norm == pytest.approx(others[-1].update_norm, rel=1e-12)


def test_schedules_clauses_and_the_catalog(momentum: Callable[..., rv.Recipe]) -> None:
    recipe = momentum(rv.step(1, every=2, factor=0.5), momentum=0).clause("b", lr=0.25)
    w, b = np.zeros(2), np.zeros(2)
    opt = rv.Optimizer(recipe, {"w": w, "b": b})
    for _ in range(3):
        opt.step({"w": np.ones(2), "b": np.ones(2)})
    assert w.tolist() == [-2.5, -2.5] and b.tolist() == [-0.75, -0.75]
    entry = next(e for e in rv.catalog("rule") if e.name == "rule.momentum")
    assert entry.summary == "Momentum as sgd has it."
    assert [p.name for p in entry.parameters] == ["lr", "momentum"]
    assert "rule.momentum(lr=step" in opt.recipe


def test_stages() -> None:
    seen = []

    @rv.register_stage("rule.soft_sign")
    def soft_sign(step: float, p: Any, g: Any, scale: float = 1.0) -> Any:
        seen.append(step)
        with pytest.raises(ValueError):
            g[0] = 1
        return g / (scale + abs(g))

    @rv.register_stage("rule.half_way", follows=True, state=["count"])
    def half_way(step: float, p: Any, new: Any, g: Any, count: Any, share: float = 0.5) -> Any:
        count += 1
        return p + share * (new - p)

    w = np.array([1.0, -2.0, 4.0])
    opt = rv.Optimizer(soft_sign(0.5) | rv.sgd(1) | half_way(0.25), {"w": w})
    before, g = w.copy(), np.array([1.0, -1.0, 0.0])
    opt.step({"w": g})
    opt.step({"w": g})
    np.testing.assert_allclose(w, before - 2 * 0.25 * g / (0.5 + abs(g)))
    assert opt.state("w")["count"].tolist() == [2, 2, 2] and seen == [1, 2]


def test_a_checkpoint(momentum: Callable[..., rv.Recipe], tmp_path: Path) -> None:
    w = np.arange(3.0)
    opt = rv.Optimizer(momentum(0.1), {"w": w})
    opt.step({"w": np.ones(3)})
    opt.save(tmp_path / "x.safetensors")
    again = np.zeros(3)
    other = rv.Optimizer(opt.recipe, {"w": again})
    other.load(tmp_path / "x.safetensors")
    for o in (opt, other):
        o.step({"w": np.ones(3)})
    assert w.tolist() == again.tolist()


def test_what_it_raises_is_the_cause(tmp_path: Path) -> None:
    broken: list[BaseException | None] = [None]

    def fails(step: float, p: Any, g: Any, lr: float = 1.0) -> Any:
        if broken[0]:
            raise broken[0]
        return p - lr * g

    made = rv.register_rule("rule.fails", fails)
    w = np.ones(300_000)
    rv.set_threads(2)
    opt = rv.Optimizer(made(0.5), {"w": w})
    opt.step({"w": np.ones_like(w)})
    opt.save(tmp_path / "x.safetensors")
    broken[0] = KeyError("broken")
    with pytest.raises(rv.CallbackError, match="rule.fails failed with 1 for 'w'") as caught:
        opt.step({"w": np.ones_like(w)})
    assert caught.value.__cause__ is broken[0]
    broken[0] = None
    with pytest.raises(rv.StateError, match="broke off in the middle"):
        opt.step({"w": np.ones_like(w)})
    opt.load(tmp_path / "x.safetensors")
    opt.step({"w": np.ones_like(w)})
    assert w.tolist() == [0] * len(w)
    broken[0] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        opt.step({"w": np.ones_like(w)})
    rv.set_threads(0)


@pytest.mark.parametrize("returned", [None, np.ones(2), "x"])
def test_what_it_returns_must_be_as_many_numbers(returned: object) -> None:
    made = rv.register_rule(
        "rule.returns", lambda step, p, g, lr=1.0: results[0], replace=True
    )
    results = [returned]
    with pytest.raises(rv.CallbackError) as caught:
        rv.Optimizer(made(), {"w": np.ones(3)}).step({"w": np.ones(3)})
    assert isinstance(caught.value.__cause__, (TypeError, ValueError))


def test_a_name_is_registered_once_unless_it_is_replaced() -> None:
    made = rv.register_rule("rule.twice", lambda step, p, g, lr=1.0: p - lr * g)
    w = np.zeros(2)
    opt = rv.Optimizer(made(), {"w": w})
    with pytest.raises(rv.UnknownNameError, match="registered already"):
        rv.register_rule("rule.twice", lambda step, p, g, lr=1.0: p)
    rv.register_rule("rule.twice", lambda step, p, g, lr=1.0: p + 1, replace=True)
    opt.step({"w": np.ones(2)})
    assert w.tolist() == [1, 1]
    with pytest.raises(rv.ArgumentError, match="other parameters"):
        rv.register_stage("rule.twice", lambda step, p, g, lr=1.0: g, replace=True)
    with pytest.raises(rv.ArgumentError, match="other parameters"):
        rv.register_rule("rule.twice", lambda s, p, g, m, lr=1.0: p, state=["m"], replace=True)


def test_wrong_registrations() -> None:
    count = len(rv.catalog())
    for wrong, problem, error in [
        (lambda: rv.register_rule("bad", lambda s, p, g, lr=1.0: p), "no name", rv.UnknownNameError),
        (lambda: rv.register_rule("bad.one", lambda s, p, g: p), "named lr", rv.ArgumentError),
        (lambda: rv.register_rule("bad.one", lambda s, p, g, x=1.0: p), "named lr", rv.ArgumentError),
        (lambda: rv.register_rule("bad.one", lambda s, p: p), "3 arrays|2 arrays", rv.UsageError),
        (
            lambda: rv.register_rule("bad.one", lambda s, p, g, m, lr=1.0: p, state=["m n", "m"]),
            "'m' is no name of its own",
            rv.UnknownNameError,
        ),
        (
            lambda: rv.register_stage("bad.one", lambda s, p, g, m: g, state=["m"]),
            "keeps no state",
            rv.ArgumentError,
        ),
        (lambda: rv.register_rule("bad.one", 3), "callable", rv.UsageError),  # type: ignore[arg-type]
    ]:
        with pytest.raises(error, match=problem):
            wrong()
    assert len(rv.catalog()) == count
