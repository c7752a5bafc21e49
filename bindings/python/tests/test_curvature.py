"""Curvature from the caller: probe vectors, and what is made of Hessian products."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import ravine as rv

RULES = [entry.name for entry in rv.catalog("rule") if entry.needs == "curvature"]


def quadratic(n: int = 300) -> tuple[np.ndarray, np.ndarray]:
    """A Hessian whose diagonal is 1 to 4, and small beside it."""
    random = np.random.default_rng(1)
    a = random.standard_normal((n, n)) * 0.01
    return a + a.T + np.diag(np.linspace(1, 4, n)), random.standard_normal(n)


def test_the_catalog_says_which_rules_need_it() -> None:
    assert {"sophia", "adahessian"} <= set(RULES)
    assert not any(e.needs for e in rv.catalog() if e.name not in RULES)


def test_products_become_the_diagonal() -> None:
    """Over many probes the mean is the diagonal: Hutchinson's estimate."""
    hessian, w = quadratic()
    opt = rv.Optimizer("sophia(beta2=0)", {"w": w})
    sums = np.zeros(300)
    for _ in range(400):
        z = opt.probe()["w"]
        assert z.dtype == np.float64 and set(z) == {-1, 1}
        product = hessian @ z
        opt.curvature({"w": product})
        np.testing.assert_array_equal(opt.state("w")["h"], product * z)
        sums += product * z
    np.testing.assert_allclose(sums / 400, np.diag(hessian), atol=6 * 0.014 * 300**0.5 / 20)


def test_the_means_are_the_published_ones() -> None:
    a, b = np.array([2.0, -3.0]), np.array([-1.0, 0.5])
    opt = rv.Optimizer("sophia(beta2=0.9); v: adahessian(beta2=0.9)", {"w": a.copy(), "v": a.copy()})
    for d in (a, b):
        opt.curvature(diagonal={"w": d, "v": d})
    np.testing.assert_allclose(opt.state("w")["h"], 0.9 * 0.1 * a + 0.1 * b)
    v = (0.9 * 0.1 * a**2 + 0.1 * b**2) / (1 - 0.9**2)
    np.testing.assert_allclose(opt.state("v")["v"], v)


@pytest.mark.parametrize("rule", RULES)
def test_a_first_step_without_it_is_an_error(rule: str) -> None:
    w = np.ones(3, np.float32)
    opt = rv.Optimizer(rule, [w])
    with pytest.raises(rv.NeedsError, match=f"{rule} needs curvature of '0'"):
        opt.step([w.copy()])
    assert (w == 1).all() and opt.steps(0) == 0
    opt.curvature([opt.probe()["0"]])
    assert opt.step([w.copy()]).step == 1
    assert opt.step([w.copy()]).step == 2  # the mean stays until there is another


def test_only_tensors_of_such_a_rule_want_any() -> None:
    params = {"w": np.ones(4, np.float32), "b": np.ones(2, np.float32), "c": np.ones(2, np.float16)}
    opt = rv.Optimizer("sophia(0.1); b: adamw(1e-3); c: frozen", params)
    z = opt.probe()
    assert abs(z["w"]).all() and not z["b"].any() and not z["c"].any()
    assert z["c"].dtype == np.float16
    opt.curvature({"w": z["w"], "b": np.full(2, np.nan, np.float32)})  # b is not looked at
    opt.step({"w": np.ones(4, np.float32), "b": np.ones(2, np.float32)})
    assert (params["w"] < 1).all() and (params["b"] < 1).all() and (params["c"] == 1).all()


def test_seed_name_and_count_make_the_probe(tmp_path: Path) -> None:
    def made(recipe: str, name: str = "w") -> rv.Optimizer:
        return rv.Optimizer(recipe, {name: np.ones(200)})

    opt = made("sophia")
    z = opt.probe()["w"]
    np.testing.assert_array_equal(opt.probe()["w"], z)
    np.testing.assert_array_equal(made("adahessian").probe()["w"], z)
    assert (made("sophia(seed=1)").probe()["w"] != z).any()
    assert (made("sophia", "v").probe()["v"] != z).any()
    opt.curvature({"w": z})
    after = opt.probe()["w"]
    assert (after != z).any()
    opt.save(tmp_path / "saved")
    other = made("sophia")
    other.load(tmp_path / "saved")
    np.testing.assert_array_equal(other.probe()["w"], after)
    other.step({"w": np.ones(200)})  # its curvature came with the file


