"""Cross-validation from moments against scikit-learn's loop with the same estimators."""

import time
import warnings
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import sklearn
from sklearn.base import clone
from sklearn.linear_model import LinearRegression
from sklearn.metrics import make_scorer, mean_absolute_error, mean_squared_error, r2_score
from sklearn.model_selection import (
    GroupKFold,
    GroupShuffleSplit,
    KFold,
    LeaveOneGroupOut,
    LeaveOneOut,
    PredefinedSplit,
    RepeatedKFold,
    ShuffleSplit,
    TimeSeriesSplit,
)
from sklearn.model_selection import cross_validate as loop
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmixed import (
    FixedEffectsRegressor,
    PooledRegressor,
    RandomInterceptRegressor,
    RandomSlopeRegressor,
)
from skmixed.datasets import make_mixed_regression
from skmixed.metrics import group_scorer
from skmixed.model_selection import WithinGroupKFold, WithinGroupTimeSeriesSplit, cross_validate
from skmixed.model_selection import _cross_validation as module
from skmixed.model_selection._refit import Fit, RefitsFromMoments

SPLITTERS = {
    "kfold": KFold(5, shuffle=True, random_state=0),
    "halves": KFold(2, shuffle=True, random_state=0),
    "within": WithinGroupKFold(4, shuffle=True, random_state=0),
    "forecast": WithinGroupTimeSeriesSplit(3, test_size=2),
    "groups": GroupKFold(4),
    "one group": LeaveOneGroupOut(),
    "some groups": GroupShuffleSplit(3, test_size=0.3, random_state=0),
    "repeated": RepeatedKFold(n_splits=4, n_repeats=2, random_state=0),
    "shuffle": ShuffleSplit(4, test_size=0.2, random_state=0),
    "few train": ShuffleSplit(3, test_size=0.1, train_size=0.4, random_state=0),
    "series": TimeSeriesSplit(3),
}
MODELS = {
    "intercept": RandomInterceptRegressor(),
    "intercept, ml": RandomInterceptRegressor(method="ml"),
    "no intercept": RandomInterceptRegressor(fit_intercept=False),
    "slope": RandomSlopeRegressor([0]),
    "slope, ml": RandomSlopeRegressor([0], method="ml"),
    "diagonal": RandomSlopeRegressor([0, 1], covariance="diag"),
    "slope alone": RandomSlopeRegressor([0], random_intercept=False),
    "not fixed": RandomSlopeRegressor([0], fixed_slopes=False),
    "one fixed": RandomSlopeRegressor([0, 1], covariance="diag", fixed_slopes=[1]),
    "new groups": RandomInterceptRegressor(new_groups="error"),
    "fixed effects": FixedEffectsRegressor(),
    "pooled": PooledRegressor(),
}


def simulate(n=300, n_groups=15, balanced=False, seed=0):
    return make_mixed_regression(
        n,
        3,
        n_groups,
        intercept_variance=2.0,
        slope_variances=[1.0, 0.5, 0.0],
        balanced=balanced,
        random_state=seed,
    )


@pytest.fixture(scope="module")
def rows():
    return simulate()


@pytest.fixture(scope="module")
def many_groups():
    return simulate(720, 120)


def run(function, *args, routing=True, **options):
    """Return the result and the warnings."""
    with (
        warnings.catch_warnings(record=True) as caught,
        sklearn.config_context(enable_metadata_routing=routing),
    ):
        warnings.simplefilter("always")
        result = function(*args, **options)
    return result, [(w.category, str(w.message).split("\nTraceback")[0]) for w in caught]


def assert_same(model, X, y, groups, *, params=None, atol=1e-8, scoring=None, **options):
    """Expect the scores and warnings of the loop."""
    given = {} if groups is None else {"groups": groups}
    ours, warned = run(
        cross_validate, model, X, y, groups=groups, params=params, scoring=scoring, **options
    )
    theirs, expected = run(
        loop, model, X, y, params={**given, **(params or {})}, scoring=scoring, **options
    )
    assert set(ours) == set(theirs)
    for name, value in theirs.items():
        if name.startswith(("test_", "train_")):
            assert ours[name].dtype == value.dtype
            np.testing.assert_allclose(ours[name], value, rtol=0, atol=atol, err_msg=name)
        else:
            assert len(ours[name]) == len(value)
    assert warned == expected
    return ours, theirs


