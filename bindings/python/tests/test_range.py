"""The learning-rate range test."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ravine as rv

SLOPES = np.array([1, 2, 4, 8], np.float32)


class Model:
    """A bowl, some directions steeper than others."""

    def __init__(self, recipe: str = "adamw(1e-3)") -> None:
        self.w = np.full(4, 3, np.float32)
        self.opt = rv.Optimizer(recipe, {"w": self.w})
        self.rates: list[float] = []

    def step(self) -> float:
        loss = float((SLOPES * self.w**2).sum() / 2) + 1
        self.rates.append(self.opt.get("lr"))
        self.opt.step({"w": SLOPES * self.w}, loss=loss)
        return loss

    def all(self) -> tuple[Any, ...]:
        state = {name: a.tobytes() for name, a in self.opt.state("w").items()}
        return self.w.tobytes(), state, self.opt.steps("w"), self.opt.recipe, self.opt.plan()


def test_it_suggests_rates_and_puts_everything_back() -> None:
    model = Model("adamw(warmup(1e-3, 10)) | ema(0.9)")
    for _ in range(3):
        model.step()
    before = model.all()
    model.rates = []
    found = rv.range_test(model.opt, model.step)
    assert model.all() == before
    assert found.rates.tolist() == model.rates and found.rates[0] == 1e-7
    assert len(found.rates) == len(found.losses) == len(found.smoothed) > 50
    assert found.diverged == (len(found.rates) < 100)
    assert list(found.suggestions) == ["steepest", "valley", "minimum"]
    for method, chosen in found.suggestions.items():
        assert getattr(found, method) == chosen
        assert 0 < chosen.low <= chosen.rate <= chosen.high <= 10
    assert "steps from 1e-07 to" in repr(found) and ", valley " in repr(found)
    model.step()
    assert model.opt.steps("w") == 4


def test_the_average_is_the_one_described() -> None:
    model = Model("sgd(0.1)")
    found = rv.range_test(model.opt, model.step, 1e-4, 0.2, 40, window=4, divergence=math.inf)
    assert found.rates[-1] == 0.2 and len(found.rates) == 40 and not found.diverged
    assert np.allclose(np.diff(np.log(found.rates)), math.log(2000) / 39, rtol=1e-12)
    mean, expected = 0.0, []
    for n, loss in enumerate(found.losses, 1):
        mean += (loss - mean) / 4
        expected.append(mean / (1 - 0.75**n))
    assert found.smoothed.tolist() == pytest.approx(expected, rel=1e-13)
    same = rv.range_test(model.opt, model.step, 1e-4, 0.2, 40, divergence=math.inf)
    assert same.smoothed.tolist() == found.smoothed.tolist()  # a tenth of the steps
    linear = rv.range_test(model.opt, model.step, 0.1, 0.2, 11, linear=True, window=1)
    assert np.allclose(linear.rates, np.linspace(0.1, 0.2, 11), rtol=1e-15)
    assert linear.smoothed.tolist() == linear.losses.tolist()


# ---- the three methods, in plain Python ---------------------------------------------------------


def fastai_valley(rates: list[float], losses: list[float]) -> float:
    lengths, end = [1] * len(losses), 0
    for i in range(len(losses)):
        for j in range(i):
            if losses[i] < losses[j]:
                lengths[i] = max(lengths[i], lengths[j] + 1)
        if lengths[i] > lengths[end]:
            end = i
    third = lengths[end] / 3
    return rates[end - lengths[end] + int(third) + int(third / 2)]


def test_the_methods_are_fastais() -> None:
    for seed in range(30):
        model = Model("sgd(0.1)")
        noise = np.random.default_rng(seed)

        def step(model: Model = model, noise: Any = noise) -> float:
            return model.step() * (1 + 0.3 * noise.random())

        found = rv.range_test(model.opt, step, steps=80, window=1 + seed % 12)
        rates = found.rates[8:-5].tolist()
        losses = found.smoothed[8:-5]
        assert found.steepest and found.valley and found.minimum
        slopes = np.diff(losses) / np.diff(np.log(rates))
        assert found.steepest.rate == rates[int(slopes.argmin())]
        assert found.valley.rate == fastai_valley(rates, losses.tolist())
        assert found.minimum.rate == rates[int(losses.argmin())] / 10
        assert found.minimum.high == rates[int(losses.argmin())]


def test_without_a_fall_there_is_no_suggestion() -> None:
    model = Model()
    found = rv.range_test(model.opt, lambda: 2.0)
    assert not found.diverged and len(found.rates) == 100
    rising = iter(range(1, 200))
    found = rv.range_test(model.opt, lambda: 100 + next(rising))
    assert found.suggestions == {} and found.valley is None
    assert "no suggestion" in repr(found)


# ---- step functions that fail -------------------------------------------------------------------


@pytest.mark.parametrize("problem", [ValueError("mine"), KeyboardInterrupt(), rv.ShapeError("x")])
def test_what_the_step_function_raises_goes_on(problem: BaseException) -> None:
    model = Model()
    model.step()
    before = model.all()

    def step() -> float:
        model.step()
        if len(model.rates) == 20:
            raise problem
        return 1.0

    with pytest.raises(type(problem)) as raised:
        rv.range_test(model.opt, step)
    assert raised.value is problem and model.all() == before
    model.step()


def test_a_gradient_that_is_not_finite_is_a_divergence() -> None:
    model = Model("finite_guard(error) | adamw(1)")
    before = model.all()

    def step() -> float:
        model.step()
        if len(model.rates) == 30:
            model.opt.step({"w": np.full(4, np.nan, np.float32)})
        return 1.0

    found = rv.range_test(model.opt, step)
    assert found.diverged and len(found.losses) == 30 and math.isnan(found.losses[-1])
    assert model.all() == before

    def infinite() -> float:
        return math.inf

    found = rv.range_test(model.opt, infinite)
    assert found.diverged and found.losses.tolist() == [math.inf]
    assert found.suggestions == {} and "no suggestion" in repr(found)


def test_the_step_function_may_do_more(tmp_path: Path) -> None:
    model = Model("adamw(plateau(1e-3, patience=0))")
    model.step()
    model.opt.save(tmp_path / "run.safetensors")
    model.step()
    model.opt.metric(2)
    before = model.all()

    def step() -> float:
        if len(model.rates) == 10:
            model.opt.load(tmp_path / "run.safetensors")
        model.opt.set("lr", 1e-3)
        model.opt.set("beta1", 0.5)
        return model.step()

    assert len(rv.range_test(model.opt, step, divergence=math.inf).rates) == 100
    assert model.rates[5:] == [1e-3] * 97 and model.all() == before

    def closing() -> float:
        model.opt.close()
        return model.step()

    with pytest.raises(rv.StateError, match="closed"):
        rv.range_test(model.opt, closing)


@pytest.mark.parametrize("loss", [None, "1", [1, 2], 1j])
def test_a_loss_is_a_number(loss: Any) -> None:
    model = Model()
    with pytest.raises(rv.UsageError, match="what the step function returned is a"):
        rv.range_test(model.opt, lambda: loss)


def test_wrong_arguments() -> None:
    model = Model()
    before = model.all()
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"low": 0}, "low is 0"),
        ({"low": 20}, "low is 20 and high is 10"),
        ({"high": math.inf}, "high is inf"),
        ({"steps": 1}, "steps is 1"),
        ({"steps": 10_001}, "steps is 10001"),
        ({"window": 0.5}, "window is 0.5"),
        ({"divergence": 1}, "divergence is 1"),
    ]
    for arguments, said in wrong:
        with pytest.raises(rv.ArgumentError, match=said):
            rv.range_test(model.opt, model.step, **arguments)
    for name in ("low", "high", "window", "divergence"):
        with pytest.raises(rv.UsageError, match=f"{name} is a str"):
            rv.range_test(model.opt, model.step, **{name: "1"})
    with pytest.raises(rv.UsageError, match="whole number"):
        rv.range_test(model.opt, model.step, steps=10.5)  # type: ignore[arg-type]
    with pytest.raises(rv.UsageError, match="not an Optimizer"):
        rv.range_test("adamw", model.step)  # type: ignore[arg-type]
    assert model.all() == before and model.rates == []
    model.opt.close()
    with pytest.raises(rv.StateError, match="closed"):
        rv.range_test(model.opt, model.step)


def test_clauses_keep_their_ratio() -> None:
    w, b = np.ones(2), np.ones(2)
    recipe = rv.sgd(0.1).clause("b", lr=rv.times(0.5)).clause("c?", lr=0.3)
    opt = rv.Optimizer(recipe, {"w": w, "b": b, "c": np.ones(1)})
    ratios: list[tuple[float, float]] = []

    def step() -> float:
        lr = opt.get("lr")
        ratios.append((opt.get("b:lr") / lr, opt.get("c:lr") / lr))
        return 1.0

    rv.range_test(opt, step, steps=10)
    assert np.allclose(ratios, (0.5, 3), rtol=1e-14)


@pytest.mark.parametrize("make", [lambda: Model().step, lambda: lambda: math.inf])
def test_the_plot_marks_all_three(make: Callable[[], Callable[[], float]]) -> None:
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    model = Model()
    step = model.step if make().__name__ == "step" else make()
    found = rv.range_test(model.opt, step)
    axes = found.plot()
    axes.figure.canvas.draw()
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    for method, chosen in found.suggestions.items():
        name = "minimum / 10" if method == "minimum" else method
        assert f"{name}: {chosen}" in labels
    assert axes.get_xscale() == "log" and found.plot(axes) is axes
    matplotlib.pyplot.close(axes.figure)
