"""Standard errors robust to clusters, against clubSandwich and dense algebra."""

import json
import pickle
from pathlib import Path

import dask.array as da
import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.linalg import LinAlgWarning
from sklearn.base import clone
from sklearn.model_selection import GroupKFold

from skmixed import FixedEffectsRegressor, GroupedMoments, PooledRegressor
from skmixed.exceptions import NotAvailableError
from skmixed.inference import anova_frame, contrast_frame, wald_test
from skmixed.model_selection import cross_validate

FOLDER = Path(__file__).parents[1] / "reference" / "cluster_robust"
REFERENCE = json.loads((FOLDER / "reference.json").read_text())
GRUNFELD = pd.read_csv(FOLDER / "grunfeld.csv")
UNBALANCED = pd.read_csv(FOLDER / "unbalanced.csv")
REPEATED = UNBALANCED.loc[UNBALANCED.index.repeat(UNBALANCED["w"])]
KINDS = ["CR0", "CR1", "CR1S", "CR2"]
POOLED, FIXED = PooledRegressor(), FixedEffectsRegressor()
VALUE, TWO, THREE = ["value", "capital"], ["x1", "x2"], ["x1", "x2", "z"]
# Of capital in Grunfeld's data under fixed effects: classical, CR0, CR1, CR1S, CR2.
ALL_ERRORS = [0.01735, 0.04979, 0.05249, 0.05400, 0.08268]
CASES = {
    "grunfeld_pooled": (POOLED, GRUNFELD, VALUE, "invest", "firm", None),
    "grunfeld_fixed": (FIXED, GRUNFELD, VALUE, "invest", "firm", None),
    "unbalanced_pooled": (POOLED, UNBALANCED, THREE, "y", "g", None),
    "unbalanced_no_intercept": (
        PooledRegressor(fit_intercept=False),
        *(UNBALANCED, THREE, "y", "g", None),
    ),
    "unbalanced_fixed": (FIXED, UNBALANCED, TWO, "y", "g", None),
    "unbalanced_slopes": (FixedEffectsRegressor(["x2"]), UNBALANCED, TWO, "y", "g", None),
    "repeated_pooled": (POOLED, REPEATED, THREE, "y", "g", None),
    "repeated_fixed": (FIXED, REPEATED, TWO, "y", "g", None),
    "repeated_pooled by weights": (POOLED, UNBALANCED, THREE, "y", "g", "w"),
    "repeated_fixed by weights": (FIXED, UNBALANCED, TWO, "y", "g", "w"),
}


def fit(case, kind):
    model, table, features, y, groups, weight = CASES[case]
    model = clone(model).set_params(standard_errors=kind)
    weight = None if weight is None else table[weight]
    return model.fit(table[features], table[y], groups=table[groups], sample_weight=weight)


def contrasts(model, terms):
    names = list(model.coef_cov_.index)
    return np.eye(len(names))[[names.index(term) for term in terms]]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case", list(CASES))
def test_equals_clubsandwich(case, kind):
    reference, model = REFERENCE[case.split(" ")[0]], fit(case, kind)
    terms = np.atleast_1d(reference["terms"]).tolist()
    expected = np.reshape(reference[kind]["cov"], (len(terms), len(terms)))
    np.testing.assert_allclose(model.coef_cov_.loc[terms, terms], expected, rtol=1e-8)
    table = model.fixed_effects_frame().loc[terms]
    np.testing.assert_allclose(table["std_error"], np.sqrt(np.diag(expected)), rtol=1e-8)
    n_clusters = len(np.unique(CASES[case][1][CASES[case][4]]))
    df = reference[kind].get("df", n_clusters - 1)
    np.testing.assert_allclose(table["df"], df, rtol=1e-8)


@pytest.mark.parametrize("case", [c for c in CASES if "slopes" not in c])
def test_joint_test_is_the_htz_test(case):
    joint = REFERENCE[case.split(" ")[0]]["CR2"]["joint"]
    model = fit(case, "CR2")
    L = contrasts(model, joint["terms"])
    test = wald_test(model, L)
    assert test.statistic == pytest.approx(joint["F"], rel=1e-8)
    assert test.df_denom == pytest.approx(joint["df_denom"], rel=1e-8)


def test_joint_test_of_one_is_its_t_test_squared():
    for kind in KINDS:
        model = fit("unbalanced_pooled", kind)
        row = model.fixed_effects_frame().loc["z"]
        test = wald_test(model, "z")
        assert test.statistic == pytest.approx(row["t"] ** 2)
        assert test.df_denom == pytest.approx(row["df"])


