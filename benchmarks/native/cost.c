/* Processor time and memory of the server and of ourselves; see cost.h. */

#include "cost.h"

#include <ctype.h>
#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "trouble.h"

#define PROCESSES_MAX 64
#define SCANS_MAX 4 /* as deep as children of children are followed */

static pid_t processes[PROCESSES_MAX];
static size_t process_count;

/* /proc/PID/stat from its third field on: after the name, which may hold anything. */
static bool read_stat(pid_t pid, char text[1024], char **fields)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return false;
    size_t size = fread(text, 1, 1023, file);
    fclose(file);
    text[size] = '\0';
    char *name_end = strrchr(text, ')');
    *fields = name_end != NULL ? name_end + 2 : NULL;
    return name_end != NULL;
}

static bool is_watched(pid_t pid)
{
    for (size_t i = 0; i < process_count; i++)
        if (processes[i] == pid)
            return true;
    return false;
}

static void watch_children(void)
{
    DIR *folder = opendir("/proc");
    struct dirent *entry;
    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        char text[1024], *fields, state;
        int parent;
        pid_t pid = isdigit((unsigned char)entry->d_name[0]) ? atoi(entry->d_name) : 0;
        if (pid == 0 || is_watched(pid) || !read_stat(pid, text, &fields))
            continue;
        if (sscanf(fields, "%c %d", &state, &parent) == 2 && is_watched(parent) &&
            process_count < PROCESSES_MAX)
            processes[process_count++] = pid;
    }
    if (folder != NULL)
        closedir(folder);
}

void cost_of_server(pid_t pid)
{
    process_count = 0;
    if (pid == 0)
        return;
    processes[process_count++] = pid;
    for (int scan = 0; scan < SCANS_MAX; scan++)
        watch_children();
}

static double cpu_s_of(pid_t pid)
{
    char text[1024], *fields;
    unsigned long user, system;
    if (!read_stat(pid, text, &fields))
        trouble("the server (process %d) has gone", (int)pid);
    if (sscanf(fields, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2)
        trouble("/proc/%d/stat is not as expected", (int)pid);
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

double server_cpu_s(void)
{
    double sum = 0;
    for (size_t i = 0; i < process_count; i++)
        sum += cpu_s_of(processes[i]);
    return sum;
}

double server_rss_kb(void)
{
    double sum = 0;
    for (size_t i = 0; i < process_count; i++) {
        char path[64];
        unsigned long total, resident = 0;
        snprintf(path, sizeof path, "/proc/%d/statm", (int)processes[i]);
        FILE *file = fopen(path, "r");
        if (file != NULL && fscanf(file, "%lu %lu", &total, &resident) == 2)
            sum += (double)resident * (double)sysconf(_SC_PAGESIZE) / 1024;
        if (file != NULL)
            fclose(file);
    }
    return sum;
}

double own_cpu_s(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}
