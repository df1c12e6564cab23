"""Fixed effects and complete pooling against least squares with the dummies written out."""

import pickle
import re
import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import sklearn
from bad_input import BAD_ROWS, BAD_WEIGHTS
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.linalg import LinAlgWarning
from sklearn.base import clone
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import KFold, cross_val_score, cross_validate

from skmixed import FixedEffectsRegressor, GroupedMoments, PooledRegressor
from skmixed._numerics.fit.criterion_one_column import RatioCriterion
from skmixed._numerics.fit.criterion_several_columns import CovarianceCriterion
from skmixed._numerics.fit.problem import make_problem
from skmixed._numerics.fit.solution import solve
from skmixed._numerics.moments.moments import GroupedMoments as Moments
from skmixed.datasets import load_hsb, make_mixed_regression
from skmixed.exceptions import MissingGroupsWarning, NewGroupsWarning

PROPERTY = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
SEEDS = st.integers(0, 10**6)
SLOPES = {"none": [], "one": [0], "two": [2, 0], "all": [0, 1, 2]}


def make_rows(n_rows=90, n_groups=7, seed=0):
    """Unbalanced rows whose group means differ in X, too."""
    X, y, groups = make_mixed_regression(
        n_rows, 3, n_groups, slope_variances=0.5, balanced=False, random_state=seed
    )
    rng = np.random.default_rng(seed)
    return X + rng.normal(size=(n_groups, 3))[groups], y, groups


@pytest.fixture
def rows():
    return make_rows()


def with_dummies(X, y, groups, slopes):
    """Least squares on dummies, dummies times slope columns, and the other columns.

    Everything reported is linear in y, so that the covariance of the average group's line
    follows from the map that computes it.
    """
    labels, codes = np.unique(groups, return_inverse=True)
    dummies = codes[:, None] == np.arange(len(labels))
    mean_of = dummies.T / dummies.sum(axis=0)[:, None]
    others = np.setdiff1d(np.arange(X.shape[1]), slopes)
    design = np.hstack([dummies, *(dummies * X[:, [z]] for z in slopes), X[:, others]])
    solution = np.linalg.pinv(design, rcond=1e-12)
    coef = np.zeros((X.shape[1], len(y)))
    coef[others] = solution[design.shape[1] - len(others) :]
    if slopes:
        Z = X[:, slopes] - dummies @ (mean_of @ X[:, slopes])
        weights = [(Z * d[:, None]).T @ Z for d in dummies.T]
        own = solution[len(labels) : len(labels) * (1 + len(slopes))]
        own = own.reshape(len(slopes), len(labels), -1).swapaxes(0, 1)
        coef[slopes] = np.linalg.solve(sum(weights), sum(map(np.matmul, weights, own)))
    level = (mean_of - mean_of @ X @ coef).mean(axis=0)
    to_beta = np.vstack([level, coef])
    fitted = design @ (solution @ y)
    dof = len(y) - np.linalg.matrix_rank(design, tol=1e-9)
    residual_square = (y - fitted) @ (y - fitted)
    sigma2 = residual_square / dof if dof else np.nan
    return {
        "beta": to_beta @ y,
        "cov": sigma2 * to_beta @ to_beta.T,
        "sigma2": sigma2,
        "dof": dof,
        "fitted": fitted,
        "llf": stats.norm.logpdf(y - fitted, scale=np.sqrt(residual_square / len(y))).sum(),
    }


def assert_agrees(model, oracle, *, rtol=1e-9):
    def close(found, expected):
        np.testing.assert_allclose(found, expected, rtol=rtol, atol=rtol)

    close([model.intercept_, *model.coef_], oracle["beta"])
    close(model.coef_cov_, oracle["cov"])
    close(model.residual_variance_, oracle["sigma2"])
    close(model.log_likelihood_, oracle["llf"])
    assert model.residual_dof_ == oracle["dof"]


# --------------------------------------------------------------------------------- estimates


@pytest.mark.parametrize("slopes", SLOPES)
def test_agrees_with_dummies(rows, slopes):
    X, y, groups = rows
    model = FixedEffectsRegressor(SLOPES[slopes]).fit(X, y, groups=groups)
    oracle = with_dummies(X, y, groups, SLOPES[slopes])
    assert_agrees(model, oracle)
    np.testing.assert_allclose(model.predict(X, groups=groups), oracle["fitted"], atol=1e-9)
    n_parameters = len(y) - oracle["dof"] + 1
    assert model.aic_ == pytest.approx(2 * n_parameters - 2 * oracle["llf"])
    assert model.bic_ == pytest.approx(np.log(len(y)) * n_parameters - 2 * oracle["llf"])


