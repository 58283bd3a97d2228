import nibabel as nib
import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from getnet_bids.core.correction import correct_volume
from getnet_bids.core.metrics import field_error
from getnet_bids.core.network import load_weights
from getnet_bids.core.noise import blurred_parts
from getnet_bids.masks import foreground_of
from getnet_bids.weights import default_weights
from tests.phantoms import flat, realistic


def parts(image: np.ndarray) -> np.ndarray | None:
    found = blurred_parts(torch.from_numpy(image.astype(np.float32)), torch.from_numpy(image > 0.1))
    return None if found is None else found.numpy()


@pytest.fixture(scope="module")
def faceless():
    image, brain = realistic.head()
    face = np.zeros(realistic.SHAPE, bool)
    face[:, realistic.SHAPE[1] * 2 // 3 :, : realistic.SHAPE[2] // 2] = True
    face &= ~brain
    return np.where(face, gaussian_filter(image, 6), image).astype(np.float32), face


def test_a_blurred_face_is_found_and_little_else(faceless):
    image, face = faceless
    found = parts(image)
    assert (found & face & (image > 0.1)).sum() > 0.9 * (face & (image > 0.1)).sum()
    assert (found & ~face & (image > 0.1)).sum() < 0.15 * (image > 0.1).sum()


@pytest.mark.parametrize(("sigma", "height"), [(4, 0.5), (14, 0.5), (8, 0.7)])
def test_a_blurred_face_is_found_however_large_and_blurred(sigma, height):
    image, brain = realistic.head()
    face = np.zeros(realistic.SHAPE, bool)
    face[:, realistic.SHAPE[1] // 2 :, : int(realistic.SHAPE[2] * height)] = True
    face &= ~brain
    blurred = np.where(face, gaussian_filter(image, sigma), image).astype(np.float32)
    found, taken = parts(blurred), face & (blurred > 0.1)
    assert (found & taken).sum() > 0.8 * taken.sum()
    assert (found & ~face & (blurred > 0.1)).sum() < 0.15 * (blurred > 0.1).sum()


@pytest.mark.parametrize("shading", [0.0, 0.2])
def test_tissue_without_noise_is_not_blurred(shading):
    assert parts(flat.head(0.0, shading)) is None


@pytest.mark.parametrize("sigma", [1, 1.5, 2, 2.5])
def test_an_image_that_was_smoothed_as_a_whole_has_no_blurred_part(sigma):
    assert parts(gaussian_filter(flat.head(0.02, 0.2), sigma)) is None


def test_an_image_as_it_was_acquired_has_no_blurred_part():
    image, _ = realistic.head()
    assert parts(image) is None
    assert parts(realistic.head(stripped=True)[0]) is None
    assert parts(gaussian_filter(image, 1.5)) is None  # all of it was smoothed
    z = np.linspace(0.5, 2, realistic.SHAPE[2])
    assert parts(image * z) is None  # noise that a correction has made unequal


def test_the_field_is_as_if_the_face_was_not_there(faceless):
    image, _ = faceless
    network = load_weights(default_weights())
    done = correct_volume(image, realistic.VOXEL, network)
    _, brain = realistic.head()
    assert field_error(done.field, realistic.field(), brain) < 0.03
    # A comparison, a page drawn again and a field of another image take the same voxels.
    found = foreground_of(nib.Nifti1Image(image, np.diag([*realistic.VOXEL, 1.0])), "head.nii")
    assert np.array_equal(found, done.foreground)
