/*
 * What makes this guest different from every other one that was loaded from the same memory. Entropy comes first: nothing
 * else of the guest may run on with random numbers that another guest has too (random(4): RNDADDENTROPY, RNDRESEEDCRNG).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/random.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "kit.h"

enum { ENTROPY_BYTES = 64, MACHINE_ID_CHARS = 32, MAC_BYTES = 6, HOSTNAME_MAX = 63 };

bool parse_identity(struct frame request, struct identity *out) {
    struct reader r = {request.payload, request.size, false};
    out->time_ns = read_u64(&r);
    out->entropy = read_bytes(&r, ENTROPY_BYTES);
    out->hostname = read_string(&r);
    out->machine_id = read_bytes(&r, MACHINE_ID_CHARS);
    out->mac = read_bytes(&r, MAC_BYTES);
    out->next_token = read_bytes(&r, TOKEN_BYTES);
    return reader_done(&r) && out->hostname.size > 0 && out->hostname.size <= HOSTNAME_MAX;
}

static bool add_entropy(struct span bytes, struct failure *f) {
    struct {
        int entropy_count, buf_size;
        uint8_t buf[ENTROPY_BYTES];
    } pool = {.entropy_count = 8 * (int)bytes.size, .buf_size = (int)bytes.size};
    memcpy(pool.buf, bytes.bytes, bytes.size);
    int device = open("/dev/urandom", O_RDWR | O_CLOEXEC);
    bool ok = device >= 0 && !ioctl(device, RNDADDENTROPY, &pool) && !ioctl(device, RNDRESEEDCRNG);
    if (!ok) fail(f, E_INTERNAL, "the kernel's random numbers cannot be seeded: %s", strerror(errno));
    if (device >= 0) close(device);
    explicit_bzero(&pool, sizeof pool);
    return ok;
}

/* Replaces a small file as a whole. A root file system that cannot be written is no reason to fail. */
static void replace_file(const char *path, struct span text) {
    char temporary[64];
    snprintf(temporary, sizeof temporary, "%s.dormouse", path);
    /* A new file: one that is there already might be a pipe, which would stop PID 1. */
    unlink(temporary);
    int file = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (file < 0) return;
    bool ok = write(file, text.bytes, text.size) == (ssize_t)text.size && write(file, "\n", 1) == 1;
    close(file);
    if (!ok || rename(temporary, path)) unlink(temporary);
}

bool take_identity(const struct identity *identity, struct failure *f) {
    if (!in_guest()) return fail(f, E_NOT_A_GUEST, "not in a guest");
    if (!add_entropy(identity->entropy, f)) return false;
    struct timespec t = {.tv_sec = (time_t)(identity->time_ns / 1000000000), .tv_nsec = (long)(identity->time_ns % 1000000000)};
    if (clock_settime(CLOCK_REALTIME, &t)) return fail(f, E_INTERNAL, "the clock cannot be set: %s", strerror(errno));
    if (sethostname((const char *)identity->hostname.bytes, identity->hostname.size)) {
        return fail(f, E_INTERNAL, "the host name cannot be set: %s", strerror(errno));
    }
    replace_file("/etc/hostname", identity->hostname);
    replace_file("/etc/machine-id", identity->machine_id);
    return true;
}

void set_mac(const uint8_t mac[MAC_BYTES]) {
    if (!in_guest()) return;
    int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifreq r = {.ifr_name = "eth0"};
    if (!ioctl(s, SIOCGIFHWADDR, &r) && memcmp(r.ifr_hwaddr.sa_data, mac, MAC_BYTES)) {
        r.ifr_hwaddr.sa_family = ARPHRD_ETHER;
        memcpy(r.ifr_hwaddr.sa_data, mac, MAC_BYTES);
        if (ioctl(s, SIOCSIFHWADDR, &r)) fprintf(stderr, "KIT-WARN the MAC address cannot be set: %s\n", strerror(errno));
    }
    close(s);
}
