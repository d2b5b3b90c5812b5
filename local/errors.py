"""What can go wrong here, as sentences for the person at the keyboard.

LocalError
├── EmulatorError       the emulator did not start, or ended
├── BuildError          an artefact could not be built
├── DeploymentError     the template could not be deployed
├── TemplateMismatch    the emulator holds something else than the template says
└── ServiceError        the deployed service refused or failed
"""

from __future__ import annotations


class LocalError(Exception):
    """Shown to the user as it is: one clear sentence, more lines only where they help."""


class EmulatorError(LocalError):
    """The emulator did not start, or ended."""


class BuildError(LocalError):
    """An artefact could not be built."""


class DeploymentError(LocalError):
    """The template could not be deployed."""


class TemplateMismatch(LocalError):
    """The emulator holds something else than the template says."""


class ServiceError(LocalError):
    """The deployed service refused or failed."""
