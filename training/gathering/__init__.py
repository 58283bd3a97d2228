"""The open photographs that the package's weights were trained on, from clones of their repositories to shards.

`listed` (what they are, and where to fetch them), `clones` (which of them are there), `shards` (tar files of them) and
`cli`. Their licences are in ``terms.md``.
"""
