"""Schedules that a metric moves: `plateau` and `greedy`."""

from __future__ import annotations

import json
import math
import pickle
from pathlib import Path

import numpy as np
import pytest

import ravine as rv

REFERENCE = Path(__file__).parents[3] / "Tests/reference"


def optimizer(lr: object, **more: object) -> rv.Optimizer:
    return rv.Optimizer(rv.sgd(lr, **more), {"w": np.ones(3), "b": np.ones(2)})


def test_a_metric_moves_the_rate() -> None:
    opt = optimizer(rv.plateau(rv.linear(1, 0, steps=10), factor=0.5, patience=1))
    assert opt.metric(3) == (0, 1, 3, 3, 0)
    assert opt.get("lr") == 1
    told = [opt.metric(np.float32(x)) for x in (4, 5)]
    assert [report.changed for report in told] == [0, 1] and told[1].scale == 0.5
    assert told[0].bad == 1 and told[1].bad == 0 and told[1].best == 3 and told[1].compared == 5
    assert opt.step({"w": np.ones(3), "b": np.ones(2)}).lr == 0.5
    assert opt.get("lr") == 0.45
    assert opt.get("plateau.scale") == 0.5 and "plateau: scale 0.5, best 3" in opt.plan()
    opt.metric(2)
    assert opt.get("plateau.best") == 2
    assert math.isnan(opt.metric(math.nan).compared) and opt.get("plateau.best") == 2
    assert repr(told[0]) == "MetricReport(changed=0, scale=1.0, compared=4.0, best=3.0, bad=1)"


def test_it_multiplies_any_schedule_of_any_number() -> None:
    lr = rv.warmup(rv.plateau(0.5, factor=0.5, patience=0), steps=5)
    opt = optimizer(lr, momentum=rv.greedy(0.5, factor=0.8, patience=0))
    for metric in (1, 1):
        opt.metric(metric)
    assert opt.get("lr") == 0.05 and opt.get("momentum") == 0.5
    assert opt.metric(0.5).changed == 1  # greedy goes up again
    assert opt.get("momentum") == 0.625


def test_a_schedule_alone_takes_metrics_too() -> None:
    schedule = rv.schedule(rv.plateau(rv.cosine(1, steps=10), factor=0.5, patience=0))
    plain = rv.schedule(rv.cosine(1, steps=10)).values(12)
    assert schedule.values(12).tolist() == plain.tolist()
    assert schedule.metric(1).scale == 1 and schedule.metric(1).scale == 0.5
    assert schedule.values(12).tolist() == (plain / 2).tolist()
    assert pickle.loads(pickle.dumps(schedule)).values(12).tolist() == plain.tolist()


def test_wrong_metrics() -> None:
    opt = optimizer(rv.plateau(0.1))
    for wrong in ("1", None, [1, 2], b"1", 1j):
        with pytest.raises(rv.UsageError, match="a metric is a number, not a"):
            opt.metric(wrong)  # type: ignore[arg-type]
    assert opt.get("plateau.best") == math.inf
    with pytest.raises(rv.StateError, match=r"lr=plateau\(0.1\)"):
        optimizer(0.1).metric(1)
    with pytest.raises(rv.StateError, match="does not listen to metrics"):
        rv.schedule("cosine(1, 10)").metric(1)
    with pytest.raises(rv.UnknownNameError, match=r"did you mean 'plateau\.scale'"):
        opt.get("plateau.scal")
    opt.close()
    with pytest.raises(rv.StateError, match="closed"):
        opt.metric(1)


@pytest.mark.parametrize("name", ["plateau", "greedy"])
def test_saved_at_any_point_it_goes_on_as_the_reference_does(name: str, tmp_path: Path) -> None:
    file = REFERENCE / f"{name}.json"
    if not file.exists():
        pytest.skip("needs the repository")
    path = tmp_path / "run.safetensors"
    for case in json.loads(file.read_text())["cases"][::4]:
        opt = optimizer(case["recipe"])
        for k, (metric, value) in enumerate(zip(case["metrics"], case["values"], strict=False)):
            assert opt.get("lr") == pytest.approx(value, rel=1e-12), (case["recipe"], k)
            opt.save(path)
            opt = optimizer(case["recipe"])
            if k % 2:
                opt.metric(-(10.0**9))  # to be forgotten
            assert opt.load(path) == []
            opt.metric(float(metric))


def test_the_handle_says_what_its_schedules_are(tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    opt = optimizer(rv.plateau(0.5, patience=0))
    for _ in range(2):
        opt.metric(1)
    opt.save(path)
    other = optimizer(0.25)
    assert other.load(path) == ["extra schedule/plateau"] and other.get("lr") == 0.25
    other = optimizer(rv.greedy(0.5))
    assert other.load(path) == ["missing schedule/greedy", "extra schedule/plateau"]
    other = optimizer(rv.plateau(1, patience=7))
    assert other.load(path, state=False) == [] and other.get("lr") == 1
    assert other.load(path) == [] and other.get("lr") == 0.1
