import { bounds } from '../bounds.ts';
import { networkBounds } from '../net/network-bounds.ts';
import { choice, flag, group, integer, list, optional, orWord, path, size, text } from './field.ts';
import { modes } from './modes.ts';

/**
 * Every section of a configuration file but `guest` (`guest-keys.ts`). `schema.ts` says which
 * role's file has which. Durations are whole milliseconds and their keys end in `Ms`; sizes are
 * written with a unit.
 */

const kib = 2 ** 10;
const mib = 2 ** 20;
const gib = 2 ** 30;

const tlsKeys = group(
  'Encryption, demanded of every server where a key is set or a server is `tls://`.',
  {
    caFile: optional(
      path({
        what: 'Certificates (PEM) of the authorities to trust; null: those of the system.',
        why: 'Set it for a CA of your own.',
      }),
    ),
    certFile: optional(
      path({
        what: "This agent's certificate (PEM).",
        why: 'Set it, with `keyFile`, where the server asks for one (mutual TLS).',
      }),
    ),
    keyFile: optional(
      path({
        what: 'The key (PEM) of `certFile`; a file that others may read is refused.',
        why: 'Set both or none.',
      }),
    ),
  },
);

const tls = orWord(
  tlsKeys,
  'off',
  "guest memory may cross networks in clear; without it, only this host's loopback.",
);

export const nats = group('The NATS servers over which the two sides speak.', {
  servers: list(
    text({
      what: 'One server.',
      why: '',
      pattern: /^(?:(?:nats|tls):\/\/)?(?:\[[0-9a-fA-F:]+\]|[^\s/:@[\]]+)(?::[0-9]{1,5})?$/,
      expected: 'a server such as nats://host:4222 or tls://host:4222',
    }),
    {
      what: 'Servers of one NATS system; any of them will do.',
      why: 'Name all of a cluster: the connection moves to another when one is lost.',
      countMin: 1,
      fallback: ['nats://127.0.0.1:4222'],
    },
  ),
  connectDeadlineMs: integer({
    what: 'How long an agent that starts tries to reach a server, and then its record of terms.',
    why: 'Raise it where the agent may be started long before NATS is.',
    min: 100,
    max: 3_600_000,
    fallback: bounds.connectDeadlineMs,
  }),
  user: optional(
    text({
      what: 'User to log in as, with `passwordFile`; null: without one.',
      why: 'Set it where the server wants a name and a password.',
      pattern: /^.+$/s,
      expected: 'a name',
    }),
  ),
  passwordFile: optional(
    path({
      what: 'File that has the password of `user`; a line break at its end is not part of it.',
      why: 'Set it with `user`. A file of its own can be kept from the eyes of others.',
    }),
  ),
  nkeySeedFile: optional(
    path({
      what: 'File that has the seed of an nkey (`SU…`) to log in with.',
      why: 'Set it where the server knows public keys, as `understudy nats config` writes it.',
    }),
  ),
  tokenFile: optional(
    path({
      what: 'File that has a token to log in with.',
      why: 'Set it where the server wants a token.',
    }),
  ),
  credentialsFile: optional(
    path({
      what: "A NATS credentials file (`.creds`: the user's JWT and seed).",
      why: 'Set it where the NATS system has accounts and operators.',
    }),
  ),
  tls,
});

export const arbiter = group('Who may run the guest: a record of terms in a JetStream stream.', {
  replicas: integer({
    what: 'Servers that keep a copy of the record when it is made.',
    why: 'Set it to 3 on a cluster of three: the loss of any one server is then survived.',
    min: 1,
    max: 5,
    fallback: 1,
  }),
});

export const mode = choice(modes, {
  what:
    '`fgbi`: blocks, sharing, compression. `remus`: whole pages as they are. `llm`: whole pages, ' +
    'rarely, and `output.rule: input-log`. The two preset keys that the file does not set: ' +
    '`share`, `compress` and `compress.delta` off, `epoch.liveRounds: 0`; `llm` also ' +
    '`epoch.intervalMs: 2000`.',
  why: '`remus` and `llm` are what FGBI was compared with: to compare again.',
  fallback: 'fgbi',
});

export const tracker = choice(['auto', 'write-protect', 'soft-dirty', 'scan'], {
  what: 'How written pages are found; `auto` takes the best that this host can do, and says why.',
  why: 'Name one to compare trackers, or where the host wrongly claims to have one.',
  fallback: 'auto',
});

