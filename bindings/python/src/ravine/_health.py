"""What a monitor found: read from its JSON, shown as text or HTML, saved, compared."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

from ._errors import FileError, FormatError

SCHEMA, VERSION = "ravine.health", 1
_SEVERITIES = ("severe", "warn", "note")


class Place(NamedTuple):
    """One of the arrays that a finding is about."""

    name: str
    depth: int | None
    value: float


class Finding(NamedTuple):
    """One thing that is wrong."""

    code: str
    severity: str
    """ "severe", "warn" or "note"."""
    title: str
    where: str
    value: float
    limit: float
    limit_name: str
    """`monitor.set(f"{code}.{limit_name}", x)` moves the limit."""
    window: int
    """Steps that were looked at."""
    evidence: str
    advice: str
    source: str
    measured: dict[str, float]
    """Further numbers, by name."""
    place_count: int
    places: tuple[Place, ...]
    """The worst of the arrays."""


class Report:
    """What a monitor found, the worst first. `print(report)` shows it."""

    def __init__(self, data: str | bytes) -> None:
        import json  # here, as below: what importing the package does not need

        try:
            self._data = json.loads(data)
            self.findings: list[Finding] = [_finding(f) for f in self._data["findings"]]
            self.steps = int(self._data["steps"])
            version = int(self._data["version"])
            known = self._data["schema"] == SCHEMA
            self._text = [_clean(line) for line in self._data["text"]]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as problem:
            raise FormatError(f"this is no report of ravine: {problem!r}") from None
        if not known or version > VERSION:
            raise FormatError(
                f"this is {self._data['schema']!r} version {version}; "
                f"this package reads {SCHEMA!r} up to version {VERSION}"
            )

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Report:
        """A report that was saved."""
        try:
            with open(path, "rb") as file:
                data = file.read()
        except OSError as problem:
            raise FileError(f"cannot read {os.fspath(path)!r}: {problem.strerror}") from None
        try:
            return cls(data)
        except FormatError as problem:
            raise FormatError(f"{os.fspath(path)}: {problem}") from None

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the JSON. The path holds the old file or the new one, whole, at any moment."""
        import tempfile

        target = os.path.abspath(path)
        try:
            handle, temporary = tempfile.mkstemp(dir=os.path.dirname(target), suffix=".tmp")
            try:
                with os.fdopen(handle, "w", encoding="utf-8") as file:
                    file.write(self.to_json())
                os.replace(temporary, target)
            except BaseException:
                os.unlink(temporary)
                raise
        except OSError as problem:
            raise FileError(f"cannot write {target!r}: {problem.strerror}") from None

    def to_json(self) -> str:
        """The report as JSON: schema "ravine.health", described in ravine.h."""
        import json

        return json.dumps(self._data, indent=1, ensure_ascii=False) + "\n"

    def to_dict(self) -> dict[str, Any]:
        """The same as a dict."""
        import json

        found: dict[str, Any] = json.loads(self.to_json())
        return found

    @property
    def severity(self) -> str | None:
        """The worst severity; None where nothing was found."""
        return self.findings[0].severity if self.findings else None

    @property
    def headline(self) -> str:
        """The first line."""
        return self._text[0] if self._text else ""

    @property
    def limits(self) -> dict[str, float]:
        """All limits by name, as they were."""
        return {
            f"{code['code']}.{limit['name']}": float(limit["value"])
            for code in self._data.get("codes", ())
            for limit in code["limits"]
        }

    def compare(self, other: Report) -> str:
        """What another, later report has more, less, or otherwise."""
        before = {(f.code, f.where): f for f in self.findings}
        after = {(f.code, f.where): f for f in other.findings}
        lines = [f"{self.steps} steps, then {other.steps} steps"]
        for key, f in after.items():
            if key not in before:
                lines.append(f"new      {f.severity:6}  {f.code}: {f.where}: {f.evidence}")
        for key, f in before.items():
            if key not in after:
                lines.append(f"gone     {f.severity:6}  {f.code}: {f.where}")
        for key, f in after.items():
            old = before.get(key)
            if old is None:
                continue
            changed = "" if old.severity == f.severity else f"{old.severity} -> {f.severity}, "
            mark = "changed" if changed or old.value != f.value else "same   "
            value = (
                f"{old.value:.3g} -> {f.value:.3g}" if old.value != f.value else f"{f.value:.3g}"
            )
            lines.append(f"{mark}  {f.severity:6}  {f.code}: {f.where}: {changed}{value}")
        if len(lines) == 1:
            lines.append("nothing found in either")
        return "\n".join(_clean(line) for line in lines) + "\n"

    def __str__(self) -> str:
        return "\n".join(self._text) + "\n"

    def __repr__(self) -> str:
        return "\n".join(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Report) and self._data == other._data

    __hash__ = None  # type: ignore[assignment]

    def _repr_html_(self) -> str:
        from html import escape

        """A table without scripts, for light and dark pages."""
        rows = []
        for f in self.findings:
            rows.append(
                f"<tr style='vertical-align:top'><td><b>{escape(f.severity)}</b></td>"
                f"<td><code>{escape(f.code)}</code><br>{escape(f.title)}</td>"
                f"<td>{escape(f.where)}</td><td>{escape(f.evidence)}</td>"
                f"<td>{escape(f.advice)}<br><small>{escape(f.source)}</small></td></tr>"
            )
        head = "".join(f"<th>{h}</th>" for h in ("", "finding", "where", "seen", "try"))
        table = f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
        return f"<p>{escape(self.headline)}</p>{table if rows else ''}"


def _finding(data: dict[str, Any]) -> Finding:
    values = {name: data[name] for name in Finding._fields}
    if values["severity"] not in _SEVERITIES:
        raise ValueError(f"severity {values['severity']!r}")
    values["value"], values["limit"] = float(values["value"]), float(values["limit"])
    values["measured"] = {name: float(x) for name, x in values["measured"].items()}
    values["places"] = tuple(
        Place(p["name"], p.get("depth"), float(p["value"])) for p in values["places"]
    )
    return Finding(**values)


def _clean(line: str) -> str:
    """Without characters that would steer a terminal: a file may come from anywhere."""
    return "".join(c if c.isprintable() else "?" for c in line)