@pytest.fixture
def folds_in_the_loop(monkeypatch):
    """Count the folds that are fitted from their rows."""
    count = []
    original = module.fit_and_score
    monkeypatch.setattr(
        module,
        "fit_and_score",
        lambda *args, **kw: count.append(1) or original(*args, **kw),
    )
    return count


def slow_unless(pairs):
    """All pairs of a model and a splitter; those that are not given are slow."""
    return [
        pytest.param(*pair, marks=() if pair in pairs else pytest.mark.slow)
        for pair in product(MODELS, SPLITTERS)
    ]


# Each model with new rows and new groups, and each splitter with one variance and with two:
# what a model and a splitter do together depends on whether groups are known alone.
PAIRS = {
    *product(MODELS, ["kfold", "groups"]),
    *product(["intercept", "slope"], SPLITTERS),
}


@pytest.mark.parametrize(("model", "splitter"), slow_unless(PAIRS))
def test_every_fold_is_that_of_the_loop(rows, model, splitter, folds_in_the_loop):
    X, y, groups = rows
    assert_same(MODELS[model], X, y, groups, cv=SPLITTERS[splitter], return_train_score=True)
    from_rows = {"few train": 3, "series": 1}
    assert len(folds_in_the_loop) == from_rows.get(splitter, 0)


@pytest.mark.parametrize("model", ["intercept", "slope, ml", "diagonal", "slope alone"])
def test_leave_one_of_many_groups_out(many_groups, model, folds_in_the_loop, monkeypatch):
    """No fold is fitted one by one here, but those that are not ordinary."""
    X, y, groups = many_groups
    single = []
    original = RefitsFromMoments.without
    monkeypatch.setattr(
        RefitsFromMoments,
        "without",
        lambda *args, **kw: single.append(1) or original(*args, **kw),
    )
    cv = LeaveOneGroupOut()
    if model != "intercept":  # the loop takes its time
        cv = list(cv.split(X, y, groups))[::6]
    assert_same(MODELS[model], X, y, groups, cv=cv)
    assert not folds_in_the_loop
    assert len(single) <= 3


@pytest.mark.parametrize("model", ["no intercept", "slope"])
def test_columns_far_from_zero_without_an_intercept(many_groups, model, folds_in_the_loop):
    """The sums are not taken around the pilot mean of the pass then."""
    X, y, groups = many_groups
    model = clone(MODELS[model]).set_params(fit_intercept=False)
    cv = list(LeaveOneGroupOut().split(X, y, groups))[::15]
    assert_same(model, X + 5.0, y + 3.0, groups, cv=cv)
    assert not folds_in_the_loop


@pytest.mark.parametrize("model", ["slope", "diagonal"])
@pytest.mark.parametrize("splitter", ["kfold", "groups", "shuffle"])
def test_folds_of_many_groups(many_groups, model, splitter, folds_in_the_loop):
    X, y, groups = many_groups
    assert_same(MODELS[model], X, y, groups, cv=SPLITTERS[splitter])
    assert not folds_in_the_loop


@pytest.mark.parametrize(
    ("n_rows", "n_folds", "trusted"), [(600, 5, 0), (1500, 5, 5), (1500, 3, 0)]
)
def test_when_a_start_near_the_estimate_is_trusted(n_rows, n_folds, trusted, monkeypatch):
    """With few rows for each effect, or many left out, a fold may have another minimum."""
    X, y, groups = make_mixed_regression(
        n_rows, 2, 150, slope_variances=[1.0, 0.0], residual_variance=0.1, random_state=0
    )
    given = []
    estimate = RandomSlopeRegressor._estimate

    def spy(self, columns, moments, start=None):
        given.append(start is not None)
        return estimate(self, columns, moments, start)

    monkeypatch.setattr(RandomSlopeRegressor, "_estimate", spy)
    cross_validate(RandomSlopeRegressor([0]), X, y, groups=groups, cv=KFold(n_folds))
    assert given.count(True) == trusted
    assert given.count(False) == (1 if trusted else n_folds)


def test_groups_of_distinct_weights_are_interpolated(folds_in_the_loop):
    X, y, groups = simulate(1200, 150)
    weight = np.random.default_rng(0).uniform(0.5, 2.0, len(y))
    model = RandomInterceptRegressor()
    with sklearn.config_context(enable_metadata_routing=True):
        model.set_fit_request(sample_weight=True).set_score_request(sample_weight=False)
    params = {"sample_weight": weight}
    assert_same(model, X, y, groups, params=params, cv=LeaveOneGroupOut())
    assert not folds_in_the_loop


