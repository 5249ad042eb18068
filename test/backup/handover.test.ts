import test from 'ava';
import { HandoverRequest } from '../../backup/handover.ts';
import { sessionId } from '../../shared/ids.ts';
import type { Incoming } from '../../shared/transport/control-channel.ts';

function asked() {
  const answers: Parameters<Incoming['answer']>[0][] = [];
  const session = sessionId('a');
  const answer = (message: (typeof answers)[number]) => void answers.push(message);
  return { answers, session, incoming: { session, answer } as unknown as Incoming };
}

test('input that follows a refused hand-over is not taken for input that the guest was told', (t) => {
  const request = new HandoverRequest();
  const { answers, session, incoming } = asked();
  t.is(request.inputOf(session), undefined);
  request.came(incoming);
  t.is(request.inputOf(session), 'for-here');
  t.is(request.inputOf(sessionId('b')), undefined);
  request.refuse('it is not level');
  t.is(request.inputOf(session), 'not-for-here');
  // The next session begins anew.
  t.is(request.inputOf(sessionId('b')), undefined);
  t.deepEqual(
    answers.map(({ kind }) => kind),
    ['refuse'],
  );
  request.refuse('said again');
  t.is(answers.length, 1);
  t.is(request.inputOf(session), 'not-for-here');
});
