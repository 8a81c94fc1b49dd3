/*
 * Work for a PC without any software: each function runs for ever and leaves in memory what it computed. Each keeps
 * state in one part of the CPU or of one device over many instructions, so that a move falls into the middle of it.
 */
#include "pc.h"

/* Written by the test into the image: which workload, and its parameter. */
__attribute__((section(".chosen"))) volatile u32 chosen[4] = {0, 0, 0, 0};
#define PARAMETER chosen[1]

volatile u32 interrupts[48];
void (*handler)(struct frame *frame);
static u64 idt[48];
extern u8 entries[];

void end_of_interrupt(u32 number)
{
    if (number >= 40) out8(0xa0, 0x20);
    out8(0x20, 0x20);
}

void on_interrupt(struct frame *frame)
{
    interrupts[frame->number]++;
    if (handler) handler(frame);
    else if (frame->number >= 32) end_of_interrupt(frame->number);
}

void start_interrupts(u16 mask)
{
    out8(0x20, 0x11); out8(0xa0, 0x11);
    out8(0x21, 32); out8(0xa1, 40);
    out8(0x21, 4); out8(0xa1, 2);
    out8(0x21, 1); out8(0xa1, 1);
    out8(0x21, mask & 0xff); out8(0xa1, mask >> 8);
    __asm__ volatile("sti");
}

/* Sets the control word once; 1/3 in single precision comes first, and the rest shows every rounding and precision. */
static void x87_rounding(void)
{
    const u16 word = PARAMETER;
    const float numbers[] = {3, 5, 7, -7, -2.5f};
    __asm__ volatile("fldcw %0" ::"m"(word));
    for (;;) {
        float single;
        __asm__ volatile("fld1; fdivs %1; fstps %0" : "=m"(single) : "m"(numbers[0]));
        result(*(u32 *)&single);
        for (u32 at = 0; at < 4; at++) {
            u32 extended[3];
            __asm__ volatile("fld1; fdivs %1; fstpt %0" : "=m"(extended) : "m"(numbers[at]));
            result(extended[0]);
            result(extended[1]);
        }
        u32 whole;
        __asm__ volatile("flds %1; fistpl %0" : "=m"(whole) : "m"(numbers[4]));
        result(whole);
    }
}

static void x87_stack(void)
{
    u32 value = 1;
    __asm__ volatile("fninit; fld1; fldpi; fldl2e; fldz; ffree %st(2)");
    for (;;) {
        u16 status;
        u8 environment[28];
        __asm__ volatile("fildl %1; fmul %%st(1), %%st; fxam; fnstsw %0" : "=m"(status) : "m"(value));
        result(status);
        __asm__ volatile("fxch %%st(3); fprem; fcom %%st(1); fnstsw %0; fnstenv %1; fldenv %1" : "=m"(status), "=m"(environment));
        result(status);
        result(*(u32 *)(environment + 8));
        __asm__ volatile("fstp %st(2); fincstp; fdecstp");
        value = value * 1664525 + 1013904223;
    }
}

static void sse_control(void)
{
    u32 control = PARAMETER;
    const float ones[4] __attribute__((aligned(16))) = {1, -1, 2.5f, 1e-40f};
    const float threes[4] __attribute__((aligned(16))) = {3, 3, 7, 3};
    __asm__ volatile("ldmxcsr %0; movaps %1, %%xmm5; movaps %2, %%xmm6" ::"m"(control), "m"(ones), "m"(threes));
    for (;;) {
        u32 whole, now;
        u32 quotients[4];
        __asm__ volatile("movaps %%xmm5, %%xmm0; divps %%xmm6, %%xmm0; movups %%xmm0, %0" : "=m"(quotients));
        result(quotients[0]);
        result(quotients[3]);
        __asm__ volatile("cvtss2si %%xmm5, %0" : "=r"(whole));
        result(whole);
        __asm__ volatile("shufps $0x39, %xmm5, %xmm5; addps %xmm6, %xmm7; rcpps %xmm7, %xmm4");
        __asm__ volatile("stmxcsr %0" : "=m"(now));
        result(now);
    }
}

