"""Several grouping factors at the surface: against lme4, and the same model said otherwise."""

import itertools
import json
import pickle
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sklearn
from scipy.stats import chi2
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmixed import (
    FixedEffectsRegressor,
    GroupedMoments,
    PooledRegressor,
    RandomInterceptRegressor,
    RandomSlopeRegressor,
    compare_pooling,
    describe_groups,
)
from skmixed.exceptions import NotIdentifiedWarning, SingularFitWarning
from skmixed.inference import compare_slopes, likelihood_ratio_test
from skmixed.inspection import RandomEffectsDisplay
from skmixed.model_selection import cross_validate
from skmixed.preprocessing import WithinBetween

FOLDER = Path(__file__).parents[1] / "reference"
INTERCEPT = "(Intercept)"


class Case:
    """A reference fit of lme4, as an estimator, rows, and what to expect."""

    def __init__(self, name):
        stored = json.loads((FOLDER / name / "expected.json").read_text())
        self.model, self.expected = stored["model"], stored["expected"]
        self.data = pd.read_csv(FOLDER / name / "data.csv")
        self.factors = list(dict.fromkeys(term["group"] for term in self.model["random"]))
        self.slopes = {name: [] for name in self.factors}
        self.has_level = dict.fromkeys(self.factors, False)
        self.covariance = dict.fromkeys(self.factors, "full")
        for term in self.model["random"]:
            name, columns = term["group"], term["columns"]
            if self.slopes[name] or self.has_level[name]:
                self.covariance[name] = "diag"  # lme4 writes uncorrelated effects as two terms
            self.has_level[name] |= INTERCEPT in columns
            self.slopes[name] += [column for column in columns if column != INTERCEPT]

    @property
    def estimator(self):
        options = {
            "group_by": self.factors,
            "method": self.model["method"].lower(),
            "fit_intercept": self.model["intercept"],
        }
        if not any(self.slopes.values()):
            return RandomInterceptRegressor(**options)
        return RandomSlopeRegressor(
            self.slopes,
            covariance=self.covariance,
            random_intercept=self.has_level,
            **options,
        )

    @property
    def weight(self):
        name = self.model["weights"]
        return None if name is None else self.data[name] / self.data[name].mean()

    @property
    def columns(self):
        return [*self.model["fixed_columns"], *self.factors]

    def fit(self):
        y = self.data[self.model["response"]]
        return self.estimator.fit(self.data[self.columns], y, sample_weight=self.weight)


CASES = sorted(path.name for path in FOLDER.glob("c_*"))


@pytest.fixture(scope="module", params=CASES)
def case(request):
    return Case(request.param)


@pytest.fixture(scope="module")
def fitted(case):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SingularFitWarning)
        return case.fit()


def test_criterion_and_coefficients(case, fitted):
    logs = 0.0 if case.weight is None else np.log(case.weight).sum()
    expected = case.expected
    assert fitted.criterion_ - logs == pytest.approx(expected["criterion"], abs=1e-6)
    frame = fitted.fixed_effects_frame()
    np.testing.assert_allclose(
        frame["estimate"], list(expected["fixef"].values()), rtol=1e-5, atol=1e-6
    )
    np.testing.assert_allclose(frame["std_error"], list(expected["se"].values()), rtol=1e-4)
    assert fitted.converged_
    assert fitted.singular_ == expected["is_singular"]


def test_measures_of_fit(case, fitted):
    logs = 0.0 if case.weight is None else np.log(case.weight).sum()
    assert fitted.aic_ - logs == pytest.approx(case.expected["AIC"], abs=1e-5)
    assert fitted.bic_ - logs == pytest.approx(case.expected["BIC"], abs=1e-5)
    # shares of the variance of y over the rows, by its parts
    rows = case.data[case.columns]
    weight = np.ones(len(rows)) if case.weight is None else case.weight.to_numpy()
    line = fitted.predict_population(rows)
    fixed = weight @ (line - np.average(line, weights=weight)) ** 2 / (weight.sum() - 1)
    parts = {}
    for name, cov in fitted.random_effects_cov_.items():
        Z = np.column_stack([np.ones(len(rows)) if t == INTERCEPT else rows[t] for t in cov])
        parts[name] = np.average(np.einsum("ia,ab,ib->i", Z, cov, Z), weights=weight)
    random, total = sum(parts.values()), sum(parts.values()) + fitted.residual_variance_
    assert fitted.r2_marginal_ == pytest.approx(fixed / (fixed + total), rel=1e-6)
    assert fitted.r2_conditional_ == pytest.approx((fixed + random) / (fixed + total), rel=1e-6)
    for name, part in parts.items():
        assert fitted.icc_[name] == pytest.approx(part / total, rel=1e-6, abs=1e-12)


def test_variances_and_effects(case, fitted):
    expected = case.expected
    mean = 1.0 if case.weight is None else case.data[case.model["weights"]].mean()
    assert fitted.residual_variance_ == pytest.approx(expected["sigma"] ** 2 / mean, rel=1e-5)
    assert list(fitted.groups_) == case.factors
    for name in case.factors:
        cov = np.array(expected["varcorr"][name]["cov"], dtype=float)
        found = fitted.random_effects_cov_[name].to_numpy()
        np.testing.assert_allclose(found, cov, rtol=1e-3, atol=1e-6 * expected["sigma"] ** 2)
        weights = fitted.pooling_weights_[name].to_numpy()
        of_labels = fitted.conditional_cov_[name]
        left = of_labels.to_numpy().reshape(len(weights), -1, len(cov))
        share = np.divide(
            np.einsum("jaa->ja", left),
            np.diag(found),
            out=np.ones_like(weights),
            where=np.diag(found) > 0,
        )
        np.testing.assert_allclose(weights, 1 - share, atol=1e-8)
        modes = expected["ranef"][name]
        effects = fitted.random_effects_[name]
        stored = np.array([modes[str(label)] for label in effects.index], dtype=float)
        scale = expected["sigma"]
        np.testing.assert_allclose(effects, stored.reshape(effects.shape), atol=2e-4 * scale)
        for label, block in expected["ranef_postvar"][name].items():
            block = np.array(block, dtype=float)
            kind = type(effects.index[0])
            own = of_labels.loc[kind(label)].to_numpy()
            known = np.isfinite(block)
            np.testing.assert_allclose(
                own[known], block[known], rtol=2e-3, atol=1e-7 * scale**2
            )


