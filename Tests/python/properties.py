"""What test_properties.py runs, in its own process and in processes with another environment.

Recipes are derived from the catalog, so that a new rule, stage or schedule is tested without a
change here. All numbers are exact (integers times powers of two): libm does not come into them.

    python properties.py (all | some) OUT.json SAVE_FOLDER LOAD_FOLDER [FLUSH.so]

runs the cases, resumes the checkpoints that are in LOAD_FOLDER, leaves its own in SAVE_FOLDER, and
writes digests of all parameters, states and reports. FLUSH.so is a library that puts the CPU into
flush-to-zero mode when it is loaded.
"""

import ctypes
import functools
import json
import math
import struct
import sys
import zlib
from pathlib import Path

import ml_dtypes
import numpy as np
import ravine as rv

# ---- recipes -------------------------------------------------------------------------------------

CHAINS = [
    "clip_norm(1)",
    "clip_norm(1, p=1)",
    "clip_norm(1, p=inf)",
    "clip_value(0.1)",
    "finite_guard(zero)",
    "clip_value(0.5) | clip_norm(1) | clip_value(0.01)",
    "clip_norm(2) | clip_norm(1)",
]
ENTRIES = [e.name for e in rv.catalog() if e.kind in ("rule", "stage", "schedule")]


def entry(name):
    return next(e for e in rv.catalog() if e.name == name)


def allowed(parameter, x):
    return (
        x >= parameter.low
        and x <= parameter.high
        and not (parameter.low_open and x == parameter.low)
        and not (parameter.high_open and x == parameter.high)
    )


def inside(parameter):
    """A value in the range that is neither 0 nor the default; None if there is no plain one."""
    for x in (0.375, 0.5, 1, 2, 3, 7, 100):
        if parameter.kind == "count" and x != int(x):
            continue
        if allowed(parameter, x) and x != parameter.default:
            return x
    return None


def falling(parameter):
    """A schedule that stays in the range: up for two steps, down for four, constant after."""
    top = parameter.default or inside(parameter)
    top = inside(parameter) if isinstance(top, str) or not math.isfinite(top) else top
    return f"warmup(cosine({top!r}, steps=4, floor={top / 4!r}), steps=2)"


def given(parameter, place):
    """What stands for a parameter that has no default."""
    if parameter.kind == "list":
        return "(2, 5)"
    if parameter.kind == "schedule":
        return "cosine(0.5, steps=5)"
    if parameter.kind == "schedules":
        return "(0.5, cosine(0.5, steps=5), linear(0.5, 1, steps=3))"  # as many as "(2, 5)" splits
    if parameter.kind == "word":
        return parameter.words[0]
    if parameter.kind == "count":
        return str(max(1, 7 - place))  # later ones are parts of earlier ones
    wanted = 0.75 / (place + 1)  # not the same for the start and the end of a schedule
    return repr(wanted if allowed(parameter, wanted) else inside(parameter))


# Arguments that let something happen within the few steps, and with the gradients, of these tests.
# Five steps of an iteration with any coefficients would leave no finite number.
FITTING = {"accumulate": {"n": "2"}, "unscale": {"scale": "4"}, "muon": {"ns_steps": "2"}}


def call(e, **chosen):
    """The entry as recipe text, with these arguments and whatever must be given."""
    values = {p.name: given(p, i) for i, p in enumerate(e.parameters) if p.required}
    values |= FITTING.get(e.name, {}) | chosen
    return f"{e.name}({', '.join(f'{name}={value}' for name, value in values.items())})"


@functools.cache
def variants(name):
    """Recipe texts of one entry: title -> text.

    The defaults; each flag on; each word; each number that is 0 by default set; each number from a
    schedule; then the same flags, words and schedules with all the zeros set ("busy").
    """
    e = entry(name)
    numbers = {
        p.name: repr(inside(p))
        for p in e.parameters
        if p.kind == "number" and not p.required and p.default in (0, math.inf)
    }
    made = {"default": {}}
    for p in e.parameters:
        if p.kind == "flag":
            made[p.name] = {p.name: "false" if p.default else "true"}
        elif p.kind == "word":
            made |= {f"{p.name}={w}": {p.name: w} for w in p.words if w != p.initial}
        elif p.kind in ("count", "list", "schedule") and not p.required and inside(p) is not None:
            made[p.name] = {p.name: repr(inside(p))}
        elif p.kind == "number" and (p.required or p.name in numbers or e.kind == "schedule"):
            made[p.name] = {p.name: repr(inside(p))}
    if e.kind != "schedule":
        for p in e.parameters:
            if p.kind == "number":
                made[f"{p.name} falling"] = {p.name: falling(p)}
    flags = {p.name: "true" for p in e.parameters if p.kind == "flag"}
    last = {
        p.name: p.words[-1] for p in e.parameters if p.kind == "word" and p.words[-1] != p.initial
    }
    for title, chosen in list(made.items()):
        made[f"busy, {title}"] = numbers | chosen
    made["full, first words"] = numbers | flags
    made["full"] = numbers | flags | last
    texts = {title: call(e, **chosen) for title, chosen in made.items()}
    taken = {text: accepts(text, e.kind) for text in set(texts.values())}
    return {title: text for title, text in texts.items() if taken[text]}


