# SPDX-License-Identifier: BSD-3-Clause
"""The command line: help, errors that say what to do, JSON, configuration, several instances."""
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile

import pytest
from weirtest import BIN, KERNEL_ADDR, TAP, TOP, WEIR_ADDR, wait_until

COMMANDS = ["run", "stat", "sockets", "path", "ledger", "drops", "dropwatch", "ethtool", "addr",
            "route", "port", "forward", "sysctl", "nstat", "capture", "trace", "why", "stop"]


@pytest.fixture
def folder():
    path = tempfile.mkdtemp(prefix="weir-cli-")
    os.chmod(path, 0o755)
    yield path
    shutil.rmtree(path)


def weir_command(*args, **more):
    return subprocess.run([os.path.join(BIN, "weir"), *args], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=30, check=False, **more)


def weird_command(*args, **more):
    return subprocess.run([os.path.join(BIN, "weird"), *args], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=60, check=False, **more)


# ---- without a daemon ----

def test_help_lists_every_command():
    out = weir_command("--help")
    assert out.returncode == 0
    for name in COMMANDS:
        assert re.search(rf"^  {name} ", out.stdout, re.M), name


@pytest.mark.parametrize("name", COMMANDS)
def test_command_help(name):
    out = weir_command(name, "--help")
    assert out.returncode == 0 and out.stderr == ""
    assert out.stdout.startswith("usage: weir") or out.stdout.lower().startswith("usage")
    assert f"weir {name}" in out.stdout or f"weir run" in out.stdout


@pytest.mark.parametrize("page", ["weir.1", "weird.8"] + [f"weir-{n}.1" for n in COMMANDS])
def test_man_page(page):
    path = os.path.join(TOP, "doc", "man", page)
    assert os.path.exists(path)
    if shutil.which("mandoc"):
        lint = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", path], timeout=20,
                              stdout=subprocess.PIPE, text=True, check=False)
        assert lint.returncode == 0, lint.stdout


def test_version():
    for command in (weir_command, weird_command):
        out = command("--version")
        assert out.returncode == 0 and re.search(r"\d+\.\d+\.\d+", out.stdout)


@pytest.mark.parametrize("args,words", [
    (["nosuch"], "there is no command 'nosuch'"),
    (["--nosuch"], "--nosuch"),
    ([], "usage: weir"),
    (["ledger", "--nosuch"], "no such option: --nosuch"),
    (["ledger", "extra"], "what is 'extra'?"),
    (["stat", "nosuch"], "what is 'nosuch'?"),
    (["drops", "-n"], "-n needs a number"),
    (["drops", "-n", "0"], "a number from 1"),
    (["addr", "add"], "add what?"),
    (["addr", "add", "198.18.0.9/24"], "dev PORT"),
    (["addr", "put", "x"], "add or del is wanted"),
    (["route", "add", "default", "via"], "'via' needs a word behind it"),
    (["route", "add", "default", "over", "x"], "what is 'over'?"),
    (["port", "add"], "add what?"),
    (["forward"], "on or off"),
    (["forward", "maybe"], "neither on nor off"),
    (["sysctl", "-w"], "NAME=VALUE"),
    (["sysctl", "-w", "tcp_ecn"], "NAME=VALUE"),
    (["sysctl", "-a", "tcp_ecn"], "-a stands alone"),
    (["--instance", "../etc", "stat"], "cannot be an instance's name"),
])
def test_misuse(args, words):
    out = weir_command(*args)
    assert out.returncode == 2
    assert words in out.stderr, out.stderr
    assert out.stdout == ""


@pytest.mark.parametrize("name", [n for n in COMMANDS if n not in ("run", "forward", "ethtool")])
def test_missing_daemon(name, folder):
    out = weir_command("--rundir", folder, "--instance", "blue", name)
    assert out.returncode == (2 if name == "why" else 1)  # why: 1 is "something is lost"
    assert "no weird runs as instance 'blue'" in out.stderr
    assert "weird --instance blue --port" in out.stderr


def test_missing_daemon_for_run(folder):
    out = weir_command("--rundir", folder, "--instance", "blue", "run", "--", "true")
    assert out.returncode != 0
    assert "blue" in out.stderr and "weird" in out.stderr, out.stderr


