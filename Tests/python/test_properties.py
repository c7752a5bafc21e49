"""Same bytes, and nothing changes on failure: for everything in the catalog.

Instruction sets, numbers of threads, another libm, a CPU in flush-to-zero mode, AArch64,
checkpoints at any step, gradients bound or passed, tensors split: the bytes of parameters, state
and reports are the same (NaNs made alike). properties.py derives the recipes from the catalog and
runs them, here and in processes with another environment.
"""

import concurrent.futures
import functools
import itertools
import json
import math
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import properties
import pytest
import ravine as rv
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from properties import CHAINS, DTYPES, ENTRIES, STEPS, Fed, Run, World, bits, world

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("RAVINE_BUILD", ROOT / "build")).resolve()
LIBRARY = Path(rv._library.lib._name)
RULES = properties.rules()
OTHER = [e.name for e in map(properties.entry, RULES) if not e.least_rank and not e.needs][-1]
EACH = pytest.mark.parametrize("name", ENTRIES)
EACH_RULE = pytest.mark.parametrize("name", RULES)

# ---- processes with another environment ----------------------------------------------------------

HWCAPS = "AVX AVX2 FMA FMA4 AVX512F AVX512VL AVX512BW AVX512DQ AVX512CD AVX2_Usable FMA_Usable"
ELSEWHERE = {
    "sse2": {"RAVINE_ISA": "sse2"},
    "avx2": {"RAVINE_ISA": "avx2"},
    "avx512": {"RAVINE_ISA": "avx512"},
    "another libm": {
        "GLIBC_TUNABLES": "glibc.cpu.hwcaps=" + ",".join(f"-{name}" for name in HWCAPS.split())
    },
    "flush to zero": {},
}


