import { describeVariables } from '../config/config.ts';

const WIDTH = 80;
const INDENT = '      ';

/** All settings, for the help of the commands that run a role. */
export function settingsHelp(): string {
  const settings = describeVariables().map(({ name, fallback, help }) => {
    const text = fallback === '' ? help : `${help} [${fallback}]`;
    return `  ${name}\n${wrap(text)}`;
  });
  return `\nSettings (environment variables, with their defaults):\n${settings.join('\n')}`;
}

function wrap(text: string): string {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && INDENT.length + line.length + 1 + word.length > WIDTH) {
      lines.push(INDENT + line);
      line = '';
    }
    line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, INDENT + line].join('\n');
}