def test_predictions(case, fitted):
    rows, expected = case.data.head(200)[case.columns], case.expected
    np.testing.assert_allclose(
        fitted.predict(rows), expected["fitted_first200"], atol=2e-4 * expected["sigma"]
    )
    np.testing.assert_allclose(
        fitted.predict_population(rows),
        expected["population_first200"],
        atol=1e-4 * expected["sigma"],
    )
    new = pd.DataFrame(expected["predict_new"]["rows"])
    rows = new.reindex(columns=case.columns)
    for name in case.factors:  # new labels are text in the file
        if fitted.groups_[name].dtype.kind in "iu":
            known = {str(label): label for label in fitted.groups_[name]}
            rows[name] = [known.get(str(label), -99) for label in rows[name]]
    mean = np.array(expected["predict_new"]["mean"])
    np.testing.assert_allclose(fitted.predict(rows), mean, atol=2e-4 * expected["sigma"])
    limits = fitted.predict_interval(rows, kind="mean", level=0.6826894921370859)
    variance = (np.diff(limits, axis=1)[:, 0] / 2) ** 2
    np.testing.assert_allclose(variance, expected["predict_new"]["var_mean"], rtol=2e-3)
    std = fitted.predict(rows, return_std=True)[1]
    np.testing.assert_allclose(std**2, variance + fitted.residual_variance_, rtol=1e-6)


def test_degrees_of_freedom(case, fitted):
    for df_method, key in (
        ("satterthwaite", "satterthwaite"),
        ("kenward-roger", "kenward_roger"),
    ):
        stored = case.expected.get(key)
        if stored is None or case.expected["is_singular"]:
            continue
        if fitted.method == "ml" and key == "kenward_roger":
            continue
        frame = fitted.fixed_effects_frame(df_method=df_method)
        df = [stored[term]["df"] for term in frame.index]
        np.testing.assert_allclose(frame["df"], df, rtol=2e-5)
        np.testing.assert_allclose(
            frame["std_error"], [stored[term]["se"] for term in frame.index], rtol=1e-4
        )


def test_summary_names_all_factors(case, fitted):
    text = str(fitted.summary())
    for name in case.factors:
        assert f"Groups ({name})" in text
    assert fitted.summary().variance_components.index.unique("level").tolist() == [
        *case.factors,
        "Residual",
    ]
    assert max(map(len, text.splitlines())) <= 80
    assert fitted.summary()._repr_html_().count("<table") >= 3


# --------------------------------------------------------------- the same model said otherwise


@pytest.fixture(scope="module")
def rows():
    """Pupils of classes 1, 2, ... in schools, each graded by raters."""
    rng = np.random.default_rng(0)
    school = np.repeat(np.arange(12), 30)
    class_ = 1 + np.tile(np.repeat(np.arange(3), 10), 12)
    rater = rng.integers(0, 8, 360)
    x = rng.standard_normal(360)
    y = (
        1
        + 0.5 * x
        + rng.standard_normal(12)[school]
        + 0.7 * rng.standard_normal(36)[3 * school + class_ - 1]
    )
    y += 0.5 * rng.standard_normal(8)[rater] + rng.standard_normal(360)
    columns = {"x": x, "school": school, "class": class_, "rater": [f"r{i}" for i in rater]}
    return pd.DataFrame(columns), pd.Series(y, name="grade")


def joined(X):
    return X["school"].astype(str) + ":" + X["class"].astype(str)


def test_a_tuple_joins_labels(rows):
    X, y = rows
    model = RandomInterceptRegressor(group_by=["school", ("school", "class")]).fit(
        X[["x", "school", "class"]], y
    )
    by_hand = RandomInterceptRegressor(group_by=["school", "both"])
    by_hand.fit(X[["x", "school"]].assign(both=joined(X)), y)
    assert model.criterion_ == pytest.approx(by_hand.criterion_, abs=1e-9)
    assert list(model.groups_) == ["school", "school:class"]
    assert model.groups_["school:class"][0] == "0:1"
    pd.testing.assert_frame_equal(
        model.random_effects_["school:class"].rename_axis("both"),
        by_hand.random_effects_["both"],
    )
    assert list(model.coef_) == [model.coef_[0], 0.0, 0.0]
    as_floats = X[["x", "school", "class"]].astype(float)
    np.testing.assert_allclose(
        model.predict(as_floats), model.predict(X[["x", "school", "class"]])
    )


def test_a_tuple_alone_is_one_factor(rows):
    X, y = rows
    expected = RandomInterceptRegressor().fit(
        X[["x"]], y, groups=joined(X).rename("school:class")
    )
    for group_by in (("school", "class"), [("school", "class")]):
        model = RandomInterceptRegressor(group_by=group_by).fit(X[["x", "school", "class"]], y)
        assert model.criterion_ == pytest.approx(expected.criterion_)
        pd.testing.assert_frame_equal(model.random_effects_, expected.random_effects_)


def test_a_list_of_one_is_one_factor(rows):
    X, y = rows
    X = X[["x", "school"]]
    expected = RandomInterceptRegressor(group_by="school").fit(X, y)
    listed = RandomInterceptRegressor(group_by=["school"]).fit(X, y)
    framed = RandomInterceptRegressor().fit(X[["x"]], y, groups=X[["school"]])
    for model in (listed, framed):
        assert type(model.random_effects_) is pd.DataFrame
        pd.testing.assert_frame_equal(model.random_effects_, expected.random_effects_)
        assert model.criterion_ == expected.criterion_
        assert str(model.summary()) == str(expected.summary())
    np.testing.assert_allclose(listed.predict(X), expected.predict(X))


