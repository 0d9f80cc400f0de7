/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Finding a DPDK device by its devargs, and configuring it: as many queues as workers where the
 * device spreads flows over them, the offloads that we can use, interrupts where they work.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>

#include "dev/dpdk.h"
#include "wire/eth.h"

#define DPDK_RX_DESCRIPTORS 512u
#define DPDK_TX_DESCRIPTORS 512u

#define DPDK_TX_CSUM (RTE_ETH_TX_OFFLOAD_TCP_CKSUM | RTE_ETH_TX_OFFLOAD_UDP_CKSUM)
#define DPDK_TX_TSO                                                                                \
	(RTE_ETH_TX_OFFLOAD_TCP_TSO | RTE_ETH_TX_OFFLOAD_IPV4_CKSUM |                              \
	 RTE_ETH_TX_OFFLOAD_MULTI_SEGS | DPDK_TX_CSUM)

/* The plan for a device, before it is carried out. */
struct dpdk_plan {
	struct rte_eth_dev_info info;
	struct rte_eth_conf conf;
	uint16_t queues;
	uint16_t rx_queues, tx_queues;
};

static int dpdk_fail_probe(int err, const char *devargs, char *error)
{
	return port_fail(
		error, err,
		"dpdk: no device from \"%.80s\": %s. For a PCI card: is it bound to vfio-pci "
		"(dpdk-devbind.py)? For a virtual device: are its options right, does its "
		"interface or socket exist?",
		devargs, rte_strerror(-err));
}

/* A device that is a port already is found again by its devargs: the mark of its owner tells. */
static int dpdk_claim(uint16_t port_id, const char *devargs, char *error)
{
	struct rte_eth_dev_owner owner = { .name = "weir" };
	int err;

	if (rte_eth_dev_owner_get(port_id, &owner) == 0 && owner.id != RTE_ETH_DEV_NO_OWNER)
		return port_fail(error, -EBUSY, "dpdk: device \"%.80s\" is in use already",
				 devargs);
	strcpy(owner.name, "weir");
	err = rte_eth_dev_owner_new(&owner.id);
	if (!err)
		err = rte_eth_dev_owner_set(port_id, &owner);
	if (err)
		return port_fail(error, err, "dpdk: device \"%.80s\" cannot be claimed: %s",
				 devargs, rte_strerror(-err));
	return 0;
}

/* The first port of the device that devargs describe; the device is probed if need be. */
static int dpdk_probe(const char *devargs, uint16_t *port_id, char *error)
{
	struct rte_dev_iterator it;
	uint16_t id;
	int err = rte_dev_probe(devargs);

	if (err && err != -EEXIST)
		return dpdk_fail_probe(err, devargs, error);
	RTE_ETH_FOREACH_MATCHING_DEV(id, devargs, &it)
	{
		*port_id = id;
		rte_eth_iterator_cleanup(&it);
		return dpdk_claim(id, devargs, error);
	}
	return dpdk_fail_probe(-ENODEV, devargs, error);
}

/* Devices without RSS whose queues still keep a flow together (the kernel or the peer spreads). */
static bool dpdk_spreads(const struct rte_eth_dev_info *info)
{
	static const char *const drivers[] = { "net_af_packet", "net_af_xdp", "net_memif",
					       "net_vhost", "net_ring" };

	if (info->flow_type_rss_offloads)
		return true;
	for (unsigned int i = 0; i < RTE_DIM(drivers); i++) {
		if (strcmp(info->driver_name, drivers[i]) == 0)
			return true;
	}
	return false;
}

static void dpdk_plan_queues(struct dpdk_plan *plan, uint16_t workers)
{
	const struct rte_eth_dev_info *info = &plan->info;
	uint64_t rss = info->flow_type_rss_offloads &
		       (RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP | RTE_ETH_RSS_UDP);

	plan->queues = RTE_MIN(workers, info->max_rx_queues);
	if (info->max_tx_queues)
		plan->queues = RTE_MIN(plan->queues, info->max_tx_queues);
	if (plan->queues > 1 && !dpdk_spreads(info))
		plan->queues = 1;
	if (plan->queues == 0)
		plan->queues = 1;
	plan->rx_queues = RTE_MIN(plan->queues, info->max_rx_queues);
	plan->tx_queues = RTE_MIN(plan->queues, info->max_tx_queues);
	if (plan->queues > 1 && rss) {
		plan->conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
		plan->conf.rx_adv_conf.rss_conf.rss_hf = rss;
	}
}

