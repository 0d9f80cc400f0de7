# SPDX-License-Identifier: BSD-3-Clause
"""ICMP datagram sockets: ping of an ordinary user; and what raw sockets answer, as the kernel has
it: one script, run on both."""
import os
import shutil
import subprocess
import tempfile

import pytest
import weirtest
from weirtest import KERNEL_ADDR, WEIR_ADDR

NOBODY = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups")
ABSENT = "198.18.0.77"


@pytest.fixture(name="ping")
def ping_without_privileges():
    """The installed ping, without the capability that its file has on Debian: with it, it would
    have a raw socket, and a loader that takes no LD_PRELOAD."""
    with tempfile.TemporaryDirectory(prefix="weir-test-ping-") as folder:
        os.chmod(folder, 0o755)
        yield shutil.copy(shutil.which("ping"), folder)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("args,received", [
    (("-c", "3", "-i", "0.2", KERNEL_ADDR), 3), (("-c", "2", "-i", "0.2", WEIR_ADDR), 2),
    (("-c", "2", "-i", "0.2", "127.0.0.1"), 2),
    (("-c", "9", "-i", "0.2", "-l", "3", KERNEL_ADDR), 9),
    (("-c", "2", "-i", "0.2", "-s", "60000", KERNEL_ADDR), 2)])
def test_ordinary_user(make_weir, ping, workers, args, received):
    """Unmodified ping as the user nobody: to the kernel, to weir itself, in fragments."""
    weir = make_weir(ports=((f"{weirtest.TAP},queues={workers}", f"{WEIR_ADDR}/24"),),
                     options=("--allow-users", "--workers", str(workers)))
    text = weir.on_weir(ping, *args, wrap=NOBODY).done(30)
    assert f"{received} packets transmitted, {received} received, 0% packet loss" in text, text
    assert weir.drops("ICMP_NO_SOCKET") == 0


def test_errors_that_ping_shows(make_weir, ping):
    """Nobody there, a router's word, too long for the link: from the error queue."""
    weir = make_weir(options=("--allow-users", "--route", f"default via {KERNEL_ADDR}"))
    with open("/proc/sys/net/ipv4/conf/weir0/forwarding", "w", encoding="ascii") as f:
        f.write("1")
    subprocess.run(["ip", "route", "add", "203.0.113.0/24", "dev", "lo"], check=True, timeout=10)
    for args, words in (
            (("-c", "1", "-W", "5", ABSENT),
             (f"From {WEIR_ADDR} icmp_seq=1 Destination Host Unreachable", "+1 errors")),
            (("-c", "1", "-t", "1", "203.0.113.9"),
             (f"From {KERNEL_ADDR} icmp_seq=1 Time to live exceeded", "+1 errors")),
            (("-c", "1", "-M", "do", "-s", "1473", KERNEL_ADDR),
             ("message too long, mtu=1500", "+1 errors"))):
        program = weir.on_weir(ping, *args, wrap=NOBODY)
        assert program.wait(30) == 1, program.log()
        for word in words:
            assert word in program.log(), program.log()


def test_root_hears_of_absent_hosts(weir):
    """The same over a raw socket, where ping reads the message itself."""
    program = weir.on_weir("ping", "-c", "1", "-W", "5", ABSENT)
    assert program.wait(30) == 1
    text = program.log()
    assert f"From {WEIR_ADDR} icmp_seq=1 Destination Host Unreachable" in text, text


def test_group_range(make_weir, ping):
    """Who may, says net.ipv4.ping_group_range; the configuration sets it, and weir sysctl."""
    weir = make_weir(options=("--allow-users", "--sysctl", "net.ipv4.ping_group_range=1 0"))
    script = ("import socket\n"
              "try: socket.socket(2, 2, 1); print('made')\n"
              "except OSError as error: print('errno', error.errno)\n")
    argv = (weirtest.PYTHON, "-c", script)
    assert weir.on_weir(*argv, wrap=NOBODY).done(20) == "errno 13\n"
    gid = subprocess.run(["id", "-g", "nobody"], capture_output=True, text=True, check=True,
                         timeout=10).stdout.strip()
    weir.cli("sysctl", f"ping_group_range={gid} {gid}")
    assert weir.on_weir(*argv, wrap=NOBODY).done(20) == "made\n"
    assert weir.on_weir(*argv).done(20) == "errno 13\n"
    extra = NOBODY[:2] + ("--regid=1", f"--groups={gid}")
    assert weir.on_weir(*argv, wrap=extra).done(20) == "made\n"


