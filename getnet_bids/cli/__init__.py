"""Command lines: options, messages and exit codes."""
