"""Several grouping factors: which columns hold them, and labels joined of several columns."""

from __future__ import annotations

from contextlib import contextmanager
from numbers import Integral

import numpy as np
import pandas as pd

from skmixed._rows.columns import GROUP_BY, as_table, find_group_column, split_group_column
from skmixed.exceptions import NotAvailableError

NOT_YET = "{name} does not exist yet for several grouping factors, which are {factors}."
MEANS_INSTEAD = (
    " Give X the mean of a feature by the groups of a factor as a column more: its coefficient "
    "is the slope between these groups less that within."
)
PRODUCTS_INSTEAD = " Make products of the columns and dummies of one factor features."
JOIN = ":"
# Stands before a JOIN that belongs to a label.
MARK = "\\"
# Marks a table whose columns had no names.
BY_POSITION = "skmixed_by_position"
# What the parameter that names the columns may be.
SEVERAL = [*GROUP_BY, list, tuple, np.ndarray, pd.Index]


def parts_of(group_by):
    """Tell which columns make which factor.

    Parameters
    ----------
    group_by : str, int, tuple or list of these
        A list has an entry for each factor; a tuple joins the labels of several columns.

    Returns
    -------
    tuple of tuple of str and int
        For each factor its columns.

    Raises
    ------
    ValueError
        If it names nothing, or a factor twice, or anything else than columns.
    """
    given = [*group_by] if isinstance(group_by, list | np.ndarray | pd.Index) else [group_by]
    factors = [each if isinstance(each, tuple) else (each,) for each in given]
    if not factors or not all(factors):
        raise ValueError(
            f"group_by={group_by!r} must name a column for each factor, as in "
            "group_by=['student', 'teacher'], but names none."
        )
    for column in (column for factor in factors for column in factor):
        if not isinstance(column, str | Integral) or isinstance(column, bool | np.bool_):
            raise ValueError(
                f"group_by={group_by!r} must hold names or positions of columns of X, or "
                f"tuples of these whose labels are joined, but got {column!r}, as in "
                "group_by=['school', ('school', 'class')]."
            )
    for i, factor in enumerate(factors):
        if factor in factors[:i]:
            raise ValueError(
                f"group_by={group_by!r} must name each factor once, but {name_of(factor)!r} "
                "comes twice."
            )
        if len(set(factor)) < len(factor):
            raise ValueError(
                f"group_by={group_by!r} must name each column of a tuple once, but got "
                f"{factor!r}."
            )
    return tuple(factors)


def same_groups_named(one, other):
    """Whether two values of `group_by` name the same columns."""
    if one is None or other is None:
        return one is other
    return parts_of(one) == parts_of(other)


def name_of(columns):
    """Name a factor: 'school', or 'school:class' for joined labels."""
    return JOIN.join(map(str, columns))


def by_factor(value, factors, group_by, parameter, *, default, allowed=None):
    """Return a parameter for each factor.

    Parameters
    ----------
    value : object or dict
        A plain value is for all factors; a dictionary has one by name, or by what `group_by`
        holds, such as a tuple.
    factors : sequence of str
        Names of the factors.
    group_by : str, int, tuple, list of these or None
        Where they are.
    parameter : str
        Its name, for errors.
    default : object
        For factors that are not in the dictionary.
    allowed : list, default=None
        What the dictionary may hold, if not anything; a plain value is checked before.

    Returns
    -------
    list
        A value for each factor.
    """
    if not isinstance(value, dict):
        return [value for _ in factors]
    known = {name: name for name in factors}
    if group_by is not None:
        known |= dict(zip(parts_of(group_by), factors, strict=True))
    values = {}
    for key, of_factor in value.items():
        name = known.get(key, known.get((key,))) if not isinstance(key, list) else None
        if name is None:
            raise ValueError(
                f"{parameter} must have the names of factors as keys, {list(factors)}, but got "
                f"{key!r}."
            )
        if name in values:
            raise ValueError(
                f"{parameter} must name each factor once, but {name!r} comes twice."
            )
        if (
            allowed
            and not any(of_factor is each for each in allowed)
            and not (isinstance(of_factor, str | np.bool_) and of_factor in allowed)
        ):
            raise ValueError(
                f"{parameter} must hold one of {allowed} for each factor, but got "
                f"{of_factor!r} for {name!r}."
            )
        values[name] = of_factor
    return [values.get(name, default) for name in factors]


