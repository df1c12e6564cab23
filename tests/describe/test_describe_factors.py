"""What is said of groups by several factors."""

import warnings

import numpy as np
import pandas as pd
import pytest

from skmixed import FactorsDescription, RandomInterceptRegressor, describe_groups
from skmixed.inference import likelihood_ratio_test


def draw(seed=0, n=500, sizes=(20, 8), sds=(0.8, 0.8)):
    rng = np.random.default_rng(seed)
    codes = [rng.integers(0, size, n) for size in sizes]
    y = rng.normal(size=n)
    for code, sd, size in zip(codes, sds, sizes, strict=True):
        y += sd * rng.normal(size=size)[code]
    x = rng.normal(size=n)
    frame = pd.DataFrame({"x": x, **dict(zip("abc", codes, strict=False))})
    return frame, pd.Series(y + 0.5 * x, name="y")


def schools(seed=0, label=lambda school, number: school * 3 + number):
    """3 classes in each of 15 schools, and 8 raters."""
    rng = np.random.default_rng(seed)
    school = np.repeat(np.arange(15), 30)
    number = np.tile(np.repeat(np.arange(3), 10), 15)
    frame = pd.DataFrame({"public": school % 2, "school": school})
    frame["class"] = label(school, number)
    frame["rater"] = rng.choice(list("ABCDEFGH"), 450)
    y = 0.8 * rng.normal(size=15)[school] + 0.8 * rng.normal(size=45)[school * 3 + number]
    y += 0.8 * rng.normal(size=8)[pd.factorize(frame["rater"])[0]] + rng.normal(size=450)
    return frame, pd.Series(y, name="y")


@pytest.fixture(scope="module")
def nested():
    X, y = schools()
    return describe_groups(X, y, group_by=["school", "class", "rater"])


def test_variances_and_tests_are_those_of_fits():
    X, y = draw()
    found = describe_groups(X, y, group_by=["a", "b"]).variance_components
    model = RandomInterceptRegressor(group_by=["a", "b"]).fit(X, y)
    for name in "ab":
        cov = model.random_effects_cov_[name].iloc[0, 0]
        assert found.loc[name, "variance"] == pytest.approx(cov, rel=1e-6)
        assert found.loc[name, "share"] == pytest.approx(model.icc_[name], rel=1e-6)
        assert found.loc[name, "lower"] < model.icc_[name] < found.loc[name, "upper"]
        other = "b" if name == "a" else "a"
        small = RandomInterceptRegressor(group_by=other).fit(X.drop(columns=name), y)
        test = likelihood_ratio_test(small, model).table.iloc[1]
        assert found.loc[name, "statistic"] == pytest.approx(test["statistic"], abs=1e-5)
        assert found.loc[name, "p_value"] == pytest.approx(test["p_value"], rel=1e-4)
    alone = RandomInterceptRegressor(group_by=["a", "b"]).fit(X[["a", "b"]], y)
    assert found.loc["a", "share_of_y"] == pytest.approx(alone.icc_["a"], rel=1e-5)
    assert found[["share", "share_of_y"]].sum().to_numpy() == pytest.approx([1, 1])


def test_variation_of_a_factor_is_that_of_it_alone(nested):
    X, y = schools()
    for name in ("school", "class", "rater"):
        alone = describe_groups(X[["public"]], y, X[name])
        pd.testing.assert_frame_equal(nested.variation.loc[name], alone.variation)
        pd.testing.assert_series_equal(nested.group_sizes[name], alone.group_sizes)


