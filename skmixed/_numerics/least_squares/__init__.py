"""The two limits of a mixed model, by least squares.

==================  ======================================================================
`group_lines`       groups with lines of their own: the limit of large differences
`fixed_effects`     coefficients beside those lines, or pooled
`prediction`        how uncertain predictions are
==================  ======================================================================
"""