@pytest.mark.parametrize("slopes", ["none", "one", "two"])
def test_large_offsets_cost_no_digits(rows, slopes):
    X, y, groups = rows
    X, y = np.round(X * 2**20) / 2**20, np.round(y * 2**20) / 2**20  # exact after the shift
    oracle = with_dummies(X, y, groups, SLOPES[slopes])
    model = FixedEffectsRegressor(SLOPES[slopes]).fit(X + 2**27, y - 2**27, groups=groups)
    np.testing.assert_allclose(model.coef_, oracle["beta"][1:], rtol=1e-9)
    std_error = np.sqrt(np.diag(oracle["cov"]))[1:]
    np.testing.assert_allclose(np.sqrt(np.diag(model.coef_cov_))[1:], std_error, rtol=1e-9)
    predicted = model.predict(X + 2**27, groups=groups)
    np.testing.assert_allclose(predicted, oracle["fitted"] - 2**27, rtol=1e-14)


def test_singletons_and_groups_that_cannot_tell_a_slope():
    """Rows are predicted as with dummies; what rows cannot tell is the average group's."""
    X, y, groups = make_rows()
    groups[:2] = 100, 101
    groups[2:6], X[2:6, 0] = 102, 0.3
    groups[6:8] = 103  # two rows can tell one slope, not two
    model = FixedEffectsRegressor([0, 2]).fit(X, y, groups=groups)
    oracle = with_dummies(X, y, groups, [0, 2])
    assert model.residual_dof_ == oracle["dof"]
    assert model.residual_variance_ == pytest.approx(oracle["sigma2"], rel=1e-9)
    assert model.coef_[1] == pytest.approx(oracle["beta"][2], rel=1e-9)
    np.testing.assert_allclose(model.predict(X, groups=groups), oracle["fitted"], atol=1e-9)
    effects = model.group_effects_.astype(bool)
    assert not effects.loc[[100, 101], ["x0", "x2"]].to_numpy().any()
    assert effects.loc[[102, 103], ["x0", "x2"]].to_numpy().tolist() == [
        [False, True],
        [True, False],
    ]
    assert effects.loc[:99].to_numpy().all()


def test_two_rows_tell_two_coefficients_however_close_they_are():
    X, y, groups = make_rows()
    groups[:40] = 100 + np.arange(40) // 2
    X[1:40:2, 0] = X[:40:2, 0] + np.logspace(-5, -2, 20)
    model = FixedEffectsRegressor([0, 2]).fit(X, y, groups=groups)
    assert model.residual_dof_ == with_dummies(X, y, groups, [0, 2])["dof"]
    assert not model.group_effects_.loc[100:, "x2"].any()


@pytest.mark.parametrize("slopes", SLOPES)
def test_group_coef_are_the_groups_own_lines(rows, slopes):
    X, y, groups = rows
    model = FixedEffectsRegressor(SLOPES[slopes]).fit(X, y, groups=groups)
    lines = model.group_coef_
    np.testing.assert_allclose(
        lines["(Intercept)"].to_numpy()[groups]
        + np.sum(X * lines[["x0", "x1", "x2"]].to_numpy()[groups], axis=1),
        model.predict(X, groups=groups),
    )
    if slopes == "all":
        for label in range(7):
            own = LinearRegression().fit(X[groups == label], y[groups == label])
            np.testing.assert_allclose(lines.loc[label].iloc[1:], own.coef_, rtol=1e-8)
    if slopes == "none":
        assert model.intercept_ == pytest.approx(lines["(Intercept)"].mean())


def test_the_average_group_is_not_misled_by_a_group_that_tells_little():
    X, y, groups = make_rows()
    groups[:2], X[0, 0] = 100, X[1, 0] + 1e-4
    model = FixedEffectsRegressor([0]).fit(X, y, groups=groups)
    own = model.group_coef_["x0"]
    assert abs(own[100]) > 1e3
    assert own.drop(100).min() < model.coef_[0] < own.drop(100).max()


@pytest.mark.parametrize("slopes", ["none", "one", "two"])
def test_is_the_limit_of_the_mixed_model(rows, slopes):
    X, y, groups = rows
    random = (0, *(1 + z for z in SLOPES[slopes]))
    model = FixedEffectsRegressor(SLOPES[slopes]).fit(X, y, groups=groups)
    moments = Moments.from_rows(X, y, groups, np.arange(7), random=random)
    problem = make_problem(moments)
    if slopes == "none":
        criterion = RatioCriterion.from_problem(problem, reml=True)
    else:
        criterion = CovarianceCriterion(problem, True)
    limit = solve(criterion, 1e5 * np.eye(len(random)))
    shared = np.setdiff1d(np.arange(4), random)
    beta = np.array([model.intercept_, *model.coef_])
    np.testing.assert_allclose(limit.beta[shared], beta[shared], rtol=1e-7)
    if slopes == "none":
        assert limit.beta[0] == pytest.approx(model.intercept_, rel=1e-7)
    ratio = limit.beta_cov[shared, shared] / np.diag(model.coef_cov_)[shared]
    np.testing.assert_allclose(ratio, limit.sigma2 / model.residual_variance_, rtol=1e-7)
    lines = model.group_coef_[model.group_effects_.columns]
    found = limit.b.T + limit.beta[list(random)]
    np.testing.assert_allclose(found, lines, rtol=1e-6, atol=1e-6)


