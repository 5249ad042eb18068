import { spawn } from 'node:child_process';
import { once } from 'node:events';
import test from 'ava';
import { Namespace } from '../../../drill/network/namespace.ts';

test('a signal reaches all that runs in a namespace, and nothing else', async (t) => {
  const one = await Namespace.create();
  const other = await Namespace.create();
  t.teardown(() => {
    one.close();
    other.close();
  });
  const sleeper = (namespace: Namespace) => {
    const [program, ...args] = [...namespace.enter, 'sh', '-c', 'echo up; exec sleep 60'];
    return spawn(program!, args, { stdio: ['ignore', 'pipe', 'ignore'] });
  };
  const [here, there] = [sleeper(one), sleeper(other)];
  t.teardown(() => there.kill('SIGKILL'));
  await Promise.all([once(here.stdout, 'data'), once(there.stdout, 'data')]);
  const ended = once(here, 'exit');
  one.signalAll('SIGKILL');
  t.deepEqual((await ended)[1], 'SIGKILL');
  t.is(there.exitCode, null);
  t.is(there.signalCode, null);
  t.true((await one.run(['ip', '-o', 'link'])).includes('lo'), 'the namespace is still there');
});

test('a command that fails in a namespace is told in its own words', async (t) => {
  const namespace = await Namespace.create();
  t.teardown(() => namespace.close());
  await t.throwsAsync(namespace.ip('link set nothing up'), {
    code: 'E_DRILL_NAMESPACE',
    message: /nothing/,
  });
});
