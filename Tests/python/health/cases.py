"""Trainings, sick and healthy. Each is a function of a monitor that was just made."""

from __future__ import annotations

import numpy as np
from nets import LSTM, MLP, RNN, digits, optimizer, train, train_sequence

WIDE = [64] + [48] * 11 + [10]


def deep_sigmoid(m):
    """Twelve layers of sigmoids: the gradient shrinks at each."""
    train(MLP(WIDE, "sigmoid", gain=1), *digits(), "sgd(0.1)", 60, m)


def small_gain(m):
    """ReLU with a quarter of the variance that He and others ask for."""
    train(MLP(WIDE, "relu", gain=0.5), *digits(), "sgd(0.01)", 60, m)


def large_gain(m):
    """ReLU with four times that variance."""
    train(MLP(WIDE, "relu", gain=8), *digits(), "sgd(1e-6)", 60, m)


def one_bad_layer(m):
    """The sixth of twelve layers starts a thousand times too small."""
    net = MLP(WIDE, "relu")
    net.params["fc5.weight"] *= 1e-3
    train(net, *digits(), "sgd(1e-3)", 40, m)


def sequences(n, length, inputs, outputs, seed=1):
    """Noise, and the mean of the inputs as what is to be learned."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, length, inputs)).astype(np.float32)
    return x, x.mean(1)[:, :outputs].astype(np.float32)


def short_memory(m):
    """A tanh network with a spectral radius of one half."""
    x, y = sequences(256, 50, 4, 2)
    train_sequence(RNN(4, 32, 2, 0.5), x, y, "adamw(1e-3)", 60, m)


def explosive_memory(m):
    """A tanh network with a spectral radius of 2.5: chaos."""
    x, y = sequences(256, 60, 4, 2)
    train_sequence(RNN(4, 32, 2, 2.5), 0.01 * x, y, "clip_norm(1) | adamw(1e-5)", 40, m)


def dead_layer(m):
    """The biases of the second layer are so low that none of its units fires."""
    net = MLP([64, 32, 32, 10], "relu")
    net.params["fc1.bias"] -= 20
    train(net, *digits(), "sgd(0.1)", 130, m)


def half_dead_layer(m):
    """The same for 24 of 32 units."""
    net = MLP([64, 32, 32, 10], "relu")
    net.params["fc1.bias"][:24] -= 20
    train(net, *digits(), "sgd(0.1)", 130, m)


class Poison:
    """One element of one gradient becomes NaN in one step."""

    def __call__(self, step, x, y):
        return x, y

    def gradients(self, step, grads):
        if step == 36:
            grads["fc1.weight"].flat[123] = np.nan


def poisoned(m):
    """A NaN in step 37, in fc1.weight at index 123."""
    train(
        MLP([64, 32, 32, 10], "relu"), *digits(), "finite_guard | sgd(0.1)", 60, m, meddle=Poison()
    )


def large_steps(m):
    """Plain descent with a rate that is far too large."""
    train(MLP([64, 32, 32, 10], "tanh", gain=1), *digits(), "sgd(30)", 150, m)


def small_steps(m):
    """Plain descent with a rate that gets nowhere."""
    train(MLP([64, 32, 32, 10], "relu"), *digits(), "sgd(1e-6)", 150, m)


def diverging(m):
    """Least squares with a rate above 2 / the largest curvature."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(256, 20)).astype(np.float32)
    y = (x @ rng.normal(size=(20, 1))).astype(np.float32)
    train(MLP([20, 1], "relu", classify=False), x, y, "sgd(2.5)", 60, m, batch=256)


