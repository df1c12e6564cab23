"""Fits in batches, from sums, and groups learned after the fit."""

import pickle
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.compose import make_column_selector
from sklearn.exceptions import NotFittedError
from sklearn.utils._param_validation import InvalidParameterError
from sklearn.utils.validation import check_is_fitted

from skmixed import GroupedMoments, RandomInterceptRegressor, RandomSlopeRegressor
from skmixed.datasets import load_hsb, load_sleepstudy, make_mixed_regression
from skmixed.exceptions import MissingGroupsWarning

MODELS = {
    "intercept": RandomInterceptRegressor(tol=1e-13),
    "slope": RandomSlopeRegressor("ses"),
    "diagonal": RandomSlopeRegressor("ses", covariance="diag", method="ml"),
}


@pytest.fixture(scope="module")
def hsb():
    X, y, school = load_hsb(return_X_y=True)
    return X[["ses", "minority", "mean_ses"]], y, school


@pytest.fixture(params=list(MODELS))
def model(request):
    return clone(MODELS[request.param])


def assert_same_fit(found, expected, rtol=1e-9):
    """All that a fit has learned; random effects relative to the spread of y."""
    assert found.criterion_ == pytest.approx(expected.criterion_, rel=1e-10)
    for name in ("coef_", "intercept_", "residual_variance_", "random_effects_cov_"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=rtol)
    # what is left of a row of theta after its first entries has the digits of the largest
    largest = np.abs(expected.theta_).max()
    np.testing.assert_allclose(found.theta_, expected.theta_, rtol=rtol, atol=rtol * largest)
    scale = expected.random_effects_.abs().max().max()
    np.testing.assert_allclose(
        found.random_effects_ / scale, expected.random_effects_ / scale, atol=10 * rtol
    )
    pd.testing.assert_index_equal(found.groups_, expected.groups_)
    pd.testing.assert_series_equal(found.group_sizes_, expected.group_sizes_)


def in_batches(model, cuts, X, y, groups, weight=None):
    for start, stop in zip([0, *cuts], [*cuts, len(y)], strict=True):
        batch = slice(start, stop)
        options = {} if weight is None else {"sample_weight": weight[batch]}
        model.partial_fit(X[batch], y[batch], groups=groups[batch], **options)
    return model


# ---------------------------------------------------------------------------- partial_fit


@pytest.mark.parametrize("offset", [0.0, 1e8])
def test_batches_give_the_fit_of_the_whole(model, hsb, offset):
    X, y, school = hsb
    if offset and model.get_params().get("covariance") == "diag":
        pytest.skip("the model depends on where the slope column is zero")
    X, y = X + offset, y + offset
    whole = clone(model).fit(X, y, groups=school)
    found = in_batches(model, [1, 2, 500, 501, 4000], X, y, school)
    assert_same_fit(found, whole)


@settings(deadline=None)
@given(st.randoms(use_true_random=False), st.integers(1, 20))
def test_the_order_and_the_sizes_of_batches_do_not_matter(random, n_batches):
    X, y, groups = make_mixed_regression(120, 2, n_groups=15, balanced=False, random_state=0)
    order = random.sample(range(120), 120)
    cuts = sorted(random.sample(range(1, 120), n_batches - 1))
    model = RandomInterceptRegressor(tol=1e-13)
    whole = clone(model).fit(X, y, groups)
    assert_same_fit(in_batches(model, cuts, X[order], y[order], groups[order]), whole)


def test_weights_sparse_rows_and_a_group_column(hsb):
    X, y, school = hsb
    weight = np.random.default_rng(0).integers(0, 3, len(y)).astype(float)
    for rows in (X, X.to_numpy(), csr_array(X.to_numpy())):
        whole = RandomInterceptRegressor(tol=1e-13).fit(rows, y, school, weight)
        streamed = RandomInterceptRegressor(tol=1e-13)
        assert_same_fit(in_batches(streamed, [3000], rows, y, school, weight), whole)
    frame = X.assign(school=school)
    whole = RandomSlopeRegressor("ses", group_by="school", tol=1e-13).fit(frame, y)
    found = clone(whole).partial_fit(frame[:999], y[:999]).partial_fit(frame[999:], y[999:])
    assert_same_fit(found, whole)
    np.testing.assert_allclose(found.predict(frame), whole.predict(frame))


