/** What a person sees of a drill. Nothing at all with `--json`. */
export interface Progress {
  /** A new part of the drill. */
  heading(text: string): void;
  line(text: string): void;
  /** A line that the next one replaces on a terminal; elsewhere it shows once a second. */
  live(text: string): void;
}

export const silentProgress: Progress = { heading() {}, line() {}, live() {} };

export interface Output {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

export function createProgress(output: Output): Progress {
  const isTerminal = output.isTTY === true;
  const bold = (text: string) => (isTerminal ? `\x1b[1m${text}\x1b[0m` : text);
  const eraseLine = '\r\x1b[K';
  let isLive = false;
  let liveAtMs = Number.NEGATIVE_INFINITY;
  const print = (text: string) => {
    output.write(isLive ? `${eraseLine}${text}\n` : `${text}\n`);
    isLive = false;
  };
  return {
    heading: (text) => print(`\n${bold(text)}`),
    line: (text) => print(`  ${text}`),
    live(text) {
      if (isTerminal) {
        output.write(`${eraseLine}  ${text.slice(0, (output.columns ?? 80) - 3)}`);
        isLive = true;
        return;
      }
      const nowMs = performance.now();
      if (nowMs - liveAtMs < 1000) return;
      liveAtMs = nowMs;
      print(`  ${text}`);
    },
  };
}
