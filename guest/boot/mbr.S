# Boot sector: loads the 32 sectors from LOADER_SECTOR on (the loader, its table, boot parameters and command line; the
# layout is drawn in image/boot-area.ts) to 0x8000 and jumps there. The BIOS hands over the drive number in %dl.
.code16
.globl _start
_start:
    cli
    xorw %ax, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movw $0x7c00, %sp
    sti
    cld
    pushw %dx
    movw $packet, %si
    movb $0x42, %ah
    int $0x13
    jc fail
    popw %dx
    ljmp $0, $0x8000
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

message: .asciz "TabMotion: the loader cannot be read from the disk"

.balign 4
packet:
    .byte 16, 0
    .word 32            # sectors
    .word 0x8000, 0     # offset, segment
    .long LOADER_SECTOR, 0
