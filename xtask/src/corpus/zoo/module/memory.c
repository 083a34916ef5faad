// SPDX-License-Identifier: (GPL-2.0 OR MIT)
/* Accesses and jumps that fault. */
#include <linux/mm.h>
#include <linux/vmalloc.h>
#include <linux/uaccess.h>
#include "zoo.h"

struct port;

struct port_ops {
	int (*open)(struct port *port);
	int (*start)(struct port *port, u32 speed);
	void (*stop)(struct port *port);
};

struct link {
	u32 id;
	u32 partner;
	struct {
		u16 width;
		u16 lanes;
		u32 speed;
	} settings;
};

struct port {
	u32 number;
	const struct port_ops *ops;
	struct link *link;
	struct port *next;
	char label[24];
	struct {
		u64 packets;
		u64 bytes;
		u32 block;
	} counters;
};

struct switchboard {
	char name[32];
	unsigned int count;
	struct port *ports;
	struct port *spare;
};

static int port_open(struct port *port)
{
	return port->number;
}

static const struct port_ops usual_ops = { .open = port_open };

static struct port *make_port(u32 number)
{
	struct port *port = kzalloc(sizeof(*port), GFP_KERNEL);

	port->number = number;
	port->ops = &usual_ops;
	port->link = kzalloc(sizeof(*port->link), GFP_KERNEL);
	port->link->id = 100 + number;
	return port;
}

static struct switchboard *make_board(unsigned int count)
{
	struct switchboard *board = kzalloc(sizeof(*board), GFP_KERNEL);
	struct port *port;

	strscpy(board->name, "board0", sizeof(board->name));
	while (count--) {
		port = make_port(count);
		port->next = board->ports;
		board->ports = port;
		board->count++;
	}
	return board;
}

/* A read through a chain whose last pointer is null. */
noinline u32 board_speed(struct switchboard *board)
{
	return board->ports->link->settings.speed + board->count; /* ZOO null-read: board->ports->link */
}

noinline int board_report(struct switchboard *board)
{
	u32 speed = board_speed(board);

	return speed > 10 ? board->count : 0;
}

static int null_read(struct zoo_ask *ask)
{
	struct switchboard *board = make_board(3);

	board->ports->link = NULL;
	ZOO_VALUE("board->ports->link", 0);
	ZOO_VALUE("address", offsetof(struct link, settings.speed));
	return board_report(board);
}

/* A write past the end of a chain. */
noinline void chain_set(struct port *first, int steps, u64 bytes)
{
	struct port *port = first;

	while (steps--)
		port = port->next;
	port->counters.bytes = bytes; /* ZOO null-write: port | port->next */
}

noinline int board_set(struct switchboard *board, int which)
{
	chain_set(board->ports, which, 1500);
	return board->ports->counters.bytes;
}

static int null_write(struct zoo_ask *ask)
{
	struct switchboard *board = make_board(4);

	ZOO_VALUE("first", (unsigned long)board->ports); /* which is not null, though its register is */
	ZOO_VALUE("port", 0);
	ZOO_VALUE("port->next", 0);
	ZOO_VALUE("address", offsetof(struct port, counters.bytes));
	return board_set(board, 4);
}

/* A call through a null member of a table of functions. */
noinline int port_start(struct port *port, u32 speed)
{
	port->link->settings.speed = speed;
	return port->ops->start(port, speed) + port->number; /* ZOO null-call: port->ops->start */
}

static int null_call(struct zoo_ask *ask)
{
	ZOO_VALUE("port->ops->start", 0);
	return port_start(make_port(1), 1000);
}

/* No table of functions at all. */
noinline int port_stop(struct port *port, int wait)
{
	port->ops->stop(port); /* ZOO null-ops: port->ops */
	return port->counters.packets + wait;
}

static int null_ops(struct zoo_ask *ask)
{
	struct port *port = make_port(2);

	port->ops = NULL;
	ZOO_VALUE("port->ops", 0);
	ZOO_VALUE("address", offsetof(struct port_ops, stop));
	return port_stop(port, 1);
}

