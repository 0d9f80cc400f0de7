/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Our own TAP port: making the interface and setting up the kernel's side of it.
 *
 * The interface is a cable between weir and the kernel: the kernel's end has the kernel's MAC
 * address, and addr= as its address; weir's end has an address of its own. With offloads (the
 * default) checksums stay unfinished and TCP super-segments whole, both ways: the cable is memory.
 *
 * An interface that is there already and persistent (ip tuntap add mode tap user NAME) is used as
 * it is, so weir can run without privileges on one that an administrator made.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dev/tap.h"
#include "wire/ip4.h"

struct tap_config {
	const char *name;
	uint64_t mtu;
	uint64_t queues;
	bool offload;
	uint32_t addr_be; /* of the kernel's side */
	unsigned int prefix_len;
	bool has_addr;
	uint8_t mac[6];
};

static int tap_configure(const char *rest, const struct port_open_ctx *ctx, struct spec *spec,
			 struct tap_config *c)
{
	static const char *const known[] = {
		"name", "mtu", "mac", "queues", "addr", "offload", NULL
	};
	int err;

	*c = (struct tap_config){ .name = "weir0", .mtu = 1500, .offload = true };
	c->queues = ctx->params->workers;
	port_random_mac(c->mac);
	if ((err = spec_parse(spec, "tap", rest, known, ctx->error)) ||
	    (err = spec_number(spec, "mtu", IP4_MIN_MTU_BYTES, 65521, &c->mtu, ctx->error)) ||
	    (err = spec_number(spec, "queues", 1, ctx->params->workers, &c->queues, ctx->error)) ||
	    (err = spec_bool(spec, "offload", &c->offload, ctx->error)) ||
	    (err = spec_mac(spec, "mac", c->mac, ctx->error)) ||
	    (err = spec_prefix(spec, "addr", &c->addr_be, &c->prefix_len, ctx->error)))
		return err;
	c->has_addr = spec_get(spec, "addr");
	if (spec_get(spec, "name"))
		c->name = spec_get(spec, "name");
	if (strlen(c->name) >= IFNAMSIZ)
		return port_fail(ctx->error, -ENAMETOOLONG,
				 "tap: the name \"%.40s\" is too long: Linux allows %u characters",
				 c->name, IFNAMSIZ - 1);
	if (strchr(c->name, '/') || strchr(c->name, '%') || strchr(c->name, ' '))
		return port_fail(ctx->error, -EINVAL, "tap: \"%.40s\" cannot be an interface name",
				 c->name);
	if (ctx->plain)
		c->offload = false;
	return 0;
}

static int tap_fail_open(int err, char *error)
{
	if (err == ENOENT || err == ENODEV || err == ENXIO)
		return port_fail(
			error, -err,
			"tap: this kernel has no /dev/net/tun: load it (modprobe tun), or give "
			"the container the device /dev/net/tun");
	if (err == EACCES || err == EPERM)
		return port_fail(error, -err,
				 "tap: may not open /dev/net/tun: run with sudo, or give this user "
				 "access to it");
	return port_fail(error, -err, "tap: cannot open /dev/net/tun: %s", strerror(err));
}

static int tap_fail_attach(int err, const char *name, char *error)
{
	switch (err) {
	case EPERM:
		return port_fail(
			error, -err,
			"tap: may not make interface %s: that needs CAP_NET_ADMIN (run weird "
			"with sudo, or in a user namespace with a network namespace: unshare -rn), "
			"or make it first: ip tuntap add %s mode tap user $USER",
			name, name);
	case EBUSY:
		return port_fail(
			error, -err,
			"tap: interface %s is in use by another process: choose another name=, or "
			"stop the one that has it",
			name);
	case EINVAL:
		return port_fail(
			error, -err,
			"tap: there is an interface %s already that is not a tap with as many "
			"queues: choose another name=",
			name);
	default:
		return port_fail(error, -err, "tap: cannot make interface %s: %s", name,
				 strerror(err));
	}
}

/* A tap with several queues lets anybody join who may: one that a process made for itself (it does
 * not persist) is that one's. */
static int tap_join(int fd, struct ifreq *ifr, bool first)
{
	short flags = ifr->ifr_flags;

	if (!first || !(flags & IFF_MULTI_QUEUE))
		return ioctl(fd, TUNSETIFF, ifr);
	ifr->ifr_flags = (short)(flags | IFF_TUN_EXCL);
	if (ioctl(fd, TUNSETIFF, ifr) == 0)
		return 0;
	if (errno != EBUSY)
		return -1;
	ifr->ifr_flags = flags;
	if (ioctl(fd, TUNSETIFF, ifr))
		return -1;
	if (ioctl(fd, TUNGETIFF, ifr) || ifr->ifr_flags & IFF_PERSIST)
		return 0;
	errno = EBUSY;
	return -1;
}

/* Open one queue of the interface; the first one makes it. Returns a descriptor or -errno. */
static int tap_attach(const struct tap_config *c, char ifname[IFNAMSIZ], char *error)
{
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	int hdr_bytes = sizeof(struct virtio_net_hdr);
	unsigned int offloads = c->offload ? TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO_ECN : 0;
	struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	int err;

	if (fd < 0)
		return tap_fail_open(errno, error);
	if (c->queues > 1)
		ifr.ifr_flags |= IFF_MULTI_QUEUE;
	strcpy(ifr.ifr_name, c->name);
	if (tap_join(fd, &ifr, !ifname[0])) {
		err = tap_fail_attach(errno, c->name, error);
		goto fail;
	}
	memcpy(ifname, ifr.ifr_name, IFNAMSIZ);
	if (ioctl(fd, TUNSETVNETHDRSZ, &hdr_bytes) || ioctl(fd, TUNSETOFFLOAD, offloads)) {
		err = port_fail(error, -errno,
				"tap: %s: this kernel's tun has not the offloads we need: %s",
				c->name, strerror(errno));
		goto fail;
	}
	return fd;
fail:
	close(fd);
	return err;
}

