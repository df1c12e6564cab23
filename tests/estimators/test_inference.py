"""Standard errors, degrees of freedom, intervals and prediction variances."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from reference_cases import load_cases
from scipy.sparse import csr_array
from scipy.stats import norm, t
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from skmixed import RandomInterceptRegressor, RandomSlopeRegressor
from skmixed.datasets import load_hsb, load_sleepstudy, make_mixed_regression
from skmixed.exceptions import MissingGroupsWarning, SingularFitWarning

CASES = load_cases()
MODELS = {
    "intercept": RandomInterceptRegressor(),
    "ml": RandomInterceptRegressor(method="ml"),
    "no-fixed-intercept": RandomInterceptRegressor(fit_intercept=False),
    "slope": RandomSlopeRegressor(0),
    "diagonal": RandomSlopeRegressor(0, covariance="diag"),
    "slope-alone": RandomSlopeRegressor(0, random_intercept=False),
    "slope-not-fixed": RandomSlopeRegressor(0, fixed_slopes=False),
    "two-slopes": RandomSlopeRegressor([0, 1]),
}


def fit(model, *rows):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SingularFitWarning)
        return clone(model).fit(*rows)


@pytest.fixture(scope="module", params=CASES, ids=lambda case: case.name)
def fitted(request):
    case = request.param
    return case, fit(case.estimator, case.X, case.y, case.groups, case.sample_weight)


@pytest.fixture(scope="module", params=list(MODELS))
def small(request):
    """A model on few, unbalanced rows, and all the dense matrices that belong to it."""
    rng = np.random.default_rng(4)
    groups = np.repeat(np.arange(7), [1, 2, 3, 5, 8, 4, 4])
    X = rng.normal([2.0, 0.0, 1.0], size=(len(groups), 3))
    y = X @ [1.0, -1.0, 0.5] + (rng.normal(size=(7, 3)) @ [1, 1, 0])[groups]
    y += X[:, 0] * rng.normal(size=7)[groups] + rng.normal(size=len(y))
    model = fit(MODELS[request.param], X, y, groups)
    return model, X, y, groups


class Dense:
    """Prediction variances by the book: y and what is to be predicted are jointly normal."""

    def __init__(self, model, X, groups):
        self.model, self.groups = model, groups
        self.Sigma = model.random_effects_cov_.to_numpy()
        self.fixed = self.fixed_columns(X)
        self.Z = self.random_columns(X)
        same = np.equal.outer(groups, groups)
        V = model.residual_variance_ * np.eye(len(X)) + same * (self.Z @ self.Sigma @ self.Z.T)
        self.V_inv = np.linalg.inv(V)
        self.Phi = np.linalg.inv(self.fixed.T @ self.V_inv @ self.fixed)

    def fixed_columns(self, X):
        kept = np.isfinite(np.diag(self.model.coef_cov_))
        return self.all_columns(X)[:, -len(kept) :][:, kept]

    def random_columns(self, X):
        names = ["(Intercept)", "x0", "x1", "x2"]
        return self.all_columns(X)[
            :, [names.index(term) for term in self.model.random_effects_.columns]
        ]

    @staticmethod
    def all_columns(X):
        return np.column_stack([np.ones(len(X)), X])

    def variance(self, x, z, group):
        cov = (self.groups == group) * (self.Z @ self.Sigma @ z)
        a = x - self.fixed.T @ self.V_inv @ cov
        return z @ self.Sigma @ z - cov @ self.V_inv @ cov + a @ self.Phi @ a


# ------------------------------------------------------------------------- fixed effects


def reference_frame(case, key, df="df"):
    names = {"df": df, "std_error": "se", "t": "t", "p_value": "p"}
    stored = {
        term: {name: row.get(key, row["df"]) for name, key in names.items()}
        for term, row in case.expected[key].items()
    }
    return pd.DataFrame(stored, dtype=float).T.loc[case.model["fixed"]]


def test_satterthwaite_as_lmertest(fitted):
    case, model = fitted
    expected = reference_frame(case, "satterthwaite", "df_refined")
    found = model.fixed_effects_frame().loc[expected.index]
    np.testing.assert_allclose(found["df"], expected["df"], rtol=1e-4)
    np.testing.assert_allclose(found["t"], expected["t"], rtol=1e-3)
    np.testing.assert_allclose(found["p_value"], expected["p_value"], rtol=1e-3, atol=1e-15)


def test_kenward_roger_as_pbkrtest(fitted):
    case, model = fitted
    if "skipped" in case.expected["kenward_roger"]:
        pytest.skip("not in the reference")
    expected = reference_frame(case, "kenward_roger")
    found = model.fixed_effects_frame(df_method="kenward-roger").loc[expected.index]
    for column in ("df", "std_error", "t"):
        np.testing.assert_allclose(found[column], expected[column], rtol=1e-5)
    np.testing.assert_allclose(found["p_value"], expected["p_value"], rtol=1e-4, atol=1e-15)


def test_wald_intervals_as_lme4(fitted):
    case, model = fitted
    frame = model.fixed_effects_frame(df_method="normal")
    for name, limits in case.expected["wald_ci_95"].items():
        width = limits[1] - limits[0]
        np.testing.assert_allclose(
            frame.loc[name, ["lower", "upper"]] / width, np.array(limits) / width, atol=1e-5
        )


@pytest.mark.parametrize("df_method", ["satterthwaite", "kenward-roger"])
@pytest.mark.parametrize("name", ["intercept", "slope", "diagonal"])
def test_weights_are_repetitions(name, df_method):
    rng = np.random.default_rng(2)
    X, y, groups = make_mixed_regression(54, n_groups=9, random_state=3)
    weight = rng.integers(1, 4, len(y))
    frames = [
        fit(MODELS[name], X, y, groups, weight).fixed_effects_frame(df_method=df_method),
        fit(
            MODELS[name], *(np.repeat(part, weight, axis=0) for part in (X, y, groups))
        ).fixed_effects_frame(df_method=df_method),
    ]
    np.testing.assert_allclose(frames[0], frames[1], rtol=1e-6)


def test_level_2_predictors_have_about_as_many_degrees_of_freedom_as_groups():
    X, y, school = load_hsb(return_X_y=True)
    df = RandomInterceptRegressor().fit(X, y, groups=school).fixed_effects_frame()["df"]
    assert df[["mean_ses", "catholic"]].between(130, 200).all()
    assert (df[["ses", "female"]] > 5000).all()


def test_the_methods_agree_on_a_singular_fit_with_a_pooled_one():
    X, y, groups = make_mixed_regression(30, n_groups=6, random_state=0)
    noise = pd.Series(np.random.default_rng(0).normal(size=len(y)))
    y = X.sum(axis=1) + noise - noise.groupby(groups).transform("mean")
    model = fit(RandomInterceptRegressor(), X, y, groups)
    assert model.singular_
    dof = len(y) - X.shape[1] - 1
    np.testing.assert_allclose(model.fixed_effects_frame()["df"], dof)


def test_dropped_columns_have_no_numbers():
    X, y, subject = load_sleepstudy(return_X_y=True)
    with pytest.warns(match="rank-deficient"):
        model = RandomInterceptRegressor().fit(X.assign(twice=2 * X["Days"]), y, subject)
    frame = model.fixed_effects_frame()
    assert frame.loc["twice"].isna().all()
    assert model.confint(method="wald").loc["twice"].isna().all()
    np.testing.assert_allclose(
        frame.drop(index="twice"),
        RandomInterceptRegressor().fit(X, y, subject).fixed_effects_frame(),
    )


def test_kenward_roger_needs_reml():
    model = RandomInterceptRegressor(method="ml").fit(*load_sleepstudy(return_X_y=True))
    with pytest.raises(ValueError, match=r"defined for REML.*method='ml'"):
        model.fixed_effects_frame(df_method="kenward-roger")


# ------------------------------------------------------------------------ random effects


def test_conditional_covariance_as_lme4(fitted):
    case, model = fitted
    stored = case.expected["ranef_postvar"][case.random["group"]]
    found = model.conditional_cov_
    for label in model.groups_:
        if str(label) in stored:
            expected = np.array(stored[str(label)], dtype=float)
            np.testing.assert_allclose(
                found.loc[label], expected, rtol=1e-3, atol=1e-4 * expected.max()
            )


def test_standard_errors_of_random_effects(small):
    model, X, _, groups = small
    dense = Dense(model, X, groups)
    frame = model.random_effects_frame().set_index(["group", "term"])
    nowhere = np.zeros(dense.fixed.shape[1])
    for unit, term in zip(np.eye(len(dense.Sigma)), model.random_effects_, strict=True):
        expected = [dense.variance(nowhere, unit, group) for group in range(7)]
        np.testing.assert_allclose(frame["std_error"].xs(term, level="term") ** 2, expected)


def test_intervals_of_random_effects_are_centred_and_at_least_two_standard_errors(small):
    model = small[0]
    frame = model.random_effects_frame(level=0.9)
    np.testing.assert_allclose((frame["lower"] + frame["upper"]) / 2, frame["estimate"])
    half = (frame["upper"] - frame["lower"]) / 2
    assert (half >= norm.ppf(0.95) * frame["std_error"]).all()
    np.testing.assert_array_equal(frame["estimate"], model.random_effects_.to_numpy().ravel())


def test_what_estimating_the_variance_adds_to_the_intervals():
    # Prasad and Rao's g3 for a random intercept, balanced: A u / (1 + psi u)^3 / sigma2
    X, y, group = make_mixed_regression(1600, 1, n_groups=400, random_state=1)
    model = RandomInterceptRegressor().fit(X, y, group)
    frame = model.random_effects_frame()
    half = (frame["upper"] - frame["lower"]).to_numpy() / 2
    found = ((half / t.ppf(0.975, 399)) ** 2 - frame["std_error"] ** 2) / 2
    psi, u, J, s2 = model.theta_[0] ** 2, 4, 400, model.residual_variance_
    v = u / (1 + psi * u)
    information = np.array([[J * v**2, J * v], [J * v, 4 * J]]) / 2
    var_psi = np.linalg.inv(information)[0, 0]
    np.testing.assert_allclose(found / s2, var_psi * u / (1 + psi * u) ** 3, rtol=0.01)


# --------------------------------------------------------------------------- predictions


def test_prediction_variance_of_known_and_new_groups(small):
    model, X, _, groups = small
    dense = Dense(model, X, groups)
    rng = np.random.default_rng(0)
    X_new, at = rng.normal(size=(12, 3)), np.resize([0, 3, 6, 99], 12)
    fixed, Z = dense.fixed_columns(X_new), dense.random_columns(X_new)
    expected = np.array([dense.variance(*row) for row in zip(fixed, Z, at, strict=True)])
    y, std = model.predict(X_new, groups=at, return_std=True)
    np.testing.assert_array_equal(y, model.predict(X_new, groups=at))
    np.testing.assert_allclose(std**2, expected + model.residual_variance_)
    new = np.array([dense.variance(x, z, 99) for x, z in zip(fixed, Z, strict=True)])
    population, std = model.predict_population(X_new, return_std=True)
    np.testing.assert_array_equal(population, model.predict_population(X_new))
    np.testing.assert_allclose(std**2, new + model.residual_variance_)


def test_intervals_are_those_of_the_variance(small):
    model, X, _, groups = small
    y, std = model.predict(X, groups=groups, return_std=True)
    z = norm.ppf(0.9)
    weight = np.linspace(0.5, 3, len(X))
    s2 = model.residual_variance_
    for options, expected in [
        ({}, std**2),
        ({"sample_weight": weight}, std**2 + s2 * (1 / weight - 1)),
        ({"kind": "mean"}, std**2 - s2),
        ({"kind": "mean", "sample_weight": weight}, std**2 - s2),
    ]:
        limits = model.predict_interval(X, groups=groups, level=0.8, **options)
        assert limits.shape == (len(X), 2)
        np.testing.assert_allclose(limits.mean(axis=1), y)
        np.testing.assert_allclose(((limits[:, 1] - limits[:, 0]) / 2 / z) ** 2, expected)


def test_new_groups_are_less_certain_than_known_ones():
    X, y, subject = load_sleepstudy(return_X_y=True)
    model = RandomSlopeRegressor("Days").fit(X, y, groups=subject)
    labels = np.where(np.arange(len(X)) % 2, subject, -1)
    std = model.predict(X, groups=labels, return_std=True)[1]
    assert std[::2].min() > std[1::2].max()


def test_missing_labels_are_new_groups():
    X, y, subject = load_sleepstudy(return_X_y=True)
    model = RandomInterceptRegressor().fit(X, y, groups=subject.astype(str))
    limits = model.predict_interval(X.head(3), groups=["308", None, "new"])
    np.testing.assert_array_equal(
        limits[1] - limits[2], X["Days"][1] * 0 + limits[1] - limits[2]
    )
    assert np.ptp(limits, axis=1).argmin() == 0


def test_every_way_of_giving_rows():
    rng = np.random.default_rng(2)
    X, y, groups = make_mixed_regression(2000, n_groups=9, slope_variances=1.0, random_state=0)
    model = RandomSlopeRegressor(1).fit(X, y, groups)
    expected = model.predict(X, groups=groups, return_std=True)[1]
    sparse = model.predict(csr_array(X), groups=groups, return_std=True)[1]
    np.testing.assert_allclose(sparse, expected)
    one = [model.predict(X[[i]], groups=groups[[i]], return_std=True)[1][0] for i in range(9)]
    np.testing.assert_allclose(one, expected[:9])
    frame = pd.DataFrame(X).rename(columns="x{}".format).assign(g=groups)
    by_column = RandomSlopeRegressor("x1", group_by="g").fit(frame, y)
    np.testing.assert_allclose(by_column.predict(frame, return_std=True)[1], expected)
    order = rng.permutation(len(y))
    np.testing.assert_allclose(
        model.predict_interval(X[order], groups[order]),
        model.predict_interval(X, groups)[order],
    )


def test_offsets_do_not_matter():
    X, y, subject = load_sleepstudy(return_X_y=True)
    near = RandomSlopeRegressor("Days").fit(X, y, subject).predict_interval(X, subject)
    far = RandomSlopeRegressor("Days").fit(X + 1e6, y + 1e6, subject)
    np.testing.assert_allclose(far.predict_interval(X + 1e6, subject) - 1e6, near, atol=1e-5)


def test_intervals_survive_storing_and_follow_a_refit():
    X, y, subject = load_sleepstudy(return_X_y=True)
    model = RandomSlopeRegressor("Days").fit(X, y, groups=subject)
    before = model.predict_interval(X, groups=subject)
    copy = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(copy.predict_interval(X, groups=subject), before)
    refitted = model.fit(X, 10 * y, groups=subject).predict_interval(X, groups=subject)
    np.testing.assert_allclose(refitted, 10 * before, rtol=1e-6)


# ----------------------------------------------------------------------------- bad input

QUESTIONS = {
    "predict": lambda model, X: model.predict(X, return_std=True),
    "predict_population": lambda model, X: model.predict_population(X, return_std=True),
    "predict_interval": lambda model, X: model.predict_interval(X),
    "fixed_effects_frame": lambda model, X: model.fixed_effects_frame(),
    "random_effects_frame": lambda model, X: model.random_effects_frame(),
    "conditional_cov_": lambda model, X: model.conditional_cov_,
    "design_effect_": lambda model, X: model.design_effect_,
}


@pytest.mark.parametrize("question", list(QUESTIONS))
def test_questions_to_a_pooled_or_unfitted_model(question):
    X, y, _ = load_sleepstudy(return_X_y=True)
    with pytest.raises(NotFittedError):
        QUESTIONS[question](RandomInterceptRegressor(), X)
    with pytest.warns(MissingGroupsWarning):
        model = RandomInterceptRegressor().fit(X, y)
    with pytest.raises(ValueError, match="was fitted without groups"):
        QUESTIONS[question](model, X)


def test_the_former_word_for_the_level_gives_the_new_one():
    X, y, subject = load_sleepstudy(return_X_y=True)
    model = RandomInterceptRegressor().fit(X, y, groups=subject)
    with pytest.raises(TypeError, match=r"is called `level` now.*level=0.8\)"):
        model.predict_interval(X, subject, confidence_level=0.8)


@pytest.mark.parametrize("level", [0, 1, 95, -0.1, "0.95", None])
def test_levels(level):
    X, y, subject = load_sleepstudy(return_X_y=True)
    model = RandomInterceptRegressor().fit(X, y, groups=subject)
    for ask in (model.fixed_effects_frame, model.random_effects_frame):
        with pytest.raises(ValueError, match=r"'level'.*range \(0.0, 1.0\)"):
            ask(level=level)
    with pytest.raises(ValueError, match=r"'level'.*range \(0.0, 1.0\)"):
        model.predict_interval(X, subject, level=level)


def test_unknown_methods_and_kinds():
    X, y, subject = load_sleepstudy(return_X_y=True)
    model = RandomInterceptRegressor().fit(X, y, groups=subject)
    with pytest.raises(ValueError, match="'df_method'"):
        model.fixed_effects_frame(df_method="kr")
    with pytest.raises(ValueError, match="'kind'"):
        model.predict_interval(X, subject, kind="prediction")
    with pytest.raises(ValueError, match="`groups` must be given"):
        model.predict_interval(X)
    with pytest.raises(ValueError, match="sample_weight"):
        model.predict_interval(X, subject, sample_weight=[1.0])
    with pytest.raises(ValueError, match=r"must be positive.*but 1 are 0"):
        model.predict_interval(X, subject, sample_weight=np.arange(180.0))


def test_design_effect():
    X, y, subject = load_sleepstudy(return_X_y=True)
    model = RandomInterceptRegressor().fit(X, y, groups=subject)
    assert model.design_effect_ == pytest.approx(1 + 9 * model.icc_)
    model.update_groups(X, y, groups=subject.where(subject > 310, 999))
    assert model.design_effect_ == pytest.approx(1 + 9 * model.icc_)  # that of the fit


# ---------------------------------------------------------------------- data at the edges

EDGES = {
    "one group": lambda X, y: (X, y, np.zeros(30, dtype=int)),
    "groups of one": lambda X, y: (X, y, np.arange(30)),
    "two groups": lambda X, y: (X, y, np.arange(30) % 2),
    "explained by X": lambda X, y: (X, X.sum(axis=1), np.arange(30) % 5),
    "explained by groups": lambda X, y: (X, np.arange(30.0) % 5, np.arange(30) % 5),
    "constant": lambda X, y: (X, np.ones(30), np.arange(30) % 5),
    "dependent": lambda X, y: (X[:, [0, 0]], y, np.arange(30) % 5),
}


@pytest.mark.parametrize("edge", list(EDGES))
@pytest.mark.parametrize("name", ["intercept", "slope", "diagonal"])
def test_everything_can_be_asked_of_any_fit(name, edge):
    rng = np.random.default_rng(0)
    X, y, groups = EDGES[edge](rng.normal(size=(30, 2)), rng.normal(size=30))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = clone(MODELS[name]).fit(X, y, groups)
        for method in ("profile", "wald", "bootstrap"):
            limits = model.confint(method=method, n_bootstrap=10, random_state=0)
            assert (limits["lower"] <= limits["upper"])[limits.notna().all(axis=1)].all()
    for df_method in ("satterthwaite", "kenward-roger", "normal"):
        frame = model.fixed_effects_frame(df_method=df_method)
        assert (frame["std_error"].dropna() >= 0).all()
    frame = model.random_effects_frame()
    assert (frame["lower"] <= frame["estimate"]).all()
    assert (frame["estimate"] <= frame["upper"]).all()
    assert np.isfinite(model.predict(X, groups, return_std=True)[1]).all()
    assert str(model.summary())
    assert "<table" in model.summary()._repr_html_()
    model.conditional_aic()


def test_a_model_without_fixed_effects():
    _, y, groups = make_mixed_regression(200, 0, n_groups=20, random_state=0)
    model = RandomInterceptRegressor(fit_intercept=False, group_by=0)
    model.fit(groups[:, None], y)
    assert model.fixed_effects_frame().empty
    for method in ("profile", "wald", "bootstrap"):
        limits = model.confint(method=method, n_bootstrap=20, random_state=0)
        assert limits.index.tolist() == ["sd_(Intercept)|group", "sigma"]
    assert "Fixed effects" not in str(model.summary())
