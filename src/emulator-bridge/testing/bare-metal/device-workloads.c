/* Workloads that keep state in one device. */
#include "pc.h"

void timer_interrupts(void)
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

void interrupt_controller(void)
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

void real_time_clock(void)
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
void keyboard_and_mouse(void)
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
void serial_line(void)
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

void text_and_registers(void)
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

void planes_and_modes(void)
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

void disk_commands(void)
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
void disc_drive(void)
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

/* A sound card's and a firmware's little state: bytes written and not yet understood, answers not yet read. */
void small_devices(void)
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
