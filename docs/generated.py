"""Fills in what the reference takes from the code, while the site is built.

A marker `<!-- help of evdet NAME -->` becomes what the command prints, and
`<!-- fields of the configuration -->` a table of every group of fields.
"""

import ast
import contextlib
import io
import itertools
import os
import re
import tomllib
from pathlib import Path
from typing import Any

from evdet import config
from evdet.cli import main
from evdet.config import fields

_WIDTH = "84"
"""Columns of a listing on a page."""

_PLACEHOLDER = "example.org"


def on_config(config: Any) -> None:
    """Link to the repository that pyproject.toml names, and let `mike` show a list of versions."""
    project = tomllib.loads(Path(config.config_file_path).with_name("pyproject.toml").read_text())
    address = project["project"]["urls"]["Repository"]
    if _PLACEHOLDER not in address:
        config.repo_url = address
    if "MIKE_DOCS_VERSION" in os.environ:
        config.extra["version"] = {"provider": "mike"}


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace the markers of a page."""
    markdown = re.sub(
        r"^<!-- help of evdet (\w+) -->$", lambda found: _help_of(found[1]), markdown, flags=re.M
    )
    return markdown.replace("<!-- fields of the configuration -->", _field_tables())


def _help_of(command: str) -> str:
    os.environ["COLUMNS"] = _WIDTH
    text = io.StringIO()
    with contextlib.redirect_stdout(text), contextlib.suppress(SystemExit):
        main([command, "--help"])
    return f"```text\n{text.getvalue().strip()}\n```"


def _field_tables() -> str:
    source = Path(fields.__file__).read_text()
    tree = ast.parse(source)
    body = next(
        node.body
        for node in tree.body
        if isinstance(node, ast.ClassDef) and node.name == "DetectionConfig"
    )
    groups = dict(re.findall(r"^    # --- (.*) ---\n    (\w+):", source, re.M))
    titles = {field: title for title, field in groups.items()}
    lines = []
    for field, text in itertools.pairwise(body):
        if not isinstance(field, ast.AnnAssign) or not isinstance(text, ast.Expr):
            continue
        name = ast.unparse(field.target)
        if name in titles:
            title = titles[name]
            lines.append(f"\n## {title if '_' in title else title.capitalize()}\n")
            lines += ["| field | type | default | meaning |", "|---|---|---|---|"]
        default = getattr(config.DetectionConfig, name)
        meaning = " ".join(ast.literal_eval(text.value).split()).replace("|", "\\|")
        kind = ast.unparse(field.annotation).replace("|", "\\|")
        lines.append(f"| `{name}` | `{kind}` | `{default!r}` | {meaning} |")
    return "\n".join(lines)
