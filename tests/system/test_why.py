# SPDX-License-Identifier: BSD-3-Clause
"""`weir why`: each condition is provoked, its advice seen and followed to the letter, and then the
same load loses nothing any more and the advice is gone.

A look is made while a load runs: load() is called again and again until `weir why` ends. What the
advice says is given to a shell as it stands, but for the words in capitals.
"""
import contextlib
import json
import os
import re
import signal
import socket
import struct
import subprocess

import pytest
from weirtest import BIN, KERNEL_ADDR, TAP, WEIR_ADDR, pause, wait_until

PORT = 9000
FAR = "203.0.113.5"  # an address beyond a router


class Look:
    """What one `weir why` found."""

    def __init__(self, answer, status):
        self.status = status
        self.findings = answer["findings"]
        self.normal = {n["reason"]: n["count"] for n in answer["normal"]}
        assert status == (1 if self.findings else 0)

    def __contains__(self, name):
        return any(f["name"] == name for f in self.findings)

    def __getitem__(self, name):
        found = [f for f in self.findings if f["name"] == name]
        assert found, (name, self.findings)
        return found[0]

    def command(self, name, pattern):
        found = [c for c in self[name]["commands"] if re.search(pattern, c)]
        assert found, (pattern, self[name])
        return found[0]


def look(weir, load=lambda: None, seconds="1s"):
    why = subprocess.Popen(weir.argv("why", "--for", seconds, "--json"), stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, text=True)
    try:
        while why.poll() is None:
            load()
            pause()
        out, err = why.communicate(timeout=10)
    finally:
        why.kill()
    assert why.returncode in (0, 1) and err == "", (out, err)
    return Look(json.loads(out), why.returncode)


def follow(command, **words):
    """Give a command to a shell, as people would copy it."""
    for word, value in words.items():
        command = command.replace(word, value)
    done = subprocess.run(command, shell=True, text=True, timeout=30, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          env=dict(os.environ, PATH=BIN + ":" + os.environ["PATH"]))
    assert done.returncode == 0, (command, done.stdout)


def follow_until_gone(weir, name, load, pattern, tries=4, after=lambda: None):
    """Advice that doubles something is followed again where the load still wants more."""
    for _ in range(tries):
        seen = look(weir, load)
        if name not in seen:
            return
        follow(seen.command(name, pattern))
        after()
    assert name not in look(weir, load)


def end(weir):
    """In order, with all that must hold then; another instance may take its ports."""
    weir.finish()
    weir.dead = True


# ---- loads ----

def send(n, port=PORT, size=1200, addr=WEIR_ADDR):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        for _ in range(n):
            with contextlib.suppress(OSError):
                s.sendto(bytes(size), (addr, port))


@contextlib.contextmanager
def standing_still(pid):
    os.kill(pid, signal.SIGSTOP)

    def is_so():
        with open(f"/proc/{pid}/stat", encoding="ascii") as f:
            return f.read().rsplit(")", 1)[1].split()[0] == "T"
    try:
        wait_until(is_so, "it stands still")
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def csum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return total ^ 0xffff


def ip4(payload, src, dst, proto=17, ttl=64, ident=1, frag=0, version=0x45):
    def head(checksum):
        return struct.pack("!BBHHHBBH4s4s", version, 0, 20 + len(payload), ident, frag, ttl, proto,
                           checksum, socket.inet_aton(src), socket.inet_aton(dst))
    return head(csum(head(0))) + payload


def udp(data, port=PORT):
    return struct.pack("!HHHH", 4000, port, 8 + len(data), 0) + data  # 0: without a checksum


def syn(src, dst, port, src_port):
    def head(checksum):
        return struct.pack("!HHIIBBHHH", src_port, port, 1, 0, 0x50, 2, 1000, checksum, 0)
    pseudo = struct.pack("!4s4sBBH", socket.inet_aton(src), socket.inet_aton(dst), 0, 6, 20)
    return head(csum(pseudo + head(0)))


