"""One draw a clip: flips, zooms, noise and more, boxes included."""
