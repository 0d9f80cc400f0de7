/* SPDX-License-Identifier: BSD-3-Clause */
#include "fake_inet.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "inet/tcp/params.h"

struct inet_upcalls fake_up;
struct tcp_pcb *fake_pcbs;
unsigned int fake_pcb_count, fake_aborts;
bool fake_hold_acks;
uint32_t fake_snd_space, fake_unsent;

uint16_t fake_port_be(void)
{
	static uint16_t next_port = 40000;

	return htobe16(next_port++);
}

void fake_init(struct worker *w)
{
	memset(&fake_up, 0, sizeof(fake_up));
	sock_upcalls(&fake_up);
	fake_hold_acks = false;
	fake_snd_space = 131072;
	fake_unsent = 0;
	fake_udp_result = 0;
	fake_udp_sent = 0;
	fake_aborts = 0;
}

const char *tcp_state_name(enum tcp_state state)
{
	return state == TCP_LISTEN ? "LISTEN" : state == TCP_ESTABLISHED ? "ESTAB" : "UNCONN";
}

int tcp_open(struct worker *w, struct tcp_pcb **result, void *user)
{
	struct tcp_pcb *pcb = calloc(1, sizeof(*pcb));

	if (pcb == NULL)
		return -ENOMEM;
	pcb->pub.user = user;
	pcb->pub.rcv_space_bytes = 131072;
	pcb->w = w;
	pcb->next = fake_pcbs;
	fake_pcbs = pcb;
	fake_pcb_count++;
	*result = pcb;
	return 0;
}

static void gone(struct worker *w, struct tcp_pcb *pcb)
{
	struct tcp_pcb **link = &fake_pcbs;

	for (struct tcp_pcb *p = fake_pcbs; p != NULL; p = p->next) {
		if (p->peer == pcb)
			p->peer = NULL;
		if (p->dial == pcb)
			p->dial = NULL;
	}
	fake_up.tcp_gone(w, pcb);
	while (*link != pcb)
		link = &(*link)->next;
	*link = pcb->next;
	fake_pcb_count--;
	free(pcb);
}

int tcp_bind(struct worker *w, struct tcp_pcb *pcb, const struct endpoint *local)
{
	for (struct tcp_pcb *p = fake_pcbs; p != NULL; p = p->next)
		if (p != pcb && p->w == w && local->port_be != 0 &&
		    p->pub.local.port_be == local->port_be && p->pub.state == TCP_LISTEN)
			return -EADDRINUSE;
	pcb->pub.local = *local;
	if (local->port_be == 0)
		pcb->pub.local.port_be = fake_port_be();
	return 0;
}

int tcp_bind_twin(struct worker *w, struct tcp_pcb *pcb, const struct endpoint *local)
{
	return tcp_bind(w, pcb, local);
}

void tcp_unbind(struct worker *w, struct tcp_pcb *pcb)
{
	pcb->pub.local = (struct endpoint){ .port_be = 0 };
}

bool tcp_bind_conflicts(struct worker *w, const struct tcp_pcb *pcb)
{
	for (struct tcp_pcb *p = fake_pcbs; p != NULL; p = p->next)
		if (p != pcb && p->w == w && p->pub.local.port_be == pcb->pub.local.port_be)
			return true;
	return false;
}

int tcp_connect(struct worker *w, struct tcp_pcb *pcb, const struct endpoint *remote)
{
	if (pcb->pub.local.port_be == 0)
		pcb->pub.local.port_be = fake_port_be();
	pcb->pub.remote = *remote;
	pcb->pub.state = TCP_SYN_SENT;
	return 0;
}

uint32_t tcp_backlog_limit(const struct worker *w, uint32_t backlog)
{
	return backlog < 4096 ? backlog : 4096;
}

int tcp_listen(struct worker *w, struct tcp_pcb *pcb, uint32_t backlog)
{
	pcb->pub.state = TCP_LISTEN;
	return 0;
}

