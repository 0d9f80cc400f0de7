# SPDX-License-Identifier: BSD-3-Clause
"""However a program finds the C library's functions, its sockets are weir's: early, late and deep
binding, libraries that are loaded later and call at once, functions found by hand."""
import os
import subprocess

import pytest
import weirtest

LOCAL = "127.0.0.1"

# Says on a socket of its own who it is, from its constructor (or from say(), called by name).
LIBRARY = r"""
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int say(const char *text)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(7000),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM, 0), r;
	char byte;

	if (fd < 0 || connect(fd, (struct sockaddr *)&in, sizeof(in)) < 0)
		return 1;
	r = write(fd, text, strlen(text)) < 0 || shutdown(fd, SHUT_WR) < 0 || read(fd, &byte, 1);
	return close(fd) || r;
}

__attribute__((constructor)) static void start(void)
{
	if (getenv("AT_ONCE") && say("constructor"))
		abort();
}
"""

PROGRAM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern char **environ;
int say(const char *text);

int main(int argc, char **argv)
{
#ifdef LINKED
	return say("linked");
#else
	int mode = RTLD_NOW | (strcmp(argv[2], "deep") == 0 ? RTLD_DEEPBIND : 0);
	void *library;
	int (*call)(const char *);

	if (strcmp(argv[2], "child") == 0) {
		/* Without the variables that brought weir here. */
		char *args[] = { argv[0], argv[1], "late", NULL };

		unsetenv("LD_PRELOAD");
		return execv(argv[0], args);
	}
	library = dlopen(argv[1], mode);
	if (!library) {
		fprintf(stderr, "%s\n", dlerror());
		return 1;
	}
	call = (int (*)(const char *))dlsym(library, "say");
	return getenv("AT_ONCE") ? 0 : call(argv[2]);
#endif
}
"""

NEEDS = """
int say(const char *text);
int main(int argc, char **argv) { return argc > 1 ? say(argv[1]) : 0; }
"""

SERVER = """
import socket
server = socket.create_server(("127.0.0.1", 7000))
conn, _ = server.accept()
print(conn.makefile().read(), flush=True)
conn.close()
"""


def compile_c(folder, name, text, *options):
    source, path = os.path.join(folder, name + ".c"), os.path.join(folder, name)
    with open(source, "w", encoding="ascii") as f:
        f.write(text)
    subprocess.run(["cc", "-std=gnu11", "-O2", "-o", path, source, *options], check=True,
                   timeout=60)
    return path


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("linking"))
    os.chmod(folder, 0o755)
    library = compile_c(folder, "libsay.so", LIBRARY, "-shared", "-fPIC")
    return {
        "library": library,
        "program": compile_c(folder, "program", PROGRAM, "-ldl"),
        "needs": compile_c(folder, "needs", NEEDS,
                           library, f"-Wl,-rpath,{folder}"),
        "now": compile_c(folder, "now", PROGRAM + LIBRARY, "-DLINKED", "-Wl,-z,now,-z,relro"),
        "lazy": compile_c(folder, "lazy", PROGRAM + LIBRARY, "-DLINKED", "-Wl,-z,lazy",
                          "-no-pie"),
        "noplt": compile_c(folder, "protected", PROGRAM + LIBRARY, "-DLINKED", "-fno-plt"),
    }


@pytest.fixture
def server(make_weir):
    weir = make_weir(ports=())
    server = weir.script(SERVER)
    weir.wait_for_socket(7000)
    return weir, server


@pytest.mark.parametrize("way", ["late", "deep", "child", "constructor", "deep constructor"])
def test_loaded_later(server, built, way):
    weir, program = server
    env = {"AT_ONCE": "1"} if "constructor" in way else None
    weir.on_weir(built["program"], built["library"], way.split()[0], env=env).done()
    expected = "constructor" if env else "late" if way == "child" else way
    assert program.done() == expected + "\n"


def test_constructor_before_ours(server, built):
    """A library that the program is linked to begins before what is preloaded."""
    weir, program = server
    weir.on_weir(built["needs"], env={"AT_ONCE": "1"}).done()
    assert program.done() == "constructor\n"


@pytest.mark.parametrize("how", ["now", "lazy", "noplt"])
@pytest.mark.parametrize("bind_now", ["", "1"])
def test_linked(server, built, how, bind_now):
    weir, program = server
    weir.on_weir(built[how], env={"LD_BIND_NOW": bind_now}).done()
    assert program.done() == "linked\n"


def test_found_by_hand(server):
    """By ctypes, from a handle of the C library itself: past every preload."""
    weir, program = server
    weir.script("""
