"""What a user reads of a fit.

======================  ==================================================================
`layout`                how a summary is laid out, as text and as HTML
`markup`                the same as Markdown and as LaTeX
`fit_statistics`        what is said of a fit in one row, under plain names
`correlations`          those of fixed effects, for all summaries
`summary`               the tables and remarks of a mixed model
`regression_summary`    those of a regression by least squares
`likelihood_summary`    those of a model of binary or count outcomes
`cluster_robust`        why there are no standard errors robust to clusters, or no such test
`likelihood_messages`   warnings about such a fit, and what does not exist for it
`tests`                 tables of tests and intervals
`pooling_names`         names of the models and questions that `compare_pooling` compares
`not_identified`        what the rows do not determine of variances and covariances, in words
`messages`              warnings and errors about what a fit can and cannot say
======================  ==================================================================
"""
