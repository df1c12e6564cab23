"""What all four models share: groups, columns, warnings, summaries, pickles."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from scipy.linalg import LinAlgWarning
from sklearn.exceptions import ConvergenceWarning, NotFittedError

from skmixed import (
    RandomInterceptClassifier,
    RandomInterceptPoissonRegressor,
    RandomSlopeClassifier,
    RandomSlopePoissonRegressor,
)
from skmixed.exceptions import (
    MissingGroupsWarning,
    NotAvailableError,
    NotIdentifiedWarning,
    SingularFitWarning,
)

LEVELS = [RandomInterceptClassifier, RandomInterceptPoissonRegressor]
SLOPES = [RandomSlopeClassifier, RandomSlopePoissonRegressor]


@pytest.fixture
def rows(request, model):
    return request.getfixturevalue("binary" if "Classifier" in model.__name__ else "counts")


def only_x(model):
    """One slope, where there are slopes."""
    return {"slopes": "x"} if model in SLOPES else {}


def means_of(fitted, *rows):
    """Probabilities, or means of counts."""
    if hasattr(fitted, "predict_proba"):
        return fitted.predict_proba(*rows)[:, 1]
    return fitted.predict(*rows)


def assert_same_fit(one, other, rtol=1e-6):
    np.testing.assert_allclose(one.coef_[:2], other.coef_[:2], rtol=rtol, atol=1e-7)
    assert one.criterion_ == pytest.approx(other.criterion_, abs=1e-7)
    np.testing.assert_allclose(
        one.random_effects_cov_, other.random_effects_cov_, rtol=1e-4, atol=1e-7
    )


# ----------------------------------------------------------------------------------- groups


@pytest.mark.parametrize("model", LEVELS + SLOPES)
def test_groups_in_a_column(model, rows):
    X, y, groups = rows
    beside = model(**only_x(model)).fit(X, y, groups)
    within = model(**only_x(model), group_by="school").fit(rows.table, y)
    assert_same_fit(beside, within)
    assert within.groups_.name == "school"
    found = means_of(within, rows.table)
    np.testing.assert_allclose(found, means_of(beside, X, groups), atol=1e-6)
    np.testing.assert_array_equal(
        within.predict_population(X), within.predict_population(rows.table)
    )
    assert within.score(rows.table, y) == pytest.approx(beside.score(X, y, groups), abs=1e-6)
    with pytest.raises(ValueError, match="must be given once"):
        within.predict(rows.table, groups)


@pytest.mark.parametrize("model", LEVELS)
def test_labels_of_any_type(model, rows):
    X, y, groups = rows
    codes = np.unique(groups, return_inverse=True)[1]
    expected = model().fit(X, y, groups)
    for labels in (codes, codes.astype(float), pd.Categorical(groups), pd.Series(groups)):
        fitted = model().fit(X, y, labels)
        assert_same_fit(expected, fitted, rtol=1e-9)
        np.testing.assert_allclose(
            means_of(fitted, X, labels), means_of(expected, X, groups), rtol=1e-9
        )


@pytest.mark.parametrize("model", LEVELS)
def test_errors_about_groups(model, rows):
    X, y, groups = rows
    name = model.__name__
    fitted = model(new_groups="error").fit(X, y, groups)
    with pytest.raises(ValueError, match=r"1 are new: 'new'; 20 are known\. Leave new_groups"):
        fitted.predict(X[:1], ["new"])
    with pytest.raises(ValueError, match="must be given to `predict`") as raised:
        fitted.predict(X)
    scorer = "neg_log_loss" if "Classifier" in name else "neg_mean_poisson_deviance"
    assert f"group_scorer('{scorer}')" in str(raised.value)
    assert f"{name}(group_by='column')" in str(raised.value)
    with pytest.raises(ValueError, match="must be given to `linear_predictor`"):
        fitted.linear_predictor(X)
    two = np.column_stack([groups, np.arange(300) % 5])
    with pytest.raises(NotAvailableError, match="falls apart by group for one factor only"):
        model().fit(X, y, two)
    table = rows.table.assign(teacher=np.arange(300) % 5)
    with pytest.raises(NotAvailableError, match="Join the labels of nested factors"):
        model(group_by=["school", "teacher"]).fit(table, y)
    joined = model(group_by=("school", "teacher")).fit(table, y)
    assert joined.groups_.name == "school:teacher"
    with pytest.raises(NotFittedError):
        model().predict(X, groups)
    with pytest.raises(ValueError, match="must have a label for every row"):
        model().fit(X, y, np.where(groups == "school 01", None, groups))


@pytest.mark.parametrize("model", LEVELS)
def test_what_there_is_not(model, rows):
    da = pytest.importorskip("dask.array")
    X, y, groups = rows
    fitted = model().fit(X, y, groups)
    for name in ("partial_fit", "fit_moments", "loo_predict", "update_groups"):
        assert not hasattr(fitted, name)
        with pytest.raises(
            NotAvailableError, match=f"`{name}` does not exist for {model.__name__}"
        ):
            getattr(fitted, name)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = fitted.nothing
    collection = da.from_array(X.to_numpy())
    for call in (
        lambda: model().fit(collection, y, groups),
        lambda: fitted.predict(collection, groups),
        lambda: fitted.predict_population(collection),
    ):
        with pytest.raises(TypeError, match="reads all rows at every step of its fit"):
            call()


# ---------------------------------------------------------------------------------- columns


@pytest.mark.parametrize("model", LEVELS)
def test_kinds_of_X(model, rows):
    X, y, groups = rows
    expected = model().fit(X, y, groups)
    for other in (
        X.to_numpy(),
        scipy.sparse.csr_array(X),
        scipy.sparse.csc_matrix(X.to_numpy()),
    ):
        fitted = model().fit(other, y, groups)
        assert_same_fit(expected, fitted)
        np.testing.assert_allclose(
            means_of(fitted, other, groups), means_of(expected, X, groups), rtol=1e-6
        )
    single = model().fit(X.astype(np.float32), y, groups)
    np.testing.assert_allclose(single.coef_, expected.coef_, rtol=1e-5)
    assert list(expected.feature_names_in_) == ["x", "z"]


@pytest.mark.parametrize("model", LEVELS)
def test_a_null_model(model, rows):
    fitted = model(group_by="school").fit(rows.table[["school"]], rows.y)
    assert fitted.coef_.tolist() == [0.0]
    assert list(fitted.fixed_effects_frame().index) == ["(Intercept)"]
    assert np.isfinite(means_of(fitted, rows.table[["school"]])).all()
    assert str(fitted.summary())


@pytest.mark.parametrize("model", LEVELS)
def test_without_intercept(model, rows):
    X, y, groups = rows
    ones = X.assign(one=1.0)[["one", "x", "z"]]
    expected = model().fit(X, y, groups)
    fitted = model(fit_intercept=False).fit(ones, y, groups)
    assert fitted.intercept_ == 0.0
    assert fitted.coef_[0] == pytest.approx(expected.intercept_, abs=1e-4)
    assert list(fitted.coef_cov_.index) == ["one", "x", "z"]
    np.testing.assert_allclose(fitted.coef_cov_, expected.coef_cov_, rtol=1e-3)
    none = model(fit_intercept=False).fit(X, y, groups)
    assert none.criterion_ > expected.criterion_
    assert len(none.fixed_effects_frame()) == 2


@pytest.mark.parametrize("model", SLOPES)
def test_slopes(model, rows):
    X, y, groups = rows
    full = model("x").fit(X, y, groups)
    assert list(full.random_effects_) == ["(Intercept)", "x"]
    assert len(full.theta_) == 3
    Lambda = np.array([[full.theta_[0], 0.0], full.theta_[1:]])
    np.testing.assert_allclose(Lambda @ Lambda.T, full.random_effects_cov_, atol=1e-12)
    diagonal = model("x", covariance="diag").fit(X, y, groups)
    assert diagonal.random_effects_cov_.iloc[0, 1] == 0.0
    np.testing.assert_allclose(
        diagonal.theta_**2, np.diag(diagonal.random_effects_cov_), rtol=1e-12
    )
    assert diagonal.criterion_ > full.criterion_ - 1e-8
    slope = model(["x"], random_intercept=False).fit(X, y, groups)
    assert list(slope.random_effects_) == ["x"]
    assert slope.n_nodes_ == 9
    assert full.n_nodes_ == 1
    with pytest.raises(ValueError, match=r"quadrature=9 must be 1 .*\(Intercept\), x"):
        model("x", quadrature=9).fit(X, y, groups)
    with pytest.raises(ValueError, match="nothing varies between groups"):
        model([], random_intercept=False).fit(X, y, groups)
    level = model([], quadrature=1).fit(X, y, groups)
    of_level = model.__name__.replace("Slope", "Intercept")
    assert_same_fit(level, globals()[of_level](quadrature=1).fit(X, y, groups), rtol=1e-9)


@pytest.mark.filterwarnings("ignore:Singular fit")
@pytest.mark.parametrize("model", SLOPES)
def test_the_order_of_slopes(model, rows):
    X, y, groups = rows
    both = model(["x", "z"]).fit(X, y, groups)
    swapped = model(["z", "x"]).fit(X, y, groups)
    assert list(swapped.random_effects_) == ["(Intercept)", "z", "x"]
    assert swapped.criterion_ == pytest.approx(both.criterion_, abs=1e-6)
    order = list(both.random_effects_)
    cov = swapped.random_effects_cov_.loc[order, order]
    np.testing.assert_allclose(cov, both.random_effects_cov_, atol=1e-3)
    means = [means_of(fitted, X, groups) for fitted in (swapped, both)]
    np.testing.assert_allclose(*means, atol=1e-3)


@pytest.mark.parametrize("model", SLOPES)
def test_slopes_that_are_no_fixed_effects(model, rows):
    X, y, groups = rows
    centred = X.assign(x=X["x"] + 0.5)
    fitted = model("x", fixed_slopes=False).fit(centred, y, groups)
    assert fitted.coef_[0] == 0.0
    assert fitted.coef_[1] != 0.0
    assert np.isnan(fitted.fixed_effects_frame().loc["x", "estimate"])
    with_it = model("x").fit(centred, y, groups)
    assert fitted.criterion_ > with_it.criterion_ + 1
    assert fitted.aic_ - fitted.criterion_ == pytest.approx(2 * (2 + 3))
    # as a fit whose fixed columns never had x: compare the gradient's zero in the others
    assert fitted.random_effects_cov_.loc["x", "x"] > with_it.random_effects_cov_.loc["x", "x"]
    np.testing.assert_allclose(
        fitted.linear_predictor(centred, groups),
        fitted.intercept_
        + fitted.coef_[1] * X["z"]
        + np.sum(
            fitted.random_effects_.loc[groups].to_numpy()
            * np.column_stack([np.ones(300), centred["x"]]),
            axis=1,
        ),
    )


# --------------------------------------------------------------------------------- warnings


@pytest.mark.parametrize("model", LEVELS)
def test_dependent_columns(model, rows):
    X, y, groups = rows
    with pytest.warns(LinAlgWarning, match="twice can be written"):
        fitted = model().fit(X.assign(twice=2 * X["x"]), y, groups)
    assert fitted.coef_[2] == 0.0
    assert np.isnan(fitted.coef_cov_.loc["twice"]).all()
    assert_same_fit(model().fit(X, y, groups), fitted_without(fitted))


def fitted_without(fitted):
    fitted.coef_ = fitted.coef_[:2]
    return fitted


@pytest.mark.parametrize("model", LEVELS)
def test_groups_that_do_not_differ(model):
    rng = np.random.default_rng(3)
    X, codes = rng.normal(size=(200, 1)), np.repeat(np.arange(40), 5)
    y = np.tile([0, 1, 0, 1, 1], 40)
    with pytest.warns(SingularFitWarning, match="estimated as exactly 0") as caught:
        fitted = model().fit(X, y, codes)
    assert caught[0].filename == __file__
    assert fitted.singular_
    assert fitted.random_effects_cov_.to_numpy().tolist() == [[0.0]]
    assert not fitted.random_effects_.to_numpy().any()
    assert not fitted.pooling_weights_.to_numpy().any()
    assert fitted.icc_ == 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pooled = model().fit(X, y)
    np.testing.assert_allclose(fitted.coef_, pooled.coef_, atol=1e-5)
    np.testing.assert_allclose(means_of(fitted, X, codes), means_of(pooled, X), atol=1e-5)
    assert "Singular fit" in str(fitted.summary())
    with pytest.warns(SingularFitWarning, match="only one group, 7"):
        model().fit(X, y, np.full(200, 7))


@pytest.mark.parametrize("model", LEVELS)
def test_laplace_where_groups_are_small(model, rows):
    X, y, _ = rows
    noisy = y + np.random.default_rng(0).normal(size=len(y))
    threes = noisy.argsort().argsort() // 3  # alike, but not all the same
    with pytest.warns(UserWarning, match="3 rows on average"):
        model(quadrature=1).fit(X, y, threes)


def test_groups_that_tell_the_outcome_with_a_column(binary):
    """In one of the groups both outcomes occur, and x tells which."""
    X, _, groups = binary
    codes = np.unique(groups, return_inverse=True)[1]
    y = np.where(codes == 0, X["x"] > 0, codes % 2 == 1)
    with pytest.warns(ConvergenceWarning, match="may have no finite estimate: most groups"):
        fitted = RandomInterceptClassifier().fit(X, y, groups)
    np.testing.assert_array_equal(fitted.predict(X, groups), y)


@pytest.mark.parametrize("model", LEVELS)
def test_too_few_steps(model, rows):
    with pytest.warns(ConvergenceWarning, match="max_iter=1"):
        fitted = model(max_iter=1).fit(*rows)
    assert not fitted.converged_
    assert "Not converged after 1 iterations" in str(fitted.summary())


@pytest.mark.parametrize("model", LEVELS)
def test_a_column_of_the_groups(model, rows):
    X, y, groups = rows
    codes = np.unique(groups, return_inverse=True)[1]
    with pytest.warns(UserWarning, match="holds the labels of the groups"):
        model().fit(X.assign(school=codes), y, pd.Series(codes, name="school"))


@pytest.mark.parametrize("model", LEVELS)
def test_a_fit_that_fails_changes_nothing(model, rows):
    X, y, groups = rows
    fitted = model().fit(X, y, groups)
    before = vars(fitted).copy()
    with pytest.raises(ValueError, match=r"there is one class|y must hold counts"):
        fitted.fit(X, np.full(300, -1.0), groups)
    assert vars(fitted).keys() == before.keys()
    assert all(vars(fitted)[name] is value for name, value in before.items())


# ------------------------------------------------------------------------ pickles and copies


@pytest.mark.parametrize("model", LEVELS + SLOPES)
def test_pickles_hold_no_rows(model, rows):
    X, y, groups = rows
    fitted = model(**only_x(model)).fit(X, y, groups)
    stored = pickle.dumps(fitted)
    assert b"LikelihoodRows" not in stored
    again = pickle.loads(stored)
    np.testing.assert_array_equal(means_of(again, X, groups), means_of(fitted, X, groups))
    new = ["new"] * 300
    np.testing.assert_array_equal(means_of(again, X, new), means_of(fitted, X, new))
    pd.testing.assert_frame_equal(again.coef_cov_, fitted.coef_cov_)
    pd.testing.assert_frame_equal(again.conditional_cov_, fitted.conditional_cov_)
    assert str(again.summary()) == str(fitted.summary())
    assert pickle.loads(pickle.dumps(model())).get_params() == model().get_params()


@pytest.mark.parametrize("model", LEVELS)
def test_skops(model, rows):
    io = pytest.importorskip("skops.io")
    X, y, groups = rows
    fitted = model().fit(X, y, groups)
    stored = io.dumps(fitted)
    again = io.loads(stored, trusted=io.get_untrusted_types(data=stored))
    np.testing.assert_array_equal(means_of(again, X, groups), means_of(fitted, X, groups))
    assert io.get_untrusted_types(data=stored) == [f"skmixed.{model.__name__}"]


@pytest.mark.parametrize("model", LEVELS)
def test_rows_that_change_after_the_fit(model, rows):
    X, y, groups = rows
    order = np.argsort(groups, kind="stable")  # nothing to sort, so that nothing is copied
    X, y, groups = X.to_numpy()[order], np.asarray(y)[order], groups[order]
    fitted = model().fit(X, y, groups)
    expected = model().fit(X, y, groups).coef_cov_
    X[:, 0] += 1.0 + X[:, 1] ** 2
    with pytest.raises(ValueError, match="changed in place"):
        _ = fitted.coef_cov_
    X[:, 0] -= 1.0 + X[:, 1] ** 2
    np.testing.assert_allclose(fitted.coef_cov_, expected, rtol=1e-6)


# ----------------------------------------------------------------------- tables and summaries


@pytest.mark.parametrize("model", LEVELS)
def test_tables(model, rows):
    fitted = model().fit(*rows)
    frame = fitted.fixed_effects_frame(0.9, ratios=True)
    name = "odds_ratio" if "Classifier" in model.__name__ else "rate_ratio"
    assert list(frame)[-3:] == [name, "ratio_lower", "ratio_upper"]
    std_error = np.sqrt(np.diag(fitted.coef_cov_))
    np.testing.assert_allclose(frame["std_error"], std_error)
    np.testing.assert_allclose(frame["z"], frame["estimate"] / std_error)
    np.testing.assert_allclose(frame["upper"] - frame["estimate"], 1.6448536 * std_error)
    np.testing.assert_allclose(frame[name], np.exp(frame["estimate"]))
    np.testing.assert_allclose(frame["ratio_lower"], np.exp(frame["lower"]))
    effects = fitted.random_effects_frame()
    assert list(effects) == ["group", "term", "estimate", "std_error", "lower", "upper"]
    variance = fitted.conditional_cov_.to_numpy().ravel()
    np.testing.assert_allclose(effects["std_error"], np.sqrt(variance))
    psi = fitted.random_effects_cov_.iloc[0, 0]
    np.testing.assert_allclose(fitted.pooling_weights_.iloc[:, 0], 1 - variance / psi)
    limits = fitted.confint(method="wald")
    assert limits.index[0] == "sd_(Intercept)|group"
    assert limits.iloc[0, 0] == pytest.approx(np.sqrt(psi))
    assert limits.iloc[0, 1:].isna().all()
    np.testing.assert_allclose(
        limits.loc["x"], fitted.fixed_effects_frame().loc["x"].iloc[[0, 4, 5]]
    )


@pytest.mark.parametrize("model", SLOPES)
def test_shares_of_variance(model, rows):
    X, y, groups = rows
    fitted = model("x").fit(X, y, groups)
    eta = fitted.linear_predictor(X, ["new"] * 300)
    Z = np.column_stack([np.ones(300), X["x"]])
    spread = np.einsum("na,ab,nb->n", Z, fitted.random_effects_cov_, Z)
    if "Classifier" in model.__name__:
        residual = np.pi**2 / 3
    else:
        residual = np.log1p(1 / np.mean(np.exp(eta + spread / 2)))
    fixed, random = np.var(eta, ddof=1), spread.mean()
    total = fixed + random + residual
    assert fitted.icc_ == pytest.approx(random / (random + residual))
    assert fitted.r2_marginal_ == pytest.approx(fixed / total)
    assert fitted.r2_conditional_ == pytest.approx((fixed + random) / total)


@pytest.mark.parametrize("model", LEVELS + SLOPES)
def test_summary(model, rows):
    fitted = model(**only_x(model)).fit(*rows)
    summary = fitted.summary(level=0.9, stars=True)
    text = str(summary)
    assert max(map(len, text.splitlines())) <= 80
    method = "quadrature with 9 nodes" if model in LEVELS else "Laplace's approximation"
    assert f"fitted by {method}" in text
    assert "90% intervals; Wald's z" in text
    assert "nan" not in text.lower()
    assert summary.fit_statistics["Deviance"] == fitted.criterion_
    assert "*** p < 0.001" in text
    html = summary._repr_html_()
    assert html.count("<table") == html.count("</table>") >= 4
    assert "Odds ratios" in text if "Classifier" in model.__name__ else "Rate ratios" in text


# ------------------------------------------------------------------------------- separation


def test_a_column_that_separates_is_named(binary):
    X, y, groups = binary
    rare = (np.arange(300) % 30 == 0).astype(float) * y  # seen with one class alone
    with pytest.warns(ConvergenceWarning, match="coefficient of rare grows") as caught:
        fitted = RandomInterceptClassifier().fit(X.assign(rare=rare), y, groups)
    assert caught[0].filename == __file__
    assert fitted.separating_ == ["rare"]
    assert fitted.coef_[2] > 5
    assert "coefficient of rare grows" in str(fitted.summary())
    without = RandomInterceptClassifier().fit(X[rare == 0], y[rare == 0], groups[rare == 0])
    np.testing.assert_allclose(fitted.coef_[:2], without.coef_, atol=1e-3)
    with (
        pytest.warns(MissingGroupsWarning),
        pytest.warns(ConvergenceWarning, match="coefficient of rare grows"),
    ):
        RandomInterceptClassifier().fit(X.assign(rare=rare), y)


def test_a_column_without_counts_is_named(counts):
    X, y, groups = counts
    closed = (np.arange(300) % 30 == 0).astype(float)
    with pytest.warns(ConvergenceWarning, match="coefficient of closed grows"):
        fitted = RandomInterceptPoissonRegressor().fit(
            X.assign(closed=closed), np.where(closed, 0, y), groups
        )
    assert fitted.separating_ == ["closed"]
    assert fitted.predict(X.assign(closed=closed), groups)[closed > 0].max() < 1e-3


def test_rare_events_and_groups_that_are_all_alike():
    rng = np.random.default_rng(4)
    codes = np.repeat(np.arange(60), 10)
    y = np.zeros(600, dtype=int)
    y[codes < 3] = 1  # whole groups
    y[rng.integers(30, 600, size=6)] = 1
    fitted = RandomInterceptClassifier().fit(rng.normal(size=(600, 1)), y, codes)
    assert fitted.converged_
    assert fitted.separating_ == []
    assert 1 < np.sqrt(fitted.random_effects_cov_.iloc[0, 0]) < 20
    assert np.all(fitted.random_effects_.iloc[:3] > fitted.random_effects_.iloc[3:].max())


def test_outcomes_of_groups_alone(binary):
    X, _, groups = binary
    of_group = np.isin(groups, np.unique(groups)[::2])
    message = "Within each of the 20 groups all outcomes are alike"
    with pytest.warns(NotIdentifiedWarning, match=message) as caught:
        fitted = RandomInterceptClassifier().fit(X, of_group, groups)
    assert len(caught) == 1
    assert message in str(fitted.summary()).replace("\n", " ")
    of_group[0] = not of_group[0]
    RandomInterceptClassifier().fit(X, of_group, groups)


def test_groups_of_one_row(binary, counts):
    X, y, _ = binary
    with pytest.warns(NotIdentifiedWarning, match="Each of the 300 groups has one row"):
        RandomInterceptClassifier().fit(X, y, np.arange(300))
    X, y, _ = counts  # counts tell: they vary more than a Poisson distribution does
    fitted = RandomInterceptPoissonRegressor().fit(X, y, np.arange(300))
    assert fitted.random_effects_cov_.iloc[0, 0] > 0


def test_standard_errors_where_the_likelihood_is_flat(binary):
    X, _, groups = binary
    with pytest.warns(ConvergenceWarning, match="x is separated"):
        fitted = RandomInterceptClassifier().fit(X, X["x"] > 0, groups)
    assert np.all(np.diag(fitted.coef_cov_) >= 0) or fitted.coef_cov_.isna().any(axis=None)
    assert "x is separated" in str(fitted.summary())  # without other warnings


@pytest.mark.parametrize("model", [*LEVELS, *SLOPES])
def test_sizes_of_columns(model, rows):
    X, y, groups = rows
    for kind in (np.asarray, scipy.sparse.csr_array):
        with pytest.raises(ValueError, match="small enough for their squares to be summed"):
            model().fit(kind(1e200 * X), y, groups)
        with pytest.raises(ValueError, match="The column x0 must be large enough"):
            model().fit(kind(1e-200 * X), y, groups)


def test_many_nodes(binary):
    with pytest.raises(ValueError, match=r"in the range \[1, 100\]\. Got 101"):
        RandomInterceptClassifier(quadrature=101).fit(*binary)
