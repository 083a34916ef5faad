// SPDX-License-Identifier: (GPL-2.0 OR MIT)
/* Assertions that fail, each with operands of another kind. */
#include <linux/bitops.h>
#include <linux/random.h>
#include "zoo.h"

/* A ring of requests, as drivers have them. */
struct ring_limits {
	u16 alignment;
	u16 max_segments;
	u32 max_bytes;
};

struct ring_device {
	char name[16];
	unsigned long state;
	struct ring_limits limits;
	int users;
};

struct ring {
	struct list_head all;
	struct ring_device *device;
	const char *name;
	struct {
		u32 size;
		u32 used;
		u64 *slots;
	} desc;
	u16 head;
	bool stopped;
};

struct ring_request {
	struct ring *ring;
	unsigned int segments;
	int error;
	u64 sector;
};

static struct ring *make_ring(const char *name, u32 size)
{
	struct ring *ring = kzalloc(sizeof(*ring), GFP_KERNEL);
	struct ring_device *device = kzalloc(sizeof(*device), GFP_KERNEL);

	strscpy(device->name, "zoo0", sizeof(device->name));
	device->limits.max_segments = 64;
	device->limits.max_bytes = 1 << 16;
	device->users = 1;
	ring->name = name;
	ring->device = device;
	ring->desc.size = size;
	ring->desc.slots = kcalloc(size, sizeof(u64), GFP_KERNEL);
	INIT_LIST_HEAD(&ring->all);
	return ring;
}

/* A comparison of two members of a struct inside a struct. */
noinline int ring_place(struct ring *ring, u32 count, u64 cookie)
{
	u32 i;

	ring->desc.used += count;
	BUG_ON(ring->desc.used > ring->desc.size); /* ZOO bug-compare: ring->desc.used > ring->desc.size */
	for (i = 0; i < count; i++)
		ring->desc.slots[(ring->head + i) % ring->desc.size] = cookie;
	ring->head += count;
	return ring->head;
}

noinline int ring_submit(struct ring *ring, u32 count)
{
	int head;

	if (ring->stopped)
		return -EBUSY;
	head = ring_place(ring, count, 0xc00c1e);
	return head + ring->device->users;
}

static int bug_compare(struct zoo_ask *ask)
{
	struct ring *ring = make_ring("req.0", 32);

	ring->desc.used = 21;
	ZOO_VALUE("ring->desc.used", 21 + 17);
	ZOO_VALUE("ring->desc.size", 32);
	return ring_submit(ring, 17);
}

/* An argument against a member through three pointers. */
noinline int request_check(struct ring_request *request, unsigned int extra)
{
	unsigned int total = request->segments + extra;

	BUG_ON(total > request->ring->device->limits.max_segments); /* ZOO bug-chain: total > request->ring->device->limits.max_segments */
	request->ring->desc.used += total;
	return request->error;
}

noinline int request_queue(struct ring_request *request)
{
	int error = request_check(request, 2);

	return error ?: request->ring->head;
}

static int bug_chain(struct zoo_ask *ask)
{
	struct ring_request *request = kzalloc(sizeof(*request), GFP_KERNEL);

	request->ring = make_ring("req.1", 128);
	request->segments = 70;
	ZOO_VALUE("total", 72);
	ZOO_VALUE("request->ring->device->limits.max_segments", 64);
	return request_queue(request);
}

/* Two parts, both needed. */
noinline int device_close(struct ring_device *device, int force)
{
	BUG_ON(device->users == 0 && device->state > 2); /* ZOO bug-and: device->users == 0 && device->state > 2 */
	device->users--;
	device->state = force;
	return device->users;
}

static int bug_and(struct zoo_ask *ask)
{
	struct ring *ring = make_ring("req.2", 16);

	ring->device->users = 0;
	ring->device->state = 5;
	ZOO_VALUE("device->users", 0);
	ZOO_VALUE("device->state", 5);
	return device_close(ring->device, 1);
}

/* Two parts, the second of which is true. */
noinline u64 ring_take(struct ring *ring, u16 index)
{
	u64 cookie;

	BUG_ON(index >= ring->desc.size || ring->desc.slots[index] == 0); /* ZOO bug-or: ring->desc.slots[index] == 0 */
	cookie = ring->desc.slots[index];
	ring->desc.slots[index] = 0;
	ring->desc.used--;
	return cookie;
}

static int bug_or(struct zoo_ask *ask)
{
	struct ring *ring = make_ring("req.3", 16);

	ring->desc.slots[4] = 77;
	ZOO_VALUE("ring->desc.slots[index]", 0);
	return ring_take(ring, 4) + ring_take(ring, 9);
}

/* A bit of a word of flags. */
#define CHANNEL_READY 0
#define CHANNEL_BUSY 5

struct channel {
	u32 id;
	unsigned long flags;
	struct list_head pending;
	unsigned int mode : 3;
	unsigned int priority : 5;
	u8 retries;
};

