/*
 * The guest's agent: one line in, one line out on the second serial port (AGENT.md). It does what must be quick or needs
 * a system call that no shell has (clock in nanoseconds, random seed, driver, address); slower work goes to the script
 * /etc/tabmotion/services in the background.
 */
#include "../programs/guest.h"
#include "unseeded.h"

#define PORT "/dev/ttyS1"
#define CONSOLE "/dev/ttyS0"
#define IDENTITY "/etc/tabmotion/identity"
#define NETWORK_MODULES "/etc/tabmotion/network-modules"
#define SERVICES "/etc/tabmotion/services"
#define SETTLE "/etc/tabmotion/settle"
#define SELF "/bin/tabmotion-agent"
#define MAX_LINE 1024
#define MAX_FIELDS 16
#define SEED_BYTES 64
/* A clock nearer than this is left alone: setting it would disturb the guest more than the difference. */
#define CLOCK_TOLERANCE_NS 20000000ll

enum {
    TCGETS = 0x5401, TCSETS = 0x5402, TIOCSWINSZ = 0x5414, RNDADDENTROPY = 0x40085203, RNDRESEEDCRNG = 0x5207,
    SIOCADDRT = 0x890b, SIOCGIFFLAGS = 0x8913, SIOCSIFFLAGS = 0x8914, SIOCSIFADDR = 0x8916, SIOCSIFNETMASK = 0x891c,
    SIOCSIFHWADDR = 0x8924, SIOCGIFHWADDR = 0x8927
};

struct field {
    const char *name;
    char *value;
};

struct request {
    const char *verb;
    u32 count;
    struct field fields[MAX_FIELDS];
};

struct interface_request {
    char name[16];
    union {
        struct { u16 family; u16 port; u32 address; u8 rest[8]; } internet;
        struct { u16 family; u8 mac[6]; u8 rest[8]; } hardware;
        u16 flags;
        u8 size[16];
    };
};

static i32 port;
/* The seed has come: this process is still the snapshot's, the same in every copy of it. */
static i32 renewal_due;
static struct line out;

static void fail(const char *reason) {
    out.used = 0;
    put_text(&out, "error ");
    put_text(&out, reason);
    put_text(&out, "\n");
    put_out(port, &out);
}

static void answer(void) {
    put_text(&out, "\n");
    put_out(port, &out);
}

/* ---- parsing ---- */

static const char *get(const struct request *request, const char *name) {
    for (u32 i = 0; i < request->count; i++)
        if (same_text(request->fields[i].name, name)) return request->fields[i].value;
    return 0;
}

static i32 hex_digit(char digit) {
    if (digit >= '0' && digit <= '9') return digit - '0';
    if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
    return -1;
}

/* Exactly 2 * `bytes` hex digits; a separator between bytes where one is given. */
static i32 parse_hex(const char *text, u8 *into, u32 bytes, char separator) {
    for (u32 i = 0; i < bytes; i++) {
        if (separator && i > 0 && *text++ != separator) return 0;
        i32 high = hex_digit(text[0]), low = high < 0 ? -1 : hex_digit(text[1]);
        if (low < 0) return 0;
        into[i] = (u8)(high << 4 | low);
        text += 2;
    }
    return *text == 0;
}

/* Dotted quad, in network order; with `prefix`, also the number of network bits behind a slash. */
static i32 parse_address(const char *text, u32 *address, u32 *prefix) {
    u8 *bytes = (u8 *)address;
    for (u32 i = 0; i < 4; i++) {
        u32 value = 0, digits = 0;
        while (*text >= '0' && *text <= '9' && digits < 3) value = value * 10 + (u32)(*text++ - '0'), digits++;
        if (!digits || value > 255 || (i < 3 && *text++ != '.')) return 0;
        bytes[i] = (u8)value;
    }
    if (!prefix) return *text == 0;
    return *text == '/' && parse_number(text + 1, 32, prefix);
}

static i32 parse_long(const char *text, u32 most_digits, u64 *value) {
    u64 sum = 0;
    if (!text || !*text) return 0;
    for (u32 digits = 0; *text; text++, digits++) {
        if (*text < '0' || *text > '9' || digits == most_digits) return 0;
        sum = sum * 10 + (u32)(*text - '0');
    }
    *value = sum;
    return 1;
}

/* The time-stamp counter; the emulated processor's counts nanoseconds. */
static u64 time_stamp(void) {
    u64 value;
    __asm__ volatile("rdtsc" : "=A"(value));
    return value;
}

