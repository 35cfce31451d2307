"""Label files <-> box events: one module a format, the classes, which boxes are used."""
