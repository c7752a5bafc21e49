"""Trains a small neural network to read handwritten digits, with numpy and Ravine.

The same network, initial weights, division of the images and order of batches as
examples/c/train_digits.c. The sums of the gradients run in another order, so the last digits
differ.

    python examples/python/train_digits.py --plot digits.png
"""

import argparse
import pathlib
import sys

import numpy as np

import ravine as rv

TRAIN = 1437  # of the 1797 images; the rest is for testing
DATA = pathlib.Path(__file__).resolve().parents[1] / "data" / "digits.csv"


# ---- random numbers: pure functions, as in examples/c/digits.h --------------------------------


def mix(x):
    """One round of SplitMix64, for an array of 64-bit numbers."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def random_bits(seed, stream, count):
    seed = mix(np.array([seed], np.uint64))
    return mix(mix(seed + np.uint64(stream)) + np.arange(count, dtype=np.uint64))


def shuffled(count, seed, stream):
    """The numbers 0 to count - 1 in an order that depends on seed and stream only."""
    order = list(range(count))
    partners = random_bits(seed, stream, count) % np.arange(1, count + 1, dtype=np.uint64)
    for i in range(count - 1, 0, -1):
        j = int(partners[i])
        order[i], order[j] = order[j], order[i]
    return np.array(order)


# ---- images ---------------------------------------------------------------------------------


def read_digits(path):
    """Gives pixels from 0 to 1 and labels; the first TRAIN images are for training."""
    try:
        table = np.loadtxt(path, delimiter=",", ndmin=2)
    except (OSError, ValueError) as error:
        sys.exit(f"cannot read {path}: {error}")
    if table.shape != (1797, 65) or table.min() < 0 or table.max() > 16:
        sys.exit(f"{path}: expected 1797 lines of 65 numbers from 0 to 16, found {table.shape}")
    place = shuffled(len(table), 0, 0)
    divided = np.empty_like(table)
    divided[place] = table
    return (divided[:, :64] / 16).astype(np.float32), divided[:, 64].astype(int)


# ---- the network ----------------------------------------------------------------------------


def weights(inputs, outputs, seed, stream):
    """For ReLU (He and others, 2015): uniform, with variance 2 / inputs."""
    unit = (random_bits(seed, stream, inputs * outputs) >> np.uint64(40)).astype(np.float32) / 2**24
    return (np.sqrt(np.float32(6 / inputs)) * (2 * unit - 1)).reshape(inputs, outputs)


def initial_parameters(seed):
    return {
        "hidden.weight": weights(64, 128, seed, 1),
        "hidden.bias": np.zeros(128, np.float32),
        "output.weight": weights(128, 10, seed, 2),
        "output.bias": np.zeros(10, np.float32),
    }


def forward(p, pixels):
    hidden = np.maximum(pixels @ p["hidden.weight"] + p["hidden.bias"], 0)
    return hidden, hidden @ p["output.weight"] + p["output.bias"]


def loss_and_gradient(p, pixels, labels, gradient):
    """Gives the mean cross-entropy and fills the arrays of gradient."""
    hidden, output = forward(p, pixels)
    rows = np.arange(len(labels))
    output = output - output.max(axis=1, keepdims=True)
    log_sum = np.log(np.exp(output).sum(axis=1, keepdims=True))
    loss = float(np.mean(log_sum[:, 0] - output[rows, labels]))

    back = np.exp(output - log_sum)  # the probabilities
    back[rows, labels] -= 1
    back /= len(labels)  # now the gradient by the outputs
    back_hidden = (back @ p["output.weight"].T) * (hidden > 0)
    gradient["output.weight"][:] = hidden.T @ back
    gradient["output.bias"][:] = back.sum(axis=0)
    gradient["hidden.weight"][:] = pixels.T @ back_hidden
    gradient["hidden.bias"][:] = back_hidden.sum(axis=0)
    return loss


def accuracy(p, pixels, labels):
    return float(np.mean(forward(p, pixels)[1].argmax(axis=1) == labels))


# ---- the run ----------------------------------------------------------------------------------


def default_recipe(epochs, batches):
    """Warm up for a tenth of the run, then go down to 0 along a cosine. Biases do not decay."""
    steps = epochs * batches
    warmup = max(1, steps // 10)
    return (
        f"clip_norm(1) | adamw(lr=warmup(cosine(0.02, steps={max(1, steps - warmup)}), "
        f"steps={warmup}), weight_decay=0.01); *.bias: weight_decay=0"
    )


def train(options):
    pixels, labels = read_digits(options.data)
    sampler = rv.Sampler(TRAIN, options.batch, options.seed)
    batches = len(sampler)
    parameters = initial_parameters(options.seed)
    gradient = {name: np.zeros_like(array) for name, array in parameters.items()}
    recipe = options.recipe or default_recipe(options.epochs, batches)
    optimizer = rv.Optimizer(recipe, parameters, grads=gradient)
    if options.range_test:

        def step(batches=sampler.epochs(10**6)):
            chosen = next(batches)
            loss = loss_and_gradient(parameters, pixels[chosen], labels[chosen], gradient)
            optimizer.step(loss=loss)
            return loss

        return suggest_rate(options.range_test, optimizer, step)
    if options.resume:
        optimizer.load(options.resume)
    # The number of updates is all that is needed to find the place in the run.
    sampler.epoch, sampler.position = divmod(int(optimizer.steps("output.weight")), batches)

    say = (lambda *_: None) if options.quiet else print
    say(optimizer.recipe + "\n")
    say("epoch    loss  test accuracy        lr  gradient norm  clipped")
    history = []
    for epoch in range(sampler.epoch, min(options.epochs, options.stop)):
        first, sizes = len(history), []
        for chosen in sampler:
            loss = loss_and_gradient(parameters, pixels[chosen], labels[chosen], gradient)
            report = optimizer.step(loss=loss)
            history.append((report.step, loss, report.lr, report.grad_norm, report.clip_scale))
            sizes.append(len(chosen))
        if not np.isfinite([entry[1] for entry in history[first:]]).all():
            sys.exit(f"the loss is not finite in epoch {epoch + 1}; try a lower lr")
        if (options.save or options.resume) and report.step != (epoch + 1) * batches:
            sys.exit(
                "this recipe does not make an update from every batch, so --resume could not "
                "find the place; leave out --save and --resume"
            )
        if options.save:
            optimizer.save(options.save)
        _, losses, rates, norms, scales = np.array(history[first:]).T
        mean = np.average(losses, weights=sizes)
        right = accuracy(parameters, pixels[TRAIN:], labels[TRAIN:])
        say(
            f"{epoch + 1:5}  {mean:6.4f}  {right:13.4f}  {rates[-1]:8.2e}  "
            f"{norms.mean():13.4f}  {(scales < 1).sum():2} of {len(scales)}"
        )
    right = accuracy(parameters, pixels[TRAIN:], labels[TRAIN:])
    print(f"test accuracy {right:.4f}")
    return optimizer, np.array(history), right


def suggest_rate(path, optimizer, step):
    """Prints the rates that a range test suggests, and draws it."""
    import matplotlib

    matplotlib.use("Agg")
    found = rv.range_test(optimizer, step)
    for method, rate in found.suggestions.items():
        print(f"{method:8} {rate}")
    axes = found.plot()
    axes.set_title("Handwritten digits: losses at rising learning rates")
    axes.figure.savefig(path, dpi=120)
    sys.exit()


def plot(path, optimizer, history, right):
    """Draws loss, learning rate and gradient norm, one above the other."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    step, loss, rate, norm, scale = history.T
    clipped = scale < 1
    figure, (top, middle, bottom) = plt.subplots(
        3, 1, sharex=True, figsize=(8, 8), height_ratios=(3, 2, 3), layout="constrained"
    )
    window = min(len(loss), 45)
    smooth = np.convolve(loss, np.ones(window) / window, mode="valid")
    top.semilogy(step, loss, color="0.75", linewidth=0.8, label="one batch")
    top.semilogy(step[window - 1 :], smooth, color="C0", label=f"mean of the last {window}")
    top.set_ylabel("loss")
    top.legend(loc="upper right")

    middle.plot(step, rate, color="C2")
    middle.set_ylabel("learning rate")
    middle.set_ylim(bottom=0)

    bottom.semilogy(step, norm, color="0.6", linewidth=0.8, label="before clipping")
    try:
        threshold = optimizer.get("clip_norm.max")
    except rv.RavineError:
        pass  # the recipe does not clip
    else:
        bottom.axhline(threshold, color="C3", linewidth=1, label=f"threshold {threshold:g}")
    if clipped.any():
        label = f"clipped: {clipped.sum()} of {len(step)} steps"
        bottom.semilogy(step[clipped], norm[clipped], ".", color="C3", markersize=4, label=label)
    bottom.set_ylabel("gradient norm")
    bottom.set_xlabel("step")
    bottom.legend(loc="lower left")

    for axes in (top, middle, bottom):
        axes.grid(alpha=0.3)
        axes.margins(x=0.01)
    figure.align_ylabels()
    figure.suptitle(f"Handwritten digits: {right:.1%} of the test images read rightly")
    figure.savefig(path, dpi=120)


