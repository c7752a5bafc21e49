"""Mini-batches: index arrays in an order that costs no memory and resumes anywhere."""

from __future__ import annotations

import weakref
from _thread import RLock
from collections.abc import Callable, Iterator, Mapping
from ctypes import byref, c_size_t, c_uint64, c_void_p
from typing import TYPE_CHECKING, Any, SupportsIndex

import numpy as np

from . import _layout as layout
from ._errors import MismatchError, ShapeError, UsageError
from ._library import check, lib, whole

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_MOST = 2**64 - 1


class Sampler:
    """Divides the items 0 to count - 1 of a data set into batches, shuffled anew in each epoch.

        sampler = rv.Sampler(len(X), 32)
        for epoch in range(10):
            for i in sampler:  # one epoch
                step(X[i], y[i])  # of a list: [X[j] for j in i]

    A `for` goes from where the sampler is to the end of the epoch, and the next one through the
    next epoch; `len(sampler)` is the number of batches of an epoch. The batches are int64 arrays of
    their own. The same seed gives the same batches on every machine, and the order is computed
    where it is asked for: it takes no memory.

    Args:
        count: The number of items, at most 2**62 (2**31 - 1 with `stratify`).
        batch: Items of a batch of this rank. 1 is stochastic gradient descent, `count` or 0 is full
            batch. More than there are is as many as there are.
        seed: 0 to 2**64 - 1.
        shuffle: False keeps the items in their order.
        replacement: An epoch is `count` independent draws, as in torch's `RandomSampler`.
        stratify: A label for each item. Each batch then has of each class its share, the size of
            the batch times the share of the class in all items, rounded down or up; each item
            still comes once in an epoch. Costs 5 bytes for each item with up to 256 classes.
        drop_last: Leaves out a last batch that is not full.
        rank, world: This process, and how many there are. Batch b of all ranks together is
            batch b of one process with a batch `world` times as large, and all ranks have batches
            of the same sizes. Items that are missing for that, at most world - 1, are taken once
            more from the start of the epoch's order, as in torch's `DistributedSampler`; with
            `drop_last` no item is.

    Without `stratify` the order depends on count, seed and epoch alone, and not on batch, rank or
    world: `drop_last` leaves out its end. With it, it depends on batch * world, too.
    """

    def __init__(
        self,
        count: SupportsIndex,
        batch: SupportsIndex,
        seed: SupportsIndex = 0,
        *,
        shuffle: bool = True,
        replacement: bool = False,
        stratify: ArrayLike | None = None,
        drop_last: bool = False,
        rank: SupportsIndex = 0,
        world: SupportsIndex = 1,
    ) -> None:
        self._settings: dict[str, Any] = {
            "count": whole(count, "count", 1, 2**62),
            "batch": whole(batch, "batch", 0, _MOST),
            "seed": whole(seed, "seed", 0, _MOST),
            "shuffle": bool(shuffle),
            "replacement": bool(replacement),
            "drop_last": bool(drop_last),
            "world": whole(world, "world", 1, 2**31 - 1),
        }
        self._rank = whole(rank, "rank", 0, 2**31 - 1)
        self._classes = None if stratify is None else _classes(stratify, self._settings["count"])
        self._handle = self._create()
        weakref.finalize(self, lib.rvn_sampler_destroy, self._handle).atexit = False
        self._lock = RLock()  # one call at a time
        batches, largest = c_uint64(), c_uint64()
        check(lib.rvn_sampler_size(self._handle, byref(batches), byref(largest)))
        self._batches, self._largest = batches.value, largest.value

    def _create(self) -> c_void_p:
        said = self._settings
        labels = None if self._classes is None else self._classes.astype(np.int64)
        options = layout.SamplerOptions(
            count=said["count"],
            batch=said["batch"],
            seed=said["seed"],
            labels=None if labels is None else labels.ctypes.data,
            rank=self._rank,
            world=said["world"],
            ordered=not said["shuffle"],
            replacement=said["replacement"],
            drop_last=said["drop_last"],
        )
        handle = c_void_p()
        check(lib.rvn_sampler_create(byref(options), byref(handle)))
        return handle

    # ---- batches --------------------------------------------------------------------------------

    def __len__(self) -> int:
        """The number of batches of an epoch."""
        return self._batches

    def __iter__(self) -> Iterator[NDArray[np.int64]]:
        """The batches from here to the end of the epoch."""
        while len(items := self._read(lib.rvn_sampler_next)):
            yield items

    def epochs(self, total: SupportsIndex) -> Iterator[NDArray[np.int64]]:
        """The batches from here until `total` epochs are over, those before a resume included."""
        return self._until(whole(total, "total", 0, 2**63 - 1))

    def _until(self, end: int) -> Iterator[NDArray[np.int64]]:
        while self.epoch < end:
            yield from self

    def at(self, epoch: SupportsIndex, position: SupportsIndex) -> NDArray[np.int64]:
        """Any batch of any epoch; the sampler stays where it is."""
        place = whole(epoch, "epoch", 0, _MOST), whole(position, "position", 0, _MOST)
        return self._read(lib.rvn_sampler_batch, *place)

    def _read(self, function: Callable[..., int], *place: int) -> NDArray[np.int64]:
        out, written = np.empty(self._largest, np.int64), c_size_t()
        with self._lock:
            check(function(self._handle, *place, out.ctypes.data, out.size, byref(written)))
        return out if written.value == out.size else out[: written.value].copy()

    # ---- where it is ----------------------------------------------------------------------------

    @property
    def epoch(self) -> int:
        """The epoch of the next batch. Setting it goes to the start of that epoch."""
        return self._tell()[0]

    @epoch.setter
    def epoch(self, epoch: SupportsIndex) -> None:
        self._seek(epoch, 0)

    @property
    def position(self) -> int:
        """How many batches of the epoch were handed out, `len(sampler)` at its end. May be set."""
        return self._tell()[1]

    @position.setter
    def position(self, position: SupportsIndex) -> None:
        with self._lock:
            self._seek(self.epoch, position)

    def _tell(self) -> tuple[int, int]:
        epoch, position = c_uint64(), c_uint64()
        with self._lock:
            check(lib.rvn_sampler_tell(self._handle, byref(epoch), byref(position)))
        return epoch.value, position.value

    def _seek(self, epoch: SupportsIndex, position: SupportsIndex) -> None:
        place = whole(epoch, "epoch", 0, _MOST), whole(position, "position", 0, _MOST)
        with self._lock:
            check(lib.rvn_sampler_seek(self._handle, *place))

    def state_dict(self) -> dict[str, Any]:
        """Where it is, and what the order depends on: a plain dict of numbers and flags, for JSON.

        It does not depend on the rank: one rank's state is that of all.
        """
        epoch, position = self._tell()
        return {**self._identity(), "epoch": epoch, "position": position}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes where another sampler was, which must have been made with the same arguments.

        Where they may differ, set `epoch` and `position` instead.
        """
        wanted = self._identity()
        try:
            found = {key: state[key] for key in [*wanted, "epoch", "position"]}
        except (KeyError, TypeError, IndexError):
            raise UsageError("state must be what state_dict() of a Sampler returns") from None
        for key, value in wanted.items():
            if found[key] != value:
                raise MismatchError(
                    f"the state is of another sampler: its {key} is {found[key]}, "
                    f"and that of this one is {value}"
                )
        self._seek(found["epoch"], found["position"])

    def _identity(self) -> dict[str, Any]:
        from zlib import crc32

        labels = None if self._classes is None else crc32(self._classes.tobytes())
        return {**self._settings, "stratify": labels}

    def __repr__(self) -> str:
        said = self._settings
        parts = [f"{said['count']}, {said['batch']}, seed={said['seed']}"]
        if self._classes is not None:
            parts.append(f"stratify={int(self._classes.max()) + 1} classes")
        usual = {"shuffle": True, "replacement": False, "drop_last": False}
        parts += [f"{key}={said[key]}" for key, value in usual.items() if said[key] != value]
        if said["world"] > 1:
            parts.append(f"rank={self._rank}, world={said['world']}")
        epoch, position = self._tell()
        where = f"epoch {epoch}, position {position} of {self._batches}"
        return f"Sampler({', '.join(parts)}): {where}"

    def __reduce__(self) -> tuple[Callable[..., Sampler], tuple[Any, ...]]:
        return _restore, (self._settings, self._rank, self._classes, *self._tell())


def _restore(
    settings: dict[str, Any], rank: int, classes: Any, epoch: int, position: int
) -> Sampler:
    made = Sampler(**settings, rank=rank, stratify=classes)
    made._seek(epoch, position)
    return made


def _classes(labels: ArrayLike, count: int) -> NDArray[Any]:
    """Labels as numbers from 0, in the sorted order of the labels, in the smallest type."""
    try:
        found, classes = np.unique(np.asarray(labels), return_inverse=True)
    except (TypeError, ValueError) as problem:
        raise UsageError(f"stratify takes labels that can be sorted: {problem}") from None
    shape = np.shape(labels)
    if shape != (count,):
        raise ShapeError(f"stratify has the shape {shape}, but must be ({count},), a label an item")
    return classes.astype(np.min_scalar_type(max(0, len(found) - 1)))
