"""Makes the vectors of reactive schedules: plateau.json and greedy.json.

    python Tests/reference/reactive.py

Made with what generate.py names, which also describes the format. Each case hands random metrics to
the reference implementation, one after each step, and records the rate that it comes to.
"""

import math
import random
import types

import generate
import jax
import jax.numpy as jnp
import torch

LENGTH = 60
MODES = ("min", "max")


def metrics(seed, shape):
    """Random metrics: with ties, since they are rounded; "wild" ones are not finite here and there."""
    draw = random.Random(seed)
    out, level = [], 1.0
    for t in range(LENGTH):
        if shape == "flat":
            out.append(0.5)
        elif shape == "falling":
            out.append(round(abs(math.exp(-t / 12) + 0.05 * draw.gauss(0, 1)), 2))
        elif shape == "steps":
            level *= draw.choice((1, 1, 1, 0.9, 1.05))
            out.append(round(level, 3))
        else:
            level += draw.choice((-0.1, 0, 0, 0.1))
            strange = t > 0 and shape == "wild" and draw.random() < 0.15
            out.append(draw.choice((math.nan, math.inf)) if strange else round(level, 1))
    return out


def mirrored(values, mode):
    """For max: higher is better, all of them above 0, and the worst is -inf."""
    return [10 - x for x in values] if mode == "max" else values


def optimizer():
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))], lr=1.0)


def rates(values, step, rate):
    out = [rate()]
    for x in values:
        step(x)
        out.append(rate())
    return out


def torch_plateau(values, **options):
    opt = optimizer()
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(opt, **options)
    return rates(values, scheduler.step, lambda: float(opt.param_groups[0]["lr"]))


def keras_plateau(values, **options):
    import keras

    keras.config.set_floatx("float64")  # it compares tensors
    callback = keras.callbacks.ReduceLROnPlateau(monitor="loss", **options)
    # The callback reads and writes a number there; a real optimizer would round it to Float32.
    opt = types.SimpleNamespace(learning_rate=1.0)
    callback.set_model(types.SimpleNamespace(optimizer=opt))
    callback.on_train_begin()
    return rates(
        values, lambda x: callback.on_epoch_end(0, {"loss": x}), lambda: float(opt.learning_rate)
    )


def optax_plateau(values, **options):
    import optax.contrib

    params = {"w": jnp.zeros(1, jnp.float64)}
    transform = optax.contrib.reduce_on_plateau(**options)
    update = jax.jit(transform.update)
    state = transform.init(params)

    def step(x):
        nonlocal state
        state = update(params, state, value=jnp.float64(x))[1]

    return rates(values, step, lambda: float(state.scale))


def greedy(values, **options):
    from transformers.optimization import GreedyLR

    opt = optimizer()
    scheduler = GreedyLR(opt, **options)
    return rates(values, scheduler.step, lambda: float(opt.param_groups[0]["lr"]))


def case(title, recipe, source, values, found):
    return {
        "title": title, "recipe": recipe, "source": source, "first": 0,
        "metrics": values, "values": found,
    }  # fmt: skip


SHAPES = ("flat", "falling", "steps", "walk", "wild")


