"""Tables and sentences as Markdown and as LaTeX."""

from __future__ import annotations

# What LaTeX would take for its own.
SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
}


def markdown_table(table):
    """Write a table of text as Markdown; numbers are to the right.

    Parameters
    ----------
    table : DataFrame
        Of text, with one or several levels of the index.

    Returns
    -------
    str
        Lines.
    """
    rows = [list(map(markdown_text, row)) for row in _rows(table)]
    n_heads = table.index.nlevels
    rule = [":--"] * n_heads + ["--:"] * table.shape[1]
    return "\n".join(f"| {' | '.join(row)} |" for row in [rows[0], rule, *rows[1:]])


def markdown_text(text):
    """Escape what Markdown would take for its own in a cell or a line."""
    return text.replace("|", r"\|").replace("*", r"\*")


def latex_table(caption, table):
    """Write a table of text for LaTeX's package booktabs.

    Parameters
    ----------
    caption : str
        What stands above.
    table : DataFrame
        Of text, with one or several levels of the index.

    Returns
    -------
    str
        A table environment.
    """
    head, *rows = [" & ".join(map(latex_text, row)) + r" \\" for row in _rows(table)]
    columns = "l" * table.index.nlevels + "r" * table.shape[1]
    lines = [
        r"\begin{table}",
        rf"\caption{{{latex_text(caption)}}}",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        head,
        r"\midrule",
        *rows,
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines)


def latex_text(text):
    """Escape what LaTeX would take for its own."""
    return "".join(SPECIAL.get(sign, sign) for sign in text)


def _rows(table):
    """Cells of the head and of each row; a label of an outer level stands once."""
    yield [""] * table.index.nlevels + [str(name) for name in table.columns]
    before = [None] * table.index.nlevels
    for label, row in zip(table.index, table.to_numpy(), strict=True):
        labels = list(label) if isinstance(label, tuple) else [label]
        pairs = zip(labels[:-1], before[:-1], strict=True)
        outer = ["" if one == two else str(one) for one, two in pairs]
        yield [*outer, str(labels[-1]), *map(str, row)]
        before = labels
