"""The gradient noise scale, against its exact value."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import ravine as rv


def test_it_is_unbiased_on_linear_regression() -> None:
    """tr(S) / |G|^2 is known exactly over all examples; batches are drawn from them."""
    numbers = np.random.default_rng(0)
    x, noise = numbers.normal(size=(5000, 6)), numbers.normal(size=5000)
    w = 0.3 * np.ones(6)
    each = (x @ w - (x @ np.full(6, 0.5) + noise))[:, None] * x  # gradient of each example
    exact = each.var(0).sum() / (each.mean(0) @ each.mean(0))
    scale = rv.NoiseScale(decay=1)
    sampler = rv.Sampler(5000, 32, seed=1, replacement=True)
    small = [each[i].mean(0) for _ in range(60) for i in sampler if len(i) == 32]
    for k in range(0, len(small) - 3, 4):
        scale.add(small[k : k + 4], batch=32)
    assert scale.count > 2000 and abs(scale.scale - exact) < 4 * scale.error
    assert scale.error < 0.05 * exact


def test_the_error_is_that_of_repeated_runs() -> None:
    numbers = np.random.default_rng(2)
    found, told = [], []
    for _ in range(200):
        scale = rv.NoiseScale(decay=1)
        for _ in range(50):
            scale.add(list(1 + 3 * numbers.normal(size=(4, 40)) / np.sqrt(8)), batch=8)
        found.append(scale.scale)
        told.append(scale.error)
    assert np.std(found) == pytest.approx(np.mean(told), rel=0.2)
    assert np.mean(found) == pytest.approx(9, rel=0.02)


def test_norms_and_gradients_say_the_same() -> None:
    numbers = np.random.default_rng(1)
    parts = [{"w": g[:6].reshape(2, 3), "b": g[6:]} for g in numbers.normal(size=(5, 8))]
    flat = np.array([np.r_[p["w"].ravel(), p["b"]] for p in parts])
    a = rv.noise_scale(parts, batch=16)
    b = rv.NoiseScale(decay=1)
    b.add_norms(16, np.sqrt((flat**2).sum(1).mean()), 80, np.linalg.norm(flat.mean(0)))
    assert a.signal == pytest.approx(b.signal) and a.variance == pytest.approx(b.variance)
    # Single examples: the unbiased variance.
    c = rv.noise_scale(list(flat), batch=1)
    assert c.variance == pytest.approx(flat.var(0, ddof=1).sum())
    d = rv.noise_scale(list(flat.astype(np.float32)), 1)
    assert d.variance == pytest.approx(c.variance, rel=1e-5)


def test_a_running_mean_forgets() -> None:
    scale = rv.NoiseScale(decay=0.5)
    for norm in (100.0, 1.0, 1.0, 1.0, 1.0, 1.0):
        scale.add_norms(1, norm * np.sqrt(3), 2, norm * np.sqrt(2))  # signal 1, variance 2
    weights = 0.5 ** np.arange(6)[::-1]
    assert scale.mean_signal == pytest.approx((weights @ np.r_[1e4, np.ones(5)]) / weights.sum())
    assert scale.scale == pytest.approx(2) and scale.signal == pytest.approx(1)
    again = pickle.loads(pickle.dumps(scale))
    again.add_norms(1, 1, 2, 1)
    assert again.count == 7 and scale.count == 6


def test_it_says_when_it_does_not_know() -> None:
    scale = rv.NoiseScale()
    assert "no estimate yet" in repr(scale) and np.isnan(scale.scale)
    scale.add_norms(1, 2.0, 2, 1.0)  # signal (2 - 4) / 1 < 0
    assert scale.mean_signal < 0 and np.isnan(scale.scale) and "not known yet" in repr(scale)


def test_bad_calls_are_refused_and_change_nothing() -> None:
    scale = rv.NoiseScale()
    scale.add_norms(1, 2, 2, 1.9)
    before = scale.mean_signal
    with pytest.raises(rv.ArgumentError, match="decay is 2"):
        rv.NoiseScale(decay=2)
    for arguments in ((2, 1, 2, 1), (0, 1, 2, 1), (1, -1, 2, 1)):
        with pytest.raises(rv.ArgumentError):
            scale.add_norms(*arguments)
    with pytest.raises(rv.NonfiniteError):
        scale.add_norms(1, np.inf, 2, 1)
    with pytest.raises(rv.UsageError, match="2 or more batches"):
        scale.add([np.ones(2)], 1)
    with pytest.raises(rv.ShapeError, match="shape"):
        scale.add([np.ones(2), np.ones(3)], 1)
    with pytest.raises(rv.ElementTypeError, match="float16"):
        scale.add([np.ones(2, np.float16)] * 2, 1)
    with pytest.raises(rv.ElementTypeError, match="not float64"):
        scale.add([np.ones(2), np.ones(2, np.float32)], 1)
    with pytest.raises(rv.UsageError, match=r"gradients\[1\] has b; gradients\[0\] a"):
        scale.add([{"a": np.ones(2)}, {"b": np.ones(2)}], 1)
    with pytest.raises(rv.NonfiniteError, match="gradient 0 of batch 1 is nan at index 0"):
        scale.add([np.ones(2), np.array([np.nan, 1])], 1)
    assert scale.mean_signal == before and scale.count == 1