def test_stale_socket(folder):
    os.makedirs(os.path.join(folder, "blue"))
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(os.path.join(folder, "blue", "ctl.sock"))
    out = weir_command("--rundir", folder, "--instance", "blue", "stat")
    assert out.returncode == 1 and "left its socket behind" in out.stderr
    out = weir_command("--rundir", folder, "--instance", "green", "stat")
    assert "instances in that folder: blue" in out.stderr


def test_silent_daemon(folder):
    """Something that closes without an answer."""
    os.makedirs(os.path.join(folder, "blue"))
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(os.path.join(folder, "blue", "ctl.sock"))
        s.listen(1)
        client = subprocess.Popen([os.path.join(BIN, "weir"), "--rundir", folder, "--instance",
                                   "blue", "stat"], stderr=subprocess.PIPE, text=True)
        s.accept()[0].close()
        _, err = client.communicate(timeout=30)
    assert client.returncode == 1 and ("without an answer" in err or "broke" in err), err


def test_path_too_long():
    out = weir_command("--rundir", "/tmp/" + "x" * 120, "stat")
    assert out.returncode == 1 and "too long" in out.stderr


@pytest.mark.parametrize("args,words", [
    (["--nosuch"], "there is no option"),
    (["--addr", "nonsense", "--port", "loop"], "address"),
    (["--workers", "0"], "workers"),
    (["--port", "nosuch,name=x"], "nosuch"),
    (["--sysctl", "tcp_enc=1"], "did you mean tcp_ecn?"),
    (["--sysctl", "tcp_ecn"], "NAME=VALUE"),
    (["--sysctl", "tcp_ecn=9"], "from 0 to"),
    (["--config", "/nonexistent/weird.conf"], "/nonexistent/weird.conf"),
    (["--port", TAP, "--addr", "198.18.0.2"], "198.18.0.2"),
    (["--port", TAP, "--addr", "198.18.0.2/24@nosuch"], "nosuch"),
    (["--port", TAP, "--addr", "198.18.0.2/24", "--route", "default via 203.0.113.1"], "gateway"),
])
def test_weird_misuse(net, folder, args, words):
    out = weird_command("--rundir", folder, *args)
    assert out.returncode != 0
    assert words in out.stderr, out.stderr


@pytest.mark.parametrize("name", ["run", "run/blue"])
def test_another_users_folder(net, folder, name):
    """Its owner could put other sockets there: refused, and nothing is made in it."""
    path = os.path.join(folder, name)
    os.makedirs(path)
    shutil.chown(path, "nobody")
    args = ("--rundir", os.path.join(folder, "run"), "--instance", "blue",
            "--port", "nosuch,name=x")
    out = weird_command(*args)
    assert out.returncode == 1
    assert path + " belongs to another user (nobody, " in out.stderr, out.stderr
    assert "--rundir DIR" in out.stderr and not os.listdir(path), out.stderr
    # A daemon of that user may have left it.
    out = weird_command(*args, "--user", "nobody")
    assert "nosuch" in out.stderr and "belongs" not in out.stderr, out.stderr


# ---- with a daemon ----

def test_ledger_schema(weir):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.sendto(b"x", (WEIR_ADDR, 9))
    wait_until(lambda: weir.drops("NO_SOCKET") == 1, "a drop")
    ledger = weir.ledger()
    for name in ("entered", "originated", "delivered", "transmitted", "forwarded", "absorbed",
                 "dropped", "held", "balance"):
        assert isinstance(ledger[name], int), name
    drop = [d for d in ledger["drops"] if d["reason"] == "NO_SOCKET"][0]
    assert {type(drop[n]) for n in ("reason", "function", "file")} == {str}
    assert drop["count"] == 1 and drop["line"] > 0
    assert drop["text"] and drop["severity"] == "info" and drop["linux"] == "NO_SOCKET"
    assert "port-rx" in drop["path"] and "ip4-input" in drop["path"]
    assert os.path.exists(os.path.join(TOP, drop["file"]))
    with open(os.path.join(TOP, drop["file"]), encoding="utf-8") as f:
        near = f.read().splitlines()[drop["line"] - 4:drop["line"] + 3]
    assert any("pkt_drop" in line for line in near), near


