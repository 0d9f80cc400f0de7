# SPDX-License-Identifier: BSD-3-Clause
"""Programs that are killed or misbehave, and a weird that is killed: who is harmed, and who is
not."""
import http.client
import os
import signal
import socket
import time

import pytest
from weirtest import KERNEL_ADDR, WEIR_ADDR, kernel_server, make_file, wait_until

SEND_FOREVER = """
import socket, sys
server = socket.create_server(("", 7000))
connection, peer = server.accept()
while True:
    connection.sendall(bytes(65536))
"""

TAKE_FOREVER = f"""
import socket
s = socket.create_connection(("{KERNEL_ADDR}", 7002), timeout=30)
while s.recv(65536):
    pass
"""


def listens(weir, port):
    return any(s["state"] == "LISTEN" and s["local"].endswith(f":{port}") for s in weir.sockets())


def page():
    connection = http.client.HTTPConnection(WEIR_ADDR, 80, timeout=10)
    try:
        connection.request("GET", "/index.html")
        return connection.getresponse().read()
    finally:
        connection.close()


def read_to_end(connection):
    """Until the end or a reset; which of the two it was."""
    try:
        while connection.recv(1 << 18):
            pass
        return "end"
    except ConnectionResetError:
        return "reset"


def test_killed_in_a_transfer(weir):
    """Its peer sees the end, its sockets and buffers come back, the others go on."""
    weir.nginx()
    victim = weir.script(SEND_FOREVER)
    weir.wait_for_socket(7000)
    with socket.create_connection((WEIR_ADDR, 7000), timeout=20) as connection:
        assert connection.recv(65536)
        os.kill(victim.pid, signal.SIGKILL)
        victim.wait()
        assert read_to_end(connection) in ("end", "reset")
    assert b"a page" in page()
    wait_until(lambda: not listens(weir, 7000), "the victim's listener is gone")
    wait_until(lambda: not any(":7000" in s["local"] for s in weir.sockets()
                               if s["state"] != "TIME-WAIT"), "the victim's connection is gone")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((WEIR_ADDR, 7000), timeout=10)


def test_killed_while_receiving(weir):
    """The kernel's program that sends to it gets an error and does not hang."""
    ends = []

    def send(connection):
        try:
            while True:
                connection.sendall(bytes(65536))
        except (ConnectionResetError, BrokenPipeError) as error:
            ends.append(error)

    with kernel_server(send, 7002):
        victim = weir.script(TAKE_FOREVER)
        wait_until(lambda: any(s["state"] == "ESTAB" for s in weir.sockets()), "it is connected")
        os.kill(victim.pid, signal.SIGKILL)
        victim.wait()
        wait_until(lambda: ends, "the sender is told", 30)


def test_many_killed(weir):
    """Programs come and are killed, over and over: nothing is left behind."""
    for _ in range(8):
        victim = weir.script(SEND_FOREVER)
        weir.wait_for_socket(7000)
        with socket.create_connection((WEIR_ADDR, 7000), timeout=20) as connection:
            assert connection.recv(65536)
            os.kill(victim.pid, signal.SIGKILL)
            victim.wait()
            read_to_end(connection)
        wait_until(lambda: not listens(weir, 7000), "its listener is gone")
    wait_until(lambda: not [s for s in weir.sockets() if s["state"] != "TIME-WAIT"],
               "every socket came back")


def test_stopped_program_does_not_stop_others(weir):
    """A program that neither reads nor ends (SIGSTOP) while its peer sends."""
    weir.nginx()
    victim = weir.script(TAKE_FOREVER.replace("while s.recv(65536):\n    pass",
                                              "import signal; signal.pause()"))
    sent = []

    def send(connection):
        connection.settimeout(1)
        try:
            while True:
                sent.append(connection.send(bytes(65536)))
        except OSError:
            pass
        connection.settimeout(30)
        connection.recv(1)

    with kernel_server(send, 7002):
        wait_until(lambda: sent, "data flows")
        os.kill(victim.pid, signal.SIGSTOP)
        for _ in range(20):
            assert b"a page" in page()
        os.kill(victim.pid, signal.SIGKILL)
        victim.wait()


SCRIBBLE = """
import ctypes, socket, sys
s = socket.create_connection((sys.argv[1], 80), timeout=10)
s.sendall(b"GET /index.html HTTP/1.0\\r\\n\\r\\n")
s.recv(65536)
areas = []
for line in open("/proc/self/maps"):
    cells = line.split()
    if "rw-s" in cells[1] and ("memfd:" in line or "weir" in line):
        low, high = (int(x, 16) for x in cells[0].split("-"))
        areas.append((high - low, low))
size, low = max(areas)
print("scribble", hex(low), size, flush=True)
ctypes.memset(low, int(sys.argv[2], 16), min(size, 1 << 24))
s.sendall(b"x")
"""


