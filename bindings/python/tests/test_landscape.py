"""Curvature against dense Hessians and published edges of stability; slices against formulas."""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np
import pytest
from networks import Fun, Tree, flat, network, quadratic

import ravine as rv

# ---- eigenvalues ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "eigenvalues",
    [np.linspace(-3, 10, 40), np.r_[np.zeros(38), 5, -5], np.full(20, 2.5), np.array([3.0]),
     np.r_[-8.0, np.linspace(0, 1, 60)], np.zeros(7), 1e6 * np.linspace(1, 2, 12)],
)  # fmt: skip
def test_quadratics_with_a_known_spectrum(eigenvalues: Any) -> None:
    x, fun, q = quadratic(eigenvalues)
    before = x.tobytes()
    h = rv.hessian_extremes(fun, x, tolerance=1e-7, iterations=60, vectors=True)
    size = max(1.0, np.abs(eigenvalues).max())
    assert h.converged, h
    assert h.largest == pytest.approx(eigenvalues.max(), abs=1e-6 * size)
    assert h.smallest == pytest.approx(eigenvalues.min(), abs=1e-6 * size)
    assert h.largest_residual <= 1e-7 * size and x.tobytes() == before
    assert h.largest_vector is not None and h.smallest_vector is not None
    v = h.largest_vector["x"]
    assert v @ v == pytest.approx(1) and v @ fun(v)[1] == pytest.approx(h.largest, abs=1e-5 * size)


def test_it_is_good_to_three_digits_in_float32() -> None:
    x, fun, _ = quadratic(np.linspace(-3, 10, 40), np.float32)
    h = rv.hessian_extremes(fun, x)
    assert h.converged
    assert h.largest == pytest.approx(10, rel=1e-3) and h.smallest == pytest.approx(-3, rel=5e-3)


def dense(params: Tree, fun: Fun) -> Any:
    """The Hessian by differences, element by element."""
    rows = []
    for array in params.values():
        for i in range(array.size):
            x = array.flat[i]
            array.flat[i] = x + 1e-5
            up = flat({k: fun(params)[1][k] for k in params})
            array.flat[i] = x - 1e-5
            down = flat({k: fun(params)[1][k] for k in params})
            array.flat[i] = x
            rows.append((up - down) / 2e-5)
    return np.array(rows)


def test_a_network_against_its_whole_hessian() -> None:
    params, fun = network(width=6, seed=2)
    hessian = dense(params, fun)
    values = np.linalg.eigvalsh((hessian + hessian.T) / 2)
    h = rv.hessian_extremes(fun, params, tolerance=1e-6)
    assert h.converged and h.iterations < len(values)
    assert h.largest == pytest.approx(values[-1], rel=1e-6)
    assert h.smallest == pytest.approx(values[0], rel=1e-4)
    numbers = np.random.default_rng(0)
    p = {k: 0.1 + numbers.random(a.shape) for k, a in params.items()}
    root = np.sqrt(flat(p))
    values = np.linalg.eigvalsh((hessian + hessian.T) / 2 / np.outer(root, root))
    h = rv.hessian_extremes(fun, params, tolerance=1e-6, preconditioner=p)
    assert h.largest == pytest.approx(values[-1], rel=1e-6)
    assert h.preconditioned and "P^-1/2 H P^-1/2" in repr(h)


def test_too_few_products_are_told() -> None:
    x, fun, _ = quadratic(np.linspace(-3, 10, 200))
    h = rv.hessian_extremes(fun, x, iterations=4)
    assert not h.converged and "NOT converged in 4 products" in repr(h)
    assert abs(h.largest - 10) <= h.largest_residual  # near it is an eigenvalue, here the largest
    assert h.bytes <= (8 * (4 + 1) + 8) * x.size and h.evaluations == 1 + 2 * 4


def test_kinks_show_as_asymmetry() -> None:
    params, fun = network("relu", width=16)
    params["w0"] *= 1e-6  # every kink is near
    rough = rv.hessian_extremes(fun, params)
    smooth = rv.hessian_extremes(network(width=16)[1], network(width=16)[0])
    assert smooth.asymmetry < 1e-7 < rough.asymmetry


# ---- the edge of stability -----------------------------------------------------------------------


def grows(curvature: float, beta: float, momentum: str) -> float:
    """The spectral radius of a rule with lr 1 on a quadratic, in (p, m)."""
    b, h = beta, curvature
    a = 1 - b if momentum == "average" else 1.0
    # m' = b m + a h p;  p' = p - m', or p - (h p + b m')
    if momentum == "nesterov":
        step = [[1 - h - b * h, -b * b], [h, b]]
    else:
        step = [[1 - a * h, -b], [a * h, b]]
    return float(np.abs(np.linalg.eigvals(np.array(step))).max())


