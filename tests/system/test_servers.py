# SPDX-License-Identifier: BSD-3-Clause
"""Servers as they are run, unchanged: reloaded under load without a failed request, with threads,
processes and both, asked from weir and from the kernel's side. Each test looks at what the programs
say themselves, and at weir's own count of what passed."""
import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import time
import urllib.request

import pytest
from weirtest import PYTHON, WEIR_ADDR, make_file, sha256, wait_until

MODULES = "/usr/lib/apache2/modules"


def write(weir, name, text):
    path = os.path.join(weir.tmp, name)
    with open(path, "w", encoding="ascii") as f:
        f.write(text)
    return path


def get(port, path="/"):
    with urllib.request.urlopen(f"http://{WEIR_ADDR}:{port}{path}", timeout=10) as answer:
        return answer.read()


def listening(weir, port):
    """The sockets of weir that listen there, by weir's own word."""
    return [s for s in weir.sockets() if s["local"].endswith(f":{port}") and
            s["state"] == "LISTEN"]


@contextlib.contextmanager
def load(weir, port, path="/", seconds=2):
    """ab calls from the kernel's side for so long; not one request may fail, and weir has counted
    the connections."""
    before = weir.ledger()["delivered"]
    ab = weir.on_kernel("ab", "-q", "-r", "-t", str(seconds), "-n", "1000000", "-c", "8",
                        f"http://{WEIR_ADDR}:{port}{path}")
    yield ab
    out = ab.done(60)
    requests = int(re.search(r"Complete requests: +(\d+)", out)[1])
    assert re.search(r"Failed requests: +0\n", out) and "Non-2xx" not in out, out
    assert requests > 20
    assert weir.ledger()["delivered"] - before >= requests


HAPROXY = """global
    maxconn 200
    nbthread 2
    stats socket {tmp}/haproxy.sock mode 600 level admin expose-fd listeners
defaults
    mode http
    timeout client 10s
    timeout server 10s
    timeout connect 5s
frontend in
    bind :8081
    default_backend out
backend out
    server nginx 127.0.0.1:80 check inter 200ms
"""


def test_haproxy_reload(weir):
    """In front of nginx; new processes take the listener over the old one's UNIX socket (-x), and
    the old ones end (-sf)."""
    weir.nginx()
    conf = write(weir, "haproxy.cfg", HAPROXY.format(tmp=weir.tmp))
    haproxy = weir.on_weir("haproxy", "-db", "-f", conf)
    weir.wait_for_port(8081, program=haproxy)
    assert b"a page" in get(8081)
    with load(weir, 8081) as ab:
        for _ in range(3):
            assert ab.running()
            new = weir.on_weir("haproxy", "-db", "-f", conf, "-x", f"{weir.tmp}/haproxy.sock",
                               "-sf", str(haproxy.pid))
            assert haproxy.wait(20) == 0, haproxy.log()
            haproxy = new
    assert haproxy.running() and b"a page" in get(8081)
    stats = weir.on_kernel("socat", "-", f"UNIX-CONNECT:{weir.tmp}/haproxy.sock")
    assert stats.wait(10) == 0
    assert listening(weir, 8081)


def reload(haproxy, times):
    """haproxy forgets the signal in its first milliseconds, on the kernel as well: say it again."""
    sent = [0]

    def done():
        if time.monotonic() - sent[0] > 1:
            haproxy.child.send_signal(signal.SIGUSR2)
            sent[0] = time.monotonic()
        return haproxy.log().count("Loading success") >= times

    wait_until(done, "it is reloaded")


def test_haproxy_master_and_worker(weir):
    """The master executes itself for each reload, and hands the listener on."""
    weir.nginx()
    conf = write(weir, "haproxy.cfg", HAPROXY.format(tmp=weir.tmp))
    haproxy = weir.on_weir("haproxy", "-W", "-db", "-f", conf)
    weir.wait_for_port(8081, program=haproxy)
    with load(weir, 8081) as ab:
        for n in range(2, 4):
            assert ab.running()
            reload(haproxy, n)
    assert b"a page" in get(8081)


APACHE = """ServerRoot {tmp}
PidFile {tmp}/apache.pid
Listen 8080
ServerName weir.test
LoadModule mpm_{mpm}_module {modules}/mod_mpm_{mpm}.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule dir_module {modules}/mod_dir.so
ErrorLog {tmp}/apache.log
LogLevel notice
DocumentRoot {tmp}/www
StartServers 3
"""


