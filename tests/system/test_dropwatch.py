# SPDX-License-Identifier: BSD-3-Clause
"""`weir dropwatch` on weir's own drops: what dropwatch's users and scripts know, and what it never
had; counts are those of the ledger, to the last drop."""
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess

import pytest

from dropwatch import STARTED, STOPPED, Dropwatch
from test_frames import OTHER, UDP, Raw, Wire, ip
from weirtest import BIN, TAP, WEIR_ADDR, Weir, wait_until

WEIR = os.path.join(BIN, "weir")
SUMMARY = re.compile(r"^(\d+) drops at (\S+)\+([0-9a-f]+) \((0x[0-9a-f]+)\) \[software\]\n"
                     r"    (\w+): ", re.M)

SO_SNDBUFFORCE = 32

# A program that has a socket, and does not read.
DEAF = """
import socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
s.bind(("0.0.0.0", 5353))
print("bound", flush=True)
time.sleep(600)
"""


@pytest.fixture
def watch(weir):
    with Dropwatch(weir.argv("dropwatch")) as made:
        yield made


@pytest.fixture
def wire(weir):
    return Wire(weir)


def drop_udp(weir, count, port=7):
    """So many datagrams to a port that nobody has; returns when they are in the ledger."""
    before = weir.drops("NO_SOCKET")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for _ in range(count):
            sock.sendto(b"hello", (WEIR_ADDR, port))
    wait_until(lambda: weir.drops("NO_SOCKET") == before + count, f"{count} are dropped")


def begin(weir, *options):
    """dropwatch without a prompt, when it watches."""
    child = subprocess.Popen(weir.argv("dropwatch", *options), stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE)
    said = child.stderr.readline().decode()
    if "watching " not in said:
        child.kill()
        raise AssertionError(said + child.stderr.read().decode())
    return child


def run(weir, *options, during=lambda: None, timeout=60):
    """dropwatch with options while something happens; Ctrl-C ends it where no --for does."""
    child = begin(weir, *options)
    try:
        during()
        if "--for" not in options:
            child.send_signal(signal.SIGINT)
        out, errors = child.communicate(timeout=timeout)
    finally:
        child.kill()
    assert child.returncode == 0, errors
    return out.decode()


def watchers(weir):
    """How many watch: their memory, in weird's descriptors."""
    folder = f"/proc/{weir.daemon.pid}/fd"
    names = []
    for fd in os.listdir(folder):
        with contextlib.suppress(OSError):
            names.append(os.readlink(os.path.join(folder, fd)))
    return sum("watch" in name for name in names)


def counts(text, reason="NO_SOCKET"):
    return sum(int(n) for n, _, _, _, why in SUMMARY.findall(text) if why == reason)


# ---- the prompt ----

def test_words_over_a_pipe(weir, watch):
    watch.start()
    drop_udp(weir, 5)
    watch.wait_for("drops at")
    said = watch.end("stop", "exit")
    assert said.startswith("Initializing ")
    words = ["dropwatch> ", "Enabling monitoring...\n", "Waiting for activation ack....\n",
             "Kernel monitoring activated.\n", STARTED, " drops at ",
             "Deactivation requested, turning off monitoring\n",
             "Waiting for deactivation ack...\n", STOPPED, "dropwatch> ", "Shutting down ...\n"]
    at = 0
    for word in words:
        at = said.index(word, at) + len(word)
    assert "Terminating" not in said
    assert counts(said) == 5
    for line in ("    NO_SOCKET: no socket for this address and port\n", "    do  ",
                 ":7\n", "src/inet/udp_in.c:", "path     port-rx > eth-input > ip4-input"):
        assert line in said, line


def test_ctrl_c_on_a_terminal(weir):
    with Dropwatch(weir.argv("dropwatch", "-l", "kas"), terminal=True) as watch:
        watch.wait_for("dropwatch> ")
        assert "Initializing kallsyms db\n" in watch.said
        watch.interrupt()
        watch.wait_for("Got a sigint while not receiving")
        watch.start()
        drop_udp(weir, 3)
        watch.wait_for("drops at")
        watch.interrupt()
        watch.wait_for(STOPPED)
        watch.start()  # and once more
        watch.interrupt()
        watch.wait_for(STOPPED, 2)
        os.write(watch.terminal, b"\x04")
        said = watch.end()
    assert "Terminating dropwatch...\nShutting down ...\n" in said
    assert counts(said) == 3


