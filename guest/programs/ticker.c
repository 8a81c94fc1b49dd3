/*
 * ticker [MS]: prints "ticker N gap=MS" at a fixed beat (default 1000 ms, so one line a second). N grows by one with
 * each beat; the beats are absolute deadlines of the monotonic clock, so that none is skipped and none drifts. gap is
 * the largest distance between two beats so far, in whole milliseconds, by the guest's own clock.
 */
#include "guest.h"

#define DEFAULT_BEAT_MS 1000u
#define MAX_BEAT_MS 3600000u

static i32 run(i32 count, char **arguments) {
    u32 beat_ms = DEFAULT_BEAT_MS;
    if (count > 2 || (count == 2 && (!parse_number(arguments[1], MAX_BEAT_MS, &beat_ms) || beat_ms == 0)))
        return refuse("usage: ticker [MS]   (1 to 3600000, default 1000)\n");

    static struct line line;
    u64 beat_ns = (u64)beat_ms * 1000000u, deadline = now_ns(), last = deadline, gap_ns = 0;
    for (u64 number = 1;; number++) {
        deadline += beat_ns;
        sleep_until_ns(deadline);
        u64 now = now_ns();
        if (now - last > gap_ns) gap_ns = now - last;
        last = now;
        put_text(&line, "ticker ");
        put_number(&line, number);
        put_text(&line, " gap=");
        put_number(&line, divide(gap_ns, 1000000u, 0));
        end_line(&line);
    }
}
