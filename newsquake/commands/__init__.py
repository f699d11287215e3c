"""The commands, one file a noun. Heavy imports stand inside the commands, so that `--help` answers at once."""