class Wire:
    """Frames to weir's port as no kernel would send them."""

    def __init__(self, weir, dev="weir0"):
        self.mac = [p["mac"] for p in weir.stat()["ports"] if p["name"] == dev][0]
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        self.socket.bind((dev, 0))

    def put(self, packet, src_mac="02:00:00:00:00:50", kind=0x0800):
        addresses = bytes.fromhex((self.mac + src_mac).replace(":", ""))
        self.socket.send(addresses + struct.pack("!H", kind) + packet)


# Reads all that has come, then nothing for 0.4 s; argv: port, SO_RCVBUF or 0.
SLOW_READER = """
import select, socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
if int(sys.argv[2]):
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, int(sys.argv[2]))
s.bind(("0.0.0.0", int(sys.argv[1])))
s.setblocking(False)
while True:
    select.select([], [], [], 0.4)
    try:
        while True:
            s.recv(65536)
    except BlockingIOError:
        pass
"""
READER = SLOW_READER.replace("select.select([], [], [], 0.4)", "select.select([s], [], [])")


def reader(weir, script=READER, rcvbuf=0):
    program = weir.script(script, str(PORT), str(rcvbuf))
    weir.wait_for_socket(PORT, "udp")
    return program


def burst():
    """430 KB at once: more than the default buffer of 256 KB."""
    send(340)
    pause(0.5)


# ---- nothing ----

def test_nothing_is_lost(weir):
    reader(weir)
    seen = look(weir, lambda: send(1))
    assert seen.status == 0 and not seen.findings
    out = weir.cli("why", "--for", "50ms")
    assert out.returncode == 0 and out.stdout.startswith("nothing is being lost") and not out.stderr
    for words in (["--for", "x"], ["--for", "-1"], ["more"], ["--nosuch"]):
        out = weir.cli("why", *words)
        assert out.returncode == 2 and out.stderr
    assert weir.cli("--help").returncode == 0


def test_no_weird(net, tmp_path):
    out = subprocess.run([os.path.join(BIN, "weir"), "--rundir", str(tmp_path), "why"],
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=30,
                         check=False)
    assert out.returncode == 2 and "no weird runs" in out.stderr


def test_what_is_normal_is_no_finding(weir):
    """A frame of a protocol that weir has not, as Linux too would drop it."""
    wire = Wire(weir)
    seen = look(weir, lambda: wire.put(bytes(60), kind=0x88b5), "500ms")
    assert seen.status == 0 and seen.normal["UNHANDLED_PROTO"] > 0


def test_text(weir):
    why = subprocess.Popen(weir.argv("why", "--for", "1s"), stdout=subprocess.PIPE, text=True)
    while why.poll() is None:
        send(1)
        pause()
    out = why.communicate(timeout=10)[0]
    assert why.returncode == 1
    assert re.search(r"^1\. nobody has 198\.18\.0\.2 port 9000 \(UDP\)$", out, re.M), out
    assert re.search(r"^   lost     \d+, [\d.]+ a second; \d+ since weir began$", out, re.M), out
    assert re.search(r"^   where    \w+\(\) src/inet/udp_in\.c:\d+, NO_SOCKET$", out, re.M), out
    assert re.search(r"^            \$ weir .*run -- PROGRAM$", out, re.M), out


# ---- ports ----

def test_receive_ring(weir):
    """The kernel's queue in front of a TAP overflows while weird has no processor."""
    def load():
        with standing_still(weir.daemon.pid):
            send(1500, size=10)
        wait_until(lambda: weir.ledger()["ports"][1]["waiting"] == 0, "they are in")

    reader(weir)
    send(1)
    seen = look(weir, load)
    assert seen.findings[0]["name"] == "receive-ring" and "weir0" in seen["receive-ring"]["title"]
    follow_until_gone(weir, "receive-ring", load, r"^ip link set dev weir0 txqueuelen \d+$")


