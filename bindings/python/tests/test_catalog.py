"""The catalog, and the package as a module."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import ravine as rv


def test_entries_have_what_users_read() -> None:
    for entry in rv.catalog():
        assert entry.summary and entry.kind in ("rule", "stage", "schedule", "init"), entry.name
        for parameter in entry.parameters:
            assert parameter.name and parameter.summary and parameter.low <= parameter.high
            assert bool(parameter.words) == (parameter.kind == "word")
            assert parameter.kind in (
                "number",
                "flag",
                "word",
                "count",
                "list",
                "schedule",
                "schedules",
            )
            assert parameter.range


def test_kinds() -> None:
    kinds = {entry.kind for entry in rv.catalog()}
    parts = [rv.catalog(kind) for kind in kinds]
    assert sum(map(len, parts)) == len(rv.catalog())
    assert {entry.name for entry in rv.catalog("rule")} >= {"sgd", "adamw"}
    with pytest.raises(rv.UnknownNameError, match="'rule'"):
        rv.catalog("rules")


def test_a_catalog_prints_as_a_table() -> None:
    lines = repr(rv.catalog()).splitlines()
    assert len(lines) == len(rv.catalog())
    assert any("adamw" in line and line.startswith("rule") for line in lines)
    html = rv.catalog()._repr_html_()
    assert html.count("<tr>") == len(rv.catalog()) + 1
    assert repr(rv.Catalog()) == ""


def test_changing_a_list_changes_no_other() -> None:
    rv.catalog().clear()
    assert rv.catalog()


def test_an_entry_prints_its_call() -> None:
    adamw = next(entry for entry in rv.catalog() if entry.name == "adamw")
    assert str(adamw).startswith("adamw(lr=") and adamw.summary in str(adamw)
    assert {slot.name for slot in adamw.slots} >= {"m", "v"}


def test_completion_and_from_import() -> None:
    from ravine import adamw

    assert adamw is rv.adamw
    assert {"adamw", "cosine", "clip_norm", "Optimizer"} <= set(dir(rv))
    with pytest.raises(AttributeError, match="has no attribute 'adamww'"):
        getattr(rv, "adamw" + "w")
    assert not hasattr(rv, "__wrapped__")


def test_versions() -> None:
    assert rv.version() == rv.__version__
    assert rv.isa() in ("avx512", "avx2", "sse2", "neon")


def test_threads() -> None:
    rv.set_threads(1)
    rv.set_threads(0)
    for wrong in (-1, 257, 2**32 + 1):
        with pytest.raises(rv.ArgumentError, match="threads"):
            rv.set_threads(wrong)
    with pytest.raises(rv.UsageError):
        rv.set_threads(1.5)  # type: ignore[arg-type]
    rv.shutdown()


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )


def test_a_library_that_is_not_there_names_the_path() -> None:
    result = python("import ravine", RAVINE_LIBRARY="/nowhere/libravine.so.0")
    assert result.returncode == 1
    assert "ravine.LibraryError" in result.stderr or "LibraryError" in result.stderr
    assert "/nowhere/libravine.so.0: no such file" in result.stderr


def test_a_file_that_is_no_library_says_so() -> None:
    result = python("import ravine", RAVINE_LIBRARY=__file__)
    assert result.returncode == 1 and f"{__file__}: " in result.stderr


def test_importing_needs_no_heavy_modules() -> None:
    code = (
        "import sys, numpy; before = set(sys.modules); import ravine;"
        "print(*sorted(set(sys.modules) - before))"
    )
    added = {name.partition(".")[0] for name in python(code).stdout.split()}
    few = {"__future__", "bisect", "_bisect", "ctypes", "_ctypes", "struct", "_struct", "typing"}
    assert added <= {"ravine", *few}