def test_the_probe_is_the_same_everywhere() -> None:
    """Made with another Philox, the one of Tests/reference/generate.py."""
    opt = rv.Optimizer("sophia", {"w": np.ones(200)})
    signs = "".join("+" if x > 0 else "-" for x in opt.probe()["w"][:64])
    assert signs == "---++-++++--+-+-+-+++--+-+++---++++-----+-+--+------+-+-++--++++"
    opt = rv.Optimizer("adahessian(seed=5)", {"w": np.ones(200, np.float32)})
    opt.curvature({"w": np.ones(200, np.float32)})
    signs = "".join("+" if x > 0 else "-" for x in opt.probe()["w"][128:192])
    assert signs == "++++-++--+--++-++++-++-++-+-+-++---++---+-+----++-+-+++-+-+-++-+"


PROGRAM = """
import zlib
import numpy as np
import ravine as rv
random = np.random.default_rng(0)
kinds = [np.float32, np.float64, np.float16]
params = {f"{k.__name__}{n}": random.normal(size=n).astype(k) for k in kinds for n in (5, 3001)}
for rule in ("sophia(0.01)", "adahessian"):
    opt = rv.Optimizer(rule, params, threads=3)
    for _ in range(4):
        opt.curvature({n: random.normal(size=p.shape).astype(p.dtype) for n, p in params.items()})
        opt.step({n: random.normal(size=p.shape).astype(p.dtype) for n, p in params.items()})
print(rv.isa(), zlib.crc32(b"".join(p.tobytes() for p in params.values())))
"""


def test_products_make_the_same_bytes_with_every_instruction_set() -> None:
    told = {}
    for isa in ("sse2", "avx2", "avx512"):
        environment = {**os.environ, "RAVINE_ISA": isa}
        program = [sys.executable, "-c", PROGRAM]
        done = subprocess.run(program, env=environment, capture_output=True, text=True, check=True)
        name, digest = done.stdout.split()
        told[name] = digest
    assert len(set(told.values())) == 1, told


def test_what_is_refused() -> None:
    w = np.ones((2, 3), np.float32)
    opt = rv.Optimizer("sophia", {"w": w, "v": np.ones(2)})
    opt.curvature(diagonal={"w": w.copy()})
    h = opt.state("w")["h"]
    for wrong, problem, says in [
        ({}, rv.UsageError, "products or diagonal"),
        ({"products": [w], "diagonal": [w]}, rv.UsageError, "one of the two"),
        ({"products": {"u": w.copy()}}, rv.UnknownNameError, "no tensor is named 'u'"),
        ({"products": {"w": np.ones(6, np.float32)}}, rv.ShapeError, "Hessian product of 'w'"),
        ({"diagonal": {"w": np.ones((2, 3))}}, rv.ElementTypeError, "Hessian diagonal of 'w'"),
        ({"products": {"w": [1]}}, rv.RavineError, "w"),
        ({"products": 7}, rv.UsageError, "products is a int"),
        ({"diagonal": {"w": np.full((2, 3), np.inf, np.float32)}}, rv.NonfiniteError, "'w' is inf"),
    ]:
        with pytest.raises(problem, match=says):
            opt.curvature(**wrong)  # type: ignore[arg-type]
    np.testing.assert_array_equal(opt.state("w")["h"], h)
    with pytest.raises(rv.StateError, match="no rule of the recipe steps by curvature"):
        rv.Optimizer("adamw", [w]).curvature([w.copy()])
    opt.close()
    with pytest.raises(rv.StateError, match="closed"):
        opt.probe()


@pytest.mark.parametrize("rule", ["sophia(0.1, beta2=0.5, gamma=1)", "adahessian(0.5)"])
def test_it_finds_the_minimum_of_a_ravine(rule: str) -> None:
    """Directions whose curvature differs by a factor of 1,000, and none is slow."""
    curvature = np.logspace(-1, 2, 20)
    w = np.ones(20)
    opt = rv.Optimizer(rule, [w])
    for step in range(300):
        if step % 10 == 0:
            opt.curvature([curvature * opt.probe()["0"]])
        opt.step([curvature * w])
    assert abs(w).max() < 1e-2 and np.ptp(abs(w)) < 1e-6
