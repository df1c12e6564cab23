"""Compare complete, no and partial pooling: which predicts better, for whom, and why."""

from __future__ import annotations

from numbers import Integral
from typing import Any, Literal

import pandas as pd
from sklearn.utils import check_random_state

from skmixed._estimators.fixed_effects import FixedEffectsRegressor
from skmixed._public import public
from skmixed._reports.pooling_names import INTERCEPT, SLOPES, icc_of
from skmixed._rows import chosen_columns
from skmixed._rows.containers import take_rows
from skmixed._rows.factors import SEVERAL
from skmixed._sklearn_private import Interval, StrOptions, validate_params
from skmixed.model_selection._pooling_comparison import PoolingComparison
from skmixed.model_selection._pooling_folds import predict_all, without_numbers
from skmixed.model_selection._pooling_given import (
    check_rows,
    check_sizes,
    read_groups,
    refuse_several,
)
from skmixed.model_selection._pooling_models import make_models
from skmixed.model_selection._pooling_outcomes import TARGET_TYPES, read_outcome
from skmixed.model_selection._pooling_scores import score_group_sizes, tested_folds
from skmixed.model_selection._pooling_splits import split_regimes


@public("skmixed")
@validate_params(
    {
        "group_by": SEVERAL,
        "slopes": [*chosen_columns.SLOPES, dict, None],
        "target_type": [StrOptions(set(TARGET_TYPES))],
        "boosting": ["boolean"],
        "estimators": [dict, None],
        "n_splits": [Interval(Integral, 2, None, closed="left")],
        "n_repeats": [Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
        "n_jobs": [Integral, None],
        "verbose": ["verbose"],
    },
    prefer_skip_nested_validation=True,
)
def compare_pooling(
    X: Any,
    y: Any,
    groups: Any = None,
    *,
    group_by: Any = None,
    slopes: Any = None,
    target_type: Literal["auto", "continuous", "binary", "count"] = "auto",
    boosting: bool = False,
    estimators=None,
    n_splits: int = 5,
    n_repeats=2,
    random_state: Any = None,
    n_jobs: int | None = None,
    verbose: int = 0,
) -> PoolingComparison:
    """Compare how well models predict that ignore groups, separate them, or partially pool.

    Cross-validates complete pooling (`PooledRegressor`), fixed effects
    (`FixedEffectsRegressor`), random effects (`RandomInterceptRegressor`) and any other
    regressors, for two questions with different answers: *new rows in known groups*
    (`WithinGroupKFold`: the groups of the test rows have other rows in training) and *new
    groups* (`GroupKFold`: they have none). All models see the same folds.

    With several factors, such as schools and raters, each factor of a test row is known or new
    by itself. There is a question for each: *known groups* of all factors, *new groups of
    school*, *new groups of rater*, and *new groups of school and rater*, and each tests only
    rows that are of it. The models are complete pooling, a random intercept of each factor
    alone, and fixed effects and a random intercept of all.

    Of a binary outcome, and of counts, the models are a pooled logistic or Poisson regression,
    one with a column for each group and a ridge penalty ("one-hot + ridge"), of a binary
    outcome one with the groups' shares of the class as a column ("target encoding"), and
    `RandomInterceptClassifier` or `RandomInterceptPoissonRegressor`.

    Parameters
    ----------
    X : {array-like, sparse matrix, DataFrame} of shape (n_rows, n_columns)
        Numeric features and, if `group_by` is set, the group column.
    y : array-like of shape (n_rows,)
        Target: numbers, labels of two classes, or counts.
    groups : array-like of shape (n_rows,) or (n_rows, n_factors), optional
        Group label of each row, none missing, a column for each factor. Not together with
        `group_by`.
    group_by : str, int, tuple or list of these, default=None
        Name (of a DataFrame's column, or of a level of its index) or position of the column of
        X that holds the groups; of several factors a list, in which a tuple joins labels.
    slopes : None, "all", str, int, list, slice, mask, callable or dict, default=None
        Columns of X whose slope differs between groups, as `RandomSlopeRegressor` takes them;
        of several factors a dictionary. If given, "random slopes" are added, and with one
        factor "fixed slopes" with a separate line for each group (of a continuous y).
    target_type : {"auto", "continuous", "binary", "count"}, default="auto"
        What y is. "auto" takes labels, truth values, and numbers that are all 0 or 1 for
        "binary", other numbers for "continuous"; counts must be asked for. "continuous"
        compares linear models of a y that is 0 or 1, too.
    boosting : bool, default=False
        Whether gradient boosting is compared, too: "boosting" of the features alone, "boosting
        with effects" behind a `RandomEffectEncoder` and, of a continuous y, "mixed boosting",
        a `MixedEffectsRegressor`. It takes dense features, and a second or so for each fold.
    estimators : dict of str to estimator, default=None
        Other regressors to compare, or of a binary outcome classifiers with `predict_proba`, by
        the name to print. With `group_by` they are given X with
        the group column as it is, for example for a `OneHotEncoder`, a `TargetEncoder` or
        categorical features. With `groups` they are given X alone, except that `groups` go to
        the methods that request them (metadata routing; mixed models of this package request
        them by themselves, and so does a search whose splitter needs groups). For results that
        do not vary, set their `random_state`; the luck of a seed is then part of the model, and
        no test can tell it from skill.
    n_splits : int, default=5
        Folds, at least 2 and at most the number of groups. Where all of several factors are
        new there are as many for each pair of them: its square.
    n_repeats : int, default=2
        How many times rows, or groups, are shuffled and split anew.
    random_state : int, RandomState instance or None, default=None
        Seed of the shuffling; pass an int for the same folds at every call.
    n_jobs : int, default=None
        Number of jobs to run in parallel; the result does not depend on it, save for the
        seconds.
    verbose : int, default=0
        How much to tell about progress.

    Returns
    -------
    PoolingComparison
        Prints as text with findings, shows as HTML in a notebook, holds the scores as
        DataFrames, and draws them by `plot`.

    Raises
    ------
    ValueError
        If groups are not given, or twice; if there are fewer groups than `n_splits`, or no
        group has two rows; if `slopes` or `group_by` name no column; if X or y are not what
        `PooledRegressor.fit` takes; if a binary outcome has not two classes, or counts are
        negative; or if a name in `estimators` is one of this function.
    NotAvailableError
        If there are several factors, and y is binary or a count.

    See Also
    --------
    skmixed.describe_groups : What grouped data are like, before models are compared.
    skmixed.metrics.scores_by_cell : Scores by whether groups of rows were in training.
    WithinGroupKFold : Splits rows of each group.
    TwoWayGroupKFold : Splits rows by two factors at once.

    Notes
    -----
    One of `estimators` that raises an error in `fit` or `predict`, for example because it
    cannot predict new groups, has no score in that regime; ``cannot`` holds the error. Warnings
    are not shown but collected in ``warned``. A row whose group has no other row cannot be
    tested in a known group: it is predicted as of a new group in both regimes, and a remark
    tells how many there are. With several factors it is tested in no regime, but where its
    groups are held out.

    In the regime in which more than two factors are new, none within another, the parts of
    these meet as in a Latin square, and one row in `n_splits` is tested.

    Models whose `predict` takes `return_std` (mixed models, `BayesianRidge`,
    `GaussianProcessRegressor`, also at the end of a `Pipeline`) are scored by log density,
    coverage and width of 95% intervals, too, from a normal distribution.

    Models of binary outcomes are scored by the probabilities of the second class in sorted
    order: by log loss, which ranks them, Brier score and area under the ROC curve. Those of
    counts are scored by the mean Poisson deviance; predictions must be above 0. A slope and an
    intercept of calibration say how far predictions are true, see `PoolingComparison.summary`.
    The ridge penalty is half the sum of squared coefficients, of features scaled to deviation
    1: as a random intercept with variance 1 that is not estimated. Groups' shares are encoded
    by `TargetEncoder`, for training rows by rows of other folds.

    Two models are compared on rows that both predict, see `PoolingComparison.difference`: the
    standard error is over groups, of all factors, and over fits, not over folds. Folds share
    most of their training rows, so that what differs between folds says little of what differs
    between data sets (Nadeau and Bengio).

    References
    ----------
    Nadeau, C. and Bengio, Y. (2003). Inference for the generalization error. Machine Learning,
    52, 239-281. doi:10.1023/A:1024068626366

    Examples
    --------
    >>> from skmixed import compare_pooling
    >>> from skmixed.datasets import make_mixed_regression
    >>> X, y, groups = make_mixed_regression(
    ...     300, 2, 60, intercept_variance=0.5, balanced=False, random_state=0
    ... )
    >>> comparison = compare_pooling(X, y, groups, random_state=0)
    >>> comparison.summary[["rmse", "difference", "std_error"]].round(3)
                                    rmse  difference  std_error
    regime       model
    known groups pooled            1.146       0.111      0.045
                 fixed effects     1.089       0.054      0.025
                 random intercept  1.035       0.000      0.000
    new groups   pooled            1.166       0.000      0.000
                 fixed effects     1.170       0.004      0.017
                 random intercept  1.171       0.005      0.013
    >>> print(comparison.findings[2])
    In known groups random intercept beats pooled by 0.111 (SE 0.045, p = 0.026) in RMSE,
    1.035 against 1.146.

    Whether y is above its mean, as an example of a binary outcome:

    >>> comparison = compare_pooling(X, y > y.mean(), groups, n_repeats=1, random_state=0)
    >>> columns = ["log_loss", "auc", "difference", "std_error"]
    >>> comparison.summary.loc["known groups", columns].round(3)
                      log_loss    auc  difference  std_error
    model
    pooled               0.391  0.907       0.049      0.033
    one-hot + ridge      0.343  0.929       0.001      0.007
    target encoding      0.365  0.920       0.022      0.020
    random intercept     0.343  0.928       0.000      0.000
    """
    X, y, groups = take_rows(X=X, y=y, groups=groups)
    X, found = read_groups(X, y, groups, group_by)
    target = read_outcome(y, target_type)
    outcome = target.outcome
    refuse_several(found, outcome)
    check_sizes(found, n_splits)
    models = make_models(X, found, group_by, slopes, boosting, estimators, outcome.target_type)
    several = models.get(SLOPES, models[INTERCEPT])
    most = several if found.are_several else FixedEffectsRegressor(group_by=group_by)
    some_vary = check_rows(most, X, target.numbers, found)
    rng = check_random_state(random_state)
    splits = split_regimes(found, n_splits, n_repeats, rng)
    predictions = predict_all(
        models, X, target, found.values, splits, n_jobs=n_jobs, verbose=verbose
    )
    tested, size_ranges = tested_folds(predictions, target.numbers, found.codes)
    by_size = [
        score_group_sizes(tested, ranges, outcome.loss, factor)
        for factor, ranges in enumerate(size_ranges)
    ]
    return PoolingComparison(
        scores=_scores(predictions, tested, outcome.measures),
        group_size_scores=(
            dict(zip(found.names, by_size, strict=True)) if found.are_several else by_size[0]
        ),
        cannot=_cannot(predictions),
        warned=_warned(predictions),
        group_sizes=found.sizes,
        _tested=tested,
        target_type=outcome.target_type,
        classes=target.classes,
        _slopes_left_out=slopes is None and some_vary,
    )


# ------------------------------------------------------------------------- tables of the result


def _scores(predictions, tested, measures):
    rows = []
    folds = {key: iter(of_model) for key, of_model in tested.items()}
    for split, name, prediction in predictions:
        tested_fold = next(folds[split.regime, name])
        rows.append(
            {
                "regime": split.regime,
                "model": name,
                "repeat": split.repeat,
                "fold": split.fold,
                "n_train": len(split.train),
                "n_test": len(split.test),
                **{measure: tested_fold.values(measure).mean() for measure in measures},
                "fit_seconds": prediction.seconds,
                **_shares(prediction.icc),
            }
        )
    return pd.DataFrame(rows)


def _shares(icc):
    """Intraclass correlation; of several factors their sum, and that of each."""
    if not isinstance(icc, dict):
        return {"icc": icc}
    return {"icc": sum(icc.values())} | {icc_of(name): share for name, share in icc.items()}


def _cannot(predictions):
    """Errors, by regime, model and kind: of each the first message, and in how many folds."""
    table = _messages(
        (split.regime, name, prediction.error)
        for split, name, prediction in predictions
        if prediction.error is not None
    )
    return _count(table, by=table["kind"])


def _warned(predictions):
    """Warnings in the same way; those that differ in more than numbers are told apart."""
    table = _messages(
        (split.regime, name, line)
        for split, name, prediction in predictions
        for line in prediction.warned
    )
    return _count(table, by=table["message"].map(without_numbers))


def _messages(lines):
    table = pd.DataFrame(lines, columns=["regime", "model", "message"], dtype=object)
    return table.assign(kind=table["message"].str.split(":").str[0])


def _count(table, by):
    grouped = table.groupby(["regime", "model", "kind", by.rename("line")], sort=False)
    counts = grouped["message"].agg(folds="size", message="first")
    return counts.droplevel("line").reset_index()
