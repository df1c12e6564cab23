"""Cross-products of rows in strata, each of which may be given a weight afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skmixed._numerics.linalg.arrays import Array
from skmixed._numerics.moments.moments import GroupedMoments, sum_rows


@dataclass(frozen=True)
class StratifiedMoments:
    """Moments of all rows, and those of each stratum, around the same shift.

    Attributes
    ----------
    total : GroupedMoments
        Of all rows.
    T : ndarray of shape (n_strata, n_columns, n_columns)
        D' W D over the rows of each stratum; their sum is that of `total`.
    C : ndarray of shape (n_strata, n_random, n_columns, n_groups)
        Z_j' W D_j, likewise.
    n_rows : ndarray of shape (n_strata,)
        Number of rows in each stratum.
    """

    total: GroupedMoments
    T: Array
    C: Array
    n_rows: NDArray[np.intp]

    @classmethod
    def from_rows(
        cls,
        X: Any,
        y: NDArray[Any],
        codes: NDArray[np.integer[Any]] | None,
        labels: NDArray[Any],
        sample_weight: Array | None,
        strata: NDArray[np.intp],
        *,
        total: GroupedMoments,
    ) -> StratifiedMoments:
        """Pass over rows of positive weight once, chunk by chunk.

        Parameters
        ----------
        X, y, codes, labels, sample_weight
            As for `GroupedMoments.from_rows`; each label has a row.
        strata : ndarray of shape (n_rows,)
            Number of each row's stratum; each from 0 to the largest has a row.
        total : GroupedMoments
            Of the same rows.
        """
        n_strata, m, random = int(strata.max()) + 1, len(total.shift), total.random
        # a level for each pair of group and stratum; all columns as random ones give T
        pairs = np.zeros(len(y), dtype=np.intp) if codes is None else codes * n_strata
        _, (C, T) = sum_rows(
            X,
            y,
            (pairs + strata, strata),
            (max(len(labels), 1) * n_strata, n_strata),
            sample_weight,
            random=(random, tuple(range(m))),
            shift=total.shift,
        )
        C = np.moveaxis(C.reshape(len(random), m, -1, n_strata), -1, 0)
        if codes is None:
            C = C[..., :0]
        return cls(total, np.moveaxis(T, -1, 0), C, np.bincount(strata))

    @property
    def n(self) -> Array:
        """Sum of the weights of the rows in each stratum."""
        return np.asarray(self.T[:, 0, 0])

    def weighted(self, w: Array) -> GroupedMoments:
        """Sum up the strata, each with a weight."""
        T, C = (np.tensordot(w, part, axes=1) for part in (self.T, self.C))
        return replace(self.total, T=T, C=C)

    def parts(self) -> Iterator[GroupedMoments]:
        """Moments of each stratum alone, with the groups that have rows in it."""
        total = self.total
        for T, C in zip(self.T, self.C, strict=True):
            there = C[0, 0] > 0
            known = {"labels": total.labels[there], "n_rows": total.n_rows[there]}
            yield replace(total, T=T, C=C[..., there], **known)

    def around(self, shift: Array) -> tuple[Array, Array]:
        """Express T and C around another shift, by exact algebra."""
        delta = (self.total.shift - shift)[:, None]
        T = self.T + delta * self.T[:, :1]
        T = T + delta.T * T[..., :1]
        C = self.C + delta * self.C[:, :, :1]
        return T, C + delta[list(self.total.random), None] * C[:, :1]
