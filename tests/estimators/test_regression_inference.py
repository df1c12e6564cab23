"""Standard deviations, intervals and R2 of regressions against R's lm and dense algebra."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.linalg import LinAlgWarning
from scipy.sparse import csr_array
from sklearn.base import clone

from skmixed import (
    FixedEffectsRegressor,
    GroupedMoments,
    PooledRegressor,
    RandomInterceptRegressor,
    RandomSlopeRegressor,
)
from skmixed.datasets import load_hsb, load_sleepstudy, make_mixed_regression
from skmixed.exceptions import MissingGroupsWarning, NewGroupsWarning

MODELS = {
    "pooled": PooledRegressor(),
    "no intercept": PooledRegressor(fit_intercept=False),
    "fixed": FixedEffectsRegressor(),
    "lines": FixedEffectsRegressor([2, 0]),
    "no pooling": FixedEffectsRegressor("all"),
}


@pytest.fixture(scope="module")
def rows():
    X, y, groups = make_mixed_regression(
        90, 3, 7, slope_variances=0.5, balanced=False, random_state=0
    )
    return X + np.random.default_rng(0).normal(size=(7, 3))[groups], y, groups


@pytest.fixture(params=list(MODELS))
def model(request):
    return clone(MODELS[request.param])


def design(model, X, groups, labels):
    """The columns of the regression, with dummies and their products written out."""
    if isinstance(model, PooledRegressor):
        return np.insert(X, 0, 1.0, axis=1)[:, 0 if model.fit_intercept else 1 :]
    dummies = (np.asarray(groups)[:, None] == labels).astype(float)
    slopes = [0, 1, 2] if model.slopes == "all" else model.slopes or []
    others = np.setdiff1d(np.arange(3), slopes)
    return np.hstack([dummies, *(dummies * X[:, [z]] for z in slopes), X[:, others]])


class Dense:
    """Weighted least squares, and the covariance of its coefficients."""

    def __init__(self, D, y, weight):
        self.root = np.sqrt(weight)[:, None]
        self.coef = np.linalg.lstsq(self.root * D, self.root[:, 0] * y)[0]
        residual = y - D @ self.coef
        self.square = residual @ (weight * residual)
        self.dof = weight.sum() - D.shape[1]
        self.sigma2 = self.square / self.dof
        self.cov = np.linalg.inv(D.T @ (weight[:, None] * D))

    def variance(self, D):
        return self.sigma2 * np.sum(D @ self.cov * D, axis=1)


# --------------------------------------------------------------------- against R, and dense

# sleepstudy with R's lm: fit, lwr and upr of predict(m, new, interval = "prediction",
# level = 0.9), lwr and upr of interval = "confidence"; R2, adjusted R2; confint(m)["Days", ].
# Without an intercept R takes R2 around 0, skmixed around the mean.
R_LM = {
    "Days": (
        PooledRegressor(),
        [[171.7572971, 331.0529126], [208.9009336, 367.1802778], [296.4230469, 457.6020258]],
        [[240.4754853, 262.3347244], [281.8139697, 294.2672417], [360.5702400, 393.4548327]],
        (0.2864713951, 0.2824628074),
        (8.023855022, 12.910716897),
    ),
    "0 + Days": (
        PooledRegressor(fit_intercept=False),
        [[-237.667294, 237.667294], [-62.38098844, 413.5207903], [360.97405606, 842.9338359]],
        [[0.0, 0.0], [163.9559822, 187.1838197], [562.1347960, 641.7730959]],
        None,
        (46.20256353, 54.12309413),
    ),
    "Days + Subject": (
        FixedEffectsRegressor(),
        [[240.9252188, 349.1368675], [185.8127531, 293.3927550], [341.6992139, 451.0823355]],
        [[277.7475716, 312.3145148], [223.3349218, 255.8705863], [377.3527869, 415.4287625]],
        (0.7277359859, 0.6972965309),
        (8.879102974, 12.055468945),
    ),
    "Days * Subject": (
        FixedEffectsRegressor("Days"),
        [[195.0491905, 293.3361477], [208.2716627, 297.6304852], [346.0677132, 459.1756468]],
        [[219.2910930, 269.0942451], [238.7645737, 267.1375742], [365.1602577, 440.0831023]],
        (0.8339452435, 0.7935847124),
        None,  # R's is the slope of the first subject
    ),
}
NEW_ROWS = pd.DataFrame({"Days": [0, 3.5, 12]}), [308, 335, 372]


@pytest.mark.parametrize("formula", R_LM)
def test_agrees_with_lm(formula):
    model, observation, mean, r2, days = R_LM[formula]
    X, y, subject = load_sleepstudy(return_X_y=True)
    model = clone(model).fit(X, y, groups=subject)
    limits = model.predict_interval(*NEW_ROWS, level=0.9)
    np.testing.assert_allclose(limits, observation, rtol=1e-8)
    limits = model.predict_interval(*NEW_ROWS, level=0.9, kind="mean")
    np.testing.assert_allclose(limits, mean, rtol=1e-8)
    if r2 is not None:
        np.testing.assert_allclose([model.r2_, model.adjusted_r2_], r2, rtol=1e-8)
    if days is not None:
        np.testing.assert_allclose(
            model.confint().loc["Days", ["lower", "upper"]], days, rtol=1e-8
        )
        frame = model.fixed_effects_frame()
        np.testing.assert_allclose(frame.loc["Days", ["lower", "upper"]], days, rtol=1e-8)


def test_agrees_with_weighted_lm():
    """Weights of mean 1 are R's precision weights, in the fit and of new observations."""
    X, y, subject = load_sleepstudy(return_X_y=True)
    weight = np.tile([0.5, 1.5, 1.0], 60)
    model = FixedEffectsRegressor().fit(X, y, groups=subject, sample_weight=weight)
    limits = model.predict_interval(*NEW_ROWS, level=0.9, sample_weight=[1, 2, 0.5])
    expected = [
        [233.6666530, 342.7525943],
        [197.6239560, 277.5815918],
        [321.7503244, 472.5172195],
    ]
    np.testing.assert_allclose(limits, expected, rtol=1e-8)
    assert np.sqrt(model.residual_variance_) == pytest.approx(31.1744187698)
    assert (model.r2_, model.adjusted_r2_) == pytest.approx((0.7143512671, 0.6824153839))
    limits = model.confint().loc["Days", ["lower", "upper"]]
    np.testing.assert_allclose(limits, [8.554217383, 11.751540970], rtol=1e-8)


