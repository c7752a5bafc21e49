"""Every schedule, as its own example has it, resumed at every step: the same rates and bytes."""

import numpy as np
import pytest

import ravine as rv

STEPS = 40
EXAMPLES = [e.example for e in rv.catalog("schedule") if e.example]


def training(recipe):
    w = np.linspace(-1, 1, 4)
    return w, rv.Optimizer(f"sgd(clamp({recipe}, low=0), momentum=0.9)", {"w": w})


@pytest.mark.parametrize("recipe", EXAMPLES)
def test_resume_at_every_step(recipe, tmp_path):
    w, opt = training(recipe)
    wanted, saved = [], []
    for step in range(STEPS):
        path = tmp_path / f"{step}.safetensors"
        opt.save(path)
        saved.append(path)
        rate = opt.step({"w": np.cos(w)}).lr
        wanted.append((rate, w.tobytes()))
    values = rv.schedule(f"clamp({recipe}, low=0)").values(STEPS)
    assert [rate for rate, _ in wanted] == values.tolist()
    for step, path in enumerate(saved):
        w, opt = training(recipe)
        opt.load(path)
        for rate, parameters in wanted[step : step + 3]:
            assert opt.step({"w": np.cos(w)}).lr == rate and w.tobytes() == parameters
