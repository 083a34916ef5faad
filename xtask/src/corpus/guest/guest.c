// The programs of the corpus guest, one binary called by several names:
//   workload [spin]   one of each kind of thing a dump can hold: threads, sockets, shared memory, mappings,
//                     a zombie, a stopped task, a task in uninterruptible sleep
//   scatter DEVICE    a direct read into scattered pages: one block request of many segments
//   symbols STEP MOD..  every STEP-th line of /proc/kallsyms, all of the modules MOD, and some well-known names
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <unistd.h>

static void name(const char *text) { prctl(PR_SET_NAME, text); }

static void *thread_sleep(void *arg)
{
	name("job-sleep");
	for (;;)
		sleep(1000);
	return arg;
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void *thread_lock(void *arg)
{
	name("job-lock");
	pthread_mutex_lock(&lock); // held by main for ever
	return arg;
}

static void *thread_spin(void *arg)
{
	volatile unsigned long count = 0;
	name("job-spin");
	for (;;)
		count++;
	return arg;
}

static void sockets(void)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(4242), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int server = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);
	bind(server, (void *)&v4, sizeof v4);
	listen(server, 8);
	connect(client, (void *)&v4, sizeof v4);
	int accepted = accept(server, 0, 0);
	write(client, "to be read never", 16);
	(void)accepted;

	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(5353), .sin6_addr = in6addr_loopback };
	bind(socket(AF_INET6, SOCK_DGRAM, 0), (void *)&v6, sizeof v6);

	struct sockaddr_un local = { .sun_family = AF_UNIX, .sun_path = "/tmp/job.socket" };
	int named = socket(AF_UNIX, SOCK_STREAM, 0), pair[2];
	bind(named, (void *)&local, sizeof local);
	listen(named, 4);
	socketpair(AF_UNIX, SOCK_DGRAM, 0, pair);
}

