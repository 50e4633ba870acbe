import type { ErrorRecord } from '../../errors/index.ts';
import { stateName } from '../system/decide.ts';
import { factsOf, shownTime } from '../system/inspect.ts';
import type { ActorRecord } from '../system/journal.ts';
import type { Transition } from '../system/next-record.ts';
import type { SandboxContext } from './context.ts';
import { sandboxMoment } from './moment.ts';
import type { SandboxState, SandboxTransition, SandboxView } from './protocol.ts';

/** What callers see of a sandbox. An allow-list: secrets and paths of the host stay where they are. */
export function viewOf(record: ActorRecord<SandboxContext>, allowed: string[]): SandboxView {
  const { context } = record;
  const [state, step] = stateName(record.value).split('.');
  return {
    id: context.id,
    team_id: context.teamId,
    host_id: context.hostId,
    template: context.options.template,
    state: state as SandboxState,
    step: step === undefined || step === 'resting' ? null : step,
    vcpus: context.options.vcpus,
    memory_mb: context.options.memory_mb,
    disk_size_mb: context.options.disk_size_mb,
    timeout_s: context.options.timeout_s,
    on_timeout: context.options.on_timeout,
    auto_resume: context.options.auto_resume,
    metadata: context.options.metadata,
    created_at: shownTime(context.createdAtMs),
    updated_at: shownTime(record.enteredAtMs),
    expires_at: context.expiresAtMs === null ? null : shownTime(context.expiresAtMs),
    seq: record.seq,
    execution: context.execution,
    last_error: summary(context.failure ?? context.lastError),
    allowed,
  };
}

/** The event that is published for a transition. */
export function eventOf(transition: Transition<SandboxContext>, sandbox: SandboxView): SandboxTransition {
  const { record } = transition;
  return {
    v: 1,
    sandbox_id: record.context.id,
    team_id: record.context.teamId,
    host_id: record.context.hostId,
    execution: record.context.execution,
    ...factsOf(transition),
    sandbox,
    moment: sandboxMoment(record),
  };
}

function summary(error: ErrorRecord | null): SandboxView['last_error'] {
  return error && { code: error.code, detail: error.detail };
}
