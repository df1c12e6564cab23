"""What a fit says of its own uncertainty.

=================================  =======================================================
`prediction`                       variances of predictions and of random effects
`prediction_of_factors`            the same with several factors, and predictions
`degrees_of_freedom`               Satterthwaite's, and Kenward and Roger's
`degrees_of_freedom_of_factors`    the same with several factors
`degrees_of_freedom_of_strata`     Satterthwaite's, where residual variances differ
`wald`                             F tests of several combinations of coefficients
`profile`                          profile-likelihood limits of all parameters
`ratio_of_factor`                  profile of the variance of one of several factors
`bootstrap`                        the moments of y drawn from the fitted model, refitted
`bootstrap_of_factors`             the same with several factors
`sampler_of_factors`               the distribution of their moments of y
`draws`                            random effects of rows, for rows of y drawn anew
`conditional_aic`                  the conditional AIC and its effective degrees of freedom
`conditional_aic_of_factors`       the same with several factors
`explained_variance`               the variance of y, split for the marginal and the
                                   conditional R2
`explained_variance_of_strata`     the same where residual variances differ
`variance_parts`                   the variance of y, split by level: between and within
                                   groups
`squeezed_variances`               variances of groups, drawn towards what is usual among
                                   them
`pooling`                          group effects without the other groups
=================================  =======================================================
"""
