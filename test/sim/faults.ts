import type { Host } from './host.ts';
import type { NatsServer } from './nats-server.ts';
import type { Outside } from './outside.ts';
import type { Fault, FaultKind } from './plan.ts';

/** Whoever is the primary is asked to move the guest. */
export function switchOver({ hosts }: Faulty): void {
  for (const { agent } of hosts) agent?.switchOver();
}

export interface Faulty {
  readonly hosts: readonly Host[];
  readonly server: NatsServer;
  readonly outside: Outside;
  /** The machine's time. */
  after(ms: number, run: () => void): void;
}

/** Makes it happen. Returns how it ends; several of a kind may overlap. */
export function inject(fault: Fault, run: Faulty): () => void {
  const host = run.hosts[fault.host]!;
  return injections[fault.kind](host, run, fault);
}

type Injection = (host: Host, run: Faulty, fault: Fault) => () => void;

const injections: Readonly<Record<FaultKind, Injection>> = {
  crash: (host) => {
    host.crash();
    return () => host.boot();
  },
  'crash-for-good': (host) => {
    host.crash();
    return () => {};
  },
  'kill-agent': (host) => {
    host.endAgent();
    return () => host.startAgent();
  },
  'stop-agent': (host) => {
    host.agent?.stop();
    return () => {};
  },
  'kill-guest': (host) => {
    host.guest?.vanish('killed');
    return () => {};
  },
  'kill-standby': (host) => {
    host.agent?.standby?.vanish();
    return () => {};
  },
  'freeze-host': (host) => freeze(host, true),
  suspend: (host, _run, { lastsMs }) => {
    const wake = freeze(host, true);
    return () => {
      host.clock.jump(-lastsMs * host.clock.pace);
      wake();
    };
  },
  'freeze-agent': (host) => freeze(host, false),
  'stall-loop': (host) => {
    const { agent } = host;
    agent?.main.standStill();
    return () => agent?.main.goOn();
  },
  cut: (host, run) => cut(host, run, { up: true, down: true }),
  'cut-up': (host, run) => cut(host, run, { up: true, down: false }),
  'cut-down': (host, run) => cut(host, run, { up: false, down: true }),
  isolate: (host, run) => {
    const heal = cut(host, run, { up: true, down: true });
    run.outside.cut[host.number] = true;
    return () => {
      run.outside.cut[host.number] = false;
      heal();
    };
  },
  'nats-away': (_host, { server }) => {
    server.stop();
    return () => server.start();
  },
  'terms-away': (_host, { server }) => {
    server.terms.away = true;
    return () => {
      server.terms.away = false;
    };
  },
  'terms-stale': (_host, { server }) => {
    server.terms.stale = true;
    return () => {
      server.terms.stale = false;
    };
  },
  'slow-disk': (host) => {
    host.diskMs = 300;
    return () => {
      host.diskMs = 1;
    };
  },
  switchover: (_host, run) => {
    switchOver(run);
    return () => {};
  },
  'kill-takers': (host, run, { lastsMs }) => {
    const { runner, other } = protectedPair(run);
    runner?.crash();
    whileOn(run, lastsMs, 5, () => {
      if (other?.agent?.state?.name !== 'taking-over') return;
      run.after(host.random.unit() * 40, () => other.endAgent());
      run.after(100 + host.random.unit() * 100, () => other.startAgent());
    });
    return () => {
      // A kill that was on its way comes first.
      run.after(50, () => other?.startAgent());
      runner?.boot();
    };
  },
  'crash-behind-restart': (host, run) => {
    const { runner, other } = protectedPair(run);
    other?.endAgent();
    run.after(host.random.unit() * 500, () => {
      // One that goes on alone is not protected any more.
      if (runner?.agent?.state?.name === 'protected') runner.crash();
    });
    return () => {
      run.after(host.random.unit() * 300, () => other?.startAgent());
      run.after(600 + host.random.unit() * 1000, () => runner?.boot());
    };
  },
  pause: (_host, run, { lastsMs }) => {
    const isPaused = () => run.hosts.some(({ agent }) => agent?.state?.name === 'paused');
    whileOn(run, lastsMs, 50, () => {
      if (!isPaused()) for (const { agent } of run.hosts) agent?.wish('pause');
    });
    return () => {
      whileOn(run, 2000, 50, () => {
        if (isPaused()) for (const { agent } of run.hosts) agent?.wish('resume');
      });
    };
  },
  'clock-jump': (host, _run, { lastsMs }) => {
    host.clock.jump(lastsMs);
    return () => {};
  },
  'slow-network': (_host, { server }) => {
    const before = server.weather;
    server.weather = { ...before, delayMsMin: 40, delayMsMax: 120 };
    return () => {
      server.weather = before;
    };
  },
};

/** Who runs the guest, and who protects it; undefined where none does. */
function protectedPair({ hosts }: Faulty): { runner?: Host; other?: Host } {
  const runner = hosts.find(({ agent }) => agent?.state?.name === 'protected');
  const other = hosts.find(({ agent }) => agent?.state?.name === 'protecting');
  return runner === undefined || other === undefined ? {} : { runner, other };
}

function whileOn(run: Faulty, lastsMs: number, everyMs: number, work: () => void): void {
  for (let atMs = 0; atMs < lastsMs; atMs += everyMs) run.after(atMs, work);
}

function freeze(host: Host, wholeHost: boolean): () => void {
  const { agent, guest } = host;
  agent?.standStill();
  if (wholeHost) guest?.freeze(true);
  return () => {
    if (wholeHost) guest?.freeze(false);
    agent?.goOn();
  };
}

function cut(host: Host, { server }: Faulty, { up, down }: { up: boolean; down: boolean }) {
  const { way } = host;
  way.upCut ||= up;
  way.downCut ||= down;
  server.waysChanged(way);
  return () => {
    way.upCut = false;
    way.downCut = false;
    server.waysChanged(way);
  };
}
