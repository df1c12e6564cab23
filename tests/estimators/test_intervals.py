"""Intervals of all parameters, R2 and the conditional AIC, on the estimators."""

import warnings

import numpy as np
import pandas as pd
import pytest
from reference_cases import load_cases
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from skmixed import RandomInterceptRegressor, RandomSlopeRegressor
from skmixed.datasets import load_hsb, load_sleepstudy, make_mixed_regression
from skmixed.exceptions import MissingGroupsWarning, SingularFitWarning

# One of each form of a model; tests/numerics/inference/test_profile.py has the limits of all
FORMS = {
    "v_rail-expected",
    "v_sleepstudy_nointercept-expected",
    "v_sleepstudy_slope_ml-expected",
    "v_sleepstudy_slope_reml-expected",
    "v_sleepstudy_slopeonly-expected",
    "v_sleepstudy_uncorr_reml-expected",
    "v_oxboys_quad-expected",
    "v_badscale_slope-expected",
    "v_weights_int-expected",
    "v_weights_slope-expected",
}
CASES = [
    pytest.param(case, id=case.name, marks=() if case.name in FORMS else pytest.mark.slow)
    for case in load_cases()
    if not case.expected["is_singular"]
]


@pytest.fixture(scope="module")
def sleep():
    X, y, subject = load_sleepstudy(return_X_y=True)
    return RandomSlopeRegressor("Days").fit(X, y, groups=subject)


def is_raw(case, name):
    """Whether a limit belongs to the weights before they are scaled to mean 1."""
    return name == "sigma" and case.raw_weight is not None


@pytest.mark.parametrize("case", CASES)
def test_profile_intervals_as_lme4(case):
    model = case.estimator.fit(case.X, case.y, case.groups, case.sample_weight)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SingularFitWarning)
        found = model.confint()
    exact = case.expected.get("profile_ci_95_exact", {})
    spline = case.expected["profile_ci_95"]
    # where lme4 warns, its profile of a correlation is far off
    stored = {} if spline.get("warnings") else spline.get("ci", {})
    if case.raw_weight is not None:  # lme4's profiles of fixed effects are wrong with weights
        stored = {name: pair for name, pair in stored.items() if name.startswith(("sd", "cor"))}
    limits = {name: (pair, 0.03) for name, pair in stored.items()}
    limits |= {name: (pair, 1e-3) for name, pair in exact.get("ci", {}).items()}
    for name, (pair, tolerance) in limits.items():
        width = found.loc[name, "upper"] - found.loc[name, "lower"]
        scale = np.sqrt(case.raw_weight.mean()) if is_raw(case, name) else 1.0
        for key, limit in zip(("lower", "upper"), pair, strict=True):
            if limit is not None:
                difference = found.loc[name, key] - limit / scale
                assert abs(difference) < tolerance * width, (name, key)


def test_parameters_are_named_as_in_lme4(sleep):
    assert sleep.confint().index.tolist() == [
        "sd_(Intercept)|Subject",
        "cor_Days.(Intercept)|Subject",
        "sd_Days|Subject",
        "sigma",
        "(Intercept)",
        "Days",
    ]
    X, y, subject = load_sleepstudy(return_X_y=True)
    diagonal = RandomSlopeRegressor("Days", covariance="diag").fit(X, y, subject)
    assert [name[:3] for name in diagonal.confint().index] == [
        "sd_",
        "sd_",
        "sig",
        "(In",
        "Day",
    ]
    nothing = RandomInterceptRegressor(fit_intercept=False).fit(X, y, subject)
    assert nothing.confint().index.tolist() == ["sd_(Intercept)|Subject", "sigma", "Days"]


def test_estimates_are_those_of_the_fit(sleep):
    estimate = sleep.confint()["estimate"]
    cov = sleep.random_effects_cov_.to_numpy()
    correlation = cov[0, 1] / np.sqrt(cov[0, 0] * cov[1, 1])
    expected = [cov[0, 0] ** 0.5, correlation, cov[1, 1] ** 0.5]
    expected += [sleep.residual_variance_**0.5, sleep.intercept_, *sleep.coef_]
    np.testing.assert_allclose(estimate, expected)


def test_wald_intervals_have_no_variance_components(sleep):
    wald = sleep.confint(method="wald", level=0.9)
    assert wald[["lower", "upper"]].iloc[:4].isna().all().all()
    expected = sleep.fixed_effects_frame(0.9, "normal")[["lower", "upper"]]
    np.testing.assert_array_equal(wald[["lower", "upper"]].iloc[4:], expected)


def test_the_bootstrap_is_seeded_and_does_not_depend_on_the_jobs(sleep):
    options = {"method": "bootstrap", "n_bootstrap": 50}
    once = sleep.confint(**options, random_state=3)
    pd.testing.assert_frame_equal(once, sleep.confint(**options, random_state=3, n_jobs=2))
    assert not once.equals(sleep.confint(**options, random_state=4))


