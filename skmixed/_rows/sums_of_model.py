"""Which of the sums that were made a model needs."""

from __future__ import annotations

from skmixed._rows.messages import SLOPES_NOT_SUMMED


def sums_of_model(model, moments, columns):
    """Choose of all sums those that a model needs.

    Parameters
    ----------
    model : estimator
        It may do without the groups.
    moments : GroupedMoments
        What was summed up.
    columns : Columns
        What is known of the columns.

    Returns
    -------
    GroupedMoments or FactorMoments of the numerics

    Raises
    ------
    ValueError
        If slopes of the model were not summed.
    """
    sums = moments.sums
    if not model._uses_groups:
        return (sums.factors[0] if moments.factors else sums).with_random((0,)).without_groups()
    parts = columns.factors or (columns,)
    summed = sums.factors if moments.factors else (sums,)
    if not all(
        set(of.random) <= set(own.random) for of, own in zip(parts, summed, strict=True)
    ):
        slopes, given = slopes_of(columns), moments.slopes
        raise ValueError(SLOPES_NOT_SUMMED.format(slopes=listed(slopes), summed=listed(given)))
    return sums.with_random([of.random for of in parts] if moments.factors else columns.random)


def slopes_of(columns):
    """Names of the slope columns; of several factors a dictionary."""
    if columns.factors:
        return {factor.group_name: tuple(factor.slope_terms) for factor in columns.factors}
    return tuple(columns.slope_terms)


def listed(slopes):
    """Write slopes as lists."""
    if isinstance(slopes, dict):
        return {name: list(terms) for name, terms in slopes.items()}
    return list(slopes)
