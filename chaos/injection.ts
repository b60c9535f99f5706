/** A fault as it was put on the cluster. Times are milliseconds since 1970. */
export interface Injection {
  readonly nemesis: string;
  /** Under this name it counts: `several` when it was one of several at once. */
  readonly group: string;
  readonly target: string;
  readonly beganAt: number;
  healedAt: number;
  bit: boolean;
  proof: string;
}
