"""What genaug raises. Every message says what was wrong, what was expected and what to do."""


class GenaugError(Exception):
    """Base of all errors that genaug raises on purpose."""


class InputError(GenaugError, ValueError):
    """An argument, a dataset or a source that can't be used as asked."""


class MissingSplitError(InputError):
    """A dataset that doesn't have the split asked for."""


class PluginError(GenaugError):
    """A backend that is missing, broken, blocked, or registered twice."""


class FormatError(GenaugError):
    """A saved generator that is damaged, truncated, foreign or of an unknown format version."""


class HubError(GenaugError):
    """The Hub can't be reached, refuses, or gives something damaged. No partial download is ever used."""


class NotOnHubError(HubError):
    """There is no such repo on the Hub, or none that one may see; offline, none in the cache."""


class HubWarning(UserWarning):
    """The Hub gave an answer that its user should know about; what was asked for is there."""


class OutputExistsError(GenaugError, FileExistsError):
    """The place to write to holds something already; nothing was touched."""


class SaveError(GenaugError, OSError):
    """Writing failed (disk full, no permission); what stood there before is unchanged."""


class DataWarning(UserWarning):
    """Something about a dataset or its classes that its owner should look at; it is used."""


class BlendWarning(UserWarning):
    """Something about a blend that its owner should look at; the blend is made."""


class TrainingWarning(UserWarning):
    """Something about a training run that its owner should look at; the run goes on."""


class TrainingError(GenaugError):
    """A training run that had to stop; the message says where the last good state lies."""
