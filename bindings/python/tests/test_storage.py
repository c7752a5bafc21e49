"""How parameters and moments are stored: master, kahan, stochastic_rounding, moments=bf16 and 8bit."""

import ml_dtypes
import numpy as np
import pytest
import ravine as rv

BF16, F16 = ml_dtypes.bfloat16, np.float16
HALVES = pytest.mark.parametrize("dtype", [BF16, F16], ids=["bf16", "f16"])
KEPT = pytest.mark.parametrize("stage", ["master", "kahan"])
PACKED = pytest.mark.parametrize("moments", ["bf16", "8bit"])


def rounded(x, dtype, **options):
    """What stochastic_rounding stores of numbers."""
    w = np.zeros(len(x), dtype)
    opt = rv.Optimizer(rv.sgd(1) | rv.stochastic_rounding(**options), {"w": w}, grad_dtype="f4")
    opt.step({"w": -np.asarray(x, np.float32)})
    return w


# ---- stochastic rounding -------------------------------------------------------------------------


@HALVES
@pytest.mark.parametrize("x", [1.001, -3.1416, 65.53, 3.3e-6, -1e-7, 2e-8, 6.2e-5])
def test_it_rounds_to_a_neighbour_and_the_mean_is_right(dtype, x):
    x = np.float32(x)
    got = rounded(np.full(100_000, x), dtype).astype(np.float64)
    values = np.unique(got)
    below, above = values[0], values[-1]
    assert len(values) == 2 and below < x < above
    assert above == np.nextafter(dtype(below), dtype(np.inf)).astype(np.float64)
    share = (np.float64(x) - below) / (above - below)
    error = (got.mean() - x) / (above - below)
    assert abs(error) < 5 * np.sqrt(share * (1 - share) / len(got)) + 2**-16


@HALVES
def test_numbers_of_the_type_stay_and_ends_are_ends(dtype):
    largest = float(ml_dtypes.finfo(dtype).max)
    tiny = float(ml_dtypes.finfo(dtype).smallest_subnormal)
    exact = np.array([0.0, 1.0, -1.5, largest, -largest, tiny, -3 * tiny, np.inf, -np.inf])
    for seed in range(20):
        np.testing.assert_array_equal(rounded(exact, dtype, seed=seed).astype(np.float64), exact)
    assert np.isnan(rounded([np.nan], dtype)[0])
    # What is nearer to the largest number than to the next one that there would be, is not infinite.
    step = largest - float(np.nextafter(dtype(largest), dtype(0)))
    near, far = np.full(999, largest + 0.49 * step), np.full(999, largest + 0.51 * step)
    assert (rounded(near, dtype).astype(np.float64) == largest).all()
    assert np.isinf(rounded(far, dtype).astype(np.float64)).all()


def test_numbers_depend_on_seed_name_place_and_step():
    x = np.full(4096, 1.003, np.float32)
    one = rounded(x, BF16)
    np.testing.assert_array_equal(one, rounded(x, BF16))
    assert (one != rounded(x, BF16, seed=1)).mean() > 0.2
    params = {name: np.zeros(4096, BF16) for name in ("w", "v")}
    opt = rv.Optimizer("sgd(1) | stochastic_rounding", params, grad_dtype="f4")
    opt.step({"w": -x, "v": -x})
    np.testing.assert_array_equal(params["w"], one)
    assert (params["v"] != one).mean() > 0.2
    params["w"][:] = 0
    opt.step({"w": -x})
    assert (params["w"] != one).mean() > 0.2
    assert abs(np.corrcoef(one[:-1].astype(float), one[1:].astype(float))[0, 1]) < 0.08


# ---- what is kept beside the parameters ----------------------------------------------------------


@HALVES
def test_small_updates_add_up(dtype):
    """To nearest all of them are lost; the others come to what Float32 comes to."""
    lost = 2.0**-12 if dtype == BF16 else 2.0**-15
    end = {}
    for stage in ("", " | master", " | kahan", " | stochastic_rounding"):
        w = np.ones(2000, dtype)
        opt = rv.Optimizer(f"sgd(1){stage}", {"w": w}, grad_dtype="f4")
        for _ in range(200):
            opt.step({"w": np.full(2000, lost, np.float32)})
        end[stage] = w.astype(np.float64)
    unit, exact = float(ml_dtypes.finfo(dtype).eps), 1 - 200 * lost
    assert (end[""] == 1).all()
    assert abs(end[" | master"] - exact).max() <= unit / 4
    np.testing.assert_array_equal(end[" | kahan"], end[" | master"])
    noise = end[" | stochastic_rounding"]
    assert abs(noise.mean() - exact) < unit / 5 and noise.std() > 0


