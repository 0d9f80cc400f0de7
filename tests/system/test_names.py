# SPDX-License-Identifier: BSD-3-Clause
"""Names: the C library's resolver on weir. Its questions go over weir to a name server on the other
side of the TAP, as /etc/resolv.conf, nsswitch.conf and hosts (of a mount namespace) say; the host's
network, where the same address is also the server's own, sees none of them."""
import contextlib
import os
import socket
import subprocess
import threading

import pytest
import weirtest
from nameserver import A, AAAA, CNAME, PTR, TXT, NameServer
from weirtest import KERNEL_ADDR, WEIR_ADDR

HERE = os.path.dirname(os.path.abspath(__file__))
SECOND_ADDR = "198.18.0.9"  # another name server
HOST_ONLY = "10.77.0.1"     # the host's network has it, weir does not
INET, INET6, UNSPEC = socket.AF_INET, socket.AF_INET6, 0
CANON = socket.AI_CANONNAME

RECORDS = {
    ("one.test", A): ["10.1.1.1"],
    ("one.test", AAAA): ["2001:db8::1"],
    ("one.test", TXT): ["text"],
    ("www.one.test", CNAME): ["one.test"],
    ("four.test", A): ["10.1.1.4"],
    ("short.sub.test", A): ["10.1.1.7"],
    ("near.test", A): ["10.77.0.5", "198.18.0.77"],
    ("many.test", A): [f"10.2.0.{i}" for i in range(1, 61)],
    ("web.test", A): [KERNEL_ADDR],
    ("1.1.1.10.in-addr.arpa", PTR): ["one.test"],
}


def make_files(folder, servers, options="", hosts="files dns"):
    files = {
        "resolv.conf": "".join(f"nameserver {s}\n" for s in servers) +
                       f"search sub.test\noptions timeout:1 attempts:2 {options}\n",
        "hosts": "127.0.0.1 localhost\n192.0.2.9 hosts.test nick\n",
        "nsswitch.conf": f"passwd: files\nhosts: {hosts}\nservices: files\n",
    }
    for name, text in files.items():
        with open(os.path.join(folder, name), "w", encoding="ascii") as f:
            f.write(text)
    return files


class Names:
    """weir, a name server, and programs that find it in their own /etc."""

    def __init__(self, weir, program):
        self.weir, self.program, self.servers = weir, program, []

    def serve(self, addr=KERNEL_ADDR, **how):
        server = NameServer(addr, RECORDS, **how)
        self.servers.append(server)
        return server

    def run(self, *argv, servers=(KERNEL_ADDR,), options="", hosts="files dns", timeout=30,
            env=None, before="true"):
        files = make_files(self.weir.tmp, servers, options, hosts)
        mounts = before + " && " + " && ".join(f"mount --bind {self.weir.tmp}/{f} /etc/{f}"
                                               for f in files)
        wrap = ("unshare", "-m", "sh", "-c", mounts + ' && exec "$@"', "sh")
        return self.weir.on_weir(*argv, wrap=wrap, env=env).done(timeout)

    def ask(self, *args, **how):
        return self.run(self.program, *args, **how)

    def check_sources(self):
        """All questions came from weir's address: none from the host's network."""
        asked = [q for s in self.servers for q in s.queries]
        assert asked
        assert {q.source for q in asked} == {WEIR_ADDR}, asked
        sent = self.weir.stat()
        return asked, sent


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    folder = tmp_path_factory.mktemp("names")
    os.chmod(folder, 0o755)
    path = str(folder / "shim_names")
    subprocess.run(["cc", "-std=gnu11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Werror", "-o", path,
                    os.path.join(HERE, "shim_names.c"), "-lresolv"], check=True, timeout=60)
    return path


@pytest.fixture
def names(weir, program):
    names = Names(weir, program)
    yield names
    for server in names.servers:
        server.close()


@pytest.mark.parametrize("name,family,flags,expected", [
    ("one.test", INET, 0, "-: 10.1.1.1"),
    ("www.one.test", INET, CANON, "one.test: 10.1.1.1"),
    ("four.test", UNSPEC, 0, "-: 10.1.1.4"),
    ("one.test", INET6, 0, "-: 2001:db8::1"),
    ("short", INET, CANON, "short.sub.test: 10.1.1.7"),
    ("hosts.test", INET, 0, "-: 192.0.2.9"),
    ("nick", INET, CANON, "hosts.test: 192.0.2.9"),
    ("nobody.test", INET, 0, "Name or service not known"),
    ("198.18.0.5", INET, 0, "-: 198.18.0.5"),
], ids=lambda v: str(v))
def test_getaddrinfo(names, name, family, flags, expected):
    server = names.serve()
    out = names.ask("addrinfo", name, str(int(family)), str(int(flags)))
    assert out.strip() == expected
    if name in ("hosts.test", "nick", "198.18.0.5"):
        assert not server.queries  # /etc/hosts, and what is no name, need no server
    else:
        names.check_sources()