def ways(X, y):
    """The same model of two factors, given in different ways; with rows to predict."""
    both = ["school", "rater"]
    frame, table = X[["x", *both]], X[both]
    yield RandomInterceptRegressor(group_by=both), frame, None
    yield RandomInterceptRegressor(group_by=pd.Index(both)), frame, None
    yield RandomInterceptRegressor(group_by=[1, -1]), frame, None
    yield RandomInterceptRegressor(group_by=both), frame.set_index("rater"), None
    yield RandomInterceptRegressor(), X[["x"]], table
    yield RandomInterceptRegressor(), X[["x"]].to_numpy(), table.to_numpy()
    yield RandomInterceptRegressor(), X[["x"]], table.to_numpy().tolist()
    codes = np.column_stack([X["x"], X["school"], pd.factorize(X["rater"])[0]])
    yield RandomInterceptRegressor(group_by=[1, 2]), codes, None


def test_ways_to_give_factors(rows):
    X, y = rows
    expected = None
    for model, table, groups in ways(X, y):
        model.fit(table, y, groups=groups)
        found = model.criterion_, *model.predict(table, groups=groups)[:5]
        expected = expected or found
        np.testing.assert_allclose(found, expected, rtol=1e-9)
        assert len(model.groups_) == 2
    assert list(
        RandomInterceptRegressor()
        .fit(X[["x"]].to_numpy(), y, groups=X[["school", "rater"]].to_numpy())
        .groups_
    ) == ["group0", "group1"]


def test_columns_of_groups_are_put_in_order(rows):
    X, y = rows
    table = X[["school", "rater"]]
    model = RandomInterceptRegressor().fit(X[["x"]], y, groups=table)
    np.testing.assert_array_equal(
        model.predict(X[["x"]], groups=table[["rater", "school"]]),
        model.predict(X[["x"]], groups=table),
    )


def test_order_of_factors_and_rows(rows):
    X, y = rows
    one = RandomInterceptRegressor(group_by=["school", "rater"]).fit(
        X[["x", "school", "rater"]], y
    )
    order = np.random.default_rng(1).permutation(len(y))
    two = RandomInterceptRegressor(group_by=["rater", "school"])
    two.fit(X[["x", "school", "rater"]].iloc[order], y.iloc[order])
    assert two.criterion_ == pytest.approx(one.criterion_, abs=1e-8)
    for name in ("school", "rater"):
        np.testing.assert_allclose(
            one.random_effects_[name], two.random_effects_[name], atol=1e-7
        )
        assert one.icc_[name] == pytest.approx(two.icc_[name], rel=1e-6)


