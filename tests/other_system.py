"""A program that runs evdet without what Windows or macOS lack: `test_other_systems.py` starts it.

Libraries are loaded first, as those that such a system has; then what it lacks is taken away, and
commands run one after another. This cannot stand in for those systems: it shows that evdet itself
asks for nothing that is missing there.
"""

import importlib
import json
import multiprocessing
import os
import shutil
import signal
import sys
import types
import warnings
from pathlib import Path

LIBRARIES = (
    "av", "concurrent.futures.process", "cv2", "h5py", "hdf5plugin", "jaxtyping", "jinja2",
    "jsonschema", "matplotlib.pyplot", "multiprocessing.popen_spawn_posix", "numba", "PIL.Image",
    "psutil", "pytorch_lightning", "subprocess", "tempfile", "tensorboard.summary", "torch",
    "torch.utils.data", "torch.utils.flop_counter", "torch.utils.tensorboard", "tqdm", "tyro",
    "yaml",
)  # fmt: skip
MODULES = ("fcntl", "grp", "pty", "pwd", "resource", "syslog", "termios", "tty")
MISSING = {
    "win32": {
        os: (
            "O_DIRECTORY", "O_NOFOLLOW", "O_NONBLOCK", "chown", "fork", "geteuid", "getgid",
            "getpgid", "getuid", "killpg", "mkfifo", "nice", "pread", "preadv", "pwrite",
            "sched_getaffinity", "setsid",
        ),
        signal: (
            "SIGALRM", "SIGCHLD", "SIGHUP", "SIGKILL", "SIGPIPE", "SIGUSR1", "SIGXFSZ",
            "SIG_BLOCK", "SIG_SETMASK", "SIG_UNBLOCK", "pthread_sigmask", "setitimer",
            "sigwaitinfo",
        ),
    },
    "darwin": {os: ("sched_getaffinity",), signal: ("sigwaitinfo",)},
}  # fmt: skip


def become(system):
    """Take away what a system (`sys.platform`) lacks."""
    for name in LIBRARIES:
        importlib.import_module(name)
    warnings.filterwarnings("error", category=EncodingWarning, module=r"evdet(\.|$)")
    if system == "win32":
        shutil._use_fd_functions = False
        for name in MODULES:
            sys.modules[name] = None
        # The libraries keep what this system has.
        whole = types.SimpleNamespace(**vars(signal))
        sys.modules["torch.utils.data._utils.signal_handling"].signal = whole
        sys.modules["msvcrt"] = types.SimpleNamespace(locking=lambda *_: None, LK_NBLCK=2)
        for name in ("rename", "replace", "unlink", "remove"):
            setattr(os, name, refuses_open_files(getattr(os, name)))
    multiprocessing.set_start_method("spawn")
    for holder, names in MISSING[system].items():
        for name in names:
            delattr(holder, name)
    sys.platform = system


def refuses_open_files(act):
    """As on Windows: a file that this process holds open is neither renamed nor removed."""

    def checked(path, *others, **names):
        place = os.path.realpath(os.fspath(path)) if "dir_fd" not in names else None
        if place is not None and place in open_files():
            raise PermissionError(13, "The process cannot access the file", os.fspath(path))
        return act(path, *others, **names)

    return checked


def open_files():
    found = set()
    for entry in os.listdir("/proc/self/fd"):
        try:
            found.add(os.readlink(f"/proc/self/fd/{entry}"))
        except OSError:
            continue  # that of the listing itself
    return found


def import_everything():
    import evdet

    source = Path(evdet.__file__).parent
    for path in sorted(source.rglob("*.py")):
        parts = path.relative_to(source.parent).with_suffix("").parts
        importlib.import_module(".".join(parts[:-1] if parts[-1] == "__init__" else parts))


def main(system, commands):
    become(system)
    import_everything()
    from evdet.cli import main as evdet

    for words in commands:
        status = evdet(words)
        if status:
            print(f"evdet {' '.join(words)}: status {status}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], json.loads(sys.argv[2])))