def test_sorted_by_weirs_routes(names):
    """getaddrinfo() puts first what can be reached, which it finds by connecting datagram sockets:
    weir reaches its own network, and not one that only the host has."""
    subprocess.run(["ip", "addr", "add", f"{HOST_ONLY}/24", "dev", "lo"], check=True, timeout=10)
    names.serve()
    assert names.ask("addrinfo", "near.test", str(INET), "0") == "-: 198.18.0.77 10.77.0.5\n"
    names.check_sources()


def test_gethostbyname(names):
    names.serve()
    assert names.ask("host", "www.one.test") == "one.test (www.one.test): 10.1.1.1\n" * 3
    assert names.ask("host", "nobody.test") == "Unknown host\n" * 3
    names.check_sources()


def test_addresses_to_names(names):
    names.serve()
    assert names.ask("addr", "10.1.1.1") == "one.test http\none.test: 10.1.1.1\n"
    assert names.ask("addr", "10.1.1.2") == "Name or service not known\nUnknown host\n"
    asked, _ = names.check_sources()
    assert {q.kind for q in asked} == {PTR}


def test_res_query(names):
    server = names.serve()
    assert names.ask("query", "one.test", "short", str(A)) == "code 0, 1 answers\n" * 3
    assert names.ask("query", "one.test", "one.test", str(TXT)) == "code 0, 1 answers\n" * 3
    names.check_sources()
    assert any(q.name == "short.sub.test" for q in server.queries)


def test_truncated_goes_by_tcp(names):
    server = names.serve(big=["many.test"])
    out = names.ask("addrinfo", "many.test", str(INET), "0")
    assert len(out.split()) == 61
    assert [q.proto for q in server.queries] == ["udp", "tcp"]
    assert names.ask("query", "many.test", "many.test", str(A)) == "code 0, 60 answers\n" * 3
    names.check_sources()


def test_edns(names):
    server = names.serve()
    names.ask("addrinfo", "one.test", str(INET), "0", options="edns0")
    assert [q.edns_bytes for q in server.queries] == [1200]
    names.check_sources()


@pytest.mark.parametrize("first", ["silent", "closed"])
def test_second_server(names, first):
    """The first does not answer (a time-out), or nobody is there (an ICMP error)."""
    subprocess.run(["ip", "addr", "add", f"{SECOND_ADDR}/24", "dev", "weir0"], check=True,
                   timeout=10)
    if first == "silent":
        names.serve(silent=True)
    second = names.serve(SECOND_ADDR)
    out = names.ask("addrinfo", "one.test", str(INET), "0", servers=(KERNEL_ADDR, SECOND_ADDR))
    assert out == "-: 10.1.1.1\n"
    assert second.queries
    names.check_sources()


def test_no_server_answers(names):
    names.serve(silent=True)
    out = names.ask("addrinfo", "one.test", str(INET), "0", options="attempts:1")
    assert out == "Temporary failure in name resolution\n"
    names.check_sources()


def test_getent_and_python(names):
    names.serve()
    out = names.run("getent", "ahostsv4", "www.one.test")
    assert out.split("\n")[0].split() == ["10.1.1.1", "STREAM", "one.test"]
    assert names.run("getent", "hosts", "nick").split() == ["192.0.2.9", "hosts.test", "nick"]
    out = names.run(weirtest.PYTHON, "-c", "import socket\n"
                    "print(sorted({a[4][0] for a in socket.getaddrinfo('one.test', 80)}))\n"
                    "print(socket.gethostbyname('short'), socket.gethostbyaddr('10.1.1.1')[0])")
    assert out == "['10.1.1.1', '2001:db8::1']\n10.1.1.7 one.test\n"
    names.check_sources()


def test_curl_by_name(names):
    """A web server on the kernel's side, found by its name."""
    server = socket.create_server((KERNEL_ADDR, 8080))

    def serve():
        conn, source = server.accept()
        with conn:
            conn.recv(1000)
            text = f"you are {source[0]}".encode()
            conn.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % len(text) + text)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    names.serve()
    assert names.run("curl", "-s", "http://web.test:8080/") == f"you are {WEIR_ADDR}"
    thread.join(5)
    server.close()
    names.check_sources()


def test_without_rewriting_the_host_is_asked(names):
    """What the rewriting is for; and the switch works."""
    server = names.serve()
    out = names.ask("addrinfo", "one.test", str(INET), "0", env={"WEIR_REWRITE": "0"})
    assert out == "-: 10.1.1.1\n"
    assert {q.source for q in server.queries} == {KERNEL_ADDR}


FAKE_MODULE = r"""
#include <errno.h>
#include <netdb.h>
#include <nss.h>
#include <string.h>
#include <sys/socket.h>
/* Every name is 192.0.2.66. */
enum nss_status _nss_resolve_gethostbyname_r(const char *name, struct hostent *host, char *buf,
					     size_t room, int *err, int *herr)
{
	static char *none[1], addr[] = { (char)192, 0, 2, 66 }, *addrs[] = { addr, 0 };
	*host = (struct hostent){ (char *)name, none, AF_INET, 4, addrs };
	return NSS_STATUS_SUCCESS;
}
enum nss_status _nss_resolve_gethostbyname2_r(const char *name, int family, struct hostent *host,
					      char *buf, size_t room, int *err, int *herr)
{
	return family == AF_INET ? _nss_resolve_gethostbyname_r(name, host, buf, room, err, herr)
				 : NSS_STATUS_NOTFOUND;
}
"""


