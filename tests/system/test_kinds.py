# SPDX-License-Identifier: BSD-3-Clause
"""Programs of different kinds together: dynamic, static (both C libraries) and Go ones give each
other sockets over UNIX sockets, by exec and by posix_spawn, fork and daemonise, and are killed. The
client is the kernel's, on the other side of the TAP: whoever answers it is on weir."""
import itertools
import os
import shutil
import signal
import socket
import subprocess
import tempfile

import pytest
import weirtest
from nameserver import A, NameServer
from programs import alive, daemons, pid_in
from weirtest import KERNEL_ADDR, WEIR_ADDR

HERE = os.path.dirname(os.path.abspath(__file__))
C_KINDS = ("dynamic", "static", "musl")
GO_KINDS = ("go", "cgo")
PORT = 8080


@pytest.fixture(scope="module")
def kinds():
    """The programs by kind."""
    folder = tempfile.mkdtemp(prefix="weir-kinds-")
    os.chmod(folder, 0o755)
    compilers = {"dynamic": ["cc"], "static": ["cc", "-static"],
                 "musl": ["musl-gcc", "-static"]}
    for kind, compiler in compilers.items():
        subprocess.run([*compiler, "-std=gnu11", "-D_GNU_SOURCE", "-O2", "-w", "-o",
                        f"{folder}/{kind}", os.path.join(HERE, "kinds.c"), "-lpthread"],
                       check=True, timeout=60, stderr=subprocess.DEVNULL)
    for kind in GO_KINDS:
        subprocess.run(["go", "build", "-o", f"{folder}/{kind}",
                        os.path.join(HERE, "foreign_kinds.go")], check=True, timeout=300,
                       env=dict(os.environ, CGO_ENABLED=str(int(kind == "cgo")),
                                GOFLAGS="-mod=mod", GOCACHE=f"{folder}/cache", GOPATH=folder))
    yield {kind: [f"{folder}/{kind}", kind] for kind in (*C_KINDS, *GO_KINDS)}
    shutil.rmtree(folder, ignore_errors=True)


def ask(line, port=PORT, timeout=20):
    """What weir's side answers to a line."""
    connection = weirtest.wait_until(lambda: connected(port), f"port {port} answers", timeout)
    with connection:
        connection.settimeout(20)
        connection.sendall(line.encode() + b"\n")
        data = b""
        while part := connection.recv(1000):
            data += part
    return data.decode()


def connected(port):
    try:
        return socket.create_connection((WEIR_ADDR, port), timeout=5)
    except OSError:
        return None


def all_released(weir):
    weirtest.wait_until(lambda: not any(s["program"] for s in weir.sockets()),
                        "all sockets are released", 15)


@pytest.mark.parametrize("giver,taker", itertools.product(C_KINDS, C_KINDS))
def test_passing(weir, kinds, giver, taker):
    """A connection goes over a UNIX socket to a program that has nothing else to do with the
    sender, which ends."""
    path = os.path.join(weir.tmp, "u")
    to = weir.on_weir(*kinds[taker], "take", path)
    weirtest.wait_until(lambda: os.path.exists(path), "the taker listens")
    by = weir.on_weir(*kinds[giver], "give", path, str(PORT))
    assert ask("passed") == f"{taker} got passed\n"
    assert by.done(20) == "" and to.done(20) == ""
    all_released(weir)