@pytest.mark.parametrize(
    ("model", "splitter"),
    [
        *product(["intercept", "pooled"], ["kfold", "within", "one group"]),
        *product(["slope", "diagonal"], ["kfold"]),
        ("slope", "one group"),
    ],
)
@pytest.mark.parametrize("kind", ["fractions", "zeros"])
def test_weights(rows, model, kind, splitter, folds_in_the_loop):
    X, y, groups = rows
    rng = np.random.default_rng(0)
    weight = rng.uniform(0.5, 2, len(y))
    if kind == "zeros":
        weight = np.where((groups == 4) | (rng.random(len(y)) < 0.3), 0.0, 2.0)
    model = clone(MODELS[model])
    with sklearn.config_context(enable_metadata_routing=True):
        model.set_fit_request(sample_weight=True)
        weighted, plain = group_scorer("r2"), group_scorer("neg_mean_absolute_error")
        scoring = {
            "weighted": weighted.set_score_request(sample_weight=True),
            "plain": plain.set_score_request(sample_weight=False),
        }
    params = {"sample_weight": weight}
    cv = SPLITTERS[splitter]
    assert_same(model, X, y, groups, params=params, scoring=scoring, cv=cv)
    # R2 of a group of weight 0 is an error, which the loop reports
    assert len(folds_in_the_loop) == (1 if (kind, splitter) == ("zeros", "one group") else 0)


def test_without_routing_weights_go_to_fit_alone(rows):
    X, y, groups = rows
    weight = np.random.default_rng(0).uniform(0.5, 2, len(y))
    options = {"params": {"sample_weight": weight}, "cv": GroupKFold(4)}
    ours, _ = run(
        cross_validate,
        RandomInterceptRegressor(),
        X,
        y,
        groups=groups,
        routing=False,
        **options,
    )
    for fold, (train, test) in enumerate(GroupKFold(4).split(X, y, groups)):
        model = RandomInterceptRegressor().fit(X[train], y[train], groups[train], weight[train])
        expected = model.score(X[test], y[test], groups[test])
        assert ours["test_score"][fold] == pytest.approx(expected, abs=1e-10)


def test_weights_must_be_requested(rows):
    X, y, groups = rows
    with pytest.raises(
        ValueError, match=r"\[sample_weight\] are passed but are not explicitly"
    ):
        run(
            cross_validate, MODELS["slope"], X, y, groups=groups, params={"sample_weight": y**2}
        )


@pytest.mark.parametrize("splitter", ["kfold", "one group"])
@pytest.mark.parametrize("kind", ["frame", "categories", "lists", "sparse", "float32"])
def test_containers(rows, kind, splitter):
    X, y, groups = rows
    frame = pd.DataFrame(X, columns=["a", "b", "c"], index=np.arange(len(y)) + 7)
    names = pd.Series(groups, frame.index).map("site {}".format)
    given = {
        "frame": (frame, pd.Series(y, frame.index), names),
        "categories": (frame, y, names.astype("category")),
        "lists": (X.tolist(), y.tolist(), names.tolist()),
        "sparse": (sp.csc_array(np.where(X < 0, 0.0, X)), y, names.to_numpy()),
        "float32": (X.astype("f4"), y, groups),
    }[kind]
    assert_same(MODELS["not fixed"], *given, cv=SPLITTERS[splitter])


@pytest.mark.parametrize("splitter", ["kfold", "one group"])
@pytest.mark.parametrize("model", ["intercept", "slope"])
def test_groups_as_a_column(rows, model, splitter):
    """The groups given are for the splitter alone."""
    X, y, groups = rows
    frame = pd.DataFrame(X, columns=["a", "b", "c"]).assign(site=groups)
    region = groups // 3 if splitter == "one group" else None
    scoring = ["r2", "neg_mean_absolute_error"]
    model = clone(MODELS[model]).set_params(group_by="site")
    assert_same(model, frame, y, region, cv=SPLITTERS[splitter], scoring=scoring)


SUMS = ["r2", "neg_mean_squared_error", "neg_root_mean_squared_error"]