/* Sets flags, and reads them some instructions later. */
#define FLAGS_OF(operation, left, right)                                                                           \
    do {                                                                                                            \
        u32 value = left, flags;                                                                                    \
        __asm__ volatile(operation "; nop; adcl $0, %0; pushfl; popl %1"                           \
                         : "+r"(value), "=&r"(flags) : "ir"(right) : "cc");                                         \
        result(value);                                                                                              \
        result(flags);                                                                                              \
    } while (0)

static void lazy_flags(void)
{
    for (u32 seed = 12345;;) {
        seed = seed * 1664525 + 1013904223;
        const u32 other = seed >> 7;
        FLAGS_OF("addl %2, %0", seed, other);
        FLAGS_OF("subl %2, %0", other, seed);
        FLAGS_OF("xorl %2, %0", seed, other);
        FLAGS_OF("negl %0", other, seed);
        FLAGS_OF("shll $3, %0", seed, other);
        FLAGS_OF("imull %2, %0", seed, other);
        FLAGS_OF("incl %0", 0x7fffffff, other);
        FLAGS_OF("rcrl $1, %0", seed, other);
        FLAGS_OF("bsfl %2, %0", seed, other);
        FLAGS_OF("stc; cmc; std; cld; decl %0", seed, other);
    }
}

static void skip_three_bytes(struct frame *frame)
{
    frame->eip += 3;
}

/* Segment registers that hold what their descriptors said when they were loaded; the descriptors change afterwards. */
static void segment_caches(void)
{
    u32 *area = (u32 *)0x120000;
    for (u32 word = 0; word < 1024; word++) area[word] = word * 0x01010101;
    gdt[3] = descriptor(0x120000, 0x7f, 0x92, 0x40);
    gdt[4] = descriptor(0x120400, 0xff, 0x92, 0x00);
    /* Expands down: valid are the offsets above the limit. */
    gdt[5] = descriptor(0x120000, 0x3ff, 0x96, 0x40);
    handler = skip_three_bytes;
    __asm__ volatile("movw %w0, %%fs; movw %w1, %%gs; movw %w2, %%es" ::"r"(24), "r"(32), "r"(40));
    gdt[3] = gdt[4] = gdt[5] = 0;
    for (u32 at = 0;; at = (at + 44) % 0x600) {
        u32 value = 0xdead;
        /* Each access has three bytes, which its exception skips. */
        __asm__ volatile("movl %%fs:(%%ecx), %%eax" : "+a"(value) : "c"(at));
        result(value);
        __asm__ volatile("movl %%gs:(%%ecx), %%eax" : "+a"(value) : "c"(at));
        result(value);
        __asm__ volatile("movl %%es:(%%ecx), %%eax" : "+a"(value) : "c"(at));
        result(value);
        result(interrupts[13]);
        __asm__ volatile("movl %%eax, %%fs:(%%ecx)" ::"a"(value ^ at), "c"(at & 0x7c));
    }
}

static void strings_backwards(void)
{
    u8 *from = (u8 *)0x120000, *to = (u8 *)0x130000;
    for (u32 at = 0; at < 0x8000; at++) from[at] = at * 7 ^ at >> 8;
    /* The direction stays set all the time, and C code after this uses no string instruction. */
    __asm__ volatile("std");
    for (u32 size = 3;; size = size * 5 % 0x1fff) {
        u32 source = (u32)from + 0x7ff0, target = (u32)to + 0x7ff0, count = size;
        __asm__ volatile("rep movsb; movl $64, %%ecx; rep movsl" : "+S"(source), "+D"(target), "+c"(count)::"memory");
        result(source);
        result(target);
        u32 place = (u32)to + 0x7ff0, found = 0x800;
        __asm__ volatile("repne scasb" : "+D"(place), "+c"(found) : "a"(size & 0xff) : "cc", "memory");
        result(found);
        u32 flags;
        __asm__ volatile("pushfl; popl %0" : "=r"(flags));
        result(flags);
    }
}

