"""How runs differ."""
