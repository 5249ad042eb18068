import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { isUnderstudyError } from '../../../shared/errors.ts';
import { QmpClient, type QmpEvent } from '../../../shared/qemu/qmp.ts';
import { QmpLines, qmpLineBytesMax } from '../../../shared/qemu/qmp-lines.ts';
import { done, FakeMonitor, type Request } from './fake-monitor.ts';

const folder = mkdtempSync(join(tmpdir(), 'understudy-qmp-'));
const monitors: FakeMonitor[] = [];
test.after.always(() => {
  for (const monitor of monitors) monitor.close();
  rmSync(folder, { recursive: true, force: true });
});

function monitor(answer: (request: Request) => string, hello?: string): string {
  const path = join(folder, `monitor-${monitors.length}.sock`);
  monitors.push(new FakeMonitor(path, answer, hello));
  return path;
}

test('answers reach their commands even out of order, events come first', async (t) => {
  let held = '';
  const path = monitor((request) => {
    if (request.execute === 'first') {
      held = `{"return": "one", "id": ${request.id}}\r\n`;
      return '';
    }
    if (request.execute !== 'second') return done(request);
    return `{"event": "STOP", "data": {}}\r\n{"return": "two", "id": ${request.id}}\r\n${held}`;
  });
  const qmp = await QmpClient.connect({ path });
  const seen: string[] = [];
  qmp.onEvent((event: QmpEvent) => seen.push(event.event));
  const first = qmp.execute('first').then((value) => seen.push(String(value)));
  await qmp.execute('second').then((value) => seen.push(String(value)));
  await first;
  t.deepEqual(seen, ['STOP', 'two', 'one']);
  qmp.close();
});

test('a refused command is E_QMP_ERROR with the reason that QEMU gave', async (t) => {
  const path = monitor((request) =>
    request.execute === 'bad'
      ? `{"id": ${request.id}, "error": {"class": "GenericError", "desc": "no such thing"}}\n`
      : done(request),
  );
  const qmp = await QmpClient.connect({ path });
  const error = await t.throwsAsync(qmp.execute('bad'));
  t.true(isUnderstudyError(error, 'E_QMP_ERROR'));
  t.regex(String(error?.message), /no such thing/);
  await qmp.execute('good');
  qmp.close();
});

test('a monitor that hangs is E_QMP_TIMEOUT, and its late answer harms nobody', async (t) => {
  let late = '';
  const path = monitor((request) => {
    if (request.execute === 'slow') {
      late = `{"return": "late", "id": ${request.id}}\r\n`;
      return '';
    }
    return `${late}{"return": "${request.execute}", "id": ${request.id}}\r\n`;
  });
  const qmp = await QmpClient.connect({ path });
  const error = await t.throwsAsync(qmp.execute('slow', {}, { timeoutMs: 30 }));
  t.true(isUnderstudyError(error, 'E_QMP_TIMEOUT'));
  t.is(await qmp.execute('next'), 'next');
  qmp.close();
});

test('a monitor that never greets is E_QMP_TIMEOUT, one that never appears as well', async (t) => {
  const silent = monitor(done, '');
  for (const path of [silent, join(folder, 'absent.sock')]) {
    const error = await t.throwsAsync(QmpClient.connect({ path, timeoutMs: 60 }));
    t.true(isUnderstudyError(error, 'E_QMP_TIMEOUT'), String(error));
  }
});

test('the end of a connection is E_QMP_CLOSED for every command and is told once', async (t) => {
  const path = monitor((request) => (request.execute === 'hang' ? '' : done(request)));
  const ours = monitors.at(-1)!;
  const qmp = await QmpClient.connect({ path });
  let told = 0;
  qmp.onClose(() => {
    told += 1;
  });
  const hanging = qmp.execute('hang');
  ours.sockets[0]!.destroy();
  t.true(isUnderstudyError(await t.throwsAsync(hanging), 'E_QMP_CLOSED'));
  t.true(isUnderstudyError(await t.throwsAsync(qmp.execute('more')), 'E_QMP_CLOSED'));
  t.is(told, 1);
  t.true(qmp.closed);
});

test('what is not QMP is E_QMP_PROTOCOL and memory stays bounded', async (t) => {
  const path = monitor(done, 'QEMU 7.2.22 monitor - type help\r\n');
  const error = await t.throwsAsync(QmpClient.connect({ path, timeoutMs: 60_000 }));
  t.true(isUnderstudyError(error, 'E_QMP_PROTOCOL'), String(error));
  const lines = new QmpLines();
  const chunk = Buffer.alloc(2 ** 20, 0x20);
  const flood = t.throws(() => {
    for (let i = 0; i <= qmpLineBytesMax / chunk.length; i++) lines.push(chunk);
  });
  t.true(isUnderstudyError(flood, 'E_QMP_PROTOCOL'));
});

test('lines are the same however the bytes are cut', (t) => {
  const bytes = Buffer.from('{"a":"ä"}\r\n\r\n{"b":2}\n{"c":[3]}\r\n');
  for (let cut = 0; cut <= bytes.length; cut++) {
    const lines = new QmpLines();
    const found = [...lines.push(bytes.subarray(0, cut)), ...lines.push(bytes.subarray(cut))];
    t.deepEqual(found, [{ a: 'ä' }, { b: 2 }, { c: [3] }]);
  }
});
