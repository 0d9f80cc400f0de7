# SPDX-License-Identifier: BSD-3-Clause
"""Sockets that are passed over UNIX sockets: to workers of the family, and to other programs. Each
script runs on weir and on the kernel, and has to say the same."""
import os

import pytest
import weirtest
from test_process import COMMON

PASSING = COMMON + """
import ctypes
def unix():
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
def give(u, *fds, data=b"x"):
    socket.send_fds(u, [data], [f if isinstance(f, int) else f.fileno() for f in fds])
def take(u):
    data, fds, msg_flags, _ = socket.recv_fds(u, 10, 1)
    return [socket.socket(fileno=fd) for fd in fds]
OTHER = '''
import array, os, select, socket, sys, threading
def take(u):
    data, fds, msg_flags, _ = socket.recv_fds(u, 10, 1)
    return [socket.socket(fileno=fd) for fd in fds]
u = socket.socket(fileno=0)
'''
def other(u, text, **options):
    # A program of its own: another family.
    return subprocess.Popen([sys.executable, "-c", OTHER + text], stdin=u, **options)
"""


@pytest.fixture
def weir(request, make_weir):
    workers = getattr(request, "param", 1)
    return make_weir(ports=(), options=("--workers", str(workers)))


one_or_two_workers = pytest.mark.parametrize("weir", [1, 2], indirect=True)


def both(weir, text, *args):
    text = PASSING + text
    on_weir = weir.script(text, *args).done(60)
    weirtest.wait_until(lambda: not any(s["program"] for s in weir.sockets()),
                        "all sockets are released", 15)
    on_kernel = weir.on_kernel(weirtest.PYTHON, "-c", text, *args).done(60)
    assert on_weir == on_kernel
    return on_weir


def test_within_the_process(weir):
    both(weir, """
a, b = unix()
client, conn = pair()
give(a, conn)
got, = take(b)
print(got.fileno() != conn.fileno(), got.getpeername() == client.getsockname(), got.type)
conn.setblocking(False)
print(got.getblocking() or "one file description")
conn.close()
got.sendall(b"alive")
print(client.recv(10))
got.close()
print(client.recv(10))
""")


def test_to_a_worker(weir):
    """The sender has closed the connection before the worker takes it."""
    both(weir, """
a, b = unix()
pid = os.fork()
if pid == 0:
    a.close()
    b.recv(1)
    conn, = take(b)
    conn.sendall(b"worker")
    os._exit(0)
b.close()
client, conn = pair()
a.sendall(b"s")
give(a, conn)
conn.close()
print(until_end(client), os.wait()[1])
""")


def test_in_flight_alone(weir):
    """Nobody has the connection but the UNIX socket: it stays open; and ends when that closes."""
    both(weir, """
a, b = unix()
client, conn = pair()
give(a, conn)
conn.close()
client.settimeout(0.3)
try:
    print(client.recv(1))
except TimeoutError:
    print("open")
a.close()
b.close()
client.settimeout(20)
print(client.recv(1))
""")


def test_mixed_peeked_and_cut(weir):
    """With other descriptors in between; looked at first; and more than there is room for."""
    both(weir, """
a, b = unix()
client, conn = pair()
r, w = os.pipe()
give(a, r, conn, w)
data, control, flags, _ = b.recvmsg(10, socket.CMSG_LEN(12), socket.MSG_PEEK)
fds = struct.unpack("3i", control[0][2])
first = socket.socket(fileno=fds[1])
first.sendall(b"peeked ")
print(data, len(fds))
data, fds, flags, _ = socket.recv_fds(b, 10, 3)
conn.close()
os.write(fds[2], b"pipe")
print(os.read(fds[0], 10), client.recv(10))
first.close()
socket.socket(fileno=fds[1]).sendall(b"taken")
print(client.recv(10), client.recv(10))
client, conn = pair()
other_client, other_conn = pair()
give(a, conn, other_conn)
conn.close()
other_conn.close()
room = socket.CMSG_LEN(4)
data, control, flags, _ = b.recvmsg(10, room)
print(len(control) == 1, bool(flags & socket.MSG_CTRUNC))
fd, = struct.unpack("i", control[0][2][:4])
print(other_client.recv(1))
os.write(fd, b"the first")
print(client.recv(10))
""")


def test_close_on_exec(weir):
    both(weir, """
import fcntl
a, b = unix()
client, conn = pair()
for flags in (0, socket.MSG_CMSG_CLOEXEC):
    give(a, conn)
    _, control, _, _ = b.recvmsg(10, socket.CMSG_LEN(4), flags)
    fd, = struct.unpack("i", control[0][2])
    print(fcntl.fcntl(fd, fcntl.F_GETFD))
""")


