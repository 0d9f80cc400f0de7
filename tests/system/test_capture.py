# SPDX-License-Identifier: BSD-3-Clause
"""weir capture: the packets that the kernel sees at the other end, the filters of tcpdump, files
that tcpdump and tshark read, and weir's ports in tshark."""
import collections
import glob
import json
import os
import re
import signal
import struct
import subprocess

import pytest
from weirtest import BIN, KERNEL_ADDR, WEIR_ADDR, Program, pause, wait_until

MARK = 1111
UDP_ECHO = ("import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
            f"s.bind(('{WEIR_ADDR}', 7777))\n"
            "while True:\n    d, a = s.recvfrom(65535)\n    s.sendto(d, a)\n")


def run(*argv, **more):
    return subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60,
                          check=False, **more)


class Capture(Program):
    """weir capture, which has said that it listens."""

    def __init__(self, weir, *args, env=None):
        super().__init__("capture", weir.argv("capture", *args), weir.log_name("capture"), env=env)
        weir.programs.append(self)
        wait_until(lambda: "listening on" in self.log() or not self.running(), "it listens")

    def counts(self):
        """captured, received by filter, dropped."""
        found = re.findall(r"^(\d+) packets? (captured|received|dropped)", self.log(), re.M)
        assert [what for _, what in found[-3:]] == ["captured", "received", "dropped"], self.log()
        return [int(n) for n, _ in found[-3:]]

    def finish(self, how=signal.SIGINT):
        assert self.end(how) == 0, self.log()
        counts = self.counts()
        assert counts[2] == 0, self.log()
        return counts


def timed_frames(path, *expression):
    """The frames of a capture file, each as (time, length, bytes), those that the filter wants,
    read by tcpdump."""
    done = run("tcpdump", "-r", path, "-w", "-", *expression)
    assert done.returncode == 0, done.stderr
    data, found, at = done.stdout, [], 24
    while at < len(data):
        seconds, us, caplen, length = struct.unpack_from("<IIII", data, at)
        found.append((seconds * 1000000 + us, length, data[at + 16:at + 16 + caplen]))
        at += 16 + caplen
    return found


def frames(path, *expression):
    return [frame[1:] for frame in timed_frames(path, *expression)]


def mark():
    """Captures do not begin and end at the very same moment: what lies between two of these is
    in all of them."""
    datagram(MARK)


def marked(path):
    """The times of the first and the last mark."""
    times = [t for t, *_ in timed_frames(path, "udp dst port", str(MARK))]
    assert len(times) >= 2, times
    return times[0], times[-1]


def inside(path):
    """What lies between the first and the last mark of the file, by its order."""
    every = frames(path)
    marks = frames(path, "udp dst port", str(MARK))
    assert len(marks) >= 2
    at = [i for i, frame in enumerate(every) if frame in marks]
    return every[at[0]:at[-1]]


def between(path, marks, *expression):
    """The same by time, of a file whose filter may not have wanted the marks."""
    return [frame[1:] for frame in timed_frames(path, *expression)
            if marks[0] < frame[0] < marks[1]]


def tshark(path, *fields):
    done = run("tshark", "-r", path, "-T", "fields", *sum((["-e", f] for f in fields), []))
    assert done.returncode == 0, done.stderr
    return [line.split("\t") for line in done.stdout.decode().splitlines()]


def ping(count=3):
    assert run("ping", "-c", str(count), "-i", "0.02", WEIR_ADDR).returncode == 0


def curl():
    done = run("curl", "-s", f"http://{WEIR_ADDR}/")
    assert done.stdout == b"<p>a page of nginx on weir\n"


def datagram(port, text=b"hello"):
    run("bash", "-c", f"exec 3<>/dev/udp/{WEIR_ADDR}/{port}; printf '%s' \"$0\" >&3", text)


def traffic():
    """Some of everything: ARP, ping, TCP, UDP with and without a receiver, fragments."""
    ping()
    curl()
    datagram(7777)
    datagram(99)
    assert run("ping", "-c", "1", "-s", "4000", WEIR_ADDR).returncode == 0


@pytest.fixture
def served(weir):
    weir.nginx()
    weir.script(UDP_ECHO)
    weir.wait_for_socket(7777, "udp")
    return weir


