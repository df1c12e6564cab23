"""The classes: rows -> moments -> solution -> attributes.

`random_intercept`        `RandomInterceptRegressor`
`random_slope`            `RandomSlopeRegressor`
`mixed`                   what both share: the fitted attributes, and `summary`
`grouped`                 what all estimators share: names, group labels, `fit` from moments
`streaming`               `partial_fit`, `fit_moments`, `update_groups`
`inference`               `predict_interval`, `confint`, tables of fixed and random effects
`confidence_intervals`    the three methods of `confint`
`leave_out`               `loo_predict`
`fit_measures`            explained variance, conditional AIC, design effect
`digits`                  fits that read the rows again where digits lack
`fitted`                  what a mixed model keeps of its fit, to answer questions from
`least_squares`           `FixedEffectsRegressor` and `PooledRegressor`
`slopes`                  the parameters that say which slopes vary, and how
`likelihoods`             a package of its own: binary and count outcomes
`pickles`                 what pickles and skops are given
========================  ================================================================
=======
==========================  ==============================================================
`random_intercept`          `RandomInterceptRegressor`
`random_slope`              `RandomSlopeRegressor`
`mixed`                     what both share: the fitted attributes, and `summary`
`grouped`                   what all estimators share: names, group labels, `fit` by moments
`streaming`                 `partial_fit`, `fit_moments`, `update_groups`
`inference`                 `predict_interval`, `confint`, tables of fixed and random effects
`confidence_intervals`      the three methods of `confint`
`leave_out`                 `loo_predict`
`leave_out_of_factors`      the same with several factors
`fit_measures`              explained variance, conditional AIC, design effect
`digits`                    fits that read the rows again where digits lack
`fitted`                    what a mixed model keeps of its fit, to answer questions from
`least_squares`             what regressions by least squares have in common
`fixed_effects`             `FixedEffectsRegressor`
`pooled`                    `PooledRegressor`
`fixed_effects_of_factors`  the former with several factors: what is solved and kept
`slopes`                    the parameters that say which slopes vary, and how
`likelihoods`               a package of its own: binary and count outcomes
`pickles`                   what pickles and skops are given
==========================  ==============================================================
"""
