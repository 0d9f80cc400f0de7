# SPDX-License-Identifier: BSD-3-Clause
"""Datagrams: one program does the same on the kernel's sockets and on weir's, over the loopback,
and what it sees must be the same: errors and which call reports them, the error queue, ancillary
data, peeking, addresses. Then real peers across the TAP."""
import subprocess

import pytest
from weirtest import PYTHON

PRELUDE = """
import errno, os, select, socket, struct, sys, time
U, I, S, V6 = socket.SOCK_DGRAM, socket.IPPROTO_IP, socket.SOL_SOCKET, socket.IPPROTO_IPV6
ERRQ = socket.MSG_ERRQUEUE
LO = "127.0.0.1"

def call(what, f, *args):
    try:
        r = f(*args)
    except OSError as e:
        r = errno.errorcode.get(e.errno, e.errno)
    print(what, r)
    return r

def events(what, s, mask=0xffff & ~select.POLLNVAL, ms=0):
    p = select.poll()
    p.register(s, mask)
    got = p.poll(ms)
    print(what, hex(got[0][1]) if got else "none")

def closed_port():
    s = socket.socket(type=U)
    s.bind((LO, 0))
    name = s.getsockname()
    s.close()
    return name

def udp(addr=LO, family=socket.AF_INET):
    s = socket.socket(family, U)
    s.bind((addr, 0))
    return s

def show(s, ancillary):
    out = []
    for level, kind, data in ancillary:
        data = bytes(data)
        if level == S and kind in (29, 35, 37, 63, 64, 65):
            sec = struct.unpack("=q", data[:8])[0]
            out.append((level, kind, len(data), abs(sec - time.time()) < 100))
        elif (level, kind) in ((I, 11), (V6, 25)):
            out.append((level, kind, struct.unpack("=IBBBBII", data[:16]), data[16:].hex()))
        else:
            out.append((level, kind, data.hex()))
    return out

def receive(what, s, flags=0, room=2000, control=1000):
    try:
        data, ancillary, got, name = s.recvmsg(room, control, flags)
    except OSError as e:
        print(what, errno.errorcode.get(e.errno, e.errno))
        return
    print(what, data[:80], len(data), show(s, ancillary), hex(got), name[:1] if name else name)

def settle(s, ms=2000):
    p = select.poll()
    p.register(s, select.POLLIN)
    p.poll(ms)
"""

