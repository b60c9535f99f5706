import { EXIT } from './exit-codes.ts';
import { runCli } from './program.ts';
import { processTerminal } from './terminal/terminal.ts';

const terminal = processTerminal();
// A reader that has seen enough (`keelson logs … | head`) is no error.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') terminal.exit(process.exitCode === undefined ? 0 : Number(process.exitCode));
    // A full disk, most often. Were standard error what failed, there is nobody left to tell.
    if (stream === process.stdout) process.stderr.write(`error: cannot write the output: ${error.message}\n`);
    terminal.exit(EXIT.failure);
  });
}
process.exitCode = await runCli(process.argv.slice(2), terminal);
