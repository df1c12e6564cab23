"""Data sets of binary outcomes and counts that come with the package."""

from __future__ import annotations

from typing import Literal, overload

from sklearn.utils import Bunch

from skmixed._public import public
from skmixed.datasets._table import Data, load_table


@overload
def load_bacteria(*, return_X_y: Literal[False] = False) -> Bunch: ...
@overload
def load_bacteria(*, return_X_y: Literal[True]) -> Data: ...
@public("skmixed.datasets")
def load_bacteria(*, return_X_y: bool = False) -> Bunch | Data:
    """Load a trial of a drug against bacteria: 220 yes-or-no rows, 50 children.

    Children in the Northern Territory of Australia who had had inflamed middle ears were given
    a drug or a placebo, drawn by lot, and some were encouraged to take it. They were tested for
    Haemophilus influenzae up to five times; 30 tests are missing.

    ==============  ========================================================
    ``present``     whether the bacteria were found: yes or no (the target)
    ``drug``        1 if the child got the drug, 0 if the placebo
    ``encouraged``  1 if the child was encouraged to take it
    ``week``        week of the test: 0, 2, 4, 6 or 11
    ``child``       label of the child (the group)
    ==============  ========================================================

    Parameters
    ----------
    return_X_y : bool, default=False
        If true, return ``(data, target, groups)`` instead of a Bunch.

    Returns
    -------
    Bunch or tuple of (DataFrame, Series, Series)
        A Bunch has the attributes data, target, groups, frame (all of them in one table),
        feature_names, target_name, group_name and DESCR.

    References
    ----------
    Data of Dr Amanda Leach, by way of James McBroom. Menzies School of Health Research
    1999-2000 Annual Report, p. 20.

    Venables, W. N. and Ripley, B. D. (2002). Modern Applied Statistics with S, 4th ed.
    Springer. They are ``bacteria`` in its R package MASS.

    Examples
    --------
    What ``glmer(y ~ drug + late + (1 | child), binomial, nAGQ = 9)`` of lme4 finds:

    >>> from skmixed import RandomInterceptClassifier
    >>> from skmixed.datasets import load_bacteria
    >>> X, y, child = load_bacteria(return_X_y=True)
    >>> X = X[["drug"]].assign(late=X["week"] > 2)
    >>> model = RandomInterceptClassifier().fit(X, y, groups=child)
    >>> round(model.intercept_, 3), model.coef_.round(3), model.theta_.round(3)
    (3.605, array([-1.095, -1.627]), array([1.346]))
    """
    return load_table("bacteria.csv", "present", "child", load_bacteria.__doc__, return_X_y)


@overload
def load_epilepsy(*, return_X_y: Literal[False] = False) -> Bunch: ...
@overload
def load_epilepsy(*, return_X_y: Literal[True]) -> Data: ...
@public("skmixed.datasets")
def load_epilepsy(*, return_X_y: bool = False) -> Bunch | Data:
    """Load a trial of a drug against epilepsy: 236 counts of seizures, 59 patients.

    Seizures of each patient were counted for eight weeks, and then, with the drug progabide or
    with a placebo, in four periods of two weeks each.

    ============  ==============================================================
    ``seizures``  seizures in the two weeks of a period (the target)
    ``drug``      1 if the patient got progabide, 0 if the placebo
    ``base``      seizures in the eight weeks before
    ``age``       age of the patient in years
    ``period``    period, 1 to 4
    ``patient``   number of the patient (the group)
    ============  ==============================================================

    Parameters
    ----------
    return_X_y : bool, default=False
        If true, return ``(data, target, groups)`` instead of a Bunch.

    Returns
    -------
    Bunch or tuple of (DataFrame, Series, Series)
        A Bunch has the attributes data, target, groups, frame (all of them in one table),
        feature_names, target_name, group_name and DESCR.

    References
    ----------
    Thall, P. F. and Vail, S. C. (1990). Some covariance models for longitudinal count data
    with overdispersion. Biometrics, 46(3), 657-671. doi:10.2307/2532086

    Venables, W. N. and Ripley, B. D. (2002). Modern Applied Statistics with S, 4th ed.
    Springer. They are ``epil`` in its R package MASS.

    Examples
    --------
    What ``glmer(y ~ drug + log_base + log_age + last + (1 | patient), poisson, nAGQ = 9)`` of
    lme4 finds:

    >>> import numpy as np
    >>> from skmixed import RandomInterceptPoissonRegressor
    >>> from skmixed.datasets import load_epilepsy
    >>> X, y, patient = load_epilepsy(return_X_y=True)
    >>> logs = np.log(X[["base", "age"]]).add_prefix("log_")
    >>> X = X[["drug"]].join(logs).assign(last=X["period"] == 4)
    >>> model = RandomInterceptPoissonRegressor().fit(X, y, groups=patient)
    >>> model.coef_.round(3), model.theta_.round(3)
    (array([-0.315,  1.027,  0.332, -0.16 ]), array([0.517]))
    """
    return load_table("epilepsy.csv", "seizures", "patient", load_epilepsy.__doc__, return_X_y)