def test_how_factors_lie(nested):
    pairs = nested.pairs
    assert pairs.loc[("class", "school"), "relation"] == "nested"
    assert pairs.loc[("class", "school"), "meet"] == 1 / 15
    assert pairs.loc[("class", "school"), "parts"] == 15
    assert pairs.loc[("class", "school"), "in_several"] == 0
    assert pairs.loc[("class", "school"), "rows_per_pair"] == 10
    assert pairs.loc[("school", "rater"), "parts"] == 1
    met = schools()[0].groupby(["class", "rater"]).size()
    assert pairs.loc[("class", "rater"), "meet"] == len(met) / (45 * 8)
    assert pairs.loc[("class", "rater"), "rows_per_pair"] == pytest.approx(met.mean())
    assert nested.treatment.to_dict() == dict.fromkeys(["school", "class", "rater"], "random")


def test_it_prints_what_it_found(nested):
    text, html = str(nested), nested._repr_html_()
    assert nested.title == (
        "450 rows in groups by 3 factors: 15 of school, 45 of class, 8 of rater"
    )
    for part in ("class in school", "school x rater", "In code: group_by=['school', 'class'"):
        assert part in text
    assert max(map(len, text.splitlines())) <= 80
    assert "<caption>How the factors lie to one another</caption>" in html
    # a feature of schools is one of these, not of their classes
    assert "public does not vary within its groups" in " ".join(nested.advice["Factor school"])
    assert "public" not in " ".join(nested.advice["Factor class"])


LABELS = {
    "numbered": lambda school, number: number + 1,
    "letters": lambda school, number: np.array(list("abc"))[number],
}


@pytest.mark.parametrize("label", LABELS)
def test_labels_that_are_used_again_are_to_be_joined(label):
    X, y = schools(1, LABELS[label])
    found = describe_groups(X, y, group_by=["school", "class", "rater"])
    assert found.treatment.to_dict() == {"school": "random", "class": "join", "rater": "random"}
    assert found.pairs.loc[("school", "class"), "labels_used_again"] == (label == "numbered")
    choice = found.advice["Choice"]
    assert any("group_by=['school', 'rater', ('school', 'class')]" in line for line in choice)
    by_tuple = describe_groups(X, y, group_by=["school", ("school", "class"), "rater"])
    assert (by_tuple.treatment == "random").all()
    both = ["school", "class", ("school", "class"), "rater"]
    table = describe_groups(X, y, group_by=both).variance_components
    joined = found.joined.loc[("school", "class")]
    of_both = table.loc["school:class", ["share", "statistic", "p_value"]]
    np.testing.assert_allclose(joined.iloc[:3], of_both.astype(float), rtol=1e-5)
    assert joined["p_value_of_second"] == pytest.approx(table.loc["class", "p_value"], rel=1e-5)


def test_numbers_that_mean_the_same_everywhere_are_not_joined():
    X, y = draw(3, sizes=(20, 6), n=2000)
    found = describe_groups(X.assign(b=X["b"] + 1), y, group_by=["a", "b"])
    assert (found.treatment == "random").all()
    assert found.pairs["labels_used_again"].all()
    text = " ".join(found.advice["How the factors lie to one another"])
    assert "so they seem to be the same groups in all" in text


def test_effects_of_pairs_are_one_factor_more():
    X, y = draw(4, n=900, sizes=(15, 8))
    y = y + np.random.default_rng(0).normal(size=120)[X["a"] * 8 + X["b"]]
    found = describe_groups(X, y, group_by=["a", "b"])
    assert (found.treatment == "random").all()
    assert any(line.startswith("a and b: join their labels") for line in found.advice["Choice"])
    assert "In code: group_by=['a', 'b', ('a', 'b')]" in " ".join(found.advice["Choice"])


def test_factors_that_no_model_can_have():
    X, y = draw(5)
    X = X.assign(same=50 - X["a"], row=np.arange(len(X)), one="all")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = describe_groups(X, y, group_by=["a", "b", "same", "row", "one"])
    assert found.treatment[["same", "row", "one"]].eq("leave out").all()
    assert found.treatment[["a", "b"]].eq("random").all()
    assert found.set_aside == {
        "same": "it divides the rows into the same 20 groups as 'a' does",
        "row": "each of its 500 groups has one row, so its effects are those of the residuals",
        "one": "all rows are of the same group, 'all'",
    }
    assert found.variance_components.loc["row"].isna().all()
    expected = describe_groups(X[["x", "a", "b"]], y, group_by=["a", "b"])
    kept = ["a", "b", "Residual"]
    pd.testing.assert_frame_equal(
        found.variance_components.loc[kept], expected.variance_components, rtol=1e-8
    )
    str(found)


