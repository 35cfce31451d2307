"""The description of the built package: README.md with links that work on a package index, too.

Everything else about the package is in pyproject.toml.
"""

import re
import tomllib
from pathlib import Path

from setuptools import setup

ROOT = Path(__file__).parent


def described(readme: str, *, repository: str, tag: str) -> str:
    """Make the links of a Markdown page absolute: those to pictures, and those to files.

    Args:
        readme: the page.
        repository: address of the repository, from [project.urls].
        tag: of the version in the repository.
    """

    def absolute(link: re.Match[str]) -> str:
        mark, text, target = link.groups()
        if re.match(r"[a-z]+:|#", target):
            return link[0]
        kind = "raw" if mark else "blob"
        return f"{mark}[{text}]({repository}/{kind}/{tag}/{target})"

    # The text of a link may be that of a picture, but holds no other link.
    return re.sub(r"(!?)\[([^\[\]]*)\]\(([^()\s]+)\)", absolute, readme)


def version() -> str:
    """The version, which only src/evdet/__init__.py states."""
    source = (ROOT / "src" / "evdet" / "__init__.py").read_text(encoding="utf-8")
    found = re.search(r'^__version__ = "(.+)"$', source, re.M)
    if found is None:
        raise ValueError("src/evdet/__init__.py states no __version__")
    return found[1]


if __name__ == "__main__":
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    setup(
        long_description=described(
            (ROOT / "README.md").read_text(encoding="utf-8"),
            repository=project["urls"]["Repository"],
            tag=f"v{version()}",
        ),
        long_description_content_type="text/markdown",
    )
