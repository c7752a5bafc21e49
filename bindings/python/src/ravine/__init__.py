"""Ravine: optimizers, learning-rate schedules and gradient diagnostics for numpy arrays.

    import ravine as rv
    opt = rv.Optimizer(rv.clip_norm(1) | rv.adamw(lr=rv.cosine(1e-3, steps=1000)), {"w": w})
    report = opt.step({"w": gw})

Every entry of `rv.catalog()` is a function here: `rv.adamw`, `rv.clip_norm`, `rv.cosine`, ...
"""

from __future__ import annotations

from collections.abc import Callable

from ._activations import ActivationStatistics, activation_statistics
from ._catalog import Catalog, Entry, Parameter, Slot, catalog
from ._checks import DerivativeCheck, GradientCheck, check_gradient
from ._errors import (
    ArgumentError,
    CallbackError,
    CancelledError,
    ElementTypeError,
    FileError,
    FormatError,
    LibraryError,
    MismatchError,
    NeedsError,
    NonfiniteError,
    OutOfMemoryError,
    RavineError,
    RecipeError,
    ShapeError,
    StateError,
    UnknownNameError,
    UnsupportedError,
    UsageError,
    nearest,
)
from ._health import Finding, Report
from ._landscape import (
    HessianExtremes,
    LossSlice,
    hessian_extremes,
    loss_slice,
    stability_threshold,
)
from ._init import init
from ._library import isa, set_threads, shutdown, version
from ._metric import MetricReport
from ._monitor import Monitor, Statistics, StepHealth, TensorHealth
from ._noise import NoiseScale, noise_scale
from ._optimizer import Optimizer
from ._range import RangeTest, Suggestion, range_test
from ._recipe import Recipe, Times, times
from ._register import register_rule, register_schedule, register_stage
from ._report import StepReport
from ._sampler import Sampler
from ._schedule import Peak, Schedule, schedule

__version__ = "0.1.0"

__all__ = [
    "ActivationStatistics",
    "ArgumentError",
    "CallbackError",
    "CancelledError",
    "Catalog",
    "DerivativeCheck",
    "ElementTypeError",
    "Entry",
    "FileError",
    "Finding",
    "FormatError",
    "GradientCheck",
    "HessianExtremes",
    "LibraryError",
    "LossSlice",
    "MetricReport",
    "MismatchError",
    "Monitor",
    "NeedsError",
    "NoiseScale",
    "NonfiniteError",
    "Optimizer",
    "OutOfMemoryError",
    "Parameter",
    "RangeTest",
    "Peak",
    "RavineError",
    "Recipe",
    "RecipeError",
    "Report",
    "Sampler",
    "Schedule",
    "ShapeError",
    "Slot",
    "StateError",
    "Statistics",
    "StepHealth",
    "StepReport",
    "Suggestion",
    "TensorHealth",
    "Times",
    "UnknownNameError",
    "UnsupportedError",
    "UsageError",
    "activation_statistics",
    "catalog",
    "check_gradient",
    "hessian_extremes",
    "init",
    "isa",
    "loss_slice",
    "noise_scale",
    "range_test",
    "register_rule",
    "register_schedule",
    "register_stage",
    "schedule",
    "set_threads",
    "shutdown",
    "stability_threshold",
    "times",
    "version",
]

for _name in __all__:
    globals()[_name].__module__ = __name__


def __getattr__(name: str) -> Callable[..., Recipe]:
    """A constructor, made from the catalog when it is first asked for."""
    from ._recipe import constructor

    made = None if name.startswith("_") else constructor(name)
    if made is None:
        near = "" if name.startswith("_") else nearest(name.lower(), __dir__())
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}{near}")
    globals()[name] = made
    return made


def __dir__() -> list[str]:
    from ._catalog import entries

    return sorted({*__all__, *entries(), *(name for name in globals() if name[:2] == "__")})