@pytest.mark.parametrize("weighted", [False, True])
def test_variances_are_those_of_the_dense_design(rows, model, weighted):
    X, y, groups = rows
    rng = np.random.default_rng(1)
    weight = rng.uniform(0.3, 3, len(y)) if weighted else np.ones(len(y))
    model.fit(X, y, groups=groups, sample_weight=weight if weighted else None)
    dense = Dense(design(model, X, groups, np.arange(7)), y, weight)
    X_new, at = 3 * rng.normal(size=(20, 3)), rng.integers(0, 7, 20)
    D = design(model, X_new, at, np.arange(7))
    y_new, std = model.predict(X_new, groups=at, return_std=True)
    np.testing.assert_array_equal(y_new, model.predict(X_new, groups=at))
    np.testing.assert_allclose(y_new, D @ dense.coef, rtol=1e-8)
    np.testing.assert_allclose(std**2, dense.variance(D) + dense.sigma2, rtol=1e-8)
    assert model.residual_dof_ == pytest.approx(dense.dof)
    assert model.residual_variance_ == pytest.approx(dense.sigma2)


@pytest.mark.parametrize("weighted", [False, True])
def test_r2_is_that_of_the_dense_design(rows, model, weighted):
    X, y, groups = rows
    weight = np.random.default_rng(1).uniform(0.3, 3, len(y)) if weighted else np.ones(len(y))
    model.fit(X, y, groups=groups, sample_weight=weight)
    dense = Dense(design(model, X, groups, np.arange(7)), y, weight)
    around = y - np.average(y, weights=weight)
    total = around @ (weight * around)
    assert model.r2_ == pytest.approx(1 - dense.square / total)
    mean_total = total / (weight.sum() - 1)
    assert model.adjusted_r2_ == pytest.approx(1 - dense.sigma2 / mean_total)
    assert model.r2_ == pytest.approx(model.score(X, y, groups, weight))


