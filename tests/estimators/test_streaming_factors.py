"""Several grouping factors in batches, from sums, and with groups learned after the fit."""

import pickle
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import pandas as pd
import pytest
from dense_oracle import dense_factors
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.compose import make_column_selector
from sklearn.exceptions import NotFittedError

from skmixed import (
    FixedEffectsRegressor,
    GroupedMoments,
    PooledRegressor,
    RandomInterceptRegressor,
    RandomSlopeRegressor,
)

BOTH = ["school", "rater"]
NESTED = ["school", ("school", "class")]
MODELS = {
    "crossed": RandomInterceptRegressor(group_by=BOTH, tol=1e-13),
    "nested": RandomInterceptRegressor(group_by=NESTED, tol=1e-13),
    "three": RandomInterceptRegressor(group_by=[*NESTED, "rater"], method="ml", tol=1e-13),
    "slopes": RandomSlopeRegressor({"school": "x"}, group_by=BOTH, tol=1e-13),
    "diagonal": RandomSlopeRegressor("x", group_by=BOTH, covariance="diag", tol=1e-13),
}


def make(n, seed=0):
    """Pupils of classes 1, 2 and 3 in schools, each marked by a rater."""
    rng = np.random.default_rng(seed)
    place, rater = rng.integers(0, 30, n), rng.integers(0, 7, n)
    school, x = place // 3, rng.normal(size=(n, 2)) + 3.0
    y = 5 + x @ [0.5, -1.0] + rng.normal(size=n) + 0.9 * rng.normal(size=30)[place]
    for codes, size in ((school, 10), (rater, 7)):
        level, slope = rng.normal(size=(2, size))
        y += level[codes] + 0.6 * slope[codes] * (x[:, 0] - 3)
    columns = {"x": x[:, 0], "z": x[:, 1], "school": school, "class": 1 + place % 3}
    return pd.DataFrame({**columns, "rater": [f"r{i}" for i in rater]}), pd.Series(y, name="y")


ROWS = make(400)


@pytest.fixture(params=list(MODELS))
def model(request):
    return clone(MODELS[request.param])


def of_model(model, X):
    """The features, and the columns that the model names."""
    factors = (f if isinstance(f, tuple) else (f,) for f in model.group_by)
    return X[["x", "z", *dict.fromkeys(column for f in factors for column in f)]]


def assert_same_fit(found, expected, rtol=1e-9):
    """All that a fit has learned; effects relative to the largest."""
    assert found.criterion_ == pytest.approx(expected.criterion_, rel=1e-10)
    for name in ("coef_", "intercept_", "residual_variance_", "theta_"):
        np.testing.assert_allclose(
            getattr(found, name), getattr(expected, name), rtol=rtol, err_msg=name
        )
    assert list(found.groups_) == list(expected.groups_)
    for name, effects in expected.random_effects_.items():
        scale = effects.abs().max().max()
        np.testing.assert_allclose(
            found.random_effects_[name] / scale, effects / scale, atol=10 * rtol
        )
        pd.testing.assert_index_equal(found.groups_[name], expected.groups_[name])
        pd.testing.assert_series_equal(found.group_sizes_[name], expected.group_sizes_[name])


def in_batches(model, parts, X, y, weight=None):
    for part in parts:
        options = {} if weight is None else {"sample_weight": weight[part]}
        model.partial_fit(X.iloc[part], y.iloc[part], **options)
    return model


def summed(model, X, y, slopes="all", **options):
    return GroupedMoments.from_rows(X, y, slopes=slopes, group_by=model.group_by, **options)


# ---------------------------------------------------------------- batches, and sums of parts


@pytest.mark.parametrize("weighted", [False, True])
def test_batches_and_sums_give_the_fit_of_the_whole(model, weighted):
    X, y = of_model(model, ROWS[0]), ROWS[1]
    weight = np.random.default_rng(1).integers(0, 3, len(y)) * 1.0 if weighted else None
    whole = clone(model).fit(X, y, sample_weight=weight)
    parts = np.split(np.arange(len(y)), [1, 2, 90, 300])
    if weighted:
        parts[:2] = [np.arange(2)]
        weight[0] = 1.0
        whole.fit(X, y, sample_weight=weight)
    assert_same_fit(in_batches(clone(model), parts, X, y, weight), whole)
    sums = [
        summed(model, X.iloc[p], y.iloc[p], sample_weight=None if weight is None else weight[p])
        for p in parts
    ]
    found = clone(model).fit_moments(sum(pickle.loads(pickle.dumps(part)) for part in sums))
    assert_same_fit(found, whole)
    np.testing.assert_allclose(found.predict_interval(X), whole.predict_interval(X), rtol=1e-7)


