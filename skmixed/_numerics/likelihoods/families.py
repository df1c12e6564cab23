"""The two distributions: what a row says of its linear predictor eta.

A row enters by one exponential: e = exp(eta) for a count, e = exp((1 - 2 y) eta) for a yes or
no, so that 1 / (1 + e) is the probability of what was seen. The log-likelihood of a row is

    w (y eta - e) - w log y!    (Poisson, log),        -w log(1 + e)    (binomial, logit).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np
from scipy.special import expit, gammaln, log_expit

from skmixed._numerics.likelihoods.segments import Segments
from skmixed._numerics.linalg.arrays import Array

# Exponents are cut here: rows that are so far off are told from no others. A product of two
# exponentials does not overflow.
LARGEST_EXPONENT = 300.0
# Rows that are taken at a time.
ROWS = 2**13


class Slopes(NamedTuple):
    """Derivatives of the log-likelihood of rows by eta: the first, and minus the second.

    With mean mu and variance v(mu) = dmu / deta they are w (y - mu) and w v.
    """

    residual: Array
    weight: Array


class Family(ABC):
    """A distribution with its canonical link."""

    name: str
    # The link of an average over a normal eta of variance v is about the mean of eta divided by
    # sqrt(1 + v attenuation), but for a shift.
    attenuation: float

    @abstractmethod
    def sign(self, y: Array) -> Array | None:
        """How eta enters the exponential of each row; None for +1 everywhere."""

    @abstractmethod
    def linear(self, y: Array, w: Array | None) -> Array | None:
        """Return what multiplies eta in the log-likelihood; None for 0 everywhere."""

    @abstractmethod
    def sums(self, e: Array, w: Array | None, segments: Segments) -> Array:
        """Log-likelihood of each group without what is linear in eta, and constants."""

    @abstractmethod
    def sums_and_residuals(
        self, e: Array, y: Array, w: Array | None, segments: Segments
    ) -> tuple[Array, Array]:
        """Return `sums`, and w (y - mu), for e of shape (..., n), which is overwritten."""

    @abstractmethod
    def slopes(self, e: Array, y: Array, w: Array | None) -> Slopes:
        """Both derivatives."""

    @abstractmethod
    def third(self, slopes: Slopes, y: Array, w: Array | None) -> Array:
        """Differentiate the second one: w dv / deta."""

    @abstractmethod
    def constant(self, y: Array, w: Array | None) -> float:
        """Return what the log-likelihood contains that depends on y alone."""

    @abstractmethod
    def link(self, mean: float) -> float:
        """Return the linear predictor of a mean."""

    @abstractmethod
    def mean(self, eta: Array) -> Array:
        """Return the mean for a linear predictor."""

    @abstractmethod
    def variance(self, mean: Array) -> Array:
        """Return the variance of a row with a mean."""

    @abstractmethod
    def log_likelihood(self, eta: Array, y: Array) -> Array:
        """Log-likelihood of each row, constants included."""

    @abstractmethod
    def draw(self, mean: Array, rng: np.random.RandomState) -> Array:
        """Draw y of each row."""


class Binomial(Family):
    """Yes or no, y = 1 or 0, with log odds eta."""

    name = "binomial"
    attenuation = (16 * 3**0.5 / (15 * np.pi)) ** 2

    def sign(self, y: Array) -> Array | None:
        """+1 for a no, -1 for a yes."""
        return 1.0 - 2.0 * y

    def linear(self, y: Array, w: Array | None) -> Array | None:
        """All of it is in the exponential."""
        return None

    def sums(self, e: Array, w: Array | None, segments: Segments) -> Array:
        """Minus the logarithm of a product: it costs one logarithm for some rows, not each."""
        if w is None:
            return -segments.log_product(e + 1.0)
        return -segments.sum(w * np.log1p(e))

    def sums_and_residuals(
        self, e: Array, y: Array, w: Array | None, segments: Segments
    ) -> tuple[Array, Array]:
        """Give the probability of what was not seen the sign of y - mu."""
        if w is None:
            e += 1.0
            sums = -segments.log_product(e)
        else:
            sums = self.sums(e, w, segments)
            e += 1.0
        np.reciprocal(e, out=e)
        np.subtract(1.0, e, out=e)
        e *= 2.0 * y - 1.0 if w is None else w * (2.0 * y - 1.0)
        return sums, e

    def slopes(self, e: Array, y: Array, w: Array | None) -> Slopes:
        """With p the probability of what was not seen: p with a sign, and p (1 - p)."""
        seen = e + 1.0
        np.reciprocal(seen, out=seen)
        unseen = e * seen
        seen *= unseen
        toward = 2.0 * y
        toward -= 1.0
        unseen *= toward
        if w is not None:
            seen *= w
            unseen *= w
        return Slopes(unseen, seen)

    def third(self, slopes: Slopes, y: Array, w: Array | None) -> Array:
        """Return w mu (1 - mu)(1 - 2 mu)."""
        third = 2.0 * slopes.residual
        if w is not None:
            third /= w
        third -= 2.0 * y
        third += 1.0
        third *= slopes.weight
        return third

    def constant(self, y: Array, w: Array | None) -> float:
        """None: a probability is a likelihood."""
        return 0.0

    def link(self, mean: float) -> float:
        """Log odds."""
        return float(np.log(mean) - np.log1p(-mean))

    def mean(self, eta: Array) -> Array:
        """Return the probability of a yes."""
        return np.asarray(expit(eta))

    def variance(self, mean: Array) -> Array:
        """Return p (1 - p)."""
        return mean * (1.0 - mean)

    def log_likelihood(self, eta: Array, y: Array) -> Array:
        """Logarithm of the probability of what was seen."""
        return np.asarray(log_expit((2.0 * y - 1.0) * eta))

    def draw(self, mean: Array, rng: np.random.RandomState) -> Array:
        """Draw 1 with the probability of a yes, else 0."""
        return np.asarray(rng.uniform(size=len(mean)) < mean, dtype=np.float64)


class Poisson(Family):
    """Counts y, with logarithm of the mean eta; y may be a rate, its exposure the weight."""

    name = "poisson"
    attenuation = 0.0

    def sign(self, y: Array) -> Array | None:
        """+1 everywhere."""
        return None

    def linear(self, y: Array, w: Array | None) -> Array | None:
        """Return w y."""
        return y if w is None else w * y

    def sums(self, e: Array, w: Array | None, segments: Segments) -> Array:
        """Minus the sum of expected counts."""
        return -segments.sum(e if w is None else w * e)

    def sums_and_residuals(
        self, e: Array, y: Array, w: Array | None, segments: Segments
    ) -> tuple[Array, Array]:
        """Take expected counts from counts."""
        sums = self.sums(e, w, segments)
        np.subtract(y, e, out=e)
        return sums, e if w is None else w * e

    def slopes(self, e: Array, y: Array, w: Array | None) -> Slopes:
        """Take the mean as its own derivative."""
        return Slopes(y - e, e) if w is None else Slopes(w * (y - e), w * e)

    def third(self, slopes: Slopes, y: Array, w: Array | None) -> Array:
        """Take the mean once more."""
        return slopes.weight

    def constant(self, y: Array, w: Array | None) -> float:
        """Minus log y!, of any y >= 0."""
        total = 0.0
        for start in range(0, len(y), ROWS):
            factorials = gammaln(y[start : start + ROWS] + np.float64(1.0))
            w_part = 1.0 if w is None else w[start : start + ROWS]
            total -= float(np.sum(w_part * factorials))
        return total

    def link(self, mean: float) -> float:
        """Logarithm."""
        return float(np.log(mean))

    def mean(self, eta: Array) -> Array:
        """Return the expected count."""
        return np.asarray(np.exp(np.minimum(eta, LARGEST_EXPONENT)))

    def variance(self, mean: Array) -> Array:
        """Return the mean itself."""
        return mean

    def log_likelihood(self, eta: Array, y: Array) -> Array:
        """Logarithm of the probability of a count."""
        return np.asarray(y * eta - self.mean(eta) - gammaln(y + 1.0))

    def draw(self, mean: Array, rng: np.random.RandomState) -> Array:
        """Draw counts."""
        return np.asarray(rng.poisson(mean), dtype=np.float64)


binomial = Binomial()
poisson = Poisson()
FAMILIES: dict[str, Family] = {family.name: family for family in (binomial, poisson)}


def exponential(exponent: Array) -> Array:
    """Exponential of numbers that are overwritten, and cut where it would overflow."""
    np.minimum(exponent, LARGEST_EXPONENT, out=exponent)
    np.exp(exponent, out=exponent)
    return exponent
