import test from 'ava';
import { loadConfig, parseConfig } from '../../../shared/config/load.ts';
import { ConfigError, describeProblem } from '../../../shared/config/problem.ts';
import { isUnderstudyError } from '../../../shared/errors.ts';

/** A primary's file that is right, to which each test adds what is wrong. */
const right = `role: primary
guest:
  name: lab
  kernel: vmlinuz
`;

interface Refusal {
  readonly code: string;
  readonly problems: readonly string[];
}

function refusalOf(text: string): Refusal {
  try {
    parseConfig(text, 'file.yaml');
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return { code: error.code, problems: error.problems.map(describeProblem) };
  }
  return { code: 'accepted', problems: [] };
}

/** Refused for exactly one thing, with that text. */
const onlyProblemOf = (text: string) => {
  const { code, problems } = refusalOf(text);
  return problems.length === 1 ? `${code} ${problems[0]}` : { code, problems };
};

test('a file that is right is accepted', (t) => {
  t.deepEqual(refusalOf(right), { code: 'accepted', problems: [] });
});

test('an unknown key is refused where it stands, with the key that was probably meant', (t) => {
  t.is(
    onlyProblemOf(`${right}epoch:\n  intervallMs: 100\n`),
    'E_CONFIG_INVALID 6:3: epoch.intervallMs: unknown key; did you mean intervalMs?',
  );
  t.is(
    onlyProblemOf(`${right}compres:\n  enabled: true\n`),
    'E_CONFIG_INVALID 5:1: compres: unknown key; did you mean compress?',
  );
});

test('a key in the wrong section is refused with the section it belongs to', (t) => {
  t.is(
    onlyProblemOf(`${right}keptPages: 32MiB\n`),
    'E_CONFIG_INVALID 5:1: keptPages: unknown key; it belongs under compress.delta',
  );
});

test('a key that resembles none is refused with the keys that there are', (t) => {
  t.is(
    onlyProblemOf(`${right}share:\n  zebra: 1\n`),
    'E_CONFIG_INVALID 6:3: share.zebra: unknown key; the keys here are enabled',
  );
});

test('names from the object prototype are unknown keys like any other', (t) => {
  for (const name of ['constructor', '__proto__', 'toString']) {
    const { code, problems } = refusalOf(`${right}${name}: 1\n`);
    t.is(code, 'E_CONFIG_INVALID');
    t.regex(problems[0]!, /unknown key/);
  }
});

test("a key of the other role's file is refused with that explanation", (t) => {
  t.is(
    onlyProblemOf(`${right}staging:\n  bytesMax: 1GiB\n`),
    "E_CONFIG_INVALID 5:1: staging: a key of a backup's or a lab's file, and this is a primary's",
  );
  t.is(
    onlyProblemOf(`${right}verify:\n  atTakeover: full\n`),
    'E_CONFIG_INVALID 6:3: verify.atTakeover: ' +
      "a key of a backup's or a lab's file, and this is a primary's",
  );
  t.is(
    onlyProblemOf(`${right.replace('primary', 'backup')}epoch:\n  intervalMs: 100\n`),
    "E_CONFIG_INVALID 5:1: epoch: a key of a primary's or a lab's file, and this is a backup's",
  );
});

const wrongValues: readonly (readonly [string, string])[] = [
  ['epoch:\n  intervalMs: fast\n', 'expected a whole number from 10 to 60000, found "fast"'],
  [
    'epoch:\n  intervalMs: 99.5\n',
    'expected a whole number from 10 to 60000, found the number 99.5',
  ],
  ['epoch:\n  intervalMs: 5\n', 'expected a whole number from 10 to 60000, found the number 5'],
  ['epoch:\n  intervalMs: .inf\n', 'found the number Infinity'],
  ['epoch:\n  intervalMs:\n', 'expected a whole number from 10 to 60000, found nothing'],
  ['epoch:\n  intervalMs: [100]\n', 'expected a whole number from 10 to 60000, found a list'],
  [
    'epoch: 100\n',
    'expected a section with intervalMs, shortestMs, longestMs, liveRounds, captureBuffer, found',
  ],
  ['share:\n  enabled: yes\n', 'expected true or false, found "yes"; did you mean true?'],
  ['tracker: softdirty\n', 'found "softdirty"; did you mean soft-dirty?'],
  ['identify:\n  blockBytes: 100\n', 'expected 64, 128 or 256, found the number 100'],
  ['flow:\n  window: 16M\n', 'found "16M"; did you mean 16MiB?'],
  ['flow:\n  window: 16777216\n', 'expected a size with its unit, such as 512MiB'],
  ['flow:\n  window: 1TiB\n', 'from 4MiB to 32MiB, found "1TiB"'],
  [
    'nats:\n  servers: nats://a:4222\n',
    'expected a list of at least 1 and at most 64, found "nats',
  ],
  ['nats:\n  servers: []\n', 'expected a list of at least 1 and at most 64, found 0'],
  ['nats:\n  servers: ["http://a"]\n', 'expected a server such as nats://host:4222'],
];
for (const [text, expected] of wrongValues) {
  test(`a wrong value is refused with what was expected: ${JSON.stringify(text)}`, (t) => {
    const refusal = onlyProblemOf(right + text);
    t.true(typeof refusal === 'string' && refusal.includes(expected), String(refusal));
  });
}