noinline int channel_start(struct channel *channel, u32 count)
{
	BUG_ON(test_bit(CHANNEL_BUSY, &channel->flags)); /* ZOO bug-bit: channel->flags & 0x20 */
	set_bit(CHANNEL_BUSY, &channel->flags);
	return channel->id + count;
}

static struct channel *make_channel(u32 id)
{
	struct channel *channel = kzalloc(sizeof(*channel), GFP_KERNEL);

	channel->id = id;
	channel->mode = 2;
	channel->priority = 17;
	INIT_LIST_HEAD(&channel->pending);
	__set_bit(CHANNEL_READY, &channel->flags);
	return channel;
}

static int bug_bit(struct zoo_ask *ask)
{
	struct channel *channel = make_channel(3);

	__set_bit(CHANNEL_BUSY, &channel->flags);
	ZOO_VALUE("channel->flags", channel->flags);
	return channel_start(channel, 1);
}

/* A bitfield. */
noinline int channel_run(struct channel *channel)
{
	BUG_ON(channel->priority > 20); /* ZOO bug-bitfield: channel->priority > 20 */
	channel->retries = 0;
	return channel->mode;
}

static int bug_bitfield(struct zoo_ask *ask)
{
	struct channel *channel = make_channel(4);

	channel->priority = 29;
	ZOO_VALUE("channel->priority", 29);
	return channel_run(channel);
}

/* A list that must hold something. */
noinline struct ring_request *channel_next(struct channel *channel)
{
	BUG_ON(list_empty(&channel->pending)); /* ZOO bug-list-empty: channel->pending.next == &channel->pending */
	return (void *)channel->pending.next;
}

static int bug_list_empty(struct zoo_ask *ask)
{
	struct channel *channel = make_channel(5);

	ZOO_VALUE("channel->pending.next", (unsigned long)&channel->pending);
	ZOO_VALUE("&channel->pending", (unsigned long)&channel->pending);
	return channel_next(channel)->error;
}

/* A value in a stack slot, filled by another function. */
struct statistics {
	u64 reads, writes;
	u32 errors;
	u32 retries;
};

noinline void gather(struct channel *channel, struct statistics *statistics)
{
	statistics->reads = 1000 + channel->id;
	statistics->writes = 200;
	statistics->errors = channel->retries * 3;
	statistics->retries = channel->retries;
}

noinline int judge(struct channel *channel, u32 allowed)
{
	struct statistics statistics;

	gather(channel, &statistics);
	BUG_ON(statistics.errors > allowed); /* ZOO bug-stack: statistics.errors > allowed */
	gather(channel, &statistics);
	return statistics.retries;
}

static int bug_stack(struct zoo_ask *ask)
{
	struct channel *channel = make_channel(6);

	channel->retries = 9;
	ZOO_VALUE("statistics.errors", 27);
	ZOO_VALUE("allowed", 12);
	return judge(channel, 12);
}

/* The result of a call. */
noinline int channel_probe(struct channel *channel)
{
	return channel->retries ? -ETIMEDOUT : 0;
}

noinline int channel_reset(struct channel *channel)
{
	int error;

	channel->mode = 0;
	error = channel_probe(channel);
	BUG_ON(error < 0); /* ZOO bug-result: error < 0 */
	channel->mode = 1;
	return error;
}

static int bug_result(struct zoo_ask *ask)
{
	struct channel *channel = make_channel(7);

	channel->retries = 4;
	ZOO_VALUE("error", (u32)-ETIMEDOUT);
	return channel_reset(channel);
}

/* A switch without the case. */
struct command {
	u8 opcode;
	u8 flags;
	u16 tag;
	u32 length;
};

noinline int command_run(struct command *command, struct channel *channel)
{
	switch (command->opcode) {
	case 0x10:
		channel->id = command->length;
		return 1;
	case 0x11:
		channel->retries = command->tag;
		return channel_probe(channel);
	case 0x12:
		return channel_run(channel);
	case 0x21:
		channel->flags = 0;
		return 0;
	default:
		BUG(); /* ZOO bug-switch: command->opcode */
	}
}

static int bug_switch(struct zoo_ask *ask)
{
	struct command *command = kzalloc(sizeof(*command), GFP_KERNEL);

	command->opcode = 0x42;
	command->tag = 0x1234;
	ZOO_VALUE("command->opcode", 0x42);
	return command_run(command, make_channel(8));
}

/* Two pointers that should be the same. */
struct node {
	struct node *parent, *left, *right;
	u64 key;
};

noinline int node_rotate(struct node *node, struct node *parent)
{
	BUG_ON(node->left->parent != node); /* ZOO bug-pointer: node->left->parent != node */
	node->parent = parent;
	node->left = parent->left;
	return node->key;
}

