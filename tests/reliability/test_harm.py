"""What needs no correction stays as it is: a head without a field, and one that is corrected a second time."""

from __future__ import annotations

from getnet_bids.core.metrics import cv
from getnet_bids.images import magnitudes
from tests.phantoms.scanned import correct, synthetic

MOST = 0.01
"""Coefficient of variation that a field may have over the brain where there is nothing to correct."""


def test_no_field():
    plain = synthetic(2.0, shaded=False)
    assert 0 < cv(magnitudes(plain.reference.field), plain.brain) <= MOST


def test_a_second_time():
    shaded = synthetic(2.0)
    again = correct(shaded.reference.image)
    assert 0 < cv(magnitudes(again.field), shaded.brain) <= MOST
