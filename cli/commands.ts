import type { Command, Option, Positional } from './command.ts';

const configFile: Option = {
  short: 'c',
  value: 'FILE',
  what: 'configuration file',
  required: true,
};
const trace: Option = {
  value: 'FILE',
  what: 'write where time goes, for ui.perfetto.dev or chrome://tracing',
};
const ownFile: Option = { ...configFile, what: 'the file of its agent', required: false };
const guest: Positional = { name: 'GUEST', what: 'name of the guest', count: 'optional' };
const file: Positional = { name: 'FILE', what: 'configuration file', count: 'one' };

/** Every subcommand, in the order of the help. */
export const commands: readonly Command[] = [
  {
    name: 'primary',
    summary: 'Protect the running guest of this host, starting it if it does not run',
    positionals: [],
    options: { config: configFile, trace },
    details: [
      'Runs until SIGTERM or SIGINT; the guest runs on then, unprotected, and the next start\n' +
        'takes it up again. A second signal ends the agent at once.',
    ],
    load: async () => (await import('./agent-command.ts')).runPrimary,
  },
  {
    name: 'backup',
    summary: 'Stand by for the guest of another host, and resume it here when that host dies',
    positionals: [],
    options: { config: configFile, trace },
    details: [
      'Runs until SIGTERM or SIGINT. A guest that was resumed here runs on then.\n' +
        'A second signal ends the agent at once.',
    ],
    load: async () => (await import('./agent-command.ts')).runBackup,
  },
  {
    name: 'status',
    summary: 'Say whether the guests of this host are protected, and if not, why',
    positionals: [guest],
    options: {
      config: ownFile,
      watch: { short: 'w', what: 'ask again every second, until interrupted' },
      json: { what: 'print one JSON object for each guest' },
    },
    details: [
      'Asks the agents of this host. Without GUEST and FILE: all of the default run folder.\n' +
        'Exits 1 if an agent does not answer.',
    ],
    load: async () => (await import('./status-command.ts')).runStatus,
  },
  {
    name: 'pause',
    summary: 'Pause the protection of a guest for maintenance: nobody takes over until resume',
    positionals: [guest],
    options: { config: ownFile },
    details: [
      'On the host that runs the guest. It runs on, unprotected; the record of terms keeps the\n' +
        'pause, also through restarts of both agents.',
    ],
    load: async () => (await import('./operate-command.ts')).runPause,
  },
  {
    name: 'resume',
    summary: 'End a pause: the guest is protected again as soon as a backup is level',
    positionals: [guest],
    options: { config: ownFile },
    details: ['On the host that runs the guest.'],
    load: async () => (await import('./operate-command.ts')).runResume,
  },
  {
    name: 'switchover',
    summary: 'Move a protected guest to its backup, which goes on at the very epoch',
    positionals: [guest],
    options: { config: ownFile },
    details: [
      'On the host that runs the guest, which becomes the backup. Refused, with the reason, where\n' +
        'the guest is not protected; where a step fails the guest goes on where it was.',
    ],
    load: async () => (await import('./operate-command.ts')).runSwitchover,
  },
  {
    name: 'verify',
    summary: "Compare the backup's RAM and disks with the guest's, beside it",
    positionals: [guest],
    options: { config: ownFile },
    details: [
      'On the host that runs the guest. A disk that differs is mended; RAM that differs is synchronised\n' +
        'again. Exits 0 only if everything was compared and is the same.',
    ],
    load: async () => (await import('./verify-command.ts')).runVerify,
  },
  {
    name: 'go-on',
    summary: 'Let a guest that stands still for want of a backup run without one',
    positionals: [guest],
    options: { config: ownFile },
    details: ['For `output.onBackupLost: stop`, on the host of the guest.'],
    load: async () => (await import('./operate-command.ts')).runGoOn,
  },
  {
    name: 'drill',
    summary: 'Rehearse a failure: a whole pair on this machine, a fault, and what became of it',
    positionals: [
      { name: 'SCENARIO', what: 'what goes wrong (default: kill-host)', count: 'optional' },
    ],
    options: {
      guest: { value: 'FILE', what: 'configuration file with a guest of your own' },
      json: { what: 'print the result as one JSON object, and nothing else, on standard output' },
      report: { value: 'DIR', what: 'folder for the report' },
      duration: {
        value: 'S',
        what: 'for how many seconds `random`, `steady`, `latency` go on (default: 60)',
      },
      seed: { value: 'N', what: 'repeat what an earlier drill drew; it prints its seed' },
    },
    details: [
      'Exits 0 only if every check held.',
      'Hosts, clients and NATS get network namespaces of their own, which takes root.',
    ],
    load: async () => (await import('./drill-command.ts')).runDrillCommand,
  },
  {
    name: 'config check',
    summary: 'Say whether configuration files are right, and what is wrong with them',
    positionals: [{ ...file, count: 'many' }],
    options: {},
    details: ['Starts nothing. Exits 2 if a file is refused.'],
    load: async () => (await import('./config-command.ts')).checkConfig,
  },
  {
    name: 'config print',
    summary: 'Print a configuration with every default filled in',
    positionals: [file],
    options: { explain: { what: 'with each key explained, as in configs/' } },
    details: [],
    load: async () => (await import('./config-command.ts')).printConfigFile,
  },
  {
    name: 'config schema',
    summary: 'Print the JSON Schema of configuration files, for editors',
    positionals: [],
    options: {},
    details: ['configs/understudy.schema.json is made this way.'],
    load: async () => (await import('./config-command.ts')).printSchema,
  },
  {
    name: 'config keys',
    summary: 'Print a table of all keys as Markdown',
    positionals: [],
    options: {},
    details: ['The tables in docs/OPERATIONS.md are made this way.'],
    load: async () => (await import('./config-command.ts')).printKeys,
  },
  {
    name: 'nats config',
    summary: 'Write the configuration of NATS servers',
    positionals: [
      { name: 'DIR', what: 'folder of certificates, keys and files', count: 'one' },
      { name: 'GUEST@HOST', what: 'a guest, and a host that may run it', count: 'many' },
    ],
    options: {
      servers: {
        value: 'HOST[:PORT],…',
        what: 'the one NATS server, or the three of a cluster',
        required: true,
      },
      store: {
        value: 'DIR',
        what: 'folder of JetStream (default: /var/lib/understudy-nats)',
      },
    },
    details: [
      'Mutual TLS, and a key for each guest on each host that may do with the subjects of its own\n' +
        'guest what it needs and nothing else. Prints what to add to each agent’s file. Run again\n' +
        'with more guests: keys that are there are kept.',
    ],
    load: async () => (await import('./nats-command.ts')).runNatsConfig,
  },
  {
    name: 'nats certificates',
    summary: 'Make certificates for hosts, of an authority of your own, with openssl',
    positionals: [
      { name: 'DIR', what: 'folder to write them to', count: 'one' },
      { name: 'HOST', what: 'name or address by which a host is reached', count: 'many' },
    ],
    options: { days: { value: 'DAYS', what: 'how long they are good (default: 825)' } },
    details: [
      'The authority is made with the first. Certificates that are there are kept: remove one to\n' +
        'have it renewed. ca-key.pem signs new hosts; no host needs it.',
    ],
    load: async () => (await import('./nats-command.ts')).runCertificates,
  },
  {
    name: 'guest build',
    summary: "Build the lab guest of Debian's packages, if it is not in the cache",
    positionals: [],
    options: {
      cache: {
        value: 'DIR',
        what: 'folder to keep it in (default: ~/.cache/understudy/lab-guest)',
      },
    },
    details: ['Prints its kernel, initrd and append as the keys of a `guest` section.'],
    load: async () => (await import('./guest-command.ts')).buildGuest,
  },
];
