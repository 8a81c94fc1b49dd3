/*
 * What our programs need from Linux on i386, without a C library: system calls by int 0x80, printing, number parsing,
 * clocks. Included once per program; everything is static.
 */
#ifndef GUEST_H
#define GUEST_H

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef int i32;
typedef unsigned long long u64;
typedef long long i64;

#define PAGE_BYTES 4096u
#define WORDS_PER_PAGE (PAGE_BYTES / 4)

enum {
    SYS_exit = 1, SYS_fork = 2, SYS_read = 3, SYS_write = 4, SYS_open = 5, SYS_close = 6, SYS_waitpid = 7,
    SYS_unlink = 10, SYS_execve = 11, SYS_chdir = 12, SYS_mount = 21, SYS_sync = 36, SYS_kill = 37, SYS_dup2 = 63,
    SYS_setsid = 66, SYS_sethostname = 74, SYS_ioctl = 54, SYS_chroot = 61, SYS_signal = 48, SYS_fsync = 118,
    SYS_uname = 122, SYS_poll = 168, SYS_mmap2 = 192, SYS_clock_gettime64 = 403, SYS_clock_settime64 = 404,
    SYS_clock_nanosleep64 = 407, SYS_finit_module = 350, SYS_socket = 359, SYS_rename = 38
};

static inline i32 syscall6(i32 number, u32 a, u32 b, u32 c, u32 d, u32 e, u32 f) {
    i32 result;
    /* The sixth argument goes in %ebp, which the compiler may use to address operands: saved around the call. */
    u32 last[2] = {(u32)number, f};
    __asm__ volatile(
        "pushl %%ebp\n\t movl 4(%%eax), %%ebp\n\t movl (%%eax), %%eax\n\t int $0x80\n\t popl %%ebp"
        : "=a"(result)
        : "a"(last), "b"(a), "c"(b), "d"(c), "S"(d), "D"(e)
        : "memory");
    return result;
}

static inline i32 syscall4(i32 number, u32 a, u32 b, u32 c, u32 d) {
    i32 result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c), "S"(d) : "memory");
    return result;
}

static inline i32 syscall3(i32 number, u32 a, u32 b, u32 c) { return syscall4(number, a, b, c, 0); }

static inline void exit_with(i32 status) {
    for (;;) syscall3(SYS_exit, (u32)status, 0, 0);
}

/* gcc calls these for structure copies, whatever the flags. */
void *memcpy(void *to, const void *from, u32 bytes) {
    void *result = to;
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(bytes) : : "memory");
    return result;
}

void *memset(void *to, int value, u32 bytes) {
    void *result = to;
    __asm__ volatile("rep stosb" : "+D"(to), "+c"(bytes) : "a"(value) : "memory");
    return result;
}

static inline u32 text_length(const char *text) {
    u32 length = 0;
    while (text[length]) length++;
    return length;
}

static inline i32 same_text(const char *left, const char *right) {
    while (*left && *left == *right) left++, right++;
    return *left == *right;
}

/* ---- division: 64 by 32 bits without libgcc ---- */

static inline u64 divide(u64 value, u32 by, u32 *rest) {
    u32 high = (u32)(value >> 32), low = (u32)value, quotient_high = high / by, remainder = high % by, quotient_low;
    __asm__("divl %4" : "=a"(quotient_low), "=d"(remainder) : "0"(low), "1"(remainder), "rm"(by));
    if (rest) *rest = remainder;
    return (u64)quotient_high << 32 | quotient_low;
}

/* ---- output: one line is one write, so that lines of two programs never mix ---- */

struct line {
    u32 used;
    char text[512];
};

static inline void put_text(struct line *line, const char *text) {
    while (*text && line->used < sizeof line->text) line->text[line->used++] = *text++;
}

static inline void put_number(struct line *line, u64 value) {
    char digits[20];
    u32 count = 0;
    do {
        u32 digit;
        value = divide(value, 10, &digit);
        digits[count++] = (char)('0' + digit);
    } while (value);
    while (count && line->used < sizeof line->text) line->text[line->used++] = digits[--count];
}

