"""What is said of a fit in one row, under plain names."""

from __future__ import annotations

import pandas as pd

from skmixed._reports.layout import whole

# Attributes of models by the name that they have in the row, if a model has them.
OF_ALL = {
    "log_likelihood": "log_likelihood_",
    "criterion": "criterion_",
    "aic": "aic_",
    "bic": "bic_",
    "r2": "r2_",
    "adjusted_r2": "adjusted_r2_",
    "r2_within": "within_r2_",
    "residual_dof": "residual_dof_",
}
OF_GROUPS = {
    "icc": "icc_",
    "r2_marginal": "r2_marginal_",
    "r2_conditional": "r2_conditional_",
    "singular": "singular_",
    "converged": "converged_",
}
SIZES = ["method", "standard_errors", "n_rows", "n_groups"]
ORDER = [*SIZES, *OF_ALL, "sigma", *OF_GROUPS]


def statistics_of(model):
    """Name what is known of a fit.

    Parameters
    ----------
    model : estimator
        A fitted model of this package.

    Returns
    -------
    dict
        Numbers and words by plain keys; those that the model has.
    """
    found = {
        "method": method_of(model),
        "n_rows": n_rows_of(model),
        **_numbers_of_groups(model),
    }
    found |= _attributes(model, OF_ALL)
    if "residual_dof" in found:
        found["residual_dof"] = whole(found["residual_dof"])
    if (clusters := getattr(model, "_clusters", None)) is not None:
        found["standard_errors"] = f"{clusters.kind}, {clusters.n_clusters} clusters"
    variance = getattr(model, "residual_variance_", None)
    if isinstance(variance, pd.Series):  # of strata
        found |= {f"sigma_{stratum}": value**0.5 for stratum, value in variance.items()}
    elif variance is not None:
        found["sigma"] = variance**0.5
    mixed = hasattr(model, "random_effects_cov_")
    if mixed and model.n_groups_:
        found |= _attributes(model, OF_GROUPS)
    return found


def order_of(name):
    """Place a statistic among the others, those of factors and strata beside their kind."""
    places = [i for i, key in enumerate(ORDER) if name == key or name.startswith(f"{key}_")]
    return places[-1] if places else len(ORDER)


def method_of(model):
    """Say how a model was fitted."""
    if hasattr(model, "residual_dof_"):
        return "least squares"
    if hasattr(model, "n_nodes_"):
        if not model.n_groups_:
            return "ML"
        return "Laplace" if model.n_nodes_ == 1 else f"quadrature, {model.n_nodes_} nodes"
    reml = model.method == "reml" and model._fitted.specification.reml
    return "REML" if reml else "ML"


def n_rows_of(model):
    """Return the number of rows, or the sum of their weights."""
    return whole(model._moments.n)


def _numbers_of_groups(model):
    numbers = getattr(model, "n_groups_", 0)
    if isinstance(numbers, dict):
        return {f"n_groups_{name}": number for name, number in numbers.items()}
    return {"n_groups": numbers} if numbers else {}


def _attributes(model, names):
    known = {key: getattr(model, name, None) for key, name in names.items()}
    flat = {}
    for key, value in known.items():
        if isinstance(value, dict | pd.Series):  # of several factors, or strata
            flat |= {f"{key}_{name}": number for name, number in value.items()}
        elif value is not None:
            flat[key] = value
    return flat