static void dpdk_plan_offloads(struct dpdk_plan *plan, bool plain)
{
	uint64_t can = plan->info.tx_offload_capa;
	uint64_t on = can & RTE_ETH_TX_OFFLOAD_MULTI_SEGS;

	if (!plain) {
		if ((can & DPDK_TX_CSUM) == DPDK_TX_CSUM)
			on |= DPDK_TX_CSUM;
		if ((can & DPDK_TX_TSO) == DPDK_TX_TSO)
			on |= DPDK_TX_TSO;
		plan->conf.rxmode.offloads = plan->info.rx_offload_capa &
					     RTE_ETH_RX_OFFLOAD_CHECKSUM;
	}
	plan->conf.txmode.offloads = on;
}

static int dpdk_set_up_queues(const struct dpdk_plan *plan, struct port *port,
			      const struct port_open_params *params)
{
	struct dpdk *d = port->driver;
	struct rte_eth_rxconf rx = plan->info.default_rxconf;
	struct rte_eth_txconf tx = plan->info.default_txconf;
	uint16_t rx_n = DPDK_RX_DESCRIPTORS, tx_n = DPDK_TX_DESCRIPTORS;
	int socket = rte_eth_dev_socket_id(d->port_id);
	int err = rte_eth_dev_adjust_nb_rx_tx_desc(d->port_id, &rx_n, &tx_n);

	if (err && err != -ENOTSUP)
		return err;
	d->rx_ring = rx_n;
	d->tx_ring = tx_n;
	rx.offloads = plan->conf.rxmode.offloads;
	tx.offloads = plan->conf.txmode.offloads;
	for (uint16_t q = 0; q < plan->rx_queues; q++) {
		err = rte_eth_rx_queue_setup(d->port_id, q, rx_n, (unsigned int)socket, &rx,
					     params->worker[q]->pool);
		if (err)
			return err;
	}
	for (uint16_t q = 0; q < plan->tx_queues; q++) {
		err = rte_eth_tx_queue_setup(d->port_id, q, tx_n, (unsigned int)socket, &tx);
		if (err)
			return err;
	}
	return 0;
}

static int dpdk_start(struct dpdk_plan *plan, struct port *port,
		      const struct port_open_params *params)
{
	struct dpdk *d = port->driver;
	int err;

	/* Some drivers accept this and have none; dpdk_open_interrupts() finds out. */
	plan->conf.intr_conf.rxq = 1;
	err = rte_eth_dev_configure(d->port_id, plan->rx_queues, plan->tx_queues, &plan->conf);
	if (err) {
		plan->conf.intr_conf.rxq = 0;
		err = rte_eth_dev_configure(d->port_id, plan->rx_queues, plan->tx_queues,
					    &plan->conf);
	}
	if (!err)
		err = dpdk_set_up_queues(plan, port, params);
	if (!err)
		err = rte_eth_dev_start(d->port_id);
	if (err)
		return err;
	d->started = true;
	rte_eth_stats_reset(d->port_id); /* what it counted for others before */
	rte_eth_xstats_reset(d->port_id);
	rte_eth_promiscuous_disable(d->port_id);
	if (plan->conf.intr_conf.rxq)
		dpdk_open_interrupts(port);
	return 0;
}

/* What the started device says of itself. */
static void dpdk_describe(const struct dpdk_plan *plan, struct port *port)
{
	const struct dpdk *d = port->driver;
	struct rte_ether_addr mac;
	struct rte_eth_link link;
	uint64_t on = plan->conf.txmode.offloads;
	uint16_t mtu;

	if (rte_eth_macaddr_get(d->port_id, &mac) == 0 && !eth_addr_is_zero(mac.addr_bytes))
		eth_addr_copy(port->mac, mac.addr_bytes);
	if (rte_eth_dev_get_mtu(d->port_id, &mtu) == 0 && mtu >= 68)
		port->mtu_bytes = mtu;
	port->up = rte_eth_link_get_nowait(d->port_id, &link) || link.link_status;
	if ((on & DPDK_TX_CSUM) == DPDK_TX_CSUM)
		port->caps |= PORT_CAP_TX_CSUM;
	if ((on & DPDK_TX_TSO) == DPDK_TX_TSO)
		port->caps |= PORT_CAP_TX_TSO4;
}