static void timer_interrupts(void)
{
    /* 55 times a second, binary, mode 2; counter 2 runs freely in mode 0. */
    out8(0x43, 0x34); out8(0x40, 0xcd); out8(0x40, 0x54);
    out8(0x43, 0xb0); out8(0x42, 0xff); out8(0x42, 0xff);
    start_interrupts(0xfffe);
    for (;;) {
        out8(0x43, 0x00);
        const u8 low = in8(0x40);
        /* The latch has given one of its two bytes here. */
        result(low | in8(0x40) << 8);
        out8(0x43, 0x80);
        const u8 other = in8(0x42);
        result(other | in8(0x42) << 8);
        result(in8(0x61) & 0x20);
        result(interrupts[32]);
    }
}

static void slow_end_of_interrupt(struct frame *frame)
{
    const u32 number = frame->number;
    if (number < 32) return;
    /* In service for a while, and with the in-service register selected for reading. */
    out8(0x20, 0x0b);
    result(in8(0x20));
    if (number == 32 && interrupts[32] % 3 == 0) {
        /* Another one may come in between. */
        out8(0x20, 0x60);
        __asm__ volatile("sti; nop; cli" ::: "memory");
    } else end_of_interrupt(number);
    out8(0x20, 0x0a);
    result(in8(0x20));
}

static void interrupt_controller(void)
{
    handler = slow_end_of_interrupt;
    out8(0x43, 0x34); out8(0x40, 0x00); out8(0x40, 0x40);
    out8(0x70, 0x0a); out8(0x71, 0x2d);
    out8(0x70, 0x0b); out8(0x71, 0x42);
    start_interrupts(0xfefa);
    for (u32 turn = 0;; turn++) {
        out8(0x21, turn & 1 ? 0xfa : 0xfb);
        result(in8(0x21));
        out8(0x70, 0x0c);
        result(in8(0x71));
        if (turn % 64 == 63) {
            /* A new initialisation of the second controller, word by word. */
            __asm__ volatile("cli");
            out8(0xa0, 0x11); out8(0xa1, 40); out8(0xa1, 2); out8(0xa1, 1); out8(0xa1, 0xfe);
            __asm__ volatile("sti");
        }
        result(interrupts[32] << 16 | interrupts[40]);
    }
}

static void read_clock(struct frame *frame)
{
    if (frame->number == 40) {
        out8(0x70, 0x0c);
        result(in8(0x71));
    }
    if (frame->number >= 32) end_of_interrupt(frame->number);
}

static void real_time_clock(void)
{
    handler = read_clock;
    out8(0x70, 0x0a); out8(0x71, 0x2c);
    out8(0x70, 0x0b); out8(0x71, 0x52);
    out8(0x70, 0x0e); out8(0x71, 0x5a);
    start_interrupts(0xfefb);
    for (;;) {
        static const u8 registers[] = {0, 2, 4, 7, 8, 9, 0x0b, 0x0d, 0x0e, 0x32};
        for (u32 index = 0; index < sizeof registers; index++) {
            __asm__ volatile("cli");
            out8(0x70, registers[index]);
            result(in8(0x71));
            __asm__ volatile("sti");
        }
        result(interrupts[40]);
    }
}

static void read_controller(struct frame *frame)
{
    if (frame->number == 33 || frame->number == 44) {
        const u8 status = in8(0x64);
        result(status << 8 | in8(0x60));
    }
    if (frame->number >= 32) end_of_interrupt(frame->number);
}

static void to_mouse(u8 byte)
{
    out8(0x64, 0xd4);
    out8(0x60, byte);

}

/* The test presses keys and moves the mouse meanwhile. */
static void keyboard_and_mouse(void)
{
    handler = read_controller;
    out8(0x64, 0xa8); out8(0x64, 0x60); out8(0x60, 0x47);
    start_interrupts(0xeff9);
    to_mouse(0xf4);
    for (u32 turn = 0;; turn++) {
        if (turn % 32 == 5) { to_mouse(0xf3); to_mouse(40 + turn % 100); }
        if (turn % 32 == 15) { to_mouse(0xe8); to_mouse(turn & 3); }
        if (turn % 32 == 20) { out8(0x60, 0xed); out8(0x60, turn & 7); }
        if (turn % 32 == 25) { out8(0x64, 0x20); result(in8(0x60)); }
        if (turn % 32 == 28) to_mouse(0xe9);
        result(interrupts[33] << 16 | interrupts[44]);
    }
}