@KEPT
@HALVES
def test_a_parameter_that_was_changed_is_taken_as_it_is(stage, dtype):
    w = np.linspace(1, 2, 1100).astype(dtype)
    opt = rv.Optimizer(f"sgd(1) | {stage}", {"w": w}, grad_dtype="f4")
    g = np.full(1100, 2.0**-13, np.float32)
    for _ in range(5):
        opt.step({"w": g})
    w[7], w[1099], w[3] = -40, 0, np.nan
    opt.step({"w": np.zeros(1100, np.float32)})
    assert (w[7], w[1099]) == (-40, 0) and np.isnan(w[3])
    kept = opt.state("w")[{"master": "master", "kahan": "compensation"}[stage]]
    true = kept if stage == "master" else w.astype(np.float32) + kept
    # Of a compensation may be left what is below the new parameter's own rounding.
    assert true[1099] == 0 and abs(true[7] + 40) <= (0 if stage == "master" else 2.0**-9)
    before = np.linspace(1, 2, 1100).astype(dtype).astype(np.float64)
    others = np.delete(np.arange(1100), [3, 7, 1099])
    assert abs(true - (before - 5 * 2.0**-13))[others].max() < 2.0**-16


@pytest.mark.parametrize("stage", ["master", "kahan", "stochastic_rounding"])
def test_wider_types_are_stored_as_they_are(stage):
    for dtype in (np.float32, np.float64):
        a, b = np.linspace(-1, 1, 50).astype(dtype), np.linspace(-1, 1, 50).astype(dtype)
        plain = rv.Optimizer("adamw(0.01)", {"w": a})
        stored = rv.Optimizer(f"adamw(0.01) | {stage}", {"w": b})
        for _ in range(3):
            plain.step({"w": a.copy()}), stored.step({"w": b.copy()})
        np.testing.assert_array_equal(a, b)
        assert stored.slots("w") == plain.slots("w")


@pytest.mark.parametrize("dtype", [BF16, F16, np.float32], ids=["bf16", "f16", "f32"])
@pytest.mark.parametrize("moments", ["full", "bf16", "8bit"])
@pytest.mark.parametrize("stage", ["", " | master", " | kahan", " | stochastic_rounding(seed=3)"])
def test_a_second_gradient_does_not_change_how_they_are_stored(stage, moments, dtype):
    """What sam moves it puts back, with all that is kept beside it: two calls are one step."""
    rule = f"adamw(0.003, moments={moments}){stage}"
    a = np.linspace(-1, 1, 1300).astype(dtype)
    b = a.copy()
    twice = rv.Optimizer("sam(0.05) | " + rule, {"w": a}, grad_dtype="f4")
    once = rv.Optimizer(rule, {"w": b}, grad_dtype="f4")
    random = np.random.default_rng(0)
    for _ in range(4):
        uphill, g = random.normal(size=(2, 1300)).astype(np.float32)
        assert twice.step({"w": uphill}).skipped == 4
        assert twice.step({"w": g}) == once.step({"w": g})
        np.testing.assert_array_equal(a, b)
        for slot in once.slots("w"):
            np.testing.assert_array_equal(twice.state("w")[slot], once.state("w")[slot])


@HALVES
def test_matrices_are_stepped_from_their_master_copy(dtype):
    random = np.random.default_rng(1)
    narrow = random.normal(size=(24, 40)).astype(dtype)
    wide = narrow.astype(np.float32)
    stored = rv.Optimizer("muon(0.02) | master", {"w": narrow}, grad_dtype="f4")
    plain = rv.Optimizer("muon(0.02)", {"w": wide})
    for _ in range(5):
        g = random.normal(size=(24, 40)).astype(np.float32)
        stored.step({"w": g}), plain.step({"w": g})
    np.testing.assert_array_equal(stored.state("w")["master"], wide)
    np.testing.assert_array_equal(narrow, wide.astype(dtype))


def test_stages_behind_the_rule_see_what_is_not_rounded_yet():
    w = np.ones(5, BF16)
    opt = rv.Optimizer("sgd(1) | master | ema(0)", {"w": w}, grad_dtype="f4")
    report = opt.step({"w": np.full(5, 2.0**-12, np.float32)})
    np.testing.assert_array_equal(opt.average()["w"], np.full(5, 1 - 2.0**-12))
    assert report.update_norm == pytest.approx(2.0**-12 * np.sqrt(5)) and (w == 1).all()


def test_parameters_are_stored_in_one_way():
    with pytest.raises(rv.RecipeError, match="1:16: kahan is a second way to store parameters"):
        rv.Optimizer("sgd | master | kahan", [np.ones(1, BF16)])
    with pytest.raises(rv.RecipeError, match="stands behind the rule"):
        rv.Optimizer("master | sgd", [np.ones(1, BF16)])


# ---- moments -------------------------------------------------------------------------------------


