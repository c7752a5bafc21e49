#!/usr/bin/env python3
"""Runs the benchmarks and prints their tables: see README.md.

    python benchmarks/bench.py [--quick] [memory] [small] [joints] [monitor] [matrices] [python]
        [gpt2] [muon] [startup]

Nothing is asserted about time. RAVINE_LIBRARY is the library that is measured (default:
build/libravine.so.0), BENCH_BUILD the folder that C programs are compiled into (default:
build/benchmarks), CC the C compiler.
"""

from __future__ import annotations

import ctypes
import os
import pathlib
import platform
import resource
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
LIBRARY = pathlib.Path(os.environ.get("RAVINE_LIBRARY") or ROOT / "build" / "libravine.so.0")
BUILD = pathlib.Path(os.environ.get("BENCH_BUILD") or ROOT / "build" / "benchmarks")
# The programs' own loops may use all that this machine has; the library brings its own kernels.
FLAGS = ["-O3", "-march=native", "-mprefer-vector-width=512", "-fno-math-errno",
         "-ffp-contract=off"]  # fmt: skip
TICKS = os.sysconf("SC_CLK_TCK")


def compiled(name: str) -> str:
    """Compiles a C program against the library that is measured."""
    BUILD.mkdir(parents=True, exist_ok=True)
    program = BUILD / name
    native = platform.machine() in ("x86_64", "AMD64")
    flags = [f for f in FLAGS if native or "vector-width" not in f]
    compiler = os.environ.get("CC", "cc")
    command = [compiler, *flags, "-I", str(ROOT / "include"), "-o", str(program)]
    command += [str(HERE / f"{name}.c"), str(LIBRARY.resolve()), "-lm", "-lpthread"]
    command += [f"-Wl,-rpath,{LIBRARY.resolve().parent}"]
    subprocess.run(command, check=True)
    return str(program)


def machine() -> None:
    """Prints what was measured on."""
    library = ctypes.CDLL(str(LIBRARY))
    library.rvn_isa.restype = library.rvn_version.restype = ctypes.c_char_p
    model, memory = platform.processor(), ""
    try:
        for line in open("/proc/cpuinfo", encoding="utf-8"):
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
        memory = open("/proc/meminfo", encoding="utf-8").readline().split()[1]
        memory = f", {int(memory) >> 20} GiB"
    except OSError:
        pass
    print(f"machine   {model}, {os.cpu_count()} CPUs{memory}, {platform.system()} {platform.machine()}")
    print(f"library   ravine {library.rvn_version().decode()}, {library.rvn_isa().decode()}, {LIBRARY}")
    print(f"python    {platform.python_version()}, {sys.executable}")


def busy() -> float:
    """CPU seconds that all processes of this machine have used."""
    try:
        fields = [int(x) for x in open("/proc/stat", encoding="utf-8").readline().split()[1:9]]
    except OSError:
        return float("nan")
    return (sum(fields) - fields[3] - fields[4]) / TICKS


def own() -> float:
    """CPU seconds of the programs that this one has started."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def section(title: str, command: list[str]) -> bool:
    """Runs one program; says how much of the machine others used meanwhile."""
    print(f"\n==== {title}\n", flush=True)
    environment = dict(os.environ, RAVINE_LIBRARY=str(LIBRARY.resolve()))
    source = str(ROOT / "bindings" / "python" / "src")
    environment["PYTHONPATH"] = os.pathsep.join(
        p for p in (source, environment.get("PYTHONPATH")) if p
    )
    before, mine, start = busy(), own(), os.times().elapsed
    code = subprocess.run(command, env=environment).returncode
    elapsed = os.times().elapsed - start
    others = (busy() - before - (own() - mine)) / elapsed
    print(f"\n({elapsed:.0f} s; other processes used {max(0.0, others):.2f} CPUs meanwhile", end="")
    print("; too many for good numbers)" if others > 0.1 else ")", flush=True)
    if code:
        print(f"this program failed with status {code}")
    return code == 0


def main() -> int:
    arguments = sys.argv[1:]
    quick = "--quick" in arguments
    wanted = [a for a in arguments if a != "--quick"]
    python, size = sys.executable, ["4", "5"] if quick else []
    short = ["--quick"] if quick else []
    sections = {
        "memory": ("one large tensor, beside a loop that moves the same bytes",
                   lambda: [compiled("memory"), *size]),
        "small": ("small models, from C", lambda: [compiled("small"), *(["50"] if quick else [])]),
        "joints": ("what costs nothing while it is not used",
                   lambda: [compiled("joints"), *(["50"] if quick else [])]),
        "matrices": ("products of matrices, beside what the machine can multiply and add",
                     lambda: [compiled("matrices"), *(["256", "768"] if quick else [])]),
        "monitor": ("a monitor that is attached",
                    lambda: [compiled("monitor"), *(["4", "2"] if quick else [])]),
        "python": ("a small model, from Python",
                   lambda: [python, str(HERE / "python_small.py"), *short]),
        "gpt2": ("GPT-2 small, from Python", lambda: [python, str(HERE / "gpt2.py"), *short]),
        "muon": ("Muon, from Python", lambda: [python, str(HERE / "muon.py"), *short]),
        "startup": ("start and size", lambda: [python, str(HERE / "startup.py"), *short]),
    }  # fmt: skip
    unknown = [name for name in wanted if name not in sections]
    if unknown:
        print(f"no section {unknown[0]!r}; there are: {' '.join(sections)}", file=sys.stderr)
        return 2
    if not LIBRARY.exists():
        print(f"{LIBRARY} is not there: run make first", file=sys.stderr)
        return 1
    machine()
    results = [section(*(title, command())) for name, (title, command) in sections.items()
               if not wanted or name in wanted]  # fmt: skip
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
