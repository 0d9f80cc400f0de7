#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Write a small seed corpus for each fuzz target: seeds.py DIR makes DIR/fuzz_NAME/*.

The seeds are in the targets' own record format (see the head of each fuzz_*.c).
"""

import json
import os
import re
import struct
import sys

HOST_MAC = bytes.fromhex("020000000002")
PEER_MAC = bytes.fromhex("020000000001")
HOST_IP = bytes([198, 18, 0, 2])
PEER_IP = bytes([198, 18, 0, 1])


def ether(kind, payload, dst=HOST_MAC):
    return dst + PEER_MAC + struct.pack("!H", kind) + payload


def ip4(proto, payload, options=b"", frag=0, ttl=64, src=PEER_IP, dst=HOST_IP):
    words = 5 + len(options) // 4
    head = struct.pack("!BBHHHBBH", 0x40 | words, 0, words * 4 + len(payload), 1, frag, ttl,
                       proto, 0)
    return ether(0x0800, head + src + dst + options + payload)


def arp(operation, target_ip=HOST_IP, dst=b"\xff" * 6):
    head = struct.pack("!HHBBH", 1, 0x0800, 6, 4, operation)
    return ether(0x0806, head + PEER_MAC + PEER_IP + bytes(6) + target_ip, dst)


def tcp(flags, seq=1000, ack=0, options=b"", payload=b"", dport=80):
    offset = (5 + len(options) // 4) << 4
    return struct.pack("!HHIIBBHHH", 40000, dport, seq, ack, offset, flags, 8192, 0,
                       0) + options + payload


def udp(payload, dport=53):
    return struct.pack("!HHHH", 4000, dport, 8 + len(payload), 0) + payload


def icmp(kind, code, rest=bytes(4), payload=b""):
    return struct.pack("!BBH", kind, code, 0) + rest + payload


def record(opcode, data):
    return bytes([opcode]) + struct.pack("<H", len(data)) + data


def rx_seeds():
    syn_options = bytes([2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7])
    echo = icmp(8, 0, struct.pack("!HH", 1, 1), b"abcdefgh")
    quoted = ip4(17, udp(b"x"), src=HOST_IP, dst=PEER_IP)[14:]
    frames = {
        "arp-request": arp(1),
        "arp-reply": arp(2, dst=HOST_MAC),
        "arp-other": arp(1, bytes([198, 18, 0, 77])),
        "echo": ip4(1, echo),
        "echo-broadcast": ip4(1, echo, dst=bytes([198, 18, 0, 255])),
        "unreachable": ip4(1, icmp(3, 3, payload=quoted)),
        "frag-needed": ip4(1, icmp(3, 4, struct.pack("!HH", 0, 600), quoted)),
        "time-exceeded": ip4(1, icmp(11, 0, payload=quoted)),
        "udp": ip4(17, udp(b"query")),
        "udp-closed": ip4(17, udp(b"query", 9)),
        "syn": ip4(6, tcp(2, options=syn_options)),
        "syn-closed": ip4(6, tcp(2, dport=81)),
        "ack": ip4(6, tcp(16, 1001, 1)),
        "rst": ip4(6, tcp(4)),
        "data": ip4(6, tcp(24, 1001, 1, payload=b"GET / HTTP/1.0\r\n\r\n")),
        "options-rr": ip4(1, echo, options=bytes([7, 7, 4, 0, 0, 0, 0, 0])),
        "options-lsrr": ip4(1, echo, options=bytes([131, 7, 4, 198, 18, 0, 3, 0])),
        "options-timestamp": ip4(1, echo, options=bytes([68, 12, 5, 1] + [0] * 8)),
        "fragment-first": ip4(17, udp(b"y" * 1000)[:800], frag=0x2000),
        "fragment-last": ip4(17, (b"y" * 1000)[:208], frag=100),
        "ttl": ip4(17, udp(b"z"), ttl=1, dst=bytes([198, 18, 1, 1])),
        "proto": ip4(132, b"sctp"),
        "vlan": ether(0x8100, b"\0\1\x08\0"),
        "short": b"\2\0\0",
    }
    for name, frame in frames.items():
        yield name, record(2, frame)
        yield name + "-raw", record(0, frame)
    yield "all", b"".join(record(2, f) for f in frames.values()) + bytes([5, 36])
    yield "both-fragments", record(2, frames["fragment-first"]) + record(
        2, frames["fragment-last"]) + bytes([5, 39])


def fragment(ident, offset, length, more):
    return bytes([16, ident | (0x10 if more else 0)]) + struct.pack("<HH", offset // 8, length)


def reasm_seeds():
    sizes = struct.pack("<HHHH", 3000 - 8, 2000 - 8, 100, 65000)
    whole = [fragment(0, 0, 1480, True), fragment(0, 1480, 1480, True),
             fragment(0, 2960, 40, False)]
    yield "in-order", sizes + b"".join(whole)
    yield "reversed", sizes + b"".join(reversed(whole))
    yield "twice", sizes + b"".join(whole + whole)
    yield "overlap", sizes + fragment(1, 0, 1200, True) + fragment(1, 800, 1200, False)
    yield "hole", sizes + whole[0] + whole[2] + bytes([15])
    yield "mixed", sizes + whole[0] + fragment(1, 0, 1480, True) + whole[1] + fragment(
        1, 1480, 520, False) + whole[2]
    big = [fragment(3, at, min(1480, 65008 - at), at + 1480 < 65008)
           for at in range(0, 65008, 1480)]
    yield "large", sizes + b"".join(big)


def segment(how, flags, length, window=1000, near=b"", options=b""):
    return bytes([0, how, flags, length]) + near + struct.pack("<H", window) + options


def tcp_seeds():
    """One for each state (tcp_peer.c), with and without options; each a little story."""
    data, fin = segment(0x20, 0x18, 100), segment(0x20, 0x11, 0)
    ack, tick, close = bytes([3, 0xff, 0x7f, 0xe8, 3]), bytes([12, 12]), bytes([6, 0])
    sack = bytes([3, 0, 0x80, 0xe8, 3, 0, 100, 0, 200, 0])
    write, read = bytes([6, 0x86]), bytes([6, 0x83])
    for state in range(22):
        yield f"silence-{state}", bytes([state, 0x87]) + write
        for options in (0, 7):
            head, name = bytes([state, options]), f"{state}-{options}"
            yield "data-" + name, head + data + write + ack + read + tick + data + fin + close
            yield "loss-" + name, head + write + sack + tick + ack + tick + tick + ack
            yield "syn-" + name, head + segment(0, 2, 0) + segment(0, 18, 0) + data
            yield "rst-" + name, head + segment(0, 4, 0) + segment(1, 4, 0, near=b"\3")
            yield "hole-" + name, head + segment(0x21, 16, 50, near=b"\x32") + data + read
            for what in range(16):
                yield f"param-{what}-{name}", (head + bytes([10, what]) + write + ack + data + tick
                                               + bytes([11, what]) + write + sack + fin + close)
            yield "icmp-" + name, head + write + bytes([9, 4, 0, 2]) + tick + ack


def channel_seeds():
    pair = bytes([0, 1, 0, 0,  0, 2, 0, 0,  0, 3, 0, 0,  0, 1, 0, 0,  0, 4, 1, 0])
    yield "pair", pair
    yield "pair-send", pair + bytes([5, 1]) + struct.pack("<H", 500) + bytes(64) + bytes([6, 2])
    yield "pair-fork", pair + bytes([8, 0, 8, 0x40]) + bytes(16) + bytes([8, 0])
    yield "datagram", bytes([0, 0, 0, 0, 0, 2, 0, 0, 5, 0]) + struct.pack("<H", 128) + struct.pack(
        "<I", 40) + bytes(60)
    yield "scribble", pair + bytes([7, 2]) + struct.pack("<HI", 0, 0xffffffff) + bytes([0xff])


def abi_version():
    header = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../src/wire/app_abi.h")
    with open(header, encoding="utf-8") as file:
        return int(re.search(r"ABI_VERSION (\d+)u", file.read())[1])


def attach_seeds():
    version = abi_version()
    for kind in range(1, 16):
        message = struct.pack("<IiII4Q96sII", kind, 0, version, 42, 64, 0, 0, 0, b"prog", 0, 0)
        for what in (0, 1, 8, 9, 16, 17):
            yield f"{kind}-{what}", bytes([what]) + message
    resume = struct.pack("<IiII4Q96sII", 2, 0, version, 42, 0, 0, 0, 0, b"p", 2, 0)
    yield "resume", b"\1" + resume + bytes(8)


def netlink_seeds():
    """Each question as a dump, as one with a name or an address, and several in one datagram."""
    name = struct.pack("<HH8s", 4 + 3, 3, b"lo")
    address = struct.pack("<HH4B", 8, 1, 198, 18, 0, 1)
    messages = []
    for kind in (16, 18, 20, 22, 24, 26, 28, 30, 34):
        for flags, body in ((0x301, bytes(1)), (0x305, bytes([2]) + bytes(15)),
                            (5, bytes(16) + name), (1, bytes([2]) + bytes(11) + address)):
            body += bytes(-len(body) % 4)
            messages.append(struct.pack("<IHHII", 16 + len(body), kind, flags, 7, 0) + body)
            yield f"{kind}-{flags}-{len(body)}", messages[-1]
    yield "all", b"".join(messages)


def config_seeds():
    yield "file", (b"\1port = tap,name=weir0\naddr = 198.18.0.2/24\n"
                   b"route = default via 198.18.0.1\n"
                   b"workers = 2\nspin-us = 50\n# note\nforward = yes\nlog-level = debug\n")
    yield "wire", b"\2name=a,mtu=9000,mac=02:00:00:00:00:01,csum=1,tso=1"
    yield "fault", (b"\0loss=0.02,dup=0.1,reorder=0.5,delay_us=100,jitter_us=9,corrupt=0.5,"
                    b"rate_mbit=10,queue=5,seed=3:wire,mtu=1500")


def control_seeds():
    """Each command, with the words that some of them take."""
    words = {"prefix": "198.18.0.0/24", "address": "198.18.0.1/24", "dev": "lo", "name": "tcp_sack",
             "value": "1", "via": "198.18.0.9", "on": True, "tcp": True, "count": 3}
    for command in ("ledger", "stat", "drops", "sockets", "addr", "addr-add", "addr-del", "route",
                    "route-add", "route-del", "forward", "sysctl", "sysctl-set", "counters",
                    "stop", "version", "?"):
        for extra in ({}, words):
            yield f"{command}-{len(extra)}", json.dumps({"cmd": command, **extra}).encode() + b"\n"
    ip_only = "280000000c000000" "1500000100080000" "0600000000000400" "0600000000000000"
    for name, extra in (
            ("drops", {"drops": True, "records": True, "reasons": ["NO_SOCKET", "TCP_CSUM"]}),
            ("stages", {"stages": ["port-rx", "tcp-input", "port-tx"], "follow": True,
                        "ports": ["lo"], "snap": 96, "ring": 1 << 18}),
            ("filter", {"filter": {"ethernet": ip_only, "ip": "0600000000000400"}})):
        yield f"watch-{name}", json.dumps({"cmd": "watch", **extra}).encode() + b"\n"


def filter_seeds():
    insn = struct.Struct("<HBBI").pack
    ether = bytes(12) + b"\x08\x00"
    for k in (12, 0xfffff000, 0xfff00000, 0xffe00000, 0xfffff02c):
        yield f"load-{k:x}", bytes([4, 14, 0, 14, 5]) + ether + insn(0x28, 0, 0, k) + insn(
            0x15, 0, 1, 0x800) + insn(6, 0, 0, 65535) + insn(6, 0, 0, 0)


TARGETS = {"rx": rx_seeds, "reasm": reasm_seeds, "tcp": tcp_seeds, "channel": channel_seeds,
           "attach": attach_seeds, "config": config_seeds, "filter": filter_seeds,
           "netlink": netlink_seeds, "control": control_seeds}


def main():
    if len(sys.argv) != 2:
        print(__doc__)
        return 2
    for target, seeds in TARGETS.items():
        folder = os.path.join(sys.argv[1], f"fuzz_{target}")
        os.makedirs(folder, exist_ok=True)
        for name, data in seeds():
            with open(os.path.join(folder, name), "wb") as file:
                file.write(data)
    return 0


if __name__ == "__main__":
    sys.exit(main())