test('memory that is no multiple of 2MiB is refused', (t) => {
  const text = right.replace('kernel', 'memory: 511MiB\n  kernel');
  t.regex(String(onlyProblemOf(text)), /4:3: guest.memory: .*a multiple of 2MiB, found "511MiB"/);
});

test('a port out of range is refused with its place in the list', (t) => {
  const text = `${right}  networks:
    - hostForward:
        - { hostPort: 8080, guestPort: 80 }
        - { hostPort: 65536, guestPort: 0 }
`;
  t.deepEqual(refusalOf(text).problems, [
    '8:13: guest.networks[0].hostForward[1].hostPort: ' +
      'expected a whole number from 1 to 65535, found the number 65536',
    '8:30: guest.networks[0].hostForward[1].guestPort: ' +
      'expected a whole number from 1 to 65535, found the number 0',
  ]);
});

const conflicts: readonly (readonly [string, string, string])[] = [
  ['heartbeat:\n  limitMs: 100\n', 'heartbeat.limitMs', 'must be at least 3 times'],
  ['heartbeat:\n  intervalMs: 100\n', 'heartbeat.limitMs', 'must be at least 3 times'],
  [
    'flow:\n  window: 4MiB\n  chunk: 1MiB\n',
    'flow.window',
    '4MiB does not hold 4 messages of flow.chunk (1MiB)',
  ],
  ['output: {rule: unsafe}\n', 'output.rule', 'unsafe is about networks of kind cable'],
  ['output: {rule: input-log}\n', 'output.rule', 'input-log is about networks of kind cable'],
  ['nats:\n  user: me\n', 'nats.user', 'set nats.user and nats.passwordFile, or none'],
  ['nats:\n  tls: {keyFile: k}\n', 'nats.tls.certFile', 'set nats.tls.certFile and nats.tls.k'],
  [
    'nats: {tokenFile: t, credentialsFile: c}\n',
    'nats.tokenFile',
    'log in with a user, an nkey, a token or credentials, one of them',
  ],
  [
    'nats:\n  nkeySeedFile: s\n  user: me\n  passwordFile: p\n',
    'nats.tokenFile',
    'log in with a user, an nkey, a token or credentials, one of them',
  ],
  ['epoch:\n  shortestMs: 101\n', 'epoch.shortestMs', 'at most epoch.intervalMs (100)'],
  ['epoch:\n  longestMs: 99\n', 'epoch.longestMs', 'at least epoch.intervalMs (100)'],
  ['epoch:\n  captureBuffer: 1GiB\n', 'epoch.captureBuffer', 'at most guest.memory (512MiB)'],
  [
    'compress:\n  delta:\n    keptPages: 1GiB\n',
    'compress.delta.keptPages',
    'at most guest.memory (512MiB)',
  ],
];
for (const [text, key, expected] of conflicts) {
  test(`an impossible combination is refused: ${JSON.stringify(text)}`, (t) => {
    const { code, problems } = refusalOf(right + text);
    t.is(code, 'E_CONFIG_CONFLICT');
    t.is(problems.length, 1);
    t.regex(problems[0]!, /^[5-7]:/);
    t.true(problems[0]!.includes(` ${key}: `), problems[0]);
    t.true(problems[0]!.includes(expected), problems[0]);
  });
}

