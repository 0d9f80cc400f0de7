# SPDX-License-Identifier: BSD-3-Clause
"""weir trace: packets of real programs are followed, only those that were asked for, to the ends
that the ledger counts."""
import json
import os
import signal
import socket
import subprocess
import time

import pytest
from test_workers import TAP2, UDP_ECHO
from weirtest import KERNEL_ADDR, PYTHON, TAP, WEIR_ADDR, wait_until

FATES = ("delivered", "transmitted", "forwarded", "absorbed")


@pytest.fixture(params=[1, 2], ids=["1 worker", "2 workers"])
def weir(request, make_weir):
    if request.param == 1:
        return make_weir()
    return make_weir(ports=((TAP2, f"{WEIR_ADDR}/24"),), options=("--workers", "2"))


class Trace:
    """A trace in the background; weird knows of it when this returns."""

    def __init__(self, weir, *args):
        self.weir = weir
        before = self.watchers()
        self.program = weir.on_kernel(*weir.argv("trace", *args))
        wait_until(lambda: self.watchers() > before or not self.program.running(), "the trace", 10)

    def watchers(self):
        """weird's shared memories that somebody watches in."""
        fds = f"/proc/{self.weir.daemon.pid}/fd"
        return sum("weir-watch" in os.readlink(os.path.join(fds, fd)) for fd in os.listdir(fds))

    def lines(self):
        return self.program.log().split("\n")[:-1]  # whole ones

    def objects(self):
        return [json.loads(line) for line in self.lines() if line.startswith("{")]

    def packets(self):
        return [o for o in self.objects() if "packet" in o]

    def end(self, how=signal.SIGINT):
        """Its packets, and what it says at the end."""
        if self.program.running():
            self.weir.check_ledger()  # who has the answer may be ahead of the record of its end
            self.program.child.send_signal(how)
        self.program.wait(20)
        ends = [o for o in self.objects() if "trace" in o]
        assert len(ends) == 1, self.program.log()
        return self.packets(), ends[0]["trace"]


def notes(packet):
    return [e["note"] for e in packet["events"] if "note" in e]


def stages(packet):
    return [e["stage"] for e in packet["events"] if "linux" in e]


def curl(path=""):
    subprocess.run(["curl", "-sS", "-f", "-m", "20", "-o", "/dev/null",
                    f"http://{WEIR_ADDR}/{path}"], timeout=30, check=True)


def fates(ledger):
    return {name: ledger[name] for name in FATES + ("dropped", "entered", "originated")}


def settled(weir):
    """Nothing has happened for a while; the ledger's figures."""
    last = []

    def still():
        last.append(fates(weir.check_ledger()))
        time.sleep(0.1)
        return fates(weir.ledger()) == last[-1]

    wait_until(still, "no more packets")
    return last[-1]


def grown(weir, before):
    now = fates(weir.ledger())
    return {name: now[name] - before[name] for name in now}


def test_every_packet_of_a_request(weir):
    """The fates of what was traced are what the ledger counted meanwhile, one by one."""
    weir.nginx(workers=1)
    before = settled(weir)
    trace = Trace(weir, "--json")  # all: then the ledger says how many there are
    curl()
    curl()
    settled(weir)
    diff = grown(weir, before)
    packets, end = trace.end()
    assert end["lost_records"] == 0 and end["end"] == "interrupted"
    assert all(p["end_seen"] and p["beginning_seen"] for p in packets)
    assert sum(diff[f] for f in FATES) == len(packets) == diff["entered"] + diff["originated"]
    for fate in FATES:
        assert sum(p["fate"] == fate for p in packets) == diff[fate], fate
    assert {p["made_here"] for p in packets} == {True, False}


def test_what_is_said_of_a_request(weir):
    weir.nginx(workers=1)
    trace = Trace(weir, "--json", f"host {KERNEL_ADDR}", "and", "tcp port 80")
    curl()
    weir.check_ledger()
    packets, _ = trace.end()
    syn = [p for p in packets if p["tcp_flags"] == "SYN"]
    assert len(syn) == 1 and "LISTENER" in notes(syn[0]) and syn[0]["fate"] == "absorbed"
    assert stages(syn[0])[0] == "port-rx" and stages(syn[0])[-1] == "tcp-input"
    request = [p for p in packets if p["fate"] == "delivered"]
    assert len(request) == 1
    assert stages(request[0])[-2:] == ["tcp-input", "sock-deliver"]
    assert {"SOCKET", "TCP_STATE", "QUEUE"} <= set(notes(request[0]))
    assert request[0]["program"]["text"] == f"nginx[{request[0]['program']['pid']}]"
    state = [e for e in request[0]["events"] if e.get("note") == "TCP_STATE"][0]
    assert "state ESTAB," in state["text"]
    answer = [p for p in packets if p["made_here"] and p["length"] > 100]
    assert answer and stages(answer[0])[:3] == ["sock-send", "tcp-output", "ip4-output"]
    assert stages(answer[0])[-2:] == ["neigh-output", "port-tx"]
    assert {"SOCKET", "TCP_SEND", "TCP_WINDOW", "ROUTE"} <= set(notes(answer[0]))
    assert answer[0]["fate_text"] == "transmitted on weir0"
    for p in packets:
        steps = [e["after_us"] for e in p["events"]]
        assert abs(sum(steps) - p["total_us"]) < 0.01 * len(steps)


