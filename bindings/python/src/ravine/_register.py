"""Schedules of one's own: a Python function under a dotted name, as the library's own ones are."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from math import isinf
from typing import Any, overload

from . import _layout as layout
from ._catalog import Parameter, kind_number
from ._errors import ArgumentError, UsageError
from ._library import check, encode, lib, raised
from ._recipe import Recipe, constructor, value_text

Function = Callable[..., float]


class _Registered:
    """What the library calls, and what lives as long as the process for it."""

    def __init__(self, function: Function, parameters: tuple[Parameter, ...]) -> None:
        self.function = function
        self.parameters = parameters
        self.native = layout.SCHEDULE_FUNCTION(self._call)

    def _call(self, user: None, step: float, values: Any, out: Any) -> int:
        try:
            given = [_value(p, values[i]) for i, p in enumerate(self.parameters)]
            out[0] = float(self.function(step, *given))
        except BaseException as problem:  # the cause of the exception of the call under way
            raised.problem = problem
            return 1
        return 0


_registered: dict[str, _Registered] = {}


@overload
def register_schedule(
    name: str,
    function: Function,
    *,
    parameters: Iterable[Parameter] | None = None,
    summary: str | None = None,
    formula: str = "",
    reference: str = "",
    replace: bool = False,
) -> Callable[..., Recipe]: ...


@overload
def register_schedule(
    name: str,
    function: None = None,
    *,
    parameters: Iterable[Parameter] | None = None,
    summary: str | None = None,
    formula: str = "",
    reference: str = "",
    replace: bool = False,
) -> Callable[[Function], Callable[..., Recipe]]: ...


def register_schedule(
    name: str,
    function: Function | None = None,
    *,
    parameters: Iterable[Parameter] | None = None,
    summary: str | None = None,
    formula: str = "",
    reference: str = "",
    replace: bool = False,
) -> Callable[..., Any]:
    """Registers a Python function as a schedule, for recipes of the whole process.

        @rv.register_schedule("my.decay")
        def decay(step, value, half=1000.0):
            return value * 0.5 ** (step / half)

        opt = rv.Optimizer(rv.sgd(rv.warmup(decay(0.1, half=500), steps=100)), [w])
        same = rv.Optimizer("sgd(warmup(my.decay(0.1, half=500), steps=100))", [w])

    Args:
        name: Two or more words of letters, digits and _, joined by dots.
        function: `function(step, *values)` returns the value at a step: a number, NaN where there
            is none. `step` is a float from 0 on, whole save inside `per_epoch(smooth=True)`. It
            must be a function of its arguments alone: it is asked for any step, in any order, as
            often as the library likes, from every thread that calls the library. What it raises is
            the cause of the `CallbackError` of the call under way; a step then changes nothing.
        parameters: What recipes may give: `rv.Parameter("half", "count", 1000, low=1)`. Without
            them they are those of the function: numbers, flags where the default is True or False,
            to be given where there is no default.
        summary, formula, reference: For the catalog; the summary is the first line of the
            docstring if it is not given.
        replace: Puts the function in place of one that was registered under this name with the
            same parameters, for optimizers that exist, too: for a cell of a notebook that runs
            again. Otherwise a name is registered once.

    Returns:
        The function that makes recipes, as `rv.cosine` does; used as a decorator, it takes the
        place of `function`, which stays as its `__wrapped__`.

    A checkpoint has the name and the values, not the function: a new process registers it again
    before it creates the optimizer.
    """
    if function is None:
        return lambda f: register_schedule(
            name,
            f,
            parameters=parameters,
            summary=summary,
            formula=formula,
            reference=reference,
            replace=replace,
        )
    if not callable(function):
        raise UsageError(f"function must be callable, not a {type(function).__name__}")
    declared = _signature(function) if parameters is None else tuple(parameters)
    said = encode(name, "name")
    if replace and name in _registered:
        known = _registered[name]
        if known.parameters != declared:
            raise ArgumentError(f"{name} was registered with other parameters, which stay")
        known.function = function
    else:
        if summary is None:
            summary = (inspect.getdoc(function) or "").partition("\n")[0]
        new = _Registered(function, declared)
        _register(said, new, summary, formula, reference)
        _registered[name] = new
    made = constructor(name)
    assert made is not None
    made.__wrapped__ = function  # type: ignore[attr-defined]
    return made


def _register(name: bytes, new: _Registered, summary: str, formula: str, reference: str) -> None:
    array = (layout.Parameter * len(new.parameters))(*map(_struct, new.parameters))
    check(
        lib.rvn_schedule_register(
            name,
            layout.HostSchedule(
                encode(summary, "summary"),
                encode(formula, "formula"),
                encode(reference, "reference"),
                array,
                len(array),
                new.native,
            ),
        )
    )


def _struct(p: Parameter) -> layout.Parameter:
    """A parameter as the header has it, where 0 to 0 is any number."""
    low, high = (0.0 if isinf(x) else float(x) for x in (p.low, p.high))
    if isinf(p.low) != isinf(p.high):
        low, high = p.low, p.high
        if p.kind == "count":
            low, high = max(low, 0), min(high, 1e15)
    return layout.Parameter(
        encode(p.name, "name"),
        encode(p.summary, "summary"),
        encode(value_text(p.initial, p.name), "initial"),
        encode(" ".join(p.words), "words"),
        low,
        high,
        kind_number(p.kind),
        int(p.low_open or isinf(low)),
        int(p.high_open or isinf(high)),
    )


def _signature(function: Function) -> tuple[Parameter, ...]:
    """The parameters of a function behind the first, which is the step."""
    try:
        arguments = list(inspect.signature(function).parameters.values())
    except ValueError:
        raise UsageError(f"{function!r} does not tell its parameters: give `parameters`") from None
    plain = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    if not arguments or any(a.kind not in plain for a in arguments):
        raise UsageError(
            "a schedule is a function of the step and of parameters by place, "
            f"f(step, value, ...), not {function!r}"
        )
    return tuple(_parameter(a) for a in arguments[1:])


def _parameter(argument: inspect.Parameter) -> Parameter:
    initial = "" if argument.default is argument.empty else argument.default
    kind = "flag" if isinstance(initial, bool) else "number"
    return Parameter(argument.name, kind, value_text(initial, argument.name))


def _value(p: Parameter, x: float) -> Any:
    """What the function is given: a word as its text, a flag as a bool, a count as an int."""
    if p.kind == "word":
        return p.words[int(x)]
    return {"flag": bool, "count": int}.get(p.kind, float)(x)
