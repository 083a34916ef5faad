// SPDX-License-Identifier: (GPL-2.0 OR MIT)
/* CPUs that do not come to rest: spinning on locks, in loops, and sleeping where that is forbidden. */
#include <linux/spinlock.h>
#include <linux/kthread.h>
#include <linux/delay.h>
#include <linux/rcupdate.h>
#include <linux/timer.h>
#include "zoo.h"

struct counter {
	u32 id;
	spinlock_t lock;
	u64 value;
	struct counter *next;
	struct timer_list timer;
};

static struct counter counters[4];

static void make_counters(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(counters); i++) {
		spin_lock_init(&counters[i].lock);
		counters[i].id = 70 + i;
		counters[i].value = 3 * i;
		counters[i].next = i + 1 < ARRAY_SIZE(counters) ? &counters[i + 1] : NULL;
	}
}

/* Takes a spinlock that it holds. */
noinline u64 counter_read(struct counter *counter)
{
	u64 value;

	spin_lock(&counter->lock); /* ZOO spin-self: &counter->lock */
	value = counter->value;
	spin_unlock(&counter->lock);
	return value;
}

noinline u64 counter_add(struct counter *counter, u64 more)
{
	spin_lock(&counter->lock);
	counter->value = counter_read(counter) + more;
	spin_unlock(&counter->lock);
	return counter->value;
}

static int spin_self(struct zoo_ask *ask)
{
	make_counters();
	ZOO_TELL("spins %d spinlock %px", current->pid, &counters[1].lock);
	return counter_add(&counters[1], 5);
}

/* Two CPUs, two spinlocks, the other way round. */
noinline void counter_move(struct counter *from, struct counter *to)
{
	spin_lock(&from->lock);
	mdelay(300);
	spin_lock(&to->lock); /* ZOO spin-abba: &to->lock */
	to->value += from->value;
	from->value = 0;
	spin_unlock(&to->lock);
	spin_unlock(&from->lock);
}

static int moving(void *data)
{
	struct counter *from = data;
	struct counter *to = from == &counters[0] ? &counters[1] : &counters[0];

	ZOO_TELL("holds %d spinlock %px", current->pid, &from->lock);
	ZOO_TELL("spins %d spinlock %px", current->pid, &to->lock);
	msleep(100);
	counter_move(from, to);
	return 0;
}

static int spin_abba(struct zoo_ask *ask)
{
	struct task_struct *task;
	int cpu;

	make_counters();
	for (cpu = 0; cpu < 2; cpu++) {
		task = kthread_create(moving, &counters[cpu], "zoo-mover%d", cpu);
		kthread_bind(task, cpu);
		wake_up_process(task);
	}
	return 0;
}

/* A timer takes the lock that the interrupted task holds with interrupts on. */
static void counter_tick(struct timer_list *timer)
{
	struct counter *counter = container_of(timer, struct counter, timer);

	spin_lock(&counter->lock); /* ZOO spin-timer: &counter->lock */
	counter->value++;
	spin_unlock(&counter->lock);
}

noinline u64 counter_slow(struct counter *counter)
{
	u64 sum;

	spin_lock(&counter->lock);
	mod_timer(&counter->timer, jiffies + HZ / 10);
	mdelay(1000);
	sum = counter->value;
	spin_unlock(&counter->lock);
	return sum;
}

static int spin_timer(struct zoo_ask *ask)
{
	make_counters();
	timer_setup(&counters[2].timer, counter_tick, TIMER_PINNED);
	ZOO_TELL("spins %d spinlock %px", current->pid, &counters[2].lock);
	ZOO_TELL("context timer counter_tick");
	return counter_slow(&counters[2]);
}

/* A chain that leads back into itself. */
noinline u64 chain_sum(struct counter *first)
{
	struct counter *counter;
	u64 sum = 0;

	for (counter = first; counter; counter = READ_ONCE(counter->next)) /* ZOO loop */
		sum += counter->value; /* ZOO loop */
	return sum;
}

static int loop_of(int stop_preemption)
{
	u64 sum;

	make_counters();
	counters[3].next = &counters[1];
	if (stop_preemption)
		preempt_disable();
	sum = chain_sum(counters);
	if (stop_preemption)
		preempt_enable();
	return sum;
}

static int soft_loop(struct zoo_ask *ask)
{
	return loop_of(1);
}

/* The same inside a read-side section, long enough for RCU to complain. */
static int rcu_loop(struct zoo_ask *ask)
{
	int sum;

	rcu_read_lock();
	sum = loop_of(1);
	rcu_read_unlock();
	return sum;
}

/* The same without interrupts. */
static int hard_loop(struct zoo_ask *ask)
{
	unsigned long flags;
	int sum;

	local_irq_save(flags);
	sum = loop_of(0);
	local_irq_restore(flags);
	return sum;
}

/* Sleeps with a spinlock held. */
noinline void counter_settle(struct counter *counter)
{
	counter->value = 0;
	msleep(20); /* ZOO atomic-sleep */
	counter->value++;
}

noinline void counter_reset(struct counter *counter)
{
	spin_lock(&counter->lock);
	counter_settle(counter);
	spin_unlock(&counter->lock);
}

static int atomic_sleep(struct zoo_ask *ask)
{
	make_counters();
	counter_reset(&counters[0]);
	return 0;
}

/* A function that returns with preemption off. */
noinline void counter_leave(struct counter *counter)
{
	preempt_disable();
	counter->value++;
}

static int atomic_leave(struct zoo_ask *ask)
{
	make_counters();
	counter_leave(&counters[0]);
	schedule(); /* ZOO atomic-leave */
	return 0;
}

const struct zoo_way zoo_stalls[] = {
	{ "spin-self", spin_self },
	{ "spin-abba", spin_abba },
	{ "spin-timer", spin_timer },
	{ "soft-loop", soft_loop },
	{ "rcu-loop", rcu_loop },
	{ "hard-loop", hard_loop },
	{ "atomic-sleep", atomic_sleep },
	{ "atomic-leave", atomic_leave },
	{ }
};