static void memory(void)
{
	int file = open("/tmp/job.data", O_CREAT | O_RDWR, 0644);
	ftruncate(file, 1 << 20);
	char *shared = mmap(0, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	memset(shared, 0xab, 1 << 18);
	char *own = mmap(0, 4 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	strcpy(own, "user memory marker: a needle in the stack of hay");
	memset(own + 4096, 0x5a, 1 << 18);

	int segment = shmget(0x1234, 65536, IPC_CREAT | 0600);
	strcpy(shmat(segment, 0, 0), "shared by System V");
	int queue = msgget(0x77, IPC_CREAT | 0600);
	struct { long type; char text[8]; } message = { 1, "message" };
	msgsnd(queue, &message, sizeof message.text, 0);
	semget(0x99, 3, IPC_CREAT | 0600);
}

// Objects in the states that /proc/sysvipc can show beside the usual one.
static void ipc(void)
{
	int i, last = -1, pages = open("/proc/sys/vm/nr_hugepages", O_WRONLY);

	shmctl(shmget(IPC_PRIVATE, 8192, 0640), SHM_LOCK, 0);
	int segment = shmget(0x80005678, 12289, IPC_CREAT | 0604); // a key that is negative
	memset(shmat(segment, 0, 0), 1, 8192);
	shmctl(segment, IPC_RMID, 0); // goes when its last user does
	write(pages, "2", 1);
	close(pages);
	char *huge = shmat(shmget(IPC_PRIVATE, 4 << 20, SHM_HUGETLB | 0600), 0, 0);
	if (huge != (void *)-1)
		*huge = 1;
	for (i = 0; i < 40; i++) { // more than the lowest node of their table holds, and slots that were used before
		int one = semget(IPC_PRIVATE, 1, 0600), two = semget(IPC_PRIVATE, 2, 0600);
		semctl(one, 0, IPC_RMID);
		msgctl(last, IPC_RMID, 0);
		last = msgget(IPC_PRIVATE, 0622);
		(void)two;
	}
	struct shmid_ds owner = { .shm_perm = { .uid = 33, .gid = 33, .mode = 0444 } };
	shmctl(shmget(IPC_PRIVATE, 4096, 0600), IPC_SET, &owner);
	if (!fork()) { // in a namespace of its own, of which it tells itself
		name("job-ipc");
		unshare(CLONE_NEWIPC);
		*(char *)shmat(shmget(0x4321, 20480, IPC_CREAT | 0600), 0, 0) = 1;
		semget(0x4322, 2, IPC_CREAT | 0600);
		system("for file in shm sem msg; do cat /proc/sysvipc/$file > /tmp/sysvipc.$file; done");
		for (;;)
			pause();
	}
}

static int workload(int spin)
{
	pthread_t thread;
	int pipes[2], i;

	signal(SIGUSR1, SIG_IGN);
	sockets();
	memory();
	ipc();
	pthread_mutex_lock(&lock);
	for (i = 0; i < 3; i++)
		pthread_create(&thread, 0, thread_sleep, 0);
	pthread_create(&thread, 0, thread_lock, 0);
	if (spin)
		pthread_create(&thread, 0, thread_spin, 0);
	pipe(pipes);
	if (!fork()) {
		char byte;
		name("job-pipe");
		read(pipes[0], &byte, 1);
	}
	if (!fork()) {
		name("job-parent");
		if (!fork()) {
			name("job-zombie");
			_exit(3);
		}
		for (;;)
			pause();
	}
	if (!fork()) {
		name("job-stopped");
		raise(SIGSTOP);
	}
	if (!fork()) {
		name("job-vfork"); // waits without being interruptible for the child below
		if (!vfork()) {
			pause();
			_exit(0);
		}
	}
	int poll = epoll_create1(0), timer = timerfd_create(CLOCK_MONOTONIC, 0);
	struct itimerspec every = { { 1000, 0 }, { 1000, 0 } };
	struct epoll_event event = { .events = EPOLLIN };
	timerfd_settime(timer, 0, &every, 0);
	epoll_ctl(poll, EPOLL_CTL_ADD, timer, &event);
	eventfd(7, 0);
	for (;;)
		epoll_wait(poll, &event, 1, -1);
}

static int scatter(const char *device)
{
	size_t size = 1 << 20, at;
	int file = open(device, O_RDONLY | O_DIRECT);
	char *buffer = mmap(0, 2 * size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	madvise(buffer, 2 * size, MADV_NOHUGEPAGE);
	for (at = 0; at < 2 * size; at += 8192) // every other page first, so that neighbours
		buffer[at] = 1;
	for (at = 4096; at < 2 * size; at += 8192) // are not neighbours in physical memory
		buffer[at] = 1;
	printf("read %zd bytes\n", read(file, buffer, size));
	return 0;
}

static int symbols(unsigned long step, char **modules)
{
	static const char *const known[] = { "_text", "_stext", "_etext", "_sinittext", "_einittext", "_end", "init_task",
		"init_top_pgt", "linux_banner", "swapper_pg_dir", "panic", "jiffies", "jiffies_64", "modules", "schedule",
		"__switch_to_asm", "ret_from_fork", "ret_from_fork_asm", "entry_SYSCALL_64", "init_uts_ns", "runqueues",
		"__per_cpu_offset", "log_buf", "prb", "page_offset_base", "vmemmap_base", "vmalloc_base", "phys_base" };
	FILE *file = fopen("/proc/kallsyms", "r");
	char line[512], symbol[400], owner[100];
	unsigned long count = 0, core = 0, i;

	while (file && fgets(line, sizeof line, file)) {
		int wanted = count++ % step == 0;
		owner[0] = 0;
		if (sscanf(line, "%*s %*s %399s %99s", symbol, owner) < 1)
			continue;
		if (!owner[0])
			core++;
		for (i = 0; modules[i]; i++)
			wanted |= !strcmp(owner, modules[i]);
		for (i = 0; i < sizeof known / sizeof *known; i++)
			wanted |= !owner[0] && !strcmp(symbol, known[i]);
		if (wanted)
			fputs(line, stdout);
	}
	printf("# %lu symbols, %lu of the kernel\n", count, core);
	return 0;
}

int main(int argc, char **argv)
{
	const char *self = strrchr(argv[0], '/');
	self = self ? self + 1 : argv[0];
	if (!strcmp(self, "workload"))
		return workload(argc > 1);
	if (!strcmp(self, "scatter") && argc > 1)
		return scatter(argv[1]);
	if (!strcmp(self, "symbols") && argc > 2)
		return symbols(strtoul(argv[1], 0, 0), argv + 2);
	return 1;
}