def settled(weir):
    """Until no packet is under way any more (the last ACKs)."""
    last = []

    def quiet():
        now = [(p["rx_packets"], p["tx_packets"]) for p in weir.stat()["ports"]]
        same = last and last[-1] == now
        last.append(now)
        pause(0.15)
        return same
    wait_until(quiet, "traffic is over")


def in_file(weir, name):
    return os.path.join(weir.tmp, name)


# ---- what is captured ----

def test_the_kernel_sees_the_same(served):
    """On the other side of the TAP: each frame, byte by byte, of both directions."""
    served.on_weir("iperf3", "-s")
    served.wait_for_socket(5201)
    ours, theirs = in_file(served, "ours.pcapng"), in_file(served, "theirs.pcap")
    kernel = served.on_kernel("tcpdump", "-i", "weir0", "-w", theirs, "-U", "--immediate-mode",
                              "-B", "65536")
    wait_until(lambda: "listening on" in kernel.log(), "tcpdump listens")
    capture = Capture(served, "-i", "weir0", "-w", ours, "-B", "65536")
    mark()
    settled(served)
    traffic()
    assert run("iperf3", "-c", WEIR_ADDR, "-n", "3M").returncode == 0
    assert run("iperf3", "-c", WEIR_ADDR, "-n", "3M", "-R").returncode == 0
    settled(served)
    mark()
    settled(served)
    captured, by_filter, _ = capture.finish()
    kernel.end(signal.SIGINT)
    assert "0 packets dropped by kernel" in kernel.log()
    assert len(frames(ours)) == captured == by_filter
    mine, others = inside(ours), inside(theirs)
    assert len(mine) > 150
    assert collections.Counter(mine) == collections.Counter(others)
    directions = collections.Counter(d for d, in tshark(ours, "frame.packet_flags_direction"))
    assert set(directions) == {"0x00000001", "0x00000002"}


FILTERS = ["arp", "icmp", "tcp", "udp", "tcp port 80", "port 7777", "not port 80", "icmp or arp",
           f"src host {WEIR_ADDR}", f"dst {KERNEL_ADDR} and tcp", "tcp[tcpflags] & tcp-syn != 0",
           "icmp[icmptype] == icmp-echoreply", "ip[6:2] & 0x3fff != 0", "len > 200", "less 70",
           "greater 1000", "udp dst portrange 90-99", "ether broadcast", "net 198.18.0.0/15",
           "host 198.18.0.77", "ip proto 1", "tcp[12] >> 2 > 20", "vlan 7", "ip6"]


def test_filters_are_those_of_tcpdump(served):
    """Each filter, run in weird, shows what tcpdump takes out of everything."""
    for at in range(0, len(FILTERS), 6):
        some = FILTERS[at:at + 6]
        everything = Capture(served, "-i", "weir0", "-w", in_file(served, "all.pcapng"))
        captures = [Capture(served, "-i", "weir0", "-w", in_file(served, f"{i}.pcapng"), text)
                    for i, text in enumerate(some)]
        mark()
        settled(served)
        traffic()
        settled(served)
        mark()
        settled(served)
        everything.finish()
        marks = marked(in_file(served, "all.pcapng"))
        for i, (text, capture) in enumerate(zip(some, captures)):
            wanted = between(in_file(served, "all.pcapng"), marks, *text.split())
            captured, by_filter, _ = capture.finish()
            assert captured == by_filter == len(frames(in_file(served, f"{i}.pcapng")))
            assert between(in_file(served, f"{i}.pcapng"), marks) == wanted, text


def test_a_filter_that_libpcap_does_not_know(weir):
    out = weir.cli("capture", "tcp", "portal", "80")
    assert out.returncode == 2 and "the filter 'tcp portal 80'" in out.stderr
    assert "pcap-filter" in out.stderr


def test_one_direction(served):
    rx = Capture(served, "-i", "weir0", "--ingress", "-w", in_file(served, "rx.pcapng"))
    tx = Capture(served, "-i", "weir0", "--egress", "-w", in_file(served, "tx.pcapng"), "icmp")
    ping(4)
    settled(served)
    rx.finish()
    tx.finish()
    kinds = [t for t, in tshark(in_file(served, "rx.pcapng"), "icmp.type") if t]
    assert kinds == ["8"] * 4
    assert [t for t, in tshark(in_file(served, "tx.pcapng"), "icmp.type")] == ["0"] * 4


