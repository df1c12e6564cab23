"""The quadratic model of a criterion that a Newton step minimises."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

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
    """Gradient and curvatures of a criterion in the eigenvectors of its Hessian, `basis`.

    Of one criterion, or of several at once, whose index then comes first.
    """

    gradient: Array
    curvature: Array
    basis: Array

    @classmethod
    def of(cls, gradient: Array, hessian: Array, units: Array | float = 1.0) -> QuadraticModel:
        """Turn the coordinates to the eigenvectors of the Hessian.

        The eigenvectors are those of coordinates in the units given, by default those of the
        derivatives; the basis leads back to these.
        """
        units = np.broadcast_to(units, gradient.shape)
        outer = units[..., :, None] * units[..., None, :]
        curvature, basis = np.linalg.eigh(hessian * outer)
        basis = units[..., :, None] * basis
        turned = np.matmul(gradient[..., None, :], basis)[..., 0, :]  # basis' gradient
        return cls(turned, curvature, basis)

    @property
    def largest(self) -> Array:
        """The largest curvature, up or down, with an axis of length 1 for the directions."""
        return np.asarray(np.abs(self.curvature).max(axis=-1, initial=0.0, keepdims=True))

    @cached_property
    def size(self) -> Array:
        """Curvatures as the steps take them: positive, and none too small."""
        raised: Array = np.maximum(np.abs(self.curvature), FLAT * self.largest)
        return np.where(self.largest > 0, raised, 1.0)

    @cached_property
    def newton(self) -> Array:
        """Newton step, downhill along directions of negative curvature, too."""
        step: Array = -self.gradient / self.size
        return step

    @cached_property
    def predicted_decrease(self) -> Array:
        """By how much the Newton step should lower the criterion."""
        return np.asarray(-np.sum(self.gradient * self.newton, axis=-1) / 2)

    @cached_property
    def is_flat(self) -> NDArray[np.bool_]:
        """Whether there is a direction in which the criterion hardly changes."""
        return np.asarray(np.any(np.abs(self.curvature) <= SADDLE * self.largest, axis=-1))

    @cached_property
    def is_saddle(self) -> NDArray[np.bool_]:
        """Whether the criterion falls to both sides in some direction."""
        return np.asarray(np.any(self.curvature < -SADDLE * self.largest, axis=-1))
