/*
 * pattern MIB [SEED]: writes MIB MiB to standard output, always the same for the same seed (default 1), so that whoever
 * receives them can compute the digest independently: xorshift32 (x ^= x << 13; x ^= x >> 17; x ^= x << 5) started at
 * SEED, each state after a step written as a little-endian 32-bit word.
 */
#include "guest.h"

#define MAX_MIB 4095u
#define BLOCK_WORDS 16384u

static u32 block[BLOCK_WORDS];

static i32 run(i32 count, char **arguments) {
    u32 mib, state = 1;
    if (count < 2 || count > 3 || !parse_number(arguments[1], MAX_MIB, &mib) ||
        (count == 3 && (!parse_number(arguments[2], 0xffffffffu, &state) || state == 0)))
        return refuse("usage: pattern MIB [SEED]   (SEED from 1 to 4294967295, default 1)\n");
    for (u32 blocks = mib * ((1u << 20) / sizeof block); blocks; blocks--) {
        for (u32 i = 0; i < BLOCK_WORDS; i++) {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            block[i] = state;
        }
        write_all(1, block, sizeof block);
    }
    return 0;
}
