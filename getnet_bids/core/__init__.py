"""The numerical core: arrays in, arrays out; torch, numpy and scipy only."""

PRECISIONS = ("auto", "float32", "bfloat16")
"""Of the network; ``auto`` takes bfloat16 where the processor has it."""
