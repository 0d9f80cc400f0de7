# SPDX-License-Identifier: BSD-3-Clause
"""TCP of weir with TCP of the kernel, each side opening, over links that lose none, 1 % and 5 % of
the packets each way.

The kernel's end is in a namespace of its own behind a router, which is the test's namespace:

  weir 198.18.0.2 --- TAP --- 198.18.0.1  router  198.18.1.1 --- veth --- 198.18.1.2 kernel

nftables drops at random where packets enter the router, so that neither sender is told (a drop on
a sender's own way out tells Linux's TCP of congestion, and is no loss). weird and the kernel's
program share a processor: on two, the router's own queues would reorder. Both ends' counters and
the router's must agree: what one sent is what the router lost and the other received.
"""
import json
import os
import re
import shutil
import signal
import socket
import subprocess

import pytest
from weirtest import KERNEL_ADDR, PYTHON, WEIR_ADDR, Program, wait_until

HERE = os.path.dirname(os.path.abspath(__file__))
AGENT = os.path.join(HERE, "interop_agent.py")
ROUTER_ADDR, FAR_ADDR = "198.18.1.1", "198.18.1.2"
PORT = 7000
LOSSES = [0, 1, 5]
ONE_CPU = ["taskset", "-c", str(min(os.sched_getaffinity(0)))]
ROLES = ["weir-opens", "kernel-opens"]
RULES = """
table netdev loss {{
	chain from_weir {{
		type filter hook ingress device weir0 priority 0;
		ip protocol tcp numgen random mod 1000 < {permille} counter drop
	}}
	chain from_kernel {{
		type filter hook ingress device vroute priority 0;
		ip protocol tcp numgen random mod 1000 < {permille} counter drop
	}}
}}
"""
# What any link may make of a connection: copies that a retransmission made needless, ACKs that
# overtook each other, probes; what follows the end of one side.
FINE_DROPS = {"TCP_OLD_DATA", "TCP_OLD_ACK", "TCP_OFOMERGE", "TCP_INVALID_SEQUENCE",
              "TCP_ZEROWINDOW", "TCP_CLOSE", "NO_SOCKET", "TCP_ABORT_ON_DATA", "TCP_RESET"}

pytestmark = pytest.mark.skipif(shutil.which("nft", path=os.environ["PATH"] + ":/usr/sbin") is None,
                                reason="nft is not installed (make deps)")


def sh(*argv, **kwargs):
    return subprocess.run(argv, check=True, timeout=10, **kwargs)


class Agent:
    """interop_agent.py on one side."""

    def __init__(self, tmp, name, start):
        path = os.path.join(tmp, name + ".sock")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
            server.bind(path)
            server.listen(1)
            server.settimeout(30)
            self.program = start(PYTHON, AGENT, path)
            self.orders, _ = server.accept()
        self.name = name
        self.orders.settimeout(90)
        self.lines = self.orders.makefile("rw", encoding="utf-8")

    def start(self, code):
        self.lines.write(json.dumps(code) + "\n")
        self.lines.flush()

    def result(self):
        line = self.lines.readline()
        assert line, f"{self.name} is gone\n{self.program.log()}"
        answer = json.loads(line)
        assert "error" not in answer, f"{self.name}: {answer['error']}"
        return answer["result"]

    def do(self, code):
        self.start(code)
        return self.result()

    def ask(self, expression):
        return self.do("result = " + expression)

    def kill(self):
        os.kill(self.program.pid, signal.SIGKILL)
        self.program.wait(20)