@pytest.mark.parametrize(
    ("model", "splitter"),
    [
        *product(MODELS, ["kfold"]),
        *product(["intercept", "slope", "new groups"], ["groups", "within", "repeated"]),
    ],
)
def test_scores_that_are_sums_of_squares(rows, model, splitter, monkeypatch):
    """The rows of a partition are not looked at again, and the scores are the same."""
    X, y, groups = rows
    scoring = {name: group_scorer(name) for name in SUMS}
    assert_same(
        MODELS[model], X, y, groups, cv=SPLITTERS[splitter], scoring=scoring, atol=1e-10
    )
    predicted = []
    monkeypatch.setattr(Fit, "predict", lambda *_: predicted.append(1))
    run(
        cross_validate, MODELS[model], X, y, groups=groups, cv=SPLITTERS[splitter], scoring=SUMS
    )
    new_groups_fail = model == "new groups" and splitter == "groups"
    assert bool(predicted) == (splitter == "repeated" or new_groups_fail)


@pytest.mark.parametrize("function", [r2_score, mean_squared_error])
def test_scores_with_weights_or_arguments_are_no_plain_sums(rows, function):
    X, y, groups = rows
    weight = np.random.default_rng(0).uniform(0.1, 2.0, len(y))
    with sklearn.config_context(enable_metadata_routing=True):
        model = RandomInterceptRegressor().set_fit_request(sample_weight=False)
        scorer = group_scorer(function).set_score_request(sample_weight=True)
    params = {"sample_weight": weight}
    ours, _ = assert_same(
        model, X, y, groups, params=params, scoring=scorer, cv=SPLITTERS["kfold"], atol=1e-12
    )
    plain = cross_validate(
        model, X, y, groups=groups, scoring=group_scorer(function), cv=SPLITTERS["kfold"]
    )
    assert np.all(np.abs(ours["test_score"] - plain["test_score"]) > 1e-6)


@pytest.mark.parametrize("splitter", ["kfold", "one group"])
def test_scores_of_a_constant_y_or_a_single_row(rows, splitter):
    """What r2_score says there depends on its arguments, and is said with a warning."""
    X, y, groups = rows
    groups = np.where(np.arange(len(y)) == 7, 99, groups)
    y = np.where(groups == 3, 1.0, y)
    constant = PredefinedSplit(np.where(groups == 3, 0, np.where(groups < 9, 1, 2)))
    cv = constant if splitter == "kfold" else SPLITTERS[splitter]
    scoring = {
        "r2": group_scorer("r2"),
        "not finite": group_scorer(make_scorer(r2_score, force_finite=False)),
    }
    for one in (scoring["r2"], scoring):
        assert_same(RandomInterceptRegressor(), X, y, groups, cv=cv, scoring=one)


@dataclass
class Unhashable:
    """A metric that cannot be looked up in a dictionary."""

    power: int = 2

    def __call__(self, y_true, y_pred):
        return np.mean(np.abs(y_true - y_pred) ** self.power)


def test_any_callable_is_a_metric(rows, folds_in_the_loop):
    X, y, groups = rows
    scoring = group_scorer(Unhashable())
    assert_same(MODELS["intercept"], X, y, groups, cv=SPLITTERS["kfold"], scoring=scoring)
    assert not folds_in_the_loop


@pytest.mark.parametrize(
    ("splitter", "n_rows"),
    [(KFold(5), 4), (GroupKFold(5), 4), (GroupKFold(5), 12), (WithinGroupKFold(5), 4)],
)
def test_too_many_folds_are_refused_as_in_the_loop(rows, splitter, n_rows):
    X, y, groups = (part[:n_rows] for part in rows)
    groups = groups % 3
    with pytest.raises(ValueError, match="splits") as expected:
        list(splitter.split(X, y, None if type(splitter) is KFold else groups))
    with pytest.raises(ValueError, match="splits") as found:
        cross_validate(RandomInterceptRegressor(), X, y, groups=groups, cv=splitter)
    assert str(found.value) == str(expected.value)


def test_a_number_of_folds_that_is_none(rows):
    X, y, groups = rows
    with pytest.raises(ValueError, match=r"n_splits must be an integer.*but got '3'"):
        cross_validate(
            RandomInterceptRegressor(), X, y, groups=groups, cv=WithinGroupKFold("3")
        )


