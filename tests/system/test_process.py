# SPDX-License-Identifier: BSD-3-Clause
"""Processes: children and new images that have a program's sockets. Each script runs on weir and on
the kernel, and has to say the same."""
import os
import subprocess

import pytest
import weirtest

# What the scripts share.
COMMON = """
import array, encodings.idna, os, resource, select, signal, socket, struct, subprocess, sys
import threading, time
def pair():
    server = socket.create_server(("127.0.0.1", 0))
    client = socket.create_connection(server.getsockname())
    conn, _ = server.accept()
    server.close()
    client.settimeout(20)
    return client, conn
def until_end(s):
    data = b""
    while part := s.recv(65536):
        data += part
    return data
"""


@pytest.fixture
def weir(make_weir):
    return make_weir(ports=())


def both(weir, text, *args):
    on_weir = weir.script(COMMON + text, *args).done(60)
    on_kernel = weir.on_kernel(weirtest.PYTHON, "-c", COMMON + text, *args).done(60)
    assert on_weir == on_kernel
    weirtest.wait_until(lambda: not any(s["pid"] for s in weir.sockets()),
                        "all sockets are released", 15)
    return on_weir


def test_posix_spawn(weir):
    """A file action puts a connection onto 0 and 1, which close-on-exec does not keep from it; the
    other sockets are not the child's."""
    both(weir, """
client, conn = pair()
other, far = pair()
pid = os.posix_spawn("/bin/cat", ["cat"], {}, file_actions=[
    (os.POSIX_SPAWN_DUP2, conn.fileno(), 0), (os.POSIX_SPAWN_DUP2, conn.fileno(), 1)])
conn.close()
far.close()
print(other.recv(1))
client.sendall(b"through cat")
client.shutdown(socket.SHUT_WR)
print(until_end(client), os.waitpid(pid, 0)[1])
""")


def test_posix_spawn_fails(weir):
    both(weir, """
client, conn = pair()
for name in ("/no/such/program", "/etc/passwd"):
    try:
        os.posix_spawn(name, ["x"], {}, file_actions=[(os.POSIX_SPAWN_DUP2, conn.fileno(), 0)])
    except OSError as e:
        print(e.errno)
conn.close()
print(client.recv(1))
""")


def test_system(weir):
    """system(): a shell whose standard input and output are a connection, by a redirection."""
    both(weir, """
client, conn = pair()
os.set_inheritable(conn.fileno(), True)
client.sendall(b"to the shell\\n")
client.shutdown(socket.SHUT_WR)
print(os.WEXITSTATUS(os.system(f"cat <&{conn.fileno()} >&{conn.fileno()}; exit 7")))
conn.close()
print(until_end(client))
""")


def test_popen(weir, tmp_path):
    """popen() of the C library, with a connection as standard input of the command."""
    source = tmp_path / "popens.c"
    source.write_text("""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
int main(void) {
    char line[64] = "";
    FILE *r = popen("cat", "r"), *w = popen("cat >/dev/null; exit 3", "w");
    if (!r || !w || !fgets(line, sizeof(line), r)) return 1;
    printf("%s", line);
    fputs("x", w);
    printf("%d %d\\n", WEXITSTATUS(pclose(w)), pclose(r));
    return 0;
}
""")
    os.chmod(tmp_path, 0o755)
    program = str(tmp_path / "popens")
    subprocess.run(["cc", "-D_GNU_SOURCE", "-o", program, str(source)], check=True, timeout=60)
    assert both(weir, """
client, conn = pair()
child = subprocess.Popen([sys.argv[1]], stdin=conn, stdout=subprocess.PIPE)
conn.close()
client.sendall(b"a line\\n")
client.shutdown(socket.SHUT_WR)
print(child.stdout.read(), child.wait())
""", program) == "b'a line\\n3 0\\n' 0\n"


@pytest.mark.parametrize("argv", [["cat"], ["sh", "-c", "cat"], ["env", "-i", "/bin/cat"],
                                  ["env", "-i", "/bin/sh", "-c", "exec /bin/cat"],
                                  ["setsid", "-w", "nice", "cat"]])
def test_inetd(weir, argv):
    """A server that forks, puts a connection onto 0, 1, 2, closes the rest and executes."""
    assert both(weir, """
client, conn = pair()
if os.fork() == 0:
    for fd in (0, 1, 2):
        os.dup2(conn.fileno(), fd)
    os.closerange(3, 256)
    os.execvp(sys.argv[1], sys.argv[1:])
conn.close()
client.sendall(b"hello")
client.shutdown(socket.SHUT_WR)
print(until_end(client), os.wait()[1])
""", *argv) == "b'hello' 0\n"


