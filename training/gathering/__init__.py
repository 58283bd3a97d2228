"""Collect the open photographs that the package's weights were trained on, from clones of their repositories to shards.

`listed` has the list and finds photographs in clones, `shards` writes tar files, `cli` is the command. The licences are
in ``terms.md``.
"""
