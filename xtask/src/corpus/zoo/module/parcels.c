// SPDX-License-Identifier: (GPL-2.0 OR MIT)
/* Parcels in depots: everyday mistakes, written without a look at how a verdict is found. */
#include <linux/err.h>
#include <linux/limits.h>
#include <linux/refcount.h>
#include <linux/rwsem.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>
#include <linux/workqueue.h>
#include "zoo.h"

struct carrier {
	char name[24];
	u32 rating;
	u64 delivered;
};

struct route {
	u32 stops;
	u32 length;
	struct carrier *by;
};

struct parcel {
	u32 number;
	u16 kind;
	s16 delay;
	u32 seal;
	u32 fragile : 1;
	u32 zone : 5;
	u32 class : 4;
	u64 weight;
	refcount_t holders;
	struct hlist_node hash;
	struct carrier *owner;
	char *label;
};

struct lane {
	u32 length;
	u32 *cells;
};

struct depot_ops {
	int (*open)(void *depot);
	int (*close)(void *depot);
};

struct depot {
	u64 load;
	u64 most;
	u32 count;
	u32 lanes;
	bool open;
	struct route *route;
	struct depot *next;
	const struct depot_ops *ops;
	struct lane *rows;
	u64 *bins;
	struct rw_semaphore doors;
	struct work_struct sweep;
	struct delayed_work audit;
};

static struct depot *main_depot;

static struct parcel *make_parcel(u32 number)
{
	struct parcel *parcel = kzalloc(sizeof(*parcel), GFP_KERNEL);

	parcel->number = number;
	parcel->label = kzalloc(48, GFP_KERNEL);
	refcount_set(&parcel->holders, 1);
	return parcel;
}

static struct depot *make_depot(u64 most)
{
	struct depot *depot = kzalloc(sizeof(*depot), GFP_KERNEL);

	depot->most = most;
	init_rwsem(&depot->doors);
	return depot;
}

/* A kind that no case knows, between two that are. */
noinline int parcel_sort(struct parcel *parcel, struct depot *depot)
{
	switch (parcel->kind) {
	case 3:
		depot->load += parcel->weight;
		return 1;
	case 40:
		depot->count++;
		return parcel->number;
	case 500:
		return depot->lanes;
	case 6000:
		depot->open = false;
		return 0;
	default:
		BUG(); /* ZOO parcel-kind: parcel->kind */
	}
}

static int parcel_kind(struct zoo_ask *ask)
{
	struct parcel *parcel = make_parcel(11);

	parcel->kind = 77;
	ZOO_VALUE("parcel->kind", 77);
	return parcel_sort(parcel, make_depot(10));
}

/* What a depot may hold is looked at when it is held already. */
noinline u64 depot_take(struct depot *depot, u64 weight)
{
	depot->load += weight;
	BUG_ON(depot->load > depot->most); /* ZOO parcel-load: depot->load > depot->most */
	return ++depot->count;
}

static int parcel_load(struct zoo_ask *ask)
{
	struct depot *depot = make_depot(1000);

	depot->load = 900;
	ZOO_VALUE("depot->load", 1101);
	ZOO_VALUE("depot->most", 1000);
	return depot_take(depot, 201 + ask->argument);
}

/* A seal that was broken. */
noinline u32 parcel_open(struct parcel *parcel)
{
	BUG_ON(parcel->seal != 0x4c414553); /* ZOO parcel-seal: parcel->seal != 1279346003 */
	return parcel->number;
}

static int parcel_seal(struct zoo_ask *ask)
{
	struct parcel *parcel = make_parcel(12);

	parcel->seal = 0x4e4f4e45;
	ZOO_VALUE("parcel->seal", 0x4e4f4e45);
	return parcel_open(parcel);
}

/* Five bits in the middle of a word. */
noinline u32 parcel_place(struct parcel *parcel)
{
	BUG_ON(parcel->zone > 17); /* ZOO parcel-zone: parcel->zone > 17 */
	return parcel->number + 1;
}

static int parcel_zone(struct zoo_ask *ask)
{
	struct parcel *parcel = make_parcel(13);

	parcel->zone = 21;
	parcel->fragile = 1;
	ZOO_VALUE("parcel->zone", 21);
	return parcel_place(parcel);
}

/* Too early by far. */
noinline int parcel_due(struct parcel *parcel)
{
	BUG_ON(parcel->delay < -30); /* ZOO parcel-delay: parcel->delay < -30 */
	return parcel->delay * 60;
}

static int parcel_delay(struct zoo_ask *ask)
{
	struct parcel *parcel = make_parcel(14);

	parcel->delay = -45;
	ZOO_VALUE("parcel->delay", -45LL);
	return parcel_due(parcel);
}

