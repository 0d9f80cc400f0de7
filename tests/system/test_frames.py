# SPDX-License-Identifier: BSD-3-Clause
"""Broken, spoofed and looping frames, put on the wire as they are: each gets its reason, nothing
else happens, and the ledger balances."""
import logging
import os
import socket

import pytest
from weirtest import KERNEL_ADDR, WEIR_ADDR, wait_until

logging.getLogger("scapy.runtime").setLevel(logging.ERROR)
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption  # noqa: E402
from scapy.layers.l2 import ARP, Ether  # noqa: E402
from scapy.packet import Raw  # noqa: E402

OTHER = "02:00:00:00:be:ef"


def ip(**fields):
    return IP(**{"src": KERNEL_ADDR, "dst": WEIR_ADDR, **fields})


def arp(**fields):
    return ARP(**{"hwtype": 1, "ptype": 0x0800, "hwlen": 6, "plen": 4, "op": 1, "hwsrc": OTHER,
                  "psrc": KERNEL_ADDR, "hwdst": "00:00:00:00:00:00", "pdst": WEIR_ADDR, **fields})


# name: (what follows the Ethernet header, the reason (or one of several), how many drops)
PACKETS = {
    "ip-cut": (lambda: Raw(bytes(ip() / UDP())[:12]), "PKT_TOO_SMALL|IP_INHDR", 1),
    "ip-version": (lambda: ip(version=5) / UDP(), "IP_INHDR", 1),
    "ip-header-length": (lambda: ip(ihl=3) / UDP(), "IP_INHDR", 1),
    "ip-total-length": (lambda: ip(len=4000) / UDP(), "IP_INHDR|PKT_TOO_SMALL", 1),
    "ip-checksum": (lambda: ip(chksum=0x1234) / UDP(), "IP_CSUM", 1),
    "ip-source-loopback": (lambda: ip(src="127.0.0.1") / UDP(), "IP_LOCALNET", 1),
    "ip-destination-loopback": (lambda: ip(dst="127.0.0.1") / UDP(), "IP_LOCALNET", 1),
    "ip-source-multicast": (lambda: ip(src="224.0.0.5") / UDP(), "IP_INVALID_SOURCE", 1),
    "ip-source-broadcast": (lambda: ip(src="255.255.255.255") / UDP(), "IP_INVALID_SOURCE", 1),
    "ip-source-ours": (lambda: ip(src=WEIR_ADDR) / UDP(), "IP_OWN_SOURCE", 1),
    "ip-not-ours": (lambda: ip(dst="198.18.0.77") / UDP(), "IP_INADDRERRORS", 1),
    "ip-protocol": (lambda: ip(proto=253) / Raw(b"x" * 20), "IP_NOPROTO", 1),
    "ip-source-route": (lambda: ip(options=[IPOption(b"\x83\x07\x04\xc6\x12\x00\x09\x00")]) / UDP(),
                        "IP_SOURCE_ROUTE", 1),
    "udp-checksum": (lambda: ip() / UDP(dport=7, chksum=0x1111) / Raw(b"abc"), "UDP_CSUM|NO_SOCKET",
                     1),
    "udp-length": (lambda: ip() / UDP(dport=7, len=4) / Raw(b"abc"), "UDP_MALFORMED", 1),
    "udp-closed": (lambda: ip() / UDP(dport=7) / Raw(b"abc"), "NO_SOCKET", 1),
    "tcp-checksum": (lambda: ip() / TCP(dport=7, flags="S", chksum=0x1111), "TCP_CSUM", 1),
    "tcp-header-length": (lambda: ip() / TCP(dport=7, flags="S", dataofs=3), "TCP_MALFORMED", 1),
    "tcp-header-beyond": (lambda: ip() / TCP(dport=7, flags="S", dataofs=15), "TCP_MALFORMED", 1),
    "tcp-closed": (lambda: ip() / TCP(dport=7, flags="S"), "NO_SOCKET", 1),
    "tcp-stray-rst": (lambda: ip() / TCP(dport=7, flags="R"), "NO_SOCKET", 1),
    "icmp-checksum": (lambda: ip() / ICMP(type=8, chksum=0x1111), "ICMP_CSUM", 1),
    "icmp-type": (lambda: ip() / ICMP(type=42), "ICMP_UNKNOWN_TYPE", 1),
    "icmp-cut": (lambda: ip(proto=1) / Raw(b"\x08\x00\xf7"), "ICMP_MALFORMED", 1),
    "icmp-error-for-nothing": (lambda: ip() / ICMP(type=3, code=3) / IP(src=WEIR_ADDR,
                               dst=KERNEL_ADDR) / UDP(sport=9, dport=9), "ICMP_NO_SOCKET", 1),
    "arp-cut": (lambda: Raw(b"\x00\x01\x08\x00\x06\x04\x00"), "ARP_MALFORMED|PKT_TOO_SMALL", 1),
    "arp-hardware": (lambda: arp(hwtype=7), "ARP_MALFORMED", 1),
    "arp-other": (lambda: arp(pdst="198.18.0.77"), "ARP_NOT_FOR_US", 1),
    "ethertype": (lambda: Raw(b"x" * 50), "UNHANDLED_PROTO", 1),
}


