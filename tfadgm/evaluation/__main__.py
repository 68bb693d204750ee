"""python -m tfadgm.evaluation RUN_DIR --samples 5000: the same as `tfadgm evaluate`."""

import sys

from tfadgm.cli import evaluate, exit_status

if __name__ == "__main__":
    sys.exit(exit_status("tfadgm.evaluation", evaluate))
