from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from skmixed._reports.layout import (
    Printed,
    column_as_text,
    series_as_text,
    table_as_text,
    whole,
)


@dataclass(repr=False)
class Note(Printed):
    title: str
    remarks: tuple[str, ...] = ("a < b",)

    def _tables(self):
        yield "Sizes", series_as_text(pd.Series({"rows": 3, "share": 0.25}, dtype=object))

    def _lists(self):
        return {"Findings": ("One.", "Two.")}


def test_text_has_title_remarks_tables_and_sentences_in_this_order():
    expected = "T\n\na < b\n\nSizes:\nrows        3\nshare  0.2500\n\nFindings:\n- One.\n- Two."
    assert str(Note("T")) == repr(Note("T")) == expected


def test_html_is_escaped():
    html = Note("T")._repr_html_()
    assert "<p>a &lt; b</p>" in html
    assert "<caption>Sizes</caption>" in html
    assert "<ul><li>One.</li><li>Two.</li></ul>" in html


@pytest.mark.parametrize(
    ("numbers", "texts"),
    [
        ([1.0, 20.0], ["1.000", "20.000"]),
        ([0.012345, np.nan], ["0.01235", ""]),
        ([1e-12, 1.0], ["1e-12", "1"]),
        (["both", "nowhere"], ["both", "nowhere"]),
    ],
)
def test_a_column_has_the_decimals_that_its_smallest_number_needs(numbers, texts):
    assert list(column_as_text(pd.Series(numbers, name="estimate"))) == texts


def test_stars_stand_beside_p_values():
    table = pd.DataFrame({"t": [1.0, 9.0], "p_value": [0.2, 1e-6]})
    text = table_as_text(table, stars=True)
    assert text.to_numpy().tolist() == [["1.000", "0.2000", ""], ["9.000", "<0.0001", "***"]]
    assert "" not in table_as_text(table)


def test_whole_numbers_lose_their_decimals():
    assert [str(whole(number)) for number in (3.0, np.float64(4), 2.5)] == ["3", "4", "2.5"]