def test_as_many_contrasts_as_clusters_are_not_tested():
    two = UNBALANCED["g"].isin([10, 11])
    model = PooledRegressor(standard_errors="CR2")
    model.fit(UNBALANCED.loc[two, TWO], UNBALANCED.loc[two, "y"], UNBALANCED.loc[two, "g"])
    with pytest.raises(ValueError, match="fewer independent groups than combinations"):
        wald_test(model, TWO)
    assert model.set_params(standard_errors="CR1")._clusters.kind == "CR2"  # of the fit


def test_too_few_clusters_for_hotellings_degrees_of_freedom():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(6), [2, 5, 9, 14, 20, 28])
    X = rng.normal(size=(len(groups), 5)) + 5 * rng.normal(size=(6, 5))[groups]
    model = PooledRegressor(standard_errors="CR2").fit(X, rng.normal(size=len(X)), groups)
    with pytest.raises(ValueError, match="CR2': there are too few clusters for 5 combinations"):
        wald_test(model, [f"x{i}" for i in range(5)])


def test_what_each_cluster_has_of_its_own_is_not_tested():
    message = r"'\(Intercept\)' has none that is robust to clusters: each cluster has its own"
    with pytest.raises(ValueError, match=message):
        wald_test(fit("unbalanced_fixed", "CR1"), "(Intercept)")


def test_frames_agree_and_have_no_sums_of_squares():
    model = fit("unbalanced_fixed", "CR2")
    table = anova_frame(model)
    assert table[["sum_sq", "mean_sq"]].isna().all(axis=None)
    single = contrast_frame(model, ["x1"]).loc["x1"]
    row = model.fixed_effects_frame().loc["x1"]
    np.testing.assert_allclose(single[["std_error", "df"]], row[["std_error", "df"]])
    assert table.loc["x1", "p_value"] == pytest.approx(row["p_value"])
    by_chi2 = wald_test(model, "x1", df_method="normal")
    assert by_chi2.df_denom == np.inf
    with pytest.raises(ValueError, match="Leave df_method out"):
        wald_test(model, "x1", df_method="kenward-roger")


def test_of_grunfeld_by_all_types_and_by_pyfixest():
    kinds = ["classical", *KINDS]
    errors = [fit("grunfeld_fixed", k).fixed_effects_frame()["std_error"] for k in kinds]
    capital = [error["capital"] for error in errors]
    np.testing.assert_allclose(capital, ALL_ERRORS, atol=5e-6)
    # pyfixest 0.60, vcov={"CRV1": "firm"}: slopes and one level count as coefficients
    by_pyfixest = capital[2] * np.sqrt((200 - 1) / (200 - 3))
    assert by_pyfixest == pytest.approx(0.052752, abs=5e-7)
    pooled = fit("grunfeld_pooled", "CR1S").fixed_effects_frame()["std_error"]
    np.testing.assert_allclose(pooled, [20.425203, 0.015894, 0.084967], atol=5e-7)


def test_weights_of_lm_give_the_same_but_for_cr2():
    expected = REFERENCE["weights_of_lm"]
    for kind in ["CR0", "CR1"]:
        cov = fit("repeated_pooled by weights", kind).coef_cov_
        np.testing.assert_allclose(cov, expected[kind], rtol=1e-8)
    ratio = fit("repeated_pooled by weights", "CR2").coef_cov_ / np.array(expected["CR2"])
    assert np.abs(ratio - 1).max(axis=None) > 0.01


# ------------------------------------------------------------------------------ dense algebra


def dense(D, y, groups, kind):
    """Covariance with matrices of the size of the clusters, and Satterthwaite's df."""
    M = np.linalg.pinv(D.T @ D)
    residual, labels = y - D @ (M @ D.T @ y), np.unique(groups)
    n, p, J = len(y), np.linalg.matrix_rank(D), len(labels)
    scores, P = [], []
    for label in labels:
        rows = groups == label
        A = np.eye(np.count_nonzero(rows))
        if kind == "CR2":
            value, vector = np.linalg.eigh(A - D[rows] @ M @ D[rows].T)
            root = np.where(value > 1e-10, np.maximum(value, 1e-10) ** -0.5, 0)
            A = (vector * root) @ vector.T
        scores.append(D[rows].T @ A @ residual[rows])
        P.append((np.eye(n) - D @ M @ D.T)[:, rows] @ A @ D[rows] @ M)
    few = {"CR1": J / (J - 1), "CR1S": J / (J - 1) * (n - 1) / (n - p)}
    half = M @ np.transpose(scores)
    P = np.array(P)
    inner = np.einsum("inc,jnc->cij", P, P)
    df = np.trace(inner, axis1=1, axis2=2) ** 2 / np.sum(inner**2, axis=(1, 2))
    return few.get(kind, 1.0) * half @ half.T, df if kind == "CR2" else np.full(len(M), J - 1.0)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(st.integers(0, 10**6), st.sampled_from(KINDS), st.booleans())
