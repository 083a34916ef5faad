// Tracers of the corpus guest, by bare system calls:
//   tracers fexit FUNCTION..  a BPF program behind each function: the function is called by a BPF trampoline
//   tracers sleeper           a BPF program that waits for user memory that nobody provides
//   tracers dying             a BPF program that asks for its task's name, where a probe can be that dies
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/btf.h>
#include <linux/userfaultfd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef BPF_PROG_TYPE_SYSCALL
#define BPF_PROG_TYPE_SYSCALL 31
#endif
#define COPY_FROM_USER 148
#define GET_CURRENT_COMM 16

static int bpf(int command, union bpf_attr *attr) { return syscall(SYS_bpf, command, attr, sizeof *attr); }

static int load(int type, int attach, int btf_id, int flags, const struct bpf_insn *insns, int count)
{
	static char log[65536];
	union bpf_attr attr = { .prog_type = type, .insns = (long)insns, .insn_cnt = count, .license = (long)"GPL",
		.log_buf = (long)log, .log_size = sizeof log, .log_level = 1, .prog_flags = flags,
		.expected_attach_type = attach, .attach_btf_id = btf_id };
	strcpy(attr.prog_name, "corpus");
	int fd = bpf(BPF_PROG_LOAD, &attr);
	if (fd < 0)
		perror("bpf"), fputs(log, stderr);
	return fd;
}

static int with_data(int kind)
{
	return kind == BTF_KIND_INT || kind == BTF_KIND_VAR || kind == 17 /* decl tag */ ? 4 : 0;
}

// the number of a function in the kernel's types
static int function(const char *name)
{
	static char *blob;
	static long size;
	if (!blob) {
		int file = open("/sys/kernel/btf/vmlinux", O_RDONLY);
		blob = malloc(16 << 20);
		for (long got; (got = read(file, blob + size, (16 << 20) - size)) > 0;)
			size += got;
	}
	struct btf_header *head = (void *)blob;
	char *at = blob + head->hdr_len + head->type_off, *end = at + head->type_len;
	char *names = blob + head->hdr_len + head->str_off;
	for (int id = 1; at < end; id++) {
		struct btf_type *type = (void *)at;
		int kind = BTF_INFO_KIND(type->info), count = type->info & 0xffff;
		if (kind == BTF_KIND_FUNC && !strcmp(names + type->name_off, name))
			return id;
		at += sizeof *type + with_data(kind);
		switch (kind) {
		case BTF_KIND_ARRAY: case BTF_KIND_STRUCT: case BTF_KIND_UNION: case BTF_KIND_DATASEC: case 19:
			at += 12 * (kind == BTF_KIND_ARRAY ? 1 : count);
			break;
		case BTF_KIND_ENUM: case BTF_KIND_FUNC_PROTO:
			at += 8 * count;
		}
	}
	return 0;
}

static int fexit(char **names)
{
	const struct bpf_insn code[] = {
		{ BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_ktime_get_ns },
		{ BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 0 },
		{ BPF_JMP | BPF_EXIT },
	};
	for (; *names; names++) {
		int id = function(*names);
		int fd = load(BPF_PROG_TYPE_TRACING, BPF_TRACE_FEXIT, id, 0, code, sizeof code / sizeof *code);
		union bpf_attr attr = { .raw_tracepoint = { .prog_fd = fd } };
		printf("fexit %s: type %d, link %d\n", *names, id, bpf(BPF_RAW_TRACEPOINT_OPEN, &attr));
	}
	fflush(stdout);
	prctl(PR_SET_NAME, "fexit");
	for (;;)
		sleep(100000);
}

static int run(const char *name, const struct bpf_insn *code, int count)
{
	union bpf_attr attr = {};
	attr.test.prog_fd = load(BPF_PROG_TYPE_SYSCALL, 0, 0, BPF_F_SLEEPABLE, code, count);
	prctl(PR_SET_NAME, name);
	if (bpf(BPF_PROG_TEST_RUN, &attr))
		perror("run");
	return 1;
}

static int dying(void)
{
	const struct bpf_insn code[] = {
		{ BPF_ALU64 | BPF_MOV | BPF_X, 1, 10 },
		{ BPF_ALU64 | BPF_ADD | BPF_K, 1, 0, 0, -16 },
		{ BPF_ALU64 | BPF_MOV | BPF_K, 2, 0, 0, 16 },
		{ BPF_JMP | BPF_CALL, 0, 0, 0, GET_CURRENT_COMM },
		{ BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 0 },
		{ BPF_JMP | BPF_EXIT },
	};
	return run("bpf-dying", code, sizeof code / sizeof *code);
}

static int sleeper(void)
{
	int uffd = syscall(SYS_userfaultfd, O_CLOEXEC);
	struct uffdio_api api = { .api = UFFD_API };
	char *page = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct uffdio_register all = { { (long)page, 4096 }, UFFDIO_REGISTER_MODE_MISSING };
	if (ioctl(uffd, UFFDIO_API, &api) || ioctl(uffd, UFFDIO_REGISTER, &all))
		perror("userfaultfd");
	const struct bpf_insn code[] = {
		{ BPF_ALU64 | BPF_MOV | BPF_X, 1, 10 },
		{ BPF_ALU64 | BPF_ADD | BPF_K, 1, 0, 0, -8 },
		{ BPF_ALU64 | BPF_MOV | BPF_K, 2, 0, 0, 8 },
		{ BPF_LD | BPF_DW | BPF_IMM, 3, 0, 0, (int)(long)page },
		{ 0, 0, 0, 0, (int)((long)page >> 32) },
		{ BPF_JMP | BPF_CALL, 0, 0, 0, COPY_FROM_USER },
		{ BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 0 },
		{ BPF_JMP | BPF_EXIT },
	};
	return run("bpf-sleeper", code, sizeof code / sizeof *code);
}

int main(int argc, char **argv)
{
	struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };
	setrlimit(RLIMIT_MEMLOCK, &all);
	if (argc > 2 && !strcmp(argv[1], "fexit"))
		return fexit(argv + 2);
	if (argc > 1 && !strcmp(argv[1], "dying"))
		return dying();
	return argc > 1 && !strcmp(argv[1], "sleeper") ? sleeper() : 1;
}