@pytest.fixture(scope="session")
def folder():
    """In memory where that is possible: a checkpoint is synchronised with its disk."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=memory) as name:
        yield Path(name)


def flusher(folder):
    """A library that puts the CPU into flush-to-zero mode when it is loaded; None without cc."""
    source, library = folder / "flush.c", folder / "flush.so"
    source.write_text("int nothing;\n")
    command = ["cc", "-shared", "-fPIC", "-ffast-math", source, "-o", library]
    try:
        return library if subprocess.run(command, capture_output=True).returncode == 0 else None
    except OSError:
        return None


def run_elsewhere(name, folder):
    """Runs properties.py in another environment: what it told, or why it was not run."""
    if name in ("sse2", "avx2", "avx512") and platform.machine() != "x86_64":
        return f"{name} is not of this machine"
    if name == rv.isa() and "RAVINE_ISA" not in os.environ:
        return f"{name} is what this process uses: the other tests are of it"
    mine, extra = folder / name, []
    mine.mkdir()
    if name == "flush to zero":
        library = flusher(folder)
        if library is None:
            return "cc makes no library that sets flush-to-zero"
        extra = [library]
    which = "all" if "RAVINE_ISA" in ELSEWHERE[name] else "some"
    out = mine / "out.json"
    command = [sys.executable, properties.__file__, which, out, mine, folder / "here", *extra]
    done = subprocess.run(
        [str(part) for part in command],
        env={**os.environ, **ELSEWHERE[name]},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"{name}: properties.py failed:\n{done.stdout}{done.stderr}")
    told = json.loads(out.read_text())
    if told["isa"] != name and "RAVINE_ISA" in ELSEWHERE[name]:
        return f"{name} is not in use on this CPU: it says {told['isa']}"
    if name == "another libm" and told["libm"] == properties.libm():
        return "this libm takes the same code without those CPU features"
    if not told.get("flushes", True):
        return "the library did not set flush-to-zero"
    return told


@pytest.fixture(scope="session")
def left(folder):
    """The checkpoints of this process, and the digests at the end of its runs."""
    (folder / "here").mkdir()
    return properties.leave(folder / "here", threads=4)


@pytest.fixture(scope="session", autouse=True)
def started(request):
    """Starts the processes, one after the other, beside the tests that do not need them."""
    tests = [t for t in request.session.items if "elsewhere" in getattr(t, "fixturenames", ())]
    wanted = properties.distinct(t.callspec.params["where"] for t in tests)
    if not wanted:
        yield None
        return
    folder = request.getfixturevalue("folder")
    request.getfixturevalue("left")
    jobs = dict.fromkeys(ELSEWHERE, run_elsewhere) | {"aarch64": run_on_aarch64}
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        futures = {name: pool.submit(jobs[name], name, folder) for name in wanted}
        yield futures
        for future in futures.values():
            future.cancel()


@pytest.fixture
def elsewhere(started, request):
    """What the process told, by the parameter `where` of the test."""
    told = started[request.getfixturevalue("where")].result()
    if isinstance(told, str):
        pytest.skip(told)
    return told


WHERE = pytest.mark.parametrize("where", ELSEWHERE)


@functools.cache
def here(name):
    """This process, one thread."""
    return properties.digests(name)


def difference(ours, theirs, what="here and elsewhere"):
    """Which cases differ, and in which parts; "" if none does."""
    wrong = []
    for case in theirs:
        parts = [p for p in ours[case] if ours[case][p] != theirs[case].get(p)]
        parts += [p for p in theirs[case] if p not in ours[case]]
        if parts:
            wrong.append(f"{case}: {', '.join(parts)}")
    head = f"{len(wrong)} of {len(theirs)} cases differ between {what}:\n  "
    return head + "\n  ".join(wrong[:8]) if wrong else ""


# ---- what the recipes are ------------------------------------------------------------------------


@EACH
def test_every_parameter_is_reached(name):
    """With something else than its default, or with what must be given."""
    texts = properties.variants(name).values()
    for p in properties.entry(name).parameters:
        used = [text for text in texts if f"{p.name}=" in text.partition("(")[2]]
        assert used, f"no variant of {name} that the library accepts sets {p.name}"


@EACH
def test_runs_say_something(name):
    """The parameters move, and most of them stay finite: equal bytes mean something."""
    for recipe in [*properties.alone(name), *properties.chained(name)]:
        run = Run(recipe, "finite").finish()
        assert run.told and not any(b"Error" in told for told in run.told), recipe
        for dtype, buffer in run.buffers.items():
            start = run.world.copies()[0][dtype].astype(np.float64)
            end = buffer.astype(np.float64)
            # What is left of one mean of squares without another may be below 0 in 8 bits.
            least = 0.8 if "centered=true" in recipe and "8bit" in recipe else 0.9
            assert np.isfinite(end).mean() > least, f"{recipe}: {dtype}"
            assert (start != end).mean() > (0.5 if dtype in ("f32", "f64") else 0), (
                f"{recipe}: {dtype}"
            )


MOVABLE = {
    "adamw": ["lr", "beta1", "beta2", "eps", "weight_decay"],
    "sgd": ["momentum", "dampening"],
    "clip_norm(1) | sgd": ["clip_norm.max"],
    "clip_value(1) | sgd": ["clip_value.max"],
}


@pytest.mark.parametrize("name", [e.name for e in rv.catalog("schedule")])
def test_a_schedule_moves_any_hyper_parameter(name):
    """At every step the value that the schedule has by itself, of the recipe or by a pattern."""
    inside = f"clamp(scale({properties.main_ones(name)[-1]}, 0.25), low=0.001, high=0.75)"
    values = rv.schedule(inside).values(STEPS)
    for chain, keys in MOVABLE.items():
        for key in keys:
            stage, _, parameter = key.rpartition(".")
            if stage:
                recipe = f"{stage}(max={inside}) | sgd"
            else:
                recipe = f"{chain}({parameter}={inside})"
            tested = [(recipe, key)]
            if stage != "clip_norm":
                tested.append((f"{chain}; 1: {key}={inside}", f"1:{key}"))
            for text, place in tested:
                opt = Fed(text, [np.ones(2), np.ones(2)])
                for value in values:
                    assert opt.get(place) == value, f"{text}: {place}"
                    opt.step([np.ones(2), np.ones(2)])


# ---- threads -------------------------------------------------------------------------------------


@EACH
@pytest.mark.parametrize("threads", [2, 3, 4])
def test_threads(name, threads):
    ours = here(name)
    cases = [f"big: {recipe}" for recipe in properties.big(name)]
    theirs = {
        case: Run(case.removeprefix("big: "), "big", threads).finish().digest() for case in cases
    }
    wrong = difference(ours, theirs, f"1 and {threads} threads")
    assert not wrong, wrong


@EACH_RULE
def test_a_file_of_one_thread_loaded_by_four(name, folder):
    recipe = properties.whole(f"{CHAINS[0]} | {properties.main_ones(name)[-1]}")
    one, four = Run(recipe, "big", 1), Run(recipe, "big", 4)
    one.step(0), one.step(1)
    one.opt.save(folder / "one")
    four.opt.load(folder / "one")
    one.finish(2), four.finish(2)
    ours, theirs = one.digest(), four.digest()
    parts = [*one.buffers, "state f32", "state f64", "counts"]
    assert [ours.get(p) for p in parts] == [theirs.get(p) for p in parts], recipe
    assert one.told[2:] == four.told, recipe


# ---- checkpoints ---------------------------------------------------------------------------------


@EACH
@pytest.mark.parametrize("kind", ["tiny", "wild tiny"])
def test_save_and_load_at_every_step(name, kind, folder):
    steps = len(world(kind).gradients)
    recipes = [*properties.alone(name), *properties.chained(name)[::5]]
    for recipe in recipes if kind == "tiny" else recipes[::4]:
        straight = Run(recipe, kind)
        for step in range(steps):
            straight.opt.save(folder / f"{step}")
            straight.step(step)
        straight.opt.save(folder / f"{steps}")
        whole = straight.digest()
        for step in range(steps + 1):
            run = Run(recipe, kind)
            for buffer in run.buffers.values():
                buffer[:] = 7
            run.opt.load(folder / f"{step}")
            run.finish(step)
            part = run.digest()
            told = straight.told[step:]
            same = [p for p in whole if not p.startswith("report")]
            wrong = [p for p in same if whole[p] != part[p]]
            wrong += [f"report {step + i}" for i, told in enumerate(told) if told != run.told[i]]
            assert not wrong, f"{recipe}: resumed at step {step}: {', '.join(wrong)} differ"


# ---- how gradients are given ---------------------------------------------------------------------


def outcome(params, opt, names):
    """All bytes of parameters and state, with their place."""
    out = {}
    for (place, array), name in zip(params.items(), names, strict=True):
        out[place] = bits(array).tobytes()
        out[place, "steps"] = opt.steps(name)
        out |= {(place, slot): bits(a).tobytes() for slot, a in opt.state(name).items()}
    return out


def drawn(recipe):
    """Whether it draws numbers that hang on the names of tensors, which in a list are their places."""
    return "drawn by name" in rv.Optimizer(recipe, [np.zeros(3, np.float32)]).plan()


@EACH
def test_bound_passed_dict_or_list(name):
    full = world("full tiny")
    names = list(full.layout)
    types = [full.grad_dtypes[n] for n in names]
    for recipe in [*properties.alone(name), *properties.chained(name)]:
        passed = Run(recipe, "full tiny").finish()
        expected = outcome(passed.params, passed.opt, names)

        _, params = full.copies()
        bound = {n: np.zeros_like(g) for n, g in full.gradients[0].items()}
        opt = Fed(recipe, params, bound)
        for gradients in full.gradients:
            for n, g in gradients.items():
                bound[n][...] = g
            opt.step(loss=0.5)
        assert outcome(params, opt, names) == expected, f"{recipe}: bound, and passed"

        if drawn(recipe):
            continue
        _, params = full.copies()
        opt = Fed(recipe, list(params.values()), grad_dtype=types)
        for gradients in full.gradients:
            opt.step([gradients[n] for n in names], loss=0.5)
        got = outcome(params, opt, [str(i) for i in range(len(names))])
        assert got == expected, f"{recipe}: a list, and a dict"


@EACH
def test_a_list_with_none_is_a_dict_without_the_name(name):
    tiny = world("tiny")
    names = list(tiny.layout)
    types = [tiny.grad_dtypes[n] for n in names]
    recipes = [r for r in properties.alone(name)[:2] + properties.chained(name)[:2] if not drawn(r)]
    if not recipes:
        pytest.skip(f"{name} draws numbers by name")
    for recipe in recipes:
        passed = Run(recipe, "tiny").finish()
        _, params = tiny.copies()
        opt = Fed(recipe, tuple(params.values()), grad_dtype=types)
        for gradients in tiny.gradients:
            opt.step(tuple(gradients.get(n) for n in names), loss=0.5)
        got = outcome(params, opt, [str(i) for i in range(len(names))])
        assert got == outcome(passed.params, passed.opt, names), recipe


# ---- splits --------------------------------------------------------------------------------------

LENGTH = 3000
PLACES = [1, 2, 15, 16, 17, 500, 1000, 1023, 1024, 1025, 1999, 2047, 2048, 2983, 2985, 2999]


@functools.cache
def long_ones():
    """A long tensor of each type; others before and behind."""
    return World("finite", [(d, (n,)) for n in (17, LENGTH, 5) for d in DTYPES], absent=False)


class Split:
    """The long tensors cut at some places."""

    def __init__(self, recipe, cuts):
        self.source = long_ones()
        edges = [0, *cuts, LENGTH]
        self.parts = []  # (name, name of the whole, from, to)
        for name, (_, _, (count,)) in self.source.layout.items():
            pairs = itertools.pairwise(edges) if count == LENGTH else [(0, count)]
            self.parts += [(f"{name}[{a}:{b}]", name, a, b) for a, b in pairs]
        self.params = {
            part: self.source.params[name][a:b].copy() for part, name, a, b in self.parts
        }
        self.opt = Fed(recipe, self.params)
        self.reports = []
        for gradients in self.source.gradients:
            given = {part: gradients[name][a:b] for part, name, a, b in self.parts}
            try:
                self.reports.append(properties.report_bytes(self.opt.step(given, loss=0.5)))
            except rv.RavineError as problem:
                self.reports.append(type(problem).__name__.encode())

    def bytes(self):
        """The bytes of each whole tensor and each of its slots."""
        out = {}
        for part, name, _, _ in self.parts:
            arrays = {"": self.params[part], **self.opt.state(part)}
            for slot, array in arrays.items():
                out[name, slot] = out.get((name, slot), b"") + bits(array).tobytes()
        return out


def skip_matrices(name):
    if properties.entry(name).least_rank > 1:
        pytest.skip(f"{name} steps whole matrices: a part of one is another matrix")


def measured(recipe):
    """Over what a recipe measures or draws, as its plan says: "" nothing, "tensor", "all"."""
    plan = rv.Optimizer(recipe, [np.zeros(3, np.float32)]).plan()
    if drawn(recipe) or "over each tensor" in plan or "over each unit" in plan:
        return "tensor"
    return "all" if "over all" in plan else ""


@EACH
def test_a_tensor_split_anywhere_keeps_its_bytes(name):
    """In recipes that measure nothing. One optimizer has the whole and all halves."""
    skip_matrices(name)
    recipes = [r for r in properties.alone(name) + properties.chained(name) if not measured(r)]
    recipes = [r for r in recipes if "8bit" not in r]  # one scale for 256 elements
    if not recipes:
        pytest.skip(f"every recipe with {name} measures something")
    source = World("finite", [(d, (LENGTH,)) for d in DTYPES], absent=False)
    ranges = [(0, LENGTH), *((0, place) for place in PLACES), *((p, LENGTH) for p in PLACES)]
    for recipe in recipes:
        params = {
            f"{n}:{a}:{b}": p[a:b].copy() for n, p in source.params.items() for a, b in ranges
        }
        opt = Fed(recipe, params)
        for gradients in source.gradients:
            given = {f"{n}:{a}:{b}": g[a:b] for n, g in gradients.items() for a, b in ranges}
            opt.step(given, loss=0.5)
        for n in source.params:
            arrays = {
                (a, b): {"": params[f"{n}:{a}:{b}"], **opt.state(f"{n}:{a}:{b}")} for a, b in ranges
            }
            for slot, whole in arrays[0, LENGTH].items():
                for place in PLACES:
                    halves = arrays[0, place][slot], arrays[place, LENGTH][slot]
                    got = b"".join(bits(half).tobytes() for half in halves)
                    assert got == bits(whole).tobytes(), f"{recipe}: {n} {slot} split at {place}"


@EACH
def test_a_tensor_split_at_blocks_keeps_its_bytes(name):
    """In recipes that measure all tensors together or scale state by groups; so do the reports."""
    skip_matrices(name)
    recipes = properties.alone(name) + properties.chained(name)
    recipes = [r for r in recipes if measured(r) == "all" or (not measured(r) and "8bit" in r)]
    if not recipes:
        pytest.skip(f"no recipe with {name} measures all tensors together")
    for recipe in recipes:
        whole = Split(recipe, [])
        for cuts in ([1024], [1024, 2048]):
            split = Split(recipe, cuts)
            assert split.bytes() == whole.bytes(), f"{recipe}: split at {cuts}"
            assert split.reports == whole.reports, f"{recipe}: reports, split at {cuts}"


# ---- reports -------------------------------------------------------------------------------------

CLOSE = 1e-12


def norm(arrays):
    """The 2-norm over all of them, in float64, scaled so that nothing overflows."""
    flat = np.concatenate([np.zeros(1), *(np.asarray(a, np.float64).ravel() for a in arrays)])
    most = np.abs(flat).max()
    if not 0 < most < math.inf:
        return float(most)
    scale = 2.0 ** math.frexp(most)[1]
    return math.sqrt(math.fsum(((flat / scale) ** 2).tolist())) * scale


def close(ours, theirs):
    return ours == theirs or abs(ours - theirs) <= CLOSE * abs(theirs)


def reports(recipe, source):
    """Steps through a world: the report, the gradients, and old and new parameters of each step."""
    _, params = source.copies()
    opt = Fed(recipe, params, grad_dtype=source.grad_dtypes)
    for gradients in source.gradients:
        old = {n: a.astype(np.float64) for n, a in params.items()}
        try:
            report = opt.step(gradients, loss=0.5)
        except rv.NonfiniteError:
            continue
        yield report, gradients, old, {n: a.astype(np.float64) for n, a in params.items()}


@functools.cache
def recipes_of_reports():
    mains = [f"{chain} | {rule}" for rule in (RULES[0], OTHER) for chain in CHAINS]
    return mains + [recipe for name in ENTRIES for recipe in properties.alone(name)[:4]]


# Behind these the gradient has another size, and its norm is told there.
PREPARING = ("unscale", "accumulate")


@pytest.mark.parametrize("types", [*DTYPES, *properties.MIXED])
def test_the_gradient_norm_is_that_of_the_gradients_as_given(types):
    source = World("finite", [(types, (17,)), (types, (1041,)), (types, (3,))])
    # The arithmetic may be narrower than the gradient: then Float32 rounded each element.
    allowed = 1e-6 if types in ("f32 f64", "bf16 f64") else CLOSE
    wrong = []
    for recipe in recipes_of_reports():
        if recipe.startswith(PREPARING):
            continue
        for step, (report, gradients, _, _) in enumerate(reports(recipe, source)):
            expected = norm(gradients.values())
            if abs(report.grad_norm - expected) > allowed * expected:
                wrong.append(f"{recipe}: step {step}: {report.grad_norm!r}, numpy {expected!r}")
    assert not wrong, f"{len(wrong)} steps, such as {wrong[:4]}"


@pytest.mark.parametrize("types", ["f32", "f64"])  # 16-bit types round what was measured
def test_the_update_norm_is_that_of_the_change(types):
    source = World("finite", [(types, (17,)), (types, (1041,)), (types, (3,))])
    allowed = 1e-6 if types == "f32" else CLOSE  # the difference is taken in the arithmetic's type
    wrong = []
    for recipe in recipes_of_reports():
        if "sam(" in recipe:
            continue  # between two calls parameters are moved, which is no update: see test_sam.py
        for step, (report, _, old, new) in enumerate(reports(recipe, source)):
            with np.errstate(invalid="ignore"):
                expected = norm([old[n] - new[n] for n in old])
            if abs(report.update_norm - expected) > allowed * expected and math.isfinite(expected):
                wrong.append(f"{recipe}: step {step}: {report.update_norm!r}, numpy {expected!r}")
    assert not wrong, f"{len(wrong)} steps, such as {wrong[:4]}"


@pytest.mark.parametrize("types", [*DTYPES, *properties.MIXED])
@pytest.mark.parametrize("guard", ["", "finite_guard(limit=100)"], ids=["alone", "before a guard"])
def test_nonfinite_counts_the_elements_of_the_gradients_as_given(types, guard):
    source = World("wild", [(types, (17,)), (types, (1041,)), (types, (3,))])
    wrong = []
    guarded = [f"{chain} | {guard} | {RULES[0]}" for chain in CHAINS]
    for recipe in guarded if guard else recipes_of_reports():
        for step, (report, gradients, _, _) in enumerate(reports(recipe, source)):
            flat = np.concatenate([g.astype(np.float64).ravel() for g in gradients.values()])
            expected = int((~np.isfinite(flat)).sum())
            if report.nonfinite != expected:
                wrong.append(f"{recipe}: step {step}: {report.nonfinite}, numpy {expected}")
    assert not wrong, f"{len(wrong)} steps, such as {wrong[:4]}"


@pytest.mark.parametrize("name", [n for n in ENTRIES if properties.entry(n).kind != "stage"])
def test_step_and_rate_of_the_report(name):
    for recipe in properties.alone(name):
        run = Run(recipe, "tiny")
        for step, gradients in enumerate(run.world.gradients):
            rate = run.opt.get("lr")
            report = run.opt.step(gradients, loss=0.5)
            assert report.lr == rate, recipe
            assert (report.step, report.skipped) == (step + 1, 0), recipe


def clipped(chain, gradients):
    """What a chain makes of gradients in their arithmetic type, and the product of its scales."""
    total = 1.0
    for kind, most, p in chain:
        if kind == "value":
            gradients = [np.clip(g, g.dtype.type(-most), g.dtype.type(most)) for g in gradients]
            continue
        flat = np.abs(np.concatenate([g.astype(np.float64).ravel() for g in gradients]))
        size = {1: math.fsum(flat.tolist()), 2: norm(gradients), math.inf: flat.max()}[p]
        scale = min(1.0, most / (size + 1e-6))
        gradients = [g * g.dtype.type(scale) for g in gradients]
        total *= scale
    return gradients, total


CHAIN_STEPS = {
    CHAINS[0]: [("norm", 1, 2)],
    CHAINS[1]: [("norm", 1, 1)],
    CHAINS[2]: [("norm", 1, math.inf)],
    CHAINS[3]: [("value", 0.1, 0)],
    CHAINS[4]: [],
    CHAINS[5]: [("value", 0.5, 0), ("norm", 1, 2), ("value", 0.01, 0)],
    CHAINS[6]: [("norm", 2, 2), ("norm", 1, 2)],
}


@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_scale_of_clipping(chain, dtype):
    source = World("finite", [(dtype, (17,)), (dtype, (1041,)), (dtype, (3,))])
    arithmetic = np.float64 if dtype == "f64" else np.float32
    for report, gradients, _, _ in reports(f"{chain} | sgd(0)", source):
        _, scale = clipped(CHAIN_STEPS[chain], [g.astype(arithmetic) for g in gradients.values()])
        # The second of two stages sees what the first one rounded, to Float32 in all but one type.
        allowed = 1e-6 if dtype != "f64" and chain == CHAINS[6] else CLOSE
        assert abs(report.clip_scale - scale) <= allowed * scale, (chain, report.clip_scale, scale)


# ---- clipping: numbers ---------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1e-40, 1e-30, 1e-20, 1.0, 1e20, 1e30, 3e38])
@pytest.mark.parametrize("p", ["1", "2", "inf"])
@pytest.mark.parametrize("dtype", ["f32", "f64"])
def test_clip_norm_of_tiny_and_huge_gradients(size, p, dtype):
    g = (properties.plain(5, 2000) * (size / 4)).astype(DTYPES[dtype])
    w = np.zeros_like(g)
    wide = np.abs(g.astype(np.float64))
    size = {"1": math.fsum(wide.tolist()), "2": norm([g]), "inf": wide.max()}[p]
    most = float(size / 8)
    report = rv.Optimizer(f"clip_norm({most!r}, p={p}, compat=optax) | sgd(1)", [w]).step([g])
    assert close(report.grad_norm, norm([g]))
    assert close(report.clip_scale, most / size)
    least = np.finfo(w.dtype).smallest_subnormal
    np.testing.assert_allclose(
        -w.astype(np.float64), g * np.float64(most / size), rtol=3e-7, atol=2 * least
    )


@pytest.mark.parametrize("size", [1e20, 1e30, 1e34])
def test_what_is_clipped_has_the_norm_that_was_asked_for(size):
    """Also where the factor is a small number of Float32."""
    g = (properties.plain(5, 100_000) * (size / 4)).astype(np.float32)
    w = np.zeros_like(g)
    rv.Optimizer("clip_norm(1e-3) | sgd(1)", [w]).step([g])
    assert norm([w]) == pytest.approx(1e-3, rel=1e-6)


# ---- guards --------------------------------------------------------------------------------------


def everything(opt, params, folder):
    """All that a failed call could change, with what only a checkpoint shows."""
    opt.save(folder / "everything")
    values = []
    for key in keys(opt):
        try:
            values.append((key, repr(opt.get(key))))
        except rv.RavineError as problem:
            values.append((key, str(problem)))
    return {
        "params": [bits(a).tobytes() for a in params.values()],
        "file": (folder / "everything").read_bytes(),
        "recipe": opt.recipe,
        "plan": opt.plan(),
        "values": values,
    }


def keys(opt):
    """A key for every parameter that the recipe has."""
    chain = opt.recipe.partition(";")[0]
    seen, out = {}, []
    for part in chain.split(" | "):
        e = properties.entry(part.partition("(")[0].strip())
        seen[e.name] = count = seen.get(e.name, 0) + 1
        prefix = "" if e.kind == "rule" else e.name + (f"#{count}." if count > 1 else ".")
        out += [prefix + p.name for p in e.parameters]
    return out


@EACH_RULE
@pytest.mark.parametrize("behind", ["", "clip_norm(1) | ", "clip_value(0.5) | "])
def test_a_skipped_step_changes_nothing_but_the_count_of_skips(name, behind, folder):
    chain = f"{behind}finite_guard(limit=3) | {properties.main_ones(name)[-1]}"
    run = Run(properties.whole(chain), "wild")
    for step in range(3):
        run.step(step)
    before = everything(run.opt, run.params, folder)
    for skips in range(1, 4):
        report = run.opt.step(run.world.gradients[3], loss=0.5)
        assert (report.skipped, report.step, report.update_norm) == (1, 3, 0)
        after = everything(run.opt, run.params, folder)
        changed = f'"skips":"{skips}"'.encode()
        assert changed in after["file"]
        after["file"] = after["file"].replace(changed, b'"skips":"0"')
        assert after == before
    with pytest.raises(rv.NonfiniteError):
        run.opt.step(run.world.gradients[3], loss=0.5)
    report = run.opt.step(run.world.gradients[1], loss=0.5)  # a good one: the count starts again
    assert (report.skipped, report.step) == (0, 4)
    assert run.opt.step(run.world.gradients[3], loss=0.5).skipped == 1


@EACH_RULE
def test_a_step_after_skips_is_as_without_them(name, folder):
    recipe = properties.whole(f"finite_guard | clip_norm(1) | {properties.main_ones(name)[-1]}")
    skipping, plain = Run(recipe, "wild"), Run(recipe, "wild")
    for run in (skipping, plain):
        types = run.world.grad_dtypes
        run.opt.feed({n: np.ones(p.shape, types[n]) for n, p in run.params.items()})
    for step in range(3):
        skipping.opt.step(skipping.world.gradients[4], loss=0.5)
        skipping.step(step), plain.step(step)
    ours, theirs = skipping.digest(), plain.digest()
    assert ours == theirs


@EACH_RULE
def test_a_refused_step_changes_nothing_and_says_where(name, folder):
    recipe = properties.whole(f"finite_guard(error) | {properties.main_ones(name)[-1]}")
    params = {"a": np.ones(20, np.float32), "layer.b": np.ones((50, 60), np.float16)}
    opt = Fed(recipe, params, grad_dtype={"layer.b": "float32"})
    good = {n: np.full(a.shape, 0.5, np.float32) for n, a in params.items()}
    opt.step(good, loss=0.5)
    before = everything(opt, params, folder)
    for place, value in [((0, 0), np.nan), ((17, 4), np.inf), ((49, 59), -np.inf)]:
        bad = {n: g.copy() for n, g in good.items()}
        bad["layer.b"][place] = value
        with pytest.raises(rv.NonfiniteError, match="layer.b") as problem:
            opt.step(bad, loss=0.5)
        assert f"index {place[0] * 60 + place[1]}" in str(problem.value)
        assert everything(opt, params, folder) == before
    assert opt.step(good, loss=0.5).step == 2


def test_a_gradient_too_large_for_the_arithmetic_is_named_too():
    """Finite in its own type, infinite in Float32."""
    params = {"a": np.ones(3, np.float32), "b": np.ones(3, np.float32)}
    opt = rv.Optimizer(f"finite_guard(error) | {RULES[0]}", params, grad_dtype={"b": "float64"})
    with pytest.raises(rv.NonfiniteError, match="'b'.* index 1"):
        opt.step({"a": np.ones(3, np.float32), "b": np.array([1, 1e300, 1])})


def test_two_guards_skip_once_and_a_step_that_the_second_refuses_is_no_skip(folder):
    params = {"a": np.ones(3, np.float32)}
    bad = {"a": np.full(3, np.nan, np.float32)}
    opt = rv.Optimizer(f"finite_guard(limit=2) | finite_guard(limit=2) | {RULES[0]}", params)
    assert [opt.step(bad).skipped for _ in range(2)] == [1, 1]
    with pytest.raises(rv.NonfiniteError):
        opt.step(bad)
    opt = rv.Optimizer(f"finite_guard(limit=2) | finite_guard(error) | {RULES[0]}", params)
    before = everything(opt, params, folder)
    with pytest.raises(rv.NonfiniteError):
        opt.step(bad)
    assert everything(opt, params, folder) == before


# ---- sequences of calls --------------------------------------------------------------------------

SHAPES = {"a": ((5,), "f32"), "b": ((3,), "f64"), "c": ((2, 2), "bf16"), "d": ((1100,), "f32")}
SEQUENCES = st.one_of(
    st.sampled_from([recipe for name in ENTRIES for recipe in properties.alone(name)]),
    st.sampled_from(
        [recipe for name in ENTRIES for recipe in properties.chained(name)] or [RULES[0]]
    ),
    st.sampled_from(
        [
            f"finite_guard(limit=1) | {OTHER}",
            f"finite_guard(error) | clip_norm(1) | {OTHER}; b, c: lr=x0.5",
            f"clip_norm(1) | {RULES[0]}(lr=linear(0.1, -0.1, steps=5))",
            f"{RULES[0]}(0.1); d: frozen",
            f"{RULES[0]}; a: {OTHER}; nothing?: lr=1; *: lr=cosine(0.5, steps=4)",
        ]
    ),
)


def arrays(offset=0):
    out = {}
    for i, (name, (shape, dtype)) in enumerate(SHAPES.items()):
        x = properties.plain(offset * 10 + i, math.prod(shape))
        out[name] = x.reshape(shape).astype(DTYPES[dtype])
    return out


def damaged(path):
    """A copy of a checkpoint whose header is not what it was."""
    data = bytearray(path.read_bytes())
    data[40] ^= 0xFF
    other = path.with_suffix(".damaged")
    other.write_bytes(data)
    return other


def cut(path):
    other = path.with_suffix(".cut")
    other.write_bytes(path.read_bytes()[:-3])
    return other


def stranger(path):
    """A good checkpoint, but of other tensors."""
    other = path.with_suffix(".other")
    rv.Optimizer(RULES[0], [np.ones(3, np.float32)]).save(other)
    return other


def failing(path):
    """Calls that must fail, whatever the recipe is."""
    bad = {name: np.ones(shape, DTYPES[dtype]) for name, (shape, dtype) in SHAPES.items()}
    first = next(iter(properties.entry(RULES[0]).parameters)).name
    return [
        lambda opt: opt.step({"a": np.ones(6, np.float32)}),
        lambda opt: opt.step({**bad, "z": np.ones(5, np.float32)}),
        lambda opt: opt.step({**bad, "b": np.ones(3, np.float32)}),
        lambda opt: opt.step(7),
        lambda opt: opt.set("lr", -1.0),
        lambda opt: opt.set("lr", math.nan),
        lambda opt: opt.set("momentun", 0.5),
        lambda opt: opt.set("z*:lr", 0.5),
        lambda opt: opt.set("a:lr", -0.5),
        lambda opt: opt.get("nothing.lr"),
        lambda opt: opt.override("z", lr=0.5),
        lambda opt: opt.override("a", "lr="),
        lambda opt: opt.override("a", "lr=-1"),
        lambda opt: opt.override("a", "step(0.1, every=3)"),
        lambda opt: opt.override("a", f"{RULES[0]}({first}=1, {first}=2)"),
        lambda opt: opt.override("[", lr=0.5),
        lambda opt: opt.load(path.with_suffix(".nothing")),
        lambda opt: opt.load(path.parent),
        lambda opt: opt.load(damaged(path)),
        lambda opt: opt.load(cut(path)),
        lambda opt: opt.load(stranger(path)),
        lambda opt: opt.save(path / "in" / "a" / "file"),
        lambda opt: opt.set_state("a", "nothing", np.zeros(5)),
        lambda opt: opt.set_state("a", "step", -1),
        lambda opt: opt.set_state("a", "step", 1.5),
        lambda opt: opt.state("z"),
        lambda opt: opt.bind("a", np.zeros(5)),
    ]


def may_fail(kind, number, path):
    """Calls that some recipes refuse."""
    names = list(SHAPES)
    some = [name for i, name in enumerate(names) if number >> i & 1]
    gradients = {name: array for name, array in arrays(number + 1).items() if name in some}
    poisoned = {name: array.copy() for name, array in gradients.items()}
    for array in poisoned.values():
        array.flat[-1] = (math.nan, math.inf)[number % 2]
    rate = (0.0, 0.001, 0.25)[number % 3]
    rule = RULES[number % len(RULES)]
    return {
        "step": lambda opt: opt.step(gradients, loss=0.5),
        "poison": lambda opt: opt.step(poisoned, loss=0.5),
        "curvature": lambda opt: opt.curvature(gradients),
        "set": lambda opt: opt.set("lr", rate),
        "set one": lambda opt: opt.set(f"{names[number % 4]}:lr", rate),
        "set any": lambda opt: opt.set(keys(opt)[number % len(keys(opt))], rate),
        "override": lambda opt: opt.override(names[number % 4], lr=rv.times(0.5)),
        "replace": lambda opt: opt.override(names[number % 4], rule),
        "freeze": lambda opt: opt.override(names[number % 4], frozen=True),
        "load": lambda opt: opt.load(path),
        "counter": lambda opt: opt.set_state(names[number % 4], "step", number),
        "write": lambda opt: opt.set_state("d", [*opt.slots("d"), "none"][0], arrays(1)["d"] ** 2),
    }[kind]


KINDS = "poison curvature set override replace freeze load counter write".split() + ["set one", "set any"]
CALL = st.one_of(
    st.tuples(st.just("step"), st.integers(1, 15)),
    st.tuples(st.sampled_from(KINDS), st.integers(0, 15)),
    st.tuples(st.just("must fail"), st.integers(0, len(failing(Path("x"))) - 1)),
    st.tuples(st.just("must fail"), st.integers(0, len(failing(Path("x"))) - 1)),
    st.tuples(st.just("save"), st.just(0)),
)


@settings(
    max_examples=120,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(SEQUENCES, st.lists(CALL, min_size=4, max_size=14))
def test_a_failing_call_changes_nothing(folder, recipe, calls):
    """A twin never sees the calls that fail; a model knows what the others do."""
    params, twins = arrays(), arrays()
    opt, twin = rv.Optimizer(recipe, params), rv.Optimizer(recipe, twins)
    path = folder / "saved"
    opt.save(path)
    at_save = None
    counts, step = dict.fromkeys(SHAPES, 0), 0
    for kind, number in calls:
        before = everything(opt, params, folder)
        if kind == "must fail":
            with pytest.raises(rv.RavineError):
                failing(path)[number](opt)
            assert everything(opt, params, folder) == before, (kind, number)
            continue
        if kind == "save":
            opt.save(path)
            at_save = dict(counts), step
            continue
        plan = opt.plan()
        call = may_fail(kind, number, path)
        try:
            result = call(opt)
        except rv.RavineError as problem:
            assert everything(opt, params, folder) == before, (kind, number, problem)
            continue
        same = call(twin)
        # What is known without looking into the library.
        if kind in ("step", "poison"):
            assert properties.report_bytes(result) == properties.report_bytes(same)
            plan = opt.plan()
            stepped = [n for i, n in enumerate(SHAPES) if number >> i & 1]
            moving = [n for n in stepped if not line(plan, n).endswith(": frozen")]
            assert (result.skipped == 3) == (not moving)
            if result.skipped == 0:
                step += 1
                counts |= {n: counts[n] + 1 for n in moving}
            assert result.step == step
            old = dict(zip(SHAPES, before["params"], strict=True))
            for n in SHAPES:
                if n not in moving or result.skipped:
                    assert bits(params[n]).tobytes() == old[n], f"{n} had no gradient"
        elif kind == "set":
            assert opt.get("lr") == (0.0, 0.001, 0.25)[number % 3]
        elif kind == "counter":
            counts[list(SHAPES)[number % 4]] = number
        elif kind == "replace":
            n = list(SHAPES)[number % 4]
            if rule(opt.plan(), n) != rule(plan, n):
                counts[n] = 0  # another rule begins anew
        elif kind == "load":
            counts, step = (
                (dict(at_save[0]), at_save[1]) if at_save else (dict.fromkeys(SHAPES, 0), 0)
            )
        assert {n: opt.steps(n) for n in SHAPES} == counts
    assert everything(opt, params, folder) == everything(twin, twins, folder)


def line(plan, name):
    return next(text for text in plan.splitlines() if text.startswith(f"{name} "))


def rule(plan, name):
    """The name of a tensor's rule, or "frozen"."""
    return re.split(r"[(:;\s]+", line(plan, name).split("]", 1)[1].partition(": ")[2])[0]


