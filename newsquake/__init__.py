"""The command line and the one-machine stack."""

from importlib.metadata import version

__version__ = version("newsquake")
