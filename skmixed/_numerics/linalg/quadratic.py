"""The quadratic model of a criterion that a Newton step minimises."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from skmixed._numerics.linalg.arrays import Array

# A curvature below minus this share of the largest one marks a saddle.
SADDLE = 1e-6
# Curvatures are raised to this share of the largest one.
FLAT = 1e-9


def inverse_where_curved(H: Array, rcond: float) -> Array:
    """Return the inverse of H without its flat directions, whatever the units are.

    Rows and columns are divided by the roots of the diagonal; a direction is flat if its
    curvature is then a smaller share of the largest than rcond.
    """
    size = np.sqrt(np.abs(np.diag(H)))
    unit = np.divide(1.0, size, out=np.zeros_like(size), where=size > 0)
    scaled = np.linalg.pinv(H * np.outer(unit, unit), rcond=rcond, hermitian=True)
    return np.asarray(scaled * np.outer(unit, unit))


@dataclass(frozen=True)
class QuadraticModel:
    """Gradient and curvatures of a criterion in the eigenvectors of its Hessian, `basis`."""

    gradient: Array
    curvature: Array
    basis: Array

    @classmethod
    def of(cls, gradient: Array, hessian: Array) -> QuadraticModel:
        """Turn the coordinates to the eigenvectors of the Hessian."""
        return cls.of_each(gradient[None], hessian[None])[0]

    @classmethod
    def of_each(
        cls, gradient: Array, hessian: Array, units: Array | float = 1.0
    ) -> list[QuadraticModel]:
        """Return the models of several criteria, the index of which is the first.

        The eigenvectors are those of coordinates in the units given, by default those of the
        derivatives; the basis leads back to these.
        """
        units = np.broadcast_to(units, gradient.shape)
        outer = units[:, :, None] * units[:, None, :]
        curvature, basis = np.linalg.eigh(hessian * outer)
        basis = units[:, :, None] * basis
        # basis' gradient, axes: criterion, eigenvector
        turned = np.matmul(gradient[:, None], basis)[:, 0]
        return [cls(*one) for one in zip(turned, curvature, basis, strict=True)]

    @cached_property
    def size(self) -> Array:
        """Curvatures as the steps take them: positive, and none too small."""
        size = np.abs(self.curvature)
        raised: Array = np.maximum(size, FLAT * size.max(initial=0.0))
        return raised

    @cached_property
    def newton(self) -> Array:
        """Newton step, downhill along directions of negative curvature, too."""
        step: Array = -self.gradient / self.size
        return step

    @cached_property
    def predicted_decrease(self) -> float:
        """By how much the Newton step should lower the criterion."""
        return float(-self.gradient @ self.newton) / 2

    @cached_property
    def is_flat(self) -> bool:
        """Whether there is a direction in which the criterion hardly changes."""
        size = np.abs(self.curvature)
        return bool(np.any(size <= SADDLE * size.max(initial=0.0)))

    @cached_property
    def is_saddle(self) -> bool:
        """Whether the criterion falls to both sides in some direction."""
        largest = np.abs(self.curvature).max(initial=0.0)
        return bool(np.any(self.curvature < -SADDLE * largest))
