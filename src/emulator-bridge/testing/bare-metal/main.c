/*
 * Work for a PC without any software: each function runs for ever and leaves in memory what it computed. Each keeps
 * state in one part of the CPU or of one device over many instructions, so that a move falls into the middle of it.
 */
#include "pc.h"

/* Written by the test into the image: which workload, and its parameter. */
__attribute__((section(".chosen"))) volatile u32 chosen[4] = {0, 0, 0, 0};

volatile u32 interrupts[48];
void (*handler)(struct frame *frame);
u64 idt[48];
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

void x87_rounding(void), x87_stack(void), sse_control(void), lazy_flags(void), segment_caches(void),
    strings_backwards(void), timer_interrupts(void), interrupt_controller(void), real_time_clock(void),
    keyboard_and_mouse(void), serial_line(void), text_and_registers(void), planes_and_modes(void),
    disk_commands(void), disc_drive(void), paging(void), long_page_tables(void), registers_and_counters(void),
    user_mode(void), changing_code(void), small_devices(void), media_instructions(void);
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
