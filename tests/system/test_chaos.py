# SPDX-License-Identifier: BSD-3-Clause
"""Programs that are killed at any moment, many at once, and one that fills its shared memory with
random bytes: weird and every other program go on, and nothing leaks.

Random choices come from a seed that is printed; WEIR_CHAOS_SEED repeats a run, WEIR_CHAOS_SECONDS
makes it longer.
"""
import http.client
import os
import random
import signal
import subprocess
import time

import pytest
from test_databases import AS_POSTGRES, PG
from weirtest import KERNEL_ADDR, PYTHON, WEIR_ADDR, make_file, pause, wait_until

SECONDS = float(os.environ.get("WEIR_CHAOS_SECONDS", "60"))

PYTHON_SERVER = """
import asyncio
async def talk(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()
async def main():
    server = await asyncio.start_server(talk, "", 7100)
    async with server:
        await server.serve_forever()
asyncio.run(main())
"""

PYTHON_CLIENT = """
import socket, sys, threading
def talk():
    while True:
        try:
            s = socket.create_connection((sys.argv[1], 7100), timeout=5)
            for i in range(20):
                s.sendall(bytes(10000))
                s.recv(10000)
            s.close()
        except OSError:
            pass
threads = [threading.Thread(target=talk, daemon=True) for i in range(4)]
for t in threads: t.start()
for t in threads: t.join()
"""

FORKING_SERVER = """
import os, socketserver
class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        while data := self.request.recv(65536):
            self.request.sendall(data)
class Server(socketserver.ForkingMixIn, socketserver.TCPServer):
    allow_reuse_address = True
Server(("", 7100), Echo).serve_forever()
"""

UDP_PAIR = """
import os, socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("", 7101))
s.settimeout(0.01)
while True:
    for i in range(50):
        s.sendto(bytes(1000), (sys.argv[1], 7101))
    try:
        while s.recv(2000): pass
    except OSError:
        pass
"""


def everyday(weir):
    """(name, command) of what may run at one time; a server and what calls it share a port."""
    url = f"http://{WEIR_ADDR}:8080/"
    return [
        ("redis-server", ["redis-server", "--port", "6400", "--save", "", "--dir", weir.tmp]),
        ("redis-benchmark", ["redis-benchmark", "-h", WEIR_ADDR, "-p", "6400", "-q", "-l",
                             "-t", "get,set"]),
        ("http.server", [PYTHON, "-m", "http.server", "8080", "--directory", weir.www]),
        ("curl", ["curl", "-s", "-o", "/dev/null", "--retry", "1000", "--retry-all-errors",
                  url + "big.bin?[1-100000]"]),
        ("iperf3", ["iperf3", "-s", "-p", "5300"]),
        ("iperf3 -c", ["iperf3", "-c", WEIR_ADDR, "-p", "5300", "-t", "100", "-P", "4"]),
        ("iperf3 -u", ["iperf3", "-c", WEIR_ADDR, "-p", "5300", "-t", "100", "-u", "-b", "100M"]),
        ("asyncio", [PYTHON, "-c", PYTHON_SERVER]),
        ("threads", [PYTHON, "-c", PYTHON_CLIENT, WEIR_ADDR]),
        ("forking", [PYTHON, "-c", FORKING_SERVER]),
        ("datagrams", [PYTHON, "-c", UDP_PAIR, WEIR_ADDR]),
        ("wrk", ["wrk", "-t", "2", "-c", "20", "-d", "100", f"http://{WEIR_ADDR}/index.html"]),
        ("wget", again(f"wget -q -O /dev/null http://{WEIR_ADDR}/big.bin")),
        ("socat", ["socat", "TCP-LISTEN:7200,fork,reuseaddr", "EXEC:cat"]),
        ("nc", again(f"head -c 500000 /dev/zero | nc -N {WEIR_ADDR} 7200 >/dev/null")),
        ("dnsmasq", ["dnsmasq", "-k", "-C", "/dev/null", "-p", "5353", "-u", "root", "-x", "",
                     "--no-resolv", "--no-hosts", "--address=/test/192.0.2.1"]),
        ("dig", again(f"dig +tries=1 +timeout=1 -p 5353 @{WEIR_ADDR} a.test")),
        ("mosquitto", ["mosquitto", "-p", "1883"]),
        ("mosquitto_sub", again("mosquitto_sub -t '#'")),
        ("mosquitto_pub", again("yes | head -100 | mosquitto_pub -t a -l -q 1")),
        ("s_server", ["openssl", "s_server", "-quiet", "-www", "-accept", "4433", "-cert",
                      f"{weir.tmp}/cert.pem", "-key", f"{weir.tmp}/key.pem"]),
        ("s_client", again(f"echo Q | openssl s_client -connect {WEIR_ADDR}:4433")),
        ("ping", ["ping", "-i", "0.01", KERNEL_ADDR]),
        ("tcpdump", ["tcpdump", "-n", "-i", "any", "-w", "/dev/null"]),
        ("sshd", ["/usr/sbin/sshd", "-D", "-e", "-f", f"{weir.tmp}/sshd.conf"]),
        ("ssh", again(f"ssh -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -i "
                      f"{weir.tmp}/id -p 2222 root@{WEIR_ADDR} head -c 300000 /dev/zero")),
        ("postgres", [*AS_POSTGRES, f"{PG}/postgres", "-D", f"{weir.tmp}/pg", "-h", WEIR_ADDR, "-k",
                      f"{weir.tmp}/pg", "-c", "fsync=off", "-c", "shared_buffers=16MB"]),
        ("pgbench", again(f"pgbench -h {WEIR_ADDR} -U postgres -i -q postgres && "
                          f"pgbench -h {WEIR_ADDR} -U postgres -n -c 4 -T 5 postgres")),
    ]


