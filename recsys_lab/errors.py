"""Every error that recsys-lab raises on purpose.

RecsysLabError
├── ConfigError         a setting is unknown, or its value cannot work
├── DataError           the input data cannot be used
│   ├── SourceError     a file is missing, unreadable or in another format
│   ├── SchemaError     a column is missing, or its values do not parse
│   └── EmptyDataError  nothing is left to work on
├── SplitError          the split asked for does not exist in these data
│   └── LeakError       the audit found the future in the past
├── ModelError          a model cannot be fitted, saved or asked
│   └── NotFittedError  it has to be fitted first
├── RunError            a run folder is missing, unfinished or of other data
└── ExportError         the bundle was not written
    └── ParityError     its answers differ from the model's

A message names the argument, the value and what would work. The command line prints
it as one line and ends with exit code 2; anything else that escapes is a bug.
The server has its own, smaller tree in ``serving_min.errors``.
"""


class RecsysLabError(Exception):
    """The root: catch this to catch every expected failure."""


class ConfigError(RecsysLabError):
    pass


class DataError(RecsysLabError):
    pass


class SourceError(DataError):
    pass


class SchemaError(DataError):
    pass


class EmptyDataError(DataError):
    pass


class SplitError(RecsysLabError):
    pass


class LeakError(SplitError):
    pass


class ModelError(RecsysLabError):
    pass


class NotFittedError(ModelError):
    pass


class RunError(RecsysLabError):
    pass


class ExportError(RecsysLabError):
    pass


class ParityError(ExportError):
    pass
