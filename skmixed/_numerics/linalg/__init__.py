"""Linear algebra without statistics.

=====================  ===================================================================
`arrays`               the type of all arrays of numbers
`digits`               which numbers are rounding: all tolerances
`small_matrices`       products and Cholesky factors of many small matrices at once
`independent`          which columns do not depend linearly on those before them
`triangular`           the triangular factor of a covariance matrix
`scipy_private`        what SciPy does not promise to keep
`conjugate_gradients`  solutions for many right-hand sides at once, and logarithms
`quadratic`            the quadratic model of a function behind each Newton step
=====================  ===================================================================
"""
