"""The engine: which images are to be corrected, and the correction of many, some side by side."""
