"""What type checkers know of a user's script; lines that are wrong say so.

`mypy` and `pyright` check this file and do not run it. scikit-learn has no types, so that mypy
takes any attribute of an estimator to be there: what only pyright sees is marked for it alone.
"""

from typing import assert_type

import numpy as np
import pandas as pd

import skmixed
from skmixed import (
    FixedEffectsRegressor,
    GroupedMoments,
    PooledRegressor,
    RandomInterceptClassifier,
    RandomInterceptRegressor,
    RandomSlopePoissonRegressor,
    RandomSlopeRegressor,
)
from skmixed.datasets import load_hsb
from skmixed.inference import (
    LikelihoodSummary,
    ModelSummary,
    RegressionSummary,
    WaldTest,
    anova_frame,
    contrast_frame,
    wald_test,
)

X, y, school = load_hsb(return_X_y=True)
assert_type(X, pd.DataFrame)

model = RandomInterceptRegressor(method="ml").fit(X, y, groups=school)
assert_type(model, RandomInterceptRegressor)
assert_type(model.coef_, np.ndarray)
assert_type(model.intercept_, float)
assert_type(model.random_effects_, pd.DataFrame)
assert_type(model.group_coef_, pd.DataFrame)
assert_type(model.icc_, float)
assert_type(model.predict(X, groups=school), np.ndarray)
assert_type(model.predict(X, groups=school, return_std=True), tuple[np.ndarray, np.ndarray])
assert_type(model.score(X, y, groups=school), float)
assert_type(model.summary(), ModelSummary)
assert_type(model.confint(method="wald"), pd.DataFrame)
assert_type(wald_test(model, ["ses", "catholic"]), WaldTest)
assert_type(wald_test(model, "ses").df_denom, float)
assert_type(anova_frame(model, {"school": ["catholic", "mean_ses"]}), pd.DataFrame)
assert_type(contrast_frame(model, {"a": {"ses": 1, "mean_ses": 1}}), pd.DataFrame)
assert_type(model.partial_fit(X, y, groups=school), RandomInterceptRegressor)
assert_type(model.loo_predict(X, y, groups=school, leave="group"), np.ndarray)

slopes = RandomSlopeRegressor("ses", covariance="diag", group_by="school").fit(X, y)
assert_type(slopes, RandomSlopeRegressor)
assert_type(slopes.marginal_effects("ses"), pd.DataFrame)
RandomSlopeRegressor(["ses", "female"], fixed_slopes=["ses"]).set_params(fixed_slopes=False)

fixed = FixedEffectsRegressor(new_groups="mean").fit(X, y, groups=school)
assert_type(fixed.summary(), RegressionSummary)
assert_type(fixed.within_r2_, float)
assert_type(PooledRegressor().fit(X, y).residual_variance_, float)
assert_type(GroupedMoments.from_rows(X, y, school), GroupedMoments)

passed = RandomInterceptClassifier(quadrature=15).fit(X, y > 12, groups=school)
assert_type(passed, RandomInterceptClassifier)
assert_type(passed.predict_proba(X, groups=school), np.ndarray)
assert_type(passed.predict_population(X, average=False), np.ndarray)
assert_type(passed.fixed_effects_frame(ratios=True), pd.DataFrame)
assert_type(passed.coef_cov_, pd.DataFrame)
assert_type(passed.r2_marginal_, float)
assert_type(passed.summary(), LikelihoodSummary)
counts = RandomSlopePoissonRegressor("ses", group_by="school").fit(X, y)
assert_type(counts.dispersion_, float)
assert_type(counts.linear_predictor(X), np.ndarray)

RandomInterceptRegressor(method="REML")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
RandomInterceptRegressor(new_groups="mean")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
RandomSlopeRegressor("ses", covariance="unstructured")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
RandomInterceptClassifier(quadrature="laplace")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
model.summary(df_method="wald")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
model.confint(method="boot")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
model.fit(X, y, group=school)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
print(model.foo_)  # pyright: ignore[reportAttributeAccessIssue]
assert_type(skmixed.datasets.load_hsb(return_X_y=True)[0], pd.DataFrame)
