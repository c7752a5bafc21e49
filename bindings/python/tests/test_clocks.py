"""What a step is: schedules, accumulation, skipped steps, metrics and mini-batches agree on it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import ravine as rv

ONE, NAN = np.ones(3, np.float32), np.full(3, np.nan, np.float32)
RATES = rv.linear(1, 0, steps=16)


def optimizer(before: str, lr: object = RATES) -> rv.Optimizer:
    return rv.Optimizer(rv.Recipe(f"{before} | {rv.sgd(lr)}"), {"w": np.zeros(3, np.float32)})


def test_a_window_is_one_step_of_the_schedule() -> None:
    opt = optimizer("accumulate(4)")
    rates = rv.schedule(RATES).values(6)
    for window in range(5):
        for call in range(4):
            report = opt.step({"w": ONE})
            assert report.lr == rates[window]
            assert (report.step, report.skipped) == ((window, 2) if call < 3 else (window + 1, 0))
    opt.step({"w": ONE})
    assert opt.get("lr") == rates[5] and opt.flush().lr == rates[5]
    assert opt.steps("w") == 6 and opt.get("lr") == rv.schedule(RATES)(6)


def test_a_step_that_is_skipped_is_none() -> None:
    opt = optimizer("finite_guard(skip, limit=inf) | accumulate(2)")
    done = 0
    for call, gradient in enumerate([ONE, NAN, ONE, NAN, NAN, ONE, ONE]):
        report = opt.step({"w": gradient})
        done += report.skipped == 0
        assert report.step == done == opt.steps("w"), call
        assert opt.get("lr") == rv.schedule(RATES)(done)
    assert done == 2 and opt.step({}).step == done  # without a gradient, neither


@pytest.mark.parametrize("per_step", [0, 1, 3])
def test_a_metric_is_no_step(per_step: int) -> None:
    opt = optimizer("accumulate(2)", rv.plateau(RATES, factor=0.5, patience=5))
    for call in range(8):
        for _ in range(per_step):
            opt.metric(1)
        scale = 0.5 ** max(0, ((call + 1) * per_step - 1) // 6)
        assert opt.step({"w": ONE}).lr == scale * rv.schedule(RATES)(call // 2)
    assert opt.steps("w") == 4


def test_the_place_in_the_data_follows_from_the_steps(tmp_path: Path) -> None:
    """Where all batches are used, step t begins at batch t * n of the run."""
    path, n = tmp_path / "run.safetensors", 3  # an epoch is 6 batches, or 2 steps
    recipe = rv.per_epoch(2, rv.exponential(1, factor=0.5))
    seen: list[list[int]] = []
    for cut in (0, 4, 9):  # resumed there, between two steps
        opt, sampler = optimizer(f"accumulate({n})", recipe), rv.Sampler(24, 4, seed=1)
        if cut:
            opt.load(path)
        sampler.epoch, sampler.position = divmod(opt.steps("w") * n, len(sampler))
        batches = sampler.epochs(100)
        while opt.steps("w") < cut + 5:
            del seen[opt.steps("w") * n :]
            for _ in range(n):
                seen.append(next(batches).tolist())
                report = opt.step({"w": ONE})
                assert report.lr == 0.5**sampler.epoch
            if report.step in (4, 9):
                opt.save(path)
    whole = [items.tolist() for items in rv.Sampler(24, 4, seed=1).epochs(7)]
    assert seen == whole[: len(seen)] and len(seen) == 14 * n


def test_a_range_test_goes_back_to_the_middle_of_a_window() -> None:
    for call in range(5):
        opt, plain = optimizer("accumulate(2)", 0.5), optimizer("accumulate(2)", 0.5)
        for _ in range(call):
            opt.step({"w": ONE})
            plain.step({"w": ONE})

        def window(opt: rv.Optimizer = opt) -> float:
            opt.step({"w": 2 * ONE})
            opt.step({"w": -ONE})
            return 1.0

        rv.range_test(opt, window, steps=5)
        for _ in range(3):
            assert opt.step({"w": ONE}) == pytest.approx(plain.step({"w": ONE}), nan_ok=True)
            both = [each.state("w")["accumulated"].tolist() for each in (opt, plain)]
            assert both[0] == both[1]
