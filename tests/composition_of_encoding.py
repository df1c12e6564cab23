"""The third table of docs/composition.md: tools around `RandomEffectEncoder`.

``python tests/composition_of_encoding.py`` writes it. The first is in composition_table.py.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import composition_table
import numpy as np
import pandas as pd
import pytest
import sklearn
from composition_table import CV, GROUPS, NAMES, TEST, TRAIN, X, Y
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LinearRegression
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from skmixed.preprocessing import RandomEffectEncoder

COMMAND = "python tests/composition_of_encoding.py"
BEGIN, END = "<!-- encoding: begin -->", "<!-- encoding: end -->"

SITES = np.array([f"site {label}" for label in GROUPS])
FRAME = pd.DataFrame(X, columns=NAMES).assign(site=SITES)
DAY = np.arange(len(Y)) // 8  # rows of a day stay together
WEIGHT = np.tile([1.0, 2.0], len(Y) // 2)


@dataclass(frozen=True)
class Cell:
    """A tool; `check` returns what it computed and what a loop by hand does."""

    tool: str
    note: str
    check: Callable = field(repr=False)
    slow: bool = False

    def __str__(self):
        return self.tool.replace("`", "")


CELLS: list[Cell] = []


def tool(name, note="", **kwargs):
    """Register a check as a row of the table."""

    def register(check):
        CELLS.append(Cell(name, note, check, **kwargs))
        return check

    return register


# ------------------------------------------------------------------------------- the oracle


def encoder(**params):
    return RandomEffectEncoder(**{"columns": "site", "random_state": 0, **params})


def learned(train, y=Y, frame=FRAME, metadata=None, **params):
    """A line behind the encoded rows, and the encoder."""
    own = encoder(**params)
    encoded = own.fit_transform(frame.iloc[train], y[train], **(metadata or {}))
    weight = (metadata or {}).get("sample_weight")
    return own, LinearRegression().fit(encoded, y[train], sample_weight=weight)


def by_hand(train, test, **params):
    own, line = learned(train, **params)
    return line.predict(own.transform(params.get("frame", FRAME).iloc[test]))


def scores_by_hand(rows, **params):
    return [
        r2_score(Y[rows[test]], by_hand(rows[train], rows[test], **params))
        for train, test in CV.split(rows)
    ]


def pipeline(*before, **params):
    return make_pipeline(*before, encoder(**params), LinearRegression())


def run(model, frame=FRAME, **metadata):
    return model.fit(frame.iloc[TRAIN], Y[TRAIN], **metadata).predict(frame.iloc[TEST])


SCALED = (X - X[TRAIN].mean(axis=0)) / X[TRAIN].std(axis=0)
SCALED = pd.DataFrame(SCALED, columns=NAMES).assign(site=SITES)


def by_itself():
    """What is predicted where the encoder sees nothing but its own column."""
    own = encoder(given=None)
    encoded = own.fit_transform(FRAME[["site"]].iloc[TRAIN], Y[TRAIN])
    line = LinearRegression().fit(np.column_stack([encoded, X[TRAIN]]), Y[TRAIN])
    return line.predict(np.column_stack([own.transform(FRAME[["site"]].iloc[TEST]), X[TEST]]))


# ------------------------------------------------------------------------------------ tools


@tool("`Pipeline`", "in front, where it sees the other columns")
def _():
    return run(pipeline()), by_hand(TRAIN, TEST)


@tool(
    "`ColumnTransformer`", "`given=None`: it is handed its own columns alone, and warns without"
)
def _():
    table = ColumnTransformer(
        [("site", encoder(given=None), ["site"])], remainder="passthrough"
    )
    return run(make_pipeline(table, LinearRegression())), by_itself()


@tool(
    "`ColumnTransformer` before it",
    'with `set_output(transform="pandas")` and short names; or columns by position',
)
def _():
    scaled = partial(
        ColumnTransformer,
        [("scaled", StandardScaler(), NAMES)],
        remainder="passthrough",
        verbose_feature_names_out=False,
    )
    got = run(pipeline(scaled().set_output(transform="pandas")))
    by_position = run(pipeline(scaled(), columns=-1))
    expected = by_hand(TRAIN, TEST, frame=SCALED)
    return [got, by_position], [expected, expected]


@tool("`FeatureUnion`", "`given=None` for effects beside other features")
def _():
    site = FunctionTransformer(lambda table: table[["site"]])
    rest = FunctionTransformer(lambda table: table[NAMES])
    union = FeatureUnion([("site", make_pipeline(site, encoder(given=None))), ("rest", rest)])
    return run(make_pipeline(union, LinearRegression())), by_itself()


@tool("`cross_val_score`")
def _():
    got = cross_val_score(pipeline(), FRAME, Y, cv=CV, error_score="raise")
    return got, scores_by_hand(np.arange(len(Y)))


@tool("`GridSearchCV`", "of its parameters, as `randomeffectencoder__given`")
def _():
    choices = ["rest", None, ["a"]]
    search = GridSearchCV(pipeline(), {"randomeffectencoder__given": choices}, cv=CV)
    got = run(search)
    scores = [np.mean(scores_by_hand(TRAIN, given=given)) for given in choices]
    expected = by_hand(TRAIN, TEST, given=choices[int(np.argmax(scores))])
    return [*search.cv_results_["mean_test_score"], *got], [*scores, *expected]


@tool('`set_output(transform="pandas")` and `"polars"`')
def _():
    pytest.importorskip("polars")
    encoded = encoder().fit_transform(FRAME, Y)
    got = []
    for library in ("pandas", "polars"):
        table = encoder().set_output(transform=library).fit_transform(FRAME, Y)
        assert type(table).__module__.startswith(library)
        got.append(table.to_numpy())
    return got, 2 * [encoded]


@tool("metadata routing of `groups`", "rows of a group stay in one of its folds")
def _():
    with sklearn.config_context(enable_metadata_routing=True):
        model = make_pipeline(encoder(), LinearRegression())
        got = run(model, groups=DAY[TRAIN])
    return got, by_hand(TRAIN, TEST, metadata={"groups": DAY[TRAIN]})


@tool(
    "metadata routing of `sample_weight`",
    "it asks for them; what comes behind must, too: `set_fit_request(sample_weight=True)`",
)
def _():
    with sklearn.config_context(enable_metadata_routing=True):
        line = LinearRegression().set_fit_request(sample_weight=True)
        got = run(make_pipeline(encoder(), line), sample_weight=WEIGHT[TRAIN])
    return got, by_hand(TRAIN, TEST, metadata={"sample_weight": WEIGHT[TRAIN]})


@tool("`TransformedTargetRegressor`", "effects on the scale of the transformed y")
def _():
    model = TransformedTargetRegressor(pipeline(), func=np.arcsinh, inverse_func=np.sinh)
    return run(model), np.sinh(by_hand(TRAIN, TEST, y=np.arcsinh(Y)))


@tool("`permutation_importance`", "of the category as it is given")
def _():
    model = pipeline().fit(FRAME.iloc[TRAIN], Y[TRAIN])
    table = FRAME.iloc[TEST]
    got = permutation_importance(model, table, Y[TEST], n_repeats=1, random_state=0)
    own, line = learned(TRAIN)
    seed = np.random.RandomState(0).randint(np.iinfo(np.int32).max + 1)
    base, drops = r2_score(Y[TEST], line.predict(own.transform(table))), []
    for name in table.columns:
        order = np.arange(len(table))
        np.random.RandomState(seed).shuffle(order)
        mixed = table.assign(**{name: table[name].to_numpy()[order]})
        drops.append([base - r2_score(Y[TEST], line.predict(own.transform(mixed)))])
    return got.importances, drops


@tool("`pickle` and `skops.io`")
def _():
    skops = pytest.importorskip("skops.io")
    model = pipeline().fit(FRAME.iloc[TRAIN], Y[TRAIN])
    dump = skops.dumps(model)
    copies = [
        pickle.loads(pickle.dumps(model)),
        skops.loads(dump, trusted=skops.get_untrusted_types(data=dump)),
    ]
    return [copy.predict(FRAME.iloc[TEST]) for copy in copies], 2 * [by_hand(TRAIN, TEST)]


@tool("skrub's `TableVectorizer(high_cardinality=...)`", "`given=None`", slow=True)
def _():
    skrub = pytest.importorskip("skrub")
    table = skrub.TableVectorizer(
        cardinality_threshold=2, high_cardinality=encoder(columns="all", given=None)
    )
    got = run(make_pipeline(table, LinearRegression()))
    return np.round(got.astype(float), 3), np.round(by_itself(), 3)  # skrub makes float32


@tool("skrub's `TableVectorizer` before it", '`high_cardinality="passthrough"`', slow=True)
def _():
    skrub = pytest.importorskip("skrub")
    table = skrub.TableVectorizer(cardinality_threshold=2, high_cardinality="passthrough")
    return np.round(run(pipeline(table)).astype(float), 3), np.round(by_hand(TRAIN, TEST), 3)


# --------------------------------------------------------------------------------- rendering


def render(all_cells=CELLS):
    """The table in Markdown."""
    lines = ["| tool | what to mind |", "|---|---|"]
    return "\n".join(
        [*lines, *(f"| {cell.tool} | {cell.note or 'nothing'} |" for cell in all_cells)]
    )


if __name__ == "__main__":
    composition_table.write(render(), BEGIN, END)