@pytest.mark.slow
def test_bootstrap_and_profile_agree_where_data_are_many():
    X, y, groups = make_mixed_regression(
        4000, 1, n_groups=400, slope_variances=0.5, random_state=1
    )
    model = RandomSlopeRegressor("all").fit(X, y, groups)
    profile = model.confint()[["lower", "upper"]]
    bootstrap = model.confint(method="bootstrap", n_bootstrap=400, random_state=0)
    width = profile["upper"] - profile["lower"]
    assert ((profile - bootstrap[["lower", "upper"]]).abs().div(width, axis=0) < 0.15).all(
        axis=None
    )


def test_progress_is_shown_only_when_asked_for(sleep, capsys):
    sleep.confint(method="bootstrap", n_bootstrap=20, random_state=0)
    assert capsys.readouterr() == ("", "")
    sleep.confint(method="bootstrap", n_bootstrap=20, random_state=0, verbose=10)
    assert "Done" in "".join(capsys.readouterr())


def test_a_singular_fit_has_one_sided_intervals():
    X, y, subject = load_sleepstudy(return_X_y=True)
    noise = np.random.default_rng(1).normal(size=180)
    y = 3 * X["Days"] + noise - pd.Series(noise).groupby(subject).transform("mean")
    with pytest.warns(SingularFitWarning):
        model = RandomInterceptRegressor().fit(X, y, subject)
    with pytest.warns(SingularFitWarning, match="one-sided: its lower limit is 0"):
        limits = model.confint()
    assert limits.loc["sd_(Intercept)|Subject", ["estimate", "lower"]].tolist() == [0, 0]
    assert limits.loc["sd_(Intercept)|Subject", "upper"] > 0
    assert np.isfinite(limits).all(axis=None)
    drawn = model.confint(method="bootstrap", n_bootstrap=100, random_state=0)
    assert drawn.loc["sd_(Intercept)|Subject", "lower"] == 0


@pytest.mark.parametrize("method", ["wald", "profile", "bootstrap"])
def test_dropped_columns_have_no_limits(method):
    X, y, subject = load_sleepstudy(return_X_y=True)
    with pytest.warns(match="rank-deficient"):
        model = RandomInterceptRegressor().fit(X.assign(twice=2 * X["Days"]), y, subject)
    limits = model.confint(method=method, n_bootstrap=20, random_state=0)
    assert limits.loc["twice", ["lower", "upper"]].isna().all()
    assert limits.loc["Days"].notna().all()


def test_r2_of_nakagawa_and_schielzeth(sleep):
    X = load_sleepstudy(return_X_y=True)[0]
    fixed = np.var(sleep.predict_population(X), ddof=1)
    Z = np.column_stack([np.ones(180), X])
    random = np.mean(np.sum(Z @ sleep.random_effects_cov_.to_numpy() * Z, axis=1))
    total = fixed + random + sleep.residual_variance_
    assert sleep.r2_marginal_ == pytest.approx(fixed / total)
    assert sleep.r2_conditional_ == pytest.approx((fixed + random) / total)
    statistics = sleep.summary().fit_statistics
    assert statistics["R2, fixed effects"] == sleep.r2_marginal_


def test_the_conditional_aic_counts_what_refits_follow():
    X, y, groups = make_mixed_regression(40, 1, n_groups=8, random_state=5)
    model = RandomInterceptRegressor(tol=1e-12).fit(X, y, groups)
    h, dof = 1e-4, 0.0
    for row in np.eye(len(y)):
        up, down = (
            clone(model).fit(X, y + step * row, groups).predict(X, groups) @ row
            for step in (h, -h)
        )
        dof += (up - down) / (2 * h)
    residual = y - model.predict(X, groups)
    s2 = model.residual_variance_
    deviance = len(y) * np.log(2 * np.pi * s2) + residual @ residual / s2
    assert model.conditional_aic() == pytest.approx(deviance + 2 * (dof + 1), rel=1e-5)


QUESTIONS = {
    "confint": lambda model: model.confint(),
    "conditional_aic": lambda model: model.conditional_aic(),
    "r2_marginal_": lambda model: model.r2_marginal_,
    "r2_conditional_": lambda model: model.r2_conditional_,
}


@pytest.mark.parametrize("question", list(QUESTIONS))
def test_questions_to_a_pooled_or_unfitted_model(question):
    X, y, _ = load_hsb(return_X_y=True)
    with pytest.raises(NotFittedError):
        QUESTIONS[question](RandomInterceptRegressor())
    with pytest.warns(MissingGroupsWarning):
        model = RandomInterceptRegressor().fit(X, y)
    with pytest.raises(ValueError, match="was fitted without groups"):
        QUESTIONS[question](model)


@pytest.mark.parametrize(
    "bad", [{"level": 1.0}, {"level": 95}, {"method": "boot"}, {"n_bootstrap": 0}]
)
def test_bad_arguments(sleep, bad):
    named = f"'{next(iter(bad))}' parameter of {type(sleep).__name__}.confint must"
    with pytest.raises(ValueError, match=named):
        sleep.confint(**bad)
