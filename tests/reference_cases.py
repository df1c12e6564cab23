"""The reference fits of lme4, as arguments for an estimator and numbers to expect."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

FOLDER = Path(__file__).parent / "reference"


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
    def sample_weight(self):
        """lme4's prior weights scaled to mean 1."""
        return None if self.raw_weight is None else self.raw_weight / self.raw_weight.mean()

    @property
    def options(self):
        return {
            "method": self.model["method"].lower(),
            "fit_intercept": self.model["intercept"],
        }

    @property
    def term(self):
        """Name of the grouping factor."""
        return self.model["random"][0]["group"]

    @property
    def random_cov(self):
        return np.array(self.expected["varcorr"][self.term]["cov"], dtype=float)

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
        modes = self.expected["ranef"][self.term]
        return np.array([modes[str(label)] for label in labels], dtype=float)


def load_cases(select):
    """Cases whose random terms satisfy `select`, by name."""
    paths = sorted(FOLDER.glob("*/expected*.json"))
    cases = (_load(path) for path in paths)
    return [case for case in cases if select(case.model["random"])]


def _load(path):
    stored = json.loads(path.read_text())
    model = stored["model"]
    frame = pd.read_csv(path.parent / model["data"])
    weights = model["weights"]
    return Case(
        name=f"{path.parent.name}-{path.stem}",
        model=model,
        expected=stored["expected"],
        X=frame[model["fixed_columns"]],
        y=frame[model["response"]],
        groups=frame[model["random"][0]["group"]],
        raw_weight=frame[weights].to_numpy() if weights else None,
    )
