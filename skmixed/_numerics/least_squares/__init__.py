"""The two limits of a mixed model, by least squares.

==========================  ==============================================================
`group_lines`               groups with lines of their own: the limit of large differences
`fixed_effects`             coefficients beside those lines, or pooled
`prediction`                how uncertain predictions are
`pair_equations`            dummies of two factors: the graph of levels that meet
`level_equations`           dummies of several factors
`redundancy`                what rows do not determine of their effects, and how it is fixed
`dummies`                   the three before, for all factors
`absorbed`                  what the effects of all levels leave of the columns
`fixed_effects_of_factors`  coefficients beside these effects
`cluster_sums`              sums over the rows of each cluster, in a second pass
`cluster_robust`            covariances robust to clusters, and tests by them
`alone`                     rows that effects fit whatever they are
==========================  ==============================================================
"""