def test_others_leave_no_record(weir):
    """Only one of two flows is followed."""
    echo = weir.on_weir(PYTHON, "-c", UDP_ECHO, WEIR_ADDR, "7")
    weir.wait_for_socket(7, "udp")
    weir.nginx(workers=1)
    trace = Trace(weir, "--json", "udp port 7")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(20)
        s.connect((WEIR_ADDR, 7))
        for i in range(20):
            s.send(b"%d" % i)
            assert s.recv(100) == b"%d" % i
            if i % 5 == 0:
                curl()
    subprocess.run(["ping", "-q", "-c", "2", "-i", "0.2", WEIR_ADDR], check=True, timeout=20)
    packets, end = trace.end()
    assert len(packets) == 40 and end["packets"] == 40
    assert {p["protocol"] for p in packets} == {"UDP"}
    came = [p for p in packets if not p["made_here"]]
    assert len(came) == 20 and {p["fate"] for p in came} == {"delivered"}
    assert {p["program"]["pid"] for p in packets} == {echo.pid}
    assert stages(came[0]).count("sock-deliver") == 1
    assert {p["fate"] for p in packets if p["made_here"]} == {"transmitted"}


def test_ping_and_its_answer(weir):
    trace = Trace(weir, "--json", "icmp")
    subprocess.run(["ping", "-q", "-c", "3", "-i", "0.2", WEIR_ADDR], check=True, timeout=20)
    packets, _ = trace.end()
    asked = [p for p in packets if not p["made_here"]]
    assert [p["detail"] for p in asked] == [f"echo request {i}" for i in (1, 2, 3)]
    assert all(p["fate"] == "absorbed" and notes(p)[-1] == "ANSWERED" for p in asked)
    answers = [p for p in packets if p["made_here"]]
    assert [p["detail"] for p in answers] == [f"echo reply {i}" for i in (1, 2, 3)]
    assert all(stages(p)[:2] == ["icmp-output", "ip4-output"] for p in answers)


def test_fragments(weir):
    """A large datagram: its fragments go on in one packet, and the answer is cut."""
    weir.on_weir(PYTHON, "-c", UDP_ECHO, WEIR_ADDR, "7")
    weir.wait_for_socket(7, "udp")
    trace = Trace(weir, "--json", "udp")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(20)
        s.connect((WEIR_ADDR, 7))
        s.send(b"x" * 4000)
        assert len(s.recv(5000)) == 4000
    packets, _ = trace.end()
    whole = [p for p in packets if "REASSEMBLED" in notes(p)]
    assert len(whole) == 1 and whole[0]["fate"] == "delivered"
    joined = [p for p in packets if "JOINED" in notes(p)]
    assert len(joined) == 2 and {p["fate"] for p in joined} == {"absorbed"}
    assert all("REASM_WAIT" in notes(p) for p in joined)
    cut = [p for p in packets if "FRAGMENTED" in notes(p)]
    assert len(cut) == 1 and cut[0]["fate"] == "transmitted"
    made = [p for p in packets if "MADE_FROM" in notes(p) and p["made_here"]]
    assert len(made) == 2 and {p["fate"] for p in made} == {"transmitted"}
    assert all(p["beginning_seen"] for p in made)


def test_dropped(weir):
    """Nobody listens: the drop with its place and advice, the answer to it, --drops-only."""
    all_of_it = Trace(weir, "--json", "udp or icmp")
    drops = Trace(weir, "--json", "--drops-only", "udp")
    before = fates(weir.ledger())
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(20)
        s.connect((WEIR_ADDR, 9999))
        s.send(b"x")
        with pytest.raises(ConnectionRefusedError):
            s.recv(10)
    wait_until(lambda: grown(weir, before)["dropped"] >= 1, "the drop")
    packets, _ = all_of_it.end()
    dropped, end = drops.end()
    assert len(dropped) == end["packets"] == 1
    assert dropped[0]["reason"] == "NO_SOCKET" and dropped[0]["function"] == "udp_input_one"
    assert dropped[0]["file"].endswith("src/inet/udp_in.c") and dropped[0]["advice"]
    told = [e for e in dropped[0]["events"] if e.get("note") == "ICMP_ERROR"]
    assert len(told) == 1 and told[0]["args"] == [3, 3]
    assert [p["fate"] for p in packets if p["protocol"] == "UDP"] == ["dropped"]
    assert [p["fate"] for p in packets if p["protocol"] == "ICMP"] == ["transmitted"]


