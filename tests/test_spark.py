"""The Spark code of docs/scale.md, on a local session; skipped without PySpark and Java."""

import re
import shutil
import sys
import warnings
from pathlib import Path

import pytest

from skmixed import RandomSlopeRegressor
from skmixed.datasets import load_hsb

PAGE = Path(__file__).parents[1] / "docs" / "scale.md"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("java") is None, reason="needs Java"),
    # with pandas 3
    pytest.mark.filterwarnings("ignore:PySpark does not yet fully:FutureWarning"),
]


@pytest.fixture(scope="module")
def spark():
    sql = pytest.importorskip("pyspark.sql")
    options = {
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.sql.shuffle.partitions": "3",
        "spark.ui.enabled": "false",
    }
    with pytest.MonkeyPatch.context() as environment, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "PySpark does not yet fully", FutureWarning)
        environment.setenv("PYSPARK_PYTHON", sys.executable)
        environment.setenv("SPARK_LOCAL_IP", "127.0.0.1")
        session = sql.SparkSession.builder.master("local[2]").config(map=options).getOrCreate()
        yield session
        session.stop()


@pytest.mark.parametrize("n_partitions", [1, 5])
def test_code_of_the_page_gives_the_fit_of_the_whole(spark, n_partitions):
    pupils = load_hsb().frame
    rows = spark.createDataFrame(pupils).repartition(n_partitions)
    if n_partitions > 1:
        rows = rows.union(rows.filter("ses > 1000"))  # partitions without rows
    (code,) = re.findall(r"```python\n(# spark.*?)```", PAGE.read_text(), re.S)
    names = {"rows": rows}
    exec(code, names)
    X, y, school = pupils[names["FEATURES"]], pupils["math"], pupils["school"]
    whole, found = RandomSlopeRegressor("ses").fit(X, y, groups=school), names["model"]
    assert found.criterion_ == pytest.approx(whole.criterion_, rel=1e-12)
    assert found.coef_ == pytest.approx(whole.coef_, rel=1e-9)
    assert found.theta_ == pytest.approx(whole.theta_, rel=1e-9)
    assert found.predict(X, groups=school) == pytest.approx(whole.predict(X, groups=school))