def dynamic_map(signed):
    """create_dynamic_map of bitsandbytes 0.50, for 8 bits."""
    data = [0.0, 1.0]
    for i in range(7):
        edges = np.linspace(0.1, 1, 2**i + 1 if signed else 2 ** (i + 1) + 1)
        means = 10.0 ** (i - 6) * (edges[:-1] + edges[1:]) / 2
        data += [*means, *(-means if signed else ())]
    return np.sort(data)


@pytest.mark.parametrize("slot, signed", [("m", True), ("v", False)])
def test_eight_bits_are_the_nearest_of_the_published_map(slot, signed):
    random = np.random.default_rng(0)
    x = (random.normal(size=3000) * 10.0 ** random.uniform(-7, 2, 3000)).astype(np.float32)
    x = x if signed else abs(x)
    opt = rv.Optimizer("adam(moments=8bit)", {"w": np.zeros(3000, np.float32)})
    opt.step({"w": np.zeros(3000, np.float32)})
    opt.set_state("w", slot, x)
    got = opt.state("w")[slot]
    values = dynamic_map(signed)
    for start in range(0, 3000, 256):
        part = x[start : start + 256].astype(np.float64)
        scale = abs(part).max()
        near = np.abs(part[:, None] / scale - values).min(axis=1)
        ours = abs(part - got[start : start + 256]) / scale
        lifted = (part > 0) & (got[start : start + 256] == np.float32(scale * values[1]))
        assert (ours - near)[signed | ~lifted].max() < 1e-6
        if not signed:
            assert (got[start : start + 256] > 0).all()  # never the end of a denominator
    if signed:
        return  # the map has no -1
    opt.set_state("w", slot, got)
    np.testing.assert_allclose(opt.state("w")[slot], got, rtol=1e-6)  # a fixed point


def test_a_nan_makes_its_group_nan_and_infinity_is_the_largest():
    opt = rv.Optimizer("adam(moments=8bit)", {"w": np.zeros(600, np.float32)})
    opt.step({"w": np.ones(600, np.float32)})
    largest = np.finfo(np.float32).max
    for bad, told in ((np.nan, np.nan), (np.inf, largest), (-np.inf, -largest)):
        x = np.ones(600)
        x[300] = bad
        opt.set_state("w", "m", x)
        got = opt.state("w")["m"]
        np.testing.assert_array_equal(np.delete(got, np.s_[256:512]), 1)
        np.testing.assert_allclose(got[300], told, rtol=0.01)
        np.testing.assert_array_equal(np.delete(got[256:512], 44), np.nan if bad != bad else 0)


def test_a_mean_in_bf16_falls_as_it_should():
    """To nearest, 0.999 v would be v again."""
    opt = rv.Optimizer("adam(0, moments=bf16)", {"w": np.zeros(4000, np.float32)})
    opt.step({"w": np.ones(4000, np.float32)})
    for _ in range(999):
        opt.step({"w": np.zeros(4000, np.float32)})
    v = opt.state("w")["v"].astype(np.float64)
    assert v.mean() == pytest.approx(1e-3 * 0.999**999, rel=0.01)


@PACKED
@pytest.mark.parametrize("dtype", [np.float32, np.float64, BF16, F16])
@pytest.mark.parametrize("rule", [r.name for r in rv.catalog("rule")])
def test_packed_moments_come_close(rule, dtype, moments):
    """One step from an even start is the same; after many the numbers are near."""
    entry = next(e for e in rv.catalog() if e.name == rule)
    if "moments" not in [p.name for p in entry.parameters]:
        pytest.skip(f"{rule} has no moments")
    target = np.linspace(-1, 1, 700)
    ends = []
    for words in ("full", moments):
        w = np.zeros(700, dtype)
        opt = rv.Optimizer(f"{rule}(0.02, moments={words})", {"w": w})
        if entry.needs == "curvature":
            opt.curvature(diagonal={"w": np.ones(700, dtype)})
        for _ in range(200):
            opt.step({"w": (w.astype(np.float64) - target).astype(dtype)})
        ends.append(np.sqrt(np.mean((w.astype(np.float64) - target) ** 2)))
    assert ends[1] < ends[0] * 1.2 + 0.05, ends


def test_the_plan_tells_types_and_bytes():
    plan = rv.Optimizer(
        "adamw(moments=8bit) | master; b: moments=bf16",
        {"w": np.zeros(1000, BF16), "b": np.zeros(7, np.float64)},
    ).plan()
    assert "state m (8 bits) v (8 bits) master, 6080 bytes" in plan  # 2 (1008 + 4 x 4) + 4 x 1008
    assert "state m (BF16) v (BF16), 64 bytes" in plan


