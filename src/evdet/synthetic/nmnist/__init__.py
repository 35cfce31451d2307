"""Digits recorded by a real sensor, and scenes made of them."""