@cache
def fits(name):
    return clone(MODELS[name]).fit(of_model(MODELS[name], ROWS[0]), ROWS[1])


@settings(deadline=None, max_examples=12, derandomize=True)
@given(st.data())
def test_batches_of_any_size_in_any_order(data):
    name = data.draw(st.sampled_from(sorted(MODELS)))
    X, y = of_model(MODELS[name], ROWS[0]), ROWS[1]
    order = np.array(data.draw(st.permutations(range(len(y)))))
    cuts = sorted(data.draw(st.sets(st.integers(1, len(y) - 1), max_size=8)))
    parts = np.split(order, cuts)
    whole = fits(name)
    assert_same_fit(in_batches(clone(whole), parts, X, y), whole)
    sums = [summed(whole, X.iloc[part], y.iloc[part]) for part in parts]
    more = summed(whole, X.iloc[:50], y.iloc[:50])
    total = sum(data.draw(st.permutations([*sums, more]))) - more
    assert_same_fit(clone(whole).fit_moments(total), whole)


def test_rows_are_taken_off_again(model):
    """With the last pupil of a school, a class, or a pair of school and rater these vanish."""
    X, y = of_model(model, ROWS[0]), ROWS[1]
    kept = (ROWS[0]["school"] != 4) & (ROWS[0]["rater"] != "r2")
    left = summed(model, X, y) - summed(model, X[~kept], y[~kept])
    expected = summed(model, X[kept], y[kept])
    assert repr(left) == repr(expected)
    for pair, cells in expected.sums.cells.items():
        np.testing.assert_array_equal(left.sums.cells[pair].first, cells.first)
        np.testing.assert_array_equal(left.sums.cells[pair].second, cells.second)
        np.testing.assert_array_equal(left.sums.cells[pair].n_rows, cells.n_rows)
    assert_same_fit(clone(model).fit_moments(left), clone(model).fit(X[kept], y[kept]))


def test_what_is_left_must_have_digits():
    X, y = ROWS
    one = X.assign(one=(X["school"] == 3) * 1.0)[["one", "school", "rater"]]
    total = GroupedMoments.from_rows(one, y, group_by=BOTH)
    part = X["school"] == 3
    with pytest.raises(ValueError, match=r"at least 1% of the squares .* of one there is less"):
        total - GroupedMoments.from_rows(one[part], y[part], group_by=BOTH)
    with pytest.raises(ValueError, match="1% of the squares"):
        total - total
    pair = np.zeros(30, dtype=int)  # the school and the rater have more rows, but not both
    with pytest.raises(ValueError, match="more rows than there are of 1 pairs of levels"):
        total - GroupedMoments.from_rows(one.iloc[pair], y.iloc[pair], group_by=BOTH)
    single = GroupedMoments.from_rows(one[["one"]], y, X["school"])
    left = single - GroupedMoments.from_rows(one[["one"]][:90], y[:90], X["school"][:90])
    assert left.n_rows == 310


@pytest.mark.parametrize("group_by", [BOTH, pd.Index(BOTH), None])
def test_ways_to_give_the_factors_of_sums(group_by):
    X, y = ROWS
    columns = ["x", "z", *BOTH] if group_by is not None else ["x", "z"]
    groups = X[BOTH] if group_by is None else None
    moments = GroupedMoments.from_rows(
        X[columns], y, groups, group_by=group_by, slopes={"school": ["x"]}
    )
    assert repr(moments) == (
        "GroupedMoments(n_rows=400, n_groups={'school': 10, 'rater': 7}, "
        f"columns={columns}, slopes={{'school': ['x'], 'rater': []}})"
    )
    model = RandomSlopeRegressor({"school": "x"}, group_by=group_by)
    whole = clone(model).fit(X[columns], y, groups=groups)
    assert_same_fit(model.fit_moments(moments), whole)
    pooled = PooledRegressor(group_by=group_by).fit_moments(moments)
    np.testing.assert_allclose(
        pooled.coef_, PooledRegressor(group_by=group_by).fit(X[columns], y).coef_
    )
    fixed = FixedEffectsRegressor(group_by=group_by)
    expected = clone(fixed).fit(X[columns], y, groups=groups)
    np.testing.assert_allclose(fixed.fit_moments(moments).coef_, expected.coef_, rtol=1e-9)
    np.testing.assert_allclose(
        fixed.group_effects_["rater"], expected.group_effects_["rater"], rtol=1e-7
    )


