/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The daemon's configuration file, and specifications of ports that open nothing (wire, fault).
 */
#include <sys/mman.h>
#include <unistd.h>

#include "bin/weird/config.h"
#include "core/eal.h"
#include "fuzz.h"

static int config_fd;
static char config_path[64];

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static const char *const args[] = { "--no-huge", "--no-pci", "-m", "64", NULL };

	log_set_level(LOG_LEVEL_ERROR);
	FUZZ_CHECK(core_eal_init(args) == 0);
	config_fd = memfd_create("config", 0);
	FUZZ_CHECK(config_fd >= 0);
	snprintf(config_path, sizeof(config_path), "/proc/self/fd/%d", config_fd);
	return 0;
}

static void try_file(const uint8_t *data, size_t size)
{
	static struct weird_config config;
	char error[CONFIG_ERROR_BYTES];

	memset(&config, 0, sizeof(config));
	FUZZ_CHECK(ftruncate(config_fd, 0) == 0);
	FUZZ_CHECK(pwrite(config_fd, data, size, 0) == (ssize_t)size);
	FUZZ_CHECK(config_read_file(config_path, &config, error) <= 0);
	FUZZ_CHECK(config.item_count <= CONFIG_ITEMS_MAX);
}

static void try_port(const char *kind, const uint8_t *data, size_t size)
{
	struct port_open_params params = { .workers = 1 };
	char spec[512], error[PORT_ERROR_BYTES];
	struct port *port;

	snprintf(spec, sizeof(spec), "%s,%.*s", kind, (int)(size < 400 ? size : 400),
		 (const char *)data);
	/* Whatever would touch the machine is not for a fuzzer. */
	if (strchr(spec, ':') && !strstr(spec, ":wire"))
		return;
	if (port_open(spec, &params, &port, error) == 0)
		port_close(port);
	else
		FUZZ_CHECK(memchr(error, '\0', sizeof(error)) && error[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	if (data[0] & 1)
		try_file(data + 1, size - 1);
	else
		try_port(data[0] & 2 ? "wire" : "fault", data + 1, size - 1);
	return 0;
}
