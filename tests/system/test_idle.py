# SPDX-License-Identifier: BSD-3-Clause
"""An idle weir costs next to nothing, also with programs on it that wait."""
import os
import select
import time

import pytest
from weirtest import cpu_seconds

WINDOW_S = 4.0


def share_of_a_core(process):
    """CPU time over a window of real time, which is what is measured; poll() would end it early if
    the process ended."""
    before, began = cpu_seconds(process.pid), time.monotonic()
    poll = select.poll()
    pidfd = os.pidfd_open(process.pid)
    poll.register(pidfd, select.POLLIN)
    try:
        assert not poll.poll(WINDOW_S * 1000), process.log()
    finally:
        os.close(pidfd)
    return (cpu_seconds(process.pid) - before) / (time.monotonic() - began)


@pytest.mark.parametrize("programs", [False, True], ids=["alone", "with-programs"])
def test_idle(weir, programs):
    watched = [weir.daemon]
    if programs:
        watched += [weir.nginx(), weir.redis()]
    for process in watched:
        share = share_of_a_core(process)
        assert share < 0.01, f"{process.name} uses {share:.2%} of a core when idle"
