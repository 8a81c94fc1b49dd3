/* The loader, protected-mode half: unpacks the LZ4 blocks that loader.S read. Freestanding, no interrupts, flat memory. */
typedef unsigned char u8;
typedef unsigned int u32;

/* One packed block; the table (image/boot-area.ts) holds two: kernel and initrd. */
struct block {
    const u8 *packed;
    u32 packed_bytes;
    u8 *to;
    u32 bytes;
    /* Zeroed behind the block (the kernel's bss): a reboot leaves old data there. */
    u32 zeroed_bytes;
};

#define BLOCKS ((const struct block *)0xb420)
#define BLOCK_COUNT 2

static inline void copy_forward(u8 *to, const u8 *from, u32 bytes) {
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(bytes) : : "memory");
}

static u32 extend(u32 length, const u8 **from) {
    u32 byte;
    if (length != 15) return length;
    do {
        byte = *(*from)++;
        length += byte;
    } while (byte == 255);
    return length;
}

static void unpack_block(const struct block *block) {
    const u8 *from = block->packed;
    const u8 *end = from + block->packed_bytes;
    u8 *to = block->to;

    for (;;) {
        u32 token = *from++;
        u32 literals = extend(token >> 4, &from);
        copy_forward(to, from, literals);
        to += literals;
        from += literals;
        if (from >= end) break;
        u32 distance = from[0] | from[1] << 8;
        from += 2;
        u32 match = extend(token & 15, &from) + 4;
        copy_forward(to, to - distance, match);
        to += match;
    }
    u32 zeroed = block->zeroed_bytes;
    __asm__ volatile("rep stosb" : "+D"(to), "+c"(zeroed) : "a"(0) : "memory");
}

void unpack(void) {
    for (u32 i = 0; i < BLOCK_COUNT; i++) unpack_block(&BLOCKS[i]);
}
