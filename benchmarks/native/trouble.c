/* Say what is wrong and end: a benchmark that goes on after a fault measures nothing. */

#include "trouble.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void trouble(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(1);
}
