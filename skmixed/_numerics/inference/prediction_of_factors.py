"""How uncertain predictions and random effects are in a model with several factors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from skmixed._numerics.fit.criterion_of_factors import Eliminated
from skmixed._numerics.fit.factors import FactorFit
from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.linalg.small_matrices import gram_by_matrix, multiply


@dataclass(frozen=True)
class FactorsUncertainty:
    """Variances of predictions and of random effects, over sigma2.

    A row with the fixed columns x, and z over all levels, those that it belongs to and that
    are known, has the prediction variance

        z'Hz + a' M_XX^-1 a + sum of z_f' Psi_f z_f over its new levels,  a = x - C_X' H z.

    H holds the covariances between levels of different factors, whether they meet or not.

    Attributes
    ----------
    at : Eliminated
        The random effects eliminated, of all rows that the levels are known by.
    Lambdas : sequence of ndarray of shape (q_f, q_f)
        Any factors of Psi_f.
    root : ndarray of shape (p, p)
        M_XX^-1/2, lower triangular, of the rows that the fixed effects are estimated from.
    """

    at: Eliminated
    Lambdas: Sequence[Array]
    root: Array

    @classmethod
    def of_fit(cls, at: Eliminated, Lambdas: Sequence[Array]) -> FactorsUncertainty:
        """Know the levels by the rows of the fit."""
        return cls(at, Lambdas, at.fixed_root)

    def of_predictions(
        self, X: Array, Z: Sequence[Array], levels: Sequence[NDArray[np.intp]]
    ) -> Array:
        """Return the variance of each row's prediction around its true mean.

        Parameters
        ----------
        X : ndarray of shape (n_rows, p)
            Fixed-effect columns, in the coordinates of the problem.
        Z : sequence of ndarray of shape (n_rows, q_f)
            Random columns of each factor, likewise.
        levels : sequence of ndarray of shape (n_rows,)
            Position of each row's level of each factor; -1 for a new one.

        Returns
        -------
        ndarray of shape (n_rows,)
        """
        new = np.zeros(len(X))
        for z, level, Lambda in zip(Z, levels, self.Lambdas, strict=True):
            new += (level < 0) * np.sum((z @ Lambda) ** 2, axis=1)
        of_b, half = self.parts(X, Z, levels)
        return np.asarray(of_b + new + np.sum(half**2, axis=0))

    def parts(
        self, X: Array, Z: Sequence[Array], levels: Sequence[NDArray[np.intp]]
    ) -> tuple[Array, Array]:
        """Return z'Hz, shape (n_rows,), and M_XX^-1/2 a, shape (p, n_rows), of known levels."""
        a, rows = X.T.copy(), []
        for z, level, B in zip(Z, levels, self.at.B, strict=True):
            known = level >= 0
            a[:, known] -= np.einsum("ka,apk->pk", z[known], B[:, :-1, level[known]])
            rows.append(sparse_rows(z, level, B.shape[-1]))
        return np.asarray(self.at.elimination.variances(rows)), self.root @ a

    @cached_property
    def given_parameters(self) -> list[Array]:
        """H of each level: Var(b | y), (q_f, q_f, J_f)."""
        return self.at.elimination.covariances()

    def of_random_effects(self) -> list[Array]:
        """Return Var(b^ - b) of each level, with the uncertainty of the fixed effects."""
        variances = []
        for H, B in zip(self.given_parameters, self.at.B, strict=True):
            HC = multiply(self.root, np.ascontiguousarray(B[:, :-1].swapaxes(0, 1)))
            variances.append(H + gram_by_matrix(HC))  # axes p a k
        return variances


def predict_rows(
    fit: FactorFit, X: Array, levels: Sequence[NDArray[np.intp]], *, variances: bool = True
) -> tuple[Array, Array]:
    """Predict rows of the user, with the variance of the prediction around the true mean.

    Parameters
    ----------
    fit : FactorFit
        The fitted model.
    X : ndarray of shape (n_rows, n_features)
        Features, as they were summed up.
    levels : sequence of ndarray of shape (n_rows,)
        Position of each row's level of each factor; -1 for a new one, whose effects are 0.
    variances : bool, default=True
        If false, the second part is empty.

    Returns
    -------
    mean, variance : ndarray of shape (n_rows,)
    """
    coordinates, solution = fit.problem.coordinates, fit.solution
    backmap = coordinates.backmap
    with_ones = np.column_stack([np.ones(len(X)), X])
    fixed = with_ones[:, with_ones.shape[1] - len(backmap) :]
    mean = fixed @ solution.beta
    Z = []
    for own, level, b in zip(fit.problem.by_factor, levels, solution.b, strict=True):
        z = with_ones[:, list(own.random[len(own.random) - len(own.random_backmap) :])]
        known = level >= 0
        mean[known] += np.sum(z[known] * b[:, level[known]].T, axis=1)
        Z.append(z @ own.random_backmap)
    if not variances:
        return mean, np.zeros(0)
    uncertainty = FactorsUncertainty.of_fit(fit.at, fit.optimum.Lambdas)
    scaled = fixed @ backmap / coordinates.y_scale
    return mean, solution.sigma2 * uncertainty.of_predictions(scaled, Z, levels)


def sparse_rows(z: Array, level: NDArray[np.intp], n_levels: int) -> sparse.csr_array:
    """Return rows over (a, level) with an entry for each random column, if it is known."""
    n, q = z.shape
    known = np.flatnonzero(level >= 0)
    columns = np.arange(q) * n_levels + level[known, None]
    rows = np.broadcast_to(known[:, None], columns.shape)
    entries = (z[known].ravel(), (rows.ravel(), columns.ravel()))
    return sparse.csr_array(entries, shape=(n, q * n_levels))
