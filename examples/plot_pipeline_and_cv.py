"""
Choose preprocessing and slopes by nested cross-validation
==========================================================

A mixed model as the last step of a pipeline: columns are scaled and encoded, a grid search
chooses what to do with them and which slopes vary between schools, and an outer
cross-validation says how well the chosen model predicts. The groups can be given in two ways,
with the same result.
"""

# %%
# The data: mathematics scores of pupils in schools, the columns of 0 and 1 made readable.
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn import config_context
from sklearn.compose import ColumnTransformer
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_validate
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, PolynomialFeatures, StandardScaler

from skmixed import RandomSlopeRegressor
from skmixed.datasets import load_hsb
from skmixed.exceptions import SingularFitWarning
from skmixed.metrics import group_scorer
from skmixed.model_selection import WithinGroupKFold

frame = load_hsb().frame
X = pd.DataFrame(
    {
        "ses": frame["ses"],
        "mean_ses": frame["mean_ses"],
        "sector": frame["catholic"].map({1: "Catholic", 0: "public"}),
        "background": frame["minority"].map({1: "minority", 0: "majority"}),
        "sex": frame["female"].map({1: "girl", 0: "boy"}),
        "school": frame["school"],
    }
)
y, school = frame["math"], frame["school"]
print(X.head(3).to_string())


# %%
# The pipeline. With ``set_output`` the columns keep their names, so that ``slopes`` can be
# given by name. ``remainder="passthrough"`` lets the school through to the model, which finds
# it by ``group_by``. If groups are given beside X instead, ``group_by`` is None and nothing
# remains to be let through.
#
# ``covariance="diag"`` keeps slopes and levels uncorrelated: fewer numbers to estimate from
# small training sets. Such a model depends on where its columns have their zero; the scaler
# puts it at the mean.
def make_pipeline(group_by):
    numeric = Pipeline([("scale", StandardScaler()), ("curves", "passthrough")])
    categorical = OneHotEncoder(drop="if_binary", sparse_output=False)
    columns = ColumnTransformer(
        [
            ("numeric", numeric, ["ses", "mean_ses"]),
            ("categorical", categorical, ["sector", "background", "sex"]),
        ],
        remainder="passthrough",
        verbose_feature_names_out=False,
    ).set_output(transform="pandas")
    model = RandomSlopeRegressor(group_by=group_by, covariance="diag")
    return Pipeline([("columns", columns), ("model", model)])


# %%
# The grid. No slopes is a random intercept. Curves are the squares of the numeric columns and
# their product: the effect of a pupil's status may depend on that of the school.
curves = PolynomialFeatures(2, include_bias=False)
grid = {
    "columns__numeric__curves": ["passthrough", curves],
    "model__slopes": [[], ["ses"], ["ses", "background_minority"]],
    "model__method": ["reml", "ml"],
}

# %%
# Two questions, two kinds of folds: new pupils of known schools, and new schools. The grid
# search should ask the same question as the outer cross-validation, so both take the same kind.
splitters = {"new pupils, known schools": WithinGroupKFold, "new schools": GroupKFold}


def make_splitters(regime):
    splitter = splitters[regime]
    outer = splitter(5, shuffle=True, random_state=0)
    inner = splitter(3, shuffle=True, random_state=1)
    return outer, inner


# %%
# First way: the school is a column of X. Scorers see it there. The splitters still need
# groups: ``groups`` is for the outer one, ``params`` hands them to ``fit`` of the grid
# search for the inner one. The score is the grid search's own.
def score_by_column(regime):
    outer, inner = make_splitters(regime)
    scoring = "neg_root_mean_squared_error"
    search = GridSearchCV(make_pipeline("school"), grid, cv=inner, scoring=scoring)
    return cross_validate(
        search,
        X,
        y,
        groups=school,
        params={"groups": school},
        cv=outer,
        return_estimator=True,
        n_jobs=2,
    )


# %%
# Second way: the school is an array beside X, and metadata routing brings it to the splitters,
# to ``fit`` and, by ``group_scorer``, to ``predict``. Again the score is the grid search's own:
# its ``score`` takes groups, while its ``predict`` takes X alone.
def score_by_routing(regime):
    outer, inner = make_splitters(regime)
    scoring = group_scorer("neg_root_mean_squared_error")
    search = GridSearchCV(make_pipeline(None), grid, cv=inner, scoring=scoring)
    with config_context(enable_metadata_routing=True):
        return cross_validate(
            search,
            X.drop(columns="school"),
            y,
            params={"groups": school},
            cv=outer,
            return_estimator=True,
            n_jobs=2,
        )