def plateau_cases():
    draw = random.Random(1)
    for n in range(15):
        shape, mode = SHAPES[n % 5], MODES[n // 5 % 2]
        values = mirrored(metrics(n, shape), mode)
        patience, cooldown = draw.randrange(5), draw.choice((0, 0, 1, 3))
        threshold, kind = draw.choice(((0.0, "rel"), (1e-4, "rel"), (0.03, "rel"), (0.1, "abs")))
        factor, floor = draw.choice((0.1, 0.5)), draw.choice((0.0, 0.02))
        eps = draw.choice((0.0, 1e-8, 0.01))
        found = torch_plateau(
            values, mode=mode, factor=factor, patience=patience, threshold=threshold,
            threshold_mode=kind, cooldown=cooldown, min_lr=floor, eps=eps,
        )  # fmt: skip
        both = f"rtol={threshold}, atol=0" if kind == "rel" else f"rtol=0, atol={threshold}"
        recipe = (
            f"plateau(1, factor={factor}, patience={patience}, cooldown={cooldown}, "
            f"floor={floor}, mode={mode}, {both}, eps={eps})"
        )
        yield case(f"torch, {shape}", recipe, generate.TORCH, values, found)
    for n in range(10):
        shape, mode = SHAPES[n % 5], MODES[n // 5 % 2]
        values = mirrored(metrics(100 + n, shape), mode)
        patience, cooldown = draw.randrange(5), draw.choice((0, 1, 2, 4))
        delta, floor = draw.choice((0.0, 1e-4, 0.1)), draw.choice((0.0, 0.0625))
        found = keras_plateau(
            values, mode=mode, factor=0.5, patience=patience, min_delta=delta, cooldown=cooldown,
            min_lr=floor,
        )  # fmt: skip
        recipe = (
            f"plateau(1, factor=0.5, patience={patience}, cooldown={cooldown}, floor={floor}, "
            f"mode={mode}, rtol=0, atol={delta}, compat=keras)"
        )
        yield case(f"Keras, {shape}", recipe, generate.KERAS, values, found)
    for n in range(10):
        shape = SHAPES[n % 5]
        values = metrics(200 + n, shape)
        patience, cooldown = 1 + draw.randrange(4), draw.choice((0, 1, 3))
        rtol, atol = draw.choice(((1e-4, 0.0), (0.0, 0.1), (0.02, 0.01)))
        size, floor = draw.choice((1, 2, 5)), draw.choice((0.0, 0.02))
        found = optax_plateau(
            values, factor=0.5, patience=patience, rtol=rtol, atol=atol, cooldown=cooldown,
            accumulation_size=size, min_scale=floor,
        )  # fmt: skip
        recipe = (
            f"plateau(1, factor=0.5, patience={patience}, cooldown={cooldown}, floor={floor}, "
            f"rtol={rtol}, atol={atol}, window={size}, average=block, compat=optax)"
        )
        yield case(f"optax, {shape}", recipe, generate.OPTAX, values, found)


def greedy_cases():
    # Thresholds that no two averages differ by: there the rounding of its running sum would decide.
    draw = random.Random(2)
    for n in range(20):
        shape, mode = SHAPES[n % 5], MODES[n // 5 % 2]
        window = 1 if shape == "wild" else draw.choice((1, 1, 3, 10))
        values = mirrored(metrics(300 + n, shape), mode)
        patience, cooldown, warmup = (draw.randrange(4), draw.choice((0, 1, 3)), draw.randrange(3))
        threshold, kind = draw.choice(((1e-6, "abs"), (0.0207, "rel"), (0.0513, "abs")))
        factor, floor, ceiling = draw.choice((0.95, 0.5)), draw.choice((0.01, 0.3)), 4.0
        eps, reset = draw.choice((0.0, 1e-8, 0.05)), draw.choice((2, 500))
        found = greedy(
            values, mode=mode, factor=factor, patience=patience, threshold=threshold,
            threshold_mode=kind, cooldown=cooldown, warmup=warmup, min_lr=floor, max_lr=ceiling,
            eps=eps, smooth=window > 1, window_size=window, reset_start=reset,
        )  # fmt: skip
        both = f"rtol={threshold}, atol=0" if kind == "rel" else f"rtol=0, atol={threshold}"
        recipe = (
            f"greedy(1, factor={factor}, patience={patience}, cooldown={cooldown}, "
            f"warmup={warmup}, floor={floor}, ceiling={ceiling}, mode={mode}, {both}, "
            f"window={window}, eps={eps}, reset={reset})"
        )
        yield case(f"transformers, {shape}", recipe, generate.TRANSFORMERS, values, found)


def main():
    every = f"{generate.TORCH}; {generate.KERAS}; {generate.OPTAX}"
    for name, source, cases in (
        ("plateau", every, plateau_cases()), ("greedy", generate.TRANSFORMERS, greedy_cases()),
    ):  # fmt: skip
        path = generate.HERE / f"{name}.json"
        path.write_text(generate.text(name, "schedule", source, list(cases)))
        print(f"{path.stat().st_size:7d} {path.name}")


if __name__ == "__main__":
    main()