def test_packet_buffers(make_weir):
    """A link whose delay holds more packets than there are buffers: weird is started with more."""
    port = f"fault,delay_us=300000,dir=in,seed=1:{TAP}"
    packets, seen = 1024, None

    def load():
        for _ in range(3):  # 2700 in less than the delay; the kernel's queue has 1000 of them
            send(900, size=10)
            pause(0.05)
        pause(0.4)

    for _ in range(4):
        weir = make_weir(ports=((port, f"{WEIR_ADDR}/24"),), options=["--packets", str(packets)])
        reader(weir)
        send(1)
        seen = look(weir, load, "2s")
        end(weir)
        commands = [c for f in seen.findings for c in f["commands"] if "--packets" in c]
        if not commands:
            break
        packets = int(re.search(r"^weird .*--packets (\d+)$", commands[0])[1])
    assert packets > 1024 and "packet-buffers" not in seen and "receive-ring" not in seen


def test_out_of_buffers_for_own_packets(make_weir):
    """What weir itself cannot make: programs' datagrams into a line that holds them for long."""
    port = f"fault,delay_us=300000,dir=out,seed=1:{TAP}"
    packets, seen = 1024, None
    script = """
import select, socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
while True:
    for i in range(1200):
        try:
            s.sendto(b"x", ("198.18.0.1", 9))
        except OSError:
            pass
    select.select([], [], [], 0.4)
"""
    for _ in range(4):
        weir = make_weir(ports=((port, f"{WEIR_ADDR}/24"),), options=["--packets", str(packets)])
        program = weir.script(script)
        wait_until(lambda: weir.ledger()["transmitted"] > 10, "it sends")
        seen = look(weir, seconds="2s")
        program.end()
        end(weir)
        if "packet-buffers" not in seen:
            break
        packets = int(re.search(r"--packets (\d+)$",
                                seen.command("packet-buffers", "^weird "))[1])
    assert packets > 1024 and "packet-buffers" not in seen


def test_send_ring(make_weir, tmp_path):
    """The other end of a memif stands still for a moment."""
    path = tmp_path / "memif.sock"
    there = make_weir(instance="there", ports=(
        (f"memif,role=server,socket={path},id=1", f"{KERNEL_ADDR}/24"),))
    weir = make_weir(instance="here", tmp=there.tmp, ports=(
        (f"memif,role=client,socket={path},id=1", f"{WEIR_ADDR}/24"),))
    go, done = tmp_path / "go", tmp_path / "done"
    weir.script("""
import os, select, socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
n = 3
while True:
    for i in range(n):
        try:
            s.sendto(b"x", ("198.18.0.1", 9000))
        except OSError:
            pass
    open(sys.argv[2], "w").close()
    while not os.path.exists(sys.argv[1]):
        select.select([], [], [], 0.01)
    os.unlink(sys.argv[1])
    n = 2500
""", str(go), str(done))
    for w in (weir, there):
        w.pool_free = None  # the other end's ring keeps buffers

    def port():
        return [p for p in weir.stat()["ports"] if p["type"] == "dpdk"][0]

    def load():
        with standing_still(there.daemon.pid):
            done.unlink()
            go.touch()
            wait_until(done.exists, "they are sent")
            pause(0.05)
        wait_until(lambda: port()["tx_backlog"] == 0, "what waited is gone")

    reader(there)
    wait_until(lambda: done.exists() and port()["tx_packets"] >= 2, "they know each other")
    seen = look(weir, load)
    assert "net_memif" in seen["send-ring"]["title"]
    follow_until_gone(weir, "send-ring", load, r"^weir .*port set net_memif\S* txqueuelen \d+$")


def sender(weir, addr=KERNEL_ADDR, port=PORT):
    """A program on weir that sends a datagram fifty times a second."""
    return weir.script("""
import select, socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
while True:
    try:
        s.sendto(b"x", (sys.argv[1], int(sys.argv[2])))
    except OSError:
        pass
    select.select([], [], [], 0.02)
""", addr, str(port))


def test_port_down(weir):
    program = sender(weir)
    wait_until(lambda: weir.ledger()["transmitted"] > 3, "it sends")
    subprocess.run(["ip", "link", "set", "weir0", "down"], check=True, timeout=10)
    wait_until(lambda: weir.drops("PORT_DOWN") > 3, "the kernel refuses them")
    seen = look(weir)
    assert "weir0" in seen["port-down"]["title"]
    follow(seen.command("port-down", "^ip link set dev weir0 up$"))
    sent = weir.ledger()["transmitted"]
    wait_until(lambda: weir.ledger()["transmitted"] > sent + 3, "it sends again")
    assert "port-down" not in look(weir)
    program.end()


