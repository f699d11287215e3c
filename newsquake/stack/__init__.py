"""The one-machine stack: real servers, the worker and the scheduler, started, watched, restarted and ended together."""
