import { Random } from '../../random.ts';

/**
 * Fills bytes `from` to `end - 1` with text: phrases of one to four words, numbers and line
 * ends, drawn so that no two pages are equal but a compressor finds what it finds in logs.
 */
export function fillPhrases(random: Random, bytes: Uint8Array, from: number, end: number): void {
  let at = from;
  while (at < end) {
    const draw = random.u32();
    const start = phraseStarts[draw & phraseMask]!;
    const stop = Math.min(phraseStarts[(draw & phraseMask) + 1]!, start + end - at);
    for (let i = start; i < stop; i++) bytes[at++] = phraseBytes[i]!;
    if (draw >>> 29 === 0 && end - at > 8) at = writeDecimal(bytes, at, (draw >>> 12) & 0xffff, 5);
  }
}

/** Writes `value` in `digits` decimal digits, zeros in front, high digits cut off. */
export function writeDecimal(bytes: Uint8Array, at: number, value: number, digits: number): number {
  let rest = value;
  for (let i = at + digits - 1; i >= at; i--) {
    const quotient = Math.floor(rest / 10);
    bytes[i] = 48 + (rest - quotient * 10);
    rest = quotient;
  }
  return at + digits;
}

/** Writes ASCII `text`. Returns where it ends. */
export function writeAscii(bytes: Uint8Array, at: number, text: string): number {
  for (let i = 0; i < text.length; i++) bytes[at + i] = text.charCodeAt(i);
  return at + text.length;
}

const words = (
  'the of and to in is for that with on as are this be by not from or an it at kernel systemd ' +
  'daemon service started stopped failed user session network interface link up down eth0 lo ' +
  'memory page cache buffer write read open close file path usr lib share etc var log run proc ' +
  'sys dev device driver module loaded error warning info debug notice request response status ' +
  'client server connection timeout retry accept reject address port socket thread process pid ' +
  'signal return value name type index count size offset length data key hash table list node ' +
  'next prev head tail lock unlock mutex wait wake queue worker task job event handler callback ' +
  'int char void struct static const unsigned long if else while switch case break default ' +
  'configuration option enable disable true false none auto default version release update ' +
  'license copyright software foundation public general terms conditions warranty permission'
).split(' ');

const phraseCount = 4096;
const phraseMask = phraseCount - 1;
const { phraseBytes, phraseStarts } = makePhrases();

/** The phrases are the same for every seed: they are the language, not the text. */
function makePhrases(): { phraseBytes: Uint8Array; phraseStarts: Uint32Array } {
  const random = new Random(0x7e47);
  const starts = new Uint32Array(phraseCount + 1);
  let text = '';
  for (let i = 0; i < phraseCount; i++) {
    starts[i] = text.length;
    const wordCount = 1 + random.below(4);
    for (let w = 0; w < wordCount; w++) text += `${words[random.below(words.length)]!} `;
    const ending = random.below(12);
    if (ending === 0) text += '\n';
    else if (ending === 1) text += '= ';
    else if (ending === 2) text += '[';
    else if (ending === 3) text += '/';
  }
  starts[phraseCount] = text.length;
  const bytes = new Uint8Array(text.length);
  writeAscii(bytes, 0, text);
  return { phraseBytes: bytes, phraseStarts: starts };
}
