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


OWNER_SERVER = COMMON + """
import os, struct
FIOSETOWN, SIOCGPGRP = 0x8901, 0x8904

signals = 0

def handler(number, frame):
    global signals
    signals += 1
    show("signal", number == signal.SIGURG, error_of(lambda: c.recv(1, socket.MSG_OOB)))

signal.signal(signal.SIGURG, handler)
signal.signal(signal.SIGALRM, lambda number, frame: sys.exit("no signal"))
server = socket.create_server((sys.argv[1], 7000))
c, peer = server.accept()

def wait_signal(go):
    before = signals
    c.sendall(go)
    signal.alarm(10)
    while signals == before:
        select.select([], [], [], 0.01)
    signal.alarm(0)

show("nobody", fcntl.fcntl(c, fcntl.F_GETOWN), ask(c, SIOCGPGRP))
c.sendall(b"0")                                       # "a", not signalled
select.select([], [], [c], 5)
fcntl.fcntl(c, fcntl.F_SETOWN, os.getpid())
show("owner", fcntl.fcntl(c, fcntl.F_GETOWN) == os.getpid(), ask(c, SIOCGPGRP) == os.getpid())
show("before", c.recv(1, socket.MSG_OOB))
for go in (b"1", b"2", b"3"):
    wait_signal(go)
show("none such", error_of(lambda: fcntl.fcntl(c, fcntl.F_SETOWN, 0x3ffffff)))

# A copy that is closed changes nothing; a group; the same socket in the child's hands
os.close(os.dup(c.fileno()))
fcntl.ioctl(c, FIOSETOWN, struct.pack("i", -os.getpgrp()))
show("group", ask(c, SIOCGPGRP) == -os.getpgrp())
child = os.fork()
if not child:
    os._exit(ask(c, SIOCGPGRP) != -os.getpgrp())
show("child", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
wait_signal(b"4")

# Nobody again
fcntl.fcntl(c, fcntl.F_SETOWN, 0)
show("nobody", fcntl.fcntl(c, fcntl.F_GETOWN))
c.sendall(b"5")
select.select([], [], [c], 5)
show("quiet", c.recv(1, socket.MSG_OOB))

# A new image has the owner it had, and no handler: sigwait
fcntl.fcntl(c, fcntl.F_SETOWN, os.getpid())
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGURG])
os.set_inheritable(c.fileno(), True)
os.execv(sys.executable, [sys.executable, "-c", sys.argv[2], str(c.fileno())])
"""

OWNER_IMAGE = COMMON + """
import os
c = socket.socket(fileno=int(sys.argv[1]))
show("image", fcntl.fcntl(c, fcntl.F_GETOWN) == os.getpid())
for go in (b"6", b"7"):
    c.sendall(go)
    show("waited", signal.sigtimedwait([signal.SIGURG], 10) is not None,
         c.recv(1, socket.MSG_OOB))
# The end of the connection is no urgent data.
c.sendall(b"8")
show("end", c.recv(100))
show("quiet", signal.sigtimedwait([signal.SIGURG], 0))
"""

OWNER_CLIENT = COMMON + """
c = socket.create_connection((sys.argv[1], 7000))
c.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
for letter in b"abcdefgh":
    c.recv(1)
    c.send(bytes([letter]), socket.MSG_OOB)
c.recv(1)
"""

OWNER_SEEN = """nobody 0 0
owner True True
before b'a'
signal True b'b'
signal True b'c'
signal True b'd'
none such ProcessLookupError 3
group True
child 0
signal True b'e'
nobody 0
quiet b'f'
image True
waited True b'g'
waited True b'h'
end b''
quiet None
"""


def run_owner(server_start, client_start, listening, server_addr):
    server = server_start(PYTHON, "-c", OWNER_SERVER, server_addr, OWNER_IMAGE)
    wait_until(listening, "the server listens")
    client = client_start(PYTHON, "-c", OWNER_CLIENT, server_addr)
    assert server.done(60) == OWNER_SEEN
    client.done(30)


def test_owner_kernel(weir):
    """What OWNER_SEEN holds is the kernel's."""
    run_owner(weir.on_kernel, weir.on_kernel, kernel_listens, KERNEL_ADDR)


def test_owner(weir):
    run_owner(weir.on_weir, weir.on_kernel, weir_listens(weir), WEIR_ADDR)


def test_owner_on_weir(weir):
    run_owner(weir.on_weir, weir.on_weir, weir_listens(weir), WEIR_ADDR)
