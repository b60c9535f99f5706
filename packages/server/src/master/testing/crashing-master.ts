import { openStore } from '@keelson/store';
import type { Engine, LoadedInstance, StepMind } from '@keelson/store';
import Fastify from 'fastify';
import pino from 'pino';
import { startMaster } from '../master.ts';

/**
 * A master in a process of its own, for tests: it kills itself with SIGKILL inside the step of one instance, with the instance's lock held, as a
 * step would that brings the process down. Says where it listens on standard output.
 *
 * Arguments: database URL, the instance, the kind of event that kills it.
 */
const [url = '', instance = '', kind = ''] = process.argv.slice(2);
const store = await openStore({ url, applicationName: 'crashing-master' });
const step: Engine['step'] = (input, mind) =>
  store.engine.step(input, {
    ...mind,
    decide: (loaded: LoadedInstance): ReturnType<StepMind['decide']> => {
      if (loaded.live.id === instance && loaded.events.some(({ type }) => type === kind))
        process.kill(process.pid, 'SIGKILL');
      return mind.decide(loaded);
    },
  });
const master = startMaster({
  store: { ...store, engine: { ...store.engine, step } },
  signals: store.signals,
  log: pino({ level: 'silent' }),
});
const app = Fastify({ logger: false });
await app.register(master.routes, { prefix: '/worker/v1' });
process.stdout.write(`${await app.listen({ port: 0, host: '127.0.0.1' })}\n`);
