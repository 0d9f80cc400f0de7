# SPDX-License-Identifier: BSD-3-Clause
"""`weir why`: what is lost at sockets, and what TCP's counters tell (whytest.py has how)."""
import contextlib
import re
import socket
import subprocess

from weirtest import KERNEL_ADDR, WEIR_ADDR, pause, wait_until
from whytest import (PORT, SLOW_READER, Wire, burst, connect_many, follow, follow_until_gone,
                     ip4, look, reader, send, syn)


# ---- sockets ----

def test_receive_buffer(weir):
    program = reader(weir, SLOW_READER)
    seen = look(weir, burst)
    assert seen.findings[0]["name"] == "receive-buffer"
    finding = seen["receive-buffer"]
    assert f"0.0.0.0:{PORT} of python3 (pid {program.pid})" in finding["title"]
    assert finding["where"][0]["reason"] == "SOCKET_RCVBUFF"
    assert finding["where"][0]["function"] == "dgram_deliver"
    assert finding["lost"] <= finding["total"] == weir.drops("SOCKET_RCVBUFF")
    follow(seen.command("receive-buffer", r"sysctl net\.core\.rmem_default=1048576$"))
    program.end()
    reader(weir, SLOW_READER)
    assert "receive-buffer" not in look(weir, burst)


def test_receive_buffer_that_the_program_asked_for(weir):
    """SO_RCVBUF is the program's own word; rmem_max bounds it."""
    assert weir.cli("sysctl", "rmem_max=131072").returncode == 0
    program = reader(weir, SLOW_READER, 131072)
    seen = look(weir, burst)
    wanted = re.search(r"setsockopt\(SO_RCVBUF, (\d+)\)", seen["receive-buffer"]["change"])[1]
    follow(seen.command("receive-buffer", rf"sysctl net\.core\.rmem_max={wanted}$"))
    program.end()
    reader(weir, SLOW_READER, wanted)
    assert "receive-buffer" not in look(weir, burst)


def test_program_memory(weir):
    """600 sockets with buffers of 8 MB are more than the program's arena has addresses for."""
    assert weir.cli("sysctl", "rmem_default=8388608").returncode == 0
    script = """
import select, socket
all = []
for i in range(600):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("0.0.0.0", 10000 + i))
    all.append(s)
while True:
    for s in select.select(all, [], [])[0]:
        s.recv(65536)
"""

    def load():
        for i in range(600):
            send(1, port=10000 + i, size=10)

    program = weir.script(script)
    weir.wait_for_socket(10599, "udp")
    seen = look(weir, load)
    follow(seen.command("program-memory", r"sysctl net\.core\.rmem_default=262144$"))
    program.end()
    weir.script(script)
    weir.wait_for_socket(10599, "udp")
    assert look(weir, load).status == 0


def test_capture_buffer(weir):
    """A packet socket that is read too slowly loses copies, and no packet."""
    script = """
import select, socket
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
s.setblocking(False)
while True:
    select.select([], [], [], 0.4)
    try:
        while True:
            s.recv(65536)
    except BlockingIOError:
        pass
"""
    reader(weir)
    program = weir.script(script)
    wait_until(lambda: any(s["proto"] == "packet" for s in weir.sockets()), "it captures")
    seen = look(weir, burst)
    assert "python3" in seen["capture-buffer"]["title"]
    follow(seen.command("capture-buffer", r"sysctl net\.core\.rmem_default=\d+$"))
    program.end()
    wait_until(lambda: not any(s["proto"] == "packet" for s in weir.sockets()), "it is over")
    weir.script(script)
    wait_until(lambda: any(s["proto"] == "packet" for s in weir.sockets()), "it captures again")
    assert "capture-buffer" not in look(weir, burst)


# Accepts all that wait, every 0.3 s; argv: backlog.
SLOW_SERVER = """
import select, socket, sys
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("0.0.0.0", 8000))
s.listen(int(sys.argv[1]))
s.setblocking(False)
while True:
    select.select([], [], [], 0.3)
    try:
        while True:
            s.accept()[0].close()
    except BlockingIOError:
        pass
"""


def slow_server(weir, backlog):
    program = weir.script(SLOW_SERVER, str(backlog))
    weir.wait_for_socket(8000)
    return program


def test_accept_queue(weir):
    """The program's own number is too small."""
    program = slow_server(weir, 4)
    seen = look(weir, connect_many)
    finding = seen["accept-queue"]
    assert f"0.0.0.0:8000 of python3 (pid {program.pid})" in finding["title"]
    assert not finding["commands"]
    backlog = re.search(r"listen\(fd, (\d+)\)", finding["change"])[1]
    program.end()
    slow_server(weir, backlog)
    assert "accept-queue" not in look(weir, connect_many)


def test_accept_queue_that_somaxconn_bounds(weir):
    assert weir.cli("sysctl", "somaxconn=4").returncode == 0
    program = slow_server(weir, 1000)
    seen = look(weir, connect_many)
    follow(seen.command("accept-queue", r"sysctl net\.core\.somaxconn=\d+$"))
    program.end()
    slow_server(weir, 1000)
    assert "accept-queue" not in look(weir, connect_many)


