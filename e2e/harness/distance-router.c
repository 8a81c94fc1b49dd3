/*
 * A router between TUN devices with a delay and a loss, for kernels without netem. Devices are named as arguments, each as
 * NAME=ADDRESS; it makes them, prints `up`, and passes every IPv4 packet to the device whose address it is for, after the
 * delay. A line `DELAY_MS LOSS_PERCENT` on its standard input changes both; it ends when that is closed, and the devices
 * with it. The last line it prints has the counts: `forwarded=N lost=N`.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define MAX_DEVICES 8
#define MAX_PACKET 2048

struct packet {
  struct packet *next;
  int64_t due_us;
  int to, length;
  uint8_t bytes[MAX_PACKET];
};

static int64_t now_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000000LL + now.tv_nsec / 1000;
}

static int open_device(const char *name) {
  struct ifreq request = {0};
  int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
  strncpy(request.ifr_name, name, IFNAMSIZ - 1);
  request.ifr_flags = IFF_TUN | IFF_NO_PI;
  if (fd < 0 || ioctl(fd, TUNSETIFF, &request) < 0) {
    perror(name);
    exit(1);
  }
  return fd;
}

int main(int count, char **arguments) {
  struct pollfd polled[MAX_DEVICES + 1] = {{.fd = 0, .events = POLLIN}};
  uint32_t addresses[MAX_DEVICES];
  struct packet *first = NULL, **last = &first;
  int64_t delay_us = 0;
  double loss = 0;
  long forwarded = 0, lost = 0;
  int devices = count - 1;
  if (devices < 1 || devices > MAX_DEVICES) return 2;
  for (int device = 0; device < devices; device++) {
    char *equals = strchr(arguments[device + 1], '=');
    if (equals == NULL || inet_pton(AF_INET, equals + 1, &addresses[device]) != 1) return 2;
    *equals = 0;
    polled[device + 1] = (struct pollfd){.fd = open_device(arguments[device + 1]), .events = POLLIN};
  }
  /* Late packets would be a distance nobody asked for. */
  if (setpriority(PRIO_PROCESS, 0, -15) < 0) errno = 0;
  srandom(1);
  puts("up");
  fflush(stdout);
  for (;;) {
    int64_t now = now_us();
    while (first != NULL && first->due_us <= now) {
      struct packet *packet = first;
      first = packet->next;
      if (first == NULL) last = &first;
      if (write(polled[packet->to + 1].fd, packet->bytes, packet->length) >= 0) forwarded++;
      free(packet);
    }
    struct timespec wait = {1, 0};
    if (first != NULL) {
      int64_t left = first->due_us - now_us();
      if (left < 0) left = 0;
      wait = (struct timespec){left / 1000000, left % 1000000 * 1000};
    }
    if (ppoll(polled, devices + 1, &wait, NULL) < 0) continue;
    if (polled[0].revents != 0) {
      char line[128];
      ssize_t length = read(0, line, sizeof line - 1);
      double delay_ms, percent;
      if (length <= 0) break;
      line[length] = 0;
      if (sscanf(line, "%lf %lf", &delay_ms, &percent) == 2) {
        delay_us = (int64_t)(delay_ms * 1000);
        loss = percent / 100;
      }
    }
    for (int device = 0; device < devices; device++) {
      if ((polled[device + 1].revents & POLLIN) == 0) continue;
      for (int burst = 0; burst < 64; burst++) {
        struct packet *packet = malloc(sizeof *packet);
        if (packet == NULL) return 1;
        packet->length = read(polled[device + 1].fd, packet->bytes, MAX_PACKET);
        packet->to = -1;
        int came = packet->length > 0;
        if (packet->length >= 20 && packet->bytes[0] >> 4 == 4) {
          for (int to = 0; to < devices; to++) if (memcmp(packet->bytes + 16, &addresses[to], 4) == 0) packet->to = to;
        }
        if (packet->to >= 0 && random() < loss * RAND_MAX) {
          lost++;
          packet->to = -1;
        }
        if (packet->to < 0) {
          free(packet);
          if (!came) break;
          continue;
        }
        packet->next = NULL;
        packet->due_us = now_us() + delay_us;
        *last = packet;
        last = &packet->next;
      }
    }
  }
  printf("forwarded=%ld lost=%ld\n", forwarded, lost);
  return 0;
}
