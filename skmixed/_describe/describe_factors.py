"""What data with several grouping factors are like, before a model is chosen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from skmixed._describe.advice_on_factors import advise, treatments
from skmixed._describe.factor_models import describe_joined, describe_variances, usable
from skmixed._describe.how_factors_lie import how_factors_lie
from skmixed._describe.variation import number_as_text, variation_as_text, variation_of
from skmixed._numerics.moments.coordinates import near_means
from skmixed._numerics.moments.own_lines import OwnLines
from skmixed._public import public
from skmixed._reports.layout import Printed, column_as_text
from skmixed._rows.factors import parts_of
from skmixed._rows.reader import RowsAgain


@public("skmixed")
@dataclass(frozen=True, repr=False)
class FactorsDescription(Printed):
    """How several grouping factors lie to one another, where y varies, and what follows.

    Made by `describe_groups`. Printing it shows tables and sentences as text; a notebook shows
    them as HTML.

    Attributes
    ----------
    group_sizes : dict of str to Series
        Number of rows (sum of weights) of each group, by factor.
    pairs : DataFrame of shape (n_pairs, 6)
        For each pair of factors, the one with more groups first: ``relation``, which is
        "nested" (the first in the second), "crossed" (all pairs of groups meet in a row),
        "partly crossed" or "the same groups"; the share of the pairs of groups that ``meet``;
        ``rows_per_pair`` that does; ``parts`` of the groups which no row ties together;
        groups of the first that are ``in_several`` groups of the second; and whether
        ``labels_used_again`` start anew, 1, 2, ..., in each group of the other factor.
    variation : DataFrame of shape (n_factors * (1 + n_features), 5)
        By factor and variable, as in `GroupDescription`.
    variance_components : DataFrame of shape (1 + n_factors, 7)
        Of the model of y given the features with a random intercept for each factor, by REML:
        ``variance``, its ``share`` of the sum of all, and ``lower`` and ``upper`` limit of
        that at 95%, by the profile likelihood; ``statistic`` and ``p_value`` of the
        likelihood-ratio test that it is 0; and ``share_of_y``, the share in the model without
        features. NaN for factors that cannot be in the model, and where nothing is left to
        explain.
    joined : DataFrame of shape (n_pairs, 4)
        For pairs of factors that cross, with several rows for most pairs of groups, the same
        of joined labels as one factor more: its ``share``, ``statistic`` and ``p_value``; and
        the ``p_value_of_second``, of the factor with fewer groups beside it.
    set_aside : dict of str to str
        Factors that cannot be in a model, and why.
    given : dict of str to str, int, tuple or None
        What `group_by` has for each factor; None where the groups lie beside X.
    n_singletons : dict of str to int
        Number of groups of one row, by factor.

    Examples
    --------
    >>> import pandas as pd
    >>> from skmixed import describe_groups
    >>> from skmixed.datasets import load_sleepstudy
    >>> X, y, subject = load_sleepstudy(return_X_y=True)
    >>> groups = pd.DataFrame({"subject": subject, "day": X["Days"]})
    >>> description = describe_groups(X[[]], y, groups)
    >>> description.pairs[["relation", "meet", "rows_per_pair"]]
                   relation  meet  rows_per_pair
    first   second
    subject day     crossed   1.0            1.0
    >>> description.variance_components[["share", "lower", "upper"]].round(2)
              share  lower  upper
    level
    subject    0.41   0.26   0.61
    day        0.29   0.15   0.56
    Residual   0.30    NaN    NaN
    """

    group_sizes: dict[str, pd.Series]
    pairs: pd.DataFrame
    variation: pd.DataFrame
    variance_components: pd.DataFrame
    joined: pd.DataFrame
    set_aside: dict[str, str]
    given: dict[str, object]
    n_singletons: dict[str, int]

    @property
    def sizes(self):
        """Rows, groups, and the distribution of group sizes, by factor.

        Returns
        -------
        DataFrame
            Its columns are groups, smallest, median, mean, largest and singletons.
        """
        rows = {
            name: {
                "groups": len(sizes),
                "smallest": sizes.min(),
                "median": sizes.median(),
                "mean": sizes.mean(),
                "largest": sizes.max(),
                "singletons": self.n_singletons[name],
            }
            for name, sizes in self.group_sizes.items()
        }
        return pd.DataFrame.from_dict(rows, orient="index")

    @property
    def treatment(self):
        """What is advised for each factor.

        Returns
        -------
        Series
            "random", "fixed" (dummies among the features), "join" (its labels with those of
            another factor), "leave out", or "no matter" (no differences are seen, and large
            ones are ruled out).
        """
        found = {name: treatment for name, (treatment, _) in treatments(self).items()}
        return pd.Series(found, name="treatment", dtype=object)

    @property
    def advice(self):
        """What follows for each factor, and from what.

        Returns
        -------
        dict of tuple of str
            Sentences about the choice, about pairs of factors, and about each factor.
        """
        return advise(self)

    @property
    def title(self):
        """Number of rows, and of groups by factor.

        Returns
        -------
        str
            One line.
        """
        n_rows = next(iter(self.group_sizes.values())).sum()
        groups = (f"{len(sizes):,} of {name}" for name, sizes in self.group_sizes.items())
        return f"{n_rows:.10g} rows in groups by {len(self.group_sizes)} factors: " + ", ".join(
            groups
        )

    remarks = ()

    def _tables(self):
        yield "Group sizes", self.sizes.map(number_as_text)
        yield "How the factors lie to one another", _pairs_as_text(self.pairs)
        yield "Where variables vary", variation_as_text(self.variation)
        table = self.variance_components
        text = pd.DataFrame(index=table.index)
        text["variance"] = table["variance"].map("{:.4g}".format)
        for name in ("share", "lower", "upper"):
            text[name] = table[name].map("{:.3f}".format)
        text["LR"] = table["statistic"].map("{:.2f}".format)
        text["p_value"] = column_as_text(table["p_value"])
        text["without features"] = table["share_of_y"].map("{:.3f}".format)
        yield (
            "A random intercept for each factor (95% limits of the share; test of 0)",
            text.mask(text == "nan", ""),
        )

    def _lists(self):
        return self.advice


def _pairs_as_text(pairs):
    text = pairs[["relation", "meet", "rows_per_pair", "parts"]].copy()
    text["meet"] = text["meet"].map("{:.1%}".format)
    text["rows_per_pair"] = text["rows_per_pair"].map("{:.1f}".format)
    names = {"meet": "pairs that meet", "rows_per_pair": "rows each"}
    return text.rename(columns=names).set_axis(
        [
            " in ".join(pair) if nested else " x ".join(pair)
            for pair, nested in zip(pairs.index, pairs["relation"] == "nested", strict=True)
        ]
    )


def describe_factors(rows, columns, moments, variables):
    """Describe data with several grouping factors.

    Parameters
    ----------
    rows : TrainingRows
        Checked rows.
    columns : Columns
        What is known of their columns.
    moments : FactorMoments
        Their sums.
    variables : Index of shape (1 + n_features,)
        Names of y and the features.

    Returns
    -------
    FactorsDescription
        What is found.
    """
    names = columns.factor_names
    tables = {
        name: _variation(rows, f, moments.factors[f], variables) for f, name in enumerate(names)
    }
    pairs = how_factors_lie(moments, names)
    set_aside = usable(moments, names, pairs, varies=tables[names[0]]["varies"].iloc[0])
    components = describe_variances(moments, columns, set_aside)
    given = dict.fromkeys(names)
    if columns.group_by is not None:
        given = {
            name: part if len(part) > 1 else part[0]
            for name, part in zip(names, parts_of(columns.group_by), strict=True)
        }
    return FactorsDescription(
        group_sizes={
            name: _sizes(factor, name)
            for name, factor in zip(names, moments.factors, strict=True)
        },
        pairs=pairs,
        variation=pd.concat(tables, names=["factor", variables.name]),
        variance_components=components,
        joined=describe_joined(rows, columns, moments, pairs, set_aside, components),
        set_aside=set_aside,
        given=given,
        n_singletons={
            name: int(np.count_nonzero((factor.n_rows == 1) & (factor.sizes <= 1)))
            for name, factor in zip(names, moments.factors, strict=True)
        },
    )


def _variation(rows, f, factor, variables):
    own = rows._replace(codes=rows.codes[f], labels=rows.labels[f])
    lines = OwnLines.of(near_means(factor))
    return variation_of(lines, RowsAgain(own).rows, factor.sizes, variables)


def _sizes(factor, name):
    whole = np.array_equal(factor.sizes, factor.n_rows)
    labels = pd.Index(factor.labels, name=name)
    return pd.Series(factor.n_rows if whole else factor.sizes, index=labels, name="size")