def bouncing(m):
    """Least squares with a rate just below the edge, along one steep direction."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(256, 20)).astype(np.float32)
    x[:, 0] *= 10
    y = (x @ rng.normal(size=(20, 1))).astype(np.float32)
    steepest = np.linalg.eigvalsh(x.T @ x / 256).max()
    net = MLP([20, 1], "relu", classify=False)
    train(net, x, y, f"sgd({1.9999 / steepest})", 60, m, batch=256)


def half_precision(m):
    """Weights in float16 and small steps: rounding swallows most of them."""
    net = MLP([64, 32, 32, 10], "relu")
    x, y = digits()
    half = {name: p.astype(np.float16) for name, p in net.params.items()}
    opt = optimizer("sgd(3e-3)", half, m, grad_dtype=np.float32)
    for step in range(80):
        i = slice(64 * (step % 20), 64 * (step % 20) + 64)
        net.params = {name: p.astype(np.float32) for name, p in half.items()}
        loss, _, grads = net.gradients(x[i], y[i])
        for name, g in grads.items():
            update = np.float32(3e-3) * g
            m.record(name, g, depth=int(name[2]))
            m.record(name, half[name], "weight")
            m.record(name, update, "update")
        opt.step(grads, loss)
        m.end_step(loss)


class Outlier:
    """One batch of numbers that were not scaled."""

    def __call__(self, step, x, y):
        return (100 * x, y) if step == 79 else (x, y)


def outlier(m):
    """In step 80 the pixels are a hundred times too large."""
    train(
        MLP([64, 32, 32, 10], "relu"),
        *digits(),
        "clip_norm(1) | sgd(0.01)",
        120,
        m,
        meddle=Outlier(),
    )


def saturated(m):
    """Tanh units behind weights that are twenty times too large."""
    train(MLP([64, 64, 64, 10], "tanh", gain=400), *digits(), "adamw(1e-4)", 40, m)


def no_progress(m):
    """Labels that have nothing to do with the pixels, and a new choice for each batch."""
    x, y = digits()
    rng = np.random.default_rng(3)
    train(
        MLP([64, 32, 10], "relu", gain=0.01), x, y, "sgd(1e-3)", 200, m,
        meddle=lambda step, xb, yb: (rng.uniform(size=xb.shape).astype(np.float32), rng.integers(0, 10, len(yb))),
    )  # fmt: skip


# ---- healthy ------------------------------------------------------------------------------------


def healthy_digits(m):
    """The demo: one hidden layer, AdamW with warm-up and cosine, clipping as a guard."""
    recipe = "clip_norm(1) | adamw(over(300, warmup(cosine(3e-3, steps=90%), steps=10%)))"
    train(MLP([64, 32, 10], "relu"), *digits(), recipe, 300, m, batch=32)


def healthy_deep_relu(m):
    """Twelve layers with the initialisation of He and others."""
    train(MLP(WIDE, "relu"), *digits(), "adamw(5e-4)", 200, m)


def healthy_tanh_regression(m):
    """Tanh with the initialisation of Glorot, least squares, momentum."""
    rng = np.random.default_rng(5)
    x = rng.normal(size=(512, 8)).astype(np.float32)
    y = np.sin(x[:, :1]) + 0.5 * x[:, 1:2] * x[:, 2:3]
    net = MLP([8, 64, 64, 1], "tanh", gain=1, classify=False)
    train(net, x, y.astype(np.float32), "sgd(0.02, momentum=0.9)", 400, m, batch=64)


def healthy_lstm(m):
    """An LSTM with a forget bias of 1, over sixteen times."""
    x, y = sequences(256, 16, 4, 2)
    train_sequence(LSTM(4, 32, 2), x, y, "adamw(3e-3)", 150, m, gates="forget")


def healthy_logistic(m):
    """Logistic regression by the full batch."""
    x, y = digits()
    train(MLP([64, 10], "relu", gain=0.01), x, y, "sgd(0.5)", 150, m, batch=len(x))


SICK = {
    deep_sigmoid: ("vanishing", "layers 0 to"),
    small_gain: ("vanishing", "layers"),
    large_gain: ("exploding", "layers"),
    one_bad_layer: ("vanishing", "layers 0 to 4"),
    short_memory: ("vanishing_through_time", "state"),
    explosive_memory: ("exploding_through_time", "state"),
    dead_layer: ("dead", "fc1"),
    half_dead_layer: ("dead", "fc1"),
    poisoned: ("non_finite", "the gradient of fc1.weight"),
    large_steps: ("step_too_large", "fc"),
    small_steps: ("step_too_small", "fc"),
    diverging: ("growth", ""),
    bouncing: ("bouncing", "all gradients"),
    half_precision: ("swallowed", "fc"),
    outlier: ("spike", "in step 80"),
    saturated: ("saturated", "fc"),
    no_progress: ("plateau", "the loss"),
}
def always_clipped(m):
    """A limit of 0.01 for gradients that are a hundred times as large."""
    train(MLP([64, 32, 32, 10], "relu"), *digits(), "clip_norm(0.01) | sgd(1)", 120, m)


def drowned(m):
    """Adam with an eps that is larger than most gradients."""
    train(MLP([64, 32, 32, 10], "relu"), *digits(), "adamw(1e-3, eps=0.1)", 60, m)


# What only an optimizer can tell.
SICK_STEPS = {
    always_clipped: ("clip_always", "all gradients"),
    drowned: ("eps_dominated", "layers"),
}
HEALTHY = [
    healthy_digits, healthy_deep_relu, healthy_tanh_regression, healthy_lstm, healthy_logistic,
]  # fmt: skip
