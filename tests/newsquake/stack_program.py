"""`python stack_program.py DATA_DIR`: a stack with tiny children in place of worker and scheduler, as its own process.

Prints one JSON line with the process ids and addresses once it is up, then runs until a signal.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path

import newsquake.stack.stack
from newsquake.errors import StackError
from newsquake.settings import StackSettings
from newsquake.stack.run import run_stack
from newsquake.stack.stack import Stack

_LOOP = """
import os, time
while True:
    print("child sees", os.environ["NEWSQUAKE_PIPELINE_BROKER"], flush=True)
    time.sleep(1)
"""
CHILD = (sys.executable, "-c", _LOOP)


def commands(workers: int) -> Mapping[str, tuple[str, ...]]:
    return {"worker": CHILD, "scheduler": CHILD}


def tell(stack: Stack) -> None:
    pids = {part.name: part.pid for part in (*stack.servers(), *stack.programs())}
    stack.say("UP " + json.dumps({"pids": pids, "broker": stack.broker, "url": stack.storage_url}))


if __name__ == "__main__":
    newsquake.stack.stack.program_commands = commands
    try:
        code = run_stack(StackSettings(data_dir=Path(sys.argv[1])), on_up=tell)
    except StackError as error:
        sys.stderr.write(f"{error}\n")
        code = error.exit_code
    sys.exit(code)
