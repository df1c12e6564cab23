"""What a user hands in: rows -> moments.

====================  ====================================================================
`columns`             which columns of X hold the groups, and which a parameter names
`labels`              group labels coded as numbers; checks of weights and sizes
`moments`             the public `GroupedMoments`, and how rows are summed up
`dask`                fits, predictions and scores of dask collections
`dask_partitions`     partitions that hold the same rows
`routing`             which metadata a method asks for
`restore`             a model as it was, after an error
`threads`             how many threads BLAS may use
`messages`            wording of the errors about all these
====================  ====================================================================
"""
