"""What the random numbers of noise hang on: seed, tensor, step, call, stage and place, nothing else."""

import itertools

import numpy as np
import pytest

import ravine as rv

COUNT = 5000


def zeros(*names, dtype=np.float64):
    return {name: np.zeros(COUNT, dtype) for name in names}


def drawn(recipe, steps=3, names=("w",), name="w", dtype=np.float64):
    """What is taken off a tensor in each step, its gradient being 0."""
    params, out = zeros(*names, dtype=dtype), []
    opt = rv.Optimizer(recipe, params)
    for _ in range(steps):
        before = params[name].copy()
        opt.step(zeros(*names, dtype=dtype))
        out.append(before - params[name])
    return out


def unlike(a, b):
    """Two samples that have nothing to do with each other."""
    return abs(np.corrcoef(a, b)[0, 1]) < 6 / np.sqrt(COUNT)


def test_the_deviation_falls_exactly():
    steady, falling = drawn("noise(0.09, gamma=0) | sgd(1)"), drawn("noise(0.09) | sgd(1)")
    for t, (a, b) in enumerate(zip(steady, falling), 1):
        np.testing.assert_allclose(b, a * t**-0.275, rtol=1e-9, atol=1e-12)


def test_a_schedule_makes_the_variance_what_it_says():
    steady = drawn("noise(1, gamma=0) | sgd(1)")
    stepped = drawn("noise(step(1, every=1, factor=0.25), gamma=0) | sgd(1)")
    for t, (a, b) in enumerate(zip(steady, stepped)):
        np.testing.assert_allclose(b, a * 0.5**t, rtol=1e-9, atol=1e-12)


def test_every_step_tensor_seed_and_stage_has_its_own():
    samples = drawn("noise(1, gamma=0) | sgd(1)")
    samples += drawn("noise(1, gamma=0, seed=1) | sgd(1)")
    samples += drawn("noise(1, gamma=0) | sgd(1)", names=("v",), name="v")
    both = drawn("noise(1, gamma=0) | noise(1, gamma=0) | sgd(1)")
    samples += [b - s for b, s in zip(both, samples)]
    assert all(unlike(a, b) for a, b in itertools.combinations(samples, 2))


def test_neither_other_tensors_nor_the_type_matter():
    alone = drawn("noise(1) | sgd(1)")
    for names in (("a", "w"), ("w", "z")):
        np.testing.assert_array_equal(alone, drawn("noise(1) | sgd(1)", names=names))
    single = drawn("noise(1) | sgd(1)", dtype=np.float32)
    np.testing.assert_allclose(single, alone, atol=1e-5)


def test_each_call_of_a_window_has_its_own():
    params = zeros("w")
    opt = rv.Optimizer("noise(1, gamma=0) | accumulate(2, reduce=sum) | sgd(1)", params)
    opt.step(zeros("w"))
    first = opt.state("w")["accumulated"].copy()
    opt.step(zeros("w"))
    second = -params["w"] - first
    assert unlike(first, second) and second.std() == pytest.approx(1, abs=0.1)
    np.testing.assert_allclose(first, drawn("noise(1, gamma=0) | sgd(1)", steps=1)[0], atol=1e-12)


def test_a_step_that_is_skipped_draws_the_same_again():
    params = zeros("w")
    opt = rv.Optimizer("finite_guard | noise(1) | sgd(1)", params)
    assert opt.step({"w": np.full(COUNT, np.nan)}).skipped
    opt.step(zeros("w"))
    np.testing.assert_array_equal(-params["w"], drawn("noise(1) | sgd(1)", steps=1)[0])


def test_all_rows_are_the_tensor():
    a, b = np.zeros((700, 9)), np.zeros((700, 9))
    rv.Optimizer("noise(1) | sgd(1)", {"w": a}).step({"w": np.zeros((700, 9))})
    rv.Optimizer("noise(1) | sgd(1)", {"w": b}).step_rows("w", np.arange(700), np.zeros((700, 9)))
    np.testing.assert_array_equal(a, b)


def test_no_variance_is_no_noise():
    assert not np.any(drawn("noise(0) | sgd(1)"))


@pytest.mark.parametrize(
    "text, problem",
    [
        ("noise | sgd(1)", "eta"),
        ("noise(-1) | sgd(1)", "eta"),
        ("noise(1, seed=0.5) | sgd(1)", "seed"),
        ("sgd(1) | noise(1)", "before"),
    ],
)
def test_bad_arguments_are_named(text, problem):
    with pytest.raises(rv.RavineError, match=problem):
        rv.Optimizer(text, zeros("w"))
