"""Fixed effects of several factors against least squares with the dummies written out."""

import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.linalg import LinAlgWarning
from sklearn.model_selection import cross_val_score

from skmixed import FixedEffectsRegressor
from skmixed._numerics.least_squares import level_equations, pair_equations
from skmixed._numerics.least_squares.alone import rows_alone
from skmixed.exceptions import NewGroupsWarning, NotAvailableError

REFERENCE = Path(__file__).parents[1] / "reference"
N = 240


def codes_of(design, rng):
    """Levels of each factor, in a table."""

    def draw(n_levels):
        return rng.integers(0, n_levels, N)

    a, b = draw(20), draw(18)
    designs = {
        "crossed": [a, draw(8)],
        "sparse": [draw(90), draw(70)],
        "disconnected": [a, a % 4 * 3 + draw(3)],
        "nested": [a, a // 5],
        "nested, coarse first": [a // 5, a],
        "three": [a, draw(8), draw(5)],
        "sparse three": [draw(80), draw(60), draw(40)],
        "parts tied by a third": [a, a % 4 * 3 + draw(3), draw(4)],
        "nested and crossed": [a // 5, a, draw(6)],
        "equal": [a, a + 3, draw(5)],
        "two parts, a third that adds nothing": [
            (half := draw(2)) * 4 + (one := draw(4)),
            half * 4 + (other := draw(4)),
            np.where(half, one, other) % 2,
        ],
        "four": [draw(40), draw(30), draw(20), draw(10)],
        "sums of others": [a, b, a + b],
        "chain": [np.arange(N) // 6, (np.arange(N) + 3) // 6],
        "one level": [np.zeros(N, dtype=int), a],
    }
    table = pd.DataFrame(dict(zip("fghk", designs[design], strict=False)))
    return table.apply(lambda column: pd.factorize(column, sort=True)[0])


DESIGNS = [
    "crossed", "sparse", "disconnected", "nested", "nested, coarse first", "three",
    "sparse three", "parts tied by a third", "nested and crossed", "equal",
    "two parts, a third that adds nothing", "four",
    "sums of others", "chain", "one level",
]  # fmt: skip


def make_rows(design, seed=0):
    rng = np.random.default_rng(seed)
    groups = codes_of(design, rng)
    X = rng.normal(size=(N, 2)) + rng.normal(size=(N, 2))[groups["f"]]
    y = X @ [1.0, -2.0] + rng.normal(size=N)
    for column in groups:
        y += rng.normal(size=N)[groups[column]]
    return X, y, groups


def expand(groups, codes=None):
    """Dummies of all levels; those of other rows, if given."""
    codes = groups if codes is None else codes
    parts = [np.eye(1 + groups[name].max())[codes[name]] for name in groups]
    return np.hstack(parts)


class Oracle:
    """Least squares on dummies and X; everything reported is linear in y."""

    def __init__(self, X, y, groups, weight=None):
        self.n_features = X.shape[1]
        self.design = np.hstack([expand(groups), X])
        weight = np.ones(len(y)) if weight is None else weight
        root = np.sqrt(weight)
        self.map = np.linalg.pinv(root[:, None] * self.design, rcond=1e-11) * root
        self.theta = self.map @ y
        self.rank = np.linalg.matrix_rank(root[:, None] * self.design, tol=1e-9)
        self.dof = weight.sum() - self.rank
        residual = y - self.design @ self.theta
        self.sigma2 = weight @ residual**2 / self.dof
        self.gram_inverse = np.linalg.pinv((self.design.T * weight) @ self.design, rcond=1e-11)

    @property
    def coef(self):
        return self.theta[-self.n_features :]

    def covariance(self, linear):
        """Covariance of linear maps of the parameters."""
        return self.sigma2 * linear @ self.gram_inverse @ linear.T


def check(model, oracle, X, groups):
    np.testing.assert_allclose(model.coef_, oracle.coef, rtol=1e-9)
    assert model.residual_dof_ == pytest.approx(oracle.dof, abs=1e-9)
    assert model.residual_variance_ == pytest.approx(oracle.sigma2, rel=1e-9)
    mean, std = model.predict(X, groups=groups, return_std=True)
    np.testing.assert_allclose(mean, oracle.design @ oracle.theta, atol=1e-8)
    variance = np.diag(oracle.covariance(oracle.design))
    np.testing.assert_allclose(std**2, variance + oracle.sigma2, rtol=1e-8)
    cov = oracle.covariance(np.eye(len(oracle.theta))[-2:])
    np.testing.assert_allclose(model.coef_cov_.to_numpy()[1:, 1:], cov, rtol=1e-8)


def intercept_map(model, oracle):
    """Return the intercept as a linear map of any parameters that fit."""
    dummies = model._fitted.dummies
    weights = dummies.redundancy.weights_of_intercept()
    for lies_in in dummies.nested:  # effects of a coarse level are those of all in it
        if lies_in.fine in dummies.equations.factors:
            own = np.bincount(lies_in.parent, weights[lies_in.fine])
            weights[lies_in.coarse] = own
    return np.append(np.concatenate(weights), np.zeros(oracle.n_features))[None]


@pytest.mark.parametrize("design", DESIGNS)
def test_equals_least_squares_with_dummies(design):
    X, y, groups = make_rows(design)
    model, oracle = FixedEffectsRegressor().fit(X, y, groups=groups), Oracle(X, y, groups)
    check(model, oracle, X, groups)
    linear = intercept_map(model, oracle)
    assert model.intercept_ == pytest.approx((linear @ oracle.theta).item(), abs=1e-8)
    cov = oracle.covariance(np.vstack([linear, np.eye(len(oracle.theta))[-2:]]))
    np.testing.assert_allclose(model.coef_cov_, cov, rtol=1e-7, atol=1e-12)
    assert model.score(X, y, groups=groups) == pytest.approx(model.r2_, rel=1e-10)
    for effects in model.group_effects_.values():
        assert abs(effects.to_numpy().mean()) < 1e-12


@pytest.mark.parametrize("design", ["crossed", "disconnected", "three", "nested and crossed"])
def test_weights_are_repetitions(design):
    X, y, groups = make_rows(design, seed=1)
    weight = np.random.default_rng(2).integers(0, 4, N)
    model = FixedEffectsRegressor().fit(X, y, groups=groups, sample_weight=weight)
    rows = np.repeat(np.arange(N), weight)
    again = FixedEffectsRegressor().fit(X[rows], y[rows], groups=groups.iloc[rows])
    np.testing.assert_allclose(model.coef_, again.coef_, rtol=1e-11)
    np.testing.assert_allclose(model.coef_cov_, again.coef_cov_, rtol=1e-10)
    assert model.residual_dof_ == again.residual_dof_
    for name, effects in model.group_effects_.items():
        np.testing.assert_allclose(effects, again.group_effects_[name], atol=1e-10)
    kept = weight > 0
    oracle = Oracle(X, y, groups, weight)
    assert model.residual_dof_ == pytest.approx(oracle.dof)
    mean = model.predict(X[kept], groups=groups[kept])
    np.testing.assert_allclose(mean, (oracle.design @ oracle.theta)[kept], atol=1e-8)


# coefficient, standard error, residual variance, df, R2 and log-likelihood by lm() of R 4
LM = {
    "c_sim_movers": (
        "grade", ["pupil", "teacher"],
        [0.499674922652632, 0.060378962748717, 1.07296203370025, 263, 0.773087119804131,
         -580.14730009687],
    ),
    "c_sim_three": (
        "x", ["rater", "site", "year"],
        [0.128619085098337, 0.0362745215876966, 0.997676736245479, 733, 0.465400398343954,
         -1099.23402956361],
    ),
    "c_sim_nested3": (
        "x", ["school", "school_class"],
        [0.707845136673438, 0.0457301901049119, 0.970885831689116, 461, 0.717849387191668,
         -698.853974559469],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", LM)
def test_equals_lm_of_r(case):
    feature, factors, expected = LM[case]
    frame = pd.read_csv(REFERENCE / case / "data.csv")
    model = FixedEffectsRegressor(group_by=factors).fit(frame[[feature, *factors]], frame["y"])
    line = model.fixed_effects_frame().loc[feature]
    found = [line["estimate"], line["std_error"], model.residual_variance_, line["df"],
             model.r2_, model.log_likelihood_]  # fmt: skip
    np.testing.assert_allclose(found, expected, rtol=1e-11)


def test_a_redundant_factor_changes_nothing():
    frame = pd.read_csv(REFERENCE / "c_sim_movers" / "data.csv")
    columns = ["grade", "pupil", "teacher", "school"]
    three = FixedEffectsRegressor(group_by=columns[1:]).fit(frame[columns], frame["y"])
    two = FixedEffectsRegressor(group_by=columns[1:3]).fit(frame[columns[:3]], frame["y"])
    assert three.residual_dof_ == two.residual_dof_ == 263
    assert three.coef_[0] == pytest.approx(two.coef_[0], rel=1e-12)
    assert (
        "Each group of teacher lies in one of school, so that school adds nothing to teacher"
    ) in three.summary().remarks[1]


def test_nested_factors_share_their_effects():
    X, y, groups = make_rows("nested, coarse first")
    model = FixedEffectsRegressor().fit(X, y, groups=groups)
    coarse_of = groups.drop_duplicates("g").set_index("g")["f"].sort_index()
    fine = model.group_effects_["g"]["(Intercept)"].to_numpy()
    means = pd.Series(fine).groupby(coarse_of.to_numpy()).mean()
    np.testing.assert_allclose(means, 0, atol=1e-12)
    # a new class of a known school has the average of the school's classes
    new = groups.head(1).assign(g=999)
    known = pd.DataFrame(
        {"f": groups["f"].iloc[0], "g": coarse_of.index[coarse_of == groups["f"].iloc[0]]}
    )
    average = model.predict(np.repeat(X[:1], len(known), axis=0), groups=known).mean()
    assert model.predict(X[:1], groups=new)[0] == pytest.approx(average)


def test_effects_sum_to_zero_within_each_part():
    X, y, groups = make_rows("disconnected")
    model = FixedEffectsRegressor().fit(X, y, groups=groups)
    parts = np.arange(12) // 3
    means = pd.Series(model.group_effects_["g"]["(Intercept)"]).groupby(parts).mean()
    np.testing.assert_allclose(means, 0, atol=1e-12)
    assert "The groups of f and g fall into 4 parts" in str(model.summary())


def test_rows_that_join_parts_are_not_predicted():
    X, y, groups = make_rows("disconnected")
    model = FixedEffectsRegressor().fit(X, y, groups=groups)
    rows = pd.DataFrame({"f": [0, 0, 0, 99], "g": [1, 5, 99, 5]})  # part 0: f = 0, g < 3
    with pytest.warns(NewGroupsWarning, match="1 of 4 predictions are NaN.*of f, g are known"):
        mean = model.predict(X[:4], groups=rows)
    assert np.isnan(mean).tolist() == [False, True, False, False]
    with pytest.warns(NewGroupsWarning):
        _, std = model.predict(X[:4], groups=rows, return_std=True)
    assert np.isnan(std).tolist() == [False, True, True, True]


@pytest.mark.parametrize("design", ["parts tied by a third", "sums of others", "three"])
def test_estimable_rows_of_three_factors(design):
    X, y, groups = make_rows(design)
    model = FixedEffectsRegressor().fit(X, y, groups=groups)
    rng = np.random.default_rng(3)
    other = groups.apply(lambda column: rng.permutation(column.to_numpy()))
    Z = expand(groups)
    in_span = np.linalg.pinv(Z, rcond=1e-10) @ Z
    z = expand(groups, other)
    determined = np.all(np.abs(z @ in_span - z) < 1e-8, axis=1)
    found = model._redundancy.is_determined(other.to_numpy().T)
    np.testing.assert_array_equal(found, determined)
    assert determined.any()
    oracle = Oracle(X, y, groups)
    row = np.hstack([z, X])[determined]
    mean, std = model.predict(X[determined], groups=other[determined], return_std=True)
    np.testing.assert_allclose(mean, row @ oracle.theta, atol=1e-8)
    variance = np.diag(oracle.covariance(row)) + oracle.sigma2
    np.testing.assert_allclose(std**2, variance, rtol=1e-8)


def test_new_groups():
    X, y, groups = make_rows("crossed")
    model = FixedEffectsRegressor(new_groups={"g": "error"}).fit(X, y, groups=groups)
    new = groups.head(2).assign(f=[0, 99])
    mean = model.predict(X[:2], groups=new)
    effect = model.group_effects_["g"].to_numpy()[groups["g"].iloc[1], 0]
    line = model.predict_population(X[:2])[1]
    assert mean[1] == pytest.approx(line + effect)
    with pytest.raises(ValueError, match="Factor 'g': `groups` must hold labels seen in fit"):
        model.predict(X[:2], groups=new.assign(g=77))
    with pytest.warns(NewGroupsWarning, match="1 of 2 predictions are for groups"):
        model.predict(X[:2], groups=new, return_std=True)


@pytest.mark.parametrize("design", ["sparse", "disconnected", "parts tied by a third"])
@pytest.mark.parametrize("patience", [1000, 2])
def test_iterations_and_factors_agree(design, patience, monkeypatch):
    X, y, groups = make_rows(design)
    direct = FixedEffectsRegressor().fit(X, y, groups=groups)
    monkeypatch.setattr(pair_equations, "FEW_ENTRIES", 0)
    monkeypatch.setattr(pair_equations, "PATIENCE", patience)
    other = FixedEffectsRegressor().fit(X, y, groups=groups)
    np.testing.assert_allclose(other.coef_cov_, direct.coef_cov_, rtol=1e-10)
    for name, effects in direct.group_effects_.items():
        np.testing.assert_allclose(other.group_effects_[name], effects, atol=1e-10)


def test_shift_and_scale_cost_no_digits():
    X, y, groups = make_rows("three")
    model = FixedEffectsRegressor().fit(X, y, groups=groups)
    moved = FixedEffectsRegressor().fit(X * [1e3, 1] + [0, 1e6], 10 * y + 1e7, groups=groups)
    std_error = np.sqrt(np.diag(model.coef_cov_))[1:]
    off = (moved.coef_ * [1e3, 1] / 10 - model.coef_) / std_error
    np.testing.assert_allclose(off, 0, atol=1e-8)
    assert moved.residual_variance_ == pytest.approx(100 * model.residual_variance_, rel=1e-8)


def test_order_of_rows_and_names_of_levels():
    X, y, groups = make_rows("three")
    model = FixedEffectsRegressor().fit(X, y, groups=groups)
    order = np.random.default_rng(0).permutation(N)
    named = groups.apply(lambda column: column.map("level {:03d}".format))
    other = FixedEffectsRegressor().fit(X[order], y[order], groups=named.iloc[order])
    np.testing.assert_allclose(other.coef_cov_, model.coef_cov_, rtol=1e-11)
    np.testing.assert_allclose(other.group_effects_["g"], model.group_effects_["g"], atol=1e-12)


def test_groups_far_apart_are_read_again():
    X, y, groups = make_rows("crossed")
    rng = np.random.default_rng(5)
    plain = FixedEffectsRegressor().fit(X, y, groups=groups)
    # whole steps of 2^20 keep all digits of what lies within groups, but for their rounding
    X_far = X + 2.0**22 * rng.integers(-50, 50, (20, 2))[groups["f"]]
    y_far = y + 2.0**22 * rng.integers(-50, 50, 8)[groups["g"]]
    far = FixedEffectsRegressor().fit(X_far, y_far, groups=groups)
    assert far._fitted.absorbed is not None
    std_error = np.sqrt(np.diag(plain.coef_cov_))[1:]
    np.testing.assert_allclose((far.coef_ - plain.coef_) / std_error, 0, atol=1e-6)
    assert far.residual_variance_ == pytest.approx(plain.residual_variance_, rel=1e-6)
    copied = pickle.loads(pickle.dumps(far))
    rows = X_far[:5], groups.head()
    for one, other in zip(
        far.predict(rows[0], groups=rows[1], return_std=True),
        copied.predict(rows[0], groups=rows[1], return_std=True),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)


def test_small_residuals_are_read_again():
    X, _, groups = make_rows("crossed")
    noise = np.random.default_rng(6).normal(size=N)
    small = FixedEffectsRegressor().fit(X, X @ [1.0, 2.0] + 1e-8 * noise, groups=groups)
    alone = FixedEffectsRegressor().fit(X, noise, groups=groups)
    ratio = small.residual_variance_ / (1e-16 * alone.residual_variance_)
    assert ratio == pytest.approx(1, rel=1e-5)


def test_batches_give_the_fit_of_all_rows():
    X, y, groups = make_rows("three")
    model = FixedEffectsRegressor().fit(X, y, groups=groups)
    batches = FixedEffectsRegressor()
    for start in range(0, N, 80):
        rows = slice(start, start + 80)
        batches.partial_fit(X[rows], y[rows], groups=groups[rows])
    np.testing.assert_allclose(batches.coef_cov_, model.coef_cov_, rtol=1e-10)
    assert batches.uninformative_rows_ is None


def test_columns_that_the_dummies_contain():
    X, y, groups = make_rows("crossed")
    rng = np.random.default_rng(7)
    contained = rng.normal(size=20)[groups["f"]] + rng.normal(size=8)[groups["g"]]
    X_more = np.column_stack([X[:, 0], contained, X[:, 1], X @ [1.0, 1.0]])
    with pytest.warns(LinAlgWarning) as caught:
        more = FixedEffectsRegressor().fit(X_more, y, groups=groups)
    texts = [str(warning.message) for warning in caught]
    assert texts[0].startswith(
        "No coefficient can be estimated for x1: the effects of the groups of f, g together"
    )
    assert "X is rank-deficient: x3 can be written" in texts[1]
    model = FixedEffectsRegressor().fit(X, y, groups=groups)
    np.testing.assert_allclose(more.coef_, [model.coef_[0], 0, model.coef_[1], 0], rtol=1e-9)
    assert more.coef_cov_.isna().to_numpy().sum() == 16
    assert more.residual_dof_ == model.residual_dof_


def test_rows_that_tell_nothing():
    f = np.array([0, 0, 0, 1, 1, 2, 2, 3])
    g = np.array([0, 1, 0, 1, 0, 1, 2, 3])  # rows 7, 6, and then 5 are alone
    assert rows_alone([f, g], [4, 4]).tolist() == [False] * 5 + [True] * 3
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(8, 1)), rng.normal(size=8)
    groups = pd.DataFrame({"f": f, "g": g})
    weight = np.array([1, 1, 1, 1, 1, 2, 1, 1])
    model = FixedEffectsRegressor().fit(x, y, groups=groups, sample_weight=weight)
    assert model.uninformative_rows_ == 4
    assert model.summary().fit_statistics["Rows that tell nothing"] == 4
    kept = slice(0, 5)
    without = FixedEffectsRegressor().fit(x[kept], y[kept], groups=groups[kept])
    assert model.coef_[0] == pytest.approx(without.coef_[0])


def test_no_degrees_of_freedom():
    groups = pd.DataFrame({"f": [0, 0, 1, 1], "g": [0, 1, 0, 1]})
    X, y = np.array([[1.0], [0.0], [0.0], [2.0]]), np.arange(4.0)
    with pytest.warns(LinAlgWarning, match="4 coefficients, those of the groups included"):
        model = FixedEffectsRegressor().fit(X, y, groups=groups)
    assert np.isnan(model.residual_variance_)


def test_what_is_refused(monkeypatch):
    X, y, groups = make_rows("three")
    with pytest.raises(NotAvailableError, match=r"slopes='all' of FixedEffectsRegressor"):
        FixedEffectsRegressor("all").fit(X, y, groups=groups)
    with pytest.raises(ValueError, match="new_groups must hold one of"):
        FixedEffectsRegressor(new_groups={"f": "population"}).fit(X, y, groups=groups)
    model = FixedEffectsRegressor().fit(X, y, groups=groups)
    with pytest.raises(ValueError, match="needs them, too: pass `groups`"):
        model.predict(X)
    monkeypatch.setattr(level_equations, "MOST_VALUES", 20)
    expected = "'f' of 20, 'g' of 8, 'h' of 5. Those besides the two largest may have 2 in all"
    with pytest.raises(ValueError, match=expected):
        model.fit(X, y, groups=groups)
    assert model.n_groups_ == {"f": 20, "g": 8, "h": 5}


def test_cross_validation_by_columns():
    X, y, groups = make_rows("crossed")
    frame = pd.DataFrame(X, columns=["x1", "x2"]).join(groups)
    model = FixedEffectsRegressor(group_by=["f", "g"])
    scores = cross_val_score(model, frame, y, cv=3)
    assert np.all(scores > 0.5)


def test_lines_of_groups_by_factor():
    X, y, groups = make_rows("three")
    model = FixedEffectsRegressor().fit(X, y, groups=groups)
    for name, effects in model.group_effects_.items():
        lines, changes = model.group_coef_[name], model.marginal_effects(model._terms[0])[name]
        own = lines["(Intercept)"] - model.intercept_
        np.testing.assert_allclose(own, effects["(Intercept)"], atol=1e-12)
        np.testing.assert_allclose(lines.iloc[:, 1:], np.tile(model.coef_, (len(lines), 1)))
        np.testing.assert_allclose(changes["total"], model.coef_[0])
