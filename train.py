"""Trains a classifier from a few labels and many unlabeled examples: python train.py --help."""

import sys

from tfadgm.cli import exit_status, train

if __name__ == "__main__":
    sys.exit(exit_status("train.py", train))
