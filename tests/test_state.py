"""Models change in one step: after errors and interrupts, and for other threads."""

import copy
import gc
import inspect
import pickle
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from itertools import cycle
from threading import Barrier, Event

import numpy as np
import pandas as pd
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from skmixed import (
    FixedEffectsRegressor,
    GroupedMoments,
    PooledRegressor,
    RandomInterceptRegressor,
    RandomSlopeRegressor,
    _state,
)
from skmixed.datasets import make_mixed_regression
from skmixed.inference import likelihood_ratio_test
from skmixed.preprocessing import WithinBetween

MODELS = {
    "intercept": RandomInterceptRegressor(),
    "slope": RandomSlopeRegressor("a"),
    "by column": RandomSlopeRegressor("a", group_by="g"),
    "fixed effects": FixedEffectsRegressor("a"),
    "pooled": PooledRegressor(),
    "within, between": WithinBetween("a"),
    "within, between, by column": WithinBetween("a", group_by="g"),
}
STREAMS = ["intercept", "slope", "by column"]


def make_rows(n_rows=200, seed=0, names=("a", "b")):
    """X, y and groups of other coefficients for each seed."""
    X, y, groups = make_mixed_regression(
        n_rows, 2, n_groups=10, slope_variances=1.0, residual_variance=0.1, random_state=seed
    )
    return pd.DataFrame(X, columns=list(names)), y, pd.Series(groups, name="g")


def rows_of(model, X, y, groups):
    """Rows as arguments of `fit`, with the groups where the model looks for them."""
    if model.group_by is None:
        return {"X": X, "y": y, "groups": groups}
    return {"X": X.assign(**{model.group_by: groups}), "y": y}


def answer(model, rows):
    """All that a model says of some rows, as one array."""
    X, groups = rows["X"], rows.get("groups")
    if isinstance(model, WithinBetween):
        return np.asarray(model.transform(X, groups), dtype=float)
    if not hasattr(model, "predict_interval"):
        return model.predict(X, groups)
    intervals = model.predict_interval(X, groups)
    return np.column_stack([intervals, *model.predict(X, groups, return_std=True)])


@pytest.fixture(params=list(MODELS))
def model(request):
    return clone(MODELS[request.param])


@pytest.fixture(params=STREAMS)
def stream(request):
    return clone(MODELS[request.param])


