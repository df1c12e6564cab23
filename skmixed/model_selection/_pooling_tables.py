"""Tables of a comparison, and how they are written."""

from __future__ import annotations

import pandas as pd

from skmixed.model_selection._paired_difference import decimals_for

# What text has no room for beside the calibration, and what it shortens.
LEFT_OUT = ["d2_log_loss", "d2_deviance", "fit_seconds"]
SHORT = {
    "fit_seconds": "seconds",
    "calibration_slope": "slope",
    "calibration_intercept": "intercept",
}


def mean_by_size(scores, loss):
    """Mean loss of each model by range of training rows."""
    cells = scores.groupby(["training_rows", "model"], sort=False, observed=True)
    mean = cells[loss].mean().where(cells[loss].count() == cells.size())
    table = mean.unstack(sort=False).sort_index()
    n_test = cells["n_test"].sum().groupby(level="training_rows", observed=True).first()
    table.insert(0, "share", n_test / n_test.sum())
    return table.rename_axis(columns=None)


def sizes_as_text(sizes):
    """Write losses with the decimals that its differences need."""
    decimals = decimals_for(sizes.drop(columns="share").min().min() / 100)
    text = sizes.map(f"{{:.{decimals}f}}".format).where(sizes.notna(), "")
    text["share"] = sizes["share"].map("{:.0%}".format)
    return text


def scores_as_text(table, loss):
    """Write the loss to two digits of the standard error; no empty columns."""
    decimals = decimals_for(table["std_error"].where(table["std_error"] > 0).min())
    forms = dict.fromkeys([loss, "mae", "difference", "std_error"], f"{{:.{decimals}f}}")
    forms["width"] = "{:.4g}"
    if "calibration_slope" in table:
        table = table.drop(columns=LEFT_OUT, errors="ignore")
    text = pd.DataFrame(
        {
            name: column.map(forms.get(name, "{:.3f}").format).where(column.notna(), "")
            for name, column in table.items()
            if column.notna().any()
        }
    )
    if "std_error" in text:
        text["std_error"] = text["std_error"].where(table["std_error"] > 0, "")
    return text.rename(columns=SHORT)
