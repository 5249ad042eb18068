/*
 * cgi-server PORT WORKERS SCRIPT: answers each request by running SCRIPT in a process of its own, with
 * what stands behind "?" in QUERY_STRING and the connection as its output. So many at a time, as a
 * web server bounds its processes; whoever else connects waits.
 */
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

/* Reads up to the empty line; leaves the query in `query`. 0 where there is no whole request. */
static int read_request(int connection, char *query, size_t query_bytes)
{
	char head[4096];
	size_t count = 0;
	while (count < sizeof head - 1) {
		ssize_t got = read(connection, head + count, sizeof head - 1 - count);
		if (got <= 0) return 0;
		count += got;
		head[count] = 0;
		if (strstr(head, "\r\n\r\n")) break;
	}
	char *from = strchr(head, '?');
	if (from == NULL) return 0;
	from += 1;
	size_t length = strcspn(from, " \r\n");
	if (length >= query_bytes) return 0;
	memcpy(query, from, length);
	query[length] = 0;
	return 1;
}

static void work(int listener, const char *script)
{
	for (;;) {
		int connection = accept(listener, NULL, NULL);
		if (connection < 0) continue;
		/* A client that went away must not keep its worker. */
		struct timeval patience = {.tv_sec = 10};
		setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
		setsockopt(connection, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
		char query[256];
		if (read_request(connection, query, sizeof query)) {
			dprintf(connection, "HTTP/1.0 200 OK\r\n");
			pid_t child = fork();
			if (child == 0) {
				setenv("QUERY_STRING", query, 1);
				dup2(connection, 1);
				close(connection);
				close(listener);
				execl(script, script, (char *)NULL);
				_exit(127);
			}
			if (child > 0) waitpid(child, NULL, 0);
		}
		close(connection);
	}
}

int main(int count, char **words)
{
	if (count != 4) return 2;
	signal(SIGPIPE, SIG_IGN);
	int listener = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
	struct sockaddr_in place = {.sin_family = AF_INET, .sin_port = htons(atoi(words[1]))};
	if (bind(listener, (struct sockaddr *)&place, sizeof place) != 0) return 1;
	if (listen(listener, 512) != 0) return 1;
	for (int worker = 0; worker < atoi(words[2]); worker++)
		if (fork() == 0) work(listener, words[3]);
	while (wait(NULL) > 0) continue;
	return 1;
}
