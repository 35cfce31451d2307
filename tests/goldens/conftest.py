"""Nothing here is a test: `python tests/goldens` runs it."""

collect_ignore_glob = ["*.py"]
