"""The result of a comparison: scores, differences, text and picture."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from textwrap import shorten
from typing import Any

import numpy as np
import pandas as pd

from skmixed._public import public
from skmixed._reports.layout import Printed
from skmixed._reports.pooling_names import KNOWN, REGIMES
from skmixed.model_selection._pooling_findings import decimals_for, find
from skmixed.model_selection._pooling_scores import MEASURES, paired_difference

# Of a message in print; the tables hold its whole first line.
LONGEST = 200


@public("skmixed.model_selection")
@dataclass(frozen=True, repr=False)
class PoolingComparison(Printed):
    """Scores of models with complete, no and partial pooling, in known and in new groups.

    Made by `compare_pooling`. Printing it shows tables and findings as text; a notebook shows
    them as HTML.

    Attributes
    ----------
    scores : DataFrame
        A row for each regime ("known groups", "new groups"), model, repeat and fold: n_train
        and n_test, rmse and mae in units of y, r2; of models with a predictive distribution
        the mean ``log_density`` of the test rows (natural logarithm), ``coverage`` and mean
        ``width`` of 95% intervals; fit_seconds; and the intraclass correlation ``icc`` that
        a mixed model estimated. NaN where there is none.
    group_size_scores : DataFrame
        The same for new rows in known groups, by how many ``training_rows`` their group has in
        the training set: a row for each quarter of the groups (and one for groups without a
        row in training, 0), model, repeat and fold, with n_test and rmse.
    cannot : DataFrame
        Models that raised an error: regime, model, kind of error, in how many folds, and the
        first line of the message. They have no mean scores in that regime.
    warned : DataFrame
        The same for warnings.
    group_sizes : Series of shape (n_groups,)
        Rows of each group.
    """

    scores: pd.DataFrame
    group_size_scores: pd.DataFrame
    cannot: pd.DataFrame
    warned: pd.DataFrame
    group_sizes: pd.Series

    @cached_property
    def summary(self):
        """Mean scores of each model, and how far it is from the best.

        Returns
        -------
        DataFrame
            Its index is (regime, model), its columns the means over folds of rmse, mae, r2,
            log_density, coverage, width and fit_seconds; ``difference`` is that of rmse to the
            best model of the regime, the one with the lowest rmse, and ``std_error`` its paired
            standard error (Nadeau and Bengio's, see `compare_pooling`). NaN for a model that
            failed in a fold.
        """
        measures = [*MEASURES, "fit_seconds"]
        table = pd.DataFrame({name: self._folds(name).mean(skipna=False) for name in measures})
        rows = [self._to_best(table["rmse"], *key) for key in table.index]
        table[["difference", "std_error"]] = rows
        return table

    @cached_property
    def by_group_size(self):
        """RMSE in known groups by how many rows the group has in training: for whom.

        Returns
        -------
        DataFrame
            Its index is the range of training rows, one for each quarter of the groups. The
            columns are ``share``, that of the test rows, and the mean RMSE of each model over
            the folds that have such rows.
        """
        scores = self.group_size_scores
        cells = scores.groupby(["training_rows", "model"], sort=False, observed=True)
        rmse = cells["rmse"].mean().where(cells["rmse"].count() == cells.size())
        table = rmse.unstack(sort=False).sort_index()
        n_test = cells["n_test"].sum().groupby(level="training_rows", observed=True).first()
        table.insert(0, "share", n_test / n_test.sum())
        return table.rename_axis(columns=None)

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
        sizes = self.group_sizes
        name = sizes.index.name
        return f"Pooling compared on {sizes.sum()} rows in {len(sizes)} groups ({name})"

    @property
    def remarks(self):
        """How the scores were made, and which rows could not be tested in a known group.

        Returns
        -------
        tuple of str
            Sentences.
        """
        n_folds, n_repeats = self.scores["fold"].nunique(), self.scores["repeat"].nunique()
        remarks = [
            f"Means over {n_folds} folds x {n_repeats} repeats. `difference` is that of rmse "
            "to the best model, `std_error` its paired standard error, corrected for "
            "overlapping training sets (Nadeau and Bengio 2003)."
        ]
        singletons = int(np.count_nonzero(self.group_sizes == 1))
        if singletons:
            remarks.append(
                f"{singletons} of {self.group_sizes.sum()} rows are alone in their group. They "
                "are predicted as new groups in both regimes."
            )
        return tuple(remarks)

    def difference(self, model, other, regime=KNOWN, *, score="rmse"):
        """Compare two models fold by fold.

        Parameters
        ----------
        model, other : str
            Names of the models.
        regime : {"known groups", "new groups"}, default="known groups"
            What is predicted.
        score : {"rmse", "mae", "r2", "log_density", "coverage", "width"}, default="rmse"
            Column of `scores`.

        Returns
        -------
        difference : float
            Mean score of `model` less that of `other`.
        std_error : float
            Its standard error by Nadeau and Bengio, NaN if one of them has no scores.
        """
        columns = self._folds(score)
        for name in (model, other):
            if (regime, name) not in columns:
                known = ", ".join(f"({', '.join(map(repr, key))})" for key in columns)
                raise ValueError(
                    f"({regime!r}, {name!r}) must be a regime and a model of the comparison, "
                    f"which are: {known}."
                )
        return paired_difference(columns[regime, model], columns[regime, other], *self._n_rows)

    def _difference_by_size(self, model, other, training_rows):
        """Difference of RMSE and its standard error as in `difference`, and number of folds."""
        scores = self.group_size_scores
        scores = scores[scores["training_rows"] == training_rows]
        folds = scores.pivot(index=["repeat", "fold"], columns="model", values="rmse")
        return *paired_difference(folds[model], folds[other], *self._n_rows), len(folds)

    @property
    def _n_rows(self):
        """Training and test rows, summed over folds; what counts is their ratio."""
        return self.scores[["n_train", "n_test"]].sum()

    def plot(self, ax: Any = None) -> Any:
        """Draw how far each model is from the best, with standard errors.

        Parameters
        ----------
        ax : array of two matplotlib Axes, default=None
            Where to draw, known groups first; a new figure if None.

        Returns
        -------
        PoolingDisplay
            With the axes as ``axes_`` and the figure as ``figure_``.
        """
        from skmixed.inspection import PoolingDisplay  # `import skmixed` loads no pictures

        return PoolingDisplay(summary=self.summary).plot(ax)

    def _folds(self, score):
        """Scores with a row for each fold and a column for each regime and model."""
        keys = ["regime", "model"]
        table = self.scores.pivot(index=["repeat", "fold"], columns=keys, values=score)
        return table[self.scores.set_index(keys).index.unique()]

    def _to_best(self, rmse, regime, model):
        best = rmse[regime].idxmin()
        return self.difference(model, best, regime)

    def _tables(self):
        for regime, title in REGIMES.items():
            yield title, _as_text(self.summary.loc[regime])
        sizes = self.by_group_size
        decimals = decimals_for(sizes.drop(columns="share").min().min() / 100)
        text = sizes.map(f"{{:.{decimals}f}}".format).where(sizes.notna(), "")
        text["share"] = sizes["share"].map("{:.0%}".format)
        yield "RMSE in known groups, by rows of the group in training", text

    def _lists(self):
        lists = {"Findings": self.findings}
        for name, messages in (("Cannot predict", self.cannot), ("Warned", self.warned)):
            if len(messages):
                lists[name] = tuple(self._messages(messages))
        return lists

    def _messages(self, messages):
        """Say what was raised or warned, once for each model where regimes agree."""
        n_folds = len(self._folds("rmse"))
        for (model, message), same in messages.groupby(["model", "message"], sort=False):
            total, regimes = n_folds * len(same), " and ".join(same["regime"])
            yield (
                f"{model} in {regimes}, {same['folds'].sum()} of {total} folds: "
                f"{shorten(message, LONGEST, placeholder=' ...')}"
            )


def _as_text(table):
    """RMSE and its differences to two digits of the standard error; no empty columns."""
    decimals = decimals_for(table["std_error"].where(table["std_error"] > 0).min())
    forms = dict.fromkeys(["rmse", "mae", "difference", "std_error"], f"{{:.{decimals}f}}")
    forms["width"] = "{:.4g}"
    text = pd.DataFrame(
        {
            name: column.map(forms.get(name, "{:.3f}").format).where(column.notna(), "")
            for name, column in table.items()
            if column.notna().any()
        }
    )
    return text.rename(columns={"fit_seconds": "seconds"})
