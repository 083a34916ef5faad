// SPDX-License-Identifier: MIT OR Apache-2.0
// Dies in the way whose name is written to /proc/dying. Each way goes through several calls first, so that there is a
// stack to tell, and none is inlined.
#include <linux/completion.h>
#include <linux/fs.h>
#include <linux/hrtimer.h>
#include <linux/kernel.h>
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/proc_fs.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>

struct order {
	unsigned int count, limit;
	struct order *next;
	char label[16];
};

// What stands behind a call keeps the call from becoming a jump.
#define AFTER() barrier()
#define FRAME noinline __attribute__((noipa))

static FRAME int check_order(struct order *order)
{
	BUG_ON(order->count > order->limit);
	return order->count;
}

static FRAME int next_order(struct order *order)
{
	int found = check_order(order->next); // next is NULL
	AFTER();
	return found;
}

// A leaf: no call in it, so that it saves neither frame pointer nor link register.
static FRAME unsigned int leaf_of(struct order *order)
{
	return order->count * 3 + order->limit;
}

static FRAME int calls_leaf(struct order *order)
{
	int found = leaf_of(order->next); // next is NULL
	AFTER();
	return found;
}

static FRAME int way_bug(struct order *order)
{
	int found;

	order->count = order->limit + 1;
	found = check_order(order);
	AFTER();
	return found;
}

// The kernel's own code meets the NULL.
static FRAME int way_null(struct order *order)
{
	int found = vfs_fsync_range((struct file *)order->next, 0, order->count, 0);
	AFTER();
	return found;
}

static FRAME int way_module(struct order *order)
{
	int found = next_order(order);
	AFTER();
	return found;
}

static FRAME int way_leaf(struct order *order)
{
	int found = calls_leaf(order);
	AFTER();
	return found;
}

static struct hrtimer timer;
static struct order late = { .count = 2, .limit = 1 };

static enum hrtimer_restart expired(struct hrtimer *unused)
{
	check_order(&late);
	AFTER();
	return HRTIMER_NORESTART;
}

static FRAME int way_interrupt(struct order *order)
{
	hrtimer_init(&timer, CLOCK_MONOTONIC, HRTIMER_MODE_REL_HARD);
	timer.function = expired;
	hrtimer_start(&timer, ms_to_ktime(20), HRTIMER_MODE_REL_HARD);
	while (!READ_ONCE(order->next))
		cpu_relax();
	return 0;
}

static FRAME int way_hung(struct order *order)
{
	DECLARE_COMPLETION_ONSTACK(never);

	wait_for_completion(&never);
	AFTER();
	return order->count;
}

static const struct {
	const char *name;
	int (*die)(struct order *order);
} ways[] = {
	{ "bug", way_bug },   { "null", way_null },	      { "module", way_module },
	{ "leaf", way_leaf }, { "interrupt", way_interrupt }, { "hung", way_hung },
};

static ssize_t dying_write(struct file *file, const char __user *text, size_t size, loff_t *at)
{
	char word[16] = "";
	struct order *order;
	int i;

	if (size >= sizeof word || copy_from_user(word, text, size))
		return -EINVAL;
	order = kzalloc(sizeof *order, GFP_KERNEL);
	if (!order)
		return -ENOMEM;
	order->limit = 5;
	strscpy(order->label, strim(word), sizeof order->label);
	for (i = 0; i < ARRAY_SIZE(ways); i++)
		if (!strcmp(ways[i].name, order->label))
			ways[i].die(order);
	kfree(order);
	return size;
}

static const struct proc_ops dying_ops = { .proc_write = dying_write };

static int __init dying_init(void)
{
	return proc_create("dying", 0200, NULL, &dying_ops) ? 0 : -ENOMEM;
}

static void __exit dying_exit(void)
{
	remove_proc_entry("dying", NULL);
}

module_init(dying_init);
module_exit(dying_exit);
MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("dies in the way that it is told");
