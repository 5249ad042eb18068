import { existsSync } from 'node:fs';
import { UnderstudyError } from '../../shared/errors.ts';
import { Namespace } from './namespace.ts';

/** The two hosts of a pair. */
export type HostName = 'a' | 'b';
/** What a host is plugged into: clients, or NATS. */
export type LinkName = 'lan' | 'nats';

export const clientAddress = '10.77.0.1';
export const guestAddress = '10.77.0.2';
/** Of the guest's card, on both hosts. */
export const guestMac = '52:54:00:77:00:02';
const natsAddress = (server: number) => `10.78.0.${10 + server}`;

/**
 * The drill's network, each box a namespace:
 *
 * ```
 *   host a ─┬─ lan ──┐            ┌── client
 *           └─ nats ─┤── switch ──┼── nats 1…n
 *   host b ─┬─ lan ──┘            │
 *           └─ nats ──────────────┘
 * ```
 *
 * The switch has a bridge for each of the two networks. A host bridges its link to the clients
 * with its guest's TAP, as an operator would.
 */
export class LabNetwork {
  readonly client: Namespace;
  readonly servers: readonly { readonly namespace: Namespace; readonly address: string }[];
  readonly switch: Namespace;
  readonly #hosts: Readonly<Record<HostName, Namespace>>;

  /** Throws `E_DRILL_NAMESPACE`; nothing is left then. */
  static async create(serverCount: number): Promise<LabNetwork> {
    if (!existsSync('/dev/net/tun')) {
      throw new UnderstudyError('E_DRILL_NAMESPACE', 'no TAPs here: /dev/net/tun is not there', {
        hint: 'Load the module: modprobe tun.',
      });
    }
    const made: Namespace[] = [];
    try {
      for (let n = 0; n < 4 + serverCount; n++) made.push(await Namespace.create());
      const network = new LabNetwork(made);
      await network.#wire();
      return network;
    } catch (error) {
      for (const namespace of made) namespace.close();
      throw error;
    }
  }

  private constructor(namespaces: readonly Namespace[]) {
    const [middle, a, b, client, ...servers] = namespaces;
    this.switch = middle!;
    this.#hosts = { a: a!, b: b! };
    this.client = client!;
    this.servers = servers.map((namespace, index) => ({
      namespace,
      address: natsAddress(index + 1),
    }));
  }

  host(name: HostName): Namespace {
    return this.#hosts[name];
  }

  /** Pulls the cable. */
  async cut(host: HostName, link: LinkName): Promise<void> {
    await this.#set(host, link, 'down');
  }

  async mend(host: HostName, link: LinkName): Promise<void> {
    await this.#set(host, link, 'up');
  }

  /** At the host's end for the clients' network: tcpdump ends with an interface that goes down. */
  async #set(host: HostName, link: LinkName, state: 'up' | 'down'): Promise<void> {
    if (link === 'lan') await this.host(host).ip(`link set lan0 ${state}`);
    else await this.switch.ip(`link set ${portOf(host, link)} ${state}`);
  }

  /** Kills everything that runs on the host and takes its cables: what is left is a dead host. */
  async powerOff(host: HostName): Promise<void> {
    this.host(host).signalAll('SIGKILL');
    await Promise.all([this.cut(host, 'lan'), this.cut(host, 'nats')]);
  }

  async powerOn(host: HostName): Promise<void> {
    await this.mend(host, 'lan');
    await this.mend(host, 'nats');
  }

  /**
   * Makes the host's link to NATS slow. Says how: by delay and rate where the kernel has netem,
   * else by rate alone.
   */
  async slowDown(host: HostName): Promise<string> {
    const tc = ['tc', 'qdisc', 'replace', 'dev', 'nats0', 'root'];
    const namespace = this.host(host);
    try {
      await namespace.run([...tc, 'netem', 'delay', '15ms', '5ms', 'rate', '40mbit']);
      return '15 ± 5 ms of delay, 40 Mbit/s (netem)';
    } catch {
      await namespace.run([...tc, 'tbf', 'rate', '40mbit', 'burst', '64kb', 'latency', '50ms']);
      return '40 Mbit/s, a queue of 50 ms (tbf; this kernel has no netem, so no delay is added)';
    }
  }

  async speedUp(host: HostName): Promise<void> {
    await this.host(host).run(['tc', 'qdisc', 'del', 'dev', 'nats0', 'root']);
  }

  close(): void {
    const { switch: middle, client, servers } = this;
    const hosts = Object.values(this.#hosts);
    for (const one of [middle, client, ...hosts, ...servers.map((s) => s.namespace)]) one.close();
  }

  async #wire(): Promise<void> {
    const bridge = (name: string) => [
      `link add ${name} type bridge mcast_snooping 0`,
      `link set ${name} up`,
    ];
    const plug = (port: string, into: LinkName, inner: string, to: Namespace) => [
      `link add ${port} type veth peer name ${inner} netns ${to.pid}`,
      `link set ${port} master ${into} up`,
    ];
    const hosts = Object.entries(this.#hosts) as [HostName, Namespace][];
    await this.switch.ip(
      ...[...bridge('lan'), ...bridge('nats')],
      ...hosts.flatMap(([name, to]) => plug(portOf(name, 'lan'), 'lan', 'lan0', to)),
      ...hosts.flatMap(([name, to]) => plug(portOf(name, 'nats'), 'nats', 'nats0', to)),
      ...plug('client', 'lan', 'lan0', this.client),
      ...this.servers.flatMap(({ namespace }, n) => plug(`s${n}`, 'nats', 'nats0', namespace)),
    );
    const address = (inner: string, ip: string) => [
      'link set lo up',
      `addr add ${ip}/24 dev ${inner}`,
      `link set ${inner} up`,
    ];
    await this.client.ip(...address('lan0', clientAddress));
    for (const { namespace, address: ip } of this.servers) {
      await namespace.ip(...address('nats0', ip));
    }
    for (const [index, [, namespace]] of hosts.entries()) {
      await namespace.ip(
        ...address('nats0', `10.78.0.${index + 1}`),
        ...bridge(hostBridge),
        `link set lan0 master ${hostBridge} up`,
      );
    }
  }
}

/** On each host, with the guest's TAP. */
export const hostBridge = 'br0';

/** As the switch calls it. */
export const portOf = (host: HostName, link: LinkName) => `${host}-${link}`;
