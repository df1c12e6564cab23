"""Labels of two classes, and their probabilities averaged over groups."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit
from sklearn.base import clone, is_classifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score

from skmixed import RandomInterceptClassifier, RandomSlopeClassifier
from skmixed.exceptions import MissingGroupsWarning


@pytest.fixture(scope="module")
def fitted(binary):
    return RandomInterceptClassifier().fit(*binary)


def expected_mean(mean, density, at):
    """Average by a fine sum, of a density that need not be normalised."""
    weight = density / density.sum()
    return weight @ mean(at)


# --------------------------------------------------------------------------------- labels


@pytest.mark.parametrize(
    "labels",
    [
        np.array(["no", "yes"]),
        np.array(["no", "yes"], dtype=object),
        np.array([False, True]),
        np.array([False, True], dtype=object),
        np.array([3, 4], dtype=object),
        np.array([-1, 1]),
        np.array([2.0, 5.0]),
        pd.array(["no", "yes"], dtype="string"),
        pd.Categorical(["a", "b"]),
    ],
    ids=lambda labels: f"{labels.dtype} {labels[0]}",
)
def test_labels_of_any_type(binary, fitted, labels):
    y = pd.Series(labels[binary.y], name="passed")
    model = RandomInterceptClassifier().fit(binary.X, y, binary.groups)
    assert model.classes_.tolist() == np.asarray(labels).tolist()
    np.testing.assert_array_equal(model.coef_, fitted.coef_)
    predicted = model.predict(binary.X, binary.groups)
    assert set(predicted) <= set(model.classes_)
    share = np.mean(predicted == np.asarray(labels)[binary.y])
    assert model.score(binary.X, y, binary.groups) == pytest.approx(share)
    assert "of passed, fitted by quadrature with 9 nodes" in model.summary().title


def test_labels_are_sorted_and_the_second_is_modelled(binary, fitted):
    swapped = np.where(binary.y == 1, "a", "b")  # a: what was 1
    model = RandomInterceptClassifier().fit(binary.X, swapped, binary.groups)
    assert model.classes_.tolist() == ["a", "b"]
    np.testing.assert_allclose(model.coef_, -fitted.coef_, atol=1e-5)
    assert model.criterion_ == pytest.approx(fitted.criterion_, abs=1e-6)
    assert model.summary().fit_statistics["Probability modelled"] == "b (not a)"


def test_wrong_labels(binary):
    X, y, groups = binary
    model = RandomInterceptClassifier()
    with pytest.raises(ValueError, match=r"has 3: 0, 1, 2\. Fit a model for each"):
        model.fit(X, np.arange(300) % 3, groups)
    with pytest.raises(ValueError, match="there is one class, 'yes'"):
        model.fit(X, np.full(300, "yes"), groups)
    with pytest.raises(ValueError, match="there is one class, 1"):
        model.fit(X, y, groups, sample_weight=y)
    with pytest.raises(ValueError, match="Input y contains NaN: 2 of 300"):
        model.fit(X, [None, None, *np.array(["no", "yes"])[y[2:]]], groups)
    with pytest.raises(ValueError, match="Unknown label type"):
        model.fit(X, y + 0.5 * X["x"], groups)
    with pytest.raises(
        ValueError, match=r"not whole, such as 0\.\d5\. Shares of successes are two"
    ):
        model.fit(X, 0.25 + 0.5 * y, groups)
    with pytest.raises(
        ValueError, match=r"type: mixed-integer.* objects of several\. Convert them"
    ):
        model.fit(X, np.array([0, "no"], dtype=object)[y], groups)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        model.fit(X, y[:1], groups)
    with pytest.raises(ValueError, match="0 sample"):
        model.fit(X.iloc[:0], y[:0], groups[:0])
    assert not hasattr(model, "classes_")


def test_tags():
    tags = RandomSlopeClassifier().__sklearn_tags__()
    assert not tags.classifier_tags.multi_class
    assert tags.input_tags.sparse
    assert is_classifier(RandomInterceptClassifier())


# --------------------------------------------------------------------- averaged probabilities


def test_a_new_group_is_averaged_over_all(binary, fitted):
    X = binary.X[:20]
    found = fitted.predict_proba(X, ["new"] * 20)[:, 1]
    eta = X @ fitted.coef_ + fitted.intercept_
    sd = np.sqrt(fitted.random_effects_cov_.iloc[0, 0])
    at = np.linspace(-10, 10, 4001)
    density = np.exp(-(at**2) / 2)
    means = [expected_mean(lambda b, e=e: expit(e + sd * b), density, at) for e in eta]
    np.testing.assert_allclose(found, means, atol=1e-10)
    np.testing.assert_array_equal(fitted.predict_population(X), found)
    np.testing.assert_allclose(fitted.predict_population(X, average=False), expit(eta))
    assert np.all(np.abs(found - 0.5) < np.abs(expit(eta) - 0.5))
    missing = fitted.predict_proba(X, [None] * 20)[:, 1]
    np.testing.assert_array_equal(missing, found)


def test_a_known_group_is_averaged_over_what_is_not_known_of_it(binary, fitted):
    X, y, groups = binary
    eta = X.to_numpy() @ fitted.coef_ + fitted.intercept_
    sd = np.sqrt(fitted.random_effects_cov_.iloc[0, 0])
    at = np.linspace(-8, 8, 8001)
    for group in np.unique(groups)[:4]:
        rows = groups == group
        signs = (2 * y[rows] - 1)[:, None]
        log_density = -(at**2) / 2 + np.log(expit(signs * (eta[rows, None] + sd * at))).sum(0)
        density = np.exp(log_density - log_density.max())
        means = [expected_mean(lambda b, e=e: expit(e + sd * b), density, at) for e in eta[:5]]
        found = fitted.predict_proba(X[:5], [group] * 5)[:, 1]
        np.testing.assert_allclose(found, means, atol=1e-5)


def test_what_is_predicted_agrees(binary, fitted):
    X, y, _ = binary
    groups = np.where(np.arange(300) % 3, binary.groups, "new")
    probability = fitted.predict_proba(X, groups)
    np.testing.assert_allclose(probability.sum(axis=1), 1.0)
    np.testing.assert_allclose(fitted.predict_log_proba(X, groups), np.log(probability))
    decision = fitted.decision_function(X, groups)
    np.testing.assert_allclose(decision, logit(probability[:, 1]))
    label = fitted.classes_[(decision > 0).astype(int)]
    np.testing.assert_array_equal(fitted.predict(X, groups), label)
    weight = 1 + np.arange(300) % 4
    score = accuracy_score(y, label, sample_weight=weight)
    assert fitted.score(X, y, groups, sample_weight=weight) == pytest.approx(score)


def test_far_off_rows_keep_their_digits(fitted):
    far = pd.DataFrame({"x": [2000.0, -2000.0], "z": 0.0})
    for group in ("new", "school 01"):
        log_probability = fitted.predict_log_proba(far, [group, group])
        assert np.isfinite(log_probability).all()
        assert log_probability[0, 0] < -1000
        decision = fitted.decision_function(far, [group, group])
        np.testing.assert_allclose(decision, [-log_probability[0, 0], log_probability[1, 1]])
        assert fitted.predict(far, [group, group]).tolist() == [1, 0]


def test_eta_has_a_name_of_its_own(binary, fitted):
    X, _, groups = binary
    eta = X @ fitted.coef_ + fitted.intercept_
    effects = fitted.random_effects_["(Intercept)"]
    expected = eta + effects.reindex(groups).to_numpy()
    np.testing.assert_allclose(fitted.linear_predictor(X, groups), expected)
    np.testing.assert_allclose(fitted.linear_predictor(X, ["new"] * 300), eta)
    lines = fitted.group_coef_.loc[groups].to_numpy()
    by_lines = lines[:, 0] + np.sum(lines[:, 1:] * X.to_numpy(), axis=1)
    np.testing.assert_allclose(fitted.linear_predictor(X, groups), by_lines)


# ------------------------------------------------------------------------------ without groups


def test_without_groups_it_is_logistic_regression(binary):
    X, y, _ = binary
    with pytest.warns(MissingGroupsWarning, match="a pooled logistic regression"):
        model = RandomInterceptClassifier().fit(X, y)
    theirs = LogisticRegression(C=np.inf, tol=1e-12, solver="newton-cholesky").fit(X, y)
    np.testing.assert_allclose(model.coef_, theirs.coef_[0], atol=1e-6)
    assert model.intercept_ == pytest.approx(theirs.intercept_[0], abs=1e-6)
    np.testing.assert_allclose(model.predict_proba(X), theirs.predict_proba(X), atol=1e-7)
    log_likelihood = np.log(theirs.predict_proba(X)[np.arange(300), y]).sum()
    assert model.log_likelihood_ == pytest.approx(log_likelihood, abs=1e-8)
    p = theirs.predict_proba(X)[:, 1]
    D = np.column_stack([np.ones(300), X])
    cov = np.linalg.inv((D * (p * (1 - p))[:, None]).T @ D)
    np.testing.assert_allclose(model.coef_cov_, cov, rtol=1e-6)
    assert model.n_groups_ == 0
    assert model.aic_ == pytest.approx(model.criterion_ + 6)
    assert "a pooled logistic regression" in str(model.summary())
    assert "nan" not in str(model.summary())
    assert list(model.fixed_effects_frame().index) == ["(Intercept)", "x", "z"]
    with pytest.raises(ValueError, match="which is a pooled logistic regression"):
        model.random_effects_frame()


# ------------------------------------------------------------------------------------ weights


def test_successes_of_trials_are_two_weighted_rows(binary):
    X, y, groups = binary
    table = X.round(0).assign(groups=groups, y=y)
    of_cells = table.groupby(["x", "z", "groups", "y"], as_index=False).size()
    rows = RandomInterceptClassifier().fit(table[["x", "z"]], y, groups)
    weighted = RandomInterceptClassifier().fit(
        of_cells[["x", "z"]], of_cells["y"], of_cells["groups"], sample_weight=of_cells["size"]
    )
    assert len(of_cells) < 280
    np.testing.assert_allclose(weighted.coef_, rows.coef_, atol=1e-6)
    np.testing.assert_allclose(
        weighted.random_effects_cov_, rows.random_effects_cov_, rtol=1e-4
    )
    for name in ("criterion_", "bic_", "icc_", "r2_marginal_", "r2_conditional_"):
        assert getattr(weighted, name) == pytest.approx(getattr(rows, name), rel=1e-5), name
    pd.testing.assert_series_equal(
        weighted.group_sizes_, rows.group_sizes_, check_names=False, check_dtype=False
    )


def test_rows_of_weight_zero_are_not_there(binary):
    X, y, groups = binary
    weight = (groups != "school 03").astype(float)
    weighted = RandomInterceptClassifier().fit(X, y, groups, sample_weight=weight)
    kept = weight > 0
    left_out = RandomInterceptClassifier().fit(X[kept], y[kept], groups[kept])
    np.testing.assert_allclose(weighted.coef_, left_out.coef_, atol=1e-8)
    assert "school 03" not in weighted.groups_
    assert weighted.n_groups_ == 19


def test_clones_and_parameters(binary):
    model = RandomSlopeClassifier("x", covariance="diag", quadrature=1)
    assert clone(model).get_params() == model.get_params()
    with pytest.raises(ValueError, match="'quadrature' parameter"):
        RandomInterceptClassifier(quadrature=0).fit(*binary)
    with pytest.raises(ValueError, match="'new_groups' parameter"):
        RandomInterceptClassifier(new_groups="mean").fit(*binary)
