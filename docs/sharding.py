"""Computes the tables of docs/sharding.md: memory and time for each rank.

    python docs/sharding.py             computes them from the cost of a step that the page has
    python docs/sharding.py --measure   measures that cost on this machine first
    python docs/sharding.py --check     fails if the page has other tables
    python docs/sharding.py --gigabits 400 --latency 2 --print    for another network, to the screen

Measured is the time of a step for each parameter. All else is arithmetic, written out below.
"""

import argparse
import pathlib
import platform
import re
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "sharding.md"
BEGIN, END = "<!-- computed: python docs/sharding.py -->\n", "<!-- end -->\n"
RECIPE = "clip_norm(1) | adamw(1e-3)"
PARAMETERS = [10**8, 10**9, 10**10, 10**11, 10**12]
RANKS = [2**k for k in range(11)]
BLOCK = 1024

PARAMETER, GRADIENT, STATE = 4, 4, 8
"""Bytes: Float32, and the two moments of adamw."""
SUMS = 1 + 4 + 2
"""Numbers of 8 bytes for each block that every rank keeps: of clip_norm, of rules, of reports."""
ADDED = 1 + 2
"""Those of them that are added up over the ranks here."""


def memory(count, ranks):
    """Bytes on each rank: parameters and gradients whole, state divided, sums for all blocks."""
    return count * (PARAMETER + GRADIENT) + count * STATE / ranks + 8 * SUMS * count / BLOCK


def compute(count, ranks, each):
    """Seconds that a rank steps its share."""
    return each * count / ranks


def network(count, ranks, speed, latency):
    """Seconds on a ring, where each rank sends at `speed` bytes a second: reduce-scatter of the
    gradients, all-gather of the parameters, and the sums (twice around)."""
    around = (ranks - 1) / ranks
    sent = around * (GRADIENT + PARAMETER) * count + 2 * around * 8 * ADDED * count / BLOCK
    return sent / speed + 4 * (ranks - 1) * latency


def measure():
    """Seconds of a step for each parameter, of one thread of this machine: the best of some.

    Processor time, so that whatever else runs there counts less.
    """
    import numpy as np

    import ravine as rv

    count = 1 << 24
    random = np.random.default_rng(0)
    w, g = (random.standard_normal(count, dtype=np.float32) for _ in range(2))
    opt = rv.Optimizer(RECIPE, [w], [g], threads=1)
    times = []
    for _ in range(12):
        start = time.process_time()
        opt.step()
        times.append(time.process_time() - start)
    return min(times) / count


def machine():
    try:
        names = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    except OSError:
        names = None
    return names[1] if names else platform.machine()


def bytes_text(n):
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if n >= size:
            return f"{n / size:.3g} {unit}"
    return f"{n:.0f} B"


def time_text(t):
    if t >= 1000:
        return f"{t:,.0f} s"
    return f"{t:.3g} s" if t >= 1 else f"{1e3 * t:.3g} ms"


def tables(each, gigabits, microseconds):
    speed, latency = gigabits * 1e9 / 8, microseconds * 1e-6
    head = ["ranks", *(f"10^{len(str(n)) - 1}" for n in PARAMETERS)]
    rule = "|---" * len(head) + "|"
    yield f"Memory on each rank, {PARAMETER + GRADIENT} + {STATE}/ranks bytes for each parameter:\n"
    yield f"| {' | '.join(head)} |\n{rule}"
    for n in RANKS:
        yield f"| {n} | {' | '.join(bytes_text(memory(p, n)) for p in PARAMETERS)} |"
    yield f"\nTime of an update, stepping + network ({gigabits:g} Gbit/s, {microseconds:g} µs):\n"
    yield f"| {' | '.join(head)} |\n{rule}"
    for n in RANKS:
        cells = [
            f"{time_text(compute(p, n, each))} + {time_text(network(p, n, speed, latency))}"
            if n > 1
            else time_text(compute(p, n, each))
            for p in PARAMETERS
        ]
        yield f"| {n} | {' | '.join(cells)} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--measure", action="store_true", help="measure a step on this machine")
    parser.add_argument("--check", action="store_true", help="fail if the page has other tables")
    parser.add_argument("--print", action="store_true", help="print; leave the page alone")
    parser.add_argument("--gigabits", type=float, default=100, help="a second, of each rank")
    parser.add_argument("--latency", type=float, default=5, help="of a message, in microseconds")
    o = parser.parse_args()
    page = PAGE.read_text(encoding="utf-8")
    before, rest = page.split(BEGIN)
    old, after = rest.split(END)
    said = re.match(r"Measured: .*\n", old)[0]
    if o.measure:
        said = (
            f"Measured: {1e9 * measure():.3g} ns for each parameter (one thread of {machine()}).\n"
        )
    each = float(said.split()[1]) * 1e-9
    new = f"{said}\n" + "\n".join(tables(each, o.gigabits, o.latency)) + "\n\n"
    if o.print:
        print(new)
    elif o.check:
        if new != old:
            sys.exit("docs/sharding.md is out of date: run python docs/sharding.py")
    else:
        PAGE.write_text(f"{before}{BEGIN}{new}{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