export const identify = group('How changed blocks of a written page are found.', {
  hash: choice(['xxh3', 'xxh64'], {
    what: 'Hash by which a block is compared with what it was; both are 64 bits wide.',
    why: '`xxh64` for comparison only: it is slower and draws no secret per session.',
    fallback: 'xxh3',
  }),
  blockBytes: choice([64, 128, 256], {
    what: 'Size of a block.',
    why: 'Larger blocks need less memory beside the guest (8 bytes a block) and send more.',
    fallback: 64,
  }),
});

export const share = group('Equal blocks are sent once.', {
  enabled: flag({
    what: 'Whether a block that the backup holds already is sent as a reference to it.',
    why: 'Switch it off for a guest whose memory is encrypted or random: nothing is equal there.',
    fallback: true,
  }),
});

export const compress = group('How the blocks that are sent are made smaller.', {
  enabled: flag({
    what: 'Whether blocks are compressed at all.',
    why: 'Switch it off where the network is faster than a core, or to measure what it does.',
    fallback: true,
  }),
  general: choice(['auto', 'lz4', 'gzip', 'none'], {
    what:
      'Codec for what neither the zero-run nor the WKdm-style one makes small. `auto`: chosen epoch ' +
      'by epoch, by what the link and the cores have to spare.',
    why:
      '`gzip` sends less and takes five times the time of `lz4`: for slow links. `auto` where the ' +
      'link is shared, or its speed not known.',
    fallback: 'lz4',
  }),
  gzipLevelMax: integer({
    what: 'With `general: auto`, how hard gzip may try; 0: gzip is left out.',
    why: 'Lower it where the guest needs the cores more than the link needs relief.',
    min: 0,
    max: 9,
    fallback: 6,
  }),
  delta: group('Differences against kept copies of pages that change again and again.', {
    enabled: flag({
      what: 'Whether copies are kept.',
      why: 'Switch it off to save the memory, or for a guest that never writes a page twice.',
      fallback: true,
    }),
    keptPages: size({
      what: 'Memory for those copies. Sharing with content from before the epoch uses them too.',
      why: 'Raise it for a guest with a large set of hot pages.',
      min: 1 * mib,
      max: 64 * gib,
      multipleOf: 4 * kib,
      fallback: 32 * mib,
    }),
  }),
});

export const pipeline = group('The threads that find, share and compress what changed.', {
  workers: optional(
    integer({
      what:
        'How many, each for a part of the guest’s memory; null: one less than this process may ' +
        'use of the cores, at least 1 and at most 4.',
      why:
        'Raise it where encoding is what epochs wait for and cores are idle. Content that is ' +
        'equal is found within a part only, so more of them send a little more.',
      min: 1,
      max: bounds.encoderThreadsMax,
    }),
  ),
});

export const flow = group('How much is under way between the sides.', {
  window: size({
    what:
      'Bytes that may be sent before the backup has worked them off; it makes room for as much. ' +
      'At least 4 messages.',
    why: 'Raise it for links with a long round trip; lower it to save memory on both sides.',
    min: bounds.windowBytesMin,
    max: bounds.windowBytesMax,
    fallback: bounds.windowBytes,
  }),
  diskSyncRate: optional(
    size({
      what: 'What bringing replicated disks level may send in a second; null: as much as it can.',
      why: 'Set it where clients of the guest use the same link.',
      min: 1 * mib,
      max: 64 * gib,
    }),
  ),
  chunk: optional(
    size({
      what: 'Page data in one NATS message; null: as much as the server takes, at most 1MiB.',
      why: 'Lower it where other messages share the link and would wait behind large ones.',
      min: 64 * kib,
      max: bounds.chunkBytesMax,
      multipleOf: 4 * kib,
    }),
  ),
});

export const heartbeat = group('Signs of life between the two sides.', {
  intervalMs: integer({
    what: 'Time between two signs of life from this side.',
    why: 'Shorter makes a shorter limit possible; the same in both files.',
    min: 2 * bounds.watchTickMs,
    max: 10_000,
    fallback: bounds.heartbeatIntervalMs,
  }),
  limitMs: integer({
    what: 'How long the other side may be silent before this side acts; at least 3 intervals.',
    why: 'Lower for a faster takeover, higher where hosts or links stall for longer than this.',
    min: 6 * bounds.watchTickMs,
    max: 600_000,
    fallback: bounds.silenceLimitMs,
  }),
});

export const staging = group('Where an epoch waits until it is whole.', {
  bytesMax: optional(
    size({
      what:
        'Memory for the frames of epochs that are not complete yet; null: half of the ' +
        'guest, at least 64MiB.',
      why: 'Lower it to save memory on the backup: a larger epoch is then refused.',
      min: 16 * mib,
      max: 256 * gib,
    }),
  ),
  diskJournal: size({
    what: 'Room on the disk of `guest.stateFolder` for changes of replicated disks.',
    why: 'Raise it for a guest that changes more of its disks within a few epochs.',
    min: 64 * mib,
    max: 2 ** 44,
    fallback: 4 * gib,
  }),
});