# ---- another environment -------------------------------------------------------------------------


@WHERE
def test_the_inputs_are_the_same_elsewhere(where, elsewhere):
    assert elsewhere["inputs"] == properties.inputs()


@EACH
@WHERE
def test_the_same_bytes_elsewhere(name, where, elsewhere):
    wrong = difference(here(name), elsewhere["digests"][name], f"{rv.isa()} here and {where}")
    assert not wrong, wrong


@WHERE
def test_monitors_say_the_same_elsewhere(where, elsewhere):
    ours = properties.watched()
    wrong = [case for case, told in elsewhere["watched"].items() if told != ours[case]]
    assert ours.keys() == elsewhere["watched"].keys() and not wrong, wrong


@WHERE
def test_a_checkpoint_goes_on_elsewhere(where, elsewhere, left, folder):
    """Saved here and loaded there, and the other way round: what follows is the same."""
    late = [*(d for d in DTYPES), "state f32", "state f64", "counts"]
    for title, theirs in [
        ("left there", elsewhere["left"]),
        ("resumed there", elsewhere["resumed"]),
        ("resumed here", properties.resume(folder / where)),
    ]:
        wrong = [r for r in left if any(left[r].get(p) != theirs[r].get(p) for p in late)]
        assert not wrong, f"{title}: {len(wrong)} recipes, such as {wrong[:4]}"


