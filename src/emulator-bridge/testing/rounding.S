/*
 * A static Linux program that sets the x87 control word once and then divides 1 by 3 for ever. After each 50,000
 * divisions it prints "right", or "wrong" if one of them gave another result than the first. The number of its
 * arguments chooses the word.
 */
    .text
    .globl _start
_start:
    movl (%esp), %eax
    fldcw words-2(,%eax,2)
    fld1
    fdivs three
    fstpt first
turn:
    movl $50000, %ecx
    xorl %esi, %esi
division:
    fld1
    fdivs three
    fstpt now
    movl now, %eax
    xorl first, %eax
    orl %eax, %esi
    movl now+4, %eax
    xorl first+4, %eax
    orl %eax, %esi
    decl %ecx
    jnz division
    movl $right, %ecx
    testl %esi, %esi
    jz print
    movl $wrong, %ecx
print:
    movl $4, %eax
    movl $1, %ebx
    movl $6, %edx
    int $0x80
    jmp turn
    .data
/* Downward, upward; to nearest with 53 and with 24 bits. */
words:
    .word 0x77f, 0xb7f, 0x27f, 0x07f
three:
    .float 3
right:
    .ascii "right\n"
wrong:
    .ascii "wrong\n"
    .bss
    .lcomm first, 12
    .lcomm now, 12
