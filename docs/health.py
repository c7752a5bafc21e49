"""Writes docs/health.md: each code as the library declares it, with the output of a real training.

`python docs/health.py` writes it; with --check it only says whether what is not output is up to date
(the last digits of a training depend on the machine's matrix products).
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "Tests" / "python" / "health"))

import attached  # noqa: E402
import cases  # noqa: E402
import tape  # noqa: E402

import ravine as rv  # noqa: E402

PAGE = ROOT / "docs" / "health.md"

INTRO = """# Gradient health

A monitor watches a training, and says what is wrong, where, how that is known and what to try. It judges;
the numbers are there as evidence. Attached to an optimizer, it is told by every step:

```python
opt = rv.Optimizer("clip_norm(1) | adamw(1e-3)", params)
m = rv.Monitor(opt)
for step in range(1000):
    ...
    opt.step(grads, loss)
m.report()                    # in a notebook; print(m.report()) elsewhere
m.report().save("run.json")   # python -m ravine report run.json [later.json]
```

From C the same is `rvn_monitor_create`, `_attach` and `_report` (see [`ravine.h`](../include/ravine.h)).

## Attached to an optimizer

Parameters, state and their bytes stay what they are, whatever the number of threads: the monitor looks at the
updates that the optimizer makes.

| when | what | cost |
|---|---|---|
| every step | norms (1, 2, inf) before and after clipping, of the update; elements that are not finite with tensor and first index; how often and how much clipping acts; the last 21 steps | 3 to 11 % of a step |
| steps 1, 17, 33... (`every=16`) | for each tensor the histogram of the gradient, its largest element with its index, zeros, subnormals; the norm of the parameters, update over weight; what rounding swallows; where eps dominates; signal over noise from the rule's moments; the cosine of gradient and update | 8 to 15 % of a step, averaged |
| on request | `every=1`: all that in every step. `cosines=True`: the cosine with the gradient before in every step, not only behind a sampled one (16 bytes for each of up to 512 elements of a tensor, which are there in any case) | |

That is so for AdamW and arrays that no cache holds (4 and 64 Mi parameters, AVX-512 and AVX2, one and two
threads), where memory is waited for; of a step of `sgd`, which moves half as much, sampling takes 18 to 24 %. In a
cache the sums take as long as they take: 40 % of a step. Besides, each tensor costs half a microsecond in each
step, and vectors of up to 65,536 half a nanosecond for each element, so that 4 vectors of 2,400 take 2.3 plain
steps, and 10,000 of 64 take 4 (`python benchmarks/bench.py monitor` measures all but `sgd`).

Memory: a quarter of a byte for each parameter, 10 KB for each tensor, 5 bytes for each element of vectors of up
to 65,536. All of it is had when the monitor is attached, or by the next step; steps allocate nothing.
`m.last_step()`, `m.tensor(name)` and `m.statistics(name)` are the numbers.

- A step of the monitor is an update. Calls that only accumulate belong to the one that comes later, and their
  losses are averaged. A step that a guard skips counts, and is told. Steps in parts end with `end_step`; the
  steps of a range test are left out.
- Activations and whatever else only the host knows are recorded before the step: `m.record("fc1", a,
  "activation", depth=1)`. What is recorded of a tensor by hand stands, and is not measured again.
- Layers come from the order of the parameters: names that are alike up to the last dot are of one layer (without
  a dot, vectors are of the layer of the matrix before). `rv.Monitor(opt, depth={"head.weight": 12})` says it
  otherwise.
- How a rule is judged is a part of its declaration: whether it makes the size of a step independent of that of
  the gradient, which slots hold its moments, and where its eps stands. Where it does not say so, eps and noise
  are not judged.
- An update of float32 that rounding swallows cannot be seen by the parameters. It counts as 2^-25 of the weight
  wherever there is a gradient and nothing moved.
- `opt.save` and `opt.load` know nothing of it: a monitor starts anew.
- An optimizer has one monitor, and a monitor one optimizer; `m.detach()` ends that, and either may be
  destroyed first. The two are one as to threads.

## By hand

Without an optimizer of Ravine, or for arrays that it does not know, a monitor takes arrays by name and kind:

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
```

From C the same is `rvn_monitor_record` and `rvn_monitor_end_step`.

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
# Those that only an attached monitor can judge.
ATTACHED = {"eps_dominated": cases.drowned, "clip_always": cases.always_clipped}


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
    run = RUNS.get(code["code"]) or ATTACHED[code["code"]]
    report = tape.report(run) if code["code"] in RUNS else attached.attached(run)
    text = output(report, code["code"])
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