def test_the_solve_waits_until_it_is_needed(hsb, monkeypatch):
    X, y, school = hsb
    solved = []
    solve = RandomInterceptRegressor._fit_moments
    monkeypatch.setattr(
        RandomInterceptRegressor,
        "_fit_moments",
        lambda self, *sums: (solved.append(1), solve(self, *sums))[1],
    )
    model = in_batches(RandomInterceptRegressor(), [1000, 2000], X, y, school)
    check_is_fitted(model)
    copy = pickle.loads(pickle.dumps(model))
    assert not solved
    model.predict(X[:5], groups=school[:5])
    model.summary()
    assert len(solved) == 1
    assert copy.icc_ == model.icc_
    model.partial_fit(X[:1], y[:1], groups=school[:1])
    assert "coef_" not in vars(model)
    assert len(solved) == 2


def test_a_fit_can_be_continued(model, hsb):
    X, y, school = hsb
    continued = clone(model).fit(X[:3000], y[:3000], groups=school[:3000])
    continued.confint(method="wald")
    continued.partial_fit(X[3000:], y[3000:], groups=school[3000:])
    assert_same_fit(continued, model.fit(X, y, groups=school))
    continued.fit(X[:3000], y[:3000], groups=school[:3000])
    assert continued.group_sizes_.sum() == 3000


def test_a_stream_without_groups_is_a_pooled_fit(hsb):
    X, y, _ = hsb
    model = RandomInterceptRegressor()
    for batch in (slice(0, 50), slice(50, None)):
        with pytest.warns(MissingGroupsWarning):
            model.partial_fit(X[batch], y[batch])
    with pytest.warns(MissingGroupsWarning):
        whole = RandomInterceptRegressor().fit(X, y)
    np.testing.assert_allclose(model.coef_, whole.coef_)


BAD_BATCHES = {
    "fewer columns": (lambda X, y, g: (X[["ses"]], y, g), "feature names"),
    "text": (lambda X, y, g: (X.assign(ses="high"), y, g), "X must be numeric.*ses"),
    "other labels": (lambda X, y, g: (X, y, g.astype(str)), "labels of the same type"),
    "no groups": (lambda X, y, g: (X, y, None), "all batches or none"),
    "a missing label": (lambda X, y, g: (X, y, g.where(g != g.iloc[0])), "label for every row"),
    "missing y": (lambda X, y, g: (X, y * np.nan, g), "NaN"),
}


@pytest.mark.filterwarnings("ignore::skmixed.exceptions.MissingGroupsWarning")
@pytest.mark.parametrize("name", list(BAD_BATCHES))
@pytest.mark.parametrize("method", ["partial_fit", "update_groups"])
def test_a_bad_batch_changes_nothing(hsb, method, name):
    X, y, school = hsb
    change, message = BAD_BATCHES[name]
    model = RandomInterceptRegressor().fit(X[:4000], y[:4000], groups=school[:4000])
    before = model.predict_interval(X, groups=school)
    if method == "update_groups" and name == "no groups":
        message = "`groups` must be given"
    with pytest.raises(ValueError, match=message):
        getattr(model, method)(*change(X[4000:], y[4000:], school[4000:]))
    np.testing.assert_array_equal(model.predict_interval(X, groups=school), before)
    model.partial_fit(X[4000:], y[4000:], groups=school[4000:])
    assert model.group_sizes_.sum() == len(y)


def test_a_bad_first_batch_leaves_an_unfitted_model(hsb):
    X, y, school = hsb
    model = RandomInterceptRegressor()
    with pytest.raises(ValueError, match="NaN"):
        model.partial_fit(X, y * np.nan, groups=school)
    assert vars(model) == vars(RandomInterceptRegressor())
    with pytest.raises(NotFittedError):
        model.predict(X, groups=school)


