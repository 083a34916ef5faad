// SPDX-License-Identifier: (GPL-2.0 OR MIT)
/* More tasks and CPUs that wait: for work, semaphores, pages, bits, other CPUs. */
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/hrtimer.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/pagemap.h>
#include <linux/rtmutex.h>
#include <linux/rwsem.h>
#include <linux/semaphore.h>
#include <linux/smp.h>
#include <linux/spinlock.h>
#include <linux/timer.h>
#include <linux/wait.h>
#include <linux/wait_bit.h>
#include <linux/workqueue.h>
#include "zoo.h"

struct station {
	u32 number;
	struct mutex lock;
	struct rt_mutex token;
	struct semaphore slots;
	struct rw_semaphore map;
	struct work_struct work;
	struct timer_list timer;
	struct hrtimer clock;
	wait_queue_head_t queue;
	unsigned long flags;
	spinlock_t spin;
	rwlock_t table;
	bool open;
	struct task_struct *thread;
	struct page *page;
	u64 trains;
};

static struct station *station;

static void make_station(void)
{
	station = kzalloc(sizeof(*station), GFP_KERNEL);
	station->number = 9;
	mutex_init(&station->lock);
	rt_mutex_init(&station->token);
	sema_init(&station->slots, 1);
	init_rwsem(&station->map);
	init_waitqueue_head(&station->queue);
	spin_lock_init(&station->spin);
	rwlock_init(&station->table);
}

/* Waits for its own work, which wants the lock that it holds. */
static void station_work(struct work_struct *work)
{
	struct station *of = container_of(work, struct station, work);

	ZOO_TELL("waits %d mutex %px", current->pid, &of->lock);
	mutex_lock(&of->lock);
	of->trains++;
	mutex_unlock(&of->lock);
}

noinline u64 station_drain(struct station *of)
{
	mutex_lock(&of->lock);
	ZOO_TELL("holds %d mutex %px", current->pid, &of->lock);
	schedule_work(&of->work);
	flush_work(&of->work); /* ZOO hung-flush */
	mutex_unlock(&of->lock);
	return of->trains;
}

static int hung_flush(struct zoo_ask *ask)
{
	make_station();
	INIT_WORK(&station->work, station_work);
	return station_drain(station);
}

/* Ends with the lock held. */
static int leaving(void *unused)
{
	mutex_lock(&station->lock);
	ZOO_TELL("holds %d mutex %px", current->pid, &station->lock);
	return 0;
}

noinline u64 station_visit(struct station *of)
{
	u64 trains;

	mutex_lock(&of->lock); /* ZOO hung-owner-exited: &of->lock */
	trains = of->trains++;
	mutex_unlock(&of->lock);
	return trains;
}

static int hung_owner_exited(struct zoo_ask *ask)
{
	make_station();
	kthread_run(leaving, NULL, "zoo-leaves");
	msleep(300);
	ZOO_TELL("waits %d mutex %px", current->pid, &station->lock);
	return station_visit(station);
}

/* Waits for what nobody tells. */
noinline int station_wait(struct station *of)
{
	wait_event(of->queue, READ_ONCE(of->open)); /* ZOO hung-event */
	return of->trains;
}

static int hung_event(struct zoo_ask *ask)
{
	make_station();
	return station_wait(station);
}

/* A counting semaphore that nobody gives back. */
noinline int station_enter(struct station *of)
{
	down(&of->slots); /* ZOO hung-semaphore: &of->slots */
	return ++of->trains;
}

static int hung_semaphore(struct zoo_ask *ask)
{
	make_station();
	station_enter(station);
	ZOO_TELL("waits %d semaphore %px", current->pid, &station->slots);
	return station_enter(station);
}

/* A reader that sleeps, a writer behind it, and a reader behind the writer. */
noinline u64 station_look(struct station *of, int sleeping)
{
	u64 trains;

	down_read(&of->map); /* ZOO hung-readers */
	if (sleeping)
		wait_event_interruptible(of->queue, READ_ONCE(of->open));
	trains = of->trains;
	up_read(&of->map);
	return trains;
}

