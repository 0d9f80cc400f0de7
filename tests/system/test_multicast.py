# SPDX-License-Identifier: BSD-3-Clause
"""Multicast and broadcast: programs on weir and on the kernel in the same groups, over the wire,
and what routers are told of it (IGMP), seen by the kernel's own eyes."""
import os
import socket
import struct

import pytest
from weirtest import KERNEL_ADDR, PYTHON, TAP, WEIR_ADDR, Program, wait_until

GROUP, OTHER = "239.1.2.3", "239.1.2.4"
ALL_ROUTERS, ALL_HOSTS, REPORTS = "224.0.0.2", "224.0.0.1", "224.0.0.22"
I = socket.IPPROTO_IP
# What Python 3.11 has no names for.
IP_MULTICAST_ALL = 49
ADD_SOURCE, DROP_SOURCE, BLOCK, UNBLOCK = 39, 40, 38, 37
Q, V2, V3, LEAVE = 0x11, 0x16, 0x22, 0x17
IS_IN, IS_EX, TO_IN, TO_EX, ALLOW, BLOCK_OLD = 1, 2, 3, 4, 5, 6


def at(addr):
    return socket.inet_aton(addr)


def mreq(group, addr):
    return at(group) + at(addr)


# A program that does what each line of its input says, so that a test is one story on both sides.
AGENT = """
import select, socket, struct, sys
I, S = socket.IPPROTO_IP, socket.SOL_SOCKET
socks = {}
for line in sys.stdin:
    what, name, *rest = line.split()
    if what == "open":
        s = socks[name] = socket.socket(type=socket.SOCK_DGRAM)
        s.setsockopt(S, socket.SO_REUSEADDR, 1)
        s.bind((rest[0], int(rest[1])))
        answer = "ok"
    elif what == "unbound":
        socks[name] = socket.socket(type=socket.SOCK_DGRAM)
        answer = "ok"
    elif what == "bind":
        socks[name].bind((rest[0], int(rest[1])))
        answer = "ok"
    elif what == "close":
        socks.pop(name).close()
        answer = "ok"
    else:
        s = socks[name]
        try:
            if what == "set":
                s.setsockopt(int(rest[0]), int(rest[1]), bytes.fromhex(rest[2]))
                answer = "ok"
            elif what == "int":
                s.setsockopt(int(rest[0]), int(rest[1]), int(rest[2]))
                answer = "ok"
            elif what == "send":
                answer = s.sendto(rest[2].encode(), (rest[0], int(rest[1])))
            elif what == "recv":
                s.settimeout(float(rest[0]))
                data, control, flags, peer = s.recvmsg(2000, 500)
                answer = data.decode(), peer[0]
                s.settimeout(None)
        except OSError as e:
            answer = type(e).__name__ if isinstance(e, TimeoutError) else e.errno
    print(answer, flush=True)
"""


class Agent:
    def __init__(self, weir, on_weir):
        out, self.out = os.pipe()
        self.seen = 0
        script = ("-c", AGENT)
        if on_weir:
            self.program = weir.on_weir(PYTHON, *script, stdin=out)
        else:
            self.program = Program("agent", [PYTHON, *script], weir.log_name("agent"),
                                   stdin=out)
            weir.programs.append(self.program)
        os.close(out)

    def do(self, *words):
        os.write(self.out, (" ".join(str(w) for w in words) + "\n").encode())

        def answered():
            lines = self.program.log().split("\n")[:-1]
            assert self.program.running(), self.program.log()
            return lines[self.seen:]

        lines = wait_until(answered, f"an answer to {words}")
        self.seen += 1
        return lines[0]

    def ok(self, *words):
        assert self.do(*words) == "ok", words

    def set(self, name, option, value, level=I):
        return self.do("set", name, level, option, value.hex())

    def join(self, name, group, addr):
        assert self.set(name, socket.IP_ADD_MEMBERSHIP, mreq(group, addr)) == "ok"

    def leave(self, name, group, addr):
        assert self.set(name, socket.IP_DROP_MEMBERSHIP, mreq(group, addr)) == "ok"

    def got(self, name, timeout=10):
        return self.do("recv", name, timeout)

    def close(self):
        os.close(self.out)
        self.program.done()


