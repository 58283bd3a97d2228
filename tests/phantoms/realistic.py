"""A head at 2 mm whose tissues are not flat: the measure that a change of the method has to pass.

Gray and white matter are unlike, muscle is like gray matter, the cortex is a thin folded rim, every tissue varies
within itself over centimetres and from voxel to voxel, edges are blurred before the brain is cut out, and the field is
steep: what real heads have, and flat phantoms have not.
"""

from functools import cache

import numpy as np
from scipy.ndimage import gaussian_filter, zoom

SHAPE, VOXEL = (84, 104, 88), (2.0, 2.0, 2.0)
LEVELS = {
    "air": 0.0,
    "skin": 0.7,
    "skull": 0.05,
    "csf": 0.25,
    "gray": 0.68,
    "white": 1.0,
    "nuclei": 0.78,
    "muscle": 0.69,
}
NAMES = list(LEVELS)


def smooth(rng: np.random.Generator, millimetres: float) -> np.ndarray:
    """Smooth noise of this correlation length, mean 0, SD 1."""
    step = millimetres / VOXEL[0]
    coarse = rng.normal(size=[int(n / step) + 3 for n in SHAPE])
    fine = gaussian_filter(zoom(coarse, step, order=1)[tuple(slice(0, n) for n in SHAPE)], step / 2)
    return (fine - fine.mean()) / fine.std()


@cache
def labels() -> np.ndarray:
    """Number of each voxel's tissue, an index of `NAMES`."""
    rng = np.random.default_rng(11)
    x, y, z = np.meshgrid(*[np.linspace(-1, 1, n) for n in SHAPE], indexing="ij")
    radius = np.sqrt((x / 0.86) ** 2 + (y / 0.92) ** 2 + ((z - 0.1) / 0.88) ** 2)
    folds = 0.05 * np.sin(16 * x) * np.sin(15 * y) * np.sin(14 * z) + 0.02 * smooth(rng, 14)
    out = np.zeros(SHAPE, int)
    out[radius < 1.0] = NAMES.index("skin")
    out[(radius < 0.95) & (z < -0.1) & (np.abs(x) + 0.1 * smooth(rng, 30) > 0.35)] = NAMES.index("muscle")
    out[radius < 0.86] = NAMES.index("skull")
    out[radius < 0.80] = NAMES.index("csf")
    out[radius < 0.76 + 0.5 * folds] = NAMES.index("gray")
    out[radius < 0.68 + folds] = NAMES.index("white")
    deep = (np.abs(x) / 0.22 - 0.8) ** 2 + (y / 0.2) ** 2 + (z / 0.16) ** 2
    out[deep < 0.3] = NAMES.index("nuclei")
    out[(x / 0.12) ** 2 + (y / 0.4) ** 2 + ((z - 0.2) / 0.12) ** 2 < 1] = NAMES.index("csf")
    neck = (np.hypot(x / 0.45, y / 0.5) < 1) & (z < -0.6)
    out[neck & (out == 0)] = NAMES.index("muscle")
    return out


@cache
def field(sd: float = 0.25) -> np.ndarray:
    """Field of a loop at one side and a bright middle; SD of its logarithm over the head."""
    x, y, z = np.meshgrid(*[np.linspace(-1, 1, n) for n in SHAPE], indexing="ij")
    loop = np.log(0.3 + (1 + ((x - 1.1) ** 2 + (y - 0.6) ** 2 + z**2) / 0.8) ** -1.5)
    middle = 0.5 * np.exp(-((x + 0.1) ** 2 + (y + 0.2) ** 2 + (z - 0.1) ** 2) / 0.7)
    log = loop / loop.std() + middle / middle.std()
    inside = labels() > 0
    return np.exp((log - log[inside].mean()) / log[inside].std() * sd).astype(np.float32)


@cache
def head(sd: float = 0.25, stripped: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Image with a field of this SD and 2 % of noise, and the voxels of the brain."""
    rng, tissue = np.random.default_rng(12), labels()
    image = np.array(list(LEVELS.values()))[tissue]
    changes = [0.025 * smooth(rng, 22) for _ in NAMES]
    image = image * np.exp(np.choose(tissue, changes) + 0.03 * smooth(rng, 4))
    image = gaussian_filter(image, 0.5)
    brain = np.isin(tissue, [NAMES.index(n) for n in ("gray", "white", "nuclei")])
    if stripped:
        image = image * (gaussian_filter(brain.astype(float), 1) > 0.3)
    shaded = image * field(sd)
    noisy = np.hypot(shaded + 0.02 * rng.normal(size=SHAPE), 0.02 * rng.normal(size=SHAPE))
    return (noisy * (image > 0) if stripped else noisy).astype(np.float32), brain