class Far:
    """The kernel's end: a namespace that a sleeping process holds."""

    def __init__(self, weir):
        holder = weir.on_kernel("unshare", "-n", "sleep", "1000")
        mine = os.readlink("/proc/self/ns/net")
        wait_until(lambda: os.readlink(f"/proc/{holder.pid}/ns/net") != mine, "a namespace")
        self.enter = ["nsenter", "-t", str(holder.pid), "-n"]
        sh("ip", "link", "add", "vroute", "type", "veth", "peer", "name", "vfar",
           "netns", str(holder.pid))
        # Loss is of packets, not of what the kernel made of forty of them.
        for command in (f"address add {FAR_ADDR}/24 dev vfar", "link set lo up",
                        "link set vfar gso_max_segs 1", "link set vfar up",
                        f"route add default via {ROUTER_ADDR}"):
            sh(*self.enter, "ip", *command.split())
        sh("ip", "address", "add", f"{ROUTER_ADDR}/24", "dev", "vroute")
        sh("ip", "link", "set", "vroute", "up")
        with open("/proc/sys/net/ipv4/ip_forward", "w", encoding="ascii") as f:
            f.write("1")

    def netstat(self):
        """The kernel's counters, as nstat shows them."""
        out = {}
        for path in ("/proc/net/snmp", "/proc/net/netstat"):
            text = sh(*self.enter, "cat", path, stdout=subprocess.PIPE, text=True).stdout
            lines = text.splitlines()
            for names, values in zip(lines[::2], lines[1::2]):
                kind = names.split(":")[0]
                out.update((kind + name, int(value)) for name, value in
                           zip(names.split()[1:], values.split()[1:]))
        return out


class Link:
    """Both ends, and the router between them."""

    def __init__(self, make_weir, percent, offload=False):
        spec = f"tap,name=weir0,addr={KERNEL_ADDR}/24" + ("" if offload else ",offload=0")
        self.weir = make_weir(ports=[(spec, f"{WEIR_ADDR}/24")],
                              options=["--route", f"default via {KERNEL_ADDR}"], wrap=ONE_CPU)
        self.percent = percent
        self.far = Far(self.weir)
        sh("nft", "-f", "-", input=RULES.format(permille=10 * percent), text=True)
        self.on_weir = Agent(self.weir.tmp, "weir", self.weir.on_weir)
        self.on_kernel = Agent(self.weir.tmp, "kernel", self.start_far)
        self.addr = {self.on_weir: WEIR_ADDR, self.on_kernel: FAR_ADDR}

    def start_far(self, *argv):
        program = Program("kernel's agent", self.far.enter + ONE_CPU + list(argv),
                          self.weir.log_name("agent"))
        self.weir.programs.append(program)
        return program

    def roles(self, role):
        """Client, server."""
        pair = self.on_weir, self.on_kernel
        return pair if role == "weir-opens" else pair[::-1]

    def listen(self, server):
        server.do(f"l = socket.create_server(('{self.addr[server]}', {PORT}), backlog=64)")

    def connect(self, role):
        """A connection: `s` on each side."""
        client, server = self.roles(role)
        self.listen(server)
        server.start("l.settimeout(60); s, _ = l.accept(); s.settimeout(60); s.recv(1)")
        client.do(f"s = socket.create_connection(('{self.addr[server]}', {PORT}), timeout=60);"
                  "s.sendall(b'x')")
        server.result()
        return client, server

    def lost(self, chain):
        """Packets that the router dropped of those that came from there."""
        out = sh("nft", "list", "chain", "netdev", "loss", chain, stdout=subprocess.PIPE, text=True)
        return int(re.search(r"counter packets (\d+)", out.stdout).group(1))

    @staticmethod
    def overflowed(device, way):
        """Packets that found a queue of the router full: on a busy machine that happens, too."""
        out = sh("ip", "-s", "-j", "link", "show", "dev", device, stdout=subprocess.PIPE)
        return json.loads(out.stdout)[0]["stats64"][way]["dropped"]

    def losses(self):
        return {self.on_weir: self.lost("from_weir") + self.overflowed("weir0", "rx") +
                self.overflowed("vroute", "tx"),
                self.on_kernel: self.lost("from_kernel") + self.overflowed("weir0", "tx")}

    def infos(self):
        """struct tcp_info of both ends, when nothing moves on either."""
        before = None
        while True:
            now = {side: side.ask("quiet_info(s)") for side in (self.on_weir, self.on_kernel)}
            if now == before:
                return now
            before = now

    def check(self):
        """What must hold at the end of every test."""
        bad = {d["reason"]: d["count"] for d in self.weir.ledger()["drops"]
               if d["reason"] not in FINE_DROPS}
        assert not bad, bad
        counters = self.far.netstat()
        for name in ("TcpInErrs", "TcpInCsumErrors", "TcpExtPAWSEstab", "TcpExtTCPSACKDiscard",
                     "TcpExtTCPSYNChallenge", "IpInHdrErrors"):
            assert counters.get(name, 0) == 0, (name, counters[name])
        return counters


