"""Rules that step whole matrices: what they refuse, and products by a function of the caller."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ravine as rv

RULES = [entry.name for entry in rv.catalog("rule") if entry.least_rank > 1]


def model(dtype: Any = np.float32) -> dict[str, Any]:
    random = np.random.default_rng(1)
    return {"w": random.normal(size=(40, 30)).astype(dtype), "v": random.normal(size=(7, 90)).astype(dtype)}


def test_there_are_such_rules() -> None:
    assert "muon" in RULES
    assert not any(entry.least_rank for entry in rv.catalog("stage"))


@pytest.mark.parametrize("name", RULES)
def test_a_vector_needs_another_rule(name: str) -> None:
    params = {**model(), "bias": np.ones(3, np.float32)}
    with pytest.raises(rv.ShapeError, match=r"'bias' is \[3\].*; @rank<2: adamw"):
        rv.Optimizer(name, params)
    opt = rv.Optimizer(f"{name}; @rank<2: adamw(1e-3)", params)
    opt.step({n: np.ones_like(p) for n, p in params.items()})
    assert opt.slots("bias") == ["m", "v"]


def test_updates_are_nearly_orthogonal() -> None:
    w = np.zeros((20, 50), np.float32)
    g = np.random.default_rng(2).normal(size=w.shape).astype(np.float32)
    opt = rv.Optimizer(rv.muon(1, weight_decay=0), [w])
    opt.step([g])
    singular = np.linalg.svd(w, compute_uv=False)
    assert 0.6 < singular.min() and singular.max() < 1.3
    opt = rv.Optimizer(rv.muon(1, weight_decay=0, adjust="match_rms_adamw"), [w.T.copy()])
    w[...] = 0
    rms = rv.Optimizer(rv.muon(1, weight_decay=0, adjust="match_rms_adamw"), [w])
    rms.step([g])
    assert abs(np.sqrt(np.mean(w**2)) - 0.2) < 0.06


def steps(product: Any, dtype: Any = np.float32) -> tuple[rv.Optimizer, dict[str, Any]]:
    params = model(dtype)
    opt = rv.Optimizer("muon(0.02)", params, product=product)
    for seed in range(3):
        random = np.random.default_rng(seed)
        opt.step({n: random.normal(size=p.shape).astype(dtype) for n, p in params.items()})
    return opt, params


def test_products_by_numpy() -> None:
    _, own = steps(None)
    opt, numpys = steps(np.matmul)
    for name in own:
        np.testing.assert_allclose(numpys[name], own[name], atol=1e-5)
    assert "the host's product, with which bytes may differ" in opt.plan()


def test_float64_does_not_use_it() -> None:
    def never(a: Any, b: Any) -> Any:
        raise AssertionError

    _, own = steps(None, np.float64)
    _, same = steps(never, np.float64)
    for name in own:
        assert own[name].tobytes() == same[name].tobytes()


def test_what_a_product_raises_is_the_cause() -> None:
    def broken(a: Any, b: Any) -> Any:
        raise ZeroDivisionError("no BLAS today")

    with pytest.raises(rv.CallbackError, match="product of matrices") as caught:
        steps(broken)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    with pytest.raises(rv.CallbackError) as caught:
        steps(lambda a, b: a)
    assert "returned the shape" in str(caught.value.__cause__)


def test_a_step_that_broke_off_needs_a_load(tmp_path: Any) -> None:
    calls = 0

    def breaks(a: Any, b: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 20:
            raise ValueError
        return a @ b

    params = model()
    opt = rv.Optimizer("muon(0.02)", params, product=breaks)
    gradients = {n: np.ones_like(p) for n, p in params.items()}
    opt.save(tmp_path / "start")
    with pytest.raises(rv.CallbackError):
        opt.step(gradients)
    with pytest.raises(rv.StateError):
        opt.step(gradients)
    opt.load(tmp_path / "start")
    opt.step(gradients)


def test_a_product_is_a_function() -> None:
    with pytest.raises(rv.UsageError, match="product must be a function, not str"):
        rv.Optimizer("muon", model(), product="blas")
