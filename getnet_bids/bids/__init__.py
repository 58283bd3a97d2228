"""BIDS: finding inputs, naming outputs, sidecars, dataset files, run status."""
