/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Asking the daemon: one line of JSON out, one document back (bin/weird/control/commands.h), and,
 * where that does not work, words that say what to do.
 */
#include <dirent.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "bin/weir/cli.h"

#define CLIENT_TIMEOUT_S 20
#define CLIENT_ANSWER_MAX (256u << 20)

/* The names of instances that have a control socket, for who misspelt one. */
static void say_instances(void)
{
	DIR *dir = opendir(cli.rundir);
	struct dirent *entry;
	unsigned int n = 0;

	while (dir && (entry = readdir(dir))) {
		char path[512];

		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s/ctl.sock", cli.rundir, entry->d_name);
		if (access(path, F_OK) == 0)
			fprintf(stderr, "%s%s",
				n++ ? ", " : "      instances in that folder: ", entry->d_name);
	}
	if (n)
		fputc('\n', stderr);
	if (dir)
		closedir(dir);
}

static void explain(int error, const char *path)
{
	const char *name = cli.instance;

	switch (error) {
	case ENOENT:
		cli_fail("no weird runs as instance '%s' (there is no %s)", name, path);
		fprintf(stderr,
			"      start one:     weird --instance %s --port tap,name=weir0 --addr "
			"198.18.0.2/24\n"
			"      or name it:    weir --instance NAME ... (and --rundir DIR, where "
			"it has its own)\n",
			name);
		say_instances();
		break;
	case ECONNREFUSED:
		cli_fail("the weird of instance '%s' has ended and left its socket behind (%s)",
			 name, path);
		fprintf(stderr,
			"      start it again: weird --instance %s ... (it takes the socket "
			"over)\n",
			name);
		break;
	case EACCES:
	case EPERM:
		cli_fail("no permission to talk to instance '%s' (%s)", name, path);
		fprintf(stderr,
			"      run weir as the user who started weird, or as root: sudo weir "
			"...\n");
		break;
	default:
		cli_fail("cannot talk to instance '%s' (%s): %s", name, path, strerror(error));
	}
}

/* weird hangs up on users that it does not serve (bin/weird/peer.h): is that what happened? */
static bool refused_as_user(int fd)
{
	struct sockaddr_un peer;
	socklen_t len = sizeof(peer);
	struct stat st;

	if (geteuid() == 0 || getpeername(fd, (struct sockaddr *)&peer, &len) ||
	    len <= offsetof(struct sockaddr_un, sun_path))
		return false;
	if (stat(peer.sun_path, &st) || st.st_uid == geteuid())
		return false;
	explain(EACCES, peer.sun_path);
	return true;
}

/* A connected descriptor, or -1 after the reason was said. */
static int client_connect(void)
{
	struct timeval wait = { .tv_sec = CLIENT_TIMEOUT_S };
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	char path[1024];
	int fd, n;

	n = snprintf(path, sizeof(path), "%s/%s/ctl.sock", cli.rundir, cli.instance);
	if (n < 0 || (size_t)n >= sizeof(to.sun_path)) {
		cli_fail("the path %s is too long for a socket (%zu bytes at most): use a "
			 "shorter --rundir "
			 "or --instance",
			 path, sizeof(to.sun_path) - 1);
		return -1;
	}
	memcpy(to.sun_path, path, (size_t)n + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		cli_fail("no socket: %s", strerror(errno));
		return -1;
	}
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0)
		return fd;
	explain(errno, path);
	close(fd);
	return -1;
}

static int send_all(int fd, const char *text, size_t len)
{
	while (len) {
		ssize_t n = send(fd, text, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		text += n;
		len -= (size_t)n;
	}
	return 0;
}

/* recv(), which keeps the descriptor that comes along in *passed (NULL: none is wanted). */
static ssize_t receive_some(int fd, void *to, size_t room, int *passed)
{
	struct iovec iov = { to, room };
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = passed ? control.bytes : NULL,
			      .msg_controllen = passed ? sizeof(control.bytes) : 0 };
	ssize_t n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC);
	struct cmsghdr *cmsg = n > 0 ? CMSG_FIRSTHDR(&msg) : NULL;

	if (cmsg && cmsg->cmsg_level == SOL_SOCKET && cmsg->cmsg_type == SCM_RIGHTS)
		memcpy(passed, CMSG_DATA(cmsg), sizeof(int));
	return n;
}