def test_shift_and_scale_of_y(rows):
    X, y = rows
    X = X[["x", "school", "rater"]]
    slope = np.random.default_rng(3).standard_normal(12)[X["school"]]
    y = y + slope * X["x"]
    one = RandomSlopeRegressor({"school": ["x"]}, group_by=["school", "rater"]).fit(X, y)
    two = clone(one).fit(X, 100 * y + 5000)
    np.testing.assert_allclose(two.theta_, one.theta_, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(two.predict(X), 100 * one.predict(X) + 5000, rtol=1e-7)


def test_weights_are_repetitions(rows):
    X, y = rows
    X = X[["x", "school", "rater"]]
    w = np.random.default_rng(2).integers(0, 4, len(y))
    times = np.repeat(np.arange(len(y)), w)
    weighted = RandomInterceptRegressor(group_by=["school", "rater"]).fit(X, y, sample_weight=w)
    repeated = clone(weighted).fit(X.iloc[times], y.iloc[times])
    assert weighted.criterion_ == pytest.approx(repeated.criterion_, abs=1e-8)
    np.testing.assert_allclose(weighted.predict(X), repeated.predict(X), rtol=1e-6)
    assert weighted.group_sizes_["school"].sum() == w.sum()


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.filterwarnings("ignore::skmixed.exceptions.SingularFitWarning")
def test_never_worse_than_a_submodel(seed):
    rng = np.random.default_rng(seed)
    n = 60
    X = pd.DataFrame(
        {"x": rng.standard_normal(n), "a": rng.integers(0, 9, n), "b": rng.integers(0, 7, n)}
    )
    effects = rng.standard_normal((2, 9)) * rng.choice([0.0, 0.3, 2.0], (2, 1))
    y = effects[0][X["a"]] + effects[1][X["b"]] * X["x"] + rng.standard_normal(n)
    both = RandomSlopeRegressor({"a": ["x"], "b": ["x"]}, group_by=["a", "b"], method="ml")
    criterion = both.fit(X, y).criterion_
    submodels = [
        RandomSlopeRegressor({"a": ["x"]}, group_by=["a", "b"], method="ml"),
        RandomSlopeRegressor({"b": ["x"]}, group_by=["a", "b"], method="ml"),
        RandomSlopeRegressor(["x"], group_by=["a", "b"], method="ml", covariance="diag"),
        RandomInterceptRegressor(group_by=["a", "b"], method="ml"),
    ]
    for model in submodels:
        assert criterion <= model.fit(X, y).criterion_ + 1e-6
    for name, other in (("a", "b"), ("b", "a")):
        model = RandomSlopeRegressor("x", group_by=name, method="ml").fit(
            X.drop(columns=other), y
        )
        assert criterion <= model.criterion_ + 1e-6


# -------------------------------------------------------------------- with scikit-learn's tools


def test_with_scikit_learns_tools(rows):
    X, y = rows
    X = X[["x", "school", "rater"]]
    model = RandomInterceptRegressor(group_by=["school", "rater"])
    scores = cross_val_score(model, X, y, cv=KFold(3, shuffle=True, random_state=0))
    by_hand = []
    for train, test in KFold(3, shuffle=True, random_state=0).split(X):
        by_hand.append(
            clone(model).fit(X.iloc[train], y.iloc[train]).score(X.iloc[test], y.iloc[test])
        )
    np.testing.assert_allclose(scores, by_hand)
    search = GridSearchCV(model, {"method": ["reml", "ml"]}, cv=3).fit(X, y)
    assert search.best_estimator_.n_groups_ == {"school": 12, "rater": 8}
    with sklearn.config_context(enable_metadata_routing=True):
        pipeline = make_pipeline(StandardScaler(), RandomInterceptRegressor())
        pipeline.fit(X[["x"]], y, groups=X[["school", "rater"]])
        found = pipeline.predict(X[["x"]], groups=X[["school", "rater"]])
    np.testing.assert_allclose(found, model.fit(X, y).predict(X), rtol=1e-7)
    scaler = StandardScaler().set_output(transform="pandas")
    assert scaler.fit_transform(X[["x"]]).shape == (360, 1)


def test_stored_and_found_again(rows):
    X, y = rows
    X = X[["x", "school", "rater"]]
    y = y + np.random.default_rng(3).standard_normal(12)[X["school"]] * X["x"]
    model = RandomSlopeRegressor({"school": ["x"]}, group_by=["school", "rater"]).fit(X, y)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    assert str(again.summary()) == str(model.summary())
    np.testing.assert_array_equal(
        again.predict(X, return_std=True)[1], model.predict(X, return_std=True)[1]
    )
    assert "RandomSlopeRegressor" in model._repr_html_()
    skops = pytest.importorskip("skops.io")
    stored = skops.dumps(model)
    trusted = skops.get_untrusted_types(data=stored)
    assert all(name.startswith("skmixed.") for name in trusted)
    assert str(skops.loads(stored, trusted=trusted).summary()) == str(model.summary())


# ------------------------------------------------------------------------------ predictions


@pytest.fixture(scope="module")
def model(rows):
    X, y = rows
    return RandomInterceptRegressor(group_by=["school", "rater"]).fit(
        X[["x", "school", "rater"]], y
    )


def test_each_factor_is_known_or_new_by_itself(model):
    table = pd.DataFrame(
        {"x": [0.0] * 5, "school": [3, 3, 99, 99, 3], "rater": ["r1", "new", "r1", "new", None]}
    )
    school = model.random_effects_["school"].loc[3, INTERCEPT]
    rater = model.random_effects_["rater"].loc["r1", INTERCEPT]
    expected = np.array([school + rater, school, rater, 0.0, school])
    np.testing.assert_allclose(model.predict(table) - model.intercept_, expected)
    std = model.predict(table, return_std=True)[1]
    assert std[0] < std[1] < std[3]
    assert std[0] < std[2] < std[3]
    assert std[1] == std[4]


def test_new_groups_by_factor(model, rows):
    X, y = rows
    X = X[["x", "school", "rater"]]
    strict = clone(model).set_params(new_groups={"rater": "error"}).fit(X, y)
    strict.predict(X.head(2).assign(school=99))
    with pytest.raises(
        ValueError, match="Factor 'rater': `groups` must hold labels seen in fit"
    ):
        strict.predict(X.head(2).assign(rater="new"))
    with pytest.raises(ValueError, match="new_groups must have the names of factors as keys"):
        clone(model).set_params(new_groups={"nobody": "error"}).fit(X, y)


def test_the_population_needs_no_groups(model, rows):
    X, _ = rows
    expected = model.intercept_ + X["x"] * model.coef_[0]
    np.testing.assert_allclose(model.predict_population(X[["x"]]), expected)
    np.testing.assert_allclose(model.predict_population(X[["x", "school", "rater"]]), expected)
    std = model.predict_population(X[["x"]].head(3), return_std=True)[1]
    new = X[["x"]].head(3).assign(school=99, rater="new")
    np.testing.assert_allclose(std, model.predict(new, return_std=True)[1])


def test_tables_of_effects(model):
    frame = model.random_effects_frame()
    assert frame["factor"].unique().tolist() == ["school", "rater"]
    assert len(frame) == 20
    pd.testing.assert_frame_equal(
        model.random_effects_frame(factor="rater"),
        frame[frame["factor"] == "rater"].reset_index(drop=True),
        check_dtype=False,
    )
    with pytest.raises(ValueError, match=r"must be one of \['school', 'rater'\]"):
        model.random_effects_frame(factor="pupil")


def test_parameters_by_factor(rows):
    X, y = rows
    X = X[["x", "school", "class"]]
    keys = [
        {"school": ["x"]},
        {"school": "x", ("school", "class"): []},
        {"school": "x", "school:class": []},
    ]
    models = [
        RandomSlopeRegressor(slopes, group_by=["school", ("school", "class")]).fit(X, y)
        for slopes in keys
    ]
    for model in models:
        assert list(model.random_effects_["school"].columns) == [INTERCEPT, "x"]
        assert list(model.random_effects_["school:class"].columns) == [INTERCEPT]
        assert model.criterion_ == models[0].criterion_
        assert len(model.theta_) == 4
    diagonal = clone(models[0]).set_params(covariance={"school": "diag"}).fit(X, y)
    assert len(diagonal.theta_) == 3
    without = clone(models[0]).set_params(random_intercept={"school": False}).fit(X, y)
    assert list(without.random_effects_["school"].columns) == ["x"]
    random_only = clone(models[0]).set_params(fixed_slopes={"school": False}).fit(X, y)
    assert "x" not in random_only.fixed_effects_frame().dropna().index


# -------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"group_by": ["school", "school"]},
            "must name each factor once, but 'school' comes twice",
        ),
        ({"group_by": []}, "must name a column for each factor"),
        (
            {"group_by": ["school", ("school", "pupil")]},
            "group_by='pupil' must be a column of X",
        ),
        ({"group_by": ["school", ["school", "class"]]}, "must hold names or positions"),
        ({"group_by": ["school", ("school", "school")]}, "each column of a tuple once"),
        ({"group_by": ["school", True]}, "must hold names or positions"),
        (
            {"group_by": ["school", "twin"]},
            "Factors 'school' and 'twin' divide the rows into the same",
        ),
        ({"group_by": ["school", "row"]}, "Each level of factor 'row' has one row"),
        (
            {"group_by": ["school", "holes"]},
            "Factor 'holes': `groups` must have a label for every row",
        ),
        (
            {"group_by": ["school", ("school", "holes")]},
            "Factor 'school:holes': `groups` must have a label",
        ),
        (
            {"group_by": ["school", "x"]},
            "Factor 'x': `groups` must hold labels, but got numbers",
        ),
    ],
)
def test_bad_factors(rows, options, message):
    X, y = rows
    holes = X["rater"].where(X.index != 7)
    X = X.assign(twin=X["school"].map("s{}".format), row=np.arange(len(X)), holes=holes)
    keep = ["school", "class", "rater", "twin", "row", "holes"]
    named = {
        column
        for factor in options["group_by"]
        for column in (factor if isinstance(factor, tuple | list) else [factor])
    }
    X = X[["x", *[column for column in keep if column in named]]]
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        RandomInterceptRegressor(**options).fit(X, y)


