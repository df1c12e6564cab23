"""Fits without some of the rows, from the moments of all of them.

=========================  ===============================================================
`rest`                     moments without a fold, and scores of the fold's rows
`criteria_without_groups`  the criteria of a variance ratio without each group in turn
`one_group_less`           leave-one-group-out: refits without each group in turn
`variances_held`           leave-one-out of rows and groups, variance components held fixed
=========================  ===============================================================
"""