@pytest.mark.parametrize("routing", [False, True])
@pytest.mark.parametrize(
    ("scoring", "expected"),
    [
        ("neg_mean_absolute_error", group_scorer("neg_mean_absolute_error")),
        (
            ["r2", "explained_variance"],
            {
                "r2": group_scorer("r2"),
                "explained_variance": group_scorer("explained_variance"),
            },
        ),
        (
            {"a": "r2", "b": make_scorer(mean_absolute_error), "c": group_scorer("r2")},
            {
                "a": group_scorer("r2"),
                "b": group_scorer(mean_absolute_error),
                "c": group_scorer("r2"),
            },
        ),
        (lambda model, X, y: r2_score(y, model.predict(X)), group_scorer("r2")),
        (lambda model, X, y: {"size": len(y), "slope": model.coef_[0]}, None),
    ],
    ids=["name", "list", "dictionary", "function", "function of several"],
)
def test_scorers_are_given_the_groups(rows, scoring, expected, routing):
    X, y, groups = rows
    options = {"cv": KFold(4), "scoring": scoring, "return_train_score": True}
    ours, warned = run(
        cross_validate, MODELS["slope"], X, y, groups=groups, routing=routing, **options
    )
    options["scoring"] = scoring if expected is None else expected
    theirs, _ = run(loop, MODELS["slope"], X, y, params={"groups": groups}, **options)
    assert not warned
    assert set(ours) == set(theirs)
    for name in set(ours) - {"fit_time", "score_time"}:
        np.testing.assert_allclose(ours[name], theirs[name], atol=1e-8)


