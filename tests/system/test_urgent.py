# SPDX-License-Identifier: BSD-3-Clause
"""Urgent data: the same two Python programs between weir and the kernel, each way, and between the
kernel and itself; what they see must be the same each time."""
import pytest
from weirtest import KERNEL_ADDR, PYTHON, WEIR_ADDR, wait_until

COMMON = """
import array, fcntl, select, signal, socket, sys, termios
SIOCATMARK = 0x8905

def ask(s, request):
    answer = array.array("i", [0])
    fcntl.ioctl(s, request, answer)
    return answer[0]

def show(*what):
    print(*what, flush=True)

def at_mark(s):
    return ask(s, SIOCATMARK)

def wait_bytes(s, n):
    while ask(s, termios.FIONREAD) < n:
        select.select([s], [], [], 5)

def error_of(call):
    try:
        return call()
    except OSError as e:
        return type(e).__name__ + " " + str(e.errno)
"""

SERVER = COMMON + """
def poll_mask(s):
    p = select.poll()
    p.register(s, select.POLLIN | select.POLLPRI)
    return [event for fd, event in p.poll(0)]

def epoll_mask(s):
    with select.epoll() as e:
        e.register(s, select.EPOLLIN | select.EPOLLPRI)
        return [event for fd, event in e.poll(5)]

server = socket.create_server((sys.argv[1], 7000))
c, peer = server.accept()
show("none", error_of(lambda: c.recv(1, socket.MSG_OOB)))
c.sendall(b"0")

# "abcX" and the urgent "!", then "def"
show("exceptional", select.select([], [], [c], 5)[2] == [c])
wait_bytes(c, 4)
show("epoll", epoll_mask(c))
show("peek", c.recv(1, socket.MSG_OOB | socket.MSG_PEEK))
show("message", c.recvmsg(10, 0, socket.MSG_OOB)[0::2])
show("again", error_of(lambda: c.recv(1, socket.MSG_OOB)))
show("poll", poll_mask(c))
show("before", at_mark(c), ask(c, termios.FIONREAD), c.recv(100))
show("at", at_mark(c), ask(c, termios.FIONREAD))
show("behind", c.recv(3, socket.MSG_WAITALL), at_mark(c))

# A read of all that stops at the mark: "ghi", "?", "jk"
c.sendall(b"2")
show("stops", c.recv(6, socket.MSG_WAITALL), at_mark(c))
show("goes on", c.recv(2, socket.MSG_WAITALL), at_mark(c))
show("passed", error_of(lambda: c.recv(1, socket.MSG_OOB)))

# In line: "lm", "#", "no"
c.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
c.sendall(b"3")
show("exceptional", select.select([], [], [c], 5)[2] == [c])
wait_bytes(c, 5)
show("inline", error_of(lambda: c.recv(1, socket.MSG_OOB)))
show("before", c.recv(100), at_mark(c))
show("the rest", c.recv(100), at_mark(c))
show("poll", poll_mask(c))
c.sendall(b"4")
show("end", c.recv(100))
"""

CLIENT = COMMON + """
c = socket.create_connection((sys.argv[1], 7000))
c.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
c.recv(1)
c.sendall(b"abc")
show(c.send(b"X!", socket.MSG_OOB))
c.sendall(b"def")
c.recv(1)
c.sendall(b"ghi")
c.send(b"?", socket.MSG_OOB)
c.sendall(b"jk")
c.recv(1)
c.sendall(b"lm")
c.send(b"#", socket.MSG_OOB)
c.sendall(b"no")
c.recv(1)
"""

SEEN = """none OSError 22
exceptional True
epoll [3]
peek b'!'
message (b'!', 1)
again OSError 22
poll [1]
before 0 4 b'abcX'
at 1 0
behind b'def' 0
stops b'ghi' 1
goes on b'jk' 0
passed OSError 22
exceptional True
inline OSError 22
before b'lm' 1
the rest b'#no' 0
poll []
end b''
"""


def run(server_start, client_start, listening, server_addr):
    server = server_start(PYTHON, "-c", SERVER, server_addr)
    wait_until(listening, "the server listens")
    client = client_start(PYTHON, "-c", CLIENT, server_addr)
    assert client.done(30) == "2\n"
    assert server.done(30) == SEEN


def kernel_listens():
    with open("/proc/self/net/tcp", encoding="ascii") as f:
        return any(line.split()[3] == "0A" for line in f.read().splitlines()[1:])


def weir_listens(weir):
    return lambda: any(s["state"] == "LISTEN" for s in weir.sockets())


def test_kernel_alone(weir):
    """What SEEN holds is the kernel's."""
    run(weir.on_kernel, weir.on_kernel, kernel_listens, KERNEL_ADDR)


def test_received(weir):
    run(weir.on_weir, weir.on_kernel, weir_listens(weir), WEIR_ADDR)


def test_sent(weir):
    run(weir.on_kernel, weir.on_weir, kernel_listens, KERNEL_ADDR)


def test_on_weir(weir):
    run(weir.on_weir, weir.on_weir, weir_listens(weir), WEIR_ADDR)