def test_equals_dense_algebra(seed, kind, is_fixed):
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(6), rng.integers(1, 9, 6))
    X = rng.normal(size=(len(groups), 2)) + 3 * rng.normal(size=(6, 2))[groups]
    y = X[:, 0] + rng.normal(size=6)[groups] + rng.normal(size=len(groups))
    assume(np.bincount(groups).max() > 3)  # or nothing is left within groups
    first = np.eye(6)[groups] if is_fixed else np.ones((len(y), 1))
    cov, df = dense(np.hstack([first, X]), y, groups, kind)
    model = (FixedEffectsRegressor if is_fixed else PooledRegressor)(standard_errors=kind)
    model.fit(X, y, groups=groups)
    np.testing.assert_allclose(model.coef_cov_.iloc[1:, 1:], cov[-2:, -2:], rtol=1e-7, atol=0)
    np.testing.assert_allclose(model.fixed_effects_frame()["df"][1:], df[-2:], rtol=1e-7)
    assert np.isnan(model.coef_cov_.iloc[0, 0]) == is_fixed


@pytest.mark.parametrize("kind", ["CR1", "CR2"])
def test_groups_far_apart_keep_their_digits(kind):
    rng = np.random.default_rng(1)
    groups = np.repeat(np.arange(8), 6)
    within = rng.normal(size=(48, 2)).round(3)
    y = within.sum(axis=1) + rng.normal(size=48).round(3)
    model = FixedEffectsRegressor(standard_errors=kind)
    near = model.fit(within, y, groups=groups).coef_cov_
    far = model.fit(within + 2.0**24 * groups[:, None], y + 2.0**20 * groups, groups=groups)
    np.testing.assert_allclose(far.coef_cov_, near, rtol=1e-5)


# ---------------------------------------------------------------------------- ways to hand in


@pytest.mark.parametrize("kind", ["CR1", "CR2"])
@pytest.mark.parametrize("model", [POOLED, FIXED])
def test_containers_weights_and_order_do_not_matter(model, kind):
    model = clone(model).set_params(group_by="g", standard_errors=kind)
    table = UNBALANCED.sample(frac=1.0, random_state=0)
    with_none = pd.concat([table, table.head(3).assign(g=99)])  # a cluster without weight
    weight = with_none["w"].where(with_none["g"] != 99, 0)
    columns = ["x1", "g", "x2"]
    expected = model.fit(UNBALANCED[columns], UNBALANCED["y"], sample_weight=UNBALANCED["w"])
    expected = expected.fixed_effects_frame()
    fits = [
        model.fit(with_none[columns], with_none["y"], sample_weight=weight),
        model.fit(
            pl.from_pandas(table[columns]), table["y"].to_numpy(), sample_weight=table["w"]
        ),
        pickle.loads(pickle.dumps(model)),
    ]
    for fitted in fits:
        pd.testing.assert_frame_equal(fitted.fixed_effects_frame(), expected, rtol=1e-10)
        assert fitted._clusters.n_clusters == 14


@pytest.mark.parametrize("kind", ["CR1S", "CR2"])
@pytest.mark.parametrize("model", [POOLED, FIXED])
def test_dask(model, kind):
    table = UNBALANCED.sample(frac=1.0, random_state=0)
    model = clone(model).set_params(standard_errors=kind)
    blocks = [da.from_array(table[c].to_numpy(), chunks=20) for c in (TWO, "y", "g", "w")]
    blocks[0] = blocks[0].rechunk((20, 2))
    fitted = clone(model).fit(*blocks[:3], sample_weight=blocks[3])
    expected = model.fit(table[TWO].to_numpy(), table["y"], table["g"], table["w"])
    pd.testing.assert_frame_equal(fitted.coef_cov_, expected.coef_cov_, rtol=1e-9)
    with pytest.raises(ValueError, match="needs clusters, but got no groups"):
        clone(model).fit(*blocks[:2])


def test_nothing_but_errors_changes():
    classical, robust = fit("unbalanced_pooled", "classical"), fit("unbalanced_pooled", "CR2")
    for name in ["coef_", "intercept_", "residual_dof_", "residual_variance_", "r2_", "aic_"]:
        np.testing.assert_array_equal(getattr(classical, name), getattr(robust, name))
    assert not hasattr(robust, "groups_")
    X = UNBALANCED[THREE]
    np.testing.assert_array_equal(
        classical.predict_interval(X, kind="mean"), robust.predict_interval(X, kind="mean")
    )


