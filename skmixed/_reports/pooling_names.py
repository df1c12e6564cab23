"""Names of the models and of the questions compared, as text and pictures show them."""

KNOWN, NEW = "known groups", "new groups"
REGIMES = {KNOWN: "New rows in known groups", NEW: "New groups"}
POOLED, FIXED, FIXED_SLOPES = "pooled", "fixed effects", "fixed slopes"
INTERCEPT, SLOPES = "random intercept", "random slopes"
MULTILEVEL = (INTERCEPT, SLOPES)
OURS = (POOLED, FIXED, INTERCEPT, FIXED_SLOPES, SLOPES)
# Of binary outcomes and counts.
ONE_HOT, ENCODED = "one-hot + ridge", "target encoding"
# Of any outcome, if asked for; mixed boosting of a continuous one.
BOOSTING, WITH_EFFECTS = "boosting", "boosting with effects"
MIXED_BOOSTING = "mixed boosting"
# Scores that rank models, as sentences and axes call them.
LOSSES = {"rmse": "RMSE", "log_loss": "log loss", "poisson_deviance": "Poisson deviance"}


def listed(words):
    """Join words as in a sentence: "a, b and c"."""
    *others, last = words
    return " and ".join([", ".join(others), last] if others else [last])


def name_regime(factors):
    """Name the question in which the groups of some of several factors are new."""
    return f"{NEW} of {listed(factors)}" if factors else KNOWN


def title_regime(regime):
    """Name a question as a heading."""
    return REGIMES.get(regime, regime[:1].upper() + regime[1:])


def intercept_of(factor):
    """Name the random intercept that knows one of several factors only."""
    return f"{factor} alone"


def icc_of(factor):
    """Name the intraclass correlation of one of several factors."""
    return f"icc ({factor})"
