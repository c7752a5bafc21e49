"""Small functions with hand-written gradients, for the tests of checks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Tree = dict[str, Any]
Fun = Callable[[Any], tuple[float, Any]]


def logistic(dtype: Any = np.float64) -> tuple[Tree, Fun]:
    """Logistic regression on 60 random points of 4 features."""
    numbers = np.random.default_rng(3)
    x = numbers.normal(size=(60, 4)).astype(dtype)
    y = (numbers.random(60) < 0.5).astype(dtype)
    params = {"w": numbers.normal(size=4).astype(dtype), "b": np.array([0.3], dtype)}

    def fun(p: Tree) -> tuple[float, Tree]:
        z = x @ p["w"] + p["b"][0]
        d = (1 / (1 + np.exp(-z)) - y) / dtype(60)
        return np.mean(np.logaddexp(dtype(0), z) - y * z), {"w": x.T @ d, "b": d.sum(keepdims=True)}

    return params, fun


def network(
    activation: str = "tanh", width: int = 32, seed: int = 0, dtype: Any = np.float64
) -> tuple[Tree, Fun]:
    """1 - width - width - 1, fitting a Chebyshev polynomial at 20 points, as in Cohen et al.
    2021."""
    numbers = np.random.default_rng(seed)
    x = np.cos(np.pi * (np.arange(20) + 0.5) / 20)[:, None].astype(dtype)
    y = 4 * x**3 - 3 * x
    sizes = [1, width, width, 1]
    params: Tree = {}
    for k, (a, b) in enumerate(zip(sizes, sizes[1:], strict=False)):
        params[f"w{k}"] = (numbers.normal(size=(a, b)) / np.sqrt(a)).astype(dtype)
        params[f"b{k}"] = np.zeros(b, dtype)
    tanh = activation == "tanh"

    def act(z: Any) -> tuple[Any, Any]:
        if tanh:
            h = np.tanh(z)
            return h, 1 - h * h
        return np.maximum(0, z), (z > 0).astype(dtype)

    def fun(p: Tree) -> tuple[float, Tree]:
        h1, s1 = act(x @ p["w0"] + p["b0"])
        h2, s2 = act(h1 @ p["w1"] + p["b1"])
        error = h2 @ p["w2"] + p["b2"] - y
        d2 = error / dtype(20)
        d1 = (d2 @ p["w2"].T) * s2
        d0 = (d1 @ p["w1"].T) * s1
        grads = {"w2": h2.T @ d2, "b2": d2.sum(0), "w1": h1.T @ d1, "b1": d1.sum(0)}
        return np.mean(error**2) / 2, {**grads, "w0": x.T @ d0, "b0": d0.sum(0)}

    return params, fun


def quadratic(eigenvalues: Any, dtype: Any = np.float64) -> tuple[Any, Fun, Any]:
    """1/2 x' H x at a random x; H has these eigenvalues, and the columns of the third result."""
    numbers = np.random.default_rng(1)
    n = len(eigenvalues)
    q, _ = np.linalg.qr(numbers.normal(size=(n, n)))
    h = ((q * eigenvalues) @ q.T).astype(dtype)
    return numbers.normal(size=n).astype(dtype), lambda x: (0.5 * x @ h @ x, h @ x), q


def flat(tree: Tree) -> Any:
    """All elements in one array."""
    return np.concatenate([np.ravel(array) for array in tree.values()])
