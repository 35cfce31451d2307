"""AEDAT4 and ES files, decoded by faery in a process of its own."""
