"""What a user must know of a fit by the iterative solver."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from skmixed._numerics.fit.choice_of_solver import is_good_for_exact
from skmixed._numerics.fit.dense_layout import components_of_levels
from skmixed._warn import warn

# More steps of conjugate gradients than these are many.
MANY_STEPS = 60
# An error of the probes that is worth a word, as a share of the standard error.
LARGE_SHARE = 0.03

WEAKLY_CONNECTED = (
    "Conjugate gradients took {n_steps} steps a solve, where 5 to 30 are usual: the factors "
    "hang together weakly, which makes the fit slow, not wrong. Their groups fall into "
    "{n_parts} part(s) that share no row; {hanging}. Keep the largest part, or leave out "
    "groups that hang by one other, if you do not need their effects."
)
FEW_PROBES = (
    "The probes leave an error of {share:.1%} of the standard error of the variances, with "
    "n_probes={n}: see monte_carlo_error_. Use more, n_probes={more}."
)
EXACT_IS_GOOD = " Here solver='exact' is quick, too, and has no such error."


def warn_about_probes(model, fit):
    """Warn of slow solves and of large errors.

    Parameters
    ----------
    model : estimator
        The fitted model.
    fit : FactorFit
        What its attributes were made of.
    """
    if fit.monte_carlo_error is None:
        return
    exact = EXACT_IS_GOOD if is_good_for_exact(fit.problem) else ""
    n_steps = fit.at.elimination.probes.n_steps
    if n_steps > MANY_STEPS:
        parts = components_of_levels(fit.problem, 0, range(1, len(fit.problem.q)))
        message = WEAKLY_CONNECTED.format(
            n_steps=n_steps, n_parts=parts[0].max() + 1, hanging="; ".join(_hanging(model, fit))
        )
        warn(message + exact, ConvergenceWarning)
    share = fit.monte_carlo_error.share
    if share > LARGE_SHARE:
        n = fit.probes.n
        more = int(np.ceil(n * (share / 0.01) ** 2))
        message = FEW_PROBES.format(share=share, n=n, more=more)
        warn(message + exact, ConvergenceWarning)


def _hanging(model, fit):
    """Count the groups of each factor that meet a single one of another."""
    names = list(model.n_groups_)
    for f, g in combinations(range(len(names)), 2):
        cells = fit.problem.cells[f, g]
        for one, other, levels in ((f, g, cells.first), (g, f, cells.second)):
            n = np.count_nonzero(np.bincount(levels) == 1)
            of = f"{n:,} of {fit.problem.n_levels[one]:,} groups of {names[one]!r}"
            yield f"{of} meet one of {names[other]!r} alone"
