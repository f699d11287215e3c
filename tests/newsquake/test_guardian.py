"""The guardian: children end with the process that had them, however it ends."""

import os
import signal
import subprocess
import sys
import time

from newsquake.stack.guardian import Guardian, end_all, start_mark

SLEEPER = (sys.executable, "-c", "import time\ntime.sleep(60)")
STUBBORN = (
    sys.executable,
    "-c",
    "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint(1, flush=True)\ntime.sleep(60)",
)


def test_closing_the_pipe_ends_the_children() -> None:
    guardian = Guardian()
    child = subprocess.Popen(SLEEPER, start_new_session=True)
    guardian.watch(child.pid, signal.SIGTERM)
    guardian.close()
    assert child.wait(1) == -signal.SIGTERM


def test_a_child_that_ignores_sigterm_is_killed() -> None:
    with subprocess.Popen(STUBBORN, start_new_session=True, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        end_all([(child.pid, signal.SIGTERM, start_mark(child.pid))], grace=0.2)
        assert child.wait(1) == -signal.SIGKILL


def test_a_process_that_took_over_an_id_is_left_alone() -> None:
    with subprocess.Popen(SLEEPER, start_new_session=True) as bystander:
        end_all([(bystander.pid, signal.SIGTERM, "started at another time")], grace=0.1)
        time.sleep(0.1)
        assert bystander.poll() is None
        bystander.kill()


def test_a_signal_to_everyone_does_not_end_the_guardian_first() -> None:
    guardian = Guardian()
    child = subprocess.Popen(SLEEPER, start_new_session=True)
    guardian.watch(child.pid, signal.SIGTERM)
    time.sleep(0.3)
    os.kill(guardian.pid, signal.SIGTERM)
    guardian.close()
    assert child.wait(1) == -signal.SIGTERM


def test_a_guardian_killed_by_hand_does_not_disturb_its_stack() -> None:
    guardian = Guardian()
    os.kill(guardian.pid, signal.SIGKILL)
    time.sleep(0.1)
    guardian.watch(os.getpid(), signal.SIGTERM)
    guardian.close()