def test_stat_schema(weir):
    weir.nginx()
    stat = weir.stat()
    assert {"version", "stages", "ports", "workers", "sockets", "ledger"} <= set(stat)
    names = [s["stage"] for s in stat["stages"]]
    assert names[0] == "port-rx" and names[-1] == "port-tx"
    assert stat["stages"][0]["packets"] > 0
    tap = [p for p in stat["ports"] if p["name"] == "weir0"][0]
    assert tap["type"] == "tap" and tap["mtu"] == 1500 and tap["rx_packets"] > 0
    assert tap["addresses"] == [f"{WEIR_ADDR}/24"] and tap["sleep"] == "fd"
    loop = [p for p in stat["ports"] if p["type"] == "loop"][0]
    assert "127.0.0.1/8" in loop["addresses"]
    listener = [s for s in stat["sockets"] if s["state"] == "LISTEN"][0]
    assert listener["local"] == "0.0.0.0:80" and "nginx" in listener["program"]
    for part in ("stages", "ports", "workers", "sockets"):
        assert list(weir.json("stat", part)) == [part]


def test_text_output(weir):
    weir.nginx()
    for args, words in ((["ledger"], ["entered", "originated", "balance", "every packet"]),
                        (["stat"], ["stages, receive", "ports", "workers", "sockets", "LISTEN"]),
                        (["path"], ["ip4-input", "ip_rcv", "tcp-output", "tcp_write_xmit"]),
                        (["addr"], [f"{WEIR_ADDR}/24 dev weir0"]),
                        (["route"], ["198.18.0.0/24 dev weir0"]),
                        (["port"], ["weir0", "tap"])):
        out = weir.cli(*args)
        assert out.returncode == 0 and out.stderr == ""
        for word in words:
            assert word in out.stdout, (args, word, out.stdout)
        assert "\033" not in out.stdout  # colour on a terminal only


def test_drops(weir):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        for port in range(5):
            s.sendto(b"hello", (WEIR_ADDR, 9000 + port))
    wait_until(lambda: weir.drops("NO_SOCKET") == 5, "five drops")
    records = weir.json("drops", "-n", "3")
    assert len(records) == 3
    assert records[0]["reason"] == "NO_SOCKET" and records[0]["path"][0] == "port-rx"
    assert b"hello".hex() in records[0]["head"]
    assert int(records[0]["head"][72:76], 16) == 9004  # newest first: its destination port
    assert "NO_SOCKET" in weir.cli("drops").stdout


def test_addresses_and_routes_change(weir):
    def pings(addr):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(3)
            s.connect((addr, 9))
            s.send(b"x")
            try:
                s.recv(1)
            except ConnectionRefusedError:
                return True  # weir answers: no such port
            except OSError:
                return False
        return False

    assert weir.cli("addr", "add", "198.18.0.3/24", "dev", "weir0").returncode == 0
    assert {"address": "198.18.0.3/24", "ifindex": 2, "dev": "weir0"} in weir.json("addr")
    assert pings("198.18.0.3")
    out = weir.cli("addr", "add", "198.18.0.3/24", "dev", "weir0")
    assert out.returncode == 1 and "already" in out.stderr
    assert weir.cli("addr", "del", "198.18.0.3/24", "dev", "weir0").returncode == 0
    assert not any(a["address"] == "198.18.0.3/24" for a in weir.json("addr"))
    out = weir.cli("addr", "del", "198.18.0.3/24", "dev", "weir0")
    assert out.returncode == 1 and "is not an address of weir0" in out.stderr
    out = weir.cli("addr", "add", "198.18.0.3/24", "dev", "nosuch")
    assert out.returncode == 1 and "no port 'nosuch'" in out.stderr and "weir0" in out.stderr

    assert weir.cli("route", "add", "default", "via", KERNEL_ADDR).returncode == 0
    assert any(r["prefix"] == "default" and r["via"] == KERNEL_ADDR for r in weir.json("route"))
    out = weir.cli("route", "add", "default", "via", KERNEL_ADDR)
    assert out.returncode == 1 and "already" in out.stderr
    assert weir.cli("route", "del", "default").returncode == 0
    out = weir.cli("route", "del", "default")
    assert out.returncode == 1 and "no route" in out.stderr
    out = weir.cli("route", "add", "192.0.2.0/24", "via", "203.0.113.1")
    assert out.returncode == 1 and "gateway" in out.stderr