export const baseline = group('The part of the guest that is neither RAM nor device state.', {
  refreshEpochs: integer({
    what: 'Every how many epochs it is sent anew; 0: only at start and after a reboot.',
    why: 'Set it for a guest with a display, whose memory is part of it. Each costs about 10 ms.',
    min: 0,
    max: 1_000_000,
    fallback: 0,
  }),
});

export const takeover = group('What this side does when the primary is gone.', {
  enabled: flag({
    what: 'Whether the guest is resumed here when the primary is silent for too long.',
    why: 'Switch it off for the time of work on the primary: the backup then only keeps up.',
    fallback: true,
  }),
});

export const output = group('When what the guest said on its cables may leave the host.', {
  rule: choice(['commit', 'input-log', 'unsafe'], {
    what:
      '`commit`: once the backup holds a checkpoint taken after it. `input-log`: once the backup ' +
      'holds all input before it, which is replayed at a takeover. `unsafe`: at once.',
    why:
      '`input-log` answers sooner, and a takeover may contradict what clients were told ' +
      '(GUARANTEES.md); `unsafe` loses answers and is for measurement only.',
    fallback: 'commit',
  }),
  bytesMax: size({
    what: 'Output held at most. Half of it asks for an earlier checkpoint; a full one slows the guest.',
    why: 'Lower it to save memory; raise it for a guest that answers much in one epoch.',
    min: 1 * mib,
    max: 4 * gib,
    fallback: networkBounds.heldBytesMax,
  }),
  inputLog: group('The log of `rule: input-log`.', {
    intervalMs: integer({
      what: 'How long input may wait before it is sent to the backup; output waits as long.',
      why: 'Longer sends fewer and larger messages.',
      min: 1,
      max: 1000,
      fallback: 5,
    }),
    bytesMax: size({
      what:
        'Input that the backup keeps between two checkpoints. Half of it asks for an earlier ' +
        'checkpoint; beyond it output waits for one.',
      why: 'Raise it for a guest that is sent much between two checkpoints; as large on both sides.',
      min: 4 * mib,
      max: 4 * gib,
      fallback: 32 * mib,
    }),
  }),
  onBackupLost: choice(['continue', 'stop'], {
    what:
      'A protected guest whose backup is lost: `continue` runs on unprotected, `stop` stands still ' +
      'until a backup is level with it. Either waits for the record of terms first.',
    why: '`stop` where losing what was acknowledged is worse than standing still.',
    fallback: 'continue',
  }),
});

export const log = group('What the agent says about itself, on standard error.', {
  level: choice(['error', 'warn', 'info', 'debug'], {
    what: 'The least that is worth a line.',
    why: '`debug` for a report of a problem.',
    fallback: 'info',
  }),
  format: choice(['auto', 'json', 'pretty'], {
    what: '`auto`: for people on a terminal, JSON lines otherwise.',
    why: '`pretty` to read a journal as a person, `json` to collect from a terminal.',
    fallback: 'auto',
  }),
  eventsFile: optional(
    path({
      what: 'File to which every event, each epoch among them, is added as a line of JSON.',
      why: 'Set it to measure; it grows by about 1 kB an epoch and nothing rotates it.',
    }),
  ),
});

export const drill = group('How long the parts of a drill take, and what the lab guest has.', {
  workMs: integer({
    what: 'How long the protected guest works before the fault.',
    why: 'Raise it for more epochs, and so for better numbers, in the report.',
    min: 500,
    max: 86_400_000,
    fallback: 5_000,
  }),
  watchMs: integer({
    what: 'How long the resumed guest is watched after the takeover.',
    why: 'Raise it to see that a service of your own goes on for longer.',
    min: 500,
    max: 86_400_000,
    fallback: 2_000,
  }),
  deadlineMs: integer({
    what: 'How long each step may take before the drill fails.',
    why: 'Raise it on a slow machine, or for a guest that boots slowly.',
    min: 5_000,
    max: 86_400_000,
    fallback: 120_000,
  }),
  dataDisk: optional(
    size({
      what:
        'Size of a replicated disk for the lab guest: an ext4 file system on which its store ' +
        'syncs each write; null: it has none.',
      why: 'Set it to drill disks as well.',
      min: 64 * mib,
      max: 16 * gib,
      multipleOf: mib,
    }),
  ),
});
