"""The number of the algorithm, by which a result of another one is told apart."""

ALGORITHM = 5
"""Raised with every change of the numbers that a correction gives, rounding apart."""
