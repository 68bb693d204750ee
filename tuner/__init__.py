"""Search for a good configuration with Keras Tuner: python -m tuner --help."""
