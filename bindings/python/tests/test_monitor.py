"""The monitor and its reports: what goes in, what is refused, what comes out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ravine as rv


def vanishing(depth: int = 10, gain: float = 0.3) -> rv.Monitor:
    """A monitor that saw gradients shrink from layer to layer."""
    monitor = rv.Monitor()
    for step in range(3):
        for k in range(depth):
            size = gain ** (depth - 1 - k)
            monitor.record(f"layer{k}.bias", size * np.arange(1.0, 9.0), depth=k)
        monitor.end_step(1 / (step + 1))
    return monitor


def test_a_report_names_code_place_and_what_to_try() -> None:
    report = vanishing().report()
    (finding,) = report.findings
    assert (finding.code, finding.severity) == ("vanishing", "severe")
    assert finding.where == "layers 0 to 6"
    assert finding.value == pytest.approx(0.3**-9, rel=1e-6) and finding.limit == 1000
    assert finding.limit_name == "severe" and finding.window == 3
    assert finding.measured["gain_per_layer"] == pytest.approx(0.3, rel=1e-6)
    assert finding.place_count == 7
    assert finding.places[0] == ("layer0.bias", 0, finding.places[0].value)
    assert "He" in finding.advice and "Glorot" in finding.source
    assert report.severity == "severe" and report.steps == 3
    assert report.headline == "Gradient health after 3 steps: 1 severe, 0 warnings, 0 notes"


def test_a_report_shows_itself() -> None:
    monitor = vanishing()
    report = monitor.report()
    assert str(report).startswith(report.headline) and repr(report) + "\n" == str(report)
    assert "SEVERE  vanishing: the gradient vanishes toward the input" in str(report)
    assert max(len(line) for line in str(report).splitlines()) <= 100
    assert repr(monitor) == f"<ravine.Monitor: {report.headline}>"
    assert "<script" not in report._repr_html_() and "layers 0 to 6" in report._repr_html_()


def test_an_empty_report() -> None:
    report = rv.Monitor().report()
    assert report.findings == [] and report.severity is None
    assert "nothing was recorded" in str(report)
    assert "<table" not in report._repr_html_()


def test_limits_can_be_moved() -> None:
    monitor = vanishing()
    monitor.set("vanishing.severe", 1e9)
    assert monitor.get("vanishing.severe") == 1e9
    assert monitor.report().findings[0].severity == "warn"
    assert monitor.report().limits["vanishing.severe"] == 1e9
    with pytest.raises(rv.UnknownNameError, match="did you mean 'vanishing.severe'"):
        monitor.set("vanishing.sever", 1)
    with pytest.raises(rv.ArgumentError, match="must be from 1 to inf"):
        monitor.set("vanishing.severe", 0.5)
    with pytest.raises(rv.UsageError, match="value must be a number, not str"):
        monitor.set("vanishing.severe", "much")  # type: ignore[arg-type]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, "bfloat16"])
def test_statistics(dtype: Any) -> None:
    if dtype == "bfloat16":
        dtype = pytest.importorskip("ml_dtypes").bfloat16
    array = np.array([[0, 0.5, -2], [4, 0, -0.25]], dtype)
    monitor = rv.Monitor()
    monitor.record("w", array, "weight")
    found = monitor.statistics("w", "weight")
    assert found.count == 6 and found.zeros == 2 and found.nonfinite == 0
    assert found.norm1 == 6.75 and found.norm_inf == 4 and found.largest_index == 3
    assert found.norm2 == pytest.approx(np.linalg.norm(array.astype(float)))
    assert found.smallest == 0.25 and found.mean == pytest.approx(2.25 / 6)
    assert sum(found.histogram) == 4 and found.histogram[31] == 2 and found.histogram[33] == 1
    with pytest.raises(rv.UnknownNameError, match="did you mean 'w'|nothing called"):
        monitor.statistics("v", "weight")


def test_norms_of_very_large_and_very_small_float32() -> None:
    monitor = rv.Monitor()
    monitor.record("large", np.full(100, 1e20, np.float32))
    monitor.record("small", np.full(100, 1e-30, np.float32))
    assert monitor.statistics("large").norm2 == pytest.approx(1e21, rel=1e-6)
    assert monitor.statistics("small").norm2 == pytest.approx(1e-29, rel=1e-6)


def test_arrays_that_are_not_contiguous_are_read_as_they_are() -> None:
    array = np.arange(24, dtype=np.float32).reshape(4, 6)
    monitor = rv.Monitor()
    for name, view in {"t": array.T, "s": array[:, ::2], "r": array[::-1]}.items():
        monitor.record(name, view)
        assert monitor.statistics(name).norm2 == pytest.approx(np.linalg.norm(view))
        assert monitor.statistics(name).largest_index == int(np.argmax(view))
    read_only = array.copy()
    read_only.flags.writeable = False
    monitor.record("read only", read_only)


def test_a_loss_is_a_number_or_one_for_each_sample() -> None:
    monitor = rv.Monitor()
    monitor.record("loss", 2.5, "loss")
    monitor.end_step()
    monitor.record("loss", np.array([1, 2, 3], np.float32), "loss")
    with pytest.raises(rv.StateError, match="recorded already"):
        monitor.end_step(1.0)
    monitor.end_step()
    monitor.end_step(np.float32(7))
    summary = monitor.report().to_dict()["summary"]
    assert summary["first_loss"] == 2.5 and summary["last_loss"] == 7


def test_bad_input_is_refused_and_nothing_is_lost() -> None:
    monitor = vanishing()
    before = monitor.report()
    w = np.ones(3, np.float32)
    with pytest.raises(rv.ArgumentError, match="kind is 'gradeint'; did you mean 'gradient'"):
        monitor.record("w", w, "gradeint")
    with pytest.raises(rv.ArgumentError, match="kind is None"):
        monitor.record("w", w, None)  # type: ignore[arg-type]
    with pytest.raises(rv.UsageError, match="the gradient of 'w' is a list"):
        monitor.record("w", [1.0])
    with pytest.raises(rv.ElementTypeError, match="int64"):
        monitor.record("w", np.arange(3))
    with pytest.raises(rv.UsageError, match="masked"):
        monitor.record("w", np.ma.array(w))
    with pytest.raises(rv.ArgumentError, match="depth is -1"):
        monitor.record("w", w, depth=-1)
    with pytest.raises(rv.UsageError, match="time must be a whole number"):
        monitor.record("w", w, time=0.5)  # type: ignore[arg-type]
    with pytest.raises(rv.ArgumentError, match="only gradients and activations"):
        monitor.record("w", w, "update", time=0)
    with pytest.raises(rv.ShapeError, match="had 8 and rank 1 before"):
        monitor.record("layer0.bias", w)
    with pytest.raises(rv.ArgumentError, match="is at depth 0"):
        monitor.record("layer0.bias", np.ones(8), depth=1)
    with pytest.raises(rv.RavineError, match="control character"):
        monitor.record("a\x1b[2J", w)
    with pytest.raises(rv.ArgumentError, match="NUL"):
        monitor.record("a\0b", w)
    with pytest.raises(rv.StateError, match="nothing was recorded"):
        monitor.end_step()
    with pytest.raises(rv.UsageError, match="loss must be a number"):
        monitor.end_step("small")  # type: ignore[arg-type]
    assert monitor.report() == before
    monitor.record("w", w)
    with pytest.raises(rv.StateError, match="'w' was recorded already"):
        monitor.record("w", w)
    monitor.record("nothing", np.empty((0, 3), np.float32))
    monitor.end_step()


def test_hostile_names_do_no_harm() -> None:
    name = "<b>\"\\'&\u202ename"
    monitor = rv.Monitor()
    monitor.record(name, np.array([np.nan], np.float32))
    monitor.end_step()
    report = monitor.report()
    assert report.findings[0].places[0].name == name
    assert "&lt;b&gt;" in report._repr_html_() and "<b>&quot;" not in report._repr_html_()
    assert "\u202e" not in str(report)


def test_reports_are_saved_printed_and_compared(tmp_path: Path) -> None:
    sick, path = vanishing().report(), tmp_path / "sick.json"
    sick.save(path)
    assert rv.Report.load(path) == sick
    assert json.loads(path.read_text())["schema"] == "ravine.health"
    assert os.listdir(tmp_path) == ["sick.json"]
    healthy, other = vanishing(gain=0.99).report(), tmp_path / "healthy.json"
    healthy.save(other)

    def command(*files: object) -> subprocess.CompletedProcess[str]:
        words = [sys.executable, "-m", "ravine", "report", *map(str, files)]
        return subprocess.run(words, capture_output=True, text=True)

    assert command(path).stdout == str(sick)
    assert "gone     severe  vanishing: layers 0 to 6" in command(path, other).stdout
    assert "new      severe  vanishing: layers 0 to 6" in command(other, path).stdout
    assert "same     severe  vanishing" in sick.compare(sick)
    assert "changed  severe  vanishing" in sick.compare(vanishing(gain=0.299).report())
    assert "nothing found in either" in healthy.compare(healthy)
    missing = command(tmp_path / "none.json")
    assert missing.returncode == 2 and "No such file" in missing.stderr and not missing.stdout


@pytest.mark.parametrize(
    "damage",
    ["", "nonsense", "[]", "{}", "[" * 100_000, '{"schema": "ravine.health"}'],
)
def test_a_damaged_report_is_refused(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "report.json"
    path.write_text(damage)
    with pytest.raises(rv.FormatError, match="this is no report of ravine"):
        rv.Report.load(path)


def test_a_newer_report_is_refused() -> None:
    data = vanishing().report().to_dict()
    with pytest.raises(rv.FormatError, match="version 2; this package reads"):
        rv.Report(json.dumps({**data, "version": 2}))
    with pytest.raises(rv.FormatError, match="'other' version 1"):
        rv.Report(json.dumps({**data, "schema": "other"}))


def test_a_report_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    with pytest.raises(rv.FileError, match="cannot write"):
        vanishing().report().save(tmp_path / "no" / "folder.json")


def test_a_saved_report_cannot_steer_a_terminal() -> None:
    data = vanishing().report().to_dict()
    data["text"][0] = "\x1b[2J\x9b"
    assert str(rv.Report(json.dumps(data))).startswith("?[2J?\n")


def test_a_monitor_is_not_copied() -> None:
    import copy

    with pytest.raises(rv.UsageError, match="cannot be pickled or copied"):
        copy.copy(rv.Monitor())


def test_every_instruction_set_gives_the_same_bytes() -> None:
    code = """
import numpy as np, ravine as rv
rng, m = np.random.default_rng(0), rv.Monitor()
for step in range(40):
    for k in range(4):
        for dtype in (np.float16, np.float32, np.float64):
            name = f"w{k}{np.dtype(dtype).name}"
            w = rng.normal(size=(37, 53)).astype(dtype)
            m.record(name, w * dtype(1e-3), depth=k)
            m.record(name, w, "weight")
            m.record(name, w * dtype(1e-3), "update")
            m.record("a" + name, np.tanh(3 * w), "activation", depth=k)
    m.end_step(float(rng.uniform()))
print(m.report().to_json(), m.statistics("w0float16"))
"""
    outputs = set()
    for isa in ["sse2", "avx2", ""]:
        environment = {**os.environ, "RAVINE_ISA": isa}
        if not isa:
            del environment["RAVINE_ISA"]
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, env=environment
        )
        assert done.returncode == 0, done.stderr
        outputs.add(done.stdout)
    assert len(outputs) == 1