def test_end_of_input_goes_on_until_ctrl_c(weir, watch):
    """echo start | dropwatch, as people do."""
    watch.type("start")
    watch.child.stdin.close()
    watch.wait_for(STARTED)
    drop_udp(weir, 4)
    watch.wait_for("drops at")
    watch.interrupt()
    watch.wait_for("Terminating dropwatch...\nShutting down ...\n")
    assert watch.child.wait(10) == 0
    assert counts(watch.said) == 4


def test_sigterm_ends_it_in_order(weir, watch):
    watch.start()
    drop_udp(weir, 2)
    watch.child.terminate()
    assert "Shutting down ...\n" in watch.end()
    assert counts(watch.said) == 2


def test_packet_mode(weir, watch):
    watch.type("set alertmode packet", "set trunc 50", "stack")
    watch.start()
    drop_udp(weir, 2)
    watch.wait_for("drop reason: NO_SOCKET\n", 2)
    said = watch.end("stop")
    block = re.search(r"drop at: (\S+)\+0x([0-9a-f]+) \((0x[0-9a-f]+)\)\n"
                      r"origin: software\n"
                      r"input port ifindex: (\d+)\n"
                      r"input port name: weir0\n"
                      r"timestamp: \w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4} \d{9} nsec\n"
                      r"protocol: 0x800\n"
                      r"length: 47\n"
                      r"original length: 47\n"
                      r"drop reason: NO_SOCKET\n"
                      r"    \[<([0-9a-f]{16})>\] (\S+)\+0x([0-9a-f]+)", said)
    assert block, said
    assert int(block.group(3), 16) == int(block.group(5), 16)
    assert block.group(1) == block.group(6)


def test_trunc_cuts(weir, watch):
    watch.type("set alertmode packet", "set trunc 20")
    watch.start()
    drop_udp(weir, 1)
    said = watch.wait_for("drop reason: ")
    watch.end("stop")
    assert "length: 20\noriginal length: 47\n" in said


def test_settings_and_what_is_not_understood(weir, watch):
    said = watch.end("bogus", "set", "set colour blue", "set trunc ten", "set alertmode loud",
                     "start now", "set sw maybe", "stats", "show", "help", "")
    for words in ("There is no command 'bogus'", "There is no setting 'colour'",
                  "'ten' is not a number", "Invalid alert mode: 'loud'", "Too many words",
                  "invalid boolean value", "Tail dropped: 0", "Alert mode: Summary",
                  "Command Syntax:", "Watching: instance 'default' of weir"):
        assert words in said, words


def test_alert_limit(weir, watch):
    watch.type("set alertlimit 2", "set alertmode packet")
    watch.start()
    drop_udp(weir, 5)
    watch.wait_for("Alert limit reached, deactivating!\n")
    watch.wait_for(STOPPED)
    said = watch.end("exit")
    assert said.count("drop at: ") == 2


def test_several_starts_count_each_drop_once(weir, watch):
    for i in range(1, 4):
        watch.start()
        drop_udp(weir, i)
        watch.type("stop")
        watch.wait_for(STOPPED, i)
        drop_udp(weir, 10)  # nobody watches
    said = watch.end("stats")
    assert counts(said) == 6
    all_of_them = sum(int(n) for n in re.findall(r"^(\d+) drops at", said, re.M))
    assert f"Counted: {all_of_them}\n" in said


def test_drops_of_software_may_be_off(weir, watch):
    watch.type("set sw false")
    watch.start()
    drop_udp(weir, 3)
    assert counts(watch.end("stop")) == 0


# ---- scripts of other people ----

