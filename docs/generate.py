"""Writes docs/reference.md and the table in README.md from the library's own catalog.

`python docs/generate.py` writes them; with --check it only says whether they are up to date.
"""

import pathlib
import sys

import ravine as rv

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reference.md"
README = ROOT / "README.md"
BEGIN, END = "<!-- catalog: begin -->", "<!-- catalog: end -->"

TITLES = {
    "rule": ("Rules", "The rule of a recipe turns a gradient into a step."),
    "stage": ("Stages", "A stage before the rule changes the gradient, one behind it sees the step."),
    "schedule": (
        "Schedules",
        "A schedule can stand wherever a number of a rule or a stage can. Steps count from 0.",
    ),
    "init": (
        "Initializers",
        "An initializer fills a tensor before training: `rvn_init`, `rv.init`. `in` and `out` are the fans.",
    ),
}


def interval(p):
    left = "(" if p.low_open else "["
    right = ")" if p.high_open else "]"
    return f"{left}{p.low:g}, {p.high:g}{right}"


def allowed(p):
    if p.words:
        return ", ".join(f"`{w}`" for w in p.words)
    return {"flag": "0 or 1", "count": f"whole, {interval(p)}"}.get(p.kind, interval(p))


def cell(text):
    return text.replace("|", "\\|").replace("\n", " ")


def section(e):
    yield f"### `{e.name}`\n"
    yield f"{e.summary[0].upper()}{e.summary[1:]}.\n"
    yield f"```\n{e.formula}\n```\n"
    yield "| parameter | default | allowed | meaning |\n|---|---|---|---|"
    for p in e.parameters:
        default = f"`{p.initial}`" if p.initial not in (None, "") else "must be given"
        yield f"| `{p.name}` | {default} | {cell(allowed(p))} | {cell(p.summary)} |"
    yield ""
    if e.slots:
        slots = (
            f"`{s.name}` ({s.summary}{f', only if {s.when} is not 0' if s.when else ''})"
            for s in e.slots
        )
        yield "State: " + ", ".join(slots) + ".\n"
    yield f"Reproduces: {e.reference}.\n"
    yield f"Differences: {e.difference}\n"


def page():
    yield "# Reference\n"
    yield "Made from the catalog by `make docs`. The same text is in `rv.catalog()` and"
    yield "`rvn_catalog_*`. `p` parameters, `g` gradient, `t` step of the tensor counted from 1.\n"
    for kind, (title, text) in TITLES.items():
        yield f"## {title}\n\n{text}\n"
        for e in rv.catalog(kind):
            yield from section(e)


def table():
    yield "| kind | name | what it is |\n|---|---|---|"
    for kind in TITLES:
        for e in rv.catalog(kind):
            yield f"| {kind} | [`{e.name}`](docs/reference.md#{e.name}) | {cell(e.summary)} |"


def main():
    readme = README.read_text(encoding="utf-8")
    head, rest = readme.split(BEGIN)
    _, tail = rest.split(END)
    wanted = {
        PAGE: "\n".join(page()),
        README: f"{head}{BEGIN}\n" + "\n".join(table()) + f"\n{END}{tail}",
    }
    stale = [
        path for path, text in wanted.items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    if "--check" in sys.argv:
        for path in stale:
            print(f"{path.name} is not what the catalog says: run `make docs`")
        return 1 if stale else 0
    for path in stale:
        path.write_text(wanted[path], encoding="utf-8")
        print(f"wrote {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
