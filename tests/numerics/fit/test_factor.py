"""Factors of Psi, and derivatives carried over to their entries."""

import numpy as np
import pytest

from skmixed._numerics.fit.criterion_several_columns import CovarianceDerivatives
from skmixed._numerics.fit.factor import Factor, free_entries

LAMBDAS = {
    "full": np.array([[0.7, 0, 0], [-0.3, 0.5, 0], [0.2, 0.4, 1.2]]),
    "of rank 1": np.array([[0.7, 0, 0], [-0.3, 0, 0], [0.2, 0, 0]]),
    "zero": np.zeros((3, 3)),
}


@pytest.mark.parametrize("Lambda", LAMBDAS.values(), ids=LAMBDAS)
@pytest.mark.parametrize("diagonal", [False, True])
def test_a_factor_gives_psi_back(Lambda, diagonal):
    Lambda = np.diag(np.diag(Lambda)) if diagonal else Lambda
    Psi = Lambda @ Lambda.T
    for factor in (
        Factor.of_psi(Psi, diagonal=diagonal),
        Factor.of_lambda(Lambda, diagonal=diagonal),
        Factor.of_psi(np.array([np.eye(3), Psi]), diagonal=diagonal)[1],
    ):
        np.testing.assert_allclose(factor.Psi, Psi, atol=1e-15)
        np.testing.assert_allclose(factor.V @ factor.V.T, np.eye(3), atol=1e-14)
        assert np.all(factor.scale >= 0)


def test_columns_of_zeros_are_exact_zeros_of_the_scale():
    factor = Factor.of_lambda(LAMBDAS["of rank 1"], diagonal=False)
    assert factor.scale[0] > 0
    assert np.all(factor.scale[1:] == 0)


@pytest.mark.parametrize("Lambda", LAMBDAS.values(), ids=LAMBDAS)
@pytest.mark.parametrize("diagonal", [False, True])
def test_derivatives_in_entries_agree_with_finite_differences(Lambda, diagonal):
    """The criterion <A, Psi> + <Psi, B Psi> / 2 has S = A + B Psi with a constant Hessian B."""
    rng = np.random.default_rng(0)
    A, root = rng.normal(size=(3, 3)), rng.normal(size=(9, 9))
    A, B = A + A.T, (root + root.T).reshape(3, 3, 3, 3)
    B = B + B.transpose(1, 0, 2, 3)
    B = B + B.transpose(0, 1, 3, 2)

    def value(Psi):
        return np.sum(A * Psi) + np.einsum("ab,abcd,cd", Psi, B, Psi) / 2

    factor = Factor.of_psi(Lambda @ Lambda.T, diagonal=False)
    factor = Factor(np.eye(3), factor.scale) if diagonal else factor
    S = A + np.einsum("abcd,cd->ab", B, factor.Psi)
    derivatives = CovarianceDerivatives(value(factor.Psi), S, B, np.empty(0), np.empty(0))
    entries = free_entries(3, diagonal=diagonal)
    directions, hessian = factor.carry_over(derivatives, entries)

    def at(step):
        return value(factor.moved(entries, step))

    h, steps = 1e-4, np.eye(len(entries[0]))
    for i, e in enumerate(steps):
        slope = (at(h * e) - at(-h * e)) / (2 * h)
        assert np.sum(directions[i] * S) == pytest.approx(slope, rel=1e-5, abs=1e-5)
        for j, f in enumerate(steps):
            change = at(h * (e + f)) - at(h * (e - f)) - at(h * (f - e)) + at(-h * (e + f))
            assert hessian[i, j] == pytest.approx(change / (4 * h**2), rel=1e-5, abs=1e-4)
