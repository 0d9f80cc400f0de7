# SPDX-License-Identifier: BSD-3-Clause
"""`weir dropwatch --kernel`: each way in which the host's kernel can be made to drop a frame
(dropways.py) is told by the name of its reason, its place and its count, exactly as it was sent.
"""
import json
import os
import re
import shutil
import socket
import struct
import subprocess
import time

import pytest

import dropkernel as dk
from dropkernel import OTHER_MAC, OUR_MAC, OURS, Dropwatch, Link, icmp, ip4, tcp, udp
from dropways import (LATER, RST, SYN, WAYS, Connection, bound, neighbour_is_silent, nft_rule,
                      other_host, receive_buffer, tcp_old_data, udp_no_socket)
from weirtest import BIN, wait_until

WEIR = os.path.join(BIN, "weir")


@pytest.fixture(scope="module", autouse=True)
def built_with_it():
    done = subprocess.run([WEIR, "dropwatch", "--kernel", "--for", "1ms"], capture_output=True,
                          text=True, timeout=60)
    if "built without" in done.stderr:
        pytest.skip(done.stderr)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def link(net):
    with Link() as made:
        yield made


def same(found, expected):
    """Whether just these were seen, whatever the compiler has put behind a function's name."""
    left = dict(found)
    for (reason, functions), count in expected.items():
        keys = [key for key in left if key[0] == reason and key[1] and
                key[1].split(".")[0] in functions.split("|")]
        if sum(left.pop(key) for key in keys) != count:
            return False
    return not left


def seen_so_far(watch):
    return sum(json.loads(line)["count"] for line in watch.program.log().splitlines()
               if line.startswith("{") and line.endswith("}"))


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_reason(link, way):
    """Name, place and count of each, and nothing else, in a namespace that has nothing else."""
    with Dropwatch() as watch:
        expected = way(link)
        if way in LATER:
            wait_until(lambda: seen_so_far(watch), "the timer has dropped it")
        found = watch.counts()
        assert same(found, expected), f"{found} instead of {expected}"
        stats = watch.stats()
        assert stats["drops"] == sum(expected.values())
        assert stats["lost_events"] == 0
        for line in watch.end():
            assert line["event"] == "stats" or line["severity"] in ("info", "warn", "error")


def test_reasons_are_many():
    assert len({way.__name__ for way in WAYS}) == len(WAYS) >= 15


def test_other_namespaces_are_not_counted(link):
    """The same drops on both sides of the link: each dropwatch counts its own; and all of them are
    counted, with the namespace's name, by one that watches every namespace."""
    def there():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            for _ in range(5):
                sock.sendto(b"x", ("127.0.0.1", 9))
    with Dropwatch() as here, Dropwatch(netns=link.name) as named, \
            Dropwatch(netns="/run/netns/" + link.name) as by_path, \
            Dropwatch(netns=str(os.getpid())) as by_pid, Dropwatch(netns=None) as every:
        link.inside(there)
        link.send(udp(), 7)
        link.send(b"x" * 50, 3, ethertype=0x88b5)
        for watch in (here, by_pid):
            assert same(watch.counts(), {("NO_SOCKET", "__udp4_lib_rcv"): 7,
                                         ("UNHANDLED_PROTO", "__netif_receive_skb_core"): 3})
        for watch in (named, by_path):
            found = {k: v for k, v in watch.counts().items() if k[0] == "NO_SOCKET"}
            assert same(found, {("NO_SOCKET", "__udp4_lib_rcv"): 5})
        both = {}
        for line in every.end():
            if line.get("function") == "__udp4_lib_rcv" and "netns" in line:
                both[line["netns"]] = both.get(line["netns"], 0) + line["count"]
        assert both.pop(link.name) == 5
        assert 7 in both.values(), both
        assert any(name.startswith("pid ") for name in both), both


def test_no_such_namespace():
    done = subprocess.run([WEIR, "dropwatch", "--kernel", "--netns", "no-such-one", "--for", "1s"],
                          capture_output=True, text=True, timeout=30)
    assert done.returncode == 1
    assert "no-such-one" in done.stderr and "ip netns" in done.stderr
    done = subprocess.run([WEIR, "dropwatch", "--kernel", "--netns", "/etc/passwd", "--for", "1s"],
                          capture_output=True, text=True, timeout=30)
    assert done.returncode == 1 and "no network namespace" in done.stderr


