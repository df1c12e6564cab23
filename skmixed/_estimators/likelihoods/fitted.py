"""What a model of binary or count outcomes keeps of its fit, to answer questions from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from skmixed._numerics.inference.explained_variance import ExplainedVariance
from skmixed._numerics.likelihoods.averages import averaged_link
from skmixed._numerics.likelihoods.conditional import ConditionalEffects
from skmixed._numerics.likelihoods.families import FAMILIES
from skmixed._numerics.likelihoods.fit import LikelihoodFit
from skmixed._numerics.likelihoods.hessian import curvature
from skmixed._numerics.likelihoods.profile import coefficient_limits, sd_limits
from skmixed._numerics.linalg.digits import SAME_SUMS
from skmixed._rows.columns import dense_column
from skmixed._rows.messages import NO_ROWS, ROWS_CHANGED
from skmixed._rows.threads import one_blas_thread
from skmixed.exceptions import NotAvailableError

# Modes that are found anew change -2 log L by less, also where groups hardly have any.
SAME_MODES = 1e-6


@dataclass(frozen=True, eq=False)
class SumsOfRows:
    """What is known of the rows of a fit, which are not kept.

    Attributes
    ----------
    labels : ndarray of shape (n_groups,)
        Labels of the groups, sorted.
    sizes, n_rows : ndarray of shape (n_groups,)
        Sums of weights and numbers of rows of the groups.
    n : float
        Sum of all weights.
    n_all : int
        Number of all rows.
    of_y : ndarray of shape (3,)
        Sum of the weights, mean of y and sum of squares around it.
    n_alike : int
        Number of groups whose y do not vary.
    """

    labels: np.ndarray
    sizes: np.ndarray
    n_rows: np.ndarray
    n: float
    n_all: int
    of_y: np.ndarray
    n_alike: int

    @classmethod
    def of(cls, rows):
        """Sum up checked rows that all have a weight."""
        y, labels = rows.y, rows.labels
        weight = np.ones(len(y)) if rows.sample_weight is None else rows.sample_weight
        n_rows = sizes = np.zeros(0)
        n_alike = 0
        if rows.codes is not None:
            n_alike = count_alike(y, rows.codes, len(labels))
            n_rows = np.bincount(rows.codes, minlength=len(labels))
            sizes = np.bincount(rows.codes, weight, minlength=len(labels))
        n = float(weight.sum())
        mean = float(weight @ y) / n
        of_y = np.array([n, mean, float(weight @ (y - mean) ** 2)])
        return cls(labels, sizes, n_rows, n, len(y), of_y, n_alike)


def count_alike(y, codes, n_groups):
    """Count groups whose y do not vary."""
    one_of_each = np.empty(n_groups)
    one_of_each[codes] = y
    differ = np.bincount(codes, y != one_of_each[codes], minlength=n_groups)
    return int(np.count_nonzero(differ == 0))


@dataclass(frozen=True, eq=False)
class RandomColumns:
    """Which columns of the features have random effects.

    Attributes
    ----------
    slopes : tuple of int
        Positions among the features.
    has_level : bool
        Whether the level varies between groups, too.
    """

    slopes: tuple[int, ...]
    has_level: bool

    @property
    def of_ones_and_features(self):
        """Positions among [1, X]."""
        return (*[0][: self.has_level], *(1 + position for position in self.slopes))

    def of_rows(self, X):
        """Return Z, of shape (n_rows, q)."""
        ones = [np.ones(X.shape[0])] if self.has_level else []
        columns = [dense_column(X, position) for position in self.slopes]
        return np.column_stack([*ones, *columns]).astype(np.float64, copy=False)


@dataclass(frozen=True, eq=False)
class FittedLikelihood:
    """The distribution, the random effects and sums over the rows.

    Attributes
    ----------
    family : str
        "binomial" or "poisson".
    random : RandomColumns
        Columns with random effects.
    Psi : ndarray of shape (q, q)
        Their covariance.
    effects : ConditionalEffects
        Distribution of the groups' random effects given their rows.
    kept : ndarray of shape (n_terms,), dtype bool
        Which terms have a coefficient.
    sums : SumsOfRows
        Over the rows of the fit.
    latent : ExplainedVariance
        Variances on the scale of the link.
    pearson : float
        Pearson's chi-square of counts at the modes; NaN of binary outcomes.
    fit : LikelihoodFit or None
        The fit with its rows, which standard errors need; None once these are known.
    known_coef_cov : ndarray of shape (n_terms, n_terms) or None
        The covariance of the coefficients, if it is known.
    """

    family: str
    random: RandomColumns
    Psi: np.ndarray
    effects: ConditionalEffects
    kept: np.ndarray
    sums: SumsOfRows
    latent: ExplainedVariance
    pearson: float
    fit: LikelihoodFit | None
    known_coef_cov: np.ndarray | None = None

    @cached_property
    def coef_cov(self):
        """Covariance of the coefficients, by the Hessian; NaN where they are dropped."""
        if self.fit is None:
            return self.known_coef_cov
        cov = self.curvature.coef_cov.copy()
        runs_away = np.diag(cov) < 0  # no optimum, so no variance
        cov[runs_away] = cov[:, runs_away] = np.nan
        return cov

    @cached_property
    def curvature(self):
        """Second derivatives of the likelihood at the estimate."""
        self._check_rows()
        with one_blas_thread():
            return curvature(self.fit)

    def profile_limits(self, level):
        """Find limits of the standard deviation of a single random effect, and of all terms.

        Parameters
        ----------
        level : float
            Of the intervals.

        Returns
        -------
        sd : ndarray of shape (2,) or None
            None with several random effects.
        fixed : ndarray of shape (n_terms, 2)
            NaN for terms without a coefficient, and where none was found.
        """
        if self.fit is None:
            raise NotAvailableError(NO_ROWS)
        self._check_rows()
        given = self.fit, self.curvature
        with one_blas_thread():
            terms = range(len(self.kept))
            fixed = [coefficient_limits(*given, column, level) for column in terms]
            sd = np.array(sd_limits(*given, level)) if len(self.Psi) == 1 else None
        return sd, np.array(fixed).reshape(-1, 2)

    def _check_rows(self):
        """Refuse rows that are not what they were in the fit."""
        point = self.fit.optimum.point
        now = self.fit.criterion.evaluate(point.beta, point.Lambda, point.evaluation.u)
        if not np.isclose(now.value, point.value, rtol=SAME_SUMS, atol=SAME_MODES):
            raise ValueError(ROWS_CHANGED)

    def without_rows(self):
        """Compute what needs the rows, and let go of them."""
        return replace(self, fit=None, known_coef_cov=self.coef_cov)

    @property
    def n_rows(self):
        """Number of rows."""
        return self.sums.n_all

    @property
    def total_weight(self):
        """Sum of the weights."""
        return self.sums.n

    @property
    def n_for_bic(self):
        """Rows: a weighted one is several if binary, and one with its exposure if a count."""
        return self.sums.n if self.family == "binomial" else self.sums.n_all

    @cached_property
    def pooling_weights(self):
        """1 - (conditional variance) / (variance), shape (q, n_groups); 0 if that is 0."""
        variance = np.diag(self.Psi)[:, None]
        left = np.einsum("aaj->aj", self.effects.covariance)
        share = np.divide(left, variance, out=np.ones_like(left), where=variance > 0)
        return np.clip(1 - share, 0.0, 1.0)

    @property
    def effects_taken_up(self):
        """Effective number of random effects: sum_j q - tr(Psi^-1 cov_j)."""
        inverse = np.linalg.pinv(self.Psi, hermitian=True)
        n_groups, rank = self.effects.covariance.shape[-1], np.linalg.matrix_rank(self.Psi)
        left = np.einsum("ab,abj->", inverse, self.effects.covariance)
        return max(n_groups * int(rank) - float(left), 0.0)

    def links_of_means(self, eta, X, codes):
        """Link of the mean of each row, averaged over what is not known of its group.

        Parameters
        ----------
        eta : ndarray of shape (n_rows,)
            Linear predictor of the fixed effects.
        X : {ndarray, sparse matrix} of shape (n_rows, n_features)
            Checked rows.
        codes : ndarray of shape (n_rows,)
            Position of each row's group, -1 for a new one.
        """
        family, Z, known = FAMILIES[self.family], self.random.of_rows(X), codes >= 0
        link = averaged_link(family, eta, quadratic_forms(Z, self.Psi))
        if known.any():
            of_known = self.effects.link(family, eta[known], Z[known], codes[known])
            link[known] = of_known
        return link


def quadratic_forms(Z, cov):
    """Compute z'cov z of each row."""
    return np.maximum(np.einsum("na,ab,nb->n", Z, cov, Z), 0.0)  # less is rounding of 0
