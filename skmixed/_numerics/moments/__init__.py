"""Cross-products of the rows: all that a fit needs to know.

==================  ======================================================================
`moments`           one pass over the rows: cross-products, in total and by group
`by_group`          cross-products of all columns, group by group
`coordinates`       columns shifted and scaled, so that all numbers are of order one
`levels`            where columns vary: within groups, between groups, or both
`within_between`    how y follows a column within groups, and between them
==================  ======================================================================
"""
