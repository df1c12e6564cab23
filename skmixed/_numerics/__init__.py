"""The mathematics of grouped data: numpy and scipy only.

Data flow one way: rows -> moments -> problem -> optimum -> solution.

=================  ======================================================================
`moments`          one pass over the rows: cross-products, in total and by group
`problem`          the moments of one model: columns chosen, scaled and of full rank
`objective`        the profiled REML or ML criterion and its derivatives
`optimize`         the variance ratio that minimises the criterion
`solution`         what follows from the ratio: coefficients, variances, random effects
=================  ======================================================================
"""
