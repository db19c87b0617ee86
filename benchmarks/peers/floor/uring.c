// The floor on io_uring: multishot accept, multishot receive into buffers that the kernel chooses,
// and one send at a time for each connection. There is one system call per turn.
#include "common.h"
#include <liburing.h>

enum { ENTRIES = 4096, BUFFERS = 256, BUFFER = 64 << 10, GROUP = 0 };

// piece is received bytes that wait to be sent.
struct piece {
	unsigned buffer, offset, length;
};

struct conn {
	int fd, receiving, sending;
	unsigned index;        // in all
	struct piece *pieces;  // what waits to be sent, from head to tail
	unsigned head, tail, size;
	struct conn *starving; // the next connection that found no buffer to receive into
};

enum { RECEIVED, SENT }; // the lowest bit of user_data; the other bits are the conn's address

static struct io_uring ring;
static struct io_uring_buf_ring *buffers;
static char *memory;
static unsigned uses[BUFFERS]; // number of pieces in each buffer
static struct conn **all, *starving;
static unsigned count, room;
static int broadcast;

static struct io_uring_sqe *entry(void)
{
	struct io_uring_sqe *e;
	while (!(e = io_uring_get_sqe(&ring)))
		io_uring_submit(&ring);
	return e;
}

static void receive(struct conn *c)
{
	struct io_uring_sqe *e = entry();
	io_uring_prep_recv_multishot(e, c->fd, NULL, 0, 0);
	e->flags |= IOSQE_BUFFER_SELECT;
	e->buf_group = GROUP;
	io_uring_sqe_set_data64(e, (unsigned long)c | RECEIVED);
	c->receiving = 1;
}

// send_piece sends the first piece that waits.
static void send_piece(struct conn *c)
{
	struct io_uring_sqe *e = entry();
	struct piece *p = &c->pieces[c->head];
	io_uring_prep_send(e, c->fd, memory + (size_t)p->buffer * BUFFER + p->offset, p->length, MSG_NOSIGNAL);
	io_uring_sqe_set_data64(e, (unsigned long)c | SENT);
	c->sending = 1;
}

static void offer(unsigned buffer)
{
	char *at = memory + (size_t)buffer * BUFFER;
	io_uring_buf_ring_add(buffers, at, BUFFER, buffer, io_uring_buf_ring_mask(BUFFERS), 0);
	io_uring_buf_ring_advance(buffers, 1);
}

// release gives up one use of a buffer. When it is free, starving connections receive again.
static void release(unsigned buffer)
{
	if (--uses[buffer] > 0)
		return;
	offer(buffer);
	while (starving) {
		struct conn *c = starving;
		starving = c->starving;
		receive(c);
	}
}

static void push(struct conn *c, struct piece p)
{
	if (c->head == c->tail)
		c->head = c->tail = 0;
	if (c->tail == c->size && !(c->pieces = realloc(c->pieces, (c->size = 2 * c->size + 4) * sizeof p)))
		fail("memory");
	c->pieces[c->tail++] = p;
	uses[p.buffer]++;
	if (!c->sending)
		send_piece(c);
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
	receive(c);
}

// forget gives up what waits to be sent.
static void forget(struct conn *c)
{
	while (c->head < c->tail)
		release(c->pieces[c->head++].buffer);
}

// drop closes a connection when neither a receive nor a send refers to it.
static void drop(struct conn *c)
{
	if (c->receiving || c->sending)
		return;
	all[c->index] = all[--count];
	all[c->index]->index = c->index;
	close(c->fd);
	free(c->pieces);
	free(c);
}

static void received(struct conn *c, struct io_uring_cqe *e)
{
	if (!(e->flags & IORING_CQE_F_MORE))
		c->receiving = 0;
	if (e->res == -ENOBUFS) {
		c->receiving = 1; // it will, so drop must not free it
		c->starving = starving;
		starving = c;
		return;
	}
	if (e->res <= 0) {
		drop(c);
		return;
	}
	struct piece p = {.buffer = e->flags >> IORING_CQE_BUFFER_SHIFT, .length = e->res};
	uses[p.buffer] = 1; // our own use, until the piece is pushed
	if (!broadcast)
		push(c, p);
	else
		for (unsigned i = 0; i < count; i++)
			push(all[i], p);
	if (!c->receiving)
		receive(c);
	release(p.buffer);
}

static void sent(struct conn *c, int n)
{
	struct piece *p = &c->pieces[c->head];
	c->sending = 0;
	if (n < 0) {
		forget(c);
		shutdown(c->fd, SHUT_RDWR); // this also ends the receive
	} else {
		p->offset += n;
		if ((p->length -= n) == 0) {
			c->head++;
			release(p->buffer);
		}
	}
	if (c->head < c->tail)
		send_piece(c);
	else
		drop(c);
}

static void start(int ln)
{
	struct io_uring_params params = {
		.flags = IORING_SETUP_CQSIZE | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
		.cq_entries = 8 * ENTRIES,
	};
	int err = io_uring_queue_init_params(ENTRIES, &ring, &params);
	if (err < 0) {
		errno = -err;
		fail("io_uring");
	}
	if (posix_memalign((void **)&buffers, 4096, BUFFERS * sizeof(struct io_uring_buf)) ||
	    posix_memalign((void **)&memory, 4096, (size_t)BUFFERS * BUFFER))
		fail("memory");
	io_uring_buf_ring_init(buffers);
	struct io_uring_buf_reg reg = {.ring_addr = (unsigned long)buffers, .ring_entries = BUFFERS, .bgid = GROUP};
	if ((err = io_uring_register_buf_ring(&ring, &reg, 0)) < 0) {
		errno = -err;
		fail("io_uring_register_buf_ring");
	}
	for (unsigned i = 0; i < BUFFERS; i++)
		offer(i);
	struct io_uring_sqe *e = entry();
	io_uring_prep_multishot_accept(e, ln, NULL, NULL, SOCK_CLOEXEC);
	io_uring_sqe_set_data64(e, 0);
}

int main(int argc, char **argv)
{
	int ln = started(argc, argv, 0, &broadcast);
	start(ln);
	for (;;) {
		struct io_uring_cqe *e;
		unsigned head, n = 0;
		io_uring_submit_and_wait(&ring, 1);
		io_uring_for_each_cqe(&ring, head, e) {
			struct conn *c = (void *)(unsigned long)(e->user_data & ~(unsigned long)1);
			n++;
			if (!c) {
				if (e->res < 0 || !(e->flags & IORING_CQE_F_MORE)) {
					errno = -e->res;
					fail("accept");
				}
				add(e->res);
			} else if (e->user_data & SENT) {
				sent(c, e->res);
			} else {
				received(c, e);
			}
		}
		io_uring_cq_advance(&ring, n);
	}
}