@pytest.mark.parametrize("script,pattern", [
    ("awk '/drops at/ {n += $1} END {print n}'", r"^12$"),
    ("awk '/drop at:/{print $3}' | sort | uniq -c | sort -nr", r"^ +12 \S+\+0x[0-9a-f]+$"),
    ("grep -c 'drop reason: NO_SOCKET'", r"^12$"),
])
def test_scripts(weir, script, pattern, tmp_path):
    mode = "summary" if "drops at" in script else "packet"
    said = tmp_path / "said"
    said.write_text("")
    with Dropwatch(["sh", "-c", f"\"$@\" | tee {said} | {script}", "sh",
                    *weir.argv("dropwatch", "-l", "kas", "--reason", "NO_SOCKET")]) as piped:
        piped.type(f"set alertmode {mode}", "start")
        wait_until(lambda: STARTED in said.read_text(), "it watches")
        drop_udp(weir, 12)
        assert re.search(pattern, piped.end("stop", "exit"), re.M), piped.said


def test_classic_prints_nothing_else(weir):
    with Dropwatch(weir.argv("dropwatch", "--classic")) as watch:
        watch.start()
        drop_udp(weir, 2)
        watch.wait_for("drops at")
        said = watch.end("stop", "show", "stats")
    assert not [line for line in said.split("\n") if line.startswith("    ")], said
    assert "Counted" not in said and "Watching" not in said


# ---- without a prompt ----

def test_top(weir):
    out = run(weir, "--top", "5", during=lambda: drop_udp(weir, 30))
    assert re.search(r"^ +30  NO_SOCKET +\w+\+[0-9a-f]+ +src/inet/udp_in.c:\d+ +- +no socket", out,
                     re.M), out
    assert re.match(r"\d+ drops in \d+\.\d s\n", out)
    assert "  NO_SOCKET: start the program" in out


def test_top_for_a_time_as_json(weir, wire):
    def drop():
        drop_udp(weir, 7)
        for _ in range(3):
            wire.send(ip(chksum=0x1234) / UDP() / Raw(b"x" * 10))
        wait_until(lambda: weir.drops("IP_CSUM") == 3, "they are dropped")

    document = json.loads(run(weir, "--top", "1", "--for", "1500ms", "--json", during=drop))
    place, = document["places"]
    ledger = [d for d in weir.ledger()["drops"] if d["reason"] == "NO_SOCKET"][0]
    assert (place["reason"], place["count"]) == ("NO_SOCKET", 7)
    for member in ("function", "file", "line"):
        assert place[member] == ledger[member]
    assert document["kinds"] >= 2 and document["lost_events"] == 0
    assert document["drops"] >= 10 and 1.4 < document["seconds"] < 15
    assert place["path"] == ledger["path"]


def test_reasons(weir, wire):
    def drop():
        drop_udp(weir, 4)
        wire.send(ip(chksum=0x1234) / UDP() / Raw(b"x" * 10), *[ip() / UDP()] * 2, dst=None)
        wait_until(lambda: weir.drops("IP_CSUM") == 1, "it is dropped")

    out = run(weir, "--reason", "IP_CSUM,udp_csum", "--json", during=drop)
    events = [json.loads(line) for line in out.splitlines()]
    assert [(e["reason"], e["count"]) for e in events[:-1]] == [("IP_CSUM", 1)]
    assert events[-1]["event"] == "stats" and events[-1]["drops"] == 1


def test_filter(weir):
    def drop():
        drop_udp(weir, 4, port=7)
        drop_udp(weir, 6, port=9)

    out = run(weir, "--filter", "udp port 9", "--json", "--packet", during=drop)
    events = [json.loads(line) for line in out.splitlines()]
    packets = [e for e in events if e["event"] == "packet"]
    assert len(packets) == 6
    assert {p["flow"].split(" > ")[1] for p in packets} == {f"{WEIR_ADDR}:9"}
    assert all(p["ifname"] == "weir0" and p["head"].endswith(b"hello".hex()) for p in packets)
    assert events[-1] == {"event": "stats", "drops": 6, "packets": 6, "packets_skipped": 0,
                          "lost_events": 0, "hardware_drops": 0}


