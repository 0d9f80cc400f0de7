# SPDX-License-Identifier: BSD-3-Clause
"""Sockets that are bound to an interface: real programs between two TAPs, and options as the
kernel has them: one script, run on both."""
import os
import subprocess

import pytest
import weirtest
from weirtest import KERNEL_ADDR, WEIR_ADDR, make_file, sha256

KERNEL_2, WEIR_2 = "198.18.1.1", "198.18.1.2"
SECOND = f"tap,name=weir1,addr={KERNEL_2}/24"
TWO = ((weirtest.TAP, f"{WEIR_ADDR}/24"), (SECOND, f"{WEIR_2}/24"))


@pytest.fixture(name="two")
def two_ports(make_weir):
    return make_weir(ports=TWO)


@pytest.mark.parametrize("device,peer,received", [
    ("weir0", KERNEL_ADDR, 2), ("weir1", KERNEL_2, 2), ("weir1", WEIR_2, 2), (WEIR_2, KERNEL_2, 2)])
def test_ping(two, device, peer, received):
    text = two.on_weir("ping", "-c", "2", "-i", "0.05", "-I", device, peer).done(20)
    assert f"2 packets transmitted, {received} received" in text, text


def test_ping_elsewhere(two):
    """By the other interface nobody of the first is there, though a route leads to him."""
    with open("/proc/sys/net/ipv4/conf/weir1/arp_ignore", "w", encoding="ascii") as f:
        f.write("1")
    program = two.on_weir("ping", "-c", "1", "-W", "5", "-I", "weir1", KERNEL_ADDR)
    assert program.wait(20) == 1
    assert f"From {WEIR_2} icmp_seq=1 Destination Host Unreachable" in program.log(), program.log()


def test_curl(two):
    """curl --interface, by a device's name and by an address; the kernel sees who asked."""
    path = os.path.join(two.tmp, "file")
    digest = make_file(path, 3 << 20)
    server = two.on_kernel(weirtest.PYTHON, "-u", "-m", "http.server", "8080", "--bind", "0.0.0.0",
                           "--directory", two.tmp)
    weirtest.wait_until(lambda: "Serving" in server.log(), "the server serves")
    for device, peer, me in (("weir1", KERNEL_2, WEIR_2), ("if!weir0", KERNEL_ADDR, WEIR_ADDR),
                             (f"host!{WEIR_2}", KERNEL_2, WEIR_2)):
        out = os.path.join(two.tmp, "out")
        two.on_weir("curl", "-sS", "-f", "--interface", device, "-o", out,
                    f"http://{peer}:8080/file").done(30)
        assert sha256(out) == digest
        assert server.log().splitlines()[-1].startswith(f"{me} "), server.log()


def test_ssh(two):
    """ssh -B: both peers are there, and see the client come from its interface's address."""
    server = two.on_kernel(weirtest.PYTHON, "-uc", """
import socket
s = socket.create_server(("", 2222))
print("ready")
for i in range(2):
    c, peer = s.accept()
    print(c.recv(4), *peer[:1])
    c.close()
""")
    weirtest.wait_until(lambda: "ready" in server.log(), "the server listens")
    for device, peer in (("weir1", KERNEL_2), ("weir0", KERNEL_ADDR)):
        two.on_weir("ssh", "-F", "none", "-B", device, "-p", "2222", f"root@{peer}").wait(20)
    assert server.done(20) == f"ready\nb'SSH-' {WEIR_2}\nb'SSH-' {WEIR_ADDR}\n", server.log()


