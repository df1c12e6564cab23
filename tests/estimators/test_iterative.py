"""The iterative solver at the surface: what it stores, refuses and warns of."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from skmixed import GroupedMoments, RandomInterceptRegressor, RandomSlopeRegressor
from skmixed._reports import iterative
from skmixed.exceptions import NotAvailableError
from skmixed.inference import likelihood_ratio_test
from skmixed.inspection import ResidualsDisplay

GROUPS = ["user", "item"]


@pytest.fixture(scope="module")
def ratings():
    rng = np.random.default_rng(0)
    n = 6000
    X = pd.DataFrame(
        {
            "user": rng.integers(500, size=n),
            "item": (100 * rng.random(n) ** 2).astype(int).astype(str),
            "price": rng.normal(size=n),
            "late": rng.integers(2, size=n),
        }
    )
    y = 3 + X["price"] + rng.normal(size=n) + 0.8 * rng.normal(size=500)[X["user"]]
    y += 0.5 * rng.normal(size=100)[X["item"].astype(int)]
    return X, y


@pytest.fixture(scope="module")
def exact(ratings):
    return RandomInterceptRegressor(group_by=GROUPS).fit(*ratings)


@pytest.fixture(scope="module")
def model(ratings):
    return RandomInterceptRegressor(group_by=GROUPS, solver="iterative").fit(*ratings)


def test_says_which_solver_was_used(exact, model, ratings):
    assert (exact.solver_, exact.monte_carlo_error_) == ("exact", None)
    assert model.solver_ == "iterative"
    error = model.monte_carlo_error_
    assert list(error.index) == ["user.(Intercept)", "item.(Intercept)", "criterion"]
    assert (error > 0).all()
    X, y = ratings
    single = RandomInterceptRegressor().fit(X[["price"]], y, groups=X["user"])
    assert (single.solver_, single.monte_carlo_error_) == ("exact", None)


def test_is_near_the_exact_solver(exact, model, ratings):
    X, _ = ratings
    error = model.monte_carlo_error_
    assert np.all(np.abs(model.theta_ - exact.theta_) <= 4 * error.to_numpy()[:2])
    assert abs(model.criterion_ - exact.criterion_) <= 4 * error["criterion"]
    std_error = np.sqrt(np.diag(exact.coef_cov_))[1:]
    coef = exact._columns.without_group
    assert np.all(np.abs(coef(model.coef_) - coef(exact.coef_)) <= 1e-3 * std_error)
    new = pd.concat([X.head(20), X.head(2).assign(user=-1), X.head(2).assign(item="new")])
    for one, two in zip(
        model.predict(new, return_std=True), exact.predict(new, return_std=True), strict=True
    ):
        np.testing.assert_allclose(one, two, rtol=2e-3, atol=2e-3)
    np.testing.assert_allclose(
        model.fixed_effects_frame()[["std_error", "df"]],
        exact.fixed_effects_frame()[["std_error", "df"]],
        rtol=0.02,
    )
    assert model.r2_conditional_ == pytest.approx(exact.r2_conditional_, abs=1e-3)
    assert "Its error, by probes" in str(model.summary())
    assert "Its error, by probes" not in str(exact.summary())


def test_a_seed_gives_the_same_fit(model, ratings):
    again = clone(model).fit(*ratings)
    np.testing.assert_array_equal(again.theta_, model.theta_)
    other = clone(model).set_params(random_state=1).fit(*ratings)
    assert other.criterion_ != model.criterion_
    states = [np.random.RandomState(5) for _ in range(2)]
    one, two = (clone(model).set_params(random_state=s).fit(*ratings) for s in states)
    assert one.criterion_ == two.criterion_


def test_more_probes_leave_a_smaller_error(model, ratings):
    many = clone(model).set_params(n_probes=256).fit(*ratings)
    few = clone(model).set_params(n_probes=16).fit(*ratings)
    ratio = many.monte_carlo_error_ / few.monte_carlo_error_
    assert np.all((ratio > 0.15) & (ratio < 0.4))


def test_slopes_name_each_entry_of_theta(ratings):
    slopes = RandomSlopeRegressor(
        {"user": ["price", "late"], "item": ["price"]},
        group_by=GROUPS,
        covariance={"user": "full", "item": "diag"},
        solver="iterative",
        n_probes=8,
    )
    X, y = ratings
    rng = np.random.default_rng(1)
    y = y + 0.5 * rng.normal(size=500)[X["user"]] * X["price"]
    y += 0.6 * rng.normal(size=500)[X["user"]] * X["late"]
    y += 0.4 * rng.normal(size=100)[X["item"].astype(int)] * X["price"]
    slopes.fit(X, y)
    assert list(slopes.monte_carlo_error_.index) == [
        "user.(Intercept)",
        "user.price.(Intercept)",
        "user.late.(Intercept)",
        "user.price",
        "user.late.price",
        "user.late",
        "item.(Intercept)",
        "item.price",
        "criterion",
    ]
    assert len(slopes.theta_) == 8


def test_is_stored_and_read(model, ratings):
    X, _ = ratings
    again = pickle.loads(pickle.dumps(model))
    assert again.monte_carlo_error_.equals(model.monte_carlo_error_)
    mine, theirs = (m.predict(X.head(3), return_std=True)[1] for m in (model, again))
    np.testing.assert_array_equal(mine, theirs)


def test_large_factors_are_left_to_it(ratings, monkeypatch):
    monkeypatch.setattr("skmixed._numerics.fit.choice_of_solver.MOST_IN_A_BLOCK", 50)
    automatic = RandomInterceptRegressor(group_by=GROUPS).fit(*ratings)
    assert automatic.solver_ == "iterative"
    exact = RandomInterceptRegressor(group_by=GROUPS, solver="exact").fit(*ratings)
    assert exact.solver_ == "exact"


def test_what_needs_effects_alone_is_there(model, exact, ratings):
    for name in GROUPS:
        np.testing.assert_allclose(model.group_coef_[name], exact.group_coef_[name], atol=1e-3)
    assert model.design_effect_ == pytest.approx(exact.design_effect_, rel=1e-3)
    X, y = ratings
    display = ResidualsDisplay.from_estimator(model, X, y)
    assert len(display.residuals) == len(y)


def test_new_groups_are_learned_from_their_rows(ratings):
    X, y = ratings
    old = X["user"] < 480
    updated = [
        RandomInterceptRegressor(group_by=GROUPS, solver=solver)
        .fit(X[old], y[old])
        .update_groups(X[~old], y[~old])
        for solver in ("exact", "iterative")
    ]
    exact, iterative = (model.random_effects_["user"] for model in updated)
    assert len(exact) == 500
    np.testing.assert_allclose(iterative, exact, atol=1e-3)


@pytest.mark.parametrize("way", ["batches", "moments", "dask"])
def test_rows_in_parts_give_the_same_fit(model, ratings, way):
    X, y = ratings
    parts = [slice(0, 1000), slice(1000, 6000)]
    other = clone(model)
    if way == "batches":
        for part in parts:
            other.partial_fit(X[part], y[part])
    elif way == "moments":
        one, two = (
            GroupedMoments.from_rows(X[part], y[part], group_by=GROUPS) for part in parts
        )
        other.fit_moments(one + two)
    else:
        dd = pytest.importorskip("dask.dataframe")
        with pytest.importorskip("dask").config.set(scheduler="synchronous"):
            other.fit(*(dd.from_pandas(rows, npartitions=3) for rows in (X, y.rename("y"))))
    assert other.solver_ == "iterative"
    np.testing.assert_allclose(other.theta_, model.theta_, rtol=1e-9)
    np.testing.assert_allclose(other.criterion_, model.criterion_, rtol=1e-9)


@pytest.mark.parametrize("name", ["pooling_weights_", "conditional_cov_"])
def test_refuses_attributes_that_need_all_covariances(model, name):
    with pytest.raises(NotAvailableError, match=f"{name} needs the exact solver"):
        getattr(model, name)
    assert not hasattr(model, name)


def test_refuses_methods_that_need_all_covariances(model, ratings):
    with pytest.raises(NotAvailableError, match=r"random_effects_frame needs .* Use solver="):
        model.random_effects_frame()
    for call in (model.conditional_aic, lambda: model.loo_predict(*ratings)):
        with pytest.raises(NotAvailableError, match="needs the exact solver, but"):
            call()
    for method in ("profile", "bootstrap"):
        with pytest.raises(NotAvailableError, match=rf"{method}'\) needs .*Use method='wald'"):
            model.confint(method=method)
    with pytest.raises(NotAvailableError, match=r"kenward-roger' needs .*satterthwaite"):
        model.fixed_effects_frame(df_method="kenward-roger")


def test_intervals_by_standard_errors_are_there(model, exact):
    mine, theirs = (m.confint(method="wald") for m in (model, exact))
    np.testing.assert_allclose(mine, theirs, atol=1e-3)


def test_refuses_a_single_factor(ratings):
    X, y = ratings
    single = RandomInterceptRegressor(group_by="user", solver="iterative")
    with pytest.raises(ValueError, match="is for several grouping factors"):
        single.fit(X[["user", "price"]], y)


def test_says_that_probes_do_not_fit_in_memory(model, ratings):
    message = r"n_probes=1000000000 is too large: .* for 600 random effects take 4.8e\+03 GB"
    with pytest.raises(ValueError, match=message):
        clone(model).set_params(n_probes=10**9).fit(*ratings)


def test_says_that_it_does_not_converge(model, ratings, monkeypatch):
    monkeypatch.setattr("skmixed._numerics.fit.elimination_iterative.MAX_STEPS", 1)
    with pytest.raises(ValueError, match="Conjugate gradients did not converge in 1 steps"):
        clone(model).fit(*ratings)


def test_says_that_factors_hang_together_weakly(model, ratings, monkeypatch):
    monkeypatch.setattr(iterative, "MANY_STEPS", 2)
    message = (
        r"took \d+ steps a solve.* into 1 part\(s\).*"
        "of 500 groups of 'user' meet one of 'item' alone; 0 of 100 groups of 'item'.*"
        "solver='exact' is quick"
    )
    with pytest.warns(ConvergenceWarning, match=message):
        clone(model).fit(*ratings)


def test_says_that_probes_are_few(model, ratings, monkeypatch):
    monkeypatch.setattr(iterative, "LARGE_SHARE", 1e-6)
    with pytest.warns(
        ConvergenceWarning, match=r"standard error .* n_probes=2: .*Use more.*='exact' is quick"
    ):
        clone(model).set_params(n_probes=2).fit(*ratings)


def test_likelihood_ratio_test_states_the_error(ratings):
    X, y = ratings
    options = {"group_by": GROUPS, "method": "ml", "solver": "iterative", "n_probes": 16}
    small = RandomInterceptRegressor(**options).fit(X.drop(columns="price"), y)
    large = RandomInterceptRegressor(**options).fit(X, y)
    test = likelihood_ratio_test(small, large)
    assert test.p_value == 0
    assert test.note.endswith("in the statistic.")
    exact = [
        RandomInterceptRegressor(group_by=GROUPS, method="ml").fit(part, y)
        for part in (X.drop(columns="price"), X)
    ]
    expected = likelihood_ratio_test(*exact)
    assert test.statistic == pytest.approx(expected.statistic, rel=1e-3)
    assert "standard error" not in expected.note


def test_likelihood_ratio_test_warns_where_the_error_matters(ratings, monkeypatch):
    monkeypatch.setattr("skmixed.inference._likelihood_ratio_test.UNCERTAIN", 1e-9)
    X, y = ratings
    options = {"group_by": GROUPS, "method": "ml", "solver": "iterative", "n_probes": 2}
    small = RandomInterceptRegressor(**options).fit(X.drop(columns="late"), y)
    # other probes: errors of the two have nothing in common
    large = RandomInterceptRegressor(**options, random_state=1).fit(X, y)
    with pytest.warns(
        UserWarning, match="error of .* in the statistic.* Use more probes in both"
    ):
        likelihood_ratio_test(small, large)
