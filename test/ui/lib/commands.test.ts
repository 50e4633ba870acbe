import t from 'tap';
import { sandboxCommands as protocol } from '../../../src/actors/sandbox/protocol.ts';
import { schedulerCommands } from '../../../src/actors/scheduler/protocol.ts';
import { problemsOf } from '../../../src/bus/schema.ts';
import { SCHEDULER_SUBJECT, sandboxSubject } from '../../../src/bus/subjects.ts';
import {
  createCall,
  getCall,
  SANDBOX_COMMAND_NAMES,
  sandboxCommands,
  type Values,
} from '../../../src/ui/lib/commands.ts';

const target = { team: '00000000-0000-4000-8000-000000000001', id: 'sb-aqwzlq2j3g3zo5y5uutk' };

/** What a person fills in where nothing stands at first. */
const FILLED_IN: Values = { name: 'warm' };

t.test('a page offers every command that a sandbox has for people', async (t) => {
  const others = Object.keys(protocol).filter((name) => !(name in sandboxCommands));
  // `get` and `inspect` only look.
  t.same(others.sort(), ['get', 'inspect']);
});

t.test('what is shown as a request over NATS is what the actors take', async (t) => {
  for (const name of SANDBOX_COMMAND_NAMES) {
    const { call, fields } = sandboxCommands[name];
    const values = {
      ...Object.fromEntries(fields.map((field) => [field.name, field.initial])),
      ...FILLED_IN,
    };
    const { nats } = call(target, values);
    const command = name === 'fork' ? schedulerCommands.fork : protocol[name];
    const base = name === 'fork' ? SCHEDULER_SUBJECT : sandboxSubject(target.team, target.id);
    t.equal(nats?.subject, `${base}.${name}`);
    t.same(problemsOf(command.request, nats?.body), [], name);
    t.equal(nats?.timeoutS, command.defaultTimeoutMs / 1000, `${name} waits as long as the command may take`);
  }
});

t.test('a create over NATS is what the scheduler takes', async (t) => {
  const { nats, body } = createCall(target.team, { template: 'minimal', vcpus: 2 });
  t.equal(nats?.subject, `${SCHEDULER_SUBJECT}.create`);
  t.same(problemsOf(schedulerCommands.create.request, nats?.body), []);
  t.equal(nats?.timeoutS, schedulerCommands.create.defaultTimeoutMs / 1000);
  t.same(body, { template: 'minimal', vcpus: 2 }, 'over HTTP the team is that of the key');
});

t.test('a question over NATS is what the sandbox takes', async (t) => {
  const { nats } = getCall(target);
  t.equal(nats?.subject, `${sandboxSubject(target.team, target.id)}.get`);
  t.equal(nats?.timeoutS, protocol.get.defaultTimeoutMs / 1000);
});

t.test('what cannot be undone is asked about', async (t) => {
  const dangerous = SANDBOX_COMMAND_NAMES.filter((name) => sandboxCommands[name].isDangerous);
  t.same(dangerous, ['restart', 'destroy']);
});
