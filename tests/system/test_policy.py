# SPDX-License-Identifier: BSD-3-Clause
"""`weir run --kernel NET`: addresses that stay the host's, for programs on weir."""
import socket
import threading

import pytest
import weirtest

HOST = weirtest.KERNEL_ADDR  # also the address of the host's end of weir's port


@pytest.fixture
def host_service():
    """What a program on weir can reach only through the host: its 127.0.0.1."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                connection.sendall(b"host " + connection.recv(100))

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield server.getsockname()[1]
    server.shutdown(socket.SHUT_RDWR)
    server.close()
    thread.join(5)


def run(weir, text, *args, nets=("127.0.0.0/8",)):
    options = [word for net in nets for word in ("--kernel", net)]
    done = weir.cli("run", *options, "--", weirtest.PYTHON, "-c", text, *map(str, args))
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_connect(make_weir, host_service):
    """With the options that were set, at both descriptors, and in the epoll set that has it."""
    weir = make_weir()
    out = run(weir, """
import os, select, socket, struct, subprocess, sys
port = int(sys.argv[1])
s = socket.socket()
s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
s.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
s.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 33)
s.setblocking(False)
ep = select.epoll()
ep.register(s, select.EPOLLIN | select.EPOLLOUT)
two = s.dup()
print(s.connect_ex(("127.0.0.1", port)))
while not ep.poll(10)[0][1] & select.EPOLLOUT:
    pass
two.send(b"one")
ep.modify(s, select.EPOLLIN)
print(ep.poll(10) == [(s.fileno(), select.EPOLLIN)], s.recv(100), s.getpeername()[1] == port)
print(s.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0,
      s.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE), two.getblocking(),
      os.get_inheritable(s.fileno()), os.get_blocking(two.fileno()))
# A child has the exception as well, also with an environment of its own.
text = f'''
import socket
s = socket.create_connection(("127.0.0.1", {port}))
s.sendall(b"child")
print(s.recv(100))
'''
print(subprocess.run([sys.executable, "-c", text], env={}, capture_output=True).stdout)
""", host_service)
    assert out.splitlines() == ["115", "True b'host one' True", "True 33 False False False",
                                repr(b"b'host child'\n")]


def test_without_it(make_weir, host_service):
    """The same address is weir's own where no exception names it."""
    weir = make_weir()
    out = run(weir, """
import socket, sys
print(socket.socket().connect_ex(("127.0.0.1", int(sys.argv[1]))))
""", host_service, nets=("10.0.0.0/8",))
    assert out == "111\n"


def test_listener_and_both_sides(make_weir):
    """A listener on the host's loopback, and one on weir, in one program."""
    weir = make_weir()
    program = weir.on_weir(weirtest.PYTHON, "-c", """
import socket
host = socket.create_server(("127.0.0.1", 0))
weir = socket.create_server(("0.0.0.0", 7000))
print(host.getsockname()[1], flush=True)
for server in (host, weir):
    conn, _ = server.accept()
    conn.sendall(b"x")
""", env={"WEIR_KERNEL": "192.0.2.0/24,127.0.0.0/8"})
    port = int(weirtest.wait_until(lambda: program.log().strip(), "the port"))
    for address in (("127.0.0.1", port), (weirtest.WEIR_ADDR, 7000)):
        with socket.create_connection(address, timeout=20) as client:
            assert client.recv(1) == b"x"
    program.done()


def test_datagrams(make_weir):
    """The first destination decides; the other side is refused, with words in weird's log."""
    weir = make_weir()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as host:
        host.bind(("127.0.0.1", 0))
        host.settimeout(20)
        out = run(weir, f"""
import socket, sys
port = int(sys.argv[1])
def refused(s, to):
    try:
        s.sendto(b"x", to)
    except OSError as e:
        return e.errno
a = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
a.sendto(b"to the host", ("127.0.0.1", port))
print(a.getsockname()[0], refused(a, ("{HOST}", 9)))
b = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
b.sendto(b"over weir", ("{HOST}", 9))
print(refused(b, ("127.0.0.1", port)))
c = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
c.connect(("::ffff:127.0.0.1", port))
c.send(b"mapped")
c.sendmsg([b"and ", b"sendmsg"])
""", host.getsockname()[1])
        assert [host.recv(100) for _ in range(3)] == [b"to the host", b"mapped", b"and sendmsg"]
    assert out == "0.0.0.0 101\n101\n"
    assert weir.daemon.log().count("by --kernel") == 2


def test_words(make_weir):
    weir = make_weir(ports=())
    for bad in ("10.0.0.0/33", "10.0.0.0/", "host", "1.2.3.4/8x"):
        done = weir.cli("run", "--kernel", bad, "--", "true")
        assert done.returncode == 2 and "no network" in done.stderr
    assert "--kernel NET" in weir.cli("run", "--help").stdout


