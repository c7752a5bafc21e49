"""Makes the reference vectors: runs the published implementations and writes <name>.json here.

    python Tests/reference/generate.py [name ...]

Run by hand when a rule is added, never by CI. Made with Python 3.11.7 and

    torch 2.15.0   jax 0.10.2   jaxlib 0.10.2   optax 0.2.8   numpy 2.4.6
    keras 3.15.1   transformers 5.23.0   timm 1.0.31 with torchvision 0.29.2   pytorch_optimizer 4.1.0
    prodigyopt 1.1.2   torch-optimi 0.3.3
    deepspeed 0.19.8   (warmup alone; DS_BUILD_OPS=0 pip install --no-deps deepspeed)

To add a rule, stage or schedule: add one function under @vectors("its catalog name", source).
Tests/python/test_vectors.py finds the new file and every case in it by itself.

How the references are run, so that the same bytes come out on another machine:
  - torch on the CPU, foreach=False, fused=False, one thread, its AVX2 kernels. These use fused
    multiply-add, Ravine does not: part of what the 4 ulp of a Float32 comparison are for.
  - torch.optim.Muon with the products of its Newton-Schulz iteration in the type of the parameters, not
    in bfloat16, whose three digits would show nothing.
  - optax.adafactor with its decay in Float64, which it computes in Float32.
  - optax under jax_enable_x64, operation by operation (no jit). Without x64 optax computes
    1 - beta**t in Float32, which is off by 1e-5 in the first step.
  - XLA flushes Float32 subnormals to zero, Ravine keeps them. So the Float32 inputs of optax
    hold none, and no intermediate value on which the result hangs is one.

Format of a rule's or stage's file:

    {"name", "kind": "rule" | "stage", "source", "cases": [{
       "title", "recipe", "dtype": "f64" | "f32" | "bf16" | "f16", "source",
       "tensors":   {"w": [3, 5]},                           shapes
       "start":     {"w": array},
       "gradients": [{"w": array}, ...]                      one entry per step; a tensor that is
                                                             missing has no gradient in that step
       "curvature": [{"w": array}, ...]                      of rules that step by it: diagonals, given
                                                             before each step
       "params":    [{"w": array}, ...]                      after each step
       "state":     [{"w": {"m": array}}, ...] or null       after each step, by slot; null where
                                                             not recorded
       "near_threshold": [{"step", "tensor", "elements", "why"}]   left out of the Float32
    }]}                                                      comparison, see below

An array is a list of numbers in row-major order, or, to keep the files small,
    {"lcg": seed, "count": n, "scale": s, "set": [[index, value], ...]}     see lcg() below
    {"at": [index, ...], "values": [number, ...]}     results only: the rest is not recorded
    {"rows": [row, ...], "values": array}             gradients only: of some rows, by rvn_optimizer_step_rows
Numbers read back exactly; "nan", "inf" and "-inf" are strings.

near_threshold lists elements where the reference jumps (lion's sign) and its argument is within
4 ulp of the jump: there a rounding decides, and one step in Float32 says nothing.

Format of a schedule's file:
    {"name", "kind": "schedule", "source", "cases": [{"title", "recipe", "source", "first", "values"}]}
reactive.py writes those of schedules that metrics move; there a case has "metrics", too: values[n] is
the one at step n, after the first n of them.

Format of an initializer's file: the numbers are drawn otherwise, so what is recorded of the
reference is the sample's moments and, where the distribution ends, its ends; of what is not drawn the
values themselves; of orthogonal matrices the least and the largest singular value:
    {"name", "kind": "init", "source", "cases": [{"title", "recipe", "source", "shape",
      "mean", "std", "low", "high", "bounded", "zeros" | "values" | "rows", "singular"}]}
    rows: how many axes, from the first on, are the rows of the matrix (-1: all but the last)
"""

import functools
import importlib
import inspect
import json
import math
import os
import sys
from importlib.metadata import version
from pathlib import Path

os.environ["ATEN_CPU_CAPABILITY"] = "avx2"
os.environ["XLA_FLAGS"] = "--xla_cpu_max_isa=AVX2"
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["KERAS_BACKEND"] = "torch"  # the others compute in Float32

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch

jax.config.update("jax_enable_x64", True)
torch.set_num_threads(1)

HERE = Path(__file__).parent
TORCH = f"torch {torch.__version__.split('+')[0]}"
OPTAX = f"optax {optax.__version__} (jax {jax.__version__})"
KERAS, TRANSFORMERS, TIMM, KOZISTR = (
    f"{name} {version(name)}" for name in ("keras", "transformers", "timm", "pytorch_optimizer")
)
TABLE = {}


def vectors(name, source, kind="rule"):
    """Enters a function that returns a list of cases into the table."""

    def enter(cases):
        TABLE[name] = (kind, source, cases)
        return cases

    return enter


# ---- inputs ------------------------------------------------------------------------------------


def lcg(seed, count, scale):
    """Numbers in [-scale, scale) from the seed; the test has the same three lines."""
    out = []
    for _ in range(count):
        seed = (seed * 6364136223846793005 + 1442695040888963407) % 2**64
        out.append(((seed >> 40) / 2**23 - 1) * scale + 0.0)  # + 0.0: never -0
    return out


def drawn(seed, count, scale=1.0, but=None):
    spec = {"lcg": seed, "count": count, "scale": scale}
    return {**spec, "set": but} if but else spec


def expand(spec):
    """The Float64 numbers that an array of a file stands for."""
    if not isinstance(spec, dict):
        return [float(x) for x in spec]
    values = lcg(spec["lcg"], spec["count"], spec["scale"])
    for index, value in spec.get("set", []):
        values[index] = float(value)
    return values


class Inputs:
    """Shapes, start values and one gradient per tensor and step."""

    def __init__(self):
        self.shapes, self.start, self.gradients, self.curvature = {}, {}, [], []

    def add(self, name, shape, start, gradients):
        """gradients: one array per step; None where the tensor has no gradient."""
        self.shapes[name], self.start[name] = list(shape), start
        while len(self.gradients) < len(gradients):
            self.gradients.append({})
        for step, gradient in enumerate(gradients):
            if gradient is not None:
                self.gradients[step][name] = gradient
        return self


def columns(*elements):
    """One list per element, over the steps -> one list per step, over the elements."""
    return [list(step) for step in zip(*elements)]


STEPS = 10