def burst(link, frames, count):
    """Send the frames in turn, many at a time; the kernel may refuse some, which are sent again."""
    for _ in range(count // len(frames)):
        for frame in frames:
            while True:
                try:
                    link.sock.send(frame)
                    break
                except OSError:
                    time.sleep(0.001)


BURST = 300000


def burst_frames():
    ether = OUR_MAC + dk.PEER_MAC
    return [ether + b"\x88\xb5" + b"x" * 50, ether + b"\x08\0" + udp(wrong_csum=True),
            ether + b"\x08\0" + ip4(b"x" * 20, 200, wrong_csum=True),
            OTHER_MAC + dk.PEER_MAC + b"\x08\0" + udp()]


BURST_EACH = {("UNHANDLED_PROTO", "__netif_receive_skb_core"): BURST // 4,
              ("UDP_CSUM", "__udp4_lib_rcv"): BURST // 4, ("IP_CSUM", "ip_rcv_core"): BURST // 4,
              ("OTHERHOST", "ip_rcv_core"): BURST // 4}


def test_a_burst_loses_no_count(link):
    with Dropwatch() as watch:
        burst(link, burst_frames(), BURST)
        assert same(watch.counts(), BURST_EACH), watch.counts()
        assert watch.stats()["drops"] == BURST
        assert watch.stats()["lost_events"] == 0


def test_packet_mode_counts_what_it_skips(link):
    """Packets over the queue's limit are not shown, but counted: the sums are the same."""
    with Dropwatch("--packet", "--queue", "100", "--trunc", "64") as watch:
        burst(link, burst_frames(), BURST)
        stats = watch.stats()
        assert same(watch.counts(), BURST_EACH), watch.counts()
        assert stats["drops"] == BURST and stats["lost_events"] == 0
        assert stats["packets"] == len(watch.packets()) > 0
        assert stats["packets"] + stats["packets_skipped"] == BURST
        assert stats["packets_skipped"] > 0


def test_a_packet_is_the_frame_that_was_sent(link):
    payload = udp(bytes(range(200)))
    with Dropwatch("--packet", "--trunc", "100") as watch:
        before = time.time_ns()
        link.send(payload, 2)
        packets = watch.packets()
        after = time.time_ns()
    assert len(packets) == 2
    for packet in packets:
        frame = OUR_MAC + dk.PEER_MAC + b"\x08\0" + payload
        assert packet["head"] == frame[:100].hex()
        assert packet["length"] == len(frame) and packet["captured"] == 100
        assert packet["ifname"] == "vb" and packet["protocol"] == 0x800
        assert packet["flow"] == f"udp {dk.PEER}:4000 > {OURS}:9"
        assert before <= packet["time_ns"] <= after


def test_a_vlan_tag_is_back_in_its_place(link):
    """Dropped between where the kernel takes the tag out of the frame and where it forgets it."""
    dk.run("nft", "add table netdev t; add chain netdev t i { type filter hook ingress device vb "
           "priority 0; policy drop; }")
    payload = udp()
    with Dropwatch("--packet", "--filter", "vlan 5 and udp port 9") as watch:
        link.send(struct.pack("!HH", 5, 0x0800) + payload, 3, ethertype=0x8100)
        link.send(struct.pack("!HH", 6, 0x0800) + payload, 4, ethertype=0x8100)
        link.send(payload, 2)
        packets = watch.packets()
    frame = OUR_MAC + dk.PEER_MAC + struct.pack("!HHH", 0x8100, 5, 0x0800) + payload
    assert [p["head"] for p in packets] == [frame.hex()] * 3


FILTERS = [("udp port 9", 7), ("tcp port 9", 5), ("udp port 10", 0), ("ip src 198.18.0.1", 12),
           ("not ip", 4), ("ether proto 0x88b5 and len = 64", 4), ("tcp[tcpflags] = tcp-syn", 5),
           ("udp[8] = 0x78", 7), ("arp", 0), ("len > 5000", 0), ("ether[40000] = 1", 0)]


@pytest.mark.parametrize("words, count", FILTERS, ids=[f[0] for f in FILTERS])
@pytest.mark.parametrize("mode", ["counts", "packets"])
def test_filter(link, words, count, mode):
    """Counts are exact under a filter: it runs in the kernel, as a program of its own."""
    with Dropwatch("--filter", words, *(["--packet"] if mode == "packets" else [])) as watch:
        link.send(udp(), 7)
        link.send(tcp(SYN), 5)
        link.send(b"x" * 50, 4, ethertype=0x88b5)
        assert sum(watch.counts().values()) == count
        stats = watch.stats()
        assert stats["drops"] == count and stats["lost_events"] == 0
        assert len(watch.packets()) == (count if mode == "packets" else 0)


def test_a_burst_under_a_filter_is_exact(link):
    with Dropwatch("--filter", "udp port 9 and dst host 198.18.0.2") as watch:
        burst(link, burst_frames(), BURST // 3)
        assert same(watch.counts(), {("UDP_CSUM", "__udp4_lib_rcv"): BURST // 12,
                                     ("OTHERHOST", "ip_rcv_core"): BURST // 12})
        assert watch.stats()["lost_events"] == 0


RAW = {"WEIR_KDROP_RAW": "1"}


@pytest.mark.parametrize("way", [udp_no_socket, receive_buffer, other_host, nft_rule, tcp_old_data,
                                 neighbour_is_silent], ids=lambda way: way.__name__)
def test_reason_as_raw_tracepoint(link, way):
    """The same program in its other form, for kernels that refuse the first."""
    with Dropwatch(env=RAW) as watch:
        expected = way(link)
        if way in LATER:
            wait_until(lambda: seen_so_far(watch), "the timer has dropped it")
        assert same(watch.counts(), expected), watch.counts()
        assert watch.stats()["lost_events"] == 0


def test_packets_and_filter_as_raw_tracepoint(link):
    payload = udp(b"weir")
    with Dropwatch("--packet", "--filter", "udp port 9", "--stack", env=RAW) as watch:
        link.send(payload, 3)
        link.send(tcp(SYN), 5)
        packets = watch.packets()
    assert [p["head"] for p in packets] == [(OUR_MAC + dk.PEER_MAC + b"\x08\0" + payload).hex()] * 3
    assert all(p["stack"][0]["function"] == "__udp4_lib_rcv" for p in packets)
    assert all(p["ifname"] == "vb" for p in packets)


@pytest.mark.parametrize("mode", ["counts", "packets"])
def test_a_full_table_counts_all_the_same(link, mode):
    """More kinds of drops than the table has room for: those over it have no place, but a count."""
    with Dropwatch(*(["--packet", "--queue", "3"] if mode == "packets" else []),
                   env={"WEIR_KDROP_KEYS": "3"}) as watch:
        link.send(udp(), 7)
        link.send(tcp(SYN), 5)
        link.send(udp(wrong_csum=True), 4)
        link.send(b"x" * 50, 3, ethertype=0x88b5)
        link.send(icmp(wrong_csum=True), 2)
        link.send(udp(), 6, dst=OTHER_MAC)
        found = watch.counts()
        assert sum(found.values()) == 27, found
        assert watch.stats()["drops"] == 27 and watch.stats()["lost_events"] == 0
        if mode == "counts":
            assert 1 <= len(found) - 1 <= 3 and found[("NOT_SPECIFIED", None)] > 0, found


def test_filter_that_is_none():
    done = subprocess.run([WEIR, "dropwatch", "--kernel", "--filter", "tcp prot 80", "--for", "1s"],
                          capture_output=True, text=True, timeout=30)
    assert done.returncode != 0 and "tcp prot 80" in done.stderr


def test_chosen_reasons(link):
    with Dropwatch("--reason", "UDP_CSUM,OTHERHOST") as watch:
        link.send(udp(), 3)
        link.send(udp(wrong_csum=True), 4)
        link.send(udp(), 5, dst=OTHER_MAC)
        assert same(watch.counts(), {("UDP_CSUM", "__udp4_lib_rcv"): 4,
                                     ("OTHERHOST", "ip_rcv_core"): 5})
    done = subprocess.run([WEIR, "dropwatch", "--kernel", "--reason", "NO_SUCH", "--for", "1s"],
                          capture_output=True, text=True, timeout=30)
    assert done.returncode != 0 and "NO_SUCH" in done.stderr


@pytest.mark.parametrize("mode", ["counts", "packets"])
def test_stack(link, mode):
    """From the place of the drop outwards: no frame of the BPF program or the tracepoint."""
    with Dropwatch("--stack", *(["--packet"] if mode == "packets" else [])) as watch:
        link.send(udp(), 3)
        lines = [line for line in watch.end() if line["event"] != "stats"]
    assert sum(line["count"] for line in lines) == 3
    for line in lines:
        names = [frame["function"] for frame in line["stack"]]
        assert names[0] == "__udp4_lib_rcv" and line["stack"][0]["address"] == line["address"]
        assert any(name.startswith("__netif_receive_skb") for name in names)
        assert not any(re.search(r"bpf|trace|kfree_skb|skb_drop", name) for name in names)


def test_the_socket_of_a_packet(link):
    """What the kernel dropped for a socket names it, with its state."""
    with Connection(link) as c, Dropwatch("--packet") as watch:
        c.send(RST, 1, seq=1005)
        packet, = watch.packets()
    assert packet["socket"] == f"tcp {OURS}:80 {dk.PEER}:4000 ESTABLISHED"


def test_unspecified_namespace_is_told(link):
    """What a UDP socket had in its queue when it was closed belongs to no namespace that can be
    known: with --netns it is told as lost, without it is counted."""
    with Dropwatch() as own, Dropwatch(netns=None) as every:
        sock = bound()
        link.send(udp(b"x" * 100), 8)
        sock.close()
        wait_until(lambda: "udp_destruct_common" in every.program.log(), "RCU has freed it")
        assert own.counts() == {}
        assert own.stats()["lost_events"] >= 8
        found = [line for line in every.end() if line.get("function") == "udp_destruct_common"]
        assert sum(line["count"] for line in found) >= 8
        assert {line["netns"] for line in found} == {"not known"}


def test_pcap_is_read_by_tshark(link, tmp_path):
    if not shutil.which("tshark"):
        pytest.skip("tshark is not here")
    path = tmp_path / "drops.pcapng"
    with Dropwatch("--pcap", str(path)) as watch:
        link.send(udp(), 3)
        link.send(udp(), 2, dst=OTHER_MAC)
        watch.end()
    out = subprocess.run(["tshark", "-r", str(path), "-T", "fields", "-e", "frame.comment", "-e",
                          "udp.dstport"], check=True, capture_output=True, text=True,
                         timeout=60).stdout.splitlines()
    assert len(out) == 5
    assert sum("NO_SOCKET" in line and "__udp4_lib_rcv" in line for line in out) == 3
    assert sum("OTHERHOST" in line and "ip_rcv_core" in line for line in out) == 2
    assert all(line.endswith("\t9") for line in out)


# ---- where it cannot run ----


def unprivileged(*options, caps=""):
    """As nobody, with some capabilities; the program is where nobody may read it."""
    drop = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
    if caps:
        drop += ["--inh-caps", caps, "--ambient-caps", caps]
    return subprocess.run([*drop, WEIR, "dropwatch", "--kernel", "--for", "100ms", *options],
                          capture_output=True, text=True, timeout=60)


def test_without_privileges_it_says_which():
    done = unprivileged()
    if "cannot execute" in done.stderr or "ermission denied" in done.stderr.split("\n")[0][:60]:
        pytest.skip(f"nobody may not run {WEIR}")
    assert done.returncode == 1
    assert "CAP_BPF and CAP_PERFMON" in done.stderr and "root" in done.stderr
    done = unprivileged(caps="+bpf")
    assert done.returncode == 1
    assert "CAP_PERFMON" in done.stderr and "CAP_BPF" not in done.stderr


def test_two_capabilities_are_enough():
    done = unprivileged(caps="+bpf,+perfmon")
    assert done.returncode == 0, done.stderr


def test_in_a_user_namespace_it_says_so():
    done = subprocess.run(["unshare", "-r", "-n", WEIR, "dropwatch", "--kernel", "--for", "100ms"],
                          capture_output=True, text=True, timeout=60)
    if "unshare failed" in done.stderr:
        pytest.skip(done.stderr)
    assert done.returncode == 1 and "user namespace" in done.stderr


def test_hidden_addresses_are_explained(net):
    """kptr_restrict: functions are addresses then, and why is said; counts are as exact."""
    path = "/proc/sys/kernel/kptr_restrict"
    with open(path, encoding="ascii") as f:
        before = f.read()
    with Link() as link:
        dk.sysctl("kernel/kptr_restrict", 2)
        try:
            with Dropwatch() as watch:
                link.send(udp(), 3)
                found = watch.counts()
                log = watch.program.log()
        finally:
            with open(path, "w", encoding="ascii") as f:
                f.write(before)
    assert found == {("NO_SOCKET", None): 3}
    assert "kptr_restrict" in log and "CAP_SYSLOG" in log