static void dial(struct worker *w, struct tcp_pcb *pcb)
{
	struct tcp_pcb *l = fake_pcbs, *child = NULL;

	while (l != NULL && !(l->pub.state == TCP_LISTEN && l->w == w &&
			      l->pub.local.port_be == pcb->pub.remote.port_be))
		l = l->next;
	if (l == NULL) {
		pcb->pub.state = TCP_CLOSED;
		fake_up.tcp_error(w, pcb, ECONNREFUSED, false);
		return;
	}
	if (!fake_up.tcp_backlog_room(w, l))
		return; /* the SYN is lost; it comes again with the next fake_run() */
	if (tcp_open(w, &child, NULL) != 0)
		return;
	child->pub.rcv_space_bytes = l->pub.rcv_space_bytes;
	child->pub.local = pcb->pub.remote;
	child->pub.remote = pcb->pub.local;
	child->pub.state = TCP_ESTABLISHED;
	if (fake_up.tcp_incoming(w, l, child) != 0) {
		gone(w, child);
		pcb->pub.state = TCP_CLOSED;
		fake_up.tcp_error(w, pcb, ECONNRESET, false);
		return;
	}
	child->peer = pcb;
	pcb->peer = child;
	pcb->pub.state = TCP_ESTABLISHED;
	fake_up.tcp_connected(w, pcb);
}

static bool move(struct worker *w, struct tcp_pcb *pcb)
{
	struct byte_ring *snd = &pcb->pub.snd, *rcv;
	bool moved = false;

	if (pcb->peer == NULL)
		return false;
	rcv = &pcb->peer->pub.rcv;
	if (byte_ring_used(snd) != 0 && !fake_hold_acks && !pcb->peer->closed) {
		if (rcv->data == NULL && fake_up.tcp_need_rcv(w, pcb->peer, 0) != 0)
			return false;
		fake_up.tcp_sync_rcv(w, pcb->peer);
		while (byte_ring_used(snd) != 0 && byte_ring_free(rcv) != 0) {
			rcv->data[rcv->tail++ & (rcv->size_bytes - 1)] =
				snd->data[snd->head++ & (snd->size_bytes - 1)];
			moved = true;
		}
	}
	if (moved) {
		fake_up.tcp_readable(w, pcb->peer);
		if (!pcb->closed)
			fake_up.tcp_acked(w, pcb);
	}
	if (pcb->fin && byte_ring_used(snd) == 0 && !pcb->fin_seen) {
		pcb->fin_seen = true;
		pcb->peer->pub.rx_eof = true;
		if (!pcb->peer->closed)
			fake_up.tcp_readable(w, pcb->peer);
		moved = true;
	}
	return moved;
}

void fake_run(struct worker *w)
{
	bool again = true;

	while (again) {
		struct tcp_pcb *next;

		again = false;
		for (struct tcp_pcb *p = fake_pcbs; p != NULL; p = next) {
			next = p->next;
			if (p->w != w)
				continue;
			if (p->pub.state == TCP_SYN_SENT) {
				dial(w, p);
				again = again || p->pub.state == TCP_ESTABLISHED;
			}
			again = move(w, p) || again;
		}
		for (struct tcp_pcb *p = fake_pcbs; p != NULL; p = next) {
			next = p->next;
			if (p->w == w && p->closed && (p->peer == NULL || p->fin_seen)) {
				gone(w, p);
				again = true;
				break;
			}
		}
	}
}

void fake_reset(struct worker *w, struct tcp_pcb *pcb, int error)
{
	pcb->pub.state = TCP_CLOSED;
	if (pcb->peer != NULL)
		pcb->peer->peer = NULL;
	pcb->peer = NULL;
	if (!pcb->closed)
		fake_up.tcp_error(w, pcb, error, false);
}

void tcp_push_urgent(struct tcp_pcb *pcb, uint32_t pos)
{
	tcp_public(pcb)->snd_urg = pos;
}

void tcp_push(struct worker *w, struct tcp_pcb *pcb)
{
	pcb->pushes++;
}

uint32_t tcp_snd_space(const struct worker *w, const struct tcp_pcb *pcb)
{
	return fake_snd_space;
}

bool tcp_rcv_release(struct worker *w, struct tcp_pcb *pcb)
{
	return true;
}

