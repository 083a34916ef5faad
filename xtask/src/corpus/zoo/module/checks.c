// SPDX-License-Identifier: (GPL-2.0 OR MIT)
/* More assertions: ranges, masks, sums, elements of arrays, results of the kernel's own functions, the CPU's state. */
#include <linux/atomic.h>
#include <linux/err.h>
#include <linux/hardirq.h>
#include <linux/percpu.h>
#include <linux/sched.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/timer.h>
#include <linux/delay.h>
#include "zoo.h"

struct extent {
	u64 start;
	u32 length;
	s16 level;
	s8 kind;
	u8 refs;
};

struct volume {
	char label[16];
	struct extent *extents;
	unsigned int count;
	unsigned long flags;
	atomic_t users;
	s64 balance;
	void *private;
	u32 sizes[8];
	const char *owner;
	spinlock_t lock;
	struct timer_list timer;
};

static struct volume *make_volume(unsigned int count)
{
	struct volume *volume = kzalloc(sizeof(*volume), GFP_KERNEL);
	unsigned int i;

	strscpy(volume->label, "zoo-vol", sizeof(volume->label));
	volume->extents = kcalloc(count, sizeof(*volume->extents), GFP_KERNEL);
	volume->count = count;
	for (i = 0; i < count; i++) {
		volume->extents[i].start = 4096 * i;
		volume->extents[i].length = 4096;
		volume->extents[i].level = 4;
		volume->extents[i].refs = 1;
	}
	atomic_set(&volume->users, 1);
	spin_lock_init(&volume->lock);
	return volume;
}

/* Outside of a range: compilers make one unsigned comparison of it. */
noinline int extent_level(struct extent *extent)
{
	BUG_ON(extent->level < 2 || extent->level > 9); /* ZOO check-range: extent->level > 9 */
	return extent->level * 2 + extent->refs;
}

static int check_range(struct zoo_ask *ask)
{
	struct volume *volume = make_volume(4);

	volume->extents[2].level = 12;
	ZOO_VALUE("extent->level", 12);
	return extent_level(&volume->extents[2]);
}

/* An error number in place of a pointer. */
noinline void *volume_private(struct volume *volume)
{
	BUG_ON(IS_ERR(volume->private)); /* ZOO check-error: IS_ERR(volume->private) */
	volume->count++;
	return volume->private;
}

static int check_error(struct zoo_ask *ask)
{
	struct volume *volume = make_volume(4);

	volume->private = ERR_PTR(-ENODEV);
	ZOO_VALUE("volume->private", (unsigned long)volume->private);
	return volume_private(volume) == ask;
}

/* What strcmp() said. */
noinline int volume_open(struct volume *volume, const char *label)
{
	BUG_ON(strcmp(volume->label, label) != 0); /* ZOO check-text: strcmp() != 0 */
	return ++volume->count;
}

static int check_text(struct zoo_ask *ask)
{
	return volume_open(make_volume(4), "another");
}

/* Allowed in processes alone. */
noinline void volume_sync(struct volume *volume)
{
	BUG_ON(in_interrupt()); /* ZOO check-interrupt */
	volume->count = 0;
}

static void volume_timeout(struct timer_list *timer)
{
	volume_sync(container_of(timer, struct volume, timer));
}

static int check_interrupt(struct zoo_ask *ask)
{
	struct volume *volume = make_volume(4);

	ZOO_TELL("context timer volume_timeout");
	timer_setup(&volume->timer, volume_timeout, 0);
	mod_timer(&volume->timer, jiffies + HZ / 4);
	msleep(3000);
	return 0;
}

/* A negative number of 64 bits. */
noinline s64 volume_pay(struct volume *volume, s64 price)
{
	s64 left = volume->balance - price;

	BUG_ON(left < -1000); /* ZOO check-negative: left < -1000 */
	volume->balance = left;
	return left;
}

static int check_negative(struct zoo_ask *ask)
{
	struct volume *volume = make_volume(4);

	volume->balance = -700;
	ZOO_VALUE("left", -1200);
	return volume_pay(volume, 500);
}

/* An element of an array inside a struct. */
noinline u32 volume_size(struct volume *volume, unsigned int which, u32 wanted)
{
	BUG_ON(volume->sizes[which] != wanted); /* ZOO check-element: volume->sizes[which] != wanted */
	volume->sizes[which] = 0;
	return volume->count;
}

static int check_element(struct zoo_ask *ask)
{
	struct volume *volume = make_volume(4);

	volume->sizes[5] = 77;
	ZOO_VALUE("volume->sizes[which]", 77);
	ZOO_VALUE("wanted", 78);
	return volume_size(volume, 5, 78);
}

/* A counter that is read as such. */
noinline int volume_close(struct volume *volume)
{
	BUG_ON(atomic_read(&volume->users) != 1); /* ZOO check-atomic: volume->users.counter != 1 */
	atomic_set(&volume->users, 0);
	return volume->count;
}

static int check_atomic(struct zoo_ask *ask)
{
	struct volume *volume = make_volume(4);

	atomic_set(&volume->users, 3);
	ZOO_VALUE("volume->users.counter", 3);
	return volume_close(volume);
}

/* Bits below a boundary. */
noinline u64 extent_move(struct extent *extent, u64 to)
{
	BUG_ON(to & 511); /* ZOO check-aligned: to & 0x1ff */
	extent->start = to;
	return to + extent->length;
}

static int check_aligned(struct zoo_ask *ask)
{
	ZOO_VALUE("to", 0x12340);
	return extent_move(make_volume(4)->extents, 0x12340);
}

