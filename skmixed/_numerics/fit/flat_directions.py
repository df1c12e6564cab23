"""Which variances and covariances the rows determine, and which no y can."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skmixed._numerics.fit.criterion import Criterion
from skmixed._numerics.fit.criterion_several_columns import CovarianceCriterion
from skmixed._numerics.fit.factor import changes_of_psi
from skmixed._numerics.fit.problem import Problem
from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.linalg.digits import (
    CHANGE_ERROR,
    INFORMATION_ERROR,
    RANK_TOLERANCE,
    ROUNDED,
)
from skmixed._numerics.linalg.small_matrices import (
    gram_by_matrix,
    multiply_transposed,
    quadratic_form,
    sum_of_outer,
)

# What about so many groups determine need not be looked for in the others.
SAMPLE_GROUPS = 500


@dataclass(frozen=True)
class FlatDirections:
    """Changes of the variances and covariances that leave the likelihood as it is.

    There are d independent ones, and their sums; d is mostly 0. They change Sigma = sigma2 Psi
    and sigma2 by numbers that do not depend on where these are.

    Attributes
    ----------
    of_psi : ndarray of shape (d, q, q)
        Changes of Sigma, in the coordinates of the problem.
    of_sigma2 : ndarray of shape (d,)
        Changes of sigma2.
    backmap : ndarray of shape (n_random, q)
        From the random effects of the problem to those of the user.
    """

    of_psi: Array
    of_sigma2: Array
    backmap: Array

    def __len__(self) -> int:
        return len(self.of_sigma2)

    @property
    def of_covariance(self) -> Array:
        """Changes of the user's covariance matrix, shape (d, n_random, n_random).

        Entries are 0 if they would be nothing but rounding in standard units.
        """
        change = self.backmap @ self.of_psi @ self.backmap.T
        return np.where(np.abs(change) > self._rounding * self._size, change, 0.0)

    @property
    def change_sigma2(self) -> bool:
        """Whether they change sigma2, too."""
        return bool(np.any(np.abs(self.of_sigma2) > self._rounding))

    @property
    def end_without_covariances(self) -> bool:
        """Whether each of them changes a covariance of the user's effects."""
        above = np.triu_indices(len(self.backmap), 1)
        covariances = self.of_covariance[:, *above] / self._size[above]
        return bool(np.linalg.matrix_rank(covariances, tol=self._rounding) == len(self))

    @property
    def _size(self) -> Array:
        """Size of covariances if effects are as large as residuals, (n_random, n_random)."""
        scale = np.linalg.norm(self.backmap, axis=1)
        scale = np.where(scale > 0, scale, 1.0)  # columns that are not kept
        return np.asarray(np.outer(scale, scale))

    @property
    def _rounding(self) -> float:
        return CHANGE_ERROR * float(np.abs(self.of_psi).max(initial=0.0))


def flat_directions(criterion: Criterion) -> FlatDirections:
    """Find the changes of the variances and covariances that no y can tell from none.

    y has the covariance matrix V = sigma2 W^-1 + Z Sigma Z', linear in Sigma and sigma2. A
    change dV is felt unless tr(P dV P dV) is 0, with P = V^-1 for ML; for REML the part of X
    is taken off. This quadratic form is the expected Hessian of the criterion. Where it is 0,
    the criterion is constant for every y, and that holds at all Sigma alike, also where a
    variance is 0. The Hessian itself may be flat at an optimum by chance.

    It is taken at Psi = I, where groups of all sizes count about the same. For one random
    column nothing is looked for.

    The cost is about that of the criterion and its derivatives, for at most 1,000 groups if
    these determine everything.
    """
    problem = criterion.problem
    if not isinstance(criterion, CovarianceCriterion) or problem.q < 2:
        return _combine(problem, np.zeros((0, 0, 0)), np.zeros((0, 1)))
    step = problem.n_groups // SAMPLE_GROUPS
    if step > 1:
        E, flat = _flat_combinations(criterion.sampled(step))
        if not len(flat):
            return _combine(problem, E, flat)
    return _combine(problem, *_flat_combinations(criterion))


def constant_within(problem: Problem) -> NDArray[np.bool_]:
    """Which of the user's random columns do not vary within any group, shape (n_random,)."""
    coordinates = problem.coordinates
    kept, shift = coordinates.random_kept, coordinates.shift[list(coordinates.random)]
    # squares of the numbers as they were given, which are rounded
    given = np.sum(problem.root**2, axis=(1, 2))
    given += problem.n * ((coordinates.Z_map * shift) ** 2).sum(axis=1)
    # the first of each group's basis is constant
    own = np.sum(problem.root[:, 1:] ** 2, axis=(1, 2))
    constant = np.zeros(len(kept), dtype=np.bool_)
    constant[kept] = own <= ROUNDED * given
    return constant


