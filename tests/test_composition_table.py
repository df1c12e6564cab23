"""Every cell of the table in docs/composition.md holds, and the table there is this one."""

import composition_of_encoding
import composition_of_outcomes
import composition_table
import numpy as np
import pytest
from composition_table import (
    CELLS,
    DOCUMENT,
    ERROR,
    GROUPS,
    METADATA,
    MODELS,
    TEST,
    TRAIN,
    WORKS,
    Way,
    X,
    by_hand,
    fitted,
    render,
)

SLOW = pytest.mark.slow


def each(outcome):
    """Parametrise over the cells of an outcome, each with its models; all but one are slow."""
    return pytest.mark.parametrize(
        ("cell", "base"),
        [
            pytest.param(cell, base, id=f"{cell}-{base.__name__}", marks=SLOW if i else ())
            for cell in [*CELLS, *composition_of_outcomes.CELLS]
            if cell.outcome.expected == outcome
            for i, base in enumerate(cell.models)
        ],
    )


@each(WORKS)
def test_result_is_that_of_a_loop_by_hand(cell, base):
    got, expected = cell.run(base)
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-10)


@each(ERROR)
def test_error_is_clear(cell, base):
    with pytest.raises((ValueError, TypeError, NotImplementedError), match=cell.outcome.text):
        cell.run(base)
    assert cell.outcome.note  # what to do instead


@pytest.mark.parametrize("base", MODELS)
def test_groups_matter_to_the_loop_by_hand(base):
    way = Way(METADATA, base)
    population = fitted(way.plain, TRAIN).predict_population(X[TEST])
    assert np.abs(by_hand(way.plain, TRAIN, TEST) - population).min() > 1e-3
    assert set(GROUPS[TEST]) <= set(GROUPS[TRAIN])


@pytest.mark.parametrize(
    "cell",
    [
        pytest.param(cell, id=str(cell), marks=SLOW if cell.slow else ())
        for cell in composition_of_encoding.CELLS
    ],
)
def test_encoding_is_that_of_a_loop_by_hand(cell):
    got, expected = cell.check()
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-10)


TABLES = {
    composition_table: render,
    composition_of_outcomes: lambda: render(composition_of_outcomes.CELLS),
    composition_of_encoding: composition_of_encoding.render,
}


@pytest.mark.parametrize("table", TABLES)
def test_document_holds_this_table(table):
    text = DOCUMENT.read_text(encoding="utf-8")
    written = text.split(table.BEGIN)[1].split(table.END)[0].strip()
    message = f"docs/composition.md is out of date; run: {table.COMMAND}"
    assert written == TABLES[table](), message
