/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * weir's ports as interfaces of Wireshark and tshark: they call each program of their extcap
 * folder with the options below, and read the packets from a FIFO. Every instance in the run
 * folder is there; an interface's name is weir-INSTANCE-PORT, found again by making the names anew,
 * since both may have dashes in them.
 */
#include <dirent.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "bin/weir/capture/capture.h"
#include "bin/weir/watch.h"

#define NAME_BYTES 256

enum {
	EXT_INTERFACES = 256,
	EXT_VERSION,
	EXT_DLTS,
	EXT_CONFIG,
	EXT_INTERFACE,
	EXT_CAPTURE,
	EXT_FIFO,
	EXT_FILTER,
	EXT_AT,
	EXT_SNAP,
	EXT_FIX,
	EXT_RELOAD
};

static const struct option longs[] = {
	{ "extcap-interfaces", no_argument, NULL, EXT_INTERFACES },
	{ "extcap-version", optional_argument, NULL, EXT_VERSION },
	{ "extcap-dlts", no_argument, NULL, EXT_DLTS },
	{ "extcap-config", no_argument, NULL, EXT_CONFIG },
	{ "extcap-interface", required_argument, NULL, EXT_INTERFACE },
	{ "extcap-reload-option", required_argument, NULL, EXT_RELOAD },
	{ "extcap-capture-filter", required_argument, NULL, EXT_FILTER },
	{ "capture", no_argument, NULL, EXT_CAPTURE },
	{ "fifo", required_argument, NULL, EXT_FIFO },
	{ "at", required_argument, NULL, EXT_AT },
	{ "snaplen", required_argument, NULL, EXT_SNAP },
	{ "fix-checksums", no_argument, NULL, EXT_FIX },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

struct extcap {
	bool interfaces, dlts, config, capture;
	const char *interface, *fifo, *filter, *at, *snap;
	bool fix;
};

/* A port that was found. */
typedef bool (*port_fn)(const char *instance, const char *port, const char *name, void *context);

/* Is somebody there? So that old sockets are passed over without words. */
static bool answers(const char *instance)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int n = snprintf(to.sun_path, sizeof(to.sun_path), "%s/%s/ctl.sock", cli.rundir, instance);
	int fd = n > 0 && (size_t)n < sizeof(to.sun_path)
			 ? socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)
			 : -1;
	bool there = fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0;

	if (fd >= 0)
		close(fd);
	return there;
}

/* fn for each port of the instance cli.instance, until it says false. */
static bool ports_of(const char *instance, port_fn fn, void *context)
{
	json_t *stat = cli_ask(json_pack("{s:s}", "cmd", "stat"));
	const json_t *port;
	bool more = true;
	size_t i;

	json_array_foreach(json_object_get(stat, "ports"), i, port)
	{
		char name[NAME_BYTES];

		snprintf(name, sizeof(name), "weir-%s-%s", instance, cli_string(port, "name"));
		more = more && fn(instance, cli_string(port, "name"), name, context);
	}
	json_decref(stat);
	return more;
}

static void ports_all(port_fn fn, void *context)
{
	struct dirent **entries;
	int n = scandir(cli.rundir, &entries, NULL, alphasort);
	bool more = true;

	for (int i = 0; i < n; i++) {
		const char *instance = entries[i]->d_name;

		if (more && instance[0] != '.' && answers(instance)) {
			cli.instance = instance;
			more = ports_of(instance, fn, context);
		}
		free(entries[i]);
	}
	if (n >= 0)
		free(entries);
}

/* ---- lists ---- */

static bool print_interface(const char *instance, const char *port, const char *name, void *context)
{
	printf("interface {value=%s}{display=weir %s: %s}\n", name, instance, port);
	return true;
}

static void print_stages(void)
{
	json_t *stat = cli_ask(json_pack("{s:s}", "cmd", "stat"));
	const json_t *stage;
	size_t i;

	json_array_foreach(json_object_get(stat, "stages"), i, stage)
	{
		const char *label = cli_string(stage, "stage");
		bool sends = strcmp(cli_string(stage, "direction"), "send") == 0;

		printf("value {arg=0}{value=%s}{display=at %s (%s)%s}\n", label, label,
		       cli_string(stage, "linux"), sends ? ", of all ports" : "");
	}
	json_decref(stat);
}

static int print_config(void)
{
	printf("arg {number=0}{call=--at}{display=Where}{tooltip=Where packets are "
	       "taken}{type=selector}\n"
	       "value {arg=0}{value=both}{display=ingress and egress}{default=true}\n"
	       "value {arg=0}{value=ingress}{display=ingress}{default=false}\n"
	       "value {arg=0}{value=egress}{display=egress}{default=false}\n"
	       "value {arg=0}{value=drops}{display=dropped packets, each with its "
	       "reason}{default=false}\n");
	print_stages();
	printf("arg {number=1}{call=--snaplen}{display=Snapshot length}{tooltip=Bytes of each "
	       "packet}{type=unsigned}{range=0,262144}{default=262144}\n"
	       "arg {number=2}{call=--fix-checksums}{display=Fill in checksums}{tooltip=Those "
	       "that were left to the card}{type=boolflag}{default=false}\n");
	return CLI_OK;
}

