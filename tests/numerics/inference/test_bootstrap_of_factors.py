"""Drawn moments of several factors: their covariance, and that of simulated rows."""

from dataclasses import replace

import numpy as np
import pytest
from nested_and_crossed import STRUCTURES, VARIANTS, make_rows, some_lambdas
from scipy.stats import ks_2samp, kstest

from skmixed._numerics.fit.average_information import minimize_factors
from skmixed._numerics.fit.factors import FactorFit
from skmixed._numerics.inference.bootstrap_of_factors import bootstrap_factors
from skmixed._numerics.inference.sampler_of_factors import FactorsSampler

CASES = [(s, v) for s in STRUCTURES for v in ("intercepts", "slopes")]
CASES += [("crossed", v) for v in VARIANTS]


def sampler_of(rows):
    criterion = rows.criterion
    Lambdas = rows.scaled(criterion, some_lambdas(rows))
    return FactorsSampler.from_fit(criterion, Lambdas, n_rows=len(rows.y))


class UnitVector:
    """A source of normal numbers that are 0, but for one of all."""

    def __init__(self, which):
        self.which, self.n = which, 0

    def standard_normal(self, shape):
        v = np.zeros(int(np.prod(shape)))
        if self.n <= self.which < self.n + len(v):
            v[self.which - self.n] = 1.0
        self.n += len(v)
        return v.reshape(shape)

    def standard_gamma(self, shape):
        return 0.0


def stacked(X, Z):
    """Values of the columns of X, then those of each factor by (a, level)."""
    return np.concatenate([X, *(part.ravel() for part in Z)])


def gram_matrix(problem):
    """Cross-products of the columns of [X, Z], with Z by (a, level)."""
    blocks = [[problem.T[:-1, :-1]]]
    for C in problem.C:
        wide = C[:, :-1].swapaxes(0, 1).reshape(problem.p, -1)
        blocks[0].append(wide)
    for f, (q, J) in enumerate(zip(problem.q, problem.n_levels, strict=True)):
        row = [blocks[0][1 + f].T]
        for g, (q_g, J_g) in enumerate(zip(problem.q, problem.n_levels, strict=True)):
            block = np.zeros((q, J, q_g, J_g))
            if f == g:
                block[:, np.arange(J), :, np.arange(J)] = np.moveaxis(problem.G[f], -1, 0)
            else:
                cells = problem.between(f, g)
                block[:, cells.first, :, cells.second] = np.moveaxis(cells.values, -1, 0)
            row.append(block.reshape(q * J, q_g * J_g))
        blocks.append(row)
    return np.block(blocks)


@pytest.mark.parametrize(("structure", "variant"), CASES)
def test_residuals_have_the_covariance_of_the_columns(structure, variant):
    """Cov(W'e) = sigma2 W'W, and e'e counts each independent column once."""
    rows = make_rows(structure, variant)
    sampler = sampler_of(rows)
    problem, source = sampler.criterion.problem, UnitVector(-1)
    sampler._residuals(source)
    moves = [sampler._residuals(UnitVector(k)) for k in range(source.n)]
    A = np.array([stacked(Xe, Ze) for Ze, Xe, _ in moves]) / sampler.sigma
    expected = gram_matrix(problem)
    np.testing.assert_allclose(A.T @ A, expected, atol=1e-12 * np.abs(expected).max())
    rank = np.linalg.matrix_rank(expected, hermitian=True, tol=1e-9 * np.abs(expected).max())
    assert problem.n - sampler.dof == pytest.approx(rank)
    squares = sum(ee for *_, ee in moves) / sampler.sigma**2
    assert squares == pytest.approx(rank)


def test_residuals_have_as_many_squares_as_their_coordinates():
    """e'e is that of the projection on the columns, which the moments tell, and more."""
    rows = make_rows("crossed", "slope of one")
    sampler = sampler_of(rows)
    inverse = np.linalg.pinv(gram_matrix(sampler.criterion.problem), rcond=1e-11)
    left = []
    for seed in np.random.SeedSequence(0).spawn(400):
        Ze, Xe, ee = sampler._residuals(np.random.default_rng(seed))
        We = stacked(Xe, Ze)
        left.append((ee - We @ inverse @ We) / sampler.sigma**2)
    assert kstest(left, "chi2", args=(sampler.dof,)).pvalue > 0.01