static int bug_pointer(struct zoo_ask *ask)
{
	struct node *nodes = kcalloc(3, sizeof(*nodes), GFP_KERNEL);

	nodes[0].left = &nodes[1];
	nodes[1].parent = &nodes[2];
	ZOO_VALUE("node->left->parent", (unsigned long)&nodes[2]);
	ZOO_VALUE("node", (unsigned long)&nodes[0]);
	return node_rotate(&nodes[0], &nodes[2]);
}

/* An assertion in a function that is inlined. */
static __always_inline void check_generation(const struct command *command, u16 generation)
{
	BUG_ON(command->tag != generation); /* ZOO bug-inline: command->tag != generation */
}

noinline int command_finish(struct command *command, u16 generation, int status)
{
	if (status < 0)
		return status;
	check_generation(command, generation);
	command->flags = 1;
	return command->length;
}

static int bug_inline(struct zoo_ask *ask)
{
	struct command *command = kzalloc(sizeof(*command), GFP_KERNEL);

	command->tag = 0x31;
	ZOO_VALUE("command->tag", 0x31);
	ZOO_VALUE("generation", 0x32);
	return command_finish(command, 0x32, 0);
}

/* A global counter. */
u32 zoo_active = 3;
u32 zoo_active_limit = 8;

noinline int activate(u32 more)
{
	zoo_active += more;
	BUG_ON(zoo_active >= zoo_active_limit); /* ZOO bug-global: zoo_active >= zoo_active_limit */
	return zoo_active;
}

static int bug_global(struct zoo_ask *ask)
{
	ZOO_VALUE("zoo_active", 10);
	ZOO_VALUE("zoo_active_limit", 8);
	return activate(7);
}

/* Warnings, which panic_on_warn makes fatal. */
noinline int channel_retry(struct channel *channel, u8 limit)
{
	if (WARN_ON(channel->retries > limit)) /* ZOO warn-on: channel->retries > limit */
		return -EIO;
	channel->retries++;
	return 0;
}

static int warn_on(struct zoo_ask *ask)
{
	struct channel *channel = make_channel(9);

	channel->retries = 41;
	ZOO_VALUE("channel->retries", 41);
	ZOO_VALUE("limit", 40);
	return channel_retry(channel, 40);
}

noinline int channel_name(struct channel *channel, const char *wanted)
{
	return WARN(channel->id > 15, "zoo: channel %u of %s does not exist\n", channel->id, wanted); /* ZOO warn-text: channel->id > 15 */
}

static int warn_text(struct zoo_ask *ask)
{
	ZOO_VALUE("channel->id", 99);
	ZOO_TELL("message zoo: channel 99 of zoo0 does not exist");
	return channel_name(make_channel(99), "zoo0");
}

/* An invalid instruction that is not in the bug table. */
noinline int channel_trap(struct channel *channel)
{
	if (channel->id == 21)
		asm volatile("ud2"); /* ZOO invalid-opcode */
	return channel->id;
}

static int invalid_opcode(struct zoo_ask *ask)
{
	return channel_trap(make_channel(21));
}

/* In the initialisation of a module. */
noinline int zoo_die_in_init(unsigned int wanted)
{
	ZOO_TELL("way init-bug");
	ZOO_VALUE("wanted", wanted);
	BUG_ON(wanted > 16); /* ZOO init-bug: wanted > 16 */
	return 0;
}

/* As file systems have it: a function that prints what was asserted, and dies. */
static noinline void assfail(const char *expr, const char *file, int line)
{
	pr_emerg("XFS (zoo0): Assertion failed: %s, file: %s, line: %d\n", expr, file, line);
	BUG();
}

noinline int ring_close(struct ring *ring)
{
	if (ring->desc.used != 0)
		assfail("ring->desc.used == 0", "zoo/asserts.c", __LINE__); /* ZOO assert-printed */
	kfree(ring->desc.slots);
	return ring->device->users;
}

static int assert_printed(struct zoo_ask *ask)
{
	struct ring *ring = make_ring("req.0", 32);

	ring->desc.used = 21;
	ZOO_VALUE("ring->desc.used", 21);
	return ring_close(ring) + ring->head;
}

const struct zoo_way zoo_asserts[] = {
	{ "bug-compare", bug_compare },
	{ "assert-printed", assert_printed },
	{ "bug-chain", bug_chain },
	{ "bug-and", bug_and },
	{ "bug-or", bug_or },
	{ "bug-bit", bug_bit },
	{ "bug-bitfield", bug_bitfield },
	{ "bug-list-empty", bug_list_empty },
	{ "bug-stack", bug_stack },
	{ "bug-result", bug_result },
	{ "bug-switch", bug_switch },
	{ "bug-pointer", bug_pointer },
	{ "bug-inline", bug_inline },
	{ "bug-global", bug_global },
	{ "warn-on", warn_on },
	{ "warn-text", warn_text },
	{ "invalid-opcode", invalid_opcode },
	{ }
};
