// SPDX-License-Identifier: (GPL-2.0 OR MIT)
/* Elements of arrays: indices that are out of bounds, arrays that are not there, and what elements point to. */
#include <linux/err.h>
#include <linux/vmalloc.h>
#include "zoo.h"

struct slot {
	u64 stamp;
	u32 length;
	u32 state;
	void *owner;
};

struct table {
	const char *name;
	u32 nslots;
	u32 used;
	struct slot *slots;
};

struct descriptor {
	u64 address;
	u32 length;
	u16 flags;
	u16 next;
};

struct ring {
	u32 id;
	u32 size;
	struct descriptor *desc;
	u64 head;
};

/* 40 bytes: the index is multiplied in two steps. */
struct lane {
	u64 bytes;
	u64 packets;
	u32 errors;
	u32 drops;
	void *peer;
	u32 weight;
};

struct hub {
	u32 count;
	u32 mask;
	struct lane lanes[];
};

struct port {
	u32 number;
	u32 speed;
	struct port *partner;
};

struct mux {
	u64 epoch;
	u32 nports;
	struct port *ports[8];
};

struct command {
	u32 code;
	u32 size;
	int (*run)(struct mux *mux, u32 argument);
};

struct clock {
	u64 parent;
	u64 rate;
	u32 users;
};

static struct table *make_table(u32 nslots)
{
	struct table *table = kzalloc(sizeof(*table), GFP_KERNEL);

	table->name = "table-0";
	table->nslots = nslots;
	table->slots = vzalloc(nslots * sizeof(struct slot));
	return table;
}

/* An index far behind the end of a table of structs. */
noinline u32 slot_length(struct table *t, u32 idx)
{
	return t->slots[idx].length + t->used; /* ZOO index-slots: t->slots[idx].length | t->slots[idx] */
}

static int index_slots(struct zoo_ask *ask)
{
	struct table *table = make_table(128);

	ZOO_VALUE("idx", 195948557);
	ZOO_VALUE("t->nslots", 128);
	ZOO_VALUE("t->slots", (unsigned long)table->slots);
	ZOO_VALUE("address", (unsigned long)&table->slots[195948557].length);
	return slot_length(table, 195948557);
}

/* The same, where the pointer to the element is kept and its parts are gone. */
noinline u32 slot_take(struct table *t, u32 idx, void *owner)
{
	struct slot *slot = &t->slots[idx];

	if (READ_ONCE(slot->state) == 7) /* ZOO index-kept: slot->state | t->slots[idx].state | t->slots[idx] */
		t->used++;
	slot->owner = owner;
	return slot->length;
}

static int index_kept(struct zoo_ask *ask)
{
	struct table *table = make_table(64);

	ZOO_VALUE("address", (unsigned long)&table->slots[77777777].state);
	return slot_take(table, 77777777, table);
}

/* A ring whose descriptors were never allocated. */
noinline u64 ring_fetch(struct ring *ring, u32 index)
{
	return ring->desc[index].length + ring->head; /* ZOO index-null: ring->desc[index].length | ring->desc */
}

static int index_null(struct zoo_ask *ask)
{
	struct ring *ring = kzalloc(sizeof(*ring), GFP_KERNEL);

	ring->size = 256;
	ZOO_VALUE("ring->desc", 0);
	ZOO_VALUE("index", 5);
	ZOO_VALUE("address", 5 * sizeof(struct descriptor) + 8);
	return ring_fetch(ring, 5 + ask->argument);
}

/* The last member of a struct is an array. */
noinline u32 hub_drop(struct hub *hub, u32 n)
{
	return ++hub->lanes[n].drops; /* ZOO index-flexible: hub->lanes[n].drops */
}

static int index_flexible(struct zoo_ask *ask)
{
	struct hub *hub = kzalloc(struct_size(hub, lanes, 12), GFP_KERNEL);

	hub->count = 12;
	ZOO_VALUE("n", 0x7ffffff0);
	ZOO_VALUE("hub", (unsigned long)hub);
	ZOO_VALUE("address", (unsigned long)&hub->lanes[0x7ffffff0].drops);
	return hub_drop(hub, 0x7ffffff0);
}

