"""Which columns have slopes that differ between groups, and how these vary."""

from __future__ import annotations

import numpy as np

from skmixed._rows.chosen_columns import SLOPES, find_feature_columns
from skmixed._rows.factors import by_factor
from skmixed._sklearn_private import StrOptions

# What the parameters may be for a factor.
ALLOWED = {"covariance": ["full", "diag"], "random_intercept": [True, False]}


class SlopesMixin:
    """The parameters `slopes`, `covariance`, `random_intercept` and `fixed_slopes`."""

    _parameter_constraints = {
        "slopes": [*SLOPES, dict],
        "covariance": [StrOptions({"full", "diag"}), dict],
        "random_intercept": ["boolean", dict],
        "fixed_slopes": ["boolean", *SLOPES, dict],
    }

    def _find_slopes(self, X, factors):
        slopes = self._by_factor("slopes", factors, [])
        levels = self._by_factor("random_intercept", factors, True)
        self._by_factor("covariance", factors, "full")  # is checked
        found = [self._find_features(X, chosen, parameter="slopes") for chosen in slopes]
        for name, chosen, positions, has_level in zip(
            factors, slopes, found, levels, strict=True
        ):
            if not positions and not has_level:
                of = f" of factor {name!r}" if len(factors) > 1 else ""
                raise ValueError(
                    f"slopes={chosen!r}{of} must name a column if random_intercept=False; "
                    "otherwise nothing varies between groups."
                )
        return found

    def _find_random_only(self, X, terms, factors, slopes):
        said = self._by_factor("fixed_slopes", factors, None)  # None: it says nothing
        found = [
            self._random_only(X, terms, True if chosen is None else chosen, positions)
            for chosen, positions in zip(said, slopes, strict=True)
        ]
        for position in sorted(set().union(*found)):
            parts = zip(factors, said, slopes, found, strict=True)
            told = {
                f: position in only
                for f, s, z, only in parts
                if s is not None and position in z
            }
            if len(set(told.values())) > 1:
                yes, no = (next(f for f in told if told[f] is only) for only in (False, True))
                raise ValueError(
                    f"fixed_slopes={self.fixed_slopes!r} must say the same of a column in all "
                    f"factors, but makes {terms[position]} a fixed effect by {yes!r} and none "
                    f"by {no!r}. Name it in one of them alone."
                )
        return found

    def _random_only(self, X, terms, chosen, slopes):
        if isinstance(chosen, bool | np.bool_):
            return [] if chosen else slopes
        fixed = self._find_features(X, chosen, parameter="fixed_slopes")
        others = [terms[position] for position in fixed if position not in slopes]
        if others:
            raise ValueError(
                f"fixed_slopes={chosen!r} must name columns of `slopes`, which are "
                f"{[terms[position] for position in slopes]}, but {others} are not among them. "
                "Leave them out: columns of X without random slopes are fixed effects anyway."
            )
        return [position for position in slopes if position not in fixed]

    def _find_features(self, X, chosen, *, parameter):
        variance_by = getattr(self, "variance_by", None)  # of linear models
        return find_feature_columns(
            X, chosen, self.group_by, parameter=parameter, variance_by=variance_by
        )

    def _by_factor(self, parameter, factors, default):
        return by_factor(
            getattr(self, parameter),
            factors,
            self.group_by,
            parameter,
            default=default,
            allowed=ALLOWED.get(parameter),
        )

    def _of(self, parameter, columns, default):
        """Return a parameter for one of the factors."""
        values = self._by_factor(parameter, columns.names, default)
        return values[columns.names.index(columns.group_name)]
