import t from 'tap';
import { holding, sandboxWorld } from './sandbox-world.ts';

/** An exec goes beside the mailbox, but not past what was there before it. */

for (const command of ['pause', 'restart'] as const)
  t.test(`an exec that comes while a ${command} is being written is not begun`, async (t) => {
    const { create, context, guest } = await sandboxWorld(t);
    const leaving = holding(({ value }) => /draining|stoppingVm/.test(JSON.stringify(value)));
    const sandbox = await create({ timeout_s: 60 }, leaving.wrap);
    const left = sandbox.command(command, {}, context());
    await leaving.held();
    t.equal(sandbox.actor.state, 'running', 'nobody can see it yet');
    const exec = sandbox.exec({ argv: ['/bin/true'] }, context());
    leaving.release();
    await t.rejects(exec, { code: 'SANDBOX_WRONG_STATE' });
    t.equal(guest.runs, 0, 'the guest that is about to go was not asked');
    await left;
  });
