# SPDX-License-Identifier: BSD-3-Clause
"""Whatever a program on weir starts, in whatever way, is on weir, or is refused with words: none is
silently on the host's network. The programs started here say themselves which network they are on
(where.c)."""
import itertools
import os
import shutil
import subprocess
import tempfile

import pytest
import weirtest
from weirtest import KERNEL_ADDR, WEIR_ADDR

HERE = os.path.dirname(os.path.abspath(__file__))
ON_WEIR, ON_KERNEL = f"on {WEIR_ADDR}", f"on {KERNEL_ADDR}"
KINDS = ("static", "dynamic")


def build(folder, name, *options, source="where.c"):
    path = os.path.join(folder, name)
    subprocess.run(["cc", "-std=gnu11", "-D_GNU_SOURCE", "-O2", "-I", HERE, "-o", path,
                    source if source.startswith("/") else os.path.join(HERE, source), *options],
                   check=True, timeout=60)
    return path


@pytest.fixture(scope="module")
def where():
    """The program that says where it is, linked in both ways: a folder that has them by name, and
    that every user can look into."""
    folder = tempfile.mkdtemp(prefix="weir-where-")
    os.chmod(folder, 0o755)
    build(folder, "static", "-static")
    build(folder, "dynamic")
    yield folder
    shutil.rmtree(folder)


def test_says_where(weir, where):
    """The measure itself: on the kernel these programs say so."""
    for kind in KINDS:
        assert weir.on_kernel(f"{where}/{kind}", "x").done(20) == f"{ON_KERNEL} x\n"
        assert weir.on_weir(f"{where}/{kind}", "x").done(20) == f"{ON_WEIR} x\n"


# ---- every way of starting ----

WAYS = r"""
#include "where.h"
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
extern char **environ;
static char *folder, *name, path[4096];
static char *argv[] = { "where", "x", NULL };
static int spawned(int err, pid_t pid)
{
	int status;
	return err ? err : waitpid(pid, &status, 0) == pid ? WEXITSTATUS(status) : 99;
}
static int spawn(int relative, int by_fd, int search)
{
	posix_spawn_file_actions_t actions;
	pid_t pid;
	int err, fd = open(folder, O_RDONLY | O_DIRECTORY);
	posix_spawn_file_actions_init(&actions);
	if (by_fd)
		posix_spawn_file_actions_addfchdir_np(&actions, fd);
	else if (relative)
		posix_spawn_file_actions_addchdir_np(&actions, folder);
	if (search)
		err = posix_spawnp(&pid, name, &actions, NULL, argv, environ);
	else
		err = posix_spawn(&pid, relative ? name : path, &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	return spawned(err, pid);
}
static int child_execs(int how)
{
	pid_t pid = how & 16 ? vfork() : fork();
	if (pid)
		return spawned(pid < 0, pid);
	switch (how & 15) {
	case 0: execve(path, argv, environ); break;
	case 1: execv(path, argv); break;
	case 2: execvp(name, argv); break;
	case 3: execl(path, "where", "x", (char *)0); break;
	case 4: execlp(name, "where", "x", (char *)0); break;
	case 5: execle(path, "where", "x", (char *)0, environ); break;
	case 6: execve(path, argv, NULL); break;
	case 7: fexecve(open(path, O_RDONLY | O_CLOEXEC), argv, environ); break;
	case 8: fexecve(open(path, O_PATH | O_CLOEXEC), argv, environ); break;
	case 9: execveat(open(folder, O_PATH), name, argv, environ, 0); break;
	case 10: execveat(open(path, O_PATH), "", argv, environ, AT_EMPTY_PATH); break;
	case 11: syscall(SYS_execve, path, argv, environ); break;
	case 12: chdir(folder); execve(name, argv, environ); break;
	case 13: dup2(open(path, O_RDONLY), 0); fexecve(0, argv, environ); break;
	}
	perror("exec");
	_exit(98);
}
int main(int argc, char **args)
{
	char line[8192];
	folder = args[1];
	name = args[2];
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	setvbuf(stdout, NULL, _IONBF, 0);
	setenv("PATH", folder, 1);
	for (int how = 0; how < 14; how++) {
		printf("exec %d ", how);
		if (child_execs(how)) printf("failed\n");
		printf("vfork %d ", how);
		if (child_execs(how | 16)) printf("failed\n");
	}
	for (int how = 0; how < 8; how++) {
		printf("spawn %d ", how);
		if (spawn(how & 1, how & 2, how & 4)) printf("failed\n");
	}
	snprintf(line, sizeof(line), "%s/%s x", folder, name);
	printf("system ");
	system(line);
	printf("popen ");
	FILE *f = popen(line, "r");
	if (f && fgets(line, sizeof(line), f)) printf("%s", line);
	if (f) pclose(f);
	return 0;
}
"""
WAYS_COUNT = 14 * 2 + 8 + 2


