"""AdamW with clipping of the gradient's norm, as users of other libraries write it.

Each function takes parameters and gradients as numpy arrays by name, copies them, and returns a
function that does one step. It raises ImportError where the library is not installed.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

Arrays = dict[str, np.ndarray]
Step = Callable[[], object]
LR, BETA1, BETA2, EPS, DECAY, MAX = 1e-3, 0.9, 0.999, 1e-8, 0.01, 1.0


def torch_fused(params: Arrays, grads: Arrays, clip: bool = True) -> Step:
    import torch

    tensors = []
    for name, array in params.items():
        tensor = torch.nn.Parameter(torch.from_numpy(array.copy()))
        tensor.grad = torch.from_numpy(grads[name].copy())
        tensors.append(tensor)
    optimizer = torch.optim.AdamW(tensors, lr=LR, weight_decay=DECAY, fused=True)

    def step() -> None:
        # Scales the gradients in place; from the second step on their norm is at most MAX, which
        # costs the same.
        if clip:
            torch.nn.utils.clip_grad_norm_(tensors, MAX)
        optimizer.step()

    return step


def numpy_plain(params: Arrays, grads: Arrays) -> Step:
    params = {name: array.copy() for name, array in params.items()}
    m = {name: np.zeros_like(array) for name, array in params.items()}
    v = {name: np.zeros_like(array) for name, array in params.items()}
    t = 0

    def step() -> None:
        nonlocal t
        t += 1
        norm = math.sqrt(sum(float(np.vdot(g, g)) for g in grads.values()))
        scale = min(1.0, MAX / (norm + 1e-6))
        for name, p in params.items():
            g = grads[name] * scale
            m[name] += (1 - BETA1) * (g - m[name])
            v[name] += (1 - BETA2) * (g * g - v[name])
            p *= 1 - LR * DECAY
            hat = np.sqrt(v[name] / (1 - BETA2**t)) + EPS
            p -= LR / (1 - BETA1**t) * m[name] / hat

    return step


def optax_jit(params: Arrays, grads: Arrays) -> Step:
    import jax
    import optax

    chain = optax.chain(optax.clip_by_global_norm(MAX), optax.adamw(LR, weight_decay=DECAY))
    at = {name: jax.numpy.array(array) for name, array in params.items()}
    gradient = {name: jax.numpy.array(array) for name, array in grads.items()}
    state = chain.init(at)

    def update(at, state, gradient):  # type: ignore[no-untyped-def]
        change, state = chain.update(gradient, state, at)
        return optax.apply_updates(at, change), state

    compiled = jax.jit(update, donate_argnums=(0, 1))

    def step() -> None:
        nonlocal at, state
        at, state = jax.block_until_ready(compiled(at, state, gradient))

    return step
