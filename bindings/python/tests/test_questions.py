"""Questions about schedules, and pictures of them."""

from __future__ import annotations

import builtins
import math
import xml.dom.minidom
from typing import Any

import numpy as np
import pytest

import ravine as rv

S = rv.schedule("warmup(cosine(0.1, steps=900), steps=100)")


def test_answers_are_those_of_the_values() -> None:
    values = S.values(1000)
    assert S.sum(1000) == pytest.approx(math.fsum(values), rel=2**-51)
    assert S.sum(10, first=990) == pytest.approx(math.fsum(values[990:]), rel=2**-51)
    peak = S.peak(1000)
    assert peak == (int(values.argmax()), values.max()) and isinstance(peak, rv.Peak)
    assert peak.step == 99 and peak.value == 0.1
    below = S.first_below(0.05, 1000, first=100)
    assert below == 100 + int(np.argmax(values[100:] < 0.05))
    assert S.first_below(0.05, 1000) == 0
    assert S.first_below(-1, 1000) is None
    assert S.first_below(0.05, 300, first=200) is None
    assert S.span == 1000


def test_wrong_questions() -> None:
    with pytest.raises(rv.ArgumentError, match="count"):
        S.sum(0)
    with pytest.raises(rv.ArgumentError, match="count"):
        S.peak(2**32 + 1)
    with pytest.raises(rv.ArgumentError, match="first"):
        S.first_below(1, 10, first=-1)
    with pytest.raises(rv.ArgumentError, match="limit is nan"):
        S.first_below(math.nan, 10)
    ends = rv.schedule(rv.over(3, 0.1, past="error"))
    with pytest.raises(rv.ArgumentError, match="no value at step 3"):
        ends.sum(4)
    assert ends.sum(3) == pytest.approx(0.3, rel=1e-15)


def test_a_sketch_is_plain_ascii() -> None:
    sketch = S.sketch(height=10, width=60)
    lines = sketch.splitlines()
    assert sketch.isascii() and len(lines) == 10 and max(map(len, lines)) <= 60
    assert lines[0].lstrip().startswith("0.1 +") and lines[-1].split() == ["0", "step", "999"]
    assert S.sketch() == S.sketch(1000)
    assert S.sketch(10, first=20).splitlines()[-1].split() == ["20", "step", "29"]
    with pytest.raises(rv.ArgumentError, match="width"):
        S.sketch(width=39)
    with pytest.raises(rv.ArgumentError, match="count"):
        S.sketch(0)


def test_a_plot_returns_its_axes() -> None:
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pyplot.switch_backend("Agg")
    figure, ax = pyplot.subplots()
    assert S.plot(ax=ax, color="red", label="ours") is ax
    (line,) = ax.lines
    assert line.get_label() == "ours" and ax.get_xlabel() == "step"
    assert line.get_xdata().tolist() == list(range(1000))
    assert line.get_ydata().tolist() == S.values(1000).tolist()
    assert S.plot(10, first=5) is ax
    assert ax.lines[1].get_xdata().tolist() == list(range(5, 15))
    S.plot(10**9, ax=ax)
    far = ax.lines[2].get_xdata()
    assert len(far) == 10_000 and far[0] == 0 and far[-1] == 10**9 - 1
    pyplot.close(figure)


def test_a_plot_without_matplotlib_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    found = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.startswith("matplotlib"):
            raise ModuleNotFoundError("No module named 'matplotlib'")
        return found(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(rv.UnsupportedError, match="pip install matplotlib"):
        S.plot()
    assert S.svg().startswith("<svg")


@pytest.mark.parametrize(
    "recipe",
    [
        "0",
        "-1e-300",
        "1e308",
        "linear(-8e307, 8e307, steps=9)",
        "over(3, 0.1, past=error)",
        "step(1, every=1, factor=2)",
        "cosine_restarts(0.1, steps=9, multiplier=2)",
    ],
)
def test_a_picture_is_svg(recipe: str) -> None:
    s = rv.schedule(recipe)
    for count in (None, 1, 2, 5, 10**12):
        text = s.svg(count)
        root = xml.dom.minidom.parseString(text).documentElement
        assert root is not None and root.getAttribute("width") == "320"
        assert "nan" not in text and "inf" not in text
        assert text == s.svg(count)
    assert s.recipe.split("(")[0] in s._repr_html_()


def test_a_picture_needs_a_value() -> None:
    with pytest.raises(rv.ArgumentError, match="no value"):
        rv.schedule("over(3, 0.1, past=error)").svg(first=3)
    with pytest.raises(rv.ArgumentError, match="width"):
        S.svg(width=10)
