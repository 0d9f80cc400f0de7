# SPDX-License-Identifier: BSD-3-Clause
"""Threads that share a socket, and signal handlers that use sockets: on weir and on the kernel, the
same words."""
import os
import subprocess

import pytest
from test_process import COMMON
import weirtest

THREADS = COMMON + """
def in_thread(fn):
    result = []
    def run():
        try:
            result.append(fn())
        except OSError as e:
            result.append(e.errno)
    t = threading.Thread(target=run, daemon=True)
    t.start()
    t.result = result
    return t
def state(t):
    # Is it still waiting, a while after it could have stopped?
    t.join(0.3)
    return "waits" if t.is_alive() else t.result[0]
def end(t):
    t.join(20)
    return t.result[0] if t.result else "hangs"
def raw(s):
    # What the C library does, without Python's own bookkeeping.
    import ctypes
    libc = ctypes.CDLL(None, use_errno=True)
    buf = ctypes.create_string_buffer(100)
    n = libc.recv(s, buf, 100, 0)
    return ctypes.get_errno() if n < 0 else buf.raw[:n]
"""


@pytest.fixture
def weir(make_weir):
    return make_weir(ports=())


def both(weir, text):
    on_weir = weir.script(THREADS + text).done(60)
    on_kernel = weir.on_kernel(weirtest.PYTHON, "-c", THREADS + text).done(60)
    assert on_weir == on_kernel
    return on_weir


def test_close_does_not_wake(weir):
    """A thread that is in recv() goes on until data, or the peer's end, comes."""
    both(weir, """
for how in ("data", "end"):
    client, conn = pair()
    t = in_thread(lambda: raw(conn.fileno()))
    time.sleep(0.1)
    os.close(conn.fileno())
    print(state(t))
    client.sendall(b"data") if how == "data" else client.shutdown(socket.SHUT_WR)
    print(end(t))
    conn.detach()
""")


@pytest.mark.parametrize("how", ["SHUT_RD", "SHUT_RDWR"])
def test_shutdown_wakes(weir, how):
    both(weir, f"""
client, conn = pair()
t = in_thread(lambda: conn.recv(10))
p = in_thread(lambda: [e for _, e in select.select([conn], [], [], 20) and
                       [(0, bool(select.select([conn], [], [], 20)[0]))]])
print(state(t))
conn.shutdown(socket.{how})
print(end(t), end(p))
server = socket.create_server(("127.0.0.1", 0))
t = in_thread(server.accept)
print(state(t))
server.shutdown(socket.{how})
print(end(t))
""")


def test_both_directions(weir):
    """One thread receives while another sends on the same socket, in bulk."""
    both(weir, """
client, conn = pair()
size = 4 << 20
def echo():
    while data := conn.recv(65536):
        conn.sendall(data)
    conn.shutdown(socket.SHUT_WR)
in_thread(echo)
def feed():
    for i in range(size >> 16):
        client.sendall(bytes([i % 251]) * 65536)
    client.shutdown(socket.SHUT_WR)
feeder = in_thread(feed)
data = until_end(client)
print(len(data), all(data[i << 16] == i % 251 for i in range(size >> 16)), end(feeder))
""")


def test_many_readers(weir):
    """Eight threads in recv() of one socket, and in accept() of one listener: each gets its own."""
    both(weir, """
server = socket.create_server(("127.0.0.1", 0))
threads = [in_thread(lambda: server.accept()[0].recv(10)) for _ in range(8)]
clients = [socket.create_connection(server.getsockname()) for _ in range(8)]
for i, c in enumerate(clients):
    c.sendall(b"%d" % i)
print(sorted(end(t) for t in threads))
client, conn = pair()
threads = [in_thread(lambda: conn.recv(1)) for _ in range(8)]
client.sendall(b"abcdefgh")
print(sorted(end(t) for t in threads))
threads = [in_thread(lambda: conn.recv(1)) for _ in range(8)]
client.close()
print([end(t) for t in threads])
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(("127.0.0.1", 0))
threads = [in_thread(lambda: udp.recv(10)) for _ in range(4)]
for i in range(4):
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"%d" % i, udp.getsockname())
print(sorted(end(t) for t in threads))
""")


def test_dup2_over_a_waiting_thread(weir):
    """Another socket takes the number: the thread waits on at the one it began with."""
    both(weir, """
client, conn = pair()
other, far = pair()
keep = conn.dup()
t = in_thread(lambda: raw(conn.fileno()))
time.sleep(0.1)
os.dup2(far.fileno(), conn.fileno())
other.sendall(b"other")
print(state(t))
client.sendall(b"first")
print(end(t), conn.recv(10))
""")


def test_signal_handlers(weir):
    """A handler that uses the very socket whose call it interrupted, and others."""
    both(weir, """
client, conn = pair()
other, far = pair()
def handler(*_):
    other.sendall(b"from the handler")
    print(far.recv(100))
    conn.sendall(b"h")
signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, 0.2)
def answer():
    print(client.recv(1))
    client.sendall(b"late")
t = in_thread(answer)
print(conn.recv(10))
end(t)
signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
signal.signal(signal.SIGALRM, lambda *_: other.send(b"."))
n = 0
def feed():
    for _ in range(200):
        client.sendall(b"x" * 1000)
        time.sleep(0.001)
    client.shutdown(socket.SHUT_WR)
t = in_thread(feed)
print(len(until_end(conn)))
signal.setitimer(signal.ITIMER_REAL, 0)
print(set(far.recv(1000)))
""")


CANCELS = """
#include "shim_case.h"
#include <poll.h>
#include <pthread.h>
static int fd;
static void *in_recv(void *a) { char c; recv(fd, &c, 1, 0); return a; }
static void *in_accept(void *a) { accept(fd, NULL, NULL); return a; }
static void *in_poll(void *a)
{
    struct pollfd p = { fd, POLLIN, 0 };
    poll(&p, 1, -1);
    return a;
}
static void cancel(void *(*fn)(void *))
{
    pthread_t t;
    void *result;
    CHECK(pthread_create(&t, NULL, fn, NULL) == 0);
    usleep(50000);
    CHECK(pthread_cancel(t) == 0);
    CHECK(pthread_join(t, &result) == 0);
    CHECK(result == PTHREAD_CANCELED);
}
int main(void)
{
    unsigned short port;
    int a, b, l = listener(&port);
    char c;
    alarm(20);
    pair(&a, &b);
    fd = a;
    cancel(in_recv);
    cancel(in_poll);
    /* What was cancelled has taken nothing, and holds nothing. */
    CHECK(send(b, "x", 1, 0) == 1 && recv(a, &c, 1, 0) == 1);
    fd = l;
    cancel(in_accept);
    int d = dial(port);
    CHECK(accept(l, NULL, NULL) >= 0 && d >= 0);
    return 0;
}
"""


def test_cancelled_threads(weir, tmp_path):
    os.chmod(tmp_path, 0o755)
    source, path = tmp_path / "cancels.c", str(tmp_path / "cancels")
    source.write_text(CANCELS)
    subprocess.run(["cc", "-std=gnu11", "-D_GNU_SOURCE", "-I", os.path.dirname(__file__), "-o",
                    path, str(source), "-lpthread"], check=True, timeout=60)
    weir.on_kernel(path).done(30)
    weir.on_weir(path).done(30)