@PACKED
def test_how_moments_are_stored_is_fixed_at_prepare(moments):
    w = np.ones(20, np.float32)
    opt = rv.Optimizer("adam(0.1)", {"w": w})
    opt.step({"w": w.copy()})
    state = opt.state("w")["m"]
    with pytest.raises(rv.StateError, match="'m' of 'w' lies in F32 already"):
        opt.override("w", moments=moments)
    with pytest.raises(rv.ArgumentError, match="word"):
        opt.set("moments", 1)
    np.testing.assert_array_equal(opt.state("w")["m"], state)
    opt.override("w", f"sgd(0.1, momentum=0.9, moments={moments})")  # another rule begins anew
    opt.step({"w": w.copy()})


@PACKED
def test_checkpoints_are_of_one_layout(moments, tmp_path):
    def made(words):
        w = np.linspace(-1, 1, 777).astype(np.float32)
        return w, rv.Optimizer(f"adam(0.1, moments={words})", {"w": w})

    w, opt = made(moments)
    for _ in range(3):
        opt.step({"w": w.copy()})
    opt.save(tmp_path / "packed")
    _, full = made("full")
    with pytest.raises(rv.MismatchError, match="different state/w/m: file (BF16|U8)"):
        full.load(tmp_path / "packed")
    again, other = made(moments)
    other.load(tmp_path / "packed")
    for _ in range(3):
        opt.step({"w": w.copy()}), other.step({"w": again.copy()})
    np.testing.assert_array_equal(w, again)
    _, full = made("full")
    full.save(tmp_path / "full")
    with pytest.raises(rv.MismatchError, match="here (BF16|U8)"):
        other.load(tmp_path / "full")


def test_empty_and_single():
    for recipe in ("adam(0.1, moments=8bit) | master", "adam(0.1, moments=bf16) | kahan"):
        params = {"none": np.zeros((3, 0), BF16), "one": np.ones((), BF16)}
        opt = rv.Optimizer(recipe, params)
        opt.step({"none": np.zeros((3, 0), BF16), "one": np.ones((), BF16)})
        assert float(params["one"]) == pytest.approx(0.9, rel=0.01)
        assert opt.state("none")["m"].shape == (3, 0) and opt.state("one")["m"].shape == ()
        opt.set_state("none", "m", np.zeros((3, 0)))


# ---- rows ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "recipe",
    [
        "adam(0.1, moments=bf16)",
        "adam(0.1, moments=8bit)",
        "sgd(0.01) | master",
        "sgd(0.01) | kahan",
        "sgd(0.01) | stochastic_rounding",
    ],
)
def test_all_rows_are_the_whole_tensor(recipe):
    ends = []
    for by_rows in (False, True):
        w = np.linspace(-1, 1, 20 * 512).astype(BF16).reshape(20, 512)
        opt = rv.Optimizer(recipe, {"w": w}, grad_dtype="f4")
        for step in range(3):
            g = np.cos(np.arange(20 * 512, dtype=np.float32) + step).reshape(20, 512)
            opt.step_rows("w", np.arange(20), g) if by_rows else opt.step({"w": g})
        ends.append([w.tobytes(), *(a.tobytes() for a in opt.state("w").values())])
    assert ends[0] == ends[1]


@PACKED
def test_other_rows_stay_as_they_are(moments):
    w = np.ones((6, 256), BF16)
    opt = rv.Optimizer(f"adam(0.1, moments={moments}) | master", {"w": w}, grad_dtype="f4")
    opt.step({"w": np.ones((6, 256), np.float32)})
    before = {slot: a.copy() for slot, a in opt.state("w").items() if slot != "step"}
    opt.step_rows("w", [4, 1], np.full((2, 256), 3, np.float32))
    for slot, array in before.items():
        changed = (opt.state("w")[slot] != array).any(axis=1)
        np.testing.assert_array_equal(changed, [False, True, False, False, True, False])


def test_rows_that_share_a_scale_are_refused():
    w = np.ones((6, 100), np.float32)
    opt = rv.Optimizer("adam(0.1, moments=8bit)", {"w": w})
    with pytest.raises(rv.UnsupportedError, match="give it moments=bf16 by a clause"):
        opt.step_rows("w", [0], np.ones((1, 100), np.float32))
    assert (w == 1).all()


def test_rows_of_one_rule_and_then_of_another():
    """Memory for the state of three slots serves a tensor that has one, and nothing behind it."""
    params = {"a": np.ones((4, 8), np.float32), "b": np.ones((4, 8), np.float32)}
    opt = rv.Optimizer("adam(0.1, amsgrad=1); b: sgd(0.1, momentum=0.9)", params)
    for _ in range(3):
        for name in params:
            opt.step_rows(name, [1, 3], np.ones((2, 8), np.float32))
    assert (params["b"][[0, 2]] == 1).all() and (params["b"][[1, 3]] < 1).all()