def test_within_r2(rows):
    X, y, groups = rows
    around_mean = y - pd.Series(y).groupby(groups).transform("mean")
    for slopes in SLOPES.values():
        model = FixedEffectsRegressor(slopes).fit(X, y, groups=groups)
        residual = y - model.predict(X, groups=groups)
        expected = 1 - residual @ residual / (around_mean @ around_mean)
        assert model.within_r2_ == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_pooled_agrees_with_ordinary_least_squares(rows, fit_intercept):
    X, y, groups = rows
    model = PooledRegressor(fit_intercept=fit_intercept).fit(X, y, groups=groups)
    D = np.insert(X, 0, 1.0, axis=1)[:, 0 if fit_intercept else 1 :]
    beta = np.linalg.lstsq(D, y)[0]
    residual = y - D @ beta
    sigma2 = residual @ residual / (len(y) - D.shape[1])
    np.testing.assert_allclose(model.coef_, beta[-3:], rtol=1e-9)
    assert model.intercept_ == pytest.approx(beta[0] if fit_intercept else 0.0, rel=1e-9)
    np.testing.assert_allclose(model.coef_cov_, sigma2 * np.linalg.inv(D.T @ D), rtol=1e-9)
    assert model.residual_variance_ == pytest.approx(sigma2, rel=1e-9)
    assert model.residual_dof_ == len(y) - D.shape[1]
    scale = np.sqrt(residual @ residual / len(y))
    assert model.log_likelihood_ == pytest.approx(stats.norm.logpdf(residual, 0, scale).sum())
    assert model.aic_ == pytest.approx(2 * (D.shape[1] + 1) - 2 * model.log_likelihood_)


def test_pooled_ignores_groups_and_asks_for_none(rows):
    X, y, groups = rows
    model = PooledRegressor().fit(X, y, groups=groups)
    expected = model.predict(X)
    np.testing.assert_array_equal(model.predict(X, groups=groups), expected)
    np.testing.assert_array_equal(model.predict_population(X), expected)
    expected_score = LinearRegression().fit(X, y).score(X, y)
    assert model.score(X, y, groups=groups) == pytest.approx(expected_score)
    np.testing.assert_array_equal(PooledRegressor().fit(X, y).coef_, model.coef_)
    frame = pd.DataFrame(X).assign(site=groups.astype(str)).rename(columns=str)
    by_name = PooledRegressor(group_by="site").fit(frame, y)
    np.testing.assert_allclose(by_name.predict(frame), expected, atol=1e-12)


def test_hsb_agrees_with_the_within_transformation():
    X, y, school = load_hsb(return_X_y=True)
    with pytest.warns(LinAlgWarning, match="coefficient can be estimated for mean_ses, cath"):
        model = FixedEffectsRegressor().fit(X, y, groups=school)
    within = X[["ses", "minority", "female"]]
    within = within - within.groupby(school).transform("mean")
    around_mean = y - y.groupby(school).transform("mean")
    coef = np.linalg.lstsq(within, around_mean)[0]
    np.testing.assert_allclose(model.coef_[:3], coef, rtol=1e-9)
    assert model.residual_dof_ == len(y) - 160 - 3


# -------------------------------------------------------------- what data cannot tell, or do


@pytest.mark.parametrize(
    ("column", "slopes", "message"),
    [
        (lambda X, g: np.sqrt(g), [], "estimated for extra: within groups there is no varia"),
        (lambda X, g: np.full(len(g), 0.1), [], "estimated for extra: within groups"),
        (lambda X, g: np.sqrt(g), ["extra"], "estimated for extra: within groups"),
        (lambda X, g: np.sqrt(g) + g * X[:, 0], ["a"], "variation that the groups' slopes"),
        (lambda X, g: np.sqrt(g) + 2 * X[:, 0], [], "rank-deficient: extra can be written"),
        (lambda X, g: 1e8 - 2 * X[:, 1] + X[:, 0], [], "rank-deficient: extra can be written"),
    ],
    ids=["by group", "constant", "slope by group", "absorbed by slope", "within", "offset"],
)
def test_columns_without_a_coefficient_are_named_and_harmless(rows, column, slopes, message):
    X, y, groups = rows
    frame = pd.DataFrame(X, columns=["a", "b", "c"]).assign(extra=column(X, groups))
    with pytest.warns(LinAlgWarning, match=message):
        model = FixedEffectsRegressor(slopes).fit(frame, y, groups=groups)
    kept = frame.drop(columns="extra")
    without = FixedEffectsRegressor([z for z in slopes if z != "extra"])
    without.fit(kept, y, groups=groups)
    np.testing.assert_allclose(model.coef_, [*without.coef_, 0], atol=1e-7)
    assert model.coef_cov_["extra"].isna().all()
    assert model.residual_dof_ == without.residual_dof_
    expected = without.predict(kept, groups=groups)
    np.testing.assert_allclose(model.predict(frame, groups=groups), expected, atol=1e-7)
    row = model.summary().fixed_effects.loc["extra"]
    assert row.isna().all()