@pytest.mark.parametrize("mpm", ["prefork", "event"])
def test_apache_graceful(weir, mpm):
    """Processes that accept in turn, or threads with epoll; a graceful restart under load."""
    os.mkdir(os.path.join(weir.tmp, "www"))
    write(weir, "www/index.html", "a page of apache\n")
    conf = write(weir, "apache.conf", APACHE.format(tmp=weir.tmp, mpm=mpm, modules=MODULES))
    apache = weir.on_weir("apache2", "-DFOREGROUND", "-f", conf)
    weir.wait_for_port(8080, program=apache)
    log = os.path.join(weir.tmp, "apache.log")

    def begun():
        with open(log, encoding="utf-8") as f:
            return f.read().count("resuming normal operations")

    with load(weir, 8080) as ab:
        for _ in range(2):
            assert ab.running()
            before = begun()
            apache.child.send_signal(signal.SIGUSR1)
            wait_until(lambda: begun() > before, "it began again")
    assert get(8080) == b"a page of apache\n"
    assert listening(weir, 8080)
    apache.end(signal.SIGTERM)


MEMCACHED_CLIENT = """
import socket, threading
def ask(stream, text, *answers):
    stream.write(text)
    stream.flush()
    for answer in answers:
        line = stream.readline()
        assert line == answer + b"\\r\\n", (line, answer)
def talk(n):
    stream = socket.create_connection(("127.0.0.1", 11211), timeout=20).makefile("rwb")
    for i in range(200):
        value = b"%d-%d." % (n, i) * 100
        ask(stream, b"set k%d 0 0 %d\\r\\n%s\\r\\n" % (n, len(value), value), b"STORED")
        ask(stream, b"get k%d\\r\\n" % n, b"VALUE k%d 0 %d" % (n, len(value)), value, b"END")
    done.append(n)
done = []
threads = [threading.Thread(target=talk, args=(n,)) for n in range(8)]
for t in threads: t.start()
for t in threads: t.join()
stream = socket.create_connection(("127.0.0.1", 11211)).makefile("rwb")
stream.write(b"stats\\r\\n")
stream.flush()
stats = {}
while (line := stream.readline()) != b"END\\r\\n":
    _, name, value = line.split(None, 2)
    stats[name] = value.strip()
print(len(done), int(stats[b"cmd_set"]), int(stats[b"get_hits"]), int(stats[b"threads"]))
"""


def test_memcached(weir):
    """Four threads, each with its epoll set, and connections that one of them hands out; UDP from
    the kernel's side."""
    server = weir.on_weir("memcached", "-u", "root", "-p", "11211", "-U", "11211", "-t", "4")
    weir.wait_for_port(11211, program=server)
    assert weir.script(MEMCACHED_CLIENT).done() == "8 1600 1600 4\n"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(10)
        s.sendto(b"\0\1\0\0\0\1\0\0get k3\r\n", (WEIR_ADDR, 11211))
        assert b"VALUE k3 0 " in s.recv(65536)


UNBOUND = """server:
    interface: 0.0.0.0
    port: 5353
    access-control: 0.0.0.0/0 allow
    username: ""
    chroot: ""
    directory: "{tmp}"
    pidfile: "{tmp}/unbound.pid"
    use-syslog: no
    num-threads: 2
    so-reuseport: yes
    local-zone: "test." static
    local-data: "a.test. A 192.0.2.1"
{large}
remote-control:
    control-enable: no
"""


def test_unbound(weir):
    """A thread a socket by SO_REUSEPORT; answers by UDP, and by TCP where they are too long."""
    large = "\n".join(
        f'    local-data: "long.test. TXT \\"{i:02}{"y" * 200}\\""' for i in range(30))
    conf = write(weir, "unbound.conf", UNBOUND.format(tmp=weir.tmp, large=large))
    server = weir.on_weir("unbound", "-d", "-c", conf)
    weir.wait_for_port(5353, program=server)
    ask = ("dig", "-p", "5353", "+short", "+tries=3", "+timeout=5")
    for how in (weir.on_weir, weir.on_kernel):
        at = "@127.0.0.1" if how == weir.on_weir else "@" + WEIR_ADDR
        assert how(*ask, at, "a.test").done() == "192.0.2.1\n"
        assert how(*ask, at, "+tcp", "a.test").done() == "192.0.2.1\n"
        assert how(*ask, at, "+bufsize=1200", "long.test", "TXT").done().count("yyy") >= 30
    assert len([s for s in weir.sockets() if s["proto"] == "udp"]) >= 2
    server.end(signal.SIGTERM)


NODE = """
const cluster = require("cluster"), http = require("http");
cluster.schedulingPolicy = process.argv[2] == "shared" ? cluster.SCHED_NONE : cluster.SCHED_RR;
if (cluster.isPrimary) {
    cluster.fork(); cluster.fork();
} else {
    http.createServer((q, r) => {
        let n = 0;
        q.on("data", d => n += d.length);
        q.on("end", () => r.end("got " + n + " "));
    }).listen(8000, "0.0.0.0");
}
"""

