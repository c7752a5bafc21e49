"""The numbers are the published ones: runs every vector of Tests/reference through the package.

The vectors were recorded from the reference implementations by Tests/reference/generate.py, which
also describes the format. A new file, or a new case in one, is found without a change here.

  Float64   the whole trajectory, to 1e-12 of the largest parameter of the tensor at that step
  Float32   each step alone, from the reference's own parameters and state, to 4 ulp of
            max(|p|, |update|), element by element
  16 bits   the whole trajectory, bit for bit: the rates are such that the references round alike
  schedules each value, to 1e-12 of itself
  initial   what is not drawn, exactly; of what is, moments, ends and singular values
"""

import json
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
import ravine as rv

REFERENCE = Path(__file__).resolve().parents[1] / "reference"
FILES = {path.stem: json.loads(path.read_text()) for path in sorted(REFERENCE.glob("*.json"))}
DTYPES = {"f64": np.float64, "f32": np.float32, "bf16": ml_dtypes.bfloat16, "f16": np.float16}
RELATIVE = 1e-12
ULPS = 4


def cases(wanted):
    """Every case whose file's kind ("schedule") or dtype ("f64", "f32") is the wanted one."""
    return [
        pytest.param(case, id=f"{name}: {case['title']}")
        for name, file in FILES.items()
        for case in file["cases"]
        if case.get("dtype", file["kind"]) == wanted
    ]


def lcg(seed, count, scale):
    """The numbers an {"lcg"} array stands for; the same lines are in generate.py."""
    out = []
    for _ in range(count):
        seed = (seed * 6364136223846793005 + 1442695040888963407) % 2**64
        out.append(((seed >> 40) / 2**23 - 1) * scale + 0.0)  # + 0.0: never -0
    return out


def array(spec, case, name, shape=None):
    """An array of the case, in the shape of its tensor if no other is given."""
    if isinstance(spec, dict):
        values = lcg(spec["lcg"], spec["count"], spec["scale"])
        for index, value in spec.get("set", []):
            values[index] = value
    else:
        values = spec
    flat = np.array([float(x) for x in values]).astype(DTYPES[case["dtype"]])
    return flat.reshape(case["tensors"][name] if shape is None else shape)


def recorded(spec, case):
    """Which elements of a result are recorded (None: all) and their values, flat."""
    at, values = (spec["at"], spec["values"]) if isinstance(spec, dict) else (None, spec)
    return at, np.array([float(x) for x in values]).astype(DTYPES[case["dtype"]])


def picked(array, at):
    flat = np.asarray(array).ravel()
    return flat if at is None else flat[at]


def start(case):
    params = {name: array(spec, case, name) for name, spec in case["start"].items()}
    return rv.Optimizer(case["recipe"], params), params


def advance(opt, case, step):
    """One step; tensors whose gradients are of some rows take part by step_rows. Before it comes the
    curvature, if there is any."""
    gradients = case["gradients"][step]
    if "curvature" in case:
        given = case["curvature"][step].items()
        opt.curvature(diagonal={name: array(spec, case, name) for name, spec in given})
    if not any("rows" in spec for spec in gradients.values() if isinstance(spec, dict)):
        opt.step({name: array(spec, case, name) for name, spec in gradients.items()})
        return
    opt.begin_step()
    for name, spec in gradients.items():
        lengths = [len(spec["rows"]), *case["tensors"][name][1:]]
        opt.step_rows(name, spec["rows"], array(spec["values"], case, name, lengths))
    opt.end_step()


def slots(opt, name):
    """The state of a tensor, without its counter."""
    return {slot: value for slot, value in opt.state(name).items() if slot != "step"}