@pytest.fixture(scope="module")
def ways(where):
    source = os.path.join(where, "ways.c")
    with open(source, "w", encoding="ascii") as f:
        f.write(WAYS)
    return {kind: build(where, f"ways-{kind}", *(("-static",) if kind == "static" else ()),
                        source=source) for kind in KINDS}


@pytest.mark.parametrize("starter,started", itertools.product(KINDS, (*KINDS, "script")))
def test_ways_of_starting(weir, where, ways, starter, started):
    """exec and its spellings, posix_spawn with its folders, system, popen; from a dynamic and a
    static program; of dynamic and static programs, and of a script with a static interpreter."""
    if started == "script":
        script = os.path.join(where, "script")
        with open(script, "w", encoding="ascii") as f:
            f.write(f"#!{where}/static by\n")
        os.chmod(script, 0o755)
    log = weir.on_weir(ways[starter], where, started).done(60)
    lines = log.splitlines()
    assert len(lines) == WAYS_COUNT, log
    for line in lines:
        assert ON_WEIR in line and line.endswith("x"), log


# ---- what cannot be judged ----

def python_exec(weir, text, *args, done=True):
    program = weir.script("import ctypes, os, resource, subprocess, sys, time\n" + text, *args)
    return program.done(30) if done else program


@pytest.mark.parametrize("how", ["os.execv(path, ['x'])", "os.execve(path, ['x'], {})",
                                 "os.execvp(path, ['x'])"])
def test_full_descriptor_table(weir, where, how):
    """Nobody can look into the file then: not executed, with words."""
    log = python_exec(weir, f"""
path = sys.argv[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
try:
    while True:
        os.dup(1)
except OSError:
    pass
try:
    {how}
except OSError as e:
    print("refused", e.errno)
""", f"{where}/static")
    assert "refused 24" in log and "it cannot be seen" in log and "on " + KERNEL_ADDR not in log


def test_path_search(weir, where, tmp_path):
    """What execvp() passes over (folders, files that may not be executed, no such folder) is not
    what is judged; and a file that is no program is the shell's."""
    os.chmod(tmp_path, 0o755)
    (tmp_path / "a" / "static").mkdir(parents=True)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "static").write_text("no program")
    (tmp_path / "plain").write_text(f"exec {where}/static by $1\n")
    (tmp_path / "plain").chmod(0o755)
    path = f"{tmp_path}/none:{tmp_path}/a:{tmp_path}/b:{where}:{tmp_path}"
    text = """
os.environ["PATH"] = sys.argv[1]
libc = ctypes.CDLL(None, use_errno=True)
libc.execvp(sys.argv[2].encode(), (ctypes.c_char_p * 3)(b"where", b"x", None))
print("failed", ctypes.get_errno())
"""
    assert python_exec(weir, text, path, "static") == f"{ON_WEIR} x\n"
    assert python_exec(weir, text, path, "plain") == f"{ON_WEIR} by x\n"
    assert python_exec(weir, text, f"{tmp_path}/a:{tmp_path}/none", "static") == "failed 13\n"
    assert python_exec(weir, text, f"{tmp_path}/none", "static") == "failed 2\n"


@pytest.mark.parametrize("count", [1, 2, 4, 5, 6])
def test_chain_of_scripts(weir, where, tmp_path, count):
    """Scripts whose interpreters are scripts: as many as the kernel follows, and the program at
    their end is found."""
    os.chmod(tmp_path, 0o755)
    last = f"{where}/static"
    for i in range(count):
        script = tmp_path / f"s{i}"
        script.write_text(f"#!{last}\n")
        script.chmod(0o755)
        last = str(script)
    text = """
try:
    os.execv(sys.argv[1], ["x", "end"])
except OSError as e:
    print("failed", e.errno)
"""
    on_weir = python_exec(weir, text, last)
    on_kernel = weir.on_kernel(weirtest.PYTHON, "-c", "import os, sys\n" + text, last).done(30)
    assert on_weir == on_kernel.replace(ON_KERNEL, ON_WEIR)
    assert (ON_WEIR in on_weir) == (count <= 5), on_weir