def test_pcap_is_read_by_tshark(weir, tmp_path):
    if not shutil.which("tshark"):
        pytest.skip("tshark is not there")
    path = tmp_path / "drops.pcapng"
    run(weir, "--pcap", str(path), "--filter", "udp", during=lambda: drop_udp(weir, 3))
    done = subprocess.run(["tshark", "-r", path, "-T", "fields", "-E", "separator=|", "-e",
                           "frame.interface_name", "-e", "udp.dstport", "-e", "frame.len", "-e",
                           "frame.comment", "-Y", "frame.comment contains \"NO_SOCKET\""],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 3, done.stdout
    for line in lines:
        assert line.startswith("weir0|7|47|NO_SOCKET: no socket for this address and port"), line
        assert "dropped at " in line and "src/inet/udp_in.c:" in line and "path: port-rx" in line


def test_pcap_to_standard_output(weir):
    child = begin(weir, "--pcap", "-", "--alertlimit", "1000")
    try:
        drop_udp(weir, 2)
        child.send_signal(signal.SIGINT)
        data, _ = child.communicate(timeout=30)
    finally:
        child.kill()
    assert child.returncode == 0
    assert data[:4] == b"\n\r\r\n" and data.count(b"NO_SOCKET: ") == 2


def test_pcap_that_cannot_be_written(weir):
    done = weir.cli("dropwatch", "--pcap", "/nowhere/x.pcapng", "--for", "1s")
    assert done.returncode == 1 and "cannot write /nowhere/x.pcapng" in done.stderr


# ---- whose packet ----

def test_the_socket_and_the_program(weir):
    program = weir.script(DEAF)
    wait_until(lambda: "bound" in program.log(), "it is bound")
    drop_udp(weir, 1)  # the kernel knows the neighbour, so that nothing waits and is lost there

    def drop():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            for _ in range(400):
                sock.sendto(b"x" * 1000, (WEIR_ADDR, 5353))
        wait_until(lambda: weir.drops("SOCKET_RCVBUFF") > 0, "its buffer is full")
        wait_until(lambda: weir.ledger()["entered"] >= 400, "all are there")

    out = run(weir, "--reason", "SOCKET_RCVBUFF", "--top", "3", "--json", during=drop)
    place, = json.loads(out)["places"]
    assert place["count"] == weir.drops("SOCKET_RCVBUFF")
    assert place["socket"].startswith("udp 0.0.0.0:5353"), place
    assert place["program"] == f"python3 (pid {program.pid})" or "python3" in place["program"]
    assert place["severity"] == "warn" and place["advice"]


# ---- what goes wrong ----

def test_weird_dies(weir, watch):
    watch.start()
    drop_udp(weir, 2)
    weir.daemon.child.kill()
    weir.daemon.wait(10)
    weir.dead = True
    watch.wait_for("dropwatch> ", 2)
    said = watch.end("start", status=1)
    assert counts(said) == 2
    assert "has ended" in watch.errors and "start it again" in watch.errors
    assert "left its socket behind" in watch.errors  # what the second start said


def test_weird_stops_while_it_is_watched(weir):
    child = begin(weir, "--top", "3")
    drop_udp(weir, 2)
    assert weir.cli("stop").returncode == 0
    out, errors = child.communicate(timeout=30)
    weir.dead = True
    assert child.returncode == 1 and b"has ended" in errors
    assert weir.daemon.wait(20) == 0


def test_another_user(weir):
    os.chmod(weir.tmp, 0o755)
    os.chmod(weir.rundir, 0o755)
    done = subprocess.run(weir.argv("dropwatch", "--top", "1", "--for", "1s"), user="nobody",
                          group="nogroup", extra_groups=[], capture_output=True, text=True,
                          timeout=30)
    assert done.returncode == 1
    assert "permission" in done.stderr or "own user and root" in done.stderr


@pytest.mark.parametrize("options,words", [
    (["--filter", "udp prt 7"], "syntax error"),
    (["--reason", "NO_SUCH_REASON"], "NO_SUCH_REASON"),
])
def test_what_weird_does_not_know(weir, options, words):
    done = weir.cli("dropwatch", "--top", "1", "--for", "1s", *options)
    assert done.returncode == 1 and words in done.stderr and not done.stdout


def test_watchers_come_and_go(weir):
    for _ in range(20):
        out = run(weir, "--top", "1", "--json", during=lambda: drop_udp(weir, 1))
        assert json.loads(out)["places"][0]["count"] == 1
    wait_until(lambda: not watchers(weir), "weird has let go of all")


# ---- a million ----

def pcap_of(path, frame, count):
    """A file with so many of one frame."""
    record = struct.pack("<IIII", 0, 0, len(frame), len(frame)) + frame
    with open(path, "wb") as f:
        f.write(struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1))
        for _ in range(count // 1000):
            f.write(record * 1000)


@pytest.mark.parametrize("mode", ["counts", "filter", "packets"])
def test_a_million_drops_are_all_counted(weir, tmp_path, mode):
    """As fast as a capture file can be read. In packet mode those that could not be shown are
    counted, by place."""
    packets = mode == "packets"
    million = 1_000_000
    path = tmp_path / "million.pcap"
    frame = bytes.fromhex(OTHER.replace(":", "")) + b"\x02\0\0\0\0\x01" + b"\x08\0" + b"x" * 46
    pcap_of(path, frame, million)
    options = ["--reason", "OTHERHOST"] + (["--packet", "--queue", "1000"] if packets
                                           else ["--top", "1"])
    if mode == "filter":
        options += ["--filter", f"ether dst {OTHER} and not udp port 53"]

    def drop():
        done = weir.cli("port", "add", f"pcap,rx_pcap={path}", timeout=120)
        assert done.returncode == 0, done.stderr
        wait_until(lambda: weir.drops("OTHERHOST") >= million, "all are dropped", 120)

    out = run(weir, *options, "--json", during=drop, timeout=120)
    if not packets:
        document = json.loads(out)
        print(f"{document['drops']} drops in {document['seconds']:.2f} s")
        assert document["places"][0]["count"] == document["drops"] == weir.drops("OTHERHOST")
        return
    events = [json.loads(line) for line in out.splitlines()]
    stats = events.pop()
    assert sum(e["count"] for e in events) == stats["drops"] == weir.drops("OTHERHOST")
    assert stats["packets"] == sum(e["event"] == "packet" for e in events)
    assert stats["packets"] + stats["packets_skipped"] == stats["drops"]
    print(f"{stats['packets']} of {stats['drops']} shown")


def test_what_the_card_lost(weir, watch):
    """weird stands still, and the TAP's queue runs over: no drop of weir's, but of its card."""
    drop_udp(weir, 1)  # the kernel knows the neighbour
    watch.type("set hw true")
    watch.start()
    weir.daemon.child.send_signal(signal.SIGSTOP)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, 16 << 20)
        for _ in range(3000):
            sock.sendto(b"x", (WEIR_ADDR, 9))
    weir.daemon.child.send_signal(signal.SIGCONT)
    watch.wait_for("[hardware]")
    said = watch.end("stop", "stats")
    lost = weir.ledger()["lost_before"]
    assert lost > 0
    lines = re.findall(r"^(\d+) drops at weir0:rx_missed \[hardware\]\n    rx_missed: ", said, re.M)
    assert sum(int(n) for n in lines) == lost
    assert f"Of the network card: {lost}\n" in said


def test_lines_for_a_time_without_a_prompt(weir):
    out = run(weir, "--for", "1s", during=lambda: drop_udp(weir, 9))
    assert counts(out) == 9 and "dropwatch>" not in out and "Enabling" not in out


def test_over_two_workers(net):
    with Weir(ports=((TAP + ",queues=2", f"{WEIR_ADDR}/24"),), options=["--workers", "2"]) as weir:
        def drop():
            for port in range(40):
                drop_udp(weir, 5, port=1000 + port)

        document = json.loads(run(weir, "--top", "1", "--reason", "NO_SOCKET", "--json",
                                  during=drop))
        assert document["places"][0]["count"] == document["drops"] == 200


def test_progress_on_a_terminal(weir):
    with Dropwatch(weir.argv("dropwatch", "--top", "1", "--for", "3s"), terminal=True) as watch:
        watch.wait_for("1 s of 3.0 s, 0 drops")
        drop_udp(weir, 1)
        watch.wait_for("drops in 3.0 s")
        assert "NO_SOCKET" in watch.end()