def test_chain_of_images(weir):
    """Numbers change between images, and a listener goes through three of them."""
    both(weir, """
server = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(server.getsockname())
os.dup2(server.fileno(), 9)
server.close()
second = 'exec 7<&5 5<&-; exec "$0" -c "$1"'
first = 'exec 5<&9 9<&-; exec sh -c "$0" "$1" "$2"'
os.execvp("sh", ["sh", "-c", first, second, sys.executable, '''
import socket
server = socket.socket(fileno=7)
conn, _ = server.accept()
conn.sendall(b"x")
print(server.family, server.getsockname()[0], conn.getsockname() == server.getsockname())
'''])
""")


def test_exec_releases_the_rest(weir):
    """What is close-on-exec, and what was left, ends with the image."""
    both(weir, """
a, b = pair()
c, d = pair()
os.set_inheritable(c.fileno(), True)
pid = os.fork()
if pid == 0:
    b.close()
    d.close()
    c.sendall(b"last words")
    os.execvp("cat", ["cat", f"/proc/self/fd/{a.fileno()}"])
a.close()
c.close()
print(b.recv(10), until_end(d), os.wait()[1] != 0)
""")


def test_timeouts_and_linger_go_along(weir):
    both(weir, """
client, conn = pair()
conn.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, 100000))
conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 5))
conn.setblocking(False)
os.set_inheritable(conn.fileno(), True)
text = '''
import fcntl, os, socket, struct, sys
s = socket.socket(fileno=int(sys.argv[1]))
print(s.getsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, 16),
      s.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8), s.type, s.family,
      fcntl.fcntl(s, fcntl.F_GETFL))
'''
print(subprocess.run([sys.executable, "-c", text, str(conn.fileno())], close_fds=False,
    capture_output=True))
""")


def test_many_inherited(weir):
    both(weir, """
pairs = [pair() for _ in range(150)]
for _, conn in pairs:
    os.set_inheritable(conn.fileno(), True)
text = '''
import os, sys
for fd in sys.argv[1:]:
    os.write(int(fd), fd.encode())
'''
child = subprocess.Popen([sys.executable, "-c", text] + [str(c.fileno()) for _, c in pairs],
    close_fds=False)
print(all(int(a.recv(10)) == b.fileno() for a, b in pairs), child.wait())
""")


def test_threads_that_exec_and_fork(weir):
    """Connections go to their own children only, also while other threads start some: each end is
    seen as soon as its own child has ended."""
    both(weir, """
def one(number):
    for _ in range(8):
        client, conn = pair()
        child = subprocess.Popen(["cat"], stdin=conn, stdout=conn)
        conn.close()
        client.sendall(b"%d" % number)
        client.shutdown(socket.SHUT_WR)
        assert until_end(client) == b"%d" % number
        assert child.wait() == 0
        client.close()
threads = [threading.Thread(target=one, args=(n,)) for n in range(6)]
for t in threads: t.start()
for t in threads: t.join()
print("done")
""")


def test_empty_environment(weir):
    """execve() without an environment: the new image is on weir all the same."""
    weir.script(COMMON + """
server = socket.create_server(("127.0.0.1", 7000))
text = "import socket; socket.create_connection(('127.0.0.1', 7000)).sendall(b'x')"
if os.fork() == 0:
    os.execve(sys.executable, [sys.executable, "-c", text], {})
conn, _ = server.accept()
assert until_end(conn) == b"x" and os.wait()[1] == 0
""").done(30)


def test_background(weir):
    """A daemon: forks twice, leaves its session and all descriptors, and lowers its limit."""
    both(weir, """
server = socket.create_server(("127.0.0.1", 0))
if os.fork() == 0:
    os.setsid()
    if os.fork() != 0:
        os._exit(0)
    os.chdir("/")
    fd = os.open("/dev/null", os.O_RDWR)
    kept = os.dup(server.fileno())
    for i in range(3, 4096):
        if i != kept:
            try:
                os.close(i)
            except OSError:
                pass
    for i in range(3):
        os.dup2(os.open("/dev/null", os.O_RDWR), i)
    resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16))
    s = socket.socket(fileno=kept)
    s.settimeout(20)
    conn, _ = s.accept()
    conn.sendall(conn.recv(100))
    threading.Thread(target=lambda: conn.sendall(b" and a thread")).start()
    sys.exit(0)
client = socket.create_connection(server.getsockname())
server.close()
client.sendall(b"daemon")
print(until_end(client), os.wait()[1])
""")


@pytest.mark.parametrize("call", ["os.closerange(3, 1 << 20)", "close_range(3, ~0 & 0xffffffff, 0)",
                                  "libc.closefrom(3)",
                                  "[libc.close(i) for i in range(3, 65536)]"])
def test_closes_all_then_works(weir, call):
    """A program that closes all descriptors at its start, and again later on."""
    both(weir, f"""
import ctypes
libc = ctypes.CDLL(None)
close_range = libc.close_range
for turn in range(2):
    {call}
    client, conn = pair()
    client.sendall(b"x")
    print(conn.recv(1), conn.fileno() < 16)
    client.detach()
    conn.detach()
{call}
""")


