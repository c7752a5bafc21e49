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
