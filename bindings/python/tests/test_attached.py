"""A monitor that is attached to an optimizer."""

from __future__ import annotations

import gc
import math
import threading
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ravine as rv


def model() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {
        "fc0.weight": rng.normal(size=(8, 16)).astype(np.float32),
        "fc0.bias": np.ones(16, np.float32),
        "fc1.weight": rng.normal(size=(16, 4)).astype(np.float32),
    }


def gradients(params: dict[str, Any], step: int) -> dict[str, Any]:
    rng = np.random.default_rng(step)
    return {n: rng.normal(size=p.shape).astype(np.float32) for n, p in params.items()}


def train(opt: rv.Optimizer, params: dict[str, Any], steps: int, first: int = 0) -> None:
    for step in range(first, first + steps):
        opt.step(gradients(params, step), loss=1 / (step + 1))


def test_two_lines_are_enough(capsys: pytest.CaptureFixture[str]) -> None:
    params = model()
    opt = rv.Optimizer(rv.clip_norm(1) | rv.adamw(1e-3), params)
    m = rv.Monitor(opt)
    train(opt, params, 40)
    assert capsys.readouterr() == ("", "")
    report = m.report()
    assert report.steps == 40 and "one in 16, 3 of 40 so far" in " ".join(str(report).split())
    assert [f.code for f in report.findings] == ["clip_always"]
    assert report.findings[0].severity == "note" and report.findings[0].value == 1
    assert repr(m).startswith("<ravine.Monitor: Gradient health after 40 steps")


def test_bytes_stay_what_they_are() -> None:
    with_one, without = model(), model()
    a, b = (rv.Optimizer("clip_norm(1) | adamw(1e-3)", p) for p in (with_one, without))
    rv.Monitor(a, every=3, cosines=True)
    train(a, with_one, 20), train(b, without, 20)
    for name in with_one:
        assert with_one[name].tobytes() == without[name].tobytes()


def test_numbers_of_a_step() -> None:
    params = model()
    opt = rv.Optimizer("clip_norm(2) | sgd(0.5)", params)
    m = rv.Monitor(opt)
    grads = gradients(params, 0)
    before = {n: p.copy() for n, p in params.items()}
    report = opt.step(grads, loss=3)
    s = m.last_step()
    every = np.concatenate([g.ravel() for g in grads.values()]).astype(float)
    assert s.step == s.updates == s.sampled == s.clipped == 1 and s.guarded == 0
    assert s.grad_norm1 == pytest.approx(np.abs(every).sum(), rel=3e-7)
    assert s.grad_norm2 == report.grad_norm == pytest.approx(np.linalg.norm(every))
    assert s.grad_norm_inf == np.abs(every).max()
    assert s.clipped_norm2 == pytest.approx(2, rel=1e-5) and s.clip_scale == report.clip_scale
    assert s.update_norm == report.update_norm and s.nonfinite == 0 and s.nonfinite_index == -1
    t = m.tensor("fc1.weight")
    w, u = before["fc1.weight"], before["fc1.weight"] - params["fc1.weight"]
    assert (t.step, t.depth) == (1, 1) and m.tensor("fc0.bias").depth == 0
    assert t.weight_norm == pytest.approx(np.linalg.norm(w), rel=1e-6)
    assert t.update_norm == pytest.approx(np.linalg.norm(u), rel=1e-6)
    assert t.ratio == pytest.approx(np.linalg.norm(u) / np.linalg.norm(w), rel=1e-6)
    assert t.cosine == pytest.approx(1, abs=1e-6) and math.isnan(t.eps_dominated)
    g = m.statistics("fc1.weight")
    assert g.count == 64 and sum(g.histogram) == 64 and math.isnan(g.mean)
    assert g.largest_index == np.abs(grads["fc1.weight"]).argmax()


def test_the_host_says_what_only_it_knows() -> None:
    params = model()
    opt = rv.Optimizer("sgd(0.1)", params)
    m = rv.Monitor(opt, depth={"fc1.weight": 7})
    for step in range(3):
        m.record("fc0", np.full((5, 16), np.inf if step == 1 else 1.0), "activation", depth=0)
        train(opt, params, 1, step)
    finding = m.report().findings[0]
    assert finding.where == "the activation of fc0" and finding.measured["step"] == 2
    assert m.tensor("fc1.weight").depth == 7
    with pytest.raises(rv.StateError, match="nothing was recorded"):
        m.end_step()