static void serve_line(struct frame *frame)
{
    if (frame->number == 36) {
        for (u32 cause; ((cause = in8(0x3fa)) & 1) == 0;) {
            result(cause);
            if ((cause & 6) == 4 || (cause & 12) == 12) {
                /* One byte of those that wait. */
                result(in8(0x3f8) | in8(0x3fd) << 8);
                break;
            }
            if ((cause & 6) == 2) { out8(0x3f8, 'a' + interrupts[36] % 26); break; }
            in8(0x3fe);
        }
    }
    if (frame->number >= 32) end_of_interrupt(frame->number);
}

/* The test types meanwhile. */
static void serial_line(void)
{
    handler = serve_line;
    out8(0x3fb, 0x83); out8(0x3f8, 3); out8(0x3f9, 0); out8(0x3fb, 3);
    out8(0x3fa, 7); out8(0x3fc, 0x0b); out8(0x3f9, 7);
    start_interrupts(0xffef);
    for (u32 turn = 0;; turn++) {
        result(in8(0x3fd));
        if (turn % 16 == 3) { out8(0x3fb, 0x83); result(in8(0x3f8)); out8(0x3fb, 3); }
        if (turn % 16 == 9) { out8(0x3ff, turn); result(in8(0x3ff)); }
        /* Without interrupts for a while, while bytes arrive. */
        if (turn % 16 == 12) { out8(0x3f9, 0); out8(0x3f9, 7); }
        result(interrupts[36]);
    }
}

static void text_and_registers(void)
{
    volatile u16 *text = (u16 *)0xb8000;
    out8(0x3c2, 0x67);
    for (u32 turn = 0;; turn++) {
        text[turn % 2000] = turn;
        /* The attribute controller takes index and value by turns. */
        in8(0x3da);
        out8(0x3c0, turn % 16);
        out8(0x3c0, turn & 0x3f);
        /* A colour is three bytes. */
        out8(0x3c8, turn & 0xff);
        out8(0x3c9, turn & 63);
        out8(0x3c9, 63 - (turn & 63));
        out8(0x3c9, turn >> 2 & 63);
        out8(0x3c7, turn & 0xff);
        result(in8(0x3c9));
        result(in8(0x3c9));
        out8(0x3d4, 0x0e); out8(0x3d5, turn >> 8);
        out8(0x3d4, 0x0f);
        out8(0x3d5, turn);
        result(in8(0x3d5));
        out8(0x3ce, turn % 9);
        result(in8(0x3cf));
        out8(0x3c4, 2); out8(0x3c5, 15);
    }
}

static void planes_and_modes(void)
{
    volatile u8 *planes = (u8 *)0xa0000;
    /* Bochs' extension: its version, a virtual width and offsets into it. */
    out16(0x1ce, 0); out16(0x1cf, 0xb0c4);
    out16(0x1ce, 1); out16(0x1cf, 320); out16(0x1ce, 2); out16(0x1cf, 200); out16(0x1ce, 3); out16(0x1cf, 8);
    out16(0x1ce, 4); out16(0x1cf, 0x41);
    out16(0x1ce, 8); out16(0x1cf, 16); out16(0x1ce, 9); out16(0x1cf, 8);
    for (u32 turn = 0;; turn++) {
        for (u32 index = 0; index < 10; index++) {
            out16(0x1ce, index);
            result(in16(0x1cf));
        }
        /* Writes by way of the latches of the four planes. */
        out8(0x3c4, 4); out8(0x3c5, 6); out8(0x3ce, 5); out8(0x3cf, 1); out8(0x3ce, 6); out8(0x3cf, 5);
        planes[turn & 0xfff] = turn;
        const u8 latch = planes[turn & 0xfff];
        planes[turn + 1 & 0xfff] = latch;
        out16(0x1ce, 5); out16(0x1cf, turn % 3);
    }
}

