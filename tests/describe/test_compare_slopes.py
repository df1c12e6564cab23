"""Slopes within groups against those between: Hausman's test in Mundlak's form."""

import numpy as np
import pandas as pd
import pytest
import sklearn
from scipy.stats import f, t
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmixed import RandomInterceptRegressor, RandomSlopeRegressor
from skmixed.datasets import load_hsb, load_sleepstudy, make_mixed_regression
from skmixed.inference import compare_slopes
from skmixed.preprocessing import WithinBetween


def make_frame(n_groups=40, *, contextual=0.0, balanced=False, seed=0):
    """Two level-1 features and one of level 2; the first has a contextual effect."""
    rng = np.random.default_rng(seed)
    X, y, groups = make_mixed_regression(
        8 * n_groups, 2, n_groups, coef=[1, -1], balanced=balanced, random_state=seed
    )
    means = rng.standard_normal((n_groups, 3))
    frame = pd.DataFrame(X + means[groups, :2], columns=["a", "b"])
    frame["level_2"] = means[groups, 2]
    y = y + means[groups, :2] @ [1 + contextual, -1] + 0.5 * frame["level_2"]
    return frame.assign(site=groups), y


def split_model(**options):
    return make_pipeline(
        WithinBetween(group_by="site"), RandomInterceptRegressor(group_by="site", **options)
    )


def in_two_regressions(X, y, groups, psi):
    """Slopes and their covariances within and between groups, row by row.

    The last column of X does not vary within groups.
    """
    means = pd.DataFrame(X).groupby(groups).transform("mean").to_numpy()
    own = pd.Series(y).groupby(groups).transform("mean").to_numpy()
    n, J = len(y), len(np.unique(groups))
    D, v = (X - means)[:, :-1], y - own
    within = np.linalg.lstsq(D, v)[0]
    cov_within = np.linalg.inv(D.T @ D) * ((v - D @ within) ** 2).sum() / (n - J - D.shape[1])
    sizes = pd.Series(groups).groupby(groups).transform("size").to_numpy()
    root = np.sqrt(1 / (1 + psi * sizes))[:, None]
    B, u = root * np.column_stack([np.ones(n), means]), root[:, 0] * own
    between = np.linalg.lstsq(B, u)[0]
    rest = ((u - B @ between) ** 2).sum() / (J - B.shape[1])
    return within, between[1:-1], cov_within, np.linalg.inv(B.T @ B)[1:-1, 1:-1] * rest


@pytest.mark.parametrize("balanced", [True, False])
@pytest.mark.parametrize("method", ["reml", "ml"])
def test_slopes_are_those_of_two_regressions(balanced, method):
    frame, y = make_frame(contextual=0.4, balanced=balanced)
    pipeline = split_model(method=method).fit(frame, y)
    found = compare_slopes(pipeline)
    X, groups = frame[["a", "b", "level_2"]].to_numpy(), frame["site"].to_numpy()
    w, b, V_w, V_b = in_two_regressions(X, y, groups, pipeline[-1].theta_[0] ** 2)
    np.testing.assert_allclose(found.slopes["within"], w, rtol=1e-9)
    np.testing.assert_allclose(found.slopes["between"], b, rtol=1e-9)
    std_error = np.sqrt(np.diag(V_w + V_b))
    np.testing.assert_allclose(found.slopes["std_error"], std_error, rtol=1e-8)
    expected = (b - w) @ np.linalg.solve(V_w + V_b, b - w) / 2
    assert found.statistic == pytest.approx(expected, rel=1e-8)
    assert found.df_num == 2
    # Satterthwaite's formula, lowered to the geometric mean with that of the groups alone
    n, J = len(y), len(np.unique(groups))
    shares = np.linalg.eigvals(np.linalg.solve(V_w + V_b, V_b)).real
    df = 1 / np.mean(shares**2 / (J - 4) + (1 - shares) ** 2 / (n - J - 2))
    assert found.df_den == pytest.approx(np.sqrt(df * (J - 4)), rel=1e-8)
    assert found.p_value == pytest.approx(f.sf(expected, 2, found.df_den), rel=1e-8)
    for i, row in enumerate(found.slopes.itertuples()):
        share = V_b[i, i] / std_error[i] ** 2
        df = 1 / (share**2 / (J - 4) + (1 - share) ** 2 / (n - J - 2))
        assert row.df == pytest.approx(np.sqrt(df * (J - 4)), rel=1e-8)
        assert row.t == pytest.approx(row.difference / row.std_error)
        assert row.p_value == pytest.approx(2 * t.sf(abs(row.t), row.df))
        half = t.isf(0.025, row.df) * row.std_error
        assert row.upper - row.lower == pytest.approx(2 * half)


