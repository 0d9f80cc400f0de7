# SPDX-License-Identifier: BSD-3-Clause
"""What the tests of `weir dropwatch --kernel` share: a link with a namespace of its own at either
end, frames made by hand, and a dropwatch that runs until its drops are wanted."""
import glob
import json
import os
import signal
import socket
import struct
import subprocess
import tempfile

import weirtest
from weirtest import BIN, Program, libc, wait_until

OURS, PEER, THIRD = "198.18.0.2", "198.18.0.1", "198.18.0.77"
FAR_NET, FAR, NOWHERE = "198.18.5", "198.18.5.9", "198.19.200.1"
OUR_MAC, PEER_MAC, OTHER_MAC = b"\x02\0\0\0\0\2", b"\x02\0\0\0\0\1", b"\x02\0\0\0\0\x99"
BROADCAST = b"\xff" * 6
UDP, TCP, ICMP = 17, 6, 1
CLONE_NEWNET = 0x40000000


def run(*argv):
    return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=20).stdout


def sysctl(name, value):
    with open("/proc/sys/" + name, "w", encoding="ascii") as f:
        f.write(str(value))


def csum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def ip4(payload, proto, src=PEER, dst=OURS, ttl=64, frag=0, ident=1, wrong_csum=False,
        version_ihl=0x45, total=None):
    """An IPv4 packet; `total` is what the length field says, if not the truth."""
    head = struct.pack("!BBHHHBBH4s4s", version_ihl, 0, total or 20 + len(payload), ident, frag,
                       ttl, proto, 0, socket.inet_aton(src), socket.inet_aton(dst))
    check = csum(head) ^ (0x5555 if wrong_csum else 0)
    return head[:10] + struct.pack("!H", check) + head[12:] + payload


def pseudo(src, dst, proto, length):
    return socket.inet_aton(src) + socket.inet_aton(dst) + struct.pack("!BBH", 0, proto, length)


def udp(data=b"x", sport=4000, dport=9, src=PEER, dst=OURS, wrong_csum=False, length=None, **ip):
    head = struct.pack("!HHHH", sport, dport, length or 8 + len(data), 0)
    check = csum(pseudo(src, dst, UDP, 8 + len(data)) + head + data) or 0xffff
    check ^= 0x5555 if wrong_csum else 0
    return ip4(head[:6] + struct.pack("!H", check) + data, UDP, src, dst, **ip)


def tcp(flags, seq=1000, ack=0, data=b"", sport=4000, dport=9, window=8192, src=PEER, dst=OURS,
        wrong_csum=False, options=b"", **ip):
    size = 20 + len(options)
    head = struct.pack("!HHIIBBHHH", sport, dport, seq & 0xffffffff, ack & 0xffffffff,
                       size // 4 << 4, flags, window, 0, 0) + options
    check = csum(pseudo(src, dst, TCP, size + len(data)) + head + data)
    check ^= 0x5555 if wrong_csum else 0
    return ip4(head[:16] + struct.pack("!H", check) + head[18:] + data, TCP, src, dst, **ip)


def icmp(kind=8, wrong_csum=False, **ip):
    head = struct.pack("!BBHHH", kind, 0, 0, 1, 1) + b"weir"
    check = csum(head) ^ (0x5555 if wrong_csum else 0)
    return ip4(head[:2] + struct.pack("!H", check) + head[4:], ICMP, **ip)


class Link:
    """A veth pair: "vb" with 198.18.0.2 in the namespace that we are in, and "va" in another, with
    a name of `ip netns`, from which frames are sent. What the kernel answers is seen there only.
    """

    def __init__(self):
        self.name = f"weirk{os.getpid()}"
        run("ip", "netns", "add", self.name)
        self.sock = None

    def __enter__(self):
        run("ip", "link", "add", "vb", "address", "02:00:00:00:00:02", "type", "veth", "peer",
            "name", "va", "address", "02:00:00:00:00:01", "netns", self.name)
        self.inside(self.open)
        run("ip", "link", "set", "vb", "up")
        run("ip", "addr", "add", OURS + "/24", "dev", "vb")
        run("ip", "neigh", "add", PEER, "lladdr", "02:00:00:00:00:01", "dev", "vb", "nud",
            "permanent")
        return self

    def __exit__(self, *_):
        if self.sock:
            self.sock.close()
        subprocess.run(["ip", "netns", "del", self.name], check=False, timeout=20)

    def inside(self, call):
        """Run something in the other namespace."""
        here = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        there = os.open("/run/netns/" + self.name, os.O_RDONLY | os.O_CLOEXEC)
        try:
            weirtest.check(libc.setns(there, CLONE_NEWNET) == 0, "setns")
            return call()
        finally:
            weirtest.check(libc.setns(here, CLONE_NEWNET) == 0, "setns")
            os.close(there)
            os.close(here)

    def open(self):
        for which in ("all", "default", "va"):
            sysctl(f"net/ipv6/conf/{which}/disable_ipv6", 1)
        run("ip", "link", "set", "lo", "up")
        run("ip", "link", "set", "va", "up")
        self.sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self.sock.bind(("va", 0))
        self.sock.settimeout(10)

    def send(self, payload, count=1, ethertype=0x0800, dst=OUR_MAC, src=PEER_MAC):
        frame = dst + src + struct.pack("!H", ethertype) + payload
        for _ in range(count):
            self.sock.send(frame)

    def answer(self, wanted):
        """The first frame from vb for which wanted(frame) is true."""
        while True:
            frame = self.sock.recv(65536)
            if frame[6:12] == OUR_MAC and wanted(frame):
                return frame


class Dropwatch:
    """weir dropwatch --kernel, from attached to ended."""

    def __init__(self, *options, netns=".", env=None):
        self.folder = tempfile.TemporaryDirectory(prefix="weir-kern-")
        scope = ["--netns", netns] if netns else []
        self.program = Program("dropwatch", [os.path.join(BIN, "weir"), "dropwatch", "--kernel",
                                             *scope, "--json", *options],
                               os.path.join(self.folder.name, "log"), env=env)
        self.lines = None

    def __enter__(self):
        wait_until(self.attached, "the BPF program is attached\n" + self.program.log(), 30)
        return self

    def attached(self):
        assert self.program.running(), self.program.log()
        for path in glob.glob(f"/proc/{self.program.pid}/fdinfo/*"):
            try:
                with open(path, encoding="ascii", errors="replace") as f:
                    if "link_type:" in f.read():
                        return True
            except OSError:
                pass
        return False

    def end(self):
        """Stop it; its lines as objects."""
        if self.lines is None:
            status = self.program.end(signal.SIGINT, 60)
            log = self.program.log()
            assert status == 0, log
            assert not weirtest.SANITIZER.search(log), log
            self.lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
        return self.lines

    def __exit__(self, *_):
        self.program.kill_all()
        self.folder.cleanup()

    def counts(self):
        """{(reason, function): count}"""
        found = {}
        for line in self.end():
            if line["event"] != "stats":
                key = line["reason"], line.get("function")
                found[key] = found.get(key, 0) + line["count"]
        return found

    def packets(self):
        return [line for line in self.end() if line["event"] == "packet"]

    def stats(self):
        return next(line for line in reversed(self.end()) if line["event"] == "stats")