@pytest.fixture(params=[1, 2], ids=["one worker", "two workers"])
def weir(make_weir, request):
    """Groups are joined on each worker, and what comes to any of them is heard."""
    n = request.param
    return make_weir(ports=((f"{TAP},queues={n}", f"{WEIR_ADDR}/24"),),
                     options=("--workers", str(n)))


@pytest.fixture
def sides(weir):
    """Agents: on weir, on weir in another program, on the kernel."""
    agents = [Agent(weir, True), Agent(weir, True), Agent(weir, False)]
    yield agents
    for a in agents:
        a.close()


class Wire:
    """What comes out of weir, read by a packet socket on the kernel's side of the TAP."""

    def __init__(self):
        self.s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self.s.bind(("weir0", 0))
        self.s.settimeout(0.2)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.s.close()

    def frames(self):
        """Of weir, IPv4, that wait now or come in a fifth of a second."""
        while True:
            try:
                frame, where = self.s.recvfrom(70000)
            except TimeoutError:
                return
            if where[2] != socket.PACKET_OUTGOING and frame[12:14] == b"\x08\0":
                yield frame

    def igmp(self):
        """(to, type, what) of weir's IGMP messages: groups, or records of version 3."""
        out = []
        for frame in self.frames():
            ip = frame[14:]
            if ip[9] != 2:
                continue
            assert ip[8] == 1 and ip[0] == 0x46 and ip[20:24] == b"\x94\x04\0\0"
            assert frame[0:6] == b"\x01\0\x5e" + bytes([ip[17] & 0x7f]) + ip[18:20]
            body = ip[24:struct.unpack("!H", ip[2:4])[0]]
            assert checksum(body) == 0
            out.append((socket.inet_ntoa(ip[16:20]), body[0], records(body)))
        return out

    def wait_igmp(self, wanted):
        """Until a message tells so; all that came till then."""
        seen = []

        def there():
            seen.extend(self.igmp())
            return any(wanted == (kind, r) for _, kind, rs in seen for r in rs)

        wait_until(there, f"{wanted} is told; there was {seen}")
        return seen


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return total ^ 0xffff


def records(body):
    if body[0] != V3:
        return [socket.inet_ntoa(body[4:8])]
    out, rest = [], body[8:]
    for _ in range(struct.unpack("!H", body[6:8])[0]):
        kind, aux, n = struct.unpack("!BBH", rest[:4])
        assert aux == 0
        out.append((kind, socket.inet_ntoa(rest[4:8]),
                    tuple(sorted(socket.inet_ntoa(rest[8 + 4 * i:12 + 4 * i])
                                 for i in range(n)))))
        rest = rest[8 + 4 * n:]
    return out


def query(to, group="0.0.0.0", version=3, sources=(), tenths=1):
    """A router's question, from the kernel's side."""
    body = struct.pack("!BBH4s", Q, 0 if version == 1 else tenths, 0, at(group))
    if version == 3:
        body += struct.pack("!BBH", 2, 125, len(sources)) + b"".join(map(at, sources))
    body = body[:2] + struct.pack("!H", checksum(body)) + body[4:]
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_IGMP) as s:
        s.setsockopt(I, socket.IP_MULTICAST_IF, at(KERNEL_ADDR))
        s.setsockopt(I, socket.IP_MULTICAST_TTL, 1)
        s.setsockopt(I, socket.IP_OPTIONS, b"\x94\x04\0\0")
        s.sendto(body, (to, 0))


