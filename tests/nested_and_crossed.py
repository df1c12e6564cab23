"""Small random data with several factors, for comparison with dense algebra."""

from dataclasses import dataclass

import numpy as np
from dense_oracle import dense_factors

from skmixed._numerics.fit.criterion_of_factors import FactorsCriterion
from skmixed._numerics.fit.fit import Specification
from skmixed._numerics.fit.problem_of_factors import make_factors_problem
from skmixed._numerics.moments.cells import FactorMoments


@dataclass(frozen=True)
class Rows:
    X: np.ndarray
    y: np.ndarray
    codes: list
    random: list
    weights: np.ndarray | None = None
    diagonal: tuple | None = None
    random_intercept: tuple | None = None
    reml: bool = True
    fit_intercept: bool = True
    not_fixed: tuple = ()  # columns of [1, X] with random effects alone

    @property
    def specifications(self):
        k = len(self.codes)
        return [
            Specification(
                reml=self.reml,
                fit_intercept=self.fit_intercept,
                diagonal=diagonal,
                random_intercept=ones,
                fixed_slopes=tuple(column not in self.not_fixed for column in columns[1:]),
            )
            for diagonal, ones, columns in zip(
                self.diagonal or (False,) * k,
                self.random_intercept or (True,) * k,
                self.random,
                strict=True,
            )
        ]

    @property
    def labels(self):
        return [np.arange(code.max() + 1) for code in self.codes]

    @property
    def moments(self):
        return FactorMoments.from_rows(
            self.X, self.y, self.codes, self.labels, self.weights, random=self.random
        )

    @property
    def criterion(self):
        return FactorsCriterion(
            make_factors_problem(self.moments, self.specifications), self.reml
        )

    @property
    def columns(self):
        return np.column_stack([np.ones(len(self.y)), self.X])

    @property
    def fixed(self):
        without = self.not_fixed if self.fit_intercept else (0, *self.not_fixed)
        return np.delete(self.columns, without, axis=1)

    @property
    def Z(self):
        own = self.random_intercept or (True,) * len(self.codes)
        return [
            self.columns[:, list(columns if ones else columns[1:])]
            for columns, ones in zip(self.random, own, strict=True)
        ]

    def dense(self, Lambdas):
        return dense_factors(
            self.fixed,
            self.y,
            self.Z,
            self.codes,
            [Lambda @ Lambda.T for Lambda in Lambdas],
            reml=self.reml,
            weights=self.weights,
        )

    def scaled(self, criterion, Lambdas):
        """Factors in the coordinates of the problem, of those in the user's."""
        return [
            np.linalg.solve(own.random_backmap, Lambda)
            for own, Lambda in zip(criterion.problem.by_factor, Lambdas, strict=True)
        ]


def _codes(rng, structure, n):
    a, b = rng.integers(7, size=n), rng.integers(9, size=n)
    match structure:
        case "crossed":
            return [a, b]
        case "crossed, the larger first":
            return [b, a]
        case "three crossed":
            return [a, b, rng.integers(4, size=n)]
        case "nested":
            return [b // 3, b]
        case "nested, the inner first":
            return [b, b // 3]
        case "nested three deep":
            inner = rng.integers(18, size=n)
            return [inner // 6, inner, inner // 2]
        case "partly nested":
            return [b, a, b // 3]
        case "two and their pairs":
            return [a % 3, b % 4, (a % 3) * 4 + b % 4]
        case "components":
            part = rng.integers(4, size=n)
            return [part * 6 + rng.integers(6, size=n), part * 2 + a % (1 + part % 2), part]
        case "in one level":
            return [a, np.zeros(n, dtype=np.intp)]
    raise ValueError(structure)


STRUCTURES = [
    "crossed",
    "crossed, the larger first",
    "three crossed",
    "nested",
    "nested, the inner first",
    "nested three deep",
    "partly nested",
    "two and their pairs",
    "components",
]
VARIANTS = [
    "intercepts",
    "slopes",
    "slope of one",
    "uncorrelated",
    "weights",
    "ml",
    "slope alone",
]


def make_rows(structure, variant="intercepts", *, seed=0, n=90, shift=5.0):
    """Rows of one structure, with effects of all factors."""
    rng = np.random.default_rng(seed)
    codes = [np.unique(code, return_inverse=True)[1] for code in _codes(rng, structure, n)]
    X = rng.normal(loc=[shift, 0.0], size=(n, 2))
    k = len(codes)
    y = 3 + X @ [1.0, -0.5] + rng.normal(size=n)
    for code in codes:
        effects = rng.normal(size=(code.max() + 1, 2)) * [0.8, 0.4]
        y = y + np.sum(effects[code] * np.column_stack([np.ones(n), X[:, 0] - shift]), axis=1)
    options = {}
    random = [(0,)] * k
    if variant in ("slopes", "uncorrelated"):
        random = [(0, 1)] * k
    elif variant == "slope of one":
        random = [(0,)] * (k - 1) + [(0, 1, 2)]
    elif variant == "slope alone":
        random = [(0,), *[(0, 1)] * (k - 1)]
        options["random_intercept"] = (True, *[False] * (k - 1))
    if variant == "uncorrelated":
        options["diagonal"] = (True,) * k
    elif variant == "weights":
        weights = rng.uniform(0.5, 2, size=n)
        options["weights"] = weights / weights.mean()
    elif variant == "ml":
        options["reml"] = False
    return Rows(X, y, codes, random, **options)


def some_lambdas(rows, *, seed=1):
    """A factor of each Psi."""
    rng = np.random.default_rng(seed)
    Lambdas = []
    for Z, of in zip(rows.Z, rows.specifications, strict=True):
        Lambda = np.tril(rng.uniform(0.3, 0.9, size=(Z.shape[1],) * 2))
        Lambdas.append(np.diag(np.diag(Lambda)) if of.diagonal else Lambda)
    return Lambdas
