"""Exports a trained run for TF Serving: python export.py --help."""

import sys

from tfadgm.cli import exit_status, export

if __name__ == "__main__":
    sys.exit(exit_status("export.py", export))
