"""Install both builds of OpenCV in both orders, each in a fresh environment, and say what loads.

    python tests/opencv_installs.py

Not a test: pip fetches the wheels. The versions are those of constraints.txt.
"""

import subprocess
import sys
import tempfile
import venv
from pathlib import Path

CONSTRAINTS = Path(__file__).parent.parent / "constraints.txt"
GUI, HEADLESS = "opencv-python", "opencv-python-headless"
SHOW = """
import cv2, numpy
cv2.rectangle(numpy.zeros((9, 9, 3), numpy.uint8), (1, 1), (5, 5), (255, 0, 0))
windows = [line.split()[1] for line in cv2.getBuildInformation().splitlines() if "GUI:" in line]
print("OpenCV", cv2.__version__, "windows:", *windows)
"""


def main() -> int:
    """Try both orders.

    Returns:
        1 where something does not load that should, else 0.
    """
    lines = CONSTRAINTS.read_text().splitlines()
    pinned = {line.split("==")[0]: line for line in lines if "==" in line}
    good = True
    for order in ((HEADLESS, GUI), (GUI, HEADLESS)):
        with tempfile.TemporaryDirectory() as folder:
            venv.create(folder, with_pip=False)
            python = Path(folder, "bin", "python")
            for name in ("numpy", *order):
                pip(python, "install", "--no-deps", pinned[name])
            good &= says(python, f"{order[0]}, then {order[1]}")
            pip(python, "uninstall", "--yes", GUI)
            says(python, f"  without {GUI} again")  # it took the files of both with it
            pip(python, "install", "--force-reinstall", "--no-deps", pinned[HEADLESS])
            good &= says(python, f"  {HEADLESS} anew")
    return 0 if good else 1


def pip(python: Path, *words: str) -> None:
    command = [sys.executable, "-m", "pip", "--python", str(python), "--quiet", *words]
    subprocess.run(command, check=True)


def says(python: Path, what: str) -> bool:
    done = subprocess.run([python, "-c", SHOW], capture_output=True, text=True)
    print(f"{what}: {(done.stdout or done.stderr).strip().splitlines()[-1]}", flush=True)
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