class Wire:
    """The kernel's end of weir's TAP, frame by frame."""

    def __init__(self, weir):
        self.weir = weir
        port = [p for p in weir.stat()["ports"] if p["name"] == "weir0"][0]
        self.weir_mac = port["mac"]
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        self.socket.bind(("weir0", 0))
        self.kernel_mac = self.socket.getsockname()[4].hex(":")

    def send(self, *payloads, dst=None, kind=None):
        for payload in payloads:
            header = {"src": self.kernel_mac, "dst": dst or self.weir_mac}
            if kind:
                header["type"] = kind
            self.socket.send(bytes(Ether(**header) / payload))


@pytest.fixture
def wire(weir):
    return Wire(weir)


def kind_of(name):
    if name == "ethertype":
        return 0x88b5
    return 0x0806 if name.startswith("arp") else 0x0800


def drops_of(weir, reasons):
    return sum(weir.drops(r) for r in reasons.split("|"))


@pytest.mark.parametrize("name", PACKETS)
def test_reason(weir, wire, name):
    make, reasons, count = PACKETS[name]
    before = drops_of(weir, reasons)
    wire.send(make(), kind=kind_of(name))
    wait_until(lambda: drops_of(weir, reasons) == before + count, f"{count} dropped {reasons}", 5)
    ledger = weir.check_ledger()
    drop = [d for d in ledger["drops"] if d["reason"] in reasons.split("|")][0]
    assert drop["file"].startswith("src/") and drop["line"] > 0 and drop["function"]


def test_other_host(weir, wire):
    wire.send(ip() / UDP(), dst=OTHER)
    wait_until(lambda: weir.drops("OTHERHOST") == 1, "dropped OTHERHOST", 5)


def test_broadcast_ping_is_not_answered_with_an_error(weir, wire):
    wire.send(ip(dst="198.18.0.255") / UDP(dport=9), dst="ff:ff:ff:ff:ff:ff")
    wait_until(lambda: weir.drops("NO_SOCKET") == 1, "dropped NO_SOCKET", 5)
    assert not [s for s in weir.stat()["stages"] if s["stage"] == "icmp-output" and s["packets"]]


def test_overlapping_fragments(weir, wire):
    part = Raw(b"x" * 64)
    wire.send(ip(id=7, flags="MF", frag=0, proto=17) / part,
              ip(id=7, flags="MF", frag=4, proto=17) / part)
    wait_until(lambda: weir.drops("FRAG_OVERLAP") >= 1, "dropped FRAG_OVERLAP", 5)


def test_too_long_when_put_together(weir, wire):
    wire.send(ip(id=8, flags=0, frag=8189, proto=17) / Raw(b"x" * 64))
    wait_until(lambda: weir.drops("FRAG_MALFORMED") >= 1, "dropped FRAG_MALFORMED", 5)


def test_many_incomplete_packets_are_bounded(weir, wire):
    """More unfinished packets than weir keeps: the rest is dropped, and what is held is counted."""
    for i in range(5000):
        wire.send(ip(src=f"198.18.{i >> 8 & 15}.{i & 255 or 1}", id=i, flags="MF", proto=17) /
                  Raw(b"x" * 64))
    ledger = weir.ledger()
    assert ledger["balance"] == 0
    assert ledger["held"] < 5000
    assert weir.stat()["workers"][0]["pool"]["free"] > 0
    weir.check_ledger(timeout=45)  # the time that unfinished packets have: 30 s (RFC 1122)
    assert weir.drops("FRAG_REASM_TIMEOUT") > 0


def test_garbage(weir, wire):
    """Random bytes behind every EtherType and protocol that we know; a real ping still works."""
    for i in range(3000):
        body = os.urandom(1 + i % 200)
        wire.send(Raw(body), kind=(0x0800, 0x0806, 0x8100, 0x86dd)[i % 4])
        wire.send(ip(proto=(1, 6, 17)[i % 3]) / Raw(body))
    ledger = wait_until(lambda: weir.ledger()["entered"] >= 4000 and weir.ledger(),
                        "the frames have entered")
    assert ledger["balance"] == 0
    reply = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    reply.settimeout(10)
    reply.connect((WEIR_ADDR, 7999))
    reply.send(b"x")
    with pytest.raises(ConnectionRefusedError):
        reply.recv(10)
    reply.close()


def test_syn_flood(weir, wire):
    """Half-open connections are bounded, and a listener still takes real ones."""
    weir.nginx()
    for i in range(3000):
        wire.send(ip(src=f"198.18.0.{2 + i % 200 + 1}") /
                  TCP(sport=1024 + i, dport=80, flags="S", seq=i * 7))
    page = weir.on_kernel("curl", "-sS", "-f", "-m", "20", f"http://{WEIR_ADDR}/").done()
    assert "a page" in page
    assert weir.ledger()["balance"] == 0
