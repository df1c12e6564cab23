import re

import numpy as np
import pytest

from skmixed import RandomInterceptRegressor
from skmixed.datasets import load_hsb, load_sleepstudy
from skmixed.exceptions import MissingGroupsWarning, SingularFitWarning


@pytest.fixture(scope="module")
def summary():
    return RandomInterceptRegressor().fit(*load_sleepstudy(return_X_y=True)).summary()


def test_tables_hold_the_numbers_of_lme4(summary):
    components = summary.variance_components
    assert components.loc[("Subject", "(Intercept)"), "std_dev"] == pytest.approx(
        37.12, abs=5e-3
    )
    assert components.loc[("Residual", ""), "variance"] == pytest.approx(960.5, abs=0.05)
    assert components["share"].sum() == pytest.approx(1)
    days = summary.fixed_effects.loc["Days"]
    assert days.round(4).tolist() == [10.4673, 0.8042, 13.0154]
    assert summary.fixed_effects_correlation.loc["Days", "(Intercept)"] == pytest.approx(
        -0.371, abs=5e-4
    )
    assert summary.fit_statistics["REML criterion"] == pytest.approx(1786.4651, abs=5e-5)
    assert summary.fit_statistics["Rows"] == 180
    assert summary.fit_statistics["Groups (Subject)"] == 18


def test_text_lines_up(summary):
    text = str(summary)
    assert text == repr(summary)
    block = text.split("Fixed effects:\n")[1].split("\n\n")[0].splitlines()
    assert len({len(line) for line in block}) == 1
    assert re.search(r"Days +10\.467 +0\.8042 +13\.015", text)
    assert "nan" not in text.lower()


def test_html_has_every_table(summary):
    html = summary._repr_html_()
    assert html.count("<table") == html.count("</table>") == 4
    for caption in (
        "Fit",
        "Variance components",
        "Fixed effects",
        "Correlation of fixed effects",
    ):
        assert f"<caption>{caption}</caption>" in html


def test_names_are_escaped_in_html():
    X, y, groups = load_hsb(return_X_y=True)
    X = X.rename(columns={"ses": "<b>ses</b>"})
    html = RandomInterceptRegressor().fit(X, y, groups=groups).summary()._repr_html_()
    assert "<b>ses</b>" not in html
    assert "&lt;b&gt;ses&lt;/b&gt;" in html


def test_a_singular_fit_is_stated():
    X, y, _ = load_sleepstudy(return_X_y=True)
    groups = np.random.default_rng(1).integers(0, 5, len(y))
    with pytest.warns(SingularFitWarning):
        model = RandomInterceptRegressor(method="ml").fit(X, y, groups=groups)
    text = str(model.summary())
    assert "Singular fit: the random effects do not vary, their variance is 0." in text
    assert "Deviance" in text


def test_a_pooled_fit_is_stated():
    X, y, _ = load_sleepstudy(return_X_y=True)
    with pytest.warns(MissingGroupsWarning):
        model = RandomInterceptRegressor().fit(X, y)
    assert "Fitted without groups" in str(model.summary())


def test_columns_of_very_different_scale_stay_readable():
    X, y, groups = load_hsb(return_X_y=True)
    X = X.assign(ses=X["ses"] * 1e9, female=X["female"] * 1e-9)
    text = str(RandomInterceptRegressor().fit(X, y, groups=groups).summary())
    assert re.search(r"ses +1\.917e-09 +1\.084e-10 +17\.674", text)
