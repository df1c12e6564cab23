"""Fits without some of the rows, from the moments of all of them."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from sklearn.base import clone
from sklearn.utils.extmath import safe_sparse_dot

from skmixed._base import BaseGroupedRegressor, BaseMixedRegressor
from skmixed._messages import TOO_LARGE, warn_about_fit
from skmixed._numerics.estimate import estimate
from skmixed._numerics.folds import cross_products_by_group, rest_of
from skmixed._numerics.moments import GroupedMoments
from skmixed._numerics.one_group_less import Refits as OneGroupLess
from skmixed._numerics.one_group_less import refit_without_each
from skmixed._numerics.problem import make_problem
from skmixed.exceptions import MissingGroupsWarning

# With fewer groups than this, one of them may move the estimates to another minimum.
MANY_GROUPS = 100


class Refits:
    """The rows of a cross-validation, checked and summed up once.

    Parameters
    ----------
    estimator : BaseGroupedRegressor
        Not fitted here; each fit is that of a clone.
    X, y, groups, sample_weight : array-likes
        As for `fit`.

    Attributes
    ----------
    seconds : float
        Time spent so far on what folds share.

    Raises
    ------
    ValueError, TypeError
        If all rows together cannot be fitted.
    MissingGroupsWarning
        If they have no groups.
    """

    def __init__(self, estimator, X, y, groups=None, sample_weight=None):
        start = time.perf_counter()
        self.estimator = estimator
        model = clone(estimator)
        model._validate_params()
        with warnings.catch_warnings():
            warnings.simplefilter("error", MissingGroupsWarning)
            self.rows = model._check_fit(X, y, groups, sample_weight)
        parameters = estimator.get_params(deep=False)
        self.learned = {k: v for k, v in vars(model).items() if k not in parameters}
        self.labels, self.random = self.rows.pop("labels"), self.rows.pop("random")
        if hasattr(self.rows["X"], "tocsr"):
            self.rows["X"] = self.rows["X"].tocsr()
        self.total = self._sum_up(self.rows)
        if not np.all(np.isfinite(self.total.T)):
            raise ValueError(TOO_LARGE)
        self.seconds = time.perf_counter() - start

    def take(self, rows):
        """Take some rows, as a dictionary of X, y, codes and sample_weight."""
        return {k: None if v is None else v[rows] for k, v in self.rows.items()}

    def without(self, left_out, *, lean=False):
        """Fit to all other rows.

        Parameters
        ----------
        left_out : dict
            Rows, from `take`.
        lean : bool, default=False
            Whether all that is wanted are predictions of these very rows.

        Returns
        -------
        Fit, NewGroup or None
            None if a difference of moments has too few digits for the fit.
        """
        group = self._group_well_left_out(left_out)
        if lean and group is not None and self.estimator.new_groups != "error":
            return NewGroup(self._near.beta[group])
        rest = rest_of(self.total, self._sum_up(left_out, shift=self.total.shift))
        if rest is None or rest.n_rows.sum() < FEW_ROWS or _is_crowded(rest):
            return None
        model = clone(self.estimator)
        vars(model).update(self.learned)
        moments = replace(rest, labels=self.labels[rest.labels])
        if isinstance(model, BaseMixedRegressor):
            start = None if group is None else self._near.Lambda[group]
            criterion, optimum = model._estimate(moments, start)
            if not optimum.converged or optimum.flat:
                return None
            solution = model._store_optimum(moments, criterion, optimum)
            warn_about_fit(model, criterion.problem, optimum, solution)
        else:
            model._fit_moments(moments)
        position = np.full(len(self.labels), -1)
        position[rest.labels] = np.arange(len(rest.labels))
        return Fit(model, position)

    # ------------------------------------------------------------------- steps of the above

    def _sum_up(self, rows, shift=None):
        labels = np.arange(len(self.labels))
        return GroupedMoments.from_rows(
            **rows, labels=labels, random=self.random, shift=shift
        )

    def _group_well_left_out(self, left_out):
        """Position of the group that the rows are, if the fit without it is an ordinary one."""
        codes = left_out["codes"]
        if codes is None or not len(codes) or len(codes) != self._n_rows[codes[0]]:
            return None
        if np.any(codes != codes[0]) or self._near is None:
            return None
        group = self._position[codes[0]]
        return group if group >= 0 and self._near.found[group] else None

    @cached_property
    def _n_rows(self):
        """Rows of each group, those of weight zero included."""
        return np.bincount(self.rows["codes"], minlength=len(self.labels))

    @cached_property
    def _position(self):
        """Of each group in the moments; -1 if all its rows have weight zero."""
        position = np.full(len(self.labels), -1)
        position[self.total.labels] = np.arange(len(self.total.labels))
        return position

    @cached_property
    def _near(self):
        """Estimates without each group, in the user's units; None if there are none."""
        start = time.perf_counter()
        near = self._refit_without_each_group()
        self.seconds += time.perf_counter() - start
        return near

    def _refit_without_each_group(self):
        model, total = self.estimator, self.total
        if not isinstance(model, BaseMixedRegressor) or len(total.labels) < MANY_GROUPS:
            return None
        problem = make_problem(total, fit_intercept=model.fit_intercept, **model._structure())
        criterion, optimum = estimate(
            problem, reml=model.method == "reml", tol=model.tol, max_iter=model.max_iter
        )
        all_kept = problem.random_kept.all() and not problem.dependent.any()
        ordinary = optimum.alone and optimum.converged and optimum.Lambda.any(axis=0).all()
        if not (all_kept and ordinary):
            return None
        rows = {**self.rows, "codes": self._position[self.rows["codes"]]}
        parts = [
            refit_without_each(
                criterion, optimum.Lambda, groups, products, total.sizes[groups], tol=model.tol
            )
            for groups, products in cross_products_by_group(
                **rows, n_groups=len(total.labels), shift=total.shift
            )
        ]
        return OneGroupLess(
            problem.random_backmap @ np.concatenate([part.Lambda for part in parts]),
            np.concatenate([part.beta for part in parts]),
            np.concatenate([part.found for part in parts]),
        )


@dataclass(frozen=True)
class Fit:
    """A fitted model, and the positions of all groups among its own, -1 for new ones."""

    model: BaseGroupedRegressor
    position: np.ndarray

    def predict(self, rows):
        """Predict rows from `Refits.take`; None if new groups are an error."""
        y = self.model._predict_fixed(rows["X"])
        if rows["codes"] is None:
            return y
        codes = self.position[rows["codes"]]
        if self.model.new_groups == "error" and np.any(codes < 0):
            return None
        return y + self.model._predict_random(rows["X"], codes)


@dataclass(frozen=True)
class NewGroup:
    """The population line of a fit without a group, for the rows of that group."""

    beta: np.ndarray

    def predict(self, rows):
        """Predict rows from `Refits.take`."""
        first = len(self.beta) - rows["X"].shape[1]  # 1 with an intercept, else 0
        return safe_sparse_dot(rows["X"], self.beta[first:]) + self.beta[:first].sum()
