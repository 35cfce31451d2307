"""Builds the sdist and the wheel and checks them as a user meets them: `make release-check`.

Everything happens in a temporary folder: a copy of the files that git knows is built, the wheel is
installed into a fresh environment, whose dependencies are those of this one, and `evdet` runs in an
empty folder. With --final it also asks for what only a release has.
"""

import argparse
import email
import email.message
import os
import re
import shutil
import site
import subprocess
import sys
import tempfile
import tomllib
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PLACEHOLDER = "example.org"
_LINK = re.compile(r"\]\(([^()\s]+)\)")


def main(arguments: list[str]) -> int:
    """Print one line for each check; 1 if one fails."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--final", action="store_true", help="also refuse placeholders")
    parser.add_argument("--output", type=Path, help="folder for the wheel and the sdist")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="release-") as folder:
        faults = list(faults_of_release(Path(folder), is_final=options.final))
        if options.output and not faults:
            options.output.mkdir(parents=True, exist_ok=True)
            for path in (Path(folder) / "dist").iterdir():
                shutil.copy2(path, options.output)
    print("\n".join(f"fault: {fault}" for fault in faults) or "the release is as it should be")
    return 1 if faults else 0


def faults_of_release(folder: Path, *, is_final: bool) -> Iterator[str]:
    """Build in a folder, and say what is wrong."""
    tree, dist = folder / "tree", folder / "dist"
    copy_known_files(tree)
    version = version_in(tree)
    run("builds the sdist, and the wheel of it", "-m", "build", "--outdir", dist, tree)
    run(
        "builds the wheel of the tree", "-m", "build", "--wheel", "--outdir", folder / "again", tree
    )
    wheel, sdist = (next(dist.glob(pattern)) for pattern in ("*.whl", "*.tar.gz"))
    for path in (wheel, sdist):
        print(f"{path.name}: {path.stat().st_size / 1e6:.1f} MB")
    run("asks twine", "-m", "twine", "check", "--strict", wheel, sdist)
    first, second = (contents_of(path) for path in (wheel, next((folder / "again").iterdir())))
    if first != second:
        names = sorted(name for name in first | second if first.get(name) != second.get(name))
        yield f"the wheels of the tree and of the sdist differ in {names}"
    yield from faults_of_files(first, tree)
    metadata = next(text for name, text in first.items() if name.endswith("/METADATA"))
    yield from faults_of_metadata(email.message_from_bytes(metadata), version, is_final=is_final)
    yield from faults_of_version(tree, version)
    yield from faults_of_installation(wheel, folder, version)


def run(doing: str, *words: str | os.PathLike[str]) -> None:
    """Run a module of Python's; ends the program with its output if it fails."""
    print(f"release-check {doing}", flush=True)
    done = subprocess.run([sys.executable, *words], capture_output=True, encoding="utf-8")
    if done.returncode:
        raise SystemExit(
            f"{done.stdout}{done.stderr}\nfault: cannot go on: {' '.join(map(str, words))}"
        )


def copy_known_files(tree: Path) -> None:
    """Copy what git knows or would add: no leftovers of an earlier build."""
    words = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(words, cwd=ROOT, capture_output=True, check=True).stdout
    for name in filter(None, os.fsdecode(names).split("\0")):
        if (ROOT / name).is_file():
            target = tree / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target)


def version_in(tree: Path) -> str:
    """The version that the package states."""
    source = (tree / "src" / "evdet" / "__init__.py").read_text(encoding="utf-8")
    return re.findall(r'^__version__ = "(.+)"$', source, re.M)[0]