/* A function pointer that holds no function's address. */
noinline int port_reopen(struct port *port)
{
	int number = port->ops->open(port); /* ZOO call: port->ops->open */

	return number + port->number;
}

static int call_of(unsigned long target)
{
	struct port *port = make_port(3);
	struct port_ops *ops = kzalloc(sizeof(*ops), GFP_KERNEL);

	ops->open = (void *)target;
	port->ops = ops;
	ZOO_VALUE("port->ops->open", target);
	ZOO_VALUE("address", target);
	return port_reopen(port);
}

static int call_wild(struct zoo_ask *ask)
{
	return call_of(0xffffffffdeadb000UL);
}

static int call_data(struct zoo_ask *ask)
{
	u8 *code = kzalloc(64, GFP_KERNEL);

	memset(code, 0xc3, 64);
	return call_of((unsigned long)code);
}

static int call_user(struct zoo_ask *ask)
{
	return call_of((unsigned long)ask->buffer & PAGE_MASK);
}

/* A pointer from user space, used as if it were the kernel's own. */
noinline u32 trusting_read(const struct link *from, struct port *port)
{
	port->link->partner = from->id; /* ZOO user-read: from */
	return port->link->partner;
}

static int user_read(struct zoo_ask *ask)
{
	ZOO_VALUE("from", (unsigned long)ask->buffer);
	ZOO_VALUE("address", (unsigned long)ask->buffer);
	return trusting_read((const struct link *)ask->buffer, make_port(5));
}

/* A pointer that text was written over. */
noinline u32 port_partner(struct port *port)
{
	return port->link->partner; /* ZOO pointer: port->link */
}

noinline int board_partner(struct switchboard *board, unsigned int which)
{
	struct port *port = board->ports;

	while (which--)
		port = port->next;
	return port_partner(port) + board->count;
}

static int bad_link(u64 value)
{
	struct switchboard *board = make_board(2);

	board->ports->next->link = (void *)value;
	ZOO_VALUE("port->link", value);
	return board_partner(board, 1);
}

static int gp_text(struct zoo_ask *ask)
{
	return bad_link(0x6f6f7a2f65766564ULL);
}

static int gp_bit(struct zoo_ask *ask)
{
	struct link *link = kzalloc(sizeof(*link), GFP_KERNEL);

	return bad_link((unsigned long)link ^ (1UL << 62));
}

static int page_fault(struct zoo_ask *ask)
{
	ZOO_VALUE("address", 0xffffffffdeadb004UL);
	return bad_link(0xffffffffdeadb000UL);
}

static int error_pointer(struct zoo_ask *ask)
{
	ZOO_VALUE("address", (unsigned long)ERR_PTR(-ENODEV) + offsetof(struct link, partner));
	return bad_link((unsigned long)ERR_PTR(-ENODEV));
}

/* An object used after it was freed. */
struct session {
	u64 id;
	struct port *port;
	struct session *peer;
	char text[40];
	u64 tail[4];
};

static struct kmem_cache *sessions;
int sessions_open;

static noinline struct session *session_open(u64 id)
{
	struct session *session = kmem_cache_zalloc(sessions, GFP_KERNEL); /* ZOO slab-open */

	session->id = id;
	session->port = make_port(id);
	sessions_open++;
	return session;
}

static noinline void session_close(struct session *session)
{
	kmem_cache_free(sessions, session); /* ZOO slab-free */
	sessions_open--;
}

noinline u64 session_send(struct session *session, u64 bytes)
{
	session->peer->port->counters.bytes += bytes; /* ZOO session: session->peer->port */
	return session->id;
}

static struct session *make_sessions(void)
{
	/* With a part that user space may see, so that it is not merged with another cache. */
	sessions = kmem_cache_create_usercopy("zoo_session", sizeof(struct session), 0, SLAB_HWCACHE_ALIGN,
					      offsetof(struct session, text), 40, NULL);
	ZOO_TELL("cache zoo_session");
	return session_open(1);
}

