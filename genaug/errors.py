"""What genaug raises. Every message says what was wrong, what was expected and what to do."""

from genaug.escaping import one_line


def is_out_of_memory(error: BaseException) -> bool:
    """Whether there was too little memory, on the CPU or a GPU (torch's errors are told by name, without torch)."""
    if isinstance(error, RuntimeError):
        named = type(error).__name__ == "OutOfMemoryError"
        return named or any(words in str(error) for words in ("can't allocate memory", "not enough memory"))
    return isinstance(error, MemoryError)


class GenaugError(Exception):
    """Base of all errors that genaug raises on purpose. The message is one line; odd characters in it are escaped."""

    def __str__(self) -> str:
        return one_line(super().__str__())


class InputError(GenaugError, ValueError):
    """An argument, a dataset or a source that can't be used as asked."""


class MissingSplitError(InputError):
    """A dataset that doesn't have the split asked for."""


class PluginError(GenaugError):
    """A backend that is missing, broken, blocked, or registered twice."""


class FormatError(GenaugError):
    """A file that is damaged, truncated, foreign or of an unknown format version: a generator, a run, a report."""


class FormatWarning(UserWarning):
    """A part of a file is damaged and was left out; the rest is used."""


class ReadError(GenaugError, OSError):
    """Reading a file or looking up a path failed (no permission, too long a name, a bad disk)."""


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
    """A training that had to stop or went nowhere: a run, whose message says where the last good state lies, or a
    classifier whose loss is no longer finite."""