def test_intervals_take_quantiles_of_t(rows, model):
    X, y, groups = rows
    model.fit(X, y, groups=groups)
    mean, std = model.predict(X, groups=groups, return_std=True)
    weight, s2 = np.linspace(0.5, 3, len(X)), model.residual_variance_
    t = stats.t.ppf(0.9, model.residual_dof_)
    for options, variance in [
        ({}, std**2),
        ({"sample_weight": weight}, std**2 + s2 * (1 / weight - 1)),
        ({"kind": "mean"}, std**2 - s2),
        ({"kind": "mean", "sample_weight": weight}, std**2 - s2),
    ]:
        limits = model.predict_interval(X, groups=groups, level=0.8, **options)
        np.testing.assert_allclose(limits.mean(axis=1), mean, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(np.ptp(limits, axis=1) / 2, t * np.sqrt(variance))


# ----------------------------------------------------------- what rows tell only in part


def test_groups_that_take_over_slopes(rows):
    """The variance of what is linear in y is the sum of its squared weights."""
    X, y, groups = (values.copy() for values in rows)
    groups[:2] = 100, 101  # single rows
    groups[2:6], X[2:6, 0] = 102, 0.3  # one slope of two
    groups[6:8] = 103  # two rows
    model = FixedEffectsRegressor([0, 2]).fit(X, y, groups=groups)
    X_new = np.random.default_rng(2).normal(size=(14, 3))
    at = np.resize([100, 101, 102, 103, 0, 1, 2], 14)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LinAlgWarning)  # unit vectors are explained exactly
        weights = [
            clone(model).fit(X, unit, groups=groups).predict(X_new, groups=at)
            for unit in np.eye(len(y))
        ]
    expected = model.residual_variance_ * (1 + np.sum(np.square(weights), axis=0))
    std = model.predict(X_new, groups=at, return_std=True)[1]
    np.testing.assert_allclose(std**2, expected, rtol=1e-8)


@pytest.mark.parametrize("estimator", [PooledRegressor(), FixedEffectsRegressor("a")])
def test_dropped_columns_change_nothing(rows, estimator):
    X, y, groups = rows
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    more = frame.assign(twice=2 * frame["b"], level=np.sqrt(groups) * 0 + 5)
    without = clone(estimator).fit(frame, y, groups=groups)
    with pytest.warns(LinAlgWarning):
        model = clone(estimator).fit(more, y, groups=groups)
    np.testing.assert_allclose(
        model.predict_interval(more, groups), without.predict_interval(frame, groups)
    )
    assert model.r2_ == pytest.approx(without.r2_)
    for table in (model.fixed_effects_frame(), model.confint()):
        assert table.loc[["twice", "level"]].isna().all(axis=None)
        assert table.drop(["twice", "level"]).notna().all(axis=None)


@pytest.mark.parametrize("estimator", [PooledRegressor, FixedEffectsRegressor])
@pytest.mark.parametrize("offset", [2.0**20, 2.0**27])
def test_offsets_cost_no_digits(rows, estimator, offset):
    X, y, groups = rows
    X, y = np.round(X * 2**20) / 2**20, np.round(y * 2**20) / 2**20  # exact after the shift
    near = estimator().fit(X, y, groups=groups)
    far = estimator().fit(X + offset, y - offset, groups=groups)
    expected = near.predict(X, groups, return_std=True)[1]
    std = far.predict(X + offset, groups, return_std=True)[1]
    np.testing.assert_allclose(std, expected, rtol=1e-9)
    assert far.r2_ == pytest.approx(near.r2_, rel=1e-8)


