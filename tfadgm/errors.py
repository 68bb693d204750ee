"""The ways a command ends early, each told in one line."""


class InputError(ValueError):
    """The user's flags, files or data cannot be used; scripts exit with status 2."""


class TrainingError(RuntimeError):
    """Training itself went wrong (a non-finite loss); scripts exit with status 1."""


class VerificationError(RuntimeError):
    """An exported model does not do what it should; scripts exit with status 1."""
