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
#endif

const struct zoo_way zoo_resources[] = {
	{ "oom-slab", oom_slab },
	{ "oom-pages", oom_pages },
#ifdef CONFIG_KFENCE
	{ "kfence-freed", kfence_freed },
#endif
	{ }
};
