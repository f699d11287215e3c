"""Errors of the pipeline.

PipelineError
├── InvalidMessage        bytes that are no valid message: never retried, goes to the dead-letter topic
├── InvalidSource         a file that cannot be read as messages: a mistake of the caller
├── BrokerUnreachable     no Kafka answers: worth a retry
├── TopicsMissing         the topics are not there: run `newsquake topics create`
├── TopicRecreated        a topic was deleted and made anew under a running worker: start again
├── Stuck                 a backlog stands still: the process must be replaced
└── PortInUse             the health port is taken
"""


class PipelineError(Exception):
    """Something between a source and the database went wrong; the message says what to do."""


class InvalidMessage(PipelineError):
    """Bytes that do not decode to a valid message. Retrying cannot help."""


class InvalidSource(PipelineError):
    """A file of messages that cannot be read at all."""


class BrokerUnreachable(PipelineError):
    """No broker answers at the configured address."""


class TopicsMissing(PipelineError):
    """Kafka answers, but the topics that Newsquake reads do not exist."""


class TopicRecreated(PipelineError):
    """A topic has another identity than when this worker started: offsets count in a new log."""


class Stuck(PipelineError):
    """Messages wait and none has been stored for longer than the bound."""


class PortInUse(PipelineError):
    """The health port cannot be listened on."""
