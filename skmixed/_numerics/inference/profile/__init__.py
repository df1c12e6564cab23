"""Profile-likelihood limits: the extremes of each parameter over the likelihood region.

=======================  =================================================================
`limits`                 the choice: one random column, several, or several factors
`region`                 the likelihood region, and its sections at a given Psi
`of_ratio`               one random column: interpolants along the half-line
`likelihood`             what limits ask of a model: its deviance, and refits
`likelihood_of_factors`  the same of a model with several factors
`of_covariance`          several: which limit is looked for how
`of_fixed_effect`        limits of fixed effects, by alternation with refits
`ridge`                  how far a coordinate reaches while the others follow
`coordinates`            coordinates in which a variance or a correlation is the first
=======================  =================================================================
"""
