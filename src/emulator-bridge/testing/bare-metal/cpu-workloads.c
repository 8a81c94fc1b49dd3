/* Workloads that keep state in one part of the CPU. */
#include "pc.h"

/* Sets the control word once; 1/3 in single precision comes first, and the rest shows every rounding and precision. */
void x87_rounding(void)
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

void x87_stack(void)
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

void sse_control(void)
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

void lazy_flags(void)
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
void segment_caches(void)
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

void strings_backwards(void)
{
    u8 *from = (u8 *)0x120000, *to = (u8 *)0x130000;
    for (u32 at = 0; at < 0x400; at += 4) *(u32 *)(from + at) = at * 0x01030507;
    /* The direction stays set all the time, and C code after this uses no string instruction. */
    __asm__ volatile("std");
    for (u32 size = 3;; size = size * 5 % 0xff) {
        u32 source = (u32)from + 0x3f0, target = (u32)to + 0x3f0, count = size;
        __asm__ volatile("rep movsb; movl $64, %%ecx; rep movsl" : "+S"(source), "+D"(target), "+c"(count)::"memory");
        result(source);
        result(target);
        u32 place = (u32)to + 0x3f0, found = 0x200;
        __asm__ volatile("repne scasb" : "+D"(place), "+c"(found) : "a"(size & 0xff) : "cc", "memory");
        result(found);
        u32 flags;
        __asm__ volatile("pushfl; popl %0" : "=r"(flags));
        result(flags);
    }
}

void paging(void)
{
    u32 *directory = (u32 *)0x140000, *other = (u32 *)0x141000, *table = (u32 *)0x142000;
    directory[0] = other[0] = 0x83;
    directory[1] = 0x142003;
    other[1] = 0x143003;
    for (u32 page = 0; page < 64; page++) {
        table[page] = (0x150000 + page % 16 * 0x1000) | 3;
        table[1024 + page] = (0x160000 + page % 8 * 0x1000) | (page % 3 ? 3 : 1);
    }
    __asm__ volatile("movl %%cr4, %%eax; orl $0x10, %%eax; movl %%eax, %%cr4; movl %0, %%cr3; movl %%cr0, %%eax; orl $0x80010000, %%eax; movl %%eax, %%cr0" ::"r"(directory) : "eax");
    handler = skip_three_bytes;
    for (u32 turn = 0;; turn++) {
        const u32 address = 0x400000 + turn * 0x1234 % 0x3e000;
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
        if (turn % 11 == 10) { table[turn % 64] ^= 0x2000; __asm__ volatile("invlpg (%0)" ::"r"(0x400000 + turn % 64 * 4096) : "memory"); }
    }
}

/* Tables of page directories (PAE), which the CPU keeps four entries of. */
void long_page_tables(void)
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

void registers_and_counters(void)
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
void user_mode(void)
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
void changing_code(void)
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

void media_instructions(void)
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