def complain(case, step, what, at, ours, theirs, allowed, skip=()):
    """The elements that are further from the reference than allowed, as text; "" if there are none."""
    with np.errstate(over="ignore", invalid="ignore"):
        error = np.abs(ours.astype(np.float64) - theirs.astype(np.float64))
    bad = ~(error <= allowed) & ~((ours == theirs) | (np.isnan(ours) & np.isnan(theirs)))
    elements = np.arange(len(bad)) if at is None else np.array(at)
    bad &= ~np.isin(elements, skip)
    return "\n".join(
        f"{case['recipe']}: step {step}, {what}[{elements[i]}]: "
        f"{ours[i]!r}, the reference has {theirs[i]!r}; off by {error[i]:.3g}, allowed {allowed[i]:.3g}"
        for i in np.flatnonzero(bad)
    )


def within(reference):
    """What Float64 allows: the same for all elements of the tensor."""
    finite = np.abs(reference[np.isfinite(reference)])
    return np.full(reference.shape, RELATIVE * max(1e-300, finite.max(initial=0.0)))


@pytest.mark.parametrize("case", cases("f64"))
def test_float64_trajectory(case):
    opt, params = start(case)
    for step in range(len(case["gradients"])):
        advance(opt, case, step)
        for name, spec in case["params"][step].items():
            at, theirs = recorded(spec, case)
            wrong = complain(case, step, name, at, picked(params[name], at), theirs, within(theirs))
            assert not wrong, wrong
        for name, state in (case["state"][step] or {}).items():
            ours = slots(opt, name)
            assert set(ours) == set(state), f"{case['recipe']}: slots of {name}"
            for slot, spec in state.items():
                at, theirs = recorded(spec, case)
                wrong = complain(
                    case, step, f"{name}.{slot}", at, picked(ours[slot], at), theirs, within(theirs)
                )
                assert not wrong, wrong


@pytest.mark.parametrize("case", cases("f32"))
def test_float32_step(case):
    opt, params = start(case)
    near = {}
    for entry in case.get("near_threshold", []):
        near[entry["step"], entry["tensor"]] = entry["elements"]
    for step in range(len(case["gradients"])):
        if step:
            # Every slot is overwritten, so nothing of our own trajectory goes into this step.
            for name in params:
                params[name].ravel()[:] = recorded(case["params"][step - 1][name], case)[1]
                state = case["state"][step - 1][name]
                assert set(slots(opt, name)) == set(state), f"{case['recipe']}: slots of {name}"
                for slot, spec in state.items():
                    values = recorded(spec, case)[1]
                    opt.set_state(name, slot, values.reshape(slots(opt, name)[slot].shape))
        before = {name: p.copy() for name, p in params.items()}
        advance(opt, case, step)
        for name, spec in case["params"][step].items():
            at, theirs = recorded(spec, case)
            old = picked(before[name], at).astype(np.float64)
            size = np.maximum(np.abs(theirs), np.abs(theirs - old)).astype(np.float32)
            allowed = ULPS * np.spacing(size).astype(np.float64)
            skip = near.get((step, name), [])
            wrong = complain(case, step, name, at, picked(params[name], at), theirs, allowed, skip)
            assert not wrong, wrong


@pytest.mark.parametrize("case", cases("bf16") + cases("f16"))
def test_stored_in_16_bits(case):
    opt, params = start(case)
    for step in range(len(case["gradients"])):
        advance(opt, case, step)
        for name, spec in case["params"][step].items():
            at, theirs = recorded(spec, case)
            np.testing.assert_array_equal(picked(params[name], at), theirs, f"step {step}, {name}")
        for name, state in (case["state"][step] or {}).items():
            assert set(slots(opt, name)) == set(state), f"{case['recipe']}: slots of {name}"
            for slot, spec in state.items():
                at, theirs = recorded(spec, {"dtype": "f32"})
                ours = picked(slots(opt, name)[slot], at)
                np.testing.assert_array_equal(ours, theirs, f"step {step}, {name}.{slot}")


def reacting(schedule, metrics):
    """The value at step 0 before the first metric, and at step n after n of them."""
    values = [schedule(0)]
    for step, metric in enumerate(metrics, 1):
        schedule.metric(float(metric))
        values.append(schedule(step))
    return values


