import { CommanderError } from 'commander';
import { printJson, say } from './output.ts';
import { describeProblem, problemOf } from './problem.ts';
import { createProgram } from './program.ts';

/** The process of the command line. Sets the exit status and lets the process end by itself, so that no output is lost. */

const STATUS_FAILED = 1;
const STATUS_USAGE = 2;

const program = createProgram();
let wantsJson = false;
program.hook('preAction', (_program, command) => {
  wantsJson = command.opts().json === true;
});

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) {
    // It has printed its message, or the help or version that was asked for.
    process.exitCode = error.exitCode === 0 ? 0 : STATUS_USAGE;
  } else {
    // A command may have chosen a status of its own, such as that of a program that was not found.
    process.exitCode ??= STATUS_FAILED;
    const problem = problemOf(error);
    if (wantsJson) printJson(problem);
    for (const line of describeProblem(problem)) say(line);
  }
}
