"""Generalised linear mixed models with one grouping factor: yes or no, and counts.

y given random effects has a binomial (logit) or Poisson (log) likelihood with
eta = x'beta + z'b_j, b_j ~ N(0, Psi), Psi = Lambda Lambda', b = Lambda u. The rows are needed
at every step, so this room stands beside the moments, on `linalg` alone.

===============  =======================================================================
`families`       the two distributions: what a row says of its linear predictor
`segments`       sums over the rows of each group
`columns`        coordinates in which columns are of order one, and the way back
`rows`           rows sorted by group, read in chunks of whole groups
`design`         random columns times Lambda, with sums over groups
`modes`          conditional modes of all groups of a chunk, by damped Newton steps
`integral`       each group's likelihood over its random effects: Laplace, quadrature
`criterion`      -2 log L and its exact gradient
`start`          the pooled fit, variances from its scores, the information
`search`         the quasi-Newton search
`fit`            start, search, and what lies on the boundary
`conditional`    random effects of known groups, and means averaged over them
`averages`       means averaged over a normal linear predictor: those of new groups
`hessian`        second derivatives at the minimum, the covariance of the estimates
`profile`          confidence limits of one parameter, from constrained fits
===============  =======================================================================
"""
