"""Splitters that know groups: rows of known ones, the last rows, two new ones at once."""

from __future__ import annotations

from numbers import Integral

import numpy as np
from sklearn.model_selection import BaseCrossValidator, GroupKFold
from sklearn.utils import check_random_state, indexable

from skmixed._public import public
from skmixed._rows.containers import take_rows
from skmixed._rows.factors import is_several, of_factor, take_factors
from skmixed._rows.labels import encode_groups
from skmixed._sklearn_private import num_samples


class _WithinGroupSplitter(BaseCrossValidator):
    """What splitters that need groups have in common."""

    __metadata_request__split = {"groups": True}

    def get_n_splits(self, X=None, y=None, groups=None):
        """Return the number of splits.

        Parameters
        ----------
        X, y, groups : object
            Ignored.

        Returns
        -------
        int
            Number of splits.
        """
        return self.n_splits


@public("skmixed.model_selection")
class WithinGroupKFold(_WithinGroupSplitter):
    """K-fold cross-validation that spreads every group over the folds.

    The regime of new rows in known groups: a test row's group has rows in training, too,
    unless it has but one row. Folds differ by at most one row in size, and so do the parts of
    a group. For new groups use `sklearn.model_selection.GroupKFold`.

    Parameters
    ----------
    n_splits : int, default=5
        Number of folds, at least 2.
    shuffle : bool, default=False
        Whether rows are drawn to folds at random within their group; otherwise a group's rows
        are dealt out in their order.
    random_state : int, RandomState instance or None, default=None
        Seed of the shuffling; pass an int for the same folds at every call.

    See Also
    --------
    WithinGroupTimeSeriesSplit : The last rows of each group are the test.

    Examples
    --------
    >>> import numpy as np
    >>> from skmixed.model_selection import WithinGroupKFold
    >>> groups = np.array(["a", "a", "a", "a", "b", "b"])
    >>> for train, test in WithinGroupKFold(2).split(groups, groups=groups):
    ...     print(train, test)
    [1 3 5] [0 2 4]
    [0 2 4] [1 3 5]
    """

    def __init__(self, n_splits=5, *, shuffle=False, random_state=None):
        self.n_splits = n_splits
        self.shuffle = shuffle
        self.random_state = random_state

    def _iter_test_indices(self, X=None, y=None, groups=None):
        n_rows = num_samples(X)
        _check_n_splits(self.n_splits, n_rows)
        codes = _check_groups(X, groups, type(self).__name__)
        order = np.arange(n_rows)
        if self.shuffle:
            check_random_state(self.random_state).shuffle(order)
        order = order[np.argsort(codes[order], kind="stable")]
        for fold in range(self.n_splits):
            yield order[fold :: self.n_splits]


@public("skmixed.model_selection")
class WithinGroupTimeSeriesSplit(_WithinGroupSplitter):
    """Cross-validation in which the last rows of each group are the test: forecasting.

    The rows of a group must be in the order of time; groups may be interleaved. Going
    backwards from the end of each group, the last split tests its last `test_size` rows, the
    split before the `test_size` rows before those, and so on; all earlier rows of the group,
    less a gap, train. A group too short to have training rows in a split is left out of it.

    Parameters
    ----------
    n_splits : int, default=5
        Number of splits.
    test_size : int, default=1
        Rows of each group in each test set.
    gap : int, default=0
        Rows of each group left out between training and test.

    See Also
    --------
    sklearn.model_selection.TimeSeriesSplit : The same for a single series.

    Examples
    --------
    >>> import numpy as np
    >>> from skmixed.model_selection import WithinGroupTimeSeriesSplit
    >>> groups = np.array(["a", "b", "a", "b", "a", "b", "a"])
    >>> for train, test in WithinGroupTimeSeriesSplit(2).split(groups, groups=groups):
    ...     print(train, test)
    [0 1 2] [3 4]
    [0 1 2 3 4] [5 6]
    """

    def __init__(self, n_splits=5, *, test_size=1, gap=0):
        self.n_splits = n_splits
        self.test_size = test_size
        self.gap = gap

    def split(self, X, y=None, groups=None):
        """Generate indices of training and test rows.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_columns)
            Only its length is used.
        y : array-like of shape (n_rows,), optional
            Ignored.
        groups : array-like of shape (n_rows,)
            Group label of each row.

        Yields
        ------
        train : ndarray
            Indices of the training rows.
        test : ndarray
            Indices of the test rows.
        """
        X, y, groups = indexable(X, y, groups)
        n_rows = num_samples(X)
        _check_n_splits(self.n_splits, n_rows, least=1)
        codes = _check_groups(X, groups, type(self).__name__)
        sizes = np.bincount(codes)
        order = np.argsort(codes, kind="stable")
        age = np.empty(n_rows, dtype=np.intp)  # 0 for a group's first row
        age[order] = np.arange(n_rows) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        for ahead in reversed(range(self.n_splits)):
            start = (sizes - (ahead + 1) * self.test_size)[codes]
            has_past = start > self.gap
            train = np.flatnonzero(has_past & (age < start - self.gap))
            test = np.flatnonzero(has_past & (age >= start) & (age < start + self.test_size))
            if not len(test):
                raise ValueError(
                    f"n_splits={self.n_splits}, test_size={self.test_size} and "
                    f"gap={self.gap} need a group of "
                    f"{self.n_splits * self.test_size + self.gap + 1} rows, but the largest "
                    f"has {sizes.max()}. Take fewer splits or smaller tests."
                )
            yield train, test


