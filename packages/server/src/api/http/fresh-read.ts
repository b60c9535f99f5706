/**
 * Makes a read that many callers share without ever seeing the past: a call waits for a read that *begins* after it, so
 * what was committed before the call is seen. However many wait for one key, at most one read of it runs at a time.
 */
export function freshReads<Value>(load: (key: string) => Promise<Value>): (key: string) => Promise<Value> {
  interface Lane {
    readonly running: Promise<Value>;
    next?: Promise<Value>;
  }
  const lanes = new Map<string, Lane>();

  function begin(key: string): Promise<Value> {
    const running = load(key);
    const lane: Lane = { running };
    lanes.set(key, lane);
    const finish = (): void => {
      if (lane.next === undefined) lanes.delete(key);
    };
    running.then(finish, finish);
    return running;
  }

  return (key) => {
    const lane = lanes.get(key);
    if (lane === undefined) return begin(key);
    const start = (): Promise<Value> => begin(key);
    lane.next ??= lane.running.then(start, start);
    return lane.next;
  };
}