def test_what_is_no_file(weir, tmp_path):
    """A FIFO is not opened: that would wait for ever; errors are the kernel's."""
    os.chmod(tmp_path, 0o755)
    os.mkfifo(tmp_path / "fifo", 0o755)
    os.chmod(tmp_path / "fifo", 0o755)
    os.symlink("loop", tmp_path / "loop")
    (tmp_path / "plain").write_text("x")
    (tmp_path / "bad").write_text("#!/no/such/interpreter\n")
    (tmp_path / "bad").chmod(0o755)
    text = """
for name in ("fifo", "loop", "plain", "none", "plain/x", "bad", "", "/dev/null", "n" * 300):
    try:
        os.execv(sys.argv[1] + "/" + name if name[:1] != "/" else name, ["x"])
    except OSError as e:
        print(name, e.errno)
for fd in (99, os.open(sys.argv[1], os.O_RDONLY), os.open(sys.argv[1] + "/plain", os.O_RDONLY)):
    try:
        os.execve(fd, ["x"], {})
    except OSError as e:
        print(fd, e.errno)
"""
    on_kernel = weir.on_kernel(weirtest.PYTHON, "-c", "import os, sys\n" + text,
                               str(tmp_path)).done(30)
    assert python_exec(weir, text, str(tmp_path)) == on_kernel


def test_file_of_binfmt_misc(make_weir, where, tmp_path):
    """The kernel would start an interpreter for it that is static. In a user namespace, which has
    its own list of such files."""
    mount = "mount -t binfmt_misc none /proc/sys/fs/binfmt_misc && "
    inside = ["unshare", "-U", "-r", "-m", "sh", "-c"]
    if subprocess.run([*inside, mount + "true"], check=False, timeout=20).returncode:
        pytest.skip("this kernel has no binfmt_misc of a user namespace's own")
    weir = make_weir(options=("--allow-users",))
    os.chmod(tmp_path, 0o755)
    (tmp_path / "file").write_text("weirtest, a file")
    (tmp_path / "file").chmod(0o755)
    rule = f":weirtest:M::weirtest::{where}/static:"
    wrap = [*inside, mount + f"echo '{rule}' >/proc/sys/fs/binfmt_misc/register && exec \"$@\"",
            "sh"]
    assert ON_KERNEL in weir.on_kernel(*wrap, str(tmp_path / "file")).done(20)
    direct = weir.on_weir(str(tmp_path / "file"), wrap=wrap)
    assert direct.wait(20) == 126 and "binfmt_misc" in direct.log()
    log = weir.on_weir(weirtest.PYTHON, "-c", """
import os, sys
try:
    os.execv(sys.argv[1], ["x"])
except OSError as e:
    print("failed", e.errno)
""", str(tmp_path / "file"), wrap=wrap).done(20)
    assert log == "failed 8\n", log


SPAWN_UNKNOWN = r"""
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
int main(int argc, char **args)
{
	posix_spawn_file_actions_t actions;
	char *argv[] = { "where", NULL };
	pid_t pid;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 9, args[1], O_RDONLY | O_DIRECTORY, 0);
	posix_spawn_file_actions_addfchdir_np(&actions, 9);
	printf("answer %d\n", posix_spawn(&pid, "static", &actions, NULL, argv, argv + 1));
	return 0;
}
"""


def test_spawn_in_a_folder_only_the_child_knows(weir, where):
    source = os.path.join(where, "unknown.c")
    with open(source, "w", encoding="ascii") as f:
        f.write(SPAWN_UNKNOWN)
    log = weir.on_weir(build(where, "unknown", source=source), where).done(20)
    assert "answer 1\n" in log and "by its whole path" in log, log


# ---- privileges ----

def secure_on_kernel(weir, argv):
    said = weir.on_kernel(*argv).done(20).split()
    assert said[0] == "secure"
    return said[1] == "1"


