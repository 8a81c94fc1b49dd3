/*
 * What init starts on the console and on the screen: a greeting, and then the login shell, but not before the machine has
 * its random seed. A shell that ran earlier would have the snapshot's address layout and stack canary, the same in every
 * copy (AGENT.md).
 */
#include "../programs/guest.h"
#include "unseeded.h"

#define GREETING "/etc/motd"

static void greet(void) {
    static char text[4096];
    i32 file = syscall3(SYS_open, (u32)GREETING, 0, 0);
    if (file < 0) return;
    i32 bytes = syscall3(SYS_read, (u32)file, (u32)text, sizeof text);
    if (bytes > 0) syscall3(SYS_write, 1, (u32)text, (u32)bytes);
    syscall3(SYS_close, (u32)file, 0, 0);
}

static i32 run(i32 count, char **arguments) {
    greet();
    /* Returns once the agent has opened the pipe for writing, and at once if it is gone. */
    i32 pipe;
    while ((pipe = syscall3(SYS_open, (u32)UNSEEDED, 0, 0)) == -4 /* EINTR */) continue;
    if (pipe >= 0) syscall3(SYS_close, (u32)pipe, 0, 0);
    static const char *shell[] = {"-sh", 0};
    return syscall3(SYS_execve, (u32)"/bin/sh", (u32)shell, (u32)(arguments + count + 1));
}
