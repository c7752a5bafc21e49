"""What the Python benchmarks share: contestants timed in turn, and a table of ratios."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

Step = Callable[[], object]


def median_times(contestants: dict[str, Step], rounds: int, steps: int) -> dict[str, float]:
    """Seconds per step: the median over rounds, in each of which all take their turn."""
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for step in contestants.values():
        for _ in range(2 * steps):
            step()
    for _ in range(rounds):
        for name, step in contestants.items():
            start = time.perf_counter()
            for _ in range(steps):
                step()
            times[name].append((time.perf_counter() - start) / steps)
    return {name: statistics.median(t) for name, t in times.items()}


def table(
    seconds: dict[str, float], missing: dict[str, str], unit: str, wanted: dict[str, str]
) -> None:
    """One line each, and how many times longer the others take than the first rows of ravine."""
    scale = {"us": 1e6, "ms": 1e3}[unit]
    ours = [name for name in seconds if name.startswith("ravine")]
    heads = "".join(f"{'/ ' + name.removeprefix('ravine').strip(', '):>16}" for name in ours)
    print(f"{'':<44}{unit + '/step':>12}{heads}")
    for name, time_ in seconds.items():
        ratios = "".join(f"{time_ / seconds[our]:>16.2f}" for our in ours)
        print(f"{name:<44}{time_ * scale:>12.2f}{ratios}   {wanted.get(name, '')}".rstrip())
    for name, reason in missing.items():
        print(f"{name:<44}{reason:>12}")


def quick() -> bool:
    return "--quick" in sys.argv[1:]
