# SPDX-License-Identifier: BSD-3-Clause
"""Every reason for dropping that can be provoked from outside, on a running weir: found with the
same place and count in `weir ledger`, among the last drops, and in `weir dropwatch`, as JSON.

tests/unit/reasons has the rest, and every place; here is what real frames and programs lead to.
"""
import json
import os
import re
import socket
import struct
import subprocess

import pytest
from test_dropwatch import run
from test_frames import ICMP, IP, OTHER, TCP, UDP, Ether, IPOption, Raw, Wire, arp, ip
from weirtest import KERNEL_ADDR, TAP, TOP, WEIR_ADDR, wait_until

PEER = "198.18.0.9"  # a host that only this test plays: the kernel does not answer for it
NOBODY = "198.18.0.77"
GROUP = "239.1.1.1"
GROUP_MAC = "01:00:5e:01:01:01"
ALL_MAC = "ff:ff:ff:ff:ff:ff"

# What nothing from outside leads to, or only what a system test cannot do in good time.
EXPLAINED = {
    "NOT_SPECIFIED": "weir gives no such reason; a number out of range becomes it",
    "PKT_TOO_BIG": "programs are told (EMSGSIZE) before there is a packet",
    "TX_RING_FULL": "a TAP takes everything; the wire in tests/unit/reasons does not",
    "NOMEM": "weird's pool is larger than what its queues may hold",
    "CPU_BACKLOG": "a worker that does not look for long enough; tests/unit/reasons has one",
    "NEIGH_FAILED": "with NEIGH_QUEUEFULL, below: what waited in the queue",
    "SOCKET_CLOSED": "a hostile program, and a datagram in the same burst: tests/unit/reasons",
}


class Lab:
    """A weir, the wire, and a peer on it."""

    def __init__(self, weir):
        self.weir, self.wire = weir, Wire(weir)
        self.heard = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self.heard.bind(("weir0", 0))
        self.heard.settimeout(5)
        self.port = 20000

    def meet(self):
        """weir learns where the peer is."""
        self.wire.send(arp(psrc=PEER, pdst=WEIR_ADDR), dst=ALL_MAC, kind=0x0806)

    def hear(self, wanted):
        """The next IP packet of weir's that is wanted."""
        while True:
            frame = self.heard.recv(65536)
            if frame[12:14] != b"\x08\x00" or frame[26:30] != socket.inet_aton(WEIR_ADDR):
                continue
            packet = Ether(frame)[IP]
            if wanted(packet):
                return packet

    def script(self, text, *args):
        program = self.weir.script(text, *args)
        wait_until(lambda: "ready" in program.log(), "the program is ready", 20)
        return program

    def listen(self, options="", backlog=8, port=7000):
        return self.script("""
import socket, sys, time
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
%s
s.bind(("", %d))
s.listen(%d)
print("ready", flush=True)
time.sleep(600)
""" % (options, port, backlog))


class Talk:
    """The peer's side of a connection, by hand."""

    def __init__(self, lab, dport=7000, options=(), src=PEER):
        lab.meet()
        lab.port += 1
        self.lab, self.sport, self.dport, self.src = lab, lab.port, dport, src
        self.options = list(options)
        self.seq, self.ack = 1000, 0

    def send(self, flags, seq=0, ack=0, data=b"", options=None):
        """seq, ack: beside what is expected next."""
        tcp = TCP(sport=self.sport, dport=self.dport, flags=flags, seq=(self.seq + seq) % 2**32,
                  ack=(self.ack + ack) % 2**32 if "A" in flags else 0, window=60000,
                  options=self.options if options is None else options)
        packet = ip(src=self.src) / tcp
        self.lab.wire.send(packet / Raw(data) if data else packet)

    def hear(self, flags):
        return self.lab.hear(lambda p: TCP in p and p[TCP].dport == self.sport
                             and p[TCP].flags == flags)

    def syn(self):
        self.send("S")
        answer = self.hear("SA")[TCP]
        self.seq, self.ack = self.seq + 1, answer.seq + 1
        return self

    def open(self):
        self.syn()
        self.send("A")
        # What it says is taken: it is established.
        self.say(b"hello")
        return self

    def say(self, data):
        self.send("PA", data=data)
        self.seq += len(data)
        self.lab.hear(lambda p: TCP in p and p[TCP].dport == self.sport
                      and p[TCP].ack == self.seq)


def options(value):
    return [("NOP", None), ("NOP", None), ("Timestamp", (value, 0))]


