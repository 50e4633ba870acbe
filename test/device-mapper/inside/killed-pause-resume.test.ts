import t from 'tap';
import { die } from '../../support/kill-places.ts';
import { hostLab } from '../host-lab.ts';
import { devicePlaces, settle } from '../killed.ts';

/** The host is killed wherever a pause and a resume have changed a device. */

const lab = await hostLab(t);

t.test('killed while it pauses and resumes', async (t) => {
  const id = await lab.sandbox(t);
  const pause = (): Promise<unknown> => lab.host().command(id, 'pause');
  const resume = (): Promise<unknown> => lab.host().command(id, 'resume');
  const pauses = await devicePlaces(t, lab, 'pause', pause);
  const resumes = await devicePlaces(t, lab, 'resume', resume);
  // In turns, since what follows a pause is mostly a resume.
  for (let index = 0; index < Math.max(pauses.length, resumes.length); index += 1) {
    const [first, second] = [pauses[index], resumes[index]];
    if (first) {
      await die(lab, first, pause);
      await settle(t, lab, id, `pause, ${first.point} ${first.nth}`, second ? 'paused' : 'running');
    } else await pause();
    if (second) {
      await die(lab, second, resume);
      await settle(t, lab, id, `resume, ${second.point} ${second.nth}`, 'running');
    }
  }
});