def test_slopes_come_before_columns_that_depend_on_them(rows):
    X, y, groups = rows
    frame = pd.DataFrame({"a": X[:, 0], "twice": 2 * X[:, 0]})
    with pytest.warns(LinAlgWarning, match="estimated for a: within groups"):
        model = FixedEffectsRegressor("twice").fit(frame, y, groups=groups)
    other = FixedEffectsRegressor("a").fit(frame[["a"]], y, groups=groups)
    np.testing.assert_allclose(model.coef_, [0, other.coef_[0] / 2])
    np.testing.assert_allclose(
        model.predict_population(frame), other.predict_population(frame[["a"]])
    )


def test_a_column_that_is_constant_in_huge_groups_is_told():
    rng = np.random.default_rng(0)
    groups = np.repeat([0, 1], 600_000)
    X = np.column_stack([np.where(groups, 0.1, 0.7), rng.normal(size=len(groups))])
    with pytest.warns(LinAlgWarning, match="estimated for x0"):
        FixedEffectsRegressor().fit(X, rng.normal(size=len(groups)), groups=groups)


def test_as_many_coefficients_as_rows(rows):
    X, y, _ = rows
    groups = np.arange(len(y)) // 2
    with pytest.warns(LinAlgWarning, match="90 coefficients.* for 90 rows"):
        model = FixedEffectsRegressor([0]).fit(X[:, :1], y, groups=groups)
    np.testing.assert_allclose(model.predict(X[:, :1], groups=groups), y, atol=1e-9)
    assert np.isnan(model.residual_variance_)
    assert model.coef_cov_.isna().all(axis=None)
    assert np.isfinite(model.coef_).all()


def test_each_row_a_group(rows):
    X, y, _ = rows
    with pytest.warns(LinAlgWarning) as caught:
        model = FixedEffectsRegressor().fit(X, y, groups=np.arange(len(y)))
    assert len(caught) == 2
    assert caught[0].filename == __file__
    np.testing.assert_allclose(model.predict(X, groups=np.arange(len(y))), y, atol=1e-12)
    assert not model.coef_.any()
    assert np.isnan(model.within_r2_)
    assert model.intercept_ == pytest.approx(y.mean())


@pytest.mark.parametrize("estimator", [FixedEffectsRegressor, PooledRegressor])
def test_a_target_explained_exactly(rows, estimator):
    X, _, groups = rows
    with pytest.warns(LinAlgWarning, match="explains y exactly"):
        model = estimator().fit(X, 3 + X @ [1, 2, 3], groups=groups)
    np.testing.assert_allclose(model.coef_, [1, 2, 3])
    assert model.residual_variance_ == 0.0
    assert model.log_likelihood_ == np.inf


def test_one_group_is_a_pooled_fit(rows):
    X, y, groups = rows
    one = FixedEffectsRegressor().fit(X, y, groups=np.zeros(len(y)))
    pooled = PooledRegressor().fit(X, y)
    with pytest.warns(MissingGroupsWarning, match="fitted without groups"):
        none = FixedEffectsRegressor().fit(X, y)
    for model in (one, none):
        np.testing.assert_allclose(model.coef_, pooled.coef_, rtol=1e-10)
        np.testing.assert_allclose(model.coef_cov_, pooled.coef_cov_, rtol=1e-9)
        assert model.residual_variance_ == pytest.approx(pooled.residual_variance_)
        assert model.within_r2_ == pytest.approx(pooled.score(X, y))
    np.testing.assert_allclose(none.predict(X), pooled.predict(X))
    np.testing.assert_allclose(none.predict(X, groups=groups), pooled.predict(X))
    assert none.n_groups_ == 0
    assert none.group_effects_.shape == (0, 1)


# -------------------------------------------------------------------------------- the surface


def test_new_groups_get_the_line_of_the_average_group(rows):
    X, y, groups = rows
    model = FixedEffectsRegressor([0]).fit(X, y, groups=groups)
    labels = pd.Series(groups[:3], dtype="Int64")
    labels[1], labels[2] = 99, pd.NA
    predicted = model.predict(X[:3], groups=labels)
    np.testing.assert_allclose(predicted[1:], model.predict_population(X[1:3]))
    assert predicted[0] == pytest.approx(model.predict(X[:1], groups=groups[:1])[0])
    strict = clone(model).set_params(new_groups="error").fit(X, y, groups=groups)
    with pytest.raises(ValueError, match="1 are new: 99; 7 are known"):
        strict.predict(X[:3], groups=labels)
    with pytest.raises(ValueError, match="The 'new_groups' parameter"):
        FixedEffectsRegressor(new_groups="population").fit(X, y, groups=groups)


