"""Error of the variances of small groups: their own, the pooled one, and the shrunken ones.

Writes docs/spreads_table.md.
"""

from pathlib import Path

import numpy as np

from skmixed._numerics.inference.squeezed_variances import SqueezedVariances

TABLE = Path(__file__).parents[2] / "docs" / "spreads_table.md"
HEAD = (
    "| groups | d0 | own | pooled | shrunken | d0 found (median) |\n|---|---|---|---|---|---|\n"
)


def errors(n_groups, d0, n_sets=300):
    """Root mean squared errors of the three, and the median of the estimates of d0."""
    rng = np.random.default_rng(0)
    losses, found = [], []
    for _ in range(n_sets):
        df = rng.integers(1, 15, n_groups).astype(float)
        true = np.ones(n_groups) if np.isinf(d0) else d0 / rng.chisquare(d0, n_groups)
        squares = true * rng.chisquare(df)
        squeezed = SqueezedVariances.from_squares(squares, df)
        three = squares / df, np.full(n_groups, squares.sum() / df.sum()), squeezed.variances
        losses.append([np.mean(np.log(each / true) ** 2) for each in three])
        found.append(squeezed.prior_df)
    return np.sqrt(np.mean(losses, axis=0)), np.median(found)


def table():
    """A row for each number of groups and each d0."""
    text = HEAD
    for n_groups in (10, 30, 100):
        for d0 in (4, 10, np.inf):
            three, median = errors(n_groups, d0)
            numbers = " | ".join(f"{each:.2f}" for each in three)
            text += f"| {n_groups} | {d0} | {numbers} | {median:.1f} |\n"
    return text


if __name__ == "__main__":
    TABLE.write_text(table())
