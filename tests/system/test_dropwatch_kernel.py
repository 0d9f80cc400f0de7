# SPDX-License-Identifier: BSD-3-Clause
"""`weir dropwatch --kernel`: each way in which the host's kernel can be made to drop a frame is told
by the name of its reason, its place and its count, exactly as it was sent.

Functions are those of the kernels that were looked at (6.1 to 6.18), where compilers inline
differently: "a|b" is either.
"""
import ctypes
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
from dropkernel import FAR, NOWHERE, OTHER_MAC, OUR_MAC, OURS, Dropwatch, Link, icmp, ip4, tcp, udp
from weirtest import BIN, TOP, wait_until

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
WEIR = os.path.join(BIN, "weir")
SO_ATTACH_FILTER, IP_MINTTL = 26, 21
DONT_FRAGMENT, MORE_FRAGMENTS = 0x4000, 0x2000


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


def bound(kind=socket.SOCK_DGRAM, port=9, **options):
    sock = socket.socket(socket.AF_INET, kind)
    for option, value in options.items():
        sock.setsockopt(socket.SOL_SOCKET, getattr(socket, option), value)
    sock.bind((OURS, port))
    if kind == socket.SOCK_STREAM:
        sock.listen()
    return sock


def read_all(sock):
    """How many datagrams there are."""
    sock.setblocking(False)
    count = 0
    try:
        while True:
            sock.recv(65536)
            count += 1
    except BlockingIOError:
        return count


# ---- one way to drop each: it sends, and says what is to be seen -----------------------------------


def udp_no_socket(link):
    link.send(udp(), 7)
    return {("NO_SOCKET", "__udp4_lib_rcv"): 7}


def tcp_no_socket(link):
    link.send(tcp(SYN), 5)
    return {("NO_SOCKET", "tcp_v4_rcv"): 5}


def ip_csum(link):
    link.send(ip4(b"x" * 8, 17, wrong_csum=True), 3)
    return {("IP_CSUM", "ip_rcv_core"): 3}


def udp_csum(link):
    link.send(udp(wrong_csum=True), 4)
    return {("UDP_CSUM", "__udp4_lib_rcv"): 4}


def tcp_csum(link):
    link.send(tcp(SYN, wrong_csum=True), 3)
    return {("TCP_CSUM", "tcp_v4_rcv"): 3}


def icmp_csum(link):
    link.send(icmp(wrong_csum=True), 6)
    return {("ICMP_CSUM", "icmp_rcv"): 6}


def icmp_unknown(link):
    link.send(icmp(kind=77), 2)
    return {("UNHANDLED_PROTO", "icmp_rcv"): 2}


def no_route(link):
    dk.sysctl("net/ipv4/ip_forward", 1)
    link.send(udp(dst=NOWHERE), 4)
    return {("IP_INNOROUTES", "ip_error"): 4}


def not_forwarding(link):
    dk.sysctl("net/ipv4/ip_forward", 0)
    link.send(udp(dst=NOWHERE), 5)
    return {("IP_INADDRERRORS", "ip_error"): 5}


def rp_filter(link):
    dk.sysctl("net/ipv4/conf/vb/rp_filter", 1)
    link.send(udp(src="203.0.113.5"), 8)
    return {("IP_RPFILTER", "ip_rcv_finish_core|ip_rcv_finish"): 8}


def other_host(link):
    link.send(udp(), 9, dst=OTHER_MAC)
    return {("OTHERHOST", "ip_rcv_core"): 9}


def martian_destination(link):
    link.send(udp(dst="127.0.0.1"), 2)
    return {("IP_LOCALNET", "ip_rcv_finish_core|ip_rcv_finish"): 2}


def multicast_source(link):
    link.send(udp(src="224.0.0.5"), 3)
    return {("IP_INVALID_SOURCE", "ip_rcv_finish_core|ip_rcv_finish"): 3}


def our_own_source(link):
    link.send(udp(src=OURS), 4)
    return {("IP_LOCAL_SOURCE", "ip_rcv_finish_core|ip_rcv_finish"): 4}


def far_side(mtu=1500):
    """Something to forward to: another pair, with 198.18.5.1, and a neighbour there."""
    dk.sysctl("net/ipv4/ip_forward", 1)
    dk.run("ip", "link", "add", "vd", "mtu", str(mtu), "type", "veth", "peer", "name", "vc")
    for name in ("vc", "vd"):
        dk.run("ip", "link", "set", name, "up")
    dk.run("ip", "addr", "add", "198.18.5.1/24", "dev", "vd")
    dk.run("ip", "neigh", "add", FAR, "lladdr", "02:00:00:00:00:05", "dev", "vd")