@pytest.mark.parametrize("model", [POOLED, FIXED])
def test_folds_are_those_of_classical_errors(model):
    X, y, g = UNBALANCED[TWO], UNBALANCED["y"], UNBALANCED["g"]
    scores = [
        cross_validate(
            clone(model).set_params(standard_errors=kind),
            *(X, y),
            groups=g,
            cv=GroupKFold(3),
        )["test_score"]
        for kind in ["classical", "CR2"]
    ]
    np.testing.assert_allclose(scores[1], scores[0])


# --------------------------------------------------------------------- what cannot be answered


def test_coefficients_of_groups_have_none_and_the_summary_says_so():
    with pytest.warns(LinAlgWarning, match="No coefficient can be estimated for z"):
        model = FixedEffectsRegressor(standard_errors="CR2").fit(
            UNBALANCED[THREE], UNBALANCED["y"], groups=UNBALANCED["g"]
        )
    assert np.isnan(model.coef_cov_.loc["z"]).all()
    table = model.fixed_effects_frame()
    assert np.isfinite(table.loc["(Intercept)", "estimate"])
    assert np.isnan(table.loc["(Intercept)", ["std_error", "df", "p_value"]]).all()
    text = str(model.summary())
    assert "cluster-robust CR2, 14 clusters" in text
    assert "t, with Satterthwaite's df" in text
    assert "have no\ncluster-robust standard errors" in text
    assert "t, with clusters less one as df" in str(fit("grunfeld_pooled", "CR1").summary())
    assert "cluster-robust" not in str(fit("grunfeld_pooled", "classical").summary())


def test_dependent_columns_change_nothing():
    twice = UNBALANCED[TWO].assign(double=2 * UNBALANCED["x1"])
    model = PooledRegressor(standard_errors="CR2")
    with pytest.warns(LinAlgWarning, match="rank-deficient"):
        model.fit(twice, UNBALANCED["y"], groups=UNBALANCED["g"])
    without = clone(model).fit(UNBALANCED[TWO], UNBALANCED["y"], groups=UNBALANCED["g"])
    table = model.fixed_effects_frame()
    pd.testing.assert_frame_equal(table.drop("double"), without.fixed_effects_frame())
    assert table.loc["double"].isna().all()


def test_a_perfect_fit_has_no_error():
    with pytest.warns(LinAlgWarning, match="exactly"):
        model = PooledRegressor(standard_errors="CR1").fit(
            UNBALANCED[["x1"]], 2 * UNBALANCED["x1"], groups=UNBALANCED["g"]
        )
    assert np.abs(model.coef_cov_).max(axis=None) < 1e-25


@pytest.mark.parametrize("model", [POOLED, FIXED])
def test_refusals(model):
    model = clone(model).set_params(standard_errors="CR1")
    X, y, g = UNBALANCED[TWO], UNBALANCED["y"], UNBALANCED["g"]
    with pytest.raises(ValueError, match=r"needs clusters, but got no groups\. Pass fit"):
        model.fit(X, y)
    with pytest.raises(ValueError, match="needs at least 2 clusters, but all rows are of 1"):
        model.fit(X, y, groups=np.zeros(len(y)))
    for call in (
        lambda: model.partial_fit(X, y, groups=g),
        lambda: model.fit_moments(GroupedMoments.from_rows(X, y, g)),
    ):
        with pytest.raises(NotAvailableError, match="needs the rows a second time"):
            call()
    two = np.column_stack([g, UNBALANCED["w"]])
    with pytest.raises(NotAvailableError, match="takes one grouping factor, whose groups"):
        model.fit(X, y, groups=two)
    with pytest.raises(ValueError, match="The 'standard_errors' parameter"):
        clone(model).set_params(standard_errors="HC1").fit(X, y, groups=g)
    assert not hasattr(model, "coef_")


def test_lines_that_contain_all_are_refused():
    model = FixedEffectsRegressor("all", standard_errors="CR1")
    with pytest.raises(ValueError, match="needs a coefficient that the clusters share"):
        model.fit(GRUNFELD[VALUE], GRUNFELD["invest"], groups=GRUNFELD["firm"])


def test_missing_labels_are_refused():
    g = UNBALANCED["g"].astype(float)
    g[3] = np.nan
    with pytest.raises(ValueError, match="missing"):
        PooledRegressor(standard_errors="CR1").fit(UNBALANCED[TWO], UNBALANCED["y"], groups=g)
