"""A step of GPT-2 small: its 148 tensors, 124 million parameters, clipping and AdamW."""

from __future__ import annotations

import os
import sys

import numpy as np
import ravine as rv

import contest
import rivals


def shapes(layers: int = 12, width: int = 768) -> dict[str, tuple[int, ...]]:
    """The tensors of GPT-2, as its authors shaped them."""
    found: dict[str, tuple[int, ...]] = {"wte": (50257, width), "wpe": (1024, width)}
    for layer in range(layers):
        h = f"h.{layer}."
        found |= {h + "ln_1.weight": (width,), h + "ln_1.bias": (width,)}
        found |= {h + "attn.c_attn.weight": (width, 3 * width), h + "attn.c_attn.bias": (3 * width,)}
        found |= {h + "attn.c_proj.weight": (width, width), h + "attn.c_proj.bias": (width,)}
        found |= {h + "ln_2.weight": (width,), h + "ln_2.bias": (width,)}
        found |= {h + "mlp.c_fc.weight": (width, 4 * width), h + "mlp.c_fc.bias": (4 * width,)}
        found |= {h + "mlp.c_proj.weight": (4 * width, width), h + "mlp.c_proj.bias": (width,)}
    return found | {"ln_f.weight": (width,), "ln_f.bias": (width,)}


def main() -> None:
    layers = 2 if contest.quick() else 12
    threads = min(2, os.cpu_count() or 1)
    random = np.random.default_rng(0)
    params, grads = {}, {}
    for name, shape in shapes(layers).items():
        params[name] = 0.02 * random.standard_normal(shape, dtype=np.float32)
        grads[name] = 0.001 * random.standard_normal(shape, dtype=np.float32)
    count = sum(a.size for a in params.values())

    def ours(recipe: str) -> rv.Optimizer:
        copies = {name: array.copy() for name, array in params.items()}
        return rv.Optimizer(recipe, copies, grads, threads=threads)

    contestants: dict[str, contest.Step] = {
        "ravine clip_norm(1) | adamw": ours("clip_norm(1) | adamw(1e-3)").step,
        "ravine adamw": ours("adamw(1e-3)").step,
    }
    missing = {}
    try:
        import torch

        torch.set_num_threads(threads)
        contestants["torch clip_grad_norm_ + AdamW(fused)"] = rivals.torch_fused(params, grads)
        contestants["torch AdamW(fused)"] = rivals.torch_fused(params, grads, clip=False)
    except ImportError:
        missing["torch clip_grad_norm_ + AdamW(fused)"] = "not installed"
    try:
        if "--no-optax" not in sys.argv:
            contestants["optax clip + adamw, jit"] = rivals.optax_jit(params, grads)
    except ImportError:
        missing["optax clip + adamw, jit"] = "not installed"
    rounds = 3 if contest.quick() else 9
    seconds = contest.median_times(contestants, rounds, 1)
    print(f"GPT-2 with {layers} layers: {len(params)} tensors, {count:,} parameters, ", end="")
    print(f"{threads} threads, {rounds} rounds\n")
    wanted = {"torch clip_grad_norm_ + AdamW(fused)": "(wanted: 1.6 in the first column)"}
    contest.table(seconds, missing, "ms", wanted)


if __name__ == "__main__":
    main()