def accepts(text, kind):
    """Whether the library takes it: an entry may rule out some combinations of its parameters."""
    try:
        if kind == "schedule":
            rv.schedule(text)
        else:
            rv.Optimizer(recipe_with(text, kind), [np.zeros(1, np.float32)])
    except rv.RavineError:
        return False
    return True


def rules():
    return [e.name for e in rv.catalog("rule")]


def whole(chain):
    """A recipe for tensors of any rank: beside a rule of matrices, vectors have another one."""
    names = [part.partition("(")[0].strip() for part in chain.split(" | ")]
    least = max(entry(name).least_rank for name in names)
    return f"{chain}; @rank<{least}?: sgd(0.01)" if least else chain


def recipe_with(text, kind, rule=None):
    """A whole recipe around the text of a rule, of a stage or of a schedule."""
    rule = rule or rules()[0]
    if kind == "rule":
        return whole(text)
    if kind == "schedule":
        return f"{rule}(lr={text})"
    try:
        rv.Optimizer(f"{text} | {rule}", [np.zeros((1, 1), np.float32)])
    except rv.RecipeError:  # a stage that stands after the rule
        return whole(f"{rule} | {text}")
    return whole(f"{text} | {rule}")


def distinct(texts):
    return list(dict.fromkeys(texts))


@functools.cache
def alone(name):
    """One recipe for each variant of an entry."""
    return [recipe_with(text, entry(name).kind) for text in distinct(variants(name).values())]


@functools.cache
def main_ones(name):
    """The defaults, and everything switched on."""
    texts = variants(name)
    full = "full" if "full" in texts else "full, first words"
    return distinct(texts[title] for title in ("default", full) if title in texts)


@functools.cache
def chained(name):
    """The main variants of a rule behind each chain; a stage before each rule."""
    if entry(name).kind == "schedule":
        return []
    if entry(name).kind == "stage":
        return [recipe_with(main_ones(name)[0], "stage", rule) for rule in rules()]
    return [whole(f"{chain} | {text}") for chain in CHAINS for text in main_ones(name)]


def chained_all(name):
    """Every variant of a rule behind the chains that differ most: one that measures, one that
    changes lanes, one that does both."""
    if entry(name).kind != "rule":
        return []
    texts = distinct(variants(name).values())
    return [whole(f"{CHAINS[i]} | {text}") for i in (0, 3, 5) for text in texts]


# ---- numbers -------------------------------------------------------------------------------------

DTYPES = {
    "f32": np.dtype(np.float32),
    "f64": np.dtype(np.float64),
    "bf16": np.dtype(ml_dtypes.bfloat16),
    "f16": np.dtype(np.float16),
}
MIXED = ["f32 f64", "f32 bf16", "f32 f16", "f64 f32", "f64 f16", "bf16 f32", "bf16 f64", "f16 f32"]
STEPS = 6


def plain(seed, count):
    """Numbers from -4 to 4 of many sizes, exact in float32."""
    random = np.random.default_rng(seed)
    return random.integers(-(2**20), 2**20, count) * 2.0 ** random.integers(-30, -17, count)


def special(kind, dtype, step):
    """What else stands in a gradient."""
    info = ml_dtypes.finfo(dtype)
    least, huge = float(info.smallest_subnormal), min(1e30, float(info.max))
    out = [0.0, -0.0, least, -3 * least, float(info.smallest_normal) / 2, 1e-40, -1e-40, 1e-30]
    if step == 2:
        out += [huge, -huge / 2]
    if "wild" in kind and step > 2:
        out += [math.nan, math.inf, -math.inf]
    return out


