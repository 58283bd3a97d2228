"""GetNet intensity correction of MR images."""

__version__ = "0.1.0.dev0"
