"""What is one's own in the catalog: Python functions under dotted names."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from ctypes import c_char
from math import isinf
from typing import Any, overload

import numpy as np

from . import _layout as layout
from ._catalog import Parameter, kind_number
from ._errors import ArgumentError, UsageError
from ._library import broken, check, encode, lib, raised
from ._recipe import Recipe, constructor, value_text

Function = Callable[..., Any]


class _Registered:
    """What the library calls, and what lives as long as the process for it."""

    def __init__(self, function: Function, parameters: tuple[Parameter, ...]) -> None:
        self.function = function
        self.parameters = parameters

    def likeness(self) -> object:
        """What a replacement must have in common with it."""
        return type(self), self.parameters

    def register(self, name: bytes, *texts: bytes) -> None:
        raise NotImplementedError

    def values(self, native: Any) -> list[Any]:
        return [_value(p, native[i]) for i, p in enumerate(self.parameters)]

    def array(self) -> Any:
        return (layout.Parameter * len(self.parameters))(*map(_struct, self.parameters))


class _Schedule(_Registered):
    def register(self, name: bytes, *texts: bytes) -> None:
        self.native = layout.SCHEDULE_FUNCTION(self._call)
        array = self.array()
        struct = layout.HostSchedule(*texts, array, len(array), self.native)
        check(lib.rvn_schedule_register(name, struct))

    def _call(self, user: None, step: float, values: Any, out: Any) -> int:
        try:
            out[0] = float(self.function(step, *self.values(values)))
        except BaseException as problem:  # the cause of the exception of the call under way
            raised.problem = problem
            return 1
        return 0


class _Step(_Registered):
    """A rule, or a stage before or behind the rule."""

    name = ""

    def __init__(
        self,
        function: Function,
        parameters: tuple[Parameter, ...],
        state: tuple[str, ...],
        kind: str,
        follows: bool = False,
    ) -> None:
        super().__init__(function, parameters)
        self.state, self.kind, self.follows = state, kind, follows

    def likeness(self) -> object:
        return self.kind, self.follows, self.state, self.parameters

    def register(self, name: bytes, *texts: bytes) -> None:
        self.name = name.decode()
        self.native = layout.HOST_FUNCTION(self._call)
        array = self.array()
        names = encode(" ".join(self.state), "state")
        struct = layout.HostRule(
            *texts, array, len(array), names, self.native, None, int(self.follows)
        )
        call = lib.rvn_rule_register if self.kind == "rule" else lib.rvn_stage_register
        check(call(name, struct))

    def _call(self, user: None, native: Any) -> int:
        try:
            c = native.contents
            dtype = np.dtype(np.float64 if c.dtype == layout.F64 else np.float32)

            def view(address: int, writeable: bool = False) -> np.ndarray:
                memory = (c_char * (c.count * dtype.itemsize)).from_address(address)
                array = np.frombuffer(memory, dtype)
                array.flags.writeable = writeable
                return array

            out = view(c.out, True)
            new = (out.copy(),) if self.follows else ()
            state = [view(c.state[i], True) for i in range(len(self.state))]
            made = self.function(
                c.step, view(c.p), *new, view(c.g), *state, *self.values(c.parameters)
            )
            if made is None:
                raise TypeError(f"{self.name} returned None, not an array of {c.count} numbers")
            out[:] = made
        except BaseException as problem:  # the cause of the exception of the call under way
            broken[self.name] = problem
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
    _callable(function)
    declared = _signature(function, 1) if parameters is None else tuple(parameters)
    return _enter(name, _Schedule(function, declared), summary, formula, reference, replace)


def register_rule(
    name: str,
    function: Callable[..., Any] | None = None,
    *,
    state: Iterable[str] = (),
    parameters: Iterable[Parameter] | None = None,
    summary: str | None = None,
    formula: str = "",
    reference: str = "",
    replace: bool = False,
) -> Callable[..., Any]:
    """Registers a Python function as an update rule, for recipes of the whole process.

        @rv.register_rule("my.momentum", state=["m"])
        def momentum(step, p, g, m, lr=0.01, momentum=0.9):
            m[:] = momentum * m + g
            return p - lr * m

        opt = rv.Optimizer(rv.clip_norm(1) | momentum(rv.cosine(0.1, steps=1000)), [w])
        same = rv.Optimizer("clip_norm(1) | my.momentum(cosine(0.1, steps=1000))", [w])

    Args:
        name: Two or more words of letters, digits and _, joined by dots.
        function: `function(step, p, g, *state, *values)` returns the new parameters. It gets up to
            1,024 elements of a tensor at a time, as arrays of float32 (float64 for tensors of
            float64): the parameters and the gradient, which it must not change, and an array of
            state for each name, which it changes in place and which begins at 0. `step` counts the
            tensor's updates from 1. What it does must hang on what it is given alone: it is called
            for any elements in any order, from several threads, and where a recipe measures first
            more than once, on copies of the state. It must not use the optimizer. What it raises
            is the cause of the `CallbackError` of the step; the optimizer is then good for `load`
            only.
        state: Names of the arrays of state, at most 8.
        parameters: What recipes may give, the first of them `lr`; without them they are those of
            the function behind its arrays, as in `register_schedule`. A number takes schedules.
        summary, formula, reference: For the catalog; the summary is the first line of the
            docstring if it is not given.
        replace: As in `register_schedule`.

    Returns:
        The function that makes recipes, as `rv.adam` does; used as a decorator, it takes the place
        of `function`, which stays as its `__wrapped__`.

    A call takes some 10 microseconds, whatever it computes: a rule in C (`rvn_rule_register`) is for
    speed, one in Python to try something.
    """
    return _register_step(
        "rule", name, function, False, state, parameters, summary, formula, reference, replace
    )


def register_stage(
    name: str,
    function: Callable[..., Any] | None = None,
    *,
    follows: bool = False,
    state: Iterable[str] = (),
    parameters: Iterable[Parameter] | None = None,
    summary: str | None = None,
    formula: str = "",
    reference: str = "",
    replace: bool = False,
) -> Callable[..., Any]:
    """Registers a Python function as a stage of recipes.

        @rv.register_stage("my.soft_sign")
        def soft_sign(step, p, g, scale=1.0):
            return g / (scale + abs(g))

        opt = rv.Optimizer(soft_sign(0.1) | rv.sgd(0.01), [w])

    As `register_rule`, but for what it is given and returns. Before the rule it is
    `function(step, p, g, *values)`, returns another gradient and keeps no state; `step` counts the
    optimizer's steps from 1. With `follows=True` it stands behind the rule, and
    `function(step, p, new, g, *state, *values)` returns other new parameters.
    """
    return _register_step(
        "stage", name, function, follows, state, parameters, summary, formula, reference, replace
    )


def _register_step(
    kind: str,
    name: str,
    function: Callable[..., Any] | None,
    follows: bool,
    state: Iterable[str],
    parameters: Iterable[Parameter] | None,
    summary: str | None,
    formula: str,
    reference: str,
    replace: bool,
) -> Callable[..., Any]:
    """A rule or a stage; without a function, what takes one."""
    if function is None:
        return lambda f: _register_step(
            kind, name, f, follows, state, parameters, summary, formula, reference, replace
        )
    _callable(function)
    arrays = tuple(state)
    skip = 3 + int(follows) + len(arrays)  # the step, the arrays of parameters and gradient
    declared = _signature(function, skip) if parameters is None else tuple(parameters)
    new = _Step(function, declared, arrays, kind, follows)
    return _enter(name, new, summary, formula, reference, replace)


def _callable(function: object) -> None:
    if not callable(function):
        raise UsageError(f"function must be callable, not a {type(function).__name__}")


def _enter(
    name: str,
    new: _Registered,
    summary: str | None,
    formula: str,
    reference: str,
    replace: bool,
) -> Callable[..., Any]:
    """Registers it, or puts its function in place of one that was; what makes recipes of it."""
    said = encode(name, "name")
    if replace and name in _registered:
        known = _registered[name]
        if known.likeness() != new.likeness():
            raise ArgumentError(f"{name} was registered with other parameters, which stay")
        known.function = new.function
    else:
        if summary is None:
            summary = (inspect.getdoc(new.function) or "").partition("\n")[0]
        new.register(
            said,
            encode(summary, "summary"),
            encode(formula, "formula"),
            encode(reference, "reference"),
        )
        _registered[name] = new
    made = constructor(name)
    assert made is not None
    made.__wrapped__ = new.function  # type: ignore[attr-defined]
    return made


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


def _signature(function: Function, skip: int) -> tuple[Parameter, ...]:
    """The parameters of a function behind the first ones: the step and the arrays."""
    try:
        arguments = list(inspect.signature(function).parameters.values())
    except ValueError:
        raise UsageError(f"{function!r} does not tell its parameters: give `parameters`") from None
    plain = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    if len(arguments) < skip or any(a.kind not in plain for a in arguments):
        before = "the step" if skip == 1 else f"the step and {skip - 1} arrays"
        raise UsageError(
            f"it is a function of {before} and of parameters by place, "
            f"f(step, ..., value, ...), not {function!r}"
        )
    return tuple(_parameter(a) for a in arguments[skip:])


def _parameter(argument: inspect.Parameter) -> Parameter:
    initial = "" if argument.default is argument.empty else argument.default
    kind = "flag" if isinstance(initial, bool) else "number"
    return Parameter(argument.name, kind, value_text(initial, argument.name))


def _value(p: Parameter, x: float) -> Any:
    """What the function is given: a word as its text, a flag as a bool, a count as an int."""
    if p.kind == "word":
        return p.words[int(x)]
    return {"flag": bool, "count": int}.get(p.kind, float)(x)