def test_both_ways(sides):
    """weir and the kernel in one group: each hears the other, and, if it likes, itself."""
    ours, second, kernel = sides
    for a, addr in ((ours, WEIR_ADDR), (second, WEIR_ADDR), (kernel, KERNEL_ADDR)):
        a.ok("open", "s", "0.0.0.0", 7001)
        a.join("s", GROUP, addr)
        assert a.set("s", socket.IP_MULTICAST_IF, at(addr)) == "ok"
    # From the kernel: both programs on weir have it.
    kernel.do("send", "s", GROUP, 7001, "one")
    for a in (ours, second, kernel):
        assert a.got("s") == str(("one", KERNEL_ADDR))
    # From weir: the kernel, the other program, and itself, unless it will not.
    ours.do("send", "s", GROUP, 7001, "two")
    for a in (ours, second, kernel):
        assert a.got("s") == str(("two", WEIR_ADDR))
    ours.ok("int", "s", I, socket.IP_MULTICAST_LOOP, 0)
    ours.do("send", "s", GROUP, 7001, "three")
    ours.ok("int", "s", I, socket.IP_MULTICAST_LOOP, 1)
    ours.do("send", "s", GROUP, 7001, "four")
    assert kernel.got("s") == str(("three", WEIR_ADDR))
    for a in (ours, second, kernel):
        assert a.got("s") == str(("four", WEIR_ADDR))
    # TTL 0: this host alone.
    ours.ok("int", "s", I, socket.IP_MULTICAST_TTL, 0)
    ours.do("send", "s", GROUP, 7001, "five")
    ours.ok("int", "s", I, socket.IP_MULTICAST_TTL, 1)
    ours.do("send", "s", GROUP, 7001, "six")
    assert [ours.got("s"), ours.got("s")] == [str((t, WEIR_ADDR)) for t in ("five", "six")]
    assert [second.got("s"), second.got("s")] == [str((t, WEIR_ADDR)) for t in ("five", "six")]
    assert kernel.got("s") == str(("six", WEIR_ADDR))
    # One leaves, the other stays.
    second.leave("s", GROUP, WEIR_ADDR)
    assert second.do("int", "s", I, IP_MULTICAST_ALL, 0) == "ok"
    kernel.do("send", "s", GROUP, 7001, "seven")
    assert ours.got("s") == str(("seven", KERNEL_ADDR))
    second.do("send", "s", WEIR_ADDR, 7001, "mark")  # to the one that was bound last: itself
    ours.leave("s", GROUP, WEIR_ADDR)
    kernel.do("send", "s", GROUP, 7001, "eight")
    assert kernel.got("s") == str(("seven", KERNEL_ADDR))
    assert ours.got("s", 0.3) == "TimeoutError"
    assert second.got("s") == str(("mark", WEIR_ADDR))
    assert second.got("s", 0.1) == "TimeoutError"


def test_two_in_one_port(sides):
    """As mDNS responders: two sockets of SO_REUSEADDR on one port, each has its copy."""
    ours, second, kernel = sides
    for a, name in ((ours, "a"), (ours, "b"), (second, "a")):
        a.ok("open", name, "0.0.0.0", 5353)
        a.join(name, "224.0.0.251", WEIR_ADDR)
    kernel.ok("open", "s", "0.0.0.0", 5353)
    assert kernel.set("s", socket.IP_MULTICAST_IF, at(KERNEL_ADDR)) == "ok"
    for i in range(3):
        kernel.do("send", "s", "224.0.0.251", 5353, f"q{i}")
        for a, name in ((ours, "a"), (ours, "b"), (second, "a")):
            assert a.got(name) == str((f"q{i}", KERNEL_ADDR))
    ours.ok("close", "b")
    kernel.do("send", "s", "224.0.0.251", 5353, "last")
    assert ours.got("a") == second.got("a") == str(("last", KERNEL_ADDR))


def test_joined_elsewhere(sides):
    """One socket joins, without a port; another, which has joined nothing, hears the group."""
    ours, _, kernel = sides
    ours.ok("open", "member", "0.0.0.0", 0)
    ours.join("member", GROUP, WEIR_ADDR)
    ours.ok("unbound", "u")
    ours.join("u", OTHER, WEIR_ADDR)
    ours.ok("open", "s", "0.0.0.0", 7003)
    for i in range(8):  # each from another port: to either queue
        kernel.ok("open", f"k{i}", "0.0.0.0", 0)
        assert kernel.set(f"k{i}", socket.IP_MULTICAST_IF, at(KERNEL_ADDR)) == "ok"
        for group in (GROUP, OTHER):
            kernel.do("send", f"k{i}", group, 7003, f"{group}/{i}")
            assert ours.got("s") == str((f"{group}/{i}", KERNEL_ADDR))
    # And once it has a port it hears for itself.
    ours.ok("bind", "u", "0.0.0.0", 7004)
    for i in range(8):
        kernel.do("send", f"k{i}", OTHER, 7004, f"{i}")
        assert ours.got("u") == str((f"{i}", KERNEL_ADDR))


