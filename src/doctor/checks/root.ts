import type { Check } from '../finding.ts';

export const checkRoot: Check = async () => {
  const name = 'root';
  const uid = process.getuid?.();
  if (uid === 0) return { name, status: 'ok', found: 'this process is root' };
  return {
    name,
    status: 'missing',
    found: `this process has user id ${uid}`,
    cost: 'no network slots, no loop devices, no mounts',
    remedy: 'run Dormouse as root',
  };
};