BOTH = weirtest.TRY + r"""
import os, socket, struct, sys

def show(*what):
    print(*what, flush=True)

REQUEST = struct.pack("!BBHHH", 8, 0, 0, 7, 5) + b"data"
ABSENT, HERE = ("9.9.9.9", 0), ("127.0.0.1", 0)

def ping():
    return socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP)

s = ping()
show("name", s.getsockname(), s.getsockopt(1, socket.SO_PROTOCOL), s.getsockopt(1, socket.SO_TYPE))
for name, what in (("short", REQUEST[:7]), ("type", b"\0" + REQUEST[1:]),
                   ("code", b"\x08\x01" + REQUEST[2:]), ("long", b"\x08" + bytes(65535)),
                   ("longest", b"\x08" + bytes(65515))):
    show(name, t(s.sendto, what, HERE), s.getsockname()[1] != 0)
s = ping()
show("no peer", t(s.send, REQUEST), s.getsockname()[1] != 0)
show("MSG_OOB", t(s.sendto, REQUEST, socket.MSG_OOB, HERE))
show("no route", t(s.sendto, REQUEST, ABSENT))
show("broadcast", t(s.sendto, REQUEST, ("255.255.255.255", 0)))
show("sent", t(s.sendto, REQUEST, HERE))
answer, peer = s.recvfrom(100)
show(answer[0], answer[4:6] == struct.pack("!H", s.getsockname()[1]), answer[6:], peer)
show("bind again", t(s.bind, ("", 5)))
s = ping()
show("bind", t(s.bind, ("9.9.9.9", 5)), t(s.bind, ("224.0.0.9", 5)))
show("connect", t(s.connect, HERE), s.getsockname()[0], s.getsockname()[1] != 0, t(s.getpeername))
show("connect", t(s.connect, ("127.0.0.1", 7)), t(s.getpeername), t(s.bind, ("127.0.0.1", 7)))
show("listen", t(s.listen, 1), t(s.accept))
for level, option in ((0, 11), (0, 7), (0, 6), (0, 12), (0, 13), (255, 1), (0, 8)):
    show("option", level, option, t(s.setsockopt, level, option, 1), t(s.getsockopt, level, option))
show("mtu", t(s.getsockopt, 0, 14))
a, b = ping(), ping()
show("identifiers", a.getsockopt(1, 2), t(a.bind, ("", 77)), t(b.setsockopt, 1, 2, 0),
     t(b.bind, ("", 77)), t(b.setsockopt, 1, 2, 1), t(a.setsockopt, 1, 2, 0), t(b.bind, ("", 77)),
     t(a.setsockopt, 1, 2, 1), t(b.bind, ("", 77)), t(b.bind, ("", 77)))
a.sendto(REQUEST, HERE)
b.settimeout(5)
a.setblocking(False)
show("the newest hears it", b.recv(100)[8:], t(a.recv, 100))

for args in ((2, 2, 58), (2, 1, 1), (2, 5, 0), (2, 5, 1), (17, 5, 0), (17, 1, 0), (2, 3, 0),
             (2, 3, 300), (10, 2, 1), (2, 2, 300)):
    show("socket", args, t(socket.socket, *args))
r = socket.socket(2, 3, 1)
show("raw", r.getsockname(), t(r.connect, HERE), r.getsockname(), t(r.getpeername))
show(t(r.connect, ("127.0.0.1", 9)), t(r.getpeername), t(r.bind, ("", 0)))
r = socket.socket(2, 3, 1)
show("shutdown", t(r.shutdown, 1), t(r.sendto, REQUEST, HERE), t(r.send, REQUEST))
show(t(r.connect, ABSENT), t(r.bind, ("224.0.0.9", 0)), t(r.bind, ("255.255.255.255", 0)),
     t(r.bind, ("9.9.9.9", 0)))
show("ICMP_FILTER", t(r.setsockopt, 255, 1, b"abc"), t(r.getsockopt, 255, 1),
     t(r.setsockopt, 255, 2, 1))
show(t(socket.socket(2, 3, 253).getsockopt, 255, 1),
     t(socket.socket(2, 3, 253).setsockopt, 255, 1, 1))
"""

UNPRIVILEGED = r"""
import errno, socket
for args in ((2, 3, 1), (17, 3, 1), (17, 2, 1), (17, 1, 1), (17, 5, 1), (2, 3, 0), (2, 3, 300),
             (2, 5, 0), (2, 3, 255)):
    try:
        print(args, socket.socket(*args))
    except OSError as error:
        print(args, errno.errorcode[error.errno])
"""


def test_as_the_kernel(weir):
    """Names, order of errors, options: each line of a script is what the kernel's sockets say."""
    with open("/proc/sys/net/ipv4/ping_group_range", "w", encoding="ascii") as f:
        f.write("0 2147483647")
    kernel = weir.as_kernel(BOTH)
    assert kernel.count("\n") > 40, kernel


def test_unprivileged_as_the_kernel(make_weir):
    """Raw and packet sockets are not everybody's: EPERM; and what there is not, is told first."""
    weir = make_weir(options=("--allow-users",))
    kernel = weir.as_kernel(UNPRIVILEGED, NOBODY)
    assert kernel.count("EPERM") == 6, kernel