/* ---- capture ---- */

struct chosen {
	const char *name;
	char instance[NAME_BYTES], port[NAME_BYTES];
	bool found;
};

static bool choose(const char *instance, const char *port, const char *name, void *context)
{
	struct chosen *c = context;

	if (strcmp(name, c->name) != 0)
		return true;
	snprintf(c->instance, sizeof(c->instance), "%s", instance);
	snprintf(c->port, sizeof(c->port), "%s", port);
	c->found = true;
	return false;
}

static bool is_send_stage(const char *name)
{
	json_t *stat = cli_ask(json_pack("{s:s}", "cmd", "stat"));
	const json_t *stage;
	bool sends = false;
	size_t i;

	json_array_foreach(json_object_get(stat, "stages"), i, stage)
	{
		if (strcmp(cli_string(stage, "stage"), name) == 0 && strcmp(name, "port-tx") != 0)
			sends = strcmp(cli_string(stage, "direction"), "send") == 0;
	}
	json_decref(stat);
	return sends;
}

static void place(struct capture_options *o, const char *at)
{
	bool both = !at || strcmp(at, "both") == 0;

	o->ingress = both || strcmp(at, "ingress") == 0;
	o->egress = both || strcmp(at, "egress") == 0;
	o->drops = !both && strcmp(at, "drops") == 0;
	if (!o->ingress && !o->egress && !o->drops)
		o->stages = at;
	if (o->stages && is_send_stage(at))
		o->port_count = 0; /* it has no port there */
}

static int capture(const struct extcap *e)
{
	struct chosen chosen = { .name = e->interface };
	struct capture_options o = { .port_count = 1,
				     .snap_bytes = CAPTURE_SNAP_DEFAULT,
				     .ring_bytes = CAPTURE_RING_DEFAULT,
				     .file = e->fifo,
				     .filter = e->filter && *e->filter ? e->filter : NULL,
				     .fix_checksums = e->fix,
				     .quiet = true };
	unsigned long snap = e->snap ? strtoul(e->snap, NULL, 10) : 0;

	ports_all(choose, &chosen);
	if (!chosen.found)
		return cli_fail("there is no interface '%s' (any more): is weird running, and may "
				"you talk to it?",
				e->interface);
	cli.instance = chosen.instance;
	o.port[0] = chosen.port;
	if (snap && snap < CAPTURE_SNAP_DEFAULT)
		o.snap_bytes = (uint32_t)snap;
	place(&o, e->at);
	return capture_run(&o);
}

/* Wireshark asks, while the filter is typed, and shows what is printed. */
static int check_filter(const char *filter)
{
	json_t *request = json_object();
	int status = *filter ? watch_filter(request, filter) : 0;

	json_decref(request);
	if (status)
		printf("libpcap does not understand this filter\n");
	return status;
}

static void set(struct extcap *e, int c)
{
	switch (c) {
	case EXT_INTERFACES:
		e->interfaces = true;
		break;
	case EXT_DLTS:
		e->dlts = true;
		break;
	case EXT_CONFIG:
		e->config = true;
		break;
	case EXT_INTERFACE:
		e->interface = optarg;
		break;
	case EXT_CAPTURE:
		e->capture = true;
		break;
	case EXT_FIFO:
		e->fifo = optarg;
		break;
	case EXT_FILTER:
		e->filter = optarg;
		break;
	case EXT_AT:
		e->at = optarg;
		break;
	case EXT_SNAP:
		e->snap = optarg;
		break;
	case EXT_FIX:
		e->fix = true;
		break;
	default: /* versions, and what newer ones of Wireshark add */
		break;
	}
}

int capture_extcap(const struct cli_command *command, int argc, char **argv)
{
	struct chosen chosen = { 0 };
	struct extcap e = { 0 };
	int c;

	optind = 0;
	opterr = 0;
	while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1)
		set(&e, c);
	if (e.interfaces) {
		printf("extcap {version=1.0}{display=weir}\n");
		ports_all(print_interface, NULL);
		return CLI_OK;
	}
	if (!e.interface)
		return cli_misuse(command, "--extcap is for Wireshark, which adds what it wants "
					   "(man weir-capture says how to install it)");
	if (e.dlts) {
		printf("dlt {number=1}{name=EN10MB}{display=Ethernet}\n");
		return CLI_OK;
	}
	if (e.config) {
		chosen.name = e.interface;
		ports_all(choose, &chosen);
		cli.instance = chosen.instance;
		return chosen.found ? print_config() : CLI_FAILED;
	}
	if (e.capture && e.fifo)
		return capture(&e);
	return e.filter ? check_filter(e.filter) : CLI_OK;
}
