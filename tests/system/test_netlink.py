# SPDX-License-Identifier: BSD-3-Clause
"""Netlink: programs that ask for the network's set-up are told weir's."""
import json

from weirtest import KERNEL_ADDR, WEIR_ADDR


def ip_json(weir, *args):
    out = weir.on_weir("ip", "-j", *args).done()
    return json.loads(out or "[]")


def test_ip_shows_weirs_network(make_weir):
    weir = make_weir(options=["--route", f"default via {KERNEL_ADDR}"])
    links = ip_json(weir, "-s", "addr", "show")
    assert [link["ifname"] for link in links] == ["lo", "weir0"]
    assert [a["local"] for link in links for a in link["addr_info"]] == ["127.0.0.1", WEIR_ADDR]
    assert links[1]["addr_info"][0]["broadcast"] == "198.18.0.255"
    assert "LOWER_UP" in links[1]["flags"] and links[1]["mtu"] == 1500
    mac = next(p["mac"] for p in weir.stat()["ports"] if p["name"] == "weir0")
    assert links[1]["address"] == mac
    routes = ip_json(weir, "route")
    assert routes[0]["dst"] == "default" and routes[0]["gateway"] == KERNEL_ADDR
    assert routes[1]["dst"] == "198.18.0.0/24" and routes[1]["prefsrc"] == WEIR_ADDR
    there = ip_json(weir, "route", "get", "10.1.2.3")
    assert there[0]["gateway"] == KERNEL_ADDR and there[0]["prefsrc"] == WEIR_ADDR


def test_neighbours(weir):
    weir.on_weir("curl", "-s", "-m", "5", f"http://{KERNEL_ADDR}:1/").wait()
    neighbours = ip_json(weir, "neigh")
    assert [n["dst"] for n in neighbours] == [KERNEL_ADDR]
    assert neighbours[0]["state"] == ["REACHABLE"]


def test_programs_do_not_change_it(weir):
    """Refused with words; nothing has changed, neither weir's network nor the host's."""
    for args in (["addr", "add", "198.18.0.9/24", "dev", "weir0"],
                 ["link", "set", "weir0", "down"], ["route", "add", "10.0.0.0/8", "dev", "weir0"]):
        program = weir.on_weir("ip", *args)
        assert program.wait() == 2
        assert "weird's options" in program.log(), program.log()
    link = ip_json(weir, "addr", "show", "dev", "weir0")[0]
    assert "UP" in link["flags"]
    assert [(a["local"], a["prefixlen"]) for a in link["addr_info"]] == [(WEIR_ADDR, 24)]


SOCKET = """
import os, select, socket, struct
def request(kind, seq, flags=0x301):
    return struct.pack("IHHIIB3x", 20, kind, flags, seq, 0, 0)
first = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
assert first.family == socket.AF_NETLINK, first.family
assert first.getsockopt(socket.SOL_SOCKET, socket.SO_DOMAIN) == socket.AF_NETLINK
first.bind((0, 0))
assert first.getsockname() == (os.getpid(), 0), first.getsockname()
second = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, 0)
second.bind((0, 0))
assert second.getsockname()[0] not in (0, os.getpid())
third = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
third.bind((77, 1))
assert third.getsockname() == (77, 1)
for s, port in ((first, os.getpid()), (second, second.getsockname()[0]), (third, 77)):
    s.setblocking(False)
    try:
        s.recv(100)
        assert False
    except BlockingIOError:
        pass
    s.sendto(request(18, 5), (0, 0))
    assert select.select([s], [], [], 10)[0] == [s]
    length = s.recv_into(bytearray(16), 16, socket.MSG_PEEK | socket.MSG_TRUNC)
    data, peer = s.recvfrom(length)
    assert len(data) == length > 500 and peer == (0, 0), (length, peer)
    size, kind, flags, seq, pid = struct.unpack_from("IHHII", data)
    assert (kind, flags, seq, pid) == (16, 2, 5, port), (kind, flags, seq, pid)
for bad, errno in (((78, 0), 111), ((0, 1), 1)):
    try:
        first.sendto(request(18, 5), bad)
        assert False
    except OSError as error:
        assert error.errno == errno, error
# A child has the same socket, and the parent is not disturbed.
if os.fork() == 0:
    first.send(request(22, 6))
    select.select([first], [], [], 10)
    os._exit(0 if b"weir0" in first.recv(65536) else 1)
assert os.wait()[1] == 0
# One who asks and never reads is not waited for.
for i in range(3000):
    try:
        third.send(request(18, i))
    except BlockingIOError:
        break
second.send(request(18, 9))
print("done")
"""


def test_the_socket_itself(weir):
    assert "done" in weir.script(SOCKET).done()


RUBBISH = """
import random, select, socket, struct
rng = random.Random(4)
s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
s.setblocking(False)
for i in range(3000):
    kind, flags = rng.choice((16, 18, 20, 22, 24, 26, 30, 3, 0xfff0)), rng.randrange(1 << 16)
    body = rng.randbytes(rng.randrange(60))
    length = rng.choice((16 + len(body), rng.randrange(100), 1 << 31))
    try:
        s.send(struct.pack("IHHII", length, kind, flags | 1, i, 0) + body)
    except BlockingIOError:
        pass
    try:
        while s.recv(65536):
            pass
    except BlockingIOError:
        pass
print("done")
"""


def test_rubbish(weir):
    assert "done" in weir.script(RUBBISH).done()
    assert [link["ifname"] for link in ip_json(weir, "link")] == ["lo", "weir0"]


def test_inside_of_the_c_library(weir):
    """getaddrinfo() asks the same way whether there is IPv6: with AI_ADDRCONFIG there is none."""
    assert weir.script("""
import socket
assert socket.getaddrinfo("::1", 80, type=socket.SOCK_STREAM)
try:
    print(socket.getaddrinfo("::1", 80, socket.AF_UNSPEC, socket.SOCK_STREAM, 0,
                             socket.AI_ADDRCONFIG))
    assert False
except socket.gaierror as error:
    assert error.errno in (socket.EAI_ADDRFAMILY, socket.EAI_NONAME), error
assert socket.getaddrinfo("127.0.0.1", 80, socket.AF_UNSPEC, socket.SOCK_STREAM, 0,
                          socket.AI_ADDRCONFIG)
print("done")
""").done().endswith("done\n")
