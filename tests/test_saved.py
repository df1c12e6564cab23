"""Pickles of version 0.1 are refused with a sentence that says what to do."""

import base64
import copy
import pickle
import sys
import warnings
import zlib

import pandas as pd
import pytest

from skmixed import RandomInterceptRegressor
from skmixed.datasets import load_sleepstudy, make_mixed_regression

# Small fitted objects as 0.1 pickled them, compressed.
SAVED = {
    "RandomInterceptRegressor": (
        "eNq1Vl1oHFUUzv5v0phUS82aGv/QZCtlrU8tNjorS7ua1VVinqrL9e7M3b1jZ+auM3OTrERIkaQbe7HI"
        "Xi3FPrQIWuqDWMUHoWYVFEWK+BfwQdAitIopUqFgVeKdmd242e6GUnAecvbcn/N957vnnpvZ4CuHol3u"
        "x26y9unqNFISwISGQnSgGjYyZVSyOYuNu0MPN0bGUdFElkVMXuVb9/PneZxFiyahJZAv8ywL68jGROEs"
        "aCJd4+y6gmo3hauwHgNNAXeDxVlPiZSoBm2VGJxFdTgNVLGSZxQWsInG0w/sLr90dju7j/UZoICgTQW0"
        "iAZ4xsc2eFGAAXXEWch1OAsDEUC3eI4z//R2DlkEWBopIXck4uECl3VYg3mkCRI3GlQvlRNAJiZK6FSz"
        "VWiasMxZLzCRTAzLNqlsi3RZyF0p4hiKt6TKM11zPOXL8wN8nMczvkxgjuMtLKTY5RJytvjVnXyh4s0G"
        "mG+UZ7PZsRXxuX8yXTbPL6RiXfXPV7f+uuVimgXdDHE/Zd0GaGQggvV6+Vvqc6iRkoVMVaSKB/GQQwzf"
        "2kxrRAAF64FbrQsUUg0FTTuR8EDnEOtxxdsETbyNBR1SnLKQTFABtOHjE86dzF9oEgfH20kT/eTT05uM"
        "1NuSy7BntZIAT0vnLt58op9OsG4XRSaTngqhgukKdgWoP+Of5zhdSd325uM/PHp8/+9S/PCps/5Butiw"
        "3+X23nHqxzMuGN7RQQi/x/2xNQc703KwksM+J9hsiK9ena1eTSJXqCxlEZloVDec0my7jrIbRL2rCoUa"
        "mISmCg0ZOXmfr+75eGzsL7apfltRoYBk21pVAGfbCJ7xObkLQY+8dfidF3dGkuvm6JzPU4L/WlqwzhzL"
        "V8xQ1t/CphOTQINJrLr4LCvn/l5cOsg33z20JB092hu5Z+nS+upffRm2I7mxRIimGkUwhdQiviqWYO+h"
        "vo8CF6RW+z+yDKqy7Bz0L9lIlcyUWdjGyIad7pFzqE8sf57s27JSvyWy6bRR0VRFkOSDMx+O/rH8JOvX"
        "SBFo6j6kqZgQRUzV7q1PBaHq4CV3N/y84+OYaCgy1KDT6nE6Fb38bfy3AN2T5PMCnXVbQkfRvE3AFwQk"
        "MSaRWUQibkX0R7ePA6eRR4ABTDJlifDx+nMTBTrRkWFbQnwW+e/3NSvJwnWMa218FlYLdofd6Sbw13+N"
        "0Q+OvCoNvZy4MPzPOU9u30S7nZmAVz8PeTvjSdfMHh/1/Npow39v+Y3rR84MJHdNw9hdl/pqjfmGv+Pg"
        "8PzyZ/cnPaxUuyJw0A40o21MttqJ07ld0tc/S4WLx97/8qsVqXJ+5OTUUKh2efaLbwY331JTnrn9p+Dc"
        "n9LTwy+89v27Ax5a2LvS7iNHLXGUj0A9r0C+XntZW4lAPP+2KAronW+kgqMVKp5ui+q6GC6IfyOc8WgF"
        "h7I4jCOU5hP/ArNECjY="
    ),
    "FixedEffectsRegressor": (
        "eNqNVD1oFEEUvtvs/SS5RIgalTQRU1wsDtFCkcAGVw1m4ZREQdQw7O3N3izZn2N2N5cThSjkT6bLs7Gw"
        "EUGsBIuUESy0UCw0hRaSVIpgrVEwzv6cJvESnOLevXtv3vve972bKfHuezERHtbtjlvGJC4XkB4YhHUd"
        "a54LbO/ZwD8TuSO4QrHrOhQWoP8W3IQ8S7umU8UuFFm2Qh2/ikp1/r3NxjUU+ryEaGHVBtZpIx2rns8r"
        "IMNGoCRZe5SDbNXCwFKhAyyNPEwtF8aACZNHQGUZFDfhv2SiqihqbqolbPIW3bZvVesFpDkUFyzf9AyV"
        "UrUOLIco1hzb9aiveRw1S4WZvI5djlIWQElMg5wswSyMQF5JKi3TQPaxVNmrV3FwRTBOwPxcFG1hyQEo"
        "FovD6/yEH0rCg9K8vD8Rn2RshdgCDzMxnJC0+6zVRo0JeLFcNL9rXMeNkVxMDT4q6SYHAmCkZyOsQ7xR"
        "LFliqw0bpQy7jCeDSmT39iV2wkryHCbJMzEABT5LaQ7WURM8Se70MkHfQA7pa0ZN9u3F3FU8+lwKEbYZ"
        "NpdXw1UPwZD0afUDHJRGWWvYRXMmIhZSOg0J+6epoAgzQOQ5uRcvvzz+1XsiXc4+toQrE0sNO/V9ZvnF"
        "wzdhM3JsGyKECPv5TcLe2CKsFKAf42ja8+camPujncQhUUWfZTTH9C07WM2meT7r4vtulH3VRBMqNVRb"
        "w5zMPVxnTTXV4I9EZDm7ePrHKnvwWYIZDoZ1/LlSdgLqcZASKdQ7GKXsMp0KMo1xbBrEccqNpJVXKx8v"
        "dBx+FiWJqqE1IlW96jxKn4qvi6W/kW+z9M76gBxHMshG1Km5MDSYj9+GzmhJ4ychFIgMN1kuJRlIE6zX"
        "yWv3ntZ/Ld1e63vdt/hOuv+zq/JFWdtZkv/fTcSfgU1Uqz5rqxke4a8KPRps1eylWjbXM+iXCr8B867K"
        "3w=="
    ),
    "GroupedMoments": (
        "eNprYJn6gIkBDHoEirNzMytSU/Tic/NzU/NKiqf08LkX5ZcWpKb4QgUmT9FsnFI7RaOHpbg0FygvCdeS"
        "V5qbWpSZXKwH05vBCFfMlpOYlJoDVC4GVFVQqRefnF+UqpdbmlOSmVhUlFg5pYcnvig1OT+vuKSoNLkE"
        "aEsPK1jllB72vBSIkslTvBlapzgzJk1pnxI0RcOb0Zu5dUoGXw9rSkllQSpIC1OmxZTODogscw+jzRQ/"
        "Pz+v/0AAJrwZSqYkdTpLMEABI5SGep5hClC6hy0vvii/HOh23gwBkHUZQsiWSQG1s0CVo9Ng7azFGZlp"
        "JTh0i/cwpSE5MEMar/MWv5Io3TVzmr3sRL13an+f24PNZwzBZrY3c9uUDN1OZw+ITg0HMNWw0AbCP2AD"
        "4295u0xQ/ay4g3VFooTqN74DMHkY37xbre3tCVsHiF3OWOwC29aObJuAAzodsjfW2v7SE/u0Twu2nb/4"
        "377jhfqqclnWA78aTl+WEpU7kJKl+JCl9ad9glrz7JubxSG2sRUl5qXk54LjuDSphyc5P6c0Ny8+LzE3"
        "tXiKXw9nXjxEpHiKN2MPRzooUcYnVQJluCBskEJgogFzpvSwFefkFwA1avawgVMH0IjSJD0A1/MFBA=="
    ),
    "WithinBetween": (
        "eNptkb9P20AUx+0kJggoGxWgqhJigC5RpS4MlUCwYckDSyd0OjsvnIV9tu5HEw+IMhACehuPkbFSu3Tr"
        "3LH/AQMTA/9E1aG9OKHqwBvu9NX3vft87+5T6+a379WFS/o4TwfQ7ZQKSlUkoHUqjwhffEiNSOUumD6A"
        "pGt6c0YntIntpMhsLjVhk2cZ4eyRKmzJ4ooinJPQZ7V2disHLgkXJesBN1aBZqlkFPrYZokotDv0kEKP"
        "4zwTXD+NjZyb8aqwxrmboedkvw5CQ9eMsyyeBhoS4MKEPQZpVqcLeornQPhS2rysOiwpFHRym5mUK8Ur"
        "wgWmICmkNsomxt0Kg7qTsC27k5ZrxzmnPT+mCzpwEfywGfpDEqsYdE1Vwnio0duiy9HEb6L/nqIo2v/j"
        "ql5Cz1B8ubf85d67+vj55/Zo59e377cP2+/WTu++iscf5GwMUtmFQR16JuMxZJrEing1ZovX/8hOrGMj"
        "/Y8mNp5ledOafqvXmO41qyXHjxJZERy67IO3xK2NO38BjznMIQ=="
    ),
}


