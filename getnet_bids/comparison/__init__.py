"""Everything about methods other than GetNet: the table of methods, their run, and the files of their results."""
