"""What groups are like, before a model is chosen.

====================  ====================================================================
`describe_groups`     how y and the features vary within and between groups
`random_intercepts`   the models behind it, by REML
`advice`              which model such groups call for, in sentences
`compare_slopes`      slopes within groups against those between (Hausman's question)
====================  ====================================================================
"""