def test_groups_far_apart_are_read_again(rows):
    X, y, groups = rows
    far = X + 1e9 * groups[:, None]
    near = FixedEffectsRegressor([0]).fit(X, y, groups=groups)
    model = FixedEffectsRegressor([0]).fit(far, y, groups=groups)
    expected = near.predict(X, groups, return_std=True)[1]
    std = model.predict(far, groups, return_std=True)[1]
    np.testing.assert_allclose(std, expected, rtol=1e-5)


def test_a_constant_column_is_an_intercept_for_r2(rows):
    X, y, _ = rows
    expected = PooledRegressor().fit(X, y)
    model = PooledRegressor(fit_intercept=False).fit(np.insert(X, 1, 3.0, axis=1), y)
    assert (model.r2_, model.adjusted_r2_) == pytest.approx(
        (expected.r2_, expected.adjusted_r2_)
    )
    std = model.predict(np.insert(X, 1, 3.0, axis=1), return_std=True)[1]
    np.testing.assert_allclose(std, expected.predict(X, return_std=True)[1])


def test_r2_of_a_constant_target_and_of_an_exact_fit(rows):
    X, y, groups = rows
    for estimator in (PooledRegressor(), FixedEffectsRegressor()):
        with pytest.warns(LinAlgWarning, match="explains y exactly"):
            model = clone(estimator).fit(X, np.full(len(y), 7.0), groups=groups)
        assert np.isnan([model.r2_, model.adjusted_r2_]).all()
        with pytest.warns(LinAlgWarning, match="explains y exactly"):
            model = clone(estimator).fit(X, X @ [1, 2, 3], groups=groups)
        assert model.r2_ == model.adjusted_r2_ == 1
        assert not model.predict(X, groups, return_std=True)[1].any()


def test_no_degrees_of_freedom(rows):
    X, y, groups = rows[0][:8, :1], rows[1][:8], [0, 0, 1, 2, 3, 4, 5, 6]
    with pytest.warns(LinAlgWarning, match="nothing is left to estimate"):
        model = FixedEffectsRegressor().fit(X, y, groups=groups)
    assert np.isnan(model.predict(X, groups, return_std=True)[1]).all()
    assert np.isnan(model.predict_interval(X, groups)).all()
    assert np.isnan([model.r2_, model.adjusted_r2_]).all()
    assert str(model.summary())


# ----------------------------------------------------------------------------- new groups


@pytest.mark.parametrize("slopes", [None, [0], "all"])
def test_the_variance_of_a_new_group_is_not_known(rows, slopes):
    X, y, groups = rows
    model = FixedEffectsRegressor(slopes).fit(X, y, groups=groups)
    labels = pd.Series(groups, dtype="Int64")
    labels[1], labels[2] = 99, pd.NA
    known = np.arange(len(y)) > 2
    with pytest.warns(NewGroupsWarning, match="2 of 90 predictions are for groups"):
        mean, std = model.predict(X, groups=labels, return_std=True)
    np.testing.assert_array_equal(mean, model.predict(X, groups=labels))
    np.testing.assert_array_equal(np.isnan(std), [False, True, True, *~known[3:]])
    for kind in ("observation", "mean"):
        with pytest.warns(NewGroupsWarning, match="RandomInterceptRegressor"):
            limits = model.predict_interval(X, groups=labels, kind=kind)
        expected = model.predict_interval(X, groups=groups, kind=kind)
        np.testing.assert_array_equal(limits[known], expected[known])
        assert np.isnan(limits[1:3]).all()
    with pytest.warns(NewGroupsWarning, match="90 of 90"):
        mean, std = model.predict_population(X, return_std=True)
    np.testing.assert_array_equal(mean, model.predict_population(X))
    assert np.isnan(std).all()
    strict = clone(model).set_params(new_groups="error").fit(X, y, groups=groups)
    with pytest.raises(ValueError, match="1 are new: 99"):
        strict.predict_interval(X, groups=labels.fillna(0))


