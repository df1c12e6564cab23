"""What groups are like, before a model is chosen.

======================  ==================================================================
`describe_groups`       how y and the features vary within and between groups
`group_spreads`         mean and spread of y in each group
`random_intercepts`     the models behind it, by REML
`advice`                which model such groups call for, in sentences
`conditions`            the conditions of that choice, and how they are here
`describe_factors`      the same of groups by several factors
`how_factors_lie`       nested, crossed, in parts
`factor_models`         the models behind it, by REML
`advice_on_factors`     what such factors call for
`variation`             where y and the features vary
`words`                 how numbers and lists are worded
`compare_slopes`        slopes within groups against those between (Hausman's question)
======================  ==================================================================
"""
