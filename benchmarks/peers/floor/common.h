// What both floors share: their arguments and the listening socket.
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

// fail prints what failed, and exits.
static void fail(const char *what)
{
	perror(what);
	exit(1);
}

// started reads "PORT [-b]" and returns a socket that listens on that port of 127.0.0.1. flags are
// SOCK_NONBLOCK or 0.
static int started(int argc, char **argv, int flags, int *broadcast)
{
	*broadcast = argc == 3 && strcmp(argv[2], "-b") == 0;
	if (argc != 2 + *broadcast) {
		fprintf(stderr, "usage: %s PORT [-b]\nsends back what it receives; with -b, to all connections\n", argv[0]);
		exit(2);
	}
	signal(SIGPIPE, SIG_IGN);
	struct rlimit files;
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);

	struct sockaddr_in addr = {
		.sin_family = AF_INET, .sin_port = htons(atoi(argv[1])), .sin_addr = {htonl(INADDR_LOOPBACK)},
	};
	socklen_t len = sizeof addr;
	int one = 1, ln = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
	if (ln < 0 || setsockopt(ln, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) < 0 ||
	    bind(ln, (void *)&addr, len) < 0 || listen(ln, 4096) < 0 || getsockname(ln, (void *)&addr, &len) < 0)
		fail("listen");
	// Accepted connections inherit this, which saves a system call for each.
	if (setsockopt(ln, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) < 0)
		fail("TCP_NODELAY");
	printf("floor: listening on 127.0.0.1:%d\n", ntohs(addr.sin_port));
	fflush(stdout);
	return ln;
}
