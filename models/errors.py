"""What can go wrong in the classifier, each told in one line that says what to do.

ModelError
├── CheckpointError     a checkpoint is missing, incomplete or of another kind
├── DataError           a labelled file cannot be read, or a row in it is wrong
├── SettingsError       a device, precision or number that this machine or the classifier cannot take
└── TrainingError       training started and could not go on (loss not finite, state of another run)
"""


class ModelError(Exception):
    """Root of every error this package raises on purpose."""


class CheckpointError(ModelError):
    """A checkpoint could not be loaded or written."""


class DataError(ModelError):
    """A labelled file could not be read, or holds a row that cannot be used."""


class SettingsError(ModelError):
    """A setting asks for what is not there."""


class TrainingError(ModelError):
    """Training began and cannot continue."""
