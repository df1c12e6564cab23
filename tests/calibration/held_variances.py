"""What it costs that an encoder holds the variances of all rows in each fold.

``python tests/calibration/held_variances.py`` prints, for small and large sets, the error of
boosting behind `RandomEffectEncoder` as it is, over that with variances (and the choice of
means) estimated anew without each fold, with standard errors over the sets.
"""

from __future__ import annotations

import numpy as np
from encoder import simulate
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.metrics import r2_score, root_mean_squared_error
from sklearn.model_selection import KFold

from skmixed.preprocessing import RandomEffectEncoder
from skmixed.preprocessing import _category_effects as effects

SETS = {(300, 40): 100, (2_000, 300): 30, (30_000, 3_600): 5}  # rows, categories: sets
KINDS = {"independent": 0.0, "opposed": -1.0, "pure noise": None}


def held(own, train, test, without=effects.LinearEffects.without):
    """Effects without a fold, as they are."""
    return without(own, train, test)


def refitted(own, train, _):
    """Effects of a model that has seen the training rows alone."""
    return effects.LinearEffects(own.rows.take(train)).in_all_rows()


def measure(direction, seed, n, n_categories):
    """Ratio of the errors, and difference of R2, in as many new rows."""
    X, y, columns = simulate(direction, seed, 2 * n, n_categories)
    found = []
    for without in (held, refitted):
        effects.LinearEffects.without = without
        encoder = RandomEffectEncoder(columns, cv=KFold(5, shuffle=True, random_state=seed))
        boosting = HistGradientBoostingRegressor(random_state=0)
        boosting.fit(encoder.fit_transform(X[:n], y[:n]), y[:n])
        predicted = boosting.predict(encoder.transform(X[n:]))
        error = root_mean_squared_error(y[n:], predicted)
        found.append((error, r2_score(y[n:], predicted)))
    (error, r2), (error_refitted, r2_refitted) = found
    return error / error_refitted, r2 - r2_refitted


def main():
    """Print a line for each kind and size."""
    for (n, n_categories), n_sets in SETS.items():
        for kind, direction in KINDS.items():
            found = np.array([measure(direction, s, n, n_categories) for s in range(n_sets)])
            means, errors = found.mean(axis=0), found.std(axis=0, ddof=1) / np.sqrt(n_sets)
            print(
                f"{n:,} rows, {kind}: error {means[0]:.4f} ({errors[0]:.4f}) of refitted, "
                f"R2 {means[1]:+.4f} ({errors[1]:.4f})",
                flush=True,
            )


if __name__ == "__main__":
    main()
