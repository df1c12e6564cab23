"""Warnings that point at the user's line."""

from __future__ import annotations

import sys
import warnings

OURS = ("skmixed", "sklearn", "joblib")


def warn(message, category):
    """Warn of what was done at the first line outside skmixed, scikit-learn and joblib."""
    frame, stacklevel = sys._getframe(1), 2
    while frame.f_back is not None and _package(frame) in OURS:
        frame, stacklevel = frame.f_back, stacklevel + 1
    warnings.warn(message, category, stacklevel=stacklevel)


def is_called_from(module):
    """Whether a function of a module, or of one inside it, waits for this call to return."""
    frame = sys._getframe(1)
    while frame is not None:
        if f"{frame.f_globals.get('__name__', '')}.".startswith(f"{module}."):
            return True
        frame = frame.f_back
    return False


def _package(frame):
    return frame.f_globals.get("__name__", "").partition(".")[0]
