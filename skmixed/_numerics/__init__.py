"""The mathematics of grouped data: numpy and scipy only.

Data flow one way: rows -> moments -> problem -> optimum -> solution. Rooms from the ground up;
each imports from those above it in this list alone.

=================  ======================================================================
`linalg`           arrays, small matrices, triangles, the quadratic model, all tolerances
`moments`          one pass over the rows: cross-products, in total and by group
`fit`              problem, criterion, its minimum, and the solution there
`least_squares`    the two limits: pooled, and groups with lines of their own
`inference`        degrees of freedom, intervals, variances of predictions, criteria
`leave_out`        fits without some of the rows, from the moments of all
`likelihoods`      binary targets and counts, from the rows: stands on `linalg` alone
=================  ======================================================================
"""
