"""Fits that read the rows again where the first pass leaves few digits."""

from __future__ import annotations

from skmixed._numerics.linalg.digits import DIGITS_NEEDED
from skmixed._numerics.moments.coordinates import near_means
from skmixed._numerics.moments.own_lines import OwnLines

# Passes over the rows after the first: one takes off the lines, the next what X explains.
MAX_PASSES = 3


def solve_with_digits(solve, moments, again=None):
    """Solve, and pass over the rows again as long as digits lack.

    Parameters
    ----------
    solve : callable
        From `OwnLines` to a solution that knows its `beta` and `digits_left`.
    moments : GroupedMoments
        Of the rows.
    again : RowsAgain, default=None
        The rows, if they can be read again.

    Returns
    -------
    solution
        What was solved.
    lines : OwnLines or None
        For what, if it was not the moments.
    """
    lines = OwnLines.of(near_means(moments))
    solution = solve(lines)
    if again is None or not (lacks_digits(solution) or again.vary_within(lines)):
        return solution, None
    for _ in range(MAX_PASSES):
        # what X explains is taken off y
        taken = solution.beta[len(solution.beta) - len(lines.taken) :]
        lines = again.sum_up_what_is_left(lines.with_taken(taken))
        solution = solve(lines)
        if not lacks_digits(solution):
            break
    return solution, lines


def lacks_digits(solution):
    """Whether a solution has fewer digits than a fit needs."""
    return solution.digits_left < DIGITS_NEEDED