def whole_number(low, high):
    def read(text):
        if not text.isdecimal() or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"takes a whole number from {low} to {high}")
        return int(text)

    return read


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    many = whole_number(1, 10000)
    add = parser.add_argument
    add("--recipe", metavar="TEXT", help="the optimizer (default: printed at the start)")
    add("--seed", metavar="N", type=whole_number(0, 2**64 - 1), default=0,
        help="of the initial weights and the order of images (default 0)")  # fmt: skip
    add("--epochs", metavar="N", type=many, default=30, help="length of the run (default 30)")
    add("--batch", metavar="N", type=whole_number(1, TRAIN), default=32,
        help="images in a batch (default 32)")  # fmt: skip
    add("--data", metavar="PATH", default=DATA, help="the images (default: the repository's)")
    add("--save", metavar="PATH", help="write a checkpoint after every epoch")
    add("--resume", metavar="PATH",
        help="go on from a checkpoint; give the run's other options again")  # fmt: skip
    add("--stop", metavar="N", type=many, default=10000,
        help="stop after epoch N, as if the run had been interrupted")  # fmt: skip
    add("--plot", metavar="PATH", help="draw loss, learning rate and gradient norm (PNG)")
    add("--range-test", metavar="PATH",
        help="do not train, but suggest learning rates, and draw how (PNG)")  # fmt: skip
    add("--quiet", action="store_true", help="print the last line only")
    options = parser.parse_args()
    try:
        optimizer, history, right = train(options)
    except rv.RavineError as error:
        sys.exit(str(error))
    if options.plot and len(history):
        plot(options.plot, optimizer, history, right)


if __name__ == "__main__":
    main()