# ---- another machine -----------------------------------------------------------------------------


def replay_cases(folder):
    cases = []
    for number, (_, recipe) in enumerate(properties.resumable()):
        cases.append(("run", "tiny", 0, recipe, ""))
        if number % 3 == 0:
            cases.append(("run", "wild tiny", 0, recipe, ""))
        if number % 5 == 0:
            path = str(folder / "here" / f"{number}.safetensors")
            cases.append(("run", "tiny", properties.MIDDLE, recipe, path))
    for name in ENTRIES:
        if properties.entry(name).kind == "schedule":
            for text in properties.distinct(properties.variants(name).values()):
                cases.append(("schedule", 0, 500, text))
                cases.append(("schedule", 2**40 - 3, 6, text))
    return cases


@functools.cache
def expected(case):
    """What a case gives here, in the order in which replay.c writes it: told, then arrays."""
    if case[0] == "schedule":
        _, first, count, text = case
        return [], {"values": rv.schedule(text).values(count, first=first)}
    _, kind, first, recipe, checkpoint = case
    run = Run(recipe, kind)
    if checkpoint:
        run.opt.load(checkpoint)
    run.finish(first)
    out = {}
    for name, param in run.params.items():
        out[name] = param
        out |= {f"{name}: {slot}": array for slot, array in run.opt.state(name).items()}
        out[f"{name}: steps"] = np.array([run.opt.steps(name)], np.float64)
    return run.told, out