@pytest.fixture
def link(make_weir, request):
    """Link of so many per cent of loss; checked at the end."""
    links = []

    def make(percent, **kwargs):
        links.append(Link(make_weir, percent, **kwargs))
        return links[-1]

    yield make
    if not getattr(request.node, "weir_failed", True):
        for one in links:
            one.check()


def grown(after, before, name):
    return {side: after[side][name] - before[side][name] for side in after}


def check_counters(link, before, after, lost_before, sent):
    """`sent`: payload that each side has sent between the two."""
    ends = link.on_weir, link.on_kernel
    lost = {side: n - lost_before[side] for side, n in link.losses().items()}
    out, came = grown(after, before, "segs_out"), grown(after, before, "segs_in")
    for here, there in (ends, ends[::-1]):
        assert out[here] - lost[here] == came[there], (here.name, out, came, lost)
    for name, of in (("bytes_acked", 0), ("bytes_received", 1)):
        counts = grown(after, before, name)
        for here, there in (ends, ends[::-1]):
            assert counts[here] == sent[there if of else here], (name, here.name, counts)
    total, again = grown(after, before, "bytes_sent"), grown(after, before, "bytes_retrans")
    for side in ends:
        assert total[side] - again[side] == sent[side], (side.name, total, again)
    retrans = grown(after, before, "total_retrans")
    for side in ends:
        if link.percent and sent[side] > 1 << 20:
            assert retrans[side] > 0, (side.name, retrans)
        # What was resent in vain: bounded, so that no sender resends what was never lost.
        assert retrans[side] <= 2 * sum(lost.values()) + 10, (side.name, retrans, lost)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("percent", LOSSES)
def test_bulk(link, percent, role):
    """One way, the other way, then both at once; hashes and counters compared."""
    link = link(percent)
    client, server = link.connect(role)
    size = {0: 16 << 20, 1: 8 << 20, 5: 2 << 20}[percent]
    for sender, taker in ((client, server), (server, client)):
        before, lost = link.infos(), link.losses()
        taker.start(f"result = take(s, {size})")
        sender.do(f"send(s, {size}, 'one way')")
        assert taker.result() == [sender.ask(f"hash_of({size}, 'one way')"), size]
        check_counters(link, before, link.infos(), lost, {sender: size, taker: 0})
    before, lost = link.infos(), link.losses()
    client.start(f"result = both(s, {size}, 'client', 'server')")
    server.start(f"result = both(s, {size}, 'server', 'client')")
    assert client.result() and server.result()
    check_counters(link, before, link.infos(), lost, {client: size, server: size})


@pytest.mark.parametrize("role", ROLES)
def test_bulk_offload(link, role):
    """With frames of 64 KB between weir and the kernel: segments are counted all the same."""
    link = link(0, offload=True)
    client, server = link.connect(role)
    size = 32 << 20
    for sender, taker in ((client, server), (server, client)):
        before, lost = link.infos(), link.losses()
        taker.start(f"result = take(s, {size})")
        sender.do(f"send(s, {size}, 'one way')")
        assert taker.result() == [sender.ask(f"hash_of({size}, 'one way')"), size]
        check_counters(link, before, link.infos(), lost, {sender: size, taker: 0})


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("percent", LOSSES)
def test_many_short(link, percent, role):
    """Connection after connection, each with a question and its answer."""
    link = link(percent)
    client, server = link.roles(role)
    count = {0: 300, 1: 60, 5: 12}[percent]
    link.listen(server)
    server.start(f"result = serve_many(l, {count}, 3000)")
    assert client.ask(f"call_many(('{link.addr[server]}', {PORT}), {count}, 3000)") == count
    assert server.result() == count
    counters = link.far.netstat()
    opened = "TcpPassiveOpens" if server is link.on_kernel else "TcpActiveOpens"
    assert counters[opened] == count, counters


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("percent", [0, 5])
def test_half_close(link, percent, role):
    """The client ends its side first; all of the server's bytes come after that."""
    link = link(percent)
    client, server = link.connect(role)
    size = 1 << 20
    server.start("result = take(s)")
    client.do("send(s, 100000, 'first'); s.shutdown(socket.SHUT_WR)")
    assert server.result() == [client.ask("hash_of(100000, 'first')"), 100000]
    client.start("result = take(s)")
    server.do(f"send(s, {size}, 'second'); s.close()")
    assert client.result() == [server.ask(f"hash_of({size}, 'second')"), size]
    client.do("s.close()")


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("percent", [0, 5])
def test_close_at_once(link, percent, role):
    """Both end at the same time: both see an end, none an error."""
    link = link(percent)
    client, server = link.connect(role)
    for side in (client, server):
        side.start("s.shutdown(socket.SHUT_WR); result = end_of(s)")
    assert [side.result() for side in (client, server)] == ["end", "end"]
    for side in (client, server):
        side.do("s.close()")


