/*
 * pagecheck MIB [PAGES_PER_SECOND]: shows whether memory ever comes back stale, torn or foreign.
 *
 * Every word of every page of the buffer says which page it is in and which generation wrote it:
 *
 *     word i, i even:  generation ^ (i * SPREAD)         word i, i odd:  page ^ ~(i * SPREAD)
 *
 * so the first and last words, and all between, are marks. A rewrite fills the page from its first word to its last with
 * a generation never used before, and only then notes that generation in a table. A page is therefore always whole
 * when it is looked at, and
 *
 *     stale    all of it is an earlier generation of this page
 *     torn     it mixes two generations
 *     foreign  it names another page, or is no page of ours
 *
 * Pages are rewritten in order at the given rate (default 1000 a second), each checked just before; beside that the
 * whole buffer is swept again and again, as fast as a fair share of the processor allows. Prints once a second
 * "pagecheck gen=N bad=N": the last generation written and the bad pages found so far; the first bad pages are named on
 * a line of their own.
 */
#include "guest.h"

#define DEFAULT_RATE 1000u
#define MAX_RATE 1000000u
#define MAX_MIB 1024u
#define SPREAD 0x9e3779b1u
#define SLICE_NS 10000000u
#define SLICES_PER_SECOND 100u
/* Of each 10 ms slice, at most this long is spent sweeping: the shell beside it stays usable. */
#define SWEEP_NS 3000000u
#define MAX_NAMED 20u

static u32 *buffer, *generations;
static u32 last_generation, bad_pages;
static struct line line;

static void write_page(u32 page) {
    volatile u32 *words = buffer + page * WORDS_PER_PAGE;
    u32 generation = ++last_generation, spread = 0;
    for (u32 i = 0; i < WORDS_PER_PAGE; i += 2) {
        words[i] = generation ^ spread;
        words[i + 1] = page ^ ~(spread + SPREAD);
        spread += 2 * SPREAD;
    }
    generations[page] = generation;
}

static void name_bad_page(u32 page, u32 word, const char *kind) {
    const u32 *words = buffer + page * WORDS_PER_PAGE;
    put_text(&line, "pagecheck bad page=");
    put_number(&line, page);
    put_text(&line, " kind=");
    put_text(&line, kind);
    put_text(&line, " word=");
    put_number(&line, word);
    put_text(&line, " gen=");
    put_number(&line, words[word & ~1u] ^ (word & ~1u) * SPREAD);
    put_text(&line, " expected=");
    put_number(&line, generations[page]);
    put_text(&line, " holds-page=");
    put_number(&line, words[word | 1] ^ ~((word | 1) * SPREAD));
    end_line(&line);
}

/* Checks every word; a bad page is counted once and then rewritten. */
static void check_page(u32 page) {
    const volatile u32 *words = buffer + page * WORDS_PER_PAGE;
    u32 expected = generations[page], spread = 0, differences = 0;
    for (u32 i = 0; i < WORDS_PER_PAGE; i += 2) {
        differences |= words[i] ^ spread ^ expected;
        differences |= words[i + 1] ^ ~(spread + SPREAD) ^ page;
        spread += 2 * SPREAD;
    }
    if (!differences) return;

    u32 first_bad = WORDS_PER_PAGE, foreign = 0, stale = 1, generation = words[0]; /* even word 0 is not spread */
    for (u32 i = 0; i < WORDS_PER_PAGE; i += 2) {
        u32 even = words[i] ^ i * SPREAD, odd = words[i + 1] ^ ~((i + 1) * SPREAD);
        if (first_bad == WORDS_PER_PAGE && even != expected) first_bad = i;
        if (first_bad == WORDS_PER_PAGE && odd != page) first_bad = i + 1;
        if (odd != page) foreign = 1;
        if (even != generation) stale = 0;
    }
    bad_pages++;
    if (bad_pages <= MAX_NAMED) name_bad_page(page, first_bad & (WORDS_PER_PAGE - 1), foreign ? "foreign" : stale ? "stale" : "torn");
    write_page(page);
}

static i32 run(i32 count, char **arguments) {
    u32 mib, rate = DEFAULT_RATE;
    if (count < 2 || count > 3 || !parse_number(arguments[1], MAX_MIB, &mib) || mib == 0 ||
        (count == 3 && !parse_number(arguments[2], MAX_RATE, &rate)))
        return refuse("usage: pagecheck MIB [PAGES_PER_SECOND]   (default 1000)\n");
    u32 pages = mib << 8;
    buffer = allocate(mib << 20);
    generations = allocate(pages * 4);
    if (!buffer || !generations) return refuse("pagecheck: there is not so much memory\n");
    for (u32 page = 0; page < pages; page++) write_page(page);

    u32 next = 0, sweep = 0, slice = 0;
    u64 deadline = now_ns();
    for (;;) {
        u32 goal = (u32)divide((u64)rate * (slice + 1), SLICES_PER_SECOND, 0) - (u32)divide((u64)rate * slice, SLICES_PER_SECOND, 0);
        for (u32 i = 0; i < goal; i++) {
            check_page(next);
            write_page(next);
            if (++next == pages) next = 0;
        }
        u64 sweep_end = now_ns() + SWEEP_NS;
        do {
            for (u32 i = 0; i < 8; i++) {
                check_page(sweep);
                if (++sweep == pages) sweep = 0;
            }
        } while (now_ns() < sweep_end);
        deadline += SLICE_NS;
        sleep_until_ns(deadline);
        u64 now = now_ns();
        if (now > deadline + 1000000000u) deadline = now;
        if (++slice == SLICES_PER_SECOND) {
            slice = 0;
            put_text(&line, "pagecheck gen=");
            put_number(&line, last_generation);
            put_text(&line, " bad=");
            put_number(&line, bad_pages);
            end_line(&line);
        }
    }
}
