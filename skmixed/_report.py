"""How results are shown: as text, and as HTML in a notebook."""

from __future__ import annotations

from html import escape
from textwrap import fill

STYLE = (
    "<style>"
    ".skmixed-summary table {border-collapse: collapse; margin: 0.2em 0 0.9em 0}"
    ".skmixed-summary caption {text-align: left; font-weight: bold; white-space: nowrap}"
    ".skmixed-summary th, .skmixed-summary td {padding: 0.15em 0.7em; text-align: right}"
    ".skmixed-summary tbody th, .skmixed-summary thead th:first-child {text-align: left}"
    ".skmixed-summary thead tr {border-bottom: 1px solid currentColor}"
    "</style>"
)


class Report:
    """A title, remarks, tables and lists of sentences.

    A subclass has the attributes `title` and `remarks`, and `_tables` (titles and DataFrames of
    text). It may have `_lists` (titles and sentences).
    """

    def __str__(self):
        blocks = [self.title, *self.remarks]
        for name, table in self._tables():
            blocks.append(f"{name}:\n{table.to_string(**_layout(table))}")
        for name, sentences in self._lists():
            blocks.append("\n".join([f"{name}:", *map(_as_item, sentences)]))
        return "\n\n".join(blocks)

    __repr__ = __str__

    def _repr_html_(self):
        blocks = [f"<p><b>{escape(self.title)}</b></p>"]
        blocks += [f"<p>{escape(remark)}</p>" for remark in self.remarks]
        for name, table in self._tables():
            caption = f"<caption>{escape(name)}</caption>"
            html = table.to_html(border=0, **_layout(table))
            blocks.append(html.replace(">", f">{caption}", 1))
        for name, sentences in self._lists():
            items = "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences)
            blocks.append(f"<p><b>{escape(name)}</b></p><ul>{items}</ul>")
        return f'{STYLE}<div class="skmixed-summary">{"".join(blocks)}</div>'

    def _lists(self):
        return ()


def _layout(table):
    """Leave out the names of the index, and a header that is empty."""
    return {"header": list(table.columns) != [""], "index_names": False}


def _as_item(sentence):
    return fill(sentence, width=88, initial_indent="- ", subsequent_indent="  ")