@pytest.mark.parametrize("momentum", ["heavy_ball", "nesterov", "average"])
@pytest.mark.parametrize("beta", [0, 0.3, 0.9, 0.99])
def test_a_rule_is_stable_up_to_the_threshold_and_not_beyond(momentum: str, beta: float) -> None:
    edge = rv.stability_threshold(1, beta, momentum)
    assert grows(0.999 * edge, beta, momentum) < 1 + 1e-12
    assert grows(1.001 * edge, beta, momentum) > 1
    assert rv.stability_threshold(0.01, beta, momentum) == pytest.approx(100 * edge)


def test_adams_edge_is_38_over_lr() -> None:
    assert rv.stability_threshold(1e-3, 0.9, "average") == pytest.approx(38 / 1e-3)


def test_gradient_descent_trains_at_2_over_lr() -> None:
    """Cohen et al. 2021, figure 1: full-batch descent hovers at the edge."""
    params, fun = network()
    opt, lr, gauges = rv.Optimizer("sgd(0.2)", params), 0.2, []
    for step in range(1, 3001):
        opt.step(fun(params)[1])
        if step >= 1000 and step % 500 == 0:
            gauges.append(rv.hessian_extremes(fun, params).edge(lr))
    assert 0.95 < np.mean(gauges) < 1.1, gauges


def test_adam_trains_at_38_over_lr() -> None:
    """Cohen et al. 2022, with the preconditioner of Adam's own state."""
    params, fun = network()
    lr, gauges = 3e-3, []
    opt = rv.Optimizer(rv.adam(lr), params)
    for step in range(1, 3001):
        opt.step(fun(params)[1])
        if step >= 1000 and step % 500 == 0:
            v = {name: opt.state(name)["v"] for name in params}
            p = {k: (1 - 0.9**step) * (np.sqrt(a / (1 - 0.999**step)) + 1e-8) for k, a in v.items()}
            h = rv.hessian_extremes(fun, params, preconditioner=p)
            gauges.append(h.edge(lr, 0.9, "average"))
    assert 0.9 < np.mean(gauges) < 1.05, gauges


# ---- slices --------------------------------------------------------------------------------------


def test_a_line_through_a_quadratic_is_a_parabola() -> None:
    x, fun, q = quadratic(np.array([1.0, 4.0, 9.0]))
    got = rv.loss_slice(fun, x, 5, directions=[q[:, 2]], raw=True, span=(-2, 2))
    a = np.array([-2, -1, 0, 1, 2.0])
    assert np.array_equal(got.a, a) and got.b is None
    wanted = fun(x)[0] + a * (q[:, 2] @ fun(x)[1]) + 0.5 * 9 * a * a
    assert got.losses == pytest.approx(wanted, rel=1e-12)
    assert got.losses[2] == fun(x)[0]


@pytest.mark.parametrize("filters, axis", [("first", 1), ("last", 0)])
def test_random_directions_have_the_norms_of_the_filters(filters: str, axis: int) -> None:
    numbers = np.random.default_rng(5)
    w, b = numbers.normal(size=(6, 5)), numbers.normal(size=5)
    seen: list[Any] = []

    def fun(p: Tree) -> float:
        seen.append((p["w"].copy(), p["b"].copy()))
        return float(p["w"].sum())

    rv.loss_slice(fun, {"w": w, "b": b}, 2, span=(0, 1), filters=filters)
    moved = seen[-1][0] - w
    assert np.linalg.norm(moved, axis=axis) == pytest.approx(np.linalg.norm(w, axis=axis))
    assert np.array_equal(seen[-1][1], b)  # a bias stays
    rv.loss_slice(fun, {"w": w, "b": b}, 2, span=(0, 1), vectors=True)
    assert np.linalg.norm(seen[-1][1] - b) == pytest.approx(np.linalg.norm(b))


def test_random_directions_are_normal_numbers() -> None:
    w = np.zeros((200, 300))
    seen: list[Any] = []
    rv.loss_slice(lambda p: float(len(seen.append(p.copy()) or [])), w, 2, span=(0, 1), raw=True)
    d = seen[-1]
    assert abs(d.mean()) < 0.02 and d.std() == pytest.approx(1, abs=0.01)
    assert (d**4).mean() == pytest.approx(3, abs=0.1)
    assert abs(np.corrcoef(d.ravel()[:-1], d.ravel()[1:])[0, 1]) < 0.02


