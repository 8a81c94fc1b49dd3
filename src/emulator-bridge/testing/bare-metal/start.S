/*
 * The first instructions of a PC whose BIOS is one of our workloads: from the reset vector to protected mode with flat
 * segments, and on to begin() of main.c. No firmware, no kernel: what runs is what is written here.
 */
    .section .reset, "ax"
    .code16
    /* link.ld puts .start first. */
    ljmp $0xf000, $0

    .section .start, "ax"
real_mode:
    cli
    lgdtl %cs:(gdt_pointer - real_mode)
    movl %cr0, %eax
    orl $1, %eax
    movl %eax, %cr0
    ljmpl $8, $protected_mode
    .code32
protected_mode:
    movw $16, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %fs
    movw %ax, %gs
    movw %ax, %ss
    movl $0x90000, %esp
    /* CR4.OSFXSR, so that SSE works; CR0.EM off. */
    movl %cr4, %eax
    orl $0x200, %eax
    movl %eax, %cr4
    fninit
    call begin
halt:
    cli
    hlt
    jmp halt

    .balign 8
    /* Writable, and in memory: the workloads add and change descriptors. */
    .globl gdt
gdt:
    .quad 0
    .quad 0x00cf9a000000ffff
    .quad 0x00cf92000000ffff
    .quad 0, 0, 0, 0, 0
gdt_pointer:
    .word . - gdt - 1
    .long gdt

/* Exceptions and interrupts enter here with their number; on_interrupt() of main.c decides. */
    .balign 16
    .globl entries
entries:
    .set number, 0
    .rept 48
    .balign 16
    /* These exceptions push a code by themselves. */
    .if (number != 8) && (number != 17) && ((number < 10) || (number > 14))
    pushl $0
    .endif
    pushl $number
    jmp entered
    .set number, number + 1
    .endr
entered:
    pusha
    pushl %esp
    call on_interrupt
    addl $4, %esp
    popa
    addl $8, %esp
    iret
