"""Fits without some of the rows, from the moments of all of them.

=========================  ===============================================================
`leave_one_out`            leave-one-out of rows and of groups, variance components held
`influence`                leverage, standardised residuals, Cook's distances of rows and groups
`levels_left_out`          levels of one of several factors, variance components held
`folds`                    moments without a fold, and scores of the fold's rows
`effects_of_folds`         random intercepts without a fold, variance components held
`criteria_without_groups`  the criteria of one random column without each group in turn
`refits_without_groups`    refits without each group in turn, variances estimated anew
=========================  ===============================================================
"""