def test_a_renamed_request_is_honoured(rows):
    """The unit of splitting may be another than that of the model."""
    X, y, groups = rows
    model = RandomInterceptRegressor()
    with sklearn.config_context(enable_metadata_routing=True):
        for method in ("fit", "predict", "score"):
            getattr(model, f"set_{method}_request")(groups="site")
    options = {"cv": GroupKFold(3), "params": {"site": groups}}
    assert_same(model, X, y, groups // 2, **options)
    named, warned = run(
        cross_validate,
        model,
        X,
        y,
        groups=groups // 2,
        scoring=["r2", "explained_variance"],
        **options,
    )
    plain, _ = run(cross_validate, model, X, y, groups=groups // 2, **options)
    assert not warned
    np.testing.assert_allclose(named["test_r2"], plain["test_score"], atol=1e-12)


@pytest.mark.parametrize("model", ["intercept", "slope", "fixed effects"])
def test_estimators_and_indices(rows, model):
    X, y, groups = rows
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    series = pd.Series(groups, name="site")
    options = {"return_estimator": True, "return_indices": True, "cv": LeaveOneGroupOut()}
    ours, theirs = assert_same(MODELS[model], frame, y, series, **options)
    for part in ("train", "test"):
        for one, other in zip(ours["indices"][part], theirs["indices"][part], strict=True):
            np.testing.assert_array_equal(one, other)
    for one, other in zip(ours["estimator"], theirs["estimator"], strict=True):
        assert vars(one).keys() == vars(other).keys()
        assert one.get_params() == other.get_params()
        np.testing.assert_allclose(one.coef_, other.coef_, atol=1e-9)
        pd.testing.assert_frame_equal(one.group_coef_, other.group_coef_, atol=1e-8)
        pd.testing.assert_frame_equal(one.coef_cov_, other.coef_cov_, atol=1e-9)
        pd.testing.assert_series_equal(one.group_sizes_, other.group_sizes_)
        assert one.log_likelihood_ == pytest.approx(other.log_likelihood_, abs=1e-8)
        np.testing.assert_array_equal(one.feature_names_in_, other.feature_names_in_)


def test_estimators_without_one_of_many_groups(many_groups):
    X, y, groups = many_groups
    options = {
        "return_estimator": True,
        "cv": list(LeaveOneGroupOut().split(X, y, groups))[::6],
    }
    ours, theirs = assert_same(MODELS["slope"], X, y, groups, **options)
    for one, other in zip(ours["estimator"], theirs["estimator"], strict=True):
        np.testing.assert_allclose(one.theta_, other.theta_, atol=1e-9)
        np.testing.assert_allclose(one.random_effects_, other.random_effects_, atol=1e-9)


# ---------------------------------------------------------------- where digits are at stake


def with_column(rows, column):
    X, y, groups = rows
    return np.column_stack([X, column(X, y, groups)]), y, groups


COLUMNS = {
    "dummy of a group": lambda X, y, g: g == 5,
    "dummy of a row": lambda X, y, g: np.arange(len(y)) == 17,
    "wild in a group": lambda X, y, g: np.where(g == 5, 1e5 * X[:, 0], X[:, 1] ** 2),
    "constant": lambda X, y, g: np.full(len(y), 3.7),
    "multiple": lambda X, y, g: 2 * X[:, 0] - 1,
    "nearly a multiple": lambda X, y, g: X[:, 0] + 1e-5 * np.sin(np.arange(len(y))),
    "multiple but in a group": lambda X, y, g: X[:, 0] + (g == 5) * X[:, 1],
    "of the group": lambda X, y, g: np.sin(g),
    "of the group but in one": lambda X, y, g: np.where(g == 5, X[:, 0], np.sin(g)),
}


@pytest.mark.parametrize("splitter", ["kfold", "one group"])
@pytest.mark.parametrize(
    "model",
    ["intercept", pytest.param("diagonal", marks=pytest.mark.slow), "fixed effects"],
)
@pytest.mark.parametrize("column", COLUMNS)
def test_columns_that_lose_their_variation_with_a_fold(rows, column, model, splitter):
    X, y, groups = with_column(rows, COLUMNS[column])
    assert_same(MODELS[model], X, y, groups, cv=SPLITTERS[splitter])


@pytest.mark.slow
def test_a_random_slope_that_only_one_group_knows(rows):
    X, y, groups = with_column(rows, COLUMNS["dummy of a group"])
    model = RandomSlopeRegressor([0, 3])
    assert_same(model, X, y, groups, cv=LeaveOneGroupOut())
    assert_same(model, X, y, groups, cv=SPLITTERS["kfold"])


def test_a_column_without_variation_but_in_a_fold_has_no_coefficient(rows):
    """What a difference of sums of squares leaves is dust, and must not look like a column."""
    X, y, groups = with_column(rows, lambda X, y, g: (g == 5) * 1e8)
    result, _ = run(
        cross_validate,
        RandomInterceptRegressor(),
        X,
        y,
        groups=groups,
        cv=LeaveOneGroupOut(),
        return_estimator=True,
    )
    assert result["estimator"][5].coef_[-1] == 0.0
    assert np.isnan(result["estimator"][5].coef_cov_.iloc[-1, -1])


@pytest.mark.parametrize("splitter", ["kfold", "one group"])
@pytest.mark.parametrize("model", ["intercept", "slope", "fixed effects"])
@pytest.mark.parametrize("where", ["X", "y"])
def test_large_offsets(rows, where, model, splitter):
    X, y, groups = rows
    X, y = (X + np.array([1e8, 0, 2000.0]), y) if where == "X" else (X, y + 1e8)
    assert_same(MODELS[model], X, y, groups, cv=SPLITTERS[splitter])


def test_y_explained_but_in_a_fold(rows):
    X, y, groups = rows
    y = np.where(groups == 5, y, X @ [1.0, 2.0, 3.0])
    for model in ("intercept", "slope", "pooled"):
        assert_same(MODELS[model], X, y, groups, cv=LeaveOneGroupOut())


def test_rows_in_the_loop_keep_their_order(rows):
    """Rounding decides where the search for a model that cannot be estimated ends."""
    X, y, groups = (part[:9] for part in rows)
    splitter = ShuffleSplit(8, test_size=0.3, random_state=0)
    assert_same(MODELS["slope"], X, y, groups % 3, cv=splitter, atol=1e-12)


@pytest.mark.slow
def test_few_rows_and_flat_criteria():
    X, y, groups = simulate(36, 6)
    for model in (RandomSlopeRegressor(), RandomInterceptRegressor()):
        for splitter in ("kfold", "one group", "within"):
            assert_same(model, X, y, groups, cv=SPLITTERS[splitter])
    assert_same(RandomInterceptRegressor(), X, y, groups, cv=LeaveOneOut(), scoring=None)


def test_rows_drawn_twice_and_masks(rows):
    X, y, groups = rows
    rng = np.random.default_rng(0)
    drawn = [np.sort(rng.integers(0, len(y), len(y))) for _ in range(3)]
    cv = [(train, np.setdiff1d(np.arange(len(y)), train)) for train in drawn]
    assert_same(MODELS["slope"], X, y, groups, cv=cv)
    even = np.arange(len(y)) % 5 == 0
    cv = [(~even, even), (np.arange(50, len(y)), np.arange(-5, 0)), (~even, np.arange(70))]
    assert_same(MODELS["slope"], X, y, groups, cv=cv)


# ------------------------------------------------------------------------- errors and loops


def test_what_fails_fails_as_in_the_loop(rows):
    X, y, groups = rows
    broken = X.copy()
    broken[3, 0] = np.nan
    assert_same(MODELS["slope"], broken, y, groups)
    broken[-1, 0] = np.nan
    with pytest.raises(ValueError, match="All the 5 fits failed"):
        run(cross_validate, MODELS["slope"], broken, y, groups=groups)
    labels = groups.astype(object)
    labels[3] = None
    options = {"cv": KFold(4), "error_score": -1.0}
    ours, _ = run(cross_validate, MODELS["slope"], X, y, groups=labels, **options)
    theirs, _ = run(loop, MODELS["slope"], X, y, params={"groups": labels}, **options)
    np.testing.assert_allclose(ours["test_score"], theirs["test_score"])
    assert list(ours["test_score"] == -1.0) == [False, True, True, True]
    with pytest.raises(ValueError, match="1 of 225 are missing"):
        run(
            cross_validate,
            MODELS["slope"],
            X,
            y,
            groups=labels,
            cv=KFold(4),
            error_score="raise",
        )


def test_a_failing_metric_is_reported_as_in_the_loop(rows):
    X, y, groups = rows
    scoring = group_scorer("neg_mean_squared_log_error")  # y is not positive
    ours, warned = run(
        cross_validate, MODELS["slope"], X, y, groups=groups, scoring=scoring, error_score=7.0
    )
    assert list(ours["test_score"]) == [7.0] * 5
    assert {text.split(".")[0] for _, text in warned} == {"Scoring failed"}
    with pytest.raises(ValueError, match="Mean Squared Logarithmic Error"):
        run(
            cross_validate,
            MODELS["slope"],
            X,
            y,
            groups=groups,
            scoring=scoring,
            error_score="raise",
        )


def test_without_groups_it_is_the_loop(rows):
    X, y, _ = rows
    assert_same(MODELS["intercept"], X, y, None, cv=3)


@pytest.mark.parametrize("routing", [False, True])
def test_other_estimators_are_left_to_scikit_learn(rows, routing):
    X, y, groups = rows
    pipeline = make_pipeline(StandardScaler(), RandomInterceptRegressor())
    options = {"cv": GroupKFold(3), "scoring": ["r2"], "groups": groups, "routing": routing}
    ours, _ = run(cross_validate, pipeline, X, y, **options)
    inner, _ = run(cross_validate, RandomInterceptRegressor(), X, y, **options)
    np.testing.assert_allclose(ours["test_r2"], inner["test_r2"], atol=1e-9)
    given = {"params": {"groups": groups}} if routing else {"groups": groups}
    linear, _ = run(cross_validate, LinearRegression(), X, y, **options)
    expected, _ = run(
        loop,
        LinearRegression(),
        X,
        y,
        cv=GroupKFold(3),
        scoring=["r2"],
        routing=routing,
        **given,
    )
    np.testing.assert_array_equal(linear["test_r2"], expected["test_r2"])


def test_a_subclass_with_a_method_of_its_own_is_left_to_scikit_learn(rows):
    X, y, groups = rows

    class Zero(RandomInterceptRegressor):
        def predict(self, X, groups=None):
            return np.zeros(len(X))

    scoring = ["neg_mean_absolute_error"]
    result, _ = run(cross_validate, Zero(), X, y, groups=groups, scoring=scoring)
    expected = [-np.abs(y[test]).mean() for _, test in KFold(5).split(X)]
    np.testing.assert_allclose(result["test_neg_mean_absolute_error"], expected)


def test_times_are_those_that_were_spent(many_groups):
    X, y, groups = many_groups
    for model in (MODELS["intercept"], MODELS["slope"]):
        start = time.perf_counter()
        result, _ = run(cross_validate, model, X, y, groups=groups, cv=LeaveOneGroupOut())
        seconds = time.perf_counter() - start
        spent = result["fit_time"].sum() + result["score_time"].sum()
        assert 0.5 * seconds < spent <= seconds
        assert np.all(result["fit_time"] > 0)


def test_groups_of_another_length_are_refused(rows):
    X, y, groups = rows
    with pytest.raises(ValueError, match="All the 5 fits failed"):
        run(cross_validate, MODELS["slope"], X, y, groups=groups[:-1])
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        cross_validate(MODELS["slope"], X, y[:-1], groups=groups)