def few(steps=STEPS):
    """Seven elements whose gradients do what gradients do at the edges, without extreme sizes."""
    i = Inputs()
    i.add(
        "edge",
        [6],
        [0.5, -1.25, 2.0, -0.375, 1.0, 0.0],
        columns(
            [0.0] * steps,  # never a gradient: 0/eps, sign(0)
            [0.0] * 3 + [0.7, -0.2, 0.4, 0.4, 0.1, -0.9, 0.3][: steps - 3],  # state starts late
            [(-1.0) ** t * (1 + 0.25 * t) for t in range(steps)],  # changes sign every step
            [1.5] + [0.0] * (steps - 1),  # one impulse, then the state decays
            [10.0 ** -(t // 2) for t in range(steps)],  # fades
            [0.25, 0.5, 0.25, 0.125, 0.5, 0.25, 0.75, 0.25, 0.5, 0.125][:steps],  # from zero
        ),
    )
    i.add("s", [], [-0.75], [lcg(100 + t, 1, 2.0) for t in range(steps)])
    return i


def sizes(steps=8, tinier=None, tiny_start=(0.0, 0.0), tiny=1e-20):
    """few, and huge, tiny and near-subnormal gradients. Each size has its own tensor, because the
    Float64 comparison is relative to the tensor's maximum."""
    i = few(steps)
    big = [1e15, 1e15, -1e15, 1e15, 1e18, -1e15, 1e15, 1e15, -1e18, 1e15][:steps]
    i.add("huge", [2], [1.0, -0.5], columns(big, [-0.5 * x for x in big]))
    sign = [1, 1, -1, 1, 1, 1, -1, 1, 1, 1][:steps]
    i.add(
        "tiny",
        [2],
        list(tiny_start),
        columns([x * tiny for x in sign], [-x * 3 * tiny for x in sign]),
    )
    if tinier is not None:
        i.add("tinier", [2], tinier, columns([1e-38] * steps, [x * -2e-38 for x in sign]))
    return i


def edges(steps=8, **options):
    """sizes, and a matrix of more than sixteen elements with a step in which all of it is zero."""
    zero = drawn(0, 18, 0)
    gradients = [zero if t == 3 else drawn(10 + t, 18) for t in range(steps)]
    return sizes(steps, **options).add("w", [3, 6], drawn(1, 18), gradients)


def missing():
    """few, with steps in which one of the tensors has no gradient."""
    i = few()
    for step, name in [(0, "s"), (3, "s"), (4, "s"), (6, "edge")]:
        del i.gradients[step][name]
    return i


# What is recorded of the tensor of 1100 elements: both sides of the boundaries of lanes and block.
PICKED = [0, 1, 15, 16, 511, 512, 1007, 1008, 1022, 1023, 1024, 1025, 1039, 1040, 1087]
PICKED += [1088, 1099]


def blocks(steps=4):
    """A tensor that crosses the block of 1024, with zero gradients at the boundary."""
    i = Inputs()
    zeros = [[511, 0.0], [1024, 0.0]]
    gradients = [drawn(50 + t, 1100, 1.0, zeros) for t in range(steps)]
    i.add("big", [1100], drawn(2, 1100), gradients)
    i.add("b", [3], [0.5, -0.5, 0.25], [lcg(70 + t, 3, 1.0) for t in range(steps)])
    return i


def rows(steps=8):
    """Gradients of some rows of a table: one of them more than once, one from the middle on, one
    never; a call with all rows, and one of a row of zeros."""
    named = [[2, 0, 2], [0], [3, 2, 2, 0, 2], [4, 3], [0, 2, 3, 4, 5], [4], [2, 0], [3, 3]][:steps]
    i = Inputs()
    table = [{"rows": at, "values": drawn(300 + t, 5 * len(at))} for t, at in enumerate(named)]
    if steps > 5:
        table[5]["values"] = [0.0] * 5
    i.add("table", [6, 5], drawn(299, 30), table)
    i.add("matrices", [3, 2, 2], drawn(298, 12), [])
    for t, at in enumerate([[1], None, [2, 1], [1, 1]]):
        if at:
            i.gradients[t]["matrices"] = {"rows": at, "values": drawn(400 + t, 4 * len(at))}
    return i


def decaying(t):
    """The rate of the scheduled cases: exponential(0.1, factor=0.9)."""
    return 0.1 * 0.9**t


# ---- running a reference -----------------------------------------------------------------------

DTYPES = {"f64": (np.float64, torch.float64), "f32": (np.float32, torch.float32)}
HALVES_OF = {"bf16": torch.bfloat16, "f16": torch.float16}


class Torch:
    """A torch.optim optimizer. slots: our slot name -> key of its state. Before each step run
    gradients(parameters), for clipping, and parameters(parameters, lr), for a decay torch has not;
    behind it after(old, parameter, lr) for each, for what stands behind the rule."""

    def __init__(
        self,
        optimizer,
        slots=None,
        gradients=None,
        parameters=None,
        after=None,
        scaler=None,
        **options,
    ):
        self.optimizer, self.slots, self.options = optimizer, slots or {}, options
        self.scaler = scaler
        self.gradients, self.parameters, self.after = gradients, parameters, after
        self.source = f"torch.optim.{optimizer.__name__}, {TORCH}"

    def run(self, inputs, dtype):
        numpy_type, torch_type = DTYPES[dtype]
        lr = self.options["lr"]
        rate = lr if callable(lr) else lambda t: lr

        def tensor(spec, name):
            flat = np.array(expand(spec)).astype(numpy_type)
            return torch.tensor(flat.reshape(inputs.shapes[name]), dtype=torch_type)

        def gradient(spec, name):
            if "rows" not in spec:
                return tensor(spec, name)
            shape = inputs.shapes[name]
            values = np.array(expand(spec["values"])).astype(numpy_type).reshape(-1, *shape[1:])
            where = torch.tensor([spec["rows"]])
            return torch.sparse_coo_tensor(
                where, torch.tensor(values), shape, check_invariants=True
            )

        def flat(x):
            return x.detach().numpy().ravel().copy()

        def slot(p, key):
            value = optimizer.state.get(p, {}).get(key)
            return flat(torch.zeros_like(p) if value is None else value)

        tensors = {n: torch.nn.Parameter(tensor(inputs.start[n], n)) for n in inputs.shapes}
        options = {**self.options, "lr": rate(0)}
        known = inspect.signature(self.optimizer).parameters
        options |= {name: False for name in ("foreach", "fused") if name in known}
        optimizer = self.optimizer(tensors.values(), **options)
        params, states = [], []
        for step, gradients in enumerate(inputs.gradients):
            for name, p in tensors.items():
                p.grad = gradient(gradients[name], name) if name in gradients else None
            given = [p for p in tensors.values() if p.grad is not None]
            optimizer.param_groups[0]["lr"] = rate(step)
            with torch.no_grad():
                if self.gradients:
                    self.gradients(given)
                if self.parameters:
                    self.parameters(given, rate(step))
            before = [p.detach().clone() for p in given]
            if self.scaler:
                self.scaler.scale(torch.ones(()))
                self.scaler.unscale_(optimizer)
                self.scaler.step(optimizer)
                self.scaler.update()
            else:
                optimizer.step()
            with torch.no_grad():
                for old, p in zip(before, given, strict=True):
                    if self.after:
                        self.after(old, p, rate(step))
            params.append({n: flat(p) for n, p in tensors.items()})
            states.append(
                {n: {s: slot(p, k) for s, k in self.slots.items()} for n, p in tensors.items()}
            )
        return params, states


class Stored:
    """torch.optim.SGD on Float32, and parameters of 16 bits as `store` keeps them: it takes their name,
    what they became in Float32 and the step, and returns what is stored. With `master` the Float32
    parameters go on by themselves. The rate is a power of two: no product is rounded before the sum,
    so that every bit is known."""

    def __init__(self, rate, store, master, source):
        self.rate, self.store, self.master, self.source = rate, store, master, source

    def run(self, inputs, dtype):
        stored, exact = {}, {}
        for name, spec in inputs.start.items():
            stored[name] = torch.tensor(expand(spec)).float().to(HALVES_OF[dtype])
            exact[name] = stored[name].float()
        params, states = [], []
        for step, gradients in enumerate(inputs.gradients, 1):
            for name, spec in gradients.items():
                start = exact[name] if self.master else stored[name].float()
                p = torch.nn.Parameter(start.clone())
                p.grad = torch.tensor(expand(spec)).float().to(HALVES_OF[dtype]).float()
                torch.optim.SGD([p], lr=self.rate, foreach=False).step()
                exact[name] = p.detach()
                stored[name] = self.store(name, exact[name], step).to(HALVES_OF[dtype])
            params.append({n: p.float().numpy() for n, p in stored.items()})
            kept = {"master": None} if self.master else {}
            states.append({n: {s: exact[n].numpy().copy() for s in kept} for n in stored})
        return params, states


class Optimi:
    """optimi.SGD with kahan_sum on parameters of 16 bits."""

    def __init__(self, rate):
        self.rate, self.source = rate, f"torch-optimi {version('torch-optimi')}, kahan_sum"

    def run(self, inputs, dtype):
        import optimi

        def tensor(spec):
            return torch.tensor(expand(spec)).float().to(HALVES_OF[dtype])

        tensors = {n: torch.nn.Parameter(tensor(spec)) for n, spec in inputs.start.items()}
        optimizer = optimi.SGD(
            tensors.values(), lr=self.rate, kahan_sum=True, foreach=False, triton=False
        )
        params, states = [], []
        for gradients in inputs.gradients:
            for name, p in tensors.items():
                p.grad = tensor(gradients[name]) if name in gradients else None
            optimizer.step()
            params.append({n: p.detach().float().numpy() for n, p in tensors.items()})
            kept = {n: optimizer.state[p]["kahan_comp"] for n, p in tensors.items()}
            states.append({n: {"compensation": c.float().numpy()} for n, c in kept.items()})
        return params, states


def philox(key, low, high):
    """Philox4x32-10 (Salmon et al. 2011): the four words at counters low + 2^64 high."""
    mask, low = 0xFFFFFFFF, np.asarray(low, np.uint64)
    c0, c1 = low & np.uint64(mask), low >> np.uint64(32)
    c2, c3 = (np.full_like(c0, word) for word in (high & mask, high >> 32))
    k0, k1 = key & mask, key >> 32
    for _ in range(10):
        p0, p1 = c0 * np.uint64(0xD2511F53), c2 * np.uint64(0xCD9E8D57)
        c0 = (p1 >> np.uint64(32)) ^ c1 ^ np.uint64(k0)
        c2 = (p0 >> np.uint64(32)) ^ c3 ^ np.uint64(k1)
        c1, c3 = p1 & np.uint64(mask), p0 & np.uint64(mask)
        k0, k1 = (k0 + 0x9E3779B9) & mask, (k1 + 0xBB67AE85) & mask
    return c0, c1, c2, c3


def child(key, low):
    words = philox(key, [low], 0)
    return int(words[0][0]) | int(words[1][0]) << 32


def random_bits(seed, name, count, step):
    """The 16 random bits of each element of a tensor in a step of stochastic_rounding."""
    purpose, hashed = 7, 0xCBF29CE484222325
    for byte in name.encode():
        hashed = (hashed ^ byte) * 0x100000001B3 % 2**64  # as NameIndex.hash
    key = child(child(seed, purpose), hashed)
    e = np.arange(count, dtype=np.uint64)
    counter = e // np.uint64(128) * np.uint64(16) + e % np.uint64(16)
    place = e % np.uint64(128) // np.uint64(16)
    word = np.choose((place % np.uint64(4)).astype(int), philox(key, counter, step))
    return (word >> (place // np.uint64(4) * np.uint64(16))) & np.uint64(0xFFFF)


def timm_module(name):
    """A module of timm, which takes long to import."""
    return importlib.import_module(f"timm.{name}")


def held(_, value):
    """Whether a state holds numbers: one of several transformations masks tensors that are not its own."""
    return not any(isinstance(x, optax.MaskedNode) for x in value.values())


class Optax:
    """An optax transformation, made by make(schedule). slots: our slot name -> name of the field
    in its state, or "-name" where ours has the other sign."""

    source = OPTAX

    def __init__(self, make, lr, slots=None):
        self.make, self.lr, self.slots = make, lr, slots or {}

    def run(self, inputs, dtype):
        numpy_type, _ = DTYPES[dtype]
        rates = [self.lr(t) if callable(self.lr) else self.lr for t in range(len(inputs.gradients))]
        rates = jnp.asarray(rates, jnp.float64)

        def array(spec, name):
            flat = np.array(expand(spec)).astype(numpy_type)
            return jnp.asarray(flat.reshape(inputs.shapes[name]))

        p = {n: array(inputs.start[n], n) for n in inputs.shapes}
        optimizer = self.make(lambda count: rates[count])
        state = optimizer.init(p)
        params, states = [], []
        for gradients in inputs.gradients:
            g = {n: array(gradients[n], n) for n in p}  # optax has no "no gradient"
            updates, state = optimizer.update(g, state, p)
            p = optax.apply_updates(p, updates)
            params.append({n: np.asarray(x).ravel() for n, x in p.items()})
            found = {n: {} for n in p}
            for slot, field in self.slots.items():
                for n, x in optax.tree.get(state, field.lstrip("-"), filtering=held).items():
                    x = np.asarray(x).ravel()
                    found[n][slot] = 0 - x if field[0] == "-" else x
            states.append(found)
        return params, states


def result(values):
    """Of a large tensor only PICKED elements are recorded."""
    return {"at": PICKED, "values": values[PICKED]} if len(values) > 64 else values


def f64(title, recipe, reference, inputs, **more):
    return case(title, recipe, reference, inputs, "f64", **more)


def f32(title, recipe, reference, inputs, **more):
    return case(f"{title}, f32", recipe, reference, inputs, "f32", **more)


def case(title, recipe, reference, inputs, dtype, source=None, jump=None):
    """Runs the reference and returns the case as it is written. jump: see near_threshold."""
    params, states = reference.run(inputs, dtype)
    out = {"title": title, "recipe": recipe, "dtype": dtype, "source": source or reference.source}
    out["tensors"] = inputs.shapes
    out["start"] = inputs.start
    out["gradients"] = inputs.gradients
    if inputs.curvature:
        out["curvature"] = inputs.curvature
    out["params"] = [{n: result(x) for n, x in step.items()} for step in params]
    # The Float32 comparison starts each step from the reference's own state; in Float64 the state
    # after the last step shows that the slots mean the same.
    out["state"] = [
        {n: {s: result(x) for s, x in slots.items()} for n, slots in step.items()}
        if any(step.values()) and (dtype != "f64" or i == len(states) - 1)
        else None
        for i, step in enumerate(states)
    ]
    near = near_threshold(inputs, states, dtype, jump) if jump else []
    return {**out, "near_threshold": near} if near else out


def near_threshold(inputs, states, dtype, jump):
    """The elements at a jump of the reference. jump(gradient, state before) -> (x, scale): it jumps
    where x = 0, and x is known to about the rounding of scale. Its docstring says why."""
    numpy_type, _ = DTYPES[dtype]
    near = []
    for step, gradients in enumerate(inputs.gradients):
        for name, gradient in gradients.items():
            g = np.array(expand(gradient)).astype(numpy_type).astype(np.float64)
            before = states[step - 1][name] if step else dict.fromkeys(states[0][name], 0 * g)
            x, scale = jump(g, {s: v.astype(np.float64) for s, v in before.items()})
            known = scale == 0  # 0 = 0 + 0, without rounding
            if dtype == "f64":
                # Here a jump to the other side would change all that follows: keep away from it.
                assert np.all(known | (np.abs(x) > 1e-9 * scale)), (name, step)
                continue
            assert np.all(known | (scale > 1e-37)), "subnormal, which XLA takes for 0"
            close = ~known & (np.abs(x) <= 4 * np.spacing(scale.astype(np.float32)))
            if close.any():
                elements = np.flatnonzero(close).tolist()
                why = jump.__doc__
                near.append({"step": step, "tensor": name, "elements": elements, "why": why})
    return near


# ---- rules -------------------------------------------------------------------------------------

DECAYING = "exponential(0.1, factor=0.9)"  # decaying(t), as a recipe
ZEROS = [0.0, 0.0]
HALVES = [0.5, 0.25]


@vectors("sgd", f"torch.optim.SGD, {TORCH}")
def sgd():
    def ref(slots=None, **options):
        return Torch(torch.optim.SGD, slots, **options)

    def decoupled(wd, **options):
        """torch has no decoupled decay for SGD: p *= 1 - lr*wd first, as its AdamW and timm's SGDW
        do."""

        def decay(parameters, lr):
            for p in parameters:
                p.mul_(1 - lr * wd)

        return ref(parameters=decay, **options)

    m = {"m": "momentum_buffer"}
    plain = "sgd(lr=0.1)", ref(lr=0.1)
    heavy = f"sgd(lr={DECAYING}, momentum=0.9)", ref(m, lr=decaying, momentum=0.9)
    damped = (
        "sgd(lr=0.1, momentum=0.9, dampening=0.5)",
        ref(m, lr=0.1, momentum=0.9, dampening=0.5),
    )
    nesterov = (
        "sgd(lr=0.05, momentum=0.9, nesterov=1, weight_decay=0.1)",
        ref(m, lr=0.05, momentum=0.9, nesterov=True, weight_decay=0.1),
    )
    sgdw = (
        f"sgd(lr={DECAYING}, momentum=0.9, weight_decay=0.2, decay=decoupled)",
        decoupled(0.2, slots=m, lr=decaying, momentum=0.9),
    )
    source = f"p *= 1 - lr*weight_decay, then torch.optim.SGD, {TORCH}"
    lazy = f"sgd(lr={DECAYING})", ref(lr=decaying)
    return [
        f64("defaults", "sgd()", ref(lr=1e-3), few()),
        f64("plain", *plain, edges(tinier=ZEROS)),
        f32("plain", *plain, edges(tinier=ZEROS)),
        f64("momentum, scheduled rate", *heavy, sizes(tinier=ZEROS)),
        f64("dampening", *damped, few()),
        f32("dampening", *damped, sizes(tinier=ZEROS)),
        f64("nesterov and coupled decay", *nesterov, few()),
        f32("nesterov and coupled decay", *nesterov, few(8)),
        f64("decoupled decay, scheduled rate", *sgdw, few(), source=source),
        f32("decoupled decay, scheduled rate", *sgdw, few(8), source=source),
        f64("tensors without gradient", *damped, missing()),
        f64("more than a block", *nesterov, blocks()),
        f32("more than a block", *nesterov, blocks(1)),
        f64("rows", *lazy, rows()),
        f32("rows", *lazy, rows(4)),
    ]


@vectors("adagrad", f"torch.optim.Adagrad, {TORCH}; compat=optax: optax.adagrad, {OPTAX}")
def adagrad():
    def ref(**options):
        return Torch(torch.optim.Adagrad, {"sum": "sum"}, **options)

    def other(lr, start, eps):
        return Optax(lambda rate: optax.adagrad(rate, start, eps), lr, {"sum": "sum_of_squares"})

    default = "adagrad()", ref(lr=0.01)
    full = (
        "adagrad(lr=0.1, lr_decay=0.1, weight_decay=0.1, initial_accumulator_value=0.5, eps=1e-6)",
        ref(lr=0.1, lr_decay=0.1, weight_decay=0.1, initial_accumulator_value=0.5, eps=1e-6),
    )
    like_optax = (
        "adagrad(lr=0.1, initial_accumulator_value=0.1, eps=1e-7, compat=optax)",
        other(0.1, 0.1, 1e-7),
    )
    from_zero = (
        f"adagrad(lr={DECAYING}, initial_accumulator_value=0, eps=1e-7, compat=optax)",
        other(decaying, 0.0, 1e-7),
    )
    lazy = (
        "adagrad(0.1, lr_decay=0.1, initial_accumulator_value=0.5)",
        ref(lr=0.1, lr_decay=0.1, initial_accumulator_value=0.5),
    )
    return [
        f64("defaults", *default, edges(tinier=ZEROS)),
        f32("defaults", *default, edges(tinier=HALVES)),
        f64("scheduled rate", f"adagrad(lr={DECAYING})", ref(lr=decaying), few()),
        f64("rate decay, coupled decay, start value", *full, few()),
        f32("rate decay, coupled decay, start value", *full, few(8)),
        f64("tensors without gradient", *full, missing()),
        f64("more than a block", *full, blocks()),
        f32("more than a block", *full, blocks(1)),
        f64("optax", *like_optax, sizes(tinier=ZEROS)),
        f32("optax", *like_optax, sizes(tiny_start=HALVES)),
        f64("optax from zero: no update where the sum is 0", *from_zero, sizes(tinier=ZEROS)),
        f32("optax from zero: no update where the sum is 0", *from_zero, few(8)),
        f64("rows", *lazy, rows()),
        f32("rows", *lazy, rows(4)),
    ]


@vectors("rmsprop", f"torch.optim.RMSprop, {TORCH}; compat=optax: optax.rmsprop, {OPTAX}")
def rmsprop():
    def ref(slots, **options):
        keys = {"v": "square_avg", "mean": "grad_avg", "m": "momentum_buffer"}
        return Torch(torch.optim.RMSprop, {s: keys[s] for s in slots.split()}, **options)

    def other(lr, slots, **options):
        # optax puts the rate before the momentum (m = momentum*m + lr*g/root) and subtracts by
        # adding the negative: its trace is our m with the other sign.
        keys = {"v": "nu", "mean": "mu", "m": "-trace"}
        make = functools.partial(optax.rmsprop, decay=0.9, eps=1e-8, **options)
        return Optax(make, lr, {s: keys[s] for s in slots.split()})

    default = "rmsprop()", ref("v", lr=0.01)
    heavy = f"rmsprop(lr={DECAYING}, momentum=0.9)", ref("v m", lr=decaying, momentum=0.9)
    centered = "rmsprop(lr=0.02, centered=1)", ref("v mean", lr=0.02, centered=True)
    full = (
        "rmsprop(lr=0.02, alpha=0.9, eps=1e-6, weight_decay=0.1, momentum=0.9, centered=1)",
        ref(
            "v mean m", lr=0.02, alpha=0.9, eps=1e-6, weight_decay=0.1, momentum=0.9, centered=True
        ),
    )
    like_optax = "rmsprop(lr=0.01, alpha=0.9, eps=1e-8, compat=optax)", other(0.01, "v")
    optax_full = (
        f"rmsprop(lr={DECAYING}, alpha=0.9, eps=1e-8, momentum=0.9, centered=1, compat=optax)",
        other(decaying, "v mean m", momentum=0.9, centered=True),
    )
    return [
        f64("defaults", *default, edges(tinier=ZEROS)),
        f32("defaults", *default, edges(tinier=HALVES)),
        f64("momentum, scheduled rate", *heavy, few()),
        f64("centered", *centered, few()),
        f64("centered, momentum, coupled decay", *full, few()),
        f32("centered, momentum, coupled decay", *full, few(8)),
        f64("tensors without gradient", *full, missing()),
        f64("more than a block", *full, blocks()),
        f32("more than a block", *full, blocks(1)),
        f64("optax", *like_optax, sizes(tinier=ZEROS)),
        f32("optax", *like_optax, sizes(tiny_start=HALVES)),
        f64("optax, centered, momentum, scheduled rate", *optax_full, few()),
        f32("optax, centered, momentum, scheduled rate", *optax_full, few(8)),
    ]


ADAM = {"m": "exp_avg", "v": "exp_avg_sq"}
AMSGRAD = {**ADAM, "vmax": "max_exp_avg_sq"}


@vectors("adam", f"torch.optim.Adam, {TORCH}; compat=optax: optax.adam and optax.amsgrad, {OPTAX}")
def adam():
    def ref(slots=ADAM, **options):
        return Torch(torch.optim.Adam, slots, **options)

    default = "adam()", ref(lr=1e-3)
    amsgrad = (
        "adam(lr=0.05, beta1=0.8, beta2=0.95, eps=1e-6, weight_decay=0.1, amsgrad=1)",
        ref(AMSGRAD, lr=0.05, betas=(0.8, 0.95), eps=1e-6, weight_decay=0.1, amsgrad=True),
    )
    like_optax = (
        f"adam(lr={DECAYING}, compat=optax)",
        Optax(optax.adam, decaying, {"m": "mu", "v": "nu"}),
    )
    optax_amsgrad = (
        "adam(lr=0.05, beta2=0.9, amsgrad=1, compat=optax)",
        Optax(
            functools.partial(optax.amsgrad, b2=0.9), 0.05, {"m": "mu", "v": "nu", "vmax": "nu_max"}
        ),
    )
    # SparseAdam adds eps to sqrt(v) before the correction: the same where eps does not matter.
    lazy = (
        "adam(0.1, beta1=0.8, beta2=0.95, eps=1e-30)",
        Torch(torch.optim.SparseAdam, ADAM, lr=0.1, betas=(0.8, 0.95), eps=1e-30),
    )
    return [
        f64("defaults", *default, edges(tinier=ZEROS)),
        f32("defaults", *default, edges(tinier=HALVES)),
        f64("scheduled rate", f"adam(lr={DECAYING})", ref(lr=decaying), few()),
        f64("amsgrad, coupled decay", *amsgrad, few()),
        f32("amsgrad, coupled decay", *amsgrad, few(8)),
        f64("tensors without gradient", *amsgrad, missing()),
        f64("more than a block", *amsgrad, blocks()),
        f32("more than a block", *amsgrad, blocks(1)),
        f64("optax, scheduled rate", *like_optax, sizes(tinier=ZEROS)),
        f32("optax, scheduled rate", *like_optax, few(8)),
        f64("optax, amsgrad", *optax_amsgrad, few()),
        f32("optax, amsgrad", *optax_amsgrad, few(8)),
        f64("rows", *lazy, rows()),
        f32("rows", *lazy, rows(4)),
    ]


@vectors("adamw", f"torch.optim.AdamW, {TORCH}")
def adamw():
    def ref(slots=ADAM, **options):
        return Torch(torch.optim.AdamW, slots, **options)

    default = "adamw()", ref(lr=1e-3)
    scheduled = f"adamw(lr={DECAYING}, weight_decay=0.1)", ref(lr=decaying, weight_decay=0.1)
    amsgrad = (
        "adamw(lr=0.05, beta1=0.8, beta2=0.95, eps=1e-6, weight_decay=0.2, amsgrad=1)",
        ref(AMSGRAD, lr=0.05, betas=(0.8, 0.95), eps=1e-6, weight_decay=0.2, amsgrad=True),
    )
    return [
        f64("defaults", *default, edges(tinier=ZEROS)),
        f32("defaults", *default, edges(tinier=HALVES)),
        f64("scheduled rate", *scheduled, few()),
        f32("scheduled rate", *scheduled, few(8)),
        f64("amsgrad", *amsgrad, few()),
        f32("amsgrad", *amsgrad, few(8)),
        f64("tensors without gradient", *amsgrad, missing()),
        f64("more than a block", *amsgrad, blocks()),
        f32("more than a block", *amsgrad, blocks(1)),
    ]


@vectors("lion", f"optax.lion, {OPTAX}")
def lion():
    def ref(lr, b1=0.9, b2=0.99, wd=0.0):
        return Optax(lambda rate: optax.lion(rate, b1, b2, weight_decay=wd), lr, {"m": "mu"})

    def sign(b1):
        def jump(g, state):
            """sign(beta1*m + (1-beta1)*g): the sum is within 4 ulp of 0"""
            a, b = b1 * state["m"], (1 - b1) * g
            return a + b, np.maximum(np.abs(a), np.abs(b))

        return jump

    def between(i):
        """Signs that turn if beta2 stands for beta1, or if m is updated before it is used."""
        return i.add("between", [2], [0.5, 0.5], [[1.0, 1.0], [-0.095, -0.085]] + [[0.5, 0.5]] * 6)

    # Of a gradient of 1e-38 the share (1-beta1) is a Float32 subnormal, which XLA takes for 0.
    normal = edges(tiny=1e-30, tiny_start=HALVES)
    # -0.09 cancels what 1.0 left in m, all but the rounding.
    cancels = few(8).add("near", [1], [0.5], [[1.0], [-0.09]] + [[0.5]] * 6)
    default = "lion()", ref(1e-4)
    decay = "lion(lr=0.01, weight_decay=0.1)", ref(0.01, wd=0.1)
    scheduled = (
        f"lion(lr={DECAYING}, beta1=0.95, beta2=0.98, weight_decay=0.1)",
        ref(decaying, 0.95, 0.98, 0.1),
    )
    return [
        f64("defaults", *default, between(edges(tinier=ZEROS)), jump=sign(0.9)),
        f32("defaults", *default, between(normal), jump=sign(0.9)),
        f64("decay, scheduled rate", *scheduled, few(), jump=sign(0.95)),
        f32("decay", *decay, cancels, jump=sign(0.9)),
        f64("more than a block", *scheduled, blocks(), jump=sign(0.95)),
        f32("more than a block", *decay, blocks(1), jump=sign(0.9)),
    ]


@vectors("lamb", f"optax.lamb, {OPTAX}")
def lamb():
    def ref(lr, **options):
        make = functools.partial(optax.lamb, **options)
        return Optax(make, lr, {"m": "mu", "v": "nu"})

    def zeros(i):
        """Adds parameters of norm 0, and a tensor whose update is 0 for two steps."""
        drawn = [lcg(90 + t, 2, 1.0) for t in range(len(i.gradients) - 2)]
        i.add("still", [2], [1.0, -2.0], [ZEROS, ZEROS, *drawn])
        drawn = [lcg(80 + t, 3, 1.0) for t in range(len(i.gradients))]
        return i.add("zeros", [3], [0.0, 0.0, 0.0], drawn)

    default = "lamb()", ref(1e-3)
    decay = (
        "lamb(lr=0.05, beta1=0.8, beta2=0.95, eps=1e-5, weight_decay=0.1)",
        ref(0.05, b1=0.8, b2=0.95, eps=1e-5, weight_decay=0.1),
    )
    return [
        f64("defaults", *default, zeros(edges(tinier=[0.0, 0.25]))),
        # No near-subnormal gradients: optax takes the norms in Float32, where their squares are 0
        # and the trust ratio becomes 1.
        f32("defaults", *default, zeros(edges(tiny_start=HALVES))),
        f64("scheduled rate", f"lamb(lr={DECAYING})", ref(decaying), zeros(few())),
        f64("decay", *decay, zeros(few())),
        f32("decay", *decay, zeros(few(8))),
        f64("more than a block", *decay, blocks()),
        f32("more than a block", *decay, blocks(1)),
    ]


def factored(shapes, states):
    """States with the slots that a tensor has: r and c of matrices, as long as they are, v of others. A
    reference that has not seen a gradient has none, and gives zeros of the tensor's size."""
    out = []
    for step in states:
        found = {}
        for name, slots in step.items():
            shape = shapes[name]
            n = math.prod(shape)
            lengths = {"r": n // shape[-1], "c": n // shape[-2]} if len(shape) > 1 else {"v": n}
            kept = lengths | ({"m": n} if "m" in slots else {})
            found[name] = {s: np.asarray(slots[s])[:length] for s, length in kept.items()}
        out.append(found)
    return out


class Adafactor(Torch):
    """torch.optim.Adafactor, or the one of transformers."""

    THEIRS = {"r": "exp_avg_sq_row", "c": "exp_avg_sq_col", "v": "exp_avg_sq"}

    def __init__(self, optimizer=None, **options):
        own = {"r": "row_var", "c": "col_var", "v": "variance"} if optimizer is None else self.THEIRS
        mean = {"m": "exp_avg"} if options.get("beta1") else {}
        super().__init__(optimizer or torch.optim.Adafactor, own | mean, **options)
        if optimizer is not None:
            self.source = f"transformers.optimization.Adafactor, {TRANSFORMERS}"

    def run(self, inputs, dtype):
        params, states = super().run(inputs, dtype)
        return params, factored(inputs.shapes, states)


class OptaxAdafactor(Optax):
    """The chain of optax.adafactor, with its decay in Float64: optax computes it in Float32. Its rows
    are those of the smaller axis."""

    def __init__(self, lr, momentum=None, decay=None, eps=1e-30):
        slots = {"r": "v_row", "c": "v_col", "v": "v"} | ({"m": "ema"} if momentum else {})
        super().__init__(functools.partial(self.chain, momentum, decay, eps), lr, slots)
        self.source = f"optax.adafactor with its decay in Float64, {OPTAX}"

    @staticmethod
    def chain(momentum, decay, eps, rate):
        def share(count, exponent):
            return 1.0 - jnp.asarray(count + 1, jnp.float64) ** -exponent

        chain = [
            optax.scale_by_factored_rms(
                min_dim_size_to_factor=1, epsilon=eps, decay_rate_fn=share
            ),
            optax.clip_by_block_rms(1.0),
            optax.scale_by_learning_rate(rate, flip_sign=False),
            optax.scale_by_param_block_rms(),
        ]
        if momentum:
            chain.append(optax.ema(momentum, debias=False, accumulator_dtype=jnp.float64))
        if decay:
            chain.append(optax.add_decayed_weights(decay))
        return optax.chain(*chain, optax.scale(-1))

    def run(self, inputs, dtype):
        params, states = super().run(inputs, dtype)
        for step in states:
            for name, slots in step.items():
                shape = inputs.shapes[name]
                if len(shape) == 2 and shape[0] > shape[1]:
                    slots["r"], slots["c"] = slots["c"], slots["r"]
        return params, factored(inputs.shapes, states)


@vectors(
    "adafactor",
    f"torch.optim.Adafactor, {TORCH}; transformers.optimization.Adafactor, {TRANSFORMERS}; "
    f"optax.adafactor, {OPTAX}",
)
def adafactor():
    def forms(steps=4, more=True):
        """Tensors of every rank, a row, a column, one element, parameters of 0; a matrix with a row and
        a column without a gradient, and one whose first gradient is 0."""
        i = few(steps)
        shapes = {"wide": [3, 5], "tall": [6, 2], "zeros": [2, 2], "holes": [4, 3]}
        if more:
            shapes |= {"one": [1, 1], "row": [1, 6], "column": [6, 1], "three": [2, 3, 4]}
            shapes |= {"conv": [2, 2, 3, 2], "late": [3, 3]}
        for k, (name, shape) in enumerate(shapes.items()):
            n = math.prod(shape)
            gone = [[j, 0.0] for j in range(n) if j // 3 == 1 or j % 3 == 2] if name == "holes" else None
            drawings = [drawn(900 + 20 * k + t, n, 1.0, gone) for t in range(steps)]
            if name == "late":
                drawings[0] = drawn(0, n, 0)
            start = [0.0] * n if name == "zeros" else drawn(880 + k, n)
            i.add(name, shape, start, drawings)
        return i

    def extremes(largest, steps=4):
        """Large gradients, and such whose squares are below eps1, or subnormal Floats."""
        i = Inputs()
        for k, size in enumerate([largest, 1e-6, 1e-12, 1e-20]):
            drawings = [drawn(1200 + 20 * k + t, 8, size) for t in range(steps)]
            i.add(f"size{k}", [2, 4], drawn(1190 + k, 8), drawings)
            i.add(f"vector{k}", [8], drawn(1195 + k, 8), drawings)
        return i

    def large(steps):
        """Matrices whose rows cross blocks, whose blocks hold rows, and that lie across blocks."""
        i = Inputs()
        for k, (name, shape) in enumerate({"rows": [20, 55], "two": [1, 1100], "cube": [2, 550, 1]}.items()):
            drawings = [drawn(1300 + 20 * k + t, 1100) for t in range(steps)]
            i.add(name, shape, drawn(1290 + k, 1100), drawings)
        return i

    def missing():
        i = forms(more=False)
        for step, name in [(0, "wide"), (2, "wide"), (1, "s"), (3, "edge"), (2, "tall")]:
            del i.gradients[step][name]
        return i

    def hf(**options):
        return Adafactor(importlib.import_module("transformers.optimization").Adafactor, **options)

    default = "adafactor()", Adafactor(lr=0.01)
    other = (
        "adafactor(lr=0.1, beta2_decay=-0.5, eps1=0.001, eps2=0.25, clip_threshold=2, weight_decay=0.1)",
        Adafactor(lr=0.1, beta2_decay=-0.5, eps=(1e-3, 0.25), d=2.0, weight_decay=0.1),
    )
    scheduled = f"adafactor(lr={DECAYING}, weight_decay=0.01)", Adafactor(lr=decaying, weight_decay=0.01)
    relative = "adafactor(weight_decay=0.1, compat=paper)", hf(lr=None, weight_decay=0.1)
    heavy = (
        "adafactor(lr=0.05, beta2_decay=-0.7, eps1=1e-20, eps2=0.01, clip_threshold=0.5, beta1=0.9, "
        "relative_step=false, compat=paper)",
        hf(
            lr=0.05,
            decay_rate=-0.7,
            eps=(1e-20, 0.01),
            clip_threshold=0.5,
            beta1=0.9,
            relative_step=False,
        ),
    )
    absolute = (
        "adafactor(lr=0.001, weight_decay=0.01, relative_step=false, scale_parameter=false, compat=paper)",
        hf(lr=1e-3, weight_decay=0.01, relative_step=False, scale_parameter=False),
    )
    theirs = (
        "adafactor(lr=0.02, weight_decay=0.001, relative_step=false, compat=optax)",
        OptaxAdafactor(0.02, decay=1e-3),
    )
    moving = (
        f"adafactor(lr={DECAYING}, eps1=1e-10, beta1=0.8, relative_step=false, compat=optax)",
        OptaxAdafactor(decaying, momentum=0.8, eps=1e-10),
    )
    flat = forms(3)
    for name in ("three", "conv"):  # optax factors the two largest axes
        del flat.shapes[name], flat.start[name]
        for gradients in flat.gradients:
            del gradients[name]
    return [
        f64("defaults", *default, forms()),
        f32("defaults", *default, forms(3)),
        f64("sizes", *default, extremes(1e15)),
        # torch multiplies r by c before it divides by their mean, which overflows above 1e9.
        f32("sizes", *default, extremes(1e9)),
        f64("missing gradients", *default, missing()),
        f64("all arguments", *other, forms()),
        f32("all arguments", *other, forms(3, more=False)),
        f64("scheduled rate", *scheduled, forms(more=False)),
        f64("more than a block", *other, large(2)),
        f32("more than a block", *other, large(1)),
        f64("transformers", *relative, forms()),
        f32("transformers", *relative, forms(3, more=False)),
        f64("transformers, momentum", *heavy, forms(more=False)),
        f32("transformers, momentum", *heavy, forms(3, more=False)),
        f64("transformers, a plain rate", *absolute, forms(more=False)),
        f64("optax", *theirs, flat),
        f64("optax, momentum", *moving, flat),
    ]


def newton_schulz(compat):
    """torch's _zeropower_via_newtonschulz, in the type of the gradient instead of bfloat16; as the
    author has it, eps is added to the norm."""

    def orthogonalize(grad, ns_coefficients, ns_steps, eps):
        a, b, c = ns_coefficients
        turned = grad.size(0) > grad.size(1)
        x = grad.T.clone() if turned else grad.clone()
        x = x / (x.norm().clamp(min=eps) if compat == "torch" else x.norm() + eps)
        for _ in range(ns_steps):
            gram = x @ x.T
            x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
        return x.T if turned else x

    return orthogonalize


class Muon(Torch):
    """torch.optim.Muon with its products in the type of the parameters. Both references take matrices
    only: a tensor of more axes is given to them as the first axis by all others."""

    def __init__(self, compat="torch", **options):
        super().__init__(torch.optim.Muon, {"m": "momentum_buffer"}, **options)
        self.compat = compat
        norm = "" if compat == "torch" else ", eps added to the norm as in KellerJordan/Muon"
        self.source += f", Newton-Schulz in the type of the parameters{norm}"

    def run(self, inputs, dtype):
        flat = Inputs()
        flat.start, flat.gradients = inputs.start, inputs.gradients
        flat.shapes = {n: [s[0], math.prod(s[1:])] for n, s in inputs.shapes.items()}
        module = importlib.import_module("torch.optim._muon")
        kept = module._zeropower_via_newtonschulz
        module._zeropower_via_newtonschulz = newton_schulz(self.compat)
        try:
            return super().run(flat, dtype)
        finally:
            module._zeropower_via_newtonschulz = kept


class OptaxMuon(Optax):
    """optax.contrib.muon; a tensor of more axes as all others by the last."""

    def __init__(self, lr, **options):
        super().__init__(lambda rate: optax.contrib.muon(rate, **options), lr, {"m": "mu"})
        self.source = f"optax.contrib.muon, {OPTAX}"

    def run(self, inputs, dtype):
        flat = Inputs()
        flat.start, flat.gradients = inputs.start, inputs.gradients
        flat.shapes = {n: [math.prod(s[:-1]), s[-1]] for n, s in inputs.shapes.items()}
        return super().run(flat, dtype)


@vectors("muon", f"torch.optim.Muon, {TORCH}; optax.contrib.muon, {OPTAX}")
def muon():
    def away(seed, count):
        """Parameters of 0.5 to 1: beside those near 0 the rounding of the products is no rounding."""
        return [x + math.copysign(0.5, x) for x in lcg(seed, count, 0.5)]

    def hidden(steps=3, all_forms=True, extreme=True):
        """Matrices of every form; some whose first gradient is 0, and one whose gradient is less than
        eps or huge."""
        i = Inputs()
        forms = {"wide": [3, 5], "tall": [6, 2], "conv": [2, 3, 2, 1]}
        if all_forms:
            forms |= {"square": [4, 4], "row": [1, 6], "one": [1, 1], "column": [6, 1]}
        for k, (name, form) in enumerate(forms.items()):
            n = math.prod(form)
            zero = drawn(0, n, 0)
            drawings = [drawn(500 + 20 * k + t, n) for t in range(steps)]
            if name in ("square", "one"):
                drawings[0] = zero
            i.add(name, form, away(480 + k, n), drawings)
        if extreme:
            scales = [1e-9, 1e-12, 1e15, 1.0, 1.0][:steps]
            i.add("sizes", [2, 4], away(490, 8), [drawn(700 + t, 8, s) for t, s in enumerate(scales)])
        return i

    def large(steps):
        gradients = [drawn(800 + t, 1100) for t in range(steps)]
        return Inputs().add("big", [20, 55], away(499, 1100), gradients)

    def missing():
        i = hidden(all_forms=False)
        for step, name in [(0, "wide"), (2, "wide"), (1, "conv")]:
            del i.gradients[step][name]
        return i

    rms = dict(momentum=0.9, nesterov=False, adjust_lr_fn="match_rms_adamw", weight_decay=0.0)
    other = (
        "muon(lr=0.02, momentum=0.9, nesterov=false, weight_decay=0, adjust=match_rms_adamw)",
        Muon(lr=0.02, **rms),
    )
    cubic = (
        "muon(lr=0.01, ns_steps=3, ns_a=1.5, ns_b=-0.5, ns_c=0, eps=0.001, adjust=spectral_unclamped)",
        Muon(
            lr=0.01,
            ns_steps=3,
            ns_coefficients=(1.5, -0.5, 0.0),
            eps=1e-3,
            adjust_lr_fn="spectral_unclamped",
        ),
    )
    author = (
        f"muon(lr={DECAYING}, weight_decay=0, compat=author)",
        Muon("author", lr=decaying, weight_decay=0.0),
    )
    theirs = (
        "muon(lr=0.02, eps=1e-8, weight_decay=0.01, compat=optax)",
        OptaxMuon(0.02, weight_decay=0.01),
    )
    plain = (
        f"muon(lr={DECAYING}, momentum=0.8, nesterov=false, eps=1e-8, weight_decay=0, "
        "adjust=match_rms_adamw, compat=optax)",
        OptaxMuon(decaying, beta=0.8, nesterov=False, consistent_rms=0.2),
    )
    flat = "muon(momentum=0)", Muon(lr=1e-3, momentum=0.0)
    flat[1].slots = {}
    return [
        f64("defaults", "muon()", Muon(lr=1e-3), hidden(5)),
        f32("defaults", "muon()", Muon(lr=1e-3), hidden(extreme=False)),
        f64("missing gradients", "muon()", Muon(lr=1e-3), missing()),
        f64("match_rms_adamw", *other, hidden(all_forms=False)),
        f64("three steps of a cubic", *cubic, hidden(all_forms=False)),
        f64("the author's, scheduled rate", *author, hidden()),
        f64("optax", *theirs, hidden(5)),
        f32("optax", *theirs, hidden(all_forms=False, extreme=False)),
        f64("optax, no nesterov, consistent rms, scheduled rate", *plain, hidden(all_forms=False)),
        f64("no momentum", *flat, hidden(all_forms=False)),
        f64("more than a block", "muon()", Muon(lr=1e-3), large(2)),
        f32("more than a block", "muon()", Muon(lr=1e-3), large(1)),
    ]


# ---- stages ------------------------------------------------------------------------------------


@vectors(
    "clip_norm",
    f"torch.nn.utils.clip_grad_norm_, {TORCH}; compat=optax: optax.clip_by_global_norm, {OPTAX}",
    kind="stage",
)
def clip_norm():
    def ref(max, p=2.0, optimizer=torch.optim.SGD, slots=None, lr=1.0):
        def clip(parameters):
            torch.nn.utils.clip_grad_norm_(parameters, max, p, foreach=False)

        return Torch(optimizer, slots, clip, lr=lr)

    def other(max):
        return Optax(lambda r: optax.chain(optax.clip_by_global_norm(max), optax.sgd(r)), 1.0)

    def pythagoras():
        """Norms of 5 (the maximum itself), 2.5 and 10, in two tensors."""
        i = Inputs().add("a", [1], [1.0], [[3.0], [1.5], [6.0]])
        return i.add("b", [2], [-2.0, 0.5], [[0.0, -4.0], [0.0, -2.0], [0.0, -8.0]])

    p1 = "clip_norm(4, p=1) | sgd(1)", ref(4.0, 1)
    p2 = "clip_norm(2, p=2) | sgd(1)", ref(2.0, 2)
    pinf = "clip_norm(1.5, p=inf) | sgd(1)", ref(1.5, np.inf)
    all_sizes = "clip_norm(1) | sgd(0.1)", ref(1.0, lr=0.1)
    to_adamw = "clip_norm(1) | adamw(0.01)", ref(1.0, 2.0, torch.optim.AdamW, ADAM, lr=0.01)
    like_optax = "clip_norm(2, compat=optax) | sgd(1)", other(2.0)
    return [
        f64("p=1, above and below", *p1, few()),
        f32("p=1, above and below", *p1, few(8)),
        f64("p=2, above and below", *p2, few()),
        f32("p=2, above and below", *p2, few(8)),
        f64("p=inf, above and below", *pinf, few()),
        f32("p=inf, above and below", *pinf, few(8)),
        f64("all sizes", *all_sizes, sizes(tinier=ZEROS)),
        f32("all sizes", *all_sizes, sizes()),
        f64("at the maximum", "clip_norm(5) | sgd(1)", ref(5.0), pythagoras()),
        f64("before adamw", *to_adamw, few()),
        f32("before adamw", *to_adamw, few(8)),
        f64("tensors without gradient", *p2, missing()),
        f64("more than a block", *p2, blocks()),
        f32("more than a block", *p2, blocks(1)),
        f64("optax, above and below", *like_optax, few()),
        f32("optax, above and below", *like_optax, few(8)),
        f64(
            "optax, at the maximum", "clip_norm(5, compat=optax) | sgd(1)", other(5.0), pythagoras()
        ),
        f64("optax, all sizes", *like_optax, sizes(tinier=ZEROS)),
    ]


@vectors("clip_value", f"torch.nn.utils.clip_grad_value_, {TORCH}", kind="stage")
def clip_value():
    def ref(max, slots=None, **options):
        def clip(parameters):
            torch.nn.utils.clip_grad_value_(parameters, max, foreach=False)

        return Torch(torch.optim.SGD, slots, clip, **options)

    m = {"m": "momentum_buffer"}
    edge = [[0.5, -0.5, 0.0, np.nextafter(0.5, 1)]] * 3 + [["inf", "-inf", 0.0, 1.0]]
    at = few().add("at", [4], [0.0] * 4, edge)
    plain = "clip_value(0.5) | sgd(0.1)", ref(0.5, lr=0.1)
    heavy = "clip_value(0.5) | sgd(0.1, momentum=0.9)", ref(0.5, m, lr=0.1, momentum=0.9)
    unit = "clip_value(0.25) | sgd(1)", ref(0.25, lr=1.0)
    return [
        f64("all sizes", *plain, sizes(tinier=ZEROS)),
        f32("all sizes", *plain, sizes(tinier=ZEROS)),
        f64("at the maximum, infinite gradients, momentum", *heavy, at),
        f64("more than a block", *unit, blocks(2)),
        f32("more than a block", *unit, blocks(1)),
    ]


@vectors("maximize", f"torch.optim, maximize=True, {TORCH}", kind="stage")
def maximize():
    m, av = {"m": "momentum_buffer"}, {"m": "exp_avg", "v": "exp_avg_sq"}
    sgd = "maximize | sgd(0.1, momentum=0.9, weight_decay=0.1)"
    sgd = sgd, Torch(
        torch.optim.SGD, m, lr=0.1, momentum=0.9, weight_decay=0.1, maximize=True
    )
    adam = "maximize | adam(0.1, weight_decay=0.1)"
    adam = adam, Torch(torch.optim.Adam, av, lr=0.1, weight_decay=0.1, maximize=True)
    adamw = "maximize | adamw(0.1, weight_decay=0.1)"
    adamw = adamw, Torch(torch.optim.AdamW, av, lr=0.1, weight_decay=0.1, maximize=True)
    return [
        f64("sgd", *sgd, few()),
        f64("adam", *adam, few()),
        f64("adamw", *adamw, few()),
        f32("sgd", *sgd, few()),
        f32("more than a block", *adamw, blocks(1)),
    ]


@vectors(
    "finite_guard",
    f"zero: torch.nan_to_num(g, 0, 0, 0), {TORCH}; skip: optax.apply_if_finite, {OPTAX}",
    kind="stage",
)
def finite_guard():
    def zero(max_norm=None, slots=None, **options):
        def replace(parameters):
            for p in parameters:
                p.grad.copy_(torch.nan_to_num(p.grad, 0.0, 0.0, 0.0))
            if max_norm:
                torch.nn.utils.clip_grad_norm_(parameters, max_norm, foreach=False)

        return Torch(torch.optim.SGD, slots, replace, **options)

    def skip(lr, slots=None, **options):
        # A skipped step leaves the inner state alone, so the schedule stays where it is.
        def make(rate):
            return optax.apply_if_finite(optax.sgd(rate, **options), max_consecutive_errors=1000)

        return Optax(make, lr, slots)

    def bad(steps=STEPS):
        """NaN and both infinities in steps 2, 5 and 7; never two steps in a row."""
        i = few(steps)
        i.gradients[2]["edge"] = [0.5, "nan", 1.0, 0.25, "nan", -1.0]
        i.gradients[5]["edge"] = ["inf", 0.5, "-inf", 0.25, 1.0, "nan"]
        i.gradients[7]["s"] = ["inf"]
        return i

    m = {"m": "momentum_buffer"}
    heavy = "finite_guard(zero) | sgd(0.1, momentum=0.9)", zero(slots=m, lr=0.1, momentum=0.9)
    clipped = "finite_guard(zero) | clip_norm(1) | sgd(0.1)", zero(1.0, lr=0.1)
    skipped = (
        f"finite_guard(skip) | sgd({DECAYING}, momentum=0.9)",
        skip(decaying, {"m": "trace"}, momentum=0.9),
    )
    return [
        f64("zero", "finite_guard(zero) | sgd(0.1)", zero(lr=0.1), bad()),
        f64("zero, momentum", *heavy, bad()),
        f32("zero, momentum", *heavy, bad(8)),
        f64("zero, then a norm", *clipped, bad()),
        f64("skip, momentum, scheduled rate", *skipped, bad()),
    ]


# ---- stages behind the rule --------------------------------------------------------------------


class Averaged:
    """An average of the parameters that another reference reaches, as a slot."""

    slot = "ema"

    def __init__(self, inner, average, source):
        self.inner, self.average, self.source = inner, average, source

    def run(self, inputs, dtype):
        params, states = self.inner.run(inputs, dtype)
        averages = {name: self.average() for name in inputs.shapes}
        for step, found in zip(params, states, strict=True):
            for name, p in step.items():
                found[name][self.slot] = averages[name](p)
        return params, states


@vectors(
    "ema",
    f"copy: torch.optim.swa_utils.get_ema_avg_fn, {TORCH}; debias: optax.ema(debias=True), {OPTAX}",
    kind="stage",
)
def ema():
    def copied(decay):
        def make():
            average = torch.optim.swa_utils.get_ema_avg_fn(decay)
            held = []

            def take(p):
                p = torch.tensor(p)
                held[:] = [average(held[0], p, 1) if held else p]  # AveragedModel copies first
                return held[0].numpy().copy()

            return take

        return make

    def debiased(decay):
        def make():
            transform = optax.ema(decay, debias=True)
            state = []

            def take(p):
                p = jnp.asarray(p)
                state[:] = state or [transform.init(p)]
                out, state[0] = transform.update(p, state[0])
                return np.asarray(out)

            return take

        return make

    sgd = functools.partial(Torch, torch.optim.SGD, lr=0.1)
    copy = "sgd(0.1) | ema(0.9, start=copy)", Averaged(sgd(), copied(0.9), TORCH)
    debias = "sgd(0.1) | ema(0.75)", Averaged(sgd(), debiased(0.75), OPTAX)
    adam = Averaged(Torch(torch.optim.AdamW, ADAM, lr=0.01), copied(0.5), TORCH)
    return [
        f64("copy", *copy, few()),
        f32("copy", *copy, few(8)),
        f64("debias", *debias, few()),
        f64("behind adamw", "adamw(0.01) | ema(0.5, start=copy)", adam, few()),
        f64("more than a block", *debias, blocks()),
    ]


class OptaxLookahead:
    """optax.lookahead, with its slow parameters as the slot."""

    def __init__(self, k, alpha, lr):
        self.k, self.alpha, self.lr, self.source = k, alpha, lr, OPTAX

    def run(self, inputs, dtype):
        numpy_type, _ = DTYPES[dtype]

        def array(spec, name):
            flat = np.array(expand(spec)).astype(numpy_type)
            return jnp.asarray(flat.reshape(inputs.shapes[name]))

        p = {n: array(inputs.start[n], n) for n in inputs.shapes}
        p = optax.LookaheadParams.init_synced(p)
        optimizer = optax.lookahead(optax.sgd(self.lr), self.k, self.alpha)
        state = optimizer.init(p)
        params, states = [], []
        for gradients in inputs.gradients:
            g = {n: array(gradients[n], n) for n in inputs.shapes}
            updates, state = optimizer.update(g, state, p)
            p = optax.apply_updates(p, updates)
            params.append({n: np.asarray(x).ravel() for n, x in p.fast.items()})
            states.append({n: {"slow": np.asarray(x).ravel()} for n, x in p.slow.items()})
        return params, states


@vectors("lookahead", f"optax.lookahead, {OPTAX}", kind="stage")
def lookahead():
    default = "sgd(0.1) | lookahead", OptaxLookahead(5, 0.5, 0.1)
    short = "sgd(0.1) | lookahead(k=2, alpha=0.8)", OptaxLookahead(2, 0.8, 0.1)
    return [
        f64("defaults", *default, few()),
        f64("every second step", *short, few()),
        f32("every second step", *short, few(8)),
        f64("more than a block", *short, blocks()),
    ]


@vectors("prodigy", f"prodigyopt {version('prodigyopt')}")
def prodigy():
    from prodigyopt import Prodigy

    slots = {"m": "exp_avg", "v": "exp_avg_sq", "s": "s", "p0": "p0"}

    def ref(**options):
        reference = Torch(Prodigy, slots, **{"lr": 1.0} | options)
        reference.source = f"prodigyopt {version('prodigyopt')}"
        return reference

    busy = "prodigy(0.5, weight_decay=0.1, bias_correction=true, d0=1e-3, growth_rate=1.5)"
    coupled = "prodigy(decay=coupled, weight_decay=0.1, safeguard_warmup=true, d_coef=2, beta3=0.9)"
    return [
        f64("defaults", "prodigy", ref(), few()),
        f64("defaults, larger start", "prodigy(d0=1e-2)", ref(d0=1e-2), few()),
        f64(
            "bias correction, decay, bounded growth",
            busy,
            ref(lr=0.5, weight_decay=0.1, use_bias_correction=True, d0=1e-3, growth_rate=1.5),
            few(),
        ),
        f64(
            "coupled, safeguarded",
            coupled,
            ref(decouple=False, weight_decay=0.1, safeguard_warmup=True, d_coef=2.0, beta3=0.9),
            few(),
        ),
        f64("more than a block", "prodigy(d0=1e-3)", ref(d0=1e-3), blocks()),
        f64("scheduled rate", f"prodigy({DECAYING}, d0=1e-3)", ref(lr=decaying, d0=1e-3), few()),
    ]


def curved(inputs, every=1, late=0):
    """The same with a Hessian's diagonal before every such step, `late` steps late: of both signs, in
    some elements 0 or the same for ever. Late ones have zeros at first."""
    for step in range(len(inputs.gradients)):
        given = {}
        for k, (name, shape) in enumerate(inputs.shapes.items()):
            n = math.prod(shape)
            edges = [[0, 0.0], [2, 2.0], [3, -0.5]][: n // 2]
            if step < late:
                given[name] = [0.0] * n
            elif (step - late) % every == 0:
                given[name] = drawn(900 + 30 * k + step, n, 3.0, edges)
        inputs.curvature.append(given)
    return inputs


class CurvedTorch:
    """A torch optimizer that gets the diagonal before each step; `give` hands it over, `keep` makes of its
    state what ours is."""

    def __init__(self, make, give, slots, source, keep=None, **options):
        self.make, self.give, self.keep, self.slots = make, give, keep, slots
        self.options, self.source = options, source

    def run(self, inputs, dtype):
        numpy_type, _ = DTYPES[dtype]

        def make(parameters, lr, **options):
            parameters = list(parameters)
            optimizer = self.make(parameters, lr=lr, **options)
            plain, curvature = optimizer.step, iter(inputs.curvature)

            def step():
                given = next(curvature)
                flat = [np.array(expand(x)).astype(numpy_type) for x in given.values()]
                with torch.no_grad():
                    diagonal = [torch.tensor(x).reshape(p.shape) for x, p in zip(flat, parameters)]
                self.give(optimizer, plain, parameters, diagonal or None)
                if self.keep:
                    self.keep(optimizer, parameters)

            optimizer.step = step
            return optimizer

        make.__name__ = self.make.__name__
        return Torch(make, self.slots, **self.options).run(inputs, dtype)


@vectors(
    "sophia",
    f"optax.contrib.sophia, {OPTAX}; bias_correction=false: pytorch_optimizer.SophiaH, {KOZISTR}",
)
def sophia():
    from pytorch_optimizer import SophiaH

    class Late(Optax):
        """optax takes the diagonal in behind the step: ours is given before the next. h as the step
        used it."""

        def __init__(self, lr, every, **options):
            given = optax.GradientTransformationExtraArgs(
                lambda p: optax.EmptyState(), lambda g, state, p=None, **_: (self.diagonal, state)
            )
            self.options = dict(update_interval=every, hessian_diagonal_fn=given, **options)
            super().__init__(lambda rate: optax.contrib.sophia(rate, **self.options), lr)

        def run(self, inputs, dtype):
            numpy_type, _ = DTYPES[dtype]

            def array(spec, name):
                return jnp.asarray(
                    np.array(expand(spec)).astype(numpy_type).reshape(inputs.shapes[name])
                )

            make = self.make

            def wrapped(rate):
                inner, step = make(rate), 0

                def update(g, state, p):
                    nonlocal step
                    step += 1
                    coming = inputs.curvature[step] if step < len(inputs.curvature) else {}
                    zeros = {n: jnp.zeros_like(x) for n, x in p.items()}
                    self.diagonal = zeros | {n: array(x, n) for n, x in coming.items()}
                    used = optax.tree.get(state[0], "nu", filtering=held)
                    updates, after = inner.update(g, state[0], p)
                    return updates, (after, {"m": optax.tree.get(after, "mu", filtering=held), "h": used})

                return optax.GradientTransformation(lambda p: (inner.init(p), None), update)

            self.make = wrapped
            self.slots = {"m": "m", "h": "h"}
            try:
                return super().run(inputs, dtype)
            finally:
                self.make = make

    def external(optimizer, plain, parameters, diagonal):
        plain(hessian=diagonal)

    def theirs(lr, **options):
        slots = {"m": "momentum", "h": "hessian_moment"}
        source = f"pytorch_optimizer.SophiaH, {KOZISTR}"
        return CurvedTorch(
            SophiaH, external, slots, source, lr=lr, update_period=10**9, foreach=False, **options
        )

    default = "sophia(lr=0.1)", Late(0.1, 1)
    third = (
        f"sophia(lr={DECAYING}, beta1=0.8, beta2=0.5, weight_decay=0.1, gamma=0.5, clip_threshold=0.7, eps=1e-3)",
        Late(decaying, 3, b1=0.8, b2=0.5, weight_decay=0.1, gamma=0.5, clip_threshold=0.7, eps=1e-3),
    )
    plain = (
        "sophia(0.06, beta1=0.96, eps=1e-12, weight_decay=0, gamma=1, clip_threshold=0.01, bias_correction=false)",
        theirs(0.06),
    )
    decayed = (
        "sophia(0.06, beta1=0.9, beta2=0.8, eps=1e-4, weight_decay=0.1, gamma=1, clip_threshold=2, bias_correction=false)",
        theirs(0.06, betas=(0.9, 0.8), eps=1e-4, weight_decay=0.1, p=2.0),
    )
    return [
        f64("defaults", *default, curved(few(), late=1)),
        f64("every third step, all arguments", *third, curved(few(), every=3, late=1)),
        f32("every third step, all arguments", *third, curved(few(8), every=3, late=1)),
        f64("not corrected", *plain, curved(few())),
        f64("not corrected, every fourth step", *decayed, curved(few(), every=4)),
        f32("not corrected, every fourth step", *decayed, curved(few(8), every=4)),
        f64("sizes", *decayed, curved(sizes())),
        f64("more than a block", *third, curved(blocks(), every=3, late=1)),
        f32("more than a block", *decayed, curved(blocks(1))),
    ]


@vectors("adahessian", f"timm.optim.Adahessian, {TIMM}; pytorch_optimizer.AdaHessian, {KOZISTR}")
def adahessian():
    from pytorch_optimizer import AdaHessian
    from timm.optim.adahessian import Adahessian

    def external(optimizer, plain, parameters, diagonal):
        plain(hessian=diagonal)

    def own(optimizer, plain, parameters, diagonal):
        for p, d in zip(parameters, diagonal):
            p.hess = d.clone()
        optimizer.zero_hessian = optimizer.set_hessian = lambda: None
        plain()

    def corrected(optimizer, parameters):
        """v without the bias of its start, as ours is kept."""
        optimizer.calls = getattr(optimizer, "calls", 0) + 1
        for p in parameters:
            beta2 = optimizer.param_groups[0]["betas"][1]
            state = optimizer.state[p]
            state["v"] = state["exp_hessian_diag_sq"] / (1 - beta2**optimizer.calls)

    def theirs(make, give, source, lr, **options):
        slots = {"m": "exp_avg", "v": "v"}
        return CurvedTorch(make, give, slots, source, corrected, lr=lr, **options)

    def timm(lr=0.1, **options):
        return theirs(Adahessian, own, f"timm.optim.Adahessian, {TIMM}", lr, **options)

    def kozistr(lr, **options):
        source = f"pytorch_optimizer.AdaHessian, {KOZISTR}"
        return theirs(AdaHessian, external, source, lr, foreach=False, **options)

    default = "adahessian", timm()
    busy = (
        f"adahessian({DECAYING}, beta1=0.8, beta2=0.9, eps=1e-3, weight_decay=0.1)",
        timm(decaying, betas=(0.8, 0.9), eps=1e-3, weight_decay=0.1),
    )
    other = (
        "adahessian(0.15, beta2=0.99, eps=1e-16, weight_decay=0.05)",
        kozistr(0.15, betas=(0.9, 0.99), weight_decay=0.05),
    )
    return [
        f64("defaults", *default, curved(few())),
        f32("defaults", *default, curved(few(8))),
        f64("all arguments", *busy, curved(few())),
        f32("all arguments", *busy, curved(few(8))),
        f64("pytorch_optimizer", *other, curved(few())),
        f64("sizes", *busy, curved(sizes())),
        f64("more than a block", *busy, curved(blocks())),
        f32("more than a block", *busy, curved(blocks(1))),
    ]


def matrices(steps=4):
    """Tensors of several axes: small rows, rows that cross the block, many columns, a vector."""
    i = few(steps)
    shapes = {"w": [3, 6], "conv": [4, 3, 2, 2], "long": [3, 700], "tall": [700, 3], "v": [1100]}
    for k, (name, shape) in enumerate(shapes.items()):
        count = int(np.prod(shape))
        start = drawn(5 + k, count, 0.1)
        i.add(name, shape, start, [drawn(90 + 10 * k + t, count) for t in range(steps)])
    return i


@vectors(
    "clip_unit",
    f"axis=first: timm.utils.agc, {TIMM}; axis=last: optax.adaptive_grad_clip, {OPTAX}",
    kind="stage",
)
def clip_unit():
    def first(factor, eps=1e-3):
        agc = timm_module("utils.agc").adaptive_clip_grad

        def clip(parameters):
            agc(parameters, factor, eps)

        reference = Torch(torch.optim.SGD, {"m": "momentum_buffer"}, clip, lr=0.1, momentum=0.9)
        reference.source = f"timm.utils.agc, {TIMM}"
        return reference

    def last(factor):
        def make(rate):
            return optax.chain(optax.adaptive_grad_clip(factor), optax.sgd(rate, momentum=0.9))

        return Optax(make, 0.1, {"m": "trace"})

    def flat(steps=4):
        """matrices, without what optax divides in other ways: three axes and more."""
        i = matrices(steps)
        for part in (i.shapes, i.start, *i.gradients):
            part.pop("conv", None)
        return i

    rule = "sgd(0.1, momentum=0.9)"
    return [
        f64("timm, defaults", f"clip_unit | {rule}", first(0.01), matrices()),
        f64("timm, eps", f"clip_unit(0.1, eps=0.5) | {rule}", first(0.1, 0.5), matrices()),
        f32("timm, defaults", f"clip_unit | {rule}", first(0.01), few(8)),
        f64("optax", f"clip_unit(0.05, axis=last) | {rule}", last(0.05), flat()),
    ]


@vectors("centralize", f"optax.centralize, {OPTAX}; axis=last: the formula", kind="stage")
def centralize():
    def make(rate):
        return optax.chain(optax.centralize(), optax.sgd(rate, momentum=0.9))

    def last(parameters):
        for p in parameters:
            if p.ndim > 1:
                axes = tuple(range(p.ndim - 1))
                p.grad.sub_(p.grad.mean(dim=axes, keepdim=True))

    rule = "sgd(0.1, momentum=0.9)"
    columns = Torch(torch.optim.SGD, {"m": "momentum_buffer"}, last, lr=0.1, momentum=0.9)
    first = Optax(make, 0.1, {"m": "trace"})
    return [
        f64("first axis", f"centralize | {rule}", first, matrices()),
        f64("last axis", f"centralize(last) | {rule}", columns, matrices(), source="the formula"),
    ]


@vectors("noise", f"optax.add_noise, {OPTAX}", kind="stage")
def noise():
    def case(title, arguments, eta, gamma, count=40_000, steps=6):
        reference = optax.add_noise(eta, gamma, 0)
        zero = jnp.zeros(count, jnp.float64)
        state = reference.init(zero)
        drawn = []
        for _ in range(steps):
            update, state = reference.update(zero, state)
            drawn.append(np.asarray(update))
        return {
            "title": title, "recipe": f"noise({arguments}) | sgd(1)", "dtype": "drawn",
            "source": OPTAX, "count": count, "eta": eta, "gamma": gamma,
            "mean": [x.mean() for x in drawn], "std": [x.std() for x in drawn],
        }

    return [
        case("defaults", "0.01", 0.01, 0.55),
        case("slower", "1, gamma=0.2", 1, 0.2),
        case("steady", "0.3, gamma=0", 0.3, 0),
    ]


class Sam:
    """pytorch_optimizer.SAM around a torch optimizer, a gradient a call; its norm in Float64."""

    def __init__(self, base, adaptive, rho, **options):
        def norm(groups, weight_adaptive):
            """Theirs adds up in Float32, whatever the parameters are."""
            g = [
                (p.abs() if adaptive else 1) * p.grad
                for group in groups
                for p in group["params"]
                if p.grad is not None
            ]
            return torch.stack([(x * x).sum() for x in g]).sum().reshape(1)

        def make(parameters, lr):
            import pytorch_optimizer.optimizer.sam as module

            module.get_global_gradient_norm = norm
            known = inspect.signature(base).parameters
            plain = {name: False for name in ("foreach", "fused") if name in known}
            sam = module.SAM(list(parameters), base, rho, adaptive, **options, **plain, lr=lr)
            sam.calls = 0

            def step():
                sam.calls += 1
                (sam.first_step if sam.calls % 2 else sam.second_step)()

            sam.step = step
            return sam

        make.__name__ = "SAM"
        self.torch = Torch(make, lr=0.1)
        self.source = f"pytorch_optimizer.SAM, {KOZISTR}, {TORCH}"

    def run(self, inputs, dtype):
        """Without states: theirs forgets where the parameters were."""
        params, states = self.torch.run(inputs, dtype)
        return params, [{} for _ in states]


def sam_cases(recipe, adaptive):
    momentum = Sam(torch.optim.SGD, adaptive, 0.1, momentum=0.9)
    return [
        f64("sgd", f"{recipe} | sgd(0.1, momentum=0.9)", momentum, few()),
        f64("adam", f"{recipe} | adam(0.1)", Sam(torch.optim.Adam, adaptive, 0.1), few()),
    ]


@vectors("sam", f"pytorch_optimizer.SAM, {KOZISTR}", kind="stage")
def sam():
    return sam_cases("sam(0.1)", False)


@vectors("asam", f"pytorch_optimizer.SAM(adaptive=True), {KOZISTR}", kind="stage")
def asam():
    return sam_cases("asam(0.1, eta=0)", True)


@vectors("accumulate", f"optax.MultiSteps, {OPTAX}", kind="stage")
def accumulate():
    def ref(n, make, **options):
        def multi(rate):
            steps = optax.MultiSteps(make(rate), n, accumulator_dtype=jnp.float64, **options)
            return steps.gradient_transformation()

        return Optax(multi, 0.1)  # its state is a mean so far, ours a sum

    def sgd(rate):
        return optax.sgd(rate, momentum=0.9)

    def clipped(rate):
        return optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(rate, momentum=0.9))

    rule = "sgd(0.1, momentum=0.9)"
    return [
        f64("mean of three", f"accumulate(3) | {rule}", ref(3, sgd), few()),
        f64(
            "sum of two",
            f"accumulate(2, reduce=sum) | {rule}",
            ref(2, sgd, use_grad_mean=False),
            few(),
        ),
        f64(
            "then a norm",
            f"accumulate(2) | clip_norm(1, compat=optax) | {rule}",
            ref(2, clipped),
            few(),
        ),
        f64("one", f"accumulate(1) | {rule}", ref(1, sgd), few()),
        f64("more than a block", f"accumulate(2) | {rule}", ref(2, sgd), blocks()),
    ]


@vectors("unscale", f"torch.amp.GradScaler, {TORCH}", kind="stage")
def unscale():
    def ref(scale, slots=None, **options):
        scaler = torch.amp.GradScaler("cpu", init_scale=scale, **options)
        reference = Torch(torch.optim.SGD, slots, scaler=scaler, lr=0.1, momentum=0.9)
        reference.source = f"torch.amp.GradScaler, {TORCH}"
        return reference

    def bad(steps=STEPS):
        """NaN and both infinities in steps 2, 3 and 7."""
        i = few(steps)
        i.gradients[2]["edge"] = [0.5, "nan", 1.0, 0.25, "nan", -1.0]
        i.gradients[3]["edge"] = ["inf", 0.5, "-inf", 0.25, 1.0, "nan"]
        i.gradients[7]["s"] = ["inf"]
        return i

    rule, m = "sgd(0.1, momentum=0.9)", {"m": "momentum_buffer"}
    quick = "unscale(8, interval=2)", dict(growth_interval=2)
    slow = (
        "unscale(2, growth=4, backoff=0.25, interval=3)",
        dict(growth_factor=4.0, backoff_factor=0.25, growth_interval=3),
    )
    return [
        f64("grows and falls", f"{quick[0]} | {rule}", ref(8.0, m, **quick[1]), bad()),
        f64("other factors", f"{slow[0]} | {rule}", ref(2.0, m, **slow[1]), bad()),
        f64("more than a block", f"unscale(1024) | {rule}", ref(1024.0), blocks()),
    ]


@vectors("swa", f"torch.optim.swa_utils.get_swa_avg_fn, {TORCH}", kind="stage")
def swa():
    def averaged(start, every):
        def make():
            average = torch.optim.swa_utils.get_swa_avg_fn()
            held, seen = [], [0, 0]

            def take(p):
                p = torch.tensor(p)
                seen[0] += 1
                since = seen[0] - 1 - start
                if since >= 0 and since % every == 0:
                    held[:] = [average(held[0], p, seen[1]) if seen[1] else p.clone()]
                    seen[1] += 1
                return (held[0] if seen[1] else p).numpy().copy()

            return take

        return make

    sgd = functools.partial(Torch, torch.optim.SGD, lr=0.1)

    def ref(start, every):
        inner = Averaged(sgd(), averaged(start, every), TORCH)
        inner.slot = "swa"
        return inner

    return [
        f64("every step", "sgd(0.1) | swa", ref(0, 1), few()),
        f64("late, every third", "sgd(0.1) | swa(start=2, every=3)", ref(2, 3), few()),
        f32("every step", "sgd(0.1) | swa", ref(0, 1), few(8)),
        f64("more than a block", "sgd(0.1) | swa(1)", ref(1, 1), blocks()),
    ]


SMALL = 2.0**-9  # a rate that most of the bits of a small update are lost at


def unrounded(recipe):
    """Float32 and Float64 are stored as they are."""
    plain = Torch(torch.optim.SGD, lr=0.1)
    title = "stored as it is"
    return [f64(title, recipe, plain, few(4)), f32(title, recipe, plain, blocks(1))]


@vectors("master", f"torch.optim.SGD on Float32, rounded by Tensor.to, {TORCH}", kind="stage")
def master():
    recipe = f"sgd({SMALL}) | master"
    reference = Stored(SMALL, lambda name, x, step: x, True, f"torch.optim.SGD, {TORCH}")
    return [
        *unrounded("sgd(0.1) | master"),
        case("small steps, bf16", recipe, reference, few(8), "bf16"),
        case("small steps, f16", recipe, reference, few(8), "f16"),
        case("more than a block", recipe, reference, blocks(3), "bf16"),
    ]


@vectors("kahan", f"torch-optimi {version('torch-optimi')}: optimi.SGD(kahan_sum=True)", kind="stage")
def kahan():
    def steps(count=12):
        """Such that optimi, which rounds after each operation, loses nothing but what it keeps."""
        i = Inputs().add("w", [4], [1.0, -1.5, 1.75, 1.0], [[1.0, 1.0, -2.0, 3.0]] * count)
        return i.add("s", [], [-1.25], [[(-1.0) ** (t // 5)] for t in range(count)])

    rate = {"bf16": 2.0**-10, "f16": 2.0**-13}
    return [
        *unrounded("sgd(0.1) | kahan"),
        *(
            case(f"small steps, {d}", f"sgd({rate[d]}) | kahan", Optimi(rate[d]), steps(), d)
            for d in rate
        ),
    ]


@vectors(
    "stochastic_rounding",
    f"torch.optim.SGD, {TORCH}; the random bits from Philox4x32-10, written again in numpy",
    kind="stage",
)
def stochastic_rounding():
    def ref(seed, drop):
        def store(name, x, step):
            """Adds random bits below the last one that is kept, and cuts off. All numbers are normal."""
            random = random_bits(seed, name, x.numel(), step).astype(np.uint32)
            bits = x.numpy().ravel().view(np.uint32) + (random >> np.uint32(16 - drop))
            cut = bits >> np.uint32(drop) << np.uint32(drop)
            return torch.tensor(cut.view(np.float32))

        return Stored(SMALL, store, False, f"torch.optim.SGD, {TORCH}, and numpy")

    recipe, seeded = f"sgd({SMALL}) | stochastic_rounding", "stochastic_rounding(seed=12345678901)"
    return [
        *unrounded("sgd(0.1) | stochastic_rounding"),
        case("bf16", recipe, ref(0, 16), blocks(3), "bf16"),
        case("bf16, another seed", f"sgd({SMALL}) | {seeded}", ref(12345678901, 16), blocks(2), "bf16"),
        case("f16", recipe, ref(0, 13), blocks(3), "f16"),
    ]


@vectors(
    "decay",
    f"coupled, decoupled: {TORCH}; the others: the formula",
    kind="stage",
)
def decay():
    sgd = functools.partial(Torch, torch.optim.SGD)
    wd = 0.25

    def l1(parameters):
        for p in parameters:
            p.grad.add_(torch.sign(p), alpha=wd)

    def independent(old, p, lr):
        p.sub_(wd * old)

    def cautious(old, p, lr):
        p.sub_(lr * wd * old * ((old - p) * old >= 0))

    def corrected(old, p, lr):
        p.sub_(lr**2 / 0.1 * wd * old)

    def proximal(old, p, lr):
        p.div_(1 + lr * wd)

    adam = {"m": "exp_avg", "v": "exp_avg_sq"}
    heavy = {"m": "momentum_buffer"}
    formula = "the formula, behind " + TORCH
    both = dict(lr=0.1, momentum=0.9)
    cases = [
        f64("coupled", f"decay({wd}, coupled) | sgd(0.1, momentum=0.9)",
            sgd(heavy, weight_decay=wd, **both), edges()),
        f32("coupled", f"decay({wd}, coupled) | sgd(0.1, momentum=0.9)",
            sgd(heavy, weight_decay=wd, **both), few(8)),
        f64("coupled, more than a block", f"decay({wd}, coupled) | sgd(0.1)",
            sgd(weight_decay=wd, lr=0.1), blocks()),
        f64("l1", f"decay({wd}, l1) | sgd(0.1, momentum=0.9)",
            sgd(heavy, l1, **both), few(), source=formula),
        f64("decoupled", f"adam(0.01) | decay({wd})",
            Torch(torch.optim.AdamW, adam, lr=0.01, weight_decay=wd), few()),
        f32("decoupled", f"sgd(0.1) | decay({wd})",
            sgd(parameters=lambda ps, lr: [p.mul_(1 - lr * wd) for p in ps], lr=0.1), few(8),
            source=formula),
        f64("decoupled, more than a block", f"adam(0.01) | decay({wd})",
            Torch(torch.optim.AdamW, adam, lr=0.01, weight_decay=wd), blocks()),
    ]
    for kind, after in [("independent", independent), ("cautious", cautious),
                        ("proximal", proximal)]:
        cases.append(
            f64(kind, f"sgd({DECAYING}, momentum=0.9) | decay({wd}, {kind})",
                sgd(heavy, after=after, lr=decaying, momentum=0.9), few(), source=formula))
    cases.append(
        f64("corrected", f"sgd({DECAYING}, momentum=0.9) | decay({wd}, corrected, lr_max=0.1)",
            sgd(heavy, after=corrected, lr=decaying, momentum=0.9), few(), source=formula))
    return cases


@vectors("cautious", f"timm: timm.optim.AdamW(caution=True), {TIMM}; paper: the formula", "stage")
def cautious():
    adam = {"m": "exp_avg", "v": "exp_avg_sq"}

    def paper(old, p, lr):
        u = old - p
        agree = u * p.grad > 0
        p.copy_(old - u * agree * (agree.numel() / (agree.sum().item() + 1)))

    def ref(**options):
        made = timm_module("optim.adamw").AdamWLegacy
        reference = Torch(made, adam, weight_decay=0, caution=True, **options)
        reference.source = f"timm.optim.adamw.AdamWLegacy(caution=True), {TIMM}"
        return reference

    recipe = "adamw(0.01, weight_decay=0) | cautious"
    heavy = Torch(torch.optim.SGD, {"m": "momentum_buffer"}, after=paper, lr=0.1, momentum=0.9)
    return [
        f64("timm", recipe, ref(lr=0.01), few()),
        f64("timm, more than a block", recipe, ref(lr=0.01), blocks()),
        f64("paper", "sgd(0.1, momentum=0.9) | cautious(paper)", heavy, few(),
            source="the formula, behind " + TORCH),
    ]


@vectors("project", f"optax.projections, {OPTAX}", kind="stage")
def project():
    def onto(projection, *arguments):
        def after(old, p, lr):
            p.copy_(torch.tensor(np.array(projection(jnp.asarray(p.numpy()), *arguments))))

        heavy = {"m": "momentum_buffer"}
        return Torch(torch.optim.SGD, heavy, after=after, lr=0.1, momentum=0.9)

    P = optax.projections
    rule = "sgd(0.1, momentum=0.9)"
    kinds = [
        ("box(-0.5, 0.75)", "project(low=-0.5, high=0.75)", onto(P.projection_box, -0.5, 0.75)),
        ("non-negative", "project", onto(P.projection_non_negative)),
        ("linf", "project(linf, 0.5)", onto(P.projection_linf_ball, 0.5)),
        ("l2", "project(l2, 1.5)", onto(P.projection_l2_ball, 1.5)),
        ("simplex", "project(simplex)", onto(P.projection_simplex)),
        ("simplex, sum 3", "project(simplex, 3)", onto(P.projection_simplex, 3.0)),
        ("l1", "project(l1, 2)", onto(P.projection_l1_ball, 2.0)),
    ]
    cases = [f64(t, f"{rule} | {r}", ref, few(), source=OPTAX) for t, r, ref in kinds]
    for t, r, ref in kinds[3:5] + kinds[6:]:
        cases.append(f64(f"{t}, more than a block", f"{rule} | {r}", ref, blocks(), source=OPTAX))
    return cases


# ---- schedules ---------------------------------------------------------------------------------

LR = torch.optim.lr_scheduler
TI = torch.nn.init


def schedule(title, recipe, values):
    return {"title": title, "recipe": recipe, **values}


def closed(lr, make, steps, first=0):
    """torch's closed form of a scheduler, made by make(optimizer)."""
    scheduler = make(torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr))
    values = []
    for scheduler.last_epoch in range(first, first + steps):
        values.append(float(scheduler._get_closed_form_lr()[0]))
    return {"source": TORCH, "first": first, "values": values}


def stepped(lr, make, steps):
    """torch's schedulers as a training loop drives them."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)
    scheduler, values = make(optimizer), []
    for _ in range(steps):
        values.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        scheduler.step()
    return {"source": TORCH, "first": 0, "values": values}


def lambdas(lr, make, steps):
    """A schedule of transformers, which are all torch's LambdaLR."""
    return {**stepped(lr, make, steps), "source": TRANSFORMERS}


def keras_at(make, steps, first=0):
    """A schedule of Keras, made by make(keras.optimizers.schedules), in Float64."""
    import keras

    keras.config.set_floatx("float64")
    s = make(keras.optimizers.schedules)
    values = [float(s(t)) for t in range(first, first + steps)]
    return {"source": KERAS, "first": first, "values": values}


def timm_at(lr, module, name, steps, **options):
    """A scheduler of timm, stepped by epoch number."""
    make = getattr(timm_module(f"scheduler.{module}"), name)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)
    scheduler, values = make(optimizer, **options), []
    for t in range(steps):
        scheduler.step(t)
        values.append(float(optimizer.param_groups[0]["lr"]))
    return {"source": TIMM, "first": 0, "values": values}


def kozistr(make, steps):
    """A scheduler of pytorch_optimizer, made by make(its module, optimizer)."""
    from pytorch_optimizer import lr_scheduler

    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler, values = make(lr_scheduler, optimizer), []
    for _ in range(steps):
        values.append(float(optimizer.param_groups[0]["lr"]))
        scheduler.step()
    return {"source": KOZISTR, "first": 0, "values": values}


def deepspeed_at(name, steps, **options):
    """A scheduler of DeepSpeed, whose module is entered without the rest of the package."""
    import importlib
    import logging

    if "deepspeed" not in sys.modules:
        place = next(iter(find_spec("deepspeed").submodule_search_locations))
        for module, path in ("deepspeed", place), ("deepspeed.utils", f"{place}/utils"):
            sys.modules[module] = types.ModuleType(module)
            sys.modules[module].__path__ = [path]
    sys.modules["deepspeed.utils"].logger = logging.getLogger("deepspeed")
    make = getattr(importlib.import_module("deepspeed.runtime.lr_schedules"), name)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.3)
    scheduler, values = make(optimizer, **options), []
    for _ in range(steps):
        scheduler.step()
        values.append(float(optimizer.param_groups[0]["lr"]))
    return {"source": f"deepspeed {version('deepspeed')}", "first": 0, "values": values}


def computed(source, f, steps, first=0):
    """A published formula, for what no library here has."""
    values = [float(f(t)) for t in range(first, first + steps)]
    return {"source": source, "first": first, "values": values}


def transformers():
    import transformers.optimization

    return transformers.optimization


def sampled(s, steps, first=0):
    """An optax schedule."""
    values = [float(s(jnp.asarray(t, jnp.int64))) for t in range(first, first + steps)]
    return {"source": OPTAX, "first": first, "values": values}


@vectors("constant", f"optax.constant_schedule, {OPTAX}", kind="schedule")
def constant():
    s = optax.constant_schedule(0.1)
    return [
        schedule("constant", "constant(0.1)", sampled(s, 5)),
        schedule("a plain number", "0.1", sampled(s, 5)),
        schedule("far", "constant(0.1)", sampled(s, 3, 10**9)),
    ]


@vectors(
    "linear",
    f"torch.optim.lr_scheduler.LinearLR, {TORCH}; optax.linear_schedule, {OPTAX}",
    kind="schedule",
)
def linear():
    make = optax.linear_schedule
    return [
        schedule(
            "down",
            "linear(0.1, 0.01, steps=30)",
            closed(0.1, lambda o: LR.LinearLR(o, 1.0, 0.1, 30), 36),
        ),
        schedule("to zero", "linear(0.1, 0, steps=7)", sampled(make(0.1, 0.0, 7), 10)),
        schedule("up", "linear(0, 2.5, steps=12)", sampled(make(0.0, 2.5, 12), 15)),
        schedule("one step", "linear(1, 3, steps=1)", sampled(make(1.0, 3.0, 1), 4)),
        schedule(
            "far", "linear(0.3, 0.1, steps=1000000)", sampled(make(0.3, 0.1, 10**6), 8, 999996)
        ),
    ]


@vectors(
    "step",
    f"torch.optim.lr_scheduler.StepLR, {TORCH}; optax.exponential_decay(staircase), {OPTAX}",
    kind="schedule",
)
def step():
    def ref(lr, every, factor, *steps):
        return closed(lr, lambda o: LR.StepLR(o, every, factor), *steps)

    rising = optax.exponential_decay(0.01, 4, 1.5, staircase=True)
    return [
        schedule("step", "step(0.1, every=3, factor=0.1)", ref(0.1, 3, 0.1, 14)),
        schedule("every step", "step(2, every=1, factor=0.5)", ref(2.0, 1, 0.5, 8)),
        schedule("rising", "step(0.01, every=4, factor=1.5)", sampled(rising, 13)),
        schedule("far", "step(0.1, every=30, factor=0.99)", ref(0.1, 30, 0.99, 4, 9998)),
    ]


@vectors(
    "multistep",
    f"torch.optim.lr_scheduler.MultiStepLR, {TORCH}; compat=timm: MultiStepLRScheduler, {TIMM}",
    kind="schedule",
)
def multistep():
    def ref(lr, at, factor, *steps):
        return closed(lr, lambda o: LR.MultiStepLR(o, at, factor), *steps)

    far = 99998
    return [
        schedule("two", "multistep(0.1, at=(5, 20), factor=0.1)", ref(0.1, [5, 20], 0.1, 24)),
        schedule("three", "multistep(1, at=(1, 2, 4), factor=0.3)", ref(1.0, [1, 2, 4], 0.3, 8)),
        schedule(
            "far", "multistep(1, at=(3, 100000), factor=0.5)", ref(1.0, [3, 100000], 0.5, 4, far)
        ),
        schedule(
            "timm, a step early",
            "multistep(1, at=(3, 5), compat=timm)",
            timm_at(1.0, "multistep_lr", "MultiStepLRScheduler", 8, decay_t=[3, 5], decay_rate=0.1),
        ),
    ]


@vectors(
    "exponential",
    f"torch.optim.lr_scheduler.ExponentialLR, {TORCH}; optax.exponential_decay, {OPTAX}",
    kind="schedule",
)
def exponential():
    def ref(lr, factor, *steps):
        return closed(lr, lambda o: LR.ExponentialLR(o, factor), *steps)

    stretched = optax.exponential_decay(0.1, 7, 0.5)
    return [
        schedule("each step", "exponential(0.1, factor=0.9)", ref(0.1, 0.9, 20)),
        schedule("stretched", "exponential(0.1, factor=0.5, every=7)", sampled(stretched, 20)),
        schedule("rising", "exponential(1e-7, factor=1.2)", ref(1e-7, 1.2, 12)),
        schedule("far", "exponential(0.1, factor=0.9999)", ref(0.1, 0.9999, 4, 100000)),
    ]


@vectors(
    "cosine",
    f"torch.optim.lr_scheduler.CosineAnnealingLR up to its end, {TORCH}; "
    f"optax.cosine_decay_schedule past it, where torch rises again, {OPTAX}",
    kind="schedule",
)
def cosine():
    def ref(lr, steps, floor):
        return closed(lr, lambda o: LR.CosineAnnealingLR(o, steps, floor), steps + 1)

    def other(lr, steps, floor, *count):
        return sampled(optax.cosine_decay_schedule(lr, steps, floor / lr), *count)

    def ahead(o):
        make = transformers().get_cosine_with_min_lr_schedule_with_warmup_lr_rate
        return make(o, 2, 6, min_lr_rate=0.125)

    return [
        schedule("to zero", "cosine(0.1, steps=10)", ref(0.1, 10, 0.0)),
        schedule("floor", "cosine(0.1, steps=10, floor=0.01)", ref(0.1, 10, 0.01)),
        schedule("past zero", "cosine(0.1, steps=10)", other(0.1, 10, 0.0, 14)),
        schedule("past the floor", "cosine(0.1, steps=7, floor=0.01)", other(0.1, 7, 0.01, 12)),
        schedule("one step", "cosine(2, steps=1, floor=0.5)", other(2.0, 1, 0.5, 3)),
        schedule(
            "long", "cosine(3e-4, steps=1000000, floor=3e-5)", other(3e-4, 10**6, 3e-5, 4, 345678)
        ),
        schedule(
            "exponent",
            "cosine(0.1, steps=6, floor=0.01, exponent=1.5)",
            sampled(optax.cosine_decay_schedule(0.1, 6, 0.1, exponent=1.5), 9),
        ),
        schedule(
            "torch, rising again",
            "cosine(1, steps=4, floor=0.125, compat=torch)",
            closed(1.0, lambda o: LR.CosineAnnealingLR(o, 4, 0.125), 11),
        ),
        schedule(
            "Keras, past the end",
            "cosine(0.1, steps=5, floor=0.001)",
            keras_at(lambda k: k.CosineDecay(0.1, 5, 0.01), 8),
        ),
        schedule(
            "transformers, a step ahead",
            "sequence((linear(0.5, 1, steps=1), shift(cosine(1, 4, 0.125, compat=torch), -1)), (2,))",
            lambdas(1.0, ahead, 9),
        ),
    ]


@vectors(
    "warmup",
    f"torch.optim.lr_scheduler.LinearLR(1/W, 1, W-1) then another by SequentialLR, {TORCH}; "
    f"optax.join_schedules, {OPTAX}",
    kind="schedule",
)
def warmup():
    def sequence(o):
        rise = LR.LinearLR(o, 1 / 4, 1.0, 3)
        return LR.SequentialLR(o, [rise, LR.CosineAnnealingLR(o, 8, 0.01)], [4])

    def joined(lr, steps, after):
        rise = optax.linear_schedule(lr / steps, lr, steps - 1)
        return optax.join_schedules([rise, after], [steps])

    cosine = joined(0.1, 5, optax.cosine_decay_schedule(0.1, 6))
    number = joined(0.1, 5, optax.constant_schedule(0.1))
    steps = joined(0.1, 3, optax.exponential_decay(0.1, 2, 0.5, staircase=True))
    line = joined(0.2, 2, optax.linear_schedule(0.2, 1.0, 4))
    plain = optax.cosine_decay_schedule(0.1, 6)
    return [
        schedule(
            "torch", "warmup(cosine(0.1, steps=8, floor=0.01), steps=4)", stepped(0.1, sequence, 13)
        ),
        schedule("past the end", "warmup(cosine(0.1, steps=6), steps=5)", sampled(cosine, 15)),
        schedule("a number", "warmup(0.1, steps=5)", sampled(number, 9)),
        schedule("steps", "warmup(step(0.1, every=2, factor=0.5), steps=3)", sampled(steps, 12)),
        schedule("a line up", "warmup(linear(0.2, 1, steps=4), steps=2)", sampled(line, 9)),
        schedule("no steps", "warmup(cosine(0.1, steps=6), steps=0)", sampled(plain, 9)),
        schedule(
            "optax, from 0",
            "warmup(cosine(0.1, steps=6), steps=4, compat=optax)",
            sampled(optax.warmup_cosine_decay_schedule(0.0, 0.1, 4, 10), 13),
        ),
        schedule(
            "optax, from a value",
            "warmup(cosine(0.5, steps=6, floor=0.1), steps=4, start=0.25, compat=optax)",
            sampled(optax.warmup_cosine_decay_schedule(0.125, 0.5, 4, 10, 0.1), 13),
        ),
        schedule(
            "transformers, cosine",
            "warmup(cosine(0.3, steps=6, compat=torch), steps=3, compat=optax)",
            lambdas(0.3, lambda o: transformers().get_cosine_schedule_with_warmup(o, 3, 9), 13),
        ),
        schedule(
            "transformers, linear",
            "warmup(linear(0.3, 0, steps=6), steps=3, compat=optax)",
            lambdas(0.3, lambda o: transformers().get_linear_schedule_with_warmup(o, 3, 9), 12),
        ),
        schedule(
            "transformers, as long as the whole",
            "warmup(0.3, steps=6, compat=optax)",
            lambdas(0.3, lambda o: transformers().get_constant_schedule_with_warmup(o, 6), 9),
        ),
        schedule(
            "Keras",
            "warmup(cosine(0.4, steps=6, floor=0.04), steps=4, start=0.25, compat=optax)",
            keras_at(lambda k: k.CosineDecay(0.1, 6, 0.1, warmup_target=0.4, warmup_steps=4), 13),
        ),
        schedule(
            "timm, warmup_prefix",
            "warmup(cosine(1, steps=6), steps=2, compat=optax)",
            timm_at(
                1.0,
                "cosine_lr",
                "CosineLRScheduler",
                11,
                t_initial=6,
                warmup_t=2,
                warmup_prefix=True,
            ),
        ),
        schedule(
            "torch, from a factor",
            "warmup(0.3, steps=5, start=0.4, compat=optax)",
            closed(0.3, lambda o: LR.LinearLR(o, 0.4, 1.0, 5), 8),
        ),
        schedule(
            "a cosine",
            "warmup(wsd(1, steps=6, warmup=0, decay=2, tail=cosine), steps=4, shape=cosine, compat=optax)",
            lambdas(
                1.0,
                lambda o: transformers().get_wsd_schedule(
                    o, 4, 2, num_stable_steps=4, warmup_type="cosine"
                ),
                13,
            ),
        ),
        schedule(
            "a root",
            "warmup(0.5, steps=4, shape=sqrt)",
            computed("0.5 sqrt((t + 1) / 4)", lambda t: 0.5 * min(1, (t + 1) / 4) ** 0.5, 6),
        ),
        schedule(
            "DeepSpeed, a logarithm",
            "warmup(0.3, steps=6, shape=log, compat=optax)",
            deepspeed_at("WarmupLR", 9, warmup_num_steps=6),
        ),
        schedule(
            "DeepSpeed, a logarithm from a value",
            "warmup(0.3, steps=6, shape=log, start=0.1, compat=optax)",
            deepspeed_at("WarmupLR", 9, warmup_num_steps=6, warmup_min_lr=0.03),
        ),
        schedule(
            "DeepSpeed, in one step",
            "warmup(0.3, steps=2, shape=log, compat=optax)",
            deepspeed_at("WarmupLR", 4, warmup_num_steps=1),
        ),
        schedule(
            "DeepSpeed, a line down behind it",
            "warmup(linear(0.3, 0, steps=6), steps=4, shape=log, compat=optax)",
            deepspeed_at(
                "WarmupDecayLR", 12, total_num_steps=10, warmup_num_steps=4, warmup_max_lr=0.3
            ),
        ),
        schedule(
            "DeepSpeed, a cosine behind it",
            "sequence((warmup(0.3, steps=4, compat=optax), "
            "shift(cosine(0.3, steps=6, floor=0.03), steps=-1)), at=(4,))",
            deepspeed_at(
                "WarmupCosineLR",
                12,
                total_num_steps=10,
                warmup_num_steps=4,
                cos_min_ratio=0.1,
                warmup_type="linear",
            ),
        ),
        schedule(
            "a logarithm",
            "warmup(0.5, steps=4, shape=log)",
            computed(
                "0.5 ln(t + 2) / ln(5)",
                lambda t: 0.5 * min(1, math.log(t + 2) / math.log(5)),
                6,
            ),
        ),
        schedule(
            "exponential",
            "warmup(0.5, steps=4, shape=exponential, start=0.01, compat=optax)",
            sampled(optax.exponential_decay(0.005, 4, 100.0, end_value=0.5), 7),
        ),
        schedule(
            "exponential from nothing",
            "warmup(0.5, steps=4, shape=exponential)",
            computed(
                "0.5 (1 / 4)^(1 - (t + 1) / 4)", lambda t: 0.5 * 0.25 ** max(0, 0.75 - t / 4), 6
            ),
        ),
    ]


@vectors(
    "piecewise",
    f"optax.piecewise_constant_schedule, optax.piecewise_interpolate_schedule, {OPTAX}; "
    f"compat=keras: PiecewiseConstantDecay, {KERAS}",
    kind="schedule",
)
def piecewise():
    constant = optax.piecewise_constant_schedule(0.5, {2: 0.5, 5: 0.2})
    text = "piecewise(0.5, at=(2, 5), values=(0.25, 0.05)"

    def ref(shape, start, scales):
        return sampled(optax.piecewise_interpolate_schedule(shape, start, scales), 9)

    return [
        schedule("constant", f"{text})", sampled(constant, 8)),
        schedule(
            "Keras, a step later",
            f"{text}, compat=keras)",
            keras_at(lambda k: k.PiecewiseConstantDecay([2, 5], [0.5, 0.25, 0.05]), 8),
        ),
        schedule("linear", f"{text}, shape=linear)", ref("linear", 0.5, {2: 0.5, 5: 0.2})),
        schedule("cosine", f"{text}, shape=cosine)", ref("cosine", 0.5, {2: 0.5, 5: 0.2})),
        schedule(
            "from the first step",
            "piecewise(0.5, at=(0, 4), values=(2, 1), shape=linear)",
            ref("linear", 2.0, {4: 0.5}),
        ),
        schedule(
            "torch SWALR",
            "piecewise(0.1, at=(0, 4), values=(0.1, 0.02), shape=cosine)",
            stepped(0.1, lambda o: torch.optim.swa_utils.SWALR(o, 0.02, anneal_epochs=4), 8),
        ),
        schedule(
            "optax.linear_onecycle_schedule",
            "piecewise(0.04, at=(3, 8, 10), values=(1, 0.04, 4e-6), shape=linear)",
            sampled(optax.linear_onecycle_schedule(10, 1.0), 13),
        ),
    ]


@vectors("inverse_time", f"keras.optimizers.schedules.InverseTimeDecay, {KERAS}", kind="schedule")
def inverse_time():
    def ref(*arguments, steps=10, **more):
        return keras_at(lambda k: k.InverseTimeDecay(*arguments, **more), steps)

    staircase = "per_epoch(steps_per_epoch=3, schedule=inverse_time(0.1, rate=0.5))"
    power = "inverse_time(0.1, rate=0.5, power=0.75)"
    return [
        schedule("each step", "inverse_time(0.1, rate=0.5)", ref(0.1, 1, 0.5)),
        schedule("stretched", "inverse_time(2, rate=0.3, every=7)", ref(2.0, 7, 0.3)),
        schedule("staircase", staircase, ref(0.1, 3, 0.5, staircase=True)),
        schedule(
            "power",
            power,
            computed(
                "ParameterSchedulers.jl Inv, its formula", lambda t: 0.1 / (1 + t / 2) ** 0.75, 6
            ),
        ),
    ]


@vectors("inverse_sqrt", f"transformers.get_inverse_sqrt_schedule, {TRANSFORMERS}", kind="schedule")
def inverse_sqrt():
    def ref(lr, warmup, timescale, steps):
        make = transformers().get_inverse_sqrt_schedule
        return lambdas(lr, lambda o: make(o, warmup, timescale), steps)

    return [
        schedule("alone", "inverse_sqrt(0.1, steps=5)", ref(0.1, 0, 5, 12)),
        schedule(
            "timescale as the warm-up",
            "warmup(inverse_sqrt(1, steps=4), steps=4, compat=optax)",
            ref(1.0, 4, None, 10),
        ),
        schedule(
            "another timescale",
            "warmup(inverse_sqrt(1, steps=100), steps=3, compat=optax)",
            ref(1.0, 3, 100, 8),
        ),
    ]


@vectors("noam", "Vaswani et al. 2017, equation 3: no library here has it", kind="schedule")
def noam():
    def paper(factor, dim, warmup):
        def rate(t):
            return factor * dim**-0.5 * min((t + 1) ** -0.5, (t + 1) * warmup**-1.5)

        return lambda *steps: computed("equation 3 of the paper", rate, *steps)

    return [
        schedule("short", "noam(2, dim=64, warmup=4)", paper(2, 64, 4)(10)),
        schedule("one step", "noam(1, dim=1, warmup=1)", paper(1, 1, 1)(5)),
        schedule("of the paper", "noam(1, dim=512)", paper(1, 512, 4000)(4, 3998)),
        schedule("far", "noam(1, dim=512)", paper(1, 512, 4000)(2, 10**6)),
    ]


@vectors(
    "polynomial",
    f"optax.polynomial_schedule, {OPTAX}; torch PolynomialLR, {TORCH}; "
    f"keras PolynomialDecay, {KERAS}; transformers, {TRANSFORMERS}",
    kind="schedule",
)
def polynomial():
    def hf(o):
        return transformers().get_polynomial_decay_schedule_with_warmup(o, 0, 5, 1e-3, 2.0)

    cycled = "polynomial(0.1, steps=4, end=0.01, power=0.5, cycle=1)"
    return [
        schedule(
            "torch",
            "polynomial(1, steps=4, power=2)",
            closed(1.0, lambda o: LR.PolynomialLR(o, 4, 2.0), 7),
        ),
        schedule(
            "optax, to an end",
            "polynomial(0.1, end=0.01, power=3, steps=6)",
            sampled(optax.polynomial_schedule(0.1, 0.01, 3, 6), 9),
        ),
        schedule(
            "a root",
            "polynomial(1, steps=5, power=0.5)",
            sampled(optax.polynomial_schedule(1.0, 0.0, 0.5, 5), 8),
        ),
        schedule(
            "one step", "polynomial(1, 1, 0.25)", sampled(optax.linear_schedule(1.0, 0.25, 1), 3)
        ),
        schedule(
            "transformers", "polynomial(0.2, steps=5, end=1e-3, power=2)", lambdas(0.2, hf, 8)
        ),
        schedule(
            "Keras",
            "polynomial(0.1, steps=4, end=1e-4)",
            keras_at(lambda k: k.PolynomialDecay(0.1, 4), 7),
        ),
        schedule(
            "Keras, cycle",
            cycled,
            keras_at(lambda k: k.PolynomialDecay(0.1, 4, 0.01, 0.5, cycle=True), 14),
        ),
    ]


@vectors(
    "cosine_restarts",
    f"torch CosineAnnealingWarmRestarts, {TORCH}; timm CosineLRScheduler, {TIMM}; compat=keras: "
    f"CosineDecayRestarts, {KERAS}; compat=pytorch_optimizer: CosineAnnealingWarmupRestarts, {KOZISTR}",
    kind="schedule",
)
def cosine_restarts():
    def ref(lr, steps, multiplier, floor, count):
        make = LR.CosineAnnealingWarmRestarts
        return stepped(lr, lambda o: make(o, steps, multiplier, floor), count)

    def timm(count, **options):
        return timm_at(1.0, "cosine_lr", "CosineLRScheduler", count, t_initial=3, **options)

    def keras(*options):
        return keras_at(lambda k: k.CosineDecayRestarts(*options), 20)

    def other(multiplier, warmup, count):
        def make(module, o):
            return module.CosineAnnealingWarmupRestarts(
                o, 5, multiplier, 1.0, 0.125, warmup, gamma=0.5
            )

        return kozistr(make, count)

    def later(case):
        return {**case, "first": 1, "values": case["values"][1:]}

    return [
        schedule("torch", "cosine_restarts(1, steps=2)", ref(1.0, 2, 1, 0.0, 7)),
        schedule(
            "torch, longer and longer",
            "cosine_restarts(1, steps=2, multiplier=2, floor=0.1)",
            ref(1.0, 2, 2, 0.1, 16),
        ),
        schedule(
            "torch, three times as long",
            "cosine_restarts(1, steps=1, multiplier=3)",
            ref(1.0, 1, 3, 0.0, 42),
        ),
        schedule(
            "timm, decay and limit",
            "cosine_restarts(1, steps=3, decay=0.5, floor=0.1, limit=3)",
            timm(12, cycle_decay=0.5, cycle_limit=3, lr_min=0.1),
        ),
        schedule(
            "timm, by one and a half",
            "cosine_restarts(1, steps=3, multiplier=1.5, decay=0.8, limit=4)",
            timm(26, cycle_mul=1.5, cycle_decay=0.8, cycle_limit=4),
        ),
        schedule(
            "Keras",
            "cosine_restarts(0.5, steps=3, multiplier=2, decay=0.5, floor=0.05, compat=keras)",
            keras(0.5, 3, 2.0, 0.5, 0.1),
        ),
        schedule(
            "pytorch_optimizer",
            "cosine_restarts(1, steps=5, decay=0.5, warmup=2, floor=0.125, compat=pytorch_optimizer)",
            other(1.0, 2, 14),
        ),
        schedule(
            "pytorch_optimizer, no warm-up",
            "cosine_restarts(1, 5, 2, 0.5, 0, 0.125, compat=pytorch_optimizer)",
            later(other(2.0, 0, 22)),  # which shows its floor at step 0
        ),
    ]


@vectors("k_decay", f"timm CosineLRScheduler and PolyLRScheduler, {TIMM}", kind="schedule")
def k_decay():
    def ref(module, name, **options):
        return timm_at(0.5, module, name, 8, t_initial=6, lr_min=0.05, **options)

    cosine = functools.partial(ref, "cosine_lr", "CosineLRScheduler")
    poly = functools.partial(ref, "poly_lr", "PolyLRScheduler")
    return [
        schedule("cosine", "k_decay(0.5, 6, 2, floor=0.05)", cosine(k_decay=2.0)),
        schedule("cosine, below 1", "k_decay(0.5, 6, 0.6, floor=0.05)", cosine(k_decay=0.6)),
        schedule(
            "polynomial",
            "k_decay(0.5, 6, 1.5, floor=0.05, shape=polynomial, power=2)",
            poly(power=2.0, k_decay=1.5),
        ),
        schedule(
            "timm's own power",
            "k_decay(0.5, 6, 1, floor=0.05, shape=polynomial, power=0.5)",
            poly(),
        ),
    ]


@vectors("tanh_decay", f"timm TanhLRScheduler, {TIMM}", kind="schedule")
def tanh_decay():
    def ref(steps, count, **options):
        return timm_at(0.5, "tanh_lr", "TanhLRScheduler", count, t_initial=steps, **options)

    return [
        schedule("defaults", "tanh_decay(0.5, steps=8)", ref(8, 11, lb=-7.0, ub=3.0)),
        schedule(
            "floor and bounds",
            "tanh_decay(0.5, steps=5, floor=0.05, lower=-4, upper=4)",
            ref(5, 8, lb=-4.0, ub=4.0, lr_min=0.05),
        ),
        schedule("one step", "tanh_decay(0.5, steps=1)", ref(1, 3, lb=-7.0, ub=3.0)),
    ]


@vectors("rex", f"pytorch_optimizer.REXScheduler, {KOZISTR}", kind="schedule")
def rex():
    def ref(total, high, low, count):
        # It uses up the value of step 0 when it is made, and shows its floor in place of it.
        def make(module, o):
            scheduler = module.REXScheduler(o, total, high, low)
            scheduler.step_t = 0
            return scheduler

        told = kozistr(make, count + 1)
        return {**told, "values": told["values"][1:]}

    return [
        schedule("to zero", "rex(1, steps=6)", ref(6, 1.0, 0.0, 9)),
        schedule("floor", "rex(0.5, steps=4, floor=0.1)", ref(4, 0.5, 0.1, 7)),
        schedule("one step", "rex(2, steps=1)", ref(1, 2.0, 0.0, 3)),
    ]


@vectors(
    "wsd",
    f"transformers.get_wsd_schedule, {TRANSFORMERS}; tail=square: pytorch_optimizer, {KOZISTR}",
    kind="schedule",
)
def wsd():
    def ref(stable, decay, count, warmup=0, **options):
        make = transformers().get_wsd_schedule
        return lambdas(
            0.5, lambda o: make(o, warmup, decay, num_stable_steps=stable, **options), count
        )

    def square(m, o):
        return m.get_wsd_schedule(o, 2, 2, 4, cooldown_type="1-square")

    text = "warmup(wsd(0.5, steps=6, warmup=0, decay=4, floor=0.05, tail={}), steps=2, {})"
    like = "start=0.1, compat=optax"
    cases = [
        schedule(
            f"{name}, as in transformers",
            text.format(tail, like),
            ref(2, 4, 11, 2, decay_type=name, min_lr_ratio=0.1),
        )
        for name, tail in (("linear", "linear"), ("cosine", "cosine"), ("1-sqrt", "sqrt"))
    ]
    def half_life(t):
        """MiniCPM, section 4.2: after the stable part f(s - S) = 0.5^((s - S) / T), here T = 3."""
        return min(1, (t + 1) / 2) if t < 4 else 0.5 ** (min(t - 4, 6) / 3)

    rise = optax.linear_schedule(0.125, 0.5, 3)
    parts = [rise, optax.constant_schedule(0.5), optax.linear_schedule(0.5, 0.05, 5)]
    shares = "wsd(0.5, steps=12, warmup=33%, decay=42%, floor=0.05)"
    return [
        *cases,
        schedule(
            "exponential, as in MiniCPM",
            "wsd(1, steps=10, warmup=2, decay=6, floor=0.25, tail=exponential)",
            computed("arXiv:2404.06395, 0.5^(s / 3)", half_life, 13),
        ),
        schedule(
            "exponential, as optax ends",
            "wsd(0.5, steps=9, decay=5, floor=0.005, tail=exponential)",
            sampled(optax.exponential_decay(0.5, 5, 0.01, transition_begin=4, end_value=0.005), 12),
        ),
        schedule(
            "1-sqrt up, as in transformers",
            "sequence((mirror(wsd(0.5, 4, decay=4, tail=sqrt), steps=4), wsd(0.5, 6, decay=4)), "
            "at=(4,))",
            ref(2, 4, 12, 4, warmup_type="1-sqrt", decay_type="linear"),
        ),
        schedule(
            "square, as in pytorch_optimizer",
            "warmup(wsd(1, steps=6, warmup=0, decay=4, tail=square), steps=2, compat=optax)",
            kozistr(square, 11),
        ),
        schedule(
            "a line up",
            "wsd(0.5, steps=12, warmup=4, decay=5, floor=0.05)",
            sampled(optax.join_schedules(parts, [4, 7]), 15),
        ),
        schedule("shares", shares, sampled(optax.join_schedules(parts, [4, 7]), 15)),
        schedule(
            "nothing stable",
            "wsd(0.5, steps=9, warmup=4, decay=5, floor=0.05)",
            sampled(optax.join_schedules([rise, parts[2]], [4]), 12),
        ),
        schedule(
            "no decay",
            "wsd(0.5, steps=6, warmup=4, decay=0, floor=0.05)",
            sampled(optax.join_schedules([rise, parts[1]], [4]), 9),
        ),
        schedule(
            "all warm-up",
            "wsd(0.5, steps=4, warmup=4, decay=0)",
            sampled(optax.join_schedules([rise, parts[1]], [4]), 7),
        ),
        schedule(
            "all decay",
            "wsd(0.5, steps=5, warmup=0, decay=5, floor=0.05)",
            sampled(parts[2], 8),
        ),
    ]


@vectors(
    "one_cycle",
    f"torch OneCycleLR up to its end, {TORCH}; compat=optax: cosine_onecycle_schedule, {OPTAX}",
    kind="schedule",
)
def one_cycle():
    def ref(steps, **options):
        return stepped(1.0, lambda o: LR.OneCycleLR(o, 1.0, steps, **options), steps)

    def momentum(o):
        return LR.OneCycleLR(o, 1.0, 10, base_momentum=0.85, max_momentum=0.95)

    def course(steps):
        parameter = torch.nn.Parameter(torch.zeros(1))
        optimizer = torch.optim.SGD([parameter], lr=1.0, momentum=0.9)
        scheduler, values = momentum(optimizer), []
        for _ in range(steps):
            values.append(float(optimizer.param_groups[0]["momentum"]))
            optimizer.step()
            if len(values) < steps:
                scheduler.step()
        return {"source": TORCH, "first": 0, "values": values}

    def held(case, more):
        return {**case, "values": case["values"] + case["values"][-1:] * more}

    like_optax = "one_cycle(1, steps=10, warmup=0.25, div=10, final_div=100, compat=optax)"
    return [
        schedule("torch", "one_cycle(1, steps=10)", ref(10)),
        schedule("torch, held past the end", "one_cycle(1, steps=7)", held(ref(7), 4)),
        schedule(
            "linear",
            "one_cycle(1, 9, 40%, shape=linear)",
            ref(9, pct_start=0.4, anneal_strategy="linear"),
        ),
        schedule("three phases", "one_cycle(1, 12, three_phase=true)", ref(12, three_phase=True)),
        schedule(
            "three phases, linear",
            "one_cycle(1, 12, 0.25, 4, 50, linear, true)",
            ref(
                12,
                three_phase=True,
                pct_start=0.25,
                div_factor=4,
                final_div_factor=50,
                anneal_strategy="linear",
            ),
        ),
        schedule("only down", "one_cycle(1, 8, warmup=0)", ref(8, pct_start=0.0)),
        schedule(
            "momentum", "one_cycle(0.85, 10, div=0.8947368421052632, final_div=1)", course(10)
        ),
        schedule(
            "optax",
            like_optax,
            sampled(optax.cosine_onecycle_schedule(10, 1.0, 0.25, 10.0, 100.0), 13),
        ),
    ]


@vectors("cyclic", f"torch.optim.lr_scheduler.CyclicLR, {TORCH}", kind="schedule")
def cyclic():
    def ref(count, *arguments, **options):
        def make(o):
            return LR.CyclicLR(o, *arguments, cycle_momentum=False, **options)

        return stepped(1.0, make, count)

    return [
        schedule("triangular", "cyclic(0.1, 0.6, up=3)", ref(14, 0.1, 0.6, 3)),
        schedule("uneven", "cyclic(0.1, 0.6, up=2, down=5)", ref(16, 0.1, 0.6, 2, 5)),
        schedule(
            "triangular2",
            "cyclic(0.1, 0.6, up=2, down=3, mode=triangular2)",
            ref(17, 0.1, 0.6, 2, 3, mode="triangular2"),
        ),
        schedule(
            "exp_range",
            "cyclic(0.1, 0.6, up=3, mode=exp_range, factor=0.9)",
            ref(14, 0.1, 0.6, 3, mode="exp_range", gamma=0.9),
        ),
        schedule("momentum", "cyclic(0.9, 0.8, up=4)", ref(10, 0.9, 0.8, 4)),
        schedule("one step", "cyclic(1, 2, up=1)", ref(5, 1.0, 2.0, 1)),
        *(
            schedule(
                f"sine, {mode}",
                f"cyclic(0.1, 0.6, up=4, mode={mode}, factor=0.9, shape=sine)",
                computed(
                    f"ParameterSchedulers.jl {name}",
                    lambda t, f=f: 0.1 + 0.5 * abs(math.sin(math.pi * t / 8)) * f(t),
                    20,
                ),
            )
            for mode, name, f in (
                ("triangular", "Sin", lambda t: 1),
                ("triangular2", "SinDecay2", lambda t: 0.5 ** (t // 8)),
                ("exp_range", "SinExp", lambda t: 0.9**t),
            )
        ),
    ]


@vectors(
    "chebyshev",
    f"arXiv:2103.01338; pytorch_optimizer get_chebyshev_schedule, {KOZISTR}",
    kind="schedule",
)
def chebyshev():
    def paper(order, low, value):
        """Sections 2.1 and 3: reciprocal nodes on [m, M] in fractal order, M = 1 / value."""
        n, order = 2**order, [0]
        while len(order) < n:
            order = [j for i in order for j in (i, 2 * len(order) - 1 - i)]
        high = 1 / value
        m, M = low * high, high

        def rate(t):
            angle = (order[t % n] + 0.5) * math.pi / n
            return 1 / ((M + m) / 2 - (M - m) / 2 * math.cos(angle))

        return rate

    return [
        schedule(
            "as in the paper",
            "chebyshev(0.5, order=3, low=0.1)",
            computed("arXiv:2103.01338", paper(3, 0.1, 0.5), 20),
        ),
        schedule("one node", "chebyshev(2, order=0)", computed("c = 0.525", lambda t: 2 / 0.525, 3)),
        schedule(
            "pytorch_optimizer",
            "shift(chebyshev(1, order=4), steps=2)",
            kozistr(lambda m, o: m.get_chebyshev_schedule(o, 16), 18),
        ),
        schedule(
            "far",
            "chebyshev(1, order=10)",
            computed("arXiv:2103.01338", paper(10, 0.05, 1), 6, 10**6),
        ),
    ]


# ---- the algebra of schedules ------------------------------------------------------------------

# The same schedules as recipe text and as optax's functions.
FALL = "cosine(0.4, steps=6, floor=0.1)", optax.cosine_decay_schedule(0.4, 6, 0.25)
LINE = "linear(0.5, 0.125, steps=3)", optax.linear_schedule(0.5, 0.125, 3)


@vectors(
    "sequence",
    f"optax.join_schedules, {OPTAX}; torch.optim.lr_scheduler.SequentialLR, {TORCH}",
    kind="schedule",
)
def sequence():
    def make(o):
        parts = [LR.LinearLR(o, 0.1, 1.0, 3), LR.ExponentialLR(o, 0.5)]
        return LR.SequentialLR(o, parts, [3])

    def joined(*at):
        parts = [LINE[1], optax.constant_schedule(0.25), FALL[1]]
        return sampled(optax.join_schedules(parts, list(at)), 13)

    text = f"sequence(({LINE[0]}, 0.25, {FALL[0]}), at="
    return [
        schedule("three", f"{text}(2, 5))", joined(2, 5)),
        schedule("a part of no length", f"{text}(4, 4))", joined(4, 4)),
        schedule("from the first step", f"{text}(0, 1))", joined(0, 1)),
        schedule(
            "torch",
            "sequence((linear(0.1, 1, 3), exponential(1, 0.5)), at=(3,))",
            stepped(1.0, make, 9),
        ),
        schedule(
            "one alone", f"cycle(sequence(({LINE[0]}, 7), at=(9,)), steps=9)", sampled(LINE[1], 9)
        ),
    ]


@vectors(
    "product",
    f"functions of {OPTAX}, multiplied; torch.optim.lr_scheduler.ChainedScheduler, {TORCH}",
    kind="schedule",
)
def product():
    def make(o):
        return LR.ChainedScheduler([LR.ExponentialLR(o, 0.9), LR.LinearLR(o, 0.25, 1.0, 4)])

    return [
        schedule(
            "two", f"product(({FALL[0]}, {LINE[0]}))", sampled(lambda t: FALL[1](t) * LINE[1](t), 9)
        ),
        schedule("a number", f"product(({FALL[0]}, 3))", sampled(lambda t: FALL[1](t) * 3, 9)),
        schedule(
            "torch",
            "product((exponential(1, 0.9), linear(0.25, 1, steps=4)))",
            stepped(1.0, make, 8),
        ),
    ]


@vectors("total", f"functions of {OPTAX}, added", kind="schedule")
def total():
    return [
        schedule(
            "two", f"total(({FALL[0]}, {LINE[0]}))", sampled(lambda t: FALL[1](t) + LINE[1](t), 9)
        ),
        schedule("a number", f"total(({FALL[0]}, 3, 1))", sampled(lambda t: FALL[1](t) + 4, 9)),
    ]


@vectors("scale", f"functions of {OPTAX}, times a number", kind="schedule")
def scale():
    return [schedule("times", f"scale({FALL[0]}, -2.5)", sampled(lambda t: FALL[1](t) * -2.5, 9))]


@vectors("clamp", f"optax.exponential_decay(end_value), {OPTAX}", kind="schedule")
def clamp():
    down = optax.exponential_decay(1.0, 2, 0.5, end_value=0.3)
    up = optax.exponential_decay(1.0, 2, 1.5, end_value=2.0)
    return [
        schedule("low", "clamp(exponential(1, 0.5, every=2), low=0.3)", sampled(down, 9)),
        schedule("high", "clamp(exponential(1, 1.5, every=2), high=2)", sampled(up, 9)),
        schedule("neither", f"clamp({FALL[0]})", sampled(FALL[1], 9)),
    ]


@vectors("shift", f"optax transition_begin, {OPTAX}", kind="schedule")
def shift():
    later = optax.polynomial_schedule(0.5, 0.125, 1, 3, transition_begin=4)
    return [
        schedule("later", f"shift({LINE[0]}, steps=4)", sampled(later, 10)),
        schedule("sooner", f"shift({FALL[0]}, steps=-2)", sampled(lambda t: FALL[1](t + 2), 7)),
        schedule("not at all", f"shift({FALL[0]}, steps=0)", sampled(FALL[1], 8)),
    ]


@vectors("cycle", f"functions of {OPTAX}, at the step modulo the length", kind="schedule")
def cycle():
    def limited(t):
        return FALL[1](jnp.where(t >= 8, 4, t % 4))

    return [
        schedule(
            "again and again", f"cycle({FALL[0]}, steps=4)", sampled(lambda t: FALL[1](t % 4), 13)
        ),
        schedule("twice", f"cycle({FALL[0]}, steps=4, limit=2)", sampled(limited, 12)),
        schedule("one step", f"cycle({FALL[0]}, steps=1)", sampled(lambda t: FALL[1](0 * t), 4)),
    ]


@vectors("mirror", f"functions of {OPTAX}, backwards in time", kind="schedule")
def mirror():
    def back(t):
        return FALL[1](jnp.maximum(0, 5 - t))

    def both(t):
        return FALL[1](jnp.where(t < 5, t, jnp.maximum(0, 10 - t)))

    return [
        schedule("reverse", f"mirror({FALL[0]}, steps=5)", sampled(back, 9)),
        schedule("symmetric", f"mirror({FALL[0]}, steps=5, shape=symmetric)", sampled(both, 14)),
    ]


@vectors("over", f"functions of {OPTAX} with the shares worked out", kind="schedule")
def over():
    warm = optax.join_schedules([optax.linear_schedule(0.2, 0.4, 1), FALL[1]], [2])
    drops = optax.piecewise_constant_schedule(1.0, {5: 0.1, 8: 0.1})
    return [
        schedule(
            "shares",
            "over(8, warmup(cosine(0.4, steps=75%, floor=0.1), steps=25%))",
            sampled(warm, 11),
        ),
        schedule("boundaries", "over(10, multistep(1, at=(50%, 80%)))", sampled(drops, 12)),
        schedule(
            "in epochs",
            "over(24, per_epoch(2, cosine(0.4, steps=50%, floor=0.1)))",
            sampled(lambda t: FALL[1](t // 2), 15),
        ),
        schedule("held", f"over(4, {FALL[0]})", sampled(lambda t: FALL[1](jnp.minimum(t, 4)), 8)),
        schedule("repeated", f"over(4, {FALL[0]}, repeat)", sampled(lambda t: FALL[1](t % 4), 10)),
        schedule("inside", f"over(4, {FALL[0]}, error)", sampled(FALL[1], 4)),
    ]


@vectors("per_epoch", f"torch's schedulers, stepped once in three steps, {TORCH}", kind="schedule")
def per_epoch():
    def epochs(count):
        each = closed(0.4, lambda o: LR.CosineAnnealingLR(o, 6, 0.1), 6)
        return {**each, "values": [x for x in each["values"] for _ in range(3)][:count]}

    def restarts(count):
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
        scheduler, values = LR.CosineAnnealingWarmRestarts(optimizer, 2), []
        for t in range(count):
            scheduler.step(t / 3)
            values.append(float(optimizer.param_groups[0]["lr"]))
        return {"source": TORCH, "first": 0, "values": values}

    return [
        schedule("once in an epoch", f"per_epoch(3, {FALL[0]})", epochs(18)),
        schedule(
            "step(epoch + i / n)",
            "per_epoch(3, cosine_restarts(0.5, steps=2), smooth=1)",
            restarts(15),
        ),
        schedule("epochs of one step", f"per_epoch(1, {FALL[0]})", sampled(FALL[1], 8)),
    ]


# ---- initial values ----------------------------------------------------------------------------

TI = torch.nn.init
WEIGHT = (800, 100, 5)  # (out, in, kernel) for torch; 800 positions of a kernel for the others


def of_torch(fill, *arguments, **named):
    def made(shape):
        torch.manual_seed(0)
        return fill(torch.empty(shape, dtype=torch.float64), *arguments, **named).numpy()

    return TORCH, made


def of_jax(fill):
    return OPTAX, lambda shape: np.asarray(fill(jax.random.key(0), shape, jnp.float64))


def of_keras(make):
    """An initializer made by make(keras.initializers). On torch its truncated numbers are the first of
    four that is within the bounds, and now and then none is."""

    def made(shape):
        import keras

        return make(keras.initializers)(shape, dtype="float64").numpy()

    return KERAS, made


def drawn_from(title, recipe, reference, shape=WEIGHT, bounded=True):
    source, made = reference
    x = made(shape)
    return {
        "title": title, "recipe": recipe, "source": source, "shape": list(shape),
        "mean": x.mean(), "std": x.std(), "low": x.min(), "high": x.max(),
        "bounded": int(bounded), "zeros": np.count_nonzero(x == 0),
    }


def exactly(title, recipe, reference, shape):
    source, made = reference
    values = made(shape).ravel()
    return {
        "title": title, "recipe": recipe, "source": source, "shape": list(shape), "values": values
    }


def orthonormal(title, recipe, reference, shape, rows=1):
    source, made = reference
    x = made(shape)
    s = np.linalg.svd(x.reshape(len(x), -1) if rows == 1 else x.reshape(-1, shape[-1]))[1]
    return {
        "title": title, "recipe": recipe, "source": source, "shape": list(shape), "rows": rows,
        "singular": [s[-1], s[0]],
    }


@vectors("zeros", f"torch.nn.init.zeros_, {TORCH}", kind="init")
def zeros():
    return [exactly("zeros", "zeros", of_torch(TI.zeros_), (3, 2))]


@vectors("ones", f"torch.nn.init.ones_, {TORCH}", kind="init")
def ones():
    return [exactly("ones", "ones", of_torch(TI.ones_), (3, 2))]


@vectors("full", f"torch.nn.init.constant_, {TORCH}", kind="init")
def full():
    return [exactly("full", "full(0.1)", of_torch(TI.constant_, 0.1), (3, 2))]


@vectors("uniform", f"torch.nn.init.uniform_, {TORCH}", kind="init")
def uniform():
    return [
        drawn_from("defaults", "uniform", of_torch(TI.uniform_)),
        drawn_from("ends", "uniform(-0.5, 2)", of_torch(TI.uniform_, -0.5, 2)),
    ]


@vectors("normal", f"torch.nn.init.normal_, {TORCH}", kind="init")
def normal():
    return [
        drawn_from("defaults", "normal", of_torch(TI.normal_), bounded=False),
        drawn_from("both", "normal(0.02, 3)", of_torch(TI.normal_, 3, 0.02), bounded=False),
    ]


@vectors("truncated_normal", f"torch, jax and Keras: {TORCH}, {OPTAX}, {KERAS}", kind="init")
def truncated_normal():
    def of(std, **bounds):
        return of_jax(jax.nn.initializers.truncated_normal(std, **bounds))

    return [
        drawn_from("jax", "truncated_normal(0.02)", of(0.02)),
        drawn_from(
            "jax, bounds", "truncated_normal(0.1, low=-1, high=3)", of(0.1, lower=-1.0, upper=3.0)
        ),
        drawn_from(
            "keras", "truncated_normal(0.05, 1)",
            of_keras(lambda k: k.TruncatedNormal(1.0, 0.05, seed=0)), bounded=False,
        ),
        drawn_from(
            "torch", "truncated_normal(0.02, 0.5, 0.47, 0.51, compat=torch)",
            of_torch(TI.trunc_normal_, 0.5, 0.02, 0.47, 0.51),
        ),
    ]


@vectors("glorot", f"torch, jax and Keras: {TORCH}, {OPTAX}, {KERAS}", kind="init")
def glorot():
    gain = TI.calculate_gain("tanh")
    return [
        drawn_from("torch, uniform", "glorot", of_torch(TI.xavier_uniform_)),
        drawn_from("torch, normal", "glorot(normal)", of_torch(TI.xavier_normal_), bounded=False),
        drawn_from("torch, tanh", "glorot(uniform, tanh)", of_torch(TI.xavier_uniform_, gain)),
        drawn_from(
            "jax", "glorot(truncated, layout=keras)", of_jax(jax.nn.initializers.glorot_normal())
        ),
        drawn_from("keras", "glorot(layout=keras)", of_keras(lambda k: k.GlorotUniform(seed=0))),
    ]


@vectors("he", f"torch, jax and Keras: {TORCH}, {OPTAX}, {KERAS}", kind="init")
def he():
    def normal(title, recipe, **named):
        return drawn_from(title, recipe, of_torch(TI.kaiming_normal_, **named), bounded=False)

    return [
        normal("normal", "he", nonlinearity="relu"),
        normal(
            "fan out", "he(fan=out, nonlinearity=linear)", mode="fan_out", nonlinearity="linear"
        ),
        normal("selu", "he(normal, selu)", nonlinearity="selu"),
        drawn_from(
            "as torch.nn.Linear", "he(uniform, leaky_relu, slope=2.23606797749979)",
            of_torch(TI.kaiming_uniform_, a=5**0.5),
        ),
        drawn_from("jax", "he(truncated, layout=keras)", of_jax(jax.nn.initializers.he_normal())),
        drawn_from("keras", "he(uniform, layout=keras)", of_keras(lambda k: k.HeUniform(seed=0))),
    ]


@vectors("lecun", f"jax and Keras: {OPTAX}, {KERAS}", kind="init")
def lecun():
    return [
        drawn_from(
            "jax", "lecun(truncated, layout=keras)", of_jax(jax.nn.initializers.lecun_normal())
        ),
        drawn_from(
            "keras", "lecun(uniform, layout=keras)", of_keras(lambda k: k.LecunUniform(seed=0))
        ),
    ]


@vectors("variance_scaling", f"jax and Keras: {OPTAX}, {KERAS}", kind="init")
def variance_scaling():
    of = jax.nn.initializers.variance_scaling
    return [
        drawn_from(
            "jax, geometric mean", "variance_scaling(3, geo, uniform, layout=keras)",
            of_jax(of(3.0, "fan_geo_avg", "uniform")),
        ),
        drawn_from(
            "jax, normal", "variance_scaling(1, avg, normal, layout=keras)",
            of_jax(of(1.0, "fan_avg", "normal")), bounded=False,
        ),
        drawn_from(
            "keras", "variance_scaling(2, out, layout=keras)",
            of_keras(lambda k: k.VarianceScaling(2.0, "fan_out", "truncated_normal", seed=0)),
            bounded=False,
        ),
    ]


@vectors("orthogonal", f"torch and jax: {TORCH}, {OPTAX}", kind="init")
def orthogonal():
    turned = of_torch(TI.orthogonal_, 1.5)
    return [
        orthonormal("torch, tall", "orthogonal(1.5)", turned, (60, 7, 5)),
        orthonormal("torch, wide", "orthogonal(1.5)", turned, (7, 40, 2)),
        orthonormal("square", "orthogonal", of_torch(TI.orthogonal_), (65, 65)),
        orthonormal(
            "jax", "orthogonal(layout=keras)", of_jax(jax.nn.initializers.orthogonal()), (5, 8, 70),
            -1,
        ),
    ]


@vectors("delta_orthogonal", f"jax.nn.initializers.delta_orthogonal, {OPTAX}", kind="init")
def delta_orthogonal():
    fill = of_jax(jax.nn.initializers.delta_orthogonal(2.0))
    recipe = "delta_orthogonal(2, layout=keras)"
    return [
        orthonormal("as a matrix", recipe, fill, (3, 4, 20, 33), -1),
        drawn_from("its zeros", recipe, fill, (4, 5, 30, 50), bounded=False),
    ]


@vectors("identity", f"torch.nn.init.eye_, dirac_, {TORCH}", kind="init")
def identity():
    return [
        exactly("eye", "identity", of_torch(TI.eye_), (3, 5)),
        exactly("dirac", "identity", of_torch(TI.dirac_), (3, 2, 4)),
        exactly("groups", "identity(groups=2)", of_torch(TI.dirac_, 2), (6, 2, 3, 2)),
    ]


@vectors("sparse", f"torch.nn.init.sparse_, {TORCH}", kind="init")
def sparse():
    shape = (701, 300)
    return [
        drawn_from("a third", "sparse(0.3)", of_torch(TI.sparse_, 0.3), shape, False),
        drawn_from("most", "sparse(0.9, 2)", of_torch(TI.sparse_, 0.9, 2), shape, False),
    ]


@vectors("forget_bias", f"keras.layers.LSTM, {KERAS}", kind="init")
def forget_bias():
    def built(shape):
        import keras

        layer = keras.layers.LSTM(shape[0] // 4)
        layer.build((1, 1, 2))
        return layer.cell.bias.value.detach().numpy()

    return [exactly("as Keras builds it", "forget_bias", (KERAS, built), (12,))]


# ---- writing -----------------------------------------------------------------------------------


def number(x):
    if isinstance(x, str):
        return json.dumps(x)
    if isinstance(x, (int, np.integer)):
        return str(int(x))
    if not np.isfinite(x):
        return f'"{float(x)}"'
    if isinstance(x, np.float32):
        text = str(x)  # the shortest that reads back, which is much shorter than the Float64's
        assert np.float32(float(text)) == x
        return text
    return repr(float(x))


def dump(x):
    """JSON on one line."""
    if isinstance(x, dict):
        return "{" + ", ".join(f"{json.dumps(k)}: {dump(v)}" for k, v in x.items()) + "}"
    if isinstance(x, (list, tuple, np.ndarray)):
        return "[" + ", ".join(dump(v) for v in x) + "]"
    return "null" if x is None else number(x)


def text(name, kind, source, cases):
    """A line per key and per step, so that a change shows in a diff where it is."""
    lines = ["{", f'"name": {dump(name)}, "kind": {dump(kind)},']
    lines += [f'"source": {dump(source)},', '"cases": [']
    for i, c in enumerate(cases):
        lines.append(" {")
        for j, (key, value) in enumerate(c.items()):
            comma = "," if j < len(c) - 1 else ""
            if key in ("gradients", "params", "state"):
                rows = [f"   {dump(row)}" for row in value]
                lines += [f'  "{key}": [', ",\n".join(rows), f"  ]{comma}"]
            else:
                lines.append(f'  "{key}": {dump(value)}{comma}')
        lines.append(" }," if i < len(cases) - 1 else " }")
    return "\n".join(lines + ["]", "}", ""])


def main(names):
    print(f"Python {sys.version.split()[0]}, {TORCH}, {OPTAX}, numpy {np.__version__}")
    for name in names or TABLE:
        kind, source, cases = TABLE[name]
        path = HERE / f"{name}.json"
        path.write_text(text(name, kind, source, cases()))
        print(f"{path.stat().st_size:7d} {path.name}")
    total = sum(p.stat().st_size for p in HERE.glob("*.json"))
    print(f"{total:7d} in all")


if __name__ == "__main__":
    main(sys.argv[1:])
