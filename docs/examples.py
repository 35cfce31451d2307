"""Lets the pages of the API show the examples of docstrings as listings, while the site is built.

mkdocstrings knows a section `Examples:`; evdet's docstrings, and the style guide they follow, have
`Example:`, which it would show as running text.
"""

from typing import Any

import griffe

__all__ = ["ExampleSections"]


class ExampleSections(griffe.Extension):
    """Renames the section in every docstring, before it is parsed."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Called for each module, class, function and attribute."""
        if obj.docstring is not None:
            lines = obj.docstring.value.split("\n")
            obj.docstring.value = "\n".join(
                "Examples:" if line == "Example:" else line for line in lines
            )
