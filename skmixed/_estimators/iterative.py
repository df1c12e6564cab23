"""The iterative solver of crossed factors: its parameters, and what is stored of its errors."""

from __future__ import annotations

from numbers import Integral

import numpy as np
import pandas as pd
from sklearn.utils import check_random_state

from skmixed._numerics.fit.criterion_iterative import Probes
from skmixed._sklearn_private import Interval, StrOptions
from skmixed.exceptions import NotAvailableError

# Probes to begin with, and the error that is small enough, as a share of the standard error of
# what is estimated.
FEW_PROBES, ENOUGH = 16, 0.01

SOLVER_CONSTRAINTS = {
    "solver": [StrOptions({"auto", "exact", "iterative"})],
    "n_probes": [StrOptions({"auto"}), Interval(Integral, 2, None, closed="left")],
    "random_state": ["random_state"],
}

NEEDS_EXACT = (
    "{name} needs the exact solver, but this model was fitted by the iterative one. {remedy}"
)
USE_EXACT = (
    "Use solver='exact' if memory allows. Errors of coefficients are in fixed_effects_frame(), "
    "and those of the rows that you ask for in predict(X, return_std=True)."
)


def solver_options(model):
    """Options of `FactorFit.of` that a model's parameters ask for."""
    # a state that is a number is the seed; others draw one
    state = model.random_state
    is_seed = isinstance(state, Integral)
    seed = int(state) if is_seed else int(check_random_state(state).randint(2**31))
    auto = model.n_probes == "auto"
    probes = Probes(FEW_PROBES, seed, ENOUGH) if auto else Probes(int(model.n_probes), seed)
    return {"solver": model.solver, "probes": probes}


def check_may_be_exact(model):
    """Refuse the iterative solver where there is nothing to iterate on."""
    if model.solver == "iterative":
        raise ValueError(
            "solver='iterative' is for several grouping factors, but there is one at most: "
            "its fit is exact and quick. Leave solver='auto'."
        )


def is_iterative(model):
    """Whether a fitted model has been fitted with probes."""
    return getattr(model, "solver_", None) == "iterative"


def refuse_iterative(name, remedy=None):
    """Refuse what does not exist for the iterative solver."""
    remedy = f"Use {remedy}." if remedy else USE_EXACT
    raise NotAvailableError(NEEDS_EXACT.format(name=name, remedy=remedy))


def store_solver(model, fit):
    """Store which solver a fit to several factors has used, and what error it leaves."""
    error = fit.monte_carlo_error
    if error is None:
        model.solver_, model.monte_carlo_error_ = "exact", None
        return
    names = [*_names_of_theta(model), "criterion"]
    values = [*error.theta, error.criterion]
    model.solver_ = "iterative"
    model.monte_carlo_error_ = pd.Series(values, names, name="std_error")


def error_of_difference(one, other):
    """Return the standard error that probes leave in the difference of two models' criteria.

    Much of it is common to both where they have the same probes and random effects.
    """
    log_dets = [getattr(model._fitted, "log_dets", None) for model in (one, other)]
    known = [values for values in log_dets if values is not None]
    if len(known) == 2 and _probes_of(one) == _probes_of(other):
        known = [known[0] - known[1]]
    return float(np.sqrt(sum(values.var(ddof=1) / len(values) for values in known)))


def _probes_of(model):
    """Return what the probes hang on."""
    probes = model._fitted.probes
    effects = {name: effects.shape for name, effects in model.random_effects_.items()}
    return probes.n, probes.seed, list(effects.items())


def _names_of_theta(model):
    """Name the entries of `theta_` as lme4 does: factor, term of the row, and of the column."""
    for factor in model._columns.factors:
        name, terms = factor.group_name, model._random_terms(factor)
        diagonal = model._specification(factor).diagonal
        for column, term in enumerate(terms):
            yield f"{name}.{term}"
            if not diagonal:
                yield from (f"{name}.{row}.{term}" for row in terms[column + 1 :])