def test_one_factor_is_left():
    X, y = draw(6)
    found = describe_groups(X.assign(one=0), y, group_by=["a", "one"])
    alone = describe_groups(X[["x", "b"]], y, X["a"])
    # b is a feature there and here
    row = alone.variance_components.loc["y given the features"]
    assert found.variance_components.loc["a", "share"] == pytest.approx(row["icc"], rel=1e-6)


def test_too_few_groups_of_a_factor():
    X, y = draw(7, sizes=(20, 3))
    found = describe_groups(X, y, group_by=["a", "b"])
    assert found.treatment.to_dict() == {"a": "random", "b": "fixed"}
    assert "In code: group_by=['a']." in found.advice["Choice"]


def test_a_factor_without_effects_may_be_left_out_if_rows_are_many():
    X, y = draw(8, n=8000, sizes=(20, 10), sds=(0.8, 0.0))
    found = describe_groups(X, y, group_by=["a", "b"])
    assert found.treatment.to_dict() == {"a": "random", "b": "no matter"}
    X, y = draw(8, n=60, sizes=(8, 6), sds=(1.5, 0.0))
    found = describe_groups(X, y, group_by=["a", "b"])
    assert "since the data cannot tell" in found.advice["Choice"][1]


def test_weak_connections():
    rng = np.random.default_rng(0)
    worker = np.repeat(np.arange(60), 6)
    firm = worker // 6
    firm[5] = 1  # one worker moves
    X = pd.DataFrame({"worker": worker, "firm": firm})
    y = rng.normal(size=60)[worker] + rng.normal(size=10)[firm] + rng.normal(size=360)
    found = describe_groups(X, y, group_by=["worker", "firm"])
    pair = found.pairs.loc[("worker", "firm")]
    assert (pair["relation"], pair["parts"], pair["in_several"]) == ("partly crossed", 9, 1)
    text = " ".join(found.advice["How the factors lie to one another"])
    assert "weakly connected: of the 60 groups of worker only 1 has rows in" in text
    assert "the 9 parts together" in text


def test_weights_are_rows():
    X, y = draw(9, n=200)
    w = np.random.default_rng(1).integers(0, 3, 200)
    weighted = describe_groups(X, y, group_by=["a", "b"], sample_weight=w)
    again = np.repeat(np.arange(200), w)
    repeated = describe_groups(X.iloc[again], y.iloc[again], group_by=["a", "b"])
    for name in ("variation", "variance_components"):
        one, two = getattr(weighted, name), getattr(repeated, name)
        pd.testing.assert_frame_equal(one, two, check_dtype=False, rtol=1e-5, atol=1e-8)
    np.testing.assert_allclose(weighted.sizes.iloc[:, :5], repeated.sizes.iloc[:, :5])


def test_groups_beside_x():
    X, y = draw()
    by_name = describe_groups(X, y, group_by=["a", "b"])
    beside = describe_groups(X[["x"]], y, X[["a", "b"]])
    assert isinstance(beside, FactorsDescription)
    pd.testing.assert_frame_equal(by_name.variance_components, beside.variance_components)
    assert "So give groups with the columns 'a' and 'b'." in beside.advice["Choice"]
    table = describe_groups(X[["x"]].to_numpy(), y.to_numpy(), X[["a", "b"]].to_numpy())
    assert list(table.group_sizes) == ["group0", "group1"]


