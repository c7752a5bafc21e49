"""Mini-batches: what is in them, resuming, ranks, strata, and wrong use."""

from __future__ import annotations

import copy
import json
import pickle
import subprocess
import sys
from itertools import islice
from typing import Any

import numpy as np
import pytest

import ravine as rv

M32, M64 = 2**32 - 1, 2**64 - 1


def lists(batches: Any) -> list[list[int]]:
    return [items.tolist() for items in batches]


# ---- the order once more, in plain Python: Philox4x32-10 and a Feistel network ------------------


def philox(key: int, low: int, high: int = 0) -> int:
    c, k = [low & M32, low >> 32, high & M32, high >> 32], [key & M32, key >> 32]
    for _ in range(10):
        p, q = c[0] * 0xD2511F53, c[2] * 0xCD9E8D57
        c = [q >> 32 ^ c[1] ^ k[0], q & M32, p >> 32 ^ c[3] ^ k[1], p & M32]
        k = [k[0] + 0x9E3779B9 & M32, k[1] + 0xBB67AE85 & M32]
    return c[0] | c[1] << 32  # the lower half of it


def order(count: int, seed: int, epoch: int) -> list[int]:
    key = philox(philox(philox(seed, 1), epoch), 0)
    bits = count.bit_length() // 2
    mask, rows = (1 << bits) - 1, -(-count >> bits)
    found = []
    for number in range(count):
        while True:
            column, row = number & mask, number >> bits
            for turn in range(0, 24 if count <= 1024 else 12, 2):
                column = column + philox(key, row, turn) & mask
                row = (row + (philox(key, column, turn + 1) * rows >> 64)) % rows
            number = row << bits | column
            if number < count:
                break
        found.append(number)
    return found


@pytest.mark.parametrize("count", [1, 2, 3, 10, 63, 64, 65, 1000, 1024, 1025, 3000])
def test_the_order_is_the_one_described(count: int) -> None:
    for seed, epoch in [(0, 0), (1, 0), (0, 1), (M64, 2**40)]:
        items = rv.Sampler(count, 0, seed).at(epoch, 0)
        assert items.tolist() == order(count, seed, epoch)


# ---- the main job -------------------------------------------------------------------------------


def test_one_for_is_one_epoch() -> None:
    sampler = rv.Sampler(100, 32)
    assert len(sampler) == 4
    first, second = list(sampler), list(sampler)
    assert [len(items) for items in first] == [len(items) for items in second] == [32, 32, 32, 4]
    assert all(items.dtype == np.int64 for items in first)
    for epoch in (first, second):
        assert sorted(np.concatenate(epoch)) == list(range(100))
    assert lists(first) != lists(second)
    assert lists(first) == lists(rv.Sampler(100, 32))


def test_batches_index_arrays_and_are_kept() -> None:
    x = np.arange(30.0).reshape(10, 3)
    kept = list(rv.Sampler(len(x), 4))
    assert [x[items].shape for items in kept] == [(4, 3), (4, 3), (2, 3)]
    assert len({items.ctypes.data for items in kept}) == 3  # arrays of their own
    words = list("abcdefghij")
    assert sorted(words[i] for items in kept for i in items) == words


def test_the_three_ways_of_the_textbook() -> None:
    (full,) = list(rv.Sampler(10, 10))
    assert lists(rv.Sampler(10, 0)) == lists(rv.Sampler(10, 64)) == [full.tolist()]
    assert lists(rv.Sampler(10, 1)) == [[i] for i in full]
    assert lists(rv.Sampler(10, 3)) == [full[i : i + 3].tolist() for i in (0, 3, 6, 9)]


def test_options() -> None:
    assert lists(rv.Sampler(5, 2, shuffle=False)) == [[0, 1], [2, 3], [4]]
    assert lists(rv.Sampler(5, 2, shuffle=False, drop_last=True)) == [[0, 1], [2, 3]]
    drawn = np.concatenate(list(rv.Sampler(1000, 32, replacement=True)))
    assert len(drawn) == 1000 and 500 < len(set(drawn.tolist())) < 750  # 632
    assert lists(rv.Sampler(100, 0, 1)) != lists(rv.Sampler(100, 0, 2))


