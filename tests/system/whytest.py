# SPDX-License-Identifier: BSD-3-Clause
"""What the tests of `weir why` share: looks while a load runs, following advice, loads.

Each condition is provoked, its advice seen and followed to the letter, and then the same load loses
nothing any more and the advice is gone. load() is called again and again until `weir why` ends.
What the advice says is given to a shell as it stands, but for the words in capitals.
"""
import contextlib
import json
import os
import re
import signal
import socket
import struct
import subprocess

from weirtest import BIN, WEIR_ADDR, pause, wait_until

PORT = 9000
FAR = "203.0.113.5"  # an address beyond a router


class Look:
    """What one `weir why` found."""

    def __init__(self, answer, status):
        self.status = status
        self.findings = answer["findings"]
        self.normal = {n["reason"]: n["count"] for n in answer["normal"]}
        assert status == (1 if self.findings else 0)

    def __contains__(self, name):
        return any(f["name"] == name for f in self.findings)

    def __getitem__(self, name):
        found = [f for f in self.findings if f["name"] == name]
        assert found, (name, self.findings)
        return found[0]

    def command(self, name, pattern):
        found = [c for c in self[name]["commands"] if re.search(pattern, c)]
        assert found, (pattern, self[name])
        return found[0]


def look(weir, load=lambda: None, seconds="1s"):
    why = subprocess.Popen(weir.argv("why", "--for", seconds, "--json"), stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, text=True)
    try:
        while why.poll() is None:
            load()
            pause()
        out, err = why.communicate(timeout=10)
    finally:
        why.kill()
    assert why.returncode in (0, 1) and err == "", (out, err)
    return Look(json.loads(out), why.returncode)


def follow(command, **words):
    """Give a command to a shell, as people would copy it."""
    for word, value in words.items():
        command = command.replace(word, value)
    done = subprocess.run(command, shell=True, text=True, timeout=30, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          env=dict(os.environ, PATH=BIN + ":" + os.environ["PATH"]))
    assert done.returncode == 0, (command, done.stdout)


def follow_until_gone(weir, name, load, pattern, tries=4, after=lambda: None):
    """Advice that doubles something is followed again where the load still wants more."""
    for _ in range(tries):
        seen = look(weir, load)
        if name not in seen:
            return
        follow(seen.command(name, pattern))
        after()
    assert name not in look(weir, load)


def end(weir):
    """In order, with all that must hold then; another instance may take its ports."""
    weir.finish()
    weir.dead = True


# ---- loads ----

def send(n, port=PORT, size=1200, addr=WEIR_ADDR):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        for _ in range(n):
            with contextlib.suppress(OSError):
                s.sendto(bytes(size), (addr, port))


@contextlib.contextmanager
def standing_still(pid):
    os.kill(pid, signal.SIGSTOP)

    def is_so():
        with open(f"/proc/{pid}/stat", encoding="ascii") as f:
            return f.read().rsplit(")", 1)[1].split()[0] == "T"
    try:
        wait_until(is_so, "it stands still")
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def csum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return total ^ 0xffff


def ip4(payload, src, dst, proto=17, ttl=64, ident=1, frag=0, version=0x45):
    def head(checksum):
        return struct.pack("!BBHHHBBH4s4s", version, 0, 20 + len(payload), ident, frag, ttl, proto,
                           checksum, socket.inet_aton(src), socket.inet_aton(dst))
    return head(csum(head(0))) + payload


def udp(data, port=PORT):
    return struct.pack("!HHHH", 4000, port, 8 + len(data), 0) + data  # 0: without a checksum


def syn(src, dst, port, src_port):
    def head(checksum):
        return struct.pack("!HHIIBBHHH", src_port, port, 1, 0, 0x50, 2, 1000, checksum, 0)
    pseudo = struct.pack("!4s4sBBH", socket.inet_aton(src), socket.inet_aton(dst), 0, 6, 20)
    return head(csum(pseudo + head(0)))


class Wire:
    """Frames to weir's port as no kernel would send them."""

    def __init__(self, weir, dev="weir0"):
        self.mac = [p["mac"] for p in weir.stat()["ports"] if p["name"] == dev][0]
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        self.socket.bind((dev, 0))

    def put(self, packet, src_mac="02:00:00:00:00:50", kind=0x0800):
        addresses = bytes.fromhex((self.mac + src_mac).replace(":", ""))
        self.socket.send(addresses + struct.pack("!H", kind) + packet)


# Reads all that has come, then nothing for 0.4 s; argv: port, SO_RCVBUF or 0.
SLOW_READER = """
import select, socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
if int(sys.argv[2]):
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, int(sys.argv[2]))
s.bind(("0.0.0.0", int(sys.argv[1])))
s.setblocking(False)
while True:
    select.select([], [], [], 0.4)
    try:
        while True:
            s.recv(65536)
    except BlockingIOError:
        pass
"""
READER = SLOW_READER.replace("select.select([], [], [], 0.4)", "select.select([s], [], [])")


def reader(weir, script=READER, rcvbuf=0):
    program = weir.script(script, str(PORT), str(rcvbuf))
    weir.wait_for_socket(PORT, "udp")
    return program


def burst():
    """430 KB at once: more than the default buffer of 256 KB."""
    send(340)
    pause(0.5)


def sender(weir, addr="198.18.0.1", port=PORT):
    """A program on weir that sends a datagram fifty times a second."""
    return weir.script("""
import select, socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
while True:
    try:
        s.sendto(b"x", (sys.argv[1], int(sys.argv[2])))
    except OSError:
        pass
    select.select([], [], [], 0.02)
""", addr, str(port))


def connect_many(n=30):
    with contextlib.ExitStack() as stack:
        for _ in range(n):
            s = stack.enter_context(socket.socket())
            s.setblocking(False)
            s.connect_ex((WEIR_ADDR, 8000))
        pause(0.4)
