"""Everything about methods other than GetNet: their table, their run, the files of their results."""