@public("skmixed.model_selection")
class TwoWayGroupKFold(_WithinGroupSplitter):
    """Cross-validation of crossed groups in which both groups of a test row are new.

    The groups of each of two factors, such as students and teachers, are divided into
    `n_splits` parts. Each pair of parts is a fold: rows of a student and of a teacher in these
    are the test, rows that have neither of them train, and rows that share only one with the
    test are left out. So there are ``n_splits ** 2`` folds, and each row is tested once.

    For new groups of one factor use `sklearn.model_selection.GroupKFold` with that factor.

    Parameters
    ----------
    n_splits : int, default=5
        Parts of each factor, at least 2 and at most its number of groups.
    shuffle : bool, default=False
        Whether groups are drawn to parts at random; otherwise parts have about as many rows.
    random_state : int, RandomState instance or None, default=None
        Seed of the shuffling; pass an int for the same folds at every call.

    See Also
    --------
    WithinGroupKFold : Rows of known groups are the test.

    Examples
    --------
    >>> import numpy as np
    >>> from skmixed.model_selection import TwoWayGroupKFold
    >>> groups = [["a", 1], ["a", 2], ["b", 1], ["b", 2]]
    >>> for train, test in TwoWayGroupKFold(2).split(groups, groups=groups):
    ...     print(train, test)
    [0] [3]
    [1] [2]
    [2] [1]
    [3] [0]
    """

    def __init__(self, n_splits=5, *, shuffle=False, random_state=None):
        self.n_splits = n_splits
        self.shuffle = shuffle
        self.random_state = random_state

    def get_n_splits(self, X=None, y=None, groups=None):
        """Return the number of folds.

        Parameters
        ----------
        X, y, groups : object
            Ignored.

        Returns
        -------
        int
            The square of `n_splits`.
        """
        return self.n_splits**2

    def split(self, X, y=None, groups=None):
        """Generate indices of training and test rows.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_columns)
            Only its length is used.
        y : array-like of shape (n_rows,), optional
            Ignored.
        groups : array-like of shape (n_rows, 2)
            Group labels of each row, a column for each factor.

        Yields
        ------
        train : ndarray
            Indices of the training rows.
        test : ndarray
            Indices of the test rows.
        """
        X, y, groups = indexable(X, y, groups)
        n_rows = num_samples(X)
        _check_n_splits(self.n_splits, n_rows)
        factors = _check_two_factors(X, groups)
        rng = check_random_state(self.random_state) if self.shuffle else None
        one, two = (self._parts(name, codes, rng) for name, codes in factors.items())
        for a in range(self.n_splits):
            for b in range(self.n_splits):
                test = np.flatnonzero((one == a) & (two == b))
                train = np.flatnonzero((one != a) & (two != b))
                if not len(test) or not len(train):
                    first, second = factors
                    raise ValueError(
                        f"Each pair of parts must have rows to test and others to train, but "
                        f"parts {a} of {first!r} and {b} of {second!r} "
                        f"have {len(test)} to test and {len(train)} to train: too few pairs of "
                        f"groups meet. Take fewer than n_splits={self.n_splits}."
                    )
                yield train, test

    def _parts(self, name, codes, rng):
        """Part of each row's group."""
        n_groups = int(codes.max()) + 1
        if n_groups < self.n_splits:
            raise ValueError(
                f"n_splits={self.n_splits} must be at most the number of groups of {name!r}, "
                f"which is {n_groups}."
            )
        return divide_groups(codes, self.n_splits, rng)


def divide_groups(codes, n_splits, rng=None):
    """Divide groups into parts.

    Parameters
    ----------
    codes : ndarray of shape (n_rows,)
        Groups, numbered from 0.
    n_splits : int
        Number of parts.
    rng : RandomState, default=None
        Draws groups to parts; parts have about as many rows if None.

    Returns
    -------
    ndarray of shape (n_rows,)
        Part of each row's group.
    """
    seed = None if rng is None else int(rng.randint(2**31))
    folds = GroupKFold(n_splits, shuffle=rng is not None, random_state=seed)
    part = np.empty(len(codes), dtype=np.intp)
    for number, (_, rows) in enumerate(folds.split(codes, groups=codes)):
        part[rows] = number
    return part


def _check_n_splits(n_splits, n_rows, least=2):
    if not isinstance(n_splits, Integral) or not least <= n_splits <= n_rows:
        raise ValueError(
            f"n_splits must be an integer from {least} to the number of rows, {n_rows}, but "
            f"got {n_splits!r}."
        )


def _check_two_factors(X, groups):
    """Return codes of two factors by name."""
    _refuse_none(groups, TwoWayGroupKFold.__name__)
    X, groups = take_rows(X=X, groups=groups)
    table = take_factors(groups)
    if not is_several(table) or table.shape[1] != 2:
        n_columns = table.shape[1] if is_several(table) else 1
        raise ValueError(
            "`groups` must have two columns, one for each factor, as in "
            f"groups=frame[['student', 'teacher']], but got {n_columns}."
        )
    return {name: _encode_factor(table, name, num_samples(X)) for name in table}


def _encode_factor(table, name, n_rows):
    with of_factor(name):
        return encode_groups(table[name], n_rows)[0]


def _check_groups(X, groups, name):
    _refuse_none(groups, name)
    X, groups = take_rows(X=X, groups=groups)
    return encode_groups(groups, num_samples(X))[0]


def _refuse_none(groups, name):
    if groups is None:
        raise ValueError(
            f"`groups` must be given to {name}.split, but got None. Pass it on, as in "
            "cross_validate(..., groups=groups), or with metadata routing enabled "
            "cross_validate(..., params={'groups': groups})."
        )