def test_without_groups_there_is_one_line(rows):
    X, y, groups = rows
    pooled = PooledRegressor().fit(X, y)
    with pytest.warns(MissingGroupsWarning):
        model = FixedEffectsRegressor().fit(X, y)
    expected = pooled.predict_population(X, return_std=True)
    for found in (
        model.predict(X, return_std=True),
        model.predict(X, groups=groups, return_std=True),
        model.predict_population(X, return_std=True),
        pooled.predict(X, groups=["ignored"] * len(X), return_std=True),
    ):
        np.testing.assert_allclose(found, expected)
    np.testing.assert_allclose(model.predict_interval(X), pooled.predict_interval(X))
    assert model.r2_ == pytest.approx(pooled.r2_)


# ------------------------------------------------------------------------------ the surface


def test_every_way_of_giving_rows(rows):
    X, y, groups = rows
    polars = pytest.importorskip("polars")
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    expected = FixedEffectsRegressor([0]).fit(X, y, groups).predict_interval(X, groups)
    for table, by_name in [
        (csr_array(X), False),
        (frame, False),
        (polars.DataFrame(frame.to_dict("list")), False),
        (frame.assign(g=groups), True),
        (polars.DataFrame(frame.assign(g=groups).to_dict("list")), True),
    ]:
        model = FixedEffectsRegressor([0], group_by="g" if by_name else None)
        labels = {} if by_name else {"groups": groups}
        model.fit(table, y, **labels)
        np.testing.assert_allclose(model.predict_interval(table, **labels), expected)
        pooled = PooledRegressor(group_by=model.group_by).fit(table, y, **labels)
        assert pooled.predict_interval(table).shape == (len(y), 2)
    one = [model.predict_interval(table[i : i + 1])[0] for i in range(3)]
    np.testing.assert_allclose(one, expected[:3])


def test_bad_questions(rows, model):
    X, y, groups = rows
    with pytest.raises(ValueError, match="not fitted"):
        model.confint()
    model.fit(X, y, groups=groups)
    for ask in (
        lambda level: model.predict_interval(X, groups, level=level),
        lambda level: model.confint(level=level),
        lambda level: model.fixed_effects_frame(level),
    ):
        with pytest.raises(ValueError, match=r"'level'.*range \(0.0, 1.0\)"):
            ask(95)
    with pytest.raises(ValueError, match=r"must be positive.*1 are 0"):
        model.predict_interval(X[:2], groups[:2], sample_weight=[0, 1])
    with pytest.raises(ValueError, match="'kind'"):
        model.predict_interval(X, groups, kind="median")


def test_a_copy_answers_and_a_refit_is_followed(rows, model):
    X, y, groups = rows
    model.fit(X, y, groups=groups)
    before = model.predict_interval(X, groups)
    copy = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(copy.predict_interval(X, groups), before)
    np.testing.assert_allclose(
        model.fit(X, 10 * y, groups=groups).predict_interval(X, groups), 10 * before
    )


# ------------------------------------------------------------------- batches, and sums alone


def assert_same_fit(found, expected, X, groups):
    names = ["intercept_", "residual_variance_", "residual_dof_", "r2_", "adjusted_r2_", "bic_"]
    for name in names:
        assert getattr(found, name) == pytest.approx(getattr(expected, name), rel=1e-9)
    np.testing.assert_allclose(found.coef_, expected.coef_, rtol=1e-8)
    pd.testing.assert_frame_equal(found.coef_cov_, expected.coef_cov_, rtol=1e-8)
    np.testing.assert_allclose(
        found.predict_interval(X, groups), expected.predict_interval(X, groups), rtol=1e-8
    )
    if hasattr(expected, "groups_"):
        pd.testing.assert_frame_equal(found.group_effects_, expected.group_effects_)
        pd.testing.assert_series_equal(found.group_sizes_, expected.group_sizes_)
        assert found.within_r2_ == pytest.approx(expected.within_r2_)