def ttl(link):
    far_side()
    link.send(udp(dst=FAR, ttl=1), 4)
    return {("IP_INHDR", "ip_forward"): 4}


def too_big_for_the_mtu(link):
    far_side(mtu=1000)
    link.send(udp(b"y" * 1200, dst=FAR, frag=DONT_FRAGMENT), 3)
    return {("PKT_TOO_BIG", "ip_forward"): 3}


def nft_rule(link):
    dk.run("nft", "add table ip t; add chain ip t i { type filter hook input priority 0; }; "
           "add rule ip t i udp dport 9 drop")
    link.send(udp(), 6)
    return {("NETFILTER_DROP", "nft_do_chain"): 6}


def receive_buffer(link):
    with bound(SO_RCVBUF=4096) as sock:
        link.send(udp(b"z" * 500), 50)
        held = read_all(sock)
    assert 0 < held < 50
    return {("SOCKET_RCVBUFF", "udp_queue_rcv_one_skb|__udp_enqueue_schedule_skb"): 50 - held}


def socket_filter(link):
    with bound() as sock:
        nothing = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0))
        sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER,
                        struct.pack("HxxxxxxQ", 1, ctypes.addressof(nothing)))
        link.send(udp(), 4)
    return {("SOCKET_FILTER", "udp_queue_rcv_one_skb"): 4}


def unknown_protocol(link):
    link.send(ip4(b"x" * 20, 200), 4)
    return {("IP_NOPROTO", "ip_local_deliver_finish|ip_protocol_deliver_rcu"): 4}


def unknown_ethertype(link):
    link.send(b"x" * 50, 11, ethertype=0x88b5)
    return {("UNHANDLED_PROTO", "__netif_receive_skb_core"): 11}


def ip_longer_than_the_frame(link):
    link.send(ip4(b"x" * 20, 17, total=200), 4)
    return {("PKT_TOO_SMALL", "ip_rcv_core"): 4}


def udp_longer_than_ip(link):
    link.send(udp(length=500), 2)
    return {("PKT_TOO_SMALL", "__udp4_lib_rcv"): 2}


def arp_too_short(link):
    link.send(b"\0" * 10, 3, ethertype=0x0806)
    return {("PKT_TOO_SMALL", "arp_rcv"): 3}


def malformed_ip_headers(link):
    link.send(ip4(b"x" * 10, 6, version_ihl=0x55), 4)
    link.send(ip4(b"x" * 10, 6, version_ihl=0x43), 3)
    return {("IP_INHDR", "ip_rcv_core"): 7}


def ipv6_is_off(link):
    link.send(b"\x60" + b"\0" * 60, 5, ethertype=0x86dd)
    return {("IPV6DISABLED", "ip6_rcv_core"): 5}


def a_fragment_again(link):
    link.send(ip4(b"x" * 800, 17, frag=MORE_FRAGMENTS), 4)
    return {("DUP_FRAG", "ip_defrag|ip_frag_queue"): 3}


def a_fragment_alone(link):
    dk.sysctl("net/ipv4/ipfrag_time", 1)
    link.send(ip4(b"x" * 800, 17, frag=MORE_FRAGMENTS, ident=7))
    return {("FRAG_REASM_TIMEOUT", "ip_expire"): 1}


def multicast_not_joined(link):
    link.send(udp(dst="239.1.2.3"), 4, dst=b"\x01\0\x5e\1\2\3")
    return {("NOT_SPECIFIED", "ip_rcv_finish_core|ip_rcv_finish"): 4}


