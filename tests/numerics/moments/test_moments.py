import numpy as np
import pytest
import scipy.sparse as sp

from skmixed._numerics.moments import moments as module
from skmixed._numerics.moments.moments import GroupedMoments


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch):
    """Make every pass cross many chunk borders."""
    monkeypatch.setattr(module, "CHUNK_VALUES", 100)
    monkeypatch.setattr(module, "MIN_CHUNK_ROWS", 7)


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(101, 3)) * [1, 100, 0.01] + [0, 5, 1e6]
    y = rng.normal(size=101) - 1e8
    return X, y, rng.integers(0, 6, 101)


def direct(X, y, codes, shift, random, w=None):
    D = np.column_stack([np.ones(len(y)), X, y]) - shift
    w = np.ones(len(y)) if w is None else w
    T = (D * w[:, None]).T @ D
    groups = [codes == j for j in range(codes.max() + 1)]
    C = np.stack([(D[g][:, random] * w[g, None]).T @ D[g] for g in groups], axis=-1)
    return T, C


@pytest.mark.parametrize("random", [(0,), (0, 2), (0, 3, 1)])
@pytest.mark.parametrize("weighted", [False, True])
def test_moments_are_the_cross_products(rows, random, weighted):
    X, y, codes = rows
    w = np.random.default_rng(1).uniform(0.5, 2, len(y)) if weighted else None
    moments = GroupedMoments.from_rows(
        X, y, codes, np.arange(6), sample_weight=w, random=random
    )
    T, C = direct(X, y, codes, moments.shift, random, w)
    np.testing.assert_allclose(moments.T, T, rtol=1e-11, atol=1e-9)
    np.testing.assert_allclose(moments.C, C, rtol=1e-11, atol=1e-9)
    np.testing.assert_array_equal(moments.n_rows, np.bincount(codes))
    assert moments.n == pytest.approx(len(y) if w is None else w.sum())


@pytest.mark.parametrize("n_groups", [1, 6, 90])
def test_few_and_many_groups(rows, n_groups):
    """Groups are fewer than the rows of a chunk, or more."""
    X, y, _ = rows
    codes = np.random.default_rng(1).permutation(np.arange(101) % n_groups)
    moments = GroupedMoments.from_rows(X, y, codes, np.arange(n_groups), random=(0, 2))
    T, C = direct(X, y, codes, moments.shift, (0, 2))
    np.testing.assert_allclose(moments.T, T, rtol=1e-11, atol=1e-9)
    np.testing.assert_allclose(moments.C, C, rtol=1e-11, atol=1e-9)
    assert moments.C.flags.c_contiguous


@pytest.mark.parametrize(
    "convert",
    [sp.csr_array, sp.csc_array, sp.csr_matrix, np.asfortranarray, lambda X: X.astype("f4")],
)
def test_input_formats_agree(rows, convert):
    X, y, codes = rows
    X = np.round(X * 8) / 8  # exact in float32, with zeros
    X[np.abs(X) < 1] = 0
    expected = GroupedMoments.from_rows(X, y, codes, np.arange(6))
    moments = GroupedMoments.from_rows(convert(X), y, codes, np.arange(6))
    np.testing.assert_allclose(moments.T, expected.T, rtol=1e-12, atol=1e-9)
    np.testing.assert_allclose(moments.C, expected.C, rtol=1e-9, atol=1e-6)


def test_sparse_rows_are_never_densified_whole(rows, monkeypatch):
    X, y, codes = rows
    sizes = []
    original = sp.csr_array.toarray
    monkeypatch.setattr(
        sp.csr_array,
        "toarray",
        lambda self, *args, **kw: sizes.append(self.shape[0]) or original(self, *args, **kw),
    )
    GroupedMoments.from_rows(sp.csr_array(np.tile(X, (20, 1))), np.tile(y, 20), None, codes[:0])
    assert max(sizes) <= module.PILOT_ROWS * 2 - 1
    assert np.median(sizes) == 20


def test_sum_of_batches_is_the_whole(rows):
    X, y, codes = rows
    labels = np.array(list("abcdef"))
    whole = GroupedMoments.from_rows(X, y, codes, labels, random=(0, 1))
    parts = []
    for batch in (slice(0, 10), slice(10, 60), slice(60, None)):
        used, local = np.unique(codes[batch], return_inverse=True)
        parts.append(
            GroupedMoments.from_rows(X[batch], y[batch], local, labels[used], random=(0, 1))
        )
    total = parts[2] + parts[0] + parts[1]
    np.testing.assert_array_equal(total.labels, whole.labels)
    np.testing.assert_array_equal(total.n_rows, whole.n_rows)
    total = total.around(whole.shift)
    np.testing.assert_allclose(total.T, whole.T, rtol=1e-9, atol=1e-6)
    np.testing.assert_allclose(total.C, whole.C, rtol=1e-9, atol=1e-5)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([], [1, 2]),
        ([1, 2], [1, 2]),
        ([2, 4, 6], [1, 2, 3, 6, 7]),
        ([2, 4], [1.0, 4.0, 5.0]),
        (["b"], ["a", "bb", "long"]),
        (np.array(["a", "c"], dtype=object), ["b", "c"]),
        (np.array(["2020-01-02"], "M8[D]"), np.array(["2020-01-01T10:00"], "M8[s]")),
    ],
    ids=["none", "same", "integers", "floats", "text", "objects", "dates"],
)
def test_labels_of_both_are_aligned(one, other):
    def moments(labels):
        n = len(labels)
        return GroupedMoments.from_rows(
            np.ones((n, 0)), np.arange(n) + 1.0, np.arange(n), np.asarray(labels)
        ).around(np.zeros(2))

    for first, second in [(one, other), (other, one)]:
        found = moments(first) + moments(second)
        expected = np.union1d(first, second)
        np.testing.assert_array_equal(found.labels, expected)
        sums = [
            sum(y for part in (first, second) for y, g in enumerate(part, 1) if g == label)
            for label in expected
        ]
        np.testing.assert_allclose(found.around(np.zeros(2)).C[0, 1], sums)


