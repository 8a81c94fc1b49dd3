/*
 * dirty MIB [PAGES_PER_SECOND]: writes one word in each of so many pages a second (default 1000), going round a buffer
 * of MIB MiB. Prints "dirty pages=N" once a second, N being all pages written so far.
 */
#include "guest.h"

#define DEFAULT_RATE 1000u
#define MAX_RATE 10000000u
#define MAX_MIB 2048u
#define SLICE_NS 10000000u
#define SLICES_PER_SECOND 100u

static i32 run(i32 count, char **arguments) {
    u32 mib, rate = DEFAULT_RATE;
    if (count < 2 || count > 3 || !parse_number(arguments[1], MAX_MIB, &mib) || mib == 0 ||
        (count == 3 && (!parse_number(arguments[2], MAX_RATE, &rate) || rate == 0)))
        return refuse("usage: dirty MIB [PAGES_PER_SECOND]   (default 1000)\n");
    volatile u32 *buffer = allocate(mib << 20);
    if (!buffer) return refuse("dirty: there is not so much memory\n");

    static struct line line;
    u32 pages = mib << 8, page = 0, value = 1, slice = 0;
    u64 written = 0, deadline = now_ns();
    for (;;) {
        /* Spread evenly over the second, and exact over each whole one. */
        u32 goal = (u32)divide((u64)rate * (slice + 1), SLICES_PER_SECOND, 0) - (u32)divide((u64)rate * slice, SLICES_PER_SECOND, 0);
        for (u32 i = 0; i < goal; i++) {
            buffer[page * WORDS_PER_PAGE] = value;
            if (++page == pages) page = 0, value++;
        }
        written += goal;
        deadline += SLICE_NS;
        sleep_until_ns(deadline);
        /* After falling behind (a slow host) it goes on from now, instead of catching up in one burst. */
        u64 now = now_ns();
        if (now > deadline + 1000000000u) deadline = now;
        if (++slice == SLICES_PER_SECOND) {
            slice = 0;
            put_text(&line, "dirty pages=");
            put_number(&line, written);
            end_line(&line);
        }
    }
}
