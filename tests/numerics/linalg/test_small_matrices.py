import numpy as np
import pytest

from skmixed._numerics.linalg import small_matrices as small


@pytest.fixture(params=[1, 2, 3, 5])
def stacks(request):
    rng = np.random.default_rng(request.param)
    q, m, k = request.param, 4, 7
    root = rng.normal(size=(k, q, q))
    A = root @ root.transpose(0, 2, 1) + np.eye(q)
    return A, rng.normal(size=(k, q, m))


def last(stack):
    """Matrix index last, as the module has it."""
    return np.ascontiguousarray(np.moveaxis(stack, 0, -1))


def test_cholesky_and_triangular_solves(stacks):
    A, B = stacks
    R = np.linalg.cholesky(A)
    np.testing.assert_allclose(small.cholesky(last(A)), last(R), atol=1e-12)
    expected = last(np.linalg.solve(R, B))
    np.testing.assert_allclose(small.solve_lower(last(R), last(B)), expected, atol=1e-12)
    expected = last(np.linalg.solve(R.transpose(0, 2, 1), B))
    found = small.solve_lower_transposed(last(R), last(B))
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_products(stacks):
    A, B = stacks
    left = np.random.default_rng(0).normal(size=(3, A.shape[1]))
    np.testing.assert_allclose(small.multiply(left, last(B)), last(left @ B))
    several = np.array([left, 2 * left])
    np.testing.assert_allclose(
        small.multiply(several, last(B)), np.stack([last(A @ B) for A in several])
    )
    np.testing.assert_allclose(small.gram(last(B)), np.einsum("kqm,kqn->mn", B, B))
    turned = small.multiply_transposed(last(B), np.array([B[0], B[1]]))
    np.testing.assert_allclose(turned, [last(B @ B[0].T), last(B @ B[1].T)])
    outer = small.sum_of_outer(last(A), last(B))
    np.testing.assert_allclose(outer, np.einsum("kab,kcd->abcd", A, B))


def test_cholesky_of_semidefinite_matrices_has_columns_of_zeros():
    rng = np.random.default_rng(0)
    root = rng.normal(size=(6, 4, 4))
    root[1, 0] = 0  # a column of zeros, one that follows from others, and only such
    root[2, 2] = root[2, 0] - 2 * root[2, 1]
    root[3, 1:] = root[3, :1]
    root[4] = 0
    A = root @ root.transpose(0, 2, 1)
    null = 1e-13 * np.einsum("kii->ik", A)
    R = small.cholesky_semidefinite(last(A), null)
    np.testing.assert_allclose(np.einsum("ijk,ljk->ilk", R, R), last(A), atol=1e-12)
    np.testing.assert_array_equal(R, R * np.tri(4)[..., None])
    independent = np.einsum("iik->ki", R) > 0
    np.testing.assert_array_equal(
        independent, [[1, 1, 1, 1], [0, 1, 1, 1], [1, 1, 0, 1], [1, 0, 0, 0], [0] * 4, [1] * 4]
    )
    np.testing.assert_allclose(R[..., 0], np.linalg.cholesky(A[0]), atol=1e-12)
    assert not (np.abs(R).max(axis=0).T > 0)[~independent].any()


def test_several_sets_of_matrices_are_as_one_by_one(stacks):
    A, B = (last(stack) for stack in stacks)
    As, Bs = np.array([A, 2 * A]), np.array([B, -B])
    R = small.cholesky(As)
    np.testing.assert_array_equal(R, [small.cholesky(A), small.cholesky(2 * A)])
    for solve in (small.solve_lower, small.solve_lower_transposed):
        one_by_one = [solve(R[i], Bs[i].copy()) for i in range(2)]
        np.testing.assert_array_equal(solve(R, Bs.copy()), one_by_one)
    for operation in (small.gram, small.gram_by_matrix):
        np.testing.assert_allclose(operation(Bs), [operation(B), operation(-B)])
    np.testing.assert_allclose(
        small.sum_of_outer(As, Bs), [small.sum_of_outer(A, B), -2 * small.sum_of_outer(A, B)]
    )
