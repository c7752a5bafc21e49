"""Writes docs/health.md: each code as the library declares it, with the output of a real training.

`python docs/health.py` writes it; with --check it only says whether what is not output is up to date
(the last digits of a training depend on the machine's matrix products).
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "Tests" / "python" / "health"))

import cases  # noqa: E402
import tape  # noqa: E402

import ravine as rv  # noqa: E402

PAGE = ROOT / "docs" / "health.md"

INTRO = """# Gradient health

A monitor takes arrays of a training by name and kind, and says what is wrong, where, how that is known
and what to try. It judges; the numbers are there as evidence.

```python
m = rv.Monitor()
for step in range(1000):
    ...
    for k, name in enumerate(params):
        m.record(name, grads[name], depth=layer_of[name])
        m.record(name, params[name], "weight")
        m.record(name, updates[name], "update")
    m.end_step(loss)
print(m.report())
m.report().save("run.json")   # python -m ravine report run.json [later.json]
```

From C the same is `rvn_monitor_create`, `_record`, `_end_step` and `_report` (see
[`ravine.h`](../include/ravine.h)).

## What to record

| kind | what | lets it judge |
|---|---|---|
| `gradient` | of parameters, before clipping, `depth=` counted from the input | `non_finite growth spike vanishing exploding dead bouncing noise` |
| `gradient` with the name of an activation | of the output of a layer | `vanishing exploding`, better than from parameters |
| `gradient` with `time=` | of a recurrent state, one record for each time | `vanishing_through_time exploding_through_time` |
| `activation` | the output of a layer, units on the last axis | `dead saturated vanishing exploding` |
| `weight` and `update` | a tensor before the step, and what is taken from it, as computed | `step_too_large step_too_small swallowed` |
| `loss`, or `end_step(loss)` | of the step | `non_finite growth spike plateau` |

Whatever is missing is named at the end of a report, and nothing is assumed for it. Of gradients by depth
the best that is there for every layer is taken: of outputs, else of biases (arrays of rank 0 and 1; their
gradient is the sum over the batch of that of the outputs), else of weights.

## What holds for all verdicts

- They do not change when the loss is multiplied by a constant, when tensors are put in another order or
  are cut in two, or when their type changes. Magnitudes are compared with each other, never with a fixed
  number.
- Values that are not finite are found one by one, told with their first place, and enter no running
  number. Norms are summed in 64-bit floats, right for 1e20 and 1e-30 in float32.
- Running numbers are medians over the last steps: what happens once (save for spikes, growth and values
  that are not finite, which are kept) does not make a finding, and what is over goes away.
- Severities: `severe` spoils the training, `warn` probably does, `note` is worth knowing. Healthy
  trainings have notes.
- Every limit has a name, a default and a source, and can be moved: `m.set("vanishing.warn", 100)`.
- The flight recorder keeps the 21 steps before the first value that is not finite, growth or a spike.
"""

# A training of Tests/python/health/cases.py for each code.
RUNS = {
    "non_finite": cases.poisoned,
    "growth": cases.diverging,
    "step_too_large": cases.large_steps,
    "spike": cases.outlier,
    "exploding": cases.large_gain,
    "vanishing": cases.deep_sigmoid,
    "exploding_through_time": cases.explosive_memory,
    "vanishing_through_time": cases.short_memory,
    "dead": cases.half_dead_layer,
    "saturated": cases.saturated,
    "step_too_small": cases.small_steps,
    "swallowed": cases.half_precision,
    "bouncing": cases.bouncing,
    "plateau": cases.no_progress,
    "noise": cases.healthy_digits,
}


def sentence(text):
    return text[0].upper() + text[1:] + "."


def output(report, code):
    """The part of a report's text that is about a code."""
    lines, inside = [], False
    for line in str(report).splitlines():
        if re.match(r"(SEVERE|WARN  |note  )  ", line):
            inside = line[8:].startswith(code + ":")
            if inside and lines:
                lines.append("")
        elif line and not line.startswith(" " * 8):
            inside = False
        elif line.startswith((" " * 8 + "so far", " " * 8 + "not yet")):
            inside = False
        if inside and line:
            lines.append(line)
    return "\n".join(lines)


def section(code):
    yield f"## `{code['code']}`\n"
    yield f"{sentence(code['title'])} Measured: {code['summary']}. Needs: {code['needs']}.\n"
    if code["limits"]:
        yield "| limit | default | meaning | source |\n|---|---|---|---|"
        for limit in code["limits"]:
            name = f"`{code['code']}.{limit['name']}`"
            yield f"| {name} | {limit['default']:.4g} | {limit['summary']} | {limit['source']} |"
        yield ""
    yield f"Try: {code['advice']}.\n"
    yield f"Source: {code['source']}.\n"
    run = RUNS.get(code["code"])
    if run is None:
        return
    text = output(tape.report(run), code["code"])
    assert text, f"{run.__name__} has no {code['code']}"
    yield f"`{run.__name__}`: {run.__doc__.strip()}\n"
    yield f"```text\n{text}\n```\n"


def page():
    yield INTRO
    whole = str(tape.report(cases.poisoned)).rstrip()
    yield "A whole report, of a training with a NaN in step 37:\n"
    yield f"```text\n{whole}\n```\n"
    yield (
        "The trainings below are those of "
        "[`cases.py`](../Tests/python/health/cases.py), where each must be named with its place, and\n"
        "healthy ones must have nothing above a note. This page is written by `docs/health.py` from the\n"
        "library's own declarations.\n"
    )
    for code in rv.Monitor().report().to_dict()["codes"]:
        yield from section(code)


def main():
    made = "\n".join(page()).rstrip() + "\n"
    if "--check" not in sys.argv:
        PAGE.write_text(made, encoding="utf-8")
        return 0

    def words(text):
        return re.sub(r"```text\n.*?```", "", text, flags=re.S)

    if words(PAGE.read_text(encoding="utf-8")) == words(made):
        return 0
    print(f"{PAGE.relative_to(ROOT)} is not what the library says: run make docs")
    return 1


if __name__ == "__main__":
    sys.exit(main())
