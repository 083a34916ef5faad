/* SPDX-License-Identifier: (GPL-2.0 OR MIT) */
/*
 * zoo: a module that dies in many ways, so that what analyses dumps can be held to a known truth.
 *
 * A line that dies carries a comment `ZOO way: expression` (the expression may be missing). Before it dies the module
 * prints what it is about to die of:
 *
 *   zoo: truth value EXPRESSION = NUMBER      an operand and its value
 *   zoo: truth KEY TEXT                       anything else
 */
#ifndef ZOO_H
#define ZOO_H

#include <linux/version.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/list.h>
#include <linux/slab.h>

#define ZOO_VALUE(expression, value) \
	pr_info("zoo: truth value %s = %#llx\n", expression, (unsigned long long)(value))
#define ZOO_TELL(format, ...) pr_info("zoo: truth " format "\n", ##__VA_ARGS__)

/* What a way is asked with: the text behind its name, and the caller's buffer. */
struct zoo_ask {
	unsigned long argument;
	const char __user *buffer;
	size_t length;
};

struct zoo_way {
	const char *name;
	int (*run)(struct zoo_ask *ask);
};

/* One table a file; the last entry has no name. */
extern const struct zoo_way zoo_asserts[], zoo_memory[], zoo_lists[], zoo_context[], zoo_locks[], zoo_stalls[],
	zoo_resources[], zoo_checks[], zoo_faults[], zoo_hangs[], zoo_atomics[], zoo_indices[], zoo_parcels[];

int zoo_die_in_init(unsigned int wanted);

#endif
