"""The same trainings, watched by a monitor that is attached to their optimizer."""

from __future__ import annotations

import functools
import re

import numpy as np
from nets import layer

import ravine as rv


class Attached:
    """Stands in for a monitor that records: takes what only the host knows, and leaves the rest to the
    optimizer. The training may be changed in ways that no verdict may depend on."""

    def __init__(self, scale=1.0, permuted=False, cut=False, dtype=None, every=4, threads=1):
        self.scale, self.permuted, self.cut, self.dtype = scale, permuted, cut, dtype
        self.every, self.threads = every, threads

    def optimizer(self, recipe, params, **more):
        if self.dtype is not None:
            for name, p in params.items():
                params[name] = p.astype(self.dtype)
        named = self.divide(params)
        if self.permuted:
            order = np.random.default_rng(0).permutation(len(named))
            named = {list(named)[i]: list(named.values())[i] for i in order}
        # The cut and the order hide the layers from the names.
        said = self.permuted or self.cut
        depth = {name: layer(name) for name in named if name.startswith("fc")} if said else None
        # Torch's clipping adds 1e-6 to the norm, whatever its size.
        recipe = recipe.replace("clip_norm(1)", "clip_norm(1, compat=optax)")
        self.opt = rv.Optimizer(recipe, named, threads=self.threads, **more)
        if self.scale != 1:  # so that the steps stay what they are
            for key, times in ("sgd", 1 / self.scale), ("adamw", self.scale), ("clip_norm", self.scale):
                if not re.search(rf"\b{key}\b", recipe):
                    continue
                key = {"sgd": "lr", "adamw": "eps", "clip_norm": "clip_norm.max"}[key]
                self.opt.set(key, self.opt.get(key) * times)
        self.monitor = rv.Monitor(self.opt, every=self.every, cosines=True, depth=depth)
        return self

    def divide(self, arrays):
        if not self.cut:
            return dict(arrays)
        halves = {}
        for name, a in arrays.items():
            if len(a) < 2:
                halves[name] = a
                continue
            middle = len(a) // 2
            halves[name + ".a"], halves[name + ".b"] = a[:middle], a[middle:]
        return halves

    def step(self, grads, loss):
        scaled = {name: g * g.dtype.type(self.scale) for name, g in grads.items()}
        return self.opt.step(self.divide(scaled), loss * self.scale)

    def record(self, name, array, kind="gradient", depth=None, time=None):
        if kind == "activation" or time is not None:
            self.monitor.record(name, array, kind, depth, time)

    def end_step(self, loss=None):
        """The optimizer's step has ended it."""


@functools.cache
def attached(case, **how):
    """The report on a training."""
    watched = Attached(**how)
    case(watched)
    return watched.monitor.report()
