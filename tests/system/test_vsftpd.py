# SPDX-License-Identifier: BSD-3-Clause
"""vsftpd with its sandbox as it comes: the privileged process passes data connections to a child in
a network namespace of its own, under a filter of system calls and a limit of its addresses."""
import os
import shutil
import subprocess

import pytest
import weirtest

CONF = """listen=YES
anonymous_enable=YES
local_enable=NO
ftp_username=bin
background=NO
secure_chroot_dir={tmp}/empty
anon_root={tmp}/ftp
"""


@pytest.mark.skipif(not shutil.which("vsftpd"), reason="no vsftpd")
def test_download(make_weir):
    weir = make_weir()
    for name in ("empty", "ftp"):
        os.mkdir(os.path.join(weir.tmp, name))
        os.chmod(os.path.join(weir.tmp, name), 0o755)
    digest = weirtest.make_file(os.path.join(weir.tmp, "ftp", "file"), 8 << 20)
    conf = os.path.join(weir.tmp, "vsftpd.conf")
    with open(conf, "w", encoding="ascii") as f:
        f.write(CONF.format(tmp=weir.tmp))
    weir.on_weir("vsftpd", conf)
    weir.wait_for_socket(21)
    got = os.path.join(weir.tmp, "got")
    for mode in (["--ftp-pasv"], ["--ftp-port", weirtest.KERNEL_ADDR]):
        subprocess.run(["curl", "-sSf", "-m", "20", *mode, "-o", got,
                        f"ftp://{weirtest.WEIR_ADDR}/file"], check=True, timeout=40)
        assert weirtest.sha256(got) == digest
