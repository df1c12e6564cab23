"""Slopes that differ between groups, in models with one grouping factor."""

from __future__ import annotations

from skmixed._estimators.slopes import SlopesMixin
from skmixed._rows.chosen_columns import SLOPES
from skmixed._sklearn_private import StrOptions


class LikelihoodSlopesMixin(SlopesMixin):
    """The parameters of `SlopesMixin`, of one factor."""

    _parameter_constraints = {
        "slopes": SLOPES,
        "covariance": [StrOptions({"full", "diag"})],
        "random_intercept": ["boolean"],
        "fixed_slopes": ["boolean", *SLOPES],
    }

    @property
    def _random_intercept(self):
        return self.random_intercept

    @property
    def _is_diagonal(self):
        return self.covariance == "diag"
