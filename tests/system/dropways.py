# SPDX-License-Identifier: BSD-3-Clause
"""Ways to have the host's kernel drop frames: each is a function of a Link that sends, and says
what `weir dropwatch --kernel` has to show: {(reason, function): count}.

Functions are those of the kernels that were looked at (6.1 to 6.18); compilers inline differently:
"a|b" is either.
"""
import ctypes
import socket
import struct

import dropkernel as dk
from dropkernel import FAR, NOWHERE, OTHER_MAC, OURS, icmp, ip4, tcp, udp
from weirtest import wait_until

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
SO_ATTACH_FILTER, IP_MINTTL = 26, 21
DONT_FRAGMENT, MORE_FRAGMENTS = 0x4000, 0x2000


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


# ---- one way to drop each: it sends, and says what is to be seen ----


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

# What drops only when a timer has run: dropwatch is ended when it has been seen.
LATER = {a_fragment_alone, neighbour_is_silent}
