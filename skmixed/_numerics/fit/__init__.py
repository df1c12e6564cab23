"""The estimate: moments -> problem -> criterion -> optimum -> solution.

=====================  ===================================================================
`problem`              the moments of one model: columns chosen, scaled and of full rank
`criterion`            REML and ML, profiled to the relative covariance of random effects
`ratio`                the criterion for one random column
`half_line`            a coordinate that suits all of its half-line
`ratio_search`         its minimum: the whole half-line is scanned
`covariance`           the criterion for several random columns
`factor`               the entries of a factor of their covariance, in which it moves
`descent`              Newton's method in a factor of their covariance
`covariance_search`    its minimum: descents from several starts
`close_by`             minima close to a known one
`estimate`             the choice between the two
`solution`             what follows: coefficients, variances, random effects
=====================  ===================================================================
"""
