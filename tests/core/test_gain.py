import numpy as np
import torch

from getnet_bids.core.gain import coil_log_gain, smooth_log_gain, with_spread


def test_smooth_fields_have_the_correlation_asked_for():
    length = 0.25
    generator = torch.Generator().manual_seed(0)
    fields = smooth_log_gain((64, 64), torch.full((4000,), length), generator).numpy()
    centre, row = fields[:, 32, 32], fields[:, 32, :]
    distance = (np.arange(64) - 32) / 64
    measured = (centre[:, None] * row).mean(0) / (row.std(0) * centre.std())
    np.testing.assert_allclose(measured, np.exp(-(distance**2) / (2 * length**2)), atol=0.06)
    assert ((fields.std(0) > 0.75) & (fields.std(0) < 1)).all()


def test_same_seed_same_field():
    first, second = (
        [
            f((12, 10, 8), generator)
            for f in (lambda s, g: smooth_log_gain(s, torch.tensor([0.3]), g), lambda s, g: coil_log_gain(s, 1, g))
        ]
        for generator in (torch.Generator().manual_seed(5), torch.Generator().manual_seed(5))
    )
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_coil_fields_of_one_loop_fall_off_from_it():
    fields = coil_log_gain((32, 32, 32), 20, torch.Generator().manual_seed(0), loops=1).numpy()
    assert np.isfinite(fields).all()
    grid = np.stack(np.meshgrid(*[(np.arange(32) + 0.5) / 32] * 3, indexing="ij"), -1)
    for field in fields:
        brightest = grid.reshape(-1, 3)[field.argmax()]
        assert np.linalg.norm(brightest - 0.5) > 0.3
        distance = np.linalg.norm(grid - brightest, axis=-1)
        shells = [field[(distance > r) & (distance < r + 0.1)].mean() for r in (0.05, 0.3, 0.6)]
        assert shells[0] > shells[1] > shells[2]


def test_spread_is_exact_and_zero_is_flat():
    generator = torch.Generator().manual_seed(0)
    where = torch.zeros(2, 16, 16)
    where[:, 4:12, 3:9] = 1
    fields = with_spread(
        smooth_log_gain((16, 16), torch.tensor([0.3, 0.4]), generator), where, torch.tensor([0.2, 0.0])
    )
    inside = fields[0][where[0] > 0]
    np.testing.assert_allclose([inside.mean(), inside.std(correction=0)], [0, 0.2], atol=1e-6)
    assert float(fields[1].abs().max()) == 0
