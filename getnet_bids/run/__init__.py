"""The engine: finds the images to correct, and corrects many of them, several at a time."""