def test_nothing_to_explain():
    X, y = draw(n=120)
    found = describe_groups(X, y * 0, group_by=["a", "b"])
    assert found.advice["Choice"] == (
        "There is nothing to explain: y is the same in all rows.",
    )
    assert (found.treatment == "leave out").all()
    str(found)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"group_by": ["a", "a"]}, "each factor once, but 'a' comes twice"),
        ({"group_by": ["a", ("a", "nowhere")]}, "nowhere"),
        ({"group_by": ["a", ("b", "b")]}, "each column of a tuple once"),
        ({"group_by": []}, "must name a column for each factor"),
        ({"group_by": ["a", "b"], "groups": [1] * 120}, "must be given once"),
        (
            {"groups": pd.DataFrame([[1, None]] * 120, columns=["f", "g"])},
            "Factor 'g': .*missing",
        ),
        ({"groups": pd.DataFrame([[1, 2]] * 120, columns=["f", "f"])}, "'f' comes twice"),
        ({"groups": pd.DataFrame(index=range(120))}, "a table without columns"),
    ],
)
def test_refusals(change, message):
    X, y = draw(n=120)
    with pytest.raises((ValueError, KeyError), match=message):
        describe_groups(X, y, **change)


def fields(seed=0, sd=0.0):
    """Three varieties in six blocks, four plots each; effects of pairs with the given sd."""
    rng = np.random.default_rng(seed)
    block, variety = np.repeat(np.arange(6), 12), np.tile(np.repeat(np.arange(3), 4), 6)
    X = pd.DataFrame({"v1": variety == 1, "v2": variety == 2, "block": block}) * 1
    X["variety"] = np.array(list("pqr"))[variety]
    y = (
        3.0 * variety
        + rng.normal(size=6)[block]
        + sd * rng.normal(size=18)[block * 3 + variety]
    )
    return X, pd.Series(y + 0.5 * rng.normal(size=72), name="y")


def test_a_factor_that_features_tell_is_left_out():
    X, y = fields()
    found = describe_groups(X, y, group_by=["block", "variety"])
    assert found.treatment.to_dict() == {"block": "random", "variety": "leave out"}
    sentence = found.advice["Choice"][1]
    assert sentence.startswith(
        "variety: leave it out, since the features tell its groups apart"
    )
    assert found.variance_components.loc["variety"].isna().all()
    for others in (X.drop(columns="v2"), X.assign(v2=X["v2"] + 0.01 * (X.index == 0))):
        again = describe_groups(others, y, group_by=["block", "variety"])
        assert "variety" not in again.set_aside
    sums = pd.DataFrame({"a": X["v1"] + 2 * X["v2"] + 1e5, "b": X["v1"] - X["v2"]})
    told = describe_groups(X[["block", "variety"]].join(sums), y, group_by=["block", "variety"])
    assert told.set_aside == found.set_aside


def test_labels_of_a_factor_that_features_tell_may_be_joined():
    X, y = fields(sd=2.0)
    found = describe_groups(X, y, group_by=["block", "variety"])
    assert found.treatment["variety"] == "leave out"
    assert "group_by=['block', ('block', 'variety')]" in " ".join(found.advice["Choice"])
    assert "nan" not in str(found)


def test_sizes_and_shares_are_told_as_they_are():
    X, y = fields()
    found = describe_groups(X, y, group_by=["block", "variety"])
    assert found.advice["Factor block"][0] == "There are 6 groups of 12 rows each."
    X, y = draw(n=8000, sizes=(1200, 9))
    found = describe_groups(X, y, group_by=["a", "b"])
    assert found.advice["Factor a"][0].startswith("There are 1,19")
    X, y = draw(n=9000, sizes=(30, 10))
    cell = (X["a"] == 3) & (X["b"] == 4)
    found = describe_groups(X[~cell], y[~cell], group_by=["a", "b"])
    (sentence,) = found.advice["How the factors lie to one another"]
    assert "299 of 300 pairs of groups meet (99.7%)" in sentence