def test_epochs_goes_on_to_a_total() -> None:
    whole = lists(rv.Sampler(10, 4).epochs(5))
    assert len(whole) == 15
    sampler = rv.Sampler(10, 4)
    some = lists(islice(sampler.epochs(5), 7))
    assert (sampler.epoch, sampler.position) == (2, 1)
    assert some + lists(sampler.epochs(5)) == whole
    assert lists(sampler.epochs(5)) == []


# ---- ranks and strata ---------------------------------------------------------------------------


def test_ranks_share_a_larger_batch() -> None:
    whole = rv.Sampler(100, 12, 3)
    ranks = [rv.Sampler(100, 4, 3, rank=r, world=3) for r in range(3)]
    assert {len(sampler) for sampler in ranks} == {len(whole)} == {9}
    for together, *parts in zip(whole, *ranks, strict=True):
        assert len({len(part) for part in parts}) == 1
        assert set(together) <= set(np.concatenate(parts))


@pytest.mark.parametrize("labels", ["numbers", "strings", "floats", "list"])
def test_each_batch_has_its_share_of_each_class(labels: str) -> None:
    classes: Any = np.random.default_rng(0).permutation([0] * 120 + [1] * 60 + [2] * 20)
    given = {
        "numbers": classes,
        "strings": np.array(["a", "b", "c"])[classes],
        "floats": classes * 0.5 - 3,
        "list": classes.tolist(),
    }[labels]
    sampler = rv.Sampler(200, 20, stratify=given)
    for _ in range(2):
        batches = list(sampler)
        assert all(np.bincount(classes[items]).tolist() == [12, 6, 2] for items in batches)
        assert sorted(np.concatenate(batches)) == list(range(200))
    assert lists(batches) == lists(list(rv.Sampler(200, 20, stratify=classes).epochs(2))[10:])


# ---- resuming -----------------------------------------------------------------------------------


def make() -> rv.Sampler:
    return rv.Sampler(37, 5, 9, stratify=np.arange(37) % 3)


def test_a_state_goes_on_from_any_batch() -> None:
    whole = lists(make().epochs(3))
    for done in range(len(whole)):
        sampler = make()
        list(islice(sampler.epochs(3), done))
        state = json.loads(json.dumps(sampler.state_dict()))
        other = make()
        other.load_state_dict(state)
        assert lists(other.epochs(3)) == whole[done:]
        for twin in (pickle.loads(pickle.dumps(sampler)), copy.copy(sampler)):
            assert repr(twin) == repr(sampler)
            assert lists(twin.epochs(3)) == whole[done:]


def test_epoch_and_position_can_be_set() -> None:
    sampler = make()
    assert (sampler.epoch, sampler.position) == (0, 0)
    sampler.epoch = 2
    assert lists(sampler) == lists(make().epochs(3))[16:]
    sampler.epoch, sampler.position = 1, 3
    assert next(iter(sampler)).tolist() == make().at(1, 3).tolist()
    assert (sampler.epoch, sampler.position) == (1, 4)
    sampler.position = len(sampler)
    assert lists(sampler) == [] and sampler.epoch == 2


def test_a_state_is_for_the_same_sampler() -> None:
    state = make().state_dict()
    others = {
        "batch": rv.Sampler(37, 6, 9, stratify=np.arange(37) % 3),
        "seed": rv.Sampler(37, 5, 8, stratify=np.arange(37) % 3),
        "stratify": rv.Sampler(37, 5, 9, stratify=np.arange(37) % 4),
        "world": rv.Sampler(37, 5, 9, stratify=np.arange(37) % 3, world=2),
    }
    for name, other in others.items():
        with pytest.raises(rv.MismatchError, match=f"its {name} is"):
            other.load_state_dict(state)
        assert (other.epoch, other.position) == (0, 0)
    for wrong in ({}, None, {**state, "epoch": "x"}, {"epoch": 1}):
        with pytest.raises(rv.UsageError):
            make().load_state_dict(wrong)  # type: ignore[arg-type]
    with pytest.raises(rv.ArgumentError, match="position is 99"):
        make().load_state_dict({**state, "position": 99})


