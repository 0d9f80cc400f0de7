/* SPDX-License-Identifier: BSD-3-Clause */
/* recvmsg(MSG_ERRQUEUE): the engine keeps the queue, and is asked for each entry (see recv(2),
 * ip(7), IP_RECVERR). */
#include "shim/shim.h"

#include <netinet/in.h>
#include <time.h>
#include <linux/errqueue.h>

/* Ask the shards one by one. */
static int take(struct wsock *ws, uint8_t *data, uint32_t *len)
{
	struct abi_sock *shm = ws->shm;
	int err = -EAGAIN;

	for (unsigned int n = 0; shm && err == -EAGAIN; n++) {
		/* A shard is a socket of its own to the engine. */
		struct wsock shard = { .shm = shm,
				       .index = shm_index(shm),
				       .gen = n ? atomic_load(&shm->gen) : ws->gen,
				       .type = ws->type };
		struct ctl_args args = { .op = ABI_CTL_ERRQUEUE,
					 .out = data,
					 .out_len = ABI_CTL_DATA_BYTES };

		if (atomic_load(&shm->state) & ABI_S_ERRQ) {
			err = ctl_call(&shard, &args);
			*len = args.out_len;
		}
		shm = wsock_next_shard(shm, n);
	}
	return err;
}

static void copy_out(struct msghdr *msg, const uint8_t *data, uint32_t len)
{
	for (size_t i = 0; i < msg->msg_iovlen && len; i++) {
		uint32_t n = msg->msg_iov[i].iov_len < len ? (uint32_t)msg->msg_iov[i].iov_len
							   : len;

		memcpy(msg->msg_iov[i].iov_base, data, n);
		data += n;
		len -= n;
	}
}

static void extended_err(const struct wsock *ws, const struct abi_error *e, struct msghdr *msg,
			 size_t *used)
{
	struct {
		struct sock_extended_err ee;
		union {
			struct sockaddr_in in;
			struct sockaddr_in6 in6;
		} offender;
	} err = { .ee = { .ee_errno = e->error,
			  .ee_origin = e->origin,
			  .ee_type = e->type,
			  .ee_code = e->code,
			  .ee_info = e->info,
			  .ee_data = e->data } };
	socklen_t len = sizeof(err.offender);
	bool v6 = ws->family == AF_INET6;

	if (e->origin == SO_EE_ORIGIN_ICMP)
		addr_out(ws, &e->offender, 0, (struct sockaddr *)(void *)&err.offender, &len);
	cmsg_put(msg, used, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_RECVERR : IP_RECVERR, &err,
		 sizeof(err.ee) + (v6 ? sizeof(err.offender.in6) : sizeof(err.offender.in)));
}

static void control_out(const struct wsock *ws, const struct abi_error *e, struct msghdr *msg)
{
	uint32_t opts = atomic_load_explicit(&ws->shm->recv_opts, memory_order_relaxed);
	struct abi_dgram d = { .local = e->local,
			       .flags = ABI_DGRAM_SPEC_DST, /* as Linux: none */
			       .ttl = e->ttl,
			       .tos = e->tos,
			       .ifindex = e->ifindex };
	size_t used = 0;

	opts &= ~ABI_R_STAMPING;
	if (e->origin == SO_EE_ORIGIN_TIMESTAMPING && e->stamp_ns)
		opts |= ABI_R_STAMPING;
	cmsg_stamp(opts, msg, &used, e->stamp_ns);
	if (e->origin == SO_EE_ORIGIN_ICMP)
		cmsg_ip(ws, opts, msg, &used, &d);
	extended_err(ws, e, msg, &used);
	msg->msg_controllen = used;
}

ssize_t errqueue_recv(struct wsock *ws, struct msghdr *msg, int flags)
{
	uint8_t data[ABI_CTL_DATA_BYTES];
	struct abi_error e;
	size_t room = 0;
	uint32_t len = 0;
	int err;

	if (!ws->shm)
		return -EAGAIN;
	err = take(ws, data, &len);
	if (err)
		return err;
	if (len < sizeof(e))
		return -EAGAIN;
	memcpy(&e, data, sizeof(e));
	len -= (uint32_t)sizeof(e);
	for (size_t i = 0; i < msg->msg_iovlen && room < len; i++)
		room += msg->msg_iov[i].iov_len;
	msg->msg_flags = MSG_ERRQUEUE | (room < len ? MSG_TRUNC : 0);
	if (room < len)
		len = (uint32_t)room;
	copy_out(msg, data + sizeof(e), len);
	/* Neither time stamps nor sends that are complete are anybody's. */
	if (e.origin == SO_EE_ORIGIN_TIMESTAMPING || e.origin == SO_EE_ORIGIN_ZEROCOPY)
		msg->msg_namelen = 0;
	else
		addr_out(ws, &e.addr, e.port_be, msg->msg_name, &msg->msg_namelen);
	control_out(ws, &e, msg);
	return (ssize_t)len;
}