@pytest.mark.slow
def test_a_true_null_is_rejected_as_often_as_it_should():
    p_values = []
    for seed in range(100):
        frame, y = make_frame(60, seed=seed)
        p_values.append(compare_slopes(split_model().fit(frame, y)).p_value)
    # 0.05 +- 3 standard errors
    assert 0 < np.mean(np.array(p_values) < 0.05) <= 0.115


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::skmixed.exceptions.SingularFitWarning")
def test_the_size_holds_with_few_groups_and_many_features():
    """With 10 groups and 5 features a normal approximation rejects in more than 30 of 100."""
    rejected, groups = [], np.repeat(np.arange(10), 10)
    for seed in range(150):
        rng = np.random.default_rng(seed)
        X = rng.standard_normal((100, 5)) + rng.standard_normal((10, 5))[groups]
        y = X.sum(axis=1) + rng.standard_normal(10)[groups] + rng.standard_normal(100)
        frame = pd.DataFrame(X, columns=list("abcde")).assign(site=groups)
        rejected.append(compare_slopes(split_model().fit(frame, y)).p_value < 0.05)
    assert 0 < np.mean(rejected) <= 0.11


def test_one_model_is_asked_for():
    one = RandomInterceptRegressor()
    for arguments, options, given in [
        ((one, one), {}, "RandomInterceptRegressor, RandomInterceptRegressor"),
        ((), {}, "none"),
        ((), {"fixed": one, "random": one}, "fixed, random"),
        ((), {"model": one}, "model"),
    ]:
        with pytest.raises(TypeError, match=f"takes one argument, .*: {given}. To ask"):
            compare_slopes(*arguments, **options)


def test_ways_to_give_the_model():
    frame, y = make_frame()
    pipeline = split_model().fit(frame, y)
    expected = compare_slopes(pipeline)
    search = GridSearchCV(split_model(), {"withinbetween__new_groups": ["mean"]}).fit(frame, y)
    parts = pipeline[0].transform(frame)
    by_metadata = RandomInterceptRegressor().fit(
        parts.drop(columns="site"), y, groups=parts["site"]
    )
    with sklearn.config_context(enable_metadata_routing=True):
        of_arrays = make_pipeline(WithinBetween(), RandomInterceptRegressor()).fit(
            frame[["a", "b", "level_2"]].to_numpy(), y, groups=frame["site"]
        )
    by_position = make_pipeline(
        WithinBetween(group_by=3), RandomInterceptRegressor(group_by=-1)
    ).fit(frame.to_numpy(), y)
    for estimator in (search, pipeline[-1], by_metadata, of_arrays, by_position):
        found = compare_slopes(estimator)
        assert found.statistic == pytest.approx(expected.statistic, rel=1e-9)
        np.testing.assert_allclose(found.slopes, expected.slopes, rtol=1e-9)
    assert list(compare_slopes(of_arrays).slopes.index) == ["x0", "x1"]


def test_random_slopes_may_be_compared():
    frame, y = make_frame(contextual=2.0)
    model = RandomSlopeRegressor(["a_within"], group_by="site")
    found = compare_slopes(make_pipeline(WithinBetween(group_by="site"), model).fit(frame, y))
    assert found.p_value < 1e-4


