"""How good weights are on images with known fields."""
