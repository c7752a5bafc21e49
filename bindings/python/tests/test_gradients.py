"""Gradients of a step: forms, missing and unknown ones, identity, and who keeps what alive."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import numpy as np
import pytest

import ravine as rv


def ones(*shape: int) -> Any:
    return np.ones(shape)


def two(**options: Any) -> tuple[rv.Optimizer, Any, Any]:
    w, b = np.zeros((2, 2)), np.zeros(2)
    return rv.Optimizer("sgd(1)", {"w": w, "b": b}, **options), w, b


def test_a_dict_in_any_order() -> None:
    opt, w, b = two()
    for grads in ({"w": ones(2, 2), "b": 2 * ones(2)}, {"b": 2 * ones(2), "w": ones(2, 2)}):
        opt.step(grads)
    assert (w == -2).all() and (b == -4).all()


def test_a_list_or_a_tuple_for_a_list() -> None:
    params = [np.zeros(2), np.zeros(3)]
    opt = rv.Optimizer("sgd(1)", params)
    assert opt.names == ["0", "1"]
    opt.step([ones(2), ones(3)])
    opt.step((ones(2), None))
    opt.step({"1": ones(3)})
    assert params[0].tolist() == [-2, -2] and params[1].tolist() == [-2, -2, -2]
    for count in (1, 3):
        with pytest.raises(rv.ArgumentError, match=f"{count} items for 2 tensors"):
            opt.step([ones(2)] * count)


def test_dicts_inside_dicts() -> None:
    params = {"enc": {"w": np.zeros(2), "more": [np.zeros(1), np.zeros(1)]}, "b": np.zeros(3)}
    opt = rv.Optimizer("sgd(1)", params)
    assert opt.names == ["enc.w", "enc.more.0", "enc.more.1", "b"]
    opt.step({"enc": {"w": ones(2), "more": [None, ones(1)]}, "b": ones(3)})
    opt.step({"enc.w": ones(2), "b": None})
    opt.step({"enc": None, "b": ones(3)})
    opt.step({"enc": {"more": None}})
    assert params["enc"]["w"].tolist() == [-2, -2]
    assert [a.item() for a in params["enc"]["more"]] == [0, -1]
    assert params["b"].tolist() == [-2, -2, -2]


def test_missing_and_none_leave_a_tensor_alone() -> None:
    opt, w, b = two()
    opt.step({"w": ones(2, 2), "b": ones(2)})
    opt.step({"w": ones(2, 2)})
    opt.step({"w": ones(2, 2), "b": None})
    assert (w == -3).all() and (b == -1).all()
    assert (opt.steps("w"), opt.steps("b")) == (3, 1)


def test_no_gradient_at_all_is_reported() -> None:
    opt, w, b = two()
    for grads in ({}, {"w": None}, {"w": None, "b": None}):
        report = opt.step(grads)
        assert (report.skipped, report.step) == (3, 0)
        assert "no gradient" in str(report)


def test_a_gradient_is_forgotten_when_it_is_missing_once() -> None:
    opt, w, b = two()
    g = ones(2, 2)
    for grads in ({"w": g}, {}, {"b": ones(2)}):
        opt.step(grads)
    assert (w == -1).all() and (b == -1).all()


def test_unknown_names_get_the_nearest() -> None:
    opt, w, b = two()
    with pytest.raises(rv.UnknownNameError, match="no tensor is named 'ww'; did you mean 'w'"):
        opt.step({"ww": ones(2, 2)})
    with pytest.raises(rv.UnknownNameError, match="'w.x'"):
        rv.Optimizer("sgd(1)", {"w": {"y": np.zeros(2)}}).step({"w": {"x": ones(2)}})
    with pytest.raises(rv.UnknownNameError, match="'ww'"):
        opt.step({"ww": None})
    with pytest.raises(rv.UsageError, match="a name is a string, not 1"):
        opt.step({1: ones(2)})
    with pytest.raises(KeyError):
        opt.step([ones(2, 2), ones(2)])
    with pytest.raises(rv.ArgumentError, match=r"'a\.b' is there twice"):
        rv.Optimizer("sgd(1)", {"a": {"b": np.zeros(2)}}).step(
            {"a.b": ones(2), "a": {"b": ones(2)}}
        )
    assert (w == 0).all() and (b == 0).all()


WRONG: list[tuple[Any, type[rv.RavineError], str]] = [
    ([[1.0, 1.0]] * 2, rv.UsageError, "is a list, not a numpy array"),
    (ones(2), rv.ShapeError, r"has shape \(2,\), its parameter \(2, 2\)"),
    (ones(4), rv.ShapeError, "has shape"),
    (ones(2, 2).astype(np.float32), rv.ElementTypeError, "is float32, and float64 was expected"),
    (ones(2, 2).astype(int), rv.ElementTypeError, "is int64"),
    (ones(2, 2).astype(">f8"), rv.ElementTypeError, "foreign order"),
    (ones(2, 4)[:, ::2], rv.ArgumentError, "strided"),
    (np.array([[1.0, 2], [3, 4]]).T, rv.ArgumentError, "Fortran"),
    (np.zeros(33, np.uint8)[1:].view(float).reshape(2, 2), rv.ArgumentError, "aligned"),
    (np.ma.masked_array(ones(2, 2)), rv.UsageError, "masked"),
]


@pytest.mark.parametrize(("array", "error", "message"), WRONG, ids=[w[2][:16] for w in WRONG])
def test_a_wrong_gradient_is_named_and_changes_nothing(
    array: Any, error: type[rv.RavineError], message: str
) -> None:
    opt, w, b = two()
    opt.step({"w": ones(2, 2), "b": ones(2)})
    for grads in ({"w": array}, {"b": ones(2), "w": array}):
        with pytest.raises(error, match="the gradient of 'w' .*" + message):
            opt.step(grads)
    with pytest.raises(error, match=message):
        two(grads={"w": array}, grad_dtype=np.float64)
    assert (w == -1).all() and (b == -1).all() and opt.steps("b") == 1
    opt.step({"w": ones(2, 2), "b": ones(2)})
    assert (w == -2).all() and (b == -2).all()


def test_a_read_only_gradient_is_fine() -> None:
    opt, w, b = two()
    g = ones(2, 2)
    g.flags.writeable = False
    opt.step({"w": g})
    assert (w == -1).all()


def test_a_gradient_is_not_written_to() -> None:
    opt = rv.Optimizer("clip_norm(0.1) | adamw(0.1)", [np.zeros(5)])
    g = np.arange(5.0)
    opt.step([g])
    assert g.tolist() == [0, 1, 2, 3, 4]


def test_the_same_object_with_new_numbers() -> None:
    opt, w, b = two()
    g = ones(2, 2)
    for factor in (1, 2, 3):
        g[:] = factor
        opt.step({"w": g})
    assert (w == -6).all()


def test_a_new_object_is_not_taken_for_an_old_one() -> None:
    opt = rv.Optimizer("sgd(1)", {"w": np.zeros(2)})
    good = ones(2)
    opt.step({"w": good})
    address = id(good)
    del good
    for _ in range(1000):  # until one takes the place of the one that died
        wrong = np.ones(2, np.float32)
        if id(wrong) == address:
            break
        del wrong
    with pytest.raises(rv.ElementTypeError):
        opt.step({"w": np.ones(2, np.float32)})
    assert opt.steps("w") == 1


def test_none_after_a_gradient_that_died() -> None:
    opt, w, b = two()
    opt.step({"w": ones(2, 2), "b": ones(2)})
    gc.collect()
    opt.step({"w": None, "b": None})
    assert (w == -1).all() and (b == -1).all()


@pytest.mark.parametrize("form", [dict, list, "nested"])
def test_a_gradient_is_not_kept_alive(form: Any) -> None:
    g = ones(2)
    dead = weakref.ref(g)
    if form is list:
        opt, grads = rv.Optimizer("sgd(1)", [np.zeros(2)]), [g]
    elif form is dict:
        opt, grads = rv.Optimizer("sgd(1)", {"w": np.zeros(2)}), {"w": g}
    else:
        opt, grads = rv.Optimizer("sgd(1)", {"a": {"w": np.zeros(2)}}), {"a": {"w": g}}
    opt.step(grads, loss=1.0)
    del g, grads
    assert dead() is None
    assert opt.steps(opt.names[0]) == 1


def test_a_gradient_that_the_optimizer_knows_cannot_be_resized() -> None:
    opt = rv.Optimizer("sgd(1)", [np.zeros(2)])
    g = ones(2)
    opt.step([g])
    with pytest.raises(ValueError, match="resize"):
        g.resize(100)


def test_parameters_are_kept_alive() -> None:
    w = np.zeros(2)
    alive = weakref.ref(w)
    opt = rv.Optimizer("sgd(1)", [w])
    del w
    gc.collect()
    opt.step([ones(2)])
    assert alive() is not None
    del opt
    gc.collect()
    assert alive() is None


def test_a_step_within_a_step_is_refused() -> None:
    opt, w, b = two()

    class Loss:
        def __float__(self) -> float:
            opt.step({"b": ones(2)})
            return 1.0

    with pytest.raises(rv.StateError, match="within a step"):
        opt.step({"w": ones(2, 2)}, loss=Loss())
    assert (w == 0).all() and (b == 0).all()
    opt.step({"w": ones(2, 2)}, loss=1)
    assert (w == -1).all()


def test_closing_within_a_step_is_noticed() -> None:
    opt, w, b = two()

    class Loss:
        def __float__(self) -> float:
            opt.close()
            return 1.0

    with pytest.raises(rv.StateError, match="closed"):
        opt.step({"w": ones(2, 2)}, loss=Loss())
    assert (w == 0).all()
