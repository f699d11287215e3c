"""Structured logs on stderr: JSON lines for machines, coloured lines on a terminal. Our own and the libraries'."""

import logging
import sys

import structlog

_NOISY = ("aiokafka", "faust", "mode", "apscheduler", "alembic", "urllib3", "httpx", "apprise", "matplotlib")
_REPEATED = ("kafka",)  # logs what it raises as well, attempt by attempt


def set_up_logs(*, verbose: bool = False) -> None:
    """Send structlog and the standard library's logging to stderr, with UTC times."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    terminal = sys.stderr.isatty()
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer() if terminal else structlog.processors.JSONRenderer(ensure_ascii=False)
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    final: list[structlog.typing.Processor] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    if not terminal:
        final.append(structlog.processors.format_exc_info)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[*final, renderer]))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.DEBUG if verbose else logging.INFO)
    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.INFO if verbose else logging.WARNING)
    for name in _REPEATED:
        logging.getLogger(name).setLevel(logging.INFO if verbose else logging.CRITICAL)
