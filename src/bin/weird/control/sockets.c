/* SPDX-License-Identifier: BSD-3-Clause */
/* "sockets": for each program what it has on weir, and what not and why (weir sockets). */
#include "bin/weird/control/commands.h"

#include "bin/weird/attach/msg.h"
#include "engine/engine.h"
#include "obs/report.h"
#include "sock/session.h"

static const struct {
	const char *what, *why;
} off_texts[ABI_OFF_MAX] = {
	[ABI_OFF_UNIX] = { "AF_UNIX", "the system's, by design" },
	[ABI_OFF_NETLINK] = { "AF_NETLINK", "the system's, by design" },
	[ABI_OFF_OTHER] = { "other families", "the system's, by design" },
	[ABI_OFF_EXCEPTION] = { "AF_INET, AF_INET6", "the host's addresses, by --kernel" },
	[ABI_OFF_REFUSED] = { "refused", "weir has no such socket; its log names them" },
};

static json_t *off_weir(const struct program_info *info)
{
	char nets[sizeof(info->kernel_nets)];
	json_t *list = json_array(), *one;

	attach_text_clean(nets, sizeof(nets), info->kernel_nets);
	for (unsigned int i = 0; i < ABI_OFF_MAX; i++) {
		if (info->off_weir[i] == 0)
			continue;
		one = json_pack("{s:s, s:s, s:I}", "what", off_texts[i].what, "why",
				off_texts[i].why, "count", (json_int_t)info->off_weir[i]);
		if (i == ABI_OFF_EXCEPTION)
			json_object_set_new(one, "kernel", json_string(nets));
		json_array_append_new(list, one);
	}
	return list;
}

struct visit {
	json_t *programs;
	json_t *none; /* sockets that no program has any more */
};

static void program_append(const struct program_info *info, void *arg)
{
	json_t *pids = json_array(), *program;
	struct visit *visit = arg;

	for (unsigned int i = 0; i < info->pid_count; i++)
		json_array_append_new(pids, json_integer(info->pids[i]));
	program = json_pack("{s:I, s:s, s:o, s:I, s:I, s:o, s:o}", "id", (json_int_t)info->id,
			    "program", info->name, "pids", pids, "processes",
			    (json_int_t)info->processes, "passed", (json_int_t)info->in_flight,
			    "sockets", json_array(), "not_on_weir", off_weir(info));
	json_array_append_new(visit->programs, program);
}

static json_t *sockets_of(struct visit *visit, const struct sock_info *info)
{
	json_t *program;
	size_t i;

	if (!info->program || !info->program[0])
		return visit->none;
	json_array_foreach(visit->programs, i, program)
	{
		if (json_integer_value(json_object_get(program, "id")) == (json_int_t)info->id)
			return json_object_get(program, "sockets");
	}
	return visit->none;
}

static void socket_append(const struct sock_info *info, void *arg)
{
	char local[REPORT_ADDR_BYTES], remote[REPORT_ADDR_BYTES];
	json_t *sock = json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:I}", "proto", info->proto,
				 "state", tcp_state_name(info->state), "local",
				 report_endpoint(&info->local, local), "remote",
				 report_endpoint(&info->remote, remote), "recv_q",
				 (json_int_t)info->rx_queue_bytes, "send_q",
				 (json_int_t)info->tx_queue_bytes, "pid", (json_int_t)info->pid);

	if (info->fd >= 0)
		json_object_set_new(sock, "fd", json_integer(info->fd));
	json_array_append_new(sockets_of(arg, info), sock);
}

json_t *control_sockets(struct engine *engine, const json_t *request)
{
	struct visit visit = { json_array(), json_array() };

	(void)request;
	program_for_each(engine->worker[0], program_append, &visit);
	for (unsigned int i = 0; i < engine->worker_count; i++)
		sock_for_each(engine->worker[i], socket_append, &visit);
	return json_pack("{s:o, s:o}", "programs", visit.programs, "no_program", visit.none);
}
