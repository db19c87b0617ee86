// The floor: a minimal TCP echo on epoll. It is level-triggered, with one read and one write for
// each event and one buffer for all connections. It keeps what the kernel does not take, and reads
// nothing more from that peer until it is sent. With -b, what it keeps may grow, because others go
// on sending.
#include "common.h"
#include <sys/epoll.h>

enum { BATCH = 1024, BUFFER = 64 << 10 };

struct conn {
	int fd;
	unsigned index;          // in all
	char *rest;              // what the kernel did not take, from begin to end
	size_t begin, end, size; // size: capacity of rest
};

static int ep, broadcast;
static struct conn **all;
static unsigned count, room;
static char buffer[BUFFER];

static void watch(struct conn *c, unsigned events)
{
	struct epoll_event e = {.events = events, .data.ptr = c};
	epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &e);
}

static void add(int fd)
{
	struct conn *c = calloc(1, sizeof *c);
	if (count == room)
		all = realloc(all, (room = 2 * room + 64) * sizeof *all);
	if (!c || !all)
		fail("memory");
	c->fd = fd;
	c->index = count;
	all[count++] = c;
	struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
	if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e) < 0)
		fail("epoll_ctl");
}

static void drop(struct conn *c)
{
	all[c->index] = all[--count];
	all[c->index]->index = c->index;
	close(c->fd);
	free(c->rest);
	free(c);
}

// keep appends n bytes to what waits to be sent.
static void keep(struct conn *c, const char *b, size_t n)
{
	if (c->begin == c->end) {
		c->begin = c->end = 0;
		watch(c, EPOLLOUT);
	}
	if (c->end + n > c->size) {
		c->size = 2 * (c->end + n);
		if (!(c->rest = realloc(c->rest, c->size)))
			fail("memory");
	}
	memcpy(c->rest + c->end, b, n);
	c->end += n;
}

// put sends, or keeps. It ignores errors, because the next event reports them too.
static void put(struct conn *c, const char *b, size_t n)
{
	ssize_t k = 0;
	if (c->begin == c->end && (k = write(c->fd, b, n)) < 0) {
		if (errno != EAGAIN)
			return;
		k = 0;
	}
	if ((size_t)k < n)
		keep(c, b + k, n - k);
}

static void writable(struct conn *c)
{
	ssize_t k = write(c->fd, c->rest + c->begin, c->end - c->begin);
	if (k < 0) {
		if (errno != EAGAIN)
			drop(c);
		return;
	}
	if ((c->begin += k) == c->end)
		watch(c, EPOLLIN);
}

static void readable(struct conn *c)
{
	ssize_t n = read(c->fd, buffer, sizeof buffer);
	if (n <= 0) {
		if (n == 0 || errno != EAGAIN)
			drop(c);
	} else if (!broadcast) {
		put(c, buffer, n);
	} else {
		for (unsigned i = 0; i < count; i++)
			put(all[i], buffer, n);
	}
}

int main(int argc, char **argv)
{
	int ln = started(argc, argv, SOCK_NONBLOCK, &broadcast), fd;
	struct epoll_event events[BATCH], e = {.events = EPOLLIN}; // data.ptr is 0 for the listener
	if ((ep = epoll_create1(EPOLL_CLOEXEC)) < 0 || epoll_ctl(ep, EPOLL_CTL_ADD, ln, &e) < 0)
		fail("epoll");
	for (;;) {
		int n = epoll_wait(ep, events, BATCH, -1);
		for (int i = 0; i < n; i++) {
			struct conn *c = events[i].data.ptr;
			if (!c) {
				while ((fd = accept4(ln, 0, 0, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
					add(fd);
			} else if (c->begin < c->end) {
				writable(c);
			} else {
				readable(c);
			}
		}
	}
}