def test_no_route_is_no_packet_without_an_end(weir):
    """Nobody has the address: the packets wait for it, and are dropped when it does not answer."""
    trace = Trace(weir, "--json", "udp")
    weir.script("""
import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.sendto(b"x", ("198.18.0.77", 9))
time.sleep(20)
""")
    wait_until(lambda: weir.drops("NEIGH_FAILED"), "the neighbour to fail", 15)
    packets, _ = trace.end()
    assert len(packets) == 1 and packets[0]["reason"] == "NEIGH_FAILED"
    waited = notes(packets[0]).index("NEIGH_WAIT")
    assert waited >= 0 and packets[0]["total_us"] > 2.5e6  # three questions, a second each


def test_two_at_once(weir):
    """Each has its own packets, and one ends without harm to the other."""
    weir.nginx(workers=1)
    tcp = Trace(weir, "--json", "tcp")
    pings = Trace(weir, "--json", "icmp")
    both = Trace(weir, "--json", "tcp or icmp")
    subprocess.run(["ping", "-q", "-c", "1", WEIR_ADDR], check=True, timeout=20)
    curl()
    weir.check_ledger()
    seen, _ = pings.end()
    assert {p["protocol"] for p in seen} == {"ICMP"} and len(seen) == 2
    curl()
    weir.check_ledger()
    tcp_seen, _ = tcp.end()
    both_seen, _ = both.end()
    assert {p["protocol"] for p in tcp_seen} == {"TCP"}
    assert len(both_seen) == len(tcp_seen) + 2
    assert [p["packet"] for p in both_seen if p["protocol"] == "TCP"] == [
        p["packet"] for p in tcp_seen]


def test_small_ring_under_load(weir):
    """What found no room is counted, and nothing else is harmed."""
    weir.redis()
    trace = Trace(weir, "--json", "--ring", "262144", "--open", "64", "tcp port 6379")
    trace.program.child.send_signal(signal.SIGSTOP)
    bench = weir.on_kernel("redis-benchmark", "-h", WEIR_ADDR, "-n", "20000", "-c", "20", "-q",
                           "-t", "get")
    bench.done(60)
    trace.program.child.send_signal(signal.SIGCONT)
    wait_until(lambda: trace.packets(), "packets")
    _, end = trace.end()
    assert end["lost_records"] > 1000
    assert end["packets"] > 100


def test_weird_ends(weir):
    trace = Trace(weir, "--json", "icmp")
    subprocess.run(["ping", "-q", "-c", "1", WEIR_ADDR], check=True, timeout=20)
    weir.check_ledger()
    weir.cli("stop")
    assert trace.program.wait(20) == 1
    packets, end = trace.end()
    assert len(packets) == 2 and end["end"] == "weird has ended"
    assert "weird has ended" in trace.program.log()
    weir.dead = True


def test_counts_and_time(weir):
    trace = Trace(weir, "--json", "-n", "3", "icmp")
    subprocess.run(["ping", "-q", "-c", "4", "-i", "0.2", WEIR_ADDR], check=True, timeout=20)
    assert trace.program.wait(10) == 0
    packets, end = trace.end()
    assert len(packets) == end["packets"] == 3 and end["end"] == "count"
    out = weir.cli("trace", "--for", "100ms", "--json", "icmp")
    assert json.loads(out.stdout)["trace"]["end"] == "time"


def test_text_and_summary(weir):
    weir.nginx(workers=1)
    text = Trace(weir, "tcp port 80")
    summary = Trace(weir, "--summary", "--json", "tcp port 80")
    words = Trace(weir, "--summary", "tcp port 80")
    for _ in range(10):
        curl()
    weir.check_ledger()
    _, end = summary.end()
    seen = end["summary"]
    assert seen["packets"] == end["packets"] == sum(seen["fates"].values())
    ways = {(w["from"], w["to"]): w for w in seen["stages"]}
    assert ways["sock-deliver", "end"]["packets"] == seen["fates"]["delivered"]
    for w in ways.values():
        assert 0 <= w["min_us"] <= w["median_us"] <= w["p99_us"] <= w["max_us"]
    text.program.end(signal.SIGINT)
    log = text.program.log()
    assert log.count("TCP SYN, ") == 10 and log.count("  delivered") >= 10
    assert " us  tcp-input     (tcp_v4_rcv)\n" in log and "\033" not in log
    assert "0 records lost" in log
    words.program.end(signal.SIGINT)
    assert "sock-deliver" in words.program.log() and "median us" in words.program.log()


@pytest.mark.parametrize("args, words", [
    (("tcp prot 80",), "man pcap-filter"),
    (("--for", "soon"), "is no time"),
    (("-n", "0"), "is no number"),
    (("--ring", "1000"), "a power of two"),
    (("--wrong",), "no such option"),
])
def test_misuse(make_weir, args, words):
    weir = make_weir()
    out = weir.cli("trace", *args)
    assert out.returncode == 2 and words in out.stderr and out.stdout == ""
