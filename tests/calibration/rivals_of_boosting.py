"""What MERF and GPBoost come to on the data of examples/plot_boosting_with_groups.py.

``python tests/calibration/rivals_of_boosting.py`` needs merf and gpboost, runs the example for
its data and measures, and prints the numbers that the example states for the two.
"""

from __future__ import annotations

import logging
import runpy
import warnings
from importlib.metadata import version
from pathlib import Path

import numpy as np

EXAMPLE = Path(__file__).parents[2] / "examples" / "plot_boosting_with_groups.py"


def fit_merf(example):
    """The iterations of merf around the boosting of the example."""
    from merf import MERF

    features = example["FEATURES"]

    def fit(X, y):
        model = MERF(example["boosting"](), max_iterations=20)
        model.fit(X[features], np.ones((len(y), 1)), X["doctor"], y)
        return lambda X: model.predict(X[features], np.ones((len(X), 1)), X["doctor"])

    return fit


def fit_gpboost(example):
    """As many trees, as large, by gpboost; its other settings are left as they are."""
    import gpboost

    features = example["FEATURES"]
    trees = {
        "learning_rate": 0.1,
        "num_leaves": 31,
        "max_depth": -1,
        "min_data_in_leaf": 20,
        "verbose": -1,
        "num_threads": 1,
    }

    def fit(X, y):
        groups = gpboost.GPModel(
            group_data=X["doctor"].to_numpy().astype(str), likelihood="gaussian"
        )
        rows = gpboost.Dataset(X[features].to_numpy(), y)
        model = gpboost.train(
            params=trees, train_set=rows, gp_model=groups, num_boost_round=100
        )
        return lambda X: model.predict(
            data=X[features].to_numpy(),
            group_data_pred=X["doctor"].to_numpy().astype(str),
            predict_var=False,
            pred_latent=False,
        )["response_mean"]

    return fit


def main():
    """Print the numbers."""
    warnings.simplefilter("ignore")
    logging.disable(logging.INFO)  # of merf
    example = runpy.run_path(str(EXAMPLE))
    for name, make in {"merf": fit_merf, "gpboost": fit_gpboost}.items():
        print(name, version(name))
        for world, correlation in example["WORLDS"].items():
            found = example["measure"](make(example), correlation)
            print(f'    ("{world}", "{name}"): {found.round(3).tolist()},', flush=True)


if __name__ == "__main__":
    main()
