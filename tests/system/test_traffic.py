# SPDX-License-Identifier: BSD-3-Clause
"""Streams and datagrams between the kernel and weir: iperf3, loss, echo, closed ports, ping."""
import json
import os
import select
import socket
import struct

import pytest
from weirtest import (KERNEL_ADDR, PYTHON, TAP, WEIR_ADDR, kernel_server, make_file, receive_all,
                      wait_until)

LOSSY = "fault,loss=0.02,seed=7:" + TAP

SERVE_FILE = """
import socket, sys
server = socket.create_server(("", 7000))
while True:
    connection, peer = server.accept()
    with connection, open(sys.argv[1], "rb") as f:
        connection.sendfile(f)
"""

TAKE_FILE = """
import hashlib, socket
server = socket.create_server(("", 7000))
while True:
    connection, peer = server.accept()
    digest = hashlib.sha256()
    with connection:
        while True:
            part = connection.recv(65536)
            if not part:
                break
            digest.update(part)
        connection.sendall(digest.hexdigest().encode())
"""

UDP_ECHO = """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("", 7001))
while True:
    data, peer = s.recvfrom(65536)
    s.sendto(data, peer)
"""


# ---- iperf3 ----

@pytest.mark.parametrize("reverse", [False, True], ids=["to-weir", "from-weir"])
def test_iperf3(weir, reverse):
    server = weir.on_weir("iperf3", "-s", "-B", WEIR_ADDR)
    weir.wait_for_socket()
    client = weir.on_kernel("iperf3", "-c", WEIR_ADDR, "-t", "2", "-J",
                            *(["-R"] if reverse else []))
    result = json.loads(client.done(40))
    assert server.running(), server.log()
    assert result["end"]["sum_received"]["bits_per_second"] > 50e6, result["end"]


def test_iperf3_client_on_weir(weir):
    weir.on_kernel("iperf3", "-s", "-B", KERNEL_ADDR)
    wait_until(lambda: kernel_answers(5201), "iperf3 listens")
    client = weir.on_weir("iperf3", "-c", KERNEL_ADDR, "-t", "2", "-J", "-P", "2")
    result = json.loads(client.done(40))
    assert result["end"]["sum_received"]["bits_per_second"] > 50e6, result["end"]


def kernel_answers(port):
    """Without a connection, which iperf3 would take for a client: is it in the listeners' list?"""
    with open("/proc/self/net/tcp", encoding="ascii") as f:
        return any(line.split()[3] == "0A" and line.split()[1].endswith(f":{port:04X}")
                   for line in f.read().splitlines()[1:])


# ---- loss ----

def fetch_and_compare(weir, size):
    path = os.path.join(weir.tmp, "file")
    digest = make_file(path, size)
    weir.script(SERVE_FILE, path)
    weir.wait_for_socket()
    with socket.create_connection((WEIR_ADDR, 7000), timeout=30) as connection:
        connection.settimeout(60)
        assert receive_all(connection) == (digest, size)


def send_and_compare(weir, size):
    path = os.path.join(weir.tmp, "file")
    digest = make_file(path, size)
    weir.script(TAKE_FILE)
    weir.wait_for_socket()
    with socket.create_connection((WEIR_ADDR, 7000), timeout=30) as connection:
        connection.settimeout(60)
        with open(path, "rb") as f:
            connection.sendfile(f)
        connection.shutdown(socket.SHUT_WR)
        assert connection.makefile("rb").read().decode() == digest


def test_stream_from_weir(weir):
    fetch_and_compare(weir, 32 << 20)


def test_stream_to_weir(weir):
    send_and_compare(weir, 32 << 20)


def test_stream_from_weir_with_loss(make_weir):
    weir = make_weir(ports=[(LOSSY, f"{WEIR_ADDR}/24")])
    fetch_and_compare(weir, 8 << 20)
    assert weir.drops("LINK_LOSS") > 0