static int looking(void *data)
{
	ZOO_TELL("reads %d rwsem %px", current->pid, &station->map);
	return station_look(station, 1);
}

static int building(void *data)
{
	msleep(200);
	ZOO_TELL("waits %d rwsem %px", current->pid, &station->map);
	down_write(&station->map);
	station->trains = 0;
	up_write(&station->map);
	return 0;
}

static int hung_readers(struct zoo_ask *ask)
{
	make_station();
	kthread_run(looking, NULL, "zoo-looker");
	kthread_run(building, NULL, "zoo-builder");
	msleep(600);
	ZOO_TELL("waits %d rwsem %px", current->pid, &station->map);
	return station_look(station, 0);
}

/* A bit that stays set. */
noinline int station_bit(struct station *of)
{
	wait_on_bit(&of->flags, 3, TASK_UNINTERRUPTIBLE); /* ZOO hung-bit */
	return of->trains;
}

static int hung_bit(struct zoo_ask *ask)
{
	make_station();
	set_bit(3, &station->flags);
	return station_bit(station);
}

/* A page that stays locked. */
noinline int station_page(struct station *of)
{
	lock_page(of->page); /* ZOO hung-page: of->page */
	return of->trains;
}

static int hung_page(struct zoo_ask *ask)
{
	make_station();
	station->page = alloc_page(GFP_KERNEL);
	station_page(station);
	return station_page(station);
}

/* A thread that does not stop. */
static int deaf(void *data)
{
	for (;;)
		msleep_interruptible(100000);
	return 0;
}

noinline int station_stop(struct station *of)
{
	return kthread_stop(of->thread); /* ZOO hung-stop */
}

static int hung_stop(struct zoo_ask *ask)
{
	make_station();
	station->thread = kthread_run(deaf, NULL, "zoo-deaf");
	msleep(200);
	return station_stop(station);
}

/* A mutex that hands its priority on. */
noinline int station_token(struct station *of)
{
	rt_mutex_lock(&of->token); /* ZOO hung-token */
	return ++of->trains;
}

static int token_taker(void *data)
{
	station_token(station);
	ZOO_TELL("holds %d rtmutex %px", current->pid, &station->token);
	for (;;)
		msleep_interruptible(100000);
	return 0;
}

static int hung_token(struct zoo_ask *ask)
{
	make_station();
	kthread_run(token_taker, NULL, "zoo-taker");
	msleep(300);
	ZOO_TELL("waits %d rtmutex %px", current->pid, &station->token);
	return station_token(station);
}

/* One CPU without interrupts, another that wants it to do something. */
static void station_nothing(void *data)
{
}

noinline void station_deaf(struct station *of)
{
	unsigned long flags;

	local_irq_save(flags);
	while (!READ_ONCE(of->open))
		cpu_relax();
	local_irq_restore(flags);
}

static int without_interrupts(void *data)
{
	station_deaf(station);
	return 0;
}

noinline void station_call(struct station *of, int cpu)
{
	smp_call_function_single(cpu, station_nothing, of, 1); /* ZOO soft-call */
	of->trains++;
}

static int calling(void *data)
{
	msleep(300);
	preempt_disable();
	station_call(station, 1);
	preempt_enable();
	return 0;
}

static int on_cpu(int (*what)(void *), int cpu, const char *name)
{
	struct task_struct *task = kthread_create(what, NULL, "%s", name);

	kthread_bind(task, cpu);
	wake_up_process(task);
	return 0;
}

static int soft_call(struct zoo_ask *ask)
{
	make_station();
	on_cpu(calling, 0, "zoo-caller");
	return on_cpu(without_interrupts, 1, "zoo-deaf");
}

/* The holder of a spinlock sleeps. */
noinline void station_hold(struct station *of)
{
	spin_lock(&of->spin);
	schedule_timeout_uninterruptible(1000 * HZ);
	spin_unlock(&of->spin);
}

static int holding(void *data)
{
	ZOO_TELL("holds %d spinlock %px", current->pid, &station->spin);
	station_hold(station);
	return 0;
}

noinline void station_spin(struct station *of)
{
	spin_lock(&of->spin); /* ZOO soft-sleeper: &of->spin */
	of->trains++;
	spin_unlock(&of->spin);
}

