"""Schedules alone."""

from __future__ import annotations

import gc
import pickle
import threading

import numpy as np
import pytest

import ravine as rv


def test_a_number_is_a_constant() -> None:
    schedule = rv.schedule(0.25)
    assert schedule(0) == schedule(10**9) == 0.25
    assert schedule.values(3).tolist() == [0.25] * 3


def test_values_are_those_of_the_calls() -> None:
    schedule = rv.schedule("warmup(cosine(0.1, steps=20), steps=5)")
    values = schedule.values(30)
    assert values.dtype == np.float64 and values.shape == (30,)
    assert values.tolist() == [schedule(step) for step in range(30)]
    assert schedule.values(10, first=7).tolist() == values[7:17].tolist()
    assert schedule.values(0).shape == (0,)


def test_text_object_and_schedule_are_the_same() -> None:
    made = rv.schedule(rv.cosine(0.1, steps=100))
    same = [rv.schedule("cosine(0.1, steps=100)"), rv.schedule(made), rv.schedule(made.recipe)]
    assert {repr(schedule) for schedule in same} == {made.recipe} == {str(made)}
    assert repr(pickle.loads(pickle.dumps(made))) == made.recipe


def test_schedules_are_parts_of_schedules() -> None:
    rise, fall = rv.linear(0, 1, steps=4), rv.cosine(1, steps=6)
    joined = rv.schedule(rv.sequence((rise, 0.5, rv.schedule(fall)), at=[4, 6]))
    assert joined.values(4).tolist() == rv.schedule(rise).values(4).tolist()
    assert joined.values(2, first=4).tolist() == [0.5, 0.5]
    assert joined.values(8, first=6).tolist() == rv.schedule(fall).values(8).tolist()
    assert rv.schedule(rv.total((fall,)))(3) == rv.schedule(fall)(3)
    shares = rv.over(1000, rv.warmup(rv.cosine(0.1, steps="95%"), steps="5%"), past="error")
    assert "steps=950" in rv.schedule(shares).recipe and "steps=50" in rv.schedule(shares).recipe
    with pytest.raises(rv.RecipeError, match="2 schedules need 1 boundaries, but at has 2"):
        rv.schedule(rv.sequence((rise, fall), at=(4, 5)))


def test_past_its_end_a_schedule_has_no_value() -> None:
    recipe = rv.over(3, rv.cosine(0.1, steps=3), past="error")
    assert np.isnan(rv.schedule(recipe).values(5)).tolist() == [False] * 3 + [True] * 2
    w = np.ones(2)
    opt = rv.Optimizer(rv.sgd(recipe, momentum=0.9), [w])
    for _ in range(3):
        opt.step([np.ones(2)])
    before, state = w.tolist(), opt.state("0")["m"].tolist()
    with pytest.raises(rv.ArgumentError, match="sgd.lr has no value at step 3: its schedule ended"):
        opt.step([np.ones(2)])
    assert w.tolist() == before and opt.state("0")["m"].tolist() == state
    assert opt.steps("0") == 3


def test_an_optimizer_follows_its_schedule() -> None:
    recipe = rv.cosine(0.1, steps=5)
    opt = rv.Optimizer(rv.sgd(recipe), [np.zeros(2)])
    rates = [opt.step([np.ones(2)]).lr for _ in range(6)]
    assert rates == rv.schedule(recipe).values(6).tolist()


def test_wrong_steps() -> None:
    schedule = rv.schedule("cosine(0.1, steps=100)")
    for wrong in (-1, 2**63, 2**64):
        with pytest.raises(rv.ArgumentError, match="step"):
            schedule(wrong)
    with pytest.raises(rv.ArgumentError):
        schedule.values(-1)
    with pytest.raises(rv.UsageError, match="whole number"):
        schedule(0.5)  # type: ignore[arg-type]


def test_wrong_recipes() -> None:
    with pytest.raises(rv.RecipeError):
        rv.schedule("cosin(0.1)")
    with pytest.raises(rv.RecipeError):
        rv.schedule(rv.sgd(0.1))
    with pytest.raises(rv.UsageError):
        rv.schedule(None)  # type: ignore[arg-type]
    with pytest.raises(rv.ArgumentError, match="NUL"):
        rv.schedule("1\0")


def test_threads_may_share_one() -> None:
    schedule = rv.schedule("cosine(0.1, steps=1000)")
    expected = schedule.values(1000).tolist()
    found: list[list[float]] = []
    threads = [
        threading.Thread(target=lambda: found.append(schedule.values(1000).tolist()))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 8


def test_many_come_and_go() -> None:
    for _ in range(1000):
        rv.schedule("cosine(0.1, steps=100)")
    gc.collect()