def test_stream_to_weir_with_loss(make_weir):
    weir = make_weir(ports=[(LOSSY, f"{WEIR_ADDR}/24")])
    send_and_compare(weir, 8 << 20)
    assert weir.drops("LINK_LOSS") > 0


def test_stream_through_a_bad_link(make_weir):
    """Loss, duplicates and reordering at once; frames small (no offload), so that there are
    many."""
    spec = "fault,loss=0.01,dup=0.01,reorder=0.02,delay_us=200,jitter_us=100,seed=3:" + TAP + \
        ",offload=0"
    weir = make_weir(ports=[(spec, f"{WEIR_ADDR}/24")])
    send_and_compare(weir, 2 << 20)


def test_connect_from_weir_with_loss(make_weir):
    weir = make_weir(ports=[(LOSSY, f"{WEIR_ADDR}/24")])
    seen = []

    def take(connection):
        seen.append(receive_all(connection)[1])

    client = f"""
import socket
for i in range(20):
    with socket.create_connection(("{KERNEL_ADDR}", 7002), timeout=30) as s:
        s.sendall(bytes(10000))
"""
    with kernel_server(take, 7002):
        weir.script(client).done(90)
        wait_until(lambda: len(seen) == 20, "the server has taken every connection")
    assert seen == [10000] * 20


# ---- datagrams ----

def udp_socket(timeout=10):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(timeout)
    return s


@pytest.mark.parametrize("size", [0, 1, 100, 1472, 1473, 8000, 65507])
def test_udp_echo(weir, size):
    weir.script(UDP_ECHO)
    weir.wait_for_socket(7001, "udp")
    data = os.urandom(size)
    with udp_socket() as s:
        s.connect((WEIR_ADDR, 7001))
        for _ in range(3):
            s.send(data)
            assert s.recv(65536) == data


def test_udp_many(weir):
    weir.script(UDP_ECHO)
    weir.wait_for_socket(7001, "udp")
    with udp_socket() as s:
        s.connect((WEIR_ADDR, 7001))
        for i in range(2000):
            s.send(struct.pack("!I", i))
            assert s.recv(100) == struct.pack("!I", i)


def test_udp_overflow_is_counted(weir):
    """A program that does not read: what does not fit is dropped, named and counted."""
    stuck = """
import signal, socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("", 7003))
signal.pause()
"""
    weir.script(stuck)
    weir.wait_for_socket(7003, "udp")
    with udp_socket() as s:
        s.connect((WEIR_ADDR, 7003))
        for _ in range(4000):
            s.send(bytes(1400))
    wait_until(lambda: weir.drops("SOCKET_RCVBUFF") > 0, "drops are counted")


def test_closed_udp_port(weir):
    with udp_socket() as s:
        s.connect((WEIR_ADDR, 7999))
        s.send(b"x")
        with pytest.raises(ConnectionRefusedError):
            s.recv(10)
    assert weir.drops("NO_SOCKET") == 1


def test_closed_tcp_port(weir):
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((WEIR_ADDR, 7999), timeout=10)
    assert weir.drops("NO_SOCKET") == 1


def test_program_on_weir_sees_refusals(weir):
    weir.script(f"""
import socket
s = socket.socket()
s.settimeout(10)
try:
    s.connect(("{KERNEL_ADDR}", 7998))
    raise SystemExit("connected?")
except ConnectionRefusedError:
    pass
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
u.settimeout(10)
u.connect(("{KERNEL_ADDR}", 7998))
u.send(b"x")
try:
    u.recv(10)
    raise SystemExit("received?")
except ConnectionRefusedError:
    pass
""").done()


def test_no_neighbour(weir):
    """A host that is not there: EHOSTUNREACH, and the waiting packets are dropped with the
    reason."""
    weir.script("""
import errno, socket
s = socket.socket()
s.settimeout(20)
try:
    s.connect(("198.18.0.99", 80))
    raise SystemExit("connected?")
except OSError as error:
    assert error.errno == errno.EHOSTUNREACH, error
""").done()
    assert weir.drops("NEIGH_FAILED") >= 1


