/* What the node's benchmark does N times: acts ACT N. It is C, so that nothing
 * but the kernel's work is measured. An exec is of this program, static: the
 * cheapest there is, beside which a sensor looks dearest. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void must(int bad, const char *what)
{
	if (bad) {
		perror(what);
		exit(1);
	}
}

static void do_exec(void)
{
	char *argv[] = {"acts", NULL}, *env[] = {NULL};
	int status;
	pid_t pid = vfork();

	must(pid < 0, "vfork");
	if (pid == 0) {
		execve("/proc/self/exe", argv, env);
		_exit(9);
	}
	must(waitpid(pid, &status, 0) != pid || status != 0, "child");
}

static void do_open(void)
{
	int fd = open("/etc/hostname", O_RDONLY | O_CLOEXEC);

	must(fd < 0, "open");
	close(fd);
}

static int listener = -1;
static struct sockaddr_in at = {.sin_family = AF_INET};

/* Both ends are reset, or the ports would run out. */
static void do_connect(void)
{
	struct linger now = {1, 0};
	socklen_t size = sizeof(at);
	int a, b;

	if (listener < 0) {
		at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		listener = socket(AF_INET, SOCK_STREAM, 0);
		must(listener < 0 || bind(listener, (struct sockaddr *)&at, sizeof(at)) || listen(listener, 8) ||
		     getsockname(listener, (struct sockaddr *)&at, &size), "listen");
	}
	a = socket(AF_INET, SOCK_STREAM, 0);
	must(a < 0 || connect(a, (struct sockaddr *)&at, sizeof(at)), "connect");
	b = accept(listener, NULL, NULL);
	must(b < 0, "accept");
	setsockopt(a, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(a);
	close(b);
}

/* What is watched by file system, not by process. */
static void do_create(void)
{
	int fd = open("acts.tmp", O_CREAT | O_EXCL | O_WRONLY, 0600);

	must(fd < 0 || fchmod(fd, 0644) || unlink("acts.tmp"), "create");
	close(fd);
}

static void do_getppid(void) { syscall(SYS_getppid); }

int main(int argc, char **argv)
{
	static const struct { const char *name; void (*act)(void); } acts[] = {
		{"exec", do_exec}, {"open", do_open}, {"connect", do_connect}, {"getppid", do_getppid},
		{"create", do_create},
	};
	if (argc != 3)
		return argc == 1 ? 0 : 3;
	for (unsigned i = 0; i < sizeof(acts) / sizeof(*acts); i++) {
		if (strcmp(acts[i].name, argv[1]))
			continue;
		for (long n = atol(argv[2]); n > 0; n--)
			acts[i].act();
		return 0;
	}
	return 3;
}
