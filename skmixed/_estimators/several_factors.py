"""Mixed models with several grouping factors: what is stored of a fit, and what follows."""

from __future__ import annotations

from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
import pandas as pd
from scipy.stats import t
from sklearn.utils import gen_batches
from sklearn.utils.extmath import safe_sparse_dot

from skmixed._estimators.iterative import refuse_iterative, solver_options
from skmixed._numerics.fit.criterion_iterative import Probes, TooManyProbesError
from skmixed._numerics.fit.dense_layout import TooManyColumnsError
from skmixed._numerics.fit.elimination_iterative import NotSolvedError
from skmixed._numerics.fit.factors import (
    FactorFit,
    LostDigitsError,
    make_criterion,
    random_effects_of_factors,
)
from skmixed._numerics.fit.fit import Specification
from skmixed._numerics.fit.problem_of_factors import (
    OneRowPerLevelError,
    SameLevelsError,
    make_factors_problem,
)
from skmixed._numerics.inference.bootstrap_of_factors import bootstrap_factors
from skmixed._numerics.inference.conditional_aic_of_factors import conditional_aic_of_factors
from skmixed._numerics.inference.degrees_of_freedom_of_factors import (
    satterthwaite_of_factors,
    variance_uncertainty,
)
from skmixed._numerics.inference.explained_variance import split_variance
from skmixed._numerics.inference.pooling import own_effects_of_factor
from skmixed._numerics.inference.prediction_of_factors import FactorsUncertainty
from skmixed._numerics.inference.profile.limits import profile_limits_of_factors
from skmixed._numerics.moments.cells import FactorMoments
from skmixed._rows.columns import dense_column
from skmixed._rows.labels import as_index
from skmixed._rows.threads import one_blas_thread

# Numbers that are expanded at a time.
BATCH_VALUES = 2**17


