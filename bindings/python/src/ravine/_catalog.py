"""The catalog: every rule, stage, schedule and initializer, as the library lists them."""

from __future__ import annotations

from ctypes import byref
from math import inf
from typing import NamedTuple

from . import _layout as layout
from ._errors import UnknownNameError, nearest
from ._library import check, lib

_KINDS = {1: "number", 2: "flag", 3: "word", 4: "count", 5: "list", 6: "schedule", 7: "schedules"}

Value = float | bool | str | tuple[float, ...]


class Parameter(NamedTuple):
    """A parameter of an entry. `initial` is its default as recipe text, "" if it must be given."""

    name: str
    kind: str = "number"
    """number (of a rule or a stage also a schedule), flag, word, count, list (of numbers), schedule (or a
    number), or schedules (in parentheses)"""
    initial: str = ""
    low: float = -inf
    high: float = inf
    summary: str = ""
    words: tuple[str, ...] = ()
    low_open: bool = False
    high_open: bool = False

    @property
    def required(self) -> bool:
        """Whether it must be given."""
        return self.initial == ""

    @property
    def default(self) -> Value:
        """The default as a Python value; "" if it must be given."""
        text = self.initial.strip()
        if self.kind == "flag":
            return text in ("true", "1")
        if self.kind == "list":
            items = text.strip("()").split(",")
            return tuple(_number(item) for item in items if item.strip())
        try:
            return _number(text)
        except ValueError:
            return text  # a word, or a schedule

    @property
    def range(self) -> str:
        """What is allowed, in words or as an interval."""
        if self.kind == "word":
            return " or ".join(self.words)
        if self.kind == "flag":
            return "true or false"
        left = "(" if self.low_open or self.low == float("-inf") else "["
        right = ")" if self.high_open or self.high == float("inf") else "]"
        return f"{left}{self.low:g}, {self.high:g}{right}"


class Slot(NamedTuple):
    """What a rule, a stage or a reactive schedule remembers.

    It exists while the parameter `when` is not 0; "": always.
    """

    name: str
    summary: str
    when: str


class Entry(NamedTuple):
    """One thing that a recipe can name."""

    name: str
    kind: str
    parameters: tuple[Parameter, ...]
    summary: str
    reference: str
    formula: str
    difference: str
    slots: tuple[Slot, ...]
    example: str
    least_rank: int = 0  # of the tensors that it steps
    needs: str = ""
    """What a rule must be given beside gradients: "curvature" (`Optimizer.curvature`), or ""."""

    @property
    def signature(self) -> str:
        """How it is written in a recipe, with the defaults."""
        return f"{self.name}({', '.join(map(_argument, self.parameters))})"

    def __str__(self) -> str:
        return f"{self.signature}: {self.summary}"


class Catalog(list[Entry]):
    """A list of entries that prints as a table."""

    def __repr__(self) -> str:
        kind = max([len(entry.kind) for entry in self], default=0)
        name = max([len(entry.name) for entry in self], default=0)
        return "\n".join(
            f"{entry.kind:{kind}}  {entry.name:{name}}  {entry.summary}" for entry in self
        )

    def _repr_html_(self) -> str:
        from html import escape

        rows = "".join(
            "<tr>"
            + "".join(
                f"<td style='text-align:left'>{escape(text)}</td>"
                for text in (entry.kind, entry.signature, entry.summary, entry.reference)
            )
            + "</tr>"
            for entry in self
        )
        head = "<th>kind</th><th>entry</th><th>summary</th><th>reference</th>"
        return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def kind_number(kind: str) -> int:
    """The number that the header has for a kind of parameter."""
    for number, name in _KINDS.items():
        if name == kind:
            return number
    raise UnknownNameError(
        f"no kind of parameter is called {kind!r}{nearest(kind, list(_KINDS.values()))}"
    )


def _number(text: str) -> float:
    try:
        return int(text)
    except ValueError:
        return float(text)


def _argument(parameter: Parameter) -> str:
    return f"{parameter.name}={parameter.initial}" if parameter.initial else parameter.name


def _parameter(entry: int, index: int) -> Parameter:
    raw = layout.Parameter()
    check(lib.rvn_catalog_parameter(entry, index, byref(raw)))
    return Parameter(
        raw.name.decode(),
        _KINDS.get(raw.kind, str(raw.kind)),
        raw.initial.decode(),
        raw.low,
        raw.high,
        raw.summary.decode(),
        tuple(raw.words.decode().split()),
        bool(raw.low_open),
        bool(raw.high_open),
    )


def _slot(entry: int, index: int) -> Slot:
    raw = layout.Slot()
    check(lib.rvn_catalog_slot(entry, index, byref(raw)))
    return Slot(raw.name.decode(), raw.summary.decode(), raw.when.decode())


def _entry(index: int) -> Entry:
    raw = layout.Entry()
    check(lib.rvn_catalog_entry(index, byref(raw)))
    return Entry(
        raw.name.decode(),
        raw.kind.decode(),
        tuple(_parameter(index, i) for i in range(raw.parameter_count)),
        raw.summary.decode(),
        raw.reference.decode(),
        raw.formula.decode(),
        raw.difference.decode(),
        tuple(_slot(index, i) for i in range(raw.state_count)),
        raw.example.decode(),
        raw.least_rank,
        raw.needs.decode(),
    )


_entries: dict[str, Entry] = {}


def entries() -> dict[str, Entry]:
    """All entries by name, in the order of the documentation; each is read once."""
    count = lib.rvn_catalog_count()  # a registration adds one at the end
    if len(_entries) < count:
        found = (_entry(index) for index in range(len(_entries), count))
        _entries.update({entry.name: entry for entry in found})
    return _entries


def catalog(kind: str | None = None) -> Catalog:
    """The entries that recipes can name, or those of one kind: "rule", "stage", "schedule", "init"."""
    every = entries().values()
    if kind is None:
        return Catalog(every)
    kinds = list(dict.fromkeys(entry.kind for entry in every))
    if kind not in kinds:
        raise UnknownNameError(f"the catalog has no kind {kind!r}{nearest(str(kind), kinds)}")
    return Catalog(entry for entry in every if entry.kind == kind)
