"""The classes: rows -> moments -> solution -> attributes.

==========================  ==============================================================
`random_intercept`          `RandomInterceptRegressor`
`random_slope`              `RandomSlopeRegressor`
`mixed`                     what both share: the fitted attributes, and `summary`
`predictions`               `predict`, `predict_population`, `predict_interval`, `score`
`grouped`                   what all estimators share: names, group labels, `fit` by moments
`streaming`                 `partial_fit`, `fit_moments`, `update_groups`
`inference`                 `predict_interval`, `confint`, tables of fixed and random effects
`confidence_intervals`      the three methods of `confint`
`simulation`                `simulate`
`contrasts`                 tests of combinations of coefficients, whatever the model
`leave_out`                 `loo_predict`
`influence`                 `residuals_frame`, `influence_frame`
`influence_of_rows`         what these tabulate, in one pass over the rows
`tables`                    `augment`, `fit_statistics_frame`, what maketables reads
`rows_of_groups`            rows of a fit read again, and fits without some of them
`leave_out_of_factors`      the same with several factors
`fit_measures`              explained variance, conditional AIC, design effect
`digits`                    fits that read the rows again where digits lack
`fitted`                    what a mixed model keeps of its fit, to answer questions from
`least_squares`             what regressions by least squares have in common
`fixed_effects`             `FixedEffectsRegressor`
`pooled`                    `PooledRegressor`
`fixed_effects_of_factors`  the former with several factors: what is solved and kept
`several_factors`           mixed models with several factors: what is stored and kept
`strata`                    mixed models whose residual variance differs by stratum
`iterative`                 the iterative solver: parameters and errors
`slopes`                    the parameters that say which slopes vary, and how
`likelihoods`               a package of its own: binary and count outcomes
`around`                    a package of its own: group effects around any regressor
`pickles`                   what pickles and skops are given
==========================  ==============================================================
"""
