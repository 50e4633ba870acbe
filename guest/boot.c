/* From the initramfs to the sandbox's own root file system. Any ext4 root will do: what is missing in it is made. */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <net/if.h>
#include <net/route.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kit.h"

/* From the kernel's fs/ext4/ext4.h: grows a mounted file system to that number of blocks. */
#define EXT4_IOC_RESIZE_FS _IOW('f', 16, uint64_t)
#define ROOT_DEVICE "/dev/vda"
/*
 * Whether the kernel writes zeros into unused inode tables in the background (Documentation/admin-guide/ext4.rst). Off: the
 * disk is a clone of a sparse image or of what a pause kept, so what nobody wrote reads as zeros, and zeros written would
 * take space of the host, 160 MB for 20 GiB, in every sandbox.
 */
#define LAZY_TABLES_OFF "noinit_itable"
#define LAZY_TABLES_ON "init_itable"

static int console = 2;
static char arguments[4096];
/* Set by boot() and nothing else: what changes the machine asks for it. */
static bool booted;

bool in_guest(void) { return booted; }

static void say(const char *text) {
    if (write(console, text, strlen(text)) < 0) return;
}

static void die(const char *what) {
    char text[256];
    snprintf(text, sizeof text, "KIT-FAIL %s: %s\n", what, strerror(errno));
    say(text);
    power_off();
}

/* The value of `dormouse.<name>=` on the kernel's command line. */
static bool argument(const char *name, char *out, size_t size) {
    char key[64];
    int length = snprintf(key, sizeof key, "dormouse.%s=", name);
    for (char *at = strstr(arguments, key); at; at = strstr(at + 1, key)) {
        if (at != arguments && at[-1] != ' ') continue;
        snprintf(out, size, "%.*s", (int)strcspn(at + length, " \n"), at + length);
        return true;
    }
    return false;
}

static void load_modules(void) {
    FILE *order = fopen("/m/order", "re");
    char name[128], path[160];
    while (order && fscanf(order, "%127s", name) == 1) {
        snprintf(path, sizeof path, "/m/%s", name);
        int file = open(path, O_RDONLY | O_CLOEXEC);
        if (file < 0 || (syscall(SYS_finit_module, file, "", 0) && errno != EEXIST)) say("KIT-WARN a module could not be loaded\n");
        if (file >= 0) close(file);
        unlink(path);
    }
    if (order) fclose(order);
}

static void interface_up(const char *name, const char *address, int prefix, const char *gateway) {
    int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifreq r = {0};
    snprintf(r.ifr_name, sizeof r.ifr_name, "%s", name);
    struct sockaddr_in *a = (struct sockaddr_in *)&r.ifr_addr;
    if (address) {
        a->sin_family = AF_INET;
        inet_pton(AF_INET, address, &a->sin_addr);
        if (ioctl(s, SIOCSIFADDR, &r)) say("KIT-WARN no address\n");
        a->sin_addr.s_addr = htonl(prefix ? ~0u << (32 - prefix) : 0);
        ioctl(s, SIOCSIFNETMASK, &r);
    }
    ioctl(s, SIOCGIFFLAGS, &r);
    r.ifr_flags |= IFF_UP | IFF_RUNNING;
    ioctl(s, SIOCSIFFLAGS, &r);
    if (gateway) {
        struct rtentry route = {.rt_flags = RTF_UP | RTF_GATEWAY};
        ((struct sockaddr_in *)&route.rt_dst)->sin_family = AF_INET;
        ((struct sockaddr_in *)&route.rt_genmask)->sin_family = AF_INET;
        struct sockaddr_in *g = (struct sockaddr_in *)&route.rt_gateway;
        g->sin_family = AF_INET;
        inet_pton(AF_INET, gateway, &g->sin_addr);
        if (ioctl(s, SIOCADDRT, &route)) say("KIT-WARN no route\n");
    }
    close(s);
}

static void write_file(const char *path, const char *text) {
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (file < 0) return;
    if (write(file, text, strlen(text)) < 0) say("KIT-WARN a file could not be written\n");
    close(file);
}

static void network(void) {
    char address[64], gateway[64] = "";
    interface_up("lo", NULL, 0, NULL);
    /* A new MAC address is told to the host at once (ip-sysctl: arp_notify). */
    write_file("/proc/sys/net/ipv4/conf/all/arp_notify", "1");
    write_file("/proc/sys/net/ipv4/conf/default/arp_notify", "1");
    if (!argument("ip", address, sizeof address)) return;
    argument("gw", gateway, sizeof gateway);
    char *slash = strchr(address, '/');
    int prefix = slash ? atoi(slash + 1) : 24;
    if (slash) *slash = 0;
    write_file("/proc/sys/net/ipv4/conf/eth0/arp_notify", "1");
    interface_up("eth0", address, prefix, *gateway ? gateway : NULL);
}

static void mount_root(void) {
    struct timespec pause = {.tv_nsec = 2000000};
    for (int tries = 0; tries < 2000 && access(ROOT_DEVICE, F_OK); tries++) nanosleep(&pause, NULL);
    mkdir("/root", 0755);
    if (mount(ROOT_DEVICE, "/root", "ext4", MS_NOATIME, "discard," LAZY_TABLES_OFF)) die("the root disk cannot be mounted");
    if (chdir("/root")) die("chdir");
    static const char *const folders[] = {"dev", "proc", "sys", "run", "tmp", "root", "etc"};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) mkdir(folders[i], 0755);
}