def test_more_columns_than_memory_holds():
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.integers(0, 200_000, (300_000, 2)), columns=["user", "item"])
    model = RandomInterceptRegressor(group_by=["user", "item"], solver="exact")
    with pytest.raises(
        ValueError, match=r"'user' of 155,\d+ groups, .* Use solver='iterative'"
    ):
        model.fit(X, rng.standard_normal(300_000))


def test_a_joined_name_that_is_taken(rows):
    X, y = rows
    X = X[["x", "school", "class"]].assign(**{"school:class": 1.0})
    with pytest.raises(
        ValueError, match="joined to a factor 'school:class', but X has a column"
    ):
        RandomInterceptRegressor(group_by=["school", ("school", "class")]).fit(X, y)


def test_joined_labels_that_hold_the_join():
    """Also where batches join them on their own."""
    parts = ["p:q", "p", "p\\", "p:q\\"], ["r", "q:r", ":r", "s"]
    X = pd.DataFrame(itertools.product([1, 2, 3], *parts), columns=["c", "a", "b"])
    pair = np.tile(np.random.default_rng(0).normal(size=16), 3)
    y = pair + X["c"] + np.random.default_rng(1).normal(size=len(X)) / 2
    groups = {"group_by": ["c", ("a", "b")]}
    model = RandomInterceptRegressor(**groups).fit(X, y)
    assert model.n_groups_ == {"c": 3, "a:b": 16}
    assert {"p:q:r", r"p\:q:r", "p:s"} <= set(model.groups_["a:b"])
    batches = RandomInterceptRegressor(**groups)
    for a in parts[0]:
        some = X["a"] == a
        batches.partial_fit(X[some], y[some])
    assert batches.groups_["a:b"].equals(model.groups_["a:b"])
    np.testing.assert_allclose(batches.predict(X), model.predict(X), rtol=1e-6)


def test_labels_that_are_the_same_as_text():
    X = pd.DataFrame({"a": [1, "1"] * 6, "b": ["r"] * 12, "c": [1, 2, 3] * 4})
    with pytest.raises(ValueError, match="'1:r' stands for different ones, such as 1 and '1'"):
        RandomInterceptRegressor(group_by=["c", ("a", "b")]).fit(X, np.arange(12.0))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"slopes": {"pupil": "x"}}, "slopes must have the names of factors as keys"),
        ({"slopes": {"school": "z"}}, "slopes='z' must be feature columns of X"),
        ({"covariance": {"school": "free"}}, "covariance must hold one of"),
        (
            {"fixed_slopes": {"school": True, "rater": False}},
            "x a fixed effect by 'school' and none by 'rater'",
        ),
        (
            {"random_intercept": {"rater": False}, "slopes": {"school": "x"}},
            "of factor 'rater' must name a column",
        ),
    ],
)
def test_bad_parameters_by_factor(rows, options, message):
    X, y = rows
    model = RandomSlopeRegressor(group_by=["school", "rater"]).set_params(**options)
    with pytest.raises(ValueError, match=message):
        model.fit(X[["x", "school", "rater"]], y)


def test_labels_that_are_used_again(rows):
    X, y = rows
    with pytest.warns(
        UserWarning,
        match=r"used again: 1 occurs in 12 groups of 'school'.*mean \('school', 'class'\)",
    ):
        RandomInterceptRegressor(group_by=["school", "class"]).fit(
            X[["x", "school", "class"]], y
        )


def test_groups_in_predict(model, rows):
    X, y = rows
    table = X[["school", "rater"]]
    fitted = RandomInterceptRegressor().fit(X[["x"]], y, groups=table)
    with pytest.raises(ValueError, match=r"a column for each of the 2 factors of the fit"):
        fitted.predict(X[["x"]], groups=X["school"])
    with pytest.raises(
        ValueError, match=r"must have the columns of the fit, \['school', 'rater'\]"
    ):
        fitted.predict(X[["x"]], groups=table.rename(columns={"rater": "judge"}))
    with pytest.raises(
        ValueError, match="needs them, too: pass `groups`, a table with the col"
    ):
        fitted.predict(X[["x"]])
    for given in (table[:1], table[:3]):
        with pytest.raises(
            ValueError, match=r"Factor 'school': .* one label for each row of X"
        ):
            fitted.predict(X[["x"]][:9], groups=given)
    one = RandomInterceptRegressor().fit(X[["x"]], y, groups=X["school"])
    for given in ([3], [3, 4]):
        with pytest.raises(ValueError, match="one label for each row of X"):
            one.predict(X[["x"]][:9], groups=given)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("(1 | school) + (1|rater)", "['school', 'rater']"),
        ("(x + z | school) + (1 | rater)", "['school', 'rater']"),
        ("(1 | school/rater)", "['school', ('school', 'rater')]"),
        ("school/rater", "['school', ('school', 'rater')]"),
        ("school:rater", "('school', 'rater')"),
        ("school, rater", "['school', 'rater']"),
        ("(1 | school)", "'school'"),
    ],
)
def test_a_formula_is_told_as_a_list(rows, text, meant):
    X, y = rows
    with pytest.raises(ValueError, match="and a tuple joins labels") as caught:
        RandomInterceptRegressor(group_by=text).fit(X, y)
    assert str(caught.value).endswith(f"group_by={meant}.")


@pytest.mark.parametrize("text", ["schools", "school/raters", "", "1 + school", "x | y | z"])
def test_other_names_are_no_formula(rows, text):
    X, y = rows
    with pytest.raises(ValueError, match="If a transformer dropped or renamed it"):
        RandomInterceptRegressor(group_by=text).fit(X, y)


NOT_YET = "does not exist yet for several grouping factors, .* (Give X the mean|Make products)"


