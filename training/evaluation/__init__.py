"""How good weights are on images with known fields: `brainweb`, `heads`, `table1`, `figure2` and the command line."""
