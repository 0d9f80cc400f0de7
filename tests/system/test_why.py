# SPDX-License-Identifier: BSD-3-Clause
"""`weir why`: the command itself, and what is lost at ports (whytest.py has how)."""
import os
import re
import socket
import subprocess

import pytest
from weirtest import BIN, KERNEL_ADDR, TAP, WEIR_ADDR, pause, wait_until
from whytest import Wire, end, follow, follow_until_gone, look, reader, send, sender, standing_still


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


def test_progress_on_a_terminal(weir):
    """More than two seconds: how long it takes is said on standard error, where that is a
    terminal."""
    master, slave = os.openpty()
    with open(master, "rb", buffering=0, closefd=True) as terminal:
        why = subprocess.Popen(weir.argv("why", "--for", "2500ms"), stdout=subprocess.PIPE,
                               stderr=slave, text=True)
        os.close(slave)
        said = terminal.read(200)
        out = why.communicate(timeout=30)[0]
        said += terminal.read(4096)
    assert b"reading, 3 s left" in said and b"reading, 1 s left" in said, said
    assert out.startswith("nothing is being lost")


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
    end(there)  # while it has somebody to send to


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