uint32_t tcp_unsent(const struct tcp_pcb *pcb)
{
	return fake_unsent;
}

void tcp_consumed(struct worker *w, struct tcp_pcb *pcb)
{
	pcb->consumed++;
}

/* As TCP does: worth telling when the window is less than half open. */
bool tcp_wants_consumed(const struct tcp_pcb *pcb)
{
	const struct byte_ring *rcv = &pcb->pub.rcv;

	return rcv->data != NULL && byte_ring_free(rcv) < rcv->size_bytes / 2;
}

void tcp_option_changed(struct worker *w, struct tcp_pcb *pcb)
{
}

void tcp_quickack_set(struct worker *w, struct tcp_pcb *pcb, int value)
{
}

bool tcp_quickack_get(const struct tcp_pcb *pcb)
{
	return true;
}

uint32_t tcp_timestamp(const struct worker *w, const struct tcp_pcb *pcb)
{
	return 1;
}

int tcp_saved_syn_take(struct worker *w, struct tcp_pcb *pcb, void *data, uint32_t *len)
{
	*len = 0;
	return 0;
}

void tcp_fastopen_keys_set(struct tcp_pcb *listener, const void *keys, uint32_t bytes)
{
}

const struct tcp_params *tcp_params(const struct worker *w)
{
	static const struct tcp_params params = {
		.tcp_notsent_lowat = -1,
		.tcp_keepalive_time = 7200,
		.tcp_keepalive_intvl = 75,
		.tcp_keepalive_probes = 9,
		.tcp_syn_retries = 6,
		.tcp_fin_timeout = 60,
		.somaxconn = 4096,
		.tcp_rmem = { 4096, 131072, 6291456 },
		.rmem_default = 262144,
		.rmem_max = 4194304,
	};

	return &params;
}

uint64_t tcp_listener_drops(const struct tcp_pcb *pcb)
{
	return 0;
}

/* One controller, as a network that has no congestion needs. */
int tcp_congestion_set(struct worker *w, struct tcp_pcb *pcb, const char *name, uint32_t len)
{
	return strnlen(name, len) == 4 && memcmp(name, "fake", 4) == 0 ? 0 : -ENOENT;
}

const char *tcp_congestion_name(const struct tcp_pcb *pcb)
{
	return "fake";
}

const char *tcp_congestion_default(struct worker *w)
{
	return "fake";
}

uint32_t tcp_congestion_info(const struct tcp_pcb *pcb, void *info, uint32_t len)
{
	return 0;
}

int tcp_shutdown_write(struct worker *w, struct tcp_pcb *pcb)
{
	pcb->fin = true;
	return 0;
}

void tcp_close(struct worker *w, struct tcp_pcb *pcb)
{
	if (pcb->pub.state != TCP_ESTABLISHED || byte_ring_used(&pcb->pub.rcv) != 0) {
		tcp_abort(w, pcb);
		return;
	}
	pcb->fin = true;
	pcb->closed = true;
}

void tcp_abort(struct worker *w, struct tcp_pcb *pcb)
{
	struct tcp_pcb *peer = pcb->peer;

	fake_aborts++;
	if (peer != NULL)
		fake_reset(w, peer, ECONNRESET);
	gone(w, pcb);
}

uint32_t tcp_get_info(struct worker *w, const struct tcp_pcb *pcb, void *info, uint32_t len)
{
	memset(info, 0, len);
	return len;
}

void tcp_for_each(struct worker *w, void (*fn)(const struct tcp_pcb *pcb, void *arg), void *arg)
{
	for (struct tcp_pcb *p = fake_pcbs; p != NULL; p = p->next)
		fn(p, arg);
}

struct tcp_pcb *fake_pcb_of_port(uint16_t port, bool remote)
{
	for (struct tcp_pcb *p = fake_pcbs; p != NULL; p = p->next)
		if ((remote ? p->pub.remote.port_be : p->pub.local.port_be) == htobe16(port) &&
		    p->pub.state != TCP_LISTEN)
			return p;
	return NULL;
}
