"""Recipes as objects: what the constructors take, and the text they make."""

from __future__ import annotations

import copy
import inspect
import keyword
import pickle
import pydoc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ravine as rv

ENTRIES = rv.catalog()
NAMES = [entry.name for entry in ENTRIES]
ALL = pytest.mark.parametrize("entry", ENTRIES, ids=NAMES)


@ALL
def test_a_constructor_has_the_signature_of_the_catalog(entry: rv.Entry) -> None:
    signature = inspect.signature(getattr(rv, entry.name))
    assert list(signature.parameters) == [parameter.name for parameter in entry.parameters]
    for parameter in entry.parameters:
        default = signature.parameters[parameter.name].default
        assert (default is inspect.Parameter.empty) == parameter.required
        if not parameter.required:
            assert default == parameter.default


@ALL
def test_a_constructor_documents_itself(entry: rv.Entry) -> None:
    function = getattr(rv, entry.name)
    document = inspect.getdoc(function) or ""
    assert document.startswith(entry.summary) and entry.reference in document
    for parameter in entry.parameters:
        assert parameter.name in document and parameter.summary in document
    assert (function.__name__, function.__module__) == (entry.name, "ravine")
    assert entry.name in pydoc.render_doc(function)


def arguments(entry: rv.Entry) -> dict[str, object]:
    """A value for each parameter that must be given."""
    sample = {"number": 0.5, "schedule": 0.5, "count": 7, "list": (2, 5), "flag": True}
    sample["schedules"] = (0.5, rv.cosine(0.5, steps=7), "step(0.5, every=2)")
    return {
        parameter.name: parameter.words[0] if parameter.words else sample[parameter.kind]
        for parameter in entry.parameters
        if parameter.required
    }


@ALL
def test_a_constructor_makes_text_that_the_library_takes(entry: rv.Entry) -> None:
    recipe = getattr(rv, entry.name)(**arguments(entry))
    assert isinstance(recipe, rv.Recipe) and str(recipe).startswith(f"{entry.name}(")
    if entry.kind == "schedule":
        assert rv.schedule(recipe).recipe.startswith(entry.name)
    elif entry.kind == "rule":
        assert entry.name in rv.Optimizer(recipe, [np.ones((2, 2))]).recipe


@ALL
def test_the_defaults_of_the_signature_are_those_of_the_library(entry: rv.Entry) -> None:
    defaults = {p.name: p.default for p in entry.parameters if not p.required}
    plain = getattr(rv, entry.name)(**arguments(entry))
    full = getattr(rv, entry.name)(**arguments(entry), **defaults)
    if entry.kind == "schedule":
        assert rv.schedule(plain).recipe == rv.schedule(full).recipe
    elif entry.kind == "rule":
        made = [rv.Optimizer(recipe, [np.ones((2, 2))]).recipe for recipe in (plain, full)]
        assert made[0] == made[1]


@ALL
def test_names_are_python_names(entry: rv.Entry) -> None:
    assert entry.name not in rv.__all__ and not entry.name.startswith("_")
    for name in [entry.name, *(parameter.name for parameter in entry.parameters)]:
        assert name.isidentifier() and not keyword.iskeyword(name)


@ALL
def test_an_unknown_keyword_names_the_nearest(entry: rv.Entry) -> None:
    if not entry.parameters:
        with pytest.raises(rv.UsageError, match=f"{entry.name} has no parameter 'x'"):
            getattr(rv, entry.name)(x=1)
        return
    known = entry.parameters[0].name
    with pytest.raises(rv.UsageError, match=f"no parameter '{known}x'.*{known}") as caught:
        getattr(rv, entry.name)(**{known + "x": 1})
    assert isinstance(caught.value, TypeError)


def test_arguments_are_written_as_they_were_given() -> None:
    assert str(rv.adamw(1e-3, weight_decay=0)) == "adamw(0.001, weight_decay=0)"
    assert str(rv.cosine(0.1, steps=100)) == "cosine(0.1, steps=100)"
    assert str(rv.multistep(0.1, at=(5, 20))) == "multistep(0.1, at=(5, 20))"
    assert str(rv.multistep(0.1, at=np.array([5, 20]))) == "multistep(0.1, at=(5, 20))"
    assert str(rv.sgd(lr=np.float64(0.1), nesterov=True)) == "sgd(lr=0.1, nesterov=true)"
    assert str(rv.sgd(rv.cosine(1, steps=5))) == "sgd(cosine(1, steps=5))"
    assert str(rv.sgd(float("inf"))) == "sgd(inf)"
    assert repr(rv.clip_norm(1)) == "clip_norm(1)"


def test_an_evaluated_schedule_is_a_value_too() -> None:
    schedule = rv.schedule(rv.cosine(0.1, steps=100))
    assert str(rv.sgd(schedule)) == f"sgd({schedule.recipe})"


