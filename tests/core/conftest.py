from __future__ import annotations

import pytest

from getnet_bids.core.network import GetNet, load_weights
from getnet_bids.weights import default_weights


@pytest.fixture(scope="session")
def network() -> GetNet:
    """Return the network with the package's weights, on the CPU; no test may change it."""
    return load_weights(default_weights())
