# SPDX-License-Identifier: BSD-3-Clause
"""weird is killed under programs: each is told once in words, spends no time on asking again, ends
when it is told to, and a new one finds the weird that was started after."""
import os
import signal
import socket
import subprocess
import time

import pytest
from weirtest import BIN, PYTHON, cpu_seconds, pause, wait_until

THREADS = """
import socket, threading, time
s = socket.create_server(("", 7000))
def serve():
    while True:
        try:
            s.accept()
        except OSError:
            pass
for _ in range(3):
    threading.Thread(target=serve, daemon=True).start()
serve()
"""

DATAGRAMS = """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("", 7000))
while True:
    try:
        s.recv(100)
    except OSError:
        pass
"""

ASYNCIO = """
import asyncio
async def talk(reader, writer):
    writer.close()
async def main():
    server = await asyncio.start_server(talk, "", 7000)
    async with server:
        await server.serve_forever()
asyncio.run(main())
"""


def kill_weird(weir):
    weir.dead = True
    os.kill(weir.daemon.pid, signal.SIGKILL)
    weir.daemon.wait()


def family(pid):
    """The process and those that it started."""
    found = [pid]
    for one in found:
        with open(f"/proc/{one}/task/{one}/children", encoding="ascii") as f:
            found += [int(child) for child in f.read().split()]
    return found


def start_nginx(weir):
    return weir.nginx(), 80


def start_redis(weir):
    return weir.redis(), 6379


def start_http_server(weir):
    return weir.on_weir(PYTHON, "-m", "http.server", "7000"), 7000


def start_socat(weir):
    return weir.on_weir("socat", "TCP-LISTEN:7000,fork,reuseaddr", "EXEC:cat"), 7000


def start_threads(weir):
    return weir.script(THREADS), 7000


def start_asyncio(weir):
    return weir.script(ASYNCIO), 7000


def start_datagrams(weir):
    return weir.script(DATAGRAMS), None


@pytest.mark.parametrize("start", [start_nginx, start_redis, start_http_server, start_socat,
                                   start_threads, start_asyncio, start_datagrams])
def test_server_rests(weir, start):
    """Less than a tenth of a core, one line that says what happened, and SIGTERM ends it."""
    server, port = start(weir)
    if port:
        weir.wait_for_port(port, program=server)
    else:
        weir.wait_for_socket(7000, "udp")
    kill_weird(weir)

    def logs():
        text = server.log()
        if start is start_nginx:
            with open(os.path.join(weir.tmp, "nginx-error.log"), encoding="utf-8") as f:
                text += f.read()
        return text

    wait_until(lambda: "has ended" in logs() or not server.running(), "it says so")
    if server.running():
        pids = family(server.pid)
        used = sum(map(cpu_seconds, pids))
        began = time.monotonic()
        while time.monotonic() - began < 1:
            pause(0.1)
        share = (sum(map(cpu_seconds, pids)) - used) / (time.monotonic() - began)
        assert share < 0.1, f"{share:.0%} of a core"
        server.end(signal.SIGTERM)
    said = [line for line in logs().splitlines() if line.startswith("weir: ")]
    assert len(said) == 1, logs()
    assert f"{weir.rundir}/default/app.sock" in said[0] and "start weird again" in said[0]


AFTER = """
import errno, os, socket, subprocess, sys
s = socket.create_server(("", 7000))
print("there", flush=True)
sys.stdin.readline()
try:
    s.accept()
except OSError as error:
    print(errno.errorcode[error.errno], flush=True)
try:
    socket.socket()
except OSError as error:
    print(errno.errorcode[error.errno], flush=True)
sys.stdin.readline()
subprocess.run([sys.executable, "-c", "import socket; socket.create_server(('', 7001)); "
                "print('a new server', flush=True)"])
try:
    socket.socket()
except OSError as error:
    print("still", errno.errorcode[error.errno], flush=True)
"""


