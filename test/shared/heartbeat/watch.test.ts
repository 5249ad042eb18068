import test from 'ava';
import { Beacon } from '../../../shared/heartbeat/beacon.ts';
import { ProgressCell } from '../../../shared/heartbeat/progress-cell.ts';
import { Watch, type WatchEvent } from '../../../shared/heartbeat/watch.ts';
import { epoch, term } from '../../../shared/ids.ts';
import { MemoryBus } from '../../../shared/transport/memory-bus.ts';
import { encodeMessage } from '../../../shared/wire/message.ts';

function setUp() {
  const bus = new MemoryBus({ seed: 1, time: 'virtual', delayMsMin: 1, delayMsMax: 5 });
  const [peer, own, second] = [bus.connect(), bus.connect(), bus.connect()];
  const progress = new ProgressCell();
  progress.activity = 'protecting';
  const common = { subject: 'beat', guest: 5n, clock: bus.clock };
  const beacon = new Beacon({ ...common, transport: peer, agent: 77n, progress });
  const events: WatchEvent[] = [];
  const watch = new Watch({
    ...common,
    transport: own,
    echoSubject: 'echo',
    limits: { limitMs: 200, wedgedMs: 2000 },
    echoEveryMs: 50,
    onEvent: (event) => events.push(event),
  });
  let beating = true;
  const run = (ms: number) => {
    for (let i = 0; i < ms; i += 10) {
      if (beating && i % 50 === 0) beacon.beat();
      watch.tick();
      bus.advance(10);
    }
  };
  const stopBeating = () => {
    beating = false;
  };
  const told = () => events.filter(({ kind }) => kind !== 'heartbeat').map(({ kind }) => kind);
  return { bus, peer, own, second, progress, watch, events, run, stopBeating, told };
}

test('a heartbeat brings what its agent has got done', (t) => {
  const s = setUp();
  s.progress.captured = epoch(12);
  s.progress.acked = epoch(11);
  s.progress.session = 2n ** 64n - 1n;
  s.run(100);
  const event = s.events.find(({ kind }) => kind === 'heartbeat');
  t.true(event?.kind === 'heartbeat');
  if (event?.kind !== 'heartbeat') return;
  t.is(event.session, 2n ** 64n - 1n);
  t.like(event.heartbeat, { agent: 77n, beat: 1, captured: epoch(12), activity: 'protecting' });
  t.is(s.watch.lastHeardAtMs !== undefined, true);
});

test('a beacon that stops is silent, one that is cut off as well', (t) => {
  const stopped = setUp();
  stopped.run(1000);
  stopped.stopBeating();
  stopped.run(500);
  t.deepEqual(stopped.told(), ['heard-first', 'silent']);
  const cut = setUp();
  cut.run(1000);
  cut.peer.disconnect();
  cut.run(500);
  t.deepEqual(cut.told(), ['heard-first', 'silent']);
});

test('a watch that is cut off is blind, and sees again', (t) => {
  const s = setUp();
  s.run(1000);
  s.own.disconnect();
  s.run(1000);
  s.own.reconnect();
  s.run(1000);
  t.deepEqual(s.told(), ['heard-first', 'blind', 'sighted']);
});

test('a connection that is dead without being told so is blindness', (t) => {
  const s = setUp();
  s.run(1000);
  s.own.receive = () => {};
  s.run(1000);
  t.deepEqual(s.told(), ['heard-first', 'blind']);
});

test('counters that stand still are told as wedged', (t) => {
  const s = setUp();
  s.run(3000);
  t.deepEqual(s.told(), ['heard-first', 'wedged']);
  s.progress.captured = epoch(1);
  s.run(100);
  t.deepEqual(s.told(), ['heard-first', 'wedged', 'moving']);
});

test('another agent is shown, but does not count for the one that is followed', (t) => {
  const s = setUp();
  s.watch.follow(77n);
  s.run(500);
  s.stopBeating();
  const other = new Beacon({
    transport: s.second,
    subject: 'beat',
    guest: 5n,
    agent: 88n,
    progress: new ProgressCell(),
    clock: s.bus.clock,
  });
  for (let i = 0; i < 20; i++) {
    other.beat();
    s.run(50);
  }
  t.true(s.told().includes('silent'));
  t.true(s.events.some((event) => event.kind === 'heartbeat' && event.heartbeat.agent === 88n));
});

test('where anybody counts, silence is told also if nobody was ever heard', (t) => {
  const s = setUp();
  s.stopBeating();
  s.watch.follow(undefined);
  s.run(150);
  t.false(s.told().includes('silent'));
  s.run(500);
  t.true(s.told().includes('silent'));
});

test('heartbeats of other guests, of damaged bytes and of other kinds are none', (t) => {
  const s = setUp();
  s.stopBeating();
  const from = { guest: 5n, session: 0n, term: term(0) };
  const beat = {
    kind: 'heartbeat',
    agent: 1n,
    beat: 1,
    captured: epoch(0),
    acked: epoch(0),
    activity: 'joining',
    sentAtMs: 0,
  } as const;
  s.peer.publish('beat', encodeMessage({ ...from, guest: 6n }, beat));
  const damaged = encodeMessage(from, beat);
  damaged[80]! ^= 1;
  s.peer.publish('beat', damaged);
  s.peer.publish('beat', encodeMessage(from, { kind: 'probe', next: 1 }));
  s.peer.publish('beat', Uint8Array.of(1, 2, 3));
  s.run(500);
  t.deepEqual(s.events, []);
});

test('a closed watch hears nothing more', (t) => {
  const s = setUp();
  s.run(100);
  s.watch.close();
  const { length } = s.events;
  s.peer.publish('beat', Uint8Array.of(1));
  s.bus.advance(1000);
  t.is(s.events.length, length);
});
