/** Why a task or an instance ended as it did, or why it does not start: a stable code, and words for a person. */
export interface Reason {
  readonly code: string;
  readonly message: string;
  readonly exitCode?: number;
  readonly signal?: string;
}
