"""Bytes as they arrive -> time bins."""