def test_slopes_of_sums_chosen_by_type():
    X, y = ROWS
    chosen = {"school": make_column_selector(dtype_include=float), "rater": []}
    moments = GroupedMoments.from_rows(X[["x", *BOTH]], y, group_by=BOTH, slopes=chosen)
    model = RandomSlopeRegressor(chosen, group_by=BOTH).fit_moments(moments)
    assert list(model.random_effects_["school"]) == ["(Intercept)", "x"]
    assert list(model.random_effects_["rater"]) == ["(Intercept)"]


def test_sums_of_other_factors_are_refused():
    X, y = ROWS
    rows = X[["x", *BOTH]]
    moments = GroupedMoments.from_rows(rows, y, group_by=BOTH, slopes={"school": "x"})
    beside = GroupedMoments.from_rows(rows[["x"]], y, rows[BOTH])
    turned = GroupedMoments.from_rows(rows[["x"]], y, rows[BOTH[::-1]])
    for other, message in [
        (GroupedMoments.from_rows(rows, y, group_by=BOTH), "added, but they differ in slopes"),
        (GroupedMoments.from_rows(rows, y, group_by=BOTH[::-1]), "differ in factors"),
        (
            GroupedMoments.from_rows(
                rows.astype({"school": str}), y, group_by=BOTH, slopes={"school": "x"}
            ),
            "Factor 'school': `groups` must have labels of the same type",
        ),
    ]:
        with pytest.raises(ValueError, match=message):
            moments + other
    with pytest.raises(ValueError, match=r"subtracted, but they differ in factors"):
        beside - turned
    model = RandomSlopeRegressor({"rater": "x"}, group_by=BOTH)
    with pytest.raises(ValueError, match=r"'rater': \['x'\]}, but were for {'school': \['x'\]"):
        model.fit_moments(moments)
    with pytest.raises(ValueError, match=r"with the model's group_by=\['rater', 'school'\]"):
        RandomInterceptRegressor(group_by=BOTH[::-1]).fit_moments(moments)
    with pytest.raises(ValueError, match="slopes must have the names of factors as keys"):
        GroupedMoments.from_rows(rows, y, group_by=BOTH, slopes={"pupil": "x"})


def test_sums_go_through_skops():
    skops = pytest.importorskip("skops.io")
    X, y = of_model(MODELS["slopes"], ROWS[0]), ROWS[1]
    sums = summed(MODELS["slopes"], X, y)
    letter = skops.dumps(sums)
    assert skops.get_untrusted_types(data=letter) == ["skmixed.GroupedMoments"]
    found = skops.loads(letter, trusted=["skmixed.GroupedMoments"])
    assert_same_fit(clone(MODELS["slopes"]).fit_moments(found), fits("slopes"))


# ------------------------------------------------------------------------- update_groups


def dense_modes(model, X, y, weight=None):
    """Modes of all levels, and their covariances, for the parameters of a fit."""
    codes, Zs, Psis, labels = [], [], [], []
    for name, cov in model.random_effects_cov_.items():
        parts = name.split(":")
        own = X[parts[0]] if len(parts) == 1 else X[parts].astype(str).agg(":".join, axis=1)
        code, index = pd.factorize(own, sort=True)
        codes.append(code)
        labels.append(index)
        terms = [1.0 if term == "(Intercept)" else X[term] for term in cov]
        Zs.append(np.column_stack(np.broadcast_arrays(*terms, np.ones(len(X)))[:-1]))
        Psis.append(cov.to_numpy() / model.residual_variance_)
    fixed = np.column_stack([np.ones(len(X)), X[["x", "z"]]])
    dense = dense_factors(fixed, y.to_numpy(), Zs, codes, Psis, reml=True, weights=weight)
    residual = y - fixed @ np.array([model.intercept_, *model.coef_[:2]])
    Z = np.hstack(dense["Z"])
    w = np.ones(len(y)) if weight is None else weight
    b = dense["H"] @ Z.T @ (w * residual)  # given all parameters
    ends = np.cumsum([len(P) * len(index) for P, index in zip(Psis, labels, strict=True)])
    for name, P, index, end in zip(model.groups_, Psis, labels, ends, strict=True):
        some = slice(end - len(P) * len(index), end)
        H = dense["H"][some, some].reshape(len(P), len(index), len(P), len(index))
        H = np.einsum("ajbj->jab", H) * model.residual_variance_
        yield name, index, b[some].reshape(len(P), -1).T, H