def again(command):
    """A shell that runs it over and over; the pause is for where there is no server."""
    return ["sh", "-c", f"while true; do {command}; sleep 0.05; done >/dev/null 2>&1"]


def make_keys(weir):
    """What servers of TLS and SSH begin with."""
    quiet = {"check": True, "timeout": 60, "stdout": subprocess.DEVNULL,
             "stderr": subprocess.DEVNULL}
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                    "-subj", "/CN=weir.test", "-keyout", f"{weir.tmp}/key.pem", "-out",
                    f"{weir.tmp}/cert.pem"], **quiet)
    for name in ("host", "id"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f",
                        f"{weir.tmp}/{name}"], **quiet)
    os.makedirs("/run/sshd", exist_ok=True)
    with open(f"{weir.tmp}/sshd.conf", "w", encoding="ascii") as f:
        f.write(f"Port 2222\nHostKey {weir.tmp}/host\nAuthorizedKeysFile {weir.tmp}/id.pub\n"
                f"PermitRootLogin yes\nStrictModes no\nPidFile {weir.tmp}/sshd.pid\n"
                "UsePAM no\n")


def make_database(weir):
    subprocess.run(["install", "-d", "-o", "postgres", "-m", "700", f"{weir.tmp}/pg"], check=True,
                   timeout=10)
    subprocess.run([*AS_POSTGRES, f"{PG}/initdb", "-D", f"{weir.tmp}/pg", "-A", "trust", "-N"],
                   check=True, timeout=60, stdout=subprocess.DEVNULL, cwd="/")
    with open(f"{weir.tmp}/pg/pg_hba.conf", "a", encoding="ascii") as f:
        f.write(f"host all all {WEIR_ADDR}/32 trust\n")


PORTS = """
import socket
for port in 5432, 6400, 8080, 5300, 7100, 7200, 5353, 1883, 4433, 2222:
    socket.create_server(("", port)).close()
for port in 7101, 5353, 5300:
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).bind(("", port))
print("all free")
"""


def page():
    connection = http.client.HTTPConnection(WEIR_ADDR, 80, timeout=20)
    try:
        connection.request("GET", "/index.html")
        return connection.getresponse().read()
    finally:
        connection.close()


def descriptors(weir):
    return len(os.listdir(f"/proc/{weir.daemon.pid}/fd"))


def arenas(weir):
    with open(f"/proc/{weir.daemon.pid}/maps", encoding="ascii") as maps:
        return sum("memfd:weir-arena" in line or "memfd:" in line for line in maps)


def nothing_left(weir, before, seconds=30):
    """Descriptors, arenas and sockets are what they were."""
    def same():
        return (descriptors(weir), arenas(weir)) == before
    wait_until(same, f"weird has {before} descriptors and arenas again, "
               f"not {(descriptors(weir), arenas(weir))}", seconds)
    wait_until(lambda: not [s for s in weir.sockets() if s["state"] != "TIME-WAIT"],
               "every socket came back", seconds)
    wait_until(lambda: weir.free_buffers() >= weir.pool_free, "every packet came back", seconds)
    weir.check_ledger()


def seed():
    chosen = int(os.environ.get("WEIR_CHAOS_SEED", random.randrange(1 << 32)))
    print(f"WEIR_CHAOS_SEED={chosen}")
    return random.Random(chosen)


