"""What arrays are taken: in place, or an error that says what to do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ravine as rv
from ravine._arrays import Ranges

GOOD = np.zeros((4, 3), np.float32)
READ_ONLY = GOOD.copy()
READ_ONLY.flags.writeable = False
MISALIGNED = np.zeros(49, np.uint8)[1:].view(np.float32).reshape(4, 3)

WRONG: list[tuple[Any, type[rv.RavineError], str]] = [
    ([1.0, 2.0], rv.UsageError, r"is a float, not a numpy array; make one first"),
    (3.0, rv.UsageError, r"is a float, .*np\.array\(w, dtype=np\.float32\)"),
    (memoryview(b"abcd"), rv.UsageError, r"is a memoryview, .*w = np\.asarray\(w\)"),
    (GOOD.astype(np.int64), rv.ElementTypeError, r"is int64; .*w = w\.astype\(np\.float32\)"),
    (GOOD.astype(complex), rv.ElementTypeError, r"is complex128"),
    (GOOD.astype(object), rv.ElementTypeError, r"is object"),
    (GOOD.astype(np.longdouble), rv.ElementTypeError, r"is (longdouble|float128|float96)"),
    (GOOD.astype(">f4"), rv.ElementTypeError, r"foreign order.*newbyteorder\('='\)"),
    (GOOD.T, rv.ArgumentError, r"Fortran order: w = np\.ascontiguousarray\(w\)"),
    (np.zeros((4, 6), np.float32)[:, ::2], rv.ArgumentError, r"a strided view"),
    (np.zeros((4, 3), np.float32)[::-1], rv.ArgumentError, r"a strided view"),
    (MISALIGNED, rv.ArgumentError, r"not aligned .*w = w\.copy\(\)"),
    (READ_ONLY, rv.ArgumentError, r"read-only: w = w\.copy\(\)"),
    (np.ma.masked_array(GOOD), rv.UsageError, r"masked array; .*w = w\.data"),
]


@pytest.mark.parametrize(("array", "error", "message"), WRONG, ids=[w[2][:20] for w in WRONG])
def test_a_wrong_parameter_is_named_and_mended(
    array: Any, error: type[rv.RavineError], message: str
) -> None:
    with pytest.raises(error, match=message) as caught:
        rv.Optimizer("sgd(0.1)", {"layer": {"w": array}})
    assert str(caught.value).startswith("parameter 'layer.w")


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_float_types_are_updated_in_place(dtype: Any) -> None:
    w = np.ones((2, 3), dtype)
    rv.Optimizer("sgd(0.5)", [w]).step([np.ones((2, 3), dtype)])
    assert w.dtype == dtype and (w == 0.5).all()


def test_bfloat16_is_updated_in_place() -> None:
    bfloat16 = pytest.importorskip("ml_dtypes").bfloat16
    w = np.ones((2, 3), bfloat16)
    opt = rv.Optimizer("sgd(0.5, momentum=0.9)", {"w": w})
    opt.step({"w": np.ones((2, 3), bfloat16)})
    assert (w == bfloat16(0.5)).all()
    opt.step({"w": np.ones((2, 3), bfloat16)})
    assert opt.steps("w") == 2
    assert all(slot.dtype == np.float32 for slot in opt.state("w").values())


@pytest.mark.parametrize("shape", [(), (1,), (0,), (3, 0, 2), (2,) * 8])
def test_any_shape_up_to_rank_8(shape: tuple[int, ...]) -> None:
    w, g = np.ones(shape), np.ones(shape)
    opt = rv.Optimizer("sgd(0.5)", {"w": w})
    for _ in range(2):
        opt.step({"w": g})
    assert (w == 0).all() and w.shape == shape


def test_rank_9_is_refused() -> None:
    with pytest.raises(rv.ShapeError):
        rv.Optimizer("sgd(0.5)", [np.zeros((1,) * 9)])


def test_subclasses_and_memory_maps_are_arrays(tmp_path: Any) -> None:
    mapped = np.memmap(tmp_path / "w", np.float32, "w+", shape=(4,))
    rv.Optimizer("sgd(0.5)", [mapped]).step([np.ones(4, np.float32)])
    assert (mapped == -0.5).all()


def test_an_array_that_is_aligned_to_its_elements_only() -> None:
    bytes_ = np.zeros(12 + 4, np.uint8)
    w = bytes_[4:].view(np.float32)
    g = (np.zeros(16, np.uint8)[4:]).view(np.float32)
    g[:] = 1
    rv.Optimizer("sgd(0.5)", [w]).step([g])
    assert (w == -0.5).all()


@pytest.mark.parametrize("params", [np.zeros(3), 3, None, "w", {1: np.zeros(3)}, iter([])])
def test_wrong_containers(params: Any) -> None:
    with pytest.raises(rv.UsageError, match="params"):
        rv.Optimizer("sgd(0.1)", params)


def test_a_lone_array_is_told_to_be_put_in_a_list() -> None:
    with pytest.raises(rv.UsageError, match=r"write \[params\]"):
        rv.Optimizer("sgd(0.1)", np.zeros(3))


def test_wrong_names() -> None:
    with pytest.raises(rv.UnknownNameError):
        rv.Optimizer("sgd(0.1)", {"": np.zeros(3)})
    with pytest.raises(rv.UnknownNameError):
        rv.Optimizer("sgd(0.1)", {"x" * 256: np.zeros(3)})
    with pytest.raises(rv.ArgumentError, match="NUL"):
        rv.Optimizer("sgd(0.1)", {"a\0b": np.zeros(3)})
    with pytest.raises(rv.ArgumentError, match="not text"):
        rv.Optimizer("sgd(0.1)", {"\ud800": np.zeros(3)})
    with pytest.raises(rv.ArgumentError, match=r"two parameters named 'a\.b'"):
        rv.Optimizer("sgd(0.1)", {"a.b": np.zeros(3), "a": {"b": np.zeros(3)}})


def test_nothing_to_optimize() -> None:
    for empty in ({}, [], {"layer": {}}):
        with pytest.raises(rv.ArgumentError, match="params is empty"):
            rv.Optimizer("sgd(0.1)", empty)


def test_a_nested_list_has_the_length_of_the_parameters() -> None:
    layers = [(np.zeros((2, 2)), np.zeros(2)) for _ in range(2)]
    opt = rv.Optimizer("sgd(1)", layers)
    grads = [(np.ones((2, 2)), np.ones(2)) for _ in range(2)]
    with pytest.raises(rv.ArgumentError, match="grads has 1 items for 2; None is one without"):
        opt.step(grads[:1])
    with pytest.raises(rv.ArgumentError, match=r"grads\[1\] has 1 items for 2"):
        opt.step([grads[0], grads[1][:1]])
    assert (layers[0][0] == 0).all()
    opt.step([grads[0], (grads[1][0], None)])
    opt.step([grads[0], None])
    assert (layers[0][1] == -2).all() and (layers[1][0] == -1).all() and (layers[1][1] == 0).all()


def test_the_mend_names_the_dtype_that_is_wanted() -> None:
    opt = rv.Optimizer("sgd(1)", [np.zeros(3)])
    with pytest.raises(rv.ElementTypeError, match=r"g = g.astype\(np.float64\)"):
        opt.step([np.ones(3, int)])
    with pytest.raises(rv.UsageError, match=r"np.array\(g, dtype=np.float64\)"):
        opt.step([np.float64(1)])
    with pytest.raises(rv.UsageError, match="parameter 'w' is None"):
        rv.Optimizer("sgd(1)", {"w": None})


def test_parameters_that_share_memory_are_named() -> None:
    whole = np.zeros(10)
    with pytest.raises(rv.ArgumentError, match="'a' and 'b' share memory"):
        rv.Optimizer("sgd(0.1)", {"a": whole[:6], "b": whole[5:]})
    with pytest.raises(rv.ArgumentError, match="'first' and 'tied' share memory"):
        rv.Optimizer("sgd(0.1)", {"first": whole, "tied": whole})
    rv.Optimizer("sgd(0.1)", {"a": whole[:5], "none": whole[2:2], "b": whole[5:]})


def test_a_gradient_in_a_parameters_memory_is_refused() -> None:
    whole = np.zeros(30)
    params = {"a": whole[:10], "b": whole[20:]}
    opt = rv.Optimizer("sgd(0.1)", params)
    between = whole[10:20]
    opt.step({"a": between})
    for wrong in (whole[:10], whole[5:15], whole[11:21], whole[20:]):
        with pytest.raises(rv.ArgumentError, match="gradient of 'a' shares memory with param"):
            opt.step({"a": wrong})
        with pytest.raises(rv.ArgumentError, match="gradient of 'a' shares memory with param"):
            rv.Optimizer("sgd(0.1)", params, {"a": wrong})


Spans = list[tuple[int, int]]
spans = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 12)), max_size=8)


@given(spans, st.tuples(st.integers(0, 60), st.integers(0, 12)))
def test_overlaps_are_found_and_only_they(pieces: Spans, probe: tuple[int, int]) -> None:
    memory = np.zeros(80, np.uint8)
    apart: dict[str, Any] = {}
    for number, (start, size) in enumerate(pieces):
        piece = memory[start : start + size]
        hit = any(np.shares_memory(piece, other) for other in apart.values())
        if hit:
            with pytest.raises(rv.ArgumentError, match=f"'{number}'"):
                Ranges({**apart, str(number): piece})
        else:
            apart[str(number)] = piece
    ranges = Ranges(apart)
    piece = memory[probe[0] : probe[0] + probe[1]]
    found = ranges.find(piece.ctypes.data, piece.nbytes)
    hits = {name for name, other in apart.items() if np.shares_memory(piece, other)}
    assert (found in hits) if hits else found is None

    if apart:  # moving one piece to the probe's place
        name = next(iter(apart))
        before = list(ranges.edges)
        rest = {other: array for other, array in apart.items() if other != name}
        if any(np.shares_memory(piece, array) for array in rest.values()):
            with pytest.raises(rv.ArgumentError):
                ranges.replace(name, apart[name], piece)
            assert ranges.edges == before
        else:
            ranges.replace(name, apart[name], piece)
            assert ranges.edges == Ranges({**rest, name: piece}).edges
