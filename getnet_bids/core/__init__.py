"""The numerical core: arrays in, arrays out; torch, numpy and scipy only."""

PRECISIONS = ("auto", "float32", "bfloat16")
"""Of the network; ``auto`` takes bfloat16 where the processor has it."""
ALGORITHM = 6
"""The number of the algorithm, by which a result of another one is told apart: raised with every change of the numbers
that a correction gives, rounding apart."""