def test_what_the_kernel_drops(weir):
    """Frames of a protocol that the kernel's side has not: it takes them and drops them."""
    program = weir.script("""
import select, socket
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind(("weir0", 0))
while True:
    s.send(b"\\xff" * 6 + b"\\x02" + bytes(5) + b"\\x88\\xb5" + bytes(50))
    select.select([], [], [], 0.02)
""")
    wait_until(lambda: weir.ledger()["lost_after"] > 3, "the kernel counts them")
    seen = look(weir)
    assert "weir0" in seen["send-lost"]["title"]
    assert "weir dropwatch" not in seen["send-lost"]["why"]
    seen.command("send-lost", r"^weir .*dropwatch --kernel$")
    # Somebody has the protocol there now.
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x88b5)) as s:
        s.bind(("weir0", 0x88b5))
        assert "send-lost" not in look(weir)
    program.end()


@pytest.mark.parametrize("faults,words", [("loss=0.5,seed=2", "loss="),
                                          ("rate_mbit=1,queue=5,seed=2", "rate_mbit=")])
def test_fault_link(make_weir, faults, words):
    weir = make_weir(ports=((f"fault,{faults}:{TAP}", f"{WEIR_ADDR}/24"),))
    reader(weir)
    seen = look(weir, lambda: send(20))
    assert words in seen["fault-link"]["why"] and "weir0" in seen["fault-link"]["who"][0]
    assert "without 'fault,...:'" in seen["fault-link"]["change"]
    end(weir)
    weir = make_weir(ports=((TAP, f"{WEIR_ADDR}/24"),))
    reader(weir)
    assert look(weir, lambda: send(20)).status == 0


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


def connect_many(n=30):
    with contextlib.ExitStack() as stack:
        for _ in range(n):
            s = stack.enter_context(socket.socket())
            s.setblocking(False)
            s.connect_ex((WEIR_ADDR, 8000))
        pause(0.4)


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


# ---- addresses, routes, neighbours ----

TWO_TAPS = ((TAP, f"{WEIR_ADDR}/24"), ("tap,name=weir1,addr=198.18.1.1/24", "198.18.1.2/24"))


def test_not_ours_and_no_route(make_weir):
    """weir is used as a router: it is not one yet, then it has no route, then it routes."""
    weir = make_weir(ports=TWO_TAPS)
    wire = Wire(weir)

    def load():
        wire.put(ip4(udp(b"x"), "198.18.0.50", FAR))

    seen = look(weir, load)
    assert FAR in seen["not-ours"]["title"]
    follow(seen.command("not-ours", r"forward on$"))
    seen = look(weir, load)
    assert "not-ours" not in seen and FAR in seen["no-route"]["title"]
    follow(seen.command("no-route", r"route add default via GATEWAY$"), GATEWAY="198.18.1.1")
    wait_until(lambda: load() or weir.ledger()["forwarded"] > 0, "the gateway is known")
    forwarded = weir.ledger()["forwarded"]
    seen = look(weir, load)
    assert "no-route" not in seen and "not-ours" not in seen and "neighbour" not in seen
    assert weir.ledger()["forwarded"] > forwarded


def test_not_ours_but_of_our_subnet(weir):
    wire = Wire(weir)

    def load():
        wire.put(ip4(udp(b"x"), "198.18.0.50", "198.18.0.77"))

    reader(weir)
    seen = look(weir, load)
    assert "198.18.0.77" in seen["not-ours"]["title"]
    follow(seen.command("not-ours", r"addr add 198\.18\.0\.77/24 dev weir0$"))
    assert look(weir, load).status == 0


