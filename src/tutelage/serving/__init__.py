"""Models that answer people."""
