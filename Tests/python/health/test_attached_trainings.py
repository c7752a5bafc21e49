"""Verdicts of a monitor that is attached to the optimizer of real trainings."""

from __future__ import annotations

import numpy as np
import pytest
from attached import Attached, attached
from cases import HEALTHY, SICK, SICK_STEPS, diverging, half_precision, healthy_digits, poisoned
from tape import places, report, verdicts

EITHER = {**SICK, **SICK_STEPS}
ALL = [*EITHER, *HEALTHY]


def named(case):
    return case.__name__


def grave(found, *without):
    found = [f for f in found.findings if f.severity != "note" and f.code not in without]
    return {(f.code, f.severity) for f in found}


@pytest.mark.parametrize("case", EITHER, ids=named)
def test_a_sick_training_is_named_with_its_place(case):
    code, where = EITHER[case]
    found = [f for f in attached(case).findings if f.code == code]
    assert found, str(attached(case))
    assert where in found[0].where, str(attached(case))
    assert found[0].severity != "note" or case.__name__ == "bouncing", str(attached(case))


@pytest.mark.parametrize("case", HEALTHY, ids=named)
@pytest.mark.parametrize("every", [4, 16])
def test_a_healthy_training_has_nothing_above_a_note(case, every):
    assert attached(case, every=every).severity in (None, "note"), str(attached(case, every=every))


@pytest.mark.parametrize("case", SICK, ids=named)
def test_what_is_recorded_by_hand_gives_the_same_verdict(case):
    code, _ = SICK[case]
    by_hand = {f.severity for f in report(case).findings if f.code == code}
    assert {f.severity for f in attached(case).findings if f.code == code} & by_hand


def test_a_guarded_step_is_told_with_its_place():
    found = attached(poisoned)
    finding = found.findings[0]
    assert finding.code == "non_finite" and finding.where == "the gradient of fc1.weight"
    assert finding.measured["step"] == 37 and finding.measured["index"] == 123
    assert [row["step"] for row in found.to_dict()["recorder"]["steps"]] == list(range(16, 38))
    assert found.to_dict()["summary"]["watched"]["guarded"] == 1


def test_clipping_is_counted():
    watched = attached(healthy_digits, every=16).to_dict()["summary"]["watched"]
    assert watched["updates"] == 300 and watched["sampled"] == 19
    assert 0 < watched["clipped"] < 300


@pytest.mark.parametrize("case", ALL, ids=named)
@pytest.mark.parametrize("factor", [2.0**20, 2.0**-20])  # exact, for trainings that are chaotic
def test_the_scale_of_the_loss_does_not_matter(case, factor):
    changed = attached(case, scale=factor)
    assert verdicts(changed) == verdicts(attached(case)), str(changed)


@pytest.mark.parametrize("case", ALL, ids=named)
def test_the_order_of_tensors_does_not_matter(case):
    changed = attached(case, permuted=True)
    assert grave(changed) == grave(attached(case)), str(changed)


@pytest.mark.parametrize("case", ALL, ids=named)
def test_where_tensors_are_cut_does_not_matter(case):
    changed = attached(case, cut=True)
    # Halves have shares of their own.
    own = "swallowed"
    assert grave(changed, own) == grave(attached(case), own), str(changed)


@pytest.mark.parametrize("case", [c for c in ALL if c is not half_precision], ids=named)
def test_the_type_does_not_matter(case):
    changed = attached(case, dtype=np.float64)
    # The type of the parameters is what decides on these: what rounding swallows, and what overflows.
    own = "swallowed", "non_finite" if case is diverging else ""
    assert grave(changed, *own) == grave(attached(case), *own), str(changed)


@pytest.mark.parametrize("case", [poisoned, healthy_digits], ids=named)
def test_threads_do_not_matter(case):
    one, two = (Attached(threads=n) for n in (1, 2))
    case(one), case(two)
    assert places(one.monitor.report()) == places(two.monitor.report())
    assert one.monitor.report().to_json() == two.monitor.report().to_json()
