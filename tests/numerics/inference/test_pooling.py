import warnings

import numpy as np
import pytest

from skmixed import RandomInterceptRegressor, RandomSlopeRegressor
from skmixed._numerics.inference.pooling import own_effects
from skmixed.exceptions import SingularFitWarning

MODELS = {
    "intercept": RandomInterceptRegressor(),
    "no-fixed-intercept": RandomInterceptRegressor(fit_intercept=False),
    "slope": RandomSlopeRegressor(0),
    "diagonal": RandomSlopeRegressor(0, covariance="diag"),
    "slope-alone": RandomSlopeRegressor(0, random_intercept=False),
    "slope-not-fixed": RandomSlopeRegressor(0, fixed_slopes=False),
    "two-slopes": RandomSlopeRegressor([0, 1]),
}


@pytest.mark.parametrize("between", [0.0, 1.0], ids=["alike", "different"])
@pytest.mark.parametrize("weighted", [False, True], ids=["rows", "weights"])
@pytest.mark.parametrize("name", MODELS)
def test_least_squares_on_each_groups_residuals(name, weighted, between):
    rng = np.random.default_rng(3)
    groups = np.repeat(np.arange(8), [1, 2, 3, 4, 5, 9, 12, 20])
    X = rng.normal([5.0, 0.0, 1.0], size=(len(groups), 3))
    y = X @ [1.0, -1.0, 0.5] + between * (X @ rng.normal(size=(3, 8)))[:, 0]
    y += between * rng.normal(size=8)[groups] + rng.normal(size=len(y))
    weight = rng.uniform(0.5, 2, size=len(y)) if weighted else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SingularFitWarning)
        model = MODELS[name].fit(X, y, groups=groups, sample_weight=weight)
    own = own_effects(model._fitted.criterion.problem, model._fitted.beta).T
    columns = dict(zip(["(Intercept)", "x0", "x1"], [np.ones(len(y)), *X.T], strict=False))
    Z = np.column_stack([columns[term] for term in model.random_effects_])
    root = np.sqrt(np.ones(len(y)) if weight is None else weight)
    residual = root * (y - model.predict_population(X))
    for group, found in enumerate(own):
        rows = groups == group
        if rows.sum() < Z.shape[1]:
            assert np.isnan(found).all()
            continue
        expected = np.linalg.lstsq((root[:, None] * Z)[rows], residual[rows], rcond=None)[0]
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-8)


def test_groups_whose_feature_is_constant_have_no_own_slope():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(6), 5)
    x = rng.normal(100, 1, size=30)
    x[:5] = 101.3
    y = rng.normal(size=6)[groups] * (x - 100) + (3 * rng.normal(size=6))[groups]
    y += rng.normal(size=30)
    model = RandomSlopeRegressor().fit(x[:, None], y, groups=groups)
    own = own_effects(model._fitted.criterion.problem, model._fitted.beta)
    assert np.isnan(own).all(axis=0).tolist() == [True] + [False] * 5
