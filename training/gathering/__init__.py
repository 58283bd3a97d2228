"""The open photographs that the package's weights were trained on, from clones of their repositories to shards.

`listed` (what they are, where to fetch them, which of them are there), `shards` (tar files of them) and `cli`. Their
licences are in ``terms.md``.
"""
