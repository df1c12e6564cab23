"""Residuals of rows around fits without their level of one of several factors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.linalg import lapack

from skmixed._numerics.fit.criterion_of_factors import Eliminated, FactorsCriterion
from skmixed._numerics.fit.elimination import block_matrix
from skmixed._numerics.fit.elimination_dense import DenseBlocks
from skmixed._numerics.fit.factors import FactorsSolution, solve_factors
from skmixed._numerics.fit.fit import Specification
from skmixed._numerics.fit.problem_of_factors import make_factors_problem
from skmixed._numerics.inference.prediction_of_factors import sparse_rows
from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.linalg.digits import DETERMINED
from skmixed._numerics.moments.cells import FactorMoments

# Levels are left out together up to so many rows.
BATCH_ROWS = 256
# Of a level with more rows, its moments are taken off those of all.
MOST_ROWS = 2000
Positions = NDArray[np.intp]


@dataclass(frozen=True)
class LevelsLeftOut:
    """The covariance of predictions in a fit, and what follows for a fit without some rows.

    With e the residuals, W the weights and C sigma2 the covariance of predictions around their
    means, P y = W e and P = W - W C W; so the residuals of rows S around a fit without them,
    (P_SS)^-1 (P y)_S, are (I - C_SS W_S)^-1 e_S.

    Attributes
    ----------
    at : Eliminated
        The random effects eliminated, the largest factor first.
    """

    at: Eliminated

    @classmethod
    def at_optimum(cls, criterion: FactorsCriterion, Lambdas: Sequence[Array]) -> LevelsLeftOut:
        return cls(criterion.eliminate(Lambdas, largest_first=True))

    @cached_property
    def blocks(self) -> DenseBlocks:
        (blocks,) = self.at.elimination.parts
        assert isinstance(blocks, DenseBlocks)  # there are several factors
        return blocks

    @cached_property
    def _within_largest(self) -> sparse.csr_array[Any]:
        """F' of each level of the largest factor: z'F'F z is its variance given the others."""
        J = self.blocks.layout.n_levels
        each = np.arange(J)
        F = self.blocks.own.F.swapaxes(0, 1)
        return block_matrix(F, each, each, (J, J))

    @cached_property
    def _HN(self) -> sparse.csr_array[Any]:
        return self.blocks.layout.rows(self.blocks.HN)

    def covariance(self, X: Array, Z: Sequence[Array], levels: Sequence[Positions]) -> Array:
        """Return C of some rows: z_i'H z_j + a_i'M_XX^-1 a_j with a = x - C_X'H z.

        Parameters
        ----------
        X : ndarray of shape (n_rows, p)
            Fixed columns, in the coordinates of the problem.
        Z : sequence of ndarray of shape (n_rows, q_f)
            Random columns of each factor.
        levels : sequence of ndarray of shape (n_rows,)
            Position of each row's level of each factor; -1 if it is not in the fit.
        """
        a, rows = X.T.copy(), []
        for z, level, B in zip(Z, levels, self.at.B, strict=True):
            known = level >= 0
            a[:, known] -= np.einsum("ka,apk->pk", z[known], B[:, :-1, level[known]])
            rows.append(sparse_rows(z, level, B.shape[-1]))
        half = self.at.root[:-1, :-1] @ a
        # b_e = (what varies given b_2) - HN b_2
        layout = self.blocks.layout
        of_e = rows[layout.factor]
        own = of_e @ self._within_largest
        others = sparse.hstack([rows[f] for f in layout.others], format="csr")
        others = sparse.csr_array(others - of_e @ self._HN)
        through = (others @ self.blocks.H_matrix) @ others.T
        return half.T @ half + _dense(own @ own.T) + _dense(through)

    def without_levels(
        self,
        residual: Array,
        X: Array,
        Z: Sequence[Array],
        levels: Sequence[Positions],
        left_out: Positions,
        weight: Array,
    ) -> tuple[Array, bool]:
        """Return the residuals of rows around fits without the rows of the same level.

        Parameters
        ----------
        residual : ndarray of shape (n_rows,)
            Residuals of all rows of some levels around the fit.
        X, Z, levels
            These rows, as for `covariance`.
        left_out : ndarray of shape (n_rows,)
            Which level each is left out with.
        weight : ndarray of shape (n_rows,)
            Their weights; a row of weight 0 is not in the fit.

        Returns
        -------
        residual : ndarray of shape (n_rows,)
        determined : bool
            Whether the other rows determine the same coefficients. If not, residuals are wrong.
        """
        together = left_out[:, None] == left_out
        C = np.where(together, self.covariance(X, Z, levels), 0.0)
        root = np.sqrt(weight)
        A = np.eye(len(root)) - root[:, None] * C * root
        R, failed = lapack.dpotrf(A, lower=1)
        # a pivot is what the rows before leave of a row's own share
        determined = failed == 0 and float(np.min(np.diag(R))) ** 2 > DETERMINED
        scaled, _ = lapack.dpotrs(R, root * residual, lower=1)
        return np.asarray(residual + C @ (root * scaled)), determined


def batches_of_levels(level: Positions, n_levels: int) -> Iterator[Positions]:
    """Yield the rows of whole levels, of several small ones together."""
    order = np.argsort(level, kind="stable")
    order = order[level[order] >= 0]
    counts = np.bincount(level[order], minlength=n_levels)
    ends = np.cumsum(counts)
    batch = np.maximum(ends - 1, 0) // BATCH_ROWS
    last = np.append(batch[1:] != batch[:-1], True)
    yield from (rows for rows in np.split(order, ends[last][:-1]) if len(rows))


def _dense(A: Any) -> Array:
    return np.asarray(A.toarray() if hasattr(A, "toarray") else A)


def solve_without(
    moments: FactorMoments, specifications: Sequence[Specification], Lambdas: Sequence[Array]
) -> FactorsSolution:
    """Solve for other rows with the same variances, given in the user's units.

    A column that depends linearly on those before it in these rows has the coefficient 0.
    """
    problem = make_factors_problem(moments, specifications, search=False)
    criterion = FactorsCriterion(problem, specifications[0].reml)
    scaled: list[Array] = [
        np.asarray(np.linalg.solve(own.random_backmap, Lambda), dtype=np.float64)
        for own, Lambda in zip(problem.by_factor, Lambdas, strict=True)
    ]
    return solve_factors(criterion.eliminate(scaled), scaled)
