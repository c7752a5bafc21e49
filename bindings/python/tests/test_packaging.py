"""The wheel: its tag, what is in it, and that it works away from the repository."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from ravine import _library

pytest.importorskip("build")
pytest.importorskip("hatchling")
pytestmark = pytest.mark.packaging

PROJECT = Path(__file__).parents[1]
LIBRARY = str(_library.lib._name)


def build(kind: str, project: Path, out: Path, **environment: str) -> Path:
    """One artifact of a project, built with the packages that are installed."""
    command = [sys.executable, "-m", "build", "-n", f"--{kind}", "-o", str(out), str(project)]
    subprocess.run(command, check=True, env={**os.environ, **environment})
    (artifact,) = out.iterdir()
    return artifact


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", PROJECT, tmp_path_factory.mktemp("wheel"), RAVINE_LIBRARY=LIBRARY)


def test_the_tag_is_for_any_python_3_on_this_platform(wheel: Path) -> None:
    assert re.fullmatch(
        r"ravine-0\.1\.0-py3-none-(manylinux_2_\d+_(x86_64|aarch64)|macosx_\w+)\.whl", wheel.name
    )
    with zipfile.ZipFile(wheel) as archive:
        meta = archive.read("ravine-0.1.0.dist-info/WHEEL").decode()
    assert "Root-Is-Purelib: false" in meta


def test_the_wheel_carries_the_package_and_the_library(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        packed = archive.read(f"ravine/{_library.FILE_NAME}")
        assert "Requires-Dist: numpy" in archive.read("ravine-0.1.0.dist-info/METADATA").decode()
    modules = {f"ravine/{path.name}" for path in (PROJECT / "src" / "ravine").glob("*.py")}
    assert names == modules | {"ravine/py.typed", f"ravine/{_library.FILE_NAME}"}
    assert packed == Path(LIBRARY).read_bytes()


def test_the_wheel_works_away_from_the_repository(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "env", system_site_packages=False, with_pip=False)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    numpy = Path(__import__("numpy").__file__).parents[1]
    code = (
        "import numpy as np, ravine as rv; w = np.zeros(3);"
        "print(rv.Optimizer(rv.sgd(1), [w]).step([np.ones(3)]).step, w[0], rv._library.lib._name)"
    )
    environment = {k: v for k, v in os.environ.items() if k != "RAVINE_LIBRARY"}
    environment["PYTHONPATH"] = os.pathsep.join([str(tmp_path / "site"), str(numpy)])
    result = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert result.stdout.split()[:2] == ["1", "-1.0"]
    assert result.stdout.split()[2] == str(tmp_path / "site" / "ravine" / _library.FILE_NAME)


def test_the_sdist_carries_what_a_build_needs(tmp_path: Path) -> None:
    artifact = build("sdist", PROJECT, tmp_path)
    with tarfile.open(artifact) as archive:
        members = archive.getmembers()
    assert all(member.isfile() for member in members)
    names = {member.name.removeprefix("ravine-0.1.0/") for member in members}
    expected = {"native/Package.swift", "native/Makefile", "native/include/ravine.h"}
    expected |= {"pyproject.toml", "hatch_build.py", "README.md", "src/ravine/__init__.py"}
    assert expected <= names
    for folder in ("Kernels", "KernelsAVX2", "KernelsAVX512"):
        assert f"native/Sources/{folder}/Table.swift" in names
    assert not [name for name in names if "/.build" in name or name.startswith("native/build")]


def test_a_wheel_comes_from_the_sdist(tmp_path: Path) -> None:
    artifact = build("sdist", PROJECT, tmp_path / "sdist")
    with tarfile.open(artifact) as archive:
        archive.extractall(tmp_path)
    unpacked = tmp_path / "ravine-0.1.0"
    wheel = build("wheel", unpacked, tmp_path / "wheel", RAVINE_LIBRARY=LIBRARY)
    assert wheel.name.startswith("ravine-0.1.0-py3-none-")
    again = build("sdist", unpacked, tmp_path / "again")
    with tarfile.open(again) as archive:
        assert "ravine-0.1.0/native/Package.swift" in archive.getnames()


def failing_build(tmp_path: Path, **environment: str) -> str:
    """What a build that fails says."""
    command = [sys.executable, "-m", "build", "-n", "--wheel", "-o", str(tmp_path), str(PROJECT)]
    environment = {**os.environ, **environment}
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert result.returncode
    return result.stdout + result.stderr


def test_a_missing_library_is_one_clear_line(tmp_path: Path) -> None:
    said = failing_build(tmp_path, RAVINE_LIBRARY="/nowhere/lib.so")
    assert "ravine: no such file: /nowhere/lib.so" in said
