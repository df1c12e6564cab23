"""Residuals of rows and groups left out, the variance components held fixed."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from skmixed._numerics.fit.criterion import Criterion
from skmixed._numerics.fit.problem import Problem
from skmixed._numerics.inference.prediction import Uncertainty
from skmixed._numerics.leave_out.influence import RowsInFit
from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.linalg.digits import DETERMINED
from skmixed._numerics.linalg.independent import independent
from skmixed._numerics.linalg.small_matrices import (
    cholesky,
    solve_lower,
    solve_lower_transposed,
)
from skmixed._numerics.moments.moments import GroupedMoments
from skmixed._numerics.moments.own_lines import OwnLines


@dataclass(frozen=True)
class LeaveOut:
    """A fit by generalised least squares, and what changes without some of its rows.

    Rows are given as D, of shape (n_columns, n_rows): the columns of [1, X, y] around
    ``problem.coordinates.shift``, one in each row. Residuals are in the problem's units of y.

    Attributes
    ----------
    problem : Problem
        Moments of the model.
    M : ndarray of shape (p + 1, p + 1)
        D' V^-1 D of all rows, D the columns [X, y] of the problem.
    root : ndarray of shape (p, p)
        M_XX^-1/2, lower triangular: a' M_XX^-1 a = |root a|^2.
    beta : ndarray of shape (p,)
        Fixed effects.
    b : ndarray of shape (q, n_groups + 1)
        Conditional modes of the random effects; the last ones, of a new group, are 0.
    Lambda : ndarray of shape (q, q)
        Relative covariance factor of the random effects.
    H : ndarray of shape (q, q, n_groups + 1)
        Conditional covariances of the random effects, over sigma2; the last, Psi, is that of
        a new group.
    HC : ndarray of shape (q, p, n_groups + 1)
        H_j C_jX; the last is 0.
    """

    problem: Problem
    M: Array
    root: Array
    beta: Array
    b: Array
    Lambda: Array
    H: Array
    HC: Array

    @classmethod
    def from_criterion(cls, criterion: Criterion, Lambda: Array) -> LeaveOut:
        """Solve for given variance components."""
        problem = criterion.problem
        _, M = criterion.eliminate(Lambda)
        beta, _ = criterion.coefficients(M)
        b = criterion.conditional_modes(Lambda, beta)
        # a new group comes last, so that the code -1 finds it
        b = np.append(b, np.zeros((len(b), 1)), axis=1)
        groups = np.append(np.arange(problem.n_groups), -1)
        uncertainty = Uncertainty.from_criterion(criterion, Lambda)
        H, HC = uncertainty.shrinkage(groups)
        return cls(problem, M, uncertainty.root, beta, b, Lambda, H, HC)

    def refit(self, criterion: Criterion, moments: GroupedMoments) -> LeaveOut:
        """Solve for other rows, in the same coordinates and with the same Psi.

        A column that depends linearly on those before it in these rows has no coefficient.

        Parameters
        ----------
        criterion : Criterion
            That of this fit.
        moments : GroupedMoments
            Of the other rows.

        Returns
        -------
        LeaveOut
        """
        coordinates = self.problem.coordinates
        lines = OwnLines.of(moments.around(coordinates.shift))
        lines = replace(lines, taken=coordinates.taken)  # y is what is left of it
        T = coordinates.cross_products(lines.T)
        # the scales are those of all rows: other rows have a Gram matrix of another diagonal
        size = np.sqrt(np.maximum(np.diag(T)[:-1], np.finfo(np.float64).tiny))
        kept = np.append(independent(T[:-1, :-1] / np.outer(size, size)), True)
        own, root = coordinates.of_lines(lines)
        problem = replace(
            self.problem,
            within=coordinates.cross_products(lines.within)[np.ix_(kept, kept)],
            own=own[:, kept],
            root=root,
            noise=self.problem.noise[kept],
            n=moments.n,
            n_rows=moments.n_rows,
            coordinates=replace(
                coordinates, used=coordinates.used[kept], scale=coordinates.scale[kept]
            ),
        )
        return LeaveOut.from_criterion(replace(criterion, problem=problem), self.Lambda)

    def residuals(self, D: Array, codes: NDArray[np.intp]) -> Array:
        """Return y - x'beta - z'b_j of rows.

        Parameters
        ----------
        D : ndarray of shape (n_columns, n_rows)
            The rows.
        codes : ndarray of shape (n_rows,)
            Position of each row's group; -1 if it is not in the fit.

        Returns
        -------
        ndarray of shape (n_rows,)
        """
        return self._residuals(*self._columns(D), codes)

    def _residuals(self, X: Array, y: Array, Z: Array, codes: NDArray[np.intp]) -> Array:
        random = np.einsum("ak,ak->k", Z, self.b[:, codes])
        residuals: Array = y - self.beta @ X - random
        return residuals

    def without_each_row(
        self, D: Array, codes: NDArray[np.intp], weight: Array
    ) -> tuple[Array, NDArray[np.bool_]]:
        """Return the residual of each row around a fit without it.

        It is (P y)_i / P_ii, where P = V^-1 - V^-1 X M_XX^-1 X' V^-1; see `RowsInFit`.

        Parameters
        ----------
        D, codes : ndarrays
            Rows of the fit, as for `residuals`.
        weight : ndarray of shape (n_rows,)
            A row of weight 0 was not in the fit, and is not left out.

        Returns
        -------
        residual : ndarray of shape (n_rows,)
        determined : ndarray of shape (n_rows,), dtype bool
            Whether the other rows determine the same coefficients. If not, the residual is
            wrong.
        """
        rows = self.rows_in_fit(D, codes, weight)
        return rows.without_each

    def rows_in_fit(self, D: Array, codes: NDArray[np.intp], weight: Array) -> RowsInFit:
        """Return what the fit says of its rows, given as for `without_each_row`."""
        X, y, Z = self._columns(D)
        # random columns a b, fixed ones p, and the row k last, with what belongs to its group
        a = X - np.einsum("ak,apk->pk", Z, self.HC[..., codes])
        return RowsInFit(
            weight=weight,
            residual=self._residuals(X, y, Z, codes),
            marginal=y - self.beta @ X,
            of_effects=np.einsum("ak,abk,bk->k", Z, self.H[..., codes], Z),
            half=self.root @ a,
            spread=np.sum((self.Lambda.T @ Z) ** 2, axis=0),
            of_line=np.sum((self.root @ X) ** 2, axis=0),
        )

    def without_each_group(
        self,
        D: Array,
        codes: NDArray[np.intp],
        products: Array,
        groups: NDArray[np.intp],
    ) -> tuple[Array, NDArray[np.bool_]]:
        """Return the residual of each row around the population line without its group.

        Parameters
        ----------
        D : ndarray of shape (n_columns, n_rows)
            All rows of some groups.
        codes : ndarray of shape (n_rows,)
            Position of each row's group in `groups`.
        products : ndarray of shape (n_columns, n_columns, n_some_groups)
            D_j' W D_j of these groups.
        groups : ndarray of shape (n_some_groups,)
            Their positions among all groups.

        Returns
        -------
        residual : ndarray of shape (n_rows,)
        determined : ndarray of shape (n_some_groups,), dtype bool
            Whether the other groups determine the same coefficients. If not, the residuals of
            the group are wrong.
        """
        beta, determined = self._coefficients_without(products, groups)
        X, y, _ = self._columns(D)
        return y - np.sum(X * beta[:, codes], axis=0), determined

    def _coefficients_without(
        self, products: Array, groups: NDArray[np.intp]
    ) -> tuple[Array, NDArray[np.bool_]]:
        """Return beta without each group, shape (p, k), and whether the others determine it.

        Without group j, M lacks D_j' V_j^-1 D_j = T_j - C_j' H_j C_j.
        """
        C, T = self.problem.C[..., groups], self.problem.coordinates.cross_products(products)
        # random columns a b, those of [X, y] m n, and the group k last
        HC = np.einsum("abk,bmk->amk", self.H[..., groups], C)
        M = self.M[..., None] - T + np.einsum("amk,ank->mnk", C, HC)
        # where nothing is left of a column, the roots are of numbers about 0, or below it
        with np.errstate(invalid="ignore", divide="ignore"):
            R = cholesky(M[:-1, :-1])
            pivots = np.einsum("aak->ak", R) ** 2  # what the columns before leave of each
            determined = np.all(pivots > DETERMINED * np.diag(self.M)[:-1, None], axis=0)
            beta = solve_lower_transposed(R, solve_lower(R, M[:-1, -1:].copy()))[:, 0]
        return beta, np.asarray(determined)

    def _columns(self, D: Array) -> tuple[Array, Array, Array]:
        """X, y and Z of rows, in the coordinates of the problem; the last axis is the row."""
        coordinates = self.problem.coordinates
        columns = coordinates.fixed_columns(D)
        return columns[:-1], columns[-1], coordinates.random_columns(D)