def test_a_plane_has_a_row_for_each_place_along_the_first_direction() -> None:
    params, fun = network(width=4)
    got = rv.loss_slice(fun, params, (3, 5), dimensions=2, filters="last", seed=3)
    assert got.losses.shape == (3, 5) and got.a.shape == (3,) and got.b is not None
    assert got.losses[1, 2] == fun(params)[0]
    line = rv.loss_slice(fun, params, 3, filters="last", seed=3)
    assert np.array_equal(got.losses[:, 2], line.losses)
    assert not np.array_equal(got.losses, rv.loss_slice(
        fun, params, (3, 5), dimensions=2, filters="last", seed=4).losses)  # fmt: skip


def test_losses_that_are_not_finite_are_kept() -> None:
    x = np.array([[1.0]])
    with np.errstate(invalid="ignore", divide="ignore"):
        got = rv.loss_slice(
            lambda x: np.log(x[0, 0]), x, 5, directions=[[[1.0]]], raw=True, span=(-2, 2)
        )
    assert np.isnan(got.losses[0]) and got.losses[1] == -np.inf and got.losses[2] == 0


def test_it_plots_a_line_and_a_plane(tmp_path: Any) -> None:
    pytest.importorskip("matplotlib")
    params, fun = network(width=4)
    for got in (
        rv.loss_slice(fun, params, 21),
        rv.loss_slice(fun, params, 9, dimensions=2),
    ):
        for log in (False, True):
            got.plot(log=log).figure.savefig(tmp_path / "slice.png")
            assert (tmp_path / "slice.png").stat().st_size > 1000
    flat = rv.loss_slice(lambda p: 2.0, np.ones((2, 2)), 3, dimensions=2)
    assert flat.plot().get_xlabel() == flat.plot(log=True).get_xlabel() == "first direction"
    below = rv.loss_slice(lambda p: -2.0, np.ones((2, 2)), 3, dimensions=2)
    with pytest.raises(rv.ArgumentError, match="above 0"):
        below.plot(log=True)
    with pytest.raises(rv.UsageError, match="no contours"):
        rv.loss_slice(lambda p: 2.0, np.ones((2, 2)), (3, 1), dimensions=2).plot()


def test_without_matplotlib_plot_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    got = rv.loss_slice(lambda x: x.sum(), np.ones((1, 1)), 3)
    real = builtins.__import__

    def missing(name: str, *rest: Any, **more: Any) -> Any:
        if name.startswith("matplotlib"):
            raise ModuleNotFoundError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(rv.UnsupportedError, match="pip install matplotlib"):
        got.plot()


def test_bad_calls_are_refused() -> None:
    x = np.ones((2, 2))

    def fun(x: Any) -> Any:
        return x.sum(), np.ones_like(x)

    def refuse(error: type[Exception], said: str, call: Any) -> None:
        with pytest.raises(error, match=said) as caught:
            call()
        assert isinstance(caught.value, rv.RavineError)

    refuse(rv.ArgumentError, "filters is 'second'", lambda: rv.loss_slice(fun, x, filters="second"))
    refuse(rv.ArgumentError, "points is 0", lambda: rv.loss_slice(fun, x, 0))
    refuse(rv.ArgumentError, "dimensions is 3", lambda: rv.loss_slice(fun, x, dimensions=3))
    refuse(rv.ArgumentError, "span is", lambda: rv.loss_slice(fun, x, span=(0, 0)))
    refuse(rv.ArgumentError, "low must be below", lambda: rv.loss_slice(fun, x, span=(1, -1)))
    refuse(rv.UsageError, "one or two", lambda: rv.loss_slice(fun, x, directions=[]))
    refuse(
        rv.ShapeError, "direction 1 of 'x'", lambda: rv.loss_slice(fun, x, directions=[np.ones(2)])
    )
    refuse(rv.UsageError, "has no 'x'", lambda: rv.loss_slice(fun, x, directions=[{"y": x}]))
    refuse(rv.ArgumentError, "no tensor has two axes", lambda: rv.loss_slice(fun, np.ones(3)))
    refuse(rv.ArgumentError, "iterations is 0", lambda: rv.hessian_extremes(fun, x, iterations=0))
    p = np.array([[1, 1], [0, 1.0]])
    refuse(
        rv.ArgumentError,
        "preconditioner of tensor 'x' is 0 at index 2",
        lambda: rv.hessian_extremes(fun, x, preconditioner=p),
    )
    refuse(
        rv.UnknownNameError,
        "did you mean 'average'",
        lambda: rv.stability_threshold(1, 0, "avrage"),
    )
    refuse(rv.ArgumentError, "lr is 0", lambda: rv.stability_threshold(0))
