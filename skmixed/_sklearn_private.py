"""What skmixed takes from scikit-learn that is not public: a new release breaks this file.

The names are scikit-learn's, without the underscore.
"""

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

from sklearn.base import _fit_context
from sklearn.metrics._scorer import _BaseScorer as BaseScorer
from sklearn.metrics._scorer import _MultimetricScorer as MultimetricScorer
from sklearn.metrics._scorer import _PassthroughScorer as PassthroughScorer
from sklearn.model_selection import cross_validate
from sklearn.model_selection._validation import (
    _aggregate_score_dicts as aggregate_score_dicts,
)
from sklearn.model_selection._validation import _fit_and_score as fit_and_score
from sklearn.model_selection._validation import _insert_error_scores as insert_error_scores
from sklearn.model_selection._validation import (
    _normalize_score_results as normalize_score_results,
)
from sklearn.model_selection._validation import _score as score
from sklearn.model_selection._validation import (
    _warn_or_raise_about_fit_failures as warn_or_raise_about_fit_failures,
)
from sklearn.utils import _safe_indexing as safe_indexing
from sklearn.utils._indexing import _get_column_indices as get_column_indices
from sklearn.utils._metadata_requests import SIMPLE_METHODS
from sklearn.utils._optional_dependencies import check_matplotlib_support
from sklearn.utils._param_validation import (
    HasMethods,
    Interval,
    InvalidParameterError,
    StrOptions,
)
from sklearn.utils._param_validation import validate_params as _validate_params
from sklearn.utils.parallel import _get_threadpool_controller as get_threadpool_controller
from sklearn.utils.validation import _check_feature_names_in as check_feature_names_in
from sklearn.utils.validation import _check_method_params as check_method_params
from sklearn.utils.validation import _check_sample_weight as check_sample_weight
from sklearn.utils.validation import _num_samples as num_samples

__all__ = [
    "SIMPLE_METHODS",
    "BaseScorer",
    "HasMethods",
    "Interval",
    "MultimetricScorer",
    "PassthroughScorer",
    "StrOptions",
    "aggregate_score_dicts",
    "check_feature_names_in",
    "check_matplotlib_support",
    "check_method_params",
    "check_sample_weight",
    "cross_validate_constraints",
    "fit_and_score",
    "fit_context",
    "get_column_indices",
    "get_threadpool_controller",
    "insert_error_scores",
    "normalize_score_results",
    "num_samples",
    "safe_indexing",
    "score",
    "validate_params",
    "warn_or_raise_about_fit_failures",
]

cross_validate_constraints = cross_validate._skl_parameter_constraints

if TYPE_CHECKING:
    F = TypeVar("F", bound=Callable[..., Any])

    # scikit-learn has no types: its decorators would hide those of what they decorate
    def fit_context(*, prefer_skip_nested_validation: bool) -> Callable[[F], F]: ...
    def validate_params(
        constraints: dict[str, Any], *, prefer_skip_nested_validation: bool
    ) -> Callable[[F], F]: ...
else:
    fit_context = _fit_context

    def validate_params(constraints, *, prefer_skip_nested_validation):
        """Check arguments as scikit-learn does; errors name the class that was called."""
        check = _validate_params(
            constraints, prefer_skip_nested_validation=prefer_skip_nested_validation
        )

        def decorate(function):
            checked = check(function)
            if "." not in function.__qualname__:
                return checked

            @wraps(function)
            def call(*args, **kwargs):
                try:
                    return checked(*args, **kwargs)
                except InvalidParameterError as error:
                    owner = args[0] if isinstance(args[0], type) else type(args[0])
                    name = f"{owner.__name__}.{function.__name__}"
                    text = str(error).replace(f"of {function.__qualname__} ", f"of {name} ")
                    raise InvalidParameterError(text) from None

            call._skl_parameter_constraints = checked._skl_parameter_constraints
            return call

        return decorate
