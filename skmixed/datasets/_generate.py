"""Simulated grouped data whose truth is known."""

from __future__ import annotations

from numbers import Integral, Real
from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.utils import Bunch, check_random_state

from skmixed._public import public
from skmixed._sklearn_private import Interval, validate_params

NON_NEGATIVE = Interval(Real, 0, None, closed="left")
ONLY = "group"  # the factor, if there is one


@public("skmixed.datasets")
@validate_params(
    {
        "n_samples": [Interval(Integral, 1, None, closed="left")],
        "n_features": [Interval(Integral, 0, None, closed="left")],
        "n_groups": [Interval(Integral, 1, None, closed="left"), tuple, dict],
        "coef": ["array-like", None],
        "intercept": [Real],
        "intercept_variance": [NON_NEGATIVE, tuple, dict],
        "slope_variances": ["array-like", NON_NEGATIVE, dict],
        "residual_variance": [NON_NEGATIVE],
        "nested": ["boolean"],
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
    nested=False,
    balanced=True,
    return_truth=False,
    random_state=None,
):
    """Generate a linear regression problem whose groups differ in intercept and slopes.

    Features are standard normal; y_ij = intercept + u_0j + x_ij' (coef + u_j) + e_ij, with all
    u and e independent and normal. With several factors a row has a group of each, and the sum
    of their u.

    Parameters
    ----------
    n_samples : int, default=1000
        Number of rows.
    n_features : int, default=3
        Number of feature columns.
    n_groups : int, tuple of int or dict of str to int, default=50
        Number of groups. A tuple or a dictionary has that of each of several factors. Unless
        `balanced`, a group may by chance have no row.
    coef : array-like of shape (n_features,), default=None
        Fixed effects; drawn from the standard normal distribution if None.
    intercept : float, default=0.0
        Fixed intercept.
    intercept_variance : float, tuple or dict by factor, default=1.0
        Variance of the groups' intercepts; a number is for all factors.
    slope_variances : float, array-like of shape (n_features,) or dict by factor, default=0.0
        Variance of the groups' slopes; what is no dictionary is for all factors.
    residual_variance : float, default=1.0
        Variance of the residuals.
    nested : bool, default=False
        Whether each of several factors lies in the one before it, and `n_groups` counts its
        groups within one of that; otherwise they are crossed: each row has groups of all
        factors that are independent of each other.
    balanced : bool, default=True
        Whether group sizes differ by at most one row; of nested factors those of the last. If
        False, each row falls into group j with a probability proportional to 1 / (j + 1), so
        that a few groups are large.
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
    groups : ndarray of shape (n_samples,) or (n_samples, n_factors), or DataFrame
        Group of each row, an integer from 0 to n_groups - 1; rows are in random order. With
        several factors there is a column for each, named as in the dictionary if that is what
        `n_groups` is. Nested groups have numbers of their own, 0 to the product of `n_groups`.
    truth : Bunch
        Only if `return_truth`: coef, intercept, random_effects of shape (n_groups,
        1 + n_features), intercept_variance, slope_variances, residual_variance. With several
        factors random_effects, intercept_variance and slope_variances are dictionaries by
        factor, which a tuple calls group0, group1 and so on.

    Examples
    --------
    >>> from skmixed.datasets import make_mixed_regression
    >>> X, y, groups, truth = make_mixed_regression(
    ...     n_samples=200, n_features=2, n_groups=10, return_truth=True, random_state=0
    ... )
    >>> X.shape, y.shape, groups.max(), truth.random_effects.shape
    ((200, 2), (200,), np.int64(9), (10, 3))

    Two crossed factors:

    >>> X, y, groups = make_mixed_regression(
    ...     n_samples=200,
    ...     n_groups={"school": 12, "rater": 8},
    ...     intercept_variance={"school": 1.0, "rater": 0.25},
    ...     random_state=0,
    ... )
    >>> groups.head(2)
       school  rater
    0       0      5
    1       8      7
    """
    rng = check_random_state(random_state)
    coef = rng.standard_normal(n_features) if coef is None else np.asarray(coef, dtype=float)
    if coef.shape != (n_features,):
        raise ValueError(f"`coef` must have shape ({n_features},), but got {coef.shape}.")
    factors = _make_factors(n_groups, intercept_variance, slope_variances, n_features)
    codes = _draw_codes(rng, n_samples, factors, nested, balanced)
    random_effects = _draw_effects(rng, factors, nested)
    X = rng.standard_normal((n_samples, n_features))
    own = sum(random_effects[name][of_rows] for name, of_rows in codes.items())
    y = intercept + own[:, 0] + np.sum(X * (coef + own[:, 1:]), axis=1)
    y += np.sqrt(residual_variance) * rng.standard_normal(n_samples)
    if isinstance(n_groups, dict):
        groups = pd.DataFrame(codes)
    else:
        groups = (
            np.column_stack([*codes.values()]) if isinstance(n_groups, tuple) else codes[ONLY]
        )
    if not return_truth:
        return X, y, groups
    by_factor = {
        "random_effects": random_effects,
        "intercept_variance": {name: one.intercept_variance for name, one in factors.items()},
        "slope_variances": {name: one.slope_variances for name, one in factors.items()},
    }
    if isinstance(n_groups, Integral):
        by_factor = {name: values[ONLY] for name, values in by_factor.items()}
    fixed = {"coef": coef, "intercept": intercept, "residual_variance": residual_variance}
    return X, y, groups, Bunch(**fixed, **by_factor)


class Factor(NamedTuple):
    """How many groups a factor has, and how much they differ."""

    n_groups: int
    intercept_variance: float
    slope_variances: np.ndarray

    @property
    def std(self):
        return np.sqrt(np.append(self.intercept_variance, self.slope_variances))


def _make_factors(n_groups, intercept_variance, slope_variances, n_features):
    """Factors by name."""
    if isinstance(n_groups, tuple):
        n_groups = {f"group{i}": n for i, n in enumerate(n_groups)}
    counts = n_groups if isinstance(n_groups, dict) else {ONLY: n_groups}
    if not counts or not all(isinstance(n, Integral) and n > 0 for n in counts.values()):
        raise ValueError(
            "`n_groups` must have a whole number above 0 for each factor, but got "
            f"{n_groups!r}."
        )
    if isinstance(intercept_variance, tuple):
        intercept_variance = _named(intercept_variance, counts)
    intercepts = _for_each("intercept_variance", intercept_variance, counts)
    if min(intercepts.values()) < 0:
        raise ValueError(
            "`intercept_variance` must be at least 0 for each factor, but got "
            f"{intercept_variance!r}."
        )
    slopes = _for_each("slope_variances", slope_variances, counts)
    return {
        name: Factor(
            n,
            float(intercepts[name]),
            np.broadcast_to(np.asarray(slopes[name], dtype=float), (n_features,)),
        )
        for name, n in counts.items()
    }


def _named(values, counts):
    if len(values) != len(counts):
        raise ValueError(
            f"`intercept_variance` must have a number for each of the {len(counts)} factors, "
            f"{list(counts)}, but got {values!r}."
        )
    return dict(zip(counts, values, strict=True))


def _for_each(parameter, value, counts):
    """Return a value for each factor."""
    if not isinstance(value, dict):
        return dict.fromkeys(counts, value)
    if set(value) != set(counts):
        raise ValueError(
            f"`{parameter}` must have the factors of n_groups as keys, {list(counts)}, but got "
            f"{list(value)}."
        )
    return value


def _draw_codes(rng, n_samples, factors, nested, balanced):
    """Draw the groups of the rows by factor."""
    counts = [one.n_groups for one in factors.values()]
    if nested:
        counts = np.cumprod(counts)
        finest = _draw_groups(rng, n_samples, counts[-1], balanced)
        codes = [finest // (counts[-1] // n) for n in counts]
    else:
        codes = [_draw_groups(rng, n_samples, n, balanced) for n in counts]
    return dict(zip(factors, codes, strict=True))


def _draw_effects(rng, factors, nested):
    """Draw intercepts and slopes of all groups by factor."""
    n_groups, effects = 1, {}
    for name, one in factors.items():
        n_groups = n_groups * one.n_groups if nested else one.n_groups
        effects[name] = one.std * rng.standard_normal((n_groups, len(one.std)))
    return effects


def _draw_groups(rng, n_samples, n_groups, balanced):
    if balanced:
        return rng.permutation(np.arange(n_samples) % n_groups)
    share = 1 / np.arange(1, n_groups + 1)
    return rng.choice(n_groups, size=n_samples, p=share / share.sum())
