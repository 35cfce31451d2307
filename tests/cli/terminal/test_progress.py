import subprocess
import sys

NOTEBOOK = """
import sys, types, warnings

warnings.simplefilter("error")
ipython = types.ModuleType("IPython")
ipython.get_ipython = lambda: types.SimpleNamespace(config={"IPKernelApp": {}})
sys.modules["IPython"] = ipython  # as in a notebook
sys.modules["ipywidgets"] = None  # not installed
sys.modules["IPython.html.widgets"] = None

from evdet.cli.terminal import tqdm

print(list(tqdm(range(3), leave=False)))
"""


def test_a_notebook_without_widgets_has_a_line_and_no_warning():
    done = subprocess.run([sys.executable, "-c", NOTEBOOK], capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[0, 1, 2]"
    assert "Warning" not in done.stderr
