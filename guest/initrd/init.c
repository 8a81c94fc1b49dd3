/*
 * Process 1 of the initrd: loads the modules that the disk needs, in the order of /modules.list, mounts the disk
 * and hands over to the real init. Nothing here outlives the hand-over; the files free their memory first.
 */
#include "../programs/guest.h"

#define ROOT_DEVICE "/dev/sda"
/* The disk is probed in the background; it appears within a few milliseconds. */
#define DISK_WAIT_NS 10000000000ull
#define POLL_NS 2000000ull

static char list[4096];
static struct line line;

static void fail(const char *what, i32 error) {
    put_text(&line, "initrd: ");
    put_text(&line, what);
    put_text(&line, ": error ");
    put_number(&line, (u32)-error);
    end_line(&line);
    for (;;) sleep_until_ns(now_ns() + 3600000000000ull);
}

static void load_modules(void) {
    i32 file = syscall3(SYS_open, (u32)"/modules.list", 0, 0);
    i32 bytes = syscall3(SYS_read, (u32)file, (u32)list, sizeof list - 1);
    if (bytes < 0) fail("/modules.list", bytes);
    syscall3(SYS_close, (u32)file, 0, 0);
    syscall3(SYS_unlink, (u32)"/modules.list", 0, 0);
    for (char *name = list; *name;) {
        char *end = name;
        while (*end && *end != '\n') end++;
        char *next = *end ? end + 1 : end;
        *end = 0;
        i32 module = syscall3(SYS_open, (u32)name, 0, 0);
        i32 result = module < 0 ? module : syscall3(SYS_finit_module, (u32)module, (u32)"", 0);
        if (result < 0 && result != -17 /* EEXIST */) fail(name, result);
        syscall3(SYS_close, (u32)module, 0, 0);
        syscall3(SYS_unlink, (u32)name, 0, 0);
        name = next;
    }
}

static i32 run(i32 count, char **arguments) {
    (void)count;
    i32 result = syscall6(SYS_mount, (u32)"dev", (u32)"/dev", (u32)"devtmpfs", 0, (u32)"mode=0755", 0);
    if (result < 0) fail("/dev", result);
    load_modules();
    syscall3(SYS_unlink, (u32)"/init", 0, 0);

    u64 give_up = now_ns() + DISK_WAIT_NS;
    while ((result = syscall6(SYS_mount, (u32)ROOT_DEVICE, (u32)"/root", (u32)"ext4", 1024 /* MS_NOATIME */, (u32)"", 0)) < 0) {
        if (now_ns() > give_up) fail(ROOT_DEVICE, result);
        sleep_until_ns(now_ns() + POLL_NS);
    }
    if ((result = syscall6(SYS_mount, (u32)"/dev", (u32)"/root/dev", 0, 8192 /* MS_MOVE */, 0, 0)) < 0) fail("moving /dev", result);
    syscall3(SYS_chdir, (u32)"/root", 0, 0);
    if ((result = syscall6(SYS_mount, (u32)".", (u32)"/", 0, 8192, 0, 0)) < 0) fail("moving /", result);
    syscall3(SYS_chroot, (u32)".", 0, 0);
    syscall3(SYS_chdir, (u32)"/", 0, 0);

    static char *environment[] = {"HOME=/root", "TERM=linux", "PATH=/sbin:/bin:/usr/sbin:/usr/bin", 0};
    arguments[0] = "/sbin/init";
    result = syscall3(SYS_execve, (u32)"/sbin/init", (u32)arguments, (u32)environment);
    fail("/sbin/init", result);
    return 1;
}