def test_parameters(weir):
    """As sysctl(8): shown, set, refused with words that help; a value counts at once."""
    assert weir.cli("sysctl", "tcp_syn_retries").stdout == "tcp_syn_retries = 6\n"
    out = weir.cli("sysctl", "-w", "tcp_syn_retries=2", "net.ipv4.tcp_rmem=4096 131072 4194304")
    assert out.returncode == 0
    assert out.stdout == "tcp_syn_retries = 2\ntcp_rmem = 4096 131072 4194304\n"
    everything = {p["name"]: p for p in weir.json("sysctl")}
    assert len(everything) > 40
    assert everything["tcp_syn_retries"]["value"] == "2"
    assert everything["tcp_syn_retries"]["default"] == "6"
    assert everything["tcp_syn_retries"]["max"] == 127
    listed = weir.cli("sysctl").stdout
    assert re.search(r"tcp_syn_retries +2 +6 +how often", listed), listed
    out = weir.cli("sysctl", "tcp_synretries", "tcp_ecn_fallback=0")
    assert out.returncode == 1 and "did you mean tcp_syn_retries?" in out.stderr
    assert out.stdout == "tcp_ecn_fallback = 0\n"  # the others are done
    out = weir.cli("sysctl", "tcp_syn_retries=1000")
    assert out.returncode == 1 and "from 1 to 127" in out.stderr
    weir.script("""
import socket
s = socket.socket()
assert s.getsockopt(socket.IPPROTO_TCP, socket.TCP_SYNCNT) == 2
""").done()


def test_counters(weir):
    """nstat's names; what a connection makes of them."""
    def counters():
        return {c["name"]: c["value"] for c in weir.json("nstat")}

    weir.nginx()
    before = counters()
    for _ in range(3):
        with socket.create_connection((WEIR_ADDR, 80), timeout=5) as s:
            s.sendall(b"GET / HTTP/1.0\r\n\r\n")
            while s.recv(65536):
                pass
    after = counters()
    assert after["TcpPassiveOpens"] - before["TcpPassiveOpens"] == 3
    assert after["TcpInSegs"] > before["TcpInSegs"]
    assert after["TcpOutSegs"] > before["TcpOutSegs"]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((WEIR_ADDR, 81), timeout=5)
    assert counters()["TcpOutRsts"] - before["TcpOutRsts"] == 1
    assert "TcpPassiveOpens" in weir.cli("nstat", "passive").stdout
    assert "no counter" in weir.cli("nstat", "nosuch").stdout


def test_what_tcp_knows(weir):
    """weir stat sockets -i: as ss -ti."""
    weir.nginx()
    with socket.create_connection((WEIR_ADDR, 80), timeout=5) as s:
        s.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        got = len(s.recv(65536))
        mine = [x for x in weir.json("stat", "sockets", "-i")["sockets"]
                if x["remote"].endswith(":%d" % s.getsockname()[1])]
        assert len(mine) == 1
        tcp = mine[0]["tcp"]
        assert tcp["congestion"] == "cubic" and "ts" in tcp["options"]
        assert tcp["bytes_sent"] >= got and tcp["snd_cwnd"] >= 10 and tcp["rtt"] > 0
        text = weir.cli("stat", "sockets", "-i").stdout
        assert re.search(r"ts sack cubic wscale:\d+,\d+ rto:[\d.]+ rtt:.* cwnd:\d+", text), text
    assert "tcp" not in weir.json("stat", "sockets")["sockets"][0]
    out = weir.cli("stat", "ports", "-i")
    assert out.returncode == 2 and "stat sockets -i" in out.stderr


def test_port_is_added(weir):
    assert weir.cli("port", "add", "tap,name=weir1,addr=198.18.1.1/24").returncode == 0
    assert weir.cli("addr", "add", "198.18.1.2/24", "dev", "weir1").returncode == 0
    weir.nginx()
    weir.wait_for_port(80, addr="198.18.1.2")
    out = weir.cli("port", "add", "tap,name=weir1")
    assert out.returncode == 1 and "weir1" in out.stderr, out.stderr
    weir.pool_free = None  # a port may keep buffers of its own