def test_no_route(weir):
    weir.script("""
import errno, socket
s = socket.socket()
try:
    s.connect(("203.0.113.1", 80))
    raise SystemExit("connected?")
except OSError as error:
    assert error.errno == errno.ENETUNREACH, error
s = socket.socket()
try:
    s.bind(("198.18.0.77", 80))
    raise SystemExit("bound?")
except OSError as error:
    assert error.errno == errno.EADDRNOTAVAIL, error
""").done()


def test_loopback_inside_weir(weir):
    weir.script("""
import socket, threading
server = socket.create_server(("127.0.0.1", 7004))
def serve():
    connection, peer = server.accept()
    while True:
        data = connection.recv(65536)
        if not data:
            break
        connection.sendall(data)
    connection.close()
thread = threading.Thread(target=serve)
thread.start()
with socket.create_connection(("127.0.0.1", 7004), timeout=10) as s:
    for size in (1, 1000, 100000):
        s.sendall(bytes(size))
        got = 0
        while got < size:
            got += len(s.recv(65536))
thread.join()
""").done()


# ---- ping ----

def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


@pytest.mark.parametrize("size", [0, 56, 1472, 4000, 20000])
def test_ping(weir, size):
    """Echo, larger than the MTU too: fragments both ways."""
    data = os.urandom(size)
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as s:
        s.settimeout(10)
        for sequence in range(3):
            body = struct.pack("!HH", 77, sequence) + data
            total = checksum(struct.pack("!BBH", 8, 0, 0) + body)
            request = struct.pack("!BBH", 8, 0, total) + body
            s.sendto(request, (WEIR_ADDR, 0))
            while True:
                assert select.select([s], [], [], 10)[0], "no answer"
                answer = s.recv(65536)[20:]
                if answer[0] == 0 and answer[4:6] == struct.pack("!H", 77):
                    break
            assert answer[4:] == body
            assert checksum(answer) == 0


# ---- more than one worker ----

def test_several_workers(make_weir):
    weir = make_weir(ports=[(TAP + ",queues=2", f"{WEIR_ADDR}/24")], options=["--workers", "2"])
    assert len(weir.stat()["workers"]) == 2
    path = os.path.join(weir.tmp, "file")
    digest = make_file(path, 4 << 20)
    weir.script(SERVE_FILE, path)
    weir.wait_for_socket()
    for _ in range(8):
        with socket.create_connection((WEIR_ADDR, 7000), timeout=30) as connection:
            connection.settimeout(30)
            assert receive_all(connection) == (digest, 4 << 20)


def test_two_instances_meet(make_weir):
    """Two weirs, each with a TAP, and the kernel routing between them."""
    one = make_weir(instance="one", ports=[("tap,name=wone,addr=198.18.1.1/24", "198.18.1.2/24")],
                    options=["--route", "default via 198.18.1.1"])
    two = make_weir(instance="two", tmp=one.tmp,
                    ports=[("tap,name=wtwo,addr=198.18.2.1/24", "198.18.2.2/24")],
                    options=["--route", "default via 198.18.2.1"])
    with open("/proc/sys/net/ipv4/ip_forward", "w", encoding="ascii") as f:
        f.write("1")
    server = two.script(TAKE_FILE)
    two.wait_for_socket()
    out = one.on_weir(PYTHON, "-c", """
import hashlib, socket
data = bytes(range(256)) * 8000
with socket.create_connection(("198.18.2.2", 7000), timeout=30) as s:
    s.sendall(data)
    s.shutdown(socket.SHUT_WR)
    assert s.makefile("rb").read().decode() == hashlib.sha256(data).hexdigest()
""").done()
    assert out == "" and server.running()
    assert one.ledger()["delivered"] > 0 and two.ledger()["delivered"] > 0