def copy_of_true(tmp_path, **options):
    os.chmod(tmp_path, 0o755)
    path = str(tmp_path / "true")
    subprocess.run(["cp", "/bin/true", path], check=True)
    for what, how in options.items():
        subprocess.run([what, *how, path], check=True)
    return path


@pytest.mark.parametrize("options,words", [
    ({"chown": ["nobody"], "chmod": ["u+s"]}, "set-user-ID"),
    ({"chgrp": ["nogroup"], "chmod": ["g+s"]}, "set-group-ID"),
])
def test_privileged_image_is_refused(weir, tmp_path, options, words):
    """The loader would drop the preload, and the program would be on the host's network."""
    path = copy_of_true(tmp_path, **options)
    out = weir.script(COMMON + """
for how in (lambda p: os.execv(p, [p]), lambda p: os.posix_spawn(p, [p], os.environ),
            lambda p: os.execve(os.open(p, os.O_RDONLY), [p], {})):
    try:
        how(sys.argv[1])
    except PermissionError as e:
        print("refused")
""", path).done(30)
    assert out.count("refused") == 3 and out.count(words) == 3, out


def test_image_of_a_lesser_user(weir, tmp_path):
    """Effective user changed, real one kept: the loader drops preloads."""
    out = weir.script(COMMON + """
pid = os.fork()
if pid == 0:
    os.seteuid(65534)
    try:
        os.execv("/bin/true", ["true"])
    except PermissionError:
        os._exit(5)
print(os.WEXITSTATUS(os.wait()[1]))
""").done(30)
    assert "differ" in out and out.endswith("5\n"), out


def test_behind_chroot(weir, tmp_path):
    """The library is not there: refused. Sockets that were made before, and new ones, work on."""
    os.chmod(tmp_path, 0o755)
    out = weir.script(COMMON + """
root = sys.argv[1]
for name in ("/bin", "/lib64"):
    os.mkdir(root + name)
subprocess.run(["cp", "/bin/true", root + "/bin/true"])
client, conn = pair()
os.chroot(root)
os.chdir("/")
try:
    os.execv("/bin/true", ["true"])
except PermissionError:
    print("refused")
a, b = pair()
b.sendall(b"x")
conn.sendall(b"y")
print(a.recv(1), client.recv(1))
""", str(tmp_path)).done(30)
    assert "in reach" in out and out.endswith("refused\nb'x' b'y'\n"), out


@pytest.mark.parametrize("drop", ["os.setgid(65534); os.setuid(65534)",
                                  "os.setresgid(1, 1, 1); os.setresuid(1, 1, 1)",
                                  "os.seteuid(65534)", "os.chroot(sys.argv[1])"])
def test_first_socket_after_privileges_are_dropped(weir, tmp_path, drop):
    """A program that has no socket yet when it becomes another user, or leaves its root: its
    session is made before."""
    os.chmod(tmp_path, 0o755)
    assert both(weir, f"""
{drop}
client, conn = pair()
if os.fork() == 0:
    conn.sendall(b"served")
    os._exit(0)
conn.close()
print(until_end(client))
""", str(tmp_path)) == "b'served'\n"


CLOSEFROM = """
#include "shim_case.h"
#include <spawn.h>
extern char **environ;
int main(void)
{
    posix_spawn_file_actions_t actions;
    char *argv[] = { "sh", "-c", "cat; ls /proc/self/fd | wc -l", NULL };
    char buf[64];
    int a, b, n, got = 0;
    pid_t pid;
    pair(&a, &b);
    dup(0);
    dup(0);
    CHECK(posix_spawn_file_actions_init(&actions) == 0);
    CHECK(posix_spawn_file_actions_adddup2(&actions, b, 0) == 0);
    CHECK(posix_spawn_file_actions_adddup2(&actions, b, 1) == 0);
    CHECK(posix_spawn_file_actions_addclosefrom_np(&actions, 3) == 0);
    CHECK(posix_spawn(&pid, "/bin/sh", &actions, NULL, argv, environ) == 0);
    close(b);
    CHECK(send(a, "x", 1, 0) == 1 && shutdown(a, SHUT_WR) == 0);
    while ((n = recv(a, buf + got, sizeof(buf) - got, 0)) > 0)
        got += n;
    CHECK(n == 0 && got > 1 && buf[0] == 'x');
    reap(pid);
    return 0;
}
"""


def test_closefrom_action(weir, tmp_path):
    """A file action closes everything but the connection on 0 and 1."""
    os.chmod(tmp_path, 0o755)
    source, path = tmp_path / "closefrom.c", str(tmp_path / "closefrom")
    source.write_text(CLOSEFROM)
    subprocess.run(["cc", "-std=gnu11", "-D_GNU_SOURCE", "-I", os.path.dirname(__file__), "-o",
                    path, str(source)], check=True, timeout=60)
    weir.on_kernel(path).done(30)
    weir.on_weir(path).done(30)
