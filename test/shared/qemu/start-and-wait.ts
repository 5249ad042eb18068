import { QemuGuest } from '../../../shared/qemu/qemu-guest.ts';

/** An agent in a process of its own: starts the guest whose config it is given, and waits. */
const guest = await QemuGuest.start(JSON.parse(process.argv[2]!));
process.stdout.write(`${guest.pid}\n`);
process.stdin.resume().on('end', () => process.exit()); // ends with the test that started it