@dataclass(frozen=True, eq=False)
class FittedFactors:
    """The sums that were fitted, the model of each factor, and where the criterion is least.

    Attributes
    ----------
    moments : FactorMoments
        Of the rows of the fit.
    specifications : tuple of Specification
        The model, of each factor.
    Lambdas : tuple of ndarray of shape (q_f, q_f)
        Any factors of Psi_f at the optimum, in the coordinates of the problem.
    known : FactorMoments or None
        Of all rows that the levels are known by; None if these are the rows of the fit.
    probes : Probes or None
        Those of the iterative solver, if that was used.
    """

    moments: FactorMoments
    specifications: tuple[Specification, ...]
    Lambdas: tuple[np.ndarray, ...]
    known: FactorMoments | None = None
    probes: Probes | None = None

    @property
    def specification(self):
        """What the factors have in common: method and intercept."""
        return self.specifications[0]

    @cached_property
    def criterion(self):
        """The criterion, as a function of all Psi_f."""
        problem = make_factors_problem(self.moments, self.specifications)
        solver = "exact" if self.probes is None else "iterative"
        return make_criterion(problem, self.specification.reml, solver, self.probes)

    @cached_property
    def at(self):
        """The random effects eliminated, in the rows of the fit."""
        return self.criterion.eliminate(self.Lambdas)

    @cached_property
    def fixed(self):
        """Fixed effects in the coordinates of the problem, and M_XX^-1/2."""
        return self.criterion.coefficients(self.at.M)[0], self.at.fixed_root

    @cached_property
    def at_now(self):
        """The random effects eliminated, in all rows that the levels are known by."""
        if self.known is None:
            return self.at
        problem = self.criterion.problem.with_rows(self.known)
        return replace(self.criterion, problem=problem).eliminate(self.Lambdas)

    @cached_property
    def uncertainty(self):
        """Of the fit's coefficients, and of the levels that are known now."""
        return FactorsUncertainty(self.at_now, self.Lambdas, self.fixed[1])

    def knowing(self, known):
        """Know levels by other rows, None for those of the fit; what was fitted stays."""
        other = replace(self, known=known)
        vars(other).update(criterion=self.criterion, fixed=self.fixed)
        return other

    def random_effects(self):
        """Conditional modes of the levels that are known now, (q_f, J_f) of each factor."""
        return random_effects_of_factors(self.at_now, self.fixed[0])

    @property
    def log_dets(self):
        """log|V| as each probe has it; None of an exact fit."""
        return None if self.probes is None else self.at.elimination.log_dets

    @property
    def coordinates(self):
        """The way from the problem to the user's columns."""
        return self.criterion.problem.coordinates

    def satterthwaite(self, contrasts):
        """Degrees of freedom of contrasts in the coordinates of the problem."""
        return satterthwaite_of_factors(self.criterion, self.Lambdas, contrasts)

    def variance_uncertainty(self):
        """Covariance of the estimated variance components, by the expected information."""
        if self.probes is not None:
            refuse_iterative("df_method='kenward-roger'", "df_method='satterthwaite'")
        return variance_uncertainty(self.criterion, self.Lambdas)

    def covariance_to_user(self, f, cov):
        """Turn covariances of a factor's random effects, over sigma2, to the user's units."""
        back = self.criterion.problem.by_factor[f].random_backmap
        return np.einsum("ac,cdj,bd->abj", back, cov, back)

    def pooling_weights(self, f):
        """1 - (conditional variance) / (variance), (q_f, n_levels); 0 where that is 0."""
        own = self.criterion.problem.by_factor[f]
        left = self.covariance_to_user(f, self.uncertainty.given_parameters[f])
        left = np.einsum("aak->ak", left)
        variances = np.sum(own.to_user_factor(self.Lambdas[f]) ** 2, axis=1, keepdims=True)
        share = np.divide(left, variances, out=np.ones_like(left), where=variances > 0)
        return 1 - share

    def own_effects(self, f):
        """Effects of the groups known now without pooling, those of other factors held."""
        return own_effects_of_factor(self.at_now, self.fixed[0], f)

    def profile_limits(self, level):
        """Limits of all parameters, for each factor; those of fixed effects are the same."""
        return profile_limits_of_factors(self.criterion.problem, level=level)

    def redraw(self, **options):
        """Return a function of seeds that draws y anew and estimates again."""
        n_rows = int(self.moments.factors[0].n_rows.sum())
        return partial(
            bootstrap_factors, self.criterion, self.Lambdas, n_rows=n_rows, **options
        )

    def conditional_aic(self):
        """Akaike's criterion for the levels at hand."""
        return conditional_aic_of_factors(self.criterion, self.Lambdas).value

    def explained_variance(self):
        """Split the variance of y, for the marginal and the conditional R2."""
        problem = self.criterion.problem
        beta, sigma2 = self.criterion.coefficients(self.at.M)
        coordinates = problem.coordinates
        sums = self.moments.around(coordinates.shift).T[0, coordinates.used[:-1]]
        mean = sums / coordinates.scale[:-1] / problem.n
        effects = list(zip(problem.G, self.Lambdas, strict=True))
        return split_variance(problem, mean, beta, sigma2, effects)

    def variance_of_means(self, X, codes):
        """Variances of predictions around the true means of rows, over sigma2.

        Parameters
        ----------
        X : {ndarray, sparse matrix} of shape (n_rows, n_features)
            Checked rows.
        codes : ndarray of shape (n_factors, n_rows)
            Position of each row's level of each factor, -1 for a new one.
        """
        variance = np.empty(codes.shape[1])
        for rows in gen_batches(len(variance), max(BATCH_VALUES // (1 + X.shape[1]), 1)):
            fixed, Z = self.scaled_columns(X[rows])
            variance[rows] = self.uncertainty.of_predictions(fixed, Z, codes[:, rows])
        return variance

    def scaled_columns(self, X):
        """Return X, and Z of each factor, of rows in the coordinates of the problem."""
        coordinates = self.coordinates
        backmap = coordinates.backmap / coordinates.y_scale
        first = len(backmap) - X.shape[1]  # 1 if there is an intercept
        fixed = safe_sparse_dot(X, backmap[first:]) + backmap[:first].sum(axis=0)
        return fixed, [self._random_columns(f, X) for f in range(len(self.specifications))]

    def _random_columns(self, f, X):
        """Z of a factor, in the coordinates of the problem."""
        ones = [np.ones(X.shape[0])] if self.specifications[f].random_intercept else []
        random = self.moments.factors[f].random[1:]
        slopes = (dense_column(X, column - 1) for column in random)
        Z = np.column_stack([*ones, *slopes])
        return Z @ self.criterion.problem.by_factor[f].random_backmap


def fit_factors(model, moments, columns):
    """Fit a model with several factors; errors name the factors.

    Parameters
    ----------
    model : estimator
        A mixed model with its parameters.
    moments : FactorMoments
        Of the rows.
    columns : Columns
        What is known of the columns.

    Returns
    -------
    FactorFit
    """
    names = columns.factor_names
    for name, factor in zip(names, moments.factors, strict=True):
        if len(factor.labels) == 1:
            raise ValueError(
                f"Factor {name!r} must have at least two groups, but has only "
                f"{factor.labels.tolist()[0]!r}, so a variance between its groups cannot be "
                "estimated. Leave it out."
            )
    specifications = tuple(model._specification(factor) for factor in columns.factors)
    options = {"tol": model.tol, "max_iter": model.max_iter, **solver_options(model)}
    with factors_named(names, moments), one_blas_thread():
        return FactorFit.of(moments, specifications, **options)


@contextmanager
def factors_named(names, moments, parameter="group_by"):
    """Say which factors an error is about, and by which parameter they were named."""
    try:
        yield
    except SameLevelsError as error:
        f, g = (names[i] for i in error.factors)
        raise ValueError(
            f"Factors {f!r} and {g!r} divide the rows into the same groups, so their effects "
            f"cannot be told apart. Leave one of them out of {parameter}."
        ) from error
    except OneRowPerLevelError as error:
        raise ValueError(
            f"Each level of factor {names[error.factor]!r} has one row, so its effects cannot "
            f"be told from residuals. Leave it out of {parameter}."
        ) from error
    except TooManyColumnsError as error:
        sizes = zip(names, (len(factor.labels) for factor in moments.factors), strict=True)
        listed = ", ".join(f"{name!r} of {n:,} groups" for name, n in sizes)
        raise ValueError(
            f"The factors {listed} are crossed: with the largest one eliminated, blocks of up "
            f"to {error.n_columns:,} random effects are left, which take "
            f"{error.gigabytes:.3g} GB, but {error.limit:.3g} GB may be used. Use "
            "solver='iterative'."
        ) from error
    except TooManyProbesError as error:
        raise ValueError(
            f"n_probes={error.n} is too large: {error} Use fewer: "
            "the error falls with the root of their number."
        ) from error
    except (LostDigitsError, NotSolvedError) as error:
        raise ValueError(_capitalised(error)) from error


def _capitalised(error):
    text = str(error)
    return text[:1].upper() + text[1:]


def store_factors(model, fit, moments, columns):
    """Turn the solution into fitted attributes: dictionaries by factor."""
    solution, names = fit.solution, columns.factor_names
    model.residual_variance_ = solution.sigma2
    model.theta_ = solution.theta
    model.icc_ = dict(zip(names, solution.icc, strict=True))
    model.random_effects_cov_ = {}
    for factor, Lambda in zip(columns.factors, solution.Lambdas, strict=True):
        terms = model._random_terms(factor)
        cov = solution.sigma2 * Lambda @ Lambda.T
        model.random_effects_cov_[factor.group_name] = pd.DataFrame(cov, terms, terms)
    _store_levels(model, moments, solution.b)


def store_known(model, known):
    """Store the levels that a model knows by these rows, with their effects."""
    with factors_named(model._columns.factor_names, known), one_blas_thread():
        model._fitted = model._fitted.knowing(known)
        _store_levels(model, known, model._fitted.random_effects())


def as_fitted(model):
    """Give a model as `fit` has left it, its levels known by the rows of the fit alone."""
    if model._fitted.known is None:
        return model
    alone = copy(model)
    alone._fitted = model._fitted.knowing(None)
    _store_levels(alone, alone._fitted.moments, alone._fitted.random_effects())
    return alone


def _store_levels(model, moments, b):
    """Store what there is by level: labels, sizes and conditional modes."""
    names = list(model.random_effects_cov_)
    store_groups_of_factors(model, moments, names)
    model.random_effects_ = {
        name: pd.DataFrame(effects.T, model.groups_[name], cov.index)
        for (name, cov), effects in zip(model.random_effects_cov_.items(), b, strict=True)
    }


def store_groups_of_factors(model, moments, names):
    """Store the labels of each factor, and how many rows they have, by its name."""
    by_name = dict(zip(names, moments.factors, strict=True))
    model.groups_ = {name: as_index(f.labels, name=name) for name, f in by_name.items()}
    model.n_groups_ = {name: len(labels) for name, labels in model.groups_.items()}
    model.group_sizes_ = {name: _sizes(f, model.groups_[name]) for name, f in by_name.items()}


def weights_of_factors(model):
    """Tabulate the pooling weights of each factor."""
    return {
        name: pd.DataFrame(model._fitted.pooling_weights(f).T, effects.index, effects.columns)
        for f, (name, effects) in enumerate(model.random_effects_.items())
    }


def _sizes(factor, labels):
    whole = np.array_equal(factor.sizes, factor.n_rows)
    return pd.Series(factor.n_rows if whole else factor.sizes, index=labels, name="size")


def tabulate_factors(model, level, factors):
    """Tabulate the random effects of factors, with standard errors and intervals."""
    fitted, tables = model._fitted, []
    for f, name in enumerate(model._columns.factor_names):
        if name not in factors:
            continue
        effects = model.random_effects_[name]
        cov = fitted.covariance_to_user(f, fitted.uncertainty.of_random_effects()[f])
        variance = model.residual_variance_ * np.einsum("aaj->ja", cov).ravel()
        std_error = np.sqrt(np.maximum(variance, 0.0))
        half = t.isf((1 - level) / 2, max(len(effects) - 1, 1)) * std_error
        estimate = effects.to_numpy().ravel()
        tables.append(
            pd.DataFrame(
                {
                    "factor": name,
                    "group": np.repeat(effects.index, effects.shape[1]),
                    "term": np.tile(effects.columns, len(effects)),
                    "estimate": estimate,
                    "std_error": std_error,
                    "lower": estimate - half,
                    "upper": estimate + half,
                }
            )
        )
    return pd.concat(tables, ignore_index=True)