import ctypes, struct
libc = ctypes.CDLL("libc.so.6", use_errno=True)
fd = libc.socket(2, 1, 0)
address = struct.pack("=H", 2) + struct.pack("!H4B8x", 7000, 127, 0, 0, 1)
assert libc.connect(fd, address, 16) == 0, ctypes.get_errno()
assert libc.send(fd, b"by hand", 7, 0) == 7
assert libc.shutdown(fd, 1) == 0
buf = ctypes.create_string_buffer(10)
assert libc.recv(fd, buf, 10, 0) == 0
assert libc.close(fd) == 0
""").done()
    assert program.done() == "by hand\n"


# A UNIX datagram socket as syslog's, and who asks for it.
SYSLOG = """
import os, socket, sys, syslog
path = sys.argv[1]
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(path)
syslog.openlog("tester")
syslog.syslog("a line")
assert b"tester: a line" in s.recv(1000)
import pwd
assert pwd.getpwuid(0).pw_name == "root"
"""


def test_syslog_and_users_stay_on_the_host(make_weir):
    """/dev/log (of a mount namespace) and nscd's socket are UNIX sockets."""
    weir = make_weir(ports=())
    folder = os.path.join(weir.tmp, "dev")
    os.makedirs(folder)
    wrap = ("unshare", "-m", "sh", "-c",
            f"mount -t tmpfs none {folder} && cp -a /dev/null /dev/urandom {folder} && "
            f"mount --rbind {folder} /dev && exec \"$@\"", "sh")
    weir.on_weir(weirtest.PYTHON, "-c", SYSLOG, "/dev/log", wrap=wrap).done()


# prctl(PR_SET_MDWE): no memory that was writable becomes executable, from the next mprotect() on.
LOCKED = """
import ctypes, os, sys
if ctypes.CDLL(None).prctl(65, 1, 0, 0, 0):
    sys.exit(77)
os.execvp(sys.argv[1], sys.argv[1:])
"""


def test_code_that_cannot_be_changed(make_weir):
    """Then names are the host's, which is said; the program's own calls are on weir."""
    weir = make_weir(ports=())
    program = weir.on_weir(weirtest.PYTHON, "-c", """
import socket
a = socket.create_server(("127.0.0.1", 7000))
b = socket.create_connection(a.getsockname())
c, _ = a.accept()
c.sendall(b"x")
assert b.recv(1) == b"x"
f = b.makefile("rwb")
""", wrap=(weirtest.PYTHON, "-c", LOCKED))
    if program.wait() == 77:
        pytest.skip("a kernel without PR_SET_MDWE")
    program.done()
    assert "the C library cannot be rewritten" in weir.daemon.log()


OWN_NAME = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>

/* As Erlang's machine has it: a name of the C library's, which goes on to its other name. */
static int calls;
int sigaction(int sig, const struct sigaction *act, struct sigaction *old)
{
	int (*next)(int, const struct sigaction *, struct sigaction *) =
		dlsym(RTLD_NEXT, "__sigaction");

	return calls++ ? -1 : next(sig, act, old);
}

static void handler(int sig)
{
	puts("handled");
}

int main(void)
{
	struct sigaction act = { .sa_handler = handler };

	if (sigaction(SIGUSR1, &act, NULL))
		return 1;
	return raise(SIGUSR1);
}
"""


def test_program_with_a_name_of_its_own(make_weir, tmp_path):
    """A program that defines one of the names, and calls the next one's alias, gets it once."""
    with open(tmp_path / "own.c", "w", encoding="ascii") as f:
        f.write(OWN_NAME)
    subprocess.run(["cc", "-rdynamic", "-o", str(tmp_path / "own"), str(tmp_path / "own.c")],
                   check=True, timeout=60)
    assert make_weir(ports=()).on_weir(str(tmp_path / "own")).done() == "handled\n"