def fragment(at, size, more=True, ident=1, tos=0):
    return ip(id=ident, frag=at // 8, flags="MF" if more else 0, proto=17, tos=tos) / Raw(
        b"\0" * size)


def igmp(kind, size=8, chksum=None):
    body = bytes([kind, 0, 0, 0]) + bytes(size - 4)
    total = sum(struct.unpack(f">{size // 2}H", body))
    right = ~(total + (total >> 16)) & 0xffff
    body = body[:2] + struct.pack(">H", right if chksum is None else chksum) + body[4:]
    return ip(dst="224.0.0.1", ttl=1, proto=2) / Raw(body)


UDP_SCRIPT = """
import socket, struct, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
%s
print("ready", flush=True)
time.sleep(600)
"""


# ---- what provokes: each returns how many drops there must be ----

def frames(*packets, kind=0x0800, dst=None):
    def provoke(lab):
        lab.wire.send(*[p() for p in packets], kind=kind, dst=dst)
        return len(packets)
    return provoke


def queue_full(lab):
    lab.script(UDP_SCRIPT % f'for i in range(100): s.sendto(b"x", ("{NOBODY}", 9))')
    return 100 - 64


def socket_filter(lab):
    lab.script(UDP_SCRIPT % """
import ctypes
code = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0))
s.setsockopt(socket.SOL_SOCKET, 26, struct.pack("HxxxxxxQ", 1, ctypes.addressof(code)))
s.bind(("", 5300))""")
    lab.wire.send(ip() / UDP(dport=5300) / Raw(b"x"))
    return 1


def socket_buffer(lab):
    lab.script(UDP_SCRIPT % """
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2304)
s.bind(("", 5301))""")
    for _ in range(500):
        lab.wire.send(ip() / UDP(dport=5301) / Raw(b"x" * 1000))
    return None


def source_filter(lab):
    lab.script(UDP_SCRIPT % f"""
s.bind(("", 5302))
s.setsockopt(socket.IPPROTO_IP, 39, socket.inet_aton("{GROUP}") + socket.inet_aton("{WEIR_ADDR}")
             + socket.inet_aton("198.18.0.50"))""")
    lab.wire.send(ip(dst=GROUP) / UDP(dport=5302), dst=GROUP_MAC)
    return 1


def ratelimit(lab):
    lab.meet()
    for _ in range(30):
        lab.wire.send(ip(src=PEER) / UDP(dport=7))
    return None


def no_route(lab):
    lab.wire.send(ip(src="10.9.8.7") / ICMP(type=8) / Raw(b"ping"))
    return 1


def on_listener(*sends, settings=()):
    """Segments to a listener that no connection is for."""
    def provoke(lab):
        program = lab.listen()
        talk = Talk(lab)
        for flags, data in sends:
            talk.send(flags, data=data)
        program.end()
        return len(sends)
    return provoke


def connected(*sends, stamps=False, before=None):
    """Segments (flags, seq, ack, data) in a connection."""
    def provoke(lab):
        lab.program = lab.listen()
        talk = Talk(lab, options=options(100000) if stamps else ()).open()
        if before:
            before(talk)
        for flags, seq, ack, data, *more in sends:
            talk.send(flags, seq, ack, data, *more)
        return len(sends)
    return provoke


def holes(lab):
    lab.program = lab.listen()
    talk = Talk(lab).open()
    for i in range(1022):
        talk.send("A", 1 + 2 * i, 0, b"x")
    return 1


def zero_window(lab):
    lab.program = lab.listen('s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)')
    talk = Talk(lab).open()
    for _ in range(100):
        talk.send("PA", data=b"x" * 500)
        answer = lab.hear(lambda p: TCP in p and p[TCP].dport == talk.sport)[TCP]
        talk.seq += (answer.ack - talk.seq) % 2**32
        if answer.window == 0:
            break
    return "again", lambda: talk.send("PA", data=b"x")


def abort_on_data(lab):
    lab.script("""
import socket
s = socket.create_server(("", 7000))
print("ready", flush=True)
c, _ = s.accept()
c.recv(100)
c.close()
""")
    talk = Talk(lab).syn()
    talk.send("A")
    talk.send("PA", data=b"hello")
    talk.seq += 5
    talk.ack = talk.hear("FA")[TCP].seq + 1
    talk.send("PA", data=b"more")
    return 1


def overflow(lab):
    lab.program = lab.listen(backlog=1)
    for _ in range(2):
        Talk(lab).open()
    Talk(lab).send("S")
    return 1


