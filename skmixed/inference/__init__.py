"""Tests between models, and of slopes within groups against those between.

=========================  ===============================================================
`_likelihood_ratio_test`   whether a larger model explains y better than one nested in it
=========================  ===============================================================
"""

from skmixed._describe.compare_slopes import SlopeComparison, compare_slopes
from skmixed._reports.likelihood_summary import LikelihoodSummary
from skmixed._reports.regression_summary import RegressionSummary
from skmixed._reports.summary import ModelSummary
from skmixed.inference._likelihood_ratio_test import LikelihoodRatioTest, likelihood_ratio_test

__all__ = [
    "LikelihoodRatioTest",
    "LikelihoodSummary",
    "ModelSummary",
    "RegressionSummary",
    "SlopeComparison",
    "compare_slopes",
    "likelihood_ratio_test",
]
