"""What a metric did to the reactive schedules."""

from __future__ import annotations

from collections.abc import Callable
from ctypes import byref, c_double
from typing import Any, NamedTuple, SupportsFloat

from . import _layout as layout
from ._errors import UsageError


class MetricReport(NamedTuple):
    """What a metric did. Of several reactive schedules, all but `changed` is of the first."""

    changed: int
    """How many of them have another scale now: true if any has."""
    scale: float
    """What the schedule is multiplied by from the next step on; 1 at first."""
    compared: float
    """The metric or average that was compared with the best one; NaN where none was."""
    best: float
    """The best one so far."""
    bad: int
    """How many in a row were not better."""

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self))


def take_metric(call: Callable[..., None], value: SupportsFloat) -> MetricReport:
    """Makes the call with a metric, and reads what it tells."""
    try:
        number = float(value) if not isinstance(value, (str, bytes)) else None
    except (TypeError, ValueError):
        number = None
    if number is None:
        raise UsageError(f"a metric is a number, not a {type(value).__name__}")
    told = layout.MetricReport()
    call(c_double(number), byref(told))
    return MetricReport(told.changed, told.scale, told.compared, told.best, told.bad)
