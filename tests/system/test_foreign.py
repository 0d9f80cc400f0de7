# SPDX-License-Identifier: BSD-3-Clause
"""Programs that make their system calls themselves: static ones (both C libraries) and Go ones."""
import os
import subprocess

import pytest
import weirtest
from weirtest import KERNEL_ADDR, WEIR_ADDR

HERE = os.path.dirname(os.path.abspath(__file__))
BUSYBOX = "/bin/busybox"


def curl(url, *options):
    done = subprocess.run(["curl", "-sS", "-m", "20", *options, url], timeout=30, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def listens_on_kernel(port):
    with open("/proc/net/tcp", encoding="ascii") as f:
        return f":{port:04X} 00000000:0000 0A" in f.read()


def test_busybox_httpd(weir, tmp_path):
    os.chmod(tmp_path, 0o755)
    weirtest.make_file(tmp_path / "big", 3 << 20)
    (tmp_path / "index.html").write_text("a page of busybox\n")
    program = weir.on_weir(BUSYBOX, "httpd", "-f", "-p", "8080", "-h", str(tmp_path))
    weir.wait_for_port(8080, program=program)
    assert not listens_on_kernel(8080)
    for _ in range(5):
        assert curl(f"http://{WEIR_ADDR}:8080/") == "a page of busybox\n"
    subprocess.run(["curl", "-sS", "-o", tmp_path / "copy", f"http://{WEIR_ADDR}:8080/big"],
                   timeout=60, check=True)
    assert (tmp_path / "copy").read_bytes() == (tmp_path / "big").read_bytes()


# ---- Go ----

def go_build(folder, name, cgo=False):
    path = os.path.join(folder, f"{name}_{'cgo' if cgo else 'static'}")
    subprocess.run(["go", "build", "-o", path, os.path.join(HERE, f"foreign_{name}.go")],
                   check=True, timeout=300,
                   env=dict(os.environ, CGO_ENABLED=str(int(cgo)), GOFLAGS="-mod=mod",
                            GOCACHE=os.path.join(folder, "cache"), GOPATH=folder))
    return path


@pytest.fixture(scope="module")
def go(tmp_path_factory):
    """Go programs, statically linked (no cgo) and dynamically (cgo)."""
    folder = str(tmp_path_factory.mktemp("go"))
    os.chmod(folder, 0o755)
    return {cgo: go_build(folder, "net", cgo) for cgo in (False, True)}


@pytest.mark.parametrize("cgo", [False, True])
def test_go_http_server(weir, go, cgo):
    program = weir.on_weir(go[cgo], "serve", f"{WEIR_ADDR}:8080")
    weir.wait_for_port(8080, program=program)
    assert not listens_on_kernel(8080)
    assert curl(f"http://{WEIR_ADDR}:8080/hello") == "a page of Go for /hello\n"
    for connections in ("200", "50", "200", "50"):
        # Idle between two: all its threads sleep, and one has to be woken for the next.
        done = subprocess.run(["wrk", "-t1", "-c", connections, "-d1",
                               f"http://{WEIR_ADDR}:8080/load"],
                              timeout=60, check=True, stdout=subprocess.PIPE, text=True)
        assert "Non-2xx" not in done.stdout and "Socket errors" not in done.stdout, done.stdout
        assert "Requests/sec:      0.00" not in done.stdout, done.stdout
    assert program.running(), program.log()


@pytest.mark.parametrize("cgo", [False, True])
def test_go_client_and_server(weir, go, cgo):
    """200 goroutines with kept connections, time-outs, UDP, and a child: see foreign_net.go."""
    log = weir.on_weir(go[cgo], "self", env={"GOMAXPROCS": "4"}).done(60)
    assert "all is well" in log, log


# ---- static C ----

def build_static(folder, compiler, *options):
    path = os.path.join(folder, f"{compiler}{''.join(options)}")
    subprocess.run([compiler, "-std=gnu11", "-D_GNU_SOURCE", "-O2", "-Wall", *options, "-o", path,
                    os.path.join(HERE, "foreign_static.c"), "-lpthread"], check=True, timeout=60)
    return path


@pytest.mark.parametrize("compiler,options", [("gcc", ("-static",)), ("gcc", ("-static-pie",)),
                                              ("musl-gcc", ("-static",)), ("musl-gcc", ())])
def test_static_c(weir, tmp_path, compiler, options):
    os.chmod(tmp_path, 0o755)
    program = build_static(str(tmp_path), compiler, *options)
    log = weir.on_weir(program, "one", "two three").done(60)
    assert "all is well" in log, log


def test_connects_out(weir, tmp_path):
    (tmp_path / "index.html").write_text("from the kernel\n")
    weir.on_kernel(weirtest.PYTHON, "-m", "http.server", "-d", str(tmp_path), "--bind",
                   KERNEL_ADDR, "8000")
    weirtest.wait_until(lambda: listens_on_kernel(8000), "the kernel's side listens")
    log = weir.on_weir(BUSYBOX, "wget", "-q", "-O", "-", f"http://{KERNEL_ADDR}:8000/").done(30)
    assert log == "from the kernel\n"


# ---- what cannot be taken over ----

def test_other_machine_is_refused(weir, tmp_path):
    os.chmod(tmp_path, 0o755)
    with open(BUSYBOX, "rb") as f:
        image = bytearray(f.read())
    image[4] = 1  # 32-bit, says its header
    other = tmp_path / "other"
    other.write_bytes(image)
    other.chmod(0o755)
    program = weir.on_weir(str(other))
    assert program.wait(20) == 126
    assert "it is not a program for 64-bit x86" in program.log()


def test_static_script_interpreter(weir, tmp_path):
    os.chmod(tmp_path, 0o755)
    script = tmp_path / "script"
    script.write_text(f"#! {BUSYBOX} sh\necho $0 $1 $#; readlink /proc/self/exe\n")
    script.chmod(0o755)
    log = weir.on_weir(str(script), "a b", "c").done(20)
    assert log.startswith(f"{script} a b 2\n"), log


# ---- exec by programs on weir ----

def test_shell_execs_static(weir, tmp_path):
    os.chmod(tmp_path, 0o755)
    (tmp_path / "index.html").write_text("by a shell\n")
    program = weir.on_weir("bash", "-c", f"{BUSYBOX} httpd -f -p 8080 -h {tmp_path}; true")
    weir.wait_for_port(8080, program=program)
    assert not listens_on_kernel(8080)
    assert curl(f"http://{WEIR_ADDR}:8080/") == "by a shell\n"
    program.kill_all()


SPAWN = """
import os, subprocess, sys
program, script = sys.argv[1:]
for spawn in (True, False):
    done = subprocess.run([program, "child", "7"], stdout=subprocess.PIPE, close_fds=not spawn)
    assert done.returncode == 0 and done.stdout == b"child 7\\n", done
pid = os.posix_spawn(program, [program, "child", "8"], os.environ)
assert os.waitpid(pid, 0)[1] == 0
fd = os.open(program, os.O_RDONLY | os.O_CLOEXEC)
pid = os.fork()
if pid == 0:
    os.execve(fd, [program, "child", "9"], os.environ)
assert os.waitpid(pid, 0)[1] == 0
done = subprocess.run([script, "a b"], stdout=subprocess.PIPE)
assert done.stdout == f"{script} a b\\n".encode(), done
print("all is well")
"""


def test_exec_and_spawn(weir, go, tmp_path):
    """exec, posix_spawn, fexecve of a static program, and a script whose interpreter is one."""
    os.chmod(tmp_path, 0o755)
    script = tmp_path / "script"
    script.write_text(f"#!{BUSYBOX} sh\necho $0 \"$@\"\n")
    script.chmod(0o755)
    log = weir.script(SPAWN, go[False], str(script)).done(60)
    assert "all is well" in log and "child 8\n" in log and "child 9\n" in log, log


def test_exec_is_refused(weir, tmp_path):
    os.chmod(tmp_path, 0o755)
    with open(BUSYBOX, "rb") as f:
        image = bytearray(f.read())
    image[4] = 1  # 32-bit, says its header
    other = tmp_path / "other"
    other.write_bytes(image)
    other.chmod(0o755)
    program = weir.on_weir("bash", "-c", f"{other}; echo status $?")
    log = program.done(20)
    assert "it is not a program for 64-bit x86" in log and "status 126" in log, log
