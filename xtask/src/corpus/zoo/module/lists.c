// SPDX-License-Identifier: (GPL-2.0 OR MIT)
/* Lists, reference counters and pages in states that cannot be. */
#include <linux/mm.h>
#include <linux/poison.h>
#include <linux/refcount.h>
#include "zoo.h"

struct job {
	u32 id;
	struct list_head link;
	refcount_t users;
	u64 cost;
};

struct shop {
	struct list_head jobs;
	unsigned int open;
};

static struct shop *make_shop(int count)
{
	struct shop *shop = kzalloc(sizeof(*shop), GFP_KERNEL);
	struct job *job;

	INIT_LIST_HEAD(&shop->jobs);
	while (count--) {
		job = kzalloc(sizeof(*job), GFP_KERNEL);
		job->id = 40 + count;
		job->cost = 1000 * count;
		refcount_set(&job->users, 1);
		list_add(&job->link, &shop->jobs);
		shop->open++;
	}
	return shop;
}

noinline int job_finish(struct shop *shop, struct job *job)
{
	list_del(&job->link); /* ZOO list-del */
	shop->open--;
	return job->id;
}

/* Removed twice. */
static int list_del_twice(struct zoo_ask *ask)
{
	struct shop *shop = make_shop(3);
	struct job *job = list_first_entry(&shop->jobs, struct job, link);

	ZOO_VALUE("job->link", (unsigned long)&job->link);
	ZOO_TELL("message list_del corruption");
	return job_finish(shop, job) + job_finish(shop, job);
}

/* The neighbour points elsewhere. */
static int list_del_neighbour(struct zoo_ask *ask)
{
	struct shop *shop = make_shop(3);
	struct job *job = list_first_entry(&shop->jobs, struct job, link);

	job->link.next->prev = &shop->jobs;
	ZOO_VALUE("job->link", (unsigned long)&job->link);
	ZOO_TELL("message list_del corruption");
	return job_finish(shop, job);
}

noinline int job_start(struct shop *shop, struct job *job)
{
	list_add_tail(&job->link, &shop->jobs); /* ZOO list-add */
	return ++shop->open;
}

/* The list's last entry was zeroed while it was on the list. */
static int list_add_zeroed(struct zoo_ask *ask)
{
	struct shop *shop = make_shop(2);
	struct job *job = kzalloc(sizeof(*job), GFP_KERNEL);

	memset(list_last_entry(&shop->jobs, struct job, link), 0, sizeof(struct job));
	ZOO_TELL("message list_add corruption");
	return job_start(shop, job);
}

/*
 * Walking on from an entry that was removed. The compiler gives the load of the next entry two rows of its line table:
 * the loop's line is the instruction's own (addr2line), the body's the last statement that begins there (gdb, crash).
 */
noinline u64 shop_cost(struct shop *shop, struct job *from)
{
	struct job *job = from;
	u64 cost = 0;

	list_for_each_entry_continue(job, &shop->jobs, link) /* ZOO list-poison: job | job->link.next */
		cost += job->cost; /* ZOO list-poison */
	return cost;
}

static int list_poison(struct zoo_ask *ask)
{
	struct shop *shop = make_shop(3);
	struct job *job = list_first_entry(&shop->jobs, struct job, link);

	list_del(&job->link);
	ZOO_VALUE("job->link.next", (unsigned long)LIST_POISON1);
	ZOO_VALUE("job", (unsigned long)LIST_POISON1 - offsetof(struct job, link));
	return shop_cost(shop, job);
}

noinline int job_get(struct job *job)
{
	refcount_inc(&job->users); /* ZOO refcount-inc */
	return job->id;
}

static int refcount_zero(struct zoo_ask *ask)
{
	struct shop *shop = make_shop(1);
	struct job *job = list_first_entry(&shop->jobs, struct job, link);

	refcount_set(&job->users, 0);
	ZOO_TELL("message refcount_t: addition on 0; use-after-free.");
	return job_get(job);
}

noinline int job_put(struct job *job)
{
	if (refcount_dec_and_test(&job->users)) /* ZOO refcount-dec */
		kfree(job);
	return 0;
}

static int refcount_under(struct zoo_ask *ask)
{
	struct shop *shop = make_shop(1);
	struct job *job = list_first_entry(&shop->jobs, struct job, link);

	refcount_set(&job->users, 0);
	ZOO_TELL("message refcount_t: underflow; use-after-free.");
	return job_put(job);
}

/* Pages given back while the first is still marked as a file's. They are many: single ones are not looked at. */
unsigned int zoo_returned;

noinline void pages_return(struct page *page, unsigned int order)
{
	__free_pages(page, order); /* ZOO page-state */
	zoo_returned += 1 << order;
}

static int page_state(struct zoo_ask *ask)
{
	struct page *page = alloc_pages(GFP_KERNEL, 5);

	page->mapping = (void *)0xdead000000000400UL;
	ZOO_TELL("page %px", page);
	pages_return(page, 5);
	return 0;
}

const struct zoo_way zoo_lists[] = {
	{ "list-del-twice", list_del_twice },
	{ "list-del-neighbour", list_del_neighbour },
	{ "list-add-zeroed", list_add_zeroed },
	{ "list-poison", list_poison },
	{ "refcount-zero", refcount_zero },
	{ "refcount-under", refcount_under },
	{ "page-state", page_state },
	{ }
};