def neighbour_is_silent(link):
    dk.sysctl("net/ipv4/neigh/vb/retrans_time_ms", 50)
    dk.sysctl("net/ipv4/neigh/vb/mcast_solicit", 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for _ in range(4):
            sock.sendto(b"x", (dk.THIRD, 9))
    return {("NEIGH_FAILED", "neigh_invalidate|arp_error_report"): 4}


def flags_to_a_listener(link):
    with bound(socket.SOCK_STREAM, 80):
        link.send(tcp(ACK, dport=80), 2)
        link.send(tcp(SYN | FIN, dport=80), 3)
        link.send(tcp(RST, dport=80), 4)
    return {("TCP_FLAGS", "tcp_v4_do_rcv"): 2, ("TCP_FLAGS", "tcp_rcv_state_process"): 3,
            ("TCP_RESET", "tcp_rcv_state_process"): 4}


def ttl_below_what_was_asked(link):
    with socket.socket() as sock:
        sock.setsockopt(socket.IPPROTO_IP, IP_MINTTL, 255)
        sock.bind((OURS, 80))
        sock.listen()
        link.send(tcp(SYN, dport=80), 3)
    return {("TCP_MINTTL", "tcp_v4_rcv"): 3}


class Connection:
    """A TCP connection whose peer is frames made by hand: next_seq is ours to send, ack theirs."""

    def __init__(self, link):
        self.link = link
        self.listener = bound(socket.SOCK_STREAM, 80)
        link.send(tcp(SYN, seq=1000, dport=80))
        answer = link.answer(lambda f: f[12:14] == b"\x08\0" and f[23] == 6 and
                             f[47] == SYN | ACK)
        self.ack = struct.unpack("!I", answer[38:42])[0] + 1
        self.send(ACK)
        self.sock, _ = self.listener.accept()
        self.sock.settimeout(10)

    def send(self, flags, count=1, seq=1001, ack=0, data=b""):
        self.link.send(tcp(flags, seq=seq, ack=self.ack + ack, data=data, dport=80), count)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()
        self.listener.close()


def tcp_old_data(link):
    with Connection(link) as c:
        c.send(PSH | ACK, data=b"hello")
        assert c.sock.recv(10) == b"hello"
        c.send(PSH | ACK, 3, data=b"hello")
    return {("TCP_OLD_DATA", "tcp_rcv_established|tcp_data_queue"): 3}


def tcp_beyond_the_window(link):
    with Connection(link) as c:
        c.send(PSH | ACK, 3, seq=1001 + 10000000, data=b"hello")
    return {("TCP_INVALID_SEQUENCE", "tcp_validate_incoming"): 3}


def tcp_ack_of_nothing_sent(link):
    with Connection(link) as c:
        c.send(ACK, 3, ack=10000)
    return {("TCP_ACK_UNSENT_DATA", "tcp_v4_do_rcv|tcp_rcv_established|tcp_ack"): 3}


def tcp_out_of_order_again(link):
    with Connection(link) as c:
        c.send(PSH | ACK, 4, seq=1101, data=b"hello")
        c.send(PSH | ACK, data=b"x" * 100)
        wait_until(lambda: len(c.sock.recv(200, socket.MSG_PEEK)) == 105, "the hole is filled")
        c.sock.recv(200)
    return {("TCP_OFOMERGE", "tcp_data_queue|tcp_data_queue_ofo"): 3}


def tcp_reset_that_does_not_fit(link):
    with Connection(link) as c:
        c.send(RST, 2, seq=1005)
    return {("TCP_RESET", "tcp_validate_incoming"): 2}


def tcp_syn_in_a_connection(link):
    with Connection(link) as c:
        c.send(0, 2)
        c.send(SYN, 2)
    return {("TCP_FLAGS", "tcp_v4_do_rcv|tcp_rcv_established"): 2,
            ("TCP_INVALID_SYN", "tcp_validate_incoming"): 2}


def data_for_a_program_that_is_gone(link):
    with Connection(link) as c:
        c.sock.close()
        c.send(PSH | ACK, ack=1, data=b"hello")
    return {("TCP_ABORT_ON_DATA", "tcp_v4_do_rcv|tcp_rcv_state_process"): 1}


WAYS = [udp_no_socket, tcp_no_socket, ip_csum, udp_csum, tcp_csum, icmp_csum, icmp_unknown,
        no_route, not_forwarding, rp_filter, other_host, martian_destination, multicast_source,
        our_own_source, ttl, too_big_for_the_mtu, nft_rule, receive_buffer, socket_filter,
        unknown_protocol, unknown_ethertype, ip_longer_than_the_frame, udp_longer_than_ip,
        arp_too_short, malformed_ip_headers, ipv6_is_off, a_fragment_again, a_fragment_alone,
        multicast_not_joined, neighbour_is_silent, flags_to_a_listener, ttl_below_what_was_asked,
        tcp_old_data, tcp_beyond_the_window, tcp_ack_of_nothing_sent, tcp_out_of_order_again,
        tcp_reset_that_does_not_fit, tcp_syn_in_a_connection, data_for_a_program_that_is_gone]


def same(found, expected):
    """Whether just these were seen, whatever the compiler has put behind a function's name."""
    left = dict(found)
    for (reason, functions), count in expected.items():
        keys = [key for key in left if key[0] == reason and key[1] and
                key[1].split(".")[0] in functions.split("|")]
        if sum(left.pop(key) for key in keys) != count:
            return False
    return not left


# What drops only when a timer has run: dropwatch is ended when it has been seen.
LATER = {a_fragment_alone, neighbour_is_silent}


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


# ---- where it cannot run ---------------------------------------------------------------------------


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
