"""What a user reads of a fit.

======================  ==================================================================
`summary`               how a summary is laid out, as text and HTML; that of a mixed model
`regression_summary`    that of a regression by least squares
`tests`                 tables of tests and intervals
`of_fits`               warnings and errors about what a fit can and cannot say
======================  ==================================================================
"""