static void wait_for_disk(void)
{
    u32 status;
    while ((status = in8(0x1f7)) & 0x80)
    result(status);
}

static void disk_commands(void)
{
    out8(0x3f6, 2);
    for (u32 turn = 0;; turn++) {
        const u32 count = turn % 4 + 1;
        out8(0x1f6, 0xe0); out8(0x1f2, count); out8(0x1f3, turn * 4); out8(0x1f4, 0); out8(0x1f5, 0);
        const u8 command = turn % 3 == 2 ? 0x30 : turn % 5 == 4 ? 0xec : 0x20;
        out8(0x1f7, command);
        wait_for_disk();
        const u32 words = command == 0xec ? 256 : count * 256;
        for (u32 word = 0; word < words; word++) {
            if (command == 0x30) out16(0x1f0, word * turn);
            else if (word % 16 == 0) result(in16(0x1f0));
            else in16(0x1f0);
            if (word % 64 == 63)
            if (word % 256 == 255) wait_for_disk();
        }
        result(in8(0x1f2) | in8(0x1f3) << 8 | in8(0x1f4) << 16 | in8(0x1f1) << 24);
    }
}

/* Asks the CD drive, which is empty, why it failed; the answer is kept in the drive. */
static void disc_drive(void)
{
    out8(0x376, 2);
    for (u32 turn = 0;; turn++) {
        static const u8 packets[2][12] = {{0x28, 0, 0, 0, 0, 16, 0, 0, 1}, {0x03, 0, 0, 0, 18}};
        const u8 *packet = packets[turn & 1];
        out8(0x176, 0xa0); out8(0x171, 0); out8(0x174, 18); out8(0x175, 0); out8(0x177, 0xa0);
        result(in8(0x177));
        for (u32 at = 0; at < 12; at += 2) { out16(0x170, packet[at] | packet[at + 1] << 8); }
        const u8 status = in8(0x177);
        result(status << 8 | in8(0x171));
        if (status & 8) for (u32 word = 0; word < 9; word++) result(in16(0x170));
    }
}

static void paging(void)
{
    u32 *directory = (u32 *)0x140000, *other = (u32 *)0x141000, *table = (u32 *)0x142000;
    directory[0] = other[0] = 0x83;
    directory[1] = 0x142003;
    other[1] = 0x143003;
    for (u32 page = 0; page < 1024; page++) {
        table[page] = (0x150000 + page % 16 * 0x1000) | 3;
        table[1024 + page] = (0x160000 + page % 8 * 0x1000) | (page % 3 ? 3 : 1);
    }
    __asm__ volatile("movl %%cr4, %%eax; orl $0x10, %%eax; movl %%eax, %%cr4; movl %0, %%cr3; movl %%cr0, %%eax; orl $0x80010000, %%eax; movl %%eax, %%cr0" ::"r"(directory) : "eax");
    handler = skip_three_bytes;
    for (u32 turn = 0;; turn++) {
        const u32 address = 0x400000 + turn * 0x1234 % 0x3fe000;
        u32 value = 0xdead;
        __asm__ volatile("movl 0(%%ecx), %%eax; .byte 0x8d, 0x76, 0x00" : "+a"(value) : "c"(address));
        result(value);
        __asm__ volatile(".byte 0x89, 0x41, 0x00" ::"a"(turn), "c"(address) : "memory");
        u32 fault;
        __asm__ volatile("movl %%cr2, %0" : "=r"(fault));
        result(fault);
        result(table[address >> 12 & 1023]);
        result(interrupts[14]);
        if (turn % 7 == 6) __asm__ volatile("movl %0, %%cr3" ::"r"(turn & 8 ? directory : other) : "memory");
        if (turn % 11 == 10) { table[turn % 1024] ^= 0x2000; __asm__ volatile("invlpg (%0)" ::"r"(0x400000 + turn % 1024 * 4096) : "memory"); }
    }
}

