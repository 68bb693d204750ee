"""Hyperparameter search with Keras Tuner: python -m tuner --help."""

import os

os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # read when gRPC is imported; a chief that is away is told in one line