def test_to_another_program(weir):
    """Bytes that wait in both directions go along, and the sender's copy is closed."""
    both(weir, """
a, b = unix()
client, conn = pair()
conn.sendall(b"before ")
client.sendall(b"unread " * 20000)
conn.settimeout(5)
child = other(b, '''
conn, = take(u)
n = 0
while n < 7 * 20000 + 4:
    select.select([conn], [], [], 20) # it does not block, and the last word may be under way
    n += len(conn.recv(65536))
print(os.get_blocking(conn.fileno()), conn.getpeername()[0], flush=True)
conn.setblocking(True)
conn.sendall(b"after " + b"z" * 3000000)
''')
b.close()
give(a, conn)
conn.close()
client.sendall(b"more")
data = until_end(client)
print(len(data), data[:13], child.wait())
""")


@one_or_two_workers
def test_to_another_program_while_it_is_under_way(weir):
    """A connection changes its owner ten times while a stream goes through it."""
    both(weir, """
import hashlib
client, conn = pair()
total = 8 << 20
def feed():
    for i in range(total >> 16):
        client.sendall(bytes([i % 251]) * 65536)
    client.shutdown(socket.SHUT_WR)
threading.Thread(target=feed).start()
text = '''
conn, = take(u)
n = 0
while n < 700000:
    part = conn.recv(min(65536, 700000 - n))
    if not part:
        break
    os.write(2, part)
    n += len(part)
socket.send_fds(u, [b"x"], [conn.fileno()])
'''
digest = hashlib.sha256()
count = 0
while True:
    a, b = unix()
    child = other(b, text, stderr=subprocess.PIPE)
    b.close()
    give(a, conn)
    conn.close()
    part = child.stderr.read()
    digest.update(part)
    count += len(part)
    conn, = take(a)
    assert child.wait() == 0
    if not part:
        break
print(count, digest.hexdigest())
""")


@one_or_two_workers
def test_datagrams_to_another_program(weir):
    both(weir, """
a, b = unix()
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", 0))
client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
client.settimeout(20)
client.connect(server.getsockname())
client.send(b"waits")
child = other(b, '''
s, = take(u)
for _ in range(2):
    data, peer = s.recvfrom(100)
    s.sendto(data.upper(), peer)
''')
give(a, server)
server.close()
client.send(b"and comes")
print(client.recv(100), client.recv(100), child.wait())
""")


def test_sender_goes(weir):
    """The program that sent it ends before it is received: its family's memory is gone."""
    both(weir, """
a, b = unix()
server = socket.create_server(("127.0.0.1", 0))
sender = other(b, f'''
client = socket.create_connection({server.getsockname()!r})
client.sendall(b"from the sender")
socket.send_fds(u, [b"x"], [client.fileno()])
''')
conn, _ = server.accept()
assert sender.wait() == 0
got, = take(a)
got.sendall(b", and the heir")
got.close()
print(until_end(conn))
""")


def test_receiver_killed(weir):
    """Before it has received what was sent: nothing is left over."""
    both(weir, """
for turn in range(5):
    a, b = unix()
    client, conn = pair()
    child = other(b, "import time; time.sleep(60)")
    b.close()
    give(a, conn)
    conn.close()
    child.kill()
    child.wait()
    print(client.recv(1))
""")
    assert weir.cli("stat").returncode == 0


@one_or_two_workers
def test_listener_shared_with_programs(weir):
    """A parent that does not accept itself and passes its listener to three programs (node's
    cluster); each connection is answered by one of them."""
    out = weir.script(PASSING + """
server = socket.create_server(("127.0.0.1", 0))
text = '''
server, = take(u)
print("ready", flush=True)
while True:
    conn, _ = server.accept()
    conn.sendall(b"%d" % os.getpid())
    conn.close()
'''
early = [socket.create_connection(server.getsockname()) for _ in range(5)]
children = []
for _ in range(3):
    a, b = unix()
    children.append(other(b, text, stdout=subprocess.PIPE))
    give(a, server)
for child in children:
    child.stdout.readline()
seen = {until_end(c) for c in early}
for _ in range(60):
    seen.add(until_end(socket.create_connection(server.getsockname())))
assert seen <= {b"%d" % c.pid for c in children}, seen
print(len(seen))
children[0].kill()
children[0].wait()
for _ in range(20):
    assert until_end(socket.create_connection(server.getsockname()))
for child in children:
    child.kill()
""").done(60)
    assert int(out) >= 2
    weirtest.wait_until(lambda: not any(s["program"] for s in weir.sockets()), "all is released")


