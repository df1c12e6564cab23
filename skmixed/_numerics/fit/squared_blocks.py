"""Sums of squares of Z'V^-1 Z over pairs of levels, of which expected information is made."""

from __future__ import annotations

import numpy as np

from skmixed._numerics.fit.elimination_dense import DenseBlocks
from skmixed._numerics.linalg.arrays import Array

Pair = tuple[int, int]


def squared_blocks(of: DenseBlocks) -> dict[Pair, Array]:
    """Return sum Q_ac Q_bd over blocks Q of Z'V^-1 Z, axes a b c d, for pairs of factors.

    Each pair has one order. With W_ab = sum_j (K N)_a' (K N)_b over levels of the largest
    factor e, Y = I - H G~, and X_jj' = (K N)_j H (K N)_j',

        Q_22 = G~ Y,  Q_e2 = K N Y,  Q_ee = K G - X.
    """
    layout, e, q_e = of.layout, of.layout.factor, len(of.own.H)
    sums: dict[tuple[int, int], Array] = {}
    W = _squares_of_KN(of)
    for f in layout.others:
        sums[e, f] = np.zeros((q_e, q_e) + (layout.problem.q[f],) * 2)
        for g in layout.others:
            if f <= g:
                sums[f, g] = np.zeros((layout.problem.q[f],) * 2 + (layout.problem.q[g],) * 2)
    KG, X = of.own.KG, of.sums_by_level(*of.KN_with_H())
    of_e = np.einsum("ack,bdk->abcd", KG, KG - X) - np.einsum("ack,bdk->abcd", X, KG)
    for kind in layout.components.kinds:
        G, H = kind.of(of.G), kind.of(of.H)
        Y = -np.matmul(H, G)
        size = Y.shape[1]
        Y.reshape(len(Y), -1)[:, :: size + 1] += 1
        Q = np.matmul(G, Y)
        blocks = dict(zip(layout.others, kind.blocks, strict=True))
        for (f, g), total in sums.items():
            if f != e:
                total += _squared_block(Q, blocks[f], blocks[g])
        HW = {pair: np.matmul(H, kind.of(buffer)) for pair, buffer in W.items()}
        for (a, b), buffer in W.items():
            WY = np.matmul(kind.of(buffer), Y)
            for f in layout.others:
                start, q, levels = blocks[f]
                shape = (*Y.shape[:2], q, levels)
                columns = slice(start, start + q * levels)
                one, two = Y[..., columns].reshape(shape), WY[..., columns].reshape(shape)
                sums[e, f][a, b] += np.einsum("nial,nibl->ab", one, two)
            for c, d in W:  # X_ac X_bd over all pairs of levels
                of_e[a, b, c, d] += np.sum(HW[b, a] * HW[c, d].swapaxes(1, 2))
    sums[e, e] = of_e
    return sums


def _squares_of_KN(of: DenseBlocks) -> dict[tuple[int, int], Array]:
    """W_ab as buffers of dense blocks."""
    if of.squares is not None:
        return {(0, 0): of.squares}
    KN, W = of.KN(), {}
    q_e, n = KN.shape
    for a in range(q_e):
        for b in range(q_e):
            left, right = np.zeros((q_e, n)), np.zeros((q_e, n))
            left[0], right[0] = KN[a], KN[b]  # in rows that have entries for all a
            W[a, b] = of.layout.products(left.ravel(), right.ravel())
    return W


def _squared_block(Q: Array, of_f: tuple[int, int, int], of_g: tuple[int, int, int]) -> Array:
    """Sum Q_ac Q_bd over pairs of levels of two factors, axes a b c d."""
    (i, q_f, J_f), (j, q_g, J_g) = of_f, of_g
    block = Q[:, i : i + q_f * J_f, j : j + q_g * J_g].reshape(len(Q), q_f, J_f, q_g, J_g)
    # rows for (a, c), columns for all pairs of levels
    rows = block.transpose(1, 3, 0, 2, 4).reshape(q_f * q_g, -1)
    squares = (rows @ rows.T).reshape(q_f, q_g, q_f, q_g)
    return np.asarray(squares.transpose(0, 2, 1, 3))
