import { UnderstudyError } from '../errors.ts';

/** The failures that every `Transport` shares. */
export function timedOut(subject: string, timeoutMs: number): UnderstudyError {
  const message = `no answer on ${subject} within ${timeoutMs} ms`;
  return new UnderstudyError('E_TRANSPORT_TIMEOUT', message, {
    hint: 'The other side is slow, or gone, or cut off from NATS.',
    fields: { subject, timeoutMs },
  });
}

export function noResponder(subject: string): UnderstudyError {
  return new UnderstudyError('E_TRANSPORT_NO_RESPONDER', `nobody listens on ${subject}`, {
    hint: 'Start the other side, with the same guest name and on the same NATS servers.',
    fields: { subject },
  });
}

export function notConnected(subject: string): UnderstudyError {
  return new UnderstudyError('E_TRANSPORT_DISCONNECTED', `not connected to NATS (${subject})`, {
    hint: 'Connecting goes on by itself; check the NATS servers.',
    fields: { subject },
  });
}

export function payloadTooLarge(subject: string, bytes: number, bytesMax: number): UnderstudyError {
  const message = `a message of ${bytes} bytes on ${subject} is over the server's ${bytesMax}`;
  return new UnderstudyError('E_TRANSPORT_PAYLOAD', message, {
    hint: "Raise the server's max_payload.",
    fields: { subject, bytes, bytesMax },
  });
}
