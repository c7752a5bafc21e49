"""Writes the pages of docs/ and the table in README.md from the library's own catalog.

`python docs/generate.py` writes them; with --check it only says whether they are up to date.
"""

import pathlib
import sys

import ravine as rv

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reference.md"
SCHEDULES = ROOT / "docs" / "schedules.md"
PICTURES = ROOT / "docs" / "schedules"
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
    if e.kind == "schedule":
        yield f"![{e.example}](schedules/{e.name}.svg)\n"
        yield f"`{e.example}`\n"
    if e.least_rank:
        yield f"Steps tensors of rank {e.least_rank} or more; others need another rule by a clause.\n"
    if e.needs:
        yield f"Needs {e.needs} from the caller: see [{e.needs}.md]({e.needs}.md).\n"
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


def schedules():
    yield "# Schedules\n"
    yield "Made from the catalog by `make docs`. A schedule can stand wherever a number of a rule or a"
    yield "stage can. Each picture is its example. Formulas, ranges and sources are in"
    yield "[reference.md](reference.md#schedules).\n"
    yield "| | | |\n|---|---|---|"
    for e in rv.catalog("schedule"):
        name = f"[`{e.name}`](reference.md#{e.name})"
        yield (
            f"| {name} | ![{e.example}](schedules/{e.name}.svg) "
            f"| {cell(e.summary)}<br>`{cell(e.example)}` |"
        )
    joined = "warmup(sequence((0.1, cosine(0.1, steps=60)), at=(20,)), steps=20)"
    yield f"\n## Questions\n\n```python\ns = rv.schedule({joined!r})\n"
    s = rv.schedule(joined)
    yield f"s(10)                    # {s(10):.4g}, the value at step 10; s.values(100) has them all"
    yield f"s.sum(100)               # {s.sum(100):.4g}, the learning rate spent in 100 steps"
    yield f"s.peak(100)              # {s.peak(100)}"
    yield f"s.first_below(0.01, 100, first=50)  # {s.first_below(0.01, 100, first=50)}"
    yield "s.plot()                 # matplotlib's axes; in a notebook `s` alone is a picture"
    yield f"print(s.sketch(height=9))\n```\n\n```\n{s.sketch(height=9)}```\n"
    yield "From C the same are `rvn_schedule_value`, `_values`, `_sum`, `_peak`, `_first_below` and"
    yield "`_sketch`.\n"
    yield "## Schedules of your own\n"
    yield "```python"
    yield '@rv.register_schedule("my.decay")'
    yield "def decay(step, value, half=1000.0):"
    yield "    return value * 0.5 ** (step / half)\n"
    yield "opt = rv.Optimizer(rv.sgd(rv.warmup(decay(0.1, half=500), steps=100)), {'w': w})"
    yield "```\n"
    yield "From C it is `rvn_schedule_register`. The name has a dot, and then works as every other: in"
    yield "recipes as text, inside other schedules, in clauses, in the catalog. A checkpoint has the name"
    yield "and the values; a new process registers the function again before it reads the recipe."


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
        SCHEDULES: "\n".join(schedules()) + "\n",
        README: f"{head}{BEGIN}\n" + "\n".join(table()) + f"\n{END}{tail}",
    }
    for e in rv.catalog("schedule"):
        wanted[PICTURES / f"{e.name}.svg"] = rv.schedule(e.example).svg() + "\n"
    orphans = [path for path in PICTURES.glob("*.svg") if path not in wanted]
    stale = [
        path for path, text in wanted.items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    if "--check" in sys.argv:
        for path in stale + orphans:
            print(f"{path.name} is not what the catalog says: run `make docs`")
        return 1 if stale or orphans else 0
    PICTURES.mkdir(exist_ok=True)
    for path in orphans:
        path.unlink()
    for path in stale:
        path.write_text(wanted[path], encoding="utf-8")
        print(f"wrote {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
