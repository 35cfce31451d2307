"""The events of a time bin -> one dense frame, on the CPU and on an accelerator."""
