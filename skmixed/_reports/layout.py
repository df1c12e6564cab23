"""How a summary is laid out: remarks, tables and sentences, as text and as HTML."""

from __future__ import annotations

from html import escape
from textwrap import fill

import numpy as np
import pandas as pd

from skmixed._reports.markup import (
    latex_table,
    latex_text,
    markdown_table,
    markdown_text,
)

STYLE = (
    "<style>"
    ".skmixed-summary table {border-collapse: collapse; margin: 0.2em 0 0.9em 0}"
    ".skmixed-summary caption {text-align: left; font-weight: bold; white-space: nowrap}"
    ".skmixed-summary th, .skmixed-summary td {padding: 0.15em 0.7em; text-align: right}"
    ".skmixed-summary tbody th, .skmixed-summary thead th:first-child {text-align: left}"
    ".skmixed-summary thead tr {border-bottom: 1px solid currentColor}"
    "</style>"
)
# Columns of text that a terminal has at least.
WIDTH = 80
STARS = "* p < 0.05, ** p < 0.01, *** p < 0.001"
WITHOUT_GROUPS = "Fitted without groups: a pooled {pooled}."
# By the first word of a column's name; other columns have the decimals that they need.
FORMATS = {
    "df": "{:.1f}".format,
    "p_value": lambda p: "<0.0001" if p < 1e-4 else f"{p:.4f}",
    **dict.fromkeys(["t", "z", "share", "between", "within", "corr"], "{:.3f}".format),
}


class Printed:
    """A title, remarks, tables and lists of sentences, as text and as HTML.

    Subclasses have a `title` and `remarks`, strings that may be attributes or properties.
    """

    def _tables(self):
        """Titles and tables of text, in the order of printing."""
        raise NotImplementedError

    def _lists(self):
        """Sentences by heading, which follow the tables."""
        return {}

    def _notes(self):
        """How to read the tables, at the end."""
        return ()

    def __str__(self):
        blocks = [fill(sentence, WIDTH) for sentence in (self.title, *self.remarks)]
        for name, table in self._tables():
            blocks.append(f"{name}:\n{_wrapped(table)}")
        for name, sentences in self._lists().items():
            blocks.append("\n".join([f"{name}:", *map(_as_item, sentences)]))
        blocks += [fill(note, WIDTH) for note in self._notes()]
        return "\n\n".join(blocks)

    __repr__ = __str__

    def _repr_html_(self):
        blocks = [f"<p><b>{escape(self.title)}</b></p>"]
        blocks += [f"<p>{escape(remark)}</p>" for remark in self.remarks]
        for name, table in self._tables():
            caption = f"<caption>{escape(name)}</caption>"
            html = table.to_html(border=0, **_layout(table))
            blocks.append(html.replace(">", f">{caption}", 1))
        for name, sentences in self._lists().items():
            items = "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences)
            blocks.append(f"<p><b>{escape(name)}</b></p><ul>{items}</ul>")
        blocks += [f"<p>{escape(note)}</p>" for note in self._notes()]
        return f'{STYLE}<div class="skmixed-summary">{"".join(blocks)}</div>'

    def to_markdown(self) -> str:
        """Write all of it as Markdown.

        Returns
        -------
        str
            Sentences, and tables with their captions in bold.
        """
        blocks = [f"**{self.title}**", *self.remarks]
        for name, table in self._tables():
            blocks += [f"**{name}**", markdown_table(table)]
        for name, sentences in self._lists().items():
            blocks += [f"**{name}**", "\n".join(f"- {sentence}" for sentence in sentences)]
        return "\n\n".join([*blocks, *map(markdown_text, self._notes())])

    def to_latex(self) -> str:
        """Write all of it for LaTeX, with the package booktabs.

        Returns
        -------
        str
            Paragraphs, and a table environment for each table.
        """
        blocks = [latex_text(sentence) for sentence in (self.title, *self.remarks)]
        blocks += [latex_table(name, table) for name, table in self._tables()]
        for name, sentences in self._lists().items():
            items = "\n".join(rf"\item {latex_text(sentence)}" for sentence in sentences)
            lines = [latex_text(name), r"\begin{itemize}", items, r"\end{itemize}"]
            blocks.append("\n".join(lines))
        return "\n\n".join([*blocks, *map(latex_text, self._notes())])


def _as_item(sentence):
    return fill(sentence, width=WIDTH, initial_indent="- ", subsequent_indent="  ")


def is_wide(text):
    """Whether a line of text does not fit."""
    return max(map(len, text.splitlines())) > WIDTH


def numbered(names):
    """Put numbers before names, where columns of a table have these for heads."""
    return [f"{1 + i} {name}" for i, name in enumerate(names)]


def _wrapped(table):
    """Write a table as text; columns that do not fit go below the others."""
    text = table.to_string(**_layout(table))
    return table.to_string(line_width=WIDTH, **_layout(table)) if is_wide(text) else text


def _layout(table):
    """Leave out the names of the index, and a header that is empty."""
    return {"header": list(table.columns) != [""], "index_names": False}


def title_of(model, method):
    """Say what was fitted, to what, and how."""
    target = model._columns.target
    of_target = f" of {target}" if target else ""
    return f"{type(model).__name__}{of_target}, fitted by {method}"


def percent(level):
    """Write a level without decimals that it does not need."""
    return f"{100 * level:.4g}%"


def whole(number):
    """Turn a sum of weights into an integer if it is one."""
    return int(number) if float(number).is_integer() else number


def series_as_text(series):
    """Lay out numbers by name as a column without a header, fractions with four decimals."""
    text = [_number_as_text(number, str(name)) for name, number in series.items()]
    return pd.DataFrame({"": text}, index=series.index)


def _number_as_text(number, name):
    if name.startswith("p, "):
        return FORMATS["p_value"](number)
    return f"{number:.4f}" if isinstance(number, float) else str(number)


def table_as_text(table, *, stars=False):
    """Write numbers as text, with as many decimals as a column's smaller entries need."""
    text = table.apply(column_as_text).rename_axis(columns=None)
    if "lower" in table:  # what is compared has the same decimals
        alike = ["estimate", "std_error", "lower", "upper"]
        text[alike] = table[alike].apply(column_as_text, like=table["std_error"])
    if stars and "p_value" in table:
        counts = sum((table["p_value"] < bound).astype(int) for bound in (0.05, 0.01, 0.001))
        text.insert(text.columns.get_loc("p_value") + 1, "", ["*" * n for n in counts])
    return text


def column_as_text(column, like=None):
    """Write numbers with three decimals, or with four digits of the smallest, if more.

    Parameters
    ----------
    column : Series
        The numbers; text stays as it is.
    like : Series, default=None
        Numbers whose decimals to take instead.

    Returns
    -------
    Series
        Text, empty for NaN.
    """
    if not pd.api.types.is_numeric_dtype(column):
        return column
    form = FORMATS.get(column.name.split(" ")[0])
    if form:
        return column.map(form).where(column.notna(), "")
    sizes = (column if like is None else like).abs()
    smallest = sizes[(sizes > 0) & np.isfinite(sizes)].min()
    decimals = 3 if np.isnan(smallest) else max(3 - int(np.floor(np.log10(smallest))), 3)
    if decimals > 8 or sizes.max() > 1e9:
        return column.map("{:.4g}".format)
    return column.map(f"{{:.{decimals}f}}".format).where(column.notna(), "")