@pytest.mark.parametrize(
    "changed", [{"method": "ml"}, {"slopes": "minority"}, {"fit_intercept": False}]
)
def test_the_model_must_stay_the_same(hsb, changed):
    X, y, school = hsb
    model = RandomSlopeRegressor("ses").partial_fit(X[:4000], y[:4000], groups=school[:4000])
    model.set_params(**changed)
    with pytest.raises(ValueError, match=f"stay the same.*{next(iter(changed))} changed"):
        model.partial_fit(X[4000:], y[4000:], groups=school[4000:])
    model.set_params(**RandomSlopeRegressor("ses", new_groups="error", tol=1e-9).get_params())
    model.partial_fit(X[4000:], y[4000:], groups=school[4000:])


@pytest.mark.parametrize(
    "changed",
    [{"method": "ml"}, {"slopes": "minority"}, {"tol": -1.0}, {"group_by": "ses"}],
)
def test_a_batch_is_solved_with_its_own_parameters(hsb, changed):
    X, y, school = hsb
    model = RandomSlopeRegressor("ses").partial_fit(X, y, groups=school)
    model.set_params(**changed)
    assert_same_fit(model, RandomSlopeRegressor("ses").fit(X, y, groups=school))
    assert model.get_params().items() >= changed.items()
    before = vars(model).copy()
    with pytest.raises(ValueError, match=next(iter(changed))):
        model.partial_fit(X, y, groups=school)
    assert vars(model) == before


def test_an_option_of_the_search_may_change_between_batches(hsb):
    X, y, school = hsb
    model = RandomSlopeRegressor("ses", max_iter=1).partial_fit(
        X[:4000], y[:4000], school[:4000]
    )
    model.set_params(max_iter=100).partial_fit(X[4000:], y[4000:], groups=school[4000:])
    model.set_params(max_iter=1)
    assert model.converged_


def test_threads_wait_for_the_one_that_solves(hsb):
    X, y, school = hsb
    model = RandomSlopeRegressor("ses").partial_fit(X, y, groups=school)
    started = Barrier(4)

    def predict(_):
        started.wait()
        return model.predict(X[:10], groups=school[:10])

    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(predict, range(4)))
    expected = model.predict(X[:10], groups=school[:10])
    np.testing.assert_array_equal(found, np.tile(expected, (4, 1)))


def test_a_fit_ends_a_stream(hsb):
    X, y, school = hsb
    model = RandomSlopeRegressor("ses").partial_fit(X, y, groups=school)
    model.fit(X[:4000], y[:4000], groups=school[:4000])
    coef = model.coef_
    assert not hasattr(model, "no_such_attribute_")
    assert model.coef_ is coef
    assert model.group_sizes_.sum() == 4000


def test_a_first_row_far_from_all_others_costs_no_digits():
    X, y, groups = make_mixed_regression(1500, 2, n_groups=40, random_state=0)
    X[0, 0], y[0], groups[0] = -1e6, y[1:].mean(), 99
    whole = RandomInterceptRegressor(tol=1e-13).fit(X, y, groups)
    found = in_batches(RandomInterceptRegressor(tol=1e-13), range(1, 1500, 15), X, y, groups)
    assert found.criterion_ == pytest.approx(whole.criterion_, rel=2e-6)
    np.testing.assert_allclose(found.coef_, whole.coef_, rtol=1e-5)
    np.testing.assert_allclose(found.residual_variance_, whole.residual_variance_, rtol=1e-5)


@pytest.mark.parametrize(
    ("first", "then", "low", "kept"),
    [
        ("int64", "uint64", 2**60, "int64"),
        ("uint64", "int64", 2**60, "uint64"),
        ("float64", "int64", 1, "int64"),
        ("int64", "float64", -7, "int64"),
    ],
)
def test_whole_numbers_of_several_types_stay_exact(first, then, low, kept):
    X, y, groups = make_mixed_regression(400, 1, n_groups=20, random_state=0)
    labels = groups + low
    whole = RandomInterceptRegressor(tol=1e-13).fit(X, y, labels.astype(kept))
    model = RandomInterceptRegressor(tol=1e-13)
    model.partial_fit(X[:200], y[:200], groups=labels[:200].astype(first))
    model.partial_fit(X[200:], y[200:], groups=labels[200:].astype(then))
    assert set(model.groups_) == set(labels.tolist())
    np.testing.assert_allclose(model.theta_, whole.theta_, rtol=1e-9)
    np.testing.assert_allclose(
        model.predict(X, groups=labels), whole.predict(X, groups=labels), rtol=1e-9
    )


