# SPDX-License-Identifier: BSD-3-Clause
"""SO_LINGER with a time: close() waits until what was written has arrived, or the time is over."""
import socket

import pytest
from weirtest import KERNEL_ADDR, receive_all, wait_until

BYTES = 60000

PROGRAM = """
import ctypes, os, socket, struct, sys, time
c = socket.create_connection((sys.argv[1], 7000))
c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, int(sys.argv[2])))
c.sendall(b"x" * int(sys.argv[3]))
c.setblocking(sys.argv[4] == "blocking")
before = time.monotonic()
if sys.argv[5] == "close":
    c.close()
elif sys.argv[5] == "dup2":
    os.dup2(os.open("/dev/null", os.O_RDWR), c.detach())
else:
    fd = c.detach()
    ctypes.CDLL(None).close_range(fd, fd + 10, 0)
print("closed", time.monotonic() - before, flush=True)
"""


def start(weir, seconds, how, call="close"):
    """The program, and the kernel's end of its connection, which nobody reads."""
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        server.bind((KERNEL_ADDR, 7000))
        server.listen()
        server.settimeout(20)
        program = weir.script(PROGRAM, KERNEL_ADDR, str(seconds), str(BYTES), how, call)
        return program, server.accept()[0]


def closing(weir):
    return any(s["state"].startswith("FIN") for s in weir.sockets())


def waits(weir, how, call="close"):
    program, connection = start(weir, 60, how, call)
    with connection:
        wait_until(lambda: closing(weir), "the program closes")
        assert program.running() and "closed" not in program.log()
        assert receive_all(connection)[1] == BYTES
        assert float(program.done(20).split()[1]) < 30


def test_waits(weir):
    waits(weir, "blocking")


def test_waits_though_not_blocking(weir):
    waits(weir, "not")


@pytest.mark.parametrize("call", ["dup2", "close_range"])
def test_waits_in_other_calls(weir, call):
    """What closes a descriptor by the way waits as close() does."""
    waits(weir, "blocking", call)


def test_the_time_is_over(weir):
    """The connection goes on without the program."""
    program, connection = start(weir, 1, "blocking")
    with connection:
        assert 0.9 < float(program.done(20).split()[1]) < 10
        assert receive_all(connection)[1] == BYTES