/* The third round of a loop. */
noinline u64 volume_sum(struct volume *volume)
{
	u64 sum = 0;
	unsigned int i;

	for (i = 0; i < volume->count; i++) {
		BUG_ON(volume->extents[i].refs == 0); /* ZOO check-loop: volume->extents[i].refs == 0 */
		sum += volume->extents[i].length;
	}
	return sum;
}

static int check_loop(struct zoo_ask *ask)
{
	struct volume *volume = make_volume(6);

	volume->extents[3].refs = 0;
	ZOO_VALUE("volume->extents[i].refs", 0);
	return volume_sum(volume);
}

/* A sum against a product. */
noinline u64 extent_end(struct volume *volume, struct extent *extent)
{
	BUG_ON(extent->start + extent->length > (u64)volume->count * 4096); /* ZOO check-sum */
	extent->refs++;
	return extent->start;
}

static int check_sum(struct zoo_ask *ask)
{
	struct volume *volume = make_volume(4);

	volume->extents[1].length = 1 << 20;
	return extent_end(volume, &volume->extents[1]);
}

/* Some bits, all of which have to be as they should. */
noinline int volume_mount(struct volume *volume, unsigned int flags)
{
	BUG_ON((volume->flags & 7) != 5); /* ZOO check-mask */
	volume->flags |= flags;
	return volume->count;
}

static int check_mask(struct zoo_ask *ask)
{
	struct volume *volume = make_volume(4);

	volume->flags = 0x16;
	return volume_mount(volume, 64);
}

/* The sign of a byte. */
noinline int extent_kind(struct extent *extent)
{
	BUG_ON(extent->kind < 0); /* ZOO check-sign: extent->kind < 0 */
	return extent->kind + extent->refs;
}

static int check_sign(struct zoo_ask *ask)
{
	struct volume *volume = make_volume(4);

	volume->extents->kind = -3;
	ZOO_VALUE("extent->kind", -3);
	return extent_kind(volume->extents);
}

/* Behind the end of an array. */
noinline int extent_release(struct volume *volume, struct extent *extent)
{
	BUG_ON(extent >= volume->extents + volume->count); /* ZOO check-end */
	return --extent->refs;
}

static int check_end(struct zoo_ask *ask)
{
	struct volume *volume = make_volume(4);

	return extent_release(volume, volume->extents + 4);
}

/* A variable of each CPU. */
static DEFINE_PER_CPU(int, volume_depth);

noinline int volume_enter(struct volume *volume)
{
	BUG_ON(this_cpu_read(volume_depth) > 2); /* ZOO check-percpu */
	this_cpu_inc(volume_depth);
	return volume->count;
}

static int check_percpu(struct zoo_ask *ask)
{
	struct volume *volume = make_volume(4);
	int i, sum = 0;

	preempt_disable();
	for (i = 0; i < 4; i++)
		sum += volume_enter(volume);
	preempt_enable();
	return sum;
}

/* A flag of the task. */
noinline int volume_thread(struct volume *volume)
{
	BUG_ON(!(current->flags & PF_KTHREAD)); /* ZOO check-task */
	return ++volume->count;
}

static int check_task(struct zoo_ask *ask)
{
	return volume_thread(make_volume(4));
}

/* A lock that has to be held. */
noinline int volume_change(struct volume *volume)
{
	BUG_ON(!spin_is_locked(&volume->lock)); /* ZOO check-locked */
	return ++volume->count;
}

static int check_locked(struct zoo_ask *ask)
{
	return volume_change(make_volume(4));
}

/* Eight bytes of a text at once. */
noinline int volume_check(struct volume *volume)
{
	BUG_ON(memcmp(volume->label, "zoo-disk", 8)); /* ZOO check-magic */
	return ++volume->count;
}

static int check_magic(struct zoo_ask *ask)
{
	return volume_check(make_volume(4));
}

/* What a counter became. */
noinline int volume_put(struct volume *volume)
{
	BUG_ON(atomic_dec_return(&volume->users) < 0); /* ZOO check-dropped */
	return volume->count;
}

static int check_dropped(struct zoo_ask *ask)
{
	struct volume *volume = make_volume(4);

	return volume_put(volume) + volume_put(volume);
}

/* A warning that is told once. */
noinline u32 extent_room(struct extent *extent, u32 used)
{
	if (WARN_ON_ONCE(extent->length < used)) /* ZOO check-once: extent->length < used */
		return 0;
	return extent->length - used;
}

static int check_once(struct zoo_ask *ask)
{
	ZOO_VALUE("extent->length", 4096);
	ZOO_VALUE("used", 5000);
	return extent_room(make_volume(4)->extents, 5000);
}

const struct zoo_way zoo_checks[] = {
	{ "check-range", check_range },
	{ "check-error", check_error },
	{ "check-text", check_text },
	{ "check-interrupt", check_interrupt },
	{ "check-negative", check_negative },
	{ "check-element", check_element },
	{ "check-atomic", check_atomic },
	{ "check-aligned", check_aligned },
	{ "check-loop", check_loop },
	{ "check-sum", check_sum },
	{ "check-mask", check_mask },
	{ "check-sign", check_sign },
	{ "check-end", check_end },
	{ "check-percpu", check_percpu },
	{ "check-task", check_task },
	{ "check-locked", check_locked },
	{ "check-magic", check_magic },
	{ "check-dropped", check_dropped },
	{ "check-once", check_once },
	{ }
};
