"""Transformers of columns: parts within and between groups, and effects of categories.

=========================  ===============================================================
`_within_between`          features split into their group's mean and the deviation from it
`_random_effect_encoder`   categories replaced by their shrunken effects
`_category_effects`        these effects, in all rows and by folds
`_columns`                 columns of a table taken out, and put together again
`_given_columns`           the numeric columns that effects are given
=========================  ===============================================================
"""

from skmixed.preprocessing._random_effect_encoder import RandomEffectEncoder
from skmixed.preprocessing._within_between import WithinBetween

__all__ = ["RandomEffectEncoder", "WithinBetween"]