ERRORS = PRELUDE + """
gone = closed_port()
# Connected: told once, by whichever call comes first, before any data.
for name in ("recv", "send", "so_error", "poll", "peek", "sendto"):
    s = udp()
    s.connect(gone)
    call("send", s.send, b"x")
    settle(s)
    events("events", s)
    s.setblocking(False)
    if name == "recv":
        call(name, s.recv, 10)
    elif name == "peek":
        call(name, s.recv, 10, socket.MSG_PEEK)
    elif name == "send":
        call(name, s.send, b"y")
    elif name == "sendto":
        call(name, s.sendto, b"y", gone)
    elif name == "so_error":
        print(name, s.getsockopt(S, socket.SO_ERROR))
    events("then", s, select.POLLIN | select.POLLERR)
    print("error is", s.getsockopt(S, socket.SO_ERROR))
    s.close()
# An error comes before data that is there.
a, b = udp(), udp()
a.connect(gone)
a.send(b"x")
settle(a)
call("recv with error", a.recv, 10)
# Not connected: nothing is heard.
s = udp()
call("sendto", s.sendto, b"x", gone)
settle(s, 100)
events("unconnected", s)
call("error queue", s.recvmsg, 10, 100, ERRQ)
# Unless it asks.
s.setsockopt(I, 11, 1)
call("sendto", s.sendto, b"hello", gone)
settle(s)
events("recverr", s)
call("recv", s.recv, 10)
events("recv told", s)
receive("errqueue", s, ERRQ)
receive("errqueue empty", s, ERRQ)
print("error", s.getsockopt(S, socket.SO_ERROR))
# Two, and the pending error follows the queue.
for i in range(2):
    call("again", s.sendto, b"%d" % i, gone)
    settle(s)
print("error", s.getsockopt(S, socket.SO_ERROR))
receive("first", s, ERRQ)
print("error after first", s.getsockopt(S, socket.SO_ERROR))
receive("second", s, ERRQ)
print("error after second", s.getsockopt(S, socket.SO_ERROR))
# Room too small for the payload, and for the control data.
s.sendto(b"0123456789", gone)
settle(s)
receive("short", s, ERRQ, 4, 1000)
s.sendto(b"0123456789", gone)
settle(s)
receive("no control", s, ERRQ, 100, 0)
# Turned off: it is gone.
s.sendto(b"x", gone)
settle(s)
s.setsockopt(I, 11, 0)
receive("off", s, ERRQ)
print("pending", s.getsockopt(S, socket.SO_ERROR))
# With stamps, TTL and TOS of the ICMP message, and IP_PKTINFO.
s.setsockopt(I, 11, 1)
s.setsockopt(I, socket.IP_RECVTTL if hasattr(socket, "IP_RECVTTL") else 12, 1)
s.setsockopt(I, 13, 1)
s.setsockopt(I, 8, 1)
s.setsockopt(S, 29, 1)
s.sendto(b"all", gone)
settle(s)
receive("all", s, ERRQ)
s.close()
# SO_SELECT_ERR_QUEUE
s = udp()
s.setsockopt(S, 45, 1)
s.setsockopt(I, 11, 1)
s.sendto(b"x", gone)
settle(s)
events("select_err_queue", s)
s.close()
# Refused before they leave.
s = socket.socket(type=U)
call("no destination", s.send, b"x")
call("port 0", s.sendto, b"x", (LO, 0))
call("broadcast", s.sendto, b"x", ("255.255.255.255", 9))
call("zero net", s.sendto, b"x", ("0.1.2.3", 9))
call("connect broadcast", s.connect, ("255.255.255.255", 9))
call("too long", s.sendto, b"x" * 65508, (LO, 9))
print(s.getsockname()[1] != 0)
call("longest", s.sendto, b"x" * 65507, udp().getsockname())
# The path's MTU.
s = udp()
call("IP_MTU", s.getsockopt, I, 14)
peer = udp()
s.connect(peer.getsockname())
call("IP_MTU connected", lambda: s.getsockopt(I, 14) > 60000)
for value in (0, 1, 2, 3, 4, 5, 6, -1):
    call("pmtudisc %d" % value, s.setsockopt, I, 10, value)
    print(s.getsockopt(I, 10))
# IP_RECVERR on an IPv6 socket: its own address forms.
s = socket.socket(socket.AF_INET6, U)
s.setsockopt(I, 11, 1)
call("mapped", s.sendto, b"six", ("::ffff:127.0.0.1", gone[1]))
settle(s)
receive("mapped errqueue", s, ERRQ)
receive("mapped again", s, ERRQ)
s.close()
# Shut, and connected again.
s = udp()
a, b = udp(), udp()
call("shutdown unconnected", s.shutdown, socket.SHUT_WR)
s.close()
s = udp()
s.connect(a.getsockname())
call("shutdown", s.shutdown, socket.SHUT_WR)
call("send", lambda: s.sendto(b"x", b.getsockname()))
events("shut", s, select.POLLIN | select.POLLERR | select.POLLHUP | 0x2000)
call("shutdown rd", s.shutdown, socket.SHUT_RD)
events("shut both", s, select.POLLIN | select.POLLERR | select.POLLHUP | 0x2000)
call("recv", s.recv, 10)
s.close()
"""


def on_both(weir, script, *args):
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    kernel = weir.on_kernel(PYTHON, "-c", script, *args).done()
    ours = weir.on_weir(PYTHON, "-c", script, *args).done()
    assert ours.splitlines() == kernel.splitlines()
    return kernel.splitlines()


def test_errors(weir):
    assert len(on_both(weir, ERRORS)) > 60
