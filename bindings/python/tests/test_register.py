"""Schedules of one's own."""

from __future__ import annotations

import gc
import math
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import ravine as rv


@pytest.fixture(scope="module")
def halves() -> Callable[..., rv.Recipe]:
    """Registered when its first test runs: other tests look at the whole catalog before."""

    @rv.register_schedule("test.halves")
    def halves(step: float, value: float, half: float = 1000.0, squared: bool = False) -> float:
        """Halves again and again.

        And more.
        """
        assert isinstance(step, float) and isinstance(squared, bool)
        return value * 0.5 ** ((step / half) ** (2 if squared else 1))

    return halves


def test_it_is_a_schedule_as_any_other(halves: Callable[..., rv.Recipe]) -> None:
    assert str(halves(8, half=2)) == "test.halves(8, half=2)"
    s = rv.schedule(halves(8, half=2))
    assert s.values(5).tolist() == [8, 8 * 0.5**0.5, 4, 8 * 0.5**1.5, 2]
    assert s.recipe == "test.halves(value=8, half=2, squared=0)"
    assert rv.schedule(s.recipe)(4) == 2
    joined = rv.schedule(rv.warmup(rv.product((halves(8, 2), 0.5)), steps=4))
    assert joined.values(5).tolist() == [1, 2, 3, 4, 4]
    assert rv.schedule("test.halves(8, 2, squared=true)")(4) == 0.5
    w, b = np.zeros(2), np.zeros(2)
    recipe = rv.sgd(halves(8, half=2)).clause("b", lr=halves(2))
    opt = rv.Optimizer(recipe, {"w": w, "b": b})
    opt.step({"w": np.ones(2), "b": np.ones(2)})
    assert w[0] == -8 and b[0] == -2
    assert "b: lr=test.halves(value=2, half=1000, squared=0)" in opt.recipe
    assert s.sum(2) == 8 + 8 * 0.5**0.5 and s.peak(9) == (0, 8)
    assert s._repr_html_().startswith("<figure><svg") and s.sketch(10).isascii()


def test_it_is_in_the_catalog(halves: Callable[..., rv.Recipe]) -> None:
    entry = next(e for e in rv.catalog("schedule") if e.name == "test.halves")
    assert entry.summary == "Halves again and again."
    assert [p.name for p in entry.parameters] == ["value", "half", "squared"]
    assert [p.required for p in entry.parameters] == [True, False, False]
    assert entry.parameters[1].default == 1000 and entry.parameters[2].kind == "flag"
    assert "half" in str(halves.__doc__) and halves.__name__ == "test.halves"


def test_declared_parameters_and_their_ranges() -> None:
    seen: list[tuple[object, ...]] = []

    def look(step: float, *values: object) -> float:
        seen.append(values)
        return 1.0

    made = rv.register_schedule(
        "test.declared",
        look,
        parameters=[
            rv.Parameter("steps", "count", low=1, summary="how long"),
            rv.Parameter("shape", "word", "round", words=("flat", "round")),
            rv.Parameter("rate", initial="0.5", low=0, high=1, high_open=True),
            rv.Parameter("above", "number", "2", low=1),
        ],
        summary="of the test",
        formula="1",
        reference="here",
    )
    assert rv.schedule(made(7))(0) == 1 and seen[-1] == (7, "round", 0.5, 2.0)
    assert rv.schedule("over(100, test.declared(5%, flat, rate=0))")(0) == 1
    assert seen[-1] == (5, "flat", 0.0, 2.0)
    entry = rv.catalog("schedule")[-1]
    assert entry.name == "test.declared" and entry.reference == "here" and entry.formula == "1"
    assert entry.parameters[0].range == "[1, 1e+15]" and entry.parameters[2].range == "[0, 1)"
    assert entry.parameters[3].range == "[1, inf)"
    for wrong in ("(0)", "(1.5)", "(1, oval)", "(1, rate=1)", "(1, above=0)", "(1, below=0)", "()"):
        with pytest.raises(rv.RecipeError, match="declared"):
            rv.schedule(f"test.declared{wrong}")
    with pytest.raises(rv.ArgumentError, match="did you mean 'flat'"):
        made(1, "flap")


def test_what_it_raises_is_the_cause() -> None:
    stop = {"at": math.inf}

    def fails(step: float, value: float) -> float:
        if step >= stop["at"]:
            raise KeyError("broken")
        return value

    made = rv.register_schedule("test.fails", fails)
    w = np.ones(2)
    opt = rv.Optimizer(rv.sgd(made(0.5)), [w])
    opt.step([np.ones(2)])
    stop["at"] = 0
    for call in (
        lambda: opt.step([np.ones(2)]),
        lambda: opt.get("lr"),
        lambda: rv.schedule(made(1))(3),
        lambda: rv.schedule(made(1)).values(3),
        lambda: rv.schedule(made(1)).sum(3),
        lambda: rv.schedule(made(1)).sketch(3),
        lambda: rv.Optimizer(rv.sgd(made(0.5)), [w]),
    ):
        with pytest.raises(rv.CallbackError, match="test.fails failed with 1 at step") as caught:
            call()
        assert isinstance(caught.value.__cause__, KeyError)
    assert w.tolist() == [0.5, 0.5]
    stop["at"] = math.inf
    assert opt.step([np.ones(2)]).lr == 0.5 and w.tolist() == [0, 0]


