"""Warnings of skmixed; its errors are Python's and scikit-learn's own."""


class MissingGroupsWarning(UserWarning):
    """A model with random effects was fitted without groups: it is a pooled linear fit."""


class SingularFitWarning(UserWarning):
    """A variance component is estimated as zero, or cannot be told from the residual's."""
