"""Satterthwaite's degrees of freedom where residual variances differ between strata."""

from __future__ import annotations

import numpy as np

from skmixed._numerics.fit.criterion_several_columns import CovarianceCriterion
from skmixed._numerics.fit.strata import StrataSums
from skmixed._numerics.inference.degrees_of_freedom import df_of_variance, tangent
from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.moments.strata import StratifiedMoments

# Steps by which exact gradients are differenced: of log weights, and of Psi as a share of it.
# The error of the square of a step, and that of rounding over it, are then both about 1e-8.
STEP = 1e-4


def satterthwaite_of_strata(
    criterion: CovarianceCriterion,
    Lambda: Array,
    moments: StratifiedMoments,
    w: Array,
    contrasts: Array,
) -> Array:
    """Degrees of freedom of contrasts of the fixed effects, by Satterthwaite's method.

    As `satterthwaite`, with the log ratios of the weights as further parameters: for log w_s
    M_XX changes by w_s N_s,XX and r2 by w_s v'N_s v. Their part of the Hessian is a difference
    of exact gradients.

    Parameters
    ----------
    criterion : CovarianceCriterion
        Of the weighted moments.
    Lambda : ndarray of shape (q, q)
        Any factor of Psi at the optimum.
    moments : StratifiedMoments
        Of the rows.
    w : ndarray of shape (n_strata,)
        The weights.
    contrasts : ndarray of shape (k, p)
        In the coordinates of the problem.

    Returns
    -------
    ndarray of shape (k,)
        Between 0 and the residual degrees of freedom.
    """
    derivatives, Psi = criterion(Lambda), Lambda @ Lambda.T
    directions, of_Psi = tangent(Lambda, derivatives, diagonal=criterion.problem.diagonal)
    root = derivatives.root[:-1, :-1]
    D = np.einsum("rab,abkl->rkl", directions, derivatives.UU[..., :-1, :-1])
    t = np.einsum("rab,ab->r", directions, derivatives.UU[..., -1, -1])
    # the first stratum's weight stays: only ratios are free
    sums = StrataSums.of(moments, criterion.problem.coordinates)
    parts, free = sums.at(Psi, w), slice(1, None)
    wN = w[free, None, None] * parts.N[free]
    D = np.concatenate([D, -root @ wN[:, :-1, :-1] @ root.T])
    t = np.append(t, -w[free] * parts.squares[free] * criterion.dof / parts.r2)
    mixed, of_w = _differences(sums, Psi, w, directions, reml=criterion.reml)
    H = np.block([[of_Psi, mixed], [mixed.T, of_w]])
    return df_of_variance(root, contrasts, D, t, H, criterion.dof)


def _differences(
    sums: StrataSums, Psi: Array, w: Array, directions: Array, *, reml: bool
) -> tuple[Array, Array]:
    """Second derivatives for log weights and directions of Psi, and for log weights alone."""

    def gradient(Psi: Array, w: Array) -> Array:
        return sums.at(Psi, w).gradient(w, sums.n, reml=reml)[1:]

    mixed = np.zeros((len(directions), len(w) - 1))
    for r, E in enumerate(directions):
        h = STEP * np.linalg.norm(Psi) / np.linalg.norm(E)
        mixed[r] = (gradient(Psi + h * E, w) - gradient(Psi - h * E, w)) / (2 * h)
    of_w = np.empty((len(w) - 1, len(w) - 1))
    for s in range(1, len(w)):
        change = np.exp(STEP * (np.arange(len(w)) == s))
        of_w[s - 1] = (gradient(Psi, w * change) - gradient(Psi, w / change)) / (2 * STEP)
    return mixed, (of_w + of_w.T) / 2
