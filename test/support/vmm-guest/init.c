/*
 * /init of the guests in which the virtual machine monitor is tested. It needs no kit and no network: it counts, on the
 * console and in a file on the disk, so that a test sees from outside whether memory and disk went on. What else it does
 * is told by the host name on the kernel's command line.
 *
 * Console: "TEST-READY", then "tick N disk ok" or "disk ERRNO" for each write and fsync; "disk size BYTES" when it changes.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static const useconds_t TICK_US = 20000;

static void fail(const char *what) {
  printf("TEST-FAIL %s: %s\n", what, strerror(errno));
  reboot(RB_POWER_OFF);
}

static void load_modules(void) {
  char name[64], path[80];
  FILE *order = fopen("/m/order", "r");
  if (!order) fail("/m/order");
  while (fscanf(order, "%63s", name) == 1) {
    snprintf(path, sizeof path, "/m/%s", name);
    int module = open(path, O_RDONLY | O_CLOEXEC);
    if (module < 0 || (syscall(SYS_finit_module, module, "", 0) && errno != EEXIST)) fail(name);
    close(module);
  }
  fclose(order);
}

/* Value of dormouse.host= on the kernel's command line. */
static const char *role(void) {
  static char line[4096];
  int file = open("/proc/cmdline", O_RDONLY);
  if (file < 0 || read(file, line, sizeof line - 1) < 0) fail("/proc/cmdline");
  close(file);
  char *value = strstr(line, "dormouse.host=");
  if (!value) return "";
  value += strlen("dormouse.host=");
  value[strcspn(value, " \n")] = 0;
  return value;
}

static unsigned long long disk_size(void) {
  unsigned long long bytes = 0;
  int disk = open("/dev/vda", O_RDONLY | O_CLOEXEC);
  if (disk < 0 || ioctl(disk, BLKGETSIZE64, &bytes)) fail("BLKGETSIZE64");
  close(disk);
  return bytes;
}

static const char *write_to_disk(unsigned long tick) {
  char text[32];
  int length = snprintf(text, sizeof text, "%lu\n", tick);
  int file = open("/disk/tick", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (file < 0) return strerror(errno);
  const char *result = write(file, text, length) == length && !fsync(file) ? "ok" : strerror(errno);
  close(file);
  return result;
}

int main(void) {
  mkdir("/dev", 0755), mkdir("/proc", 0555), mkdir("/disk", 0755);
  mount("dev", "/dev", "devtmpfs", 0, NULL);
  mount("proc", "/proc", "proc", 0, NULL);
  if (!freopen("/dev/console", "w", stdout)) return 1;
  setvbuf(stdout, NULL, _IONBF, 0);
  load_modules();
  for (int tries = 0; access("/dev/vda", F_OK) && tries < 500; tries++) usleep(10000);
  if (mount("/dev/vda", "/disk", "ext4", MS_NOATIME, NULL)) fail("mount");

  const char *does = role();
  printf("TEST-READY\n");
  unsigned long long size = 0;
  for (unsigned long tick = 1;; tick++) {
    if (!strcmp(does, "flood")) {
      printf("a guest may write to its console for ever, as fast as it can, and nobody has to read it\n");
      continue;
    }
    printf("tick %lu disk %s\n", tick, write_to_disk(tick));
    if (disk_size() != size) printf("disk size %llu\n", size = disk_size());
    if (tick == 5 && !strcmp(does, "poweroff")) sync(), reboot(RB_POWER_OFF);
    if (tick == 5 && !strcmp(does, "panic")) return 1;
    usleep(TICK_US);
  }
}
