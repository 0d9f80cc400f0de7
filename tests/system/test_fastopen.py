# SPDX-License-Identifier: BSD-3-Clause
"""TCP Fast Open (RFC 7413) between weir and the kernel, each way: the second connection's question
is in its SYN, and the server has it before the handshake is over; both sides' counters say so."""
import pytest
from weirtest import KERNEL_ADDR, PYTHON, WEIR_ADDR, wait_until

SERVER = """
import socket, sys
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind((sys.argv[1], 7000))
s.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 16)
s.listen(16)
for i in range(3):
    c, peer = s.accept()
    data = b""
    while True:
        got = c.recv(1000)
        if not got:
            break
        data += got
    c.sendall(data.upper())
    c.close()
print("served")
"""

# The first asks for a cookie, the second sends its question in the SYN, and so does the third, that
# connects by option.
CLIENT = """
import socket, sys
TCP_FASTOPEN_CONNECT = 30
to = (sys.argv[1], 7000)
for i in range(3):
    s = socket.socket()
    question = b"question %d" % i
    if i < 2:
        sent = s.sendto(question, socket.MSG_FASTOPEN, to)
    else:
        s.setsockopt(socket.IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1)
        s.connect(to)
        sent = s.send(question)
    s.shutdown(socket.SHUT_WR)
    answer = b""
    while True:
        got = s.recv(1000)
        if not got:
            break
        answer += got
    options = s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)[5]
    print(sent, answer.decode(), "in the SYN" if options & 32 else "after it", flush=True)
    s.close()
"""

# The same with the calls that have no flags: from a file, from a pipe.
CLIENT_FILE = """
import os, socket, sys, tempfile
TCP_FASTOPEN_CONNECT = 30
to = (sys.argv[1], 7000)
for i in range(3):
    s = socket.socket()
    question = b"question %d" % i
    if i == 0:
        sent = s.sendto(question, socket.MSG_FASTOPEN, to)
    else:
        s.setsockopt(socket.IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1)
        s.connect(to)
    if i == 1:
        with tempfile.TemporaryFile() as f:
            f.write(question)
            f.flush()
            sent = os.sendfile(s.fileno(), f.fileno(), 0, 100)
    elif i == 2:
        r, w = os.pipe()
        os.write(w, question)
        sent = os.splice(r, s.fileno(), 100)
    s.shutdown(socket.SHUT_WR)
    answer = b""
    while True:
        got = s.recv(1000)
        if not got:
            break
        answer += got
    options = s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)[5]
    print(sent, answer.decode(), "in the SYN" if options & 32 else "after it", flush=True)
    s.close()
"""

SEEN = """10 QUESTION 0 after it
10 QUESTION 1 in the SYN
10 QUESTION 2 in the SYN
"""


def kernel_listens():
    with open("/proc/self/net/tcp", encoding="ascii") as f:
        return any(line.split()[3] == "0A" for line in f.read().splitlines()[1:])


def weir_listens(weir):
    return lambda: any(s["state"] == "LISTEN" for s in weir.sockets())


def kernel_count(name):
    with open("/proc/self/net/netstat", encoding="ascii") as f:
        lines = [line.split() for line in f]
    for names, values in zip(lines[::2], lines[1::2]):
        if name in names:
            return int(values[names.index(name)])
    return 0


def weir_count(weir, name):
    return sum(c["value"] for c in weir.json("nstat", "-z") if c["name"] == "TcpExt" + name)


@pytest.fixture(name="fast")
def fast_fixture(weir):
    with open("/proc/sys/net/ipv4/tcp_fastopen", "w", encoding="ascii") as f:
        f.write("3")
    weir.cli("sysctl", "-w", "tcp_fastopen=3")
    return weir


def run(server_start, client_start, listening, server_addr, client=CLIENT):
    server = server_start(PYTHON, "-c", SERVER, server_addr)
    wait_until(listening, "the server listens")
    asks = client_start(PYTHON, "-c", client, server_addr)
    assert asks.done(30) == SEEN
    assert server.done(30) == "served\n"


def test_weir_serves(fast):
    before = kernel_count("TCPFastOpenActive")
    run(fast.on_weir, fast.on_kernel, weir_listens(fast), WEIR_ADDR)
    assert kernel_count("TCPFastOpenActive") == before + 2
    assert weir_count(fast, "TCPFastOpenPassive") == 2


def test_weir_asks(fast):
    before = kernel_count("TCPFastOpenPassive")
    run(fast.on_kernel, fast.on_weir, kernel_listens, KERNEL_ADDR)
    assert kernel_count("TCPFastOpenPassive") == before + 2
    assert weir_count(fast, "TCPFastOpenActive") == 2


def test_on_weir(fast):
    run(fast.on_weir, fast.on_weir, weir_listens(fast), WEIR_ADDR)
    assert weir_count(fast, "TCPFastOpenActive") == 2
    assert weir_count(fast, "TCPFastOpenPassive") == 2


def test_from_a_file(fast):
    run(fast.on_kernel, fast.on_weir, kernel_listens, KERNEL_ADDR, CLIENT_FILE)
    assert weir_count(fast, "TCPFastOpenActive") == 2
