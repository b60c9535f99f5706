import { conformance } from './run.ts';
import { memorySubject } from './subject.ts';

conformance(memorySubject);
