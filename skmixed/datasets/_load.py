"""Data sets that come with the package."""

from __future__ import annotations

from typing import Literal, overload

from sklearn.utils import Bunch

from skmixed._public import public
from skmixed.datasets._table import Data, SeveralData, load_table


@overload
def load_sleepstudy(*, return_X_y: Literal[False] = False) -> Bunch: ...
@overload
def load_sleepstudy(*, return_X_y: Literal[True]) -> Data: ...
@public("skmixed.datasets")
def load_sleepstudy(*, return_X_y: bool = False) -> Bunch | Data:
    """Load the sleep-deprivation study: 180 rows, 18 subjects.

    Average reaction time of each subject on each day of a study in which sleep was
    restricted to three hours a night. Days 0 and 1 were training, day 2 is the baseline.

    =============  =====================================================
    ``Reaction``   average reaction time in milliseconds (the target)
    ``Days``       day of the study, 0 to 9
    ``Subject``    number of the subject (the group)
    =============  =====================================================

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
    Belenky, G. et al. (2003). Patterns of performance degradation and restoration during sleep
    restriction and subsequent recovery: a sleep dose-response study. Journal of Sleep
    Research, 12(1), 1-12. doi:10.1046/j.1365-2869.2003.00337.x

    Examples
    --------
    >>> from skmixed.datasets import load_sleepstudy
    >>> load_sleepstudy().frame.head(2)
       Reaction  Days  Subject
    0  249.5600     0      308
    1  258.7047     1      308
    """
    return load_table(
        "sleepstudy.csv", "Reaction", "Subject", load_sleepstudy.__doc__, return_X_y
    )


@overload
def load_hsb(*, return_X_y: Literal[False] = False) -> Bunch: ...
@overload
def load_hsb(*, return_X_y: Literal[True]) -> Data: ...
@public("skmixed.datasets")
def load_hsb(*, return_X_y: bool = False) -> Bunch | Data:
    """Load High School and Beyond: mathematics scores of 7,185 pupils in 160 schools.

    A subsample of the 1982 survey, the standard example of multilevel textbooks.

    =============  ==========================================================
    ``math``       score of a mathematics test (the target)
    ``ses``        socio-economic status of the pupil's family, standardised
    ``minority``   1 if the pupil belongs to a minority
    ``female``     1 if the pupil is a girl
    ``mean_ses``   mean of ``ses`` in the school: varies between schools only
    ``catholic``   1 if the school is Catholic: varies between schools only
    ``school``     number of the school (the group)
    =============  ==========================================================

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
    Raudenbush, S. W. and Bryk, A. S. (2002). Hierarchical Linear Models: Applications and Data
    Analysis Methods, 2nd ed. Sage.

    Examples
    --------
    >>> from skmixed.datasets import load_hsb
    >>> load_hsb().frame.head(2).round(3)
         math    ses  minority  female  mean_ses  catholic  school
    0   5.876 -1.528         0       1    -0.434         0    1224
    1  19.708 -0.588         0       1    -0.434         0    1224
    """
    return load_table("hsb.csv", "math", "school", load_hsb.__doc__, return_X_y)


@overload
def load_mep_staff(*, return_X_y: Literal[False] = False) -> Bunch: ...
@overload
def load_mep_staff(*, return_X_y: Literal[True]) -> Data: ...
@public("skmixed.datasets")
def load_mep_staff(*, return_X_y: bool = False) -> Bunch | Data:
    """Load synthetic rows on staff of members of a parliament: 6,948 rows, 28 nationalities.

    These data are synthetic. They were constructed so that three models give, to the printed
    digits, the estimates of a lecture on multilevel models whose own data are not public:
    ``y ~ x + (1 | Nationality)``, the same with the level-2 feature ``z``, and
    ``y ~ x + (ProxNatElection | Nationality)``. Nothing else was meant to resemble anything:
    nothing about real countries, parliaments or their members can be read off them.

    ===================  ===============================================================
    ``y``                size of a member's staff, made up (the target)
    ``x``                stands for the share of seats of the member's party, 0 to 0.85:
                         varies within and between nationalities
    ``z``                stands for one of two electoral systems, 0 or 1: varies between
                         nationalities only (level 2)
    ``ProxNatElection``  minus the years to the next national election, -4 to 0
    ``Nationality``      name of a country (the group)
    ===================  ===============================================================

    Parameters
    ----------
    return_X_y : bool, default=False
        If true, return ``(data, target, groups)`` instead of a Bunch.

    Returns
    -------
    Bunch or tuple of (DataFrame, Series, Series)
        A Bunch has the attributes data, target, groups, frame (all of them in one table),
        feature_names, target_name, group_name and DESCR.

    Examples
    --------
    >>> from skmixed import RandomInterceptRegressor
    >>> from skmixed.datasets import load_mep_staff
    >>> X, y, nationality = load_mep_staff(return_X_y=True)
    >>> model = RandomInterceptRegressor().fit(X[["x"]], y, groups=nationality)
    >>> round(model.intercept_, 4), model.coef_.round(4)
    (2.6799, array([-1.6722]))
    """
    doc = load_mep_staff.__doc__
    return load_table("mep_staff.csv.gz", "y", "Nationality", doc, return_X_y)


@overload
def load_penicillin(*, return_X_y: Literal[False] = False) -> Bunch: ...
@overload
def load_penicillin(*, return_X_y: Literal[True]) -> SeveralData: ...
@public("skmixed.datasets")
def load_penicillin(*, return_X_y: bool = False) -> Bunch | SeveralData:
    """Load an assay of penicillin: 144 rows, 24 plates crossed with 6 samples.

    Each of six samples of penicillin was put on each of 24 plates, and inhibits the growth of
    bacteria around it: the wider, the stronger it is. Plates differ in what grows on them.
    There are no features; the two factors are balanced and fully crossed.

    ============  =====================================================
    ``diameter``  diameter of the zone of inhibition in mm (the target)
    ``plate``     letter of the plate, a to x (a group)
    ``sample``    letter of the sample, A to F (a group)
    ============  =====================================================

    Parameters
    ----------
    return_X_y : bool, default=False
        If true, return ``(data, target, groups)`` instead of a Bunch.

    Returns
    -------
    Bunch or tuple of (DataFrame, Series, DataFrame)
        A Bunch has the attributes data (of shape (144, 0)), target, groups (a column for each
        factor), frame (all of them in one table), feature_names, target_name, group_names and
        DESCR.

    References
    ----------
    Davies, O. L. and Goldsmith, P. L. (1972). Statistical Methods in Research and Production,
    4th ed. Oliver and Boyd. Section 6.6.

    Examples
    --------
    The fit of ``diameter ~ 1 + (1 | plate) + (1 | sample)`` as lme4 publishes it:

    >>> from skmixed import RandomInterceptRegressor
    >>> from skmixed.datasets import load_penicillin
    >>> X, y, groups = load_penicillin(return_X_y=True)
    >>> model = RandomInterceptRegressor().fit(X, y, groups=groups)
    >>> round(model.criterion_, 4), round(model.intercept_, 4)
    (330.8606, 22.9722)
    >>> model.summary().variance_components["std_dev"].round(4)
    level     term
    plate     (Intercept)    0.8467
    sample    (Intercept)    1.9316
    Residual                 0.5499
    Name: std_dev, dtype: float64
    """
    doc, groups = load_penicillin.__doc__, ["plate", "sample"]
    return load_table("penicillin.csv", "diameter", groups, doc, return_X_y)
