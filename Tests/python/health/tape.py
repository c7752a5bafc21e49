"""What a training recorded, to be played to monitors again, as it was or changed."""

from __future__ import annotations

import functools

import numpy as np

import ravine as rv


class Tape:
    """Stands in for a monitor, and keeps everything."""

    def __init__(self):
        self.steps = []
        self.records = []

    def record(self, name, array, kind="gradient", depth=None, time=None):
        self.records.append((name, np.array(array), kind, depth, time))

    def end_step(self, loss=None):
        self.steps.append((self.records, loss))
        self.records = []

    def play(self, change=None, loss=1.0):
        """A report on what `change` makes of the records of each step."""
        monitor = rv.Monitor()
        for step, (records, value) in enumerate(self.steps):
            for record in change(step, records) if change else records:
                monitor.record(*record)
            monitor.end_step(None if value is None else value * loss)
        return monitor.report()


@functools.cache
def tape(case):
    made = Tape()
    case(made)
    return made


@functools.cache
def report(case):
    return tape(case).play()


# ---- changes that no verdict may depend on -----------------------------------------------------


def scaled(factor):
    """The loss times a constant: gradients follow, steps do not."""

    def change(step, records):
        for name, array, kind, depth, time in records:
            yield (
                name,
                array * array.dtype.type(factor) if kind == "gradient" else array,
                kind,
                depth,
                time,
            )

    return change


def permuted(step, records):
    order = np.random.default_rng(step).permutation(len(records))
    return [records[i] for i in order]


def split(step, records):
    """Parameters in two halves along the first axis."""
    for name, array, kind, depth, time in records:
        if kind == "activation" or time is not None or len(array) < 2:
            yield name, array, kind, depth, time
            continue
        middle = len(array) // 2
        yield name + ".a", array[:middle], kind, depth, time
        yield name + ".b", array[middle:], kind, depth, time


def widened(step, records):
    """In float64, save for weights: their type is what `swallowed` judges."""
    for name, array, kind, depth, time in records:
        yield name, array if kind == "weight" else array.astype(np.float64), kind, depth, time


def verdicts(report):
    return sorted((f.code, f.severity) for f in report.findings)


def places(report):
    return sorted((f.code, f.severity, f.where) for f in report.findings)
