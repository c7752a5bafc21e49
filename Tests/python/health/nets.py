"""Small networks with back-propagation written out: what the monitor is tried on."""

from __future__ import annotations

import pathlib

import numpy as np

import ravine as rv

DATA = pathlib.Path(__file__).resolve().parents[3] / "examples" / "data" / "digits.csv"


def digits():
    """Pixels from 0 to 1 as float32, and labels; shuffled once."""
    table = np.loadtxt(DATA, delimiter=",")
    table = table[np.random.default_rng(0).permutation(len(table))]
    return (table[:, :64] / 16).astype(np.float32), table[:, 64].astype(int)


def relu(z):
    return np.maximum(z, 0)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


# Each with its derivative, as a function of the value.
ACTIVATIONS = {
    "relu": (relu, lambda a: (a > 0).astype(a.dtype)),
    "tanh": (np.tanh, lambda a: 1 - a * a),
    "sigmoid": (sigmoid, lambda a: a * (1 - a)),
}


def softmax(z):
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


class MLP:
    """Dense layers with one nonlinearity; cross-entropy of a softmax, or half the mean square."""

    def __init__(self, sizes, activation, gain=2.0, seed=0, classify=True, dtype=np.float32):
        rng = np.random.default_rng(seed)
        self.f, self.df = ACTIVATIONS[activation]
        self.classify = classify
        self.depth = len(sizes) - 1
        self.params = {}
        for k, (n, m) in enumerate(zip(sizes, sizes[1:], strict=False)):
            w = rng.normal(size=(n, m)) * np.sqrt(gain / n)
            self.params[f"fc{k}.weight"] = w.astype(dtype)
            self.params[f"fc{k}.bias"] = np.zeros(m, dtype)

    def forward(self, x):
        values = [x]
        for k in range(self.depth):
            z = values[-1] @ self.params[f"fc{k}.weight"] + self.params[f"fc{k}.bias"]
            values.append(self.f(z) if k < self.depth - 1 else z)
        return values

    def gradients(self, x, y):
        """Loss, activations, gradients of parameters and of the outputs of the layers."""
        values = self.forward(x)
        if self.classify:
            p = softmax(values[-1])
            loss = -np.log(np.maximum(p[np.arange(len(y)), y], 1e-30)).mean()
            delta = p.copy()
            delta[np.arange(len(y)), y] -= 1
            delta /= len(y)
        else:
            delta = (values[-1] - y) / y.size
            loss = 0.5 * np.mean((values[-1] - y) ** 2)
        grads = {}
        for k in reversed(range(self.depth)):
            grads[f"fc{k}.weight"] = values[k].T @ delta
            grads[f"fc{k}.bias"] = delta.sum(0)
            if k:
                delta = (delta @ self.params[f"fc{k}.weight"].T) * self.df(values[k])
        return float(loss), values[1:-1], grads


def optimizer(recipe, params, monitor, **more):
    """An optimizer, which a monitor may want to watch."""
    if hasattr(monitor, "optimizer"):
        return monitor.optimizer(recipe, params, **more)
    return rv.Optimizer(recipe, params, **more)


def layer(name):
    return int("".join(c for c in name.split(".")[0] if c.isdigit()) or 0)


def train(net, x, y, recipe, steps, monitor, batch=64, activations=True, meddle=None, seed=0):
    """Trains with Ravine's own optimizer, and records everything."""
    opt = optimizer(recipe, net.params, monitor)
    sampler = rv.Sampler(len(x), batch, seed)
    rows = iter(sampler.epochs(10**6))
    for step in range(steps):
        i = next(rows)
        xb, yb = x[i], y[i]
        if meddle:
            xb, yb = meddle(step, xb, yb)
        with np.errstate(all="ignore"):
            loss, values, grads = net.gradients(xb, yb)
        if meddle and hasattr(meddle, "gradients"):
            meddle.gradients(step, grads)
        before = {name: p.copy() for name, p in net.params.items()}
        if activations:
            for k, value in enumerate(values):
                monitor.record(f"fc{k}", value, "activation", depth=k)
        for name, g in grads.items():
            monitor.record(name, g, depth=layer(name))
        with np.errstate(all="ignore"):
            opt.step(grads, loss)
        for name, p in net.params.items():
            monitor.record(name, before[name], "weight")
            with np.errstate(all="ignore"):
                monitor.record(name, before[name] - p, "update")
        monitor.end_step(loss)
    return net


