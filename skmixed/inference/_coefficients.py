"""Which model is tested, what its coefficients are called, and combinations of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from skmixed._estimators.contrasts import ByClusters, ByKenwardRoger
from skmixed._estimators.grouped import BaseGroupedModel
from skmixed._numerics.inference.wald import independent_rows
from skmixed._rows.routing import names_of_coefficients, predicting_model
from skmixed._rows.threads import one_blas_thread

DF_METHODS = (None, "satterthwaite", "kenward-roger", "normal")
NO_MODEL = (
    "`estimator` must be a fitted model of this package, or a pipeline that ends in one, but "
    "got {given}."
)
NO_SUCH = (
    "`{parameter}` must name coefficients of the model, but got {unknown}. These are "
    "{known}.{hint}"
)
GIVE_PIPELINE = " Columns that a pipeline has made are named if the pipeline is given."
NOT_READ = (
    "`{parameter}` must be names of coefficients, a dictionary such as "
    "{{'b - a': {{'b': 1, 'a': -1}}}}, a DataFrame whose columns are coefficients, or a matrix "
    "with a column for each of {n}, but got {given!r}."
)
DROPPED = (
    "`{parameter}` must be about coefficients that were estimated, but {names} {have} none: "
    "such a column depends linearly on others, or is no fixed effect. Leave {them} out."
)
NO_VARIANCE = (
    "A test needs a standard error, but {names} {have} none: no residual degrees of freedom "
    "are left, or the estimate has no limit. Fit to more rows, or to fewer columns."
)
SINGULAR = (
    "`{what}` cannot be tested: the covariance of the {n} combinations is singular, because y "
    "is explained exactly, or because there are fewer independent groups than combinations. "
    "Test fewer of them at once."
)
OF_EACH_CLUSTER = (
    "A test needs a standard error, but {names} {have} none that is robust to clusters: each "
    "cluster has its own. Leave {them} out, or fit with standard_errors='classical'."
)
TOO_FEW = {
    ByKenwardRoger: (
        "`{what}` cannot be tested by Kenward and Roger's F: there are too few groups for the "
        "expansion of {n} combinations at once. Use df_method='satterthwaite', or test them "
        "one by one by contrast_frame(..., df_method='kenward-roger')."
    ),
    ByClusters: (
        "`{what}` cannot be tested with standard_errors='CR2': there are too few clusters for "
        "{n} combinations at once. Test them one by one by contrast_frame."
    ),
}


@dataclass(frozen=True)
class NamedModel:
    """A fitted model, the steps before it, and how its coefficients are called.

    Attributes
    ----------
    model : estimator
        As it is at one moment.
    steps : Pipeline or None
        What comes before it in a pipeline.
    names : list of str
        Of the coefficients, in the order of `coef_cov_`.
    """

    model: Any
    steps: Pipeline | None
    names: list[str]

    @classmethod
    def of(cls, estimator):
        """Find the model in a pipeline or a search."""
        estimator = predicting_model(estimator)
        steps, model = None, estimator
        if isinstance(estimator, Pipeline):
            steps, model = estimator[:-1], estimator[-1]
        if not isinstance(model, BaseGroupedModel):
            raise TypeError(NO_MODEL.format(given=_short(model)))
        check_is_fitted(model)
        model = model._as_it_is()
        return cls(model, steps, names_of_coefficients(model, steps))

    @cached_property
    def estimated(self):
        """Which coefficients have an estimate and a standard error."""
        return np.isfinite(np.diag(self.model.coef_cov_))

    @cached_property
    def beta(self):
        """The coefficients, 0 for those without an estimate."""
        return np.nan_to_num(self.model._coefficients)

    def positions(self, names, parameter):
        """Find coefficients by name."""
        unknown = [name for name in names if name not in self.names]
        if unknown:
            hint = "" if self.steps is not None else GIVE_PIPELINE
            words = {"parameter": parameter, "unknown": unknown, "known": self.names}
            raise ValueError(NO_SUCH.format(hint=hint, **words))
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(
                f"`{parameter}` must name each coefficient once, but got {twice} twice."
            )
        return [self.names.index(name) for name in names]

    def combinations(self, given, parameter):
        """Read linear combinations of the coefficients.

        Parameters
        ----------
        given : str, list of str, dict of dict, DataFrame or array-like
            What the user calls them.
        parameter : str
            For messages.

        Returns
        -------
        DataFrame of shape (n_combinations, n_coef)
            Their weights.
        """
        if hasattr(given, "__len__") and not len(given):
            raise ValueError(f"`{parameter}` must hold one combination at least, but is empty.")
        L = self._read(given, parameter)
        values = L.to_numpy()
        for fault, rows in {
            "weights that are finite": ~np.isfinite(values).all(axis=1),
            "a weight that is not 0 in each row": ~values.any(axis=1),
        }.items():
            if rows.any():
                raise ValueError(
                    f"`{parameter}` must have {fault}, but has not in {list(L.index[rows])}."
                )
        self._check_estimated(values.any(axis=0), parameter)
        return L

    def _read(self, given, parameter):
        names = [given] if isinstance(given, str) else given
        if _are_names(names):
            rows = np.eye(len(self.names))[self.positions(list(names), parameter)]
            return pd.DataFrame(rows, list(names), self.names)
        try:
            if isinstance(given, Mapping):
                return self._from_weights(given, parameter)
            return self._from_table(_as_frame(given), parameter)
        except (AttributeError, TypeError, ValueError) as error:
            if str(error).startswith(f"`{parameter}`"):
                raise
            n = len(self.names)
            raise TypeError(NOT_READ.format(parameter=parameter, n=n, given=given)) from error

    def _from_weights(self, given, parameter):
        """Weights by name, of the coefficients that each combination names."""
        rows = pd.DataFrame(0.0, list(given), self.names)
        for i, weights in enumerate(given.values()):
            at = self.positions(list(weights), parameter)
            rows.iloc[i, at] = np.asarray(list(weights.values()), dtype=float)
        return rows

    def _from_table(self, given, parameter):
        if isinstance(given, pd.DataFrame):
            positions = self.positions(list(given.columns), parameter)
            rows = np.zeros((len(given), len(self.names)))
            rows[:, positions] = given.to_numpy(dtype=float)
            return pd.DataFrame(rows, given.index, self.names)
        if given is None or np.asarray(given).dtype == bool:  # not a mask of coefficients
            raise TypeError("no weights")
        rows = np.atleast_2d(np.asarray(given, dtype=float))
        if rows.ndim > 2 or rows.shape[1] != len(self.names):
            raise ValueError(
                f"`{parameter}` must have a column for each of the {len(self.names)} "
                f"coefficients, {self.names}, but has shape {rows.shape}."
            )
        labels = [f"row {i}" for i in range(len(rows))]
        return pd.DataFrame(rows, labels, self.names)

    def _check_estimated(self, used, parameter):
        without = used & ~self.estimated
        if not without.any():
            return
        names = list(np.array(self.names, dtype=object)[without])
        one = len(names) == 1
        words = {"names": ", ".join(map(repr, names)), "have": "has" if one else "have"}
        them = "it" if one else "them"
        if np.isfinite(self.model._coefficients[without]).any():
            of_clusters = getattr(self.model, "_clusters", None) is not None
            reason = OF_EACH_CLUSTER if of_clusters else NO_VARIANCE
            raise ValueError(reason.format(them=them, **words))
        raise ValueError(DROPPED.format(parameter=parameter, them=them, **words))

    def tests(self, df_method):
        """Make the tests of combinations that this model has."""
        if df_method not in DF_METHODS:
            raise ValueError(
                f"`df_method` must be one of {', '.join(map(repr, DF_METHODS))}, but got "
                f"{df_method!r}."
            )
        with one_blas_thread():
            return self.model._coefficient_tests(df_method)

    def joint(self, tests, Ls):
        """Test that all combinations of a set are 0, for each of several sets.

        Parameters
        ----------
        tests : ByCovariance, ByClusters or ByKenwardRoger
            Those of the model.
        Ls : dict of ndarray of shape (k, n_coef)
            Weights, which may be linearly dependent, by what is tested.

        Returns
        -------
        dict of JointTest
            With as many numerator degrees of freedom as there are independent rows.
        """
        rows = [independent_rows(L) for L in Ls.values()]
        with one_blas_thread():
            found = dict(zip(Ls, tests.joint(rows, self.beta) if rows else [], strict=True))
        for what, test in found.items():
            if np.isnan(test.statistic):
                reason = TOO_FEW[type(tests)] if test.df_denom <= 0 else SINGULAR
                raise ValueError(reason.format(what=what, n=test.df_num))
        return found


def _short(value):
    """Show a value, of a table or an array its type alone."""
    return type(value).__name__ if hasattr(value, "shape") else repr(value)


def _are_names(given):
    """Whether these are names of coefficients, one at least."""
    listed = isinstance(given, list | tuple | np.ndarray | pd.Index) and len(given) > 0
    return listed and all(isinstance(name, str) for name in given)


def _as_frame(given):
    """Keep the names of weights in Series and tables, of polars, too."""
    if isinstance(given, pd.Series):
        return given.to_frame().T
    if hasattr(given, "columns") and not isinstance(given, pd.DataFrame):
        return pd.DataFrame({name: np.asarray(given[name]) for name in given.columns})
    return given
