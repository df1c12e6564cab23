import warnings

import numpy as np
import pytest
from scipy.stats import chi2
from sklearn.pipeline import make_pipeline

from skmixed import (
    FixedEffectsRegressor,
    PooledRegressor,
    RandomInterceptClassifier,
    RandomInterceptPoissonRegressor,
    RandomInterceptRegressor,
    RandomSlopeClassifier,
    RandomSlopeRegressor,
    inference,
    preprocessing,
)
from skmixed.datasets import load_sleepstudy, make_mixed_regression
from skmixed.exceptions import MissingGroupsWarning
from skmixed.inference import likelihood_ratio_test


@pytest.fixture(scope="module")
def rows():
    return load_sleepstudy(return_X_y=True)


@pytest.fixture(scope="module")
def models(rows):
    X, y, subject = rows
    with pytest.warns(MissingGroupsWarning):
        pooled = RandomInterceptRegressor().fit(X, y)
    level = RandomInterceptRegressor().fit(X, y, subject)
    diagonal = RandomSlopeRegressor("Days", covariance="diag").fit(X, y, subject)
    full = RandomSlopeRegressor("Days").fit(X, y, subject)
    return {"pooled": pooled, "level": level, "diagonal": diagonal, "full": full}


@pytest.mark.parametrize(
    ("small", "large", "weights"),
    [
        ("pooled", "level", {0: 0.5, 1: 0.5}),
        ("level", "full", {1: 0.5, 2: 0.5}),
        ("level", "diagonal", {0: 0.5, 1: 0.5}),
        ("diagonal", "full", {1: 1.0}),
        ("pooled", "full", {3: 1.0}),
        ("level", "level", {0: 1.0}),
    ],
)
def test_reference_distribution(models, small, large, weights):
    test = likelihood_ratio_test(models[small], models[large])
    assert test.weights == weights
    assert test.df == max(weights)
    gain = models[large].log_likelihood_ - models[small].log_likelihood_
    assert test.statistic == pytest.approx(2 * gain, abs=1e-12)
    tails = [w * (chi2.sf(test.statistic, k) if k else gain == 0) for k, w in weights.items()]
    assert test.p_value == pytest.approx(sum(tails), rel=1e-12)


def test_fixed_effects_by_ml(rows):
    X, y, subject = rows
    X = X.assign(square=X["Days"] ** 2)
    small = RandomInterceptRegressor(method="ml").fit(X[["Days"]], y, subject)
    large = RandomInterceptRegressor(method="ml").fit(X, y, subject)
    test = likelihood_ratio_test(small, large)
    assert test.weights == {1: 1.0}
    assert test.p_value == pytest.approx(chi2.sf(test.statistic, 1))
    both = likelihood_ratio_test(
        small, RandomSlopeRegressor("Days", method="ml").fit(X, y, subject)
    )
    assert both.weights == {2: 0.5, 3: 0.5}


def test_a_pooled_regression_is_a_model_without_variance_between_groups(rows):
    X, y, subject = rows
    pooled = PooledRegressor().fit(X, y, subject)
    level = RandomInterceptRegressor(method="ml").fit(X, y, subject)
    test = likelihood_ratio_test(pooled, level)
    assert test.weights == {0: 0.5, 1: 0.5}
    assert test.statistic == pytest.approx(2 * (level.log_likelihood_ - pooled.log_likelihood_))
    with pytest.raises(ValueError, match="method='ml', which is that of PooledRegressor"):
        likelihood_ratio_test(pooled, RandomInterceptRegressor().fit(X, y, subject))
    fixed = FixedEffectsRegressor().fit(X, y, subject)
    with pytest.raises(ValueError, match="but got FixedEffectsRegressor") as raised:
        likelihood_ratio_test(pooled, fixed)
    # the next step is code that runs
    remedy = str(raised.value).splitlines()[1].strip()
    names = {**vars(inference), **vars(preprocessing), "make_pipeline": make_pipeline}
    names |= {"RandomInterceptRegressor": RandomInterceptRegressor, "y": y}
    names["X"] = X.assign(column=subject, age=np.arange(180.0) ** 0.5)
    assert list(eval(remedy, names).slopes.index) == ["age"]
    with pytest.raises(TypeError) as raised:
        inference.compare_slopes(fixed)
    assert remedy == str(raised.value).splitlines()[1].strip()


def test_it_prints_both_models(models):
    text = str(likelihood_ratio_test(models["level"], models["full"]))
    assert "small" in text
    assert "42.8" in text
    assert "equal mixture of chi-square with df = 1 and df = 2" in text
    assert "nan" not in text.lower()
    assert "conservative" in likelihood_ratio_test(models["pooled"], models["full"]).note


