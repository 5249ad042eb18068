import { GuestNetwork } from '../../../shared/net/guest-network.ts';

/** Opens the network of a guest whose QEMU is not there, and says each warning's code. */
const [name, bridge] = process.argv.slice(2) as [string, string];
process.on('disconnect', () => process.exit());
const network = await GuestNetwork.open({
  cards: [
    {
      ...{ card: 0, mac: '52:54:00:00:00:07', path: '/no/such/socket' },
      uplink: { kind: 'tap', name, bridge },
    },
  ],
  onOutput: () => {},
  onWarning: ({ code }) => process.send!(code),
});
network.announce();
process.send!('open');