/* Tables of page directories (PAE), which the CPU keeps four entries of. */
static void long_page_tables(void)
{
    volatile u64 *pointers = (u64 *)0x140000, *directory = (u64 *)0x141000;
    for (u32 entry = 0; entry < 4; entry++) pointers[entry] = 0x141001;
    directory[0] = 0x83;
    for (u32 entry = 1; entry < 512; entry++) directory[entry] = 0x83;
    __asm__ volatile("movl %%cr4, %%eax; orl $0x30, %%eax; movl %%eax, %%cr4; movl %0, %%cr3; movl %%cr0, %%eax; orl $0x80000000, %%eax; movl %%eax, %%cr0" ::"r"(pointers) : "eax");
    /* What is kept stays valid when memory says otherwise. */
    for (u32 entry = 0; entry < 4; entry++) pointers[entry] = 0;
    for (u32 turn = 0;; turn++) {
        volatile u32 *place = (u32 *)(turn * 0x40200000 + 0x120000 + (turn & 0xff) * 4);
        *place += turn;
        result(*place);
        result(*(u32 *)(0x120000 + (turn & 0xff) * 4));
    }
}

static void registers_and_counters(void)
{
    u32 low, high;
    __asm__ volatile("movl %0, %%dr0; movl %1, %%dr3; movl %2, %%dr7" ::"r"(0x12345678), "r"(0x9abcdef0), "r"(0x400));
    for (u32 msr = 0x174; msr < 0x177; msr++) __asm__ volatile("wrmsr" ::"c"(msr), "a"(msr * 0x10001), "d"(0));
    for (;;) {
        u32 value;
        __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
        result(low);
        result(high);
        for (u32 msr = 0x174; msr < 0x177; msr++) { __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr)); result(low); }
        __asm__ volatile("movl %%dr0, %0" : "=r"(value)); result(value);
        __asm__ volatile("movl %%dr3, %0" : "=r"(value)); result(value);
        __asm__ volatile("movl %%dr7, %0" : "=r"(value)); result(value);
        __asm__ volatile("smsw %0" : "=r"(value)); result(value);
        __asm__ volatile("movl %%cr4, %0" : "=r"(value)); result(value);
    }
}

static u32 task_state[26];

static void from_user(struct frame *frame)
{
    if (frame->number == 40 + 7) { result(frame->eax); result(frame->cs); result(frame->eflags); }
}

/* A program without privileges that calls a gate: the stack comes from the task state each time. */
static void user_mode(void)
{
    handler = from_user;
    gdt[3] = descriptor(0, 0xfffff, 0xfa, 0xc0);
    gdt[4] = descriptor(0, 0xfffff, 0xf2, 0xc0);
    gdt[5] = descriptor((u32)task_state, sizeof task_state - 1, 0x89, 0);
    task_state[1] = 0x88000;
    task_state[2] = 16;
    idt[47] |= (u64)3 << 45;
    __asm__ volatile("ltr %w0" ::"r"(40));
    gdt[5] = 0;
    __asm__ volatile(
        "pushl $0x23; pushl $0x98000; pushfl; pushl $0x1b; pushl $1f; iret\n"
        "1: movw $0x23, %%cx; movw %%cx, %%ds; movl $0, %%eax\n"
        "2: incl %%eax; pushl %%eax; addl %%esp, %%ebx; popl %%edx; int $47; jmp 2b" ::: "memory");
}

/* Functions in memory that are written anew all the time. */
static void changing_code(void)
{
    u8 *code = (u8 *)0x120000;
    for (u32 turn = 0;; turn++) {
        u8 *function = code + turn % 5 * 0x400;
        function[0] = 0xb8;
        *(u32 *)(function + 1) = turn;
        function[5] = 0x05;
        *(u32 *)(function + 6) = 3;
        /* Loops, so that it is worth compiling: dec %ecx; jnz. */
        function[10] = 0xb9;
        *(u32 *)(function + 11) = PARAMETER;
        static const u8 body[] = {0x01, 0xc8, 0xd1, 0xc0, 0x49, 0x75, 0xf9, 0xc3};
        for (u32 at = 0; at < sizeof body; at++) function[15 + at] = body[at];
        for (u32 call = 0; call < 4; call++) {
            u32 value;
            __asm__ volatile("call *%1" : "=a"(value) : "r"(function) : "ecx", "cc", "memory");
            result(value);
            *(u32 *)(function + 6) += call + turn;
        }
    }
}

