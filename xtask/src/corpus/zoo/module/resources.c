// SPDX-License-Identifier: (GPL-2.0 OR MIT)
/* Memory that runs out, and memory that KFENCE watches. */
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/version.h>
#include "zoo.h"

struct record {
	struct record *next;
	u64 number;
	u8 data[1000];
};

static struct record *records;
static struct kmem_cache *record_cache;

noinline int record_add(u64 number)
{
	struct record *record = kmem_cache_alloc(record_cache, GFP_KERNEL); /* ZOO oom-slab */

	if (!record)
		return -ENOMEM;
	record->number = number;
	record->next = records;
	records = record;
	return 0;
}

static int oom_slab(struct zoo_ask *ask)
{
	u64 number = 0;

	/* With a part that user space may see, so that it is not merged with another cache. */
	record_cache = kmem_cache_create_usercopy("zoo_record", sizeof(struct record), 0, SLAB_HWCACHE_ALIGN,
						  offsetof(struct record, data), 1000, NULL);
	ZOO_TELL("cache zoo_record");
	while (!record_add(number++))
		cond_resched();
	return -ENOMEM;
}

static LIST_HEAD(pages);

noinline int page_add(void)
{
	struct page *page = alloc_page(GFP_KERNEL); /* ZOO oom-pages */

	if (!page)
		return -ENOMEM;
	list_add(&page->lru, &pages);
	return 0;
}

static int oom_pages(struct zoo_ask *ask)
{
	while (!page_add())
		cond_resched();
	return -ENOMEM;
}

#ifdef CONFIG_KFENCE
#include <linux/kfence.h>

noinline u64 record_number(struct record *record)
{
	return record->number; /* ZOO kfence-freed: record->number */
}

static int kfence_freed(struct zoo_ask *ask)
{
	struct record *record;
	int i;

	for (i = 0; i < 5000000; i++) {
		record = kmalloc(sizeof(*record), GFP_KERNEL);
		if (is_kfence_address(record)) {
			ZOO_VALUE("address", (unsigned long)&record->number);
			ZOO_TELL("object %px", record);
			kfree(record);
			return record_number(record);
		}
		kfree(record);
		cond_resched();
	}
	return -ENOENT;
}

struct note {
	char text[24];
};

/* An object of KFENCE with nothing behind it in its page, or with something. */
static struct note *make_note(bool at_end)
{
	struct note *note;
	int i;

	for (i = 0; i < 5000000; i++) {
		note = kmalloc(sizeof(*note), GFP_KERNEL);
		if (is_kfence_address(note) && (((unsigned long)note & ~PAGE_MASK) > 2048) == at_end)
			return note;
		kfree(note);
		cond_resched();
	}
	return NULL;
}

/* A read far behind an object, where nothing may be touched. */
noinline u64 note_word(struct note *note, unsigned int at)
{
	return ((u64 *)note)[at]; /* ZOO kfence-beyond */
}

static int kfence_beyond(struct zoo_ask *ask)
{
	struct note *note = make_note(true);

	if (!note)
		return -ENOENT;
	ZOO_TELL("object %px", note);
	return note_word(note, 8);
}

/* A byte written behind an object, which is found when it is given back. */
noinline void note_drop(struct note *note)
{
	kfree(note); /* ZOO kfence-beside */
	note = NULL;
	barrier();
}

static int kfence_beside(struct zoo_ask *ask)
{
	struct note *note = make_note(false);

	if (!note)
		return -ENOENT;
	ZOO_TELL("object %px", note);
	((volatile char *)note)[sizeof(*note) + 2] = 'x';
	note_drop(note);
	return 0;
}
#endif

const struct zoo_way zoo_resources[] = {
	{ "oom-slab", oom_slab },
	{ "oom-pages", oom_pages },
#ifdef CONFIG_KFENCE
	{ "kfence-freed", kfence_freed },
	{ "kfence-beyond", kfence_beyond },
	{ "kfence-beside", kfence_beside },
#endif
	{ }
};