static int spinning(void *data)
{
	msleep(300);
	ZOO_TELL("spins %d spinlock %px", current->pid, &station->spin);
	station_spin(station);
	return 0;
}

static int soft_sleeper(struct zoo_ask *ask)
{
	make_station();
	on_cpu(holding, 0, "zoo-holder");
	return on_cpu(spinning, 1, "zoo-spinner");
}

/* Writes where it reads. */
noinline u64 station_table(struct station *of)
{
	u64 trains;

	write_lock(&of->table); /* ZOO soft-rwlock: &of->table */
	trains = of->trains++;
	write_unlock(&of->table);
	return trains;
}

noinline u64 station_count(struct station *of)
{
	u64 trains;

	read_lock(&of->table);
	trains = station_table(of);
	read_unlock(&of->table);
	return trains;
}

static int soft_rwlock(struct zoo_ask *ask)
{
	make_station();
	ZOO_TELL("spins %d rwlock %px", current->pid, &station->table);
	return station_count(station);
}

/* Stops a timer with the lock that its handler wants. */
static void station_tick(struct timer_list *timer)
{
	struct station *of = container_of(timer, struct station, timer);

	spin_lock(&of->spin);
	of->trains++;
	spin_unlock(&of->spin);
}

noinline void station_halt(struct station *of)
{
	spin_lock(&of->spin);
	mdelay(400);
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 2, 0)
	timer_delete_sync(&of->timer); /* ZOO soft-timer */
#else
	del_timer_sync(&of->timer); /* ZOO soft-timer */
#endif
	spin_unlock(&of->spin);
}

static int setting(void *data)
{
	mod_timer(&station->timer, jiffies + HZ / 5);
	return 0;
}

static int halting(void *data)
{
	msleep(100);
	station_halt(station);
	return 0;
}

static int soft_timer(struct zoo_ask *ask)
{
	make_station();
	timer_setup(&station->timer, station_tick, TIMER_PINNED);
	on_cpu(setting, 1, "zoo-setter");
	return on_cpu(halting, 0, "zoo-halter");
}

/* An interrupt takes the lock that the process it interrupts holds. */
static enum hrtimer_restart station_clock(struct hrtimer *clock)
{
	struct station *of = container_of(clock, struct station, clock);

	spin_lock(&of->spin); /* ZOO stall-clock: &of->spin */
	of->trains++;
	spin_unlock(&of->spin);
	return HRTIMER_NORESTART;
}

noinline u64 station_slow(struct station *of)
{
	u64 trains;

	spin_lock(&of->spin);
	hrtimer_start(&of->clock, ms_to_ktime(50), HRTIMER_MODE_REL_PINNED);
	mdelay(1000);
	trains = of->trains;
	spin_unlock(&of->spin);
	return trains;
}

static int stall_clock(struct zoo_ask *ask)
{
	make_station();
	ZOO_TELL("spins %d spinlock %px", current->pid, &station->spin);
	ZOO_TELL("context hrtimer station_clock");
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 13, 0)
	hrtimer_setup(&station->clock, station_clock, CLOCK_MONOTONIC, HRTIMER_MODE_REL_PINNED);
#else
	hrtimer_init(&station->clock, CLOCK_MONOTONIC, HRTIMER_MODE_REL_PINNED);
	station->clock.function = station_clock;
#endif
	return station_slow(station);
}

const struct zoo_way zoo_hangs[] = {
	{ "hung-owner-exited", hung_owner_exited },
	{ "hung-flush", hung_flush },
	{ "hung-event", hung_event },
	{ "hung-semaphore", hung_semaphore },
	{ "hung-readers", hung_readers },
	{ "hung-bit", hung_bit },
	{ "hung-page", hung_page },
	{ "hung-stop", hung_stop },
	{ "hung-token", hung_token },
	{ "soft-call", soft_call },
	{ "soft-sleeper", soft_sleeper },
	{ "soft-rwlock", soft_rwlock },
	{ "soft-timer", soft_timer },
	{ "stall-clock", stall_clock },
	{ }
};
