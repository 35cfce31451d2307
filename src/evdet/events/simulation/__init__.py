"""Frames -> events: a sensor with contrast thresholds."""
