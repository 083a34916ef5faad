// The program of the zoo's guest, for what the shell cannot do:
//   zoo ioctl WAY   asks the module by an ioctl
//   zoo eat         eats memory until there is none
//   zoo share       eats a few megabytes and keeps them
//   zoo locked      eats memory and locks it
//   zoo segv        reads at a null pointer
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

static int eat(const char *name)
{
	prctl(PR_SET_NAME, name);
	for (;;) {
		char *piece = malloc(1 << 20);
		if (!piece)
			return 1;
		memset(piece, 0x5a, 1 << 20);
	}
}

int main(int count, char **words)
{
	const char *what = count > 1 ? words[1] : "";

	if (!strcmp(what, "eat"))
		return eat("zoo-eater");
	if (!strcmp(what, "locked")) {
		mlockall(MCL_CURRENT | MCL_FUTURE);
		return eat("zoo-locker");
	}
	if (!strcmp(what, "share")) {
		prctl(PR_SET_NAME, "zoo-sharer");
		char *piece = malloc(4 << 20);
		memset(piece, 0x5a, 4 << 20);
		pause();
	}
	if (!strcmp(what, "segv"))
		return *(volatile int *)0x18;
	if (!strcmp(what, "ioctl") && count > 2) {
		int file = open("/proc/zoo", O_WRONLY);
		return ioctl(file, 0x5a00, words[2]) < 0;
	}
	fprintf(stderr, "usage: zoo ioctl WAY | eat | share | locked | segv\n");
	return 2;
}