def test_weird_comes_back(make_weir):
    """A program that was there gets no sockets any more, and says what to do; what it starts is
    on the new weird."""
    first = make_weir()
    theirs, gate = os.pipe()
    program = first.on_weir(PYTHON, "-c", AFTER, stdin=theirs)
    os.close(theirs)
    wait_until(lambda: "there" in program.log(), "it listens")
    kill_weird(first)
    os.write(gate, b"\n")
    wait_until(lambda: program.log().count("ENETDOWN") == 2, "both calls fail")
    second = make_weir(tmp=first.tmp)
    os.write(gate, b"\n")
    os.close(gate)
    log = program.done()
    assert "a new server" in log and "still ENETDOWN" in log, log
    assert log.count("start weird again, then this program") == 1, log
    assert second.daemon.running()


LATER = """
import socket, sys
for i in range(2):
    try:
        socket.create_server(("", 7000 + i))
        print("a server", flush=True)
    except OSError as error:
        print(error.strerror, flush=True)
    sys.stdin.readline()
"""


def test_weird_is_started_after_the_program(make_weir):
    """What was refused because there was no weird works when there is one."""
    first = make_weir()
    theirs, gate = os.pipe()
    # A program whose first socket comes when weird has gone.
    program = first.on_weir(PYTHON, "-c", "import sys; print('there', flush=True); "
                            "sys.stdin.readline()\n" + LATER, stdin=theirs)
    os.close(theirs)
    wait_until(lambda: "there" in program.log(), "it runs")
    kill_weird(first)
    os.write(gate, b"\n")
    wait_until(lambda: "Network is down" in program.log(), "it has no network")
    make_weir(tmp=first.tmp)
    pause(0.5)  # it looks again twice a second
    os.write(gate, b"\n")
    wait_until(lambda: "a server" in program.log(), "it has one now")
    os.close(gate)
    log = program.done()
    assert log.count("does not run: start it") == 1, log


def as_user(weir, command, **kwargs):
    return subprocess.run([PYTHON, "-c", command], user="nobody", group="nogroup",
                          extra_groups=[], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, timeout=30, check=False, cwd="/",
                          env={"LD_PRELOAD": os.path.join(BIN, "..", "shim", "libweir_shim.so"),
                               "WEIR_RUNDIR": weir.rundir}, **kwargs).stdout


def test_refused_user(weir):
    """Another user hears who may, and what to do about it."""
    said = as_user(weir, "import socket; socket.socket()")
    assert "refuses this program: it serves its own user and root" in said, said
    assert "--allow-users" in said and "has no network" in said, said
    assert "is it running" not in said


def test_out_of_reach(weir):
    """A folder that does not let the user in."""
    os.chmod(weir.rundir, 0o700)
    said = as_user(weir, "import socket; socket.socket()")
    os.chmod(weir.rundir, 0o755)
    assert "is out of this user's reach" in said and "--allow-users" in said, said


def test_another_build(weir):
    """A shim and a weird of different versions."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
        s.connect(f"{weir.rundir}/default/app.sock")
        s.send((1).to_bytes(4, "little") + bytes(4) + (77).to_bytes(4, "little") + bytes(10))
        answer = s.recv(1000)
    assert b"it is of another build" in answer


LATE = """
import fcntl, os, signal, socket, struct, sys, time
SIOCGIFINDEX = 0x8933
s = socket.socket()
def index():
    return struct.unpack("16si", fcntl.ioctl(s, SIOCGIFINDEX, struct.pack("16si", b"lo", 0)))[1]
lo = index()
os.kill(int(sys.argv[1]), signal.SIGSTOP)
try:
    index()
    print("an answer?")
except OSError as e:
    print(os.strerror(e.errno))
os.kill(int(sys.argv[1]), signal.SIGCONT)
if os.fork() == 0:
    socket.create_server(("127.0.0.1", 7001))
    os._exit(index() != lo)
print(os.waitstatus_to_exitcode(os.wait()[1]), index() == lo)
a = socket.create_server(("127.0.0.1", 7000))
socket.create_connection(a.getsockname()).sendall(b"x")
print(a.accept()[0].recv(1))
"""


def test_late_answer(make_weir):
    """A weird that stood still longer than anybody waits: its late answer is not the next one's."""
    weir = make_weir(ports=())
    said = weir.script(LATE, str(weir.daemon.pid)).done(60)
    assert said == "Connection timed out\n0 True\nb'x'\n"
