/** st_dev as sysfs writes it, `major:minor`: glibc's gnu_dev_major and gnu_dev_minor, makedev(3). */
export function deviceNumber(dev: number): string {
  const bits = BigInt(dev);
  const major = ((bits >> 8n) & 0xfffn) | ((bits >> 32n) & ~0xfffn);
  const minor = (bits & 0xffn) | ((bits >> 12n) & ~0xffn);
  return `${major}:${minor}`;
}