static int freed_poison(struct zoo_ask *ask)
{
	struct session *session = make_sessions();

	session->peer = session_open(2);
	ZOO_VALUE("session->peer", (unsigned long)session->peer);
	ZOO_VALUE("session->peer->port", 0x6b6b6b6b6b6b6b6bULL);
	ZOO_TELL("freed %px", session->peer);
	session_close(session->peer);
	return session_send(session, 64);
}

static int freed_reused(struct zoo_ask *ask)
{
	struct session *session = make_sessions(), *gone = session_open(2);
	int i;

	session->peer = gone;
	ZOO_VALUE("session->peer", (unsigned long)gone);
	ZOO_VALUE("session->peer->port", 0);
	ZOO_VALUE("address", offsetof(struct port, counters.bytes));
	session_close(gone);
	for (i = 0; i < 64; i++) /* somebody else gets it */
		if (kmem_cache_zalloc(sessions, GFP_KERNEL) == gone)
			break;
	return session_send(session, 64);
}

/* An object still allocated, whose neighbour has overwritten it: found when it is freed. */
noinline void session_label(struct session *session, const char *label, int length)
{
	char *to = session->text;
	int i;

	for (i = 0; i < length; i++)
		to[i] = label[i % 8];
}

static int slab_redzone(struct zoo_ask *ask)
{
	struct session *session = make_sessions();

	ZOO_TELL("object %px", session);
	session_label(session, "overrun ", sizeof(session->text) + sizeof(session->tail) + 4);
	session_close(session);
	return 0;
}

static int slab_poison(struct zoo_ask *ask)
{
	struct session *session = make_sessions(), *gone = session_open(2);
	int i;

	ZOO_TELL("object %px", gone);
	session_close(gone);
	session_label(gone, "too late", 16);
	for (i = 0; i < 64; i++)
		if (session_open(i) == gone)
			break;
	return session->id;
}

static int slab_double_free(struct zoo_ask *ask)
{
	struct session *session = make_sessions();

	ZOO_TELL("object %px", session);
	session_close(session);
	session_close(session);
	return 0;
}

/* Memory of vmalloc(), after vfree(). */
struct table {
	u32 count;
	u64 *entries;
};

noinline u64 table_sum(struct table *table)
{
	u64 sum = 0;
	u32 i;

	for (i = 0; i < table->count; i++)
		sum += table->entries[i]; /* ZOO table: table->entries */
	return sum;
}

static int vmalloc_freed(struct zoo_ask *ask)
{
	struct table *table = kzalloc(sizeof(*table), GFP_KERNEL);

	table->count = 4096;
	table->entries = vzalloc(table->count * sizeof(u64));
	ZOO_VALUE("table->entries", (unsigned long)table->entries);
	ZOO_VALUE("address", (unsigned long)table->entries);
	ZOO_VALUE("i", 0);
	vfree(table->entries);
	vm_unmap_aliases();
	return table_sum(table);
}

static int vmalloc_overrun(struct zoo_ask *ask)
{
	struct table *table = kzalloc(sizeof(*table), GFP_KERNEL);

	table->count = 1024;
	table->entries = vzalloc(512 * sizeof(u64));
	ZOO_VALUE("table->entries", (unsigned long)table->entries);
	ZOO_VALUE("address", (unsigned long)(table->entries + 512));
	ZOO_VALUE("i", 512);
	return table_sum(table);
}

/* A write to what the compiler put among the constants. */
static const struct link usual_link = { .id = 1, .settings = { .width = 4, .lanes = 2, .speed = 100 } };

noinline void link_train(struct link *link, u32 speed)
{
	link->settings.speed = speed; /* ZOO read-only: link */
}

noinline int port_train(struct port *port)
{
	link_train(port->link, 2500);
	return port->link->settings.width;
}