@pytest.mark.parametrize(
    "ask",
    [
        lambda m, X, y: FixedEffectsRegressor("x", group_by=["school", "rater"]).fit(X, y),
        lambda m, X, y: compare_slopes(m),
        lambda m, X, y: WithinBetween(group_by=["school", "rater"]).fit(X),
    ],
)
def test_what_does_not_exist_yet_says_so(model, rows, ask):
    X, y = rows
    before = pickle.dumps(model)
    with pytest.raises(ValueError, match=NOT_YET):
        ask(model, X[["x", "school", "rater"]], y)
    assert pickle.dumps(model) == before


def test_lines_of_groups_and_changes_along_them_by_factor():
    rng = np.random.default_rng(2)
    X = pd.DataFrame({"x": rng.normal(size=400), "a": rng.integers(0, 9, 400)})
    X["b"] = rng.integers(0, 7, 400)
    y = rng.normal(1, 1, 9)[X["a"]] * X["x"] + rng.normal(size=7)[X["b"]] + rng.normal(size=400)
    model = RandomSlopeRegressor({"a": "x"}, group_by=["a", "b"]).fit(X, y)
    lines, changes = model.group_coef_, model.marginal_effects("x", start=1, stop=3)
    for name, effects in model.random_effects_.items():
        own = lines[name].to_numpy() - [model.intercept_, model.coef_[0]]
        own = own[:, : effects.shape[1]]
        np.testing.assert_allclose(own, effects, atol=1e-12)
        np.testing.assert_allclose(changes[name]["total"], 2 * lines[name]["x"])
        assert changes[name].index.equals(model.groups_[name])
    # a row of one known group, and of a new one of the other factor, is on its line
    rows = pd.DataFrame({"x": 2.0, "a": model.groups_["a"], "b": -1})
    np.testing.assert_allclose(lines["a"] @ [1, 2], model.predict(rows))


def test_the_design_effect_is_how_much_the_variance_of_a_mean_is_larger(rows):
    X, y = rows
    model = RandomInterceptRegressor(group_by=["school", "rater"]).fit(X, y)
    Z = [pd.get_dummies(X[name]).to_numpy(float) for name in ("school", "rater")]
    V = np.eye(len(y)) * model.residual_variance_
    for own, cov in zip(Z, model.random_effects_cov_.values(), strict=True):
        V += cov.iloc[0, 0] * own @ own.T
    expected = V.mean() / (V[0, 0] / len(y))
    assert model.design_effect_ == pytest.approx(expected, rel=1e-9)
    assert model.summary().fit_statistics["Design effect"] == model.design_effect_


def test_pooling_ignores_several_factors(rows):
    X, y = rows
    expected = PooledRegressor().fit(X[["x"]], y)
    by_name = PooledRegressor(group_by=["school", "rater"]).fit(X[["x", "school", "rater"]], y)
    assert by_name.coef_[0] == pytest.approx(expected.coef_[0])
    given = PooledRegressor().fit(X[["x"]], y, groups=X[["school", "rater"]])
    assert given.coef_[0] == pytest.approx(expected.coef_[0])


def test_a_slope_that_no_group_shows(rows):
    X, y = rows
    size = np.random.default_rng(0).standard_normal(12)[X["school"]]
    X = X[["x", "school", "rater"]].assign(size=size)
    model = RandomSlopeRegressor({"school": ["size"]}, group_by=["school", "rater"])
    with pytest.warns(SingularFitWarning) as caught:
        model.fit(X, y)
    messages = [str(w.message) for w in caught if w.category is NotIdentifiedWarning]
    assert len(messages) == 1
    assert messages[0].startswith("In factor 'school': size does not vary within groups")


def test_a_factor_with_one_group(rows):
    X, y = rows
    X = X[["x", "school"]].assign(country="here")
    with pytest.raises(
        ValueError, match="'country' must have at least two groups, but has only"
    ):
        RandomInterceptRegressor(group_by=["school", "country"]).fit(X, y)


def test_noise_has_a_summary():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"A": rng.integers(0, 3, 30), "B": rng.integers(0, 4, 30)}).astype(str)
    X["x"] = rng.normal(size=30)
    model = RandomInterceptRegressor(group_by=["A", "B"])
    with pytest.warns(SingularFitWarning, match="variance between the groups of 'A'"):
        model.fit(X, np.random.default_rng(0).normal(size=30))
    frame = model.fixed_effects_frame()
    assert frame["df"].tolist() == pytest.approx([28, 28])
    np.testing.assert_allclose(frame["std_error"], [0.15038, 0.15402], atol=1e-5)
    assert "Singular fit" in str(model.summary())


def test_factors_that_are_nearly_the_same():
    rng = np.random.default_rng(1021)
    rng.integers(20, 150)
    rng.integers(3, 12)
    a = rng.integers(0, 6, 42)
    b, k = a.copy(), int(rng.integers(1, 4))
    i = rng.integers(0, 42, k)
    b[i] = (a[i] + 1) % 6
    sd = rng.choice([0.5, 1, 3, 10])
    x, z = rng.normal(size=(2, 42))
    y = rng.normal(size=6)[a if rng.random() < 0.5 else b] * sd + rng.normal(size=42)
    X = pd.DataFrame({"x": x, "z": z, "A": a, "B": b})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        both = RandomInterceptRegressor(group_by=["A", "B"]).fit(X, y).criterion_
        alone = RandomInterceptRegressor(group_by="A").fit(X.drop(columns="B"), y).criterion_
    assert both <= alone + 1e-6


def test_keys_of_dictionaries(rows):
    X, y = rows
    table = np.column_stack([X["x"], X["school"], pd.factorize(X["rater"])[0]])
    for key in (1, "x1", (1,)):
        model = RandomSlopeRegressor(
            {key: [0]}, group_by=[1, 2], covariance={key: "diag"}, random_intercept={key: False}
        )
        assert len(model.fit(table, y).theta_) == 2
    with pytest.raises(ValueError, match="'x1' comes twice"):
        model.set_params(slopes={1: [0], "x1": [0]}).fit(table, y)
    with pytest.raises(ValueError, match="covariance must hold one of"):
        clone(model).set_params(slopes=[0], covariance={1: np.eye(2)}).fit(table, y)


