"""Optimizers that step a shard of each tensor, with threads as ranks."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ravine as rv

SHAPES = {"w": (60, 100), "b": (7,), "e": (2500,)}


class Ranks:
    """Runs a function on so many threads, and adds up between them."""

    def __init__(self, world: int) -> None:
        self.world = world
        self.barrier = threading.Barrier(world)
        self.values: list[Any] = [None] * world

    def all_sum(self, rank: int) -> Callable[[Any], None]:
        def add(x: Any) -> None:
            self.values[rank] = x.copy()
            self.barrier.wait()
            x[:] = sum(self.values)
            self.barrier.wait()

        return add

    def run(self, body: Callable[..., Any]) -> list[Any]:
        out: list[Any] = [None] * self.world

        def one(rank: int) -> None:
            try:
                out[rank] = body(rank)
            except BaseException as problem:
                out[rank] = problem
                self.barrier.abort()

        threads = [threading.Thread(target=one, args=(rank,)) for rank in range(self.world)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for problem in out:
            if isinstance(problem, BaseException):
                raise problem
        return out


def numbers(seed: int) -> dict[str, Any]:
    random = np.random.default_rng(seed)
    return {n: random.normal(size=s).astype(np.float32) for n, s in SHAPES.items()}


RECIPE = "clip_norm(1) | adamw(1e-2) | ema(0.9); e: lamb(0.01)"


def train(
    world: int, first: int, last: int, load: Any = None, save: Any = None
) -> tuple[dict[str, Any], list[Any]]:
    """Whole parameters after some steps, and the reports."""
    ranks = Ranks(world)
    whole = numbers(0)

    def body(rank: int) -> list[Any]:
        params = numbers(0)
        opt = rv.Optimizer(RECIPE, params, rank=rank, world=world, all_sum=ranks.all_sum(rank))
        if load:
            opt.load(load)
        reports = [opt.step(numbers(s)) for s in range(first, last)]
        for name, array in params.items():
            own = opt.shard(name)
            whole[name].reshape(-1)[own] = array.reshape(-1)[own]
        if save:
            opt.save(save[rank])
        return reports

    reports = ranks.run(body)
    assert all(report == reports[0] for report in reports)
    return whole, reports[0]


@pytest.mark.parametrize("world", [2, 3, 5])
def test_any_number_of_ranks_leaves_the_bytes_of_one(world: int) -> None:
    alone, parts = train(1, 1, 6), train(world, 1, 6)
    assert alone[1] == parts[1]
    assert all(alone[0][n].tobytes() == parts[0][n].tobytes() for n in SHAPES)


def test_files_of_three_ranks_go_on_with_two_or_alone(tmp_path: Path) -> None:
    files: list[Any] = [tmp_path / f"rank{k}" for k in range(3)]
    train(3, 1, 4, save=files)
    straight = train(1, 1, 7)
    for world in (1, 2, 4):
        again = train(world, 4, 7, load=files[::-1])
        assert again[1] == straight[1][3:]
        assert all(again[0][n].tobytes() == straight[0][n].tobytes() for n in SHAPES)
    opt = rv.Optimizer(RECIPE, numbers(0))
    with pytest.raises(rv.MismatchError, match="missing param/w: elements from"):
        opt.load(files[:2])
    with pytest.raises(rv.UsageError, match="several files are loaded strictly"):
        opt.load(files, strict=False)
    with pytest.raises(rv.ArgumentError, match="count is 0"):
        opt.load([])


def shard(recipe: str = "sgd(1)", all_sum: Any = lambda x: None, **arguments: Any) -> Any:
    return rv.Optimizer(recipe, numbers(0), **{"world": 2, "all_sum": all_sum, **arguments})


def test_shards_are_slices_of_the_flat_array() -> None:
    opt = shard("adam(0.1) | ema(0.9)", rank=1)
    assert opt.shard("w") == slice(3072, 6000) == opt.shard("w", 1)
    assert opt.shard("w", 0) == slice(0, 3072)
    assert rv.Optimizer("sgd(1)", numbers(0)).shard("w") == slice(0, 6000)
    with pytest.raises(rv.ArgumentError, match="rank is 2"):
        opt.shard("w", 2)
    before = opt.average()["w"]
    assert before.tobytes() == numbers(0)["w"].reshape(-1)[3072:].tobytes()
    opt.step(numbers(1))
    assert opt.state("w")["m"].shape == opt.average()["w"].shape == (2928,)
    opt.set_state("w", "m", np.ones(2928))
    assert opt.state("w")["m"].min() == 1
    with pytest.raises(rv.ShapeError, match=r"has shape \(2928,\)"):
        opt.set_state("w", "m", np.ones((60, 100)))
    assert "rank 1 of 2" in opt.plan()


def test_wrong_ranks_are_told() -> None:
    with pytest.raises(rv.ArgumentError, match="rank is 2, and must be from 0 to 1"):
        shard(rank=2)
    with pytest.raises(rv.ArgumentError, match="world is 0"):
        shard(world=0)
    with pytest.raises(rv.ArgumentError, match="all_sum is NULL, but world is 2"):
        shard(all_sum=None)
    with pytest.raises(rv.UsageError, match="all_sum must be a function, not int"):
        shard(all_sum=3)
    with pytest.raises(rv.UsageError, match="rank must be a whole number"):
        shard(rank=0.5)


def test_what_needs_whole_tensors_is_refused() -> None:
    with pytest.raises(rv.UnsupportedError, match="clip_unit needs whole tensors"):
        shard("clip_unit(1) | sgd(1)")
    opt = shard()
    with pytest.raises(rv.UnsupportedError, match="a range test needs whole tensors"):
        rv.range_test(opt, lambda: 0.0)
    with pytest.raises(rv.UnsupportedError, match="an attached monitor needs whole tensors"):
        rv.Monitor(opt)


def test_an_exception_of_all_sum_is_the_cause_of_that_of_the_step() -> None:
    def broken(x: Any) -> None:
        raise ValueError("the network is down")

    opt = shard("clip_norm(1) | sgd(1)", broken)
    with pytest.raises(rv.CallbackError, match="all_sum failed with 1") as caught:
        opt.step(numbers(1))
    assert str(caught.value.__cause__) == "the network is down"
    before = numbers(0)
    assert all(opt._params[n].tobytes() == before[n].tobytes() for n in SHAPES)
