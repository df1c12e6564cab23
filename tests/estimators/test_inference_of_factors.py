"""Confidence intervals, the conditional AIC and levels left out, with several factors."""

import itertools
import json
import pickle
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from dense_oracle import dense_factors
from sklearn.exceptions import ConvergenceWarning

from skmixed import RandomInterceptRegressor, RandomSlopeRegressor
from skmixed._estimators import leave_out_of_factors
from skmixed.exceptions import SingularFitWarning

FOLDER = Path(__file__).parents[1] / "reference"
LIMITS = json.loads((FOLDER / "profiles" / "limits.json").read_text())["limits"]
INTERCEPT = "(Intercept)"
# the response, features, group_by and slopes of each set
SETS = {
    "penicillin": ("diameter", [], ["plate", "sample"], None),
    "pastes": ("strength", [], [("batch", "cask"), "batch"], None),
    "c_sim_balanced": ("y", ["x"], ["student", "item"], None),
    "c_sim_three": ("y", ["x"], ["rater", "site", "year"], None),
    "c_sim_singular_one": ("y", ["x"], ["a", "b"], None),
    "c_sim_slope_one_ml": ("y", ["x"], ["subj", "item"], {"subj": ["x"], "item": []}),
}
ML = {"c_sim_three", "c_sim_slope_one_ml"}


def read(name):
    own = FOLDER / "profiles" / f"{name}.csv"
    return pd.read_csv(own if own.exists() else FOLDER / name / "data.csv")


def fit(name):
    response, features, group_by, slopes = SETS[name]
    frame = read(name)
    columns = dict.fromkeys([*features, *np.hstack([np.array(by) for by in group_by])])
    options = {"group_by": group_by, "method": "ml" if name in ML else "reml"}
    if slopes is None:
        model = RandomInterceptRegressor(**options)
    else:
        model = RandomSlopeRegressor(slopes, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SingularFitWarning)
        return model.fit(frame[list(columns)], frame[response])


@pytest.mark.parametrize("name", SETS)
def test_profile_limits_are_those_of_lme4(name):
    model = fit(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SingularFitWarning)
        found = model.confint()
    expected = pd.DataFrame(LIMITS[name]["95"], index=["lower", "upper"]).T
    assert set(found.index) == set(expected.index)
    expected = expected.loc[found.index]
    width = (expected["upper"] - expected["lower"]).to_numpy()
    for side in ("lower", "upper"):
        # lme4's limits come from a spline
        assert np.all(np.abs(found[side] - expected[side]) < 1e-5 * width), side
    assert found.index.tolist()[-len(model.coef_cov_) :] == model.coef_cov_.index.tolist()


def test_another_level():
    found = fit("penicillin").confint(0.8)
    expected = pd.DataFrame(LIMITS["penicillin"]["80"], index=["lower", "upper"]).T
    np.testing.assert_allclose(found[["lower", "upper"]], expected, rtol=1e-5)


def test_names_and_estimates_follow_the_factors():
    model = fit("c_sim_slope_one_ml")
    table = model.confint(method="wald")
    assert table.index.tolist() == [
        "sd_(Intercept)|subj",
        "cor_x.(Intercept)|subj",
        "sd_x|subj",
        "sd_(Intercept)|item",
        "sigma",
        INTERCEPT,
        "x",
    ]
    cov = model.random_effects_cov_["subj"].to_numpy()
    expected = cov[0, 1] / np.sqrt(cov[0, 0] * cov[1, 1])
    assert table.loc["cor_x.(Intercept)|subj", "estimate"] == pytest.approx(expected)
    of_item = np.sqrt(model.random_effects_cov_["item"].iloc[0, 0])
    assert table.loc["sd_(Intercept)|item", "estimate"] == pytest.approx(of_item)
    assert table["lower"].isna().tolist() == [True] * 5 + [False] * 2


def test_a_singular_fit_has_one_sided_limits():
    model = fit("c_sim_singular_one")
    with pytest.warns(SingularFitWarning, match="one-sided"):
        table = model.confint()
    assert table.loc["sd_(Intercept)|b", "lower"] == 0
    assert table.loc["sd_(Intercept)|b", "estimate"] == 0