const inClear = 'guest memory would cross it in clear';
const servers: readonly (readonly [string, string | undefined])[] = [
  ['servers: ["nats://far.example:4222"]', inClear],
  ['servers: ["10.1.2.3"]', inClear],
  ['servers: ["nats://[fd00::1]:4222"]', inClear],
  ['servers: ["nats://127.0.0.1.example"]', inClear],
  ['servers: ["nats://localhost", "nats://far.example"]', inClear],
  ['tls: {}\n  servers: ["nats://far.example:4222"]', inClear],
  ['tls: off\n  servers: ["tls://far.example:4222"]', 'nats.tls is off: remove one of the two'],
  ['servers: ["nats://127.0.0.1:4222", "localhost", "nats://[::1]"]', undefined],
  ['servers: ["tls://far.example:4222"]', undefined],
  ['servers: ["nats://far.example"]\n  tls: {caFile: ca.pem}', undefined],
  ['servers: ["nats://far.example"]\n  tls: off', undefined],
];
for (const [text, expected] of servers) {
  const what = expected === undefined ? 'is accepted' : 'is refused at its line';
  test(`a way to NATS ${what}: ${JSON.stringify(text)}`, (t) => {
    const { code, problems } = refusalOf(`${right}nats:\n  ${text}\n`);
    t.is(code, expected === undefined ? 'accepted' : 'E_CONFIG_CONFLICT');
    if (expected === undefined) return;
    t.is(problems.length, 1);
    t.regex(problems[0]!, /^[67]:3: nats\.servers: /);
    t.true(problems[0]!.includes(expected), problems[0]);
  });
}

test('only the word itself switches encryption off', (t) => {
  for (const [text, suggestion] of [
    ['false', '; did you mean off?'],
    ['OFF', '; did you mean off?'],
    ['none', ''],
  ]) {
    t.is(
      onlyProblemOf(`${right}nats:\n  tls: ${text}\n`),
      'E_CONFIG_INVALID 6:3: nats.tls: expected a section with caFile, certFile, keyFile; or off, ' +
        `found ${text === 'false' ? 'the boolean false' : `"${text}"`}${suggestion}`,
    );
  }
});

const guestConflicts: readonly (readonly [string, string])[] = [
  ['  initrd: initrd.img', 'guest.initrd: needs guest.kernel'],
  ['  append: quiet', 'guest.append: needs guest.kernel'],
  ['  memory: 64MiB', 'guest.kernel: the guest has nothing to boot from'],
  ['  kernel: k\n  cpu: host\n  accelerator: tcg', 'guest.cpu: `host` exists under KVM only'],
  [
    '  kernel: k\n  extraArguments: [-m, 1G]',
    '-m is written by Understudy itself: set guest.memory',
  ],
  ['  kernel: k\n  extraArguments: [--incoming=x]', '-incoming is written by Understudy itself'],
  ['  disks: [{path: a}, {path: ./a}]', '/a is there twice'],
  [
    '  disks: [{path: a, format: qcow2, replicate: true}]',
    'is replicated, so it must be raw and not readonly',
  ],
  [
    '  disks: [{path: a, readonly: true, replicate: true}]',
    'is replicated, so it must be raw and not readonly',
  ],
  [`  kernel: k\n  runFolder: /${'x'.repeat(100)}`, 'bytes too long: a unix socket'],
  ['  kernel: k\n  runFolder: /x\n  memoryFolder: /x/', 'must not be guest.memoryFolder'],
  [
    '  kernel: k\n  networks: [{hostForward: ' +
      '[{hostPort: 1, guestPort: 1}, {hostPort: 1, guestPort: 2}]}]',
    'host port 1 is forwarded twice',
  ],
  [
    '  kernel: k\n  networks: [{kind: cable, hostForward: [{hostPort: 1, guestPort: 1}]}]',
    "only QEMU's own network (kind user) and an uplink of kind passt forward ports",
  ],
  [
    "  kernel: k\n  networks: [{mac: '52:54:00:00:00:01'}]",
    'only a network of kind cable has mac and uplink',
  ],
  [
    '  kernel: k\n  networks: [{kind: cable, uplink: {kind: passt}}]',
    'an uplink of kind passt needs address and gateway',
  ],
  ['  kernel: k\n  networks: [{uplink: {kind: tap}}]', 'only a network of kind cable has mac'],
  [
    '  kernel: k\n  networks: [{kind: cable, uplink: {kind: tap, name: a}}, ' +
      '{kind: cable, uplink: {kind: tap, name: a}}]',
    'TAP a is named twice',
  ],
  [
    "  kernel: k\n  networks: [{kind: cable, mac: '52:54:00:00:00:0a'}, " +
      "{kind: cable, mac: '52:54:00:00:00:0A'}]",
    'hardware address 52:54:00:00:00:0a is given twice',
  ],
  [
    '  kernel: k\n  networks: [{kind: cable, uplink: {bridge: br0}}]',
    'an uplink of kind none has no name and no bridge',
  ],
];
for (const [text, expected] of guestConflicts) {
  test(`an impossible guest is refused: ${JSON.stringify(text)}`, (t) => {
    const { code, problems } = refusalOf(`role: primary\nguest:\n  name: lab\n${text}\n`);
    t.is(code, 'E_CONFIG_CONFLICT');
    t.true(
      problems.some((problem) => problem.includes(expected)),
      problems.join('\n'),
    );
  });
}

