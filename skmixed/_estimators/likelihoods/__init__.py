"""Binary and count outcomes: rows -> fit -> attributes.

=============================  ===========================================================
`random_intercept_classifier`  `RandomInterceptClassifier`
`random_slope_classifier`      `RandomSlopeClassifier`
`random_intercept_poisson`     `RandomInterceptPoissonRegressor`
`random_slope_poisson`         `RandomSlopePoissonRegressor`
`classifier`, `counts`         what two of them share: predictions, `score`, what y may be
`base`                         what all share: `fit`, the fitted attributes, `summary`
`fit`                          checked rows -> estimates -> what is kept of them
`fitted`                       what a model keeps of its fit, to answer questions from
`slopes`                       which columns have slopes that differ between groups
`predictions`                  means averaged over what is not known of a group
`inference`                    tables of fixed and random effects, `confint`
`measures`                     intraclass correlation and explained variance
=============================  ===========================================================
"""
