# SPDX-License-Identifier: BSD-3-Clause
"""Datagrams: one program does the same on the kernel's sockets and on weir's, over the loopback,
and what it sees must be the same: errors and which call reports them, the error queue, ancillary
data, peeking, addresses. Then real peers across the TAP."""
import subprocess

import pytest
from weirtest import PYTHON, TAP, WEIR_ADDR

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

SEGMENTS = PRELUDE + """
SEG, GRO, CORK, MORE = 103, 104, 1, socket.MSG_MORE
UDP = socket.IPPROTO_UDP
r = udp()
r.setsockopt(S, socket.SO_RCVBUF, 1 << 20)
# One of each worker's, where there are two: what was sent before comes before its worker's mark.
marks = [udp(), udp()]
for m in marks:
    m.connect(r.getsockname())

def drain(what):
    # All that came before the marks: lengths, what is beside them, and whether the bytes are right.
    for m in marks:
        m.send(b"mark")
    got, text, left = [], b"", [m.getsockname() for m in marks]
    while left:
        data, ancillary, flags, name = r.recvmsg(70000, 200)
        if name in left:
            left.remove(name)
            continue
        got.append((len(data), show(r, ancillary), hex(flags)))
        text += data
    print(what, "came", len(got), got[:2], got[-2:], hash(text) and text == TEXT[:len(text)])

def send(n, seg=None, fmt="=H", flags=0, kind=SEG, s=None):
    control = [] if seg is None else [(UDP, kind, struct.pack(fmt, seg))]
    s = s or out
    call("send %d as %s" % (n, seg), s.sendmsg, [TEXT[:n]], control, flags)
    drain("  " + str(n))

TEXT = bytes(i * 7 % 251 for i in range(70000))
out = socket.socket(type=U)
out.connect(r.getsockname())
# The option.
for v in (0, 1, -1, 65535, 65536, 100):
    call("set %d" % v, out.setsockopt, UDP, SEG, v)
    print(out.getsockopt(UDP, SEG), out.getsockopt(UDP, SEG, 2).hex())
call("short", out.setsockopt, UDP, SEG, b"12")
for n in (0, 1, 99, 100, 101, 250, 6400, 12800, 12801, 13000):
    send(n)
send(250, 0)
send(250, 200)
out.setsockopt(UDP, SEG, 0)
# Ancillary data.
for n, seg in ((250, 0), (250, 200), (10, 1), (128, 1), (129, 1), (65507, 1400), (65508, 1400),
               (65507, 65535), (65000, 40000), (100, 65535)):
    send(n, seg)
send(250, 200, "=I")
send(250, 200, "=B")
send(250, 1, "=I", kind=GRO)
# Several.
for how in range(6):
    out.setsockopt(I, 10, how)
    send(250, 100)
    send(60000, 30000)
out.setsockopt(I, 10, 1)
# Without checksums there is no way.
out.setsockopt(S, socket.SO_NO_CHECK if hasattr(socket, "SO_NO_CHECK") else 11, 1)
send(250, 100)
send(50, 100)
send(250)
out.setsockopt(S, 11, 0)
# Not connected, the destination with it.
other = udp()
hundred = [(UDP, SEG, struct.pack("=H", 100))]
call("sendto", other.sendmsg, [TEXT[:300]], hundred, 0, r.getsockname())
drain("  sendto")
# In one piece.
for v in (2, -1, 0, 1):
    r.setsockopt(UDP, GRO, v)
    print("gro", r.getsockopt(UDP, GRO))
for n, seg in ((250, 100), (100, 100), (101, 100), (50, 100), (6400, 100), (12800, 100),
               (60000, 1400)):
    send(n, seg)
send(250)
out.sendmsg([TEXT[:250]], [(UDP, SEG, struct.pack("=H", 100))])
settle(r)
receive("peek", r, socket.MSG_PEEK, 50)
receive("cut", r, 0, 120)
r.setsockopt(UDP, GRO, 0)
send(250, 100)
# Cork.
print("cork", out.getsockopt(UDP, CORK))
out.setsockopt(UDP, CORK, 5)
print("cork", out.getsockopt(UDP, CORK))
call("corked", out.send, TEXT[:3])
drain("  corked")
call("corked, elsewhere", out.sendto, TEXT[3:6], (LO, 1))
out.setsockopt(UDP, CORK, 0)
drain("  uncorked")

def pieces(what, *parts):
    at = 0
    for n, flags in parts:
        call(what, out.send, TEXT[at:at + n], flags)
        at += n
        drain("  " + what)

pieces("more", (3, MORE), (0, MORE), (4, 0))
pieces("nothing", (0, MORE), (0, 0))
pieces("long", (30000, MORE), (30000, MORE), (5507, 0))
call("begin", out.send, TEXT[:60000], MORE)
call("too much", out.send, TEXT[:6000], MORE)
drain("  gone")
call("begin", out.send, TEXT[:60000], MORE)
call("too much", out.send, TEXT[:6000])
drain("  gone")
pieces("as new", (1, 0))
call("segments", out.sendmsg, [TEXT[:250]], [(UDP, SEG, struct.pack("=H", 100))], MORE)
call("and more", out.send, TEXT[250:310])
drain("  segments")
call("begin", out.send, TEXT[:250], MORE)
call("wrong later", out.sendmsg, [TEXT[250:310]], [(I, SEG, b"12")])
drain("  as it began")
call("to", other.sendto, TEXT[:2], MORE, r.getsockname())
call("to nobody", other.sendto, TEXT[2:4], (LO, 0))
drain("  to the first")
call("to", other.sendto, TEXT[:2], MORE, r.getsockname())
call("out of band", other.sendto, TEXT[2:4], socket.MSG_OOB, r.getsockname())
call("without address", other.send, TEXT[2:4])
drain("  to the first")
call("begin", out.send, TEXT[:2], MORE)
call("connect", out.connect, r.getsockname())
call("shutdown", out.shutdown, socket.SHUT_WR)
call("end", out.send, TEXT[2:4])
drain("  shut")
other.sendto(b"lost", MORE, r.getsockname())
other.close()
drain("  closed")
# The rest.
for o in (100, 101, 102):
    print(o, out.getsockopt(UDP, o))
for o in (101, 102):
    call("set", out.setsockopt, UDP, o, 1)
    print(o, out.getsockopt(UDP, o))
call("none", out.setsockopt, UDP, 99, 1)
call("none", out.getsockopt, UDP, 99)
tcp = socket.socket()
call("of TCP", tcp.setsockopt, UDP, SEG, 1)
call("of TCP", tcp.getsockopt, UDP, SEG)
"""


