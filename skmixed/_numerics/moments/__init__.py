"""Cross-products of the rows: all that a fit needs to know.

==================  ======================================================================
`moments`           one pass over the rows: cross-products, in total and by group
`cells`            the same with several factors, and where their levels meet
`strata`            the same for each stratum of rows, to be weighted afterwards
`own_lines`         the same in a basis of each group's lines, where nothing cancels
`second_pass`       the rows once more, for digits that the first pass cannot see
`columns`           moments of fewer columns, or of their within and between parts
`coordinates`       columns shifted and scaled, so that all numbers are of order one
`by_group`          cross-products of all columns, group by group
`within_between`    where columns vary, and how much of that is within groups
==================  ======================================================================
"""