def test_stages(served):
    """With Ethernet's header where they have it, without where not: an interface each."""
    capture = Capture(served, "--stage", "ip4-input,icmp-output,ip4-output", "-w",
                      in_file(served, "s.pcapng"), "icmp")
    ping(2)
    settled(served)
    capture.finish()
    rows = tshark(in_file(served, "s.pcapng"), "frame.interface_name", "frame.encap_type",
                  "icmp.type")
    assert rows.count(["weir0/ip4-input", "1", "8"]) == 2, rows
    assert rows.count(["weir/ip4-output", "7", "0"]) == 2, rows
    out = served.cli("capture", "-i", "weir0", "--stage", "ip4-output")
    assert out.returncode == 1 and "no port is chosen yet" in out.stderr
    out = served.cli("capture", "--stage", "ip4-inputs")
    assert out.returncode == 1 and "there is no stage 'ip4-inputs'" in out.stderr


def test_drops_have_reason_and_place(served):
    capture = Capture(served, "--drops", "-w", in_file(served, "d.pcapng"), "udp")
    text = Capture(served, "--drops", "-c", "3", "udp")
    for _ in range(3):
        datagram(99)
    settled(served)
    assert capture.finish()[0] == 3
    assert text.wait(20) == 0
    rows = tshark(in_file(served, "d.pcapng"), "frame.interface_name", "udp.dstport",
                  "frame.comment")
    assert len(rows) == 3
    for interface, port, comment in rows:
        assert (interface, port) == ("weir0/drops", "99")
        assert comment.startswith("NO_SOCKET (") and "src/inet/udp" in comment, comment
        assert comment.endswith("port-rx > eth-input > ip4-input > ip4-local > udp-input")
    assert text.log().count("[NO_SOCKET (") == 3


def test_loopback(served):
    """As on Linux: each packet goes out and comes in, with an Ethernet header of zeros."""
    capture = Capture(served, "-i", "lo", "-w", in_file(served, "lo.pcapng"), "tcp port 80")
    client = served.on_weir("curl", "-s", "http://127.0.0.1/")
    assert "nginx on weir" in client.done()
    settled(served)
    captured, *_ = capture.finish()
    rows = tshark(in_file(served, "lo.pcapng"), "frame.interface_name", "eth.dst", "tcp.len")
    assert len(rows) == captured > 8
    assert all(r[:2] == ["lo", "00:00:00:00:00:00"] for r in rows)
    assert len(frames(in_file(served, "lo.pcapng"), "tcp", "port", "80")) == captured


# ---- text ----

def test_text_is_as_tcpdump_has_it(served):
    """Line by line but for the time, and for relative sequence numbers (-S takes those away)."""
    text = Capture(served, "-i", "weir0", "-l", "-n", "ip")
    file = Capture(served, "-i", "weir0", "-w", in_file(served, "t.pcapng"), "ip")
    traffic()
    settled(served)
    text.finish()
    file.finish()
    done = run("tcpdump", "-n", "-S", "-t", "-r", in_file(served, "t.pcapng"))

    def reduced(line):
        line = re.sub(r"(: HTTP.*|, NBT.*|\[\|.*)$", "", line)
        return re.sub(r"Flags \[none\]", "Flags []", line)
    wanted = [reduced(line) for line in done.stdout.decode().splitlines()
              if line and not line.startswith(("\t", " "))]
    lines = [re.sub(r"^\S+ weir0 +(In|Out) +", "", line) for line in text.log().splitlines()
             if " weir0 " in line and "listening" not in line]
    alike = sum(a == b for a, b in zip(lines, wanted))
    assert len(lines) == len(wanted) > 20
    # Fragments tcpdump words in ways of its own.
    others = [(a, b) for a, b in zip(lines, wanted) if a != b]
    assert all("frag" in a for a, _ in others), others
    assert alike > 15


def test_hex_and_headers(served):
    capture = Capture(served, "-i", "weir0", "-c", "1", "-X", "-e", "icmp")
    ping(1)
    assert capture.wait(20) == 0
    assert re.search(r"In +\S+ > \S+, ethertype 0x0800, length 98: IP", capture.log())
    assert re.search(r"^\t0x0010:  0054 \w{4} 4000 4001 ", capture.log(), re.M), capture.log()