/* Everything until the daemon closes, or, where a descriptor is to come along, until the end of the
 * line: 0 and the bytes in *text (the caller's), or -errno. */
static int receive_all(int fd, char **text, size_t *len, int *passed)
{
	size_t room = 1 << 16;
	ssize_t n;

	*len = 0;
	*text = malloc(room);
	while (*text) {
		n = receive_some(fd, *text + *len, room - *len, passed);
		if (n == 0)
			return 0;
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		*len += (size_t)n;
		if (passed && (*text)[*len - 1] == '\n')
			return 0;
		if (*len == room) {
			char *more = room < CLIENT_ANSWER_MAX ? realloc(*text, room * 2) : NULL;

			if (!more)
				return -ENOMEM;
			*text = more;
			room *= 2;
		}
	}
	return -ENOMEM;
}

static json_t *exchange(int fd, const char *line, size_t len, int *passed)
{
	json_error_t error;
	json_t *answer = NULL;
	char *text = NULL;
	size_t n = 0;
	int rc = send_all(fd, line, len);

	if (rc == 0)
		rc = receive_all(fd, &text, &n, passed);
	if ((rc == -ECONNRESET || rc == -EPIPE || (rc == 0 && n == 0)) && refused_as_user(fd)) {
		free(text);
		return NULL;
	}
	if (rc == -EAGAIN) {
		cli_fail("the weird of instance '%s' did not answer within %d s: is it stopped? "
			 "(its log "
			 "says more)",
			 cli.instance, CLIENT_TIMEOUT_S);
	} else if (rc) {
		cli_fail("the connection to instance '%s' broke: %s", cli.instance, strerror(-rc));
	} else if (n == 0) {
		cli_fail("the weird of instance '%s' closed the connection without an answer: it "
			 "is ending, "
			 "or crashed (its log says more)",
			 cli.instance);
	} else {
		answer = json_loadb(text, n, 0, &error);
		if (!answer)
			cli_fail("the answer of instance '%s' is not JSON (%s): are weir and "
				 "weird of the "
				 "same version?",
				 cli.instance, error.text);
	}
	free(text);
	return answer;
}

/* Ask, and leave the connection in *fd where that is wanted and the answer is no error. */
static json_t *ask(json_t *request, int *fd, int *passed)
{
	char *line = json_dumps(request, JSON_COMPACT);
	size_t len = line ? strlen(line) : 0;
	json_t *answer = NULL;
	const char *words;

	json_decref(request);
	*fd = -1;
	if (!line) {
		cli_fail("out of memory");
		return NULL;
	}
	line[len] = '\n'; /* takes the place of the terminator: a line is not a string */
	*fd = client_connect();
	if (*fd >= 0)
		answer = exchange(*fd, line, len + 1, passed);
	free(line);
	words = answer ? json_string_value(json_object_get(answer, "error")) : NULL;
	if (words) {
		cli_fail("%s", words);
		json_decref(answer);
		return NULL;
	}
	return answer;
}

json_t *cli_ask(json_t *request)
{
	int fd;
	json_t *answer = ask(request, &fd, NULL);

	if (fd >= 0)
		close(fd);
	return answer;
}

json_t *cli_ask_open(json_t *request, int *fd, int *passed)
{
	json_t *answer;

	*passed = -1;
	answer = ask(request, fd, passed);
	if (answer && *passed >= 0)
		return answer;
	if (answer)
		cli_fail("the answer of instance '%s' came without its memory: are weir and weird "
			 "of the same version?",
			 cli.instance);
	json_decref(answer);
	if (*passed >= 0)
		close(*passed);
	if (*fd >= 0)
		close(*fd);
	return NULL;
}
