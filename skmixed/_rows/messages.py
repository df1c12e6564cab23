"""Wording of the errors about what a user hands in."""

from __future__ import annotations

from typing import NamedTuple


class Words(NamedTuple):
    """What messages to the user of a model call its parts."""

    pooled: str  # what is fitted without groups
    scorer: str  # a named scorer
    population: str  # what predict_population returns
    why_one_factor: str  # what there is instead for several


LINEAR = Words(
    pooled="linear regression",
    scorer="r2",
    population="the line of an average group",
    why_one_factor=(
        "RandomInterceptRegressor, RandomSlopeRegressor and FixedEffectsRegressor take them."
    ),
)
ONE_FACTOR = (
    "The likelihood of a binary or count outcome is an integral for each group, which falls "
    "apart by group for one factor only. Join the labels of nested factors to one, or make "
    "columns of X of the factor with fewer groups, as OneHotEncoder does. "
    "RandomInterceptRegressor and RandomSlopeRegressor take several, of a normal y."
)
BINARY = Words(
    pooled="logistic regression",
    scorer="neg_log_loss",
    population="probabilities in a new group",
    why_one_factor=ONE_FACTOR,
)
COUNTS = Words(
    pooled="Poisson regression",
    scorer="neg_mean_poisson_deviance",
    population="means of a new group",
    why_one_factor=ONE_FACTOR,
)
REMEDIES = (
    "Do one of these:\n"
    "  model.{method}(X, groups=groups)        # groups: one label for each row of X; of a "
    "search, search.best_estimator_.{method}\n"
    "  {name}(group_by='column').fit(X, y)    # the group is a column of X; X alone will do\n"
    "  scoring=skmixed.metrics.group_scorer({scorer!r})  # for a named scorer, with metadata "
    "routing\n"
    "  model.predict_population(X)            # {population}, on purpose"
)
MISSING_FACTORS = (
    "This {name} was fitted with groups of several factors, so {method} needs them, too: pass "
    "`groups`, a table with the columns {names}. With group_by={names} in place of `groups` "
    "columns of X hold them, and X alone will do. predict_population needs no groups."
)
MISSING_IN_PREDICT = (
    "`groups` must be given to `{method}`, because the model was fitted with groups, but got "
    "None. scikit-learn's tools often lose it on the way. " + REMEDIES
)
GIVEN_TWICE = (
    "The groups must be given once, but got both `groups` and group_by={group_by!r}. Leave one "
    "of them out."
)
NO_CLUSTERS = (
    "standard_errors={kind!r} of {name} needs clusters, but got no groups. Pass "
    "fit(X, y, groups=...) with the cluster of each row, or group_by=... in the constructor, "
    "or take standard_errors='classical'."
)
SEVERAL_CLUSTERS = (
    "standard_errors={kind!r} of {name} takes one grouping factor, whose groups are the "
    "clusters, but got {factors}. Pass the clusters as groups, and the groups of the other "
    "factors as dummy columns: pd.get_dummies(X, columns=[...], drop_first=True)."
)
MISSING_IN_FIT = (
    "{name} was fitted without groups, so this is a pooled {pooled} with no group "
    "effects. Pass them as `model.fit(X, y, groups=groups)`, or name the column of X that "
    "holds them: `{name}(group_by='column').fit(X, y)`."
)
LOST_BY_SCIKIT_LEARN = (
    "{name} was fitted without groups, so this is a pooled {pooled} with no group "
    "effects. scikit-learn's cross_val_score(..., groups=groups), cross_val_predict(..., "
    "groups=groups) and GridSearchCV(...).fit(..., groups=groups) give the groups to the "
    "splitter and not to the model, unless metadata routing is enabled. Do one of these:\n"
    "  model = {name}(group_by='column')  # the group is a column of X; the calls stay as they "
    "are, in searches, too: groups=groups is then for the splitter\n"
    "  with sklearn.config_context(enable_metadata_routing=True): ...  # around the same call; "
    "cross_val_score then takes params={{'groups': groups}} in place of groups=groups, and a "
    "named scorer must be scoring=skmixed.metrics.group_scorer(scoring)\n"
    "  skmixed.model_selection.cross_validate(model, X, y, groups=groups, cv=cv, "
    "scoring=scoring)['test_score']  # or cross_val_predict from there; not for searches"
)
COLUMN_OF_GROUPS = (
    "Column {column} of X holds the labels of the groups{as_numbers}, so as a feature it has a "
    "slope along these numbers. Drop it from X{or_group_by}. If they measure something, as "
    "years do, ignore this warning."
)
CHANGED_PARAMETERS = (
    "Parameters of the model must stay the same from batch to batch, but {names} changed since "
    "the first. Fit a new model: sklearn.base.clone(model).partial_fit(...)."
)
MIXED_GROUPS = (
    "Either all batches or none must have groups, but this one differs from those before. The "
    "model is as it was before this batch."
)
OTHER_GROUP_COLUMN = (
    "The moments must have been summed with the model's group_by={expected!r}, but were with "
    "group_by={given!r}. Use GroupedMoments.from_rows(..., group_by={expected!r})."
)
OTHER_MOMENTS = (
    "Only moments of the same columns can be {verb}, but they differ in {name}: {one!r} and "
    "{two!r}. Sum up the same columns, in the same order."
)
LITTLE_LEFT = (
    "What is left of the moments must be at least {share:.0%} of the squares of each column, "
    "or it has too few digits, but of {column} there is less. Add up the moments of the rows "
    "that are left in place of taking off the others."
)
SLOPES_NOT_SUMMED = (
    "The moments must have been summed for the slopes of the model, {slopes}, but were for "
    "{summed}. Name them: GroupedMoments.from_rows(..., slopes={slopes})."
)
NOT_MOMENTS = (
    "moments must be skmixed.GroupedMoments, but got {given}. Sum up rows with "
    "GroupedMoments.from_rows(X, y, groups), and add them up with + or sum()."
)
NOT_FOR_DASK = (
    "X must be an array or a table in memory, but got a dask {given}. `fit`, `predict`, "
    "`predict_population` and `score` take dask arrays and DataFrames, too; all else goes "
    "partition by partition: X.map_partitions(...), or X.partitions[0].compute()."
)
NOT_ROWS = "`{name}` must be an array or a table of rows in an order, but got a {given}."
SPARSE_VECTOR = "`{name}` must be dense, but got a sparse array. Pass {name}.toarray().ravel()."
NOT_COLLECTED = (
    "`{name}` must be an array or a table in memory, but got {given}: collect it, as in "
    "{name}.{fetch}()."
)
NOT_FOR_NUMPY = (
    "`{name}` must be an array that NumPy can read, but got {given}, of which it says: "
    "{error} Move it to main memory and convert it, as in {name}.detach().cpu().numpy()."
)
ANOTHER_ORDER = (
    "Rows are taken by position, but the indexes of {first} and {other} hold the same labels "
    "in another order. Bring the rows into one order, as in {one}.loc[{first}.index]; if they "
    "are in order, and the labels are not, pass {one}.to_numpy()."
)
NOT_NUMERIC = "X must be numeric, but these columns are not: {columns}. {advice}"
NO_LABELS = (
    "`groups` must be an array with one label for each row of X, but got {groups!r}. To name a "
    "column of X, pass group_by={name!r} instead."
)
NAMES_NOT_LABELS = (
    "`groups` must be an array with one label for each row of X, but got {groups!r}, which are "
    "columns of X. Pass group_by={groups!r} instead, or groups=X[{groups!r}] beside the other "
    "columns."
)
HOLDS_THE_GROUPS = "{name} holds the groups: drop it from X, or use group_by={key!r}."
PASS_GROUPS = "If one of them holds the groups, pass group_by={key!r}."
ENCODE = "Encode text as numbers, for example with sklearn.preprocessing.OneHotEncoder."
FROM_DATES = "Turn dates and times into numbers, such as days since the first, year or month."
FROM_DURATIONS = "Turn durations into numbers, such as seconds."
SPLIT_COMPLEX = "Complex data not supported: take real and imaginary parts as columns."
LEAVE_OUT = "Leave out what can be no number, or take numbers from it."
MISSING_IN_X = (
    "Input X contains NaN, that is, missing values: {columns}. Impute them, for example with "
    "sklearn.impute.SimpleImputer before this step of a pipeline, in a ColumnTransformer that "
    "leaves a group column alone, or drop those rows."
)
NOT_FINITE = (
    "Input X contains infinity, or values too large for float64: {columns}. Replace them, or "
    "drop those rows."
)
MISSING_IN_Y = "Input y contains NaN: {n} of {n_rows} values are missing. Drop those rows."
NOT_LIKE_FRAME = (
    "`{name}` must be a dask Series, since X is a dask DataFrame, but got {given}. Take a "
    "column of the same DataFrame, or use dask.dataframe.from_dask_array({name}, "
    "index=X.index)."
)
NOT_LIKE_ARRAY = (
    "`{name}` must be a one-dimensional dask array, since X is a dask array, but got {given}. "
    "Use dask.array.from_array({name}, chunks=X.chunks[0]), or series.to_dask_array(lengths="
    "True)."
)
OTHER_PARTITIONS = (
    "`{name}` must have the partitions of X, or else dask must know which rows are in which, "
    "but it has {given} partitions, X has {expected}, and dask does not know. "
)
UNKNOWN_DIVISIONS = (
    "Take both from one DataFrame, or make the divisions of both known with set_index."
)
UNKNOWN_CHUNKS = "Call X.compute_chunk_sizes() and {name}.compute_chunk_sizes()."
OTHER_LENGTH = (
    "`{name}` must have one value for each row of X, but got {given} for {rows} rows (of all "
    "rows, or of a partition)."
)
OTHER_ROWS = (
    "`{name}` must have the rows of X, but in a partition its index differs from that of X. "
    "Take both from one dask DataFrame, or give both the same index."
)
OTHER_RANGE = (
    "`{name}` must have the rows of X, but by its divisions its index goes from {given}, and "
    "that of X from {expected}. Take both from one dask DataFrame, or give both the same index."
)
ALL_EMPTY = "X must have at least one row, but its {n_partitions} partitions are all empty."
OTHER_ROWS_AGAIN = (
    "A dask collection must have the same rows each time it is computed, but X had "
    "{first:.10g} rows (sum of weights) when they were read first, and {second:.10g} when they "
    "were read again for more digits. Keep the rows with X.persist(), or write them to a file "
    "first."
)
OTHER_GROUPS_AGAIN = (
    "A dask collection must have the same rows each time it is computed, but when X was read "
    "again for more digits, {n_new} labels of a partition were new. Keep the rows with "
    "X.persist(), and so the groups, or write them to a file first."
)
NOT_THE_ROWS_OF_THE_FIT = (
    "`{name}` must be given the rows of the fit, which the model does not keep, but "
    "{what}. Pass the same X, y, groups and sample_weight as to `fit`, in any order of the "
    "rows."
)
FACTOR_OF_A_ROW = (
    "factor={factor!r} names the groups to leave out with {option}='group', but "
    "{option}='row' leaves out rows. Set {option}='group', or leave factor out."
)
FACTOR_TO_LEAVE_OUT = (
    "{option}='group' must know which groups to leave out, but the model has the factors "
    "{names}. Name one of them: factor={first!r}."
)
ONE_GROUP_TO_LEAVE_OUT = (
    "{option}='group' must leave rows to fit, but the model was fitted to one group, "
    "{label!r}. Use {option}='row'."
)
GROUPS_OF_POOLED = (
    "by='group' must know the groups to leave out, which a pooled regression has not read. "
    "Pass them as `groups=`, or use by='row'."
)
NAMED_INTERCEPT = (
    "X must not have a column named '(Intercept)', since that is the name of the model's own. "
    "Leave it out, or rename it and set fit_intercept=False."
)
TOO_SMALL = (
    "{name} must be large enough for its squares to be summed, but they vanish: its values "
    "differ by no more than {spread:.3g}. Multiply it by a power of ten."
)
WEIGHTS_OUT_OF_RANGE = (
    "`sample_weight` must be of a size whose squares can be summed, {low:g} to {high:g}, but "
    "the largest is {largest:.3g}. A weight of 2 counts as two rows. To give precisions, scale "
    "them: weights = sample_weight / sample_weight.max(), then weights / weights.mean()."
)
NOT_WEIGHTS = (
    "`sample_weight` must be numbers that are not negative, one for each row of X, but got "
    "{given}: {error}"
)
INEXACT_LABELS = (
    "`groups` must hold labels that are exact, but got {dtype} numbers such as {label:.0f}: "
    "from {limit:.0f} on {dtype} does not tell whole numbers apart, so different labels may "
    "have become the same. Keep them as integers or strings from the start (in pandas a "
    "missing label turns integers into floats, unless their dtype is 'Int64')."
)
LONE_SURROGATE = (
    "`groups` must hold labels that are valid text, but {label!r} has a lone surrogate, as "
    "decoding with errors='surrogateescape' makes them. Decode the bytes by their own "
    "encoding, or replace such characters: label.encode(errors='replace').decode()."
)
TOO_LARGE = (
    "X and y must be small enough for their squares to be summed, but the sums overflow. "
    "Divide the largest columns by a power of ten."
)
NO_GROUPS_TO_SPLIT_BY = (
    "{name} was fitted without groups, so all rows count as one group. Pass them as "
    "`fit(X, groups=groups)`, or name the column of X that holds them: "
    "`{name}(group_by='column')`."
)
MISSING_IN_TRANSFORM = (
    "`groups` must be given to `transform`, because {name} was fitted with groups, but got "
    "None. Do one of these:\n"
    "  transformer.transform(X, groups=groups)            # one label for each row of X\n"
    "  sklearn.set_config(enable_metadata_routing=True)   # in a pipeline, together with "
    "pipeline.predict(X, groups=groups)\n"
    "  {name}(group_by='column')                          # the group is a column of X"
)
ONLY_IN_TRANSFORM = (
    "`groups` must not be given to `transform`, because {name} was fitted without groups, but "
    "got some. Pass them to `fit`, too, or not at all."
)
SPARSE_TO_SPLIT = (
    "{name} needs a dense X, but got a sparse one. Deviations from group means are hardly ever "
    "0. Convert it with X.toarray(), or keep the sparse columns apart in a ColumnTransformer."
)
NAMED_TWICE = (
    "The columns that come out must have different names, but {names} would come out twice. "
    "Rename columns of X."
)
SMALL_WEIGHTS = (
    "All weights are below 1, the largest is {largest:.4g}: a weight of 2 counts as two rows, "
    "so {n_rows} rows count as {total:.4g}. If they are precisions, scale them to mean 1: "
    "sample_weight / sample_weight.mean()."
)