@pytest.fixture
def copy(where, net):
    """A file system of our own with a copy of a program on it: make(nosuid) gives the path."""
    mounted = []

    def make(kind="dynamic", nosuid=False):
        folder = os.path.join(where, f"mount-{len(mounted)}")
        os.makedirs(folder, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755" + (",nosuid" if nosuid else ""),
                        "none", folder], check=True, timeout=20)
        mounted.append(folder)
        return shutil.copy(os.path.join(where, kind), os.path.join(folder, kind))

    yield make
    for folder in mounted:
        subprocess.run(["umount", "-l", folder], check=True, timeout=20)
        os.rmdir(folder)


NOBODY = 65534
MARKS = {
    "plain": lambda p: None,
    "its own user": lambda p: os.chmod(p, 0o4755),
    "another user": lambda p: (os.chown(p, 1, 0), os.chmod(p, 0o4755)),
    "nobody": lambda p: (os.chown(p, NOBODY, 0), os.chmod(p, 0o4755)),
    "group": lambda p: (os.chown(p, 0, 1), os.chmod(p, 0o2755)),
    "group, no execute": lambda p: (os.chown(p, 0, 1), os.chmod(p, 0o2745)),
    "capable": lambda p: subprocess.run(["setcap", "cap_net_raw=ep", p], check=True, timeout=20),
    "permitted": lambda p: subprocess.run(["setcap", "cap_net_raw=p", p], check=True, timeout=20),
}


@pytest.mark.parametrize("mark", MARKS)
@pytest.mark.parametrize("script", [False, True])
def test_secure_execution(make_weir, copy, mark, script):
    """Who, what and where: `weir run` and exec refuse exactly what the kernel would start in
    secure-execution mode (the loader drops preloads then), and the rest is on weir. For a script
    it is its interpreter that counts."""
    weir = make_weir(options=("--allow-users",))
    seen = set()
    for nosuid in (False, True):
        path = copy(nosuid=nosuid)
        MARKS[mark](path)
        program = path
        if script:
            program = path + ".script"
            with open(program, "w", encoding="ascii") as f:
                f.write(f"#!{path}\n")
            os.chmod(program, 0o4755)
            os.chown(program, 1, 1)
        for user, no_new_privs in itertools.product((0, NOBODY), (False, True)):
            wrap = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]
            wrap += ["--no-new-privs"] if no_new_privs else []
            # A script's name is an argument too: "secure" has to be the only one.
            secure = secure_on_kernel(weir, wrap + [path, "secure"])
            case = (mark, script, nosuid, user, no_new_privs, secure)
            seen.add(secure)
            direct = weir.on_weir(program, "x", wrap=wrap)
            status = direct.wait(20)
            by_exec = weir.on_weir("sh", "-c", '"$0" x', program, wrap=wrap)
            exec_status = by_exec.wait(20)
            if secure:
                assert status == 126 and "cannot run on weir" in direct.log(), case
                assert exec_status == 126 and "cannot run on weir" in by_exec.log(), case
            else:
                assert status == 0 and ON_WEIR in direct.log(), (case, direct.log())
                assert exec_status == 0 and ON_WEIR in by_exec.log(), (case, by_exec.log())
    assert (True in seen) == (mark not in ("plain", "group, no execute"))


# ---- programs that go past the C library ----

def test_own_system_calls(weir, where):
    """`syscall` instructions of a dynamic program: wherever they are executed first."""
    path = build(where, "own", source="own_calls.c")
    plain = weir.on_kernel(path, f"{where}/static").done(20)
    assert plain.count(ON_KERNEL) == 8, plain
    log = weir.on_weir(path, f"{where}/static").done(20)
    expected = ["main", "library", "pthread", "thrd", "child", "grandchild", "handler"]
    for who in expected:
        assert f"{who} {ON_WEIR}\n" in log, log
    assert f"{ON_WEIR} started\n" in log and "io_uring -38 -38\n" in log, log
    assert ON_KERNEL not in log, log


def test_second_c_library(weir, where):
    """dlmopen() would load one; the program hears that it cannot."""
    source = os.path.join(where, "second.c")
    with open(source, "w", encoding="ascii") as f:
        f.write(r"""
#include "where.h"
#include <dlfcn.h>
int main(void)
{
	void *base = dlmopen(LM_ID_BASE, "libm.so.6", RTLD_NOW);
	void *second = dlmopen(LM_ID_NEWLM, "libc.so.6", RTLD_NOW);
	const char *why = dlerror();
	printf("%d %d %d, on %s\n", base != NULL, second != NULL, why != NULL, where());
	return 0;
}
""")
    path = build(where, "second", source=source)
    assert weir.on_kernel(path).done(20) == f"1 1 0, {ON_KERNEL}\n"
    log = weir.on_weir(path).done(20)
    assert f"1 0 1, {ON_WEIR}\n" in log and "C library of its own" in log, log