def test_a_bootstrap_depends_on_its_seed_alone():
    model = fit("penicillin")
    options = {"method": "bootstrap", "n_bootstrap": 30}
    one = model.confint(**options, random_state=0)
    again = model.confint(**options, random_state=0, n_jobs=2)
    other = model.confint(**options, random_state=1)
    pd.testing.assert_frame_equal(one, again)
    assert (one["lower"] != other["lower"]).all()
    assert (one["lower"] < one["estimate"]).all()
    assert (one["upper"] > one["estimate"]).all()


def test_bootstrap_intervals_with_slopes():
    table = fit("c_sim_slope_one_ml").confint(
        method="bootstrap", n_bootstrap=25, random_state=0
    )
    assert table.notna().all(axis=None)
    assert table.loc["cor_x.(Intercept)|subj", "lower"] > -1


def test_refits_that_do_not_converge_are_counted():
    model = fit("penicillin").set_params(max_iter=1)
    with pytest.warns(ConvergenceWarning, match="of 4 bootstrap refits did not converge"):
        model.confint(method="bootstrap", n_bootstrap=4, random_state=0)


def test_conditional_aic_is_that_of_the_joint_density():
    """-2 log f(y | b) and the trace of the matrix that turns y into y^, but for rho's rise."""
    model, frame = fit("penicillin"), read("penicillin")
    y = frame["diameter"].to_numpy(float)
    residual = y - model.predict(frame[["plate", "sample"]])
    sigma2, n = model.residual_variance_, len(y)
    deviance = n * np.log(2 * np.pi * sigma2) + residual @ residual / sigma2
    found = model.conditional_aic()
    V = np.eye(n)
    for name in ("plate", "sample"):
        same = np.equal.outer(frame[name].to_numpy(), frame[name].to_numpy())
        V += model.random_effects_cov_[name].iloc[0, 0] / sigma2 * same
    V_inv = np.linalg.inv(V)
    P = V_inv - np.outer(V_inv.sum(1), V_inv.sum(1)) / V_inv.sum()
    least = deviance + 2 * (n - np.trace(P) + 1)
    assert least < found < least + 4


# ----------------------------------------------------------------------------- levels left out


def simulated(seed=0, n=160):
    """A school has a class of its own, so that no other school says anything of it."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "x": rng.normal(size=n),
            "school": rng.choice(list("abcdefg"), size=n),
            "rater": 10 * rng.integers(9, size=n),
        }
    )
    frame.loc[frame["school"] == "c", "rater"] = 7
    effects = rng.normal(size=(2, 100))
    y = 1 + frame["x"] + effects[0, [ord(s) - 97 for s in frame["school"]]]
    return frame, y + effects[1, frame["rater"]] + rng.normal(size=n)


def refits(model, frame, y, weight, factor):
    """Predictions of each level's rows by dense fits to the others, theta held."""
    names, predicted = ["school", "rater"], np.empty(len(y))
    X = np.column_stack([np.ones(len(y)), frame["x"]])
    Psi = [
        model.random_effects_cov_[name].to_numpy() / model.residual_variance_ for name in names
    ]
    q = [len(P) for P in Psi]
    for level in frame[factor].unique():
        out = (frame[factor] == level).to_numpy()
        kept = ~out & (weight > 0)
        labels, codes = zip(
            *(np.unique(frame.loc[kept, name], return_inverse=True) for name in names),
            strict=True,
        )
        dense = dense_factors(
            X[kept],
            y[kept],
            [X[kept, :k] for k in q],
            codes,
            Psi,
            reml=True,
            weights=weight[kept],
        )
        predicted[out] = X[out] @ dense["beta"]
        start = 0
        for name, own, k in zip(names, labels, q, strict=True):
            b = dense["b"][start : start + k * len(own)].reshape(k, -1)
            start += b.size
            position = pd.Index(own).get_indexer(frame.loc[out, name])
            b = np.append(b, np.zeros((k, 1)), axis=1)
            predicted[out] += np.sum(X[out, :k] * b[:, position].T, axis=1)
    return predicted


@pytest.mark.parametrize("factor", ["school", "rater"])
@pytest.mark.parametrize("kind", ["level", "slope", "weights", "sums"])
def test_levels_left_out_are_predicted_as_by_dense_refits(monkeypatch, kind, factor):
    frame, y = simulated()
    if kind == "sums":  # taken off, as where a level has many rows
        monkeypatch.setattr(leave_out_of_factors, "MOST_ROWS", 20)
    weight = np.ones(len(y))
    if kind == "weights":
        weight = np.random.default_rng(1).choice([0.0, 0.5, 1.5], size=len(y))
    options = {"group_by": ["school", "rater"]}
    model = RandomInterceptRegressor(**options)
    if kind == "slope":
        model = RandomSlopeRegressor({"school": ["x"], "rater": []}, **options)
    model.fit(frame, y, sample_weight=weight)
    before = pickle.dumps(model)
    found = model.loo_predict(frame, y, sample_weight=weight, leave="group", factor=factor)
    expected = refits(model, frame, y.to_numpy(), weight, factor)
    np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-8)
    assert pickle.dumps(model) == before


