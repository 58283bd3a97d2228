"""The numerical core: arrays in, arrays out; torch, numpy and scipy only."""