def test_whole_numbers_that_no_type_holds_stay_exact():
    X, y, groups = make_mixed_regression(400, 1, n_groups=20, random_state=0)
    model = RandomInterceptRegressor()
    model.partial_fit(X[:200], y[:200], groups=groups[:200] - 50)
    model.partial_fit(X[200:], y[200:], groups=groups[200:].astype("uint64") + np.uint64(2**63))
    expected = {*(groups[:200] - 50).tolist(), *(2**63 + k for k in groups[200:].tolist())}
    assert set(model.groups_) == expected


def test_too_few_rows_are_an_error_when_it_is_solved(hsb):
    X, y, school = hsb
    model = RandomInterceptRegressor().partial_fit(X[:3], y[:3], groups=school[:3])
    for _ in range(2):
        with pytest.raises(NotFittedError, match=r"At least 5 rows.*has seen 3"):
            model.predict(X, groups=school)
        assert not hasattr(model, "coef_")
        assert "RandomInterceptRegressor" in model._repr_html_()
    model.partial_fit(X[3:], y[3:], groups=school[3:])
    assert model.n_groups_ == 160


# ------------------------------------------------------------------------------- moments


def test_moments_give_the_fit_of_the_rows(model, hsb):
    X, y, school = hsb
    parts = [slice(0, 100), slice(100, 5000), slice(5000, None)]
    total = sum(
        GroupedMoments.from_rows(X[part], y[part], school[part], slopes=["ses", "minority"])
        for part in parts
    )
    copy = pickle.loads(pickle.dumps(total))
    found, whole = clone(model).fit_moments(copy), clone(model).fit(X, y, groups=school)
    assert_same_fit(found, whole)
    assert found.feature_names_in_.tolist() == X.columns.tolist()
    np.testing.assert_allclose(
        found.predict_interval(X, groups=school), whole.predict_interval(X, groups=school)
    )
    found.partial_fit(X, y, groups=school)
    assert found.group_sizes_.sum() == 2 * len(y)


def test_moments_with_a_group_column_and_arrays(hsb):
    X, y, school = hsb
    rows = np.column_stack([school, X])
    moments = GroupedMoments.from_rows(rows, y, slopes=1, group_by=0)
    model = RandomSlopeRegressor(1, group_by=0).fit_moments(moments)
    assert_same_fit(model, RandomSlopeRegressor(1, group_by=0).fit(rows, y), rtol=1e-7)
    assert model.predict(rows[:2]).shape == (2,)


@pytest.mark.parametrize(
    "slopes", [make_column_selector(dtype_include=float), make_column_selector("^ses"), "all"]
)
@pytest.mark.parametrize("group_by", [None, "school"])
def test_slopes_chosen_by_type_or_pattern(hsb, slopes, group_by):
    X, y, school = hsb
    X = X[["minority", "ses"]].assign(**({"school": school.astype(str)} if group_by else {}))
    groups = None if group_by else school
    moments = GroupedMoments.from_rows(X, y, groups, slopes=slopes, group_by=group_by)
    model = RandomSlopeRegressor(slopes, group_by=group_by)
    whole = clone(model).fit(X, y, groups=groups)
    assert_same_fit(model.fit_moments(moments), whole, rtol=1e-7)
    assert list(model.random_effects_) == list(whole.random_effects_)


@pytest.mark.parametrize("given", [[], 0, None])
def test_what_are_not_moments(given):
    with pytest.raises(TypeError, match=f"GroupedMoments, but got {type(given).__name__}"):
        RandomInterceptRegressor().fit_moments(given)


def test_labels_of_a_type_without_a_name_that_pandas_reads(hsb):
    X, y, school = hsb
    decimals = pd.array(school.to_numpy(), dtype=pd.ArrowDtype(pa.decimal128(30, 2)))
    frame = X.assign(school=decimals)
    slopes = make_column_selector("^ses")
    moments = GroupedMoments.from_rows(frame, y, group_by="school", slopes=slopes)
    model = RandomSlopeRegressor(slopes, group_by="school").fit_moments(moments)
    assert list(model.random_effects_) == ["(Intercept)", "ses"]


