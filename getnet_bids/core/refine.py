"""Refinement: sharpen the histogram of the log image, from where the network's field leaves it.

The idea is that of N3 (Sled et al., IEEE TMI 1998) and N4 (Tustison et al., IEEE TMI 2010): a field blurs the
histogram of the log image; deconvolving the histogram tells for each intensity what it should have been, and a
smooth field is fitted to the difference. Two things are other than there. The start is the network's field, so
the kernel can be narrow from the beginning, as narrow as the network's error, and tissues that are alike are not
taken for one. And voxels count by how flat the image is around them: those on the border of two tissues, whose
intensity is no tissue's, hardly pull.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .device import torch_threads
from .fusion import Basis, normal_matrix, project
from .geometry import Box
from .points import Points
from .sharpening import BIN, FINE, Sharpening

STAGES = ((2.0, 0.20, 0.05), (1.4, 0.15, 0.04), (1.0, 0.10, 0.04))
"""Of each stage: smallest half wave (in smoothnesses), kernel's full width at half maximum (in standard deviations of
the network's log field), and the least that this may be (log). The network's error is about a seventh of the field, so
that wider kernels would only merge tissues whose intensities lie near each other."""
STAGES_2D = ((2.0, 0.20, 0.02), (1.0, 0.10, 0.02))
"""The same for a single slice, whose histogram holds less: nothing wider would keep its tissues apart."""
KEPT_2D = 0.3
"""The share of the network's own log field that is kept in a single slice, since noise misleads the two differently."""
DOUBT = 0.04
"""The network's error (standard deviation of the log); of a field that varies no more than this nothing is believed."""
WIDEST = 0.10
"""The greatest full width at half maximum (log)."""
ITERATIONS, TOLERANCE = 60, 1e-4
"""At most so many in a stage, which ends when the field changes by less than this (standard deviation of the log)."""
STRIDE = 1.7
"""The field goes so many times as far as the sharpened histogram tells, since it would come near slowly."""
STIFFNESS = 1e-4
"""Weight of the roughness penalty."""
ROOM = 0.5
"""How far a stage may take an intensity beyond those that it starts with (log)."""
LEAST = 64
"""Fewer points tell nothing."""


def refine_field(
    volume: Tensor, voxel: tuple[float, float, float], box: Box, basis: Basis, theta: Tensor
) -> tuple[Basis, Tensor]:
    """Refine a log field.

    Parameters
    ----------
    volume : Tensor, shape (X, Y, Z), float32
        Magnitudes, 0 where nothing is to be fitted.
    voxel : tuple of float
        mm.
    box : Box
        Where the object is.
    basis : Basis
    theta : Tensor, shape `basis.count`
        The field to start from.

    Returns
    -------
    basis : Basis
    theta : Tensor, shape `basis.count`
        The refined field.
    """
    flat = 1 in volume.shape
    found, length = theta, basis.length
    # The steps are many and small: waking a second thread for each takes longer, and last bits depend on how many.
    with torch_threads(1):
        seen = Seen(Points.of(volume, voxel, box))
        if torch.count_nonzero(seen.share) < LEAST:
            return basis, theta
        field = seen.field(theta, basis)
        field = field if flat else field * believed(seen.deviation(field))
        spread = seen.deviation(field)
        for factor, share, least in STAGES_2D if flat else STAGES:
            basis = Basis.over(box, length * factor)
            theta = seen.sharpened(field, basis, min(max(share * spread, least), WIDEST))
            field = seen.field(theta, basis)
    theta = torch.lerp(theta, found, KEPT_2D) if flat else theta
    theta[0, 0, 0] = 0
    return basis, theta


def believed(spread: float) -> float:
    """Tell which share of the network's log field to start from, by how much it varies.

    It is what is expected of the truth, where an error of `DOUBT` is added to it (James and Stein, 1961). A corrected
    image is left as it is where it is as sharp as it can be, and not led astray by what the network still sees in it.

    Examples
    --------
    >>> [round(believed(spread), 2) for spread in (0.0, 0.04, 0.08, 0.4)]
    [0.0, 0.0, 0.75, 0.99]
    """
    return max(0.0, 1 - (DOUBT / spread) ** 2) if spread > 0 else 0.0


class Seen:
    """What a refinement looks at, and fields there.

    Parameters
    ----------
    points : Points
    """

    def __init__(self, points: Points) -> None:
        self.position = points.position
        self.share = (points.weight / points.weight.sum()).float()
        self.log_image = points.log_image.float()

    def cosines(self, basis: Basis) -> list[Tensor]:
        """Evaluate a basis along the grid's axes; three tensors, float64."""
        return [basis.along(axis, p, self.share.device) for axis, p in enumerate(self.position)]

    def field(self, theta: Tensor, basis: Basis) -> Tensor:
        """Evaluate a log field; shape (I, J, K), float32."""
        return evaluated(theta.float(), [m.float() for m in self.cosines(basis)])

    def deviation(self, field: Tensor) -> float:
        """Give a log field's standard deviation."""
        field, share = field.double(), self.share.double()
        return float(((field - (field * share).sum()).square() * share).sum().sqrt())

    def sharpened(self, field: Tensor, basis: Basis, width: float) -> Tensor:
        """Find the log field that makes the histogram sharp.

        Parameters
        ----------
        field : Tensor, shape (I, J, K), float32
            Where to start.
        basis : Basis
            Of the field to be found.
        width : float
            Full width at half maximum of the kernel (log).

        Returns
        -------
        Tensor, shape `basis.count`, float64
        """
        b = self.cosines(basis)
        matrix = normal_matrix(self.share.double(), b)
        penalty = torch.from_numpy(basis.penalty()).to(matrix).flatten() * STIFFNESS + 1e-9
        inverse = torch.cholesky_inverse(torch.linalg.cholesky(matrix + torch.diag(penalty)))
        low, high = (float(v) for v in (self.log_image - field)[self.share > 0].aminmax())
        sharpening = Sharpening(low - ROOM, high + ROOM, width, field.device)
        # Points that do not count are spread out: adding to the same number again and again would take longer.
        spread = low + (high - low) * torch.arange(len(self.share.flatten()), device=field.device).remainder(97) / 97
        places = sharpening.places(torch.where(self.share > 0, self.log_image, spread.view_as(self.share)))
        b = [m.float() for m in b]

        def pull(field: Tensor) -> Tensor:
            return sharpening(torch.sub(places, field, alpha=FINE / BIN), self.share)

        theta = inverse @ project(self.share * (field - pull(field)), b).double()
        for _ in range(1, ITERATIONS):
            field = evaluated(theta.view(basis.count).float(), b)
            # The fit to what the histogram tells, less the field that there is: small numbers, for which float32 does,
            # but not in solving for coefficients that are hardly determined.
            slope = project(pull(field).mul_(self.share), b) + penalty * theta
            step = inverse @ slope
            theta = theta - STRIDE * step
            variance = step @ (slope - penalty * step) - (matrix[0] @ step).square()
            if STRIDE**2 * float(variance) < TOLERANCE**2:
                break
        return theta.reshape(basis.count)


def evaluated(theta: Tensor, b: list[Tensor]) -> Tensor:
    """Sum B theta; (A, B, C) coefficients to a grid (I, J, K)."""
    lines = b[1] @ (theta @ b[2].T)
    return (b[0] @ lines.flatten(1)).unflatten(1, lines.shape[1:])