@pytest.mark.parametrize("case", cases("schedule"))
def test_schedule(case):
    theirs = np.array(case["values"])
    schedule = rv.schedule(case["recipe"])
    if "metrics" in case:
        ours = np.array(reacting(schedule, case["metrics"]))
    else:
        ours = np.asarray(schedule.values(len(theirs), first=case["first"]))
    wrong = complain(
        case, f"{case['first']} +", "value", None, ours, theirs, RELATIVE * np.abs(theirs)
    )
    assert not wrong, wrong


def close(ours, theirs, allowed, what):
    assert abs(ours - theirs) <= allowed, f"{what}: {ours}, the reference has {theirs}"


@pytest.mark.parametrize("case", cases("init"))
def test_initial_values(case):
    ours = rv.init(case["recipe"], case["shape"], dtype=np.float64)
    if "values" in case:
        np.testing.assert_array_equal(ours.ravel(), case["values"])
        return
    if "singular" in case:
        matrix = ours.reshape(len(ours), -1) if case["rows"] == 1 else ours.reshape(-1, ours.shape[-1])
        singular = np.linalg.svd(matrix, compute_uv=False)
        np.testing.assert_allclose([singular[-1], singular[0]], case["singular"], atol=1e-12)
        return
    # Six standard deviations of the difference of two samples.
    noise = 6 * np.sqrt(2 / ours.size) * case["std"]
    close(ours.mean(), case["mean"], noise, "mean")
    close(ours.std(), case["std"], noise, "standard deviation")
    assert np.count_nonzero(ours == 0) == case["zeros"]
    if case["bounded"]:
        close(ours.min(), case["low"], 1e-3 * case["std"], "the least")
        close(ours.max(), case["high"], 1e-3 * case["std"], "the largest")


@pytest.mark.parametrize("case", cases("drawn"))
def test_drawn_numbers(case):
    """The numbers are our own, and so many that their moments tell."""
    w, zero = np.zeros(case["count"]), np.zeros(case["count"])
    opt = rv.Optimizer(case["recipe"], {"w": w}, {"w": zero})
    for t, (mean, std) in enumerate(zip(case["mean"], case["std"]), 1):
        before = w.copy()
        opt.step()
        noise = before - w
        allowed = 6 * np.sqrt(2 / noise.size) * std
        close(noise.mean(), mean, allowed, f"mean of step {t}")
        close(noise.std(), std, allowed, f"standard deviation of step {t}")
        close((noise**4).mean(), 3 * std**4, 6 * np.sqrt(96 / noise.size) * std**4, "4th moment")


def test_everything_in_the_catalog_has_vectors():
    """The house rule: with each rule, stage, schedule and initializer comes one file here."""
    named = {e.name: e.kind for e in rv.catalog() if e.kind in ("rule", "stage", "schedule", "init")}
    assert named, "the catalog is empty"
    missing = sorted(set(named) - set(FILES))
    assert not missing, f"no Tests/reference/<name>.json for {missing}"
    other = {n: FILES[n]["kind"] for n in named if FILES[n]["kind"] != named[n]}
    assert not other, f"another kind in the file than in the catalog: {other}"


def test_every_vector_is_of_something_in_the_catalog():
    """A file whose name is misspelt would test the house rule for nothing."""
    names = {e.name for e in rv.catalog()}
    assert FILES and set(FILES) <= names, sorted(set(FILES) - names)
    assert all(file["name"] == stem for stem, file in FILES.items())


def test_few_elements_are_left_out():
    """near_threshold is for a jump of the reference, with its reason, and not a way out."""
    for name, file in FILES.items():
        for case in file["cases"]:
            left_out = case.get("near_threshold", [])
            assert all(entry["why"] for entry in left_out), f"{name}: {case['title']}"
            count = sum(len(entry["elements"]) for entry in left_out)
            compared = sum(
                len(recorded(spec, case)[1])
                for step in case.get("params", [])
                for spec in step.values()
            )
            assert count <= 0.02 * compared, (
                f"{name}: {case['title']}: {count} of {compared} are left out"
            )
