"""The reference fits of lme4, as arguments for an estimator and numbers to expect."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from skmixed import (
    RandomInterceptClassifier,
    RandomInterceptPoissonRegressor,
    RandomInterceptRegressor,
    RandomSlopeClassifier,
    RandomSlopeRegressor,
)
from skmixed._numerics.fit.fit import Specification
from skmixed._numerics.moments.cells import FactorMoments

FOLDER = Path(__file__).parent / "reference"
INTERCEPT = "(Intercept)"


@dataclass(frozen=True)
class Case:
    name: str
    model: dict
    expected: dict
    X: pd.DataFrame
    y: pd.Series
    groups: pd.Series
    raw_weight: np.ndarray | None

    @property
    def random(self):
        """The random term: its columns, its group and whether effects are correlated."""
        return self.model["random"][0]

    @property
    def slopes(self):
        return [name for name in self.random["columns"] if name != INTERCEPT]

    @property
    def estimator(self):
        options = {
            "method": self.model["method"].lower(),
            "fit_intercept": self.model["intercept"],
        }
        if not self.slopes:
            return RandomInterceptRegressor(**options)
        return RandomSlopeRegressor(
            self.slopes,
            covariance="full" if self.random["correlated"] else "diag",
            random_intercept=INTERCEPT in self.random["columns"],
            fixed_slopes=[name for name in self.slopes if name in self.model["fixed_columns"]],
            **options,
        )

    @property
    def sample_weight(self):
        """lme4's prior weights scaled to mean 1."""
        return None if self.raw_weight is None else self.raw_weight / self.raw_weight.mean()

    @property
    def random_cov(self):
        return np.array(self.expected["varcorr"][self.random["group"]]["cov"], dtype=float)

    @property
    def sigma2(self):
        """lme4's sigma2 belongs to the raw weights."""
        mean = 1.0 if self.raw_weight is None else self.raw_weight.mean()
        return self.expected["sigma"] ** 2 / mean

    @property
    def criterion(self):
        """lme4's criterion contains the logarithms of the weights."""
        logs = 0.0 if self.raw_weight is None else np.log(self.sample_weight).sum()
        return self.expected["criterion"] + logs

    def random_effects(self, labels):
        modes = self.expected["ranef"][self.random["group"]]
        return np.array([modes[str(label)] for label in labels], dtype=float)

    def conditional_variances(self, labels):
        """lme4's postVar, stored for the first 50 groups."""
        stored = self.expected["ranef_postvar"][self.random["group"]]
        return {label: np.diag(stored[str(label)]) for label in labels if str(label) in stored}


def load_cases():
    """All cases, by name."""
    return [_load(path) for path in sorted(FOLDER.glob("v_*/expected*.json"))]


def _load(path):
    stored = json.loads(path.read_text())
    model = stored["model"]
    frame = pd.read_csv(path.parent / model["data"])
    (random,) = model["random"]
    random_only = [
        name for name in random["columns"] if name not in [INTERCEPT, *model["fixed_columns"]]
    ]
    weights = model["weights"]
    return Case(
        name=f"{path.parent.name}-{path.stem}",
        model=model,
        expected=stored["expected"],
        X=frame[model["fixed_columns"] + random_only],
        y=frame[model["response"]],
        groups=frame[random["group"]],
        raw_weight=frame[weights].to_numpy() if weights else None,
    )


@dataclass(frozen=True)
class FactorsCase:
    """A fit with several factors."""

    name: str
    model: dict
    expected: dict
    X: pd.DataFrame
    y: pd.Series
    groups: pd.DataFrame  # a column for each factor, in the order of the terms
    slopes: dict
    uncorrelated: dict
    raw_weight: np.ndarray | None

    sample_weight = Case.sample_weight
    sigma2 = Case.sigma2
    criterion = Case.criterion

    def cov(self, factor):
        return np.array(self.expected["varcorr"][factor]["cov"], dtype=float)

    def random_effects(self, factor, labels):
        modes = self.expected["ranef"][factor]
        return np.array([modes[label] for label in labels], dtype=float)

    def terms(self, expected):
        """Numbers by term of X, the intercept first."""
        return np.array([expected[name] for name in [INTERCEPT, *self.model["fixed_columns"]]])


