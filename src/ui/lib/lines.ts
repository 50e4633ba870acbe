/** Cuts a text that comes in pieces into its lines; empty ones are left out. */
export function lineReader(onLine: (line: string) => void): { take(text: string): void; end(): void } {
  let rest = '';
  const tell = (line: string): void => {
    if (line.trim() !== '') onLine(line);
  };
  return {
    take(text) {
      const lines = (rest + text).split('\n');
      rest = lines.pop() ?? '';
      lines.forEach(tell);
    },
    end() {
      tell(rest);
      rest = '';
    },
  };
}