static int tap_set_addr(int sock, const struct tap_config *c, struct ifreq *ifr)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };

	sin.sin_addr.s_addr = c->addr_be;
	memcpy(&ifr->ifr_addr, &sin, sizeof(sin));
	if (ioctl(sock, SIOCSIFADDR, ifr))
		return -errno;
	sin.sin_addr.s_addr = ip4_mask_be(c->prefix_len);
	memcpy(&ifr->ifr_netmask, &sin, sizeof(sin));
	return ioctl(sock, SIOCSIFNETMASK, ifr) ? -errno : 0;
}

/* MTU, up, address: only what is not so already, which may need no privilege. */
static int tap_kernel_side(const struct tap_config *c, const char *ifname)
{
	int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq ifr = { 0 };
	int err = 0;

	if (sock < 0)
		return -errno;
	strcpy(ifr.ifr_name, ifname);
	if (ioctl(sock, SIOCGIFMTU, &ifr))
		err = -errno;
	if (!err && ifr.ifr_mtu != (int)c->mtu) {
		ifr.ifr_mtu = (int)c->mtu;
		err = ioctl(sock, SIOCSIFMTU, &ifr) ? -errno : 0;
	}
	if (!err && c->has_addr)
		err = tap_set_addr(sock, c, &ifr);
	if (!err && ioctl(sock, SIOCGIFFLAGS, &ifr))
		err = -errno;
	if (!err && !(ifr.ifr_flags & IFF_UP)) {
		ifr.ifr_flags |= IFF_UP;
		err = ioctl(sock, SIOCSIFFLAGS, &ifr) ? -errno : 0;
	}
	close(sock);
	return err;
}

static int tap_sleep_fd(struct port *port, uint16_t queue)
{
	return ((struct tap *)port->driver)->queue[queue].fd;
}

static void tap_close(struct port *port)
{
	struct tap *tap = port->driver;

	for (uint16_t i = 0; i < port->queues; i++) {
		struct tap_queue *q = &tap->queue[i];

		pkt_free_raw(q->chain, q->chain_count);
		if (q->fd >= 0)
			close(q->fd);
	}
	tap_kernel_close(tap);
	free(tap);
	free(port);
}

static const struct port_ops tap_ops = {
	.type = "tap",
	.rx = tap_rx,
	.tx = tap_tx,
	.sleep_fd = tap_sleep_fd,
	.stats = tap_stats,
	.counters = tap_counters,
	.about = tap_about,
	.close = tap_close,
};

static struct port *tap_new(const struct tap_config *c)
{
	size_t size = sizeof(struct tap) + c->queues * sizeof(struct tap_queue);
	struct port *port = port_new(&tap_ops, c->name, (uint16_t)c->queues);
	struct tap *tap = aligned_alloc(64, RTE_ALIGN_CEIL(size, 64));
	uint64_t frame_bytes = c->offload ? TAP_MAX_FRAME_BYTES : c->mtu + 18;
	uint64_t behind = frame_bytes > PKT_ROOM_BYTES ? frame_bytes - PKT_ROOM_BYTES : 0;

	if (!port || !tap) {
		free(port);
		free(tap);
		return NULL;
	}
	memset(tap, 0, size);
	tap->netlink = -1;
	tap->offload = c->offload;
	for (uint64_t i = 0; i < c->queues; i++) {
		struct tap_queue *q = &tap->queue[i];

		q->fd = -1;
		q->chain_want = (uint16_t)(1 + (behind + PKT_HEADROOM_BYTES + PKT_ROOM_BYTES - 1) /
						       (PKT_HEADROOM_BYTES + PKT_ROOM_BYTES));
		q->iov[0].iov_base = &q->rx_hdr;
		q->iov[0].iov_len = sizeof(q->rx_hdr);
	}
	port->driver = tap;
	memcpy(port->mac, c->mac, sizeof(port->mac));
	port->mtu_bytes = (uint16_t)c->mtu;
	port->caps = c->offload ? PORT_CAP_TX_CSUM | PORT_CAP_TX_TSO4 : 0;
	port->sleep_how = "fd";
	return port;
}

int tap_open(const char *rest, const struct port_open_ctx *ctx, struct port **out)
{
	struct tap_config config;
	struct port *port;
	struct tap *tap;
	struct spec spec;
	int err = tap_configure(rest, ctx, &spec, &config);

	if (err)
		return err;
	port = tap_new(&config);
	if (!port)
		return port_fail(ctx->error, -ENOMEM, "tap: out of memory");
	tap = port->driver;
	for (uint64_t i = 0; i < config.queues; i++) {
		tap->queue[i].fd = tap_attach(&config, tap->ifname, ctx->error);
		if (tap->queue[i].fd < 0) {
			err = tap->queue[i].fd;
			goto fail;
		}
	}
	err = tap_kernel_side(&config, tap->ifname);
	if (err) {
		port_fail(ctx->error, err,
			  "tap: %s is there, but its kernel side could not be set up "
			  "(MTU, address, up): %s",
			  tap->ifname, strerror(-err));
		goto fail;
	}
	tap_kernel_open(tap);
	*out = port;
	return 0;
fail:
	tap_close(port);
	return err;
}