static inline void put_signed(struct line *line, i64 value) {
    if (value < 0) {
        put_text(line, "-");
        value = -value;
    }
    put_number(line, (u64)value);
}

static inline void put_hex(struct line *line, u32 value) {
    char digit[2] = {0, 0};
    for (i32 shift = 28; shift >= 0; shift -= 4) {
        digit[0] = "0123456789abcdef"[value >> shift & 15];
        put_text(line, digit);
    }
}

/* Writes all of it; ends the program when nobody reads any more. */
static inline void write_all(i32 file, const void *bytes, u32 count) {
    const u8 *from = bytes;
    while (count) {
        i32 written = syscall3(SYS_write, (u32)file, (u32)from, count);
        if (written == -4 /* EINTR */ || written == -11 /* EAGAIN */) continue;
        if (written <= 0) exit_with(1);
        from += written;
        count -= (u32)written;
    }
}

static inline void put_out(i32 file, struct line *line) {
    write_all(file, line->text, line->used);
    line->used = 0;
}

static inline void end_line(struct line *line) {
    put_text(line, "\n");
    put_out(1, line);
}

/* Prints a sentence to standard error; the status to end with. */
static inline i32 refuse(const char *sentence) {
    write_all(2, sentence, text_length(sentence));
    return 2;
}

/* Decimal digits only; returns 0 (false) for anything else or above `limit`. */
static inline i32 parse_number(const char *text, u32 limit, u32 *value) {
    u64 sum = 0;
    if (!*text) return 0;
    for (; *text; text++) {
        if (*text < '0' || *text > '9') return 0;
        sum = sum * 10 + (u32)(*text - '0');
        if (sum > limit) return 0;
    }
    *value = (u32)sum;
    return 1;
}

/* ---- time ---- */

enum { CLOCK_REALTIME = 0, CLOCK_MONOTONIC = 1, TIMER_ABSTIME = 1 };

struct timespec64 {
    i64 seconds;
    i32 nanoseconds;
    i32 padding;
};

static inline u64 clock_ns(i32 clock) {
    struct timespec64 now = {0, 0, 0};
    syscall3(SYS_clock_gettime64, (u32)clock, (u32)&now, 0);
    return (u64)now.seconds * 1000000000u + (u32)now.nanoseconds;
}

static inline u64 now_ns(void) { return clock_ns(CLOCK_MONOTONIC); }

static inline struct timespec64 to_timespec(u64 ns) {
    u32 rest;
    struct timespec64 time = {0, 0, 0};
    time.seconds = (i64)divide(ns, 1000000000u, &rest);
    time.nanoseconds = (i32)rest;
    return time;
}

/* Sleeps until the monotonic clock shows `deadline`; returns at once if it has passed. */
static inline void sleep_until_ns(u64 deadline) {
    struct timespec64 time = to_timespec(deadline);
    while (syscall4(SYS_clock_nanosleep64, CLOCK_MONOTONIC, TIMER_ABSTIME, (u32)&time, 0) == -4) continue;
}

/* ---- memory ---- */

/* Anonymous zeroed memory; NULL when there is none. */
static inline void *allocate(u32 bytes) {
    i32 address = syscall6(SYS_mmap2, 0, bytes, 3 /* read, write */, 0x22 /* private, anonymous */, (u32)-1, 0);
    return (u32)address > 0xfffff000u ? (void *)0 : (void *)address;
}

/* ---- entry ---- */

static i32 run(i32 count, char **arguments);

__attribute__((used, noreturn)) static void begin(u32 *stack) {
    exit_with(run((i32)stack[0], (char **)(stack + 1)));
    __builtin_unreachable();
}

__asm__(".globl _start\n_start:\n\t xorl %ebp, %ebp\n\t movl %esp, %eax\n\t andl $-16, %esp\n\t subl $12, %esp\n\t pushl %eax\n\t call begin\n");

#endif
