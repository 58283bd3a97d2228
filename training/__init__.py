"""Training of GetNet on photographs.

In the order in which they are used: `recipe` (all settings), `sources` and `photographs` (the data), `transforms`,
`outlines`, `anatomy`, `fields` and `pairs` (what a step learns from), `neednet` (the loss, and figures on photographs
held out), `loop` (the training, with `checkpoint` and `record` beside it), `export`. `evaluation` measures what came
out. `gathering` is about the open photographs that the package's weights were trained on.
"""
