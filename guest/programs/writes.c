/*
 * writes KIND: writes memory in ways that a write tracker could miss; the tracker's test compares every page afterwards.
 *   ports     port input by string instructions (rep ins) into memory never touched before
 *   pio       disk reads by programmed I/O (ATA pass-through) into memory never touched before
 *   crossing  stores of every size across page boundaries
 *   code      code that is written, run and rewritten, in and across pages
 *   bios      stores to the BIOS at the top of the address space, where a PC has read-only memory
 * Prints "writes KIND: " and what it saw, and keeps its memory until Enter is pressed.
 */
#include "guest.h"

enum { SYS_lseek = 19, SYS_iopl = 110, SG_IO = 0x2285, O_RDWR = 2, MAP_SHARED = 1 };

static struct line line;

static void report(const char *kind, const char *what, u32 number) {
    put_text(&line, "writes ");
    put_text(&line, kind);
    put_text(&line, ": ");
    put_text(&line, what);
    put_number(&line, number);
    end_line(&line);
    u8 key;
    syscall3(SYS_read, 0, (u32)&key, 1);
}

/* No device answers at this port: it reads as all ones. */
#define EMPTY_PORT 0x0f00
#define PORT_BYTES (1u << 20)

static i32 ports(void) {
    if (syscall3(SYS_iopl, 3, 0, 0) < 0) return refuse("writes: port I/O is for root\n");
    u8 *buffer = allocate(3 * PORT_BYTES + PAGE_BYTES);
    if (!buffer) return refuse("writes: there is not so much memory\n");
    /* Off by one, so that some elements lie across a page boundary. */
    void *to = buffer + 1;
    u32 count = PORT_BYTES;
    __asm__ volatile("rep insb" : "+D"(to), "+c"(count) : "d"(EMPTY_PORT) : "memory");
    count = PORT_BYTES / 2;
    __asm__ volatile("rep insw" : "+D"(to), "+c"(count) : "d"(EMPTY_PORT) : "memory");
    count = PORT_BYTES / 4;
    __asm__ volatile("rep insl" : "+D"(to), "+c"(count) : "d"(EMPTY_PORT) : "memory");
    u32 wrong = 0;
    for (u32 i = 1; i <= 3 * PORT_BYTES; i++) wrong += buffer[i] != 0xff;
    report("ports", "wrong bytes=", wrong);
    return 0;
}

/* linux/include/uapi/scsi/sg.h */
struct sg_io_header {
    i32 interface_id, direction;
    u8 command_bytes, sense_limit;
    u16 scatter_count;
    u32 data_bytes;
    void *data;
    u8 *command, *sense;
    u32 timeout_ms, flags;
    i32 pack_id;
    void *user;
    u8 status, masked_status, message_status, sense_bytes;
    u16 host_status, driver_status;
    i32 residual;
    u32 duration, info;
};

#define PIO_SECTORS 128u
#define PIO_READS 32u
/* Spread over the disk's first 32 MiB: its very beginning has little but zeros. */
#define PIO_STRIDE 2048u

