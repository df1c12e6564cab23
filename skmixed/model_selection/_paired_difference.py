"""Two models tested on the same rows: how far their scores are apart, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.stats import t

from skmixed._public import public

# Degrees of freedom of 5 groups: of one mind by chance with a probability of 2 / 2^5 > 5%.
TOO_FEW = 4


@public("skmixed.model_selection")
@dataclass(frozen=True, repr=False)
class PairedDifference:
    """Difference of the scores of two models, with its standard error over groups and fits.

    Made by `PoolingComparison.difference`, whose notes have the formulas.

    Attributes
    ----------
    difference : float
        Mean score of `model` less that of `other`; NaN if one has no score.
    std_error : float
        Its standard error.
    df : float
        Degrees of freedom: with groups of equal size their number less one, else fewer.
    p_value : float
        Two-sided, for models that predict equally well. NaN if `df` is 4 or less, since five
        groups could all be of one mind by chance.
    model, other : str
        Names of the models.
    regime : str
        What is predicted: "known groups" or "new groups".
    score : str
        Which score is compared.
    """

    difference: float
    std_error: float
    df: float
    p_value: float
    model: str = "model"
    other: str = "other"
    regime: str = "test rows"
    score: str = "score"

    def __str__(self):
        return (
            f"{self.score} in {self.regime}, {self.model} less {self.other}:\n"
            f"{self.difference:.{self._decimals}f} ({self._error()}, df = {self.df:.1f})"
        )

    __repr__ = __str__

    @property
    def _decimals(self):
        return decimals_for(self.std_error)

    def _error(self, n_looked_at=1):
        """Put error and p value in words, the latter corrected for several looks."""
        error = f"SE {self.std_error:.{self._decimals}f}"
        if np.isnan(self.p_value):
            return error
        corrected = "corrected " if n_looked_at > 1 else ""
        p_value = min(1.0, n_looked_at * self.p_value)
        is_tiny = p_value < 1e-4
        return f"{error}, {corrected}p {'< 0.0001' if is_tiny else f'= {p_value:.2g}'}"


def decimals_for(error):
    """Count the decimals that show two digits of a standard error.

    Parameters
    ----------
    error : float
        A number, or NaN.

    Returns
    -------
    int
        From 0 to 8.
    """
    return int(np.clip(1 - np.floor(np.log10(error)), 0, 8)) if error > 0 else 3


def paired_difference(values, groups):
    """Compare two models by rows that both predict.

    Parameters
    ----------
    values : list of ndarray of shape (n_test,)
        For each fit of both models a value for each test row, whose mean is the score of the
        one less that of the other. NaN where there is none.
    groups : list of ndarray of shape (n_test,) or (n_test, n_factors)
        Groups of these rows, numbered from 0.

    Returns
    -------
    PairedDifference
        The mean over the fits of their means, tested by Hall's t; with several factors, by t.
    """
    n_fits, n_rows = len(values), [len(row_values) for row_values in values]
    difference = float(np.mean([row_values.mean() for row_values in values]))
    shares = np.repeat(1 / (n_fits * np.array(n_rows)), n_rows)
    codes = np.concatenate(groups)
    factors = [codes] if codes.ndim == 1 else [*codes.T]
    df = min(_satterthwaite(np.bincount(factor, shares)) for factor in factors)
    if np.isnan(difference) or df == 0:
        return PairedDifference(difference, np.nan, df, np.nan)
    excess = (np.concatenate(values) - difference) * shares
    fits = np.repeat(np.arange(n_fits), n_rows)
    variance = _variance_of_groups(excess, shares, factors)
    variance += max(_variance_of_fits(excess, fits, factors), 0.0)
    # of clusters that overlap it is too uncertain: the test would find too much
    third_moment = np.sum(_sums(excess, *factors) ** 3) if len(factors) == 1 else 0.0
    std_error = float(np.sqrt(variance))
    p_value = _test(difference, std_error, third_moment, df) if df > TOO_FEW else np.nan
    return PairedDifference(difference, std_error, df, p_value)


def _variance_of_groups(excess, shares, factors):
    """Variance clustered by every factor, not below that by any of them alone."""
    of_factor = [_jackknife(excess, shares, codes) for codes in factors]
    shared = _over_clusters(factors, lambda *keys: _squares(excess, *keys), n_least=2)
    return max(*of_factor, sum(of_factor) + shared)


def _jackknife(excess, shares, codes):
    """Sum of squares of groups: large ones, which pull the mean to them, count in full."""
    shares = np.bincount(codes, shares)
    n_groups = np.count_nonzero(shares)
    sums = np.bincount(codes, excess)
    return (n_groups - 1) / n_groups * np.sum((sums / (1 - shares)) ** 2)


def _variance_of_fits(excess, fits, factors):
    """Return what rows of one fit have in common beyond their groups."""
    n_fits = fits[-1] + 1
    if n_fits == 1:
        return 0.0
    of_groups = _over_clusters(factors, lambda *keys: _squares(excess, *keys, fits))
    return _squares(excess, fits) * n_fits / (n_fits - 1) - of_groups


def _over_clusters(factors, term, n_least=1):
    """Sum over all sets of factors, those of an even number subtracted, as of overlaps."""
    numbers = range(n_least, len(factors) + 1)
    return sum(
        (-1) ** (n - 1) * term(*keys) for n in numbers for keys in combinations(factors, n)
    )


def _squares(excess, *keys):
    sums = _sums(excess, *keys)
    return sums @ sums


def _sums(excess, *keys):
    """Add up rows that agree in all keys."""
    key, *others = keys
    for other in others:
        key = np.unique(key * (other.max() + 1) + other, return_inverse=True)[1]
    return np.bincount(key, excess)


def _satterthwaite(shares):
    """Degrees of freedom of a variance between groups (Bell and McCaffrey 2002).

    Those of chi squared with the same mean and variance, were rows independent and alike.
    """
    squares, cubes = shares @ shares, np.sum(shares**3)
    if squares > 1 - 1e-12:  # all rows in one group
        return 0.0
    df = (1 - squares) ** 2 / (squares - 2 * cubes + squares**2)
    return float(round(df, 9))  # 5 groups of equal size have 4, not 4.000...1


def _test(difference, std_error, third_moment, df):
    """P value of t, from which Hall (1992) takes the skewness by a monotone cubic."""
    if std_error == 0:
        return float(difference == 0)
    ratio, skewness = difference / std_error, third_moment / std_error**3
    ratio += skewness / 6 + skewness * ratio**2 / 3 + skewness**2 * ratio**3 / 27
    return float(2 * t.sf(abs(ratio), df))
