import { writeFile } from 'node:fs/promises';
import { Argument, type Command, Option } from 'commander';
import { ACTOR_KINDS } from '../../actors/system/inspection.ts';
import { DormouseError } from '../../errors/index.ts';
import { type JsonOption, withExamples, withJson } from '../options.ts';
import { print } from '../output.ts';

const FORMATS = ['mermaid', 'json', 'xstate', 'svg'] as const;
type Format = (typeof FORMATS)[number];

interface MachineOptions extends JsonOption {
  format?: Format;
  output?: string;
}

/** `dormouse machine`: the state machines of this version, to look at or to take elsewhere. Works without a server. */
export function addMachineCommand(program: Command): void {
  const command = program
    .command('machine')
    .description("show the state machine of a kind of actor: a diagram, a picture, or its editor's format")
    .addArgument(new Argument('<kind>', 'kind of actor').choices(ACTOR_KINDS))
    .addOption(
      new Option('--format <format>', 'json: the drawing; xstate: the definition')
        .choices(FORMATS)
        .default('mermaid'),
    )
    .option('--output <file>', 'write to this file instead of standard output')
    .action(async (kind: string, { format = 'mermaid', output, json = false }: MachineOptions) => {
      const text = await textOf(kind, json ? 'json' : format);
      if (output === undefined) return print(text);
      await writeFile(output, `${text}\n`).catch((cause: NodeJS.ErrnoException) => {
        throw new DormouseError(
          'INVALID_REQUEST',
          `${output} cannot be written (${cause.code}). Name a file in a folder that is there and that you may write to.`,
          { cause },
        );
      });
    });
  withExamples(withJson(command, 'the same as --format json'), [
    ['dormouse machine sandbox', 'a Mermaid diagram, which GitHub draws'],
    ['dormouse machine sandbox --format svg --output sandbox.svg', 'a picture'],
  ]);
}

async function textOf(kind: string, format: Format): Promise<string> {
  // Loaded when it is run: it brings the machines of all actors with it.
  const machines = await import('../../machines/index.ts');
  switch (format) {
    case 'mermaid':
      return machines.mermaidOf(machines.machineGraph(kind)).trimEnd();
    case 'json':
      return JSON.stringify(await machines.machineDrawing(kind));
    case 'xstate':
      return JSON.stringify(machines.machineDefinition(kind), null, 2);
    case 'svg':
      return machines.svgOf(await machines.machineDrawing(kind)).trimEnd();
  }
}
