"""A worker whose event loop hangs ends by itself and says where every thread stood; one that was stopped goes on."""

import subprocess
import sys
import time

PROGRAM = """
import asyncio, os, signal, subprocess, sys, time
from pipeline.watchdog import Watchdog

async def main():
    watchdog = Watchdog(bound=1)
    watchdog.start()
    beat = asyncio.create_task(watchdog.beat())
    await asyncio.sleep(2.5)
    print("lives", flush=True)
    if sys.argv[1] == "hang":
        stuck_in_here()
    if sys.argv[1] == "stop":
        counted, passed = watchdog.clock(), time.monotonic()
        subprocess.Popen(["sh", "-c", f"sleep 5; kill -CONT {os.getpid()}"])
        os.kill(os.getpid(), signal.SIGSTOP)
        print(time.monotonic() - passed, watchdog.clock() - counted)
        await asyncio.sleep(1)
        print(time.monotonic() - passed, watchdog.clock() - counted)
    watchdog.stop()

def stuck_in_here():
    time.sleep(30)

asyncio.run(main())
"""


def run(mode: str) -> tuple[int, str, str, float]:
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, mode], capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, done.stdout, done.stderr, time.monotonic() - began


def test_a_hanging_event_loop_ends_the_process_with_all_stacks() -> None:
    code, out, err, seconds = run("hang")
    assert code == 1 and seconds < 20
    assert "lives" in out, "while the loop turns, it is left alone"
    assert "event_loop_hangs" in out + err
    assert "stuck_in_here" in err and "_watch" in err


def test_a_loop_that_turns_is_left_alone() -> None:
    code, out, _, _ = run("calm")
    assert code == 0 and "lives" in out


def test_seconds_in_which_the_process_was_stopped_do_not_count() -> None:
    code, out, _, _ = run("stop")
    assert code == 0
    for line in out.splitlines()[1:]:
        passed, counted = map(float, line.split())
        assert passed > 4.5 and passed - counted > 2.5
