import type {
  AttemptEnd,
  BroadcastRecord,
  Decision,
  InstanceChanges,
  EngineEvent,
  JsonObject,
  LiveInstance,
  PriorEnd,
  QueuedTask,
  Reason,
  Artifact,
  SnapshotWorker,
  SubtaskEndState,
  TaskEndState,
  TaskPlace,
  TaskRecord,
} from '@keelson/core';
import type { Pace, Swept } from './doctor.ts';
import type { FollowupKind } from './followups.ts';

/** Decisions and what follows from them: the part of the store that the masters live on. */
export interface Engine {
  /**
   * One decision transaction over a batch of instances: lock, read, decide, write. Reports of an instance that another
   * transaction holds, or whose version the mind does not know, are handed back in `postponed`.
   */
  step(input: StepInput, mind: StepMind): Promise<StepOutcome>;
  /** Gives tasks in line to free slots. The slots' incarnations must be alive at that moment. */
  claim(request: ClaimRequest): Promise<Claimed>;
  /** Notes that attempts run. Unknown or ended ones are ignored. */
  started(reports: readonly StartedAttempt[]): Promise<void>;
  /** Attempts bound to these incarnations, for reconciling with what their workers hold; or only those that are to be killed. */
  activeOf(incarnations: readonly string[], onlyKilled?: boolean): Promise<ActiveOfIncarnation[]>;
  /** Immutable facts of instances in a generation, for rendering what is handed to a worker. By `generationKey`. */
  facts(keys: readonly GenerationKey[]): Promise<ReadonlyMap<string, InstanceFacts>>;
  /** Outputs and artifacts of finished tasks, for rendering. */
  results(keys: readonly TaskKey[]): Promise<TaskResultRow[]>;
  /**
   * How far broadcasts are, for rendering what their steps and subtasks are handed. Outputs of subtasks that are larger together than
   * `mostResultBytes` are not read.
   */
  broadcasts(keys: readonly TaskKey[], mostResultBytes?: number): Promise<BroadcastRow[]>;
  /** Instances with commands due, oldest command first. */
  dueInstances(limit: number): Promise<string[]>;
  /** Commits one more try for these instances' due commands, before it is made. Answers each command's count. */
  countTry(instanceIds: readonly string[]): Promise<CountedCommand[]>;
  /** Takes one counted try of this instance's commands back: it ended for a reason that is not theirs. */
  forgiveTry(instanceId: string): Promise<void>;
  /** Puts these commands off, with the reason for the next reader. */
  putOff(commandIds: readonly string[], delayMs: number, error: string): Promise<void>;
  /** Gives up: parks the instance's due commands and fails the instance with that reason. */
  park(instanceId: string, reason: Reason): Promise<boolean>;
  /** Looks by the doctor's rules of this pace and mends what can be mended safely. Undefined: another master is at it. */
  sweep(pace: Pace): Promise<Swept | undefined>;
  /** Makes reports durable as commands, for reports that could not be applied at once. */
  deferReports(reports: readonly ReportedEnd[], error: string): Promise<void>;
}

export interface GenerationKey {
  readonly instanceId: string;
  readonly generation: number;
}

export interface TaskKey extends GenerationKey {
  readonly task: string;
}

export interface ReportedEnd extends TaskKey {
  /** A hint for what to read ahead. */
  readonly versionId?: string;
  readonly attemptId: string;
  readonly incarnationId: string;
  readonly nonce: string;
  readonly end: AttemptEnd;
  readonly reason?: Reason;
  readonly outputs?: JsonObject;
  readonly artifacts?: readonly Artifact[];
  readonly startedAgoMs: number;
  readonly endedAgoMs: number;
}

export interface StepInput {
  readonly reports: readonly ReportedEnd[];
  /** Task rows that the reports will most likely need. */
  readonly demand: readonly TaskKey[];
  /** Claim commands of at most this many instances; 0 for none. */
  readonly commandLimit: number;
  /** Only this instance's commands. */
  readonly only?: string;
}

/** Immutable facts of an instance in one of its generations: a later one may have another version and other params. */
export interface InstanceFacts {
  readonly id: string;
  readonly generation: number;
  readonly workflowId: string;
  readonly versionId: string;
  readonly params: JsonObject;
  /** RFC 3339, UTC. */
  readonly runTime: string;
  readonly createdBy: string;
}

export interface LoadedInstance {
  readonly live: LiveInstance;
  readonly facts: InstanceFacts;
  readonly events: readonly EngineEvent[];
  readonly tasks: ReadonlyMap<string, TaskRecord>;
  readonly activeAttempts?: number;
  readonly handedBack?: ReadonlyMap<string, readonly number[]>;
  readonly broadcasts?: ReadonlyMap<string, BroadcastRecord>;
  readonly workers?: ReadonlyMap<string, readonly SnapshotWorker[]>;
  readonly prior?: ReadonlyMap<string, PriorEnd>;
  readonly places?: ReadonlyMap<string, TaskPlace>;
}

