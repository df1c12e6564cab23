"""Where the minima over covariance matrices may be, by values of the criterion alone."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
from numpy.typing import NDArray

from skmixed._numerics.fit.criterion_several_columns import CovarianceCriterion
from skmixed._numerics.fit.factor import Factor, changes_of_psi
from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.linalg.digits import RANK_TOLERANCE
from skmixed._numerics.linalg.quadratic import QuadraticModel
from skmixed._numerics.linalg.small_matrices import quadratic_form, sum_of_outer

# Sizes of Psi along a ray, where the random columns are of size 1.
SIZES = 10.0 ** np.array([-3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 8])
# Directions of two random columns, over half a turn.
ANGLES = 16
# How many columns may vary at once along a ray: all of a few, pairs of some, one of many.
ALL_OF, PAIRS_OF = 4, 6
# Shares of the way from one Psi to another at which to look at the criterion.
ON_THE_WAY = np.array(
    [0, 1e-6, 1e-4, 1e-3, 0.01, 0.03, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.97]
)
# By which share the criterion may seem to rise on a way down.
RISE = 1e-9
# Share of the largest variance that a scoring step leaves to every direction.
LEAST_SHARE = 0.01


def lowest_on_rays(
    criterion: CovarianceCriterion, *, diagonal: bool, all_rays: bool
) -> tuple[Array, Array]:
    """Look along rays from Psi = 0 for the sizes where the criterion is lower than beside.

    Parameters
    ----------
    criterion : CovarianceCriterion
        The function to look at.
    diagonal : bool
        Whether Psi is restricted to diagonal matrices.
    all_rays : bool
        Whether to look at more than the multiples of the unit matrix.

    Returns
    -------
    unit : ndarray of shape (q, q)
        The lowest multiple of the unit matrix.
    lowest : ndarray of shape (k, q, q)
        All that are lower than beside.
    """
    problem, q = criterion.problem, criterion.problem.q
    matrices = _rays(q, diagonal=diagonal)[: None if all_rays else 1]
    unit = _units(problem.G.sum(axis=-1) / problem.n, diagonal=diagonal)
    Psi = SIZES[:, None, None] * (unit @ matrices @ unit)[:, None]  # axes ray, size, a b
    value = criterion.values_at(Psi.reshape(-1, q, q)).reshape(Psi.shape[:2])
    beside = np.pad(value, ((0, 0), (1, 1)), constant_values=np.inf)
    lower = (value <= beside[:, :-2]) & (value < beside[:, 2:])
    if all_rays and not diagonal and q == 2:  # angles beside, too
        turned = value[1:]
        lower[1:] &= (turned <= np.roll(turned, 1, axis=0)) & (
            turned <= np.roll(turned, -1, axis=0)
        )
    return Psi[0, np.argmin(value[0])], Psi[lower]


def leads_down(criterion: CovarianceCriterion, starts: Array, end: Array) -> NDArray[np.bool_]:
    """Whether the criterion falls all the straight way from each of several Psi to another."""
    share = ON_THE_WAY[:, None, None]
    ways = (1 - share) * starts[:, None] + share * end  # axes start, share, a b
    shape, q = ways.shape[:2], len(end)
    value = criterion.values_at(np.concatenate([ways.reshape(-1, q, q), end[None]]))
    value = np.column_stack([value[:-1].reshape(shape), np.full(len(starts), value[-1])])
    rise = np.diff(value, axis=1)
    return np.asarray(np.all(rise <= RISE * np.maximum(1.0, np.abs(value[:, 1:])), axis=1))


def scoring_steps(criterion: CovarianceCriterion, Psi: Array, *, diagonal: bool) -> Array:
    """Take a step from each of several Psi by the expected Hessian, in Psi and log sigma2.

    For balanced groups it leads to the estimate by moments, wherever it begins. The expected
    Hessian of ML is

        <E, A F> = sum_j tr(E N_j F N_j),   <E, t> = sum_j tr(E N_j),

    with t for a change of log sigma2, whose own entry is dof.
    """
    Lambda, q, dof = Factor.of_psi(Psi, diagonal=diagonal).Lambda, Psi.shape[-1], criterion.dof
    S, t, NN = criterion(Lambda).S, np.zeros_like(Psi), np.zeros((*Psi.shape, q, q))
    for N, _ in criterion.projections(Lambda):
        t += N.sum(axis=-1)
        NN += sum_of_outer(N, N)
    E = changes_of_psi(q, diagonal=diagonal)
    t_E, S_E = (np.tensordot(part, E, ((1, 2), (1, 2))) for part in (t, S))
    A = quadratic_form(E, NN) - t_E[:, :, None] * t_E[:, None, :] / dof
    model = QuadraticModel.of(S_E, A)
    step = np.matmul(model.basis, model.newton[..., None])[..., 0]
    # Sigma = sigma2 Psi and sigma2 change together; Psi is their ratio
    growth = np.maximum(1 - np.sum(t_E * step, axis=-1) / dof, LEAST_SHARE)
    variances, V = np.linalg.eigh(Psi + np.tensordot(step / growth[:, None], E, 1))
    largest = np.maximum(variances[:, -1:], np.trace(Psi, axis1=1, axis2=2)[:, None] / 100)
    variances = np.maximum(variances, LEAST_SHARE * largest)
    stepped: Array = (V * variances[:, None, :]) @ V.swapaxes(-1, -2)
    return stepped


def _units(squares: Array, *, diagonal: bool) -> Array:
    """Symmetric U with U squares U = I: random columns of size 1, and uncorrelated if full."""
    if diagonal:
        return np.diag(1 / np.sqrt(np.diag(squares)))
    variances, V = np.linalg.eigh(squares)
    sizes = np.sqrt(np.maximum(variances, RANK_TOLERANCE * variances[-1]))
    return np.asarray((V / sizes) @ V.T)


def _rays(q: int, *, diagonal: bool) -> Array:
    """Matrices of which Psi may be a multiple, shape (n_rays, q, q); the first is I.

    In the others some directions vary and the rest do not. Uncorrelated effects have each
    choice of columns. Others have one direction each: for two columns sixteen angles, for more
    e_a, e_a +- e_b, e_a +- e_b +- e_c and so on.
    """
    most = q if q <= ALL_OF else 2 if q <= PAIRS_OF else 1
    choices = [list(some) for m in range(1, most + 1) for some in combinations(range(q), m)]
    if diagonal:
        parts = np.array([np.isin(np.arange(q), some) for some in choices], dtype=np.float64)
        return np.concatenate([[np.eye(q)], parts[:, :, None] * np.eye(q)])
    if q == 2:
        angle = np.pi * np.arange(ANGLES) / ANGLES
        v = np.column_stack([np.cos(angle), np.sin(angle)])
    else:
        v = np.array([row for some in choices for row in _signed(q, some)])
    return np.concatenate([[np.eye(q)], v[:, :, None] * v[:, None, :]])


def _signed(q: int, some: list[int]) -> Array:
    """Return unit vectors with entries +-1 / sqrt(m) in some places, the first positive."""
    signs = np.array(list(product([1.0], *[[1.0, -1.0]] * (len(some) - 1))))
    v = np.zeros((len(signs), q))
    v[:, some] = signs / np.sqrt(len(some))
    return v
