"""The single-shot detector: features with memory, anchors, heads, loss."""