def compare(case, replayed, quiet=False):
    """What differs between a case that was replayed and the same run here."""
    told, arrays = expected(case)
    title = " ".join(map(str, case[1:]))
    sentence = replayed.sentence()
    if sentence:
        return [f"{title}: {sentence}"]
    wrong = []
    for step, ours in enumerate(told):
        sentence, report = replayed.sentence(), replayed.report()
        theirs = sentence.encode() if sentence else properties.report_bytes(report)
        if (not quiet or sentence) and not ours.endswith(theirs):
            wrong.append(f"report {step}: {sentence or report}")
    for name, array in arrays.items():
        ours, theirs = bits(array), bits(replayed.array(array))
        if ours.tobytes() != theirs.tobytes():
            i = int(np.flatnonzero(theirs != ours)[0])
            wrong.append(f"{name}[{i}]: {ours[i]:#x} here, {theirs[i]:#x} there")
    return [f"{title}: {w}" for w in wrong[:2]]


def replay(compiler, library, folder, *command, quiet=False):
    """Builds replay.c beside its library and runs it."""
    there = folder / f"{compiler} {quiet}"
    there.mkdir()
    shutil.copy(library, there / "libravine.so.0")
    source, program = Path(__file__).with_name("replay.c"), there / "replay"
    flags = "-std=c99 -O2 -Wall -Wextra -Wpedantic -Werror".split() + [f"-I{ROOT / 'include'}"]
    properties.write_replay(there / "in", replay_cases(folder))
    command = [part.format(there) for part in command]
    environment = {} if command else {"LD_LIBRARY_PATH": str(there)}
    for step in (
        [compiler, *flags, source, there / "libravine.so.0", "-o", program],
        [*command, program, there / "in", there / "out", *["quiet"][:quiet]],
    ):
        done = subprocess.run(
            [str(part) for part in step],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise RuntimeError(f"{step[0]} failed:\n{done.stdout}{done.stderr}")
    return properties.Replayed(there / "out")


def differences(replayed, folder, quiet=False):
    wrong = [w for case in replay_cases(folder) for w in compare(case, replayed, quiet)]
    return "\n".join([f"{len(wrong)} differences", *wrong[:8]]) if wrong else ""


@pytest.mark.parametrize("quiet", [False, True], ids=["with reports", "without reports"])
def test_the_same_bytes_from_c(quiet, left, folder):
    """Gradients by index, a report asked for or not."""
    if not shutil.which("cc"):
        pytest.skip("cc is not installed")
    replayed = replay("cc", LIBRARY, folder, quiet=quiet)
    wrong = differences(replayed, folder, quiet)
    assert not wrong, wrong
    assert replayed.done()


AARCH64 = BUILD / "aarch64" / "libravine.so.0"


def run_on_aarch64(_, folder):
    """Replays there: what came out, or why it was not run."""
    for tool in ("qemu-aarch64", "aarch64-linux-gnu-gcc"):
        if not shutil.which(tool):
            return f"{tool} is not installed: apt-get install qemu-user gcc-aarch64-linux-gnu"
    if not AARCH64.exists():
        return f"{AARCH64} is missing: make build/aarch64/libravine.so.0"
    qemu = ["qemu-aarch64", "-L", "/usr/aarch64-linux-gnu", "-E", "LD_LIBRARY_PATH={}"]
    return replay("aarch64-linux-gnu-gcc", AARCH64, folder, *qemu)


@pytest.mark.parametrize("where", ["aarch64"])
def test_the_same_bytes_on_another_machine(where, elsewhere, folder):
    wrong = differences(elsewhere, folder)
    newest = max(path.stat().st_mtime for path in (ROOT / "Sources").rglob("*.swift"))
    if wrong and AARCH64.stat().st_mtime < newest:
        wrong += "\nThe library is older than Sources: make build/aarch64/libravine.so.0"
    assert not wrong, wrong
    assert elsewhere.done()