def group_columns(X, group_by):
    """Positions of all group columns among those of X, sorted; levels of an index have none."""
    if group_by is None:
        return []
    columns = {column for factor in parts_of(group_by) for column in factor}
    found = {find_group_column(X, column) for column in columns}
    return sorted(found - {None})


def split_groups(X, group_by):
    """Take the group columns out of X.

    Parameters
    ----------
    X : DataFrame of pandas or polars, ndarray, sparse matrix or nested list
        Features and, among them, the groups.
    group_by : str, int, tuple or list of these
        Which columns hold them.

    Returns
    -------
    X : same type as X
        The other columns.
    groups : Series, Index, ndarray or DataFrame
        Labels; a DataFrame with a column for each factor if there are several.
    """
    if isinstance(group_by, str | Integral):
        return split_group_column(X, group_by)
    X, factors = as_table(X), parts_of(group_by)
    labels = {
        column: split_group_column(X, column)[1]
        for column in dict.fromkeys(column for factor in factors for column in factor)
    }
    named = {column: _called(values, column, X) for column, values in labels.items()}
    groups = {}
    for factor in factors:
        name = JOIN.join(named[column] for column in factor)
        if len(factor) > 1 and name in getattr(X, "columns", ()):
            raise ValueError(
                f"The labels of {factor!r} are joined to a factor {name!r}, but X has a column "
                "of that name, too. Name it in group_by in place of the tuple, or rename it."
            )
        if name in groups:
            raise ValueError(
                f"group_by={group_by!r} must name each factor once, but {name!r} comes twice."
            )
        groups[name] = _joined([labels[column] for column in factor])
    others = np.delete(np.arange(X.shape[1]), group_columns(X, group_by))
    return take_columns(X, others), as_factors(groups)


def as_factors(groups):
    """Make one Series of labels, or a table of several."""
    if len(groups) == 1:
        (name, labels), *_ = groups.items()
        return pd.Series(labels, name=name)
    return pd.DataFrame(groups)


def take_factors(groups):
    """Make a table of groups that are given in several columns; leave others as they are.

    Parameters
    ----------
    groups : array-like or None
        Labels, of shape (n_rows,) or (n_rows, n_factors).

    Returns
    -------
    array-like or None
        A DataFrame whose columns are named as the factors, or what was given.
    """
    if isinstance(groups, pd.DataFrame):
        if not groups.shape[1]:
            raise ValueError(
                "`groups` must have a column for each factor, but got a table without columns."
            )
        names = [str(name) for name in groups.columns]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise ValueError(
                f"`groups` must name each factor once, but its columns are {names}: {twice!r} "
                "comes twice."
            )
        return groups.set_axis(names, axis=1)
    if hasattr(groups, "columns") and hasattr(groups, "to_dict"):  # polars
        return take_factors(pd.DataFrame({name: groups[name] for name in groups.columns}))
    shape = getattr(groups, "shape", None)
    if shape is None and isinstance(groups, list | tuple) and _is_table(groups):
        groups = np.array(groups, dtype=object)
        shape = groups.shape
    if shape is None or len(shape) != 2 or shape[1] < 2:
        return groups
    values = groups.toarray() if hasattr(groups, "toarray") else np.asarray(groups)
    table = pd.DataFrame({f"group{i}": values[:, i] for i in range(shape[1])})
    table.attrs[BY_POSITION] = True
    return table


def is_several(groups):
    """Whether labels are those of several factors."""
    return isinstance(groups, pd.DataFrame)


def factors_as_fitted(groups, columns):
    """Order the columns of several factors as those of the fit.

    Parameters
    ----------
    groups : array-like
        Labels as `take_factors` returns them.
    columns : Columns
        Of the fit.

    Returns
    -------
    DataFrame
        A column for each factor.
    """
    names = columns.factor_names
    if not is_several(groups) or groups.shape[1] != len(names):
        n_columns = groups.shape[1] if is_several(groups) else 1
        raise ValueError(
            f"`groups` must have a column for each of the {len(names)} factors of the fit, "
            f"{names}, but got {n_columns}."
        )
    if columns.group_by is not None or groups.attrs.get(BY_POSITION):
        return groups.set_axis(names, axis=1)
    if set(groups) != set(names):
        raise ValueError(
            f"`groups` must have the columns of the fit, {names}, but got {list(groups)}."
        )
    return groups[names]