static i32 pio(void) {
    i32 disk = syscall3(SYS_open, (u32)"/dev/sda", 0, 0);
    u8 *buffer = allocate(PIO_READS * PIO_SECTORS * 512);
    if (disk < 0 || !buffer) return refuse("writes: no disk or no memory\n");
    static u8 sense[32], expected[PIO_SECTORS * 512];
    u32 wrong = 0;
    for (u32 i = 0; i < PIO_READS; i++) {
        u32 sector = i * PIO_STRIDE;
        /* ATA PASS-THROUGH (16), protocol 4 = PIO data-in, length in the sector count; READ SECTORS */
        u8 command[16] = {0x85, 4 << 1, 0x0e, 0, 0, 0, (u8)PIO_SECTORS, 0, (u8)sector, 0, (u8)(sector >> 8), 0, (u8)(sector >> 16), 0x40, 0x20, 0};
        struct sg_io_header header = {'S', -3, sizeof command, sizeof sense, 0, PIO_SECTORS * 512, buffer + i * PIO_SECTORS * 512, command, sense, 10000, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
        i32 result = syscall3(SYS_ioctl, (u32)disk, SG_IO, (u32)&header);
        if (result < 0 || header.status || header.host_status || header.residual) wrong++;
        syscall3(SYS_lseek, (u32)disk, sector * 512, 0);
        if (syscall3(SYS_read, (u32)disk, (u32)expected, sizeof expected) != sizeof expected) wrong++;
        u32 same = 1;
        for (u32 at = 0; at < sizeof expected; at++) same &= expected[at] == buffer[i * PIO_SECTORS * 512 + at];
        wrong += !same;
    }
    report("pio", "wrong reads=", wrong);
    return 0;
}

#define CROSSINGS 512u

static i32 crossing(void) {
    u8 *buffer = allocate((CROSSINGS + 1) * PAGE_BYTES);
    if (!buffer) return refuse("writes: there is not so much memory\n");
    for (u32 i = 1; i < CROSSINGS; i++) {
        u8 *edge = buffer + i * PAGE_BYTES;
        switch (i % 8) {
            case 0: __asm__ volatile("movw %1, %0" : "=m"(*(u16 *)(edge - 1)) : "r"((u16)0xa5a5)); break;
            case 1: __asm__ volatile("movl %1, %0" : "=m"(*(u32 *)(edge - 3)) : "r"(0xa5a5a5a5)); break;
            case 2: __asm__ volatile("lock xaddl %1, %0" : "+m"(*(u32 *)(edge - 2)) : "r"(0xa5a5a5a5)); break;
            case 3: __asm__ volatile("fld1\n\t fstpl %0" : "=m"(*(u64 *)(edge - 1)) : : "st"); break;
            case 4: __asm__ volatile("fldpi\n\t fstpt %0" : "=m"(*(u64 *)(edge - 5)) : : "st", "memory"); break;
            case 5: __asm__ volatile("pcmpeqd %%xmm0, %%xmm0\n\t movups %%xmm0, %0" : "=m"(*(u64 *)(edge - 9)) : : "memory"); break;
            case 6: {
                void *to = edge - 7;
                u32 count = 5;
                __asm__ volatile("rep stosl" : "+D"(to), "+c"(count) : "a"(0xa5a5a5a5) : "memory");
                break;
            }
            default: {
                u32 *stack = (u32 *)(edge + 2);
                __asm__ volatile("movl %%esp, %%ecx\n\t movl %0, %%esp\n\t pushl $0x5a5a5a5a\n\t movl %%ecx, %%esp" : : "r"(stack) : "ecx", "memory");
            }
        }
    }
    u32 written = 0;
    for (u32 i = 0; i < (CROSSINGS + 1) * PAGE_BYTES; i++) written += buffer[i] != 0;
    report("crossing", "bytes written=", written);
    return 0;
}

#define CODE_PAGES 16u
#define REWRITES 20000u

static i32 code(void) {
    i32 address = syscall6(SYS_mmap2, 0, (CODE_PAGES + 1) * PAGE_BYTES, 7 /* read, write, execute */, 0x22, (u32)-1, 0);
    if ((u32)address > 0xfffff000u) return refuse("writes: there is not so much memory\n");
    u32 wrong = 0;
    for (u32 i = 0; i < REWRITES; i++) {
        /* mov $i, %eax; ret: six bytes, every fourth time across a page boundary. */
        u8 *at = (u8 *)address + (i / 64 % CODE_PAGES + 1) * PAGE_BYTES - (i % 4 ? 64 * (i % 16 + 1) : 3);
        at[0] = 0xb8;
        *(u32 *)(at + 1) = i;
        at[5] = 0xc3;
        u32 result;
        __asm__ volatile("call *%1" : "=a"(result) : "r"(at) : "ecx", "edx", "memory");
        wrong += result != i;
    }
    report("code", "wrong results=", wrong);
    return 0;
}

/* The last 64 KiB below 4 GiB, counted in pages. */
#define BIOS_PAGE 0xffff0u
#define BIOS_BYTES 0x10000u

static i32 bios(void) {
    i32 memory = syscall3(SYS_open, (u32)"/dev/mem", O_RDWR, 0);
    if (memory < 0) return refuse("writes: /dev/mem cannot be opened\n");
    i32 address = syscall6(SYS_mmap2, 0, BIOS_BYTES, 3, MAP_SHARED, (u32)memory, BIOS_PAGE);
    if ((u32)address > 0xfffff000u) return refuse("writes: the BIOS cannot be mapped\n");
    volatile u8 *rom = (volatile u8 *)address;
    u32 changed = 0;
    for (u32 i = 0; i < BIOS_BYTES; i += 256) {
        u8 before = rom[i];
        rom[i] = (u8)~before;
        changed += rom[i] != before;
    }
    report("bios", "bytes changed=", changed);
    return 0;
}

static i32 run(i32 count, char **arguments) {
    if (count == 2) {
        if (same_text(arguments[1], "ports")) return ports();
        if (same_text(arguments[1], "pio")) return pio();
        if (same_text(arguments[1], "crossing")) return crossing();
        if (same_text(arguments[1], "code")) return code();
        if (same_text(arguments[1], "bios")) return bios();
    }
    return refuse("usage: writes ports|pio|crossing|code|bios\n");
}