/* A pointer of an array of pointers. */
noinline u32 mux_speed(struct mux *mux, u32 n)
{
	return mux->ports[n]->speed; /* ZOO index-pointer: mux->ports[n]->speed | mux->ports[n] */
}

static struct mux *make_mux(void)
{
	struct mux *mux = kzalloc(sizeof(*mux), GFP_KERNEL);

	mux->nports = 8;
	return mux;
}

static int index_pointer(struct zoo_ask *ask)
{
	ZOO_VALUE("mux->ports[n]", 0);
	ZOO_VALUE("address", 4);
	return mux_speed(make_mux(), 6 + ask->argument);
}

/* A table of functions. */
static int mux_start(struct mux *mux, u32 argument)
{
	return mux->nports + argument;
}

static int mux_stop(struct mux *mux, u32 argument)
{
	return mux->epoch + argument;
}

struct command commands[] = {
	{ 1, 16, mux_start },
	{ 2, 16, mux_stop },
	{ 3, 16, NULL },
	{ 4, 16, mux_start },
};

noinline int mux_command(struct mux *mux, u32 code, u32 argument)
{
	int done = commands[code].run(mux, argument); /* ZOO index-call: commands[code].run */

	return done + mux->nports;
}

static int index_call(struct zoo_ask *ask)
{
	ZOO_VALUE("commands[code].run", 0);
	return mux_command(make_mux(), 2 + ask->argument, 40);
}

/* An element of a global array. */
struct lane lanes[16];

noinline u64 lane_send(u32 n, u32 length)
{
	lanes[n].bytes += length; /* ZOO index-global: lanes[n].bytes */
	return lanes[n].packets;
}

static int index_global(struct zoo_ask *ask)
{
	ZOO_VALUE("n", 900000000);
	ZOO_VALUE("address", (unsigned long)&lanes[0] + 900000000UL * sizeof(struct lane));
	return lane_send(900000000, 64);
}

/* A loop that runs over the end. */
noinline u64 slots_sum(struct table *t, u32 count)
{
	u64 sum = 0;
	u32 i;

	for (i = 0; i < count; i++)
		sum += READ_ONCE(t->slots[i].length); /* ZOO index-loop */
	return sum;
}

static int index_loop(struct zoo_ask *ask)
{
	struct table *table = make_table(512);

	ZOO_VALUE("address", (unsigned long)&table->slots[512].length);
	return slots_sum(table, 100000);
}

/* A condition on an element. */
noinline int slot_close(struct table *t, u32 idx)
{
	BUG_ON(t->slots[idx].state != 3); /* ZOO check-slot: t->slots[idx].state != 3 */
	t->used--;
	return t->used;
}

static int check_slot(struct zoo_ask *ask)
{
	struct table *table = make_table(128);

	table->slots[100].state = 2;
	ZOO_VALUE("t->slots[idx].state", 2);
	ZOO_VALUE("idx", 100);
	return slot_close(table, 100 + ask->argument);
}

/* An error number that nobody looked for. */
noinline struct clock *acc_clk_get(struct mux *mux, u32 which)
{
	if (which >= mux->nports)
		return ERR_PTR(-ENOENT);
	return (struct clock *)mux->ports[which];
}

noinline u64 acc_clk_start(struct mux *mux, u32 which)
{
	struct clock *clk = acc_clk_get(mux, which);

	clk->users++; /* ZOO error-returned: clk->users */
	return clk->rate;
}

static int error_returned(struct zoo_ask *ask)
{
	ZOO_VALUE("clk", (unsigned long)ERR_PTR(-ENOENT));
	ZOO_VALUE("address", (unsigned long)ERR_PTR(-ENOENT) + offsetof(struct clock, users));
	return acc_clk_start(make_mux(), 8 + ask->argument);
}

const struct zoo_way zoo_indices[] = {
	{ "index-slots", index_slots },
	{ "index-kept", index_kept },
	{ "index-null", index_null },
	{ "index-flexible", index_flexible },
	{ "index-pointer", index_pointer },
	{ "index-call", index_call },
	{ "index-global", index_global },
	{ "index-loop", index_loop },
	{ "check-slot", check_slot },
	{ "error-returned", error_returned },
	{ }
};
