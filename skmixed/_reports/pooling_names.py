"""Names of the models and of the questions compared, as text and pictures show them."""

KNOWN, NEW = "known groups", "new groups"
REGIMES = {KNOWN: "New rows in known groups", NEW: "New groups"}
POOLED, FIXED, FIXED_SLOPES = "pooled", "fixed effects", "fixed slopes"
INTERCEPT, SLOPES = "random intercept", "random slopes"
MULTILEVEL = (INTERCEPT, SLOPES)
OURS = (POOLED, FIXED, INTERCEPT, FIXED_SLOPES, SLOPES)