@pytest.fixture
def quick_switches():
    """Let threads take turns a thousand times as often as usual."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(5e-6)
    yield
    sys.setswitchinterval(interval)


def is_untouched(model, before):
    """Whether the attributes are the very objects they were."""
    now = vars(model)
    return now.keys() == before.keys() and all(now[k] is v for k, v in before.items())


# ---------------------------------------------------------------------- fits that fail


def with_bad_weights(rows):
    """Rows that fail after their columns were looked at, for all models."""
    return {**rows, "sample_weight": -np.ones(len(rows["y"]))}


WRONG = {
    "no rows": lambda rows: {name: value[:0] for name, value in rows.items()},
    "other rows": with_bad_weights,
    "another order": lambda rows: with_bad_weights({**rows, "X": rows["X"].iloc[:, ::-1]}),
    "other names": lambda rows: with_bad_weights(
        {**rows, "X": rows["X"].rename(columns=str.upper)}
    ),
    "fewer columns": lambda rows: with_bad_weights({**rows, "X": rows["X"].drop(columns="b")}),
    "an array": lambda rows: with_bad_weights({**rows, "X": rows["X"].to_numpy()}),
    "text": lambda rows: {**rows, "X": rows["X"].assign(a="high")},
    "infinite": lambda rows: {**rows, "X": rows["X"].assign(a=np.inf)},
    "few weights": lambda rows: {**rows, "sample_weight": [1.0]},
}


@pytest.mark.parametrize("wrong", list(WRONG))
def test_a_failed_fit_changes_nothing(model, wrong):
    rows = rows_of(model, *make_rows())
    model.fit(**rows)
    before, answered = vars(model).copy(), answer(model, rows)
    with pytest.raises(ValueError):  # noqa: PT011
        model.fit(**WRONG[wrong](rows_of(model, *make_rows(seed=1))))
    assert is_untouched(model, before)
    np.testing.assert_array_equal(answer(model, rows), answered)


@pytest.mark.parametrize("wrong", list(WRONG))
def test_a_failed_first_fit_leaves_an_unfitted_model(model, wrong):
    rows = rows_of(model, *make_rows())
    with pytest.raises(ValueError):  # noqa: PT011
        model.fit(**WRONG[wrong](rows))
    assert vars(model) == vars(clone(model))
    with pytest.raises(NotFittedError):
        answer(model, rows)


@pytest.mark.parametrize("method", ["partial_fit", "update_groups", "fit_moments"])
@pytest.mark.parametrize("solved", [True, False])
def test_other_changes_that_fail_change_nothing(stream, method, solved):
    rows = rows_of(stream, *make_rows())
    stream.partial_fit(**rows)
    if solved:
        answered = answer(stream, rows)
    before = vars(stream).copy()
    X, y, groups = make_rows(seed=1)
    if method == "fit_moments":
        with pytest.raises(ValueError, match=r"group|slopes|rows"):
            stream.fit_moments(GroupedMoments.from_rows(X[:3], y[:3], groups[:3]))
    else:
        with pytest.raises(ValueError, match="NaN"):
            getattr(stream, method)(**rows_of(stream, X, y * np.nan, groups))
    assert is_untouched(stream, before)
    if solved:
        np.testing.assert_array_equal(answer(stream, rows), answered)


def test_a_fit_that_warns_where_warnings_are_errors_changes_nothing():
    model = RandomInterceptRegressor().fit(*make_rows())
    before = vars(model).copy()
    X, y, groups = make_rows(seed=1)
    with pytest.raises(Warning, match="rank-deficient"):
        model.fit(X.assign(b=X["a"]), y, groups)
    assert is_untouched(model, before)


def test_a_failed_fit_of_dask_changes_nothing():
    da = pytest.importorskip("dask.array")
    X, y, groups = (np.asarray(part) for part in make_rows())
    model = RandomInterceptRegressor().fit(X, y, groups)
    before = vars(model).copy()
    with pytest.raises(ValueError, match="NaN"):
        model.fit(*(da.from_array(part) for part in (X[:, :1], y * np.nan, groups)))
    assert is_untouched(model, before)


# -------------------------------------------------------------------- fits interrupted


# Python itself ignores an interrupt in a finaliser, and says so.
interrupted = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


class Interrupts:
    """Raise a KeyboardInterrupt where a function is called, as Python itself does."""

    def __init__(self, at=None):
        self.at, self.n_calls = at, 0

    def __enter__(self):
        self.before = sys.gettrace()
        sys.settrace(self._at_call)
        return self

    def __exit__(self, *_):
        sys.settrace(self.before)

    def _at_call(self, frame, event, arg):
        self.n_calls += 1
        if self.n_calls == self.at:
            raise KeyboardInterrupt


CHANGES = {
    "fit": lambda model, rows: model.fit(**rows),
    "partial_fit": lambda model, rows: model.partial_fit(**rows),
    "solve": lambda model, rows: model.coef_,
    "update_groups": lambda model, rows: model.update_groups(**rows),
    "fit_moments": lambda model, rows: model.fit_moments(
        GroupedMoments.from_rows(**rows, group_by=model.group_by, slopes=["a"])
    ),
}


def interrupt(model, change, rows, n_points):
    """Make a change again and again, interrupted at points spread over it."""
    other = copy.deepcopy(model)
    with Interrupts() as uninterrupted:
        CHANGES[change](other, rows)
    for point in np.linspace(1, uninterrupted.n_calls, n_points).astype(int):
        one = copy.deepcopy(model)
        before = vars(one).copy()
        with suppress(KeyboardInterrupt), Interrupts(point):  # the last may come too late
            CHANGES[change](one, rows)
        yield one, before


def check_interrupted(model, change, n_points):
    first, then = (rows_of(model, *make_rows(100, seed)) for seed in (0, 1))
    if change == "solve":
        model.partial_fit(**first)
    else:
        model.fit(**first)
    new = copy.deepcopy(model)
    CHANGES[change](new, then)
    n_old = 0
    for one, before in interrupt(model, change, then, n_points):
        if is_untouched(one, before):
            n_old += 1
        else:
            np.testing.assert_array_equal(answer(one, then), answer(new, then))
    assert n_old > n_points / 2


@interrupted
@pytest.mark.parametrize("name", list(MODELS))
def test_an_interrupted_fit_leaves_the_old_model_or_the_new(name):
    check_interrupted(clone(MODELS[name]), "fit", 15)


@interrupted
@pytest.mark.parametrize("change", list(CHANGES)[1:])
def test_other_changes_that_are_interrupted(change):
    check_interrupted(clone(MODELS["slope"]), change, 15)


@interrupted
@pytest.mark.slow
@pytest.mark.parametrize("change", list(CHANGES))
@pytest.mark.parametrize("name", STREAMS)
def test_interrupts_at_many_points(name, change):
    check_interrupted(clone(MODELS[name]), change, 1000)


@interrupted
def test_a_model_can_be_changed_by_another_thread_after_an_interrupt():
    rows = rows_of(MODELS["slope"], *make_rows(100))
    model = clone(MODELS["slope"]).fit(**rows)
    for one, _ in interrupt(model, "partial_fit", rows, 20):
        with ThreadPoolExecutor(1) as thread:
            thread.submit(one.partial_fit, **rows).result(10)


# ------------------------------------------------------------- parameters set after a fit

SET_SINCE = {
    "intercept": {"group_by": "b", "method": "ml", "fit_intercept": False},
    "slope": {
        "slopes": "b",
        "covariance": "diag",
        "method": "ml",
        "fit_intercept": False,
        "random_intercept": False,
        "fixed_slopes": False,
        "group_by": 0,
    },
    "by column": {"group_by": None, "slopes": []},
    "fixed effects": {"slopes": None, "group_by": "a"},
    "pooled": {"fit_intercept": False, "group_by": "a"},
    "within, between": {"columns": "b", "group_by": "a"},
    "within, between, by column": {"columns": ["a", "b"], "group_by": None},
}
ONE_BY_ONE = [
    (name, {parameter: value})
    for name, parameters in SET_SINCE.items()
    for parameter, value in parameters.items()
]


def everything(model, rows):
    """Answers of all methods of a fitted model."""
    yield answer(model, rows)
    for name in ("group_coef_", "conditional_cov_", "r2_marginal_", "design_effect_"):
        yield getattr(model, name, None)
    for name in ("predict_population", "get_feature_names_out"):
        if hasattr(model, name):
            yield getattr(model, name)(rows["X"] if name.startswith("p") else None)
    if hasattr(model, "summary"):
        yield str(model.summary())
    if hasattr(model, "loo_predict"):
        yield from (model.loo_predict(**rows), model.random_effects_frame())
        yield model.confint(method="bootstrap", n_bootstrap=5, random_state=0)
        model.update_groups(**rows)
        yield answer(model, rows)


@cache
def fitted_model(name):
    """A fitted model, its rows, and all that it says of them; to be copied before a change."""
    rows = rows_of(MODELS[name], *make_rows())
    model = clone(MODELS[name]).fit(**rows)
    return model, rows, list(everything(copy.deepcopy(model), rows))


@pytest.mark.parametrize(("name", "changed"), ONE_BY_ONE, ids=str)
def test_parameters_set_after_a_fit_change_no_answer(name, changed):
    model, rows, expected = fitted_model(name)
    fitted = copy.deepcopy(model)
    fitted.set_params(**changed)
    stored = pickle.loads(pickle.dumps(fitted))
    for model in (fitted, stored):
        for found, value in zip(everything(model, rows), expected, strict=True):
            np.testing.assert_array_equal(found, value)
        assert model.get_params().items() >= changed.items()


@pytest.mark.parametrize(("name", "changed"), ONE_BY_ONE, ids=str)
def test_a_fit_that_fails_with_other_parameters_keeps_them_and_the_fit(name, changed):
    rows = rows_of(MODELS[name], *make_rows())
    model = clone(MODELS[name]).fit(**rows)
    answered = answer(model, rows)
    model.set_params(**changed)
    with pytest.raises(ValueError):  # noqa: PT011
        model.fit(**with_bad_weights(rows))
    np.testing.assert_array_equal(answer(model, rows), answered)
    assert model.get_params().items() >= changed.items()


def test_new_groups_is_read_when_asked():
    X, y, groups = make_rows()
    for model in (RandomInterceptRegressor(), FixedEffectsRegressor(), WithinBetween()):
        model.fit(X, y, groups)
        ask = model.transform if isinstance(model, WithinBetween) else model.predict
        ask(X, groups + 100)
        model.set_params(new_groups="error")
        with pytest.raises(ValueError, match="10 are new"):
            ask(X, groups + 100)


def test_tests_and_pictures_are_of_the_fit():
    pytest.importorskip("matplotlib").use("agg")
    from skmixed.inspection import VarianceDisplay

    rows = make_rows()
    small, large = RandomInterceptRegressor().fit(*rows), RandomSlopeRegressor("a").fit(*rows)
    test, shares = likelihood_ratio_test(small, large), VarianceDisplay.from_estimator(large)
    small.set_params(method="ml")
    large.set_params(method="ml", slopes=[])
    assert likelihood_ratio_test(small, large).p_value == test.p_value
    pd.testing.assert_frame_equal(
        VarianceDisplay.from_estimator(large).components, shares.components
    )


def test_partitions_are_read_as_in_the_fit():
    da = pytest.importorskip("dask.array")
    X, y, groups = make_rows()
    rows = np.column_stack([groups, X])
    model = RandomInterceptRegressor(group_by=0).fit(*map(da.from_array, (rows, y)))
    expected = model.predict(rows)
    model.set_params(group_by=None)
    np.testing.assert_array_equal(model.predict(da.from_array(rows)).compute(), expected)
    assert model.score(da.from_array(rows), da.from_array(y)) > 0


# --------------------------------------------------------------------- what survives a fit


def test_what_is_set_while_a_fit_goes_on_stays():
    X, y, groups = make_rows()

    def choose(X):
        model.set_params(tol=1e-5).set_fit_request(sample_weight=True)
        return ["a"]

    with config_context(enable_metadata_routing=True):
        model = RandomSlopeRegressor(choose).set_predict_request(groups=False)
        model.fit(X, y, groups)
        with pytest.raises(ValueError, match="NaN"):
            model.fit(X, y * np.nan, groups)
    for one in (model, clone(model), copy.deepcopy(model)):
        requests = one.get_metadata_routing()
        assert one.tol == 1e-5
        assert requests.fit.requests["sample_weight"] is True
        assert requests.predict.requests["groups"] is False


class Counting(RandomInterceptRegressor):
    """What users do in subclasses: learn more, and predict otherwise."""

    def fit(self, X, y, groups=None):
        super().fit(X, y, groups)
        self.largest_ = np.max(y)
        return self

    def predict(self, X, groups=None):
        self.n_predicted_ = getattr(self, "n_predicted_", 0) + len(X)
        return np.minimum(super().predict(X, groups), self.largest_)


def test_subclasses_learn_more():
    X, y, groups = make_rows()
    model = Counting()
    assert model.fit(X, y, groups) is model
    model.score(X, y, groups)
    assert model.n_predicted_ == len(y)
    assert model.predict(X + 100, groups).max() <= y.max()
    assert clone(model).fit(X, y, groups).largest_ == model.largest_
    assert copy.deepcopy(model).largest_ == y.max()


def test_nothing_of_a_lock_is_in_a_model_or_stays_behind(stream):
    rows = rows_of(stream, *make_rows())
    for change in CHANGES.values():
        change(stream, rows)
    assert not any(hasattr(value, "acquire") for value in vars(stream).values())
    for other in (pickle.loads(pickle.dumps(stream)), copy.deepcopy(stream), copy.copy(stream)):
        np.testing.assert_array_equal(answer(other, rows), answer(stream, rows))
    gc.collect()
    assert not _state._LOCKS


def test_all_that_is_public_reads_in_one_piece_or_changes_in_one_step():
    seen = set()
    for cls in {type(model) for model in MODELS.values()}:
        for name, member in inspect.getmembers(cls):
            function = member.fget if isinstance(member, property) else member
            ours = (getattr(function, "__module__", None) or "").startswith("skmixed")
            if ours and not name.startswith("_") and name != "get_metadata_routing":
                assert _wrapped_by_state(function), f"{cls.__name__}.{name}"
                seen.add(name)
    assert seen >= {"fit", "predict", "transform", "summary", "confint", "group_coef_"}


def _wrapped_by_state(function):
    stop = inspect.unwrap(function, stop=lambda f: f.__code__.co_filename == _state.__file__)
    return stop.__code__.co_filename == _state.__file__


# ------------------------------------------------------------------------------- threads


def in_threads(*functions):
    """Call functions at once, each in its own thread."""
    start = Barrier(len(functions))

    def call(function):
        start.wait(60)
        return function()

    with ThreadPoolExecutor(len(functions)) as threads:
        return [done.result() for done in [threads.submit(call, f) for f in functions]]


N_ROWS, N_THREADS, BATCH = 20_000, 4, 500


def in_batches(method, X, y, groups, thread):
    for start in range(thread * BATCH, N_ROWS, N_THREADS * BATCH):
        some = slice(start, start + BATCH)
        method(X[some], y[some], groups[some])


def feed(method, rows):
    """Have four threads call a method, each with its share of the batches."""
    in_threads(*(lambda t=t: in_batches(method, *rows, t) for t in range(N_THREADS)))


def check_nothing_is_lost(times):
    X, y, groups = make_mixed_regression(N_ROWS, 3, n_groups=400, random_state=0)
    whole = RandomInterceptRegressor(tol=1e-13).fit(X, y, groups)
    known = RandomInterceptRegressor().fit(X[:400], y[:400], groups[:400] - 1000)
    expected = copy.deepcopy(known).update_groups(X, y, groups)
    for _ in range(times):
        model = RandomInterceptRegressor(tol=1e-13)
        feed(model.partial_fit, (X, y, groups))
        assert model.group_sizes_.sum() == N_ROWS
        np.testing.assert_allclose(model.coef_, whole.coef_, rtol=1e-9)
        np.testing.assert_allclose(model.random_effects_, whole.random_effects_, atol=1e-9)
        model = copy.deepcopy(known)
        feed(model.update_groups, (X, y, groups))
        pd.testing.assert_series_equal(model.group_sizes_, expected.group_sizes_)
        np.testing.assert_allclose(model.random_effects_, expected.random_effects_, atol=1e-9)


@pytest.mark.usefixtures("quick_switches")
def test_threads_lose_no_rows_and_no_groups():
    check_nothing_is_lost(2)


@pytest.mark.slow
@pytest.mark.usefixtures("quick_switches")
def test_threads_lose_nothing_in_200_times():
    check_nothing_is_lost(200)


def check_readers(change, read, allowed, n_readers=2, n_reads=30):
    """Read while another thread makes changes; every answer must be one of those allowed."""
    done = Event()

    def keep_changing():
        for step in change:
            if done.is_set():
                break
            step()

    def keep_reading():
        try:
            return [read() for _ in range(n_reads)]
        finally:
            finished.append(1)
            if len(finished) == n_readers:
                done.set()

    finished = []
    found = in_threads(keep_changing, *[keep_reading] * n_readers)[1:]
    for answers in found:
        assert len(answers) == n_reads
        for one in answers:
            assert any(np.array_equal(one, other) for other in allowed), one


def one_call(model, rows):
    """What one call says."""
    X, groups = rows["X"], rows.get("groups")
    if hasattr(model, "predict_interval"):
        return np.column_stack(model.predict(X, groups, return_std=True))
    return answer(model, rows)


def one_copy(model, rows):
    return one_call(copy.copy(model), rows)


@pytest.mark.usefixtures("quick_switches")
@pytest.mark.parametrize(
    ("name", "read"),
    [*((name, one_call) for name in MODELS), ("by column", one_copy), ("pooled", one_copy)],
)
def test_who_predicts_during_fits_sees_one_of_them(name, read):
    model = clone(MODELS[name])
    asked, *fits = (rows_of(model, *make_rows(100, seed)) for seed in range(3))
    allowed = [one_call(clone(model).fit(**rows), asked) for rows in fits]
    assert not np.array_equal(*allowed)
    model.fit(**fits[0])
    changes = (lambda rows=rows: model.fit(**rows) for rows in cycle(fits))
    check_readers(changes, lambda: read(model, asked), allowed)


@pytest.mark.usefixtures("quick_switches")
@pytest.mark.parametrize(
    ("name", "method"),
    [
        ("intercept", "partial_fit"),
        ("slope", "update_groups"),
        ("by column", "partial_fit"),
        ("by column", "update_groups"),
    ],
)
def test_who_predicts_during_batches_sees_whole_ones(name, method):
    stream = clone(MODELS[name])
    asked = rows_of(stream, *make_rows(20))
    X, y, groups = make_rows(2000)
    batches = [
        rows_of(stream, X[i : i + 100], y[i : i + 100], groups[i : i + 100] + i)
        for i in range(0, 2000, 100)
    ]
    stream.fit(**batches[0])
    model, allowed = copy.deepcopy(stream), [stream.predict_interval(*_asked(asked))]
    for batch in batches[1:]:
        getattr(model, method)(**batch)
        allowed.append(model.predict_interval(*_asked(asked)))
    changes = [lambda batch=batch: getattr(stream, method)(**batch) for batch in batches[1:]]
    check_readers(changes, lambda: stream.predict_interval(*_asked(asked)), allowed)


def _asked(rows):
    return rows["X"], rows.get("groups")


@pytest.mark.usefixtures("quick_switches")
def test_attributes_are_there_while_batches_arrive():
    rows = make_rows()
    model = RandomSlopeRegressor("a").fit(*rows)
    changes = (lambda: model.partial_fit(*rows) for _ in cycle([0]))
    check_readers(changes, lambda: len(model.coef_) + model.n_groups_, [12])


@pytest.mark.usefixtures("quick_switches")
def test_named_columns_during_fits():
    X, y, groups = make_rows(60)
    X = X.assign(c=groups.astype(float))
    transformer = WithinBetween("all").set_output(transform="pandas")
    fits = [(X, y, groups), (X.assign(a=X["c"]), y, groups)]
    allowed = [[*map(hash, clone(transformer).fit(*fit).transform(X, groups))] for fit in fits]
    assert allowed[0] != allowed[1]
    transformer.fit(*fits[0])
    changes = (lambda fit=fit: transformer.fit(*fit) for fit in cycle(fits))
    check_readers(changes, lambda: [*map(hash, transformer.transform(X, groups))], allowed)
    both = in_threads(
        *(lambda fit=fit: transformer.fit_transform(fit[0], groups=groups) for fit in fits)
    )
    for fit, found in zip(fits, both, strict=True):
        pd.testing.assert_frame_equal(
            found, clone(transformer).fit_transform(fit[0], groups=groups)
        )


def test_models_do_not_wait_for_one_another():
    rows, inside = make_rows(), Event()
    other = RandomSlopeRegressor("a")

    def choose(X):
        inside.set()
        return ["a"] if fitted_other.wait(10) else []

    fitted_other = Event()

    def fit_other():
        inside.wait(10)
        other.fit(*rows)
        fitted_other.set()

    model = RandomSlopeRegressor(choose)
    in_threads(lambda: model.fit(*rows), fit_other)
    assert model.random_effects_.shape[1] == 2


def test_predictions_do_not_wait_for_a_fit():
    rows, inside, go_on = make_rows(), Event(), Event()

    def choose(X):
        inside.set()
        return ["a"] if go_on.wait(10) else []

    model = RandomSlopeRegressor("a").fit(*rows)
    expected = model.predict(rows[0], rows[2])
    model.set_params(slopes=choose)

    def predict():
        inside.wait(10)
        found = model.predict(rows[0], rows[2])
        go_on.set()
        return found

    found = in_threads(lambda: model.fit(*rows), predict)[1]
    np.testing.assert_array_equal(found, expected)
    assert model.random_effects_.shape[1] == 2