def test_saving_and_loading_know_nothing_of_it(tmp_path: Path) -> None:
    params, again = model(), model()
    opt = rv.Optimizer("adamw(1e-3)", params)
    m = rv.Monitor(opt)
    train(opt, params, 5)
    opt.save(tmp_path / "a.safetensors")
    train(opt, params, 5, 5)
    other = rv.Optimizer("adamw(1e-3)", again)
    n = rv.Monitor(other)
    assert other.load(tmp_path / "a.safetensors") == []
    assert n.report().steps == 0 and m.report().steps == 10
    train(other, again, 5, 5)
    assert n.report().steps == 5
    for name in params:
        assert params[name].tobytes() == again[name].tobytes()


def test_parts_and_accumulation() -> None:
    params = model()
    opt = rv.Optimizer("adam(1e-3)", params)
    m = rv.Monitor(opt)
    opt.begin_step()
    for name, g in gradients(params, 0).items():
        opt.step_tensor(name, g)
    report = opt.end_step()
    assert m.last_step().step == 1 and m.last_step().grad_norm2 == pytest.approx(report.grad_norm)
    opt.step_rows("fc0.weight", [1, 3, 1], np.ones((3, 16), np.float32))
    assert m.last_step().grad_norm2 == pytest.approx(math.sqrt(16 + 4 * 16))
    params = model()
    opt = rv.Optimizer("accumulate(4) | sgd(0.1)", params)
    m = rv.Monitor(opt)
    train(opt, params, 6)
    opt.flush()
    s = m.last_step()
    assert (s.step, s.updates, s.accumulated) == (2, 2, 5)


def test_it_lives_as_long_as_the_optimizer() -> None:
    params = model()
    opt = rv.Optimizer("sgd(0.1)", params)
    kept = weakref.ref(rv.Monitor(opt))
    train(opt, params, 2)
    assert kept() is not None and kept().report().steps == 2  # type: ignore[union-attr]
    opt.close()
    gc.collect()
    assert kept() is None
    opt = rv.Optimizer("sgd(0.1)", params)
    m = rv.Monitor(opt)
    train(opt, params, 2)
    del opt
    gc.collect()
    assert m.report().steps == 2
    with pytest.raises(rv.StateError, match="not attached"):
        m.detach()


def test_another_takes_its_place() -> None:
    params = model()
    opt = rv.Optimizer("sgd(0.1)", params)
    m = rv.Monitor(opt)
    with pytest.raises(rv.StateError, match="the optimizer has a monitor already"):
        rv.Monitor(opt)
    train(opt, params, 2)
    m.detach()
    n = rv.Monitor(opt)
    train(opt, params, 3)
    assert m.report().steps == 2 and n.report().steps == 3
    assert n.last_step().step == 3 and m.last_step().step == 2


def test_wrong_use() -> None:
    params = model()
    opt = rv.Optimizer("sgd(0.1)", params)
    with pytest.raises(rv.UsageError, match="optimizer is a str, not an Optimizer"):
        rv.Monitor("adam")  # type: ignore[arg-type]
    with pytest.raises(rv.RavineError, match="every"):
        rv.Monitor(opt, every=0)
    with pytest.raises(rv.RavineError, match="depth of 'fc0.bias'"):
        rv.Monitor(opt, depth={"fc0.bias": -1})
    m = rv.Monitor()
    with pytest.raises(rv.StateError, match="not attached"):
        m.last_step()
    with pytest.raises(rv.StateError, match="not attached"):
        m.detach()
    m = rv.Monitor(opt)  # what failed above did not attach
    with pytest.raises(rv.StateError, match="has made no step"):
        m.last_step()
    train(opt, params, 1)
    with pytest.raises(rv.UnknownNameError, match="did you mean 'fc0.bias'"):
        m.tensor("fc0.bais")
    opt.close()
    with pytest.raises(rv.StateError, match="closed"):
        rv.Monitor(opt)
    assert m.report().steps == 1


def test_a_report_beside_steps() -> None:
    params = model()
    opt = rv.Optimizer("adamw(1e-3)", params)
    m = rv.Monitor(opt, every=2)
    done = threading.Event()
    seen: list[int] = []

    def look() -> None:
        while not done.is_set():
            seen.append(m.report().steps)

    thread = threading.Thread(target=look)
    thread.start()
    train(opt, params, 200)
    done.set()
    thread.join()
    assert seen == sorted(seen) and m.report().steps == 200