STAMPS = PRELUDE + """
TX_SW, RX_SW, SW, OPT_ID, SCHED, TSONLY = 2, 8, 16, 128, 256, 2048
NEW, OLD, STAMPING = 65, 37, 37
r = udp()
# Linux begins to stamp what comes a while after the first socket has asked (net_enable_timestamp).
asker = udp()
asker.setsockopt(S, 29, 1)

def entry(what, s, ms=2000):
    p = select.poll()
    p.register(s, 0)
    print(what, [hex(e & ~4) for _, e in p.poll(ms)])
    try:
        data, ancillary, flags, name = s.recvmsg(2000, 1000, ERRQ)
    except OSError as e:
        print(what, errno.errorcode[e.errno])
        return
    eth = data[:14].hex()[24:], data[14:15].hex(), data[23:24].hex(), data[26:36].hex()[:16]
    print(what, len(data), eth if data else "", data[42:62], show(s, ancillary), hex(flags), name,
          data[36:38] == struct.pack("!H", r.getsockname()[1]))

def several(what, option, flags, control=(), n=2, connected=False):
    s = udp()
    call("set", s.setsockopt, S, option, flags)
    print("get", s.getsockopt(S, option))
    if connected:
        s.connect(r.getsockname())
    for i in range(n):
        text = b"%s %d" % (what.encode(), i)
        if connected:
            call("send", s.sendmsg, [text], control)
        else:
            call("send", s.sendmsg, [text], control, 0, r.getsockname())
        print(r.recv(100))
        stamps = flags if not control else struct.unpack("=I", control[0][2])[0]
        for bit in (SCHED, TX_SW):
            if stamps & bit:
                entry(what, s)
    s.setblocking(False)
    receive("no more", s, ERRQ)
    print("error", s.getsockopt(S, socket.SO_ERROR))
    return s

for option in (OLD, NEW):
    several("software", option, TX_SW | SW)
    several("numbered", option, TX_SW | SW | OPT_ID, n=3)
    several("alone", option, TX_SW | SW | OPT_ID | TSONLY)
several("scheduled", OLD, SCHED | SW | OPT_ID)
several("both", OLD, SCHED | TX_SW | SW | OPT_ID | TSONLY, connected=True)
several("not reported", OLD, TX_SW)
several("not wanted", OLD, SW | RX_SW | OPT_ID)
for flags in (TX_SW, SCHED, TX_SW | SCHED, 0):
    several("by itself", OLD, SW | OPT_ID | TSONLY, [(S, STAMPING, struct.pack("=I", flags))])
several("not this one", OLD, TX_SW | SW | OPT_ID, [(S, STAMPING, struct.pack("=I", 0))])
# The numbers begin where OPT_ID is set.
s = several("before", OLD, TX_SW | SW | OPT_ID | TSONLY)
s.setblocking(True)
for flags in (TX_SW | SW | OPT_ID | TSONLY, TX_SW | SW | TSONLY, TX_SW | SW | OPT_ID | TSONLY):
    s.setsockopt(S, OLD, flags)
    s.sendto(b"x", r.getsockname())
    entry("again", s)
call("wrong", s.sendmsg, [b"x"], [(S, STAMPING, struct.pack("=I", SW))], 0, r.getsockname())
call("wrong", s.sendmsg, [b"x"], [(S, STAMPING, b"12")], 0, r.getsockname())
# And what was received. The kernel begins to stamp what arrives a moment after the first socket
# asks for it (a work queue turns it on for the machine): a socket that goes on asking waits for it.
asking = udp()
asking.setsockopt(S, OLD, RX_SW | SW)
until, stamped = time.monotonic() + 10, False
while not stamped and time.monotonic() < until:
    s.sendto(b"stamped?", asking.getsockname())
    stamped = bool(asking.recvmsg(100, 200)[1])
print("stamped", stamped)
for option, value in ((29, 1), (35, 1), (63, 1), (64, 1), (OLD, RX_SW | SW), (NEW, RX_SW | SW)):
    t = udp()
    t.setsockopt(S, option, value)
    s.sendto(b"stamped", t.getsockname())
    receive("received %d" % option, t)
"""


@pytest.fixture(params=[1, 2], ids=["one worker", "two workers"])
def weirs(make_weir, request):
    n = request.param
    return make_weir(ports=((f"{TAP},queues={n}", f"{WEIR_ADDR}/24"),),
                     options=("--workers", str(n)))


def on_both(weir, script, *args):
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    kernel = weir.on_kernel(PYTHON, "-c", script, *args).done()
    ours = weir.on_weir(PYTHON, "-c", script, *args).done()
    assert ours.splitlines() == kernel.splitlines()
    return kernel.splitlines()


def test_segments_and_corks(weirs):
    assert len(on_both(weirs, SEGMENTS)) > 150


def test_time_stamps(weirs):
    assert len(on_both(weirs, STAMPS)) > 120


def test_errors(weirs):
    assert len(on_both(weirs, ERRORS)) > 60
