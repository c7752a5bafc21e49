"""How long the start takes beyond numpy, how large the library is, and what it needs."""

from __future__ import annotations

import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile

import contest

PROGRAM = """
import numpy as np
from time import perf_counter
p = {{"w": np.zeros((64, 128), np.float32), "b": np.zeros(128, np.float32)}}
start = perf_counter()
{}
print(perf_counter() - start)
"""
OURS = """
import ravine as rv
opt = rv.Optimizer(rv.clip_norm(1) | rv.adamw(1e-3), p)
"""
TORCH = """
import torch
opt = torch.optim.AdamW([torch.nn.Parameter(torch.from_numpy(a)) for a in p.values()])
"""
OPTAX = """
import jax, optax
opt = optax.adamw(1e-3).init({k: jax.numpy.asarray(a) for k, a in p.items()})
"""


def start(program: str, runs: int) -> float | None:
    """Milliseconds, the median; None where an import fails."""
    times = []
    for _ in range(runs + 1):  # the first run fills the file cache
        command = [sys.executable, "-c", PROGRAM.format(program)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            if "ModuleNotFoundError" in done.stderr:
                return None
            raise SystemExit(done.stderr)
        times.append(1e3 * float(done.stdout))
    return statistics.median(times[1:])


def size() -> None:
    library = pathlib.Path(os.environ["RAVINE_LIBRARY"])
    stripped = library.stat().st_size
    with tempfile.TemporaryDirectory() as folder:
        copy = pathlib.Path(folder) / "stripped"
        shutil.copy(library, copy)
        if shutil.which("strip"):
            subprocess.run(["strip", str(copy)], check=True)
            stripped = copy.stat().st_size
    print(f"\n{'size of the library, stripped':<44}{stripped / 1e3:>9.0f} kB   (wanted: below 1,000)")
    if shutil.which("readelf"):
        listed = subprocess.run(["readelf", "-d", str(library)], capture_output=True, text=True)
        needed = [x.split("[")[1].rstrip("]") for x in listed.stdout.splitlines() if "NEEDED" in x]
        print(f"{'it needs':<44}{', '.join(needed) or 'nothing':>12}")


def main() -> None:
    print("import and a first optimizer, beyond numpy; medians of new processes\n")
    runs = 3 if contest.quick() else 11
    ours = start(OURS, runs)
    if ours is None:
        raise SystemExit("the package ravine cannot be imported")
    print(f"{'ravine':<44}{ours:>9.1f} ms   (wanted: below 50)")
    for name, program in (("torch", TORCH), ("jax and optax", OPTAX)):
        found = start(program, min(runs, 3))
        print(f"{name:<44}" + ("not installed" if found is None else f"{found:>9.1f} ms"))
    size()


if __name__ == "__main__":
    main()
