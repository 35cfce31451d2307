import shutil
import subprocess

import pytest

from evdet.cli import COMMANDS, main
from evdet.cli.options.completion import options_of

BASH = shutil.which("bash")


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    import contextlib
    import io

    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        assert main(["completion", "bash"]) == 0
    path = tmp_path_factory.mktemp("completion") / "evdet.bash"
    path.write_text(printed.getvalue())
    return path


def completed(script, *words):
    """What bash offers for the last of the words."""
    typed = " ".join(f"'{word}'" for word in ("evdet", *words))
    asked = (
        f"source {script}; COMP_WORDS=({typed}); COMP_CWORD={len(words)}; _evdet; "
        'printf "%s\\n" "${COMPREPLY[@]}"; complete -p evdet'
    )
    done = subprocess.run([BASH, "-c", asked], capture_output=True, text=True, check=True)
    *offered, registered = done.stdout.split("\n")[:-1]
    assert registered == "complete -o bashdefault -o default -F _evdet evdet"
    return [word for word in offered if word]


@pytest.mark.skipif(BASH is None, reason="needs bash")
def test_bash_completes_commands_options_and_values(script):
    subprocess.run([BASH, "-n", script], check=True)
    assert completed(script, "det") == ["detect"]
    assert completed(script, "") == [*COMMANDS, "--help", "--version"]
    assert completed(script, "detect", "--track-t") == ["--track-thresh"]
    assert completed(script, "detect", "a.raw", "--tracker", "by") == ["bytetrack"]
    assert completed(script, "score", "--protocol", "rvt-1") == ["rvt-1mpx"]
    assert completed(script, "detect", "dri") == []  # names of files
    assert completed(script, "nonsense", "--x") == []


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_have_a_script_too(capsys, shell):
    assert main(["completion", shell]) == 0
    text = capsys.readouterr().out
    assert all(command in text for command in COMMANDS)
    if shutil.which(shell):
        done = subprocess.run([shell, "-n"], input=text, text=True, capture_output=True)
        assert done.returncode == 0, done.stderr


def test_every_command_has_help_among_its_options():
    for command in COMMANDS:
        assert {"--help", "--debug"} <= options_of(command).keys()