/* The second depot has no route. */
noinline u64 depot_rating(struct depot *depot)
{
	return depot->next->route->by->rating; /* ZOO depot-route: depot->next->route */
}

static int depot_route(struct zoo_ask *ask)
{
	struct depot *depot = make_depot(1);

	depot->next = make_depot(2);
	ZOO_VALUE("depot->next", (unsigned long)depot->next);
	ZOO_VALUE("depot->next->route", 0);
	ZOO_VALUE("address", offsetof(struct route, by));
	return depot_rating(depot);
}

/* A row that is none. */
noinline u32 depot_row(struct depot *depot, u32 row)
{
	return depot->rows[row].length; /* ZOO depot-row: depot->rows[row].length | depot->rows[row] */
}

static int depot_rows(struct zoo_ask *ask)
{
	struct depot *depot = make_depot(1);

	depot->rows = vzalloc(64 * sizeof(struct lane));
	ZOO_VALUE("row", 90000000);
	ZOO_VALUE("depot->rows", (unsigned long)depot->rows);
	ZOO_VALUE("address", (unsigned long)&depot->rows[90000000].length);
	return depot_row(depot, 90000000);
}

/* Before the first bin. */
noinline u64 depot_bin(struct depot *depot, long bin)
{
	return depot->bins[bin]; /* ZOO depot-bin: depot->bins[bin] */
}

static int depot_bins(struct zoo_ask *ask)
{
	struct depot *depot = make_depot(1);

	depot->bins = vzalloc(4096);
	ZOO_VALUE("bin", -512LL * 1024 * 1024 * 1024);
	ZOO_VALUE("depot->bins", (unsigned long)depot->bins);
	ZOO_VALUE("address", (unsigned long)&depot->bins[-512L * 1024 * 1024 * 1024]);
	return depot_bin(depot, -512L * 1024 * 1024 * 1024);
}

/* Nobody looked whether there is an owner. */
noinline u32 parcel_rating(struct parcel *parcel)
{
	return parcel->owner->rating; /* ZOO parcel-owner: parcel->owner */
}

static int parcel_owner(struct zoo_ask *ask)
{
	struct parcel *parcel = make_parcel(15);

	parcel->owner = ERR_PTR(-ENODEV);
	ZOO_VALUE("parcel->owner", (unsigned long)parcel->owner);
	return parcel_rating(parcel);
}

/* A null pointer in a global variable. */
noinline u64 depot_now(u64 more)
{
	return READ_ONCE(main_depot)->load + more; /* ZOO depot-global: main_depot */
}

static int depot_global(struct zoo_ask *ask)
{
	if (ask->argument)
		main_depot = make_depot(ask->argument);
	ZOO_VALUE("main_depot", 0);
	ZOO_VALUE("address", 0);
	return depot_now(3);
}

/* An operation that this depot does not have. */
noinline int depot_shut(struct depot *depot)
{
	return depot->ops->close(depot) + depot->count; /* ZOO depot-close: depot->ops->close */
}

static int depot_close(struct zoo_ask *ask)
{
	static const struct depot_ops ops;
	struct depot *depot = make_depot(1);

	depot->ops = &ops;
	ZOO_VALUE("depot->ops->close", 0);
	return depot_shut(depot);
}

/* No lanes to spread parcels over. */
noinline u32 parcel_lane(struct parcel *parcel, struct depot *depot)
{
	return parcel->number % depot->lanes; /* ZOO depot-lanes: depot->lanes */
}

static int depot_lanes(struct zoo_ask *ask)
{
	ZOO_VALUE("depot->lanes", 0);
	return parcel_lane(make_parcel(16), make_depot(1));
}

/* A label that is thrown away twice. */
noinline void label_drop(struct parcel *parcel)
{
	kfree(parcel->label); /* ZOO label-twice */
	parcel->kind++;
}

static int label_twice(struct zoo_ask *ask)
{
	struct parcel *parcel = make_parcel(17);

	ZOO_TELL("object %px", parcel->label);
	label_drop(parcel);
	label_drop(parcel);
	return 0;
}

/* Bins that are given back twice. */
noinline void bins_drop(struct depot *depot)
{
	vfree(depot->bins); /* ZOO bins-twice */
	depot->count--;
}

static int bins_twice(struct zoo_ask *ask)
{
	struct depot *depot = make_depot(1);

	depot->bins = vzalloc(4096);
	bins_drop(depot);
	bins_drop(depot);
	return 0;
}