def test_json(served):
    done = Program("capture", served.argv("capture", "-i", "weir0", "--json", "--for", "800ms",
                                          "icmp"), served.log_name("json"))
    served.programs.append(done)
    wait_until(lambda: not done.running() or run("ping", "-c", "1", "-W", "1", WEIR_ADDR) and False,
               "it ends")
    lines = done.log().splitlines()
    packets = [json.loads(line) for line in lines if line.startswith('{"')]
    counts = json.loads(done.log()[done.log().rindex("{"):])
    assert counts["captured"] == len(packets) > 0 and counts["lost"] == 0
    assert counts["filter"] == "machine code"
    assert packets[0]["port"] == "weir0" and packets[0]["direction"] == "in"
    assert bytes.fromhex(packets[0]["data"])[12:14] == b"\x08\x00"
    assert packets[0]["length"] == len(packets[0]["data"]) / 2
    assert "ICMP echo request" in packets[0]["summary"]


# ---- ends and files ----

def test_count_and_signals(served):
    counted = Capture(served, "-i", "weir0", "-c", "3", "-w", in_file(served, "c.pcapng"))
    running = Capture(served, "-i", "weir0", "-w", in_file(served, "r.pcapng"), "icmp")
    ping(5)
    assert counted.wait(20) == 0
    assert counted.counts()[0] == 3 and len(frames(in_file(served, "c.pcapng"))) == 3
    wait_until(lambda: os.path.getsize(in_file(served, "r.pcapng")) > 1000, "it is written")
    running.child.send_signal(signal.SIGUSR1)
    wait_until(lambda: "10 packets captured" in running.log(), "statistics")
    assert running.running()
    assert running.finish(signal.SIGTERM)[0] == 10
    timed = Capture(served, "--for", "200ms", "-i", "weir0")
    assert timed.wait(20) == 0


def test_files_by_size(served):
    """-C: file, file1, file2; with -W: a ring, file0 to file2."""
    plain = Capture(served, "-i", "weir0", "-w", in_file(served, "p"), "-C", "1k", "icmp")
    ring = Capture(served, "-i", "weir0", "-w", in_file(served, "r"), "-C", "1k", "-W", "3",
                   "icmp")
    ping(40)
    settled(served)
    assert plain.finish()[0] == 80 == ring.finish()[0]
    names = sorted(glob.glob(in_file(served, "p*")), key=lambda n: (len(n), n))
    names = [n for n in names if re.search(r"/p\d*$", n)]
    assert [os.path.basename(n) for n in names[:3]] == ["p", "p1", "p2"] and len(names) > 5
    found = sum((frames(n) for n in names), [])
    assert len(found) == 80
    assert all(1024 <= os.path.getsize(n) < 1600 for n in names[:-1])
    kept = [n for n in glob.glob(in_file(served, "r*")) if re.search(r"/r\d+$", n)]
    assert sorted(os.path.basename(n) for n in kept) == ["r0", "r1", "r2"]
    newest = sum((frames(n) for n in kept), [])
    assert collections.Counter(newest) <= collections.Counter(found) and newest
    assert found[-1] in newest and found[0] not in newest


def test_files_by_time(served):
    """-G with -W: so many files, named by the clock, then the end."""
    capture = Capture(served, "-i", "weir0", "-w", in_file(served, "t-%s"), "-G", "1", "-W", "2",
                      "icmp")
    wait_until(lambda: not capture.running() or
               run("ping", "-c", "1", "-W", "1", WEIR_ADDR) and False, "two files are full")
    assert capture.wait() == 0
    names = sorted(glob.glob(in_file(served, "t-*")))
    assert len(names) == 2
    assert sum(len(frames(n)) for n in names) == capture.counts()[0] > 2


def test_old_format_snap_and_pipe(served):
    old = Capture(served, "-i", "weir0", "-w", in_file(served, "old.pcap"), "--pcap-format", "-s",
                  "60", "icmp")
    pipe = served.on_kernel("bash", "-c", "\"$@\" | tcpdump -nr - ", "-",
                            *served.argv("capture", "-i", "weir0", "-w", "-", "-c", "2", "icmp"))
    wait_until(lambda: "listening on" in pipe.log(), "it listens")
    ping(2)
    assert "ICMP echo reply" in pipe.done()
    settled(served)
    old.finish()
    with open(in_file(served, "old.pcap"), "rb") as file:
        assert file.read(4) == b"\xd4\xc3\xb2\xa1"
    assert [(n, len(b)) for n, b in frames(in_file(served, "old.pcap"))] == [(98, 60)] * 4


