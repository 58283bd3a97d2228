"""Training of GetNet on photographs.

In the order in which they are used: `recipe` (all settings), `sources` (with `parquet`), `decode`, `cache` and
`photographs` (the data, `on_device` if a GPU has room for them), `smooth`, `transforms`, `outlines`, `anatomy`,
`acquisition`, `fields`, `pairs` and `batches` (what a step learns from), `neednet` (the loss), `loop` (the training,
with `checkpoint`, `progress`, `record` and `curves` beside it), `validation`, `export` and `card`. `evaluation`
measures what came out. `gathering` is about the open photographs that the package's weights were trained on.
"""