@pytest.mark.parametrize("weighted", [False, True])
def test_modes_follow_from_all_rows_for_fixed_parameters(model, weighted):
    """New schools with known raters, and the other way round, and rows of known ones."""
    X, y = of_model(model, ROWS[0]), ROWS[1]
    school, rater = ROWS[0]["school"], ROWS[0]["rater"]
    fitted = ((school > 2) & (rater != "r1") & (np.arange(400) % 5 > 0)).to_numpy()
    weight = np.random.default_rng(2).uniform(0.5, 2, 400) if weighted else np.ones(400)
    options = {"sample_weight": weight[fitted]} if weighted else {}
    model.fit(X[fitted], y[fitted], **options)
    kept = ("coef_", "theta_", "criterion_", "residual_variance_")
    before = {name: np.copy(getattr(model, name)) for name in kept}
    icc, frame = dict(model.icc_), model.fixed_effects_frame()
    options = {"sample_weight": weight[~fitted]} if weighted else {}
    model.update_groups(X[~fitted], y[~fitted], **options)
    for name, value in before.items():
        np.testing.assert_array_equal(getattr(model, name), value)
    assert model.icc_ == icc
    pd.testing.assert_frame_equal(model.fixed_effects_frame(), frame)
    for name, labels, b, H in dense_modes(model, X, y, weight if weighted else None):
        effects = model.random_effects_[name]
        assert effects.index.tolist() == labels.tolist()
        np.testing.assert_allclose(effects, b, rtol=1e-7, atol=1e-9)
        left = model.conditional_cov_[name].to_numpy().reshape(H.shape)
        np.testing.assert_allclose(left, H, rtol=1e-7, atol=1e-10)
        assert model.group_sizes_[name].sum() == pytest.approx(weight.sum())
        own = np.diag(model.random_effects_cov_[name])
        np.testing.assert_allclose(
            model.pooling_weights_[name], 1 - np.einsum("jaa->ja", H) / own, atol=1e-9
        )


def test_predictions_are_as_uncertain_as_rows_leave_them(model):
    """The error of a known mean around the truth, from the joint covariance of all rows."""
    X, y = of_model(model, ROWS[0]), ROWS[1]
    fitted = ((ROWS[0]["school"] > 2) & (np.arange(400) % 3 > 0)).to_numpy()
    model.fit(X[fitted], y[fitted])
    model.update_groups(X[~fitted], y[~fitted])
    limits = model.predict_interval(X[:9], kind="mean", level=0.6826894921370859)
    variance = (np.diff(limits, axis=1)[:, 0] / 2) ** 2
    # covariances of y, of b and of both
    blocks, Zs = [], []
    for name, cov in model.random_effects_cov_.items():
        own = X[name.split(":")].astype(str).agg(":".join, axis=1)
        wide = pd.get_dummies(own).to_numpy(float)
        terms = [np.ones(400) if term == "(Intercept)" else X[term] for term in cov]
        Zs += [wide * np.asarray(term)[:, None] for term in terms]
        blocks.append((cov.to_numpy(), wide.shape[1]))
    Z, B = np.hstack(Zs), np.zeros((0, 0))
    for cov, n in blocks:
        block = np.kron(cov, np.eye(n))
        B = np.block(
            [[B, np.zeros((len(B), len(block)))], [np.zeros((len(block), len(B))), block]]
        )
    s2, D = model.residual_variance_, np.column_stack([np.ones(400), X[["x", "z"]]])
    V = Z @ B @ Z.T + s2 * np.eye(400)
    inverse = np.linalg.inv(V[np.ix_(fitted, fitted)])
    to_beta = np.zeros((3, 400))
    to_beta[:, fitted] = np.linalg.solve(
        D[fitted].T @ inverse @ D[fitted], D[fitted].T @ inverse
    )
    # the prediction is linear in y: D beta + Z b(y - D beta)
    to_b = B @ Z.T @ np.linalg.inv(V)
    weights = D[:9] @ to_beta + Z[:9] @ to_b @ (np.eye(400) - D @ to_beta)
    joint = weights @ V @ weights.T - 2 * weights @ Z @ B @ Z[:9].T + Z[:9] @ B @ Z[:9].T
    np.testing.assert_allclose(variance, np.diag(joint), rtol=1e-7)