def test_statistics_in_the_file(served):
    capture = Capture(served, "-i", "weir0", "-w", in_file(served, "i.pcapng"), "icmp")
    ping(2)
    settled(served)
    capture.finish()
    out = run("capinfos", in_file(served, "i.pcapng")).stdout.decode()
    assert "Name = weir0" in out and "Capture filter" in out or "Filter string = icmp" in out
    assert "Number of stat entries = 1" in out and "Number of packets = 4" in out


def test_checksums_left_to_the_card(served):
    """As they are, they look wrong to tcpdump; filled in, none does."""
    left = Capture(served, "-i", "weir0", "--egress", "-w", in_file(served, "l.pcapng"), "tcp")
    made = Capture(served, "--fix-checksums", "-i", "weir0", "--egress", "-w",
                   in_file(served, "m.pcapng"), "tcp")
    curl()
    settled(served)
    left.finish()
    made.finish()

    def wrong(name):
        out = run("tcpdump", "-nvvr", in_file(served, name)).stdout.decode()
        return out.count("incorrect"), out.count("(correct)")
    assert wrong("l.pcapng")[0] > 0
    bad, good = wrong("m.pcapng")
    assert bad == 0 and good > 3


def test_two_at_once(served):
    pair = [Capture(served, "-i", "weir0", "-w", in_file(served, f"{i}.pcapng")) for i in (1, 2)]
    mark()
    settled(served)
    traffic()
    settled(served)
    mark()
    settled(served)
    for capture in pair:
        capture.finish()
    one, two = (inside(in_file(served, name)) for name in ("1.pcapng", "2.pcapng"))
    assert one == two and len(one) > 20


def test_beside_a_script(served):
    """What a script's shell runs in the background has SIGINT ignored, and is to be ended by it
    all the same."""
    for command, options, says in (("capture", (), "packets captured"),
                                   ("dropwatch", ("--top", "3"), "0 drops")):
        program = Program(command, ["/bin/sh", "-c", "trap '' INT; exec \"$@\"", "sh",
                                    *served.argv(command, *options)], served.log_name(command))
        served.programs.append(program)
        wait_until(lambda p=program: "listening" in p.log() or "watching" in p.log(),
                   f"{command} has begun")
        assert program.end(signal.SIGINT) == 0, program.log()
        assert says in program.log()


def test_what_is_lost_is_told(served):
    """A stopped reader: its ring fills, what finds no room is counted, and traffic goes on."""
    capture = Capture(served, "-i", "weir0", "-w", in_file(served, "x.pcapng"), "-B", "256")
    capture.child.send_signal(signal.SIGSTOP)
    for _ in range(2):
        assert run("ping", "-c", "40", "-i", "0.005", "-s", "1400", "-q", WEIR_ADDR).returncode == 0
        assert run("ping", "-c", "60", "-i", "0.002", "-s", "1400", "-q", WEIR_ADDR).returncode == 0
    capture.child.send_signal(signal.SIGCONT)
    capture.end(signal.SIGINT)
    captured, by_filter, lost = capture.counts()
    assert lost > 0 and captured + lost == by_filter, capture.log()
    assert "-B makes it larger" in capture.log()
    assert len(frames(in_file(served, "x.pcapng"))) == captured
    out = run("tshark", "-r", in_file(served, "x.pcapng"), "-q", "-z", "io,stat,0")
    assert out.returncode == 0


def test_misuse(weir):
    for args, words in (
            (["-c", "0"], "a number of packets"), (["-s", "x"], "bytes"), (["-C", "1"], "-w FILE"),
            (["-w", "-", "-C", "1"], "one stream"), (["-w", "/x", "-W", "3"], "-W needs"),
            (["--for", "soon"], "a time"), (["--nosuch"], "no such option"),
            (["-w", "x", "--drops", "--pcap-format"], "no room for the reasons")):
        out = weir.cli("capture", *args)
        assert out.returncode == 2 and words in out.stderr, (args, out.stderr)
    out = weir.cli("capture", "-i", "weir9")
    assert out.returncode == 1 and "there is no port 'weir9'" in out.stderr
    out = weir.cli("capture", "-w", "/nowhere/x")
    assert out.returncode == 1 and "/nowhere/x cannot be written: No such file" in out.stderr
    assert weir.cli("capture", "-D").stdout.split() == ["1.lo", "2.weir0", "3.any"]