def half_open(lab):
    assert lab.weir.cli("sysctl", "tcp_syncookies=0").returncode == 0
    lab.program = lab.listen(backlog=2)
    for _ in range(2 + 3):
        Talk(lab).send("S")
    return 3


def cookie(lab):
    assert lab.weir.cli("sysctl", "tcp_syncookies=2").returncode == 0
    lab.program = lab.listen()
    Talk(lab).syn().send("A", 0, 77777)
    return 1


def defer(lab):
    lab.program = lab.listen('s.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 5)')
    Talk(lab).syn().send("A")
    return 1


def fin(talk):
    talk.send("FA")
    talk.seq += 1
    talk.lab.hear(lambda p: TCP in p and p[TCP].ack == talk.seq)


def beside(flags, seq, ack, data=b"", *more):
    return (flags, seq, ack, data, *more)


PLAIN = {
    "PKT_TOO_SMALL": frames(lambda: Raw(bytes(ip() / UDP())[:12]), lambda: ip(len=4000) / UDP()),
    "OTHERHOST": frames(lambda: ip() / UDP(), dst=OTHER),
    "UNHANDLED_PROTO": frames(lambda: Raw(b"x" * 50), kind=0x88b5),
    "ARP_MALFORMED": frames(lambda: arp(hwtype=7), kind=0x0806),
    "ARP_NOT_FOR_US": frames(lambda: arp(pdst=NOBODY), kind=0x0806),
    "IP_INHDR": frames(lambda: ip(version=5) / UDP(), lambda: ip(ihl=3) / UDP()),
    "IP_CSUM": frames(lambda: ip(chksum=0x1234) / UDP()),
    "IP_INVALID_SOURCE": frames(lambda: ip(src="224.0.0.5") / UDP(),
                                lambda: ip(src="255.255.255.255") / UDP()),
    "IP_LOCALNET": frames(lambda: ip(src="127.0.0.1") / UDP()),
    "IP_OWN_SOURCE": frames(lambda: ip(src=WEIR_ADDR) / UDP()),
    "IP_INADDRERRORS": frames(lambda: ip(dst=NOBODY) / UDP()),
    "IP_OUTNOROUTES": no_route,
    "IP_SOURCE_ROUTE": frames(lambda: ip(options=[IPOption(
        b"\x83\x07\x04\xc6\x12\x00\x09\x00")]) / UDP()),
    "IP_NOPROTO": frames(lambda: ip(proto=253) / Raw(b"x" * 20)),
    "FRAG_MALFORMED": frames(lambda: fragment(0, 13), lambda: fragment(65528, 100, False)),
    "FRAG_ECN": frames(lambda: fragment(0, 8, ident=2, tos=3),
                       lambda: fragment(8, 8, False, ident=2)),
    "FRAG_LIMIT": frames(*[lambda at=8 * i: fragment(at, 8, ident=3) for i in range(129)]),
    "ICMP_CSUM": frames(lambda: ip() / ICMP(type=8, chksum=0x1111)),
    "ICMP_MALFORMED": frames(lambda: ip(proto=1) / Raw(b"\x08\x00\xf7")),
    "ICMP_UNKNOWN_TYPE": frames(lambda: ip() / ICMP(type=42)),
    "ICMP_NO_SOCKET": frames(lambda: ip() / ICMP(type=3, code=3) / IP(
        src=WEIR_ADDR, dst=KERNEL_ADDR) / UDP(sport=9, dport=9)),
    "MCAST_NOT_MEMBER": frames(lambda: ip(dst="239.9.9.9") / UDP(), dst="01:00:5e:09:09:09"),
    "MCAST_SOURCE_FILTER": source_filter,
    "IGMP_MALFORMED": frames(lambda: igmp(0x11, 6), dst="01:00:5e:00:00:01"),
    "IGMP_CSUM": frames(lambda: igmp(0x11, chksum=1), dst="01:00:5e:00:00:01"),
    "IGMP_UNKNOWN_TYPE": frames(lambda: igmp(0x77), dst="01:00:5e:00:00:01"),
    "UDP_MALFORMED": frames(lambda: ip() / UDP(dport=7, len=4) / Raw(b"abc")),
    "UDP_CSUM": frames(lambda: ip() / UDP(dport=7, chksum=0x1111) / Raw(b"abc")),
    "NO_SOCKET": frames(lambda: ip() / UDP(dport=7), lambda: ip() / TCP(dport=7, flags="S")),
    "SOCKET_FILTER": socket_filter,
    "SOCKET_RCVBUFF": socket_buffer,
    "TCP_MALFORMED": frames(lambda: ip() / TCP(dport=7, flags="S", dataofs=3)),
    "TCP_CSUM": frames(lambda: ip() / TCP(dport=7, flags="S", chksum=0x1111)),
    "TCP_FLAGS": frames(lambda: ip() / TCP(dport=7, flags="SF")),
    "TCP_MD5UNEXPECTED": frames(lambda: ip() / TCP(dport=7, flags="S",
                                                   options=[(19, b"\0" * 16)])),
}