NODE_CLIENT = """
const http = require("http");
let left = 100;
for (let i = 0; i < 100; i++) {
    const q = http.request({ host: "127.0.0.1", port: 8000, method: "POST" }, r => {
        let text = "";
        r.on("data", d => text += d);
        r.on("end", () => {
            if (text != "got 100000 ") throw text;
            if (--left == 0) console.log("all");
        });
    });
    q.end("x".repeat(100000));
}
"""


@pytest.mark.parametrize("how", ["shared", "handed"])
def test_node_cluster(weir, how):
    """Workers that share a listener which the primary passed them, or get connections passed."""
    server = weir.on_weir("node", write(weir, "server.js", NODE), how)
    weir.wait_for_port(8000, program=server)
    assert weir.on_weir("node", write(weir, "client.js", NODE_CLIENT)).done() == "all\n"
    with load(weir, 8000, seconds=1):
        pass


def certificate(weir):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                    "-subj", "/CN=weir.test", "-keyout", f"{weir.tmp}/key.pem", "-out",
                    f"{weir.tmp}/cert.pem"], check=True, stderr=subprocess.DEVNULL, timeout=60)


def test_wget_and_curl(weir):
    """Downloads that go on where they stopped, TLS, HTTP/2 side by side, from chosen ports."""
    certificate(weir)
    weir.nginx()
    digest = make_file(os.path.join(weir.www, "big.bin"), 4 << 20)
    with open(weir.nginx_conf, encoding="utf-8") as f:
        conf = f.read()
    with open(weir.nginx_conf, "w", encoding="utf-8") as f:
        f.write(conf.replace("listen 80;", "listen 80; listen 443 ssl http2; ssl_certificate "
                             f"{weir.tmp}/cert.pem; ssl_certificate_key {weir.tmp}/key.pem;"))
    with open(os.path.join(weir.tmp, "nginx.pid"), encoding="ascii") as f:
        os.kill(int(f.read()), signal.SIGHUP)
    weir.wait_for_port(443)
    # wget: the second half
    part = os.path.join(weir.tmp, "big.bin")
    shutil.copy(os.path.join(weir.www, "big.bin"), part)
    os.truncate(part, 3 << 20)
    out = weir.on_weir("wget", "-c", "--no-check-certificate", "-P", weir.tmp,
                       "https://127.0.0.1/big.bin").done()
    assert "206 Partial Content" in out and sha256(part) == digest, out
    # curl
    curl = ("curl", "-sSkf", "-m", "60")
    out = weir.on_weir(*curl, "--http2", "-w", "%{http_version} %{size_download} %{local_ip}",
                       "-o", f"{weir.tmp}/two", "https://127.0.0.1/big.bin").done()
    assert out == f"2 {4 << 20} 127.0.0.1" and sha256(f"{weir.tmp}/two") == digest
    weir.on_weir(*curl, "--http2", "-Z", "-o", f"{weir.tmp}/side#1",
                 "https://127.0.0.1/big.bin?[1-6]").done()
    assert {sha256(f"{weir.tmp}/side{i}") for i in range(1, 7)} == {digest}
    out = weir.on_weir(*curl, "--tcp-fastopen", "--tcp-nodelay", "--keepalive-time", "1",
                       "--local-port", "5000-5100", "--interface", "127.0.0.1", "-o",
                       f"{weir.tmp}/from", "-w", "%{local_port}",
                       "http://127.0.0.1/big.bin").done()
    assert 5000 <= int(out) <= 5100 and sha256(f"{weir.tmp}/from") == digest, out


ASYNCIO = """
import asyncio, sys
async def talk(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except (ConnectionError, asyncio.CancelledError):
        pass
    writer.close()
async def client(n):
    reader, writer = await asyncio.open_connection("127.0.0.1", 7000)
    for i in range(10):
        writer.write(b"%04d" % n * 1000)
        await writer.drain()
        assert await reader.readexactly(4000) == b"%04d" % n * 1000
    writer.close()
    await writer.wait_closed()
    return "served"
async def cancelled(n):
    reader, writer = await asyncio.open_connection("127.0.0.1", 7000)
    try:
        await asyncio.wait_for(reader.read(1), 0.05)
    except asyncio.TimeoutError:
        writer.transport.abort()
        return "cancelled"
async def main():
    server = await asyncio.start_server(talk, "127.0.0.1", 7000, backlog=400)
    ends = await asyncio.gather(*[client(n) for n in range(150)],
                                *[cancelled(n) for n in range(100)])
    print(ends.count("served"), ends.count("cancelled"))
    server.close()
    await server.wait_closed()
asyncio.run(main())
"""


def test_asyncio_clients(weir):
    """250 connections in one loop, a hundred of which are given up while they wait."""
    assert weir.on_weir(PYTHON, "-c", ASYNCIO).done() == "150 100\n"
    wait_until(lambda: not [s for s in weir.sockets() if s["state"] != "TIME-WAIT"],
               "all connections are over")
