// SPDX-License-Identifier: (GPL-2.0 OR MIT)
/* Faults in the kernel's own functions for which a caller is to blame, and exceptions of rarer kinds. */
#include <linux/kobject.h>
#include <linux/list.h>
#include <linux/nmi.h>
#include <linux/sched.h>
#include <linux/string.h>
#include <linux/timer.h>
#include <linux/vmalloc.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <asm/nmi.h>
#include "zoo.h"

struct buffer {
	u32 size;
	u32 fill;
	u8 *bytes;
	const char *name;
	u32 table[16];
	struct buffer *next;
	wait_queue_head_t *readers;
	u32 __percpu *hits;
};

static struct buffer *make_buffer(u32 size)
{
	struct buffer *buffer = kzalloc(sizeof(*buffer), GFP_KERNEL);

	buffer->size = size;
	buffer->bytes = kzalloc(size, GFP_KERNEL);
	buffer->name = "buffer-0";
	return buffer;
}

/* memcpy() from a null pointer. */
noinline u32 buffer_append(struct buffer *buffer, const struct buffer *from, u32 length)
{
	memcpy(buffer->bytes + buffer->fill, from->bytes, length); /* ZOO copy-null: from->bytes */
	buffer->fill += length;
	return buffer->fill;
}

static int copy_null(struct zoo_ask *ask)
{
	struct buffer *from = make_buffer(256);

	from->bytes = NULL;
	ZOO_VALUE("from->bytes", 0);
	return buffer_append(make_buffer(4096), from, 64 + ask->argument);
}

/* strcmp() with a null pointer. */
noinline int buffer_is(struct buffer *buffer, const char *name)
{
	int same = strcmp(buffer->name, name); /* ZOO text-null: buffer->name */

	return same + buffer->size;
}

static int text_null(struct zoo_ask *ask)
{
	struct buffer *buffer = make_buffer(64);

	buffer->name = NULL;
	ZOO_VALUE("buffer->name", 0);
	return buffer_is(buffer, "buffer-1");
}

/* memset() with a size that was never one. */
noinline u32 buffer_clear(struct buffer *buffer, long from)
{
	memset(buffer->bytes, 0, buffer->size - from); /* ZOO set-beyond */
	buffer->fill = 0;
	return buffer->size;
}

static int set_beyond(struct zoo_ask *ask)
{
	struct buffer *buffer = make_buffer(64);

	buffer->bytes = vzalloc(8192);
	buffer->size = 8192;
	return buffer_clear(buffer, -100000);
}

/* An index far outside. */
noinline u32 buffer_entry(struct buffer *buffer, s32 index)
{
	return buffer->table[index] + buffer->fill; /* ZOO index-wild: buffer->table[index] */
}

static int index_wild(struct zoo_ask *ask)
{
	struct buffer *buffer = make_buffer(64);

	ZOO_VALUE("address", (unsigned long)&buffer->table[0] + 4L * -2000000000);
	return buffer_entry(buffer, -2000000000);
}

/* A queue of waiters that was zeroed: the kernel's own code walks it. */
noinline int buffer_wake(struct buffer *buffer)
{
	wake_up(buffer->readers); /* ZOO queue-zeroed */
	return buffer->fill;
}

static int queue_zeroed(struct zoo_ask *ask)
{
	struct buffer *buffer = make_buffer(64);

	buffer->readers = kzalloc(sizeof(*buffer->readers), GFP_KERNEL);
	return buffer_wake(buffer);
}

/* Memory of each CPU, taken for a pointer. */
noinline u32 buffer_hits(struct buffer *buffer)
{
	return *(volatile u32 __force *)buffer->hits; /* ZOO percpu-pointer: buffer->hits */
}

static int percpu_pointer(struct zoo_ask *ask)
{
	struct buffer *buffer = make_buffer(64);

	buffer->hits = alloc_percpu(u32);
	ZOO_VALUE("buffer->hits", (unsigned long)buffer->hits);
	ZOO_VALUE("address", (unsigned long)buffer->hits);
	return buffer_hits(buffer);
}

/* A write into the program. */
noinline int buffer_patch(u8 *code, u8 byte)
{
	*(volatile u8 *)code = byte; /* ZOO text-write: code */
	return byte;
}

static int text_write(struct zoo_ask *ask)
{
	ZOO_VALUE("code", (unsigned long)buffer_clear);
	ZOO_VALUE("address", (unsigned long)buffer_clear);
	return buffer_patch((u8 *)buffer_clear, 0x90);
}

/* The return address on the stack is overwritten. */
noinline int buffer_leave(unsigned long to)
{
	asm volatile("mov %0, (%1)" : : "r"(to), "r"(__builtin_frame_address(0) + 8) : "memory");
	return to;
}

static int return_wild(struct zoo_ask *ask)
{
	return buffer_leave(0xffffffffdeadb000UL);
}

static int return_text(struct zoo_ask *ask)
{
	return buffer_leave(0x4141414141414141UL);
}

/* An access that has to be aligned and is not. */
noinline int buffer_load(struct buffer *buffer, u32 at)
{
	asm volatile("movaps %0, %%xmm0" : : "m"(*(u8 *)(buffer->bytes + at))); /* ZOO misaligned */
	return buffer->fill;
}

static int misaligned(struct zoo_ask *ask)
{
	struct buffer *buffer = make_buffer(256);

	asm volatile("clts");
	return buffer_load(buffer, 20);
}

/* A segment that is not there. */
noinline int segment_load(unsigned int selector)
{
	asm volatile("mov %0, %%gs" : : "r"(selector)); /* ZOO bad-segment */
	return selector;
}