@pytest.mark.parametrize("group_by", ["school", ["school"]])
def test_new_groups_of_one_factor_by_name(rows, group_by):
    X, y = rows
    X = X[["x", "school"]]
    model = RandomInterceptRegressor(group_by=group_by, new_groups={"school": "error"})
    with pytest.raises(ValueError, match="must hold labels seen in fit"):
        model.fit(X, y).predict(X.head(2).assign(school=99))
    with pytest.raises(ValueError, match="new_groups must have the names of factors as keys"):
        model.set_params(new_groups={"class": "error"}).fit(X, y)


def test_names_of_columns_in_predict(rows):
    X, y = rows
    table = X[["school", "rater"]].set_axis(["group1", "group0"], axis=1)
    fitted = RandomInterceptRegressor().fit(X[["x"]], y, groups=table)
    np.testing.assert_array_equal(
        fitted.predict(X[["x"]], groups=table[["group0", "group1"]]),
        fitted.predict(X[["x"]], groups=table),
    )
    frame = X[["x", "school", "rater"]]
    by_position = RandomInterceptRegressor(group_by=[1, 2]).fit(frame, y)
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        found = by_position.predict(frame.to_numpy())
    np.testing.assert_allclose(found, by_position.predict(frame))


def test_a_splitter_takes_one_factor(rows):
    X, y = rows
    frame = X[["x", "school", "rater"]]
    model = RandomInterceptRegressor(group_by=["school", "rater"])
    ours = cross_validate(model, frame, y, groups=X["school"], cv=GroupKFold(3))["test_score"]
    theirs = cross_val_score(model, frame, y, groups=X["school"], cv=GroupKFold(3))
    np.testing.assert_allclose(ours, theirs)
    with pytest.raises(ValueError, match="The groups of a splitter are one factor, but"):
        cross_validate(
            RandomInterceptRegressor(), X[["x"]], y, groups=frame[["school", "rater"]], cv=3
        )


def test_a_list_of_one_name_everywhere(rows):
    X, y = rows
    X = X[["x", "school"]]
    sums = [GroupedMoments.from_rows(X, y, group_by=by) for by in ("school", ["school"])]
    np.testing.assert_array_equal(sums[0].sums.T, sums[1].sums.T)
    by_name, listed = (
        WithinBetween(group_by=by).fit_transform(X) for by in ("school", ["school"])
    )
    pd.testing.assert_frame_equal(by_name, listed)
    texts = [
        str(compare_pooling(X, y, group_by=by, n_repeats=1, random_state=0).findings[:2])
        for by in ("school", ["school"])
    ]
    assert texts[0] == texts[1]
    assert describe_groups(X, y, group_by=["school"]).title == "360 rows in 12 groups (school)"
    with pytest.raises(ValueError, match="WithinBetween takes the groups from one column"):
        WithinBetween(group_by=("school", "x")).fit(X)
    model = RandomInterceptRegressor(group_by=["school"])
    for _ in range(2):
        model.partial_fit(X, y)
    assert model.n_groups_ == 12
    dd = pytest.importorskip("dask.dataframe")
    table, target = dd.from_pandas(X, npartitions=2), dd.from_pandas(y, npartitions=2)
    found = RandomInterceptRegressor(group_by=["school"]).fit(table, target)
    assert found.criterion_ == pytest.approx(
        RandomInterceptRegressor(group_by="school").fit(X, y).criterion_
    )


# ------------------------------------------------------------------------------------- tests


def test_a_factor_more(rows):
    X, y = rows
    frame = X[["x", "school", "rater"]]
    both = RandomInterceptRegressor(group_by=["school", "rater"]).fit(frame, y)
    school = RandomInterceptRegressor(group_by="school").fit(frame.drop(columns="rater"), y)
    test = likelihood_ratio_test(school, both)
    assert test.statistic == pytest.approx(school.criterion_ - both.criterion_)
    assert test.weights == {0: 0.5, 1: 0.5}
    assert test.p_value == pytest.approx(chi2.sf(test.statistic, 1) / 2)
    with pytest.raises(ValueError, match=r"is in `small` alone.*swap them"):
        likelihood_ratio_test(both, school)


def test_a_slope_more_in_a_factor(rows):
    X, y = rows
    X = X[["x", "school", "rater"]]
    y = y + 0.5 * np.random.default_rng(3).standard_normal(12)[X["school"]] * X["x"]
    level = RandomInterceptRegressor(group_by=["school", "rater"]).fit(X, y)
    slope = RandomSlopeRegressor({"school": ["x"]}, group_by=["school", "rater"]).fit(X, y)
    test = likelihood_ratio_test(level, slope)
    assert test.weights == {1: 0.5, 2: 0.5}
    diagonal = clone(slope).set_params(covariance={"school": "diag"}).fit(X, y)
    assert likelihood_ratio_test(level, diagonal).weights == {0: 0.5, 1: 0.5}
    assert likelihood_ratio_test(diagonal, slope).weights == {1: 1.0}
    with pytest.raises(ValueError, match="correlation of random effects is in `small` alone"):
        likelihood_ratio_test(slope, diagonal)


@pytest.mark.filterwarnings("ignore::skmixed.exceptions.SingularFitWarning")
def test_factors_that_are_not_nested(rows):
    X, y = rows
    X = X.assign(**{"class": X["class"].map("c{}".format)})
    a, b, c = (
        RandomInterceptRegressor(group_by=by, method="ml").fit(X[["x", *by]], y)
        for by in (["school", "rater"], ["school"], ["school", "class"])
    )
    with pytest.raises(ValueError, match=r"\(Intercept\) of rater is in `small` alone"):
        likelihood_ratio_test(a, c)
    pooled = PooledRegressor().fit(X[["x"]], y)
    assert likelihood_ratio_test(pooled, b).weights == {0: 0.5, 1: 0.5}
    assert likelihood_ratio_test(pooled, a).weights == {2: 1.0}
    some = X["school"] > 0
    other = RandomInterceptRegressor(group_by=["school", "rater"], method="ml")
    other.fit(X.loc[some, ["x", "school", "rater"]], y[some])
    with pytest.raises(ValueError, match="330 rows in 11 x 8 groups"):
        likelihood_ratio_test(b, other)


# ----------------------------------------------------------------------------------- batches


