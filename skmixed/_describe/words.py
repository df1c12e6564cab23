"""How a description words numbers and lists."""

from __future__ import annotations

# How many names are spelled out.
MOST_NAMES = 4


def limits(low, high):
    """Write limits with two digits of the upper one."""
    decimals = 2 if high >= 0.1 else 3 if high >= 0.01 else 4
    return f"{low:.{decimals}f} to {high:.{decimals}f}"


def named(names):
    """List names as text."""
    return listed(map(str, names))


def listed(parts):
    """Join parts by commas, the last by "and"; many are cut short."""
    parts = list(parts)
    if len(parts) > MOST_NAMES + 1:
        parts = [*parts[:MOST_NAMES], f"{len(parts) - MOST_NAMES} others"]
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def count(number, noun):
    """Say how many there are."""
    return f"There is 1 {noun}" if number == 1 else f"There are {number:,} {noun}s"


def of_rows(sizes):
    """Say how large groups are: alike, or between what."""
    low, high = sizes.min(), sizes.max()
    if low == high:
        one = len(sizes) == 1
        return f"of {low:,.10g} {'row' if low == 1 else 'rows'}{'' if one else ' each'}"
    return f"of {low:,.10g} to {high:,.10g} rows, {sizes.mean():,.1f} on average"


def rounded(share):
    """Write a share in per cent, which is 0% or 100% only where it is."""
    whole = f"{share:.0%}"
    return f"{share:.1%}" if whole in ("0%", "100%") and 0 < share < 1 else whole


def p_of(value):
    """Write a p-value."""
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"
