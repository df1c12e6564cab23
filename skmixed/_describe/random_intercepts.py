"""The models of a description: a random intercept, without features and with them split."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from skmixed._numerics.fit.fit import Fit, Specification
from skmixed._numerics.moments.columns import drop_columns_of_lines, split_columns


@dataclass(frozen=True)
class RandomIntercepts:
    """Fits by REML of y alone, and of y given features that are split."""

    y_alone: Fit
    given_features: Fit

    @classmethod
    def of(cls, lines):
        """Fit both to the groups' means, and to what is within groups."""
        features = np.ones(len(lines.shift), dtype=bool)
        features[[0, -1]] = False
        split = split_columns(lines)
        first = _fit(split)
        # what the group means of features explain is taken off those of y before squares are
        between = first.beta[1 + len(lines.taken) :]
        split = split.with_taken(np.concatenate([lines.taken, between]))
        return cls(_fit(drop_columns_of_lines(lines, features)), _fit(split))

    @property
    def beta(self):
        """Slopes that explain most of y: those within groups, or if there are none, between."""
        within, between = self.given_features.beta[1:].reshape(2, -1)
        kept = self.given_features.problem.coordinates.kept[1 : 1 + len(within)]
        return np.where(kept, within, between)

    @property
    def digits_left(self):
        """How many digits there are of what both fits need, at least."""
        return min(self.y_alone.digits_left, self.given_features.digits_left)


def _fit(lines):
    return Fit.of(lines, Specification(), tol=1e-8, max_iter=100)