/*
 * The wall clock now, in nanoseconds since 1970: `time` (milliseconds), and what has passed since the time-stamp counter
 * showed `tsc`, so that it does not matter how long the line has waited. A counter that is ahead is from before a reboot.
 */
static i32 parse_time(const struct request *request, u64 *ns) {
    u64 time, now = time_stamp(), then = now;
    const char *tsc = get(request, "tsc");
    if (!parse_long(get(request, "time"), 15, &time)) return 0;
    if (tsc && (!parse_long(tsc, 18, &then) || then > now)) return 0;
    *ns = time * 1000000u + (now - then);
    return 1;
}

/* Printable text without blanks, of this length at most. */
static i32 plain(const char *text, u32 limit) {
    u32 length = 0;
    if (!text) return 0;
    for (; text[length]; length++)
        if (text[length] <= ' ' || text[length] > '~') return 0;
    return length > 0 && length <= limit;
}

static i32 host_name(const char *text) {
    if (!plain(text, 63)) return 0;
    for (; *text; text++)
        if (!((*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z') || (*text >= '0' && *text <= '9') || *text == '-')) return 0;
    return 1;
}

static i32 parse_request(char *text, struct request *request) {
    request->count = 0;
    request->verb = text;
    while (*text && *text != ' ') text++;
    while (*text == ' ') {
        *text++ = 0;
        if (!*text || *text == ' ') continue;
        if (request->count == MAX_FIELDS) return 0;
        struct field *field = &request->fields[request->count++];
        field->name = text;
        while (*text && *text != ' ' && *text != '=') text++;
        if (*text != '=') return 0;
        *text++ = 0;
        field->value = text;
        while (*text && *text != ' ') text++;
    }
    return 1;
}

/* ---- doing ---- */

/* Sets the wall clock if it is off by more than the tolerance; the difference found, in nanoseconds. */
static i64 set_clock(u64 wanted) {
    i64 difference = (i64)(wanted - clock_ns(CLOCK_REALTIME));
    if (difference > CLOCK_TOLERANCE_NS || difference < -CLOCK_TOLERANCE_NS) {
        struct timespec64 time = to_timespec(wanted);
        syscall3(SYS_clock_settime64, CLOCK_REALTIME, (u32)&time, 0);
    }
    return difference;
}

static i32 add_seed(const u8 *seed) {
    struct { i32 bits; i32 bytes; u8 seed[SEED_BYTES]; } entropy = {SEED_BYTES * 8, SEED_BYTES, {0}};
    memcpy(entropy.seed, seed, SEED_BYTES);
    i32 device = syscall3(SYS_open, (u32)"/dev/urandom", 1, 0);
    if (device < 0) return 0;
    i32 added = syscall3(SYS_ioctl, (u32)device, RNDADDENTROPY, (u32)&entropy);
    i32 reseeded = syscall3(SYS_ioctl, (u32)device, RNDRESEEDCRNG, 0);
    syscall3(SYS_close, (u32)device, 0, 0);
    return added == 0 && reseeded == 0;
}

/*
 * Lets the shells begin that wait for the seed (shell.c). Opened for reading too, the pipe does not wait for them; it stays
 * open until this process is renewed, for one that has found its name and not opened it yet.
 */
static void start_shells(void) {
    syscall3(SYS_open, (u32)UNSEEDED, 2 | 02000000 /* read and write, closed by execve */, 0);
    syscall3(SYS_unlink, (u32)UNSEEDED, 0, 0);
}

/* NULL, or what is wrong with the request. */
static const char *parse_seed(const struct request *request, u8 *seed) {
    const char *text = get(request, "seed");
    return text && parse_hex(text, seed, SEED_BYTES, 0) ? 0 : "bad seed";
}

/* Everything that begins from here on has randomness of its own. NULL, or what went wrong. */
static const char *apply_seed(const u8 *seed) {
    if (!add_seed(seed)) return "the random seed is refused";
    start_shells();
    renewal_due = 1;
    return 0;
}

static void on_seed(const struct request *request) {
    u8 seed[SEED_BYTES];
    const char *wrong = parse_seed(request, seed);
    if (!wrong) wrong = apply_seed(seed);
    if (wrong) return fail(wrong);
    put_text(&out, "ok seed");
    answer();
}

static i32 write_file(const char *path, i32 mode, struct line *content) {
    i32 file = syscall3(SYS_open, (u32)path, 01 | 0100 | 01000 /* write, create, truncate */, (u32)mode);
    if (file < 0) return 0;
    u32 bytes = content->used;
    i32 written = syscall3(SYS_write, (u32)file, (u32)content->text, bytes);
    content->used = 0;
    syscall3(SYS_close, (u32)file, 0, 0);
    return written == (i32)bytes;
}

static i32 load_modules(void) {
    static char list[1024];
    i32 file = syscall3(SYS_open, (u32)NETWORK_MODULES, 0, 0);
    i32 bytes = file < 0 ? -1 : syscall3(SYS_read, (u32)file, (u32)list, sizeof list - 1);
    if (bytes < 0) return 0;
    syscall3(SYS_close, (u32)file, 0, 0);
    list[bytes] = 0;
    for (char *name = list; *name;) {
        char *end = name;
        while (*end && *end != '\n') end++;
        char *next = *end ? end + 1 : end;
        *end = 0;
        i32 module = syscall3(SYS_open, (u32)name, 0, 0);
        i32 result = module < 0 ? module : syscall3(SYS_finit_module, (u32)module, (u32)"", 0);
        syscall3(SYS_close, (u32)module, 0, 0);
        if (result < 0 && result != -17 /* EEXIST */) return 0;
        name = next;
    }
    return 1;
}

static void name_interface(struct interface_request *request, const char *name) {
    memset(request, 0, sizeof *request);
    memcpy(request->name, name, text_length(name));
}

static i32 raise_interface(i32 socket, const char *name, u32 address, u32 mask) {
    struct interface_request request;
    name_interface(&request, name);
    request.internet.family = 2;
    request.internet.address = address;
    if (syscall3(SYS_ioctl, (u32)socket, SIOCSIFADDR, (u32)&request) < 0) return 0;
    request.internet.address = mask;
    if (syscall3(SYS_ioctl, (u32)socket, SIOCSIFNETMASK, (u32)&request) < 0) return 0;
    name_interface(&request, name);
    request.flags = 1 | 64; /* up, running */
    return syscall3(SYS_ioctl, (u32)socket, SIOCSIFFLAGS, (u32)&request) == 0;
}

static i32 add_default_route(i32 socket, u32 gateway) {
    struct internet_address { u16 family; u16 port; u32 address; u8 rest[8]; };
    struct {
        u32 unused;
        struct internet_address target, gateway, mask;
        u16 flags;
        u16 unused2;
        u32 unused3;
        u32 unused4;
        u16 metric;
        u16 unused5;
        const char *device;
        u32 mtu, window;
        u16 rtt;
    } route;
    memset(&route, 0, sizeof route);
    route.target.family = route.gateway.family = route.mask.family = 2;
    route.gateway.address = gateway;
    route.flags = 1 | 2; /* up, gateway */
    i32 result = syscall3(SYS_ioctl, (u32)socket, SIOCADDRT, (u32)&route);
    return result == 0 || result == -17;
}

/* The card's address is set by the host before the driver loads; a difference (an older snapshot) is set right here. */
static i32 check_mac(i32 socket, const u8 *mac) {
    struct interface_request request;
    name_interface(&request, "eth0");
    if (syscall3(SYS_ioctl, (u32)socket, SIOCGIFHWADDR, (u32)&request) < 0) return 0;
    u32 different = 0;
    for (u32 i = 0; i < 6; i++) different |= (u32)(request.hardware.mac[i] ^ mac[i]);
    if (!different) return 1;
    memcpy(request.hardware.mac, mac, 6);
    return syscall3(SYS_ioctl, (u32)socket, SIOCSIFHWADDR, (u32)&request) == 0;
}

/* Starts a script and does not wait for it; `argument` NULL for none. */
static void start(const char *path, const char *argument) {
    if (syscall3(SYS_fork, 0, 0, 0) != 0) return;
    static char *environment[] = {"HOME=/root", "PATH=/bin:/sbin:/usr/bin:/usr/sbin", 0};
    const char *arguments[] = {path, argument, 0};
    syscall3(SYS_signal, 17 /* SIGCHLD */, 0, 0);
    syscall3(SYS_close, (u32)port, 0, 0);
    syscall3(SYS_setsid, 0, 0, 0);
    i32 null = syscall3(SYS_open, (u32)"/dev/null", 2, 0);
    for (u32 file = 0; file < 3; file++) syscall3(SYS_dup2, (u32)null, file, 0);
    exit_with(syscall3(SYS_execve, (u32)path, (u32)arguments, (u32)environment));
}

/* What is the same after a reboot; checked, but nothing done yet. */
struct network {
    const char *hostname;
    u8 mac[6];
    u32 address, mask, gateway;
    i32 has_gateway;
    const char *dns;
};

/* NULL, or what is wrong with the request. */
static const char *parse_network(const struct request *request, struct network *network) {
    const char *mac = get(request, "mac"), *ip = get(request, "ip"), *gateway = get(request, "gateway");
    u32 prefix, dns_address;
    network->hostname = get(request, "hostname");
    network->dns = get(request, "dns");
    network->has_gateway = gateway != 0;
    if (!host_name(network->hostname)) return "bad hostname";
    if (!mac || !parse_hex(mac, network->mac, 6, ':')) return "bad mac";
    if (!ip || !parse_address(ip, &network->address, &prefix)) return "bad ip";
    if (gateway && !parse_address(gateway, &network->gateway, 0)) return "bad gateway";
    if (network->dns && !parse_address(network->dns, &dns_address, 0)) return "bad dns";
    u32 host_bits = prefix == 0 ? 0xffffffffu : prefix == 32 ? 0 : (1u << (32 - prefix)) - 1;
    network->mask = __builtin_bswap32(~host_bits);
    return 0;
}

/* Hostname, driver, address, name server. NULL, or what went wrong. */
static const char *apply_network(const struct network *network) {
    syscall3(SYS_sethostname, (u32)network->hostname, text_length(network->hostname), 0);
    static struct line file;
    put_text(&file, network->hostname);
    put_text(&file, "\n");
    write_file("/etc/hostname", 0644, &file);
    put_text(&file, "127.0.0.1 localhost ");
    put_text(&file, network->hostname);
    put_text(&file, "\n");
    write_file("/etc/hosts", 0644, &file);
    if (network->dns) {
        put_text(&file, "nameserver ");
        put_text(&file, network->dns);
        put_text(&file, "\n");
        write_file("/etc/resolv.conf", 0644, &file);
    }

    if (!load_modules()) return "the network driver does not load";
    i32 socket = syscall3(SYS_socket, 2, 2, 0);
    if (socket < 0) return "no socket";
    const char *wrong = 0;
    if (!check_mac(socket, network->mac)) wrong = "no network card";
    else if (!raise_interface(socket, "eth0", network->address, network->mask)) wrong = "the address is refused";
    else if (network->has_gateway && !add_default_route(socket, network->gateway)) wrong = "the gateway is refused";
    syscall3(SYS_close, (u32)socket, 0, 0);
    return wrong;
}

static void on_identity(const struct request *request) {
    const char *password = get(request, "password");
    u8 seed[SEED_BYTES];
    u64 time;
    if (!parse_time(request, &time)) return fail("bad time");
    const char *wrong = parse_seed(request, seed);
    if (wrong) return fail(wrong);
    if (!plain(password, 64)) return fail("bad password");
    struct network network;
    wrong = parse_network(request, &network);
    if (wrong) return fail(wrong);

    set_clock(time);
    wrong = apply_seed(seed);
    if (!wrong) wrong = apply_network(&network);
    if (wrong) return fail(wrong);

    static struct line file;
    static const char *kept[] = {"mac", "hostname", "ip", "gateway", "dns"};
    put_text(&file, "identity");
    for (u32 i = 0; i < sizeof kept / sizeof *kept; i++) {
        const char *value = get(request, kept[i]);
        if (!value) continue;
        put_text(&file, " ");
        put_text(&file, kept[i]);
        put_text(&file, "=");
        put_text(&file, value);
    }
    put_text(&file, "\n");
    if (!write_file(IDENTITY, 0600, &file)) return fail("the identity cannot be written");

    start(SERVICES, password);
    put_text(&out, "ok identity");
    answer();
}

static void on_clock(const struct request *request) {
    u64 time;
    if (!parse_time(request, &time)) return fail("bad time");
    i64 difference = set_clock(time);
    put_text(&out, "ok clock delta=");
    i32 negative = difference < 0;
    if (negative) put_text(&out, "-");
    put_number(&out, divide((u64)(negative ? -difference : difference), 1000000u, 0));
    answer();
}

static void on_size(const struct request *request) {
    u32 columns, rows;
    const char *columns_text = get(request, "cols"), *rows_text = get(request, "rows");
    if (!columns_text || !parse_number(columns_text, 1000, &columns) || !rows_text || !parse_number(rows_text, 1000, &rows))
        return fail("bad size");
    u16 size[4] = {(u16)rows, (u16)columns, 0, 0};
    i32 console = syscall3(SYS_open, (u32)CONSOLE, 0400 /* not as controlling terminal */ | 04000, 0);
    i32 result = syscall3(SYS_ioctl, (u32)console, TIOCSWINSZ, (u32)size);
    syscall3(SYS_close, (u32)console, 0, 0);
    if (result < 0) return fail("the console has no size");
    put_text(&out, "ok size");
    answer();
}

static void handle(char *text) {
    struct request request;
    if (!parse_request(text, &request)) return fail("malformed line");
    if (same_text(request.verb, "hello")) {
        put_text(&out, "tabmotion-agent 1");
        answer();
    } else if (same_text(request.verb, "seed")) on_seed(&request);
    else if (same_text(request.verb, "identity")) on_identity(&request);
    else if (same_text(request.verb, "clock")) on_clock(&request);
    else if (same_text(request.verb, "size")) on_size(&request);
    else if (same_text(request.verb, "settle")) {
        start(SETTLE, 0);
    } else if (same_text(request.verb, "shutdown")) {
        put_text(&out, "ok shutdown");
        answer();
        start("/sbin/poweroff", 0);
    } else fail("unknown command");
}

/* After a reboot: the network as it was, and the services with the password that the disk still has. */
static void resume_identity(void) {
    static char text[MAX_LINE];
    i32 file = syscall3(SYS_open, (u32)IDENTITY, 0, 0);
    if (file < 0) return;
    i32 bytes = syscall3(SYS_read, (u32)file, (u32)text, sizeof text - 1);
    syscall3(SYS_close, (u32)file, 0, 0);
    if (bytes <= 0) return;
    text[bytes] = 0;
    if (text[bytes - 1] == '\n') text[bytes - 1] = 0;
    struct request request;
    if (!parse_request(text, &request)) return;
    struct network network;
    const char *wrong = parse_network(&request, &network);
    if (!wrong) wrong = apply_network(&network);
    if (wrong) fail(wrong);
    start(SERVICES, 0);
}

/*
 * This program anew in the same process, with an address layout, AT_RANDOM and a stack of its own. The port stays open:
 * what waits in it is read by the new one.
 */
static void renew(void) {
    static char number[2];
    number[0] = (char)('0' + port);
    static char *environment[] = {0};
    const char *arguments[] = {SELF, number, 0};
    renewal_due = 0;
    syscall3(SYS_execve, (u32)SELF, (u32)arguments, (u32)environment);
}

static void make_raw(void) {
    struct { u32 input, output, control, local; u8 discipline; u8 characters[19]; u32 rest[8]; } modes;
    memset(&modes, 0, sizeof modes);
    syscall3(SYS_ioctl, (u32)port, TCGETS, (u32)&modes);
    modes.input = modes.output = modes.local = 0;
    modes.control |= 04000 | 0200; /* no modem lines, receiver on */
    modes.characters[5] = 0;       /* VTIME */
    modes.characters[6] = 1;       /* VMIN */
    syscall3(SYS_ioctl, (u32)port, TCSETS, (u32)&modes);
}

static i32 run(i32 count, char **arguments) {
    if (count > 1) port = arguments[1][0] - '0';
    else {
        port = syscall3(SYS_open, (u32)PORT, 2 | 0400 /* read and write, not as controlling terminal */, 0);
        if (port < 0) return 1;
        make_raw();
        syscall3(SYS_signal, 17 /* SIGCHLD */, 1 /* ignored: children vanish by themselves */, 0);
        resume_identity();
        put_text(&out, "event ready");
        answer();
    }

    static char text[MAX_LINE];
    u32 used = 0, too_long = 0;
    for (;;) {
        u8 input[256];
        i32 bytes = syscall3(SYS_read, (u32)port, (u32)input, sizeof input);
        if (bytes == -4 /* EINTR */) continue;
        if (bytes <= 0) return 1;
        for (i32 i = 0; i < bytes; i++) {
            if (input[i] == '\r') continue;
            if (input[i] != '\n') {
                if (used == sizeof text - 1) too_long = 1;
                else text[used++] = (char)input[i];
                continue;
            }
            text[used] = 0;
            if (too_long) fail("line too long");
            else if (used) handle(text);
            used = too_long = 0;
        }
        if (renewal_due && !used && !too_long) renew();
    }
}