@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
def test_sums_that_overflow_when_they_are_added():
    X, y, groups = make_mixed_regression(60, 1, n_groups=6, random_state=0)
    X *= 1e153
    model = RandomInterceptRegressor().partial_fit(X[:30], y[:30], groups=groups[:30])
    for _ in range(20):
        model.partial_fit(X[30:], y[30:], groups=groups[30:])
    with pytest.raises(NotFittedError, match="the sums overflow"):
        model.predict(X, groups=groups)


def test_a_copy_made_while_another_thread_solves_solves_itself(hsb, monkeypatch):
    X, y, school = hsb
    model = RandomSlopeRegressor("ses").partial_fit(X, y, groups=school)
    begun, go_on = Event(), Event()
    estimate = RandomSlopeRegressor._estimate

    def slow(self, *args):
        begun.set()
        go_on.wait(10)
        return estimate(self, *args)

    monkeypatch.setattr(RandomSlopeRegressor, "_estimate", slow)
    with ThreadPoolExecutor(1) as thread:
        solving = thread.submit(lambda: model.coef_)
        assert begun.wait(10)
        copy = pickle.loads(pickle.dumps(model))
        go_on.set()
        np.testing.assert_array_equal(copy.coef_, solving.result())


def test_parameters_of_moments_are_checked(hsb):
    for wrong in ({"slopes": None}, {"group_by": 1.5}):
        with pytest.raises(InvalidParameterError, match=next(iter(wrong))):
            GroupedMoments.from_rows(*hsb, **wrong)


def test_moments_that_do_not_fit(hsb):
    X, y, school = hsb
    moments = GroupedMoments.from_rows(X, y, school, slopes="ses")
    with pytest.raises(ValueError, match=r"\['minority'\], but were for \['ses'\]"):
        RandomSlopeRegressor("minority").fit_moments(moments)
    with pytest.raises(ValueError, match="group_by='school'"):
        RandomInterceptRegressor(group_by="school").fit_moments(moments)
    for other, message in [
        (GroupedMoments.from_rows(X[["ses"]], y, school, slopes="ses"), "differ in n_columns"),
        (GroupedMoments.from_rows(X, y, school), "differ in slopes"),
        (GroupedMoments.from_rows(X, y, school.astype(str), slopes="ses"), "same type"),
    ]:
        with pytest.raises(ValueError, match=message):
            moments + other
    with pytest.raises(TypeError):
        moments + 1
    model = RandomSlopeRegressor("minority").fit(X[["minority"]], y, groups=school)
    with pytest.raises(ValueError, match="but were for"):
        model.fit_moments(moments)
    assert model.feature_names_in_.tolist() == ["minority"]
    with pytest.raises(ValueError, match="got neither"):
        GroupedMoments.from_rows(X, y)


# ------------------------------------------------------------------------- update_groups


def test_more_rows_of_a_group_give_its_modes_for_fixed_parameters(model, hsb):
    X, y, school = hsb
    fitted = school > 1300
    model.fit(X[fitted], y[fitted], groups=school[fitted])
    before = {name: np.copy(getattr(model, name)) for name in ("coef_", "theta_")}
    model.update_groups(X[~fitted], y[~fitted], groups=school[~fitted])
    for name, value in before.items():
        np.testing.assert_array_equal(getattr(model, name), value)
    Sigma, s2 = model.random_effects_cov_.to_numpy(), model.residual_variance_
    for group in (school.min(), school.max()):
        mine = school == group
        Z = np.column_stack([np.ones(mine.sum()), X[mine]["ses"]])[:, : len(Sigma)]
        V = Z @ Sigma @ Z.T + s2 * np.eye(mine.sum())
        b = Sigma @ Z.T @ np.linalg.solve(V, y[mine] - model.predict_population(X[mine]))
        np.testing.assert_allclose(model.random_effects_.loc[group], b, rtol=1e-6)
        H = Sigma - Sigma @ Z.T @ np.linalg.solve(V, Z @ Sigma)
        np.testing.assert_allclose(model.conditional_cov_.loc[group], H, rtol=1e-6)


