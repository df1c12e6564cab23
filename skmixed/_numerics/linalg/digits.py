"""Which numbers are rounding: all tolerances in one table, each with its reason.

Cross-products in float64 carry a share of about 1e-15 of their size. What is made of them
carries more, and each tolerance says how much, or which loss is still allowed. How a search
goes on and when it ends is said where it is made.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import lapack

from skmixed._numerics.linalg.arrays import Array

# --- columns, by their squares

# Error of an entry of cross-products whose diagonal is 1.
GRAM_ERROR = 1e-15
# Where fewer digits are left of what a column adds, a fit reads the rows again.
DIGITS_NEEDED = 7
# Where it cannot, and fewer are left than these, it warns.
DIGITS_TRUSTED = 5
# Where it cannot, and fewer are left than these, it refuses: sums of squares of up to
# ROUNDING_UP_TO times their error look like those of an exact fit.
DIGITS_REFUSED = 2
# A fold of a cross-validation is fitted from its rows if fewer are left in its moments, so that
# the two ways agree to 1e-10.
DIGITS_FOR_FOLDS = 10
# What is within groups has fewer if it is a smaller share of a column's squares.
FEW_LEFT = 1e-8
# Error of a number as it was given, or of a difference of such.
RELATIVE_ERROR = 8 * np.finfo(np.float64).eps
# Sums of squares are rounding up to so many times their error, where that decides what is said.
ROUNDING_UP_TO = 100
# A column is dropped if less than this share of its variance is left when the columns before
# it are known: three digits above the error of the cross-products.
RANK_TOLERANCE = 1e-12
# A column whose scatter within groups is no more than so many times its error is constant
# there.
CONSTANT_UP_TO = 1000
# The same, as a share of the total.
CONSTANT_WITHIN = 1e-12
# A dummy whose level keeps a smaller share of its rows' squares when other dummies are known
# depends on them: shares of counts are larger, and what counts are rounded to is smaller.
DUMMIES_TOLERANCE = 1e-10
# Draws of the moments treat a column as dependent from here on, in one group or within all.
# Little hangs on it: the variance of every moment stays what it is, and a correlation is lost.
NULL_SQUARE = 1e-13
# The same among the levels of several factors, by the eigenvalues of blocks of many columns.
NULL_EIGENVALUE = 1e-10
# Leverages nearer to 1 than this are 1: a cluster determines that direction of the fit alone.
LEVERAGE_ERROR = 1e-10
# Shares of variation nearer to 0 or 1 than this are reported as exactly that.
SHARE_ERROR = 1e-10

# --- criteria and factors

# Residual sums of squares are never taken below this share of the total sum of squares:
# cross-products in float64 carry no more.
PERFECT_FIT = 1e-14
# Entries of a triangular factor below this share of their row are rounding.
FACTOR_ERROR = 1e-13
# Criteria at two variance ratios that differ by less, for each row, are equal.
CRITERION_ERROR = 1e-10
# Curvatures of a profile below this share of the largest say that a direction is not
# identified: it does not follow y.
CURVATURE_ERROR = 1e-12
# Expected curvatures in variances and covariances below this share of the largest are 0: those
# of changes that no y can see come out as 1e-15, and a share of 1e-12 of a column's squares
# that tells it from another makes one of about 1e-12.
INFORMATION_ERROR = 1e-13
# Entries of such a change below this share of the largest are 0.
CHANGE_ERROR = 1e-7
# Random columns of which X leaves a smaller share of the squares are contained in its span.
LEAST_FREE = 1e-10
# Random effects have the covariance of residuals if their squares differ by a smaller share.
SAME_VARIANCE = 1e-13
# The mean of weights may differ from 1 by this much: what float32 makes of them.
WEIGHT_ERROR = 1e-6
# Ratios of standard deviations, random effect over residual, that are beyond measure. Sums over
# groups for several random columns keep fewer digits than those for a single one.
LARGEST_SD_RATIO = 1e6
LARGEST_SD_RATIO_OF_SEVERAL = 1e5
# Means of a slope column, in deviations within groups, at which uncorrelated levels and slopes
# come near those ratios.
FARTHEST_FROM_ZERO = 2e4
# Squares around groups' means that are a smaller share of a column's squares are what rounding
# has made of equal numbers.
ROUNDED = 1e-22
# By how much their squares may be larger where a second pass has seen more digits.
MOST_BEYOND = 1e8
# Rises of the deviance, for each row, that a profile's interpolants do not tell from 0.
SLACK_ERROR = 1e-12
# Degrees of freedom that the sum of fractional weights may miss, for each row.
DOF_ERROR = 1e-9

# Contrasts of length 1 are linearly dependent if less than this is left of one when others are
# known: users write weights with three digits, and means of columns with all of them.
ROWS_TOLERANCE = 1e-10

# --- rows left out

# What is left of a column's squares, and of the weight of a group, must be at least this
# share of the whole: a difference has lost no more than two digits then.
SQUARES_LEFT = 0.01
# Sums of squares that are differences must be at least this share of what they are taken from.
SUM_LEFT = 1e-5
# A column must differ from those before it by at least this share of its variance, or by less
# than the second one, which is nothing but rounding. In between digits are scarce.
DISTINCT = 1e-9
NOT_DISTINCT = 1e-13
# Without a group the sums are not centred again, which costs another digit.
DISTINCT_UNCENTRED = 1e-8
# The rows that are left must determine this share of what all rows say of a coefficient. If
# they do not, what was left out is all there is to know of it, up to rounding.
DETERMINED = 1e-7

# --- two fits compared

# Sums over the same rows in another order differ by a smaller share.
SAME_SUMS = 1e-9
# A log-likelihood may be below that of a submodel by this share: what two searches may leave.
LOG_LIKELIHOOD_ERROR = 1e-5
# Scores of a row by two models are the same if they differ by less, beside the mean score:
# equal lines found in two ways differ by about 1e-13.
SAME_SCORE = 1e-10


def digits_left(M: Array, noise: Array) -> float:
    """Return how many digits are right of what the columns before leave of each, at least.

    Parameters
    ----------
    M : ndarray of shape (p, p)
        Cross-products.
    noise : ndarray of shape (p,)
        Errors of their diagonal, besides rounding.
    """
    size = np.sqrt(np.maximum(np.diag(M), np.finfo(np.float64).tiny))
    L, failed = lapack.dpotrf(M / np.outer(size, size), lower=1)
    if failed:
        return 0.0
    # the products are rounded as a whole, too: what a level adds to squares hides deviations
    error = noise + GRAM_ERROR * np.diag(M)
    share = error / np.maximum((np.diag(L) * size) ** 2, np.finfo(np.float64).tiny)
    return float(np.log10(1 / np.clip(share.max(initial=0.0), 1e-16, 1.0)))


def residual_square(M: Array) -> Array:
    """r2 = M_yy - M_yX M_XX^-1 M_Xy, floored where nothing but rounding is left."""
    M_XX, M_Xy = M[..., :-1, :-1], M[..., :-1, -1]
    explained = np.sum(M_Xy * np.linalg.solve(M_XX, M_Xy[..., None])[..., 0], axis=-1)
    # what is left within groups may be a rounding error below 0
    floor = np.maximum(PERFECT_FIT * M[..., -1, -1], 0.0)
    r2: Array = np.maximum(M[..., -1, -1] - explained, floor)
    return r2
