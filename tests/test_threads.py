"""BLAS works on one thread while a model is fitted, and on as many as before afterwards."""

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from skmixed import FixedEffectsRegressor, RandomInterceptRegressor, _base, _mixed
from skmixed._threads import one_blas_thread
from skmixed.datasets import make_mixed_regression


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

    monkeypatch.setattr(_base.GroupedMoments, "from_rows", look(_base.GroupedMoments.from_rows))
    monkeypatch.setattr(_mixed, "estimate", look(_mixed.estimate))
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

    monkeypatch.setattr(_mixed, "estimate", fail)
    before = blas_threads()
    with pytest.raises(ArithmeticError):
        RandomInterceptRegressor().fit(*make_mixed_regression(100, 2, 5, random_state=0))
    assert blas_threads() == before


def test_threads_are_given_back_when_fits_overlap():
    with threadpool_limits(2, user_api="blas"):
        before = blas_threads()
        first, second = one_blas_thread(), one_blas_thread()
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        assert set(blas_threads()) <= {1}
        second.__exit__(None, None, None)
        assert blas_threads() == before
