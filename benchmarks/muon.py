"""A Muon step on matrices of a transformer, beside torch.optim.Muon."""

from __future__ import annotations

import importlib
import os

import numpy as np
import ravine as rv

import contest

FORMS = {"768 x 3072": [(768, 3072)], "12 of 256 x 256": [(256, 256)] * 12}


def torch_muon(params: dict[str, np.ndarray], grads: dict[str, np.ndarray], whole: bool) -> contest.Step:
    """torch's; whole: with its products in float32, and not in bfloat16."""
    import torch

    tensors = []
    for name, array in params.items():
        tensor = torch.nn.Parameter(torch.from_numpy(array.copy()))
        tensor.grad = torch.from_numpy(grads[name].copy())
        tensors.append(tensor)
    optimizer = torch.optim.Muon(tensors, lr=0.02)
    module = importlib.import_module("torch.optim._muon")
    rounded = module._zeropower_via_newtonschulz

    def orthogonalize(grad, coefficients, steps, eps):
        a, b, c = coefficients
        x = grad.T.clone() if grad.size(0) > grad.size(1) else grad.clone()
        x.div_(x.norm().clamp(min=eps))
        for _ in range(steps):
            gram = x @ x.T
            x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
        return x.T if grad.size(0) > grad.size(1) else x

    def step() -> None:
        module._zeropower_via_newtonschulz = orthogonalize if whole else rounded
        optimizer.step()

    return step


def main() -> None:
    threads = min(2, os.cpu_count() or 1)
    rounds = 3 if contest.quick() else 9
    for title, shapes in FORMS.items():
        random = np.random.default_rng(0)
        params = {str(i): 0.02 * random.standard_normal(s, np.float32) for i, s in enumerate(shapes)}
        grads = {n: random.standard_normal(p.shape, np.float32) for n, p in params.items()}

        def ours(product=None) -> contest.Step:
            copies = {name: array.copy() for name, array in params.items()}
            return rv.Optimizer("muon(0.02)", copies, grads, threads=threads, product=product).step

        contestants = {"ravine muon": ours(), "ravine muon, numpy's BLAS": ours(np.matmul)}
        missing = {}
        try:
            import torch

            torch.set_num_threads(threads)
            contestants["torch Muon (bfloat16 products)"] = torch_muon(params, grads, whole=False)
            contestants["torch Muon, float32 products"] = torch_muon(params, grads, whole=True)
        except ImportError:
            missing["torch Muon"] = "not installed"
        print(f"{title}, {threads} threads")
        contest.table(contest.median_times(contestants, rounds, 1), missing, "ms", {})


if __name__ == "__main__":
    main()