# %%
# Both ways give the same scores. In a few training sets the variance of a slope is estimated as
# exactly zero, and the fit warns that it is singular. Here this is expected: the slope is then
# the same in all schools, and the search may well find that a model without it does better.
def name_curves(step):
    return "straight lines" if step == "passthrough" else "curves"


def name_slopes(slopes):
    return " + ".join(slopes).replace("background_", "") or "none"


rows = []
for regime in splitters:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SingularFitWarning)
        by_column, by_routing = score_by_column(regime), score_by_routing(regime)
    np.testing.assert_allclose(by_column["test_score"], by_routing["test_score"])
    for fold, search in enumerate(by_column["estimator"]):
        best = search.best_params_
        rows.append(
            {
                "test rows": regime,
                "fold": fold + 1,
                "group_by": -by_column["test_score"][fold],
                "routing": -by_routing["test_score"][fold],
                "slopes": name_slopes(best["model__slopes"]),
                "numeric": name_curves(best["columns__numeric__curves"]),
                "method": best["model__method"],
            }
        )
folds = pd.DataFrame(rows)
print("\nRMSE of each outer fold (points), and the model chosen for it:")
print(folds.round(4).to_string(index=False))

# %%
# What does the choice matter? One search in ten folds over all rows, for each question. Folds
# differ more than models do, so each model is compared fold by fold with the simplest one:
# straight lines, no slopes, REML. The standard error is that of the mean difference.
colors = {"straight lines": "#0072B2", "curves": "#D55E00"}
markers = {"reml": "o", "ml": "s"}
offsets = dict(
    zip([(c, m) for c in colors for m in markers], (-0.24, -0.08, 0.08, 0.24), strict=True)
)
names = [name_slopes(slopes) for slopes in grid["model__slopes"]]
figure, axes = plt.subplots(
    1, 2, figsize=(10, 4.4), sharex=True, sharey=True, layout="constrained"
)
for ax, (regime, splitter) in zip(axes, splitters.items(), strict=True):
    search = GridSearchCV(
        make_pipeline("school"),
        grid,
        cv=splitter(10, shuffle=True, random_state=0),
        scoring="neg_root_mean_squared_error",
        refit=False,
        n_jobs=2,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SingularFitWarning)  # as above
        search.fit(X, y, groups=school)
    results = search.cv_results_
    rmse = -np.array([results[f"split{fold}_test_score"] for fold in range(10)])
    difference = rmse - rmse[:, :1]  # the simplest comes first
    mean, std_error = difference.mean(axis=0), difference.std(axis=0, ddof=1) / np.sqrt(10)
    for i, params in enumerate(results["params"]):
        kind = name_curves(params["columns__numeric__curves"])
        method = params["model__method"]
        row = names.index(name_slopes(params["model__slopes"]))
        ax.errorbar(
            mean[i],
            row + offsets[kind, method],
            xerr=std_error[i],
            fmt=markers[method],
            color=colors[kind],
            markerfacecolor=colors[kind] if method == "reml" else "white",
            markersize=6,
            label=f"{kind}, {method.upper()}" if row == 0 else None,
        )
    ax.axvline(0, color="0.6", linewidth=1, zorder=0)
    ax.set(
        title=f"{regime[0].upper()}{regime[1:]} (simplest: {rmse[:, 0].mean():.2f} points)",
        xlabel="RMSE minus that of the simplest model (points, ± std error)",
    )
axes[0].set_yticks(range(len(names)), names)
axes[0].set_ylabel("slopes that vary between schools")
axes[0].invert_yaxis()
figure.legend(
    *axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False
)
picture = Path("pipeline_and_cv.png")
figure.savefig(picture, dpi=120)
print(f"\nPicture saved as {picture}")

# %%
# The result. For known schools every search chose slopes, though they lower the error by a
# hundredth of a point only. Of a new school the model knows no slope, and every search left
# them out. REML and ML predict alike with so many schools.
table = folds.groupby("test rows")[["group_by", "routing"]].mean()
table["std error"] = folds.groupby("test rows")["group_by"].sem()
print("\nRMSE of the nested cross-validation (points), mean of five folds:")
print(table.round(3).to_string())