def refuse_factors(columns, what, instead=""):
    """Refuse several factors in what does not exist yet for them.

    Parameters
    ----------
    columns : Columns
        Of the rows.
    what : str
        Its name.
    instead : str, default=""
        A sentence that says what to do.
    """
    if columns.factors:
        message = NOT_YET.format(name=what, factors=columns.factor_names)
        raise NotAvailableError(message + instead)


def refuse_group_by(group_by, what, instead=""):
    """Refuse several factors in what does not exist yet for them."""
    if isinstance(group_by, list | np.ndarray | pd.Index):
        factors = parts_of(group_by)
        if len(factors) > 1:
            names = [name_of(columns) for columns in factors]
            raise NotAvailableError(NOT_YET.format(name=what, factors=names) + instead)


def one_column(group_by, what, instead=""):
    """Return the only column of a `group_by` where labels cannot be joined."""
    refuse_group_by(group_by, what, instead)
    if group_by is None:
        return None
    columns = parts_of(group_by)[0]
    if len(columns) > 1:
        raise NotAvailableError(
            f"{what} takes the groups from one column, but got group_by={group_by!r}. Make a "
            "column of the joined labels."
        )
    return columns[0]


def refuse_several(model, names):
    """Refuse labels of several factors for a model that takes only one."""
    if not model._takes_several:
        name = type(model).__name__
        why = model._words.why_one_factor
        raise NotAvailableError(f"{NOT_YET.format(name=name, factors=names)} {why}")


@contextmanager
def of_factor(name):
    """Say which factor an error is about."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"Factor {name!r}: {error}") from error


def _is_table(groups):
    lengths = {len(row) if isinstance(row, list | tuple) else 0 for row in groups}
    return len(lengths) == 1 and lengths.pop() > 1


def _called(labels, column, X):
    """Name of the labels of a column that may have been given by position."""
    name = getattr(labels, "name", None)
    if name is None:
        name = column if isinstance(column, str) else f"x{column % X.shape[1]}"
    return str(name)


def take_columns(X, others):
    """Take some columns of any table, by their positions."""
    if hasattr(X, "iloc"):
        return X.iloc[:, others]
    if hasattr(X, "columns"):  # polars
        return X.select([X.columns[i] for i in others])
    if hasattr(X, "tocsc"):
        return X.tocsc()[:, others]
    return X[:, others]


def _joined(columns):
    """Join labels as text; a label that is missing in one column is missing."""
    if len(columns) == 1:
        return np.asarray(columns[0]) if isinstance(columns[0], pd.Index) else columns[0]
    codes, labels = zip(*(pd.factorize(pd.Series(column)) for column in columns), strict=True)
    known = np.logical_and.reduce([code >= 0 for code in codes])
    key = np.zeros(len(known), dtype=np.int64)
    for code, own in zip(codes, labels, strict=True):
        key = key * max(len(own), 1) + code
    unique, first, back = np.unique(key[known], return_index=True, return_inverse=True)
    rows = np.flatnonzero(known)[first]
    *before, last = ([_as_text(label) for label in own] for own in labels)
    before = [[_with_join_marked(text) for text in own] for own in before]
    texts = [np.array(own, dtype=object) for own in (*before, last)]
    joined = [
        JOIN.join(parts)
        for parts in zip(*(t[c[rows]] for t, c in zip(texts, codes, strict=True)), strict=True)
    ]
    if len(set(joined)) < len(unique):
        twice = pd.Series(joined)
        twice = twice[twice.duplicated()].iloc[0]
        raise ValueError(
            f"Labels are joined as text, but {twice!r} stands for different ones, such as 1 "
            "and '1'. Give the labels of a column one type, as in frame[column].astype(str)."
        )
    values = np.full(len(known), None, dtype=object)
    values[known] = np.array(joined, dtype=object)[back]
    return values


def _with_join_marked(text):
    """Mark what is taken for the join in a label before it, so that ends of labels are clear.

    Batches and partitions join their labels on their own, so ("a:b", "c") and ("a", "b:c")
    must differ wherever they are. Labels after the last join need no mark.
    """
    if JOIN not in text and not text.endswith(MARK):
        return text
    return text.replace(MARK, MARK + MARK).replace(JOIN, MARK + JOIN)


def _as_text(label):
    """Write whole numbers alike, whatever type they have."""
    if isinstance(label, float | np.floating) and float(label).is_integer():
        label = int(label)
    return str(label)