CONNECTED = {
    "TCP_CLOSE": connected(beside("PA", 0, 0, b"more"), before=fin),
    "TCP_NO_ACK": connected(beside("P", 0, 0, b"x")),
    "TCP_OLD_DATA": connected(beside("PA", -5, 0, b"hello")),
    "TCP_OVERWINDOW": connected(beside("PA", 100000000, 0, b"x")),
    "TCP_INVALID_SEQUENCE": connected(beside("A", 100000000, 0)),
    "TCP_INVALID_ACK_SEQUENCE": connected(beside("A", 0, 1000)),
    "TCP_OLD_ACK": connected(beside("A", 0, -1000000)),
    "TCP_RFC7323_PAWS": connected(beside("PA", 0, 0, b"x", options(90000)), stamps=True),
    "TCP_INVALID_SYN": connected(beside("S", 0, 0)),
    "TCP_RESET": connected(beside("R", -5, 0)),
    "TCP_OFOMERGE": connected(beside("A", 10, 0, b"x"), beside("A", 10, 0, b"x")),
    "TCP_OFO_QUEUE_PRUNE": holes,
    "TCP_ZEROWINDOW": zero_window,
    "TCP_LISTEN_OVERFLOW": overflow,
    "TCP_ABORT_ON_DATA": abort_on_data,
    "TCP_DEFER_ACCEPT": defer,
    "TCP_REQQ_FULL": half_open,
    "TCP_SYNCOOKIE": cookie,
}
# How many of what is sent are dropped, where it is not all.
COUNTS = {"TCP_OFOMERGE": 1, "FRAG_LIMIT": 129}
# What has to come beside: a limit's messages are about something; and the like.
BESIDE = {"ICMP_RATELIMIT": {"NO_SOCKET"}}


# ---- and finds it again ----

def cells(ledger):
    return {(d["reason"], d["function"], d["file"], d["line"]): d["count"]
            for d in ledger["drops"]}


def difference(before, after):
    return {cell: n - before.get(cell, 0) for cell, n in after.items() if n != before.get(cell, 0)}


def provoke_one(lab, reason, provoke, found):
    """What moves in the ledger is this reason's, as often as it must be, and nothing else's; and
    the last drops say the same of the packet."""
    before = cells(lab.weir.ledger())
    count = provoke(lab)
    if isinstance(count, tuple):  # the scene is set, and only now it is provoked
        before = cells(lab.weir.ledger())
        count[1]()
        count = 1
    count = COUNTS.get(reason, count)

    def moved():
        now = difference(before, cells(lab.weir.ledger()))
        mine = sum(n for cell, n in now.items() if cell[0] == reason)
        return now if mine and (count is None or mine >= count) else None

    now = wait_until(moved, f"{count} are dropped {reason}", 20)
    assert all(c[0] == reason or c[0] in BESIDE.get(reason, ()) for c in now), (reason, now)
    if count is not None:
        assert sum(n for cell, n in now.items() if cell[0] == reason) == count, (reason, now)
    places = {cell for cell in now if cell[0] == reason}
    last = [d for d in lab.weir.json("drops", "-n", "200")
            if (d["reason"], d["function"], d["file"], d["line"]) in places]
    assert last and all(d["text"] and d["severity"] for d in last), reason
    by_place = {(d["reason"], d["function"], d["file"], d["line"]): d["path"]
                for d in lab.weir.ledger()["drops"]}
    for drop in last:  # a place's path is all that packets which ended there went through
        assert set(drop["path"]) <= set(by_place[drop["reason"], drop["function"], drop["file"],
                                                drop["line"]]), drop
        assert not drop["path"] or drop["stage"] in drop["path"], drop
    program = getattr(lab, "program", None)
    if program and program.running():
        program.end()
    found.add(reason)


