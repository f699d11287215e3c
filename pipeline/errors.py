"""Errors of the pipeline.

PipelineError
├── InvalidMessage           bytes that are no valid message: never retried, goes to the dead-letter topic
├── InvalidSource            a file that cannot be read as messages: a mistake of the caller
├── BrokerUnreachable        no Kafka answers: worth a retry
├── TopicsMissing            the topics are not there: run `newsquake topics create`
├── TopicRecreated           a topic was deleted and made anew under a running worker: start again
├── Stuck                    a backlog stands still, or its reading does not begin: the process must be replaced
├── PortInUse                the health port is taken
├── DeadLetterMissing        no dead letter stands at the offset that was asked for: a mistake of the caller
└── DeadLetterLimitReached   too many messages are invalid to go on: the worker stops, nothing more is acknowledged
"""

from pipeline.reasons import Reason


class PipelineError(Exception):
    """Something between a source and the database went wrong; the message says what to do."""


class InvalidMessage(PipelineError):
    """Bytes that do not decode to a valid message, or a document that cannot be stored. Retrying cannot help."""

    def __init__(self, reason: Reason, sentence: str) -> None:
        super().__init__(reason, sentence)
        self.reason = reason
        self._sentence = sentence

    def __str__(self) -> str:
        return self._sentence


class InvalidSource(PipelineError):
    """A file of messages that cannot be read at all."""


class BrokerUnreachable(PipelineError):
    """No broker answers at the configured address."""


class TopicsMissing(PipelineError):
    """Kafka answers, but the topics that Newsquake reads do not exist."""


class TopicRecreated(PipelineError):
    """A topic has another identity than when this worker started: offsets count in a new log."""


class Stuck(PipelineError):
    """Messages wait, and for longer than the bound none has been stored, or it is not known where to read them."""


class PortInUse(PipelineError):
    """The health port cannot be listened on."""


class DeadLetterMissing(PipelineError):
    """The dead-letter topic has no letter at that offset: there never was one, or retention has removed it."""


class DeadLetterLimitReached(PipelineError):
    """A partition brings more invalid messages than are worth dead-lettering: a producer or this release is broken.

    Never retried in the process: it must end, and a person must look. The messages are still in Kafka.
    """
