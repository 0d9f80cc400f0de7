# SPDX-License-Identifier: BSD-3-Clause
"""A program that speaks weird's own protocol and wants all there is: others get their part."""
import errno
import os
import re
import socket
import struct
import subprocess

import pytest
from weirtest import BIN, PYTHON, TAP, TOP, WEIR_ADDR

NONE = 0xffffffff
HEAD = struct.Struct("<IiII4Q96sII")


def header(what):
    with open(os.path.join(TOP, "src/wire/app_abi.h"), encoding="utf-8") as file:
        return re.search(what, file.read())


VERSION = int(header(r"ABI_VERSION (\d+)u")[1])
TYPES = re.findall(r"\bABI_MSG_([A-Z_]+)(?: = 1)?,",
                   header(r"(?s)ABI_MSG_HELLO = 1.*?ABI_MSG_MAX")[0])
TYPE = {name: number for number, name in enumerate(TYPES, 1)}


class Client:
    """A program that attached; what it holds goes with it."""

    def __init__(self, weir):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(20)
        self.socket.connect(f"{weir.rundir}/default/app.sock")
        self.kept = []
        assert self.ask("HELLO", text=b"hostile") == 0

    def ask(self, kind, *args, fds=(), text=b""):
        """The answer's error; its descriptors are kept."""
        args = list(args) + [0] * (4 - len(args))
        message = HEAD.pack(TYPE[kind], 0, VERSION, os.getpid(), *args, text, 0, 0)
        socket.send_fds(self.socket, [message], list(fds))
        answer, came, _, _ = socket.recv_fds(self.socket, 65536, 20)
        assert answer, f"{kind}: the connection was ended"
        self.kept += came
        return HEAD.unpack_from(answer)[1]

    def ask_with_pair(self, kind, *args, both=False):
        mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        fds = [theirs.fileno()] + ([mine.fileno()] if both else [])
        error = self.ask(kind, *args, fds=fds)
        theirs.close()
        self.kept.append(mine.detach())
        return error

    def close(self):
        self.socket.close()
        for fd in self.kept:
            os.close(fd)


def greedy(times, call):
    """How often it worked before it did not, and the error then."""
    for done in range(times):
        error = call()
        if error:
            return done, -error
    return times, 0


def test_netlink_sockets(weir):
    one, other = Client(weir), Client(weir)
    assert greedy(2000, lambda: one.ask_with_pair("NETLINK")) == (256, errno.EMFILE)
    assert other.ask_with_pair("NETLINK") == 0
    one.close()
    other.close()


def test_passed_descriptors(weir):
    one, other = Client(weir), Client(weir)
    took = greedy(2000, lambda: one.ask_with_pair("PASS", NONE, both=True))
    assert took == (512, errno.ETOOMANYREFS)
    assert other.ask_with_pair("PASS", NONE, both=True) == 0
    one.close()
    other.close()


def test_descriptors_of_weird(make_weir):
    """By channels, each of which is a descriptor there."""
    weir = make_weir(wrap=("prlimit", "--nofile=400:400"))
    one, other = Client(weir), Client(weir)
    done, error = greedy(600, lambda: one.ask("CHANNEL", 64))
    assert error == errno.EMFILE and done >= 16
    for _ in range(16):
        assert other.ask("CHANNEL", 64) == 0
    third = Client(weir)
    assert third.ask("CHANNEL", 64) == 0
    assert weir.cli("stat").returncode == 0
    for client in (one, other, third):
        client.close()


CROWD = """
import os, socket, sys
os.setuid(65534)
crowd, answer = [], b""
for i in range(1100):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.connect(sys.argv[1])
    s.settimeout(0 if i < 1024 else 5)
    crowd.append(s)
    if i >= 1024:
        answer = s.recv(1000)
        break
print(i, answer)
print("ready", flush=True)
sys.stdin.read()
"""


def test_connections_of_a_user(make_weir):
    weir = make_weir(options=("--allow-users",))
    argv = ["prlimit", "--nofile=2000:2000", PYTHON, "-c", CROWD, f"{weir.rundir}/default/app.sock"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as crowd:
        said = crowd.stdout.readline()
        assert crowd.stdout.readline() == "ready\n"
        assert said.startswith("1024 ") and "1024 programs of this user" in said, said
        Client(weir).close()
        crowd.stdin.close()


PORTS = """
import errno, os, socket, sys
def attempt(kind, port, reuse=False, sent=[]):
    s = socket.socket(socket.AF_INET, kind)
    sent.append(s)
    if reuse:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        s.bind(("0.0.0.0", port))
        if kind == socket.SOCK_STREAM:
            s.listen()
        return "bound"
    except OSError as e:
        return errno.errorcode[e.errno]
for kind in socket.SOCK_STREAM, socket.SOCK_DGRAM:
    print(os.getuid(), *[attempt(kind, port, reuse) for port, reuse in
                         ((80, False), (1023, True), (1024, False), (8080, True), (8080, True))])
print("ready", flush=True)
sys.stdin.read()
"""


def ports_of(weir, user):
    environment = dict(os.environ, LD_PRELOAD=f"{BIN}/../shim/libweir_shim.so",
                       WEIR_RUNDIR=weir.rundir)
    with subprocess.Popen([PYTHON, "-c", PORTS], user=user, group=user, extra_groups=[], cwd="/",
                          env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True) as program:
        lines = iter(program.stdout.readline, "ready\n")
        yield [line.split()[1:] for line in lines]
        program.stdin.close()


@pytest.mark.parametrize("workers", (1, 2))
def test_ports_of_users(make_weir, workers):
    """Low ports are weird's own user's and root's, and a port is shared with oneself only."""
    tap = TAP if workers == 1 else f"{TAP},queues={workers}"
    weir = make_weir(ports=((tap, f"{WEIR_ADDR}/24"),),
                     options=("--allow-users", "--workers", str(workers)))
    other, again = ports_of(weir, 65534), ports_of(weir, 65534)
    assert next(other) == [["EACCES", "EACCES", "bound", "bound", "bound"]] * 2
    assert next(again) == [["EACCES", "EACCES", "EADDRINUSE", "bound", "bound"]] * 2
    root = ports_of(weir, 0)
    assert next(root) == [["bound", "bound", "EADDRINUSE", "EADDRINUSE", "EADDRINUSE"]] * 2
    for program in (root, again, other):
        assert next(program, None) is None
    assert weir.cli("sysctl", "net.ipv4.ip_unprivileged_port_start=80").returncode == 0
    other = ports_of(weir, 65534)
    assert next(other)[0][0] == "bound"
    assert next(other, None) is None