def test_one_ranks_state_is_that_of_all() -> None:
    ranks = [rv.Sampler(37, 5, rank=r, world=2) for r in range(2)]
    next(iter(ranks[0]))
    ranks[1].load_state_dict(ranks[0].state_dict())
    assert ranks[1].position == 1


# ---- how it shows, and wrong use ----------------------------------------------------------------


def test_it_says_what_and_where_it_is() -> None:
    sampler = rv.Sampler(100, 32, 7)
    next(iter(sampler))
    assert repr(sampler) == "Sampler(100, 32, seed=7): epoch 0, position 1 of 4"
    sampler = rv.Sampler(6, 1, stratify=list("aabbcc"), drop_last=True, rank=1, world=2)
    assert repr(sampler) == (
        "Sampler(6, 1, seed=0, stratify=3 classes, drop_last=True, rank=1, world=2): "
        "epoch 0, position 0 of 3"
    )


@pytest.mark.parametrize(
    "arguments, options, error, said",
    [
        ((0, 1), {}, rv.ArgumentError, "count is 0"),
        ((2**62 + 1, 1), {}, rv.ArgumentError, "count"),
        ((10, -1), {}, rv.ArgumentError, "batch is -1"),
        ((10, 2.0), {}, rv.UsageError, "batch must be a whole number"),
        ((10, 2, 2**64), {}, rv.ArgumentError, "seed"),
        ((10, 2), {"rank": 2, "world": 2}, rv.ArgumentError, "below world, which is 2"),
        ((10, 2), {"world": 0}, rv.ArgumentError, "world is 0"),
        ((10, 2), {"shuffle": False, "replacement": True}, rv.ArgumentError, "replacement"),
        ((10, 11), {"drop_last": True}, rv.ArgumentError, "drop_last leaves no batch"),
        ((10, 2), {"stratify": [1, 2]}, rv.ShapeError, r"\(2,\), but must be \(10,\)"),
        ((2, 2), {"stratify": [[1, 2]]}, rv.ShapeError, r"\(1, 2\)"),
        ((1, 1), {"stratify": 3}, rv.ShapeError, r"\(\)"),
        ((2, 1), {"stratify": np.array([1, "a"], object)}, rv.UsageError, "sorted"),
        ((2, 1), {"stratify": [[1], [1, 2]]}, rv.UsageError, "sorted"),
    ],
)
def test_wrong_arguments(
    arguments: Any, options: Any, error: type[rv.RavineError], said: str
) -> None:
    with pytest.raises(error, match=said):
        rv.Sampler(*arguments, **options)


def test_wrong_places() -> None:
    sampler = rv.Sampler(10, 4)
    for place in ((0, 3), (0, -1), (2**63, 0), (-1, 0)):
        with pytest.raises(rv.ArgumentError):
            sampler.at(*place)
    with pytest.raises(rv.ArgumentError, match="0 to 3 are allowed"):
        sampler.position = 4
    with pytest.raises(rv.ArgumentError):
        sampler.epoch = -1
    with pytest.raises(rv.UsageError):
        sampler.epochs(1.5)  # type: ignore[arg-type]
    assert (sampler.epoch, sampler.position) == (0, 0)


def test_it_loads_nothing_but_numpy() -> None:
    code = (
        "import numpy, sys; before = {m.split('.')[0] for m in sys.modules}; import ravine as rv;"
        "s = rv.Sampler(9, 2, stratify=[0] * 9); list(s); s.load_state_dict(s.state_dict());"
        "new = {m.split('.')[0] for m in sys.modules} - before;"
        "print(sorted(new - set(sys.stdlib_module_names)))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "['ravine']"
