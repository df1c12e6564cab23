"""Tests between models, of coefficients, and of slopes within groups against those between.

=========================  ===============================================================
`_likelihood_ratio_test`   whether a larger model explains y better than one nested in it
`_wald_test`               whether several coefficients are 0 at once
`_anova_frame`             the same for each term of a model
`_contrast_frame`          combinations of coefficients, one by one
`_compare_models`          models side by side
`_coefficients`            which model these are of, what its coefficients are called
`_sources`                 which features a pipeline has made its columns of
=========================  ===============================================================
"""

from skmixed._describe.compare_slopes import SlopeComparison, compare_slopes
from skmixed._reports.likelihood_summary import LikelihoodSummary
from skmixed._reports.regression_summary import RegressionSummary
from skmixed._reports.summary import ModelSummary
from skmixed.inference._anova_frame import anova_frame
from skmixed.inference._compare_models import ModelComparison, compare_models
from skmixed.inference._contrast_frame import contrast_frame
from skmixed.inference._likelihood_ratio_test import LikelihoodRatioTest, likelihood_ratio_test
from skmixed.inference._wald_test import WaldTest, wald_test

__all__ = [
    "LikelihoodRatioTest",
    "LikelihoodSummary",
    "ModelComparison",
    "ModelSummary",
    "RegressionSummary",
    "SlopeComparison",
    "WaldTest",
    "anova_frame",
    "compare_models",
    "compare_slopes",
    "contrast_frame",
    "likelihood_ratio_test",
    "wald_test",
]
