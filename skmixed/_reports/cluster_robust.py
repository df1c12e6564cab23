"""Why there are no standard errors robust to clusters, or no such test."""

ROWS_NEEDED = (
    "standard_errors={kind!r} of {name} needs the rows a second time, once coefficients are "
    "known, so {method} cannot make them. Pass all rows to fit, which takes dask collections "
    "where memory is short, or take standard_errors='classical'."
)
ONE_CLUSTER = (
    "standard_errors={kind!r} needs at least 2 clusters, but all rows are of {n}. Pass groups= "
    "with more labels, or take standard_errors='classical'."
)
NOTHING_SHARED = (
    "standard_errors={kind!r} needs a coefficient that the clusters share, but each has a line "
    "of its own that contains all: its rows say nothing of how such lines differ by chance. "
    "Leave columns out of slopes=, or take standard_errors='classical'."
)
NO_KENWARD_ROGER = (
    "df_method='kenward-roger' is defined for the variances of a mixed model, but {name} was "
    "fitted with standard_errors={kind!r}. Leave df_method out, which gives the degrees of "
    "freedom of these errors, or use df_method='normal'."
)