def contents_of(wheel: Path) -> dict[str, bytes]:
    """Every file of a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def faults_of_files(files: dict[str, bytes], tree: Path) -> Iterator[str]:
    """The wheel has the files of the package, and names no folder of this machine."""
    source = tree / "src"
    package = [path for path in (source / "evdet").rglob("*") if path.is_file()]
    wanted = {path.relative_to(source).as_posix() for path in package}
    there = {name for name in files if ".dist-info/" not in name}
    if wanted != there:
        missing, others = sorted(wanted - there), sorted(there - wanted)
        yield f"missing in the wheel: {missing}; only in it: {others}"
    own = {str(ROOT), str(Path.home()), str(tree), site.getsitepackages()[0]} - {"/", "/root"}
    for name, content in files.items():
        yield from (f"{name} names {path}" for path in own if path.encode() in content)


def faults_of_metadata(
    metadata: email.message.Message, version: str, *, is_final: bool
) -> Iterator[str]:
    """The description renders anywhere, and the addresses are the project's."""
    if metadata["Version"] != version:
        yield f"the wheel has the version {metadata['Version']}, the package {version}"
    if metadata["Description-Content-Type"] != "text/markdown":
        yield "the description is not Markdown"
    links = _LINK.findall(metadata.get_payload())
    relative = [link for link in links if not link.startswith(("https://", "#"))]
    if relative or not links:
        yield f"links of the description that lead nowhere: {relative}"
    urls = metadata.get_all("Project-URL") or []
    if len(urls) < 5:
        yield f"only {len(urls)} addresses of the project"
    if PLACEHOLDER in f"{urls}{links}":
        text = f"the addresses of [project.urls] in pyproject.toml are placeholders ({PLACEHOLDER})"
        if is_final:
            yield text
        else:
            print(f"note: {text}")


def faults_of_version(tree: Path, version: str) -> Iterator[str]:
    """What else states the version, states this one."""
    if f"\nversion: {version}\n" not in (tree / "CITATION.cff").read_text(encoding="utf-8"):
        yield f"CITATION.cff does not have the version {version}"
    if not re.search(
        rf"^## {re.escape(version)}\b", (tree / "CHANGELOG.md").read_text(encoding="utf-8"), re.M
    ):
        yield f"CHANGELOG.md has no heading of the version {version}"
    project = tomllib.loads((tree / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    if "version" in project:
        yield "pyproject.toml states a version, which src/evdet/__init__.py does already"


def faults_of_installation(wheel: Path, folder: Path, version: str) -> Iterator[str]:
    """The wheel runs in a fresh environment and an empty folder."""
    fresh, empty = folder / "fresh", folder / "empty"
    empty.mkdir()
    venv.create(fresh, with_pip=True)
    programs = fresh / ("Scripts" if os.name == "nt" else "bin")
    python = programs / "python"
    words = ["-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--ignore-installed"]
    installed = subprocess.run([python, *words, wheel], capture_output=True, encoding="utf-8")
    if installed.returncode:
        yield f"the wheel cannot be installed: {installed.stderr}"
        return
    lines = [path for path in sys.path if path and Path(path).name == "site-packages"]
    lines += [line for path in lines for line in others_of(Path(path))]
    place = subprocess.run(
        [python, "-c", "import site; print(site.getsitepackages()[-1])"],
        capture_output=True, encoding="utf-8", check=True,
    ).stdout.strip()  # fmt: skip
    Path(place, "dependencies.pth").write_text("\n".join(lines), encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def evdet(*words: str) -> str:
        print(f"release-check runs evdet {' '.join(words)}", flush=True)
        done = subprocess.run(
            [programs / "evdet", *words],
            cwd=empty, env=environment, capture_output=True, encoding="utf-8",
        )  # fmt: skip
        return done.stdout if done.returncode == 0 else f"status {done.returncode}: {done.stderr}"

    said = evdet("--version").strip()
    if said != f"evdet {version}":
        yield f"evdet --version says {said!r}"
    said = evdet("detect", "sample", "--duration", "1", "--output", "boxes.csv", "boxes.mp4")
    if "written: boxes.csv, boxes.mp4" not in said:
        yield f"evdet detect sample says {said!r}"
    if {path.name for path in empty.iterdir()} != {"boxes.csv", "boxes.mp4"}:
        yield f"evdet detect sample leaves {sorted(path.name for path in empty.iterdir())}"
    if not any(fresh.rglob("evdet/samples/events-digits.ckpt")):
        yield "evdet is not the one of the wheel"


def others_of(folder: Path) -> list[str]:
    """Folders that the .pth files of a folder add, but no editable installation of evdet."""
    found = []
    for path in folder.glob("*.pth"):
        lines = path.read_text(encoding="utf-8").splitlines()
        found += [line for line in lines if line.startswith("/") and Path(line).name != "src"]
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
