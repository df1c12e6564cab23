"""What a user hands in: rows -> moments.

====================  ====================================================================
`reader`              rows checked, their columns learned, their groups numbered, summed up
`columns`             which columns of X hold the groups, and which a parameter names
`strata`              the column that names the stratum of each row
`containers`          what must be collected first; rows in another order
`features`            columns that hold no numbers, or miss some; the target
`folds`               folds in which each row is left out once
`classes`             targets that are labels of two classes, or counts
`labels`              group labels coded as numbers; checks of weights and numbers of rows
`moments`             the public `GroupedMoments`
`sums_of_model`       which of these sums a model needs
`dask`                fits, predictions and scores of dask collections
`dask_partitions`     partitions that hold the same rows
`routing`             which methods take groups, for scikit-learn's metadata routing
`threads`             how many threads BLAS may use
`messages`            wording of errors that several of these share
====================  ====================================================================
"""