def test_models_that_cannot_be_compared(rows, models):
    X, y, subject = rows
    squared = RandomInterceptRegressor().fit(X.assign(square=X["Days"] ** 2), y, subject)
    with pytest.raises(ValueError, match=r"REML.*square.*method='ml'"):
        likelihood_ratio_test(models["level"], squared)
    with pytest.raises(ValueError, match="by the same method"):
        likelihood_ratio_test(
            models["level"], RandomSlopeRegressor("Days", method="ml").fit(X, y, subject)
        )
    with pytest.raises(ValueError, match=r"Days is in `small` alone.*swap"):
        likelihood_ratio_test(models["full"], models["level"])
    with pytest.raises(ValueError, match="the correlation of random effects is in `small`"):
        likelihood_ratio_test(models["full"], models["diagonal"])
    for other in (
        RandomSlopeRegressor("Days").fit(X[1:], y[1:], subject[1:]),
        RandomSlopeRegressor("Days").fit(X, y + np.arange(180), subject),
        RandomSlopeRegressor("Days").fit(X, y, subject.replace(308, 309)),
    ):
        with pytest.raises(ValueError, match="the same rows"):
            likelihood_ratio_test(models["level"], other)


@pytest.mark.slow
def test_the_mixture_is_calibrated():
    """Of tests of a variance that is 0, five per cent are significant."""
    p_values = []
    for seed in range(600):
        X, y, groups = make_mixed_regression(
            200, 1, n_groups=20, intercept_variance=0.0, random_state=seed
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pooled = RandomInterceptRegressor().fit(X, y)
            level = RandomInterceptRegressor().fit(X, y, groups)
        p_values.append(likelihood_ratio_test(pooled, level).p_value)
    assert np.mean(np.array(p_values) < 0.05) == pytest.approx(0.05, abs=0.025)


# -------------------------------------------------------------------- binary and count outcomes


@pytest.fixture(scope="module")
def binary():
    rng = np.random.default_rng(0)
    X, codes = rng.normal(size=(400, 2)), rng.integers(25, size=400)
    slope = 0.8 + 0.8 * rng.normal(size=25)
    eta = slope[codes] * X[:, 0] + rng.normal(size=25)[codes]
    return X, (rng.random(400) < 1 / (1 + np.exp(-eta))).astype(int), codes


@pytest.fixture(scope="module")
def classifiers(binary):
    X, y, groups = binary
    with pytest.warns(MissingGroupsWarning):
        pooled = RandomInterceptClassifier().fit(X, y)
    options = {"quadrature": 1}
    return {
        "pooled": pooled,
        "level": RandomInterceptClassifier(**options).fit(X, y, groups),
        "diagonal": RandomSlopeClassifier([0], covariance="diag", **options).fit(X, y, groups),
        "full": RandomSlopeClassifier([0], **options).fit(X, y, groups),
    }


@pytest.mark.parametrize(
    ("small", "large", "weights"),
    [
        ("pooled", "level", {0: 0.5, 1: 0.5}),
        ("level", "full", {1: 0.5, 2: 0.5}),
        ("level", "diagonal", {0: 0.5, 1: 0.5}),
        ("diagonal", "full", {1: 1.0}),
        ("pooled", "full", {3: 1.0}),
    ],
)
def test_classifiers(classifiers, small, large, weights):
    test = likelihood_ratio_test(classifiers[small], classifiers[large])
    assert test.weights == weights
    gain = classifiers[large].log_likelihood_ - classifiers[small].log_likelihood_
    assert test.statistic == pytest.approx(2 * gain, abs=1e-12)
    assert test.table["n_parameters"].diff().iloc[1] == test.df == max(weights)
    tails = [w * (chi2.sf(test.statistic, k) if k else gain == 0) for k, w in weights.items()]
    assert test.p_value == pytest.approx(sum(tails), rel=1e-12)


def test_fixed_effects_of_classifiers(binary, classifiers):
    X, y, groups = binary
    small = RandomInterceptClassifier(quadrature=1).fit(X[:, :1], y, groups)
    test = likelihood_ratio_test(small, classifiers["level"])
    assert test.weights == {1: 1.0}
    wald = classifiers["level"].fixed_effects_frame().loc["x1", "z"] ** 2
    assert test.statistic == pytest.approx(wald, rel=0.1)


def test_classifiers_that_cannot_be_compared(binary, classifiers):
    X, y, groups = binary
    nodes = RandomInterceptClassifier().fit(X, y, groups)
    with pytest.raises(ValueError, match=r"got 9 and 1: .* Fit both with quadrature=1"):
        likelihood_ratio_test(nodes, classifiers["full"])
    counts = RandomInterceptPoissonRegressor().fit(X, y, groups)
    with pytest.raises(ValueError, match=r"Poisson\w+ \(poisson\) and .* \(binomial\)"):
        likelihood_ratio_test(counts, classifiers["level"])
    pooled = PooledRegressor().fit(X, y)
    with pytest.raises(ValueError, match=r"RandomInterceptClassifier\(\)\.fit\(X, y\)"):
        likelihood_ratio_test(pooled, classifiers["level"])
    other = RandomInterceptClassifier(quadrature=1).fit(X, y, groups % 24)
    with pytest.raises(ValueError, match="same rows, weights and groups"):
        likelihood_ratio_test(other, classifiers["full"])
    with pytest.raises(ValueError, match="is in `small` alone"):
        likelihood_ratio_test(classifiers["full"], classifiers["level"])