LISTENERS = """
import os, socket, sys
def listener(device):
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device)
    s.bind(("", 80))
    s.listen()
    return s
if os.fork() == 0:
    device, word = b"weir1", b"second"
else:
    device, word = b"weir0", b"first"
s = listener(device)
while True:
    c, _ = s.accept()
    assert c.getsockopt(1, socket.SO_BINDTODEVICE, 16) == device + bytes(1)
    c.sendall(word)
    c.close()
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_listeners(make_weir, workers):
    """Two programs, one port, an interface each: who calls reaches the one of the interface."""
    weir = make_weir(ports=tuple((f"{tap},queues={workers}", addr) for tap, addr in TWO),
                     options=("--workers", str(workers)))
    weir.script(LISTENERS)
    weir.wait_for_port(80)
    weir.wait_for_port(80, addr=WEIR_2)
    for _ in range(8):
        for addr, word in ((WEIR_ADDR, "first"), (WEIR_2, "second")):
            said = subprocess.run(["nc", "-d", addr, "80"], capture_output=True, text=True,
                                  timeout=20, check=True).stdout
            assert said == word


DHCP_LIKE = """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"weir1")
s.bind(("", 68))
s.settimeout(10)
s.sendto(b"discover", ("255.255.255.255", 67))
print(s.recvfrom(100))
"""


def test_like_a_dhcp_client(make_weir):
    """An interface without an address: asked from 0.0.0.0, answered to everybody."""
    weir = make_weir(ports=((SECOND,),))
    server = weir.on_kernel(weirtest.PYTHON, "-c", '''
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(1, socket.SO_BINDTODEVICE, b"weir1")
s.setsockopt(1, socket.SO_BROADCAST, 1)
s.bind(("", 67))
print("ready", flush=True)
data, peer = s.recvfrom(100)
print(data, peer, flush=True)
s.sendto(b"offer", ("255.255.255.255", 68))
''')
    weirtest.wait_until(lambda: "ready" in server.log(), "the server listens")
    with open("/proc/sys/net/ipv4/conf/weir1/rp_filter", "w", encoding="ascii") as f:
        f.write("0")
    text = weir.script(DHCP_LIKE).done(20)
    assert text == f"(b'offer', ('{KERNEL_2}', 67))\n", text
    assert "b'discover' ('0.0.0.0', 68)" in server.done(20), server.log()


BOTH = weirtest.TRY + r"""
import socket

def udp():
    return socket.socket(2, 2)

def be(n):
    return socket.htonl(n)

for kind in ((2, 2), (2, 1), (2, 3, 1), (17, 3)):
    u = socket.socket(*kind)
    print(kind, t(u.setsockopt, 1, 25, b"absent"), t(u.setsockopt, 1, 25, b"lo\0"),
          t(u.getsockopt, 1, 25, 16), t(u.getsockopt, 1, 25, 15), t(u.getsockopt, 1, 62),
          t(u.setsockopt, 1, 62, 99), t(u.getsockopt, 1, 62), t(u.getsockopt, 1, 25, 16),
          t(u.setsockopt, 1, 62, -1), t(u.setsockopt, 1, 25, b""), t(u.getsockopt, 1, 25, 16),
          t(u.getsockopt, 1, 25, 3), t(u.setsockopt, 1, 62, b"abc"),
          t(u.setsockopt, 1, 25, b"lo" + bytes(40)), t(u.setsockopt, 1, 25, b"lo" * 10))
u = udp()
print("IP_UNICAST_IF", t(u.setsockopt, 0, 50, be(1)), t(u.getsockopt, 0, 50),
      t(u.setsockopt, 0, 50, be(77)), t(u.setsockopt, 0, 50, b"abc"),
      t(u.setsockopt, 0, 50, b"\1"), t(u.setsockopt, 0, 50, 0),
      t(u.setsockopt, 0, 50, bytes(8)), t(u.setsockopt, 1, 25, b"lo"),
      t(u.setsockopt, 0, 50, be(1)), t(u.setsockopt, 0, 50, be(77)))
s = socket.socket(2, 1)
s.setsockopt(1, 62, 99)
print("absent", t(s.connect, ("198.18.0.9", 80)))
s = udp()
s.setsockopt(1, 62, 99)
print("absent", t(s.sendto, b"x", ("198.18.0.9", 80)), t(s.connect, ("198.18.0.9", 80)))
a, b = socket.socket(2, 1), socket.socket(2, 1)
a.setsockopt(1, 25, b"lo")
a.bind(("", 8099))
print("a port", t(b.bind, ("", 8099)), t(b.setsockopt, 1, 62, 98), t(b.bind, ("", 8099)),
      t(a.listen), t(b.listen))
c = socket.create_connection(("127.0.0.1", 8099), 5)
d, _ = a.accept()
print("accepted", d.getsockopt(1, 25, 16), c.getsockopt(1, 25, 16))
"""

UNPRIVILEGED = weirtest.TRY + r"""
import socket

u = socket.socket(2, 2)
print(t(u.setsockopt, 1, 25, b""), t(u.setsockopt, 1, 25, b"lo"), t(u.setsockopt, 1, 25, b"lo"),
      t(u.setsockopt, 1, 25, b""), t(u.setsockopt, 1, 62, 0), t(u.setsockopt, 1, 62, -1),
      t(u.setsockopt, 1, 25, b"absent"), t(socket.socket(2, 2).setsockopt, 1, 62, 0))
"""


def test_as_the_kernel(make_weir):
    weir = make_weir(options=("--allow-users",))
    nobody = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups")
    for script, wrap in ((BOTH, ()), (UNPRIVILEGED, nobody)):
        weir.as_kernel(script, wrap)