def _combine(problem: Problem, E: Array, flat: Array) -> FlatDirections:
    """Make changes of Sigma and sigma2 of those of Psi at I, and of log sigma2."""
    of_sigma2 = flat[:, -1]
    of_psi = np.tensordot(flat[:, :-1], E, 1) + of_sigma2[:, None, None] * np.eye(E.shape[-1])
    return FlatDirections(of_psi, of_sigma2, problem.coordinates.random_backmap)


def _flat_combinations(criterion: CovarianceCriterion) -> tuple[Array, Array]:
    """Entries E of Psi, shape (m, q, q), and flat combinations of these and log sigma2.

    The combinations have the shape (d, m + 1).
    """
    E = changes_of_psi(criterion.problem.q, diagonal=criterion.problem.diagonal)
    information, unit = _expected_hessian(criterion, E)
    eigenvalues, vectors = np.linalg.eigh(information)
    is_flat = np.abs(eigenvalues) <= INFORMATION_ERROR * eigenvalues[-1]
    return E, (unit[:, None] * vectors[:, is_flat]).T


def _expected_hessian(criterion: CovarianceCriterion, E: Array) -> tuple[Array, Array]:
    """tr(P dV_i P dV_j) for changes E_i of Psi and one of log sigma2, at Psi = I.

    For ML it is sum_j tr(E N_j F N_j); with REML, U_j = Delta_X M_XX^-1/2 and
    a_E = sum_j U_j' E U_j,

        sum_j tr(E N_j F N_j) - 2 tr(E N_j F U_j U_j')  +  tr(a_E a_F).

    That of E and log sigma2 is sum_j tr(E N_j) - tr(a_E), and that of log sigma2 dof.

    Returns
    -------
    hessian : ndarray of shape (m + 1, m + 1)
        With each change in the unit that makes its diagonal 1 for ML.
    unit : ndarray of shape (m + 1,)
        These units.
    """
    NN, NQ, UU, sum_N = _sums_of_products(criterion)
    entries = quadratic_form(E, NN)
    unit = 1 / np.sqrt(np.append(np.diag(entries), criterion.problem.n))
    a = np.tensordot(E, UU, ((1, 2), (0, 2)))  # axes i m n, and symmetric in these
    crossed = quadratic_form(E, NQ)
    entries += np.tensordot(a, a, ((1, 2), (1, 2))) - crossed - crossed.T
    border = np.tensordot(E, sum_N, 2) - np.trace(a, axis1=1, axis2=2)
    hessian = np.block([[entries, border[:, None]], [border, criterion.dof]])
    return hessian * np.outer(unit, unit), unit


def _sums_of_products(criterion: CovarianceCriterion) -> tuple[Array, Array, Array, Array]:
    """Add up N (x) N, N (x) U U', U (x) U and N over groups, at Psi = I; U is 0 for ML.

    Shapes are (a, b, c, d) twice, (a, m, b, n) and (a, b).
    """
    q, Lambda = criterion.problem.q, np.eye(criterion.problem.q)
    root = _root_of_inverse(criterion.eliminate(Lambda)[1][:-1, :-1])
    root = root if criterion.reml else root[:0]
    NN, NQ, sum_N = np.zeros((q,) * 4), np.zeros((q,) * 4), np.zeros((q, q))
    UU = np.zeros((q, len(root), q, len(root)))
    for N, Delta in criterion.projections(Lambda):
        U = multiply_transposed(np.ascontiguousarray(Delta[:, :-1]), root)
        NN += sum_of_outer(N, N)
        NQ += sum_of_outer(N, gram_by_matrix(U.swapaxes(0, 1)))
        UU += sum_of_outer(U, U)
        sum_N += N.sum(axis=-1)
    return NN, NQ, UU, sum_N


def _root_of_inverse(M: Array) -> Array:
    """W with W M W' = I, without directions in which M is 0 but for rounding."""
    size = np.sqrt(np.diag(M))
    unit = np.divide(1.0, size, out=np.zeros_like(size), where=size > 0)
    squares, vectors = np.linalg.eigh(M * np.outer(unit, unit))
    kept = squares > RANK_TOLERANCE
    return np.asarray((vectors[:, kept] / np.sqrt(squares[kept])).T * unit)