def test_sources(sides, weir):
    """One source alone; all but one; the filter as a whole, set and asked for."""
    ours, second, kernel = sides
    ours.ok("open", "s", "0.0.0.0", 7001)
    ours.ok("open", "x", "0.0.0.0", 7001)
    source = at(GROUP) + at(WEIR_ADDR) + at(KERNEL_ADDR)
    stranger = at(GROUP) + at(WEIR_ADDR) + at("198.18.0.77")
    assert ours.set("s", ADD_SOURCE, source) == "ok"
    assert ours.set("x", ADD_SOURCE, stranger) == "ok"
    kernel.ok("open", "s", "0.0.0.0", 0)
    assert kernel.set("s", socket.IP_MULTICAST_IF, at(KERNEL_ADDR)) == "ok"
    kernel.do("send", "s", GROUP, 7001, "one")
    assert ours.got("s") == str(("one", KERNEL_ADDR))
    assert ours.got("x", 0.2) == "TimeoutError"
    # The first leaves: the interface lets in the stranger alone.
    assert ours.set("s", DROP_SOURCE, source) == "ok"
    before = weir.drops("MCAST_SOURCE_FILTER")
    kernel.do("send", "s", GROUP, 7001, "two")
    wait_until(lambda: weir.drops("MCAST_SOURCE_FILTER") > before, "the filter's drop")
    assert ours.got("x", 0.1) == "TimeoutError"
    assert ours.set("s", DROP_SOURCE, source) != "ok"
    ours.join("s", GROUP, WEIR_ADDR)
    assert ours.set("s", BLOCK, source) == "ok"
    kernel.do("send", "s", GROUP, 7001, "three")
    wait_until(lambda: weir.drops("MCAST_SOURCE_FILTER") > before + 1, "the filter's drop")
    assert ours.set("s", UNBLOCK, source) == "ok"
    kernel.do("send", "s", GROUP, 7001, "four")
    assert ours.got("s") == str(("four", KERNEL_ADDR))


