"""Rows of a tensor, tensors one at a time, and tensors that come and go."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import ravine as rv


def test_rows_of_a_table() -> None:
    table = np.ones((5, 3), np.float32)
    opt = rv.Optimizer("sgd(0.5)", {"table": table})
    report = opt.step_rows("table", [4, 1, 4], np.ones((3, 3), np.float32))
    assert report.step == 1 and report.grad_norm == pytest.approx(np.sqrt(3 + 12))
    assert table[:, 0].tolist() == [1, 0.5, 1, 1, 0]
    rows = np.array([0, 9, 2, 9], np.uint8)[::2]  # any whole numbers, also a view
    opt.step_rows("table", rows, np.ones((2, 3), np.float32))
    assert table[:, 0].tolist() == [0.5, 0.5, 0.5, 1, 0]
    assert opt.step_rows("table", [], np.ones((0, 3), np.float32)).skipped == 3
    assert opt.steps("table") == 2


def test_lazy_state() -> None:
    table = np.zeros((4, 2))
    opt = rv.Optimizer(rv.clip_norm(1) | rv.adam(0.1), {"table": table})
    opt.step_rows("table", [3], np.array([[3.0, 4.0]]))
    m = opt.state("table")["m"]
    assert not m[:3].any() and m[3] == pytest.approx([0.06, 0.08], rel=1e-5)


@pytest.mark.parametrize(
    ("rows", "shape", "dtype", "error"),
    [
        ([0, 5], (2, 3), "f4", rv.ArgumentError),
        ([-1], (1, 3), "f4", rv.ArgumentError),
        ([0.5], (1, 3), "f4", rv.UsageError),
        ([True], (1, 3), "f4", rv.UsageError),
        ([[0]], (1, 3), "f4", rv.ShapeError),
        ([0], (2, 3), "f4", rv.ShapeError),
        ([0], (1, 2), "f4", rv.ShapeError),
        ([0], (1, 3), "f8", rv.ElementTypeError),
        (np.array([2**63], np.uint64), (1, 3), "f4", rv.ArgumentError),
    ],
)
def test_rows_that_are_refused(
    rows: object, shape: tuple[int, ...], dtype: str, error: type[Exception]
) -> None:
    table = np.ones((5, 3), np.float32)
    opt = rv.Optimizer("sgd(0.5)", {"table": table})
    with pytest.raises(error):
        opt.step_rows("table", rows, np.ones(shape, dtype))
    assert (table == 1).all() and opt.steps("table") == 0


def test_gradients_of_rows_must_not_be_parameters() -> None:
    table = np.ones((5, 3), np.float32)
    opt = rv.Optimizer("sgd(0.5)", {"table": table})
    with pytest.raises(rv.ArgumentError, match="shares memory"):
        opt.step_rows("table", [0], table[1:2])
    with pytest.raises(rv.UnknownNameError):
        opt.step_rows("tabel", [0], np.ones((1, 3), np.float32))


def test_what_rows_cannot_do() -> None:
    table = np.ones((5, 3), np.float32)
    with pytest.raises(rv.RavineError, match="lamb measures the whole of 'table'"):
        rv.Optimizer("lamb(0.5)", {"table": table}).step_rows("table", [0], table[:1].copy())


def test_a_step_in_parts_is_a_step() -> None:
    rng = np.random.default_rng(0)
    recipe = rv.adamw(rv.linear(0.1, 0, steps=10)) | rv.ema(0.9)
    start = {"w": rng.normal(size=(30, 70)), "b": rng.normal(size=9)}
    one, parts = ({n: x.copy() for n, x in start.items()} for _ in range(2))
    a, b = rv.Optimizer(recipe, one), rv.Optimizer(recipe, parts)
    for _ in range(4):
        grads = {n: rng.normal(size=x.shape) for n, x in start.items()}
        whole = a.step(grads)
        b.begin_step()
        for name in ("b", "w"):
            b.step_tensor(name, grads[name])
        ended = b.end_step()
        assert (ended.step, ended.lr, ended.skipped) == (whole.step, whole.lr, 0)
        assert ended.grad_norm == pytest.approx(whole.grad_norm, rel=1e-12)
    assert all((one[n] == parts[n]).all() for n in start)


def test_parts_in_the_wrong_order() -> None:
    w = np.ones(3)
    opt = rv.Optimizer("sgd(0.5)", {"w": w}, grads={"w": np.ones(3)})
    with pytest.raises(rv.StateError, match="no step is open"):
        opt.end_step()
    opt.begin_step()
    opt.step_tensor("w")  # the bound gradient
    with pytest.raises(rv.StateError, match="stepped already"):
        opt.step_tensor("w", np.ones(3))
    with pytest.raises(rv.StateError):
        opt.add("v", np.ones(3))
    with pytest.raises(rv.StateError):
        opt.remove("w")
    opt.end_step()
    with pytest.raises(rv.ShapeError):
        opt.step_tensor("w", np.ones(4))
    assert w.tolist() == [0.5] * 3 and opt.names == ["w"]
    with pytest.raises(rv.RavineError, match="clip_norm measures"):
        rv.Optimizer("clip_norm(1) | sgd", {"w": w}).begin_step()


def test_parameters_come_and_go(tmp_path: Path) -> None:
    w, b, head = np.ones(3), np.ones(2), np.ones(4, np.float32)
    opt = rv.Optimizer("adam(0.1); head?: lr=x2", {"w": w, "b": b})
    opt.step({"w": np.ones(3), "b": np.ones(2)})
    opt.add("head", head)
    assert opt.names == ["w", "b", "head"] and opt.slots("head") == ["m", "v"]
    opt.step({"w": np.ones(3), "head": np.ones(4, np.float32)})
    assert (opt.steps("w"), opt.steps("b"), opt.steps("head")) == (2, 1, 1)
    assert head[0] == pytest.approx(0.8)
    opt.remove("b")
    assert opt.names == ["w", "head"] and b[0] == pytest.approx(0.9)
    with pytest.raises(rv.UnknownNameError):
        opt.step({"b": np.ones(2)})
    with pytest.raises(rv.UnknownNameError):
        opt.remove("b")
    report = opt.step({"head": np.ones(4, np.float32), "w": np.ones(3)})
    assert report.step == 3 and report.grad_norm == pytest.approx(np.sqrt(7))
    opt.add("b", bf := np.ones((2, 2)), grad=np.ones((2, 2)))  # the name again, another shape
    opt.step()
    assert opt.steps("b") == 1 and opt.steps("w") == 3 and bf[0, 0] == pytest.approx(0.9)
    opt.save(tmp_path / "file")
    fresh = {"b": np.zeros((2, 2)), "head": np.zeros(4, np.float32), "w": np.zeros(3)}
    other = rv.Optimizer("adam(0.1); head?: lr=x2", fresh)
    other.load(tmp_path / "file")
    grads = {"b": np.ones((2, 2)), "w": np.ones(3), "head": np.ones(4, np.float32)}
    opt.step(grads), other.step(grads)
    assert (fresh["w"] == w).all() and (fresh["head"] == head).all() and (fresh["b"] == bf).all()


def test_what_cannot_be_added() -> None:
    w, g = np.ones(3), np.ones(3)
    opt = rv.Optimizer("sgd(0.5)", {"w": w}, grads={"w": g})
    for name, array, error in [
        ("w", np.ones(2), rv.ArgumentError),
        ("v", w[:2], rv.ArgumentError),
        ("v", g[:2], rv.ArgumentError),
        ("v", np.ones(3, int), rv.ElementTypeError),
        ("v", [1.0], rv.UsageError),
        ("", np.ones(3), rv.UnknownNameError),
        (3, np.ones(3), rv.UsageError),
    ]:
        with pytest.raises(error):
            opt.add(name, array)  # type: ignore[arg-type]
    with pytest.raises(rv.ShapeError):
        opt.add("v", np.ones(2), grad=np.ones(4))
    assert opt.names == ["w"]
    opt.step()
    opt.add("v", v := np.ones(2), grad_dtype="f4")
    opt.step({"v": np.ones(2, np.float32)})
    assert w.tolist() == [0.5] * 3 and v.tolist() == [0.5] * 2


def test_lists_after_a_removal() -> None:
    arrays = [np.ones(2), np.ones(2), np.ones(2)]
    opt = rv.Optimizer("sgd(0.5)", arrays)
    opt.remove(2)
    opt.step([np.ones(2), None])
    opt.remove(0)
    opt.step({"1": np.ones(2)})
    assert [a[0] for a in arrays] == [0.5, 0.5, 1]


def test_thawing() -> None:
    w, e = np.ones(2), np.ones(2)
    opt = rv.Optimizer("adam(0.1); e: frozen", {"w": w, "e": e})
    opt.step({"w": np.ones(2), "e": np.ones(2)})
    opt.override("e", rv.adam(0.2))
    opt.step({"w": np.ones(2), "e": np.ones(2)})
    assert e == pytest.approx([0.8, 0.8]) and opt.steps("w") == 2 and opt.steps("e") == 1


def test_maximize() -> None:
    w = np.zeros(2)
    rv.Optimizer(rv.maximize() | rv.sgd(0.5), {"w": w}).step({"w": np.array([1.0, -2.0])})
    assert w.tolist() == [0.5, -1]