@pytest.mark.parametrize("by", ["name", "table"])
@pytest.mark.parametrize("weighted", [False, True])
def test_batches_give_the_fit_of_all_rows(rows, by, weighted):
    X, y = rows
    table = X[["school", "rater"]]
    frame = X[["x", "school", "rater"]] if by == "name" else X[["x"]]
    w = np.random.default_rng(0).integers(1, 3, len(y)) if weighted else None
    model = RandomSlopeRegressor(
        {"school": ["x"]},
        covariance={"school": "diag"},
        group_by=["school", "rater"] if by == "name" else None,
    )
    whole = clone(model).fit(frame, y, groups=None if by == "name" else table, sample_weight=w)
    for i, rows_ in enumerate(np.array_split(np.arange(len(y)), 7)):  # sorted by school
        order = ["rater", "school"] if i else ["school", "rater"]
        model.partial_fit(
            frame.iloc[rows_],
            y.iloc[rows_],
            groups=None if by == "name" else table.iloc[rows_][order],
            sample_weight=None if w is None else w[rows_],
        )
    assert model.criterion_ == pytest.approx(whole.criterion_, abs=1e-8)
    for name in ("school", "rater"):
        np.testing.assert_allclose(
            model.random_effects_[name], whole.random_effects_[name], atol=1e-7
        )
        np.testing.assert_allclose(
            model.pooling_weights_[name], whole.pooling_weights_[name], atol=1e-7
        )
    again = pickle.loads(pickle.dumps(model))
    assert str(again.summary()) == str(model.summary())


def test_batches_with_one_group_and_with_new_ones(rows):
    X, y = rows
    X = X[["x", "school", "rater"]].assign(school=X["school"] + 100)
    model = RandomInterceptRegressor(group_by=["school", "rater"])
    for school, part in X.groupby("school"):
        model.partial_fit(part, y[part.index])
        if school > 102:
            assert model.n_groups_["school"] == school - 99
    whole = clone(model).fit(X, y)
    assert model.criterion_ == pytest.approx(whole.criterion_, abs=1e-8)
    with pytest.raises(
        ValueError, match="Factor 'school': `groups` must have labels of the same"
    ):
        model.partial_fit(X.head(3).assign(school="a"), y.head(3))
    assert model.criterion_ == pytest.approx(whole.criterion_, abs=1e-8)


# ------------------------------------------------------------------------------ rows left out


@pytest.mark.parametrize("weighted", [False, True])
def test_rows_left_out_are_predicted_as_by_dense_algebra(rows, weighted):
    """(P y)_i / P_ii, the variances held."""
    X, y = rows
    X = X[["x", "school", "rater"]]
    w = np.random.default_rng(0).uniform(0.5, 2, len(y)) if weighted else None
    model = RandomInterceptRegressor(group_by=["school", "rater"]).fit(X, y, sample_weight=w)
    found = model.loo_predict(X, y, sample_weight=w)
    V = model.residual_variance_ * np.diag(np.ones(len(y)) if w is None else 1 / w)
    for name in ("school", "rater"):
        labels = X[name].to_numpy()
        V += model.random_effects_cov_[name].iloc[0, 0] * np.equal.outer(labels, labels)
    V_inv, D = np.linalg.inv(V), np.column_stack([np.ones(len(y)), X["x"]])
    P = V_inv - V_inv @ D @ np.linalg.solve(D.T @ V_inv @ D, D.T @ V_inv)
    np.testing.assert_allclose(found, y - P @ y / np.diag(P), rtol=1e-7)


def test_rows_left_out_must_be_those_of_the_fit(rows):
    X, y = rows
    X = X[["x", "school", "rater"]]
    model = RandomInterceptRegressor(group_by=["school", "rater"]).fit(X, y)
    for frame, target in (
        (X.head(300), y.head(300)),
        (X, y + 1),
        (X.assign(school=X["school"].to_numpy()[::-1]), y),
    ):
        with pytest.raises(ValueError, match="must be given the rows of the fit"):
            model.loo_predict(frame, target)


# ------------------------------------------------------------------------------------ pictures


def test_effects_of_a_factor_are_drawn(model):
    display = RandomEffectsDisplay.from_estimator(model, factor="rater")
    drawn = np.sort(display.points_[0].get_offsets()[:, 0])
    np.testing.assert_allclose(drawn, np.sort(model.random_effects_["rater"][INTERCEPT]))
    assert display.group_name == "rater"
    with pytest.raises(ValueError, match="several factors; name one of them: factor='school'"):
        RandomEffectsDisplay.from_estimator(model)
    with pytest.raises(ValueError, match="factor='pupil' must be one of"):
        RandomEffectsDisplay.from_estimator(model, factor="pupil")


@pytest.mark.parametrize("n_factors", [2, 3])
def test_no_fixed_effects_at_all(n_factors):
    rng = np.random.default_rng(n_factors)
    names = list("abc")[:n_factors]
    X = pd.DataFrame({name: rng.integers(0, 5 + 3 * i, 90) for i, name in enumerate(names)})
    y = rng.normal(size=90) + sum(rng.normal(size=20)[X[name]] for name in names)
    model = RandomInterceptRegressor(group_by=names, fit_intercept=False).fit(X, y)
    Z = {name: pd.get_dummies(X[name]).to_numpy(np.float64) for name in names}
    V = model.residual_variance_ * np.eye(90)
    for name in names:
        V += model.random_effects_cov_[name].iloc[0, 0] * Z[name] @ Z[name].T
    alpha = np.linalg.solve(V, np.asarray(y))
    expected = -(90 * np.log(2 * np.pi) + np.linalg.slogdet(V)[1] + y @ alpha) / 2
    assert model.log_likelihood_ == pytest.approx(expected)
    for name in names:  # and the derivative by the variance is 0
        effects = model.random_effects_cov_[name].iloc[0, 0] * Z[name].T @ alpha
        assert model.random_effects_[name].iloc[:, 0].to_numpy() == pytest.approx(effects)
        slope = np.sum((Z[name].T @ alpha) ** 2) - np.sum(Z[name] * np.linalg.solve(V, Z[name]))
        assert slope == pytest.approx(0, abs=1e-4)
