"""Evaluation of weights on images with known fields."""