def test_predict_without_groups_names_the_remedies(rows):
    X, y, groups = rows
    model = FixedEffectsRegressor().fit(X, y, groups=groups)
    with pytest.raises(ValueError, match=r"FixedEffectsRegressor\(group_by='column'\)"):
        model.predict(X)


CONTAINERS = {
    "list": lambda X: X.tolist(),
    "pandas": pd.DataFrame,
    "polars": lambda X: pytest.importorskip("polars").DataFrame(X),
    "csr": sp.csr_array,
    "csc": sp.csc_matrix,
}


@pytest.mark.parametrize("container", CONTAINERS)
def test_formats_of_x_agree(rows, container):
    X, y, groups = rows
    for model in (FixedEffectsRegressor([1]), PooledRegressor()):
        expected = clone(model).fit(X, y, groups=groups).predict(X, groups=groups)
        table = CONTAINERS[container](X)
        labels = np.array(list("gfedcba"))[groups]
        other = clone(model).fit(table, y, groups=labels)
        np.testing.assert_allclose(other.predict(table, groups=labels), expected, atol=1e-11)


@pytest.mark.parametrize("position", [0, 2, -1])
def test_group_by_position(rows, position):
    X, y, groups = rows
    table = np.insert(X, position % 4, groups, axis=1)
    for model in (FixedEffectsRegressor(), PooledRegressor()):
        expected = clone(model).fit(X, y, groups=groups)
        other = clone(model).set_params(group_by=position).fit(table, y)
        lined_up = np.insert(expected.coef_, position % 4, 0.0)
        np.testing.assert_allclose(other.coef_, lined_up, rtol=1e-12)
        assert other.score(table, y) == pytest.approx(expected.score(X, y, groups=groups))
        with pytest.raises(ValueError, match="given once"):
            other.predict(table, groups=groups)


def test_the_null_model_is_the_means_of_groups(rows):
    _, y, groups = rows
    frame = pd.DataFrame({"site": groups})
    model = FixedEffectsRegressor(group_by="site").fit(frame, y)
    means = pd.Series(y).groupby(groups).mean()
    np.testing.assert_allclose(model.group_coef_["(Intercept)"], means)
    assert model.intercept_ == pytest.approx(means.mean())
    assert model.within_r2_ == pytest.approx(0.0, abs=1e-12)
    assert PooledRegressor(group_by="site").fit(frame, y).intercept_ == pytest.approx(y.mean())


# two equal factors are one too many for a mixed model alone
@pytest.mark.parametrize(
    "case", [case for case in BAD_ROWS if case != "groups in two dimensions"]
)
def test_bad_rows_in_fit(case):
    X, y, groups = make_mixed_regression(60, 2, 6, random_state=0)
    spoil, message = BAD_ROWS[case]
    X, y, groups = spoil(X, y, groups)
    with pytest.raises(ValueError, match=message):
        FixedEffectsRegressor().fit(X, y, groups=groups)


@pytest.mark.parametrize("case", BAD_WEIGHTS)
def test_bad_weights(case):
    X, y, groups = make_mixed_regression(60, 2, 6, random_state=0)
    make, message = BAD_WEIGHTS[case]
    with pytest.raises(ValueError, match=message):
        FixedEffectsRegressor().fit(X, y, groups=groups, sample_weight=make(len(y)))


def test_groups_are_routed_without_a_request(rows):
    X, y, groups = rows
    cv = KFold(4, shuffle=True, random_state=0)
    frame = pd.DataFrame(X, columns=["a", "b", "c"]).assign(site=groups)
    for model in (FixedEffectsRegressor(), PooledRegressor()):
        by_column = clone(model).set_params(group_by="site")
        expected = cross_val_score(by_column, frame, y, cv=cv)
        with sklearn.config_context(enable_metadata_routing=True):
            scores = cross_validate(model, X, y, params={"groups": groups}, cv=cv)
        np.testing.assert_allclose(scores["test_score"], expected, atol=1e-10)


