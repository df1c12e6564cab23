"""Quantiles against those of the normal distribution."""

from __future__ import annotations

import numpy as np
from scipy.stats import beta, norm

from skmixed.inspection._style import FAINT, INK

# Of more values some quantiles are left out: they would lie on top of one another.
MAX_QUANTILES = 1_000


def draw_normal(ax, n, mean, std_dev):
    """Draw the line on which normal values lie, and the band that holds 95% of them."""
    ranks = _ranks(n)
    z = norm.ppf((ranks - 0.5) / n)
    low, high = norm.ppf(beta.ppf([[0.025], [0.975]], ranks, n + 1 - ranks))
    ax.fill_between(
        z, mean + std_dev * low, mean + std_dev * high, color=FAINT, alpha=0.5, linewidth=0
    )
    return ax.plot(z, mean + std_dev * z, color=INK, linewidth=0.8)[0]


def draw_quantiles(ax, values, color, label):
    """Draw the values, sorted, against the quantiles of the normal distribution."""
    ranks, n = _ranks(len(values)), len(values)
    z, values = norm.ppf((ranks - 0.5) / n), np.sort(values)[ranks - 1]
    size = 14 if n <= 100 else 5
    return ax.scatter(z, values, s=size, color=color, linewidths=0, label=label, zorder=3)


def _ranks(n):
    """Ranks to draw of n sorted values, about evenly spaced in the normal quantile."""
    ends = norm.isf(0.5 / n)
    ranks = n * norm.cdf(np.linspace(-ends, ends, min(n, MAX_QUANTILES))) + 0.5
    return np.arange(1, n + 1) if n <= MAX_QUANTILES else np.unique(ranks.round().astype(int))