def test_mistakes_in_a_call() -> None:
    with pytest.raises(rv.UsageError, match="twice"):
        rv.adamw(0.1, lr=0.2)
    with pytest.raises(rv.UsageError, match="positional"):
        rv.clip_norm(*range(20))
    with pytest.raises(rv.UsageError, match="cosine needs"):
        rv.cosine()
    with pytest.raises(rv.UsageError, match="adamw: lr is a NoneType"):
        rv.adamw(lr=None)
    with pytest.raises(rv.UsageError, match="complex"):
        rv.adamw(lr=1j)


def test_a_word_may_be_a_number() -> None:
    for p in ("2", 2, 2.0, np.float32(2)):
        assert str(rv.clip_norm(1, p=p)).startswith("clip_norm(1, p=2")
        assert "p=2" in rv.Optimizer(rv.clip_norm(1, p=p) | rv.sgd(0.1), [np.ones(1)]).recipe
    assert str(rv.clip_norm(1, p=float("inf"))) == "clip_norm(1, p=inf)"
    with pytest.raises(rv.ArgumentError, match="clip_norm: p is 3"):
        rv.clip_norm(1, p=3)


def test_a_wrong_word_names_the_right_ones() -> None:
    for entry in ENTRIES:
        for parameter in entry.parameters:
            if parameter.kind == "word":
                with pytest.raises(rv.ArgumentError, match=parameter.words[0]):
                    getattr(rv, entry.name)(**arguments(entry), **{parameter.name: "wordx"})
                with pytest.raises(rv.ArgumentError):
                    getattr(rv, entry.name)(**arguments(entry), **{parameter.name: 0.25})


def test_stages_join() -> None:
    both = "clip_norm(1) | adamw(0.1)"
    assert str(rv.clip_norm(1) | rv.adamw(0.1)) == both
    assert str("clip_norm(1)" | rv.adamw(0.1)) == both
    assert str(rv.clip_norm(1) | "adamw(0.1)") == both
    assert (rv.clip_norm(1) | rv.adamw(0.1)) == rv.Recipe(both)
    assert hash(rv.Recipe(both)) == hash(rv.Recipe(rv.Recipe(both)))
    assert rv.Recipe(both) != both
    with pytest.raises(TypeError):
        rv.clip_norm(1) | 3  # type: ignore[operator]
    with pytest.raises(TypeError):
        3 | rv.clip_norm(1)  # type: ignore[operator]
    with pytest.raises(rv.UsageError, match="int"):
        rv.Recipe(3)  # type: ignore[arg-type]


def test_clauses() -> None:
    base = rv.sgd(0.1)
    assert str(base.clause("*.bias", momentum=0)) == "sgd(0.1); *.bias: momentum=0"
    assert str(base.clause(["a.*", "b"], lr=rv.times(0.5))) == "sgd(0.1); a.*, b: lr=x0.5"
    assert str(base.clause("e.*", rv.adamw(0.2))) == "sgd(0.1); e.*: adamw(0.2)"
    assert str(base.clause("e.*", "adamw(0.2)")) == "sgd(0.1); e.*: adamw(0.2)"
    assert str(base.clause("head.*", frozen=True)) == "sgd(0.1); head.*: frozen"
    assert repr(rv.times(10)) == "x10"


def test_clauses_stay_at_the_end_when_stages_join() -> None:
    recipe = rv.clip_norm(1).clause("a", momentum=0) | rv.sgd(0.1).clause("b", frozen=True)
    assert str(recipe) == "clip_norm(1) | sgd(0.1); a: momentum=0; b: frozen"


def test_comments_do_not_swallow_what_follows() -> None:
    clip = rv.Recipe("clip_norm(1) # ; not a clause")
    opt = rv.Optimizer(
        (clip | "sgd(0.1) # rate").clause("b", frozen=True), {"a": np.ones(2), "b": np.ones(2)}
    )
    assert opt.get("clip_norm.max") == 1
    assert opt.get("lr") == 0.1
    opt.step({"a": np.ones(2), "b": np.ones(2)})
    assert opt.steps("a") == 1


def test_wrong_clauses() -> None:
    for arguments in [{}, {"frozen": False}, {"frozen": True, "lr": 1}]:
        with pytest.raises(rv.UsageError):
            rv.sgd(0.1).clause("a", **arguments)
    with pytest.raises(rv.UsageError):
        rv.sgd(0.1).clause("a", "frozen", lr=1)
    with pytest.raises(rv.UsageError):
        rv.times("a")  # type: ignore[arg-type]


@given(st.floats(allow_nan=False))
def test_a_number_survives_the_text(number: float) -> None:
    text = str(rv.sgd(number))
    assert float(text.removeprefix("sgd(").removesuffix(")")) == number


@given(st.floats(min_value=1e-300, max_value=1e300))
def test_a_number_survives_the_library(number: float) -> None:
    assert rv.schedule(number)(0) == number
    assert rv.Optimizer(rv.sgd(number), [np.ones(1)]).get("lr") == number


def test_recipes_are_values() -> None:
    recipe = rv.clip_norm(1) | rv.sgd(0.1)
    assert pickle.loads(pickle.dumps(recipe)) == recipe == copy.deepcopy(recipe)
