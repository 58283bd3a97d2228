"""Training of GetNet on photographs.

In the order in which they are used: `recipe` (all settings), `sources`, `decode`, `cache` and `photographs` (the
data, `on_device` if a GPU has room for them), `smooth`, `transforms`, `outlines`, `anatomy`, `acquisition`, `fields`,
`pairs` and `batches` (what a step learns from), `neednet` (the loss), `loop` (the
training, with `checkpoint`, `signals`, `journal`, `progress` and `record` beside it), `validation`, `export` and
`card`. `brainweb`, `table1` and `figure2` measure what came out.
"""
