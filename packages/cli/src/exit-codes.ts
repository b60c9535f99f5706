/** What the exit code of `keelson` says. Stable: scripts rely on them; `keelson --help` shows them. */
export const EXIT = {
  ok: 0,
  /** The command could not do what it was asked to do, or `run --wait` saw the instance fail. */
  failure: 1,
  /** Unknown option, missing argument, contradictory options. */
  usage: 2,
  /** No server answers, or none is known. */
  unreachable: 3,
  /** The token is missing, wrong, or may not do this. */
  refused: 4,
  /** Ctrl-C: 128 and the number of SIGINT, as a shell counts. */
  interrupted: 130,
} as const;

export const EXIT_CODES_HELP = `Exit codes:
  0  success (run --wait: the instance succeeded)
  1  failure
  2  wrong usage
  3  the server cannot be reached, or none is known
  4  the token was refused
  130  interrupted`;