test("a lab's guest needs nothing to boot from: the lab brings one", (t) => {
  t.is(refusalOf('role: lab\nguest:\n  name: lab\n').code, 'accepted');
});

test('everything that is wrong is reported at once, in the order of the file', (t) => {
  const { code, problems } = refusalOf(`role: primary
guest:
  name: Lab
  kernel: vmlinuz
epoch:
  interval: 100
heartbeat:
  limitMs: 100
share:
  enabled: 1
`);
  t.is(code, 'E_CONFIG_INVALID');
  t.deepEqual(
    problems.map((problem) => problem.split(' ').slice(0, 2).join(' ')),
    ['3:3: guest.name:', '6:3: epoch.interval:', '8:3: heartbeat.limitMs:', '10:3: share.enabled:'],
  );
});

test('a combination is not judged by a key that was refused itself', (t) => {
  const { problems } = refusalOf(`${right}heartbeat:\n  limitMs: soon\n  intervalMs: 100\n`);
  t.is(problems.length, 1);
});

test('a key that is there twice is refused at the second', (t) => {
  t.is(
    onlyProblemOf(`${right}epoch:\n  intervalMs: 100\n  intervalMs: 200\n`),
    'E_CONFIG_INVALID 7:3: expected each key once, found the same key again',
  );
});

test('text that is no YAML is refused with the line', (t) => {
  const refusal = refusalOf(`${right}epoch: {intervalMs: 100\nshare: [\n`);
  t.is(refusal.code, 'E_CONFIG_SYNTAX');
  t.regex(refusal.problems[0]!, /^[67]:/);
  t.is(refusalOf(`${right}\t- x\n`).code, 'E_CONFIG_SYNTAX');
  t.is(refusalOf(`${right}---\nrole: backup\n`).code, 'E_CONFIG_SYNTAX');
});

test('an empty file is refused with the first thing that it needs', (t) => {
  const expected =
    'E_CONFIG_INVALID 1:1: role: expected primary, backup or lab, found nothing; ' +
    'the file has to say whose it is';
  t.is(onlyProblemOf(''), expected);
  t.is(onlyProblemOf('# nothing\n'), expected);
});

test('a file that is no mapping is refused', (t) => {
  for (const text of ['- a\n', 'primary\n', '12\n']) {
    t.regex(String(onlyProblemOf(text)), /^E_CONFIG_INVALID 1:1: expected sections/);
  }
});

test('a role that does not exist is refused with the nearest', (t) => {
  t.regex(String(onlyProblemOf('guest:\n  name: a\nrole: bakcup\n')), /3:1: role.*mean backup\?/);
});

test('a required key that is missing is refused at its section', (t) => {
  t.regex(
    String(onlyProblemOf('role: primary\nguest:\n  kernel: k\n')),
    /2:1: guest.name: .*nothing/,
  );
});

test('anchors and aliases work as in any YAML', (t) => {
  const config = parseConfig(`${right}  append: &a pc-q35-8.0\n  machine: *a\n`, 'file.yaml');
  t.is(config.guest.machine, 'pc-q35-8.0');
});

test('relative paths are relative to the file', (t) => {
  const text = `${right}  disks: [{path: disks/a.img}, {path: /b.img}]\nlog: {eventsFile: ../e}\n`;
  const config = parseConfig(text, '/etc/understudy/file.yaml');
  t.is(config.guest.kernel, '/etc/understudy/vmlinuz');
  t.deepEqual(
    config.guest.disks.map((disk) => disk.path),
    ['/etc/understudy/disks/a.img', '/b.img'],
  );
  t.is(config.log.eventsFile, '/etc/e');
});

test('a missing file, a folder, and a file of another role each have their code', (t) => {
  const codeOf = (call: () => unknown) => {
    const error = t.throws(call);
    return isUnderstudyError(error) ? error.code : error;
  };
  t.is(
    codeOf(() => loadConfig('no/such/file.yaml')),
    'E_CONFIG_MISSING',
  );
  t.is(
    codeOf(() => loadConfig('configs')),
    'E_CONFIG_UNREADABLE',
  );
  t.is(
    codeOf(() => loadConfig('configs/backup.yaml', 'primary')),
    'E_CONFIG_ROLE',
  );
  t.is(
    codeOf(() => loadConfig('configs/lab.yaml', 'primary', 'backup')),
    'E_CONFIG_ROLE',
  );
  t.is(loadConfig('configs/backup.yaml', 'backup').role, 'backup');
});
