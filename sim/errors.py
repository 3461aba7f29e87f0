"""Errors of the simulator: what the user got wrong, each with where it is and what would be right."""


class SimError(Exception):
    """Base of all errors that the simulator raises on purpose."""


class ScenarioError(SimError):
    """The scenario is wrong; the message names file, key and the allowed values."""


class PortError(SimError):
    """A port, run directory or address cannot be had; the message names it and says what to do."""


class UnknownMeter(SimError):
    """A request named a meter that this estate does not have."""


class RecordingError(SimError):
    """A recording cannot be written, read or understood; the message names the file."""