static int read_only(struct zoo_ask *ask)
{
	struct port *port = make_port(6);

	port->link = (struct link *)&usual_link;
	ZOO_VALUE("link", (unsigned long)&usual_link);
	ZOO_VALUE("address", (unsigned long)&usual_link.settings.speed);
	return port_train(port);
}

/* A division by a member that nobody set. */
noinline u64 port_blocks(struct port *port, u32 rounding)
{
	return (port->counters.bytes + rounding) / port->counters.block; /* ZOO divide: port->counters.block */
}

static int divide(struct zoo_ask *ask)
{
	struct port *port = make_port(7);

	port->counters.bytes = 123456;
	ZOO_VALUE("port->counters.block", 0);
	return port_blocks(port, 511);
}

/* A recursion without an end. */
struct frame {
	u64 depth;
	u8 scratch[200];
};

noinline u64 descend(struct frame *above, u64 depth) /* ZOO stack-overflow */
{
	struct frame frame = { .depth = depth }; /* ZOO stack-overflow */

	frame.scratch[depth % sizeof(frame.scratch)] = above->depth; /* ZOO stack-overflow */
	OPTIMIZER_HIDE_VAR(depth);
	return descend(&frame, depth + 1) + frame.scratch[3]; /* ZOO stack-overflow */
}

static int stack_overflow(struct zoo_ask *ask)
{
	struct frame frame = { .depth = 0 };

	return descend(&frame, 1);
}

/* An array on the stack, written past its end. */
noinline int label_fill(char *to, const char *from, int length)
{
	int i;

	for (i = 0; i < length; i++)
		to[i] = from[i & 7];
	return i;
}

noinline int label_parse(const char *from, int length)
{
	char label[24];
	int done = label_fill(label, from, length);

	return done + label[done & 7];
} /* ZOO stack-protector */

static int stack_protector(struct zoo_ask *ask)
{
	return label_parse("overflow", 44);
}

/* Overruns that the kernel's checks find. */
noinline int label_send(struct port *port, char __user *to, size_t length)
{
	return copy_to_user(to, port->label, length) ? -EFAULT : 0; /* ZOO usercopy */
}

static int usercopy(struct zoo_ask *ask)
{
	struct port *port = make_port(8);

	ZOO_TELL("object %px", port);
	return label_send(port, (char __user *)ask->buffer, sizeof(*port) + 64 + ask->argument);
}

noinline int label_count(const char *label, size_t length, char wanted)
{
	char own[24];
	int i, count = 0;

	memcpy(own, label, length); /* ZOO fortify */
	for (i = 0; i < length; i++)
		count += own[i] == wanted;
	return count;
}

static int fortify(struct zoo_ask *ask)
{
	char *label = kzalloc(64, GFP_KERNEL);

	return label_count(label, 32 + ask->argument, 'z');
}

const struct zoo_way zoo_memory[] = {
	{ "null-read", null_read },
	{ "null-write", null_write },
	{ "null-call", null_call },
	{ "null-ops", null_ops },
	{ "call-wild", call_wild },
	{ "call-data", call_data },
	{ "call-user", call_user },
	{ "user-read", user_read },
	{ "gp-text", gp_text },
	{ "gp-bit", gp_bit },
	{ "page-fault", page_fault },
	{ "error-pointer", error_pointer },
	{ "freed-poison", freed_poison },
	{ "freed-reused", freed_reused },
	{ "slab-redzone", slab_redzone },
	{ "slab-poison", slab_poison },
	{ "slab-double-free", slab_double_free },
	{ "vmalloc-freed", vmalloc_freed },
	{ "vmalloc-overrun", vmalloc_overrun },
	{ "read-only", read_only },
	{ "divide", divide },
	{ "stack-overflow", stack_overflow },
	{ "stack-protector", stack_protector },
	{ "usercopy", usercopy },
	{ "fortify", fortify },
	{ }
};
