import test from 'ava';
import { parseConfig } from '../../../shared/config/load.ts';
import { toBackupConfig, toPrimaryConfig } from '../../../shared/config/other-role.ts';
import type { PrimaryConfig } from '../../../shared/config/schema.ts';

const primaryOf = (text: string) =>
  parseConfig(
    `role: primary\nguest: {name: lab, kernel: k, networks: [{kind: cable}]}\n${text}`,
    'file.yaml',
  ) as PrimaryConfig;

test('a mode presets what the file does not say, and nothing that it says', (t) => {
  const fgbi = primaryOf('');
  t.deepEqual([fgbi.mode, fgbi.share.enabled, fgbi.epoch.intervalMs], ['fgbi', true, 100]);
  const remus = primaryOf('mode: remus\ncompress: {general: gzip}\n');
  t.deepEqual([remus.share.enabled, remus.compress.enabled], [false, false]);
  t.deepEqual([remus.output.rule, remus.epoch.liveRounds], ['commit', 0]);
  t.is(remus.compress.general, 'gzip');
  const llm = primaryOf('mode: llm\nepoch: {intervalMs: 700}\nshare: {enabled: true}\n');
  t.deepEqual([llm.output.rule, llm.epoch.intervalMs], ['input-log', 700]);
  t.deepEqual([llm.share.enabled, llm.compress.delta.enabled], [true, false]);
});

test('a host that changes roles keeps its mode', (t) => {
  const there = toPrimaryConfig(toBackupConfig(primaryOf('mode: llm\n')));
  t.deepEqual([there.mode, there.share.enabled, there.output.rule], ['llm', false, 'input-log']);
  t.is(there.epoch.intervalMs, 2000);
});

test("a drill's own guest needs no networks in the file for a rule about cables, another's does", (t) => {
  const lab = 'role: lab\nmode: llm\nguest: {name: lab';
  t.is(parseConfig(`${lab}}\n`, 'file.yaml').output.rule, 'input-log');
  const own = `${lab}, kernel: k}\n`;
  t.throws(() => parseConfig(own, 'file.yaml'), { message: /networks of kind cable/ });
});