/** What the master brings to a step: knowledge of versions, the pure core, and the workers that wait at it. */
export interface StepMind {
  knowsVersion(versionId: string): boolean;
  decide(instance: LoadedInstance): Decision;
  /** Offers each ready task to a waiting worker; undefined leaves it in line. */
  place(instance: LoadedInstance, changes: InstanceChanges): readonly Placement[];
  /** Group, capability and priority of these tasks, offered to nobody. */
  describe(instance: LoadedInstance, tasks: readonly QueuedTask[]): readonly Placement[];
  taskNames(versionId: string): readonly string[];
  /** Random; for the tokens of subtasks. */
  newNonce(): string;
  /** Free slots for tasks that already stand in line, to be claimed in the step's own transaction. */
  claims(): readonly ClaimRequest[];
}

export interface Placement extends QueuedTask, TaskKind {
  readonly priority: number;
  readonly offer?: { readonly incarnationId: string; readonly nonce: string };
}

/** What decides which workers may run a task. */
export interface TaskKind {
  readonly workerGroup: string;
  readonly capability: string;
}

export interface BoundAttempt extends TaskKey {
  readonly attemptId: string;
  readonly attempt: number;
  readonly incarnationId: string;
  readonly nonce: string;
  readonly versionId: string;
  readonly hasArtifacts: boolean;
  /** Of a subtask of a broadcast. */
  readonly subtaskIndex?: number;
  /** A subtask's retry: its worker waits this long before it starts. */
  readonly startAfterMs?: number;
}

export interface StepOutcome {
  /** Instances that were decided about. */
  readonly decided: readonly string[];
  /** Reports whose attempt is not active: applied before, or overtaken. Settled all the same. */
  readonly settled: readonly ReportedEnd[];
  readonly postponed: readonly ReportedEnd[];
  readonly unknownVersions: readonly string[];
  readonly bound: readonly BoundAttempt[];
  /** Subtasks that were handed over to workers of any master; none of them was promised a slot. */
  readonly subtasks: readonly BoundAttempt[];
  /** What the mind's claims got, in their order. */
  readonly claimed: readonly Claimed[];
  /** Kinds of tasks that were left in line. */
  readonly waiting: readonly TaskKind[];
  /** Some task was delayed: a timer may be due earlier than before. */
  readonly delayed: boolean;
  /** Commands were written or may be left: look again. */
  readonly moreCommands: boolean;
  /** Instances whose active attempts were asked to end. */
  readonly killing: readonly string[];
  readonly ended: readonly string[];
  /** What has to follow elsewhere: the kinds of the follow-ups that the step left. */
  readonly followups: readonly FollowupKind[];
  readonly alerts: boolean;
}

export interface Claimed {
  readonly bound: readonly BoundAttempt[];
  /** Slots whose incarnation was alive: with fewer tasks bound than these, no more were in line. */
  readonly liveSlots: number;
}

export interface ClaimRequest {
  readonly workerGroup: string;
  readonly capabilities: readonly string[];
  /** An incarnation for each of its free slots. */
  readonly slots: readonly string[];
  /** Random; each attempt's own nonce is made from it. */
  readonly nonce: string;
}

export interface StartedAttempt {
  readonly attemptId: string;
  readonly incarnationId: string;
  readonly nonce: string;
  readonly startedAgoMs: number;
  readonly timeout?: { readonly afterMs: number; readonly action: 'fail' | 'warn' };
}

export interface ActiveOfIncarnation extends BoundAttempt {
  readonly killReason: 'stop' | 'timeout' | null;
  readonly dispatchedAgoMs: number;
}

export interface TaskResultRow extends TaskKey {
  readonly state: TaskEndState;
  readonly outputs: JsonObject;
  readonly artifacts: readonly Artifact[];
}

export interface BroadcastRow extends TaskKey {
  readonly phase: BroadcastRecord['phase'];
  readonly total: number;
  /** Of `before`. */
  readonly outputs: JsonObject;
  /** In the phase `after`: how every subtask ended, in their order; null when their outputs are larger than was asked for. */
  readonly results: readonly SubtaskResult[] | null;
}

export interface SubtaskResult {
  readonly worker: string;
  readonly incarnation: string;
  readonly state: SubtaskEndState;
  readonly outputs: JsonObject;
  readonly reason?: Reason;
}

export interface CountedCommand {
  readonly id: string;
  readonly instanceId: string;
  readonly tries: number;
}