def test_neighbour(weir):
    """Nobody has the address; then somebody does."""
    program = sender(weir, "198.18.0.77")
    seen = look(weir, seconds="5s")
    assert "nobody on weir0 answers for 198.18.0.77" == seen["neighbour"]["title"]
    assert {r for f in seen.findings for r in f["reasons"]} >= {"NEIGH_FAILED"}
    follow(seen.command("neighbour", r"^ip addr add 198\.18\.0\.77/24 dev weir0$"))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(20)
        s.bind(("198.18.0.77", PORT))
        s.recv(10)
        assert "neighbour" not in look(weir, seconds="4s")
    program.end()


def test_gateway_that_is_not_there(weir):
    assert weir.cli("route", "add", "203.0.113.0/24", "via", "198.18.0.9").returncode == 0
    program = sender(weir, FAR)
    seen = look(weir, seconds="5s")
    assert "nobody on weir0 answers for 198.18.0.9" == seen["neighbour"]["title"]
    follow(seen.command("neighbour", r"route del 203\.0\.113\.0/24$"))
    wait_until(lambda: weir.ledger()["held"] == 0, "what waited has failed")
    assert "neighbour" not in look(weir, seconds="2s")
    program.end()


def test_own_address(weir):
    """Another host has one of weir's addresses."""
    assert weir.cli("addr", "add", "198.18.0.3/24", "dev", "weir0").returncode == 0
    wire = Wire(weir)
    reader(weir)

    def load():
        wire.put(ip4(udp(b"x"), "198.18.0.3", WEIR_ADDR), src_mac="02:00:00:00:00:33")

    seen = look(weir, load)
    assert "198.18.0.3" in seen["own-address"]["title"]
    assert "02:00:00:00:00:33" in seen["own-address"]["why"]
    follow(seen.command("own-address", r"addr del 198\.18\.0\.3/24 dev weir0$"))
    assert look(weir, load).status == 0


@pytest.mark.parametrize("source", ["224.0.0.5", "127.0.0.1"])
def test_bad_address(weir, source):
    wire = Wire(weir)
    reader(weir)

    def load(src=source):
        wire.put(ip4(udp(b"x"), src, WEIR_ADDR), src_mac="02:00:00:00:00:44")

    seen = look(weir, load)
    assert source in seen["bad-address"]["title"]
    assert "02:00:00:00:00:44" in seen["bad-address"]["change"]
    # That host is mended.
    assert look(weir, lambda: load("198.18.0.50")).status == 0


def test_routers_that_send_to_each_other(weir):
    with open("/proc/sys/net/ipv4/ip_forward", "w", encoding="ascii") as f:
        f.write("1")
    for words in (["forward", "on"], ["route", "add", "203.0.113.0/24", "via", KERNEL_ADDR]):
        assert weir.cli(*words).returncode == 0
    subprocess.run(["ip", "route", "add", "203.0.113.0/24", "via", WEIR_ADDR], check=True,
                   timeout=10)
    wire = Wire(weir)

    def load():
        wire.put(ip4(udp(b"x"), "198.18.0.50", FAR, ttl=9))

    seen = look(weir, load)
    assert FAR in seen["ttl"]["title"] and KERNEL_ADDR in seen["ttl"]["why"]
    assert seen.command("ttl", r"^weir .*route del 203\.0\.113\.0/24$")
    follow(seen.command("ttl", r"^ip route del 203\.0\.113\.0/24$"))
    assert "ttl" not in look(weir, load)


# ---- packets themselves ----

def test_checksum(net, make_weir):
    """A veth whose kernel leaves checksums to a card that is not there."""
    for command in (["link", "add", "va", "type", "veth", "peer", "name", "vb"],
                    ["link", "set", "va", "up"], ["link", "set", "vb", "up"],
                    ["addr", "add", f"{KERNEL_ADDR}/24", "dev", "vb"]):
        subprocess.run(["ip", *command], check=True, timeout=10)
    weir = make_weir(ports=(("af_packet,iface=va", f"{WEIR_ADDR}/24"),))
    reader(weir)
    seen = look(weir, lambda: send(1))
    assert KERNEL_ADDR in seen["checksum"]["title"] and "UDP_CSUM" in seen["checksum"]["reasons"]
    follow(seen.command("checksum", "^ethtool -K DEVICE tx off$"), DEVICE="vb")
    assert look(weir, lambda: send(1)).status == 0


