"""The reference page and the README's table come from the catalog; nobody edits them by hand."""

import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("script", ["generate.py", "health.py", "sharding.py"])
def test_the_pages_are_what_the_library_says(script):
    done = subprocess.run(
        [sys.executable, ROOT / "docs" / script, "--check"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_readme_shows_the_quickstart_as_it_is():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```c\n(.*?)```", readme, flags=re.S)
    assert (ROOT / "examples" / "c" / "quickstart.c").read_text(encoding="utf-8") in blocks


@pytest.mark.parametrize("page", ["README.md", "docs/sharding.md"])
def test_python_on_the_pages_runs(page, tmp_path):
    text = (ROOT / page).read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, flags=re.S)
    assert blocks
    for block in blocks:
        done = subprocess.run(
            [sys.executable, "-c", block], capture_output=True, text=True, cwd=tmp_path
        )
        assert done.returncode == 0, block + done.stderr