STARTER = """
import os, socket, sys
way, what, number = sys.argv[1], sys.argv[2], int(sys.argv[3])
argv = sys.argv[4:] + [what, str(number)]
server = socket.create_server(("", 8080))
s = server if what == "listener" else server.accept()[0]
if way == "exec":
    os.dup2(s.fileno(), number)
    os.execv(argv[0], argv)
pid = os.posix_spawn(argv[0], argv, os.environ,
                     file_actions=[(os.POSIX_SPAWN_DUP2, s.fileno(), number)])
s.close()
server.close()
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


@pytest.mark.parametrize("kind", (*C_KINDS, *GO_KINDS))
@pytest.mark.parametrize("what,number", [("inherited", 0), ("inherited", 1), ("inherited", 9),
                                         ("listener", 2), ("listener", 7)])
def test_inheriting(weir, kinds, kind, what, number):
    """From a dynamic program, by exec and posix_spawn, at any number."""
    for way in ("exec", "spawn"):
        program = weir.script(STARTER, way, what, str(number), *kinds[kind])
        assert ask(f"{way} {number}") == f"{kind} got {way} {number}\n", program.log()
        program.done(20)
        all_released(weir)


@pytest.mark.parametrize("parent,child", itertools.product(GO_KINDS, (*C_KINDS, *GO_KINDS)))
def test_go_gives_a_listener(weir, kinds, parent, child):
    """os/exec with ExtraFiles: the child has the listener as descriptor 3."""
    program = weir.on_weir(*kinds[parent], "spawn", f"{WEIR_ADDR}:{PORT}", *kinds[child],
                           "listener", "3")
    assert ask("extra") == f"{child} got extra\n"
    program.done(20)
    all_released(weir)


@pytest.mark.parametrize("kind", C_KINDS)
def test_lives(weir, kinds, kind):
    """It serves by threads, children of fork(), and of vfork() that execute it again; then it is
    killed, and nothing is left."""
    program = weir.on_weir(*kinds[kind], "serve", str(PORT))
    for turn in range(9):
        assert ask(f"turn {turn}") == f"{kind} got turn {turn}\n", program.log()
    os.kill(program.pid, signal.SIGKILL)
    all_released(weir)
    assert program.log() == ""


@pytest.mark.parametrize("kind", C_KINDS)
def test_daemon(weir, kinds, kind):
    """It leaves who started it and serves on."""
    path = os.path.join(weir.tmp, "pid")
    with daemons(path):
        weir.on_weir(*kinds[kind], "serve", str(PORT), path).done(20)
        for turn in range(6):
            assert ask(f"turn {turn}") == f"{kind} got turn {turn}\n"
        assert alive(pid_in(path))
    all_released(weir)


@pytest.mark.parametrize("kind", GO_KINDS)
def test_go_shares_a_port(weir, kinds, kind):
    """SO_REUSEPORT, set by net.ListenConfig's Control."""
    weir.on_weir(*kinds[kind], "reuseport", f"{WEIR_ADDR}:{PORT}")
    for turn in range(40):
        assert ask(f"turn {turn}") == f"{kind} got turn {turn}\n"
    assert sum(s["state"] == "LISTEN" for s in weir.sockets()) == 2


@pytest.mark.parametrize("kind,env", [("static", {}), ("musl", {}),
                                      ("go", {"GODEBUG": "netdns=go"}),
                                      ("cgo", {"GODEBUG": "netdns=go"}),
                                      ("cgo", {"GODEBUG": "netdns=cgo"})])
def test_names(weir, kinds, kind, env):
    """Their resolvers ask over weir: the C libraries', Go's own, and the C library's by Go."""
    for name, text in (("resolv.conf", f"nameserver {KERNEL_ADDR}\n"),
                       ("nsswitch.conf", "hosts: files dns\n")):
        with open(os.path.join(weir.tmp, name), "w", encoding="ascii") as f:
            f.write(text)
    mounts = " && ".join(f"mount --bind {weir.tmp}/{f} /etc/{f}"
                         for f in ("resolv.conf", "nsswitch.conf"))
    server = NameServer(KERNEL_ADDR, {("one.test", A): ["10.1.1.1"]})
    try:
        log = weir.on_weir(*kinds[kind], "name", "one.test", env=env,
                           wrap=("unshare", "-m", "sh", "-c", mounts + ' && exec "$@"',
                                 "sh")).done(30)
    finally:
        server.close()
    assert log == "10.1.1.1\n"
    assert server.queries and {q.source for q in server.queries} == {WEIR_ADDR}
