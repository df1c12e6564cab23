"""What groups are like, before a model is chosen.

====================  ====================================================================
`describe_groups`     how y and the features vary within and between groups
`advice`              which model such groups call for, in sentences
`compare_slopes`      slopes within groups against those between (Hausman's question)
====================  ====================================================================
"""
