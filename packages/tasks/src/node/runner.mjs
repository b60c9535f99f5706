// Runs in the task's own process: imports its module, calls the default export and writes down how that ended. The one
// argument names the request file: { moduleUrl, needsDefault, args, broadcast?, errorFile }.
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { format } from 'node:util';

const OUTPUT_KEY = /^[A-Za-z_][A-Za-z0-9_]*$/;
const MAX_ERROR_LENGTH = 4000;

const request = JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8'));
const controller = new AbortController();
let tookSignal = false;

process.setSourceMapsEnabled(true);
// A task must not see the runner's own argument.
process.argv.splice(1);
process.once('SIGTERM', () => {
  controller.abort(new Error('the task is being stopped'));
  // Who never took the signal cannot react to it: end as if there were no handler.
  if (!tookSignal) process.kill(process.pid, 'SIGTERM');
});
process.on('uncaughtException', (error) => void fail(error));

try {
  const module = await import(request.moduleUrl);
  const main = module.default;
  if (typeof main === 'function') writeOutputs(await main(taskContext()));
  else if (request.needsDefault) throw new TypeError('the module has no default export that is a function');
} catch (error) {
  await fail(error);
}
await end(0);

function taskContext() {
  return {
    args: request.args,
    ...(request.broadcast === undefined ? {} : { broadcast: request.broadcast }),
    inputDir: process.env['KEELSON_INPUT_DIR'],
    outputDir: process.env['KEELSON_OUTPUT_DIR'],
    log: taskLog(),
    get signal() {
      tookSignal = true;
      return controller.signal;
    },
  };
}

/** Callable, with a method per level; `write` takes bytes or text as they are. */
function taskLog() {
  const info = (...values) => void process.stdout.write(`${format(...values)}\n`);
  const level =
    (name) =>
    (...values) =>
      void process.stderr.write(`${name}: ${format(...values)}\n`);
  const write = (chunk) => void process.stdout.write(chunk);
  return Object.assign(info.bind(undefined), {
    info,
    write,
    debug: level('debug'),
    warn: level('warning'),
    error: level('error'),
  });
}

function writeOutputs(result) {
  if (result === undefined || result === null) return;
  if (typeof result !== 'object' || Array.isArray(result)) {
    throw new TypeError(
      `the default export must return an object of outputs or nothing; it returned ${format('%O', result).slice(0, 100)}`,
    );
  }
  const lines = [];
  for (const [key, value] of Object.entries(result)) {
    if (!OUTPUT_KEY.test(key))
      throw new TypeError(`output key ${JSON.stringify(key)}: only letters, digits and _, no digit first`);
    const text = JSON.stringify(value);
    if (text !== undefined) lines.push(`${key}:=${text}\n`);
  }
  appendFileSync(process.env['KEELSON_OUTPUT'] ?? '', lines.join(''));
}

async function fail(error) {
  const isError = error instanceof Error;
  process.stderr.write(`${format('%O', error)}\n`);
  const message = isError ? `${error.name}: ${error.message}` : format('%O', error);
  writeFileSync(request.errorFile, message.slice(0, MAX_ERROR_LENGTH));
  await end(1);
}

/** What the module left open (a pool, a timer) must not keep the process alive, and what it printed must get out. */
async function end(exitCode) {
  await Promise.all([process.stdout, process.stderr].map((stream) => new Promise((done) => stream.write('', done))));
  process.exit(exitCode);
}