def test_port_is_busy(weir, folder):
    """The TAP belongs to the first: the second says so."""
    out = weird_command("--rundir", folder, "--instance", "second", "--port", TAP, "--addr",
                        "198.18.0.9/24")
    assert out.returncode != 0
    assert "weir0" in out.stderr and re.search("busy|in use|use it|already", out.stderr), out.stderr


def test_instance_is_taken(weir):
    out = weird_command("--rundir", weir.rundir, "--instance", weir.instance, "--port",
                        "tap,name=weir9")
    assert out.returncode != 0
    assert re.search("already|runs", out.stderr), out.stderr
    assert weir.daemon.running() and weir.cli("stat").returncode == 0


def test_no_permission(weir):
    """Another user is told so, and what to do."""
    out = weir_command("--rundir", weir.rundir, "stat", user="nobody", group="nogroup",
                       extra_groups=[])
    assert out.returncode == 1 and "no permission" in out.stderr, out.stderr


def test_config_file(make_weir, folder):
    path = os.path.join(folder, "weird.conf")
    with open(path, "w", encoding="utf-8") as f:
        f.write(f"# a comment\nport = {TAP}\naddr = {WEIR_ADDR}/24\nroute = default via "
                f"{KERNEL_ADDR}\nlog-level = debug\nsysctl = tcp_ecn=1\n")
    weir = make_weir(ports=(), options=["--config", path])
    weir.nginx()
    assert any(r["prefix"] == "default" for r in weir.json("route"))
    assert weir.cli("sysctl", "tcp_ecn").stdout == "tcp_ecn = 1\n"


def test_bad_config_file(net, folder):
    path = os.path.join(folder, "weird.conf")
    with open(path, "w", encoding="utf-8") as f:
        f.write("port = loop\ncolour = blue\n")
    out = weird_command("--rundir", folder, "--config", path)
    assert out.returncode != 0
    assert "line 2" in out.stderr and "colour" in out.stderr, out.stderr


def test_several_instances(make_weir):
    """Two on one host, each with a port and a server of its own."""
    one = make_weir(instance="one")
    two = make_weir(instance="two", tmp=one.tmp,
                    ports=[("tap,name=weirb,addr=198.18.3.1/24", "198.18.3.2/24")])
    one.nginx()
    with pytest.raises(OSError):
        socket.create_connection(("198.18.3.2", 80), timeout=5)
    assert [s for s in one.sockets() if s["state"] == "LISTEN"]
    assert not two.sockets()
    out = one.cli("--help")
    assert out.returncode == 0


def test_run_says_what_is_wrong(weir):
    out = weir.cli("run", "--", "/nonexistent/program")
    assert out.returncode in (126, 127) and "/nonexistent/program" in out.stderr
    out = weir.cli("run")
    assert out.returncode == 2 and out.stderr


def test_run_answers_as_the_program(weir):
    assert weir.cli("run", "--", "sh", "-c", "exit 42").returncode == 42
    assert weir.cli("run", "sh", "-c", "echo hello").stdout == "hello\n"


def test_socket_options_are_named_once(weir):
    """An option that weir has not is refused with Linux's errno and named in the log, once."""
    weir.script("""
import errno, socket
for i in range(3):
    s = socket.socket()
    try:
        s.setsockopt(socket.IPPROTO_TCP, 199, 1)
        raise SystemExit("accepted?")
    except OSError as error:
        assert error.errno == errno.ENOPROTOOPT, error
""").done()
    wait_until(lambda: "199" in weir.daemon.log(), "a line in the log")
    assert len([line for line in weir.daemon.log().splitlines() if "199" in line]) == 1


def test_json_of_everything(weir):
    for args in (["stat"], ["path"], ["ledger"], ["drops"], ["addr"], ["route"], ["port"],
                 ["sysctl"], ["nstat"]):
        out = weir.cli(*args, "--json")
        assert out.returncode == 0
        json.loads(out.stdout)
