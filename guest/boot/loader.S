# The loader, real-mode half: reads the packed kernel and initrd to high memory with the BIOS, asks for the memory map,
# switches to protected mode and hands over to unpack() (unpack.c) and then to the kernel (32-bit boot protocol).
# Addresses of the table at 0xb400 and of the boot parameters at 0xa000: image/boot-area.ts.

.set BOOT_PARAMS,      0xa000
.set SCREEN_ROW,       0xa001
.set SCREEN_COLUMN,    0xa000
.set E820_COUNT,       0xa1e8
.set E820_TABLE,       0xa2d0
.set E820_MAX,         128
.set TABLE_FIRST_SECTOR, 0xb404
.set TABLE_SECTORS,    0xb408
.set TABLE_PACKED,     0xb40c
.set TABLE_ENTRY,      0xb410
.set BOUNCE_SEGMENT,   0x2000
.set BOUNCE_ADDRESS,   0x20000
.set CHUNK_SECTORS,    64

.section .start, "ax"
.code16
.globl _start
_start:
    movb %dl, drive
    movl TABLE_FIRST_SECTOR, %eax
    movl %eax, packet_sector
    movl TABLE_PACKED, %ebp          # where the next chunk goes
    movl TABLE_SECTORS, %edi         # sectors left

read:
    testl %edi, %edi
    jz memory_map
    movl $CHUNK_SECTORS, %ecx
    cmpl %ecx, %edi
    jae 1f
    movl %edi, %ecx
1:  movw %cx, packet_count
    pushl %ecx
    movw $packet, %si
    movb drive, %dl
    movb $0x42, %ah
    int $0x13
    jc fail
    popl %ecx

    # BIOS block move (int 15h, ah=87h) from the bounce buffer to high memory.
    movl %ebp, %eax
    movw %ax, to_low
    shrl $16, %eax
    movb %al, to_middle
    movb %ah, to_high
    pushl %ecx
    shll $8, %ecx                    # 256 words a sector
    movw $moves, %si
    movb $0x87, %ah
    int $0x15
    jc fail
    popl %ecx

    addl %ecx, packet_sector
    subl %ecx, %edi
    shll $9, %ecx
    addl %ecx, %ebp
    jmp read

memory_map:
    xorl %ebx, %ebx
    movw $E820_TABLE, %di
    xorw %bp, %bp
1:  movl $0xe820, %eax
    movl $0x534d4150, %edx           # "SMAP"
    movl $20, %ecx
    int $0x15
    jc 2f
    cmpl $0x534d4150, %eax
    jne 2f
    incw %bp
    addw $20, %di
    cmpw $E820_MAX, %bp
    jae 2f
    testl %ebx, %ebx
    jnz 1b
2:  movw %bp, %ax
    movb %al, E820_COUNT

    movb $3, %ah                     # cursor position
    xorw %bx, %bx
    int $0x10
    movb %dl, SCREEN_COLUMN
    movb %dh, SCREEN_ROW

    cli
    lgdtl gdt_pointer
    movl %cr0, %eax
    orl $1, %eax
    movl %eax, %cr0
    ljmpl $0x10, $protected

fail:
    movw $message, %si
1:  lodsb
    testb %al, %al
    jz 2f
    movw $0x0007, %bx
    movb $0x0e, %ah
    int $0x10
    jmp 1b
2:  hlt
    jmp 2b

.code32
protected:
    movw $0x18, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %fs
    movw %ax, %gs
    movw %ax, %ss
    movl $0x7c00, %esp
    cld
    call unpack
    movl $BOOT_PARAMS, %esi
    xorl %ebp, %ebp
    xorl %edi, %edi
    xorl %ebx, %ebx
    jmp *TABLE_ENTRY

message: .asciz "TabMotion: the kernel cannot be read from the disk"
drive:   .byte 0

.balign 4
packet:
    .byte 16, 0
packet_count:
    .word 0
    .word 0, BOUNCE_SEGMENT
packet_sector:
    .long 0, 0

.balign 8
moves:                               # null, own, source, target, code, stack
    .quad 0, 0
    .word 0xffff, BOUNCE_ADDRESS & 0xffff
    .byte BOUNCE_ADDRESS >> 16, 0x93, 0, 0
    .word 0xffff
to_low:    .word 0
to_middle: .byte 0
    .byte 0x93, 0
to_high:   .byte 0
    .quad 0, 0

.balign 8
gdt:
    .quad 0, 0
    .quad 0x00cf9b000000ffff         # 0x10: flat code, as the boot protocol wants it
    .quad 0x00cf93000000ffff         # 0x18: flat data
gdt_pointer:
    .word . - gdt - 1
    .long gdt
