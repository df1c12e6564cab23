"""The classes: rows -> moments -> solution -> attributes.

====================  ====================================================================
`grouped`             the shell that all share: fit, predict, score
`mixed`               the shell of the mixed models
`random_intercept`    `RandomInterceptRegressor`
`random_slope`        `RandomSlopeRegressor`
`least_squares`       `FixedEffectsRegressor` and `PooledRegressor`
`streaming`           `partial_fit`, `fit_moments`, `update_groups`
`inference`           intervals, tables of fixed and random effects
`intervals`           confidence intervals of all parameters
`leave_out`           `loo_predict`
`fit_measures`        explained variance, conditional AIC, design effect
`storage`             what pickles and skops are given
====================  ====================================================================
"""
