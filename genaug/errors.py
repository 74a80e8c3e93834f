"""The errors and warnings of genaug. Every message says what is wrong, what was expected and what to do."""

from genaug.escaping import one_line


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an allocation failed, on the CPU or a GPU. torch's errors are recognized without importing torch."""
    if isinstance(error, RuntimeError):
        texts = "OutOfMemoryError", "can't allocate memory", "not enough memory"
        return any(text in f"{type(error).__name__}: {error}" for text in texts)
    return isinstance(error, MemoryError)


class GenaugError(Exception):
    """Base class of all errors that genaug raises on purpose. The message is one line, with unprintable characters
    escaped."""

    def __str__(self) -> str:
        return one_line(super().__str__())


class InputError(GenaugError, ValueError):
    """An argument, a dataset or a source can't be used as requested."""


class MissingSplitError(InputError):
    """A dataset doesn't have the requested split."""


class PluginError(GenaugError):
    """A backend is missing, broken, blocked, or registered twice."""


class FormatError(GenaugError):
    """A file of a generator, a run or a report is damaged, truncated, not genaug's, or of an unknown format version."""


class FormatWarning(UserWarning):
    """Part of a file is damaged and was ignored; the rest is used."""


class ReadError(GenaugError, OSError):
    """A file or path can't be read (no permission, name too long, disk error)."""


class HubError(GenaugError):
    """The Hub can't be reached, rejects a request, or sends damaged data. Incomplete downloads are never used."""


class NotOnHubError(HubError):
    """The Hub has no such repo, or not for this user; offline, the cache doesn't have it."""


class HubWarning(UserWarning):
    """Something about the Hub or a repo that the user should know; the request succeeded."""


class OutputExistsError(GenaugError, FileExistsError):
    """The output path already exists; nothing was changed."""


class SaveError(GenaugError, OSError):
    """Writing failed (disk full, no permission); existing files are unchanged."""


class DataWarning(UserWarning):
    """Something about a dataset or its classes is worth checking; the dataset is used."""


class BlendWarning(UserWarning):
    """Something about a blend is worth checking; the blend is used."""


class TrainingWarning(UserWarning):
    """Something about a training run is worth checking; the run continues."""


class TrainingError(GenaugError):
    """Training had to stop: a run failed (the message says where its last good state is), or a classifier's loss is no
    longer finite."""