def load_factors_cases():
    """All cases with several factors."""
    return [_load_factors(path) for path in sorted(FOLDER.glob("c_*/expected.json"))]


def _load_factors(path):
    stored = json.loads(path.read_text())
    model = stored["model"]
    frame = pd.read_csv(path.parent / model["data"])
    slopes, uncorrelated = {}, {}
    for term in model["random"]:
        own = [name for name in term["columns"] if name != INTERCEPT]
        slopes[term["group"]] = slopes.get(term["group"], []) + own
        uncorrelated[term["group"]] = not term["correlated"]
    weights = model["weights"]
    return FactorsCase(
        name=path.parent.name,
        model=model,
        expected=stored["expected"],
        X=frame[model["fixed_columns"]],
        y=frame[model["response"]],
        groups=frame[list(slopes)].astype(str),
        slopes=slopes,
        uncorrelated=uncorrelated,
        raw_weight=frame[weights].to_numpy() if weights else None,
    )


@dataclass(frozen=True)
class LikelihoodCase:
    """A fit of glmer, with a number of nodes."""

    name: str
    nodes: int
    model: dict
    expected: dict
    X: pd.DataFrame
    y: pd.Series
    groups: pd.Series

    @property
    def slopes(self):
        return [
            name for name in np.atleast_1d(self.model["random"]).tolist() if name != INTERCEPT
        ]

    @property
    def estimator(self):
        if self.slopes:
            return RandomSlopeClassifier(self.slopes, quadrature=self.nodes)
        if self.model["family"] == "poisson":
            return RandomInterceptPoissonRegressor(quadrature=self.nodes)
        return RandomInterceptClassifier(quadrature=self.nodes)

    def terms(self, name):
        """Numbers by term of X, the intercept first."""
        return np.array([self.expected[name][term] for term in [INTERCEPT, *self.X]])

    def random_effects(self, labels):
        """Modes, which are stored for the first groups, and the labels of these."""
        stored = self.expected["ranef"]
        known = [label for label in labels if str(label) in stored]
        return known, np.array([np.atleast_1d(stored[str(label)]) for label in known])


def load_likelihood_cases():
    """All fits of binary and count outcomes."""
    return [
        case
        for path in sorted(FOLDER.glob("g_*/expected.json"))
        for case in _load_likelihood(path)
    ]


def _load_likelihood(path):
    stored = json.loads(path.read_text())
    model, frame = stored["model"], pd.read_csv(path.parent / "data.csv")
    rows = {
        "X": frame[np.atleast_1d(model["fixed_columns"]).tolist()],
        "y": frame[model["response"]],
        "groups": frame[model["group"]],
    }
    for nodes, expected in stored["expected"].items():
        name = f"{path.parent.name}-{nodes}"
        yield LikelihoodCase(name, int(nodes), model, expected, **rows)


def moments_of_factors(case):
    """Return the moments of a case with several factors, its model, and labels by factor."""
    labels, codes = {}, []
    for factor in case.groups:
        labels[factor], code = np.unique(case.groups[factor], return_inverse=True)
        codes.append(code)
    columns = list(case.X.columns)
    random = [(0, *[1 + columns.index(x) for x in own]) for own in case.slopes.values()]
    moments = FactorMoments.from_rows(
        case.X.to_numpy(dtype=float),
        case.y.to_numpy(dtype=float),
        codes,
        list(labels.values()),
        case.sample_weight,
        random=random,
    )
    specifications = [
        Specification(reml=case.model["method"] == "REML", diagonal=case.uncorrelated[factor])
        for factor in labels
    ]
    return moments, specifications, labels