def test_ctrl_c_in_it_is_ctrl_c() -> None:
    def interrupted(step: float) -> float:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rv.schedule(rv.register_schedule("test.interrupted", interrupted)())(0)


def test_what_is_no_number_is_an_error_and_nan_is_no_value() -> None:
    made = rv.register_schedule("test.nothing", lambda step, kind: [None, math.nan][int(kind)])
    with pytest.raises(rv.CallbackError) as caught:
        rv.schedule(made(0))(0)
    assert isinstance(caught.value.__cause__, TypeError)
    assert math.isnan(rv.schedule(made(1))(0))
    with pytest.raises(rv.RecipeError, match="nan"):
        rv.Optimizer(rv.sgd(made(1)), [np.ones(2)])


def test_a_name_is_registered_once_unless_it_is_replaced() -> None:
    made = rv.register_schedule("test.once", lambda step, value=1.0: value)
    s = rv.schedule(made())
    with pytest.raises(rv.UnknownNameError, match="'test.once' is registered already"):
        rv.register_schedule("test.once", lambda step, value=1.0: 2 * value)
    assert s(0) == 1
    again = rv.register_schedule("test.once", lambda step, value=1.0: 2 * value, replace=True)
    assert s(0) == 2 and rv.schedule(again(3))(0) == 6
    with pytest.raises(rv.ArgumentError, match="other parameters"):
        rv.register_schedule("test.once", lambda step, rate=1.0: rate, replace=True)
    with pytest.raises(rv.UnknownNameError, match="cosine"):
        rv.register_schedule("cosine", lambda step: 1.0, replace=True)
    new = rv.register_schedule("test.replaced_at_once", lambda step: 3.0, replace=True)
    gc.collect()
    assert rv.schedule(new())(0) == 3


def test_wrong_registrations() -> None:
    count = len(rv.catalog())
    for name in ("decay", "my.", "2.b", "a b.c", "ä.b"):
        with pytest.raises(rv.UnknownNameError, match="is no name"):
            rv.register_schedule(name, lambda step: 1.0)
    with pytest.raises(rv.UsageError, match="callable"):
        rv.register_schedule("test.bad", 3)  # type: ignore[call-overload]
    with pytest.raises(rv.UsageError, match="by place"):
        rv.register_schedule("test.bad", lambda *values: 1.0)
    with pytest.raises(rv.UsageError, match="by place"):
        rv.register_schedule("test.bad", lambda: 1.0)
    with pytest.raises(rv.UnknownNameError, match="did you mean 'number'"):
        rv.register_schedule("test.bad", lambda step: 1.0, parameters=[rv.Parameter("x", "numbre")])
    with pytest.raises(rv.ArgumentError, match="its default is 2, which is outside"):
        rv.register_schedule(
            "test.bad", lambda step, x: x, parameters=[rv.Parameter("x", initial="2", high=1)]
        )
    assert len(rv.catalog()) == count


def test_a_checkpoint_needs_the_function_again(
    halves: Callable[..., rv.Recipe], tmp_path: Path
) -> None:
    path = tmp_path / "x.safetensors"
    w = np.zeros(3)
    opt = rv.Optimizer(rv.sgd(halves(8, half=2)), [w])
    for _ in range(3):
        opt.step([np.ones(3)])
    opt.save(path)
    v = np.zeros(3)
    again = rv.Optimizer(opt.recipe, [v])
    again.load(path)
    for _ in range(3):
        assert opt.step([np.ones(3)]).lr == again.step([np.ones(3)]).lr
        assert v.tolist() == w.tolist()
    script = (
        "import numpy as np, ravine as rv\n"
        f"opt = rv.Optimizer('sgd(0.5)', [np.zeros(3)]); opt.load({str(path)!r})\n"
        "print(opt.get('lr'), opt.steps('0'))\n"
        f"rv.Optimizer({opt.recipe!r}, [np.zeros(3)])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout == "0.5 3\n"
    assert "RecipeError" in done.stderr and "there is no 'test.halves'" in done.stderr
    assert "the host is to register names with a dot" in done.stderr


def test_threads_may_share_one(halves: Callable[..., rv.Recipe]) -> None:
    s = rv.schedule(halves(8, half=3))
    expected = s.values(200).tolist()
    found: list[list[float]] = []
    threads = [
        threading.Thread(target=lambda: found.append(s.values(200).tolist())) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 8
