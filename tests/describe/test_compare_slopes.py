"""Slopes within groups against those between: Hausman's test in Mundlak's form."""

import numpy as np
import pandas as pd
import pytest
import sklearn
from scipy.stats import chi2, norm
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmixed import RandomInterceptRegressor, RandomSlopeRegressor
from skmixed.datasets import load_sleepstudy, make_mixed_regression
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


def hausman(X, y, groups, psi, sigma2):
    """(b_W - b_R)' (V_W - V_R)^-1 (b_W - b_R) for given variance components, densely.

    The last column of X does not vary within groups.
    """
    same = np.equal.outer(groups, groups).astype(float)
    centre = np.eye(len(y)) - same / same.sum(axis=1)
    V_inv = np.linalg.inv(np.eye(len(y)) + psi * same)
    level_1, D = X[:, :-1], np.column_stack([np.ones(len(y)), X])
    V_W = np.linalg.inv(level_1.T @ centre @ level_1)
    V_R = np.linalg.inv(D.T @ V_inv @ D)
    d = V_W @ level_1.T @ centre @ y - (V_R @ D.T @ V_inv @ y)[1:-1]
    return d @ np.linalg.solve(V_W - V_R[1:-1, 1:-1], d) / sigma2


@pytest.mark.parametrize("balanced", [True, False])
@pytest.mark.parametrize("method", ["reml", "ml"])
def test_the_joint_test_is_that_of_hausman(balanced, method):
    frame, y = make_frame(contextual=0.4, balanced=balanced)
    pipeline = split_model(method=method).fit(frame, y)
    found = compare_slopes(pipeline)
    model = pipeline[-1]
    X, groups = frame[["a", "b", "level_2"]].to_numpy(), frame["site"].to_numpy()
    expected = hausman(X, y, groups, model.theta_[0] ** 2, model.residual_variance_)
    assert found.statistic == pytest.approx(expected, rel=1e-8)
    assert found.df == 2
    assert found.p_value == pytest.approx(chi2.sf(expected, 2), rel=1e-8)


def test_table_follows_from_coefficients_and_their_covariance():
    frame, y = make_frame(contextual=1.0)
    pipeline = split_model().fit(frame, y)
    found = compare_slopes(pipeline).slopes
    assert list(found.index) == ["a", "b"]
    cov = pipeline[-1].coef_cov_
    coef = pd.Series(pipeline[-1].coef_, index=pipeline[-1].feature_names_in_)
    for name, row in found.iterrows():
        w, b = f"{name}_within", f"{name}_between"
        assert row["within"] == coef[w]
        assert row["between"] == coef[b]
        assert row["difference"] == coef[b] - coef[w]
        variance = cov.loc[w, w] + cov.loc[b, b] - 2 * cov.loc[w, b]
        assert row["std_error"] == pytest.approx(np.sqrt(variance))
        assert row["z"] == pytest.approx(row["difference"] / row["std_error"])
        assert row["p_value"] == pytest.approx(2 * norm.sf(abs(row["z"])))
    assert found.loc["a", "difference"] == pytest.approx(1, abs=3 * found.loc["a", "std_error"])


def test_a_true_null_is_rejected_as_often_as_it_should():
    p_values = []
    for seed in range(100):
        frame, y = make_frame(60, seed=seed)
        p_values.append(compare_slopes(split_model().fit(frame, y)).p_value)
    # 0.05 +- 3 standard errors
    assert 0 < np.mean(np.array(p_values) < 0.05) <= 0.115


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


@pytest.mark.filterwarnings("ignore::scipy.linalg.LinAlgWarning")
def test_columns_without_an_estimate_are_left_out_of_the_test():
    frame, y = make_frame()
    expected = compare_slopes(split_model().fit(frame, y))
    frame.insert(2, "a_again", 2 * frame["a"])
    found = compare_slopes(split_model().fit(frame, y))
    assert found.slopes.loc["a_again", ["std_error", "z", "p_value"]].isna().all()
    assert found.df == 2
    assert found.statistic == pytest.approx(expected.statistic)


@pytest.mark.filterwarnings("ignore::skmixed.exceptions.SingularFitWarning")
def test_a_perfect_fit_has_no_test():
    frame, _ = make_frame()
    found = compare_slopes(split_model().fit(frame, frame["a"] + frame["b"]))
    assert found.df == 0
    assert np.isnan(found.p_value)
    assert "Test that all differences are 0: not possible" in str(found)


def test_text_and_html():
    frame, y = make_frame(12, contextual=1.0)
    found = compare_slopes(split_model().fit(frame, y))
    assert f"chi2(2) = {found.statistic:.2f}, p = {found.p_value:.3g}" in str(found)
    assert "There are 12 groups; with fewer than 30 p-values tend to be too small." in str(
        found
    )
    html = found._repr_html_()
    assert html.count("<table") == 1
    assert "<caption>Slopes</caption>" in html
    assert "There are" not in str(compare_slopes(split_model().fit(*make_frame())))


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