class World:
    """Tensors, and their gradients in some steps. The parameters of a type lie side by side."""

    def __init__(self, kind, tensors, steps=STEPS, absent=True):
        self.layout = {}  # name -> (dtype, dtype of the gradient, shape)
        for number, (dtypes, shape) in enumerate(tensors):
            dtype, _, grad = dtypes.partition(" ")
            self.layout[f"{number} {dtypes}"] = (dtype, grad or dtype, shape)
        self.params = {}
        self.gradients = [{} for _ in range(steps)]
        for number, (name, (dtype, grad, shape)) in enumerate(self.layout.items()):
            count = math.prod(shape)
            x = plain(number, count)
            if count >= 15:
                x[[3, 9, 12, 14]] = [
                    0.0,
                    -0.0,
                    1e-40,
                    ml_dtypes.finfo(DTYPES[dtype]).smallest_subnormal,
                ]
            self.params[name] = x.astype(DTYPES[dtype]).reshape(shape)
            for step in range(steps):
                if absent and number > 0 and (number + step) % 9 == 0:
                    continue  # no gradient this time
                g = plain((step + 1) * 1000 + number, count)
                if count >= 15:
                    for i, value in enumerate(special(kind, DTYPES[grad], step)):
                        g[(7 * i + 5 * step) % count] = value
                with np.errstate(over="ignore", under="ignore"):
                    self.gradients[step][name] = g.astype(DTYPES[grad]).reshape(shape)
        self.grad_dtypes = {name: DTYPES[grad] for name, (_, grad, _) in self.layout.items()}

    def copies(self):
        """Fresh parameters: one buffer for each type, and views of them."""
        buffers, views = {}, {}
        for dtype in DTYPES:
            mine = {n: a for n, a in self.params.items() if self.layout[n][0] == dtype}
            buffers[dtype] = np.empty(sum(a.size for a in mine.values()), DTYPES[dtype])
            at = 0
            for name, array in mine.items():
                views[name] = buffers[dtype][at : at + array.size].reshape(array.shape)
                views[name][...] = array
                at += array.size
        return buffers, {name: views[name] for name in self.layout}


SHAPES = [(1,), (3, 5), (16,), (17,), (33, 31), (1024,), (25, 41), (3000,)]


@functools.cache
def world(kind):
    """finite; wild: with NaN and infinity from the fourth step on; big: several tasks for threads;
    tiny: each pair of types; full tiny: and every tensor always has a gradient; wild tiny."""
    if kind == "big":
        sizes = {"f32": 200_003, "f32 bf16": 1500, "bf16": 70_001, "f64": 5000, "f16": 2049}
        matrices = [("f32", (150, 90)), ("f64", (33, 40)), ("bf16 f32", (64, 70))]
        return World(kind, [(d, (n,)) for d, n in sizes.items()] + matrices, 4, False)
    if "tiny" in kind:
        tensors = [(d, (17,)) for d in [*DTYPES, *MIXED]] + [(d, (1041,)) for d in DTYPES]
        tensors += [("f32", (7, 5)), ("f64", (4, 3, 3)), ("f16", (1, 6))]
        return World(kind, tensors + [("f32", ()), ("f16", (3, 0))], absent="full" not in kind)
    tensors = [(d, s) for d in DTYPES for s in SHAPES]
    return World(kind, tensors + [(d, s) for d in MIXED for s in [(17,), (1025,)]])


def bits(array):
    """The bytes as whole numbers, NaNs made alike."""
    flat = np.ascontiguousarray(array).reshape(-1)
    kind = "bf16" if flat.dtype == DTYPES["bf16"] else f"f{8 * flat.itemsize}"
    words, infinity, nan = {
        "f32": (np.uint32, 0x7F800000, 0x7FC00000),
        "f64": (np.uint64, 0x7FF0000000000000, 0x7FF8000000000000),
        "bf16": (np.uint16, 0x7F80, 0x7FC0),
        "f16": (np.uint16, 0x7C00, 0x7E00),
    }[kind]
    out = flat.view(words)
    nans = (out & words(2 ** (8 * flat.itemsize - 1) - 1)) > words(infinity)
    return np.where(nans, words(nan), out) if nans.any() else out


def short(data, before=""):
    """A checksum: five times as fast as the quickest of hashlib."""
    return f"{zlib.crc32(data, int(before or '0', 16)):08x}"


# ---- runs ----------------------------------------------------------------------------------------


