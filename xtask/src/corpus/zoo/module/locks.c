// SPDX-License-Identifier: (GPL-2.0 OR MIT)
/* Tasks that wait for each other, for themselves, or for what never comes. */
#include <linux/mutex.h>
#include <linux/rwsem.h>
#include <linux/completion.h>
#include <linux/kthread.h>
#include <linux/delay.h>
#include <linux/wait.h>
#include "zoo.h"

struct account {
	u32 number;
	struct mutex lock;
	s64 balance;
	struct account *partner;
};

struct ledger {
	struct rw_semaphore lock;
	u64 entries;
	struct completion closed;
	wait_queue_head_t news;
	bool rung;
};

static struct account *accounts;
static struct ledger *ledger;

static void make_accounts(void)
{
	int i;

	accounts = kcalloc(3, sizeof(*accounts), GFP_KERNEL);
	for (i = 0; i < 3; i++) {
		mutex_init(&accounts[i].lock);
		accounts[i].number = 500 + i;
		accounts[i].balance = 1000;
		accounts[i].partner = &accounts[(i + 1) % 3];
	}
	ledger = kzalloc(sizeof(*ledger), GFP_KERNEL);
	init_rwsem(&ledger->lock);
	init_completion(&ledger->closed);
	init_waitqueue_head(&ledger->news);
}

/* Locks one account, then the other. */
noinline void transfer(struct account *from, struct account *to, s64 amount)
{
	mutex_lock(&from->lock);
	msleep(200);
	mutex_lock(&to->lock); /* ZOO transfer: &to->lock */
	from->balance -= amount;
	to->balance += amount;
	mutex_unlock(&to->lock);
	mutex_unlock(&from->lock);
}

static int transferring(void *data)
{
	struct account *from = data;

	ZOO_TELL("holds %d mutex %px", current->pid, &from->lock);
	ZOO_TELL("waits %d mutex %px", current->pid, &from->partner->lock);
	transfer(from, from->partner, 10);
	return 0;
}

static int hung_abba(struct zoo_ask *ask)
{
	make_accounts();
	accounts[1].partner = &accounts[0];
	kthread_run(transferring, &accounts[0], "zoo-transfer0");
	kthread_run(transferring, &accounts[1], "zoo-transfer1");
	return 0;
}

static int hung_circle(struct zoo_ask *ask)
{
	make_accounts();
	kthread_run(transferring, &accounts[0], "zoo-transfer0");
	kthread_run(transferring, &accounts[1], "zoo-transfer1");
	kthread_run(transferring, &accounts[2], "zoo-transfer2");
	return 0;
}

/* Takes a lock that it has taken before. */
noinline s64 balance_of(struct account *account)
{
	s64 balance;

	mutex_lock(&account->lock); /* ZOO hung-self: &account->lock */
	balance = account->balance;
	mutex_unlock(&account->lock);
	return balance;
}

noinline int account_close(struct account *account)
{
	int empty;

	mutex_lock(&account->lock);
	empty = balance_of(account) == 0;
	mutex_unlock(&account->lock);
	return empty;
}

static int hung_self(struct zoo_ask *ask)
{
	make_accounts();
	ZOO_TELL("holds %d mutex %px", current->pid, &accounts[0].lock);
	ZOO_TELL("waits %d mutex %px", current->pid, &accounts[0].lock);
	return account_close(&accounts[0]);
}

/* The owner sleeps, waiting for news that nobody sends. */
static int news_reader(void *data)
{
	struct account *account = data;

	mutex_lock(&account->lock);
	ZOO_TELL("holds %d mutex %px", current->pid, &account->lock);
	wait_event_interruptible(ledger->news, ledger->rung);
	mutex_unlock(&account->lock);
	return 0;
}

static int hung_owner_sleeps(struct zoo_ask *ask)
{
	make_accounts();
	kthread_run(news_reader, &accounts[0], "zoo-reader");
	msleep(300);
	ZOO_TELL("waits %d mutex %px", current->pid, &accounts[0].lock);
	return balance_of(&accounts[0]);
}

/* A reader holds the semaphore and waits for a mutex whose owner wants to write. */
noinline u64 ledger_audit(struct account *account)
{
	u64 seen;

	down_read(&ledger->lock);
	msleep(200);
	mutex_lock(&account->lock); /* ZOO hung-rwsem-reader: &account->lock */
	seen = ledger->entries + account->number;
	mutex_unlock(&account->lock);
	up_read(&ledger->lock);
	return seen;
}

noinline void ledger_enter(struct account *account)
{
	mutex_lock(&account->lock);
	msleep(200);
	down_write(&ledger->lock); /* ZOO hung-rwsem: &ledger->lock */
	ledger->entries++;
	up_write(&ledger->lock);
	mutex_unlock(&account->lock);
}

static int auditor(void *data)
{
	ZOO_TELL("reads %d rwsem %px", current->pid, &ledger->lock);
	ZOO_TELL("waits %d mutex %px", current->pid, &((struct account *)data)->lock);
	ledger_audit(data);
	return 0;
}

static int clerk(void *data)
{
	ZOO_TELL("holds %d mutex %px", current->pid, &((struct account *)data)->lock);
	ZOO_TELL("waits %d rwsem %px", current->pid, &ledger->lock);
	ledger_enter(data);
	return 0;
}

static int hung_rwsem(struct zoo_ask *ask)
{
	make_accounts();
	kthread_run(auditor, &accounts[0], "zoo-auditor");
	kthread_run(clerk, &accounts[0], "zoo-clerk");
	return 0;
}

/* Two writers. */
noinline void ledger_clear(void)
{
	down_write(&ledger->lock); /* ZOO hung-writer: &ledger->lock */
	ledger->entries = 0;
	up_write(&ledger->lock);
}

static int sleeping_writer(void *data)
{
	down_write(&ledger->lock);
	ZOO_TELL("holds %d rwsem %px", current->pid, &ledger->lock);
	wait_event_interruptible(ledger->news, ledger->rung);
	up_write(&ledger->lock);
	return 0;
}

static int hung_writer(struct zoo_ask *ask)
{
	make_accounts();
	kthread_run(sleeping_writer, NULL, "zoo-writer");
	msleep(300);
	ZOO_TELL("waits %d rwsem %px", current->pid, &ledger->lock);
	ledger_clear();
	return 0;
}

/* Nobody completes. */
noinline int ledger_wait(struct ledger *of)
{
	of->entries++;
	wait_for_completion(&of->closed); /* ZOO hung-completion: &of->closed */
	return of->entries;
}

static int hung_completion(struct zoo_ask *ask)
{
	make_accounts();
	ZOO_TELL("waits %d completion %px", current->pid, &ledger->closed);
	return ledger_wait(ledger);
}

const struct zoo_way zoo_locks[] = {
	{ "hung-abba", hung_abba },
	{ "hung-circle", hung_circle },
	{ "hung-self", hung_self },
	{ "hung-owner-sleeps", hung_owner_sleeps },
	{ "hung-rwsem", hung_rwsem },
	{ "hung-writer", hung_writer },
	{ "hung-completion", hung_completion },
	{ }
};
