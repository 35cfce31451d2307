"""hf://ORG/NAME: weights on the Hugging Face Hub, or another server with its interface."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evdet.detectors.weights_file import CARD_FILE, CONFIG_FILE, WEIGHTS_FILE

__all__ = ["HubError", "HubName", "download", "hub_name", "shown_name"]

_SCHEME = re.compile(r"hf:/+(.*)")
# A path has one slash where the user typed two.
_NAME = re.compile(r"hf:/+(?P<org>[\w.-]+)/(?P<name>[\w.-]+)(?:@(?P<revision>[^@\s]+))?")
_MAX_REASON = 200


class HubError(ValueError):
    """Weights cannot be downloaded; the message is one line with the reason."""


@dataclass(frozen=True)
class HubName:
    """A repository of a hub."""

    org: str
    """The user or organisation."""
    name: str
    """The repository."""
    revision: str | None = None
    """A branch, tag or commit; None is the main branch."""

    def __str__(self) -> str:
        """The name as the user types it."""
        at = "" if self.revision is None else f"@{self.revision}"
        return f"hf://{self.org}/{self.name}{at}"


def hub_name(path: str | os.PathLike[str]) -> HubName | None:
    """Read a name such as hf://org/name or hf://org/name@v1.

    Args:
        path: the name, or any other path.

    Returns:
        The repository; None for another path.

    Raises:
        HubError: it begins with hf: and is not such a name.
    """
    text = os.fspath(path).replace(os.sep, "/")
    if not _SCHEME.fullmatch(text):
        return None
    match = _NAME.fullmatch(text)
    if match is None:
        raise HubError(
            f"{re.sub('^hf:/+', 'hf://', text)} is not a name on the Hub: write hf://ORG/NAME, or "
            "hf://ORG/NAME@REVISION"
        )
    return HubName(match["org"], match["name"], match["revision"])


def shown_name(path: str | os.PathLike[str]) -> str:
    """A path or a name on the Hub as the user types it."""
    name = hub_name(path)
    return os.fspath(path) if name is None else str(name)


def download(name: HubName) -> Path:
    """Fetch weights, configuration and card, unless the cache of huggingface_hub has them.

    `HF_ENDPOINT`, `HF_TOKEN`, `HF_HOME` and `HF_HUB_OFFLINE` hold, as for every program that uses
    huggingface_hub.

    Args:
        name: the repository.

    Returns:
        The folder in the cache.

    Raises:
        HubError: huggingface_hub is missing, the repository does not exist, needs a permission or
            has no weights, or the server cannot be reached.
    """
    try:
        import huggingface_hub
        from huggingface_hub import errors
    except ImportError as error:
        raise HubError(
            f"{name} needs huggingface_hub, which is missing: pip install 'evdet[hub]', or "
            "download the folder yourself and name it"
        ) from error
    try:
        folder = Path(
            huggingface_hub.snapshot_download(
                f"{name.org}/{name.name}",
                revision=name.revision,
                allow_patterns=[WEIGHTS_FILE, CONFIG_FILE, CARD_FILE],
            )
        )
    # The errors of its network library have no base class in common with its own.
    except Exception as error:
        raise HubError(f"{name} {_reason(error, errors)}") from error
    missing = [one for one in (WEIGHTS_FILE, CONFIG_FILE) if not (folder / one).is_file()]
    if missing:
        raise HubError(
            f"{name} has no {missing[0]}: it does not hold weights that `evdet export` wrote"
        )
    return folder


def _reason(error: Exception, errors: Any) -> str:
    if isinstance(error, errors.GatedRepoError):
        return (
            "is gated: accept its conditions on its page, then log in (hf auth login) or "
            "set HF_TOKEN"
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return "does not exist: the repository has no such branch, tag or commit"
    if isinstance(error, errors.RepositoryNotFoundError):
        return (
            "does not exist, or is private: check the name, or log in (hf auth login) or "
            "set HF_TOKEN"
        )
    if isinstance(error, (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled)):
        return (
            "cannot be downloaded, and the cache has no copy: the server cannot be reached, or "
            "HF_HUB_OFFLINE is set. Download the folder elsewhere and name it"
        )
    first = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
    return f"cannot be downloaded: {first[:_MAX_REASON]}"