# ---- Wireshark ----

@pytest.fixture
def extcap(weir):
    """An environment in which tshark finds weir's ports."""
    folder = os.path.join(weir.tmp, "wireshark", "extcap")
    os.makedirs(folder)
    path = os.path.join(folder, "weirdump")
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"#!/bin/sh\nexec {os.path.join(BIN, 'weir')} capture --extcap \"$@\"\n")
    os.chmod(path, 0o755)
    return {"XDG_CONFIG_HOME": weir.tmp, "HOME": weir.tmp, "WEIR_RUNDIR": weir.rundir}


def test_tshark_lists_ports(weir, extcap):
    out = run("tshark", "-D", env=dict(os.environ, **extcap)).stdout.decode()
    assert re.search(r"weir-default-weir0 \(weir default: weir0\)", out), out
    assert re.search(r"weir-default-lo ", out), out


def test_tshark_captures(served, extcap):
    tshark_argv = ["tshark", "-i", "weir-default-weir0", "-f", "icmp", "-c", "4", "-T", "fields",
                   "-e", "frame.interface_name", "-e", "icmp.type", "-l"]
    program = served.on_kernel(*tshark_argv, env=extcap)
    wait_until(lambda: not program.running() or
               run("ping", "-c", "1", "-W", "1", WEIR_ADDR) and False, "tshark has its packets")
    rows = [line.split("\t") for line in program.done().splitlines() if "\t" in line]
    assert rows == [["weir0", "8"], ["weir0", "0"]] * 2, program.log()


def test_tshark_at_a_stage(served, extcap):
    """The options of extcap: drops, with their comments."""
    script = os.path.join(extcap["XDG_CONFIG_HOME"], "wireshark", "extcap", "weirdump")
    fifo = in_file(served, "fifo")
    os.mkfifo(fifo)
    reader = served.on_kernel("tshark", "-r", fifo, "-T", "fields", "-e", "frame.comment", "-e",
                              "udp.dstport", "-l")
    writer = served.on_kernel(script, "--capture", "--extcap-interface", "weir-default-weir0",
                              "--fifo", fifo, "--at", "drops", "--snaplen", "100",
                              "--extcap-capture-filter", "udp", env=extcap)
    wait_until(lambda: datagram(99) or "NO_SOCKET" in reader.log(), "a drop is shown")
    assert writer.end(signal.SIGTERM) == 0, writer.log()
    assert re.search(r"NO_SOCKET .*\t99$", reader.done(), re.M)


def test_extcap_calls(weir, extcap):
    env = dict(os.environ, **extcap)

    def call(*args):
        return run(os.path.join(BIN, "weir"), "capture", "--extcap", *args, env=env, text=True)
    out = call("--extcap-interfaces", "--extcap-version=4.0")
    assert out.stdout.startswith("extcap {version=")
    assert "interface {value=weir-default-weir0}{display=weir default: weir0}\n" in out.stdout
    assert call("--extcap-dlts", "--extcap-interface", "weir-default-weir0").stdout == \
        "dlt {number=1}{name=EN10MB}{display=Ethernet}\n"
    config = call("--extcap-config", "--extcap-interface", "weir-default-weir0").stdout
    assert "{call=--at}" in config and "{value=tcp-input}" in config
    good = call("--extcap-interface", "weir-default-weir0", "--extcap-capture-filter", "tcp")
    assert (good.returncode, good.stdout) == (0, "")
    bad = call("--extcap-interface", "weir-default-weir0", "--extcap-capture-filter", "tcp prt")
    assert "does not understand" in bad.stdout
    gone = call("--capture", "--extcap-interface", "weir-x-y", "--fifo", "/nowhere")
    assert gone.returncode == 1 and "no interface 'weir-x-y'" in gone.stderr
    assert call().returncode == 2