def test_mtu(make_weir):
    """A port with a smaller MTU on the way, and a sender that does not hear of it."""
    def two(mtu):
        return ((TAP, f"{WEIR_ADDR}/24"),
                (f"tap,name=weir1,addr=198.18.1.1/24,mtu={mtu}", "198.18.1.2/24"))

    def run(weir):
        assert weir.cli("forward", "on").returncode == 0
        wire = Wire(weir)
        return look(weir, lambda: wire.put(ip4(udp(bytes(1450)), "198.18.0.50", "198.18.1.1",
                                               frag=0x4000)))

    weir = make_weir(ports=two(1400))
    seen = run(weir)
    assert "weir1 (MTU 1400)" in seen["mtu"]["title"] and "198.18.1.1" in seen["mtu"]["title"]
    mtu = re.search(r"name=weir1,mtu=(\d+)$", seen.command("mtu", "^weird "))[1]
    end(weir)
    assert "mtu" not in run(make_weir(ports=two(mtu)))


def test_fragments_late(weir):
    """The second fragment comes when the first has been given up."""
    assert weir.cli("sysctl", "ipfrag_time=1").returncode == 0
    wire, whole = Wire(weir), udp(bytes(1592))
    ident = iter(range(1, 60000))
    reader(weir)

    def load():
        n = next(ident)
        wire.put(ip4(whole[:800], "198.18.0.50", WEIR_ADDR, ident=n, frag=0x2000))
        pause(1.6)
        wire.put(ip4(whole[800:], "198.18.0.50", WEIR_ADDR, ident=n, frag=100))

    seen = look(weir, load, "4s")
    assert any("198.18.0.50" in who for who in seen["fragments-late"]["who"])
    follow(seen.command("fragments-late", r"sysctl net\.ipv4\.ipfrag_time=30$"))
    weir.check_ledger()  # nothing waits any more
    delivered = weir.ledger()["delivered"]
    assert look(weir, load, "4s").status == 0
    assert weir.ledger()["delivered"] > delivered


def test_fragments_many(weir):
    assert weir.cli("sysctl", "ipfrag_max_datagrams=4", "ipfrag_time=1").returncode == 0
    wire, whole = Wire(weir), udp(bytes(1592))
    ident = iter(range(1, 60000))
    reader(weir)

    def load():
        ids = [next(ident) for _ in range(16)]
        for part, frag in ((whole[:800], 0x2000), (whole[800:], 100)):
            for n in ids:
                wire.put(ip4(part, "198.18.0.50", WEIR_ADDR, ident=n, frag=frag))
        weir.check_ledger()

    seen = look(weir, load)
    follow(seen.command("fragments-many", r"sysctl ipfrag_max_datagrams=16 net\.ipv4\.ipfrag_high"))
    weir.check_ledger()
    assert look(weir, load).status == 0


def test_worker_mailbox(make_weir):
    """Fragments are handed to the worker that puts them together; its mailbox is tiny."""
    weir = make_weir(ports=((TAP + ",queues=2", f"{WEIR_ADDR}/24"),),
                     options=["--workers", "2", "--sysctl", "steer_max_bytes=4096",
                              "--sysctl", "ipfrag_time=1"])
    reader(weir)

    def load():
        with standing_still(weir.daemon.pid):
            send(100, size=3000)
        wait_until(lambda: weir.ledger()["ports"][1]["waiting"] == 0, "they are in")

    send(1)
    assert "worker-mailbox" in look(weir, load)
    follow_until_gone(weir, "worker-mailbox", load, r"sysctl steer_max_bytes=\d+$")


def test_other(weir):
    """A reason without a detector has its sentence."""
    wire = Wire(weir)
    seen = look(weir, lambda: wire.put(ip4(udp(b"x"), "198.18.0.50", WEIR_ADDR, version=0x44)))
    assert seen["other"]["reasons"] == ["IP_INHDR"]
    assert "look at who sends them" in seen["other"]["change"]
    assert look(weir, lambda: send(0)).status == 0


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