@pytest.mark.parametrize("weighted", [False, True])
def test_batches_give_the_fit_of_the_whole(rows, model, weighted):
    X, y, groups = rows
    weight = np.random.default_rng(3).uniform(0, 2, len(y)) if weighted else np.ones(len(y))
    whole = clone(model).fit(X, y, groups, weight)
    for cuts in ([1, 2, 40], [89], [30, 60]):
        streamed = clone(model)
        for start, stop in zip([0, *cuts], [*cuts, len(y)], strict=True):
            batch = slice(start, stop)
            streamed.partial_fit(X[batch], y[batch], groups[batch], weight[batch])
        assert "coef_" not in vars(streamed)  # solved when asked for
        assert_same_fit(streamed, whole, X, groups)
    continued = clone(model).fit(X[:50], y[:50], groups[:50], weight[:50])
    continued.partial_fit(X[50:], y[50:], groups[50:], weight[50:])
    assert_same_fit(continued, whole, X, groups)


def test_sums_give_the_fit_of_the_rows(rows, model):
    X, y, groups = rows
    whole = clone(model).fit(X, y, groups)
    sums = sum(
        GroupedMoments.from_rows(X[part], y[part], groups[part], slopes="all")
        for part in (slice(0, 33), slice(33, 90))
    )
    found = clone(model).fit_moments(sums)
    assert_same_fit(found, whole, X, groups)
    twice = found.partial_fit(X, y, groups=groups)
    np.testing.assert_allclose(twice.coef_, whole.coef_)
    assert twice.residual_dof_ == whole.residual_dof_ + len(y)


def test_batches_with_a_group_column(rows):
    X, y, groups = rows
    frame = pd.DataFrame(X, columns=["a", "b", "c"]).assign(site=groups)
    for model in (
        FixedEffectsRegressor("a", group_by="site"),
        PooledRegressor(group_by="site"),
    ):
        whole = clone(model).fit(frame, y)
        streamed = clone(model).partial_fit(frame[:20], y[:20]).partial_fit(frame[20:], y[20:])
        assert_same_fit(streamed, whole, frame, None)
        sums = GroupedMoments.from_rows(frame, y, slopes="a", group_by="site")
        assert_same_fit(clone(model).fit_moments(sums), whole, frame, None)


def test_a_batch_that_fails_leaves_the_model(rows, model):
    X, y, groups = rows
    model.partial_fit(X, y, groups=groups)
    before = model.predict_interval(X, groups)
    with pytest.raises(ValueError, match="features"):
        model.partial_fit(X[:, :2], y, groups=groups)
    with pytest.raises(ValueError, match="NaN"):
        model.partial_fit(X * np.nan, y, groups=groups)
    with pytest.raises(TypeError, match=r"skmixed\.GroupedMoments"):
        model.fit_moments(X)
    np.testing.assert_array_equal(model.predict_interval(X, groups), before)


def test_sums_must_name_the_slopes(rows):
    X, y, groups = rows
    sums = GroupedMoments.from_rows(X, y, groups, slopes=[0])
    assert FixedEffectsRegressor().fit_moments(sums).n_groups_ == 7
    with pytest.raises(ValueError, match="slopes"):
        FixedEffectsRegressor([1]).fit_moments(sums)