class Fed(rv.Optimizer):
    """One whose rules are given the gradients as the Hessian's diagonal, too, if they need curvature."""

    def __init__(self, recipe, *args, **options):
        super().__init__(recipe, *args, **options)
        self.curved = any(e.needs == "curvature" and e.name in recipe for e in rv.catalog("rule"))

    def feed(self, estimates):
        if self.curved:
            try:
                self.curvature(diagonal=estimates)
            except rv.NonfiniteError:
                pass  # the mean stays as it was

    def step(self, grads=None, loss=None):
        self.feed(self._bound if grads is None else grads)
        return super().step(grads, loss)


class Run:
    """A recipe on a world, step by step."""

    def __init__(self, recipe, kind, threads=1):
        self.world = world(kind)
        self.buffers, self.params = self.world.copies()
        self.opt = Fed(
            recipe, self.params, grad_dtype=self.world.grad_dtypes, threads=threads
        )
        self.told = []  # reports as bytes, errors as text
        self.trace = ""  # of the parameters after each step

    def step(self, number):
        try:
            report = self.opt.step(self.world.gradients[number], loss=0.5)
        except rv.RavineError as problem:
            self.told.append(f"{type(problem).__name__}: {problem}".encode())
        else:
            self.told.append(report_bytes(report))

    def finish(self, first=0, trace=False):
        for number in range(first, len(self.world.gradients)):
            self.step(number)
            if trace:
                for buffer in self.buffers.values():
                    self.trace = short(bits(buffer), self.trace)
        return self

    def digest(self):
        """What to compare: part -> hash."""
        out = {dtype: short(bits(buffer)) for dtype, buffer in self.buffers.items() if buffer.size}
        wide = {"f32": [np.zeros(0, np.float32)], "f64": [np.zeros(0)]}
        counts = []
        for name, (dtype, _, _) in self.world.layout.items():
            counts.append(self.opt.steps(name))
            wide["f64" if dtype == "f64" else "f32"] += [
                array.ravel() for array in self.opt.state(name).values()
            ]
        out |= {f"state {d}": short(bits(np.concatenate(arrays))) for d, arrays in wide.items()}
        out["counts"] = str(counts)
        out["trace"] = self.trace
        return out | {f"report {i}": short(told) for i, told in enumerate(self.told)}


def report_bytes(report):
    numbers = bits(np.array([report.lr, report.grad_norm, report.clip_scale, report.update_norm]))
    return numbers.tobytes() + struct.pack("QQi", report.step, report.nonfinite, report.skipped)


def schedule_digest(text):
    """Values at the first steps, and far out."""
    s = rv.schedule(text)
    far = [s.values(3, first=2**k - 1) for k in range(8, 63)]
    return {"values": short(bits(np.concatenate([s.values(300), *far])))}


def digests(name, some=False, threads=1):
    """Everything that is compared for one entry: case -> part -> hash."""
    out = {}
    if entry(name).kind == "schedule":
        out |= {text: schedule_digest(text) for text in variants(name).values()}
    few = [*alone(name), *chained(name)]
    cases = [("finite", r) for r in (few if some else distinct([*few, *chained_all(name)]))]
    cases += [("wild", r) for r in few if not some]
    cases += [("big", r) for r in big(name)[-1 if some else 0 :]]
    for kind, recipe in cases:
        run = Run(recipe, kind, threads).finish(trace=kind != "big")
        out[f"{kind}: {recipe}"] = run.digest()
    return out


WATCHED = [
    "adamw",
    "adam(eps=0.001) | kahan",
    "clip_norm(1) | sgd(0.01)",
    "finite_guard(zero) | clip_value(0.5) | rmsprop",
    "centralize | lion | stochastic_rounding",
]


@functools.cache
def watched(threads=1):
    """What monitors say that sample every second step: the case -> a hash."""
    out = {}
    for kind in ("finite", "wild", "big", "tiny", "wild tiny"):
        for recipe in WATCHED:
            run = Run(recipe, kind, threads)
            m = rv.Monitor(run.opt, every=2)
            run.finish()
            told = [m.report().to_json(), m.last_step()]
            for name in run.params:
                told += [m.tensor(name), m.statistics(name)]
            out[f"{kind}: {recipe}"] = short("\n".join(map(str, told)).encode())
    return out


def big(name):
    """The main variants alone and behind some chains; long tensors are for tasks and their sums."""
    if entry(name).kind == "schedule":
        return alone(name)[:1]
    return [*(recipe_with(text, entry(name).kind) for text in main_ones(name)), *chained(name)[::3]]


# ---- checkpoints across processes ----------------------------------------------------------------

MIDDLE = 3