def test_half_open(weir):
    """SYNs of hosts that are not there, and no SYN cookies."""
    assert weir.cli("sysctl", "tcp_syncookies=0").returncode == 0
    slow_server(weir, 4)
    wire, count = Wire(weir), iter(range(1, 1 << 20))

    def load():
        n = next(count)
        src = f"198.18.0.{100 + n % 100}"
        wire.put(ip4(syn(src, WEIR_ADDR, 8000, 1024 + n % 60000), src, WEIR_ADDR, 6))

    seen = look(weir, load)
    assert "0.0.0.0:8000 of python3" in seen["half-open"]["title"]
    follow(seen.command("half-open", r"sysctl net\.ipv4\.tcp_syncookies=1$"))
    dropped = weir.drops("TCP_REQQ_FULL")
    assert "half-open" not in look(weir, load)
    assert weir.drops("TCP_REQQ_FULL") == dropped


def test_no_socket(weir):
    seen = look(weir, lambda: send(1))
    assert f"nobody has {WEIR_ADDR} port {PORT} (UDP)" == seen["no-socket"]["title"]
    assert KERNEL_ADDR in seen["no-socket"]["who"][0]
    assert re.search(r"^weir .*run -- PROGRAM$", seen["no-socket"]["commands"][0])
    reader(weir)  # weir run -- the program
    assert look(weir, lambda: send(1)).status == 0


def test_no_socket_but_elsewhere(weir):
    """A program listens, but at 127.0.0.1 only."""
    script = """
import select, socket, sys
s = socket.create_server((sys.argv[1], 8000))
while True:
    s.accept()[0].close()
"""
    program = weir.script(script, "127.0.0.1")
    weir.wait_for_socket(8000)

    def load():
        with contextlib.suppress(OSError):
            socket.create_connection((WEIR_ADDR, 8000), timeout=5).close()

    seen = look(weir, load)
    assert f"python3 (pid {program.pid}) has the port, but at 127.0.0.1:8000 only" == \
        seen["no-socket"]["why"]
    assert "0.0.0.0" in seen["no-socket"]["change"]
    program.end()
    weir.script(script, "0.0.0.0")
    weir.wait_for_socket(8000)
    assert "no-socket" not in look(weir, load)

# ---- TCP's counters ----

# Sends 4 MB to whoever connects, then closes.
BIG_SERVER = """
import socket
s = socket.create_server(("0.0.0.0", 8000), backlog=64)
while True:
    c = s.accept()[0]
    try:
        c.sendall(bytes(4 << 20))
    except OSError:
        pass
    c.close()
"""


def fetch():
    with socket.create_connection((WEIR_ADDR, 8000), timeout=30) as s:
        while s.recv(1 << 18):
            pass


def test_path_that_loses(weir):
    """The kernel's side drops three of a hundred frames that weir sends."""
    rule = ("table netdev loss { chain i { type filter hook ingress device weir0 priority 0; "
            "numgen random mod 1000 < 30 drop; }; }")
    subprocess.run(["nft", rule], check=True, timeout=10)
    weir.script(BIG_SERVER)
    weir.wait_for_socket(8000)
    seen = look(weir, fetch, "2s")
    assert KERNEL_ADDR in seen["path-loss"]["title"] or seen["path-loss"]["lost"] >= 10
    follow(seen.command("path-loss", r"sysctl net\.ipv4\.tcp_congestion_control=bbr$"))
    assert weir.cli("sysctl", "tcp_congestion_control").stdout.strip().endswith("= bbr")
    follow("nft delete table netdev loss")  # and the path is mended, as it says first
    fetch()
    assert "path-loss" not in look(weir, fetch, "2s")


def test_time_wait(weir):
    assert weir.cli("sysctl", "tcp_max_tw_buckets=1").returncode == 0
    weir.script("""
import socket
s = socket.create_server(("0.0.0.0", 8000), backlog=64)
while True:
    s.accept()[0].close()
""")
    weir.wait_for_socket(8000)
    assert "time-wait" in look(weir, fetch)
    follow_until_gone(weir, "time-wait", fetch, r"sysctl net\.ipv4\.tcp_max_tw_buckets=\d+$", 6)


def test_orphans(weir):
    """Programs close connections whose peers do not read."""
    assert weir.cli("sysctl", "tcp_max_orphans=0").returncode == 0
    weir.script("""
import socket
s = socket.create_server(("0.0.0.0", 8000), backlog=64)
while True:
    c = s.accept()[0]
    c.setblocking(False)
    try:
        while True:
            c.send(bytes(65536))
    except OSError:
        pass
    c.close()
""")
    weir.wait_for_socket(8000)

    def load():
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            with contextlib.suppress(OSError):  # reset before it is there, perhaps
                s.connect((WEIR_ADDR, 8000))
            pause(0.1)

    assert "orphans" in look(weir, load)
    follow_until_gone(weir, "orphans", load, r"sysctl net\.ipv4\.tcp_max_orphans=\d+$")


def test_reset_limit(weir):
    assert weir.cli("sysctl", "tcp_reset_limit=1").returncode == 0
    assert "reset-limit" in look(weir, connect_many)
    follow_until_gone(weir, "reset-limit", connect_many, r"sysctl net\.ipv4\.tcp_reset_limit=\d+$")
