"""Rows of y drawn from a fitted model."""

from __future__ import annotations

from functools import partial
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from skmixed._estimators.predictions import residual_variance
from skmixed._numerics.inference.draws import EffectsOfRows
from skmixed._rows.columns import dense_column
from skmixed._rows.containers import take_rows
from skmixed._rows.factors import factors_as_fitted, of_factor
from skmixed._rows.labels import number_new_groups
from skmixed._rows.messages import missing_in_predict
from skmixed._rows.reader import INTERCEPT, read_rows
from skmixed._rows.strata import refuse_strata
from skmixed._sklearn_private import Interval, validate_params
from skmixed._state import in_one_piece


class SimulationMixin:
    """What a fitted model takes y to be, row by row.

    Subclasses of other models than linear mixed ones override `_parts_to_draw`, `_sampler`
    and `_as_target`.
    """

    @in_one_piece
    @validate_params(
        {
            "n_draws": [Interval(Integral, 1, None, closed="left")],
            "random_state": ["random_state"],
            "conditional": ["boolean"],
        },
        prefer_skip_nested_validation=True,
    )
    def simulate(
        self,
        X: Any,
        groups: Any = None,
        *,
        n_draws: int = 1,
        random_state: Any = None,
        conditional: bool = False,
        sample_weight: Any = None,
    ) -> np.ndarray:
        """Draw y of rows anew from the fitted model.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame} of shape (n_rows, n_columns)
            The same columns as in `fit`.
        groups : array-like of shape (n_rows,) or (n_rows, n_factors), optional
            Group label of each row, as for `predict`. A row whose label is missing is in a
            group of its own.
        n_draws : int, default=1
            How often y is drawn.
        random_state : int, RandomState instance or None, default=None
            Seed. The first draws do not depend on `n_draws`.
        conditional : bool, default=False
            If False, groups get random effects drawn from N(0, Psi), the same for all rows of
            a group in a draw, whether the group was seen in `fit` or not: these are other
            groups of the same kind. If True, groups seen in `fit` keep their effects
            `random_effects_`, and only those of new ones are drawn. Effects that are fixed,
            those of a `FixedEffectsRegressor`, are kept in either case.
        sample_weight : array-like of shape (n_rows,), optional
            Of linear models the precision of each row: y is drawn with the variance
            `residual_variance_` / weight, as the mean of so many rows would have. Of counts
            the exposure: y is the rate, a Poisson count of mean weight * rate over the
            weight. Not for binary outcomes, of which a weight of 2 is the row twice.

        Returns
        -------
        ndarray of shape (n_rows, n_draws)
            A column for each draw: numbers, counts, or labels of `classes_`.

        Raises
        ------
        ValueError
            If the model was fitted with groups and none are given; if `conditional` and there
            are new groups or missing labels with ``new_groups="error"``; or if groups are new
            and effects are fixed.

        Notes
        -----
        Coefficients and variances count as known: draws vary as y does, and not as the
        estimates do. lme4's ``simulate`` draws random effects likewise by default
        (``re.form = NA``), and keeps them by ``re.form = NULL``.

        A draw costs O(n q) for n rows and q random effects of a group. Memory is that of the
        result, 8 n `n_draws` bytes, and of a few columns; a loop over seeds takes it by parts.

        Examples
        --------
        >>> from skmixed import RandomInterceptRegressor
        >>> from skmixed.datasets import load_sleepstudy
        >>> X, y, subject = load_sleepstudy(return_X_y=True)
        >>> model = RandomInterceptRegressor().fit(X, y, groups=subject)
        >>> draws = model.simulate(X, subject, n_draws=200, random_state=0)
        >>> draws.shape
        (180, 200)
        >>> kept = model.simulate(X, subject, n_draws=200, random_state=0, conditional=True)
        >>> float(draws.std(axis=1).mean().round(1)), float(kept.std(axis=1).mean().round(1))
        (48.6, 30.7)
        """
        check_is_fitted(self)
        refuse_strata(self._columns, "simulate")
        rng = check_random_state(random_state)
        given = {"groups": groups, "sample_weight": sample_weight}
        X, groups, sample_weight = take_rows(X=X, **given)
        X, groups = read_rows(self, X, groups)
        line, effects = self._parts_to_draw(X, groups, conditional)
        draw_y = self._sampler(X, sample_weight)
        draws = np.empty((n_draws, len(line)))
        for draw in draws:
            draw[:] = draw_y(line + sum(effect.draw(rng) for effect in effects), rng)
        return self._as_target(draws.T)

    # ------------------------------------------------------------- what subclasses override

    def _parts_to_draw(self, X, groups, conditional):
        """Return what is not drawn of the rows' lines, and the random effects."""
        line, columns = self._predict_fixed(X), self._columns
        if groups is None and self.n_groups_:
            raise ValueError(missing_in_predict(self, "simulate"))
        if not self.n_groups_:
            return line, []
        if not columns.factors:
            known = self._find_groups(groups, len(line)) if conditional else None
            given = self.random_effects_cov_, self.random_effects_, columns.slopes
            return line, [_effects_of_rows(X, groups, known, *given)]
        groups, effects = factors_as_fitted(groups, columns), []
        for factor, new in zip(columns.factors, self._new_groups_of(list(groups)), strict=True):
            name, known = factor.group_name, None
            with of_factor(name):
                if conditional:
                    known = self._match(groups[name], self.groups_[name], new, len(line))
                given = self.random_effects_cov_[name], self.random_effects_[name]
                effects.append(_effects_of_rows(X, groups[name], known, *given, factor.slopes))
        return line, effects

    def _sampler(self, X, sample_weight):
        """Return a function of the rows' lines that draws y around them."""
        variance = self.residual_variance_ * residual_variance(sample_weight, X)
        return partial(_draw_normal, std_dev=np.sqrt(variance))

    def _as_target(self, draws):
        """Turn draws to what `fit` takes as y."""
        return draws


def _effects_of_rows(X, labels, known, cov, effects, slopes):
    """Give each group of the rows a number; those that are `known` keep their effects."""
    codes = number_new_groups(labels, np.ones(X.shape[0], dtype=bool))
    place = np.full(codes.max(initial=-1) + 1, -1)
    if known is not None:
        place[codes] = known
    ones = [1.0] if INTERCEPT in cov.columns else []
    columns = [*ones, *(dense_column(X, position) for position in slopes)]
    return EffectsOfRows.of(columns, codes, cov.to_numpy(), place, effects.to_numpy().T)


def _draw_normal(line, rng, std_dev):
    return line + std_dev * rng.standard_normal(len(line))