def resumable():
    return [(n, r) for n in ENTRIES for r in [*alone(n), *chained(n)]]


def leave(folder, threads=1):
    """Saves each run in the middle; the digests at the end."""
    out = {}
    for number, (_, recipe) in enumerate(resumable()):
        run = Run(recipe, "tiny", threads)
        for step in range(MIDDLE):
            run.step(step)
        run.opt.save(Path(folder) / f"{number}.safetensors")
        out[recipe] = run.finish(MIDDLE).digest()
    return out


def resume(folder, threads=1):
    """Loads what another process left, and goes on."""
    out = {}
    for number, (_, recipe) in enumerate(resumable()):
        run = Run(recipe, "tiny", threads)
        for buffer in run.buffers.values():
            buffer[:] = 7
        run.opt.load(Path(folder) / f"{number}.safetensors")
        out[recipe] = run.finish(MIDDLE).digest()
    return out


# ---- the same runs for replay.c ------------------------------------------------------------------

CODES = {"f32": 1, "f64": 2, "bf16": 3, "f16": 4}


def padded(data):
    return data + bytes(-len(data) % 8)


def packed(*items):
    """Numbers as 8 bytes, text with its length, bytes as they are."""
    out = []
    for item in items:
        if isinstance(item, str):
            data = item.encode() + b"\0"
            out += [struct.pack("q", len(data)), data]
        else:
            out.append(item if isinstance(item, bytes) else struct.pack("q", item))
    return b"".join(padded(data) for data in out)


def packed_world(w):
    out = [packed(len(w.layout), len(w.gradients))]
    for name, (dtype, grad, shape) in w.layout.items():
        out.append(packed(CODES[dtype], CODES[grad], len(shape), *shape, name))
        out.append(padded(w.params[name].tobytes()))
    for gradients in w.gradients:
        for name in w.layout:
            there = name in gradients
            out.append(packed(1, gradients[name].tobytes()) if there else packed(0))
    return b"".join(out)


def write_replay(path, cases):
    """cases: ("run", world, first step, recipe, checkpoint), ("schedule", first, count, text)."""
    kinds = distinct(case[1] for case in cases if case[0] == "run")
    out = [packed(len(kinds)), *(packed_world(world(kind)) for kind in kinds), packed(len(cases))]
    for what, *rest in cases:
        if what == "run":
            out.append(packed(0, kinds.index(rest[0]), *rest[1:]))
        else:
            out.append(packed(1, *rest))
    Path(path).write_bytes(b"".join(out))


class Replayed:
    """What replay.c wrote, read piece by piece."""

    def __init__(self, path):
        self.data, self.at = Path(path).read_bytes(), 0

    def take(self, size):
        start = self.at
        self.at += size + -size % 8
        return self.data[start : start + size]

    def array(self, like):
        return np.frombuffer(self.take(like.nbytes), like.dtype)

    def sentence(self):
        """ "" for RVN_OK."""
        (status,) = struct.unpack("q", self.take(8))
        return self.take(1024).rstrip(b"\0").decode() if status else ""

    def report(self):
        return rv.StepReport(*struct.unpack("=8xQddddQi4x", self.take(64)))

    def done(self):
        return self.at == len(self.data)


# ---- this file as a program ----------------------------------------------------------------------


def libm():
    """Changes where libm takes other code."""
    xs = [0.0001 * i for i in range(1, 60_000)]
    ys = [f(x) for f in (math.exp, math.cos, math.sin, math.log) for x in xs]
    return short(np.array(ys + [math.pow(x, 1.7) for x in xs]))


def inputs():
    """The gradients themselves: they must not depend on the environment."""
    worlds = [world(kind) for kind in ("finite", "wild", "big", "tiny", "wild tiny")]
    arrays = [a for w in worlds for step in [w.params, *w.gradients] for a in step.values()]
    return short(b"".join(bits(a).tobytes() for a in arrays))


def main(which, out, save, load, flush=None):
    told = {"isa": rv.isa(), "libm": libm(), "inputs": inputs()}
    if flush:
        ctypes.CDLL(flush)
        told["flushes"] = bool(np.float32(1e-38) * np.float32(0.01) == 0)
    told["left"] = leave(save, threads=2)
    told["resumed"] = resume(load, threads=1)
    told["watched"] = watched(threads=2)
    told["digests"] = {name: digests(name, which == "some", threads=3) for name in ENTRIES}
    Path(out).write_text(json.dumps(told))


if __name__ == "__main__":
    main(*sys.argv[1:])
