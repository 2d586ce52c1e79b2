// What the scripts are given (agent_client/timeline/steps.py, agent_client/viewer/document.py),
// for the type checker: fields that have a default in Python may be missing.

type Standing = "correct" | "incorrect" | "not_attempted" | "ungraded" | "owed";
type EvidencePath = "not_retrieved" | "not_opened" | "not_cited" | "all_cited";
type RepairName = "relaxed_form" | "tolerant_json" | "closed_brackets" | "coerced_arguments";

interface Turn {
  kind: "turn"; turn: number; thinking?: string; text?: string; is_open?: boolean;
  seconds?: number; prompt_tokens?: number; completion_tokens?: number; cached_tokens?: number;
  retries?: number; malformed?: string[]; discarded?: string;
}
interface AnyCall {
  id: string; tool: string; arguments: Record<string, unknown>; is_open?: boolean;
  seconds?: number; text?: string; is_error?: boolean; error_kind?: string; is_cached?: boolean;
  repairs?: RepairName[];
}
interface Call extends AnyCall { kind: "call" }
interface Hit { url: string; title?: string; published?: string; preview?: string }
interface Search extends AnyCall { kind: "search"; query?: string; hits?: Hit[]; notes?: string[] }
interface Highlight {
  start: number; end: number; why: "cited" | "answer" | "reference"; source?: number;
}
interface PagePart {
  url: string; title?: string; text?: string; start?: number; total_chars?: number;
  highlights?: Highlight[];
}
interface Visit extends AnyCall {
  kind: "visit"; asked?: string[]; query?: string; pages?: PagePart[];
}
interface Mark { kind: "mark"; name: string; text: string }
type AnyStep = Turn | Search | Visit | Call | Mark;

interface Share {
  correct: number; of: number; share: number | null; low: number | null; high: number | null;
}
interface FieldScores { field: string; groups: { value: string; score: Share }[] }
interface Count { name: string; label: string; count: number; example?: string }
interface Rows {
  id: string[]; repeat: number[]; question: string[]; reference: string[]; answer: string[];
  standing: Standing[]; status: string[]; stop_reason: string[]; error: string[];
  turns: number[]; searches: number[]; visits: number[]; tool_calls: number[];
  prompt_tokens: number[]; completion_tokens: number[]; seconds: number[]; guards: number[];
  repairs: number[]; leaks: number[]; path: (EvidencePath | "")[];
  fields: Record<string, string[]>;
}
interface RunIndex {
  name: string; about: [string, string][]; warnings: string[]; notes: string[]; grader: string; score: Share;
  table: [string, string][]; by_field: FieldScores[]; standings: Count[]; troubles: Count[];
  paths: Partial<Record<EvidencePath, Partial<Record<Standing, number>>>> | null;
  rows: Rows; is_being_written: boolean;
}
type FlipKind = "gained" | "lost" | "both_correct" | "both_wrong" | "other";
interface Flip { id: string; first: number; second: number; kind: FlipKind }
interface SessionIndex { id: string; about: [string, string][]; questions: string[] }
interface ViewIndex {
  kind: "run" | "session"; title: string; made: string; seekling: string; runs?: RunIndex[];
  comparison?: { lines: string[]; flips: Flip[] }; session?: SessionIndex; shard_rows?: number;
  is_live?: boolean; version?: number;
}
interface VerdictView {
  grader: string; grade: string; score?: number; graded?: string; rule?: string; said?: string;
  judge?: string; error?: string;
}
interface SourceView {
  number: number; url: string; title: string; is_cited: boolean; step?: number; page?: number;
}
interface GoldPage {
  name: string; path: "not_retrieved" | "not_opened" | "not_cited" | "cited";
  hit_step?: number; visit_step?: number;
}
interface EpisodeView {
  id: string; question: string; repeat?: number; answers?: string[]; answer?: MarkupNode[];
  answer_text?: string; short_answer?: string; standing?: Standing | ""; status?: string;
  stop_reason?: string; error?: string; hint?: string; verdicts?: VerdictView[];
  facts?: [string, string][]; sources?: SourceView[]; gold?: GoldPage[];
  path?: EvidencePath | ""; answer_seen_step?: number; steps?: AnyStep[]; unreadable?: number;
}