def test_broadcast(sides):
    ours, second, kernel = sides
    for a in sides:
        a.ok("open", "s", "0.0.0.0", 7002)
    for sender, addr in ((kernel, KERNEL_ADDR), (ours, WEIR_ADDR)):
        assert sender.do("send", "s", "198.18.0.255", 7002, "no") == "13"  # EACCES
        sender.ok("int", "s", socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        assert sender.do("send", "s", "198.18.0.255", 7002, "all") == "3"
        for a in sides:
            assert a.got("s") == str(("all", addr))
        sender.ok("int", "s", socket.SOL_SOCKET, socket.SO_BROADCAST, 0)


def test_igmp3(sides):
    """Join, source by source, and leave: each is told, and again for who lost the first; a question
    is answered."""
    ours, second, _ = sides
    with Wire() as wire:
        ours.ok("open", "s", "0.0.0.0", 7001)
        ours.join("s", GROUP, WEIR_ADDR)
        seen = wire.wait_igmp((V3, (TO_EX, GROUP, ())))
        assert {to for to, _, _ in seen} == {REPORTS}
        second.ok("open", "s", "0.0.0.0", 7001)
        second.join("s", GROUP, WEIR_ADDR)
        second.leave("s", GROUP, WEIR_ADDR)
        assert second.set("s", ADD_SOURCE, at(OTHER) + at(WEIR_ADDR) + at("198.18.0.77")) == "ok"
        wire.wait_igmp((V3, (ALLOW, OTHER, ("198.18.0.77",))))
        query(ALL_HOSTS)
        seen = wire.wait_igmp((V3, (IS_IN, OTHER, ("198.18.0.77",))))
        assert any((IS_EX, GROUP, ()) in rs for _, _, rs in seen)
        query(GROUP, GROUP)
        wire.wait_igmp((V3, (IS_EX, GROUP, ())))
        ours.leave("s", GROUP, WEIR_ADDR)
        seen = wire.wait_igmp((V3, (TO_IN, GROUP, ())))
        second.ok("close", "s")
        # Either is told twice (robustness 2), then there is nothing left to tell.
        told = {(TO_IN, GROUP, ()): 2, (BLOCK_OLD, OTHER, ("198.18.0.77",)): 2}

        def all_told():
            seen.extend(wire.igmp())
            every = [r for _, _, rs in seen for r in rs]
            return all(every.count(r) == n for r, n in told.items())

        wait_until(all_told, f"{told} is told")
        query(ALL_HOSTS)
        assert not [m for m in wire.igmp() + wire.igmp() if m[2]]


def test_igmp2(sides):
    """Where a router speaks version 2 so does weir."""
    ours = sides[0]
    with Wire() as wire:
        query(ALL_HOSTS, version=2)
        ours.ok("open", "s", "0.0.0.0", 7001)
        ours.join("s", GROUP, WEIR_ADDR)
        seen = wire.wait_igmp((V2, GROUP))
        assert all(to == GROUP and kind == V2 for to, kind, _ in seen if kind != V3)
        query(ALL_HOSTS, version=2)
        wire.wait_igmp((V2, GROUP))
        ours.leave("s", GROUP, WEIR_ADDR)
        seen = wire.wait_igmp((LEAVE, GROUP))
        assert any(to == ALL_ROUTERS and kind == LEAVE for to, kind, _ in seen)


OPTIONS = """
import errno, socket, struct, sys
I, S = socket.IPPROTO_IP, socket.SOL_SOCKET
me = socket.inet_aton(sys.argv[1])
index = int(sys.argv[2])
G, G2, UNI = (socket.inet_aton(a) for a in ("239.9.9.9", "239.9.9.8", "10.1.1.1"))
src = [socket.inet_aton("198.51.100.%d" % i) for i in range(1, 20)]
s = socket.socket(type=socket.SOCK_DGRAM)

def call(what, f, *args):
    try:
        r = f(*args)
    except OSError as e:
        r = errno.errorcode.get(e.errno, e.errno)
    r = r.hex().replace(me.hex(), "ME") if isinstance(r, bytes) else r
    print(what, r)

def sset(what, name, value):
    call(what, s.setsockopt, I, name, value)

def get(what, name, value):
    # getsockopt() that is told what it is asked about: Python has it not.
    import ctypes
    buf, n = ctypes.create_string_buffer(value, len(value)), ctypes.c_uint32(len(value))
    r = libc.getsockopt(s.fileno(), I, name, buf, ctypes.byref(n))
    if r:
        print(what, errno.errorcode[ctypes.get_errno()])
        return
    out = buf.raw[:n.value]
    if name == 48:
        out = out[:4].replace(struct.pack("=I", index), b"IDX ") + out[4:]
    print(what, n.value, out.hex().replace(me.hex(), "ME"))

import ctypes
libc = ctypes.CDLL(None, use_errno=True)

def ss(addr, family=socket.AF_INET):
    return struct.pack("=HH4s", family, 0, addr) + b"\\0" * 120

def msfilter(group, mode, sources, n=None, iface=me):
    n = len(sources) if n is None else n
    return group + iface + struct.pack("=II", mode, n) + b"".join(sources)

def groupfilter(group, mode, sources, n=None, ifindex=index, family=socket.AF_INET):
    return (struct.pack("=II", ifindex, 0) + ss(group, family) +
            struct.pack("=II", mode, len(sources) if n is None else n) + b"".join(map(ss, sources)))

EX, IN = 0, 1
ADD, DROP, FILTER, GROUPFILTER = 35, 36, 41, 48
get("not in it", FILTER, msfilter(G, 0, [b"\\0" * 4] * 4))
get("not in it", GROUPFILTER, groupfilter(G, 0, [b"\\0" * 4] * 4))
sset("filter of no group", FILTER, msfilter(G, EX, src[:1]))
sset("filter of no group", GROUPFILTER, groupfilter(G, EX, src[:1]))
sset("join", ADD, G + me)
sset("again", ADD, G + me)
sset("unicast", ADD, UNI + me)
sset("not mine", ADD, G + UNI)
sset("no such index", ADD, G2 + b"\\0" * 4 + struct.pack("=i", 4711))
sset("by index", ADD, G2 + b"\\0" * 4 + struct.pack("=i", index))
sset("short", ADD, G)
for n in (0, 2, 4):
    get("empty %d" % n, FILTER, msfilter(G, 9, [b"\\0" * 4] * n))
    get("empty %d" % n, GROUPFILTER, groupfilter(G, 9, [b"\\0" * 4] * n))
sset("two", FILTER, msfilter(G, EX, src[:2]))
for n in (0, 1, 2, 4):
    get("two of %d" % n, FILTER, msfilter(G, 9, [b"\\0" * 4] * n))
    get("two of %d" % n, GROUPFILTER, groupfilter(G, 9, [b"\\0" * 4] * n))
get("room for more than asked", FILTER, msfilter(G, 9, [b"\\0" * 4] * 4, 1))
get("room for more than asked", GROUPFILTER, groupfilter(G, 9, [b"\\0" * 4] * 4, 1))
sset("include three", GROUPFILTER, groupfilter(G, IN, src[:3]))
get("include three", FILTER, msfilter(G, 9, [b"\\0" * 4] * 4))
get("include three", GROUPFILTER, groupfilter(G, 9, [b"\\0" * 4] * 4))
sset("too many", FILTER, msfilter(G, EX, src[:11]))
sset("too many", GROUPFILTER, groupfilter(G, EX, src[:11]))
sset("ten", GROUPFILTER, groupfilter(G, EX, src[:10]))
get("ten", GROUPFILTER, groupfilter(G, 9, [b"\\0" * 4] * 12))
sset("bad mode", FILTER, msfilter(G, 5, src[:1]))
sset("bad mode", GROUPFILTER, groupfilter(G, 5, src[:1]))
sset("fewer than it says", FILTER, msfilter(G, EX, src[:1], 2))
sset("fewer than it says", GROUPFILTER, groupfilter(G, EX, src[:1], 2))
sset("no room for a head", FILTER, msfilter(G, EX, [])[:12])
sset("no room for a head", GROUPFILTER, groupfilter(G, EX, [])[:100])
get("no room for a head", FILTER, msfilter(G, EX, [])[:12])
get("no room for a head", GROUPFILTER, groupfilter(G, EX, [])[:100])
sset("of IPv6", GROUPFILTER, groupfilter(G, EX, src[:1], family=socket.AF_INET6))
get("of IPv6", GROUPFILTER, groupfilter(G, EX, src[:1], family=socket.AF_INET6))
sset("unicast", FILTER, msfilter(UNI, EX, src[:1]))
sset("unicast", GROUPFILTER, groupfilter(UNI, EX, src[:1]))
get("unicast", FILTER, msfilter(UNI, EX, src[:1]))
get("unicast", GROUPFILTER, groupfilter(UNI, EX, src[:1]))
sset("no such index", GROUPFILTER, groupfilter(G, EX, src[:1], ifindex=4711))
get("no such index", GROUPFILTER, groupfilter(G, EX, src[:1], ifindex=4711))
get("of an address that is not ours", FILTER, msfilter(G, EX, src[:1], iface=UNI))
sset("nobody", GROUPFILTER, groupfilter(G, IN, []))
get("left", FILTER, msfilter(G, 9, [b"\\0" * 4] * 4))
sset("leave", DROP, G + me)
sset("nobody", FILTER, msfilter(G2, IN, []))
# One source after another.
sset("source", 39, G + me + src[0])
sset("again", 39, G + me + src[0])
sset("more", 39, G + me + src[1])
sset("block among included", 38, G + me + src[1])
get("two", FILTER, msfilter(G, 9, [b"\\0" * 4] * 4))
sset("leave one", 40, G + me + src[0])
sset("leave one again", 40, G + me + src[0])
sset("leave the last", 40, G + me + src[1])
get("none", FILTER, msfilter(G, 9, [b"\\0" * 4] * 4))
for i in range(21):
    sset("group %d" % i, ADD, bytes([239, 7, 7, i]) + me)
tcp = socket.socket()
s = tcp
sset("tcp", FILTER, msfilter(G, EX, src[:1]))
sset("tcp", GROUPFILTER, groupfilter(G, EX, src[:1]))
sset("tcp", ADD, G + me)
sset("tcp", DROP, G + me)
for name in (37, 38, 40):
    sset("tcp %d" % name, name, G + me + src[0])
for name in (43, 44, 47):
    sset("tcp %d" % name, name, struct.pack("=II", index, 0) + ss(G2) + ss(src[0]))
sset("tcp if", 32, me)
get("tcp", FILTER, msfilter(G, EX, src[:1]))
get("tcp", GROUPFILTER, groupfilter(G, EX, src[:1]))
"""


def test_options_as_linux(weir):
    """Each option's answers: the same program on the kernel's interface and on weir's."""
    kernel = weir.on_kernel(PYTHON, "-c", OPTIONS, KERNEL_ADDR,
                            str(socket.if_nametoindex("weir0"))).done().splitlines()
    index = weir.script("import socket, sys\n"
                        "print([i for i, n in socket.if_nameindex() if n != 'lo'][0])").done()
    ours = weir.on_weir(PYTHON, "-c", OPTIONS, WEIR_ADDR, index.strip()).done().splitlines()
    assert ours == kernel
    assert len(kernel) > 80