def test_sockets(make_weir):
    """weir sockets: what is on weir, and what is not and why."""
    weir = make_weir()
    program = weir.on_weir(weirtest.PYTHON, "-c", """
import os, socket, sys
early = socket.socket(socket.AF_UNIX)
server = socket.create_server(("0.0.0.0", 7000))
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(("0.0.0.0", 7001))
u = [socket.socket(socket.AF_UNIX) for _ in range(2)]
host = socket.create_server(("127.0.0.1", 0))
try:
    socket.socket(socket.AF_INET, socket.SOCK_SEQPACKET)
except OSError:
    pass
child = os.fork()
if child == 0:
    server.close()
    client, _ = udp.recvfrom(10)
    os._exit(0)
print("ready", child, flush=True)
server.accept()
os.waitpid(child, 0)
""", env={"WEIR_KERNEL": "127.0.0.0/8"})
    weirtest.wait_until(lambda: "ready" in program.log(), "the program is ready")
    child = int(program.log().split()[1])
    weirtest.wait_until(lambda: child in weir.json("sockets")["programs"][0]["pids"],
                        "the child is seen")
    answer = weir.json("sockets")
    assert len(answer["programs"]) == 1 and answer["no_program"] == []
    one = answer["programs"][0]
    assert one["program"].startswith("python3") and one["processes"] == 2 and one["passed"] == 0
    assert sorted(one["pids"]) == sorted([program.pid, child])
    assert {(s["proto"], s["state"], s["local"]) for s in one["sockets"]} == {
        ("tcp", "LISTEN", "0.0.0.0:7000"), ("udp", "UNCONN", "0.0.0.0:7001")}
    off = {o["what"]: (o["count"], o.get("kernel")) for o in one["not_on_weir"]}
    assert off == {"AF_UNIX": (3, None), "AF_INET, AF_INET6": (1, "127.0.0.0/8"),
                   "refused": (1, None)}
    said = weir.cli("sockets").stdout
    assert "not on weir: AF_UNIX, 3: the system's, by design" in said
    assert "by --kernel 127.0.0.0/8" in said and "0.0.0.0:7000" in said
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.sendto(b"x", (weirtest.WEIR_ADDR, 7001))
    socket.create_connection((weirtest.WEIR_ADDR, 7000)).close()
    program.done()
    weirtest.wait_until(lambda: weir.json("sockets")["programs"] == [], "it is gone")


NUMBERS = """
import os, signal, socket
l = socket.create_server(("127.0.0.1", 80))
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
u.bind(("127.0.0.1", 81))
os.dup2(u.fileno(), 50)
os.close(u.detach())
c = socket.create_connection(("127.0.0.1", 80))
s, _ = l.accept()
os.dup2(s.fileno(), 60)  # the first one is told
end, mine = os.pipe()
if os.fork() == 0:
    os.close(mine)
    os.dup2(c.fileno(), 70)
    os.close(c.detach())
    os._exit(len(os.read(end, 1)))  # with its parent
print(l.fileno(), s.fileno(), flush=True)
signal.pause()
"""


def test_sockets_numbers(make_weir):
    """weir sockets says which descriptor a socket is, also after dup2() and close()."""
    weir = make_weir(ports=())
    program = weir.script(NUMBERS)
    weirtest.wait_until(lambda: "\n" in program.log(), "it has its sockets")
    numbers = program.log().split()

    def told():
        socks = weir.json("sockets")["programs"][0]["sockets"]
        found = {(s["local"].split(":")[1], s["state"]): s.get("fd") for s in socks}
        return {name: fd for name, fd in found.items() if name[0] in ("80", "81")} | {
            ("client", "ESTAB"): [s.get("fd") for s in socks if s["remote"].endswith(":80")][0]}

    expected = {("80", "LISTEN"): int(numbers[0]), ("80", "ESTAB"): int(numbers[1]),
                ("81", "UNCONN"): 50, ("client", "ESTAB"): 70}
    weirtest.wait_until(lambda: told() == expected, f"{told()} is not {expected}")
    lines = [line.split() for line in weir.cli("sockets").stdout.splitlines()]
    assert [line[-1] for line in lines if line[:2] == ["udp", "UNCONN"]] == ["50"], lines


def test_sockets_queues(make_weir):
    """Recv-Q and Send-Q are what is unread and unsent at this moment, not what the engine last
    heard: a program that has read everything leaves nothing."""
    weir = make_weir()
    program = weir.script("""
import socket
server = socket.create_server(("0.0.0.0", 7000))
one, _ = server.accept()
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(("0.0.0.0", 7001))
udp.recv(1, socket.MSG_PEEK)
one.recv(400, socket.MSG_WAITALL)
udp.recv(100)
print("read", flush=True)
server.accept()[0].recv(1)
""")
    weir.wait_for_socket(7000)

    def queued(proto):
        socks = weir.json("sockets")["programs"][0]["sockets"]
        return [s["recv_q"] for s in socks if s["proto"] == proto and s["state"] != "LISTEN"]

    with socket.create_connection((weirtest.WEIR_ADDR, 7000)) as peer:
        peer.sendall(bytes(1000))
        weirtest.wait_until(lambda: 1000 in queued("tcp"), "all that was sent is there")
        weir.wait_for_socket(7001, proto="udp")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.sendto(bytes(100), (weirtest.WEIR_ADDR, 7001))
        weirtest.wait_until(lambda: "read" in program.log(), "the program has read")
        assert queued("tcp") == [600] and queued("udp") == [0]
        with socket.create_connection((weirtest.WEIR_ADDR, 7000)) as end:
            end.sendall(b"x")
            program.done()
