"""`evdet completion`: the commands and their options -> a script for the shell's completion."""

import shlex
from dataclasses import dataclass, is_dataclass
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import tyro

import evdet
from evdet.cli import COMMANDS, load_command
from evdet.cli.options.parsing import named

__all__ = ["CompletionOptions", "completion", "options_of"]

# The marks of tyro that decide whether a field is an option, and whether it has an opposite.
_POSITIONAL = get_args(tyro.conf.Positional[int])[1]
_FLAG = get_args(tyro.conf.FlagCreatePairsOff[bool])[1]
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
    return _options_in(options_type) | dict.fromkeys(_OF_ALL, ())


def _options_in(options_type: Any) -> dict[str, tuple[str, ...]]:
    """The options of a dataclass and of its groups, as tyro names them."""
    found: dict[str, tuple[str, ...]] = {}
    for name, hint in get_type_hints(options_type, include_extras=True).items():
        kind, *marks = get_args(hint) if get_origin(hint) is Annotated else (hint,)
        if is_dataclass(kind):
            found |= _options_in(kind)
        elif _POSITIONAL not in marks and tyro.conf.Positional not in marks:
            aliases = (alias for mark in marks for alias in getattr(mark, "aliases", None) or ())
            found |= dict.fromkeys([named(name), *aliases], _choices(kind))
            if kind is bool and _FLAG not in marks and tyro.conf.FlagCreatePairsOff not in marks:
                found[f"--no-{named(name)[2:]}"] = ()
    return found


def _choices(kind: Any) -> tuple[str, ...]:
    """The values of a type that lists them; also where None, or several, are allowed."""
    if get_origin(kind) is Literal:
        return tuple(str(value) for value in get_args(kind))
    return tuple(value for part in get_args(kind) for value in _choices(part))


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