@pytest.mark.parametrize("method", ["reml", "ml"])
@pytest.mark.filterwarnings("ignore::skmixed.exceptions.SingularFitWarning")
def test_kenward_roger_is_that_of_pbkrtest(method):
    """KRmodcomp of math ~ ses + minority, split, + (ses_within | school), 15 schools."""
    frame = load_hsb().frame
    frame = frame[frame["school"].isin(frame["school"].unique()[:15])]
    parts = WithinBetween(group_by="school").fit_transform(frame[["ses", "minority", "school"]])
    model = RandomSlopeRegressor(["ses_within"], group_by="school", method=method)
    found = compare_slopes(model.fit(parts, frame["math"]))
    assert found.statistic == pytest.approx(9.9098, abs=2e-4)
    assert (found.df_num, found.df_den) == (2, pytest.approx(18.8347, abs=2e-4))
    assert found.p_value == pytest.approx(0.001147, abs=1e-6)
    slopes = found.slopes
    np.testing.assert_allclose(slopes["t"] ** 2, [18.032, 1.601], rtol=3e-4)
    np.testing.assert_allclose(slopes["df"], [15.810, 18.866], rtol=1e-4)
    np.testing.assert_allclose(slopes["within"], [1.898405, -4.114754], rtol=1e-5)


@pytest.mark.filterwarnings("ignore::scipy.linalg.LinAlgWarning")
def test_columns_without_an_estimate_are_left_out_of_the_test():
    frame, y = make_frame()
    expected = compare_slopes(split_model().fit(frame, y))
    frame.insert(2, "a_again", 2 * frame["a"])
    found = compare_slopes(split_model().fit(frame, y))
    assert found.slopes.loc["a_again", ["std_error", "t", "p_value"]].isna().all()
    assert found.df_num == 2
    assert found.statistic == pytest.approx(expected.statistic)


@pytest.mark.filterwarnings("ignore::skmixed.exceptions.SingularFitWarning")
def test_a_perfect_fit_has_no_test():
    frame, _ = make_frame()
    found = compare_slopes(split_model().fit(frame, frame["a"] + frame["b"]))
    assert found.df_num == 0
    assert np.isnan(found.p_value)
    assert "Test that all differences are 0: not possible" in str(found)


def test_text_and_html():
    frame, y = make_frame(12, contextual=1.0)
    found = compare_slopes(split_model().fit(frame, y))
    df = found.df_den
    expected = f"F(2, {df:.1f}) = {found.statistic:.2f}, p = {found.p_value:.3g}"
    assert f"Test that all differences are 0: {expected}" in str(found)
    html = found._repr_html_()
    assert html.count("<table") == 1
    assert "<caption>Slopes</caption>" in html


def test_refusals():
    frame, y = make_frame()
    model = RandomInterceptRegressor(group_by="site")
    with pytest.raises(ValueError, match=r"its columns are \['a', 'b', 'level_2'\]"):
        compare_slopes(model.fit(frame, y))
    with sklearn.config_context(enable_metadata_routing=True):
        scaled = make_pipeline(WithinBetween(), StandardScaler(), RandomInterceptRegressor())
        scaled.fit(frame[["a", "b"]], y, groups=frame["site"])
    with pytest.raises(ValueError, match="the step before the model is StandardScaler"):
        compare_slopes(scaled)
    with pytest.raises(TypeError, match=r"but got LinearRegression\(\)"):
        compare_slopes(LinearRegression().fit(frame, y))
    X, y, subject = load_sleepstudy(return_X_y=True)
    balanced = WithinBetween().fit_transform(X, groups=subject)
    with pytest.raises(ValueError, match=r"its columns are \['Days_within'\]"):
        compare_slopes(RandomInterceptRegressor().fit(balanced, y, groups=subject))
