"""How well a model of binary or count outcomes explains them, in one number each."""

from __future__ import annotations

from sklearn.utils.validation import check_is_fitted

from skmixed._state import in_one_piece


class LikelihoodMeasuresMixin:
    """The intraclass correlation and shares of explained variance, on the latent scale."""

    @property
    @in_one_piece
    def icc_(self) -> float:
        """Intraclass correlation on the latent scale, given the features.

        The variance of the random effects, averaged over the rows, relative to the sum of it
        and that of a row around them. The latter is pi^2 / 3 for binary outcomes, the variance
        of the logistic distribution; for counts log(1 + 1 / m), m the mean count of a row, the
        lognormal approximation of Nakagawa, Johnson and Schielzeth (2017).

        Returns
        -------
        float
            Between 0 and 1; 0 without groups.

        References
        ----------
        Nakagawa, S., Johnson, P. C. D. and Schielzeth, H. (2017). The coefficient of
        determination R2 and intra-class correlation coefficient from generalized linear
        mixed-effects models revisited and expanded. Journal of the Royal Society Interface,
        14(134). doi:10.1098/rsif.2017.0213
        """
        check_is_fitted(self)
        parts = self._fitted.latent
        return parts.random / (parts.random + parts.residual)

    @property
    @in_one_piece
    def r2_marginal_(self) -> float:
        """Share of the variance on the latent scale that the fixed effects explain.

        Nakagawa and Schielzeth's marginal R2, with Johnson's (2014) extension to random slopes
        and the distribution's variance of Nakagawa, Johnson and Schielzeth (2017), theoretical
        for binary outcomes and lognormal for counts: the variance of x'beta over the rows,
        relative to the sum of it and of the two variances of `icc_`.

        Returns
        -------
        float
            Between 0 and 1.
        """
        self._check_has_groups("r2_marginal_")
        return self._fitted.latent.marginal

    @property
    @in_one_piece
    def r2_conditional_(self) -> float:
        """Share of the variance on the latent scale of fixed and random effects together.

        Nakagawa and Schielzeth's conditional R2; see `r2_marginal_`.

        Returns
        -------
        float
            Between 0 and 1.
        """
        self._check_has_groups("r2_conditional_")
        return self._fitted.latent.conditional
