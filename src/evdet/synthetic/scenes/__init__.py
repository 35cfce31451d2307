"""Scenes of digits and shapes that move, wait and hide one another."""