def test_killed_at_random_moments(make_weir):
    """For a minute everyday programs are started and killed (SIGKILL, the whole group, or one
    process of it); nginx, which nobody kills, answers all the while."""
    rng = seed()
    weir = make_weir(options=("--allow-users",))
    make_keys(weir)
    make_database(weir)
    before = (descriptors(weir), arenas(weir))
    nginx = weir.nginx()
    make_file(os.path.join(weir.www, "big.bin"), 4 << 20)
    running = {}
    kills = 0
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        name, argv = rng.choice(everyday(weir))
        victim = running.pop(name, None)
        if victim:
            if rng.random() < 0.5:
                os.kill(victim.pid, signal.SIGKILL)
            victim.kill_all()
            weir.programs.remove(victim)
            kills += 1
        else:
            running[name] = weir.on_weir(*argv)
        pause(rng.random() * 0.2)
        assert b"a page" in page()
    assert weir.daemon.running()
    assert kills > 20
    for victim in running.values():
        victim.kill_all()
        weir.programs.remove(victim)
    nginx.end(signal.SIGTERM)
    nothing_left(weir, before)
    assert weir.script(PORTS).done() == "all free\n"


ATTACH_AND_DIE = """
import os, signal, socket, sys
sys.stdin.readline()
sockets = [socket.socket() for i in range(10)]
for s in sockets[:5]:
    s.bind(("", 0))
    s.listen()
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.sendto(b"x", (sys.argv[1], 9))
if int(sys.argv[2]) % 2:
    os.fork()
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_200_attach_and_die_at_once(weir):
    """They wait at a pipe, go on together, make sockets, half of them fork, and kill themselves."""
    before = (descriptors(weir), arenas(weir))
    weir.nginx()
    held = weir.programs[-1]
    programs = []
    gates = []
    for number in range(200):
        theirs, gate = os.pipe()
        program = weir.on_weir(PYTHON, "-c", ATTACH_AND_DIE, WEIR_ADDR, str(number),
                               stdin=theirs)
        os.close(theirs)
        programs.append(program)
        gates.append(gate)
    for gate in gates:
        os.close(gate)
    for program in programs:
        assert program.wait(60) == -signal.SIGKILL, program.log()
        program.kill_all()
        weir.programs.remove(program)
    assert b"a page" in page()
    held.end(signal.SIGTERM)
    nothing_left(weir, before)


RANDOM_BYTES = """
import mmap, os, random, socket, sys
rng = random.Random(int(sys.argv[2]))
s = [socket.create_connection((sys.argv[1], 80), timeout=10) for i in range(5)]
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
u.bind(("", 0))
listener = socket.create_server(("", 0))
areas = []
for line in open("/proc/self/maps"):
    cells = line.split()
    if "rw-s" in cells[1] and "memfd:" in line:
        low, high = (int(x, 16) for x in cells[0].split("-"))
        areas.append((high - low, low))
size, low = max(areas)
print("scribble", flush=True)
mem = os.open("/proc/self/mem", os.O_RDWR)
reach = min(size, int(sys.argv[3]))
for i in range(int(sys.argv[4])):
    at = rng.randrange(reach) & ~3
    os.pwrite(mem, rng.randbytes(rng.choice((4, 8, 64, 4096))), low + at)
    if i % 16 == 0:
        for c in s:
            try:
                c.sendall(b"GET /index.html HTTP/1.1\\r\\nHost: w\\r\\n\\r\\n")
                c.setblocking(False)
                c.recv(100)
            except OSError:
                pass
        try:
            u.sendto(b"x" * 100, (sys.argv[1], 9))
        except OSError:
            pass
"""


@pytest.mark.parametrize("reach", [1 << 14, 1 << 18, 1 << 22, 1 << 28],
                         ids=["16K", "256K", "4M", "all"])
def test_random_bytes_in_the_arena(weir, reach):
    """Hostile clients fill what they share with weird with random bytes while they send: weird
    and nginx go on, whatever becomes of the clients."""
    rng = seed()
    before = (descriptors(weir), arenas(weir))
    nginx = weir.nginx()
    for _ in range(5):
        hostile = weir.on_weir(PYTHON, "-c", RANDOM_BYTES, WEIR_ADDR, str(rng.randrange(1 << 30)),
                               str(reach), "3000")
        wait_until(lambda: "scribble" in hostile.log() or not hostile.running(), "it scribbles")
        for _ in range(10):
            assert b"a page" in page()
        # It may well wait for ever for what it has destroyed.
        end = time.monotonic() + 2
        while hostile.running() and time.monotonic() < end:
            pause()
        hostile.kill_all()
        weir.programs.remove(hostile)
        assert "scribble" in hostile.log(), hostile.log()
    assert b"a page" in page()
    assert weir.daemon.running()
    nginx.end(signal.SIGTERM)
    nothing_left(weir, before)
