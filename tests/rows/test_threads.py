"""BLAS works on one thread while a model is fitted, and on as many as before afterwards."""

from concurrent.futures import ThreadPoolExecutor
from threading import local

import pytest
from threadpoolctl import ThreadpoolController, threadpool_info, threadpool_limits

from skmixed import FixedEffectsRegressor, RandomInterceptRegressor
from skmixed._numerics.fit import fit as whole_fit
from skmixed._rows import reader
from skmixed._rows import threads as _threads
from skmixed._rows.threads import one_blas_thread
from skmixed.datasets import make_mixed_regression
from skmixed.model_selection import cross_validate


def blas_threads():
    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]


@pytest.fixture
def during(monkeypatch):
    """Numbers of threads that were set when rows were summed up and when models were solved."""
    seen = []

    def look(function):
        return lambda *args, **options: (
            seen.append(blas_threads()) or function(*args, **options)
        )

    monkeypatch.setattr(
        reader.GroupedMoments, "from_rows", look(reader.GroupedMoments.from_rows)
    )
    monkeypatch.setattr(whole_fit, "estimate", look(whole_fit.estimate))
    return seen


@pytest.mark.parametrize("model", [RandomInterceptRegressor(), FixedEffectsRegressor()])
@pytest.mark.parametrize("limit", [1, 2])
def test_fit_holds_blas_to_one_thread(model, limit, during):
    X, y, groups = make_mixed_regression(100, 2, 5, random_state=0)
    with threadpool_limits(limit, user_api="blas"):
        before = blas_threads()
        model.fit(X, y, groups=groups)
        assert blas_threads() == before
    assert during
    assert all(set(threads) <= {1} for threads in during)


def test_threads_are_given_back_after_an_error(monkeypatch):
    def fail(*args, **options):
        raise ArithmeticError

    monkeypatch.setattr(whole_fit, "estimate", fail)
    before = blas_threads()
    with pytest.raises(ArithmeticError):
        RandomInterceptRegressor().fit(*make_mixed_regression(100, 2, 5, random_state=0))
    assert blas_threads() == before


class OwnPool:
    """A BLAS whose limit is that of the thread that sets it, as MKL's is."""

    user_api, internal_api, threading_layer = "blas", "mkl", "intel"
    prefix = filepath = "libmkl_rt"

    def __init__(self):
        self.local = local()

    @property
    def num_threads(self):
        return getattr(self.local, "num_threads", 4)

    def set_num_threads(self, num_threads):
        self.local.num_threads = num_threads

    def info(self, **options):
        return {"user_api": "blas", "num_threads": self.num_threads}


@pytest.fixture
def threads():
    """Two threads that live through the test, each with a limit that it can enter and leave."""
    with ThreadPoolExecutor(1) as first, ThreadPoolExecutor(1) as second:
        yield (first, one_blas_thread()), (second, one_blas_thread())


def enter(thread, limit):
    thread.submit(limit.__enter__).result()


def leave(thread, limit):
    thread.submit(limit.__exit__, None, None, None).result()


def check_main_thread_can_set_limits():
    for limit in (1, 2):
        with threadpool_limits(limit, user_api="blas"):
            assert set(blas_threads()) <= {limit}


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_threads_are_given_back_when_fits_overlap(order, threads):
    with threadpool_limits(2, user_api="blas"):
        before = blas_threads()
        for thread in threads:
            enter(*thread)
        leave(*threads[order[0]])
        assert set(blas_threads()) <= {1}
        leave(*threads[order[1]])
        assert blas_threads() == before
    check_main_thread_can_set_limits()


def test_threads_are_given_back_if_the_first_to_enter_has_ended():
    with threadpool_limits(2, user_api="blas"):
        before = blas_threads()
        limit = one_blas_thread()
        with one_blas_thread():
            with ThreadPoolExecutor(1) as thread:
                enter(thread, limit)
            assert set(blas_threads()) <= {1}
        limit.__exit__(None, None, None)
        assert blas_threads() == before


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_every_thread_has_its_own_limit_where_blas_has_one_for_each(
    order, threads, monkeypatch
):
    controller, pool = ThreadpoolController(), OwnPool()
    controller.lib_controllers = [pool]
    monkeypatch.setattr(_threads, "get_threadpool_controller", lambda: controller)

    def limits():
        return [thread.submit(lambda: pool.num_threads).result() for thread, _ in threads]

    for thread in threads:
        enter(*thread)
    assert limits() == [1, 1]
    leave(*threads[order[0]])
    assert sorted(limits()) == [1, 4]
    leave(*threads[order[1]])
    assert limits() == [4, 4]
    assert pool.num_threads == 4


def test_fits_in_many_threads_give_threads_back():
    X, y, groups = make_mixed_regression(100, 2, 5, random_state=0)

    def fit(_):
        return RandomInterceptRegressor().fit(X, y, groups=groups)

    before = blas_threads()
    with ThreadPoolExecutor(4) as executor:
        list(executor.map(fit, range(8)))
    assert blas_threads() == before


def test_fits_take_turns_in_threads_that_stay_alive(threads, during):
    model, rows = RandomInterceptRegressor(), make_mixed_regression(100, 2, 5, random_state=0)
    thread, _ = threads[0]

    def fit_in_thread(*rows):
        thread.submit(model.fit, *rows).result()

    for fit in (fit_in_thread, model.fit, fit_in_thread):
        during.clear()
        fit(*rows)
        assert during
        assert all(set(numbers) <= {1} for numbers in during)
        check_main_thread_can_set_limits()


def test_a_fit_overlaps_with_a_cross_validation_that_it_outlives(threads):
    X, y, groups = make_mixed_regression(100, 2, 5, random_state=0)
    thread, limit = threads[0]
    seen = []

    def score(model, X, y):
        if not seen:
            enter(thread, limit)
        seen.append(blas_threads())
        return 0.0

    with threadpool_limits(2, user_api="blas"):
        before = blas_threads()
        cross_validate(RandomInterceptRegressor(), X, y, groups=groups, cv=3, scoring=score)
        assert set(blas_threads()) <= {1}
        leave(thread, limit)
        assert blas_threads() == before
    assert all(set(numbers) <= {1} for numbers in seen)
