"""Training: from a configuration and data to a trained model, checkpointed on the way."""
