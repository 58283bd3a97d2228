"""The numerical core: arrays in, arrays out; torch, numpy and scipy only."""

BATCH_SIZE = 32
"""Default number of slices that the network processes at a time."""
CORRECTED, NOTHING, DOUBTFUL = VERDICTS = "corrected", "nothing to correct", "doubtful"
"""The verdicts on a result."""
PRECISIONS = ("auto", "float32", "bfloat16")
"""Precisions of the network; ``auto`` means bfloat16 if the device supports it."""
ALGORITHM = 10
"""The algorithm number, which is raised with every change of the numbers that a correction gives, except by rounding.
Results of another number are made again."""
