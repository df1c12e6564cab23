"""Group effects around any regressor.

=========================  =====================================================
`mixed_effects_regressor`  `MixedEffectsRegressor`
`base`                     the regressor in the middle: which are taken, and its fits by folds
`levels`                   the models of the groups: a start, and that of residuals
`group_means`              shrunken means of the features by group
`number_columns`           the columns of any table that hold numbers
=========================  =====================================================
"""