class RNN:
    """h_t = f(h_{t-1} U + x_t V); the loss is half the mean square of h_T W - y."""

    def __init__(self, inputs, hidden, outputs, radius, seed=0, f="tanh"):
        rng = np.random.default_rng(seed)
        u = rng.normal(size=(hidden, hidden))
        u *= radius / np.abs(np.linalg.eigvals(u)).max()
        self.f, self.df = (
            (np.tanh, lambda a: 1 - a * a) if f == "tanh" else (lambda z: z, np.ones_like)
        )
        self.params = {
            "rnn.recurrent": u.astype(np.float32),
            "rnn.input": (rng.normal(size=(inputs, hidden)) / np.sqrt(inputs)).astype(np.float32),
            "out.weight": (rng.normal(size=(hidden, outputs)) / np.sqrt(hidden)).astype(np.float32),
        }

    def gradients(self, x, y):
        """x is [batch, time, inputs]. Also the gradient of the state at each time."""
        p = self.params
        states = [np.zeros((len(x), p["rnn.recurrent"].shape[0]), np.float32)]
        for t in range(x.shape[1]):
            states.append(self.f(states[-1] @ p["rnn.recurrent"] + x[:, t] @ p["rnn.input"]))
        error = states[-1] @ p["out.weight"] - y
        grads = {name: np.zeros_like(a) for name, a in p.items()}
        grads["out.weight"] = states[-1].T @ error / error.size
        delta, through = error @ p["out.weight"].T / error.size, {}
        for t in reversed(range(x.shape[1])):
            through[t] = delta
            inner = delta * self.df(states[t + 1])
            grads["rnn.recurrent"] += states[t].T @ inner
            grads["rnn.input"] += x[:, t].T @ inner
            delta = inner @ p["rnn.recurrent"].T
        return float(0.5 * np.mean(error**2)), grads, through, states[1:]


class LSTM:
    """One layer with a forget bias; the same loss on the last state."""

    def __init__(self, inputs, hidden, outputs, forget=1.0, seed=0):
        rng = np.random.default_rng(seed)
        scale = 1 / np.sqrt(hidden)
        bias = np.zeros(4 * hidden, np.float32)
        bias[hidden : 2 * hidden] = forget
        self.hidden = hidden
        self.params = {
            "lstm.recurrent": rng.uniform(-scale, scale, (hidden, 4 * hidden)).astype(np.float32),
            "lstm.input": rng.uniform(-scale, scale, (inputs, 4 * hidden)).astype(np.float32),
            "lstm.bias": bias,
            "out.weight": (rng.normal(size=(hidden, outputs)) / np.sqrt(hidden)).astype(np.float32),
        }

    def gradients(self, x, y):
        p, n = self.params, self.hidden
        h = c = np.zeros((len(x), n), np.float32)
        kept = []
        for t in range(x.shape[1]):
            z = h @ p["lstm.recurrent"] + x[:, t] @ p["lstm.input"] + p["lstm.bias"]
            i, f, o = (sigmoid(z[:, k * n : (k + 1) * n]) for k in (0, 1, 3))
            g = np.tanh(z[:, 2 * n : 3 * n])
            before, c = c, f * c + i * g
            kept.append((h, before, i, f, g, o, c))
            h = o * np.tanh(c)
        error = h @ p["out.weight"] - y
        grads = {name: np.zeros_like(a) for name, a in p.items()}
        grads["out.weight"] = h.T @ error / error.size
        dh, dc, through = error @ p["out.weight"].T / error.size, 0, {}
        for t in reversed(range(x.shape[1])):
            h, before, i, f, g, o, c = kept[t]
            dc = dc + dh * o * (1 - np.tanh(c) ** 2)
            through[t] = dc.astype(np.float32)
            dz = np.concatenate(
                [dc * g * i * (1 - i), dc * before * f * (1 - f), dc * i * (1 - g * g),
                 dh * np.tanh(c) * o * (1 - o)], 1)  # fmt: skip
            grads["lstm.recurrent"] += h.T @ dz
            grads["lstm.input"] += x[:, t].T @ dz
            grads["lstm.bias"] += dz.sum(0)
            dh, dc = dz @ p["lstm.recurrent"].T, dc * f
        return float(0.5 * np.mean(error**2)), grads, through, [k[3] for k in kept]


def train_sequence(net, x, y, recipe, steps, monitor, batch=32, state="state", gates=None):
    """Trains a recurrent network; the gradient of its state is recorded at each time."""
    opt = optimizer(recipe, net.params, monitor)
    rows = iter(rv.Sampler(len(x), batch, 0).epochs(10**6))
    for _ in range(steps):
        i = next(rows)
        loss, grads, through, values = net.gradients(x[i], y[i])
        for t, delta in through.items():
            monitor.record(state, delta, time=t)
        if gates:
            for t, value in enumerate(values):
                monitor.record(gates, value, "activation", time=t)
        before = {name: p.copy() for name, p in net.params.items()}
        for name, g in grads.items():
            monitor.record(name, g)
        opt.step(grads, loss)
        for name, p in net.params.items():
            monitor.record(name, before[name], "weight")
            monitor.record(name, before[name] - p, "update")
        monitor.end_step(loss)
    return net