static int bad_segment(struct zoo_ask *ask)
{
	return segment_load(0x1230);
}

/* A breakpoint that nobody set. */
noinline u32 buffer_stop(struct buffer *buffer)
{
	asm volatile("int3"); /* ZOO breakpoint */
	return buffer->fill;
}

static int breakpoint(struct zoo_ask *ask)
{
	return buffer_stop(make_buffer(64));
}

/* Two functions that call each other without an end. */
noinline u64 climb_down(struct buffer *buffer, u64 depth);

noinline u64 climb_up(struct buffer *buffer, u64 depth)
{
	u8 room[300];

	memset(room, depth, sizeof(room));
	OPTIMIZER_HIDE_VAR(depth);
	return climb_down(buffer, depth + 1) + room[depth % sizeof(room)];
}

noinline u64 climb_down(struct buffer *buffer, u64 depth)
{
	u8 room[200];

	memset(room, buffer->size, sizeof(room));
	OPTIMIZER_HIDE_VAR(depth);
	return climb_up(buffer->next ?: buffer, depth + 1) + room[depth % sizeof(room)];
}

static int stack_two(struct zoo_ask *ask)
{
	return climb_up(make_buffer(64), 1);
}

/* A timer that is still set when the module goes. */
static struct timer_list lasting;

static void buffer_tick(struct timer_list *timer)
{
	pr_info("zoo: too late\n");
}

static int timer_gone(struct zoo_ask *ask)
{
	timer_setup(&lasting, buffer_tick, 0);
	mod_timer(&lasting, jiffies + 2 * HZ);
	ZOO_TELL("address %px", buffer_tick);
	return 0;
}

/* Things freed that never were theirs to free. */
noinline int buffer_free(struct buffer *buffer)
{
	kfree(buffer->bytes); /* ZOO free-inside */
	buffer->bytes = NULL;
	return 0;
}

static int free_inside(struct zoo_ask *ask)
{
	struct buffer *buffer = make_buffer(64);

	buffer->bytes = (u8 *)&buffer_free;
	return buffer_free(buffer);
}

noinline int buffer_unmap(struct buffer *buffer)
{
	vfree(buffer->bytes); /* ZOO unmap-twice */
	return buffer->size;
}

static int unmap_twice(struct zoo_ask *ask)
{
	struct buffer *buffer = make_buffer(64);

	buffer->bytes = vzalloc(8192);
	return buffer_unmap(buffer) + buffer_unmap(buffer);
}

/* Objects of the kernel that nobody set up. */
struct device_like {
	u32 id;
	struct kobject object;
	struct work_struct work;
};

noinline int device_put(struct device_like *device)
{
	kobject_put(&device->object); /* ZOO object-raw */
	return device->id;
}

static int object_raw(struct zoo_ask *ask)
{
	return device_put(kzalloc(sizeof(struct device_like), GFP_KERNEL));
}

noinline int device_stop(struct device_like *device)
{
	cancel_work_sync(&device->work); /* ZOO work-raw */
	return device->id;
}

static int work_raw(struct zoo_ask *ask)
{
	return device_stop(kzalloc(sizeof(struct device_like), GFP_KERNEL));
}

/* A cache that goes while it has objects. */
noinline int cache_close(struct kmem_cache *cache)
{
	kmem_cache_destroy(cache); /* ZOO cache-busy */
	return 0;
}

static int cache_busy(struct zoo_ask *ask)
{
	struct kmem_cache *cache = kmem_cache_create_usercopy("zoo_busy", 120, 0, SLAB_HWCACHE_ALIGN, 8, 40, NULL);

	kmem_cache_alloc(cache, GFP_KERNEL);
	return cache_close(cache);
}

/* A module given back too often. */
noinline int module_return(void)
{
	module_put(THIS_MODULE); /* ZOO module-put */
	return 0;
}

static int module_twice(struct zoo_ask *ask)
{
	int i, sum = 0;

	for (i = 0; i < 8; i++)
		sum += module_return();
	return sum;
}

/* In an interrupt that cannot be masked. */
noinline int buffer_alarm(u32 alarms)
{
	BUG_ON(alarms > 40); /* ZOO bug-nmi: alarms > 40 */
	return NMI_HANDLED;
}

static int buffer_nmi(unsigned int type, struct pt_regs *regs)
{
	return buffer_alarm(41);
}

static int bug_nmi(struct zoo_ask *ask)
{
	ZOO_VALUE("alarms", 41);
	return register_nmi_handler(NMI_UNKNOWN, buffer_nmi, 0, "zoo");
}

const struct zoo_way zoo_faults[] = {
	{ "copy-null", copy_null },
	{ "text-null", text_null },
	{ "set-beyond", set_beyond },
	{ "index-wild", index_wild },
	{ "queue-zeroed", queue_zeroed },
	{ "percpu-pointer", percpu_pointer },
	{ "text-write", text_write },
	{ "return-wild", return_wild },
	{ "return-text", return_text },
	{ "misaligned", misaligned },
	{ "bad-segment", bad_segment },
	{ "breakpoint", breakpoint },
	{ "stack-two", stack_two },
	{ "timer-gone", timer_gone },
	{ "free-inside", free_inside },
	{ "unmap-twice", unmap_twice },
	{ "object-raw", object_raw },
	{ "work-raw", work_raw },
	{ "cache-busy", cache_busy },
	{ "module-put", module_twice },
	{ "bug-nmi", bug_nmi },
	{ }
};
