"""Linear combinations of coefficients, one by one."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t
from wald_reference import fitted

from skmixed import PooledRegressor, RandomInterceptClassifier
from skmixed.inference import contrast_frame, wald_test

PAIRS = {
    "b - a": {"arm_b": 1},
    "c - a": {"arm_c": 1},
    "c - b": {"arm_c": 1, "arm_b": -1},
}


@pytest.mark.parametrize("df_method", ["satterthwaite", "kenward-roger", "normal"])
def test_each_contrast_is_a_test_of_its_own(df_method):
    model = fitted("design")
    frame = contrast_frame(model, PAIRS, df_method=df_method, level=0.9)
    for name, weights in PAIRS.items():
        test, row = wald_test(model, {name: weights}, df_method=df_method), frame.loc[name]
        assert row["t"] ** 2 == pytest.approx(test.statistic)
        assert row["p_value"] == pytest.approx(test.p_value)
        assert row["df"] == pytest.approx(test.df_denom)
        half = t.isf(0.05, row["df"]) * row["std_error"]
        assert row["upper"] - row["estimate"] == pytest.approx(half)
    between = frame["estimate"]
    assert between["c - b"] == pytest.approx(between["c - a"] - between["b - a"])
    assert frame.index.name == "contrast"


def test_a_coefficient_is_as_in_the_table():
    model = fitted("design")
    frame = contrast_frame(model, list(model[-1].coef_cov_.index))
    pd.testing.assert_frame_equal(
        frame, model[-1].fixed_effects_frame(), check_names=False, rtol=1e-10
    )


def test_several_contrasts_are_adjusted():
    model = fitted("design")
    plain, holm, bonferroni = (
        contrast_frame(model, PAIRS, adjust=adjust) for adjust in (None, "holm", "bonferroni")
    )
    p = plain["p_value"].to_numpy()
    np.testing.assert_allclose(bonferroni["p_value"], np.minimum(3 * p, 1))
    rank = p.argsort().argsort()
    steps = np.maximum.accumulate(np.sort(p) * [3, 2, 1]).clip(max=1)
    np.testing.assert_allclose(holm["p_value"], steps[rank])
    wider = contrast_frame(model, PAIRS, level=1 - 0.05 / 3)
    for adjusted in (holm, bonferroni):
        np.testing.assert_allclose(adjusted["upper"], wider["upper"])


def test_regressions_and_outcomes():
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(120, 2)), columns=["a", "b"])
    groups = np.repeat(np.arange(12), 10)
    y = X["a"] + rng.normal(size=12)[groups] + rng.normal(size=120)
    pooled = contrast_frame(PooledRegressor().fit(X, y), {"a + b": {"a": 1, "b": 1}})
    assert pooled.loc["a + b", "df"] == 117
    model = RandomInterceptClassifier().fit(X, y > 0, groups=groups)
    binary = contrast_frame(model, {"a + b": {"a": 1, "b": 1}})
    assert list(binary.columns) == ["estimate", "std_error", "z", "p_value", "lower", "upper"]
    C = model.coef_cov_.to_numpy()[1:, 1:]
    assert binary.loc["a + b", "std_error"] == pytest.approx(np.sqrt(C.sum()))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"level": 95}, "'level' parameter of contrast_frame"),
        ({"adjust": "tukey"}, "'adjust' parameter of contrast_frame"),
        ({"df_method": "kr"}, "`df_method` must be one of"),
        ({"contrasts": {"b": {"arm": 1}}}, r"`contrasts` must name coefficients .*\['arm'\]"),
        ({"contrasts": {"b": {"arm_b": 0}}}, "`contrasts` must have a weight that is not 0"),
    ],
)
def test_bad_input(options, message):
    with pytest.raises(ValueError, match=message):
        contrast_frame(fitted("design"), **{"contrasts": PAIRS, **options})
