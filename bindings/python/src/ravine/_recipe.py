"""Recipes as objects: text that prints as itself, joined by `|`, made by one function per entry."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from operator import index
from typing import Any

import numpy as np

from ._catalog import Entry, Parameter, entries
from ._errors import ArgumentError, UsageError, nearest

# The stages of a recipe: up to the first ';' outside of quotes and comments.
_CHAIN = r"""(?:[^;#"']|"[^"]*"|'[^']*'|#[^\n]*|["'])*"""


class Recipe:
    """The text of an optimizer, a stage, a schedule or an initializer.

    `clip_norm(1) | adamw(1e-3)` joins stages, `clause` adds settings for some tensors.
    The library reads the text when an optimizer is made.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str | Recipe) -> None:
        if not isinstance(text, (str, Recipe)):
            raise UsageError(f"a recipe is text or a Recipe, not {type(text).__name__}")
        self._text = str(text)

    def __or__(self, other: str | Recipe) -> Recipe:
        if not isinstance(other, (str, Recipe)):
            return NotImplemented
        return _join(str(self), str(other))

    def __ror__(self, other: str | Recipe) -> Recipe:
        if not isinstance(other, str):
            return NotImplemented
        return _join(other, str(self))

    def clause(
        self, patterns: str | Iterable[str], clause: str | Recipe | None = None, **values: Any
    ) -> Recipe:
        """This recipe with other settings for the tensors that match.

        `patterns` are globs on names such as "*.bias", or tests such as "@rank<2"; several in a
        list or separated by commas; "head.*?" may match nothing. Then either `name=value`
        (`weight_decay=0`, `lr=rv.times(0.1)`), or a rule (`rv.sgd(0.1)`), or `frozen=True`.
        """
        end = "\n" if "#" in self._text else ""
        said = clause_text(clause, values)
        return Recipe(f"{self._text}{end}; {patterns_text(patterns)}: {said}")

    def __str__(self) -> str:
        return self._text

    __repr__ = __str__

    def __eq__(self, other: object) -> bool:
        return self._text == other._text if isinstance(other, Recipe) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._text)


def _join(left: str, right: str) -> Recipe:
    parts = []
    for text in (left, right):
        match = re.match(_CHAIN, text)
        end = match.end() if match else 0
        parts.append((text[:end].strip(), text[end:].strip()))
    (first, first_clauses), (second, second_clauses) = parts
    between = "\n| " if "#" in first else " | "
    newline = "\n" if "#" in second + first_clauses else ""
    return Recipe(f"{first}{between}{second}{newline}{first_clauses}{newline}{second_clauses}")


class Times:
    """A factor on the value that holds otherwise: `lr=times(0.1)` is `lr=x0.1`."""

    __slots__ = ("_factor",)

    def __init__(self, factor: float) -> None:
        if isinstance(factor, (str, Recipe)):
            raise UsageError(f"times takes a number, not a {type(factor).__name__}")
        self._factor = value_text(factor, "times")

    def __repr__(self) -> str:
        return f"x{self._factor}"


def times(factor: float) -> Times:
    """A factor for a clause: `recipe.clause("head.*", lr=rv.times(10))` writes `lr=x10`."""
    return Times(factor)


def patterns_text(patterns: str | Iterable[str]) -> str:
    """Patterns of a clause, one or several, as recipe text."""
    return patterns if isinstance(patterns, str) else ", ".join(patterns)


def clause_text(clause: str | Recipe | None, values: dict[str, Any]) -> str:
    """What a clause says, as recipe text."""
    if (clause is not None) == bool(values):
        raise UsageError("a clause is either a rule or text, or name=value, or frozen=True")
    if clause is not None:
        return str(Recipe(clause))
    if "frozen" in values:
        if values["frozen"] is not True or len(values) > 1:
            raise UsageError("a clause says frozen=True alone, or does not say it")
        return "frozen"
    return ", ".join(f"{name}={value_text(value, name)}" for name, value in values.items())


def value_text(value: Any, where: str) -> str:
    """A value as recipe text. Strings are taken as they are: a word, or a schedule's text."""
    if isinstance(value, (str, Recipe, Times)):
        return str(value)
    if isinstance(value, (bool, np.bool_)):
        return "true" if value else "false"
    if isinstance(value, (tuple, list, np.ndarray)) and np.ndim(value) == 1:
        return f"({', '.join(value_text(item, where) for item in value)})"
    recipe = getattr(value, "recipe", None)  # an evaluated schedule
    if isinstance(recipe, str):
        return recipe
    number: Any = value
    try:
        return str(index(number))
    except TypeError:
        pass
    try:
        return repr(float(number))
    except (TypeError, ValueError):
        kind = type(value).__name__
        raise UsageError(f"{where} is a {kind}; give a number, a schedule or a tuple") from None


def _checked(entry: Entry, parameter: Parameter, value: Any) -> str:
    where = f"{entry.name}: {parameter.name}"
    text = value_text(value, where)
    if parameter.kind == "word" and text not in parameter.words:
        text = text.removesuffix(".0")  # a word may be a number: p=2
        if text not in parameter.words:
            raise ArgumentError(f"{where} is {value!r}{nearest(text, list(parameter.words))}")
    return text


def _docstring(entry: Entry) -> str:
    lines = [entry.summary, ""]
    lines += [f"    {line}" for line in entry.formula.split("\n") if entry.formula] + [""]
    lines += ["Parameters", "----------"]
    for parameter in entry.parameters:
        default = "must be given" if parameter.required else f"default {parameter.default}"
        kind = {
            "number": "number or schedule" if entry.kind in ("rule", "stage") else "number",
            "schedule": "schedule or number",
            "schedules": "tuple of schedules or numbers",
        }
        lines.append(
            f"{parameter.name} : {kind.get(parameter.kind, parameter.kind)},"
            f" {parameter.range}, {default}"
        )
        lines.append(f"    {parameter.summary}")
    if entry.slots:
        lines += ["", "State", "-----"]
        for slot in entry.slots:
            when = f" (where {slot.when} is not 0)" if slot.when else ""
            lines.append(f"{slot.name} : {slot.summary}{when}")
    if entry.reference:
        lines += ["", f"Reference: {entry.reference}"]
    if entry.difference:
        lines += ["", f"Difference: {entry.difference}"]
    return "\n".join(lines) + "\n"


def _constructor(entry: Entry) -> Callable[..., Recipe]:
    from inspect import Parameter as Argument
    from inspect import Signature

    arguments = []
    optional = named = False
    for parameter in entry.parameters:
        named = named or (parameter.required and optional)  # Python has no other place for it
        optional = optional or not parameter.required
        kind = Argument.KEYWORD_ONLY if named else Argument.POSITIONAL_OR_KEYWORD
        default = Argument.empty if parameter.required else parameter.default
        arguments.append(Argument(parameter.name, kind, default=default))
    by_name = {parameter.name: parameter for parameter in entry.parameters}
    required = [parameter.name for parameter in entry.parameters if parameter.required]
    positional = sum(argument.kind is not Argument.KEYWORD_ONLY for argument in arguments)

    def constructor(*args: Any, **values: Any) -> Recipe:
        if len(args) > positional:
            raise UsageError(
                f"{entry.name} takes {positional} positional arguments, and {len(args)} were given"
            )
        given = dict(zip(by_name, args, strict=False))
        for name in values:
            if name not in by_name:
                close = nearest(name, list(by_name))
                raise UsageError(f"{entry.name} has no parameter {name!r}{close}")
            if name in given:
                raise UsageError(f"{entry.name}: {name} was given twice")
        missing = [name for name in required if name not in given and name not in values]
        if missing:
            raise UsageError(f"{entry.name} needs {' and '.join(missing)}")
        parts = [_checked(entry, by_name[name], value) for name, value in given.items()]
        parts += [f"{name}={_checked(entry, by_name[name], values[name])}" for name in values]
        return Recipe(f"{entry.name}({', '.join(parts)})")

    constructor.__name__ = constructor.__qualname__ = entry.name
    constructor.__module__ = "ravine"
    constructor.__doc__ = _docstring(entry)
    signature = Signature(arguments, return_annotation=Recipe)
    constructor.__signature__ = signature  # type: ignore[attr-defined]
    return constructor


def constructor(name: str) -> Callable[..., Recipe] | None:
    """The function that makes a stage, a rule, a schedule or an initializer of that name."""
    entry = entries().get(name)
    return _constructor(entry) if entry else None