static struct port *dpdk_new(const char *name, uint16_t port_id, uint16_t queues,
			     const struct port_open_params *params)
{
	struct port *port = port_new(&dpdk_ops, name, queues);
	size_t size = sizeof(struct dpdk) + queues * sizeof(struct dpdk_queue);
	struct dpdk *d = aligned_alloc(64, RTE_ALIGN_CEIL(size, 64));
	struct worker **worker = calloc(queues, sizeof(*worker));

	if (!port || !d || !worker) {
		free(port);
		free(d);
		free(worker);
		return NULL;
	}
	memset(d, 0, size);
	d->port_id = port_id;
	d->worker = worker;
	for (uint16_t q = 0; q < queues; q++) {
		d->worker[q] = params->worker[q];
		d->queue[q].epoll_fd = -1;
	}
	port->driver = d;
	return port;
}

/* A device that was probed, but did not become a port. */
static void dpdk_forget(uint16_t port_id)
{
	struct rte_eth_dev_info info;
	int err = rte_eth_dev_info_get(port_id, &info);

	rte_eth_dev_close(port_id);
	if (!err)
		rte_dev_remove(info.device);
}

int dpdk_open(const char *rest, const struct port_open_ctx *ctx, struct port **out)
{
	char name[RTE_ETH_NAME_MAX_LEN];
	struct dpdk_plan plan = { 0 };
	struct port *port;
	struct dpdk *d;
	uint16_t id = 0;
	int err;

	if (!*rest)
		return port_fail(ctx->error, -EINVAL,
				 "dpdk: which device? As in dpdk,0000:01:00.0 or dpdk,net_null0");
	if (!ctx->params->worker)
		return port_fail(ctx->error, -EINVAL, "dpdk: ports need the workers' packet pools");
	err = dpdk_probe(rest, &id, ctx->error);
	if (err)
		return err;
	if (rte_eth_dev_info_get(id, &plan.info) || rte_eth_dev_get_name_by_port(id, name)) {
		dpdk_forget(id);
		return port_fail(ctx->error, -ENODEV,
				 "dpdk: device \"%.80s\" says nothing of itself", rest);
	}
	dpdk_plan_queues(&plan, ctx->params->workers);
	dpdk_plan_offloads(&plan, ctx->plain);
	port = dpdk_new(name, id, plan.queues, ctx->params);
	if (!port) {
		dpdk_forget(id);
		return port_fail(ctx->error, -ENOMEM, "dpdk: out of memory");
	}
	d = port->driver;
	d->tx_offloads = plan.conf.txmode.offloads;
	d->no_tx = plan.tx_queues == 0;
	d->drain_at_close = strcmp(plan.info.driver_name, "net_ring") == 0;
	err = dpdk_start(&plan, port, ctx->params);
	if (err) {
		port_fail(ctx->error, err, "dpdk: device %.60s does not start: %s", name,
			  rte_strerror(-err));
		dpdk_ops.close(port);
		return err;
	}
	dpdk_describe(&plan, port);
	*out = port;
	return 0;
}

int dpdk_open_short(const char *type, const char *rest, const struct port_open_ctx *ctx,
		    struct port **port)
{
	char devargs[SPEC_BYTES];
	uint16_t id;
	int n;

	for (unsigned int i = 0;; i++) {
		n = snprintf(devargs, sizeof(devargs), "net_%s%u", type, i);
		if (rte_eth_dev_get_port_by_name(devargs, &id))
			break;
	}
	n = snprintf(devargs + n, sizeof(devargs) - (size_t)n, "%s%s", *rest ? "," : "", rest) + n;
	if ((size_t)n >= sizeof(devargs))
		return port_fail(ctx->error, -E2BIG, "%s: the specification is too long", type);
	return dpdk_open(devargs, ctx, port);
}
