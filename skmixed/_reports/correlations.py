"""Correlations of estimated coefficients, in the summaries of all models."""

from __future__ import annotations

import numpy as np

from skmixed._reports.layout import Printed, is_wide, numbered

# Correlations of more fixed effects are not printed, as in R.
MOST_CORRELATED = 12
NO_CORRELATIONS = (
    "Correlations of the {n} fixed effects are not printed: they are in "
    "`fixed_effects_correlation` of this summary."
)


class PrintsCorrelations(Printed):
    """A summary that has `fixed_effects_correlation`."""

    def _correlation_table(self):
        if 1 < len(self.fixed_effects_correlation) <= MOST_CORRELATED:
            table = _lower_triangle(self.fixed_effects_correlation)
            yield "Correlation of fixed effects", table

    def _notes(self):
        n = len(self.fixed_effects_correlation)
        if n > MOST_CORRELATED:
            yield NO_CORRELATIONS.format(n=n)


def correlation(cov):
    """Turn a table of covariances into one of correlations; NaN where a variance is 0."""
    std = np.sqrt(np.diag(cov))
    with np.errstate(invalid="ignore"):
        return cov / np.outer(std, std)


def _lower_triangle(table):
    """Correlations below the diagonal, as text; numbers stand for long names in the heads."""
    below = np.tri(len(table), k=-1, dtype=bool)
    text = table.map("{:.3f}".format).where(below & table.notna(), "")
    text = text.iloc[:, :-1].rename_axis(None)
    named = text.iloc[1:]  # the first row is empty
    if not is_wide(named.to_string()):
        return named
    numbers = [str(1 + i) for i in range(len(text) - 1)]
    return text.set_axis(numbered(text.index), axis=0).set_axis(numbers, axis=1)
