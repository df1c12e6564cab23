"""The mathematics of grouped data: numpy and scipy only.

Data flow one way: rows -> moments -> problem -> optimum -> solution.

===================  ====================================================================
`moments`            one pass over the rows: cross-products, in total and by group
`problem`            the moments of one model: columns chosen, scaled and of full rank
`criterion`          REML and ML, profiled to the relative covariance of the random effects
`ratio`              the criterion for one random column; `ratio_search`, its minimum
`covariance`         the criterion for several; `covariance_search`, its minimum
`descent`            Newton's method towards that, from several starts together
`small_matrices`     linear algebra on many small matrices at once
`quadratic`          the quadratic model of a criterion behind each Newton step
`estimate`           the choice between the two
`solution`           what follows: coefficients, variances, random effects
`profile`            profile-likelihood limits: extremes over the likelihood `region`;
                     `profile_ratio` for one random column, for several
                     `profile_covariance`, of which fixed effects (`profile_fixed`) alternate
                     with refits and the others follow a `ridge` in
                     `covariance_coordinates`
`inference`          degrees of freedom of the fixed effects
`prediction`         variances of predictions and random effects
`pooling`            group effects without the other groups
`levels`             where columns vary; `within_between`, what of them does
`variance_parts`     the variance of y, split by level: between and within groups
`group_lines`        groups with lines of their own: the limit of the mixed model
`fixed_effects`      least squares, with those lines or pooled
`explained_variance` the variance of y, split for the marginal and the conditional R2
`conditional_aic`    the conditional AIC and its effective degrees of freedom
`bootstrap`          the moments of y drawn from the fitted model, and refitted
`folds`              what is left of the moments without some rows, and scores of these
`one_group_less`     refits without each group in turn
`leave_out`          predictions of rows and groups left out, variances held fixed
===================  ====================================================================
"""
