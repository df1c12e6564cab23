"""The synthetic rows reproduce every number printed in the lecture that they stand in for."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from skmixed import RandomInterceptRegressor, RandomSlopeRegressor
from skmixed.datasets import load_mep_staff

FOLDER = Path(__file__).parent / "reference" / "v_mep_slides"
NUMBERS = json.loads((FOLDER / "slides.json").read_text())["numbers"]
INTERCEPT, LEVEL_2, SLOPE = dict.fromkeys(number["model"] for number in NUMBERS)
COLUMNS = {INTERCEPT: ["x"], LEVEL_2: ["x", "z"], SLOPE: ["x", "ProxNatElection"]}


@pytest.fixture(scope="module")
def models():
    X, y, nationality = load_mep_staff(return_X_y=True)
    return {
        name: (
            RandomSlopeRegressor("ProxNatElection", fixed_slopes=False)
            if name == SLOPE
            else RandomInterceptRegressor()
        ).fit(X[columns], y, groups=nationality)
        for name, columns in COLUMNS.items()
    }


def number_of(model, quantity):
    """Look up what a slide calls by this name."""
    kind, _, term = quantity.split(" (slides")[0].partition(" ")
    coef = pd.Series([model.intercept_, *model.coef_], model.coef_cov_.index)
    if kind == "fixef":
        return coef[term]
    if kind == "se":
        return np.sqrt(model.coef_cov_.loc[term, term])
    if kind == "corr":
        return model.summary().fixed_effects_correlation.loc[tuple(term.split(","))]
    if kind == "ranef":
        label, column = re.fullmatch(
            r"(.*?)(?: (\(Intercept\)|ProxNatElection))?", term
        ).groups()
        return model.random_effects_.loc[label, column or "(Intercept)"]
    variances = model.summary().variance_components
    group = ("Nationality", "(Intercept)")
    return {
        "REML criterion": model.criterion_,
        "var (Intercept)": variances.loc[group, "variance"],
        "sd (Intercept)": variances.loc[group, "std_dev"],
        "residual variance": model.residual_variance_,
        "residual sd": variances.loc[("Residual", ""), "std_dev"],
        "logLik": model.log_likelihood_,
        "AIC": model.aic_,
        "BIC": model.bic_,
    }[" ".join(filter(None, [kind, term]))]


@pytest.mark.parametrize(
    "number", NUMBERS, ids=lambda number: f"{number['model']}: {number['quantity']}"
)
def test_printed_number(models, number):
    printed = number["printed"]
    decimals = len(printed.partition(".")[2])
    found = number_of(models[number["model"]], number["quantity"])
    assert f"{found:.{decimals}f}" == printed


def test_there_are_numbers():
    assert len(NUMBERS) == 46


def test_a_prediction_by_hand_from_printed_numbers(models):
    X = pd.DataFrame({"x": [0.5, 0.5], "ProxNatElection": [-2.0, -2.0]})
    labels = ["Belgium", "Atlantis"]
    found = models[INTERCEPT].predict(X[["x"]], groups=labels)
    new = 2.6799 - 1.6722 * 0.5
    np.testing.assert_allclose(found, [new - 1.52249566, new], atol=1e-4)
    found = models[SLOPE].predict(X, groups=labels)
    new = 2.513035 - 1.691321 * 0.5
    known = new - 1.3944093 - 0.018299157 * -2
    np.testing.assert_allclose(found, [known, new], atol=2e-6)


def test_pooling_weights_from_printed_variances(models):
    frame, model = load_mep_staff().frame, models[INTERCEPT]
    size = frame.groupby("Nationality").size()
    weight = 3.125 / (3.125 + 5.240 / size)
    np.testing.assert_allclose(model.pooling_weights_["(Intercept)"], weight, atol=1e-4)
    residual = (frame["y"] - 2.6799 + 1.6722 * frame["x"]).groupby(frame["Nationality"]).mean()
    np.testing.assert_allclose(
        model.random_effects_["(Intercept)"], weight * residual, atol=5e-4
    )


def test_rows_are_those_of_the_reference_fits():
    frame = pd.read_csv(FOLDER / "data.csv")
    pd.testing.assert_frame_equal(load_mep_staff().frame, frame)
    assert frame.groupby("Nationality")["z"].nunique().max() == 1


def test_description_says_that_the_rows_are_synthetic():
    assert "These data are synthetic." in load_mep_staff().DESCR
    assert "nothing about real countries" in load_mep_staff().DESCR
