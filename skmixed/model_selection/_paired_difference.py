"""Two models tested on the same rows: how far their scores are apart, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass

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
    groups : list of ndarray of shape (n_test,)
        Groups of these rows, numbered from 0.

    Returns
    -------
    PairedDifference
        The mean over the fits of their means, tested by Hall's t.
    """
    n_fits, n_codes = len(values), 1 + max(codes.max() for codes in groups)
    difference = float(np.mean([row_values.mean() for row_values in values]))
    sums, shares = np.zeros(n_codes), np.zeros(n_codes)
    by_fit = by_cell = 0.0  # sums of squares; a cell is a group within a fit
    for row_values, codes in zip(values, groups, strict=True):
        share = 1 / (n_fits * len(codes))
        cells = np.bincount(codes, (row_values - difference) * share, n_codes)
        shares += np.bincount(codes, minlength=n_codes) * share
        sums += cells
        by_fit += cells.sum() ** 2
        by_cell += cells @ cells
    df = _satterthwaite(shares)
    if np.isnan(difference) or df == 0:
        return PairedDifference(difference, np.nan, df, np.nan)
    n_groups = np.count_nonzero(shares)
    # the jackknife's: large groups, which pull the mean towards them, count in full
    of_groups = (n_groups - 1) / n_groups * np.sum((sums / (1 - shares)) ** 2)
    of_fits = by_fit * n_fits / (n_fits - 1) - by_cell if n_fits > 1 else 0.0
    std_error = float(np.sqrt(of_groups + max(of_fits, 0.0)))
    p_value = _test(difference, std_error, np.sum(sums**3), df) if df > TOO_FEW else np.nan
    return PairedDifference(difference, std_error, df, p_value)


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
