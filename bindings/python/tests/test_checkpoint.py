"""Save and load: resume to the byte, partial loads, files that others read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import run

import ravine as rv

RECIPE = "clip_norm(1) | adamw(lr=warmup(cosine(0.1, steps=10), steps=3))"


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, "bfloat16"])
def test_a_resumed_run_has_the_same_bytes(
    make: Callable[..., Any], tmp_path: Path, dtype: Any
) -> None:
    if dtype == "bfloat16":
        dtype = pytest.importorskip("ml_dtypes").bfloat16
    straight, stopped, resumed = make(0, dtype), make(0, dtype), make(9, dtype)
    run(rv.Optimizer(RECIPE, straight), make, 0, 8, dtype)
    first = rv.Optimizer(RECIPE, stopped)
    run(first, make, 0, 4, dtype)
    first.save(tmp_path / "run.safetensors")
    second = rv.Optimizer(RECIPE, resumed)
    assert second.load(tmp_path / "run.safetensors") == []
    assert second.steps("w") == 4
    run(second, make, 4, 8, dtype)
    assert all(straight[name].tobytes() == resumed[name].tobytes() for name in straight)


def test_the_file_is_safetensors(make: Callable[..., Any], tmp_path: Path) -> None:
    safetensors = pytest.importorskip("safetensors.numpy")
    params = make()
    opt = rv.Optimizer("adamw(0.1)", params)
    run(opt, make, 0, 3, np.float32)
    opt.save(str(tmp_path / "run"))
    found = safetensors.load_file(tmp_path / "run")
    for name, array in params.items():
        assert found[f"param/{name}"].tobytes() == array.tobytes()
        for slot, numbers in opt.state(name).items():
            assert (found[f"state/{name}/{slot}"] == numbers).all()


def test_another_rate_holds_after_loading(make: Callable[..., Any], tmp_path: Path) -> None:
    opt = rv.Optimizer("adamw(0.1)", make())
    run(opt, make, 0, 2, np.float32)
    opt.save(tmp_path / "run")
    slower = rv.Optimizer("adamw(0.01)", make())
    slower.load(tmp_path / "run")
    assert slower.get("lr") == 0.01 and slower.steps("w") == 2


def test_another_optimizer_is_a_mismatch_and_changes_nothing(
    make: Callable[..., Any], tmp_path: Path
) -> None:
    rv.Optimizer("adamw(0.1)", make()).save(tmp_path / "run")
    other = {"w": np.full((4, 3), 7, np.float32), "c": np.full(3, 7, np.float32)}
    opt = rv.Optimizer("adamw(0.1)", other)
    with pytest.raises(rv.MismatchError, match="c|b"):
        opt.load(tmp_path / "run")
    assert all((array == 7).all() for array in other.values())


def test_a_partial_load_tells_the_differences(make: Callable[..., Any], tmp_path: Path) -> None:
    saved = make()
    rv.Optimizer("sgd(0.1)", saved).save(tmp_path / "run")
    other = {"w": np.zeros((4, 3), np.float32), "c": np.zeros(3, np.float32)}
    told = rv.Optimizer("sgd(0.1)", other).load(tmp_path / "run", strict=False)
    assert any("missing param/c" in line for line in told)
    assert any("extra param/b" in line for line in told)
    assert other["w"].tobytes() == saved["w"].tobytes() and (other["c"] == 0).all()


def test_a_long_report_comes_whole(tmp_path: Path) -> None:
    rv.Optimizer("sgd(0.1)", {"w": np.zeros(1)}).save(tmp_path / "run")
    params: dict[str, Any] = {f"layer.{i:04}": np.zeros(1) for i in range(1000)}
    told = rv.Optimizer("sgd(0.1)", params).load(tmp_path / "run", strict=False)
    assert sum(line.startswith("missing param/layer.") for line in told) == 1000
    assert len(set(told)) == len(told)


def test_parameters_or_state_alone(make: Callable[..., Any], tmp_path: Path) -> None:
    saved = make()
    opt = rv.Optimizer("adamw(0.1)", saved)
    run(opt, make, 0, 2, np.float32)
    opt.save(tmp_path / "run")
    params = make(5)
    before = params["w"].copy()
    fresh = rv.Optimizer("adamw(0.1)", params)
    fresh.load(tmp_path / "run", params=False)
    assert (params["w"] == before).all() and fresh.steps("w") == 2
    fresh = rv.Optimizer("adamw(0.1)", params)
    fresh.load(tmp_path / "run", state=False)
    assert (params["w"] == saved["w"]).all() and fresh.steps("w") == 0


def test_wrong_files(make: Callable[..., Any], tmp_path: Path) -> None:
    params = make()
    before = params["w"].copy()
    opt = rv.Optimizer("adamw(0.1)", params)
    with pytest.raises(rv.FileError, match="nothing-here") as caught:
        opt.load(tmp_path / "nothing-here")
    assert isinstance(caught.value, OSError)
    with pytest.raises(rv.FileError):
        opt.save(tmp_path / "no-folder" / "run")
    (tmp_path / "text").write_text("hello " * 100)
    with pytest.raises(rv.FormatError):
        opt.load(tmp_path / "text")
    opt.save(tmp_path / "run")
    whole = (tmp_path / "run").read_bytes()
    (tmp_path / "cut").write_bytes(whole[:-5])
    with pytest.raises(rv.FormatError):
        opt.load(tmp_path / "cut")
    with pytest.raises(rv.UsageError, match="path"):
        opt.save(3)  # type: ignore[arg-type]
    with pytest.raises(rv.ArgumentError, match="NUL"):
        opt.save("a\0b")
    assert (params["w"] == before).all()


def test_names_of_any_alphabet(tmp_path: Path) -> None:
    params = {'слой "1"/вес': np.ones(2), "层\\b": np.ones(2)}
    opt = rv.Optimizer("sgd(0.5)", params)
    opt.step({name: np.ones(2) for name in params})
    opt.save(tmp_path / "путь")
    again = {name: np.zeros(2) for name in params}
    rv.Optimizer("sgd(0.5)", again).load(tmp_path / "путь")
    assert all((array == 0.5).all() for array in again.values())
