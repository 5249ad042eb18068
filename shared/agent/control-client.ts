import { connect, type Socket } from 'node:net';
import { bounds } from '../bounds.ts';
import { systemCode, UnderstudyError } from '../errors.ts';
import { LineSplitter, parseAnswer, requestLine } from './control-line.ts';
import { controlSocketPath } from './control-socket.ts';

/**
 * Asks the agent whose guest has this run folder, and returns its result. Throws what the agent
 * refused with, `E_AGENT_ABSENT` where none listens, `E_AGENT_FORBIDDEN` where this user may not
 * ask, `E_AGENT_SILENT` where it does not answer, `E_CONTROL_…` where the answer makes no sense.
 */
export async function askAgent(folder: string, guest: string, command: string): Promise<unknown> {
  const path = controlSocketPath(folder);
  const socket = connect(path);
  try {
    const answer = parseAnswer(await exchange(socket, guest, requestLine(command)));
    if (answer.ok) return answer.result;
    throw new UnderstudyError(answer.code, answer.message, { hint: answer.hint });
  } catch (error) {
    throw explained(error, path, guest);
  } finally {
    socket.destroy();
  }
}

async function exchange(socket: Socket, guest: string, request: string): Promise<string> {
  return await new Promise((resolve, reject) => {
    const splitter = new LineSplitter(bounds.controlAnswerBytesMax);
    const timer = setTimeout(() => reject(silent(guest)), bounds.controlAnswerMs);
    const settle = (act: () => void) => {
      clearTimeout(timer);
      act();
    };
    socket.on('error', (error) => settle(() => reject(error)));
    socket.on('close', () => settle(() => reject(silent(guest))));
    socket.on('data', (bytes: Buffer) => {
      try {
        const [line] = splitter.push(bytes);
        if (line !== undefined) settle(() => resolve(line));
      } catch (error) {
        settle(() => reject(error));
      }
    });
    socket.write(request);
  });
}

function explained(error: unknown, path: string, guest: string): unknown {
  const code = systemCode(error);
  const fields = { guest, path };
  if (code === 'ENOENT' || code === 'ECONNREFUSED' || code === 'ENOTDIR') {
    const message = `no agent of guest ${guest} runs on this host`;
    const why = code === 'ECONNREFUSED' ? `; the one that made ${path} is gone` : '';
    return new UnderstudyError('E_AGENT_ABSENT', `${message}${why}`, {
      hint:
        'Start it: `understudy primary -c FILE` or `understudy backup -c FILE`. If one runs, name ' +
        'its file with -c: another guest.runFolder has another socket.',
      fields,
      cause: error,
    });
  }
  if (code === 'EACCES' || code === 'EPERM') {
    return new UnderstudyError('E_AGENT_FORBIDDEN', `this user may not use ${path}`, {
      hint: 'Ask as the user that the agent runs as.',
      fields,
      cause: error,
    });
  }
  return error instanceof UnderstudyError ? error : silent(guest, error);
}

function silent(guest: string, cause?: unknown): UnderstudyError {
  return new UnderstudyError('E_AGENT_SILENT', `the agent of guest ${guest} does not answer`, {
    hint: 'See its log: it is just ending, hangs, is stopped (SIGSTOP), or the host is overloaded.',
    fields: { guest },
    cause,
  });
}
