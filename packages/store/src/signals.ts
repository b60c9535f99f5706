/**
 * Wake-ups between processes. They carry no truth: whoever is woken looks into the tables, and looks anyway now and then, so that
 * a lost one costs time only.
 */
export type SignalChannel = 'command' | 'ready' | 'kill' | 'bound' | 'alert' | 'followup';

export interface Signals {
  /**
   * Tells every listener, this process's own at once, others after a NOTIFY on a connection outside any transaction; many in a short
   * time become one. `topic` narrows it: a worker group for `ready`, an instance for `kill`, an
   * incarnation for `bound`, a kind of follow-up for `followup`.
   */
  send(channel: SignalChannel, topic?: string): void;
  /** `heard` is also called without a topic whenever signals may have been missed. Answers how to end it. */
  listen(channel: SignalChannel, heard: (topic: string | undefined) => void): () => void;
  close(): Promise<void>;
}