URING = r"""
#include <stdio.h>
struct ring { char bytes[4096]; } ring, params;
int io_uring_queue_init(unsigned int, void *, unsigned int);
int io_uring_queue_init_params(unsigned int, void *, void *);
int io_uring_setup(unsigned int, void *);
int main(void)
{
	printf("%d", io_uring_queue_init(8, &ring, 0));
	printf(" %d", io_uring_queue_init_params(8, &ring, &params));
	printf(" %d\n", io_uring_setup(8, &params));
	return 0;
}
"""


def test_io_uring_of_a_library(weir, where):
    """liburing makes the call by an instruction of its own."""
    source = os.path.join(where, "uring.c")
    with open(source, "w", encoding="ascii") as f:
        f.write(URING)
    path = build(where, "uring", "-l:liburing.so.2", source=source)
    assert weir.on_weir(path).done(20) == "-38 -38 -38\n"


# ---- other loaders ----

LOADER = "/lib64/ld-linux-x86-64.so.2"


@pytest.mark.parametrize("started", KINDS)
def test_loader_called_by_its_name(weir, where, started):
    """It loads, or executes, what it is given; from weir run and from a program."""
    path = f"{where}/{started}"
    assert weir.on_weir(LOADER, path, "x").done(20) == f"{ON_WEIR} x\n"
    assert weir.on_weir("sh", "-c", f"{LOADER} {path} y; true").done(20) == f"{ON_WEIR} y\n"


def test_another_gnu_loader(weir, where):
    """Of another C library than the shim's, as far as anyone can see: it may not take the shim, so
    the program is watched."""
    loader = os.path.join(where, "ld-linux-x86-64.so.2")
    shutil.copy(LOADER, loader)
    path = build(where, "other-loader", f"-Wl,--dynamic-linker={loader}")
    assert weir.on_weir(path, "x").done(20) == f"{ON_WEIR} x\n"
    log = weir.on_weir(loader, weirtest.PYTHON, "-c", """
import socket, threading
server = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(server.getsockname())
conn, _ = server.accept()
thread = threading.Thread(target=conn.sendall, args=(b"from a thread",))
thread.start()
print(client.recv(100))
thread.join()
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.connect(("198.18.0.1", 9))
print("on", s.getsockname()[0])
""").done(30)
    assert log == f"b'from a thread'\n{ON_WEIR}\n"


def test_musl(weir, where):
    """A program of musl's loader, started by itself, by its loader, and without an environment."""
    path = os.path.join(where, "musl")
    subprocess.run(["musl-gcc", "-D_GNU_SOURCE", "-I", HERE, "-o", path,
                    os.path.join(HERE, "where.c")], check=True, timeout=60)
    for argv in ([path], ["/lib/ld-musl-x86_64.so.1", path], ["env", "-i", path],
                 ["sh", "-c", f"LD_PRELOAD= exec {path}"]):
        assert weir.on_weir(*argv).done(20) == f"{ON_WEIR}\n"


@pytest.mark.parametrize("kind", KINDS)
def test_without_environment(weir, where, kind):
    path = f"{where}/{kind}"
    for argv in (["env", "-i", path], ["env", "-u", "LD_PRELOAD", path],
                 ["sh", "-c", f"unset LD_PRELOAD WEIR_INSTANCE WEIR_RUNDIR; {path}; true"],
                 ["sh", "-c", f"LD_PRELOAD=/nowhere.so {path} 2>/dev/null; true"]):
        assert weir.on_weir(*argv).done(20) == f"{ON_WEIR}\n"


def test_another_layout_of_memory(weir, where):
    """With ulimit -s unlimited libraries lie where programs do: what is told by its place is
    refused, the rest is on weir."""
    own = build(where, "own", source="own_calls.c")
    for path in (f"{where}/static", own):
        program = weir.on_weir("sh", "-c", f"ulimit -s unlimited; exec {path}")
        assert program.wait(20) == 126 and "lies in memory where" in program.log()
    log = weir.on_weir("sh", "-c", f"ulimit -s unlimited; exec {where}/dynamic").done(20)
    assert log == f"{ON_WEIR}\n"
