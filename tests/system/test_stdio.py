# SPDX-License-Identifier: BSD-3-Clause
"""What the C library reads and writes inside itself: stdio on sockets of weir, also as descriptors
0 to 2, in programs that never call read or write themselves. With the sites of its system calls
rewritten (the default) and, where it says so, without."""
import os
import shutil

import pytest
import weirtest

LOCAL = "127.0.0.1"

# What the client sends, and what comes back, until the client is done.
SERVER = """
import socket, sys
server = socket.create_server(("127.0.0.1", 7000))
for _ in range(int(sys.argv[1])):
    conn, _ = server.accept()
    text = b""
    while b"bye\\n" not in text:
        data = conn.recv(1000)
        if not data:
            break
        text += data
        conn.sendall(data.upper())
    conn.close()
    print(repr(text.decode()), flush=True)
"""


@pytest.fixture
def weir(make_weir):
    return make_weir(ports=())


def start_server(weir, connections=1):
    server = weir.script(SERVER, str(connections))
    weir.wait_for_socket(7000)
    return server


def test_bash_dev_tcp(weir):
    server = start_server(weir)
    out = weir.on_weir("bash", "-c", """
        exec 3<>/dev/tcp/127.0.0.1/7000 || exit 1
        echo hello >&3; read -r line <&3; echo "one: $line"
        printf '%s\\n' world bye >&3
        while read -r line <&3; do echo "more: $line"; done
        exec 3>&-
    """).done()
    assert out == "one: HELLO\nmore: WORLD\nmore: BYE\n"
    assert server.done() == "'hello\\nworld\\nbye\\n'\n"


@pytest.mark.parametrize("command", [
    ("bash", "-c", "while read -r l; do echo \"$l\"; echo \"err $l\" >&2; "
                   "[ \"$l\" = bye ] && break; done"),
    ("sed", "-u", "/bye/q"),
    ("cat",),
    ("awk", "{ print; fflush() } /bye/ { exit }"),
    ("perl", "-pe", "BEGIN { $| = 1 } last if /^quit/"),
    (weirtest.PYTHON, "-c", "import sys\nfor line in sys.stdin:\n    print(line, end='', "
                            "flush=True)\n    if line == 'bye\\n':\n        break"),
], ids=lambda c: os.path.basename(c[0]))
def test_inetd(weir, command):
    """A socket as 0, 1 and 2 of a program that was executed."""
    if not shutil.which(command[0]):
        pytest.skip(f"no {command[0]}")
    weir.script("""
import os, socket, sys
server = socket.create_server(("127.0.0.1", 7000))
conn, _ = server.accept()
server.close()
for fd in (0, 1, 2):
    os.dup2(conn.fileno(), fd)
os.execvp(sys.argv[1], sys.argv[1:])
""", *command)
    weir.wait_for_socket(7000)
    out = weir.script("""
import socket
s = socket.create_connection(("127.0.0.1", 7000))
s.sendall(b"hello\\nbye\\n")
s.shutdown(socket.SHUT_WR)
print(s.makefile().read(), end="")
""").done()
    if command[0] == "bash":
        assert out == "hello\nerr hello\nbye\nerr bye\n"
    else:
        assert out == "hello\nbye\n"
