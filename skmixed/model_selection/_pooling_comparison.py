"""The result of a comparison: scores, differences, text and picture."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from skmixed._numerics.linalg.digits import SAME_SCORE
from skmixed._public import public
from skmixed._reports.layout import Printed
from skmixed._reports.pooling_names import (
    KNOWN,
    LOSSES,
    intercept_of,
    listed,
    title_regime,
)
from skmixed.model_selection._paired_difference import paired_difference
from skmixed.model_selection._pooling_calibration import calibrate
from skmixed.model_selection._pooling_findings import find
from skmixed.model_selection._pooling_outcomes import CALIBRATION, CONTINUOUS, OUTCOMES
from skmixed.model_selection._pooling_tables import mean_by_size, scores_as_text, sizes_as_text


@public("skmixed.model_selection")
@dataclass(frozen=True, repr=False)
class PoolingComparison(Printed):
    """Scores of models with complete, no and partial pooling, in known and in new groups.

    Made by `compare_pooling`. Printing it shows tables and findings as text; a notebook shows
    them as HTML. With several factors a and b there is a regime for each that is new, "new
    groups of a", "new groups of b" and "new groups of a and b", in place of "new groups".

    Attributes
    ----------
    scores : DataFrame
        A row for each regime ("known groups", "new groups"), model, repeat and fold: n_train
        and n_test, and what the test rows score.

        - continuous y: rmse and mae in units of y, r2; of models with a predictive
          distribution the mean ``log_density`` (natural logarithm), ``coverage`` and mean
          ``width`` of 95% intervals
        - binary y: ``log_loss``, ``brier`` (score), ``auc`` (area under the ROC curve, NaN if
          all rows of a fold are of one class) and ``d2_log_loss``, 1 less the log loss over
          that of the share of the class
        - counts: mean ``poisson_deviance``, rmse, mae, and ``d2_deviance``, 1 less the deviance
          over that of the mean of y

        Then fit_seconds, and the intraclass correlation ``icc`` that a mixed model estimated
        (on the scale of the link, if y is not continuous): of several factors their sum, and
        that of each in columns ``icc (a)``, ``icc (b)``. NaN where there is none.
    group_size_scores : DataFrame, or dict of str to DataFrame by factor
        The same for new rows in known groups, by how many ``training_rows`` their group has in
        the training set: a row for each quarter of the groups (and one for groups without a
        row in training, 0), model, repeat and fold, with n_test and the score that
        ranks models: rmse, log_loss or poisson_deviance.
    cannot : DataFrame
        Models that raised an error: regime, model, kind of error, in how many folds, and the
        first line of the message (and what follows, if that ends with a colon). They have no
        mean scores in that regime.
    warned : DataFrame
        The same for warnings.
    group_sizes : Series of shape (n_groups,), or dict of str to Series by factor
        Rows of each group.
    target_type : {"continuous", "binary", "count"}
        What y was taken for.
    classes : ndarray of shape (2,) or None
        Labels of binary y; the probabilities are of the second.
    """

    scores: pd.DataFrame
    group_size_scores: pd.DataFrame | dict[str, pd.DataFrame]
    cannot: pd.DataFrame
    warned: pd.DataFrame
    group_sizes: pd.Series | dict[str, pd.Series]
    _tested: dict = field(repr=False)  # TestedFolds, by regime and model
    target_type: str = CONTINUOUS
    classes: np.ndarray | None = None
    _slopes_left_out: bool = False  # though there are features that vary within groups

    @cached_property
    def summary(self):
        """Mean scores of each model, and how far it is from the best.

        Returns
        -------
        DataFrame
            Its index is (regime, model), its columns the means over folds of the scores and
            fit_seconds; ``difference`` is that of rmse (log_loss, poisson_deviance) to the
            best model of the regime, the one with the lowest, and ``std_error`` its paired
            standard error, as in `difference`. NaN for a model that failed in a fold. Of
            binary y and counts there are ``calibration_slope`` and ``calibration_intercept``,
            over the test rows of all folds: b and a in ``link(mean of y) = a + b
            link(prediction)``, by logistic or Poisson regression, the intercept with b = 1.
            A slope below 1 says that predictions are too far apart, a positive intercept that
            they are too low.
        """
        measures = [*self._outcome.measures, "fit_seconds"]
        cells = self.scores.groupby(["regime", "model"], sort=False)
        table = cells[measures].mean()
        table = table.where(cells[measures].count().eq(cells.size(), axis=0))
        if not self._outcome.is_continuous:
            rows = [calibrate(self.target_type, self._tested[key]) for key in table.index]
            table[CALIBRATION] = rows
        rows = [self._to_best(table[self._outcome.loss], *key) for key in table.index]
        table[["difference", "std_error"]] = rows
        return table

    @cached_property
    def by_group_size(self):
        """Mean loss in known groups by how many rows the group has in training: for whom.

        Returns
        -------
        DataFrame, or dict of str to DataFrame by factor
            Its index is the range of training rows, one for each quarter of the groups. The
            columns are ``share``, that of the test rows, and the mean of each model over the
            folds that have such rows: of rmse, log_loss or poisson_deviance.
        """
        loss = self._outcome.loss
        if isinstance(self.group_size_scores, dict):
            return {k: mean_by_size(scores, loss) for k, scores in self._size_scores.items()}
        return mean_by_size(self.group_size_scores, loss)

    @property
    def findings(self):
        """What the scores say, each sentence with its numbers.

        Returns
        -------
        tuple of str
            Which model predicts better in each regime, for whom, and why.
        """
        return tuple(find(self))

    @property
    def title(self):
        """Number of rows and groups.

        Returns
        -------
        str
            One line.
        """
        parts = [f"{len(sizes)} groups ({name})" for name, sizes in self._sizes.items()]
        return f"Pooling compared on {self._n_rows} rows in {listed(parts)}"

    @property
    def remarks(self):
        """How the scores were made, and which rows could not be tested in a known group.

        Returns
        -------
        tuple of str
            Sentences.
        """
        n_repeats = self.scores["repeat"].nunique()
        n_folds = self.scores.groupby("regime", sort=False)["fold"].nunique().drop_duplicates()
        counts = " or ".join(map(str, sorted(n_folds)))
        repeats = "repeat" if n_repeats == 1 else "repeats"
        several = isinstance(self.group_sizes, dict)
        over = "groups of each factor" if several else "groups"
        remarks = [
            f"Means over {counts} folds x {n_repeats} {repeats}. `difference` is that of "
            f"{self._outcome.loss} to the best model, `std_error` its paired standard error "
            f"over {over} and fits."
        ]
        if several:
            one = next(iter(self._sizes))
            remarks.append(
                f"`{intercept_of(one)}` is the random intercept of {one} without the others."
            )
        remarks += self._of_target()
        remarks += self._of_cells() if several else self._of_singletons()
        return tuple(remarks)

    def _of_target(self):
        if not self._outcome.is_continuous:
            yield "`slope` and `intercept` are those of calibration: 1 and 0 are right."
        if self.classes is not None:
            other, label = self.classes.tolist()
            yield f"y is binary: probabilities are those of {label!r}, not of {other!r}."
            if self.classes.dtype.kind in "biuf":
                yield "target_type='continuous' compares linear models of it."

    def _of_singletons(self):
        singletons = int(np.count_nonzero(self.group_sizes == 1))
        if singletons:
            yield (
                f"{singletons} of {self.group_sizes.sum()} rows are alone in their group. They "
                "are predicted as new groups in both regimes."
            )

    def _of_cells(self):
        """Say where a regime of several factors tests some of the rows only."""
        of_model = self.scores[self.scores["model"] == self.scores["model"].iloc[0]]
        n_tested = of_model.groupby("regime", sort=False)["n_test"].sum()
        n_repeats = of_model["repeat"].nunique()
        for regime, n_rows in n_tested.items():
            if n_rows < n_repeats * self._n_rows:
                yield (
                    f"{n_rows / n_repeats / self._n_rows:.0%} of the rows are tested in "
                    f"{regime}: those whose groups are known and new as it says."
                )

    def difference(self, model, other, regime=KNOWN, *, score=None):
        """Compare two models on the rows that both predict.

        Parameters
        ----------
        model, other : str
            Names of the models.
        regime : {"known groups", "new groups"}, default="known groups"
            What is predicted; with several factors "new groups of a" and so on.
        score : str, default=None
            Column of `scores`; if None the one that ranks models: "rmse", "log_loss" or
            "poisson_deviance".

        Returns
        -------
        PairedDifference
            Mean score of `model` less that of `other`, its standard error, degrees of freedom
            and p value. NaN if one of them has no scores, or there are too few groups for a
            test. Prints as a sentence.

        Notes
        -----
        A score is a mean over the test rows of a fold, RMSE to first order (delta method: rows
        are ``(rmse + error**2 / rmse) / 2``), the area under the ROC curve likewise (by the
        rows' placements among those of the other class). Its difference D is the mean over all
        fits of the mean difference of their rows, in which a row has some weight, and group j
        the sum of weights w_j. With e the weighted differences of rows, less D, summed over a
        group (e_j), over a fit (e_f), or over a group within a fit (e_jf), the variance of D
        is ::

            V = V_groups + max(0, V_fits - V_both)

            V_groups = (J - 1) / J sum_j e_j^2 / (1 - w_j)^2
            V_fits = F / (F - 1) sum_f e_f^2,   V_both = sum_jf e_jf^2

        for J groups and F fits: clustered by groups, whose rows are alike and are tested in
        several fits, and by fits, which share chance where models draw at random (Cameron,
        Gelbach and Miller). V_groups is the jackknife's, and ``df`` are those of sum_j e_j^2
        if rows were independent (Bell and McCaffrey): J - 1 if groups have the same size.

        Where a model loses in few groups but much, as pooling does, the same groups raise D
        and its error, and t has little power. The p value is that of t without its skewness
        (Hall):
        with t = D / sqrt(V) and a = sum_j e_j^3 / V^(3/2) ::

            t + a / 6 + a t^2 / 3 + a^2 t^3 / 27

        compared with t on ``df`` degrees of freedom. With several factors rows that share a
        group of either are alike: V_groups is the largest of V_a, V_b and V_a + V_b - V_ab,
        with the sum of squares V_ab over the pairs of groups that meet, and V_both is made of
        sums within fits in the same way. ``df`` are the least of the factors', and t is not
        freed of its skewness, which is too uncertain. The p value speaks of groups such as
        those at hand, for known groups, too, and of models fitted to about as many rows.
        Between models that hardly differ in new groups it is cautious.

        References
        ----------
        Cameron, A. C., Gelbach, J. B. and Miller, D. L. (2011). Robust inference with multiway
        clustering. Journal of Business & Economic Statistics, 29, 238-249.
        doi:10.1198/jbes.2010.07136

        Bell, R. M. and McCaffrey, D. F. (2002). Bias reduction in standard errors for linear
        regression with multi-stage samples. Survey Methodology, 28, 169-181.

        Hall, P. (1992). On the removal of skewness by transformation. Journal of the Royal
        Statistical Society B, 54, 221-228. doi:10.1111/j.2517-6161.1992.tb01876.x

        Examples
        --------
        >>> from skmixed import compare_pooling
        >>> from skmixed.datasets import make_mixed_regression
        >>> rows = make_mixed_regression(300, 2, 60, intercept_variance=0.5, random_state=0)
        >>> comparison = compare_pooling(*rows, random_state=0)
        >>> comparison.difference("random intercept", "fixed effects")
        rmse in known groups, random intercept less fixed effects:
        -0.0304 (SE 0.0064, p < 0.0001, df = 59.0)
        """
        if regime not in self._regimes:
            known = " or ".join(f'"{name}"' for name in self._regimes)
            raise ValueError(f"`regime` must be {known}, but got {regime!r}.")
        for name in (model, other):
            if (regime, name) not in self._tested:
                known = ", ".join(f"({', '.join(map(repr, key))})" for key in self._tested)
                raise ValueError(
                    f"({regime!r}, {name!r}) must be a regime and a model of the comparison, "
                    f"which are: {known}."
                )
        score = score or self._outcome.loss
        if score not in self._outcome.measures:
            raise ValueError(
                f"`score` must be one of {self._outcome.measures}, but got {score!r}."
            )
        found = _difference(self._tested[regime, model], self._tested[regime, other], score)
        return replace(found, model=model, other=other, regime=regime, score=score)

    def _difference_by_size(self, model, other, training_rows, factor):
        """Difference of losses as in `difference`, in known groups of some size of a factor."""
        ranges = self._size_scores[factor]["training_rows"].cat.categories
        place, column = ranges.get_loc(training_rows), [*self._sizes].index(factor)
        parts = (
            [
                fold.take(fold.size_range[:, column] == place)
                for fold in self._tested[KNOWN, name]
                if place in fold.size_range[:, column]
            ]
            for name in (model, other)
        )
        return _difference(*parts, self._outcome.loss)

    def plot(self, ax: Any = None) -> Any:
        """Draw how far each model is from the best, with standard errors.

        Parameters
        ----------
        ax : array of matplotlib Axes, default=None
            Where to draw, one for each regime, known groups first; a new figure if None.

        Returns
        -------
        PoolingDisplay
            With the axes as ``axes_`` and the figure as ``figure_``.
        """
        from skmixed.inspection import PoolingDisplay  # `import skmixed` loads no pictures

        return PoolingDisplay(summary=self.summary, score=self._outcome.loss).plot(ax)

    @property
    def _outcome(self):
        """How models of this kind of y are compared."""
        return OUTCOMES[self.target_type]

    @property
    def _regimes(self):
        """Headings of the regimes that were tested."""
        return {name: title_regime(name) for name in self.scores["regime"].unique()}

    @property
    def _sizes(self):
        """Rows of each group, by factor."""
        sizes = self.group_sizes
        return sizes if isinstance(sizes, dict) else {sizes.index.name: sizes}

    @property
    def _size_scores(self):
        scores = self.group_size_scores
        return scores if isinstance(scores, dict) else {self.group_sizes.index.name: scores}

    @property
    def _n_rows(self):
        return next(iter(self._sizes.values())).sum()

    def _to_best(self, loss, regime, model):
        if loss[regime].isna().all():
            return np.nan, np.nan
        best = loss[regime].idxmin()
        found = self.difference(model, best, regime)
        return found.difference, found.std_error

    def _tables(self):
        for regime, title in self._regimes.items():
            yield title, scores_as_text(self.summary.loc[regime], self._outcome.loss)
        loss = LOSSES[self._outcome.loss]
        title = (
            f"{loss[:1].upper()}{loss[1:]} in known groups, by rows of the group in training"
        )
        if not isinstance(self.by_group_size, dict):
            yield title, sizes_as_text(self.by_group_size)
            return
        for name, sizes in self.by_group_size.items():
            yield f"{title} ({name})", sizes_as_text(sizes)

    def _lists(self):
        lists = {"Findings": self.findings}
        for name, messages in (("Cannot predict", self.cannot), ("Warned", self.warned)):
            if len(messages):
                lists[name] = tuple(self._messages(messages))
        return lists

    def _messages(self, messages):
        """Say what was raised or warned, once for each model where regimes agree."""
        n_fits = self.scores.groupby(["regime", "model"]).size()
        for (model, message), same in messages.groupby(["model", "message"], sort=False):
            total = sum(n_fits[regime, model] for regime in same["regime"])
            regimes = listed(same["regime"])
            if len(same) == len(self._regimes) > 2:
                regimes = "all regimes"
            yield f"{model} in {regimes}, {same['folds'].sum()} of {total} folds: {message}"


def _difference(folds, others, score):
    pairs = zip(folds, others, strict=True)
    values = [_gaps(fold.values(score), other.values(score)) for fold, other in pairs]
    return paired_difference(values, [fold.group for fold in folds])


def _gaps(values, others):
    """Differences of rows; 0 where they are rounding, of which no test should make much."""
    gaps = values - others
    return np.where(np.abs(gaps) <= SAME_SCORE * np.abs(values).mean(), 0.0, gaps)
