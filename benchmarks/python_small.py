"""A step of a small model, from Python: 4 tensors, 9,610 parameters, clipping and AdamW."""

from __future__ import annotations

import numpy as np
import ravine as rv

import contest
import rivals

SHAPES = {"w1": (64, 128), "b1": (128,), "w2": (128, 10), "b2": (10,)}
SETS = 8


def main() -> None:
    random = np.random.default_rng(0)

    def arrays(size: float) -> dict[str, np.ndarray]:
        return {n: size * random.standard_normal(s).astype(np.float32) for n, s in SHAPES.items()}

    params, grads = arrays(1.0), arrays(0.1)
    recipe = rv.clip_norm(rivals.MAX) | rv.adamw(rivals.LR)
    bound = rv.Optimizer(recipe, {n: a.copy() for n, a in params.items()}, grads)
    given = rv.Optimizer(recipe, {n: a.copy() for n, a in params.items()})
    # Other arrays in every step, as a backward pass makes them.
    sets = [arrays(0.1) for _ in range(SETS)]
    turn = 0

    def step_with_new() -> None:
        nonlocal turn
        turn = (turn + 1) % SETS
        given.step(sets[turn])

    contestants: dict[str, contest.Step] = {
        "ravine, new gradients": step_with_new,
        "ravine, bound gradients": bound.step,
        "numpy, written plainly": rivals.numpy_plain(params, grads),
    }
    missing = {}
    for name, rival in (
        ("torch clip_grad_norm_ + AdamW(fused)", rivals.torch_fused),
        ("optax clip + adamw, jit", rivals.optax_jit),
    ):
        try:
            contestants[name] = rival(params, grads)
        except ImportError:
            missing[name] = "not installed"
    rounds, steps = (5, 100) if contest.quick() else (21, 400)
    seconds = contest.median_times(contestants, rounds, steps)
    print(f"4 tensors, 9,610 parameters, clip_norm(1) | adamw, {rounds} rounds of {steps} steps\n")
    table = contest.table
    table(seconds, missing, "us", {"torch clip_grad_norm_ + AdamW(fused)": "(wanted: 8 and 12)"})


if __name__ == "__main__":
    main()
