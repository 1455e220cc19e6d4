/* What processes cost: processor time and memory, from /proc.
 *
 * A server is a process and its children. They are looked for once, when the work begins: looking
 * through all of /proc in the middle would cost what is being measured.
 */

#ifndef COST_H
#define COST_H

#include <sys/types.h>

/* 0: no server is watched, and its figures are 0. */
void cost_of_server(pid_t pid);
/* User and system, so far. */
double server_cpu_s(void);
double server_rss_kb(void);
double own_cpu_s(void);

#endif