@pytest.mark.parametrize("estimator", [FixedEffectsRegressor(["a"]), PooledRegressor()])
def test_summary(rows, estimator):
    X, y, groups = rows
    frame = pd.DataFrame(X, columns=["a", "b", "<c>"])
    model = clone(estimator).fit(frame, y, groups=pd.Series(groups, name="site"))
    summary = model.summary(level=0.9, stars=True)
    table = summary.fixed_effects
    assert list(table.index) == ["(Intercept)", "a", "b", "<c>"]
    std_error = np.sqrt(model.coef_cov_.loc["b", "b"])
    t = model.coef_[1] / std_error
    p = 2 * stats.t.cdf(-abs(t), model.residual_dof_)
    half = stats.t.ppf(0.95, model.residual_dof_) * std_error
    assert table.loc["b"].to_dict() == pytest.approx(
        {
            "estimate": model.coef_[1],
            "std_error": std_error,
            "df": model.residual_dof_,
            "t": t,
            "p_value": p,
            "lower": model.coef_[1] - half,
            "upper": model.coef_[1] + half,
        }
    )
    text = str(summary)
    assert text == repr(summary)
    assert "**" in text
    other_aic = "not to be compared with those of a mixed model" in text.replace("\n", " ")
    assert other_aic == isinstance(model, FixedEffectsRegressor)
    assert text.startswith(f"{type(model).__name__}, fitted by least squares")
    assert text.endswith("* p < 0.05, ** p < 0.01, *** p < 0.001")
    caption = "Fixed effects (90% intervals; t, with the residual df):\n"
    block = text.split(caption)[1].split("\n\n")[0].splitlines()
    assert len({len(line) for line in block}) == 1
    assert ("Groups (site)" in text) == isinstance(model, FixedEffectsRegressor)
    html = summary._repr_html_()
    assert html.count("<table") == html.count("</table>") == 3
    assert "&lt;c&gt;" in html


def test_a_summary_without_groups_says_so(rows):
    X, y, _ = rows
    with pytest.warns(MissingGroupsWarning):
        model = FixedEffectsRegressor().fit(X, y)
    assert "Fitted without groups" in str(model.summary())


def test_nothing_to_estimate(rows):
    _, y, groups = rows
    model = PooledRegressor(fit_intercept=False).fit(np.empty((len(y), 0)), y, groups=groups)
    assert not model.predict(np.empty((3, 0))).any()
    assert model.residual_variance_ == pytest.approx(np.mean(y**2))
    assert model.summary().fixed_effects.shape == (0, 7)
    assert "Fixed effects" not in str(model.summary())


def test_the_former_name_of_the_table_gives_the_new_one(rows):
    X, y, groups = rows
    with pytest.raises(AttributeError, match="is called `fixed_effects` now"):
        _ = FixedEffectsRegressor().fit(X, y, groups).summary().coefficients


# -------------------------------------------------------------- how uncertain predictions are


