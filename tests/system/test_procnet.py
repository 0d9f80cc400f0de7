# SPDX-License-Identifier: BSD-3-Clause
"""/proc/net for programs on weir: the tools that read it show weir's network, not the host's."""
import re
import socket

import pytest
from weirtest import KERNEL_ADDR, WEIR_ADDR

BUSYBOX = "/bin/busybox"  # static: its system calls are its own


def lines_of(program):
    return [line.split() for line in program.done().splitlines()]


@pytest.fixture
def served(weir):
    """A listener on weir with one connection, and a socket of the host's that is not to be seen."""
    host = socket.create_server((KERNEL_ADDR, 7100))
    weir.script("""
import socket
server = socket.create_server(("0.0.0.0", 7000))
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(("198.18.0.2", 7001))
one = server.accept()[0]
one.recv(1)
one.recv(1)
""")
    weir.wait_for_socket(7000)
    weir.wait_for_socket(7001, proto="udp")
    peer = socket.create_connection((WEIR_ADDR, 7000))
    weir.peer = peer.getsockname()[1]
    yield weir
    peer.close()
    host.close()


@pytest.mark.parametrize("tool", [("netstat",), (BUSYBOX, "netstat")], ids=["netstat", "busybox"])
def test_netstat_sockets(served, tool):
    found = {tuple(words[i] for i in (0, 3, 4, 5))
             for words in lines_of(served.on_weir(*tool, "-tan")) if words[0] == "tcp"}
    assert found == {("tcp", "0.0.0.0:7000", "0.0.0.0:*", "LISTEN"),
                     ("tcp", f"{WEIR_ADDR}:7000", f"{KERNEL_ADDR}:{served.peer}", "ESTABLISHED")}
    udp = [words for words in lines_of(served.on_weir(*tool, "-uan")) if words[0] == "udp"]
    assert [words[3] for words in udp] == [f"{WEIR_ADDR}:7001"]


def test_interfaces_routes_neighbours(served):
    weir = served
    rows = {words[0]: words[1:] for words in lines_of(weir.on_weir("netstat", "-ni"))}
    port = next(p for p in weir.stat()["ports"] if p["name"] == "weir0")
    assert set(rows) - {"Kernel", "Iface"} == {"lo", "weir0"}
    assert rows["weir0"][0] == str(port["mtu"])
    assert 0 < int(rows["weir0"][1]) <= port["rx_packets"]
    shown = weir.on_weir("ifconfig", "weir0").done()
    assert f"inet {WEIR_ADDR} " in shown and port["mac"] in shown and "inet6" not in shown
    for route in (("route", "-n"), (BUSYBOX, "route", "-n")):
        assert [w for w in lines_of(weir.on_weir(*route)) if w[-1] == "weir0"] == [
            ["198.18.0.0", "0.0.0.0", "255.255.255.0", "U", "0", "0", "0", "weir0"]]
    assert f"({KERNEL_ADDR}) at " in weir.on_weir("arp", "-an").done()


def test_counters(served):
    said = served.on_weir("netstat", "-st").done()
    assert re.search(r"^\s+1 passive connection openings$", said, re.M), said
    assert re.search(r"^\s+1 connections established$", said, re.M), said


def test_what_is_answered(served):
    """By every way there; read-only; what weir does not have is not there, and what is not the
    network's own stays the system's."""
    served.script("""
import os
want = open("/proc/net/dev").readline()
for path in ("/proc/self/net/dev", "/proc/thread-self/net/dev", f"/proc/{os.getpid()}/net/dev"):
    assert open(path).readline() == want, path
def fails(name, flags, error):
    try:
        os.open("/proc/net/" + name, flags)
    except error:
        return
    raise AssertionError(name)
fails("dev", os.O_RDWR, PermissionError)
fails("dev", os.O_RDONLY | os.O_DIRECTORY, NotADirectoryError)
for name in ("fib_trie", "nf_conntrack", "no-such"):
    fails(name, os.O_RDONLY, FileNotFoundError)
assert "Path" in open("/proc/net/unix").readline()
assert open("/proc/net/if_inet6").read() == ""
fd = os.open("/proc/net/tcp", os.O_RDONLY)
assert not os.get_inheritable(fd)
first = os.read(fd, 100)
os.lseek(fd, 0, os.SEEK_SET)
assert os.read(fd, 100) == first
try:
    os.ftruncate(fd, 0)
except OSError:
    pass
else:
    raise AssertionError("it can be changed")
before = len(os.listdir("/proc/self/fd"))
for _ in range(300):
    open("/proc/net/route").read()
assert len(os.listdir("/proc/self/fd")) == before
print("all")
""").done()


def test_ss(served):
    """Its questions by netlink get no answer, as from a kernel that has no sock_diag, and so it
    reads /proc/net: never the host's sockets."""
    program = served.on_weir("ss", "-Htan")
    assert sorted(tuple(words[:1] + words[3:5]) for words in lines_of(program)) == [
        ("ESTAB", f"{WEIR_ADDR}:7000", f"{KERNEL_ADDR}:{served.peer}"),
        ("LISTEN", "0.0.0.0:7000", "0.0.0.0:*")]
    program = served.on_weir("ss", "-Huan")
    assert [words[3] for words in lines_of(program)] == [f"{WEIR_ADDR}:7001"]
    assert "7100" not in served.on_weir("ss", "-a").done()
