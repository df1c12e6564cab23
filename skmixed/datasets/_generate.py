"""Simulated grouped data whose truth is known."""

from __future__ import annotations

from numbers import Integral, Real

import numpy as np
from sklearn.utils import Bunch, check_random_state

from skmixed._public import public
from skmixed._sklearn_private import Interval, validate_params

NON_NEGATIVE = Interval(Real, 0, None, closed="left")


@public("skmixed.datasets")
@validate_params(
    {
        "n_samples": [Interval(Integral, 1, None, closed="left")],
        "n_features": [Interval(Integral, 0, None, closed="left")],
        "n_groups": [Interval(Integral, 1, None, closed="left")],
        "coef": ["array-like", None],
        "intercept": [Real],
        "intercept_variance": [NON_NEGATIVE],
        "slope_variances": ["array-like", NON_NEGATIVE],
        "residual_variance": [NON_NEGATIVE],
        "balanced": ["boolean"],
        "return_truth": ["boolean"],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def make_mixed_regression(
    n_samples=1000,
    n_features=3,
    n_groups=50,
    *,
    coef=None,
    intercept=0.0,
    intercept_variance=1.0,
    slope_variances=0.0,
    residual_variance=1.0,
    balanced=True,
    return_truth=False,
    random_state=None,
):
    """Generate a linear regression problem whose groups differ in intercept and slopes.

    Features are standard normal; y_ij = intercept + u_0j + x_ij' (coef + u_j) + e_ij, with all
    u and e independent and normal.

    Parameters
    ----------
    n_samples : int, default=1000
        Number of rows.
    n_features : int, default=3
        Number of feature columns.
    n_groups : int, default=50
        Number of groups. Unless `balanced`, a group may by chance have no row.
    coef : array-like of shape (n_features,), default=None
        Fixed effects; drawn from the standard normal distribution if None.
    intercept : float, default=0.0
        Fixed intercept.
    intercept_variance : float, default=1.0
        Variance of the groups' intercepts.
    slope_variances : float or array-like of shape (n_features,), default=0.0
        Variance of the groups' slopes.
    residual_variance : float, default=1.0
        Variance of the residuals.
    balanced : bool, default=True
        Whether group sizes differ by at most one row. If False, each row falls into group j
        with a probability proportional to 1 / (j + 1), so that a few groups are large.
    return_truth : bool, default=False
        Whether to return what y was made of, too.
    random_state : int, RandomState instance or None, default=None
        Seed; pass an int for the same data at every call.

    Returns
    -------
    X : ndarray of shape (n_samples, n_features)
        Features.
    y : ndarray of shape (n_samples,)
        Target.
    groups : ndarray of shape (n_samples,)
        Group of each row, an integer from 0 to n_groups - 1; rows are in random order.
    truth : Bunch
        Only if `return_truth`: coef, intercept, random_effects of shape (n_groups,
        1 + n_features), intercept_variance, slope_variances, residual_variance.

    Examples
    --------
    >>> from skmixed.datasets import make_mixed_regression
    >>> X, y, groups, truth = make_mixed_regression(
    ...     n_samples=200, n_features=2, n_groups=10, return_truth=True, random_state=0
    ... )
    >>> X.shape, y.shape, groups.max(), truth.random_effects.shape
    ((200, 2), (200,), np.int64(9), (10, 3))
    """
    rng = check_random_state(random_state)
    coef = rng.standard_normal(n_features) if coef is None else np.asarray(coef, dtype=float)
    slope_variances = np.broadcast_to(np.asarray(slope_variances, dtype=float), (n_features,))
    if coef.shape != (n_features,):
        raise ValueError(f"`coef` must have shape ({n_features},), but got {coef.shape}.")
    groups = _draw_groups(rng, n_samples, n_groups, balanced)
    std = np.sqrt(np.append(intercept_variance, slope_variances))
    random_effects = std * rng.standard_normal((n_groups, 1 + n_features))
    X = rng.standard_normal((n_samples, n_features))
    own = random_effects[groups]
    y = intercept + own[:, 0] + np.sum(X * (coef + own[:, 1:]), axis=1)
    y += np.sqrt(residual_variance) * rng.standard_normal(n_samples)
    if not return_truth:
        return X, y, groups
    return (
        X,
        y,
        groups,
        Bunch(
            coef=coef,
            intercept=intercept,
            random_effects=random_effects,
            intercept_variance=intercept_variance,
            slope_variances=slope_variances,
            residual_variance=residual_variance,
        ),
    )


def _draw_groups(rng, n_samples, n_groups, balanced):
    if balanced:
        return rng.permutation(np.arange(n_samples) % n_groups)
    share = 1 / np.arange(1, n_groups + 1)
    return rng.choice(n_groups, size=n_samples, p=share / share.sum())
