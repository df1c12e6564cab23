"""Means averaged over random effects against brute-force integration."""

import numpy as np
import pytest
from scipy.special import expit, log_expit, logsumexp
from scipy.stats import norm

from skmixed._numerics.likelihoods.averages import averaged_link, averaged_mean
from skmixed._numerics.likelihoods.conditional import ConditionalEffects
from skmixed._numerics.likelihoods.families import FAMILIES
from skmixed._numerics.likelihoods.fit import fit_likelihood
from skmixed._numerics.likelihoods.rows import LikelihoodRows

ETA, SD = np.meshgrid([-20.0, -6.0, -1.0, 0.0, 0.3, 4.0], [0.0, 0.2, 1.0, 1.01, 3.0, 30.0])


def test_probabilities():
    z = np.linspace(-9, 9, 100_001)
    density = norm.pdf(z) * (z[1] - z[0])
    mean = averaged_mean(FAMILIES["binomial"], ETA, SD**2)
    for eta, sd, got in zip(ETA.flat, SD.flat, mean.flat, strict=True):
        assert got == pytest.approx(expit(eta + sd * z) @ density, abs=1e-10)


def test_links_are_those_of_the_means():
    family = FAMILIES["binomial"]
    link = averaged_link(family, ETA, SD**2)
    mean = averaged_mean(FAMILIES["binomial"], ETA, SD**2)
    np.testing.assert_allclose(expit(link), mean, rtol=1e-12)
    np.testing.assert_allclose(averaged_link(family, -ETA, SD**2), -link, atol=1e-14)
    assert averaged_link(FAMILIES["binomial"], np.array(50.0), np.array(0.0)) == pytest.approx(
        50
    )


@pytest.mark.parametrize("sd", [0.3, 1.01, 3.0, 20.0, 200.0])
@pytest.mark.parametrize("eta", [-33.0, -100.0, -800.0, -5000.0])
def test_links_of_tiny_probabilities(eta, sd):
    z = np.linspace(-110, 110, 200_001)
    yes, no = (logsumexp(log_expit(side * (eta + sd * z)) - z**2 / 2) for side in (1.0, -1.0))
    link = averaged_link(FAMILIES["binomial"], np.array([eta]), np.array([sd**2]))
    np.testing.assert_allclose(link, yes - no, rtol=1e-9)


def test_counts():
    mean = averaged_mean(FAMILIES["poisson"], ETA, SD**2 / 100)
    np.testing.assert_allclose(mean, np.exp(ETA + SD**2 / 200))


@pytest.mark.parametrize("family", FAMILIES)
def test_known_groups_average_over_their_conditional_distribution(family):
    rng = np.random.default_rng(1)
    groups = np.repeat(np.arange(30), 3)
    y = (1 if family == "binomial" else 4) * rng.integers(0, 2, 90) * (groups % 3 > 0)
    rows = LikelihoodRows.from_rows(np.zeros((90, 0)), y, groups)
    fit = fit_likelihood(rows, FAMILIES[family], n_nodes=15)
    link = fit.effects.link(fit.criterion.family, np.zeros(30), np.ones((30, 1)), np.arange(30))
    b = np.linspace(-12, 12, 4001)
    mean = FAMILIES[family].mean
    for j in (0, 1, 2):
        density = norm.pdf(b, scale=fit.Lambda.item())
        for value in y[groups == j]:
            density = density * np.exp(
                FAMILIES[family].log_likelihood(fit.coef[0] + b, np.array(float(value)))
            )
        expected = np.sum(density * mean(b)) / density.sum()
        got = expit(link[j]) if family == "binomial" else np.exp(link[j])
        assert got == pytest.approx(expected, abs=2e-4)


def test_nodes_without_a_share_say_nothing():
    shares = np.array([[1e-320], [0.4], [0.6]])
    effects = ConditionalEffects(np.zeros((1, 1)), np.ones((1, 1, 1)), np.eye(3, 1), shares)
    link = effects.link(FAMILIES["poisson"], np.ones(1), np.ones((1, 1)), np.zeros(1, int))
    np.testing.assert_allclose(link, 1.0)


def test_several_random_effects_average_at_the_mode():
    rng = np.random.default_rng(2)
    groups, X = rng.integers(0, 20, 300), rng.normal(size=(300, 1))
    eta = rng.normal(size=20)[groups] + X[:, 0] * rng.normal(size=20)[groups]
    y = rng.random(300) < expit(eta)
    rows = LikelihoodRows.from_rows(X, y, groups, random=(0, 1))
    fit = fit_likelihood(rows, FAMILIES["binomial"])
    Z = np.array([[1.0, 0.5], [1.0, -1.0]])
    link = fit.effects.link(fit.criterion.family, np.zeros(2), Z, np.array([3, 4]))
    for row, group, z in zip(link, (3, 4), Z, strict=True):
        mode, cov = fit.effects.modes[:, group], fit.effects.covariance[:, :, group]
        expected = averaged_link(fit.criterion.family, z @ mode, z @ cov @ z)
        assert row == pytest.approx(expected)
