"""What only a GPU can show: every check in one command, `make accelerator`."""