@pytest.mark.parametrize("byte", ["ff", "5a", "00", "01"])
def test_scribbler_is_alone(weir, byte):
    """A program overwrites its shared memory: it alone is disconnected, with a line in the log."""
    weir.nginx()
    victim = weir.script(SCRIBBLE, WEIR_ADDR, byte)
    wait_until(lambda: not victim.running() or weir.daemon.log().count("disconnect"),
               "the scribbler is found out, or ends", 20)
    if victim.running():
        os.kill(victim.pid, signal.SIGKILL)
    victim.wait()
    assert "scribble" in victim.log(), victim.log()
    for _ in range(20):
        assert b"a page" in page()
    assert weir.daemon.running()


def test_out_of_sockets(weir):
    """More sockets than there are: the errno that Linux gives, and recovery."""
    weir.script("""
import errno, resource, socket
resource.setrlimit(resource.RLIMIT_NOFILE, (2048, 2048))
held = []
try:
    while True:
        held.append(socket.socket())
except OSError as error:
    assert error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS), error
assert len(held) > 1900, len(held)
for s in held:
    s.close()
again = [socket.socket() for i in range(1000)]
""").done()


# ---- weird itself ----

BLOCKED = """
import errno, select, socket, sys
s = socket.create_connection(("%s", 7002), timeout=None)
print("blocked", flush=True)
try:
    data = s.recv(1000)
    print("recv", len(data), flush=True)
except OSError as error:
    print("errno", errno.errorcode[error.errno], flush=True)
try:
    socket.socket().bind(("", 7009))
    print("bound?", flush=True)
except OSError as error:
    print("errno", errno.errorcode[error.errno], flush=True)
"""

POLLING = """
import errno, select, socket
s = socket.create_connection(("%s", 7002), timeout=None)
s.setblocking(False)
p = select.epoll()
p.register(s, select.EPOLLIN)
print("blocked", flush=True)
events = p.poll(60)
print("events", bool(events), flush=True)
try:
    s.recv(100)
except OSError as error:
    print("errno", errno.errorcode[error.errno], flush=True)
"""


@pytest.mark.parametrize("text", [BLOCKED, POLLING], ids=["recv", "epoll"])
def test_weird_killed(weir, text):
    """weird is killed: a program that waits in recv or epoll_wait gets an error and does not
    hang."""
    def hold(connection):
        connection.recv(1)

    with kernel_server(hold, 7002):
        program = weir.script(text % KERNEL_ADDR)
        wait_until(lambda: "blocked" in program.log() or not program.running(), "it waits")
        wait_until(lambda: any(s["state"] == "ESTAB" for s in weir.sockets()), "it is connected")
        weir.dead = True
        os.kill(weir.daemon.pid, signal.SIGKILL)
        weir.daemon.wait()
        began = time.monotonic()
        program.wait(20)
        assert time.monotonic() - began < 15
    log = program.log()
    assert "ENETDOWN" in log or "ECONNRESET" in log, log
    assert "bound?" not in log, log
    answer = weir.cli("stat")
    assert answer.returncode == 1 and "left its socket behind" in answer.stderr


def test_weird_ends_under_a_server(weir):
    nginx = weir.nginx()
    assert weir.cli("stop").returncode == 0
    assert weir.daemon.wait(20) == 0
    weir.dead = True
    with pytest.raises(OSError):
        socket.create_connection((WEIR_ADDR, 80), timeout=2)
    nginx.end(signal.SIGTERM)


def test_weird_starts_again_after_a_kill(make_weir):
    first = make_weir()
    os.kill(first.daemon.pid, signal.SIGKILL)
    first.daemon.wait()
    first.dead = True
    second = make_weir(tmp=first.tmp)
    second.nginx()
    assert b"a page" in page()


def test_program_outlives_many_connections(weir):
    """Transfers that are cut off by the peer, over and over."""
    weir.nginx()
    make_file(os.path.join(weir.www, "big.bin"), 8 << 20)
    for _ in range(30):
        with socket.create_connection((WEIR_ADDR, 80), timeout=10) as connection:
            connection.sendall(b"GET /big.bin HTTP/1.0\r\n\r\n")
            assert connection.recv(100)
    assert b"a page" in page()
    wait_until(lambda: not [s for s in weir.sockets() if s["state"] == "ESTAB"],
               "nginx closed what was cut off")
