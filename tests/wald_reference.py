"""Models of tests/reference/wald, and what lmerTest and pbkrtest say of them."""

import json
from functools import cache
from pathlib import Path

import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from skmixed import RandomInterceptRegressor, RandomSlopeRegressor

FOLDER = Path(__file__).parent / "reference" / "wald"
EXPECTED = json.loads((FOLDER / "expected.json").read_text())
SLOPES = {"sleepstudy": "days", "orthodont": "age", "design": "x"}
FACTORS = ["machine", "arm", "dose", "cond"]


def sum_coded(labels):
    """Columns of -1, 0 and 1, as contr.sum makes them."""
    dummies = pd.get_dummies(labels, prefix=labels.name, dtype=float)
    return dummies.iloc[:, :-1].sub(dummies.iloc[:, -1], axis=0)


def rows_of(name):
    frame = pd.read_csv(FOLDER / f"{'design' if name == 'interaction' else name}.csv")
    y, X = frame["y"], frame.drop(columns="y")
    if name == "interaction":
        arm, dose = sum_coded(X["arm"]), sum_coded(X["dose"])
        both = {f"{a}:{d}": arm[a] * dose[d] for d in dose for a in arm}
        X = pd.concat([arm, dose, pd.DataFrame(both), X["group"]], axis=1)
    return X, y


@cache
def fitted(name):
    """A model, in a pipeline with an encoder where there are factors."""
    X, y = rows_of(name)
    groups = ["group", "item"] if name == "crossed" else "group"
    if name in SLOPES:
        model = RandomSlopeRegressor(SLOPES[name], group_by=groups)
    else:
        model = RandomInterceptRegressor(group_by=groups)
    factors = [column for column in FACTORS if column in X]
    if not factors:
        return model.fit(X, y)
    encoder = OneHotEncoder(drop="first", sparse_output=False)
    columns = make_column_transformer(
        (encoder, factors), remainder="passthrough", verbose_feature_names_out=False
    ).set_output(transform="pandas")
    return make_pipeline(columns, model).fit(X, y)


def with_names(name, L):
    """Give the columns of R's contrasts, which are in the order of its formula, their names."""
    own = {"armb": "arm_b", "armc": "arm_c", "condb": "cond_b", "condc": "cond_c"}
    own |= {"machineB": "machine_B", "machineC": "machine_C"}
    own |= {"doselow": "dose_low", "dosemid": "dose_mid"}
    if name == "interaction":
        names = ["(Intercept)", *rows_of(name)[0].columns[:-1]]
    else:
        names = [own.get(term, term) for term in EXPECTED[name]["terms"]]
    return pd.DataFrame(L, columns=names)
