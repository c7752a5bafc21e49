"""Initial values."""

from __future__ import annotations

import numpy as np
import pytest

import ravine as rv

ENTRIES = [entry for entry in rv.catalog("init")]
SHAPES: list[tuple[int, ...]] = [(8, 4), (8, 4, 3), (8,)]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_every_initializer_fills_an_array(entry: rv.Entry) -> None:
    given = {p.name: 0.5 for p in entry.parameters if p.required}
    recipe = getattr(rv, entry.name)(**given)
    for shape in SHAPES:
        try:
            made = rv.init(recipe, shape, seed=3)
        except rv.ShapeError:
            continue
        assert made.shape == shape and made.dtype == np.float32 and np.isfinite(made).all()
        again = rv.init(str(recipe), shape, seed=3, dtype=np.float64)
        assert (again.astype(np.float32) == made).all()
        return
    raise AssertionError(f"{entry.name} takes none of {SHAPES}")


def test_a_shape_is_a_number_or_several() -> None:
    assert rv.init("zeros", 3).shape == (3,)
    assert rv.init("ones", ()).shape == () and float(rv.init("ones", ())) == 1
    assert rv.init("ones", [2, np.int64(3)]).shape == (2, 3)
    assert rv.init("he", (0, 4)).size == 0


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, "bfloat16"])
def test_dtypes(dtype: object) -> None:
    if dtype == "bfloat16":
        dtype = pytest.importorskip("ml_dtypes").bfloat16
    made = rv.init("normal", 1000, dtype=dtype)
    assert made.dtype == np.dtype(dtype)  # type: ignore[call-overload]
    assert np.allclose(made.astype(np.float64), rv.init("normal", 1000), rtol=0.01)


def test_seed_and_name_make_the_numbers() -> None:
    first = rv.init("normal", 50)
    assert (rv.init("normal", 50, seed=0) == first).all()
    assert not (rv.init("normal", 50, seed=1) == first).any()
    assert not (rv.init("normal", 50, name="v") == first).any()
    assert (rv.init("normal", 60)[:50] == first).all()
    assert (rv.init("normal", 50, seed=2**64 - 1) != first).all()


def test_out_is_filled_in_place() -> None:
    w = np.ones((4, 3))
    assert rv.init("glorot", out=w) is w
    assert (w == rv.init("glorot", (4, 3), dtype=np.float64)).all()


def test_the_threads_do_not_show() -> None:
    try:
        rv.set_threads(1)
        one = rv.init("he", (700, 700))
        rv.set_threads(3)
        assert (rv.init("he", (700, 700)) == one).all()
    finally:
        rv.set_threads(0)


def test_wrong_calls_say_what_is_wrong() -> None:
    w = np.ones((4, 3))
    with pytest.raises(rv.RecipeError, match="did you mean 'glorot'"):
        rv.init("gloro", (4, 3))
    with pytest.raises(rv.ShapeError, match=r"two axes of the tensor .* shape \[3\]"):
        rv.init("glorot", 3)
    with pytest.raises(rv.UsageError, match="needs a shape"):
        rv.init("glorot")
    with pytest.raises(rv.UsageError, match="give neither"):
        rv.init("glorot", (4, 3), out=w)
    with pytest.raises(rv.UsageError, match="recipe is text"):
        rv.init(0.5, (4, 3))  # type: ignore[arg-type]
    with pytest.raises(rv.UsageError, match="length of the shape"):
        rv.init("zeros", (2, 1.5))  # type: ignore[arg-type]
    with pytest.raises(rv.ArgumentError, match="length of the shape is -1"):
        rv.init("zeros", (2, -1))
    with pytest.raises(rv.ArgumentError, match="seed is -1"):
        rv.init("zeros", 2, seed=-1)
    with pytest.raises(rv.ElementTypeError, match="int64"):
        rv.init("zeros", 2, dtype=np.int64)
    with pytest.raises(rv.UnknownNameError, match="name"):
        rv.init("zeros", 2, name="")
    with pytest.raises(rv.ArgumentError, match="not C-contiguous"):
        rv.init("zeros", out=w.T)
    w.flags.writeable = False
    with pytest.raises(rv.ArgumentError, match="read-only"):
        rv.init("zeros", out=w)
    assert (w == 1).all()