/* A sound card's and a firmware's little state: bytes written and not yet understood, answers not yet read. */
static void small_devices(void)
{
    out8(0x226, 1); out8(0x226, 0);
    for (u32 turn = 0;; turn++) {
        /* Firmware configuration: an answer of several bytes. */
        out16(0x510, 3);
        for (u32 at = 0; at < 8; at++) { result(in8(0x511)); }
        out8(0x92, turn & 0xfe);
        result(in8(0x92));
        /* Sound: a command of three bytes, one that answers, and the mixer. */
        out8(0x22c, 0xe0); out8(0x22c, turn);
        result(in8(0x22e));
        result(in8(0x22a));
        out8(0x22c, 0xe1);
        result(in8(0x22a));
        result(in8(0x22a));
        out8(0x22c, 0x48); out8(0x22c, turn); out8(0x22c, turn >> 8);
        out8(0x224, 0x22); out8(0x225, turn); result(in8(0x225));
        /* Its MIDI part answers 0xfe. */
        out8(0x331, 0xff); result(in8(0x331)); result(in8(0x330));
        out8(0x388, 0x20 + turn % 16); out8(0x389, turn);
        /* VMware's mouse: enabled, it has its identity to tell. */
        u32 answer, command = 41;
        __asm__ volatile("inl %%dx, %%eax" : "=a"(answer), "+c"(command) : "a"(0x564d5868), "b"(0x45414552), "d"(0x5658));
        command = 40;
        __asm__ volatile("inl %%dx, %%eax" : "=a"(answer), "+c"(command) : "a"(0x564d5868), "b"(0), "d"(0x5658));
        result(answer);
        /* DMA controller: addresses are written in two bytes. */
        out8(0x0c, 0); out8(0x04, turn); out8(0x04, turn >> 8); result(in8(0x04)); result(in8(0x04));
        out32(0xcf8, 0x80000800 | turn % 16 * 4); result(in32(0xcfc)); result(in32(0xcf8));
        /* Parallel port and floppy controller. */
        out8(0x378, turn); result(in8(0x378)); out8(0x3f2, 0x0c); out8(0x3f5, 0x10); result(in8(0x3f4)); result(in8(0x3f5));
    }
}

static void media_instructions(void)
{
    u64 seed = 0x0123456789abcdefULL;
    __asm__ volatile("emms; movq %0, %%mm0; movq %0, %%mm3; pcmpeqw %%mm5, %%mm5" ::"m"(seed));
    for (u32 turn = 0;; turn++) {
        u32 value;
        __asm__ volatile("movd %1, %%mm1; paddusw %%mm1, %%mm0; psrlq $3, %%mm3; pxor %%mm0, %%mm3; movd %%mm3, %0" : "=r"(value) : "r"(turn * 77));
        result(value);
        u8 environment[28];
        if (turn % 9 == 8) {
            __asm__ volatile("emms; fildl %1; fnstenv %0; fldenv %0; fstp %%st(0)" : "=m"(environment) : "m"(turn));
            result(*(u32 *)(environment + 8));
        }
    }
}

static void (*const workloads[])(void) = {
    x87_rounding, x87_stack, sse_control, lazy_flags, segment_caches, strings_backwards, timer_interrupts,
    interrupt_controller, real_time_clock, keyboard_and_mouse, serial_line, text_and_registers, planes_and_modes,
    disk_commands, disc_drive, paging, long_page_tables, registers_and_counters, user_mode, changing_code,
    small_devices, media_instructions,
};

void begin(void)
{
    for (u32 number = 0; number < 48; number++) {
        const u32 entry = (u32)entries + number * 16;
        idt[number] = (entry & 0xffff) | (u64)8 << 16 | (u64)0x8e00 << 32 | (u64)(entry >> 16) << 48;
    }
    struct { u16 limit; u32 base; } __attribute__((packed)) pointer = {sizeof idt - 1, (u32)idt};
    __asm__ volatile("lidt %0" ::"m"(pointer));
    workloads[chosen[0]]();
}
