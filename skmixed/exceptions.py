"""Warnings of skmixed; its errors are Python's and scikit-learn's own, but for one."""


class MissingGroupsWarning(UserWarning):
    """A model of groups was fitted without them: it is a pooled linear fit."""


class SingularFitWarning(UserWarning):
    """A variance component is estimated as zero, or cannot be told from the residual's."""


class NotIdentifiedWarning(SingularFitWarning):
    """The rows do not determine some variances or covariances of the random effects, or slopes.

    Other values of these have the same likelihood, whatever y is.
    """


class NewGroupsWarning(UserWarning):
    """Rows are of groups that were not in the fit, and what is asked of them is not known."""


class NotAvailableError(ValueError, AttributeError):
    """What is asked of a fitted model does not exist for it.

    It is an AttributeError, too, so that tools which look through attributes pass over it.
    """