@pytest.mark.parametrize("estimator", [FixedEffectsRegressor, PooledRegressor])
def test_sums_that_lack_digits_are_refused(rows, estimator):
    X, y, groups = rows
    far = 1e-9 * y + X @ [1, 2, 3]
    assert estimator().fit(X, far, groups=groups).residual_variance_ > 0
    sums = GroupedMoments.from_rows(X, far, groups)
    with pytest.raises(ValueError, match="not enough for it: residuals are small"):
        estimator().fit_moments(sums)
    few = GroupedMoments.from_rows(X, 2e-6 * y + X @ [1, 2, 3], groups)
    with pytest.warns(LinAlgWarning, match="leave about"):
        estimator().fit_moments(few)


def test_only_mixed_models_learn_groups_without_a_fit():
    for model in MODELS.values():
        assert not hasattr(model, "update_groups")
    assert hasattr(RandomInterceptRegressor(), "update_groups")


# ----------------------------------------------------------------- the same for all estimators

ALL = {
    "random intercept": RandomInterceptRegressor(),
    "random slope": RandomSlopeRegressor("ses"),
    "fixed": FixedEffectsRegressor(),
    "fixed lines": FixedEffectsRegressor("ses"),
    "pooled": PooledRegressor(),
}


@pytest.mark.parametrize("name", ALL)
def test_one_script_serves_all_estimators(name):
    X, y, school = load_hsb(return_X_y=True)
    X, rows = X[["ses", "female"]], slice(0, 20)
    model = clone(ALL[name]).partial_fit(X[:4000], y[:4000], groups=school[:4000])
    model.partial_fit(X[4000:], y[4000:], groups=school[4000:])
    moments = GroupedMoments.from_rows(X, y, school, slopes="ses")
    same = clone(model).fit_moments(moments)
    np.testing.assert_allclose(same.coef_, model.coef_, rtol=1e-6)
    mean, std = model.predict(X[rows], groups=school[rows], return_std=True)
    assert mean.shape == std.shape == (20,)
    assert np.all(std**2 > model.residual_variance_)
    limits = model.predict_interval(X[rows], school[rows], level=0.9, kind="mean")
    assert np.all((limits[:, 0] < mean) & (mean < limits[:, 1]))
    frame = model.fixed_effects_frame(level=0.9)
    columns = ["estimate", "std_error", "df", "t", "p_value", "lower", "upper"]
    assert frame.columns.tolist() == columns
    assert frame.index.tolist() == model.coef_cov_.index.tolist()
    assert frame.index.name == "term"
    options = {"method": "wald"} if name.startswith("random") else {}
    limits = model.confint(level=0.9, **options).loc["ses"]
    assert limits.index.tolist() == ["estimate", "lower", "upper"]
    np.testing.assert_allclose(limits, frame.loc["ses", limits.index], rtol=1e-3)
    summary = model.summary(level=0.9)
    pd.testing.assert_frame_equal(summary.fixed_effects, frame)
    assert summary.fixed_effects_correlation.shape == (3, 3)
    assert {"title", "fit_statistics", "remarks", "stars", "level"} <= set(vars(summary))


def test_the_summary_says_why_rows_are_empty():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"x": rng.normal(size=60), "site": np.arange(60) % 6})
    X["ward"], y = rng.integers(0, 4, 60), rng.normal(size=60)
    X = X.assign(double=2 * X["x"], size=X["site"] % 2)
    for model, others, columns in (
        (FixedEffectsRegressor(group_by="site"), "the effects of the groups and ", ["size"]),
        (FixedEffectsRegressor(group_by=["site", "ward"]), "the effects of the groups and ",
         ["size", "double"]),
        (PooledRegressor(), "", ["double"]),
    ):  # fmt: skip
        kept = [name for name in X if name in ("x", "site", "ward", *columns)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            remarks = model.fit(X[kept], y).summary().remarks
        names = ", ".join(name for name in kept if name in columns)
        them = "it" if len(columns) == 1 else "them"
        assert remarks[-1] == (
            f"No coefficient can be estimated for {names}: {others}the columns before contain "
            f"{them}, so predictions count {them} as 0."
        )
    assert len(PooledRegressor().fit(X[["x"]], y).summary().remarks) == 0