@pytest.mark.parametrize("name", SAVED)
def test_refused(name):
    saved = zlib.decompress(base64.b64decode(SAVED[name]))
    with pytest.raises(
        pickle.UnpicklingError, match=r"saved by skmixed 0\.1.*Fit the model again"
    ):
        pickle.loads(saved)


def test_todays_are_read_and_name_what_lasts():
    X, y, subject = load_sleepstudy(return_X_y=True)
    model = RandomInterceptRegressor().fit(X, y, groups=subject)
    copy = pickle.loads(pickle.dumps(model))
    assert copy.icc_ == model.icc_
    assert b"skmixed._" not in pickle.dumps(model)


def test_looking_through_all_modules_meets_no_error():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for module in list(sys.modules.values()):
            getattr(module, "__warningregistry__", None)


def test_what_users_add_comes_back_as_it_was():
    X, y, groups = make_mixed_regression(100, 1, 8, random_state=0)
    model = RandomInterceptRegressor().fit(X, y, groups=groups)
    model.info_ = {"labels": [1, 2], "frame": 3, "record": "x"}
    model.table_ = pd.DataFrame(
        {"a": pd.Categorical(["x", "y"]), "b": pd.array([1, None], dtype="Int64")},
        index=pd.MultiIndex.from_tuples([(1, "a"), (3, "b")]),
    )
    for copied in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        assert copied.info_ == model.info_
        pd.testing.assert_frame_equal(copied.table_, model.table_)