def test_updates_in_parts_are_updates_at_once(hsb):
    X, y, school = hsb
    new = (school < 1300).to_numpy()
    model = RandomSlopeRegressor("ses").fit(X[~new], y[~new], groups=school[~new])
    at_once, in_parts = (pickle.loads(pickle.dumps(model)) for _ in range(2))
    at_once.update_groups(X[new], y[new], groups=school[new])
    for row in np.flatnonzero(new):
        one = slice(row, row + 1)
        in_parts.update_groups(X[one], y[one], groups=school[one])
    np.testing.assert_allclose(in_parts.random_effects_, at_once.random_effects_, atol=1e-10)
    stored = pickle.loads(pickle.dumps(in_parts))
    for answer in ("predict_interval", "predict"):
        np.testing.assert_allclose(
            getattr(stored, answer)(X, groups=school),
            getattr(at_once, answer)(X, groups=school),
        )


def test_a_new_group_grows_more_certain_with_its_rows():
    X, y, subject = load_sleepstudy(return_X_y=True)
    new = subject == 308
    model = RandomInterceptRegressor().fit(X[~new], y[~new], groups=subject[~new])
    widths = [np.ptp(model.predict_interval(X[:1], [308], kind="mean"))]
    for row in range(3):
        one = slice(row, row + 1)
        model.update_groups(X[one], y[one], groups=subject[one])
        widths.append(np.ptp(model.predict_interval(X[:1], [308], kind="mean")))
    assert np.all(np.diff(widths) < 0)
    frame = model.random_effects_frame().set_index("group")
    assert (frame.loc[308, "std_error"] > frame["std_error"].drop(308)).all()


def test_what_belongs_to_the_fit_stays(hsb):
    X, y, school = hsb
    model = RandomInterceptRegressor().fit(X[:4000], y[:4000], groups=school[:4000])
    before = model.fixed_effects_frame(), model.confint(), model.r2_marginal_
    model.update_groups(X[4000:], y[4000:], groups=school[4000:])
    pd.testing.assert_frame_equal(model.fixed_effects_frame(), before[0])
    pd.testing.assert_frame_equal(model.confint(), before[1])
    assert model.r2_marginal_ == before[2]
    X, y, school = X[:4000], y[:4000], school[:4000]
    fitted = RandomInterceptRegressor().fit(X, y, groups=school)
    np.testing.assert_array_equal(
        model.loo_predict(X, y, groups=school), fitted.loo_predict(X, y, groups=school)
    )
    assert model.n_groups_ == 160


def test_a_fit_that_goes_on_counts_updates_too(hsb):
    X, y, school = hsb
    model = RandomInterceptRegressor(tol=1e-13)
    model.fit(X[:3000], y[:3000], groups=school[:3000])
    model.update_groups(X[3000:5000], y[3000:5000], groups=school[3000:5000])
    model.partial_fit(X[5000:], y[5000:], groups=school[5000:])
    assert_same_fit(model, RandomInterceptRegressor(tol=1e-13).fit(X, y, groups=school))


def test_updates_need_a_fit_with_groups(hsb):
    X, y, school = hsb
    with pytest.raises(NotFittedError):
        RandomInterceptRegressor().update_groups(X, y, groups=school)
    with pytest.warns(MissingGroupsWarning):
        model = RandomInterceptRegressor().fit(X, y)
    with pytest.raises(ValueError, match="was fitted without groups"):
        model.update_groups(X, y, groups=school)


class Counting(RandomInterceptRegressor):
    def partial_fit(self, X, y, groups=None, sample_weight=None):
        super().partial_fit(X, y, groups, sample_weight)
        self.n_batches_ = getattr(self, "n_batches_", 0) + 1
        return self


def test_attributes_of_subclasses_stay():
    X, y, groups = make_mixed_regression(90, 1, 8, random_state=0)
    model = Counting()
    for start in (0, 30, 60):
        batch = slice(start, start + 30)
        model.partial_fit(X[batch], y[batch], groups[batch])
        assert np.isfinite(model.coef_).all()
    assert model.n_batches_ == 3
