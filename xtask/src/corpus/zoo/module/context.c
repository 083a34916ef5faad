// SPDX-License-Identifier: (GPL-2.0 OR MIT)
/* Deaths outside of plain system calls: timers, interrupts, workers, kernel threads; and panic() itself. */
#include <linux/timer.h>
#include <linux/hrtimer.h>
#include <linux/interrupt.h>
#include <linux/workqueue.h>
#include <linux/kthread.h>
#include <linux/delay.h>
#include <linux/smp.h>
#include "zoo.h"

struct controller {
	char name[16];
	u32 requests;
	u32 lost;
	u32 limit;
	u32 divisor;
	struct controller *backup;
	struct timer_list timer;
	struct hrtimer clock;
	struct tasklet_struct tasklet;
	struct work_struct work;
	struct delayed_work later;
};

static struct controller *make_controller(void)
{
	struct controller *controller = kzalloc(sizeof(*controller), GFP_KERNEL);

	strscpy(controller->name, "ctl7", sizeof(controller->name));
	controller->requests = 61;
	controller->lost = 17;
	controller->limit = 8;
	return controller;
}

/* panic() with arguments. */
noinline int controller_fail(struct controller *controller, u32 lost)
{
	if (lost > controller->limit)
		panic("zoo: controller %s lost %u of %u requests", controller->name, lost, controller->requests); /* ZOO panic-text: lost > controller->limit */
	return controller->requests - lost;
}

static int panic_text(struct zoo_ask *ask)
{
	struct controller *controller = make_controller();

	ZOO_VALUE("lost", 17);
	ZOO_VALUE("controller->limit", 8);
	ZOO_TELL("message zoo: controller ctl7 lost 17 of 61 requests");
	return controller_fail(controller, controller->lost);
}

/* What every handler comes to. */
noinline void controller_check(struct controller *controller)
{
	BUG_ON(controller->lost > controller->limit); /* ZOO check: controller->lost > controller->limit */
	controller->requests++;
}

static void told(void)
{
	ZOO_VALUE("controller->lost", 17);
	ZOO_VALUE("controller->limit", 8);
}

static void controller_timeout(struct timer_list *timer)
{
	controller_check(container_of(timer, struct controller, timer));
}

static int bug_timer(struct zoo_ask *ask)
{
	struct controller *controller = make_controller();

	told();
	ZOO_TELL("context timer controller_timeout");
	timer_setup(&controller->timer, controller_timeout, 0);
	mod_timer(&controller->timer, jiffies + HZ / 4);
	msleep(3000);
	return 0;
}

static enum hrtimer_restart controller_clock(struct hrtimer *clock)
{
	controller_check(container_of(clock, struct controller, clock));
	return HRTIMER_NORESTART;
}

static int bug_hrtimer(struct zoo_ask *ask)
{
	struct controller *controller = make_controller();

	told();
	ZOO_TELL("context hrtimer controller_clock");
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 13, 0)
	hrtimer_setup(&controller->clock, controller_clock, CLOCK_MONOTONIC, HRTIMER_MODE_REL);
#else
	hrtimer_init(&controller->clock, CLOCK_MONOTONIC, HRTIMER_MODE_REL);
	controller->clock.function = controller_clock;
#endif
	hrtimer_start(&controller->clock, ms_to_ktime(250), HRTIMER_MODE_REL);
	msleep(3000);
	return 0;
}

static void controller_soft(struct tasklet_struct *tasklet)
{
	controller_check(container_of(tasklet, struct controller, tasklet));
}

static int bug_tasklet(struct zoo_ask *ask)
{
	struct controller *controller = make_controller();

	told();
	ZOO_TELL("context tasklet controller_soft");
	tasklet_setup(&controller->tasklet, controller_soft);
	tasklet_schedule(&controller->tasklet);
	msleep(3000);
	return 0;
}

/* A null pointer in a worker. */
noinline u32 controller_take_over(struct controller *controller)
{
	controller->backup->requests += controller->requests; /* ZOO null-work: controller->backup */
	return controller->backup->lost;
}

static void controller_work(struct work_struct *work)
{
	controller_take_over(container_of(work, struct controller, work));
}

static int null_work(struct zoo_ask *ask)
{
	struct controller *controller = make_controller();

	ZOO_VALUE("controller->backup", 0);
	ZOO_VALUE("address", offsetof(struct controller, requests));
	ZOO_TELL("context work controller_work");
	INIT_WORK(&controller->work, controller_work);
	schedule_work(&controller->work);
	msleep(3000);
	return 0;
}

static void controller_later(struct work_struct *work)
{
	controller_check(container_of(to_delayed_work(work), struct controller, later));
}

static int bug_delayed_work(struct zoo_ask *ask)
{
	struct controller *controller = make_controller();

	told();
	ZOO_TELL("context work controller_later");
	INIT_DELAYED_WORK(&controller->later, controller_later);
	queue_delayed_work(system_unbound_wq, &controller->later, HZ / 4);
	msleep(3000);
	return 0;
}

/* A division by zero in a kernel thread. */
noinline u32 controller_share(struct controller *controller)
{
	return controller->requests / controller->divisor; /* ZOO divide-kthread: controller->divisor */
}

static int controller_thread(void *data)
{
	struct controller *controller = data;
	u32 sum = 0;

	while (!kthread_should_stop()) {
		msleep(50);
		sum += controller_share(controller);
	}
	return sum;
}

static int divide_kthread(struct zoo_ask *ask)
{
	struct controller *controller = make_controller();

	ZOO_VALUE("controller->divisor", 0);
	ZOO_TELL("context kthread zoo-share");
	kthread_run(controller_thread, controller, "zoo-share");
	msleep(3000);
	return 0;
}

/* On another CPU, in the interrupt that one CPU sends to the other. */
static void controller_poke(void *data)
{
	controller_check(data);
}

static int bug_ipi(struct zoo_ask *ask)
{
	int cpu = get_cpu() ? 0 : 1;

	told();
	ZOO_TELL("context ipi controller_poke");
	smp_call_function_single(cpu, controller_poke, make_controller(), 1);
	put_cpu();
	return 0;
}

/* From an ioctl. */
noinline int controller_command(struct controller *controller, unsigned long length)
{
	BUG_ON(length > sizeof(controller->name)); /* ZOO bug-ioctl: length > 16 */
	memset(controller->name, 0, length);
	return 0;
}

static int bug_ioctl(struct zoo_ask *ask)
{
	ZOO_VALUE("length", 40);
	ZOO_TELL("context ioctl");
	return controller_command(make_controller(), 40);
}

const struct zoo_way zoo_context[] = {
	{ "panic-text", panic_text },
	{ "bug-timer", bug_timer },
	{ "bug-hrtimer", bug_hrtimer },
	{ "bug-tasklet", bug_tasklet },
	{ "null-work", null_work },
	{ "bug-delayed-work", bug_delayed_work },
	{ "divide-kthread", divide_kthread },
	{ "bug-ipi", bug_ipi },
	{ "bug-ioctl", bug_ioctl },
	{ }
};
