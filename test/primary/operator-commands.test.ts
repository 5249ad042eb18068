import test from 'ava';
import type { PrimaryState } from '../../primary/machine.ts';
import { OperatorCommands } from '../../primary/operator-commands.ts';

const turn = () => new Promise((done) => setImmediate(done));

/** An agent whose states the test sets. */
function startAgent(stateName: PrimaryState['name']) {
  const wishes: string[] = [];
  const agent = {
    stateName,
    wish: (kind: string) => wishes.push(kind),
    switchOver: async () => {
      if (agent.stateName !== 'protected') throw new Error(`refused: ${agent.stateName}`);
      wishes.push('switchover');
    },
    verify: async () => ({ ram: null, disks: [] }),
  };
  const commands = new OperatorCommands(agent);
  const enter = async (to: PrimaryState['name']) => {
    const from = agent.stateName;
    agent.stateName = to;
    commands.note({ kind: 'state', role: 'primary', from, to, cause: '' });
    await turn();
  };
  return { table: commands.table, wishes, enter };
}

test('a pause is done when the agent is paused, not when it was asked', async (t) => {
  const { table, wishes, enter } = startAgent('protected');
  let isDone = false;
  const done = table.pause!().then((result) => {
    isDone = true;
    return result;
  });
  await turn();
  await enter('claiming');
  t.deepEqual(wishes, ['pause']);
  t.false(isDone);
  await enter('paused');
  t.deepEqual(await done, { changed: true });
});

test('a command waits while a term is claimed, and then is given', async (t) => {
  const { table, wishes, enter } = startAgent('claiming');
  const done = table.pause!();
  await turn();
  await enter('claiming');
  t.deepEqual(wishes, []);
  await enter('joining');
  t.deepEqual(wishes, ['pause']);
  await enter('claiming');
  await enter('paused');
  t.deepEqual(await done, { changed: true });
});

test('a wish that met another change is made again', async (t) => {
  const { table, wishes, enter } = startAgent('protected');
  const done = table.pause!();
  await turn();
  await enter('claiming');
  // It was a broken session that led here, and the wish was too late for it.
  await enter('joining');
  t.deepEqual(wishes, ['pause', 'pause']);
  await enter('claiming');
  await enter('paused');
  t.deepEqual(await done, { changed: true });
});

test('what is so already is done at once and says so', async (t) => {
  const { table, wishes } = startAgent('paused');
  t.deepEqual(await table.pause!(), { changed: false });
  t.deepEqual(await startAgent('protected').table.resume!(), { changed: false });
  t.deepEqual(wishes, []);
});

test('commands are carried out one after the other', async (t) => {
  const { table, wishes, enter } = startAgent('protected');
  const paused = table.pause!();
  const resumed = table.resume!();
  await turn();
  await enter('claiming');
  t.deepEqual(wishes, ['pause']);
  await enter('paused');
  await paused;
  await turn();
  t.deepEqual(wishes, ['pause', 'resume']);
  await enter('claiming');
  await enter('joining');
  t.deepEqual(await resumed, { changed: true });
});

test('a command whose agent ends is refused, not forgotten', async (t) => {
  const { table, enter } = startAgent('protected');
  const done = table.pause!();
  await turn();
  await enter('stopped');
  await t.throwsAsync(done, { code: 'E_NOT_PRIMARY' });
});

test('a switchover waits for the command before it, and is refused, not kept, where it can not be', async (t) => {
  const { table, wishes, enter } = startAgent('protected');
  const paused = table.pause!();
  const refused = t.throwsAsync(table.switchover!(), { message: 'refused: paused' });
  await turn();
  await enter('claiming');
  await enter('paused');
  await paused;
  await refused;
  t.deepEqual(wishes, ['pause']);
  await enter('protected');
  t.deepEqual(await table.switchover!(), { changed: true });
  t.deepEqual(wishes, ['pause', 'switchover']);
});

test('a pause waits while the guest is handed over', async (t) => {
  const { table, wishes, enter } = startAgent('handing-over');
  const ended = t.throwsAsync(table.pause!(), { code: 'E_NOT_PRIMARY' });
  await turn();
  t.deepEqual(wishes, []);
  await enter('stopped');
  await ended;
  await t.throwsAsync(table.switchover!(), { code: 'E_NOT_PRIMARY' });
});
