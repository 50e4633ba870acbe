import { DormouseError } from '../../errors/index.ts';
import type { TemplateInfo } from '../host/template-protocol.ts';
import { SandboxOptions, type SandboxView } from '../sandbox/protocol.ts';

/** What a caller asks for; the rest is the template's, or a default. */
export type AskedOptions = Partial<SandboxOptions>;

/** What the schema says of options that no template has a word on. */
const DEFAULTS = Object.fromEntries(
  (['template', 'timeout_s', 'on_timeout', 'auto_resume'] as const).map((name) => [
    name,
    (SandboxOptions.properties[name] as { default?: unknown }).default,
  ]),
) as Pick<SandboxOptions, 'template' | 'timeout_s' | 'on_timeout' | 'auto_resume'>;

/** Name of the template that is asked for. */
export function templateNameOf({ template = DEFAULTS.template }: AskedOptions): string {
  return template;
}

/**
 * All options of a sandbox that is made from the template. A template with a memory gives its own vCPUs and memory: they are part
 * of what was saved.
 *
 * @throws `INVALID_SIZE` when such a one is asked for with others
 */
export function completeOptions(asked: AskedOptions, template: TemplateInfo): SandboxOptions {
  const options = {
    ...DEFAULTS,
    vcpus: template.vcpus,
    memory_mb: template.memory_mb,
    disk_size_mb: template.disk_size_mb,
    ...asked,
  };
  const { vcpus, memory_mb } = options;
  if (template.memory && (vcpus !== template.vcpus || memory_mb !== template.memory_mb))
    throw new DormouseError(
      'INVALID_SIZE',
      `The template "${template.name}" has a memory, which has ${template.vcpus} vCPUs and ${template.memory_mb} MiB; ${vcpus} and ${memory_mb} were asked for. Leave both out.`,
      {
        data: { vcpus, memory_mb, template_vcpus: template.vcpus, template_memory_mb: template.memory_mb },
      },
    );
  return options;
}

/** The options that a sandbox was made with. */
export function optionsOf(view: SandboxView): SandboxOptions {
  const { template, vcpus, memory_mb, disk_size_mb, timeout_s, on_timeout, auto_resume, metadata } = view;
  return { template, vcpus, memory_mb, disk_size_mb, timeout_s, on_timeout, auto_resume, metadata };
}
