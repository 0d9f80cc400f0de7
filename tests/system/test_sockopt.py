# SPDX-License-Identifier: BSD-3-Clause
"""Socket options of TCP: one program asks the kernel and weir the same questions, and the answers
must be the same: which values are taken, with which error the others are refused, what is given
back."""
import subprocess

import pytest
from weirtest import PYTHON

ASK = """
import errno, socket, struct, sys
T, S, I = socket.IPPROTO_TCP, socket.SOL_SOCKET, socket.IPPROTO_IP
OPTIONS = [
    ("TCP_NODELAY", T, 1, [0, 1, 2, -1]), ("TCP_CORK", T, 3, [0, 1, 5]),
    ("TCP_MAXSEG", T, 2, [0, 1, 87, 88, 1000, 32767, 32768, -1]),
    ("TCP_KEEPIDLE", T, 4, [0, 1, 32767, 32768, -1]),
    ("TCP_KEEPINTVL", T, 5, [0, 1, 32767, 32768]),
    ("TCP_KEEPCNT", T, 6, [0, 1, 127, 128]), ("TCP_SYNCNT", T, 7, [0, 1, 127, 128]),
    ("TCP_LINGER2", T, 8, [-5, 0, 30, 60, 119, 120, 121, 100000]),
    ("TCP_DEFER_ACCEPT", T, 9, [-1, 0, 1, 2, 3, 5, 10, 100, 300, 100000]),
    ("TCP_WINDOW_CLAMP", T, 10, [1, 1152, 2000, 65536]), ("TCP_QUICKACK", T, 12, [0, 1]),
    ("TCP_USER_TIMEOUT", T, 18, [0, 1, 1000, -1]),
    ("TCP_THIN_LINEAR_TIMEOUTS", T, 16, [0, 1, 2, -1]),
    ("TCP_THIN_DUPACK", T, 17, [0, 1, 2]), ("TCP_REPAIR_QUEUE", T, 20, [0, 1]),
    ("TCP_QUEUE_SEQ", T, 21, [1]), ("TCP_REPAIR_OPTIONS", T, 22, [1]),
    ("TCP_NOTSENT_LOWAT", T, 25, [0, 1, 16384, -1]),
    ("TCP_ULP", T, 31, []), ("SO_REUSEADDR", S, 2, [0, 1, 7]), ("SO_KEEPALIVE", S, 9, [0, 1, 3]),
    ("SO_RCVLOWAT", S, 18, [0, 1, 1000]), ("SO_PRIORITY", S, 12, [0, 3, 6]),
    ("SO_MAX_PACING_RATE", S, 47, [1000, -1]), ("SO_INCOMING_NAPI_ID", S, 56, [1]),
    ("SO_COOKIE", S, 57, []), ("SO_ERROR", S, 4, [1]), ("SO_TYPE", S, 3, [1]),
    ("SO_ACCEPTCONN", S, 30, [1]), ("SO_DOMAIN", S, 39, [1]), ("SO_PROTOCOL", S, 38, [1]),
    ("SO_OOBINLINE", S, 10, [0, 1]), ("SO_LINGER", S, 13, [1]), ("SO_RCVTIMEO", S, 20, [1]),
    ("IP_TOS", I, 1, [0, 3, 16, 255, -1]), ("IP_TTL", I, 2, [-1, 0, 1, 255, 256]),
    ("IP_MTU_DISCOVER", I, 10, [0, 1, 2, 3, 4, 5, 6]), ("IP_RECVERR", I, 11, [0, 1]),
]

def name_of(error):
    return errno.errorcode.get(error.errno, error.errno)

def get(s, level, name):
    try:
        value = s.getsockopt(level, name, 4)
    except OSError as error:
        return name_of(error)
    return struct.unpack("=i", value)[0] if len(value) == 4 else "len %d" % len(value)

def put(s, level, name, value):
    try:
        s.setsockopt(level, name, value)
    except OSError as error:
        return name_of(error)
    return "done"

def listening():
    s = socket.socket()
    s.bind(("127.0.0.1", 0))
    s.listen()
    return s

kept = []

def connected():
    l, c = listening(), socket.socket()
    c.connect(l.getsockname())
    kept.append((l, l.accept()))
    return c

MAKE = {"fresh": socket.socket, "listening": listening, "connected": connected}[sys.argv[1]]
for name, level, number, values in OPTIONS:
    s = MAKE()
    if name not in ("TCP_MAXSEG", "TCP_WINDOW_CLAMP") or sys.argv[1] != "connected":
        print(name, "is", get(s, level, number))
        for value in values:
            print(name, "=", value, put(s, level, number, value), "is", get(s, level, number))
    print(name, "of one byte", put(s, level, number, b"\\1") if level != I else "")
    s.close()
"""


@pytest.mark.parametrize("state", ["fresh", "listening", "connected"])
def test_same_as_the_kernel(weir, state):
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    kernel = weir.on_kernel(PYTHON, "-c", ASK, state).done()
    ours = weir.on_weir(PYTHON, "-c", ASK, state).done()
    assert ours.splitlines() == kernel.splitlines()
    assert len(kernel.splitlines()) > 100
