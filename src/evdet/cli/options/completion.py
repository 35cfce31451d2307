"""`evdet completion`: the commands and their options -> a script for the shell's completion."""

import shlex
from dataclasses import dataclass
from typing import Literal

import tyro
from tyro.extras import get_parser

import evdet
from evdet.cli import COMMANDS, load_command

__all__ = ["CompletionOptions", "completion", "options_of"]

_OF_ALL = ("--help", "--debug")
_BASH = """\
# Completion of evdet {version} for {shell}; evdet completion {shell} wrote it.
{start}_evdet() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}}
    local command=${{COMP_WORDS[1]}} words=
    COMPREPLY=()
    if (( COMP_CWORD == 1 )); then
        COMPREPLY=($(compgen -W {commands} -- "$word"))
        return
    fi
    case "$command $before" in
{values}
    esac
    if [[ -z $words && $word == -* ]]; then
        case $command in
{options}
        esac
    fi
    # Without words the shell completes names of files.
    [[ -n $words ]] && COMPREPLY=($(compgen -W "$words" -- "$word"))
}}
complete -o default -o bashdefault -F _evdet evdet
"""
_FISH_START = """\
# Completion of evdet {version} for fish; evdet completion fish wrote it.
complete -c evdet -n __fish_use_subcommand -f -a --help
complete -c evdet -n __fish_use_subcommand -f -a --version
"""


@dataclass(frozen=True, kw_only=True)
class CompletionOptions:
    """Print the script that completes evdet's commands and options in a shell."""

    shell: tyro.conf.Positional[Literal["bash", "zsh", "fish"]]
    """The shell."""


def completion(options: CompletionOptions) -> None:
    """Print the script."""
    print(_fish() if options.shell == "fish" else _bash(options.shell), end="")


def options_of(command: str) -> dict[str, tuple[str, ...]]:
    """The options of a command, each with the values that it can have; none are any.

    Args:
        command: its name.
    """
    _, options_type = load_command(command)
    found: dict[str, tuple[str, ...]] = {}
    for action in get_parser(options_type)._actions:
        # Of several types the order is not that of the code.
        values = tuple(sorted(str(value) for value in action.choices or () if value != "None"))
        found |= {name: values for name in action.option_strings if name.startswith("--")}
    return found | dict.fromkeys(_OF_ALL, ())


def _bash(shell: str) -> str:
    # zsh reads completions of bash.
    start = "autoload -U +X bashcompinit && bashcompinit\n" if shell == "zsh" else ""
    values, options = [], []
    for command in COMMANDS:
        known = options_of(command)
        options.append(f"            {command}) words={shlex.quote(' '.join(known))};;")
        values += [
            f"        {shlex.quote(f'{command} {name}')}) words={shlex.quote(' '.join(choices))};;"
            for name, choices in known.items()
            if choices
        ]
    return _BASH.format(
        version=evdet.__version__,
        shell=shell,
        start=start,
        commands=shlex.quote(" ".join([*COMMANDS, "--help", "--version"])),
        values="\n".join(values),
        options="\n".join(options),
    )


def _fish() -> str:
    lines = []
    for command, (_, _, summary) in COMMANDS.items():
        words = f"-a {command} -d {shlex.quote(summary)}"
        lines.append(f"complete -c evdet -n __fish_use_subcommand -f {words}")
        seen = f"-n '__fish_seen_subcommand_from {command}'"
        for name, choices in options_of(command).items():
            given = f" -x -a {shlex.quote(' '.join(choices))}" if choices else ""
            lines.append(f"complete -c evdet {seen} -l {name[2:]}{given}")
    return _FISH_START.format(version=evdet.__version__) + "\n".join(lines) + "\n"
