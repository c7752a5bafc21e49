"""The examples do what the README says.

The C examples must have been built: RAVINE_BUILD names the build folder (default: build in the
repository). The Python example and the replay import ravine.
"""

import hashlib
import os
import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXAMPLES = pathlib.Path(os.environ.get("RAVINE_BUILD", ROOT / "build")).resolve() / "examples"
DATA = ROOT / "examples" / "data" / "digits.csv"
TRAIN_DIGITS = [EXAMPLES / "train_digits"]
TRAIN_DIGITS_PY = [sys.executable, ROOT / "examples" / "python" / "train_digits.py"]
BOTH = pytest.mark.parametrize("program", [TRAIN_DIGITS, TRAIN_DIGITS_PY], ids=["c", "python"])


def run(program, *arguments, status=0, **environment):
    """Runs a program in the repository; gives what it printed, or what it complained about."""
    done = subprocess.run(
        [*map(str, program), *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout if status == 0 else done.stderr


def accuracy(text):
    return float(re.search(r"^test accuracy ([0-9.]+)", text, re.MULTILINE).group(1))


def test_the_data_are_the_ones_described():
    readme = (DATA.parent / "README.md").read_text()
    assert hashlib.sha256(DATA.read_bytes()).hexdigest() in readme


def test_quickstart_prints_what_the_readme_says():
    text = run([EXAMPLES / "quickstart"])
    assert text == "y = 2.000 x + 1.000\n"
    assert text.strip() in (ROOT / "README.md").read_text()


@BOTH
def test_the_default_recipe_reaches_96_percent(program):
    text = run(program)
    assert accuracy(text) >= 0.96
    assert text.startswith("clip_norm(")
    assert len(re.findall(r"^ *\d+ .* of 45$", text, re.MULTILINE)) == 30


@pytest.mark.parametrize("seed", range(1, 10))
def test_it_does_so_with_every_seed(seed):
    assert accuracy(run(TRAIN_DIGITS, "--quiet", "--seed", seed)) >= 0.96


@BOTH
def test_a_resumed_run_ends_in_the_same_bytes(program, tmp_path):
    whole, part = tmp_path / "whole", tmp_path / "part"
    common = ["--quiet", "--epochs", "6", "--seed", "5"]
    straight = run(program, *common, "--save", whole)
    stopped = run(program, *common, "--save", part, "--stop", "2")
    assert whole.read_bytes() != part.read_bytes()
    resumed = run(program, *common, "--save", part, "--resume", part)
    assert whole.read_bytes() == part.read_bytes()
    assert resumed == straight != stopped


@BOTH
def test_resuming_a_finished_run_changes_nothing(program, tmp_path):
    path = tmp_path / "checkpoint"
    end = run(program, "--quiet", "--epochs", "2", "--save", path)
    before = path.read_bytes()
    assert run(program, "--quiet", "--epochs", "2", "--save", path, "--resume", path) == end
    assert path.read_bytes() == before


def test_the_instruction_set_does_not_change_the_result():
    short = ["--quiet", "--epochs", "3"]
    assert run(TRAIN_DIGITS, *short) == run(TRAIN_DIGITS, *short, RAVINE_ISA="sse2")


@BOTH
@pytest.mark.parametrize(
    "arguments, expected",
    [
        (["--sed", "1"], "--sed"),
        (["--seed", "-1"], "from 0 to 18446744073709551615"),
        (["--epochs", "0"], "from 1 to 10000"),
        (["--epochs", "3x"], "from 1 to 10000"),
        (["--batch", "5000"], "from 1 to 1437"),
    ],
)
def test_a_bad_option_is_named_with_what_is_allowed(program, arguments, expected):
    assert expected in run(program, *arguments, status=2)


def test_an_option_without_its_value_is_named():
    assert "--recipe needs a value" in run(TRAIN_DIGITS, "--recipe", status=2)


@BOTH
def test_a_bad_recipe_is_told_with_its_place(program):
    text = run(program, "--recipe", "clip_norm(1) | adamw(1e-3, weigth_decay=0)", status=1)
    assert "recipe:1:" in text
    assert "weight_decay" in text


@BOTH
def test_a_run_that_diverges_ends_with_advice(program):
    assert "try a lower lr" in run(program, "--recipe", "adamw(1e30)", status=1)


@BOTH
def test_a_missing_file_is_told(program, tmp_path):
    assert "nowhere.csv" in run(program, "--data", tmp_path / "nowhere.csv", status=1)
    assert "nowhere.ckpt" in run(program, "--resume", tmp_path / "nowhere.ckpt", status=1)


@BOTH
@pytest.mark.parametrize(
    "damage, expected",
    [
        (lambda text: text[: len(text) // 2], "1797|65"),
        (lambda text: text + text, "1797"),
        (lambda text: text.replace("16", "17", 1), "16"),
        (lambda text: text.replace(",", ";", 1), "cannot read|65 whole numbers"),
        (lambda text: "", "1797"),
    ],
    ids=["cut off", "too long", "out of range", "other separator", "empty"],
)
def test_damaged_data_are_told(program, damage, expected, tmp_path):
    path = tmp_path / "damaged.csv"
    path.write_text(damage(DATA.read_text()))
    text = run(program, "--data", path, status=1)
    assert "damaged.csv" in text
    assert re.search(expected, text)


@BOTH
def test_a_damaged_checkpoint_is_told(program, tmp_path):
    path = tmp_path / "checkpoint"
    run(program, "--quiet", "--epochs", "1", "--save", path)
    path.write_bytes(path.read_bytes()[:-100])
    text = run(program, "--quiet", "--epochs", "1", "--resume", path, status=1)
    assert text.strip() and "Traceback" not in text


def test_the_python_example_suggests_learning_rates(tmp_path):
    path = tmp_path / "rates.png"
    text = run(TRAIN_DIGITS_PY, "--range-test", path)
    found = dict(re.findall(r"^(\w+) +([0-9.e-]+) \(", text, re.MULTILINE))
    assert sorted(found) == ["minimum", "steepest", "valley"]
    assert all(1e-3 < float(rate) < 0.1 for rate in found.values())
    assert path.read_bytes().startswith(b"\x89PNG")


def test_the_python_example_draws_a_picture(tmp_path):
    path = tmp_path / "run.png"
    run(TRAIN_DIGITS_PY, "--quiet", "--epochs", "4", "--plot", path)
    picture = path.read_bytes()
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")
    assert len(picture) > 20_000


def read_record(path):
    """Gives the recipe, the tensors at the start, and the rows: gradients, parameters, ..."""
    with open(path, "rb") as file:
        recipe = file.readline().decode().rstrip("\n")
        header = [entry.rsplit(":", 1) for entry in file.readline().decode().split()]
        shapes = {name: tuple(map(int, shape.split("x"))) for name, shape in header}
        numbers = np.fromfile(file, "<f4")
    size = sum(int(np.prod(shape)) for shape in shapes.values())
    assert size == 9610 and len(numbers) % size == 0
    rows = numbers.reshape(-1, size)

    def tensors(row):
        ends = np.cumsum([int(np.prod(shape)) for shape in shapes.values()])
        parts = np.split(row.copy(), ends[:-1])
        return {name: part.reshape(shapes[name]) for name, part in zip(shapes, parts)}

    return recipe, tensors(rows[0]), [tensors(row) for row in rows[1:]]


@pytest.mark.parametrize(
    "recipe",
    [
        None,
        "sgd(0.05, momentum=0.9, nesterov=true)",
        "clip_norm(0.5) | lamb(0.01); *.bias: weight_decay=0",
    ],
    ids=["default", "sgd", "lamb"],
)
def test_a_run_replayed_from_python_has_the_same_bytes_after_every_step(recipe, tmp_path):
    import ravine as rv

    path = tmp_path / "record"
    chosen = ["--recipe", recipe] if recipe else []
    run(TRAIN_DIGITS, "--quiet", "--epochs", "2", "--record", path, *chosen)
    recipe, parameters, rows = read_record(path)
    assert len(rows) == 2 * 90

    optimizer = rv.Optimizer(recipe, parameters)
    assert optimizer.recipe == recipe
    for step, (gradient, expected) in enumerate(zip(rows[0::2], rows[1::2]), start=1):
        report = optimizer.step(gradient)
        assert report.step == step
        for name, array in parameters.items():
            assert array.tobytes() == expected[name].tobytes(), f"{name} after step {step}"
