"""Effects of categories given other columns: in all rows, and by folds."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy.linalg import LinAlgWarning

from skmixed._estimators.iterative import ENOUGH, FEW_PROBES
from skmixed._estimators.likelihoods.random_intercept_classifier import (
    RandomInterceptClassifier,
)
from skmixed._estimators.several_factors import factors_named
from skmixed._numerics.fit.criterion_iterative import Probes
from skmixed._numerics.leave_out.effects_of_folds import AKAIKE, Ratios, effects_at
from skmixed._numerics.leave_out.folds import subtract_fold
from skmixed._numerics.moments.cells import FactorMoments
from skmixed._numerics.moments.moments import GroupedMoments, pilot_mean
from skmixed._numerics.moments.within_between import group_means
from skmixed._rows.labels import check_enough_rows, check_finite_moments
from skmixed._rows.threads import one_blas_thread
from skmixed.exceptions import SingularFitWarning


@dataclass(frozen=True)
class Rows:
    """What the effects are estimated from.

    Attributes
    ----------
    given : ndarray of shape (n_rows, n_given)
        Complete numeric columns.
    y : ndarray of shape (n_rows,)
        The target: numbers, or 0 and 1.
    codes : list of ndarray of shape (n_rows,)
        For each column the number of the row's category; rows without one have numbers of
        their own, from `n_categories` on, so that they are categories of one row.
    labels : list of Index
        The categories of each column.
    names : list of str
        Of the columns.
    weight : ndarray of shape (n_rows,) or None
    """

    given: np.ndarray
    y: np.ndarray
    codes: list[np.ndarray]
    labels: list[pd.Index]
    names: list[str]
    weight: np.ndarray | None

    @property
    def n_categories(self):
        """How many categories each column has."""
        return [len(labels) for labels in self.labels]

    def of_columns(self, columns):
        """Take some of the columns that are encoded."""
        parts = (self.codes, self.labels, self.names)
        codes, labels, names = ([part[k] for k in columns] for part in parts)
        return replace(self, codes=codes, labels=labels, names=names)

    def take(self, rows):
        """Take some of the rows."""
        return replace(
            self,
            given=self.given[rows],
            y=self.y[rows],
            codes=[code[rows] for code in self.codes],
            weight=None if self.weight is None else self.weight[rows],
        )


@dataclass(frozen=True)
class Effects:
    """Effects of a column's categories; 0 where there are no rows of one.

    Attributes
    ----------
    b, std_error : ndarray of shape (n_categories,)
        Conditional modes and their standard errors, the variances known.
    std : float
        Standard deviation of the effects, which is the error of a category not known.
    """

    b: np.ndarray
    std_error: np.ndarray
    std: float

    @classmethod
    def of(cls, n_categories, labels, b, share, std):
        """Put the effects of the categories that there are rows of in their places."""
        there = labels < n_categories  # the others stand for missing categories
        effects = np.zeros(n_categories)
        left = np.ones(n_categories)
        effects[labels[there]], left[labels[there]] = b[there], share[there]
        return cls(effects, std * np.sqrt(np.maximum(left, 0.0)), std)

    def look_up(self, codes):
        """Effects and standard errors of rows; those without a known category have 0."""
        known = (codes >= 0) & (codes < len(self.b))
        codes = np.where(known, codes, 0)
        if not len(self.b):
            return np.zeros(len(codes)), np.full(len(codes), self.std)
        return (
            np.where(known, self.b[codes], 0.0),
            np.where(known, self.std_error[codes], self.std),
        )


class CategoryEffects:
    """Effects of the categories of all columns.

    A column whose categories have one row each has no effects to be told from residuals: they
    are 0.

    Parameters
    ----------
    rows : Rows
    model : type
        `LinearEffects` or `LogisticEffects`.
    """

    def __init__(self, rows, model):
        self.rows = rows
        self.repeat = [k for k, codes in enumerate(rows.codes) if _repeat(codes, rows.weight)]
        self.model = model(rows.of_columns(self.repeat)) if self.repeat else None

    def in_all_rows(self):
        """Effects of each column."""
        return self._place(self.model.in_all_rows() if self.model else [])

    def without(self, train, test):
        """Effects of each column in the rows of `train`."""
        return self._place(self.model.without(train, test) if self.model else [])

    def _place(self, effects):
        placed = [Effects(np.zeros(n), np.zeros(n), 0.0) for n in self.rows.n_categories]
        for k, own in zip(self.repeat, effects, strict=True):
            placed[k] = own
        return placed


def _repeat(codes, weight):
    """Whether a category has more than one row."""
    counted = codes if weight is None else codes[weight > 0]
    return len(counted) > 0 and np.bincount(counted).max() > 1


class LinearEffects:
    """Effects of one column, or of several that cross, in a linear mixed model.

    The variances are estimated once, from all rows; without a fold the rest follows from
    cross-products, which are those of all rows less the fold's.
    """

    def __init__(self, rows):
        self.rows = rows
        check_enough_rows(rows.given, rows.weight, has_groups=True)
        self.shift = pilot_mean(rows.given, rows.y, rows.weight)
        self.total = self._sum_up(rows)
        check_finite_moments(self.total)
        with one_blas_thread(), factors_named(rows.names, self.total, "columns"):
            self.ratios = Ratios.of(self.total, Probes(FEW_PROBES, 0, ENOUGH))

    def in_all_rows(self):
        """Effects of each column."""
        return self._at(self.total)

    def without(self, train, test):
        """Effects of each column in the rows of `train`."""
        rest = None
        if len(train) + len(test) == len(self.rows.y):
            rest = subtract_fold(self.total, self._sum_up(self.rows.take(test)))
        return self._at(self._sum_up(self.rows.take(train)) if rest is None else rest)

    def _at(self, moments):
        return [
            Effects.of(n, one.labels.astype(np.intp), one.effects, one.share, std)
            for n, one, std in zip(
                self.rows.n_categories,
                effects_at(moments, self.ratios),
                self.ratios.theta * self.ratios.sigma,
                strict=True,
            )
        ]

    def _sum_up(self, rows):
        labels = [np.arange(code.max(initial=-1) + 1) for code in self.rows.codes]
        known = {"sample_weight": rows.weight, "shift": self.shift}
        if len(labels) == 1:
            return GroupedMoments.from_rows(
                rows.given, rows.y, rows.codes[0], labels[0], **known
            )
        random = [(0,)] * len(labels)
        return FactorMoments.from_rows(
            rows.given, rows.y, rows.codes, labels, random=random, **known
        )


class LogisticEffects:
    """Effects on the scale of the logit, of each column by itself.

    Without a fold the models are fitted again: there are no cross-products to take off.
    """

    def __init__(self, rows):
        self.rows = rows
        self.kept = []
        for codes in rows.codes:
            every = np.ones(rows.given.shape[1], dtype=bool)
            model = _fit_logistic(rows, codes, every)[0]
            gamma = model.coef_.ravel()[len(every) :]
            variance = np.diag(model.coef_cov_)[1 + len(every) :]
            self.kept.append(gamma**2 > AKAIKE * variance)

    def in_all_rows(self):
        """Effects of each column."""
        return self._fit(self.rows)

    def without(self, train, test):
        """Effects of each column in the rows of `train`."""
        return self._fit(self.rows.take(train))

    def _fit(self, rows):
        columns = zip(rows.codes, rows.n_categories, self.kept, strict=True)
        return [self._effects(rows, *column) for column in columns]

    def _effects(self, rows, codes, n_categories, kept):
        model, present, means = _fit_logistic(rows, codes, kept)
        variance = model.random_effects_cov_.to_numpy()[0, 0]
        left = model.conditional_cov_.to_numpy().ravel()
        share = left / variance if variance > 0 else np.ones_like(left)
        gamma = model.coef_.ravel()[len(kept) :]
        effects = means @ gamma + model.random_effects_.to_numpy()[:, 0]
        return Effects.of(n_categories, present, effects, share, np.sqrt(variance))


def _fit_logistic(rows, codes, kept):
    """Fit a logistic mixed model with some means of the categories; return these, too."""
    counts = slice(None) if rows.weight is None else rows.weight > 0
    rows, codes = rows.take(counts), codes[counts]
    present, positions = np.unique(codes, return_inverse=True)
    sizes, means = group_means(rows.given[:, kept], positions, len(present), rows.weight)
    means -= sizes @ means / sizes.sum()
    columns = np.column_stack([rows.given, means[positions]])
    model = RandomInterceptClassifier()
    with quietly():
        model.fit(columns, rows.y, groups=codes, sample_weight=rows.weight)
    return model, present, means


@contextmanager
def quietly():
    """Let pass what does not concern the effects.

    Given columns that repeat others change nothing, and where the effects have no variance the
    encodings are 0, as they should be.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SingularFitWarning)
        warnings.simplefilter("ignore", LinAlgWarning)
        yield