/* More than a label has room for. */
noinline int label_write(struct parcel *parcel, const char __user *from, size_t length)
{
	return copy_from_user(parcel->label, from, length) ? -EFAULT : 0; /* ZOO label-copy */
}

static int label_copy(struct zoo_ask *ask)
{
	struct parcel *parcel = make_parcel(18);

	ZOO_TELL("object %px", parcel->label);
	return label_write(parcel, ask->buffer, 99 + ask->argument) + parcel->kind;
}

/* More than the stack has. */
noinline int bill_send(char __user *to, const void *bill, size_t length)
{
	return copy_to_user(to, bill, length) ? -EFAULT : 0; /* ZOO bill-stack */
}

static int bill_stack(struct zoo_ask *ask)
{
	u64 bill[4] = { ask->argument, 1, 2, 3 };

	return bill_send((char __user *)ask->buffer, bill, 20000 + ask->argument) + (int)bill[2];
}

/* One holder too many. */
noinline u32 parcel_hold(struct parcel *parcel)
{
	refcount_inc(&parcel->holders); /* ZOO parcel-hold */
	return parcel->number;
}

static int parcel_holders(struct zoo_ask *ask)
{
	struct parcel *parcel = make_parcel(19);

	refcount_set(&parcel->holders, INT_MAX);
	ZOO_TELL("message refcount_t: saturated; leaking memory.");
	return parcel_hold(parcel);
}

/* Taken off its chain twice. */
noinline u32 parcel_unhash(struct parcel *parcel)
{
	hlist_del(&parcel->hash); /* ZOO parcel-hash */
	return parcel->number;
}

static int parcel_hash(struct zoo_ask *ask)
{
	struct parcel *parcel = make_parcel(20);
	struct hlist_head *head = kzalloc(sizeof(*head), GFP_KERNEL);

	hlist_add_head(&parcel->hash, head);
	parcel_unhash(parcel);
	return parcel_unhash(parcel);
}

/* The sweeper wants the doors that who waits for it has locked. */
static void depot_sweep(struct work_struct *work)
{
	struct depot *depot = container_of(work, struct depot, sweep);

	ZOO_TELL("waits %d rwsem %px", current->pid, &depot->doors);
	down_read(&depot->doors);
	depot->count = 0;
	up_read(&depot->doors);
}

noinline u64 depot_leave(struct depot *depot)
{
	down_write(&depot->doors);
	ZOO_TELL("holds %d rwsem %px", current->pid, &depot->doors);
	schedule_work(&depot->sweep);
	while (work_pending(&depot->sweep))
		schedule();
	cancel_work_sync(&depot->sweep); /* ZOO depot-sweep */
	up_write(&depot->doors);
	return depot->load;
}

static int depot_swept(struct zoo_ask *ask)
{
	struct depot *depot = make_depot(1);

	INIT_WORK(&depot->sweep, depot_sweep);
	return depot_leave(depot);
}

/* The same, later. */
static void depot_count(struct work_struct *work)
{
	struct depot *depot = container_of(to_delayed_work(work), struct depot, audit);

	ZOO_TELL("waits %d rwsem %px", current->pid, &depot->doors);
	down_write(&depot->doors);
	depot->count++;
	up_write(&depot->doors);
}

noinline u64 depot_check(struct depot *depot)
{
	down_write(&depot->doors);
	ZOO_TELL("holds %d rwsem %px", current->pid, &depot->doors);
	schedule_delayed_work(&depot->audit, 20);
	flush_delayed_work(&depot->audit); /* ZOO depot-audit */
	up_write(&depot->doors);
	return depot->load;
}

static int depot_audit(struct zoo_ask *ask)
{
	struct depot *depot = make_depot(1);

	INIT_DELAYED_WORK(&depot->audit, depot_count);
	return depot_check(depot);
}

const struct zoo_way zoo_parcels[] = {
	{ "parcel-kind", parcel_kind },
	{ "parcel-load", parcel_load },
	{ "parcel-seal", parcel_seal },
	{ "parcel-zone", parcel_zone },
	{ "parcel-delay", parcel_delay },
	{ "depot-route", depot_route },
	{ "depot-row", depot_rows },
	{ "depot-bin", depot_bins },
	{ "parcel-owner", parcel_owner },
	{ "depot-global", depot_global },
	{ "depot-close", depot_close },
	{ "depot-lanes", depot_lanes },
	{ "label-twice", label_twice },
	{ "bins-twice", bins_twice },
	{ "label-copy", label_copy },
	{ "bill-stack", bill_stack },
	{ "parcel-hold", parcel_holders },
	{ "parcel-hash", parcel_hash },
	{ "depot-sweep", depot_swept },
	{ "depot-audit", depot_audit },
	{ }
};