NEEDS_ROWS = (
    "X must be an array or a table in memory, but got a dask {given}. {name} reads all rows at "
    "every step of its fit: unlike those of a linear model its rows have no sums that would do "
    "in their place. Collect them, as in X.compute(); predictions go partition by partition, "
    "too: X.map_partitions(...)."
)
ROWS_CHANGED = (
    "The rows of the fit must stay as they were until standard errors are known, since these "
    "come from the rows, but the likelihood is now another: an array that was given to `fit` "
    "has been changed in place. Fit again, and look at `coef_cov_` before changing it."
)
NO_ROWS = (
    "method='profile' needs the rows of the fit, which a model keeps until it is stored, but "
    "this one was loaded or copied. Fit again, or use method='wald'."
)
ONE_CLASS = (
    "y must have two classes among the rows with a positive weight, but there is one class, "
    "{label}. Whether y is one or the other cannot be learned from rows that are all alike."
)
MANY_CLASSES = (
    "Only binary classification is supported. The type of the target is {kind}: y must have "
    "two classes, but has {n}: {classes}. Fit a model for each against the others, as "
    "sklearn.multiclass.OneVsRestClassifier does, or merge classes."
)
NUMBERS_AS_LABELS = (
    "Unknown label type: {kind}. y must have two classes, but holds numbers that are not "
    "whole, such as {fraction:.6g}. Shares of successes are two weighted rows each, one of "
    "each class; RandomInterceptRegressor and RandomSlopeRegressor take any number; to tell "
    "high from low, pass y > limit."
)
MIXED_LABELS = (
    "Unknown label type: {inferred}. y must have labels of one type, but holds objects of "
    "several. Convert them, as in y.astype(str)."
)
HUGE_COUNTS = (
    "y must hold counts of at most {most:g}, but the largest is {largest:.6g}: the likelihood "
    "of larger ones has too few digits. Such numbers vary far more than a Poisson "
    "distribution: RandomInterceptRegressor, of their logarithm, estimates by how much."
)
NO_COUNTS = (
    "{what} holds numbers that are not whole, such as {fraction:.6g}, and so no counts. If y "
    "is a rate, pass its exposure as `sample_weight`, in the units of the rate: without it "
    "variances and standard errors are not those of the counts."
)
UNKNOWN_CLASSES = (
    "y must hold the labels that were seen in fit, {classes}, but holds others: {unknown}."
)
NEGATIVE_COUNTS = (
    "y must hold counts, or rates, that are not negative, but {n} of {n_rows} values are, the "
    "least is {least:.6g}. Is y measured on a scale? RandomInterceptRegressor and "
    "RandomSlopeRegressor take any number."
)
COUNTS_ARE_ZERO = (
    "y must have a count above 0, but all {n_rows} are 0, so that no rate but 0 fits them best."
)

