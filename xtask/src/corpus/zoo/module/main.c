// SPDX-License-Identifier: (GPL-2.0 OR MIT)
/* The module's door: `echo WAY [NUMBER] > /proc/zoo`, an ioctl with a way's name, or the parameter `init_way`. */
#include <linux/proc_fs.h>
#include <linux/uaccess.h>
#include "zoo.h"

static unsigned int init_wanted;
module_param(init_wanted, uint, 0444);
MODULE_PARM_DESC(init_wanted, "die while loading: how many channels to ask for");

static const struct zoo_way *const zoo_tables[] = {
	zoo_asserts, zoo_memory, zoo_lists, zoo_context, zoo_locks, zoo_stalls, zoo_resources,
	zoo_checks, zoo_faults, zoo_hangs, zoo_atomics, zoo_indices, zoo_parcels,
};

static const struct zoo_way *zoo_find(const char *name)
{
	const struct zoo_way *way;
	int i;

	for (i = 0; i < ARRAY_SIZE(zoo_tables); i++)
		for (way = zoo_tables[i]; way->name; way++)
			if (!strcmp(way->name, name))
				return way;
	return NULL;
}

static noinline int zoo_run(char *line, struct zoo_ask *ask)
{
	const struct zoo_way *way;
	char *name = strsep(&line, " ");

	if (line && kstrtoul(line, 0, &ask->argument))
		return -EINVAL;
	way = zoo_find(name);
	if (!way)
		return -ENOENT;
	ZOO_TELL("way %s", way->name);
	return way->run(ask);
}

static ssize_t zoo_write(struct file *file, const char __user *buffer, size_t length, loff_t *at)
{
	struct zoo_ask ask = { .buffer = buffer, .length = length };
	char line[64];
	int done;

	if (length >= sizeof(line))
		return -EINVAL;
	if (copy_from_user(line, buffer, length))
		return -EFAULT;
	line[length] = 0;
	done = zoo_run(strim(line), &ask);
	return done < 0 ? done : length;
}

static long zoo_ioctl(struct file *file, unsigned int command, unsigned long argument)
{
	struct zoo_ask ask = { .buffer = (const char __user *)argument };
	char line[64];
	long length = strncpy_from_user(line, ask.buffer, sizeof(line));

	if (length < 0 || length == sizeof(line))
		return -EFAULT;
	ask.length = length;
	return zoo_run(strim(line), &ask);
}

static const struct proc_ops zoo_door = {
	.proc_write = zoo_write,
	.proc_ioctl = zoo_ioctl,
};

static int __init zoo_start(void)
{
	if (init_wanted)
		return zoo_die_in_init(init_wanted);
	return proc_create("zoo", 0200, NULL, &zoo_door) ? 0 : -ENOMEM;
}

static void __exit zoo_stop(void)
{
	remove_proc_entry("zoo", NULL);
}

module_init(zoo_start);
module_exit(zoo_stop);
MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("dies in many ways");