@pytest.fixture(scope="module")
def module(tmp_path_factory):
    """A module for hosts, under systemd-resolved's name, that answers for every name."""
    folder = tmp_path_factory.mktemp("module")
    os.chmod(folder, 0o755)
    with open(folder / "module.c", "w", encoding="ascii") as f:
        f.write(FAKE_MODULE)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", str(folder / "libnss_resolve.so.2"),
                    str(folder / "module.c")], check=True, timeout=60)
    return str(folder)


def test_modules_of_the_host_are_left_out(names, module):
    """What would ask a process of the host's is not asked, and the log says so; the kernel's
    program, to compare, takes the module's word."""
    names.serve()
    hosts = "files resolve [!UNAVAIL=return] dns"
    env = {"LD_LIBRARY_PATH": module}
    out = names.ask("addrinfo", "one.test", str(INET), "0", hosts=hosts, env=env)
    assert out == "-: 10.1.1.1\n"
    assert names.ask("host", "one.test", hosts=hosts, env=env) == "one.test: 10.1.1.1\n" * 3
    asked, _ = names.check_sources()
    assert {q.name for q in asked} == {"one.test"}
    assert "names: resolve of /etc/nsswitch.conf would ask the host's network: not asked" in \
        names.weir.daemon.log()
    wrap = ("unshare", "-m", "sh", "-c", f"mount --bind {names.weir.tmp}/nsswitch.conf "
            '/etc/nsswitch.conf && exec "$@"', "sh")
    kernel = names.weir.on_kernel(*wrap, names.program, "addrinfo", "one.test", str(INET), "0",
                                  env=env).done()
    assert kernel == "-: 192.0.2.66\n"


@contextlib.contextmanager
def fake_nscd(path):
    """A socket where nscd would answer; counts who calls, and hangs up."""
    calls = []
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    os.chmod(path, 0o666)
    server.listen(8)

    def serve():
        with contextlib.suppress(OSError):
            while True:
                conn, _ = server.accept()
                calls.append(conn.recv(1000))
                conn.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield calls
    server.shutdown(socket.SHUT_RDWR)
    server.close()
    thread.join(5)


def test_cache_of_hosts_is_not_asked(names):
    """nscd's cache of hosts is the host's; who a user is, it may still be asked."""
    names.serve()
    folder = os.path.join(names.weir.tmp, "nscd")
    os.mkdir(folder)
    there = "mkdir -p /run/nscd && mount -t tmpfs none /run && mkdir /run/nscd && " \
            f"mount --bind {folder} /run/nscd"
    code = "import socket; print(socket.gethostbyname('one.test'), " \
           "socket.gethostbyaddr('10.1.1.1')[0])"
    with fake_nscd(os.path.join(folder, "socket")) as calls:
        assert names.run(weirtest.PYTHON, "-c", code, before=there) == "10.1.1.1 one.test\n"
        assert not calls
        assert names.run("getent", "passwd", "root", before=there).startswith("root:")
        assert calls
    names.check_sources()


def test_stub_of_the_host(names):
    """A name server on the host's loopback: on weir nobody is there, which is said once with what
    to do; and that helps."""
    out = names.ask("addrinfo", "one.test", str(INET), "0", servers=("127.0.0.53",),
                    options="attempts:1")
    assert "Temporary failure in name resolution" in out
    assert out.count("weir: /etc/resolv.conf names 127.0.0.53") == 1, out
    assert "weir run --kernel 127.0.0.53 -- shim_names" in out, out
    assert "no name server listens on weir's 127.0.0.53" in names.weir.daemon.log()
    stub = names.serve("127.0.0.53")
    out = names.ask("addrinfo", "one.test", str(INET), "0", servers=("127.0.0.53",),
                    env={"WEIR_KERNEL": "127.0.0.53"})
    assert out == "-: 10.1.1.1\n" and stub.queries


def test_own_name(names):
    """The module for the host's own name tells weir's addresses."""
    out = names.run("getent", "ahostsv4", socket.gethostname(), hosts="myhostname")
    assert out.split()[0] == WEIR_ADDR and KERNEL_ADDR not in out, out


def test_nobodys_name_and_port(names):
    """What servers ask for that listen on every address: the C library connects to port 0."""
    out = names.run(weirtest.PYTHON, "-c", "import socket\n"
                    "print({a[4][:2] for a in socket.getaddrinfo(None, 0, 0, socket.SOCK_STREAM, "
                    "0, socket.AI_PASSIVE)})")
    assert "('0.0.0.0', 0)" in out, out
