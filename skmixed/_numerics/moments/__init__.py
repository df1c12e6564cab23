"""Cross-products of the rows: all that a fit needs to know.

==================  ======================================================================
`moments`           one pass over the rows: cross-products, in total and by group
`by_group`          cross-products of all columns, group by group
`coordinates`       columns shifted and scaled to order one, and the way back
`within_between`    how much columns vary within groups, and how much between them
`columns`           moments of some of the columns, or of columns split in two
==================  ======================================================================
"""
