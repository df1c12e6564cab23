"""The estimate: moments -> problem -> criterion -> optimum -> solution.

==============================  ==========================================================
`fit`                           the whole way, in one call
`problem`                       the moments of one model: columns chosen, of order one, and
                                linearly independent
`identifiability`               what the likelihood can tell of the variances
`criterion`                     REML and ML of normal errors: what all criteria share
`criterion_one_column`          the criterion of one random column: a function of one ratio of
                                variances
`half_line`                     the ratios from 0 on, in a coordinate that suits small and
                                large ones
`search_one_column`             the least value of that criterion, over the whole half-line
`criterion_several_columns`     the criterion of several random columns: a function of their
                                relative covariance Psi
`factor`                        Psi as the square of a triangular factor
`descent`                       Newton's method in the entries of such a factor
`starts`                        where its minima may be, by its values alone
`search_several_columns`        the least value of that criterion, by descents from there
`close_by`                      the least value of a criterion that hardly differs from one
                                whose least value is known
`estimate`                      the search that a problem needs: for one column, or several
`flat_directions`               which variances and covariances no y can tell apart
`strata`                        residual variances that differ between strata of rows
`solution`                      coefficients, variances and random effects at the optimum
==============================  ==========================================================

With several grouping factors:

==============================  ==========================================================
`factors`                       the whole way, in one call, and the solution
`problem_of_factors`            the moments of one model
`elimination`                   factors nested in all others, eliminated one after another
`dense_layout`                  where the levels of factors that cross are: blocks of
                                components that share no row
`elimination_dense`             the largest factor eliminated, the others as dense blocks
`criterion_of_factors`          the criterion, its gradient, and two kinds of information
`factors_given_sigma2`          the deviance at a residual variance that need not be the best
`squared_blocks`                what expected information is made of
`starts_of_factors`             variances from one-way tables, and other starts
`average_information`           Newton's method from there
==============================  ==========================================================

And where dense blocks would be too large:

==============================  ==========================================================
`choice_of_solver`              whether they are
`crossed`                       the largest factor eliminated, what is left as an operator
`elimination_iterative`         solves by conjugate gradients; traces and log|V| by probes
`criterion_iterative`           the criterion, with fixed probes
`monte_carlo`                   the errors that probes leave
==============================  ==========================================================
"""