def provoke_all(weir, cases, settle=None):
    """All of them under the eyes of dropwatch, which says in the end what the ledger says."""
    lab, found = Lab(weir), set()
    before = cells(weir.ledger())

    def during():
        for reason, provoke in cases.items():
            provoke_one(lab, reason, provoke, found)
        if settle:
            settle(lab)

    out = run(weir, "--json", during=during, timeout=120)
    seen = {}
    for event in map(json.loads, out.splitlines()):
        if event["event"] == "drops":
            cell = (event["reason"], event["function"], event["file"], event["line"])
            seen[cell] = seen.get(cell, 0) + event["count"]
    assert found == set(cases)
    ledger = difference(before, cells(weir.check_ledger()))
    # What is dropped between the last look of dropwatch and ours: timers' only.
    assert {c: n for c, n in ledger.items() if c[0] in cases} == {
        c: n for c, n in seen.items() if c[0] in cases}


def test_frames_and_datagrams(weir):
    provoke_all(weir, PLAIN)


def test_neighbour_that_does_not_answer(weir):
    """The queue is full at once; what waited in it fails three seconds later."""
    def settle(lab):
        wait_until(lambda: lab.weir.drops("NEIGH_FAILED") == 64, "64 fail", 20)

    provoke_all(weir, {"NEIGH_QUEUEFULL": queue_full}, settle)


def test_icmp_limit(weir):
    provoke_all(weir, {"ICMP_RATELIMIT": ratelimit})


@pytest.mark.parametrize("reason", CONNECTED)
def test_tcp(weir, reason):
    provoke_all(weir, {reason: CONNECTED[reason]})


def test_fragments_that_do_not_come(weir):
    def provoke(lab):
        lab.wire.send(fragment(0, 80, ident=9), fragment(160, 80, ident=9))
        wait_until(lambda: lab.weir.drops("FRAG_REASM_TIMEOUT"), "the time is over", 45)
        return 2

    provoke_all(weir, {"FRAG_REASM_TIMEOUT": provoke})


def test_overlap(weir):
    provoke_all(weir, {"FRAG_OVERLAP": frames(lambda: fragment(0, 80), lambda: fragment(160, 80),
                                              lambda: fragment(72, 16))})


def test_forwarding(make_weir):
    weir = make_weir(ports=((TAP, f"{WEIR_ADDR}/24"),
                            ("tap,name=weir1,mtu=1000,addr=198.18.1.1/24", "198.18.1.2/24")),
                     options=("--forward",))
    far = "198.18.1.1"
    provoke_all(weir, {
        "IP_TTL": frames(lambda: ip(dst=far, ttl=1) / UDP()),
        "IP_INNOROUTES": frames(lambda: ip(dst="10.9.8.7") / UDP()),
        "PKT_NEEDS_FRAG": frames(lambda: ip(dst=far, flags="DF") / UDP() / Raw(b"x" * 1200)),
    })


def test_port_down(weir):
    """The interface is down: the kernel does not take what weir sends, and says so."""
    def provoke(lab):
        subprocess.run(["ip", "link", "set", "weir0", "down"], check=True, timeout=10)
        lab.script(UDP_SCRIPT % f's.sendto(b"x", ("{KERNEL_ADDR}", 9))')
        return None

    def settle(lab):  # no more of it behind the last look of dropwatch
        subprocess.run(["ip", "link", "set", "weir0", "up"], check=True, timeout=10)

    provoke_all(weir, {"PORT_DOWN": provoke}, settle)


@pytest.mark.parametrize("reason, fault, count", [("LINK_LOSS", "loss=1,dir=in", 5),
                                                  ("LINK_QUEUE", "rate_mbit=1,queue=2,dir=in",
                                                   None)])
def test_fault_link(make_weir, reason, fault, count):
    weir = make_weir(ports=((f"fault,{fault}:{TAP}", f"{WEIR_ADDR}/24"),))

    def provoke(lab):
        for _ in range(5 if count else 100):
            lab.wire.send(arp(pdst=WEIR_ADDR), dst=ALL_MAC, kind=0x0806)
        return count

    provoke_all(weir, {reason: provoke})


def test_every_reason_is_here():
    with open(os.path.join(TOP, "src/core/drop.def"), encoding="utf-8") as file:
        names = set(re.findall(r"^DROP\((\w+),", file.read(), re.M))
    here = set(PLAIN) | set(CONNECTED) | {"NEIGH_QUEUEFULL",
        "ICMP_RATELIMIT", "FRAG_REASM_TIMEOUT", "FRAG_OVERLAP", "IP_TTL", "IP_INNOROUTES",
        "PKT_NEEDS_FRAG", "PORT_DOWN", "LINK_LOSS", "LINK_QUEUE"}
    assert not here & set(EXPLAINED)
    assert here | set(EXPLAINED) == names