ALSO_THE_GROUPS = (
    "variance_by={variance_by!r} must be another column than those of group_by, but names one "
    "of them. Groups that differ in spread: give X a column of strata, such as the kind of the "
    "group, that holds many groups each."
)
NO_STRATUM = "The column variance_by={variance_by!r} names the stratum of each row. {said}"
NOT_A_STRATUM = (
    "The residual variance of a row is that of its stratum, but these were not seen in fit: "
    "{new}. Known are {known}. Use predict(X) for the mean alone, which does not need it."
)
NOT_FOR_STRATA = (
    "{name} does not exist for variances that differ, by variance_by={by!r}. {remedy}"
)
STRATUM_WITHOUT_VARIANCE = (
    "The residual variance of stratum {label!r}, {n} of {n_rows} rows, goes to 0: "
    "coefficients and random effects fit its rows exactly. Join it to another, as in "
    "X[{by!r}].replace({label!r}, ...), leave its rows out, or use fewer random effects; "
    "method='reml' needs fewer rows of a stratum than 'ml'."
)
STRATA_READ_ONCE = (
    "With variance_by rows are read once: take an offset off y, or group means off the columns "
    "that lie far apart, before the fit; or fit without variance_by, which reads them again."
)


def missing_in_predict(model, method):
    """Say what to do where a method of a model is not given the groups."""
    if names := model._columns.factor_names:
        return MISSING_FACTORS.format(method=method, name=type(model).__name__, names=names)
    words = model._words._asdict()
    return MISSING_IN_PREDICT.format(method=method, name=type(model).__name__, **words)