static void mount_rest(void) {
    mount("/dev", "dev", NULL, MS_MOVE, NULL);
    mount("/proc", "proc", NULL, MS_MOVE, NULL);
    mount("/sys", "sys", NULL, MS_MOVE, NULL);
    mkdir("dev/pts", 0755);
    mkdir("dev/shm", 01777);
    mount("devpts", "dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "gid=5,mode=620,ptmxmode=666");
    mount("shm", "dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777");
    mount("run", "run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755");
    mount("tmp", "tmp", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777");
    mount("cgroup2", "sys/fs/cgroup", "cgroup2", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
    static const char *const links[][2] = {
        {"/proc/self/fd", "dev/fd"}, {"/proc/self/fd/0", "dev/stdin"}, {"/proc/self/fd/1", "dev/stdout"}, {"/proc/self/fd/2", "dev/stderr"}};
    for (size_t i = 0; i < 4; i++)
        if (symlink(links[i][0], links[i][1]) && errno != EEXIST) say("KIT-WARN a link in /dev is missing\n");
    if (access("etc/passwd", F_OK)) write_file("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n");
    if (access("etc/group", F_OK)) write_file("etc/group", "root:x:0:\ntty:x:5:\n");
}

static void take_token(uint8_t token[TOKEN_BYTES]) {
    char hex[2 * TOKEN_BYTES + 1];
    if (!argument("token", hex, sizeof hex) || strlen(hex) != 2 * TOKEN_BYTES) die("there is no token");
    for (size_t i = 0; i < TOKEN_BYTES; i++) {
        unsigned value = 0;
        sscanf(hex + 2 * i, "%2x", &value);
        token[i] = (uint8_t)value;
    }
}

void boot(uint8_t token[TOKEN_BYTES]) {
    booted = true;
    mkdir("/dev", 0755);
    mkdir("/proc", 0555);
    mkdir("/sys", 0555);
    mount("dev", "/dev", "devtmpfs", 0, "mode=755");
    mount("proc", "/proc", "proc", 0, NULL);
    mount("sys", "/sys", "sysfs", 0, NULL);
    console = open("/dev/console", O_WRONLY | O_CLOEXEC | O_NOCTTY);
    int file = open("/proc/cmdline", O_RDONLY | O_CLOEXEC);
    if (file < 0 || read(file, arguments, sizeof arguments - 1) < 0) die("/proc/cmdline");
    close(file);
    take_token(token);
    load_modules();
    char name[65];
    if (argument("host", name, sizeof name) && sethostname(name, strlen(name))) say("KIT-WARN no host name\n");
    mount_root();
    network();
    mount_rest();
    if (mount(".", "/", NULL, MS_MOVE, NULL) || chroot(".") || chdir("/")) die("the root cannot be switched");
    struct failure f;
    if (!grow_root(0, &f)) say("KIT-WARN the root file system could not be grown\n");
    say("KIT-READY\n");
}

static bool remount_root(const char *option) { return !mount(NULL, "/", NULL, MS_REMOUNT | MS_NOATIME, option); }

/* How often the size of a device that is to grow is looked at, and how many times: two seconds in all. */
enum { GROWTH_WAIT_NS = 2000000, GROWTH_LOOKS = 1000 };

/*
 * Reads the device's size. The host tells the device's new size to the kernel, which takes it some moments later, in the
 * background: as long as it is less than `least`, this looks again.
 */
static bool device_size(int device, uint64_t least, uint64_t *size) {
    const struct timespec pause = {.tv_nsec = GROWTH_WAIT_NS};
    for (int looks = 0; looks < GROWTH_LOOKS; looks++) {
        if (ioctl(device, BLKGETSIZE64, size)) return false;
        if (*size >= least) return true;
        nanosleep(&pause, NULL);
    }
    errno = ETIMEDOUT;
    return false;
}

bool grow_root(uint64_t least_bytes, struct failure *f) {
    if (!booted) return fail(f, E_NOT_A_GUEST, "not in a guest");
    uint64_t size;
    struct statfs root;
    int device = open(ROOT_DEVICE, O_RDONLY | O_CLOEXEC), folder = open("/", O_RDONLY | O_CLOEXEC);
    bool ok = false;
    if (device < 0 || folder < 0 || !device_size(device, least_bytes, &size) || statfs("/", &root)) {
        fail(f, E_INTERNAL, "the root disk cannot be looked at: %s", strerror(errno));
    } else {
        uint64_t blocks = size / (uint64_t)root.f_bsize;
        /* While it is off the kernel writes the tables of new groups before it answers (fs/ext4/resize.c: the groups get
           EXT4_BG_INODE_ZEROED). On, it would some seconds later, and turning it off takes that back. */
        remount_root(LAZY_TABLES_ON);
        ok = !ioctl(folder, EXT4_IOC_RESIZE_FS, &blocks);
        if (!ok) fail(f, E_INTERNAL, "the root file system cannot be grown: %s", strerror(errno));
        if (!remount_root(LAZY_TABLES_OFF)) say("KIT-WARN unused inode tables will be written\n");
    }
    if (device >= 0) close(device);
    if (folder >= 0) close(folder);
    return ok;
}

void power_off(void) {
    if (!booted) _exit(1);
    sync();
    kill(-1, SIGTERM);
    struct timespec moment = {.tv_nsec = 200000000};
    nanosleep(&moment, NULL);
    kill(-1, SIGKILL);
    sync();
    mount(NULL, "/", NULL, MS_REMOUNT | MS_RDONLY, NULL);
    reboot(RB_POWER_OFF);
    _exit(1);
}
