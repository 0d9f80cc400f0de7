# SPDX-License-Identifier: BSD-3-Clause
"""Two workers on a TAP of two queues: everything that works with one, and the ledger over both."""
import concurrent.futures
import functools
import http.server
import os
import socket
import struct
import subprocess
import threading

import pytest
from weirtest import (KERNEL_ADDR, PYTHON, WEIR_ADDR, make_file, sha256, wait_until)

TAP2 = f"tap,name=weir0,addr={KERNEL_ADDR}/24,queues=2"

UDP_ECHO = """
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind((sys.argv[1], int(sys.argv[2])))
while True:
    data, peer = s.recvfrom(65535)
    s.sendto(data, peer)
"""


@pytest.fixture
def weir2(make_weir):
    return make_weir(ports=((TAP2, f"{WEIR_ADDR}/24"),), options=("--workers", "2"))


def sysctl(name, value):
    """Of the kernel's side, in the test's own namespace."""
    with open(f"/proc/sys/net/ipv4/{name}", "w", encoding="ascii") as f:
        f.write(value)


def both_worked(weir):
    """Each worker had packets: the test was one of two."""
    return len(weir.stat()["workers"]) == 2 and all(
        w["loop"]["work"] > 0 for w in weir.stat()["workers"])


def test_nginx_in_parallel(weir2):
    weir2.nginx(workers=2)
    digest = make_file(os.path.join(weir2.www, "big.bin"), 4 << 20)

    def fetch(n):
        out = os.path.join(weir2.tmp, f"out.{n}")
        subprocess.run(["curl", "-sS", "-f", "-m", "60", "-o", out, f"http://{WEIR_ADDR}/big.bin"],
                       check=True, timeout=70)
        return sha256(out)

    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        assert set(pool.map(fetch, range(20))) == {digest}
    assert both_worked(weir2)


def test_many_connections(weir2):
    weir2.nginx(workers=2)
    for _ in range(100):
        with socket.create_connection((WEIR_ADDR, 80), timeout=10) as connection:
            connection.sendall(b"GET /index.html HTTP/1.0\r\n\r\n")
            answer = b""
            while part := connection.recv(4096):
                answer += part
            assert answer.endswith(b"a page of nginx on weir\n")
    wait_until(lambda: sum(s["state"] == "ESTAB" for s in weir2.sockets()) == 0,
               "connections are closed on weir's side too")


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def test_curl_on_weir(weir2):
    """Connections that weir opens: the answers come to any queue."""
    www = os.path.join(weir2.tmp, "kernel-www")
    os.mkdir(www)
    digest = make_file(os.path.join(www, "file.bin"), 1 << 20)
    server = http.server.ThreadingHTTPServer((KERNEL_ADDR, 8080),
                                             functools.partial(Quiet, directory=www))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    out = os.path.join(weir2.tmp, "out.bin")
    try:
        for _ in range(50):
            weir2.on_weir("curl", "-sS", "-f", "-m", "20", "-o", out,
                          f"http://{KERNEL_ADDR}:8080/file.bin").done()
            assert sha256(out) == digest
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert both_worked(weir2)


def test_udp_echo(weir2):
    weir2.script(UDP_ECHO, WEIR_ADDR, "9000")
    weir2.wait_for_socket(9000, proto="udp")
    for i in range(50):  # each from another port, so to either queue
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(10)
            for size in (1, 1400, 20000):  # the last in fragments
                data = bytes([i]) * size
                s.sendto(data, (WEIR_ADDR, 9000))
                assert s.recv(65535) == data


def test_udp_client_on_weir(weir2):
    """A socket that was never bound, and a connected one that is refused."""
    sysctl("icmp_ratelimit", "0")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((KERNEL_ADDR, 9001))
        server.settimeout(20)
        client = weir2.script(f"""
import socket
for i in range(50):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(10)
    s.sendto(b'%d' % i, ('{KERNEL_ADDR}', 9001))
    assert s.recv(100) == b'%d' % i, i
for i in range(20):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    if i % 2:
        s.bind(('{WEIR_ADDR}', 9100 + i))
    s.settimeout(10)
    s.connect(('{KERNEL_ADDR}', 9002))
    s.send(b'x')
    try:
        s.recv(100)
        raise SystemExit('received')
    except ConnectionRefusedError:
        pass
""")
        for _ in range(50):
            data, peer = server.recvfrom(100)
            server.sendto(data, peer)
        client.done()


@pytest.mark.parametrize("size", [56, 8000, 60000])
def test_ping(weir2, size):
    """Echo, also in up to 41 fragments, which come to both queues."""
    sysctl("ping_group_range", "0 0")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP) as s:
        s.settimeout(10)
        for sequence in range(20):
            data = bytes([sequence]) * size
            s.sendto(b"\x08\0\0\0" + struct.pack("!HH", 0, sequence) + data, (WEIR_ADDR, 0))
            answer = s.recv(65536)
            assert (answer[0], answer[8:]) == (0, data)


def test_redis(weir2):
    weir2.redis()
    for place in (weir2.on_kernel, weir2.on_weir):
        out = place("redis-benchmark", "-h", WEIR_ADDR, "-t", "get,set", "-n", "20000", "-c", "50",
                    "--csv").done()
        assert '"GET"' in out and '"SET"' in out


def test_killed_in_the_middle(weir2):
    """The peer of a program that is killed is told, whichever worker its connections were on."""
    program = weir2.script(f"""
import socket
l = socket.create_server(('{WEIR_ADDR}', 7000), backlog=64)
all = [l.accept()[0] for i in range(10)]
[c.sendall(b'x') for c in all]
while True:
    all[0].recv(1)
""")
    weir2.wait_for_socket(7000)
    connections = [socket.create_connection((WEIR_ADDR, 7000), timeout=10) for _ in range(10)]
    for connection in connections:
        assert connection.recv(1) == b"x"
    program.kill_all()
    for connection in connections:
        try:
            assert connection.recv(1) == b""
        except ConnectionResetError:
            pass
        connection.close()
    wait_until(lambda: all(s["state"] == "TIME-WAIT" for s in weir2.sockets()),
               "its sockets are gone")


def test_refused_port(weir2):
    for _ in range(20):
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((WEIR_ADDR, 81), timeout=10).close()


def test_bind_twice(weir2):
    """A port that one program has is not free for another, whichever worker has it."""
    script = f"""
import socket, sys
keep = []
for port in range(7100, 7110):
    s = socket.socket()
    try:
        s.bind(('{WEIR_ADDR}', port))
        got = 0
    except OSError as e:
        got = e.errno
    assert got == int(sys.argv[1]), (port, got)
    keep.append(s)
print('bound', flush=True)
if got == 0:
    import time
    time.sleep(60)
"""
    first = weir2.script(script, "0")
    wait_until(lambda: "bound" in first.log() or not first.running(), "bound")
    assert first.running(), first.log()
    weir2.script(script, "98").done()
    first.kill_all()


def test_listen_again(weir2):
    """A server that closes its listener and opens it again, as iperf3 does, on any worker."""
    weir2.script(f"""
import socket
for i in range(50):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        s = socket.socket(socket.AF_INET, kind)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(('{WEIR_ADDR}', 7200))
        if kind == socket.SOCK_STREAM:
            s.listen(5)
        s.close()
""").done()


def test_same_tap_twice(weir2):
    """A tap with several queues would let a second port join it."""
    done = weir2.cli("port", "add", "tap,name=weir0,queues=2")
    assert done.returncode == 1 and "weir0 is in use" in done.stderr, done.stderr
