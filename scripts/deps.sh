#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Install what is missing, by apt-get (Debian 12). Usage: deps.sh [build] [run] [test] [lint]
# Without arguments: everything. Needs root only when something is missing. Services that the
# packages bring (nginx, redis) are not started.
set -eu

build="gcc libc6-dev make meson ninja-build pkg-config python3 libdpdk-dev libcmocka-dev
	libjansson-dev libinih-dev libpcap-dev clang libbpf-dev libdw-dev"
run="nginx redis-server redis-tools curl iproute2 util-linux procps"
test="python3-pytest python3-scapy clang libclang-rt-14-dev llvm wrk iperf3 strace \
	netcat-openbsd mandoc nftables python3-matplotlib busybox-static musl-tools golang-go \
	tcpdump iputils-ping apache2-utils openssh-server openssh-client openssl postgresql-15 \
	socat mosquitto mosquitto-clients rsync stunnel4 openbsd-inetd vsftpd \
	dnsmasq-base bind9-dnsutils libnss-myhostname liburing2 \
	traceroute nmap hping3 iputils-arping \
	tshark haproxy wget memcached apache2-bin unbound nodejs net-tools"
lint="clang-format"

wanted=
[ $# -gt 0 ] || set -- build run test lint
for group in "$@"; do
	case $group in
	build) wanted="$wanted $build" ;;
	run) wanted="$wanted $run" ;;
	test) wanted="$wanted $test" ;;
	lint) wanted="$wanted $lint" ;;
	*)
		echo "deps: no such group: $group (there are build, run, test, lint)" >&2
		exit 2
		;;
	esac
done

missing=
count=0
for package in $wanted; do
	status=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)
	if [ "$status" != installed ]; then
		missing="$missing $package"
		count=$((count + 1))
	fi
done
if [ $count -eq 0 ]; then
	echo "deps: everything is there"
	exit 0
fi
echo "deps: $count packages are missing:$missing"
if [ "$(id -u)" -ne 0 ]; then
	echo "deps: installing needs root: run  sudo make deps" >&2
	exit 1
fi

# Packages ask this script before they start a service: none is to be started.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
	trap 'rm -f $policy' EXIT
	trap 'exit 1' INT TERM HUP
	printf '#!/bin/sh\nexit 101\n' >$policy
	chmod 755 $policy
fi

export DEBIAN_FRONTEND=noninteractive
echo "deps: refreshing the list of packages (apt-get update)"
apt-get -q -o Acquire::Retries=3 update
echo "deps: installing (apt-get install); DPDK alone is some 200 packages, which takes minutes"
# shellcheck disable=SC2086
apt-get -q -y --no-install-recommends -o Acquire::Retries=3 -o Dpkg::Use-Pty=0 install $missing
echo "deps: installed"
