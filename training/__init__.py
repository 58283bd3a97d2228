"""Training of GetNet on photographs.

In the order of use: `recipe` (all settings), `sources` and `photographs` (the data), `transforms`, `outlines`,
`anatomy`, `fields` and `pairs` (the inputs of a step), `neednet` (the loss, and figures on held-out photographs),
`loop` (the training, with `checkpoint` and `record`), `export`. `evaluation` measures trained weights. `gathering`
collects the open photographs that the package's weights were trained on.
"""