@one_or_two_workers
def test_listener_taken_over_under_load(weir):
    """haproxy -x: a new program gets the listener from the old one, which then stops to listen and
    ends. No connection is refused or lost on the way."""
    out = weir.script(PASSING + """
server = socket.create_server(("127.0.0.1", 0), backlog=128)
address = server.getsockname()
text = '''
server, = take(u)
server.setblocking(False)
poll = select.poll()
poll.register(server, select.POLLIN)
poll.register(u, select.POLLIN)
print("ready", flush=True)
while True:
    events = dict(poll.poll())
    if server.fileno() in events:
        try:
            conn, _ = server.accept()
        except BlockingIOError:
            continue
        conn.setblocking(True)
        conn.sendall(conn.recv(10))
        conn.close()
    elif u.fileno() in events:
        break
socket.send_fds(u, [b"x"], [server.fileno()])
server.close()
'''
over = False
counts = []
def load():
    n = 0
    while not over:
        c = socket.create_connection(address)
        c.sendall(b"ping")
        assert until_end(c) == b"ping"
        n += 1
    counts.append(n)
threads = [threading.Thread(target=load) for _ in range(4)]
for t in threads: t.start()
holder = server
for turn in range(6):
    a, b = unix()
    child = other(b, text, stdout=subprocess.PIPE)
    b.close()
    give(a, holder)
    holder.close()
    child.stdout.readline()
    if turn:
        assert last.wait() == 0
    time.sleep(0.2)
    a.sendall(b"over to the next")
    holder, = take(a)
    last = child
over = True
extra = threading.Thread(target=lambda: [holder.accept()[0].close() for _ in range(1)])
for t in threads: t.join(0.1)
holder.settimeout(0.2)
while any(t.is_alive() for t in threads):
    try:
        conn, _ = holder.accept()
        conn.settimeout(20)
        conn.sendall(conn.recv(10))
        conn.close()
    except TimeoutError:
        pass
assert len(counts) == 4, counts
print(sum(counts))
""").done(60)
    assert int(out) > 50


def test_multiprocessing(weir):
    """multiprocessing passes a connection to a process that was not forked."""
    both(weir, """
import multiprocessing, tempfile
folder = tempfile.mkdtemp()
with open(folder + "/job.py", "w") as f:
    f.write('''
def job(conn):
    conn.sendall(b"from another process")
    conn.close()
''')
sys.path.insert(0, folder)
sys.argv = ["x"]
import job
multiprocessing.set_start_method("spawn")
client, conn = pair()
process = multiprocessing.Process(target=job.job, args=(conn,))
process.start()
conn.close()
print(until_end(client))
process.join()
print(process.exitcode)
""")


def test_to_a_program_off_weir(weir, tmp_path):
    """It gets a descriptor that is at its end, and the connection does not stay behind."""
    os.chmod(tmp_path, 0o755)
    path = str(tmp_path / "u")
    receiver = weir.on_kernel(weirtest.PYTHON, "-c", f"""
import os, socket
server = socket.socket(socket.AF_UNIX)
server.bind({path!r})
server.listen()
os.chmod({path!r}, 0o777)
u, _ = server.accept()
_, fds, _, _ = socket.recv_fds(u, 1, 1)
print(os.read(fds[0], 10))
try:
    os.write(fds[0], b"x")
except BrokenPipeError:
    print("EPIPE")
""")
    weirtest.wait_until(lambda: os.path.exists(path), "the receiver listens")
    weir.script(PASSING + """
client, conn = pair()
u = socket.socket(socket.AF_UNIX)
while u.connect_ex(sys.argv[1]):
    time.sleep(0.01)
give(u, conn)
conn.close()
assert client.recv(1) == b""
""", path).done(30)
    assert receiver.done(30) == "b''\nEPIPE\n"


def test_copy_of_what_moved(weir):
    """The sender's copies are told so by errno, and the log says it once."""
    out = weir.script(PASSING + """
import errno
def name(call, *args):
    try:
        return call(*args)
    except OSError as error:
        return errno.errorcode[error.errno]
a, b = unix()
client, conn = pair()
child = other(b, "conn, = take(u); print('got', flush=True); conn.recv(1)", stdout=-1)
give(a, conn)
child.stdout.readline()
p = select.poll()
p.register(conn)
print(p.poll(10000)[0][1] & (select.POLLERR | select.POLLHUP) != 0)
print(name(conn.send, b"x"), name(conn.recv, 1), name(conn.recv, 1))
client.close()
print(child.wait())
""").done(60)
    assert out == "True\nENETDOWN ENETDOWN ENETDOWN\n0\n"
    log = weir.daemon.log()
    assert log.count("its copy of a socket that another program got: ENETDOWN") == 1, log


def test_under_way_is_bounded_for_each_program(weir):
    """A program that passes without end is refused at some point, as Linux has it (ETOOMANYREFS);
    another one passes on."""
    greedy = weir.script(PASSING + """
import errno, resource
resource.setrlimit(resource.RLIMIT_NOFILE, (8000, 8000))
s = socket.socket()
pairs, n = [], 0
try:
    while n < 3000:
        if n % 50 == 0:
            pairs.append(unix())
        give(pairs[-1][0], s)
        n += 1
except OSError as error:
    print(errno.errorcode[error.errno], n, flush=True)
signal.pause()
""")
    weirtest.wait_until(lambda: greedy.log() or not greedy.running(), "it is refused")
    assert greedy.log() == "ETOOMANYREFS 512\n"
    assert weir.script(PASSING + """
a, b = unix()
client, conn = pair()
give(a, conn)
got, = take(b)
client.sendall(b"x")
print(got.recv(1))
""").done() == "b'x'\n"
