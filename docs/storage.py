"""Trains the digits network with each way to store parameters and moments, and writes the table of
docs/storage.md.

    python docs/storage.py [--seeds 5]

The last digits depend on the machine's matrix products; no test compares them.
"""

import argparse
import pathlib
import re
import sys

import ml_dtypes
import numpy as np

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "examples" / "python"))

import train_digits as digits  # noqa: E402

import ravine as rv  # noqa: E402

PAGE = ROOT / "docs" / "storage.md"
BEGIN, END = "<!-- measured: python docs/storage.py -->\n", "<!-- end -->\n"
EPOCHS, BATCH, WARMUP = 30, 32, 135
RATES = 0.02, 0.0005

BF16, F16, F32 = ml_dtypes.bfloat16, np.float16, np.float32
WAYS = [  # parameters, moments, what stands behind the rule
    (F32, "full", ""),
    (F32, "bf16", ""),
    (F32, "8bit", ""),
    (BF16, "full", "master"),
    (BF16, "full", "kahan"),
    (BF16, "full", "stochastic_rounding"),
    (BF16, "full", ""),
    (BF16, "8bit", "kahan"),
    (BF16, "bf16", "stochastic_rounding"),
    (BF16, "8bit", "stochastic_rounding"),
    (F16, "full", "kahan"),
    (F16, "full", ""),
]


IMAGES = digits.read_digits(digits.DATA)


def train(dtype, moments, stage, rate, seed):
    """The loss on all training images, the share of test images read rightly, bytes a parameter."""
    pixels, labels = IMAGES
    sampler = rv.Sampler(digits.TRAIN, BATCH, seed)
    start = digits.initial_parameters(seed)
    params = {name: p.astype(dtype) for name, p in start.items()}
    gradient = {name: np.zeros_like(p) for name, p in start.items()}
    rest = EPOCHS * len(sampler) - WARMUP
    rule = rv.adamw(rv.warmup(rv.cosine(rate, steps=rest), steps=WARMUP), moments=moments)
    recipe = rv.clip_norm(1) | rule
    if stage:
        recipe = recipe | stage
    opt = rv.Optimizer(recipe, params, grads=gradient)
    wide = dict(start)
    for _ in range(EPOCHS):
        for chosen in sampler:
            for name, p in params.items():
                wide[name] = p.astype(F32)
            digits.loss_and_gradient(wide, pixels[chosen], labels[chosen], gradient)
            opt.step()
    wide = {name: p.astype(F32) for name, p in params.items()}
    seen = slice(0, digits.TRAIN)
    unused = {name: np.zeros_like(p) for name, p in start.items()}
    loss = digits.loss_and_gradient(wide, pixels[seen], labels[seen], unused)
    right = digits.accuracy(wide, pixels[digits.TRAIN :], labels[digits.TRAIN :])
    count = sum(p.size for p in params.values())
    state = int(re.search(r"(\d+) bytes of state", opt.plan())[1])
    return loss, right, np.dtype(dtype).itemsize + state / count


def rows(seeds):
    measured = (f"loss at {rate} | read rightly" for rate in RATES)
    yield f"| parameters | `moments=` | stage | bytes each | {' | '.join(measured)} |"
    yield "|---" * (4 + 2 * len(RATES)) + "|"
    for dtype, moments, stage in WAYS:
        cells = []
        for rate in RATES:
            runs = np.array([train(dtype, moments, stage, rate, seed) for seed in range(seeds)])
            (loss, right, size), spread = runs.mean(axis=0), runs.std(axis=0, ddof=1)
            cells += [f"{1e3 * loss:.2f} ± {1e3 * spread[0]:.2f}"]
            cells += [f"{right:.1%} ± {spread[1]:.1%}"]
        behind = f"`{stage}`" if stage else ""
        cells = [np.dtype(dtype).name, f"`{moments}`", behind, f"{size:.1f}", *cells]
        yield f"| {' | '.join(cells)} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5, help="runs of each (default 5)")
    seeds = parser.parse_args().seeds
    lines = []
    for line in rows(seeds):
        print(line, flush=True)
        lines.append(line)
    page = PAGE.read_text()
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    PAGE.write_text(f"{before}{BEGIN}" + "\n".join(lines) + f"\n{END}{after}")


if __name__ == "__main__":
    main()