def test_updates_in_parts_are_updates_at_once(model):
    X, y = of_model(model, ROWS[0]), ROWS[1]
    new = ((ROWS[0]["school"] < 2) | (ROWS[0]["rater"] == "r3")).to_numpy()
    model.fit(X[~new], y[~new])
    at_once, in_parts = (pickle.loads(pickle.dumps(model)) for _ in range(2))
    at_once.update_groups(X[new], y[new])
    for part in np.array_split(np.flatnonzero(new), 7):
        in_parts.update_groups(X.iloc[part], y.iloc[part])
    stored = pickle.loads(pickle.dumps(in_parts))
    for answer in ("predict_interval", "predict"):
        np.testing.assert_allclose(
            getattr(stored, answer)(X), getattr(at_once, answer)(X), rtol=1e-9
        )
    # the rows of the fit are those that are left out
    np.testing.assert_allclose(
        stored.loo_predict(X[~new], y[~new]), model.loo_predict(X[~new], y[~new]), rtol=1e-9
    )
    for factor in list(model.groups_)[:1]:
        given = {"leave": "group", "factor": factor}
        np.testing.assert_allclose(
            stored.loo_predict(X[~new], y[~new], **given),
            model.loo_predict(X[~new], y[~new], **given),
            rtol=1e-7,
        )
    # a fit that goes on counts them
    in_parts.partial_fit(X[:40], y[:40])
    twice = np.concatenate([np.arange(400), np.arange(40)])
    assert_same_fit(in_parts, clone(model).fit(X.iloc[twice], y.iloc[twice]))


def test_threads_that_update_lose_nothing():
    X, y = of_model(MODELS["crossed"], ROWS[0]), ROWS[1]
    new = (ROWS[0]["school"] < 3).to_numpy()
    model = clone(MODELS["crossed"]).fit(X[~new], y[~new])
    at_once = pickle.loads(pickle.dumps(model)).update_groups(X[new], y[new])
    with ThreadPoolExecutor(4) as pool:
        parts = np.array_split(np.flatnonzero(new), 12)
        list(pool.map(lambda part: model.update_groups(X.iloc[part], y.iloc[part]), parts))
    np.testing.assert_allclose(model.predict(X), at_once.predict(X), rtol=1e-9)
    assert model.n_groups_ == {"school": 10, "rater": 7}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rater": None}, "Factor 'rater': `groups` must have a label for every row"),
        ({"rater": 3}, "Factor 'rater': `groups` must have labels of the same type"),
        ({"x": "a"}, "X must be numeric"),
        ({"x": np.inf}, "infinity"),
    ],
)
def test_rows_that_cannot_be_used_change_nothing(change, message):
    X, y = of_model(MODELS["crossed"], ROWS[0]), ROWS[1]
    model = clone(MODELS["crossed"]).fit(X[:300], y[:300])
    before = pickle.dumps(model)
    for method in ("update_groups", "partial_fit"):
        with pytest.raises(ValueError, match=message):
            getattr(model, method)(X[300:].assign(**change), y[300:])
        assert pickle.dumps(model) == before


def test_updates_that_memory_does_not_hold_change_nothing(monkeypatch):
    X, y = of_model(MODELS["crossed"], ROWS[0]), ROWS[1]
    model = clone(MODELS["crossed"]).fit(X[:300], y[:300])
    before = pickle.dumps(model)
    monkeypatch.setattr("skmixed._numerics.fit.dense_layout._memory", lambda: 10.0)
    with pytest.raises(ValueError, match="'school' of 10 groups, 'rater' of 7"):
        model.update_groups(X[300:], y[300:])
    assert pickle.dumps(model) == before


def test_updates_need_groups():
    X, y = ROWS
    with pytest.raises(NotFittedError):
        RandomInterceptRegressor(group_by=BOTH).update_groups(X[["x", *BOTH]], y)
    model = RandomInterceptRegressor().fit(X[["x"]], y, groups=X[BOTH])
    with pytest.raises(ValueError, match="several factors, so update_groups needs them"):
        model.update_groups(X[["x"]], y)
    with pytest.raises(ValueError, match="a column for each of the 2 factors of the fit"):
        model.update_groups(X[["x"]], y, groups=X["school"])
    turned = X[BOTH[::-1]]
    model.update_groups(X[["x"]], y, groups=turned)
    assert model.group_sizes_["rater"].sum() == 800