def test_order_of_rows_does_not_matter():
    frame, y = simulated()
    model = RandomInterceptRegressor(group_by=["school", "rater"]).fit(frame, y)
    found = pd.Series(model.loo_predict(frame, y, leave="group", factor="school"), y.index)
    some = np.random.default_rng(0).permutation(len(y))
    turned = model.loo_predict(frame.iloc[some], y.iloc[some], leave="group", factor="school")
    np.testing.assert_allclose(turned, found.iloc[some], rtol=1e-9)


@pytest.mark.parametrize(
    ("leave", "kind"),
    [
        ("group", "some of a level"),
        *itertools.product(["row", "group"], ["one row", "one row far off"]),
    ],
)
def test_rows_that_alone_tell_of_a_coefficient(leave, kind):
    """Without them the column is constant, as in a fit to the other rows."""
    frame, y = simulated()
    b = (frame["school"] == "b").to_numpy()
    alone = b if kind == "some of a level" else np.arange(len(y)) == np.flatnonzero(b)[0]
    column = frame["x"] ** 2 + (1e4 if kind == "one row far off" else 1.0)
    frame["alone"] = np.where(alone, column, 0.0)
    model = RandomInterceptRegressor(group_by=["school", "rater"]).fit(frame, y)
    found = model.loo_predict(
        frame, y, leave=leave, factor="school" if leave == "group" else None
    )
    assert np.isfinite(found).all()
    # the same rows without the column, the variances held
    rows = frame.assign(row=np.arange(len(y))), y.to_numpy(), np.ones(len(y))
    expected = refits(model, *rows, "school" if leave == "group" else "row")
    some = b if leave == "group" else alone
    np.testing.assert_allclose(found[some], expected[some], rtol=1e-6)


def test_the_factor_must_be_named():
    frame, y = simulated()
    model = RandomInterceptRegressor(group_by=["school", "rater"]).fit(frame, y)
    with pytest.raises(ValueError, match=r"has the factors \['school', 'rater'\]. Name one"):
        model.loo_predict(frame, y, leave="group")
    with pytest.raises(ValueError, match="factor='pupil' must be one of"):
        model.loo_predict(frame, y, leave="group", factor="pupil")
    with pytest.raises(ValueError, match="but leave='row' leaves out rows"):
        model.loo_predict(frame, y, factor="school")
    one = RandomInterceptRegressor(group_by="school").fit(frame.drop(columns="rater"), y)
    rows = frame.drop(columns="rater"), y
    by_name = one.loo_predict(*rows, leave="group", factor="school")
    np.testing.assert_array_equal(by_name, one.loo_predict(*rows, leave="group"))
    with pytest.raises(ValueError, match="factor='rater' must be one of"):
        one.loo_predict(*rows, leave="group", factor="rater")


def test_levels_left_out_must_be_rows_of_the_fit():
    frame, y = simulated()
    model = RandomInterceptRegressor(group_by=["school", "rater"]).fit(frame, y)
    with pytest.raises(ValueError, match="must be given the rows of the fit"):
        model.loo_predict(frame, y + 1, leave="group", factor="school")


def test_rows_of_another_fit():
    frame, y = simulated()
    model = RandomInterceptRegressor(group_by=["school", "rater"]).fit(frame, y)
    with pytest.raises(
        ValueError, match=r"159 rows in 7 groups of 'school', where the fit had 160 in 7, or"
    ):
        model.loo_predict(frame[1:], y[1:])
    with pytest.raises(ValueError, match="their sums of squares are others"):
        model.loo_predict(frame, 2 * y)


def test_groups_are_needed():
    frame, y = simulated()
    model = RandomInterceptRegressor()
    model.fit(frame[["x"]], y, groups=frame[["school", "rater"]])
    with pytest.raises(ValueError, match=r"several factors, so loo_predict needs them, too"):
        model.loo_predict(frame[["x"]], y)