def linear_map(model, X, groups, weights, new_X, new_groups):
    """Predictions are linear in y: those of unit vectors, a column for each row."""
    fits = (clone(model).fit(X, unit, groups, sample_weight=weights) for unit in np.eye(len(X)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LinAlgWarning)
        return np.column_stack([fit.predict(new_X, groups=new_groups) for fit in fits])


UNCERTAIN = {
    "intercepts": FixedEffectsRegressor(),
    "lines": FixedEffectsRegressor([0]),
    "two slopes": FixedEffectsRegressor([0, 1]),
    "pooled": PooledRegressor(),
    "without intercept": PooledRegressor(fit_intercept=False),
}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", UNCERTAIN)
@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.filterwarnings("ignore:No coefficient:scipy.linalg.LinAlgWarning")
@pytest.mark.filterwarnings("ignore:The model explains:scipy.linalg.LinAlgWarning")
def test_standard_deviations_are_those_of_the_linear_map(kind, weighted, seed):
    rng, model = np.random.default_rng(seed), UNCERTAIN[kind]
    groups = np.repeat(np.arange(7), rng.integers(1, 7, 7))
    n = len(groups)
    offset = np.array([5, 0, 100, 0])
    X = rng.normal(size=(n, 4)) + offset
    X[:, 3] = rng.normal(size=7)[groups]  # constant within groups
    X[groups == 2, 0] = 3.0  # a group without a slope of its own
    y, weights = rng.normal(size=n), rng.uniform(0.5, 2, n) if weighted else None
    new_X, new_groups = rng.normal(size=(12, 4)) + offset, rng.integers(0, 7, 12)
    P = linear_map(model, X, groups, weights, new_X, new_groups)
    variance = np.sum(P**2 / (1.0 if weights is None else weights), axis=1)
    fitted = clone(model).fit(X, y, groups, sample_weight=weights)
    sigma2, dof = fitted.residual_variance_, fitted.residual_dof_
    mean, std = fitted.predict(new_X, groups=new_groups, return_std=True)
    np.testing.assert_allclose(mean, P @ y, atol=1e-8)
    np.testing.assert_allclose(std, np.sqrt(sigma2 * (1 + variance)), rtol=1e-8)
    half = stats.t.ppf(0.9, dof) * np.sqrt(sigma2 * variance)
    limits = fitted.predict_interval(new_X, groups=new_groups, level=0.8, kind="mean")
    np.testing.assert_allclose(limits, np.column_stack([mean - half, mean + half]), rtol=1e-6)
    precise = fitted.predict_interval(
        new_X, groups=new_groups, sample_weight=np.full(12, 4.0), level=0.8
    )
    half = stats.t.ppf(0.9, dof) * np.sqrt(sigma2 * (variance + 0.25))
    np.testing.assert_allclose(precise[:, 1] - mean, half, rtol=1e-6)


def test_intervals_are_those_of_dummies(rows):
    X, y, groups = rows
    D = np.column_stack([X, np.eye(groups.max() + 1)[groups]])
    beta, (rss,), *_ = np.linalg.lstsq(D, y)
    dof = len(y) - D.shape[1]
    std_error = np.sqrt(rss / dof * np.diag(np.linalg.inv(D.T @ D)))[: X.shape[1]]
    half = stats.t.ppf(0.975, dof) * std_error
    model = FixedEffectsRegressor().fit(X, y, groups)
    limits = model.confint()
    assert list(limits) == ["estimate", "lower", "upper"]
    expected = np.column_stack([beta[: X.shape[1]] - half, beta[: X.shape[1]] + half])
    np.testing.assert_allclose(limits.iloc[1:, 1:], expected, rtol=1e-8)
    total = np.sum((y - y.mean()) ** 2)
    assert model.r2_ == pytest.approx(1 - rss / total)
    assert model.r2_ == pytest.approx(model.score(X, y, groups=groups))
    assert model.adjusted_r2_ == pytest.approx(1 - rss / dof / (total / (len(y) - 1)))


@pytest.mark.parametrize("slopes", [[0, 1], [1, 0], [0, 1, 2], "all"])
@pytest.mark.parametrize("values", ["normal", "0/1", "far"])
def test_a_slope_column_that_is_constant_within_groups_is_absorbed(rows, slopes, values):
    X, y, groups = rows
    rng = np.random.default_rng(0)
    of_groups = {
        "normal": rng.normal(size=groups.max() + 1),
        "0/1": np.arange(groups.max() + 1) % 2.0,
        "far": 1.7e9 + 1e6 * rng.normal(size=groups.max() + 1),
    }[values]
    X = X.copy()
    X[:, 1] = of_groups[groups]
    varying = [column for column in (0, 2) if slopes == "all" or column in slopes]
    expected = FixedEffectsRegressor([0, 1][: len(varying)]).fit(X[:, [0, 2]], y, groups)
    with pytest.warns(LinAlgWarning, match="estimated for x1: within groups"):
        model = FixedEffectsRegressor(slopes).fit(X, y, groups)
    assert model.coef_[1] == 0
    np.testing.assert_allclose(model.coef_[[0, 2]], expected.coef_, rtol=1e-8)
    assert model.residual_dof_ == expected.residual_dof_
    found = model.predict(X, groups=groups, return_std=True)
    known = expected.predict(X[:, [0, 2]], groups=groups, return_std=True)
    np.testing.assert_allclose(found, known, rtol=1e-8)


def test_rows_without_weight_do_not_make_a_column_too_small(rows):
    X, y, groups = rows
    X = np.column_stack([X, groups == 3])
    weights = np.where(groups == 3, 0.0, 1.0)
    with pytest.warns(LinAlgWarning, match="x3"):
        model = PooledRegressor().fit(X, y, sample_weight=weights)
    kept = groups != 3
    np.testing.assert_allclose(
        model.coef_[:3], PooledRegressor().fit(X[kept, :3], y[kept]).coef_, rtol=1e-9
    )


def test_of_new_groups_nothing_is_known(rows):
    X, y, groups = rows
    model = FixedEffectsRegressor().fit(X, y, groups)
    labels = np.where(np.arange(len(y)) < 3, 99, groups)
    with pytest.warns(NewGroupsWarning, match=f"3 of {len(y)} predictions are for groups"):
        mean, std = model.predict(X, groups=labels, return_std=True)
    assert np.isfinite(mean).all()
    assert np.flatnonzero(np.isnan(std)).tolist() == [0, 1, 2]
    with pytest.warns(NewGroupsWarning):
        assert np.isnan(model.predict_interval(X[:2], groups=[99, 98])).all()
    with pytest.warns(NewGroupsWarning):
        assert np.isnan(model.predict_population(X, return_std=True)[1]).all()


@pytest.mark.parametrize("model", [FixedEffectsRegressor([0]), PooledRegressor()])
def test_batches_and_sums_give_the_fit_of_all_rows(rows, model):
    X, y, groups = rows
    whole = clone(model).fit(X, y, groups)
    batches, halves = clone(model), [slice(0, 40), slice(40, None)]
    for half in halves:
        batches.partial_fit(X[half], y[half], groups=groups[half])
    sums = [GroupedMoments.from_rows(X[h], y[h], groups[h], slopes=[0]) for h in halves]
    from_sums = clone(model).fit_moments(sums[0] + sums[1])
    for other in (batches, from_sums):
        np.testing.assert_allclose(other.coef_, whole.coef_, rtol=1e-9)
        assert other.residual_variance_ == pytest.approx(whole.residual_variance_)
        found, expected = (
            one.predict(X, groups=groups, return_std=True) for one in (other, whole)
        )
        np.testing.assert_allclose(found, expected, rtol=1e-8)
        assert str(other.summary()) == str(whole.summary())


def test_sums_without_digits_are_refused(rows):
    X, y, groups = rows
    moments = GroupedMoments.from_rows(X, 1e9 * groups + y, groups)
    with pytest.raises(ValueError, match="digits of what this fit needs"):
        FixedEffectsRegressor().fit_moments(moments)
    moments = GroupedMoments.from_rows(X, 1e6 * groups + y, groups)
    with pytest.warns(LinAlgWarning, match="digits of what this fit needs"):
        FixedEffectsRegressor().fit_moments(moments)


def test_pickle_and_repr(rows):
    X, y, groups = rows
    model = FixedEffectsRegressor("all").fit(X, y, groups=groups)
    copy = pickle.loads(pickle.dumps(model))
    pd.testing.assert_frame_equal(copy.group_coef_, model.group_coef_)
    assert repr(FixedEffectsRegressor("x")) == "FixedEffectsRegressor(slopes='x')"
    assert re.match(r"FixedEffectsRegressor\(\)", repr(FixedEffectsRegressor()))


# --------------------------------------------------------------------------------- properties


def draw(seed):
    rng = np.random.default_rng(seed)
    n_groups = int(rng.integers(2, 12))
    rows = make_rows(int(rng.integers(50, 120)), n_groups, seed)
    return rows, [z for z in range(3) if rng.random() < 0.4]


def fit(X, y, groups, slopes, **options):
    return FixedEffectsRegressor(slopes).fit(X, y, groups=groups, **options)


def assert_same(one, other, scale=1.0, shift=0.0):
    """Same fit; y in `other` is scale * (y + shift)."""
    std = np.sqrt(one.residual_variance_)
    expected = one.group_coef_ + np.eye(1, 4) * shift
    np.testing.assert_allclose(other.group_coef_ / scale, expected, atol=1e-7 * std, rtol=1e-7)
    np.testing.assert_allclose(other.coef_ / scale, one.coef_, rtol=1e-7, atol=1e-8 * std)
    cov = one.coef_cov_ * scale**2
    np.testing.assert_allclose(other.coef_cov_, cov, rtol=1e-7, atol=1e-9 * scale**2)
    assert other.residual_dof_ == one.residual_dof_
    assert other.within_r2_ == pytest.approx(one.within_r2_, abs=1e-9)


@PROPERTY
@given(SEEDS)
def test_agrees_with_dummies_everywhere(seed):
    (X, y, groups), slopes = draw(seed)
    oracle = with_dummies(X, y, groups, slopes)
    assume(oracle["dof"] > 0)
    model = fit(X, y, groups, slopes)
    np.testing.assert_allclose(model.predict(X, groups=groups), oracle["fitted"], atol=1e-8)
    assert model.residual_dof_ == oracle["dof"]
    assert model.residual_variance_ == pytest.approx(oracle["sigma2"], rel=1e-8)


@PROPERTY
@given(SEEDS)
def test_order_of_rows(seed):
    (X, y, groups), slopes = draw(seed)
    order = np.random.default_rng(seed).permutation(len(y))
    assert_same(fit(X, y, groups, slopes), fit(X[order], y[order], groups[order], slopes))


@PROPERTY
@given(SEEDS, st.permutations(list("abcdefghijkl")))
def test_names_of_groups(seed, names):
    (X, y, groups), slopes = draw(seed)
    one, other = fit(X, y, groups, slopes), fit(X, y, np.array(names)[groups], slopes)
    renamed = other.group_coef_.loc[np.array(names)[one.groups_]]
    np.testing.assert_allclose(renamed, one.group_coef_, atol=1e-8)
    np.testing.assert_allclose(other.coef_cov_, one.coef_cov_, rtol=1e-8, atol=1e-10)


@PROPERTY
@given(SEEDS, st.sampled_from([1e-6, 0.1, 1e7]), st.sampled_from([0.0, -5.0, 1e3]))
def test_shift_and_scale_of_y(seed, scale, shift):
    (X, y, groups), slopes = draw(seed)
    one, other = fit(X, y, groups, slopes), fit(X, scale * (y + shift), groups, slopes)
    assert_same(one, other, scale, shift)


@PROPERTY
@given(SEEDS)
def test_weights_are_repetitions(seed):
    (X, y, groups), slopes = draw(seed)
    w = np.random.default_rng(seed).integers(0, 4, len(y))
    times = np.repeat(np.arange(len(y)), w)
    weighted = fit(X, y, groups, slopes, sample_weight=w)
    repeated = fit(X[times], y[times], groups[times], slopes)
    assert_same(weighted, repeated)
    np.testing.assert_array_equal(weighted.group_sizes_, repeated.group_sizes_)
    assert weighted.log_likelihood_ == pytest.approx(repeated.log_likelihood_)
    pooled = PooledRegressor().fit(X, y, sample_weight=w)
    other = PooledRegressor().fit(X[times], y[times])
    np.testing.assert_allclose(pooled.coef_cov_, other.coef_cov_, rtol=1e-9)