def test_keepalive(link):
    """Each side asks after a second; the other answers. When the path dies, both give up."""
    link = link(0)
    client, server = link.connect("weir-opens")
    for side in (client, server):
        side.do("""
s.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
s.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 1)
s.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1)
s.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 2)
before = info(s)
""")
    wait_until(lambda: all(side.ask("info(s)['segs_in'] - before['segs_in']") >= 2
                           for side in (client, server)), "probes come and are answered")
    assert all(side.ask("info(s)['state']") == 1 for side in (client, server))
    sh("nft", "-f", "-", input="table netdev loss { chain from_weir { drop; }; "
       "chain from_kernel { drop; }; }", text=True)
    for side in (client, server):
        side.start("result = end_of(s)")
    assert [side.result() for side in (client, server)] == ["TimeoutError", "TimeoutError"]


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("percent", [0, 5])
def test_closed_window(link, percent, role):
    """Each side in turn does not read for seconds: the other probes, and goes on when it does."""
    link = link(percent)
    client, server = link.connect(role)
    size = 8 << 20
    for sender, taker in ((client, server), (server, client)):
        sender.start(f"send(s, {size}, 'slow')")
        taker.do("time.sleep(1)")
        assert taker.ask("info(s)['bytes_received']") < size
        assert taker.ask(f"take(s, {size})") == [taker.ask(f"hash_of({size}, 'slow')"), size]
        sender.result()


@pytest.mark.parametrize("victim", ["weir", "kernel"])
@pytest.mark.parametrize("role", ROLES)
def test_kill(link, role, victim):
    """A program is killed in the middle of a transfer: the other side learns of it at once."""
    link = link(0)
    link.connect(role)
    dies, lives = ((link.on_weir, link.on_kernel) if victim == "weir" else
                   (link.on_kernel, link.on_weir))
    lives.start("result = end_of(s)")
    dies.start("send(s, 1 << 40, 'for ever')")
    wait_until(lambda: link.weir.ledger()["entered"] > 500, "bytes move")
    dies.kill()
    assert lives.result() in ("end", "ConnectionResetError")
    wait_until(lambda: not any(f":{PORT}" in s["local"] + s["remote"] and s["state"] == "ESTAB"
                               for s in link.weir.sockets()), "weir's end is gone")


@pytest.mark.parametrize("victim", ["weir", "kernel"])
@pytest.mark.parametrize("role", ROLES)
def test_kill_with_unread(link, role, victim):
    """Killed with bytes unread: a reset, which the one that writes sees."""
    link = link(0)
    link.connect(role)
    dies, lives = ((link.on_weir, link.on_kernel) if victim == "weir" else
                   (link.on_kernel, link.on_weir))
    lives.do("send(s, 10000, 'unread')")
    wait_until(lambda: dies.ask("info(s)['bytes_received']") >= 10000, "it is there")
    dies.kill()
    assert lives.ask("end_of(s)") == "ConnectionResetError"


@pytest.mark.parametrize("role", ROLES)
def test_linger_zero(link, role):
    """SO_LINGER 0 on each side: the other sees the reset."""
    link = link(0)
    client, server = link.roles(role)
    for first, second in ((client, server), (server, client)):
        link.connect(role)
        first.do("s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0));"
                 "s.close()")
        assert second.ask("end_of(s)") == "ConnectionResetError"
        server.do("s.close(); l.close()")
        client.do("s.close()")