@pytest.mark.parametrize(
    ("structure", "variant"),
    [("crossed", "slopes"), ("nested", "intercepts"), ("two and their pairs", "intercepts")],
)
def test_drawn_moments_are_those_of_simulated_rows(structure, variant):
    rows = make_rows(structure, variant, n=60)
    sampler = sampler_of(rows)
    problem, rng, n = sampler.criterion.problem, np.random.default_rng(1), 1000
    # in the coordinates of the problem
    Z = [Z @ own.random_backmap for Z, own in zip(rows.Z, problem.by_factor, strict=True)]
    wide = [
        np.einsum("ia,ij->iaj", z, np.eye(J)[code])
        for z, code, J in zip(Z, rows.codes, problem.n_levels, strict=True)
    ]
    simulated, drawn = [], []
    contrast = np.append(-sampler.beta, 1.0)  # y - X beta
    for seed in np.random.SeedSequence(0).spawn(n):
        r = rng.normal(size=len(rows.y))
        for z, Lambda in zip(wide, sampler.Lambdas, strict=True):
            b = Lambda @ rng.normal(size=z.shape[1:])
            r += np.einsum("iaj,aj->i", z, b)
        r *= sampler.sigma
        levels = [np.sum(np.einsum("iaj,i->aj", z, r) ** 2) for z in wide]
        simulated.append([r @ r, *levels])
        of = sampler.draw(np.random.default_rng(seed))
        levels = [np.sum(np.einsum("amj,m->aj", C, contrast) ** 2) for C in of.C]
        drawn.append([contrast @ of.T @ contrast, *levels])
    for k, part in enumerate(np.transpose(simulated)):
        assert ks_2samp(part, np.transpose(drawn)[k]).pvalue > 0.002


@pytest.mark.slow
def test_estimates_scatter_as_those_from_simulated_rows():
    rows = make_rows("crossed", n=120, shift=0.0)
    fit = FactorFit.of(rows.moments, rows.specifications, tol=1e-8, max_iter=100)
    found = bootstrap_factors(
        fit.criterion,
        fit.optimum.Lambdas,
        n_rows=len(rows.y),
        seeds=np.random.SeedSequence(0).spawn(80),
        tol=1e-6,
        max_iter=100,
    )
    assert len(found) == 2
    assert found[0].converged.all()
    rng, by_rows, solution = np.random.default_rng(1), [], fit.solution
    for _ in range(80):
        y = rows.columns @ solution.beta
        for code, Lambda in zip(rows.codes, solution.Lambdas, strict=True):
            y = (
                y
                + np.sqrt(solution.sigma2)
                * Lambda[0, 0]
                * rng.normal(size=code.max() + 1)[code]
            )
        y += np.sqrt(solution.sigma2) * rng.normal(size=len(y))
        criterion = replace(rows, y=y).criterion
        start = [L @ L.T for L in fit.optimum.Lambdas]
        optimum = minimize_factors(criterion, tol=1e-6, max_iter=100, start=start)
        beta, sigma2 = criterion.coefficients(criterion.eliminate(optimum.Lambdas).M)
        sds = [
            np.sqrt(sigma2) * own.y_scale * own.to_user_factor(Lambda)[0, 0]
            for own, Lambda in zip(criterion.problem.by_factor, optimum.Lambdas, strict=True)
        ]
        own = criterion.problem.coordinates
        by_rows.append(
            [*np.abs(sds), np.sqrt(sigma2) * own.y_scale, *own.to_user_coefficients(beta)]
        )
    drawn = np.column_stack(
        [
            *(np.sqrt(of.random_effects_cov[:, 0, 0]) for of in found),
            np.sqrt(found[0].sigma2),
            found[0].beta,
        ]
    )
    by_rows = np.array(by_rows)
    error = np.sqrt((drawn.var(axis=0) + by_rows.var(axis=0)) / 80)
    assert np.all(np.abs(drawn.mean(axis=0) - by_rows.mean(axis=0)) < 4 * error)
    assert np.all(np.abs(np.log(drawn.std(axis=0) / by_rows.std(axis=0))) < 4 / np.sqrt(80))


def test_weights_must_count_rows():
    rows = make_rows("crossed", "weights")
    light = replace(rows, weights=rows.weights / 10)
    criterion = light.criterion
    Lambdas = light.scaled(criterion, some_lambdas(light))
    with pytest.raises(ValueError, match="The weights must sum to at least 17, the number"):
        FactorsSampler.from_fit(criterion, Lambdas, n_rows=len(rows.y))
