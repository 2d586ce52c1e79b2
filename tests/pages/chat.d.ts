// What the chat page's server tells (agent_client/web_chat/page_protocol.py), for the type checker.

interface ChatRun {
  index: number; status: "running" | "ended" | "stopped"; episode: EpisodeView;
  seconds?: number; asked_at?: string; is_undone?: boolean;
}
interface ChatConversation {
  id: string; title: string; kind: string; created: string; model: string; is_saved: boolean;
  is_over: boolean; last_event: string; runs: ChatRun[];
}
interface ListedChat {
  id: string; title: string; created: string; ended: string; is_running: boolean;
}
interface ChatStatus {
  state: "opening" | "ready" | "failed"; version: string; saves: boolean; told?: string[];
  model?: string; profile?: string; style?: string; tools?: string[]; message?: string;
  hint?: string; looked_at?: string[];
}
interface ChatDelta {
  type: "delta"; run: number; index: number; what: "thinking" | "text"; text: string;
}
interface ChatStep { type: "step"; run: number; index: number; step: AnyStep }
interface ChatAsked { type: "asked"; run: ChatRun; again?: boolean }
interface ChatEnded { type: "finished"; run: ChatRun }
type ChatEvent = ChatDelta | ChatStep | ChatAsked | ChatEnded
  | { type: "reset" | "closing" | "deleted" };