@pytest.mark.parametrize("weighted", [False, True])
def test_a_difference_is_the_other_rows(rows, weighted):
    X, y, codes = rows
    w = np.random.default_rng(1).uniform(0.5, 2, len(y)) if weighted else None
    part = (np.arange(101) % 4 == 0) | (codes == 2)
    whole, taken, rest = (
        GroupedMoments.from_rows(
            X[some], y[some], codes[some], np.arange(6), None if w is None else w[some]
        )
        for some in (slice(None), part, ~part)
    )
    difference = whole - taken
    np.testing.assert_array_equal(difference.labels, [0, 1, 3, 4, 5])
    np.testing.assert_array_equal(difference.n_rows, rest.n_rows)
    difference = difference.around(rest.shift)
    np.testing.assert_allclose(difference.T, rest.T, rtol=1e-9, atol=1e-6)
    np.testing.assert_allclose(difference.C, rest.C, rtol=1e-9, atol=1e-5)


def test_only_rows_that_are_there_can_be_taken_off(rows):
    X, y, codes = rows
    few, other, whole = (
        GroupedMoments.from_rows(X[some], y[some], codes[some], np.arange(6))
        for some in (slice(50), codes != 2, slice(None))
    )
    with pytest.raises(ValueError, match="more rows than there are of 1 groups"):
        other - whole
    with pytest.raises(ValueError, match="more rows than there are of 6 groups"):
        few - whole


def test_moments_of_other_columns_cannot_be_added(rows):
    X, y, codes = rows
    one = GroupedMoments.from_rows(X, y, codes, np.arange(6))
    other = GroupedMoments.from_rows(X[:, :2], y, codes, np.arange(6))
    with pytest.raises(ValueError, match="same columns can be added, but got 3 and 2 features"):
        one + other
    with pytest.raises(ValueError, match="same columns can be subtracted, but got 3 and 2"):
        one - other


def test_another_shift_is_exact_algebra(rows):
    X, y, codes = rows
    moments = GroupedMoments.from_rows(X, y, codes, np.arange(6), random=(0, 2))
    shift = moments.shift + np.array([0, 0.3, -7, 0.01, 2])
    T, C = direct(X, y, codes, shift, (0, 2))
    moved = moments.around(shift)
    np.testing.assert_allclose(moved.T, T, rtol=1e-10)
    np.testing.assert_allclose(moved.C, C, rtol=1e-9, atol=1e-8)


def test_rows_of_weight_zero_and_groups_of_nothing_else_are_not_there(rows):
    X, y, codes = rows
    w = np.where((codes == 2) | (np.arange(101) < 30), 0.0, 1.5)
    X[w == 0], y[w == 0] = 1e150, -1e150
    there = w > 0
    moments = GroupedMoments.from_rows(X, y, codes, np.arange(6), sample_weight=w)
    used, local = np.unique(codes[there], return_inverse=True)
    expected = GroupedMoments.from_rows(X[there], y[there], local, used, sample_weight=w[there])
    np.testing.assert_array_equal(moments.labels, [0, 1, 3, 4, 5])
    np.testing.assert_array_equal(moments.n_rows, expected.n_rows)
    np.testing.assert_allclose(moments.T, expected.T, rtol=1e-12, atol=1e-9)
    np.testing.assert_allclose(moments.C, expected.C, rtol=1e-12, atol=1e-10)


def test_group_sizes_are_exact(rows):
    X, y, codes = rows
    moments = GroupedMoments.from_rows(
        X, y, codes, np.arange(6), sample_weight=np.full(101, 2.0)
    )
    np.testing.assert_array_equal(moments.sizes, 2.0 * np.bincount(codes))


def test_input_is_left_alone(rows):
    X, y, codes = rows
    X.flags.writeable = y.flags.writeable = codes.flags.writeable = False
    GroupedMoments.from_rows(X, y, codes, np.arange(6), random=(0, 1))


def test_sums_over_large_groups_keep_their_digits(monkeypatch):
    """Added one by one, a million equal numbers lose five digits."""
    monkeypatch.setattr(module, "CHUNK_VALUES", 2**17)
    codes = np.repeat([0, 1], 500_000)
    X = np.where(codes, 0.1, 0.7)[:, None]
    moments = GroupedMoments.from_rows(X, X[:, 0], codes, np.arange(2))
    sums = np.array([0.7, 0.1]) - moments.shift[1]
    np.testing.assert_allclose(moments.C[0, 1], 500_000 * sums, rtol=5e-13)


def test_the_shift_follows_the_rows():
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.normal(size=(50, 1)), np.full((50, 2), [0.1, 1e8])])
    X[0, 0] = 1e6
    parts = [
        GroupedMoments.from_rows(X[i : i + 1], X[i : i + 1, 0], None, np.array([]))
        for i in range(50)
    ]
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    assert abs(total.shift[1]) < 2e5
    np.testing.assert_array_equal(total.shift[2:4], [0.1, 1e8])
    shift = parts[1].shift
    expected = GroupedMoments.from_rows(X, X[:, 0], None, np.array([]), shift=shift)
    np.testing.assert_allclose(total.around(shift).T, expected.T, rtol=1e-9)
