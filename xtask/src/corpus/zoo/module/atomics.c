// SPDX-License-Identifier: (GPL-2.0 OR MIT)
/* Assertions on what an instruction changed as it looked: counters, bits, words that are exchanged; and on carries. */
#include <linux/atomic.h>
#include <linux/bitops.h>
#include <linux/sched.h>
#include <linux/sched/task.h>
#include "zoo.h"

struct outlet {
	u32 number;
	atomic_t users;
	atomic_t phase;
	atomic64_t bytes;
	struct task_struct *owner;
	unsigned long flags;
	unsigned long map[4];
	int waiting;
	u64 first, last;
};

static struct outlet *make_outlet(void)
{
	struct outlet *outlet = kzalloc(sizeof(*outlet), GFP_KERNEL);

	outlet->number = 4;
	return outlet;
}

/* The last user must be somebody else. */
noinline void outlet_leave(struct outlet *outlet)
{
	BUG_ON(atomic_dec_and_test(&outlet->users)); /* ZOO atomic-last: atomic_dec_return(&outlet->users) == 0 */
	outlet->number++;
}

static int atomic_last(struct zoo_ask *ask)
{
	struct outlet *outlet = make_outlet();

	atomic_set(&outlet->users, 1);
	ZOO_VALUE("atomic_dec_return(&outlet->users)", 0);
	outlet_leave(outlet);
	return 0;
}

/* More given back than taken. */
noinline int outlet_put(struct outlet *outlet)
{
	BUG_ON(atomic_dec_return(&outlet->users) < 0); /* ZOO atomic-under: atomic_dec_return(&outlet->users) < 0 */
	return outlet->number;
}

static int atomic_under(struct zoo_ask *ask)
{
	ZOO_VALUE("atomic_dec_return(&outlet->users)", -1);
	return outlet_put(make_outlet());
}

/* A sum that grows too large. */
noinline u64 outlet_count(struct outlet *outlet, s64 length)
{
	BUG_ON(atomic64_add_return(length, &outlet->bytes) > 4096); /* ZOO atomic-sum: atomic64_add_return(length, &outlet->bytes) > 4096 */
	return outlet->number;
}

static int atomic_sum(struct zoo_ask *ask)
{
	struct outlet *outlet = make_outlet();

	atomic64_set(&outlet->bytes, 4000);
	ZOO_VALUE("atomic64_add_return(length, &outlet->bytes)", 4150);
	return outlet_count(outlet, 150);
}

/* A bit that another has set already. */
noinline int outlet_claim(struct outlet *outlet)
{
	BUG_ON(test_and_set_bit(5, &outlet->flags)); /* ZOO atomic-claimed: test_and_set_bit(5, &outlet->flags) */
	return outlet->number;
}

static int atomic_claimed(struct zoo_ask *ask)
{
	struct outlet *outlet = make_outlet();

	outlet->flags = 0x21;
	ZOO_VALUE("test_and_set_bit(5, &outlet->flags)", 1);
	return outlet_claim(outlet);
}

/* A bit that should have been set. */
noinline int outlet_release(struct outlet *outlet)
{
	BUG_ON(!test_and_clear_bit(6, &outlet->flags)); /* ZOO atomic-released: !test_and_clear_bit(6, &outlet->flags) */
	return outlet->number;
}

static int atomic_released(struct zoo_ask *ask)
{
	struct outlet *outlet = make_outlet();

	outlet->flags = 0x21;
	ZOO_VALUE("test_and_clear_bit(6, &outlet->flags)", 0);
	return outlet_release(outlet);
}

/* A word that is exchanged for another. */
noinline int outlet_own(struct outlet *outlet, struct task_struct *task)
{
	BUG_ON(xchg(&outlet->owner, task)); /* ZOO atomic-owned: xchg(&outlet->owner, task) != NULL */
	return outlet->number;
}

static int atomic_owned(struct zoo_ask *ask)
{
	struct outlet *outlet = make_outlet();

	outlet->owner = &init_task;
	ZOO_VALUE("xchg(&outlet->owner, task)", (unsigned long)outlet->owner);
	return outlet_own(outlet, current);
}

/* A word that is exchanged for another where it is as expected. */
noinline int outlet_start(struct outlet *outlet)
{
	BUG_ON(atomic_cmpxchg(&outlet->phase, 1, 2) != 1); /* ZOO atomic-phase: atomic_cmpxchg(&outlet->phase, 1, 2) != 1 */
	return outlet->number;
}

static int atomic_phase(struct zoo_ask *ask)
{
	struct outlet *outlet = make_outlet();

	atomic_set(&outlet->phase, 7);
	ZOO_VALUE("atomic_cmpxchg(&outlet->phase, 1, 2)", 7);
	return outlet_start(outlet);
}

/* A bit far into a map. */
noinline int outlet_mapped(struct outlet *outlet, unsigned long bit)
{
	BUG_ON(test_bit(bit, outlet->map)); /* ZOO atomic-mapped: test_bit(bit, outlet->map) */
	return outlet->number;
}

static int atomic_mapped(struct zoo_ask *ask)
{
	struct outlet *outlet = make_outlet();

	outlet->map[2] = 0x80;
	ZOO_VALUE("test_bit(bit, outlet->map)", 1);
	ZOO_VALUE("bit", 135);
	return outlet_mapped(outlet, 135);
}

/* A number that is counted down and looked at. */
noinline int outlet_wake(struct outlet *outlet)
{
	BUG_ON(--outlet->waiting < 0); /* ZOO atomic-waiting: outlet->waiting < 0 */
	return outlet->number;
}

static int atomic_waiting(struct zoo_ask *ask)
{
	ZOO_VALUE("outlet->waiting", -1);
	return outlet_wake(make_outlet());
}

/* A sum beyond what its type holds. */
noinline int outlet_span(struct outlet *outlet, u64 first, u64 length)
{
	BUG_ON(first + length < first); /* ZOO atomic-carry: first + length < first */
	outlet->first = first;
	outlet->last = first + length;
	return outlet->number;
}

static int atomic_carry(struct zoo_ask *ask)
{
	ZOO_VALUE("first + length", 0xfffULL);
	ZOO_VALUE("first", 0xfffffffffffff000ULL);
	ZOO_VALUE("length", 0x1fffULL);
	return outlet_span(make_outlet(), 0xfffffffffffff000ULL, 0x1fff);
}

const struct zoo_way zoo_atomics[] = {
	{ "atomic-last", atomic_last },
	{ "atomic-under", atomic_under },
	{ "atomic-sum", atomic_sum },
	{ "atomic-claimed", atomic_claimed },
	{ "atomic-released", atomic_released },
	{ "atomic-owned", atomic_owned },
	{ "atomic-phase", atomic_phase },
	{ "atomic-mapped", atomic_mapped },
	{ "atomic-waiting", atomic_waiting },
	{ "atomic-carry", atomic_carry },
	{ }
};
