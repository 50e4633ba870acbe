import type { Command } from 'commander';
import { loadConfig } from '../../config/config.ts';
import { withExamples, withJson } from '../options.ts';
import { print } from '../output.ts';

/** `dormouse doctor`: what this machine has, and what each missing thing costs. */
export function addDoctorCommand(program: Command): void {
  const command = program
    .command('doctor')
    .description('say what this machine has of what Dormouse uses; status 1 when something needed is missing')
    .action(async ({ json = false }: { json?: boolean }) => {
      // Loaded when it is run: it brings the drivers with it.
      const { runDoctor } = await import('../../doctor/index.ts');
      const { text, ok } = await runDoctor(loadConfig(), { json });
      print(text.trimEnd());
      if (!ok) process.exitCode = 1;
    });
  withExamples(withJson(command, 'print the findings as one JSON document'), [
    ['dormouse doctor', 'accelerator, disks, network, versions'],
  ]);
}
