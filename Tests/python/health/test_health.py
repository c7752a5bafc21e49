"""Verdicts on real trainings: the sick are named with their place, the healthy are left alone, and
nothing depends on the scale of the loss, the order, the cut or the type of the tensors."""

from __future__ import annotations

import numpy as np
import pytest
from cases import HEALTHY, SICK
from tape import permuted, places, report, scaled, split, tape, verdicts, widened

ALL = [*SICK, *HEALTHY]


def named(case):
    return case.__name__


@pytest.mark.parametrize("case", SICK, ids=named)
def test_a_sick_training_is_named_with_its_place(case):
    code, where = SICK[case]
    found = [f for f in report(case).findings if f.code == code]
    assert found, str(report(case))
    assert where in found[0].where, str(report(case))
    assert found[0].severity != "note" or case.__name__ == "bouncing", str(report(case))
    assert found[0].advice and found[0].source and found[0].evidence


@pytest.mark.parametrize("case", HEALTHY, ids=named)
def test_a_healthy_training_has_nothing_above_a_note(case):
    assert report(case).severity in (None, "note"), str(report(case))


def test_the_step_index_and_value_of_a_nan_are_told():
    from cases import poisoned

    finding = report(poisoned).findings[0]
    assert finding.code == "non_finite" and finding.severity == "severe"
    assert finding.where == "the gradient of fc1.weight"
    assert finding.measured["step"] == 37 and finding.measured["index"] == 123
    rows = report(poisoned).to_dict()["recorder"]
    assert rows["event"] == "non_finite"
    assert [row["step"] for row in rows["steps"]] == list(range(16, 38))
    assert rows["steps"][-1]["nonfinite"] == 1


def test_a_recurrent_network_is_told_its_gain_and_its_horizon():
    from cases import short_memory

    finding = next(f for f in report(short_memory).findings if f.code == "vanishing_through_time")
    gain = finding.measured["gain_per_step"]
    levels = np.zeros(50)
    for record in tape(short_memory).steps[-1][0]:
        if record[4] is not None:
            levels[record[4]] = np.sqrt(np.mean(record[1].astype(float) ** 2))
    assert gain == pytest.approx((levels[10] / levels[40]) ** (1 / 30), rel=0.1)
    assert finding.measured["horizon"] == pytest.approx(np.log(100) / -np.log(gain))
    assert finding.measured["half_life"] == pytest.approx(np.log(2) / -np.log(gain))
    assert finding.measured["length"] == 50
    share = levels[45:].sum() / levels.sum()
    assert finding.measured["share_of_last_tenth"] == pytest.approx(share, abs=0.02)


@pytest.mark.parametrize("factor", [1e6, 1e-6])
@pytest.mark.parametrize("case", ALL, ids=named)
def test_the_scale_of_the_loss_does_not_matter(case, factor):
    changed = tape(case).play(scaled(factor), loss=factor)
    assert places(changed) == places(report(case)), str(changed)


@pytest.mark.parametrize("case", ALL, ids=named)
def test_the_order_of_tensors_does_not_matter(case):
    assert verdicts(tape(case).play(permuted)) == verdicts(report(case))


@pytest.mark.parametrize("case", ALL, ids=named)
def test_where_tensors_are_cut_does_not_matter(case):
    changed = set(verdicts(tape(case).play(split)))
    was = set(verdicts(report(case)))
    # Halves have ratios and shares of their own: what is a note of some may become one of others.
    grave = {v for v in was | changed if v[1] != "note"}
    assert {v for v in changed if v in grave} == {v for v in was if v in grave}


@pytest.mark.parametrize("case", ALL, ids=named)
def test_the_type_does_not_matter(case):
    assert places(tape(case).play(widened)) == places(report(case))
