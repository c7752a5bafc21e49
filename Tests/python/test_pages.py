"""docs/checks.md and docs/curvature.md print what they say: their code is run, and its output compared."""

import os
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("RAVINE_BUILD", ROOT / "build")).resolve()
NUMBER = re.compile(r"[-+]?\d+\.?\d*(?:e[-+]?\d+)?")


def same(got, wanted):
    """The same words; numbers to within a tenth, as numpy's sums differ between machines."""
    assert NUMBER.sub("#", got).split() == NUMBER.sub("#", wanted).split(), got
    for a, b in zip(NUMBER.findall(got), NUMBER.findall(wanted), strict=True):
        small = abs(float(b)) < 1e-5  # an error estimate
        assert float(a) == pytest.approx(float(b), rel=10 if small else 0.1, abs=0.02), got


def page(name):
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name, least", [("checks.md", 11), ("curvature.md", 1)])
def test_the_python_of_the_page(name, least, tmp_path):
    found = r"```python\n(.*?)```\n(?:\n```text\n(.*?)```\n)?"
    blocks = re.findall(found, page(name), flags=re.S)
    assert len(blocks) >= least
    program = "".join(code + 'print("----", flush=True)\n' for code, _ in blocks)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path, timeout=300
    )
    assert done.returncode == 0, done.stderr
    printed = done.stdout.split("----\n")
    for (_, wanted), got in zip(blocks, printed, strict=False):
        same(got, wanted)
    assert (tmp_path / "slice.png").exists() == (name == "checks.md")


def test_the_c_example_of_the_page():
    done = subprocess.run([BUILD / "examples" / "check_gradient"], capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stdout in page("checks.md")
