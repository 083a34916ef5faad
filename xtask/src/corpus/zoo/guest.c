// The program of the zoo's guest, for what the shell cannot do:
//   zoo ioctl WAY   asks the module by an ioctl
//   zoo eat         eats memory until there is none
//   zoo segv        reads at a null pointer
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <unistd.h>

static int eat(void)
{
	prctl(PR_SET_NAME, "zoo-eater");
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
		return eat();
	if (!strcmp(what, "segv"))
		return *(volatile int *)0x18;
	if (!strcmp(what, "ioctl") && count > 2) {
		int file = open("/proc/zoo", O_WRONLY);
		return ioctl(file, 0x5a00, words[2]) < 0;
	}
	fprintf(stderr, "usage: zoo ioctl WAY | eat | segv\n");
	return 2;
}
